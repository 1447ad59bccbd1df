import type { RawJson } from '../wire/raw-json.ts';

/**
 * What the API of DynamoDB Streams asks of the service that keeps the tables. Streams are named by their ARNs; a position is a whole
 * number that grows within a shard. Pollers read the same streams through `StreamReader`.
 */
export interface TableStreams {
  /** The streams of an account and region, or of one table, those disabled in the last 24 hours included; in a lasting order. */
  list(
    place: { readonly account: string; readonly region: string },
    tableName?: string,
  ): Promise<readonly TableStreamName[]>;
  /** Undefined: there is no such stream (any more). */
  describe(streamArn: string): Promise<TableStream | undefined>;
  /** Where to read on. Throws AwsError: no such stream or shard, a sequence number that is not of the shard or too old. */
  locate(streamArn: string, shardId: string, place: TableStreamPlace): Promise<number>;
  /** The policy that stands on the stream itself, as JSON. */
  policyOf(streamArn: string): Promise<string | undefined>;
  /** Records from a position on, as many as fit. Throws AwsError: no such stream or shard, records trimmed. */
  read(streamArn: string, shardId: string, position: number, limits: ReadLimits): Promise<TableStreamPage>;
}

export interface TableStreamName {
  readonly arn: string;
  /** `2026-01-31T09:00:00.000` */
  readonly label: string;
  readonly tableName: string;
}

export interface TableStream extends TableStreamName {
  readonly status: 'ENABLING' | 'ENABLED' | 'DISABLED';
  readonly viewType: 'NEW_IMAGE' | 'OLD_IMAGE' | 'NEW_AND_OLD_IMAGES' | 'KEYS_ONLY';
  readonly createdAtMs: number;
  readonly keySchema: readonly { readonly AttributeName: string; readonly KeyType: 'HASH' | 'RANGE' }[];
  /** Parents before children; those of which nothing is left are not here. */
  readonly shards: readonly TableShard[];
}

export interface TableShard {
  readonly shardId: string;
  readonly parentShardId: string | undefined;
  readonly startingSequenceNumber: string;
  /** Of a closed shard. */
  readonly endingSequenceNumber: string | undefined;
}

export type TableStreamPlace =
  | { readonly at: 'TRIM_HORIZON' }
  | { readonly at: 'LATEST' }
  | { readonly at: 'AT_SEQUENCE_NUMBER' | 'AFTER_SEQUENCE_NUMBER'; readonly sequenceNumber: string };

export interface ReadLimits {
  readonly records: number;
  readonly bytes: number;
}

export interface TableStreamPage {
  readonly viewType: TableStream['viewType'];
  readonly records: readonly TableStreamRecord[];
  /** Undefined: the shard is closed and has been read to its end. */
  readonly next: number | undefined;
}

export interface TableStreamRecord {
  readonly eventId: string;
  readonly eventName: 'INSERT' | 'MODIFY' | 'REMOVE';
  readonly sequenceNumber: string;
  readonly createdAtMs: number;
  /** By AWS's formula for items: keys and images together. */
  readonly sizeBytes: number;
  readonly keys: RawJson;
  readonly newImage: RawJson | undefined;
  readonly oldImage: RawJson | undefined;
  /** Deleted because its time to live was over. */
  readonly isExpiry: boolean;
}
