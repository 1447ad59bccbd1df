import type {
  GlobalSecondaryIndexDescription,
  LocalSecondaryIndexDescription,
  ProvisionedThroughputDescription,
  TableDescription,
} from '../../wire/types/dynamodb.ts';
import type { Environment } from './environment.ts';
import { type WarmUnits, warmUnits } from './rules/provisioning.ts';
import type { TableRecord, Throughput } from './state.ts';
import type { Table, TableIndex } from './tables.ts';

/** What DescribeTable and its like say of a table. Counts and sizes are those of this moment. */
export async function describe(env: Environment, table: Table, nowMs: number): Promise<TableDescription> {
  const { record, arn, schema } = table;
  const gone = record.indexes.filter(({ status }) => status === 'DELETING');
  const local = table.indexes.filter(({ isGlobal }) => !isGlobal);
  const global = table.indexes.filter(({ isGlobal }) => isGlobal);
  const [size, locals, globals] = await Promise.all([
    sizeOfCounters(env, table),
    Promise.all(local.map((index) => describeLocal(env, table, index))),
    Promise.all(global.map((index) => describeGlobal(env, table, index, nowMs))),
  ]);
  const leaving = gone.map(
    ({ name, keySchema, projection, throughput }): GlobalSecondaryIndexDescription => ({
      IndexName: name,
      KeySchema: keySchema,
      Projection: projection,
      IndexStatus: 'DELETING',
      ProvisionedThroughput: describeThroughput(throughput, nowMs),
      IndexArn: `${arn}/index/${name}`,
    }),
  );
  const allGlobals = [...globals, ...leaving];
  return {
    AttributeDefinitions: schema.AttributeDefinitions as TableDescription['AttributeDefinitions'],
    TableName: record.name,
    KeySchema: record.keySchema,
    TableStatus: record.status,
    CreationDateTime: record.createdAtMs,
    ProvisionedThroughput: describeThroughput(record.throughput, nowMs),
    TableSizeBytes: size.bytes,
    ItemCount: size.count,
    TableArn: arn,
    TableId: record.tableId,
    BillingModeSummary:
      record.onDemandSinceMs === undefined
        ? undefined
        : { BillingMode: record.billingMode, LastUpdateToPayPerRequestDateTime: record.onDemandSinceMs },
    LocalSecondaryIndexes: locals.length === 0 ? undefined : locals,
    GlobalSecondaryIndexes: allGlobals.length === 0 ? undefined : allGlobals,
    SSEDescription: record.encryption && {
      Status: 'ENABLED',
      SSEType: 'KMS',
      KMSMasterKeyArn: record.encryption.kmsKey,
    },
    TableClassSummary: record.tableClass && {
      TableClass: record.tableClass.name,
      LastUpdateDateTime: record.tableClass.updatedAtMs,
    },
    RestoreSummary: record.restore && {
      SourceBackupArn: record.restore.backupArn,
      SourceTableArn: record.restore.tableArn,
      RestoreDateTime: record.restore.restoredAtMs,
      RestoreInProgress: record.restore.isUnderWay,
    },
    StreamSpecification: record.stream && { StreamEnabled: true, StreamViewType: record.stream.viewType },
    LatestStreamLabel: record.lastStreamLabel,
    LatestStreamArn: record.lastStreamLabel && `${arn}/stream/${record.lastStreamLabel}`,
    DeletionProtectionEnabled: record.deletionProtection,
    OnDemandThroughput: record.onDemandThroughput,
    WarmThroughput: describeWarm(warmUnits(record, record), record.status),
  };
}

/** Nothing here has to be warmed up first. */
function describeWarm({ readUnits, writeUnits }: WarmUnits, status: TableRecord['status']) {
  return {
    ReadUnitsPerSecond: readUnits,
    WriteUnitsPerSecond: writeUnits,
    Status: status === 'UPDATING' ? ('UPDATING' as const) : ('ACTIVE' as const),
  };
}

export function describeThroughput(throughput: Throughput, nowMs: number): ProvisionedThroughputDescription {
  const { readUnits, writeUnits, increasedAtMs, decreasedAtMs, decreases } = throughput;
  const isToday = decreasedAtMs !== undefined && dayOf(decreasedAtMs) === dayOf(nowMs);
  return {
    LastIncreaseDateTime: increasedAtMs,
    LastDecreaseDateTime: decreasedAtMs,
    NumberOfDecreasesToday: isToday ? decreases : 0,
    ReadCapacityUnits: readUnits,
    WriteCapacityUnits: writeUnits,
  };
}

/** Days of capacity accounting are those of UTC. */
export function dayOf(epochMs: number): number {
  return Math.floor(epochMs / 86_400_000);
}

async function describeLocal(
  env: Environment,
  table: Table,
  index: TableIndex,
): Promise<LocalSecondaryIndexDescription> {
  const { name, keySchema, projection } = index.record;
  const { count, bytes } = await sizeOfCounters(env, index);
  return {
    IndexName: name,
    KeySchema: keySchema,
    Projection: projection,
    IndexSizeBytes: bytes,
    ItemCount: count,
    IndexArn: `${table.arn}/index/${name}`,
  };
}

async function describeGlobal(
  env: Environment,
  table: Table,
  index: TableIndex,
  nowMs: number,
): Promise<GlobalSecondaryIndexDescription> {
  const { record } = index;
  return {
    ...(await describeLocal(env, table, index)),
    IndexStatus: record.status,
    Backfilling: record.status === 'CREATING' ? record.backfilling : undefined,
    ProvisionedThroughput: describeThroughput(record.throughput, nowMs),
    OnDemandThroughput: record.onDemandThroughput,
    WarmThroughput: describeWarm(warmUnits(table.record, record), record.status),
  };
}

async function sizeOfCounters(
  env: Environment,
  { counters }: Pick<Table, 'counters'>,
): Promise<{ readonly count: number; readonly bytes: number }> {
  const [count, bytes] = await Promise.all([env.tables.total(counters.count), env.tables.total(counters.bytes)]);
  return { count, bytes };
}
