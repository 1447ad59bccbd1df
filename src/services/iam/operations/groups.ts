import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import { type Environment, load, loadAll, unchanged } from '../environment.ts';
import { limits } from '../limits.ts';
import { newEntityId } from '../rules/access-keys.ts';
import { alreadyExists, deleteConflict, overQuota, pageOf } from '../rules/checks.ts';
import { groupShape, userShape } from '../rules/shapes.ts';
import { type GroupRecord, keys, read, transact, type UserRecord, write } from '../state.ts';
import { wholeSecond } from './roles.ts';

export function groupOperations({ store, clock, random, lifted }: Environment) {
  return {
    CreateGroup: ({ account }, input) =>
      transact(store, async () => {
        const key = keys.entity('group', account, input.GroupName);
        if ((await store.get(key)) !== undefined) throw alreadyExists('group', input.GroupName);
        if (!lifted && (await store.count(keys.entities('group', account))) >= limits.groupsPerAccount.value)
          throw overQuota(limits.groupsPerAccount);
        const group: GroupRecord = {
          name: input.GroupName,
          path: input.Path ?? '/',
          id: newEntityId('AGPA', random),
          createdMs: wholeSecond(clock.now()),
          inline: {},
          attached: [],
        };
        return {
          answer: { Group: groupShape(account, group) },
          commit: { checks: [{ key, version: null }], set: [write(key, group)] },
        };
      }),

    GetGroup: async ({ account }, input) => {
      const group = await load(store, 'group', account, input.GroupName);
      const members = await membersOf(account, input.GroupName);
      const { items, ...page } = pageOf(members, ({ name }) => name.toLowerCase(), input);
      return {
        Group: groupShape(account, group.value),
        Users: items.map((user) => userShape(account, user)),
        ...page,
      };
    },

    ListGroups: async ({ account }, input) => {
      const groups = await loadAll(store, 'group', account, input.PathPrefix);
      const { items, ...page } = pageOf(groups, ({ name }) => name.toLowerCase(), input);
      return { Groups: items.map((group) => groupShape(account, group)), ...page };
    },

    ListGroupsForUser: async ({ account }, input) => {
      const user = await load(store, 'user', account, input.UserName);
      const groups = await Promise.all(
        user.value.groups.map((name) => read<GroupRecord>(store, keys.entity('group', account, name))),
      );
      const present = groups.flatMap((group) => (group === undefined ? [] : [group.value]));
      present.sort((left, right) => (left.name.toLowerCase() < right.name.toLowerCase() ? -1 : 1));
      const { items, ...page } = pageOf(present, ({ name }) => name.toLowerCase(), input);
      return { Groups: items.map((group) => groupShape(account, group)), ...page };
    },

    AddUserToGroup: ({ account }, input) =>
      transact(store, async () => {
        const group = await load(store, 'group', account, input.GroupName);
        const user = await load(store, 'user', account, input.UserName);
        const { groups } = user.value;
        if (groups.includes(group.value.name)) return { answer: undefined };
        if (groups.length >= limits.groupsPerUser.value) throw overQuota(limits.groupsPerUser);
        const changed: UserRecord = { ...user.value, groups: [...groups, group.value.name] };
        const member = { key: keys.member(account, group.value.name, user.value.name), value: Buffer.alloc(0) };
        return {
          answer: undefined,
          // The group is written, too: its deletion, which looks for members, must lose against this.
          commit: {
            checks: unchanged(group, user),
            set: [write(user.key, changed), write(group.key, group.value), member],
          },
        };
      }),

    RemoveUserFromGroup: ({ account }, input) =>
      transact(store, async () => {
        const group = await load(store, 'group', account, input.GroupName);
        const user = await load(store, 'user', account, input.UserName);
        const groups = user.value.groups.filter((name) => name !== group.value.name);
        if (groups.length === user.value.groups.length)
          throw new AwsError('NoSuchEntityException', `User ${input.UserName} not in group ${input.GroupName}`);
        return {
          answer: undefined,
          commit: {
            checks: unchanged(group, user),
            set: [write(user.key, { ...user.value, groups })],
            delete: [keys.member(account, group.value.name, user.value.name)],
          },
        };
      }),

    DeleteGroup: ({ account }, { GroupName }) =>
      transact(store, async () => {
        const group = await load(store, 'group', account, GroupName);
        if ((await store.count(keys.members(account, GroupName))) > 0)
          throw deleteConflict('Cannot delete entity, must remove users from group first.');
        if (group.value.attached.length > 0)
          throw deleteConflict('Cannot delete entity, must detach all policies first.');
        if (Object.keys(group.value.inline).length > 0)
          throw deleteConflict('Cannot delete entity, must delete policies first.');
        return { answer: undefined, commit: { checks: unchanged(group), delete: [group.key] } };
      }),
  } satisfies Handlers<'iam'>;

  async function membersOf(account: string, group: string): Promise<UserRecord[]> {
    const users = await loadAll(store, 'user', account);
    return users.filter(({ groups }) => groups.some((name) => name.toLowerCase() === group.toLowerCase()));
  }
}
