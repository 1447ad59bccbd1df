import type { Commit } from '../../../kernel/store/contract.ts';
import { extendKey, nextKey, prefixRange } from '../../../kernel/store/keys.ts';
import type { Handlers } from '../../../platform/service.ts';
import type { CreateTableInput, TableDescription, Tag, UpdateTableInput } from '../../../wire/types/dynamodb.ts';
import { describe } from '../describe.ts';
import { commitOn, type Environment, notBuilt, type Place, untilCommitted } from '../environment.ts';
import { delays } from '../limits.ts';
import { addTable, checkUnderWay } from '../new-table.ts';
import { checkEncryption, encryptionOf } from '../rules/encryption.ts';
import { RuleError } from '../rules/errors.ts';
import { checkOnDemandBounds, checkOnDemandMode, unprovisioned, warmed, warmUnits } from '../rules/provisioning.ts';
import { checkResourcePolicy } from '../rules/resource-policy.ts';
import { streamUpdate, updateTableRecord } from '../rules/table-update.ts';
import {
  checkTableNameParameter,
  type CreateTableInput as TableRules,
  tableNotFound,
  validateCreateTable,
} from '../rules/tables.ts';
import { checkTags, withTags } from '../rules/tags.ts';
import { validateUpdateTable } from '../rules/update-request.ts';
import {
  encodeRecord,
  type IndexRecord,
  type KeySchema,
  type PolicyRecord,
  type TableRecord,
  type Throughput,
  tablesOf,
} from '../state.ts';
import { closeStream, openStream } from '../stream-life.ts';
import { type Table, tableArn, tableOf } from '../tables.ts';
import { backfillJob, tableJob } from '../work.ts';

/** CreateTable, DescribeTable, UpdateTable, DeleteTable, ListTables. */
export function tableOperations(env: Environment): Handlers<'dynamodb'> {
  const { store, clock } = env.platform;
  return {
    async CreateTable(context, input) {
      checkTableNameParameter(input.TableName);
      if (input.KeySchema === undefined) throw mustNotBeNull('keySchema');
      if (input.AttributeDefinitions === undefined) throw mustNotBeNull('attributeDefinitions');
      refuseReplicas(input as CreateTableInput & UpdateTableInput);
      validateCreateTable(input as TableRules);
      checkEncryption(input.SSESpecification);
      checkOnDemandBounds(input.OnDemandThroughput);
      const tags = withTags({}, checkTags(env.limits, input.Tags ?? []));
      const name = env.tables.nameOf(context, input.TableName) ?? input.TableName;
      const created = await untilCommitted(() => create(env, context, name, input, tags));
      return { TableDescription: created };
    },

    async DescribeTable(context, input) {
      checkTableNameParameter(input.TableName);
      const table = await env.tables.require(context, input.TableName);
      return { Table: await describe(env, table, clock.now()) };
    },

    async UpdateTable(context, input) {
      checkTableNameParameter(input.TableName);
      validateUpdateTable(input);
      refuseReplicas(input as CreateTableInput & UpdateTableInput);
      const updated = await untilCommitted(() => update(env, context, input));
      return { TableDescription: updated };
    },

    async DeleteTable(context, input) {
      checkTableNameParameter(input.TableName);
      const deleted = await untilCommitted(() => remove(env, context, input.TableName));
      return { TableDescription: deleted };
    },

    async ListTables(context, input) {
      const limit = input.Limit ?? env.limits.listPage;
      const prefix = tablesOf(context.account, context.region);
      const { start, end } = prefixRange(prefix);
      const after = input.ExclusiveStartTableName;
      const range = { start: after === undefined ? start : nextKey(extendKey(prefix, after)), end };
      const entries = await store.list(range, { limit: limit + 1 });
      const names = entries.slice(0, limit).map((entry) => tableOf(entry).record.name);
      return {
        TableNames: names,
        LastEvaluatedTableName: entries.length > limit ? names[names.length - 1] : undefined,
      };
    },
  };
}

