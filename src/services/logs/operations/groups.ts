import { cancelJob, scheduleJob } from '../../../kernel/agenda/agenda.ts';
import { counterValue } from '../../../kernel/store/contract.ts';
import type { RequestContext } from '../../../platform/context.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { LogGroup } from '../../../wire/types/logs.ts';
import {
  type Environment,
  groupArn,
  groupNameOf,
  invalidParameter,
  loadGroup,
  noGroup,
  transact,
} from '../environment.ts';
import { limits, retentionDays } from '../limits.ts';
import { type GroupRecord, keys, namesFrom, type Place, storedOf, write } from '../state.ts';
import { purgeGroupJob, retentionJob, sweepPauseMs } from '../work.ts';

const defaultPage = 50;

export function groupOperations({ store, clock, random }: Environment) {
  return {
    CreateLogGroup: (context, input) =>
      transact(store, async () => {
        const key = keys.group(context, input.logGroupName);
        if ((await store.get(key)) !== undefined)
          throw new AwsError('ResourceAlreadyExistsException', 'The specified log group already exists');
        const tags = withTags({}, input.tags ?? {}, context);
        const group: GroupRecord = {
          id: random.hex(16),
          name: input.logGroupName,
          createdMs: clock.now(),
          ...(input.kmsKeyId === undefined ? {} : { kmsKeyId: input.kmsKeyId }),
          class: input.logGroupClass ?? 'STANDARD',
          deletionProtected: input.deletionProtectionEnabled ?? false,
          tags,
        };
        return { answer: undefined, commit: { checks: [{ key, version: null }], set: [write(key, group)] } };
      }),

    DeleteLogGroup: (context, { logGroupName }) =>
      transact(store, async () => {
        const group = await loadGroup(store, context, logGroupName);
        const { key, version, value } = group;
        if (value.deletionProtected)
          throw new AwsError(
            'ValidationException',
            'The log group has deletion protection enabled. Disable deletion protection before deleting the log group.',
          );
        return {
          answer: undefined,
          commit: {
            checks: [{ key, version }],
            delete: [key],
            schedule: [scheduleJob(purgeGroupJob, value.id, clock.now())],
            settle: [cancelJob(retentionJob, value.id)],
          },
        };
      }),

    DescribeLogGroups: async (context, input) => {
      if (input.logGroupNamePrefix !== undefined && input.logGroupNamePattern !== undefined)
        throw invalidParameter('LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.');
      refuseOtherAccounts(context, input);
      if (input.logGroupIdentifiers !== undefined) {
        const names = input.logGroupIdentifiers.map((one) => groupNameOf(context, { logGroupIdentifier: one }));
        const found = await store.getMany(names.map((name) => keys.group(context, name)));
        const groups = found.flatMap((entry) => (entry === undefined ? [] : [storedOf<GroupRecord>(entry).value]));
        return { logGroups: await shapes(context, groups) };
      }
      const pattern = input.logGroupNamePattern?.toLowerCase();
      const { groups, nextToken } = await page(
        context,
        input.logGroupNamePrefix ?? '',
        input.nextToken,
        input.limit ?? defaultPage,
        (group) =>
          (pattern === undefined || group.name.toLowerCase().includes(pattern)) &&
          (input.logGroupClass === undefined || group.class === input.logGroupClass),
      );
      return { logGroups: await shapes(context, groups), ...(nextToken === undefined ? {} : { nextToken }) };
    },

    ListLogGroups: async (context, input) => {
      refuseOtherAccounts(context, input);
      if (input.dataSources !== undefined || input.fieldIndexNames !== undefined || input.logGroupTags !== undefined)
        throw invalidParameter('dataSources, fieldIndexNames and logGroupTags are not built in Unkai.');
      const expression = input.logGroupNamePattern;
      const { groups, nextToken } = await page(
        context,
        expression?.startsWith('^') === true ? expression.slice(1) : '',
        input.nextToken,
        input.limit ?? defaultPage,
        ({ name, class: groupClass }) =>
          (expression === undefined || expression.startsWith('^') || name.includes(expression)) &&
          (input.logGroupClass === undefined || groupClass === input.logGroupClass),
      );
      const logGroups = groups.map((group) => ({
        logGroupName: group.name,
        logGroupArn: groupArn(context, group.name),
        logGroupClass: group.class,
      }));
      return { logGroups, ...(nextToken === undefined ? {} : { nextToken }) };
    },

    PutRetentionPolicy: (context, { logGroupName, retentionInDays }) =>
      changeGroup(context, logGroupName, (group) => {
        if (!retentionDays.includes(retentionInDays))
          throw invalidParameter(
            `1 validation error detected: Value '${retentionInDays}' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [${retentionDays.join(', ')}]`,
          );
        return {
          group: { ...group, retentionDays: retentionInDays },
          schedule: [
            scheduleJob(
              retentionJob,
              group.id,
              clock.now() + sweepPauseMs,
              Buffer.from(JSON.stringify({ account: context.account, region: context.region, name: group.name })),
            ),
          ],
        };
      }),

    DeleteRetentionPolicy: (context, { logGroupName }) =>
      changeGroup(context, logGroupName, ({ retentionDays: _, ...group }) => ({
        group,
        settle: [cancelJob(retentionJob, group.id)],
      })),

    PutLogGroupDeletionProtection: (context, { logGroupIdentifier, deletionProtectionEnabled }) =>
      changeGroup(context, groupNameOf(context, { logGroupIdentifier }), (group) => ({
        group: { ...group, deletionProtected: deletionProtectionEnabled },
      })),

    TagResource: (context, { resourceArn, tags }) =>
      changeGroup(context, nameOfArn(context, resourceArn), (group) => ({
        group: { ...group, tags: withTags(group.tags, tags, context) },
      })),
    UntagResource: (context, { resourceArn, tagKeys }) =>
      changeGroup(context, nameOfArn(context, resourceArn), (group) => ({
        group: { ...group, tags: withoutTags(group.tags, tagKeys) },
      })),
    ListTagsForResource: async (context, { resourceArn }) => {
      const group = await loadGroup(store, context, nameOfArn(context, resourceArn));
      return { tags: group.value.tags };
    },
    TagLogGroup: (context, { logGroupName, tags }) =>
      changeGroup(context, logGroupName, (group) => ({
        group: { ...group, tags: withTags(group.tags, tags, context) },
      })),
    UntagLogGroup: (context, { logGroupName, tags }) =>
      changeGroup(context, logGroupName, (group) => ({ group: { ...group, tags: withoutTags(group.tags, tags) } })),
    ListTagsLogGroup: async (context, { logGroupName }) => {
      const group = await loadGroup(store, context, logGroupName);
      return { tags: group.value.tags };
    },
  } satisfies Handlers<'logs'>;

  interface GroupChange {
    readonly group: GroupRecord;
    readonly schedule?: readonly ReturnType<typeof scheduleJob>[];
    readonly settle?: readonly ReturnType<typeof cancelJob>[];
  }

  function changeGroup(place: Place, name: string, change: (group: GroupRecord) => GroupChange): Promise<void> {
    return transact(store, async () => {
      const { key, version, value } = await loadGroup(store, place, name);
      const { group, ...jobs } = change(value);
      return { answer: undefined, commit: { checks: [{ key, version }], set: [write(key, group)], ...jobs } };
    });
  }

  /** Groups in order of their names; the token is the last name of the page before. */
  async function page(
    place: Place,
    prefix: string,
    token: string | undefined,
    limit: number,
    wanted: (group: GroupRecord) => boolean,
  ): Promise<{ groups: GroupRecord[]; nextToken?: string }> {
    const groups: GroupRecord[] = [];
    let after = token === undefined ? undefined : Buffer.from(token, 'base64url').toString('utf8');
    for (;;) {
      const range = namesFrom(keys.groups(place), (name) => keys.group(place, name), prefix, after);
      const entries = await store.list(range, { limit: defaultPage });
      for (const entry of entries) {
        const { value } = storedOf<GroupRecord>(entry);
        if (!wanted(value)) {
          after = value.name;
          continue;
        }
        if (groups.length === limit)
          return { groups, nextToken: Buffer.from(groups.at(-1)!.name, 'utf8').toString('base64url') };
        groups.push(value);
        after = value.name;
      }
      if (entries.length < defaultPage) return { groups };
    }
  }

  async function shapes(place: Place, groups: readonly GroupRecord[]): Promise<LogGroup[]> {
    const sizes = await store.getMany(groups.map(({ id }) => keys.stored(id)));
    return groups.map((group, index) => ({
      logGroupName: group.name,
      creationTime: group.createdMs,
      ...(group.retentionDays === undefined ? {} : { retentionInDays: group.retentionDays }),
      metricFilterCount: 0,
      arn: `${groupArn(place, group.name)}:*`,
      storedBytes: counterValue(sizes[index]?.value),
      ...(group.kmsKeyId === undefined ? {} : { kmsKeyId: group.kmsKeyId }),
      logGroupClass: group.class,
      logGroupArn: groupArn(place, group.name),
      deletionProtectionEnabled: group.deletionProtected,
    }));
  }
}

