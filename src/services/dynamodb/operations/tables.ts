import type { Commit } from '../../../kernel/store/contract.ts';
import { counterBytes, counterValue } from '../../../kernel/store/contract.ts';
import { extendKey, nextKey, prefixRange } from '../../../kernel/store/keys.ts';
import type { Handlers } from '../../../platform/service.ts';
import type { CreateTableInput, TableDescription, Tag, UpdateTableInput } from '../../../wire/types/dynamodb.ts';
import { describe } from '../describe.ts';
import { commitOn, type Environment, notBuilt, type Place, untilCommitted } from '../environment.ts';
import { delays } from '../limits.ts';
import { RuleError } from '../rules/errors.ts';
import { unprovisioned, updateTableRecord } from '../rules/table-update.ts';
import {
  checkTableNameParameter,
  type CreateTableInput as TableRules,
  tableExists,
  tableNotFound,
  type UpdateTableInput as UpdateRules,
  validateCreateTable,
  validateUpdateTable,
} from '../rules/tables.ts';
import { checkTags, withTags } from '../rules/tags.ts';
import {
  encodeRecord,
  type IndexRecord,
  type KeySchema,
  lastTableIdKey,
  type TableRecord,
  type Throughput,
  tableKey,
  tablesOf,
} from '../state.ts';
import { type Table, tableOf } from '../tables.ts';
import { backfillJob, tableJob } from '../work.ts';

