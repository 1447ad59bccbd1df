import { parseArn } from '../../../platform/arn.ts';
import type { Handlers } from '../../../platform/service.ts';
import { commitOn, type Environment, type Place, untilCommitted } from '../environment.ts';
import { RuleError } from '../rules/errors.ts';
import { checkNotInUse } from '../rules/table-update.ts';
import { tableNotFound } from '../rules/tables.ts';
import { checkTagCount, checkTags, withTags } from '../rules/tags.ts';
import { encodeRecord, type TableRecord } from '../state.ts';
import type { Table } from '../tables.ts';
import { backfillJob, removeIndexJob } from '../work.ts';
import { tagList } from './tables.ts';

/** Tags, time to live, limits, and what tells of a table's surroundings. */
export function settingsOperations(env: Environment): Handlers<'dynamodb'> {
  const { clock } = env.platform;
  return {
    async TagResource(context, input) {
      const tags = checkTags(env.limits, input.Tags);
      if (tags.length === 0) throw new RuleError('Atleast one Tag needs to be provided as Input.');
      await change(env, context, tableNameIn(input.ResourceArn), (record) => {
        const all = withTags(record.tags, tags);
        checkTagCount(env.limits, Object.keys(all).length);
        return { ...record, tags: all };
      });
    },

    async UntagResource(context, input) {
      const gone = new Set(input.TagKeys);
      if (gone.size === 0) throw new RuleError('Atleast one Tag Key needs to be provided as Input.');
      await change(env, context, tableNameIn(input.ResourceArn), (record) => {
        const tags = Object.fromEntries(Object.entries(record.tags).filter(([key]) => !gone.has(key)));
        return { ...record, tags };
      });
    },

    async ListTagsOfResource(context, input) {
      const { record } = await requireTable(env, context, tableNameIn(input.ResourceArn));
      const start = input.NextToken === undefined ? 0 : Number.parseInt(input.NextToken, 10);
      if (!(start >= 0)) throw new RuleError('Invalid NextToken');
      const end = start + env.limits.tagsPage;
      const tags = tagList(record.tags);
      return { Tags: tags.slice(start, end), NextToken: end < tags.length ? String(end) : undefined };
    },

    async UpdateTimeToLive(context, input) {
      const { AttributeName: attributeName, Enabled: enabled } = input.TimeToLiveSpecification;
      await change(env, context, input.TableName, (record) => {
        checkNotInUse(record);
        const nowMs = clock.now();
        const { ttl, ...rest } = record;
        const others = { ...rest, ttlChangedAtMs: nowMs };
        if (!enabled) {
          if (ttl === undefined) throw new RuleError('TimeToLive is already disabled');
          checkSameAttribute(ttl.attributeName, attributeName);
          checkTtlRest(env, record, nowMs);
          return others;
        }
        if (ttl !== undefined) {
          checkSameAttribute(ttl.attributeName, attributeName);
          throw new RuleError('TimeToLive is already enabled');
        }
        checkTtlRest(env, record, nowMs);
        const indexId = record.lastIndexId + 1;
        return { ...others, lastIndexId: indexId, ttl: { attributeName, indexId, status: 'ENABLING' } };
      });
      return { TimeToLiveSpecification: input.TimeToLiveSpecification };
    },

    async DescribeTimeToLive(context, input) {
      const { record } = await env.tables.require(context, input.TableName);
      const { ttl, status } = record;
      // ack-api-quirks, finding DDB-TABLE-442.
      if (status === 'CREATING' || status === 'DELETING') {
        throw new RuleError(
          `Cannot describe time to live while table is in ${status} state: Current table state is ${status}`,
        );
      }
      if (ttl === undefined) return { TimeToLiveDescription: { TimeToLiveStatus: 'DISABLED' } };
      return { TimeToLiveDescription: { TimeToLiveStatus: ttl.status, AttributeName: ttl.attributeName } };
    },

    async DescribeLimits() {
      const { accountUnits, tableUnits } = env.limits;
      return {
        AccountMaxReadCapacityUnits: accountUnits,
        AccountMaxWriteCapacityUnits: accountUnits,
        TableMaxReadCapacityUnits: tableUnits,
        TableMaxWriteCapacityUnits: tableUnits,
      };
    },

    async DescribeEndpoints(context) {
      return { Endpoints: [{ Address: new URL(context.origin).host, CachePeriodInMinutes: 1440 }] };
    },
  };

  /** Changes a table's record, and sees to the expiry entries that it needs or needs no more. */
  async function change(
    environment: Environment,
    place: Place,
    nameOrArn: string,
    alter: (record: TableRecord) => TableRecord,
  ): Promise<Table> {
    return untilCommitted(async () => {
      const table = await requireTable(environment, place, nameOrArn);
      const { record: before } = table;
      const after = alter(before);
      const nowMs = clock.now();
      const started = after.ttl !== undefined && before.ttl === undefined;
      const ended = after.ttl === undefined && before.ttl !== undefined;
      const result = await commitOn(environment, [table], {
        checks: [table.check],
        set: [{ key: table.key, value: encodeRecord(after) }],
        schedule: [
          ...(started ? [backfillJob(after, after.ttl!.indexId, nowMs)] : []),
          ...(ended ? [removeIndexJob(before.id, before.ttl!.indexId, nowMs)] : []),
        ],
      });
      if (!result.ok) return undefined;
      environment.tables.forget(table);
      return table;
    });
  }
}

async function requireTable(env: Environment, place: Place, nameOrArn: string): Promise<Table> {
  const name = env.tables.nameOf(place, nameOrArn);
  const table = name === undefined ? undefined : await env.tables.read(place, name);
  if (table !== undefined) return table;
  throw nameOrArn.startsWith('arn:') ? resourceArnNotFound(nameOrArn) : tableNotFound(nameOrArn);
}

/** Time to live changes once an hour. */
function checkTtlRest(
  { limits }: Environment,
  { ttlChangedAtMs = Number.NEGATIVE_INFINITY }: TableRecord,
  nowMs: number,
) {
  if (nowMs >= ttlChangedAtMs + limits.ttlChangeMs) return;
  throw new RuleError('Time to live has been modified multiple times within a fixed interval');
}

function checkSameAttribute(current: string, given: string): void {
  if (current === given) return;
  throw new RuleError(`TimeToLive is active on a different AttributeName: current AttributeName is ${current}`);
}

/** The table's ARN, checked in form; texts from dynalite's validations/listTagsOfResource.js, run against AWS. */
function tableNameIn(resourceArn: string): string {
  const arn = parseArn(resourceArn);
  if (arn?.service !== 'dynamodb' || !/^table\/[^/]{3,}$/.test(arn.resource)) {
    throw new RuleError(`Invalid TableArn: Invalid ResourceArn provided as input ${resourceArn}`);
  }
  return resourceArn;
}

/** The words of the tag operations for a table that is not there; the spelling is AWS's. */
function resourceArnNotFound(resourceArn: string): RuleError {
  return new RuleError(
    `Requested resource not found: ResourcArn: ${resourceArn} not found`,
    'ResourceNotFoundException',
  );
}