async function create(
  env: Environment,
  place: Place,
  name: string,
  input: CreateTableInput,
  tags: Readonly<Record<string, string>>,
): Promise<TableDescription | undefined> {
  const { StreamEnabled, StreamViewType } = input.StreamSpecification ?? {};
  return addTable(env, place, name, async (id, nowMs) => {
    const bare = newRecord(env, place, name, id, input, tags, nowMs);
    const { record, more } = await withStream(env, bare, StreamEnabled ? { open: StreamViewType! } : undefined, nowMs);
    return {
      record,
      more: { ...more, schedule: [...(more.schedule ?? []), tableJob(record, nowMs + delays.createMs)] },
    };
  });
}

async function update(env: Environment, place: Place, input: UpdateTableInput): Promise<TableDescription | undefined> {
  const { clock } = env.platform;
  const table = await env.tables.require(place, input.TableName);
  const nowMs = clock.now();
  await checkUnderWay(env, place);
  const isLimited = env.platform.limits !== 'relaxed';
  const changed = updateTableRecord(table.record, input, { nowMs, isLimited });
  const stream = streamUpdate(table.record, input.StreamSpecification);
  const { record, more } = await withStream(env, changed, stream, nowMs);
  const created = record.indexes.filter(({ id }) => id > table.record.lastIndexId);
  return replace(env, table, record, {
    ...more,
    schedule: [
      ...(more.schedule ?? []),
      tableJob(record, nowMs + delays.updateMs),
      ...created.map((index) => backfillJob(record, index.id, nowMs + delays.updateMs)),
    ],
  });
}

type StreamCommit = Pick<Commit, 'checks' | 'set' | 'schedule'>;

async function withStream(
  env: Environment,
  record: TableRecord,
  change: ReturnType<typeof streamUpdate>,
  nowMs: number,
): Promise<{ readonly record: TableRecord; readonly more: StreamCommit }> {
  if (change === undefined) return { record, more: {} };
  return change === 'close' ? closeStream(env.platform.store, record, nowMs) : openStream(record, change.open, nowMs);
}

async function remove(env: Environment, place: Place, nameOrArn: string): Promise<TableDescription | undefined> {
  const table = await env.tables.require(place, nameOrArn).catch((error: unknown) => {
    throw error instanceof RuleError ? tableNotFound(nameOrArn) : error;
  });
  const { record } = table;
  const nowMs = env.platform.clock.now();
  if (record.status === 'DELETING') return describe(env, table, nowMs);
  if (record.status !== 'ACTIVE') {
    const doing = record.status === 'CREATING' ? 'created' : 'updated';
    throw new RuleError(
      `Attempt to change a resource which is still in use: Table is being ${doing}: ${record.name}`,
      'ResourceInUseException',
    );
  }
  if (record.deletionProtection) {
    throw new RuleError(
      `Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.`,
    );
  }
  await checkUnderWay(env, place);
  const { record: streamless, more } = await closeStream(env.platform.store, record, nowMs);
  const leaving: TableRecord = { ...streamless, status: 'DELETING' };
  return replace(env, table, leaving, { ...more, schedule: [tableJob(leaving, nowMs + delays.deleteMs)] });
}

/** Puts a changed record in place of the one that was read, and describes the table; undefined if it changed meanwhile. */
async function replace(
  env: Environment,
  table: Table,
  record: TableRecord,
  more: StreamCommit,
): Promise<TableDescription | undefined> {
  const value = encodeRecord(record);
  const result = await commitOn(env, [table], {
    ...more,
    checks: [table.check, ...(more.checks ?? [])],
    set: [{ key: table.key, value }, ...(more.set ?? [])],
  });
  if (!result.ok) return undefined;
  env.tables.forget(table);
  return describe(env, tableOf({ key: table.key, value, version: result.version }), env.platform.clock.now());
}

