import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import { type Environment, load, loadAll, reference, unchanged } from '../environment.ts';
import { limits } from '../limits.ts';
import { newEntityId } from '../rules/access-keys.ts';
import {
  alreadyExists,
  checkDocument,
  checkTrustSize,
  deleteConflict,
  overQuota,
  pageOf,
  withTags,
} from '../rules/checks.ts';
import { roleDetail, roleShape } from '../rules/shapes.ts';
import { type EntityKind, keys, type RoleRecord, transact, type UserRecord, write } from '../state.ts';

const defaultSessionSeconds = 3600;

export function roleOperations(environment: Environment) {
  const { store, clock, random, lifted } = environment;
  return {
    CreateRole: ({ account, internal }, input) =>
      transact(store, async () => {
        checkDocument(input.AssumeRolePolicyDocument, 'trust');
        checkTrustSize(input.AssumeRolePolicyDocument, lifted);
        const key = keys.entity('role', account, input.RoleName);
        if ((await store.get(key)) !== undefined) throw alreadyExists('role', input.RoleName);
        if (!lifted && (await store.count(keys.entities('role', account))) >= limits.rolesPerAccount.value)
          throw overQuota(limits.rolesPerAccount);
        const bounded = await boundaryWrites(environment, 'role', account, input.RoleName, input.PermissionsBoundary);
        const role: RoleRecord = {
          name: input.RoleName,
          path: input.Path ?? '/',
          id: newEntityId('AROA', random),
          createdMs: wholeSecond(clock.now()),
          trust: input.AssumeRolePolicyDocument,
          ...(input.Description === undefined ? {} : { description: input.Description }),
          maxSessionSeconds: input.MaxSessionDuration ?? defaultSessionSeconds,
          ...(input.PermissionsBoundary === undefined ? {} : { boundary: input.PermissionsBoundary }),
          tags: withTags([], input.Tags ?? [], internal),
          inline: {},
          attached: [],
        };
        return {
          answer: { Role: createdShape(account, role) },
          commit: {
            checks: [{ key, version: null }, ...bounded.checks],
            set: [write(key, role), ...bounded.set],
          },
        };
      }),

    GetRole: async ({ account }, { RoleName }) => {
      const role = await load(store, 'role', account, RoleName);
      return { Role: roleDetail(account, role.value) };
    },

    ListRoles: async ({ account }, input) => {
      const roles = await loadAll(store, 'role', account, input.PathPrefix);
      const { items, ...page } = pageOf(roles, ({ name }) => name.toLowerCase(), input);
      return { Roles: items.map((role) => roleShape(account, role)), ...page };
    },

    UpdateRole: ({ account }, input) =>
      transact(store, async () => {
        const role = await load(store, 'role', account, input.RoleName);
        const changed: RoleRecord = {
          ...role.value,
          ...(input.Description === undefined ? {} : { description: input.Description }),
          ...(input.MaxSessionDuration === undefined ? {} : { maxSessionSeconds: input.MaxSessionDuration }),
        };
        return { answer: {}, commit: { checks: unchanged(role), set: [write(role.key, changed)] } };
      }),

    UpdateRoleDescription: ({ account }, input) =>
      transact(store, async () => {
        const role = await load(store, 'role', account, input.RoleName);
        const changed: RoleRecord = { ...role.value, description: input.Description };
        return {
          answer: { Role: roleShape(account, changed) },
          commit: { checks: unchanged(role), set: [write(role.key, changed)] },
        };
      }),

    UpdateAssumeRolePolicy: ({ account }, input) =>
      transact(store, async () => {
        const role = await load(store, 'role', account, input.RoleName);
        checkDocument(input.PolicyDocument, 'trust');
        checkTrustSize(input.PolicyDocument, lifted);
        const changed: RoleRecord = { ...role.value, trust: input.PolicyDocument };
        return { answer: undefined, commit: { checks: unchanged(role), set: [write(role.key, changed)] } };
      }),

    DeleteRole: ({ account }, { RoleName }) =>
      transact(store, async () => {
        const role = await load(store, 'role', account, RoleName);
        if (role.value.attached.length > 0)
          throw deleteConflict('Cannot delete entity, must detach all policies first.');
        if (Object.keys(role.value.inline).length > 0)
          throw deleteConflict('Cannot delete entity, must delete policies first.');
        const { boundary } = role.value;
        return {
          answer: undefined,
          commit: {
            checks: unchanged(role),
            delete: [role.key, ...(boundary === undefined ? [] : [keys.boundary(account, boundary, 'role', RoleName)])],
          },
        };
      }),

    PutRolePermissionsBoundary: ({ account }, input) =>
      setBoundary(environment, 'role', account, input.RoleName, input.PermissionsBoundary),
    DeleteRolePermissionsBoundary: ({ account }, input) => setBoundary(environment, 'role', account, input.RoleName),
    PutUserPermissionsBoundary: ({ account }, input) =>
      setBoundary(environment, 'user', account, input.UserName, input.PermissionsBoundary),
    DeleteUserPermissionsBoundary: ({ account }, input) => setBoundary(environment, 'user', account, input.UserName),
  } satisfies Handlers<'iam'>;
}

/** IAM's times are whole seconds. */
export function wholeSecond(epochMs: number): number {
  return Math.floor(epochMs / 1000) * 1000;
}

/** CreateRole's answer leaves out the duration (LocalStack's recording test_role_with_tags, 2025-07-02). */
function createdShape(account: string, role: RoleRecord) {
  const { MaxSessionDuration: _, RoleLastUsed: __, ...shape } = roleDetail(account, role);
  return shape;
}

/** Puts or, without an ARN, removes the permissions boundary of a role or a user. */
function setBoundary(
  environment: Environment,
  kind: 'role' | 'user',
  account: string,
  name: string,
  arn?: string,
): Promise<void> {
  const { store } = environment;
  return transact(store, async () => {
    const entity = await load(store, kind, account, name);
    const before = entity.value.boundary;
    if (arn === undefined && before === undefined)
      throw new AwsError('NoSuchEntityException', `The permissions boundary of ${kind} ${name} cannot be found.`);
    const bounded = await boundaryWrites(environment, kind, account, name, arn);
    const { boundary: _, ...unbounded } = entity.value as RoleRecord | UserRecord;
    const changed = arn === undefined ? unbounded : { ...unbounded, boundary: arn };
    return {
      answer: undefined,
      commit: {
        checks: [...unchanged(entity), ...bounded.checks],
        set: [write(entity.key, changed), ...bounded.set],
        delete: before === undefined || before === arn ? [] : [keys.boundary(account, before, kind, name)],
      },
    };
  });
}

/** What else is checked and written when an entity gets a permissions boundary. */
export async function boundaryWrites(
  { store }: Environment,
  kind: EntityKind,
  account: string,
  name: string,
  arn: string | undefined,
) {
  if (arn === undefined) return { checks: [], set: [] };
  const missing = (): AwsError =>
    new AwsError('NoSuchEntityException', `Scope ARN: ${arn} does not exist or is not attachable.`);
  const { checks, set } = await reference(store, account, arn, missing);
  return {
    checks,
    set: [...set, { key: keys.boundary(account, arn, kind, name), value: Buffer.from(name, 'utf8') }],
  };
}
