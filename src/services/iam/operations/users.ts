import type { RequestContext } from '../../../platform/context.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { User } from '../../../wire/types/iam.ts';
import { type Environment, load, loadAll, unchanged } from '../environment.ts';
import { limits } from '../limits.ts';
import { newEntityId } from '../rules/access-keys.ts';
import { alreadyExists, deleteConflict, overQuota, pageOf, withTags } from '../rules/checks.ts';
import { userDetail, userShape } from '../rules/shapes.ts';
import { type AccessKeyRecord, keys, read, transact, type UserRecord, write } from '../state.ts';
import { boundaryWrites, wholeSecond } from './roles.ts';

export function userOperations(environment: Environment) {
  const { store, clock, random } = environment;
  return {
    CreateUser: ({ account, internal }, input) =>
      transact(store, async () => {
        const key = keys.entity('user', account, input.UserName);
        if ((await store.get(key)) !== undefined) throw alreadyExists('user', input.UserName);
        if ((await store.count(keys.entities('user', account))) >= limits.usersPerAccount.value)
          throw overQuota(limits.usersPerAccount);
        const bounded = await boundaryWrites(environment, 'user', account, input.UserName, input.PermissionsBoundary);
        const user: UserRecord = {
          name: input.UserName,
          path: input.Path ?? '/',
          id: newEntityId('AIDA', random),
          createdMs: wholeSecond(clock.now()),
          ...(input.PermissionsBoundary === undefined ? {} : { boundary: input.PermissionsBoundary }),
          tags: withTags([], input.Tags ?? [], internal),
          inline: {},
          attached: [],
          groups: [],
          accessKeyIds: [],
        };
        return {
          answer: { User: userDetail(account, user) },
          commit: { checks: [{ key, version: null }, ...bounded.checks], set: [write(key, user), ...bounded.set] },
        };
      }),

    GetUser: async (context, { UserName }) => {
      const { account, principal } = context;
      // AWS shows the root without name and path.
      if (UserName === undefined && principal.kind === 'root')
        return { User: { UserId: account, Arn: principal.arn, CreateDate: 0 } as User };
      const user = await load(store, 'user', account, UserName ?? callersName(context));
      return { User: userDetail(account, user.value) };
    },

    ListUsers: async ({ account }, input) => {
      const users = await loadAll(store, 'user', account, input.PathPrefix);
      const { items, ...page } = pageOf(users, ({ name }) => name.toLowerCase(), input);
      return { Users: items.map((user) => userShape(account, user)), ...page };
    },

    UpdateUser: ({ account }, input) =>
      transact(store, async () => {
        const user = await load(store, 'user', account, input.UserName);
        const changed: UserRecord = {
          ...user.value,
          name: input.NewUserName ?? user.value.name,
          path: input.NewPath ?? user.value.path,
        };
        const key = keys.entity('user', account, changed.name);
        if (key.equals(user.key))
          return { answer: undefined, commit: { checks: unchanged(user), set: [write(key, changed)] } };
        if ((await store.get(key)) !== undefined) throw alreadyExists('user', changed.name);
        const from = references(account, user.value);
        const to = references(account, changed);
        const accessKeys = await Promise.all(
          user.value.accessKeyIds.map((id) => read<AccessKeyRecord>(store, keys.accessKey(id))),
        );
        const moved = accessKeys.flatMap((one) =>
          one === undefined ? [] : [write(one.key, { ...one.value, userName: changed.name })],
        );
        return {
          answer: undefined,
          commit: {
            checks: [...unchanged(user), { key, version: null }],
            set: [
              write(key, changed),
              ...to.map((one) => ({ key: one, value: Buffer.from(changed.name, 'utf8') })),
              ...moved,
            ],
            delete: [user.key, ...from],
          },
        };
      }),

    DeleteUser: ({ account }, { UserName }) =>
      transact(store, async () => {
        const user = await load(store, 'user', account, UserName);
        const { attached, inline, accessKeyIds, groups } = user.value;
        if (attached.length > 0) throw deleteConflict('Cannot delete entity, must detach all policies first.');
        if (Object.keys(inline).length > 0) throw deleteConflict('Cannot delete entity, must delete policies first.');
        if (accessKeyIds.length > 0) throw deleteConflict('Cannot delete entity, must delete access keys first.');
        if (groups.length > 0) throw deleteConflict('Cannot delete entity, must remove users from group first.');
        return {
          answer: undefined,
          commit: { checks: unchanged(user), delete: [user.key, ...references(account, user.value)] },
        };
      }),
  } satisfies Handlers<'iam'>;
}

/** Index entries that carry a user's name. */
function references(account: string, user: UserRecord) {
  return [
    ...user.groups.map((group) => keys.member(account, group, user.name)),
    ...user.attached.map((arn) => keys.attachment(account, arn, 'user', user.name)),
    ...(user.boundary === undefined ? [] : [keys.boundary(account, user.boundary, 'user', user.name)]),
  ];
}

/** The user that calls, where an operation's UserName is left out. */
export function callersName({ principal }: RequestContext): string {
  if (principal.kind === 'user') return principal.arn.slice(principal.arn.lastIndexOf('/') + 1);
  throw new AwsError('ValidationError', 'Must specify userName when calling with non-User credentials');
}