/** CreateTable, DescribeTable, UpdateTable, DeleteTable, ListTables. */
export function tableOperations(env: Environment): Handlers<'dynamodb'> {
  const { store, clock } = env.platform;
  return {
    async CreateTable(context, input) {
      checkTableNameParameter(input.TableName);
      if (input.KeySchema === undefined) throw mustNotBeNull('keySchema');
      if (input.AttributeDefinitions === undefined) throw mustNotBeNull('attributeDefinitions');
      refuseUnbuiltCreate(input);
      validateCreateTable(input as TableRules);
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
      validateUpdateTable(input as UpdateRules);
      refuseUnbuiltUpdate(input);
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
  const { store, clock } = env.platform;
  const { account, region } = place;
  const key = tableKey(account, region, name);
  const [existing, last] = await store.getMany([key, lastTableIdKey]);
  if (existing !== undefined) throw tableExists(name);
  if (Number.isFinite(env.limits.tables)) {
    const count = await store.count(prefixRange(tablesOf(account, region)));
    if (count >= env.limits.tables) {
      throw new RuleError(
        `Subscriber limit exceeded: There is a limit of ${env.limits.tables} tables per subscriber`,
        'LimitExceededException',
      );
    }
  }
  const nowMs = clock.now();
  const id = counterValue(last?.value) + 1;
  const record = newRecord(env, place, name, id, input, tags, nowMs);
  const result = await store.commit({
    checks: [
      { key, version: null },
      { key: lastTableIdKey, version: last?.version ?? null },
    ],
    set: [
      { key, value: encodeRecord(record) },
      { key: lastTableIdKey, value: counterBytes(id) },
    ],
    schedule: [tableJob(record, nowMs + delays.createMs)],
  });
  if (!result.ok) return undefined;
  const table = tableOf({ key, value: encodeRecord(record), version: result.version });
  env.tables.forget(table);
  return describe(env, table, nowMs);
}

async function update(env: Environment, place: Place, input: UpdateTableInput): Promise<TableDescription | undefined> {
  const { clock } = env.platform;
  const table = await env.tables.require(place, input.TableName);
  const nowMs = clock.now();
  const changed = updateTableRecord(table.record, input, nowMs);
  const record = withEncryption(changed, input.SSESpecification, place);
  const created = record.indexes.filter(({ id }) => id > table.record.lastIndexId);
  return replace(env, table, record, {
    schedule: [
      tableJob(record, nowMs + delays.updateMs),
      ...created.map((index) => backfillJob(record, index.id, nowMs + delays.updateMs)),
    ],
  });
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
  const leaving: TableRecord = { ...record, status: 'DELETING' };
  return replace(env, table, leaving, { schedule: [tableJob(leaving, nowMs + delays.deleteMs)] });
}

/** Puts a changed record in place of the one that was read, and describes the table; undefined if it changed meanwhile. */
async function replace(
  env: Environment,
  table: Table,
  record: TableRecord,
  more: Pick<Commit, 'schedule'>,
): Promise<TableDescription | undefined> {
  const value = encodeRecord(record);
  const result = await commitOn(env, [table], {
    checks: [table.check],
    set: [{ key: table.key, value }],
    ...more,
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
  const local = input.LocalSecondaryIndexes ?? [];
  const global = input.GlobalSecondaryIndexes ?? [];
  const indexes = [
    ...local.map((index) => ({ ...index, kind: 'local' as const })),
    ...global.map((index) => ({ ...index, kind: 'global' as const })),
  ].map((index, position): IndexRecord => {
    const { ProvisionedThroughput: throughput, OnDemandThroughput: onDemand } = index as (typeof global)[number];
    return {
      id: position + 1,
      name: index.IndexName,
      kind: index.kind,
      status: 'ACTIVE',
      backfilling: false,
      keySchema: index.KeySchema as readonly KeySchema[],
      projection: index.Projection as IndexRecord['projection'],
      throughput: throughputOf(throughput),
      ...(onDemand === undefined ? {} : { onDemandThroughput: onDemand }),
    };
  });
  const record: TableRecord = {
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
    billingMode: isOnDemand ? 'PAY_PER_REQUEST' : 'PROVISIONED',
    ...(isOnDemand ? { onDemandSinceMs: nowMs } : {}),
    throughput: throughputOf(input.ProvisionedThroughput),
    ...(input.OnDemandThroughput === undefined ? {} : { onDemandThroughput: input.OnDemandThroughput }),
    ...(input.TableClass === undefined ? {} : { tableClass: { name: input.TableClass } }),
    deletionProtection: input.DeletionProtectionEnabled ?? false,
    tags,
  };
  return withEncryption(record, input.SSESpecification, place);
}

function throughputOf(
  given: { readonly ReadCapacityUnits: number; readonly WriteCapacityUnits: number } | undefined,
): Throughput {
  if (given === undefined) return unprovisioned;
  return { readUnits: given.ReadCapacityUnits, writeUnits: given.WriteCapacityUnits, decreases: 0 };
}

/** The setting only: data at rest is as the store keeps it (README). */
function withEncryption(
  record: TableRecord,
  specification: CreateTableInput['SSESpecification'],
  { account, region }: Place,
): TableRecord {
  if (specification === undefined) return record;
  if (specification.Enabled !== true) {
    const { encryption: _, ...others } = record;
    return others;
  }
  if (specification.SSEType === 'AES256') {
    throw new RuleError(
      'One or more parameter values were invalid: SSEType AES256 is not supported. Use KMS, or leave SSEType out.',
    );
  }
  const given = specification.KMSMasterKeyId ?? 'alias/aws/dynamodb';
  const isArn = given.startsWith('arn:');
  const resource = given.startsWith('alias/') ? given : `key/${given}`;
  return { ...record, encryption: { kmsKey: isArn ? given : `arn:aws:kms:${region}:${account}:${resource}` } };
}

function refuseUnbuiltCreate(input: CreateTableInput): void {
  if (input.StreamSpecification?.StreamEnabled) throw notBuilt('A table with a stream (StreamSpecification)');
  if (input.WarmThroughput !== undefined) throw notBuilt('WarmThroughput');
  if (input.ResourcePolicy !== undefined) throw notBuilt("A table's resource policy (ResourcePolicy)");
  if (input.GlobalTableSourceArn !== undefined || input.GlobalTableSettingsReplicationMode !== undefined) {
    throw notBuilt('A replica of a global table (GlobalTableSourceArn, GlobalTableSettingsReplicationMode)');
  }
  if ((input.GlobalSecondaryIndexes ?? []).some(({ WarmThroughput }) => WarmThroughput !== undefined)) {
    throw notBuilt('WarmThroughput of an index');
  }
}

function refuseUnbuiltUpdate(input: UpdateTableInput): void {
  if (input.StreamSpecification?.StreamEnabled) throw notBuilt('A table with a stream (StreamSpecification)');
  if (input.WarmThroughput !== undefined) throw notBuilt('WarmThroughput');
  const global =
    input.ReplicaUpdates ??
    input.MultiRegionConsistency ??
    input.GlobalTableWitnessUpdates ??
    input.GlobalTableSettingsReplicationMode;
  if (global !== undefined) throw notBuilt('A global table (ReplicaUpdates and its like)');
  for (const { Create, Update } of input.GlobalSecondaryIndexUpdates ?? []) {
    if ((Create ?? Update)?.WarmThroughput !== undefined) throw notBuilt('WarmThroughput of an index');
  }
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
