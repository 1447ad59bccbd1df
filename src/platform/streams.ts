import type { Principal } from './context.ts';

/** A change log in shards that pollers read in order: a table's stream, a data stream. The services that have such fill this contract. */
export interface StreamReader {
  /** The shards that can still be read, parents before children; undefined where there is no such stream. Throws AwsError. */
  shards(streamArn: string, reader: Principal): Promise<readonly StreamShard[] | undefined>;
  /** Records behind a position, oldest first, at most `limit` of them and 10 MB. Throws AwsError (throttled, expired, no permission). */
  read(
    streamArn: string,
    shardId: string,
    position: StreamPosition,
    limit: number,
    reader: Principal,
  ): Promise<StreamPage>;
  /** Calls back when records may have come: a hint, coalesced; polling is the truth. Returns what ends it. */
  watch(streamArn: string, onMore: () => void): () => void;
}

export interface StreamShard {
  readonly shardId: string;
  /** Its records come before those of this shard. */
  readonly parentShardId?: string;
  /** A closed shard gets no more records. */
  readonly closed: boolean;
}

/** Sequence numbers are decimal strings that grow within a shard. */
export type StreamPosition =
  | { readonly at: 'TRIM_HORIZON' | 'LATEST' }
  | { readonly at: 'TIMESTAMP'; readonly epochMs: number }
  | { readonly at: 'AFTER'; readonly sequenceNumber: string };

export interface StreamPage {
  readonly records: readonly StreamRecord[];
  /** Where to read on. After LATEST on an empty page: a place from which nothing that comes later is missed. */
  readonly next: StreamPosition;
  /** A closed shard that has been read to its end. */
  readonly ended: boolean;
}

export interface StreamRecord {
  readonly sequenceNumber: string;
  /** Records of one key stay in order, however many batches of a shard are under way at once. */
  readonly partitionKey: string;
  readonly approximateArrivalMs: number;
  /** As an element of `Records` in a Lambda event, without `eventSourceARN`: that is the poller's to add. */
  readonly event: Readonly<Record<string, unknown>>;
}

/** The readers of one cloud, by the service in the stream's ARN. */
export class Streams {
  readonly #readers = new Map<string, StreamReader>();

  /** `service` is the ARN's third part: `dynamodb`, `kinesis`. */
  register(service: string, reader: StreamReader): void {
    this.#readers.set(service, reader);
  }

  /** Undefined: no service here has such streams. */
  reader(service: string): StreamReader | undefined {
    return this.#readers.get(service);
  }
}
