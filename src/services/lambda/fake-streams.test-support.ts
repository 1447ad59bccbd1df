import type { Caller } from '../../platform/context.ts';
import type { Platform } from '../../platform/service.ts';
import type { StreamPage, StreamPosition, StreamReader, StreamRecord, StreamShard } from '../../platform/streams.ts';
import { AwsError } from '../../wire/errors.ts';

interface FakeShard {
  readonly shardId: string;
  readonly parentShardIds: readonly string[];
  closed: boolean;
  readonly records: StreamRecord[];
}

/** Streams with scripted shards, in place of a service that has such. Sequence numbers grow over all of them. */
export class FakeStreams implements StreamReader {
  readonly #streams = new Map<string, FakeShard[]>();
  readonly #watchers = new Set<{ readonly arn: string; readonly onMore: () => void }>();
  readonly #nowMs: () => number;
  #sequence = 100;
  /** Thrown by the next reads, one each. */
  readonly failures: AwsError[] = [];
  readonly reads: { readonly shardId: string; readonly position: StreamPosition; readonly caller: Caller }[] = [];
  /** No hints come. */
  silent = false;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  static into(platform: Platform, service: 'kinesis' | 'dynamodb'): FakeStreams {
    const fake = new FakeStreams(() => platform.clock.now());
    platform.streams.register(service, fake);
    return fake;
  }

  create(arn: string, ...shardIds: readonly string[]): void {
    this.#streams.set(
      arn,
      shardIds.map((shardId) => ({ shardId, parentShardIds: [], closed: false, records: [] })),
    );
  }

  remove(arn: string): void {
    this.#streams.delete(arn);
  }

  /** Appends a record of Kinesis, or of DynamoDB; returns its sequence number. */
  put(arn: string, shardId: string, partitionKey: string, data: unknown, arrivalMs = this.#nowMs()): string {
    const sequenceNumber = String(this.#sequence++);
    const event = arn.includes(':kinesis:')
      ? kinesisEvent(shardId, sequenceNumber, partitionKey, data, arrivalMs)
      : dynamodbEvent(sequenceNumber, partitionKey, data, arrivalMs);
    this.#shard(arn, shardId).records.push({ sequenceNumber, partitionKey, approximateArrivalMs: arrivalMs, event });
    this.#hint(arn);
    return sequenceNumber;
  }

  /** Closes shards, and puts others in their place. */
  replace(arn: string, parents: readonly string[], children: readonly string[]): void {
    for (const parent of parents) this.#shard(arn, parent).closed = true;
    const shards = this.#streams.get(arn)!;
    for (const shardId of children) shards.push({ shardId, parentShardIds: parents, closed: false, records: [] });
    this.#hint(arn);
  }

  async shards(arn: string): Promise<readonly StreamShard[] | undefined> {
    return this.#streams.get(arn)?.map(({ shardId, parentShardIds, closed }) => ({ shardId, parentShardIds, closed }));
  }

  async read(
    arn: string,
    shardId: string,
    position: StreamPosition,
    limit: number,
    caller: Caller,
  ): Promise<StreamPage> {
    this.reads.push({ shardId, position, caller });
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    const { records, closed } = this.#shard(arn, shardId);
    const start = placeOf(records, position);
    const page = records.slice(start, start + limit);
    const last = page.at(-1) ?? records[start - 1];
    return {
      records: page,
      next: last === undefined ? { at: 'TRIM_HORIZON' } : { at: 'AFTER', sequenceNumber: last.sequenceNumber },
      ended: closed && start + page.length === records.length,
    };
  }

  watch(arn: string, onMore: () => void): () => void {
    const watcher = { arn, onMore };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #hint(arn: string): void {
    if (this.silent) return;
    for (const watcher of this.#watchers) if (watcher.arn === arn) watcher.onMore();
  }

  #shard(arn: string, shardId: string): FakeShard {
    const shard = this.#streams.get(arn)?.find((one) => one.shardId === shardId);
    if (shard === undefined) throw new AwsError('ResourceNotFoundException', `no shard ${shardId} of ${arn}`);
    return shard;
  }
}

function placeOf(records: readonly StreamRecord[], position: StreamPosition): number {
  switch (position.at) {
    case 'TRIM_HORIZON':
      return 0;
    case 'LATEST':
      return records.length;
    case 'TIMESTAMP':
      return records.filter(({ approximateArrivalMs }) => approximateArrivalMs < position.epochMs).length;
    case 'AFTER':
      return records.filter(({ sequenceNumber }) => Number(sequenceNumber) <= Number(position.sequenceNumber)).length;
  }
}

function kinesisEvent(shardId: string, sequenceNumber: string, partitionKey: string, data: unknown, arrivalMs: number) {
  return {
    kinesis: {
      kinesisSchemaVersion: '1.0',
      partitionKey,
      sequenceNumber,
      data: Buffer.from(JSON.stringify(data)).toString('base64'),
      approximateArrivalTimestamp: arrivalMs / 1_000,
    },
    eventSource: 'aws:kinesis',
    eventVersion: '1.0',
    eventID: `${shardId}:${sequenceNumber}`,
    eventName: 'aws:kinesis:record',
    awsRegion: 'us-east-1',
  };
}

function dynamodbEvent(sequenceNumber: string, key: string, data: unknown, arrivalMs: number) {
  return {
    eventID: `event-${sequenceNumber}`,
    eventName: 'INSERT',
    eventVersion: '1.1',
    eventSource: 'aws:dynamodb',
    awsRegion: 'us-east-1',
    dynamodb: {
      ApproximateCreationDateTime: Math.floor(arrivalMs / 1_000),
      Keys: { id: { S: key } },
      NewImage: { id: { S: key }, data: { S: JSON.stringify(data) } },
      SequenceNumber: sequenceNumber,
      SizeBytes: 26,
      StreamViewType: 'NEW_AND_OLD_IMAGES',
    },
  };
}