function newRecord(
  env: Environment,
  place: Place,
  name: string,
  id: number,
  input: CreateTableInput,
  tags: Readonly<Record<string, string>>,
  nowMs: number,
): TableRecord {
  const isOnDemand = input.BillingMode === 'PAY_PER_REQUEST';
  const billingMode = isOnDemand ? 'PAY_PER_REQUEST' : 'PROVISIONED';
  const local = input.LocalSecondaryIndexes ?? [];
  const global = input.GlobalSecondaryIndexes ?? [];
  const indexes = [
    ...local.map((index) => ({ ...index, kind: 'local' as const })),
    ...global.map((index) => ({ ...index, kind: 'global' as const })),
  ].map((index, position): IndexRecord => {
    const { IndexName: name, ...given } = index as (typeof global)[number];
    const { OnDemandThroughput: onDemand } = given;
    const throughput = throughputOf(given.ProvisionedThroughput);
    const base = warmUnits({ billingMode }, { throughput });
    const warm = warmed(given.WarmThroughput, base, { isOnDemand, isNew: true, index: name });
    checkOnDemandBounds(onDemand, name);
    checkOnDemandMode(onDemand, isOnDemand, name);
    return {
      id: position + 1,
      name: index.IndexName,
      kind: index.kind,
      status: 'ACTIVE',
      backfilling: false,
      keySchema: index.KeySchema as readonly KeySchema[],
      projection: index.Projection as IndexRecord['projection'],
      throughput,
      ...(onDemand === undefined ? {} : { onDemandThroughput: onDemand }),
      ...(warm === undefined ? {} : { warm }),
    };
  });
  const throughput = throughputOf(input.ProvisionedThroughput);
  const warm = warmed(input.WarmThroughput, warmUnits({ billingMode }, { throughput }), { isOnDemand, isNew: true });
  checkOnDemandMode(input.OnDemandThroughput, isOnDemand);
  const encryption = encryptionOf(input.SSESpecification, place);
  return {
    id,
    tableId: env.platform.random.uuid(),
    name,
    account: place.account,
    region: place.region,
    status: 'CREATING',
    createdAtMs: nowMs,
    attributeDefinitions: input.AttributeDefinitions!,
    keySchema: input.KeySchema! as readonly KeySchema[],
    indexes,
    lastIndexId: indexes.length,
    billingMode,
    ...(isOnDemand ? { onDemandSinceMs: nowMs } : {}),
    throughput,
    ...(warm === undefined ? {} : { warm }),
    ...(encryption === undefined ? {} : { encryption }),
    ...(input.OnDemandThroughput === undefined ? {} : { onDemandThroughput: input.OnDemandThroughput }),
    ...(input.TableClass === undefined ? {} : { tableClass: { name: input.TableClass } }),
    deletionProtection: input.DeletionProtectionEnabled ?? false,
    tags,
    ...(input.ResourcePolicy === undefined ? {} : { policy: firstPolicy(input.ResourcePolicy, place, name, nowMs) }),
  };
}

function firstPolicy(document: string, place: Place, name: string, nowMs: number): PolicyRecord {
  checkResourcePolicy(document, tableArn({ ...place, name }));
  return { document, revisionId: String(nowMs) };
}

function throughputOf(
  given: { readonly ReadCapacityUnits: number; readonly WriteCapacityUnits: number } | undefined,
): Throughput {
  if (given === undefined) return unprovisioned;
  return { readUnits: given.ReadCapacityUnits, writeUnits: given.WriteCapacityUnits, decreases: 0 };
}

/** Replicas need other regions to be replicated to. */
function refuseReplicas(input: CreateTableInput & UpdateTableInput): void {
  const asked =
    input.GlobalTableSourceArn ??
    input.GlobalTableSettingsReplicationMode ??
    input.ReplicaUpdates ??
    input.MultiRegionConsistency ??
    input.GlobalTableWitnessUpdates;
  if (asked !== undefined) throw notBuilt('A replica of a table in another region (ReplicaUpdates and its like)');
}

function mustNotBeNull(member: string): RuleError {
  return new RuleError(
    `1 validation error detected: Value null at '${member}' failed to satisfy constraint: Member must not be null`,
  );
}

/** Tags by key. */
export function tagList(tags: Readonly<Record<string, string>>): readonly Tag[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}
