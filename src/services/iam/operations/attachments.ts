import { decodeKey } from '../../../kernel/store/keys.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import { type Environment, load, loadPolicy, reference, unchanged } from '../environment.ts';
import { limits } from '../limits.ts';
import { parsePolicyArn } from '../rules/arns.ts';
import { noSuch, overQuota, type PageRequest, pageOf } from '../rules/checks.ts';
import { attachedShape } from '../rules/shapes.ts';
import { type EntityKind, keys, type Records, read, transact, write } from '../state.ts';

const quotas = { role: limits.attachedPerRole, user: limits.attachedPerUser, group: limits.attachedPerGroup } as const;
/** As far as AWS raises the quota on request. */
const liftedQuota = 20;

/** Attached managed policies: the same for roles, users and groups. */
export function attachmentOperations({ store, lifted }: Environment) {
  return {
    AttachRolePolicy: ({ account }, input) => attach('role', account, input.RoleName, input.PolicyArn),
    AttachUserPolicy: ({ account }, input) => attach('user', account, input.UserName, input.PolicyArn),
    AttachGroupPolicy: ({ account }, input) => attach('group', account, input.GroupName, input.PolicyArn),
    DetachRolePolicy: ({ account }, input) => detach('role', account, input.RoleName, input.PolicyArn),
    DetachUserPolicy: ({ account }, input) => detach('user', account, input.UserName, input.PolicyArn),
    DetachGroupPolicy: ({ account }, input) => detach('group', account, input.GroupName, input.PolicyArn),
    ListAttachedRolePolicies: ({ account }, input) => list('role', account, input.RoleName, input),
    ListAttachedUserPolicies: ({ account }, input) => list('user', account, input.UserName, input),
    ListAttachedGroupPolicies: ({ account }, input) => list('group', account, input.GroupName, input),

    ListEntitiesForPolicy: async ({ account }, input) => {
      const { PolicyArn: arn, EntityFilter: filter, PathPrefix: path = '/', PolicyUsageFilter: usage } = input;
      if (parsePolicyArn(arn).account !== 'aws') await loadPolicy(store, account, arn);
      const ranges = [
        ...(usage === 'PermissionsBoundary' ? [] : [keys.attachments(account, arn)]),
        ...(usage === 'PermissionsPolicy' ? [] : [keys.boundaries(account, arn)]),
      ];
      const entries = (await Promise.all(ranges.map((range) => store.list(range)))).flat();
      const named = new Map<string, { kind: EntityKind; name: string }>();
      for (const { key, value } of entries) {
        const kind = decodeKey(key)[4] as EntityKind;
        const name = value.toString('utf8');
        if (filter === undefined || filter === filters[kind]) named.set(`${kind}/${name}`, { kind, name });
      }
      const sorted = [...named].sort(([left], [right]) => (left < right ? -1 : 1));
      const { items, ...page } = pageOf(sorted, ([text]) => text, input);
      const entities = await Promise.all(
        items.map(async ([, { kind, name }]) => ({
          kind,
          entity: (await read<Records[EntityKind]>(store, keys.entity(kind, account, name)))?.value,
        })),
      );
      const of = (kind: EntityKind) =>
        entities.flatMap((one) =>
          one.kind === kind && one.entity !== undefined && one.entity.path.startsWith(path) ? [one.entity] : [],
        );
      return {
        PolicyRoles: of('role').map(({ name, id }) => ({ RoleName: name, RoleId: id })),
        PolicyUsers: of('user').map(({ name, id }) => ({ UserName: name, UserId: id })),
        PolicyGroups: of('group').map(({ name, id }) => ({ GroupName: name, GroupId: id })),
        ...page,
      };
    },
  } satisfies Handlers<'iam'>;

  function attach(kind: EntityKind, account: string, name: string, arn: string): Promise<void> {
    return transact(store, async () => {
      const entity = await load(store, kind, account, name);
      const { checks, set } = await reference(store, account, arn, () => notAttachable(arn));
      const { attached } = entity.value;
      if (attached.includes(arn)) return { answer: undefined };
      const quota = quotas[kind];
      const value = lifted ? liftedQuota : quota.value;
      if (attached.length >= value) throw overQuota({ name: quota.name, value });
      const index = {
        key: keys.attachment(account, arn, kind, entity.value.name),
        value: Buffer.from(entity.value.name, 'utf8'),
      };
      return {
        answer: undefined,
        commit: {
          checks: [...unchanged(entity), ...checks],
          set: [write(entity.key, { ...entity.value, attached: [...attached, arn] }), index, ...set],
        },
      };
    });
  }

  function detach(kind: EntityKind, account: string, name: string, arn: string): Promise<void> {
    return transact(store, async () => {
      parsePolicyArn(arn);
      const entity = await load(store, kind, account, name);
      const attached = entity.value.attached.filter((one) => one !== arn);
      if (attached.length === entity.value.attached.length) throw noSuch('policy', arn);
      return {
        answer: undefined,
        commit: {
          checks: unchanged(entity),
          set: [write(entity.key, { ...entity.value, attached })],
          delete: [keys.attachment(account, arn, kind, entity.value.name)],
        },
      };
    });
  }

  async function list(
    kind: EntityKind,
    account: string,
    name: string,
    request: PageRequest & { readonly PathPrefix?: string | undefined },
  ) {
    const entity = await load(store, kind, account, name);
    const path = request.PathPrefix ?? '/';
    const arns = entity.value.attached.filter((arn) => parsePolicyArn(arn).path.startsWith(path)).sort();
    const { items, ...page } = pageOf(arns, (arn) => arn, request);
    return { AttachedPolicies: items.map(attachedShape), ...page };
  }
}

const filters = { role: 'Role', user: 'User', group: 'Group' } as const;

/** LocalStack's recording (test_role_attach_policy, 2025-06-19). */
function notAttachable(arn: string): AwsError {
  return new AwsError('NoSuchEntityException', `Policy ${arn} does not exist or is not attachable.`);
}
