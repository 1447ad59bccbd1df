import type { RequestContext } from '../../../platform/context.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import { type Environment, load, unchanged } from '../environment.ts';
import { limits } from '../limits.ts';
import { newAccessKeyId, newSecret } from '../rules/access-keys.ts';
import { overQuota, pageOf } from '../rules/checks.ts';
import { keyMetadata } from '../rules/shapes.ts';
import { type AccessKeyRecord, keys, read, type Stored, transact, type UserRecord, write } from '../state.ts';
import { wholeSecond } from './roles.ts';
import { callersName } from './users.ts';

export function accessKeyOperations({ store, clock, random }: Environment) {
  return {
    CreateAccessKey: (context, input) =>
      transact(store, async () => {
        const { account } = context;
        const user = await load(store, 'user', account, input.UserName ?? callersName(context));
        const { accessKeyIds, name } = user.value;
        if (accessKeyIds.length >= limits.accessKeysPerUser.value) throw overQuota(limits.accessKeysPerUser);
        const record: AccessKeyRecord = {
          accessKeyId: newAccessKeyId('AKIA', account, random),
          secret: newSecret(random),
          account,
          userName: name,
          status: 'Active',
          createdMs: wholeSecond(clock.now()),
        };
        const key = keys.accessKey(record.accessKeyId);
        const changed: UserRecord = { ...user.value, accessKeyIds: [...accessKeyIds, record.accessKeyId] };
        return {
          answer: {
            AccessKey: {
              UserName: name,
              AccessKeyId: record.accessKeyId,
              Status: record.status,
              SecretAccessKey: record.secret,
              CreateDate: record.createdMs,
            },
          },
          commit: {
            checks: [...unchanged(user), { key, version: null }],
            set: [write(user.key, changed), write(key, record)],
          },
        };
      }),

    ListAccessKeys: async (context, input) => {
      const user = await load(store, 'user', context.account, input.UserName ?? callersName(context));
      const records = await Promise.all(
        user.value.accessKeyIds.map((id) => read<AccessKeyRecord>(store, keys.accessKey(id))),
      );
      const present = records.flatMap((record) => (record === undefined ? [] : [record.value]));
      present.sort((left, right) => (left.accessKeyId < right.accessKeyId ? -1 : 1));
      const { items, ...page } = pageOf(present, ({ accessKeyId }) => accessKeyId, input);
      return { AccessKeyMetadata: items.map(keyMetadata), ...page };
    },

    UpdateAccessKey: (context, input) =>
      transact(store, async () => {
        const found = await ownedKey(context, input);
        const status = input.Status === 'Active' ? 'Active' : 'Inactive';
        return {
          answer: undefined,
          commit: { checks: unchanged(found.key), set: [write(found.key.key, { ...found.key.value, status })] },
        };
      }),

    DeleteAccessKey: (context, input) =>
      transact(store, async () => {
        const { key, user } = await ownedKey(context, input);
        const accessKeyIds = user.value.accessKeyIds.filter((id) => id !== input.AccessKeyId);
        return {
          answer: undefined,
          commit: {
            checks: unchanged(key, user),
            set: [write(user.key, { ...user.value, accessKeyIds })],
            delete: [key.key],
          },
        };
      }),
  } satisfies Handlers<'iam'>;

  async function ownedKey(
    context: RequestContext,
    input: { readonly UserName?: string | undefined; readonly AccessKeyId: string },
  ): Promise<{ key: Stored<AccessKeyRecord>; user: Stored<UserRecord> }> {
    // Without a name the key itself tells whose it is, as long as it is the caller's account's.
    const key = await read<AccessKeyRecord>(store, keys.accessKey(input.AccessKeyId));
    const name = input.UserName ?? key?.value.userName ?? callersName(context);
    const user = await load(store, 'user', context.account, name);
    if (key === undefined || !user.value.accessKeyIds.includes(input.AccessKeyId))
      throw new AwsError('NoSuchEntityException', `The Access Key with id ${input.AccessKeyId} cannot be found.`);
    return { key, user };
  }
}
