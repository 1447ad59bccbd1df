import type { Limit } from '../../kernel/limits/limits.ts';

const reference = 'https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/';

/** Quotas of reading streams; none of them is adjustable. Retention and shards are the tables' (services/dynamodb). */
export const streamLimits = {
  recordsPerRead: fixed('records of GetRecords', 1_000, 'records', `${reference}API_streams_GetRecords.html`),
  bytesPerRead: fixed('data of GetRecords', 1024 * 1024, 'bytes', `${reference}API_streams_GetRecords.html`),
  iteratorLifeMs: fixed('life of a shard iterator', 900_000, 'ms', `${reference}API_streams_GetShardIterator.html`),
  streamsPerPage: fixed('streams of ListStreams', 100, 'streams', `${reference}API_streams_ListStreams.html`),
  shardsPerPage: fixed('shards of DescribeStream', 100, 'shards', `${reference}API_streams_DescribeStream.html`),
} as const satisfies Record<string, Limit>;

function fixed(name: string, value: number, unit: string, source: string): Limit {
  return { name, value, unit, source, adjustable: false };
}
