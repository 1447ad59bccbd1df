import type { Caller } from './context.ts';
import type { TableStreams } from './table-streams.ts';

/**
 * A change log in shards that pollers read in order: a table's stream, a data stream. The services that have such fill this contract;
 * `streams.suite.ts` holds its sentences as tests.
 */
export interface StreamReader {
  /**
   * The shards that can still be read, parents before children; undefined where there is no such stream. Throws AwsError (throttled, no
   * permission).
   */
  shards(streamArn: string, caller: Caller): Promise<readonly StreamShard[] | undefined>;
  /**
   * Records behind a position, oldest first, at most `limit` of them and 10 MB. LATEST gives no records, only the place to read on from. A
   * position whose records have been trimmed reads on with the oldest there are. Throws AwsError (throttled, no permission, gone:
   * ResourceNotFoundException).
   */
  read(
    streamArn: string,
    shardId: string,
    position: StreamPosition,
    limit: number,
    caller: Caller,
  ): Promise<StreamPage>;
  /** Calls back when records may have come: a hint, coalesced; polling is the truth. Returns what ends it. */
  watch(streamArn: string, onMore: () => void): () => void;
}

export interface StreamShard {
  readonly shardId: string;
  /** Their records come before those of this shard: none, one, or after a merge two. Some may have expired since. */
  readonly parentShardIds: readonly string[];
  /** A closed shard gets no more records. */
  readonly closed: boolean;
}

/** Plain data, to be kept as JSON. Sequence numbers are decimal strings that grow within a shard. */
export type StreamPosition =
  | { readonly at: 'TRIM_HORIZON' | 'LATEST' }
  | { readonly at: 'TIMESTAMP'; readonly epochMs: number }
  | { readonly at: 'AFTER'; readonly sequenceNumber: string };

export interface StreamPage {
  readonly records: readonly StreamRecord[];
  /** Where to read on: a lasting place, from which nothing that comes later is missed, also after LATEST and after an empty page. */
  readonly next: StreamPosition;
  /** A closed shard that has been read to its end. */
  readonly ended: boolean;
}

export interface StreamRecord {
  readonly sequenceNumber: string;
  /** Records of one key stay in order, however many batches of a shard are under way at once. */
  readonly partitionKey: string;
  readonly approximateArrivalMs: number;
  /**
   * As an element of `Records` in a Lambda event, without `eventSourceARN` and, of Kinesis, `invokeIdentityArn`: those are the poller's to
   * add.
   */
  readonly event: Readonly<Record<string, unknown>>;
}

/** The readers of one cloud, by the service in the stream's ARN. */
export class Streams {
  readonly #readers = new Map<string, StreamReader>();
  /** What the API of DynamoDB Streams reads; undefined until the service of the tables is loaded. */
  tables: TableStreams | undefined;

  /** `service` is the ARN's third part: `dynamodb`, `kinesis`. */
  register(service: string, reader: StreamReader): void {
    this.#readers.set(service, reader);
  }

  /** Undefined: no service here has such streams. */
  reader(service: string): StreamReader | undefined {
    return this.#readers.get(service);
  }
}