function refuseOtherAccounts(
  { account }: Place,
  input: {
    readonly accountIdentifiers?: readonly string[] | undefined;
    readonly includeLinkedAccounts?: boolean | undefined;
  },
): void {
  if (input.includeLinkedAccounts === true)
    throw invalidParameter('Linked accounts are not built in Unkai: includeLinkedAccounts must be false.');
  if (input.accountIdentifiers?.some((one) => one !== account))
    throw invalidParameter('Linked accounts are not built in Unkai: accountIdentifiers may only hold the own account.');
}

/** The ARN of a group, without `:*` at its end as the API reference asks, and with it as people paste it. */
function nameOfArn(place: Place, arn: string): string {
  if (!arn.startsWith('arn:')) throw noGroup();
  return groupNameOf(place, { logGroupIdentifier: arn });
}

function withTags(
  present: GroupRecord['tags'],
  added: Readonly<Record<string, string>>,
  { internal }: RequestContext,
): GroupRecord['tags'] {
  if (!internal && Object.keys(added).some((key) => key.toLowerCase().startsWith('aws:')))
    throw invalidParameter('User tag keys may not start with system prefix aws:');
  const tags = { ...present, ...added };
  const own = Object.keys(tags).filter((key) => !key.startsWith('aws:'));
  if (own.length > limits.tagsPerGroup.value)
    throw new AwsError('TooManyTagsException', 'A resource can have no more than 50 tags.');
  return tags;
}

function withoutTags(present: GroupRecord['tags'], removed: readonly string[]): GroupRecord['tags'] {
  return Object.fromEntries(Object.entries(present).filter(([key]) => !removed.includes(key)));
}
