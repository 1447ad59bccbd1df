import type { Limit, LimitProfile } from '../../kernel/limits/limits.ts';

const quotas = 'https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html';
const guide = 'https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/';
const apiReference = 'https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/';

interface DynamoDbLimit extends Limit {
  /** The value under the relaxed profile, where it is another. */
  readonly relaxed?: number;
}

/**
 * AWS's quotas that are judged here; those of single values, items and expressions stand where the rules use them
 * (rules/values.ts, rules/keys.ts, rules/tables.ts). Throughput is throttled under the profile 'aws' only (throughput.ts).
 */
export const dynamoDbLimits = {
  pageBytes: fixed('data read by a page of Query or Scan', 1024 * 1024, 'bytes', `${apiReference}API_Query.html`),
  batchGetBytes: fixed('answer of BatchGetItem', 16 * 1024 * 1024, 'bytes', `${apiReference}API_BatchGetItem.html`),
  batchGetKeys: fixed('keys of BatchGetItem', 100, 'keys', `${apiReference}API_BatchGetItem.html`),
  batchWriteRequests: fixed('requests of BatchWriteItem', 25, 'requests', `${apiReference}API_BatchWriteItem.html`),
  transactionActions: fixed('actions of a transaction', 100, 'actions', quotas),
  transactionBytes: fixed('items of a transaction', 4 * 1024 * 1024, 'bytes', quotas),
  tokenLifeMs: fixed('life of a ClientRequestToken', 600_000, 'ms', `${apiReference}API_TransactWriteItems.html`),
  tags: fixed('tags of a table', 50, 'tags', quotas),
  tagsPage: fixed('tags of a page', 10, 'tags', `${apiReference}API_ListTagsOfResource.html`),
  listPage: fixed('names of a page of ListTables', 100, 'tables', `${apiReference}API_ListTables.html`),
  ttlOldestMs: fixed('how long ago an item may have expired', 5 * 365 * 86_400_000, 'ms', ttlPage()),
  streamRetentionMs: fixed('life of stream records', 86_400_000, 'ms', `${apiReference}API_streams_GetRecords.html`),
  tables: {
    ...fixed('tables of an account and region', 2_500, 'tables', quotas),
    adjustable: true,
    relaxed: Number.POSITIVE_INFINITY,
  },
  tablesUnderWay: {
    ...fixed('tables created, updated or deleted at once', 500, 'tables', quotas),
    adjustable: true,
    relaxed: Number.POSITIVE_INFINITY,
  },
  restoresUnderWay: fixed('tables restored at once', 50, 'tables', quotas),
  backupsPage: fixed('backups of a page of ListBackups', 100, 'backups', `${apiReference}API_ListBackups.html`),
  exportsPage: fixed('exports of a page of ListExports', 25, 'exports', `${apiReference}API_ListExports.html`),
  recoveryDays: fixed('longest point-in-time recovery', 35, 'days', `${apiReference}API_UpdateContinuousBackups.html`),
  ttlChangeMs: {
    ...fixed('time between changes of time to live', 3_600_000, 'ms', `${apiReference}API_UpdateTimeToLive.html`),
    relaxed: 0,
  },
  burstSeconds: fixed('unused provisioned throughput that is kept', 300, 's', `${guide}burst-adaptive-capacity.html`),
  /** AWS publishes no figure for the burst of partitions and of on-demand tables: this one lets short tests run. */
  shortBurstSeconds: fixed('burst of a partition, and on demand', 30, 's', `${guide}burst-adaptive-capacity.html`),
  partitionReadUnits: fixed('read units of a partition', 3_000, 'units/s', `${guide}bp-partition-key-design.html`),
  partitionWriteUnits: fixed('write units of a partition', 1_000, 'units/s', `${guide}bp-partition-key-design.html`),
  onDemandReadUnits: fixed(
    'read units of a new on-demand table',
    12_000,
    'units/s',
    `${guide}on-demand-capacity-mode.html`,
  ),
  onDemandWriteUnits: fixed(
    'write units of a new on-demand table',
    4_000,
    'units/s',
    `${guide}on-demand-capacity-mode.html`,
  ),
  onDemandGrowthMs: fixed(
    'time in which on-demand throughput doubles',
    1_800_000,
    'ms',
    `${guide}on-demand-capacity-mode.html`,
  ),
  collectionBytes: fixed('item collection with local indexes', 10 * 1024 ** 3, 'bytes', `${guide}LSI.html`),
  tableUnits: { ...fixed('units of a table', 40_000, 'units/s', quotas), adjustable: true },
  accountUnits: { ...fixed('units of an account', 80_000, 'units/s', quotas), adjustable: true },
} satisfies Record<string, DynamoDbLimit>;

/** Not AWS's, which takes seconds to days: long enough that states can be seen, short enough for a developer. */
export const delays = {
  createMs: 150,
  updateMs: 150,
  deleteMs: 150,
  /** Before a backup or a restore begins. */
  copyMs: 150,
  ttlSweepMs: 30_000,
  /** How long shards of a stream stay open; AWS: about so. */
  shardOpenMs: 4 * 3_600_000,
} as const;

/** The figures that hold for a running cloud. */
export type DynamoDbLimits = { readonly [K in keyof typeof dynamoDbLimits]: number };

export function limitsOf(profile: LimitProfile): DynamoDbLimits {
  const entries = Object.entries(dynamoDbLimits as Record<string, DynamoDbLimit>);
  return Object.fromEntries(
    entries.map(([name, limit]) => [name, profile === 'relaxed' ? (limit.relaxed ?? limit.value) : limit.value]),
  ) as DynamoDbLimits;
}

function fixed(name: string, value: number, unit: string, source: string): DynamoDbLimit {
  return { name, value, unit, source, adjustable: false };
}

function ttlPage(): string {
  return 'https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html';
}
