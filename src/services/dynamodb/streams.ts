import { hash } from 'node:crypto';
import type { LogEntry, Store } from '../../kernel/store/contract.ts';
import { formatArn, parseArn } from '../../platform/arn.ts';
import type {
  ReadLimits,
  TableStream,
  TableStreamName,
  TableStreamRecord,
  TableStreams,
} from '../../platform/table-streams.ts';
import { AwsError } from '../../wire/errors.ts';
import { RawJson } from '../../wire/raw-json.ts';
import type { Environment } from './environment.ts';
import { positionAtTime } from './log-times.ts';
import { decodeChange, timeOfChange } from './rules/change-record.ts';
import { parentOf, positionOf, sequenceNumberOf, shardIdOf } from './rules/shards.ts';
import {
  decodeStream,
  type GenerationRecord,
  type StreamRecord,
  streamKey,
  streamLog,
  streamsOf,
} from './state-streams.ts';

/** A shard of a stream, found. */
export interface Shard {
  readonly stream: StreamRecord;
  readonly generation: GenerationRecord;
  readonly number: number;
  readonly log: Buffer;
  readonly first: number;
  readonly isClosed: boolean;
}

/** Records are read so many at a time: each may be 800 KB. */
const recordsAtOnce = 64;

/** Fills the contract of the streams' API. */
export function createTableStreams(env: Environment): TableStreams {
  const { store, clock } = env.platform;
  const horizonMs = (): number => clock.now() - env.limits.streamRetentionMs;
  return {
    async list({ account, region }, tableName) {
      const entries = await store.list(streamsOf(account, region, tableName));
      const records = entries.map(({ value }) => decodeStream(value));
      return records.filter((record) => isReadable(record, horizonMs())).map(nameOf);
    },

    async describe(streamArn) {
      const record = await findStream(env, streamArn);
      if (record === undefined) return undefined;
      return {
        ...nameOf(record),
        status: await statusOf(env, record),
        viewType: record.viewType,
        createdAtMs: record.createdAtMs,
        keySchema: record.keySchema,
        shards: await describeShards(store, record, horizonMs()),
      };
    },

    async locate(streamArn, shardId, place) {
      const shard = await requireShard(env, streamArn, shardId);
      if (place.at === 'LATEST') return store.nextPosition(shard.log);
      const oldest = await oldestPosition(store, shard, horizonMs());
      if (place.at === 'TRIM_HORIZON') return oldest;
      const at = positionOf(place.sequenceNumber, shard.generation.openedAtMs, shard.number);
      const next = await store.nextPosition(shard.log);
      // The number that an empty shard begins with stands for no record yet.
      if (at === undefined || at < shard.first - 1 || at > next) {
        throw new AwsError('ValidationException', `Invalid SequenceNumber: ${place.sequenceNumber}`);
      }
      const position = place.at === 'AT_SEQUENCE_NUMBER' ? at : at + 1;
      if (position < oldest) throw trimmed();
      return position;
    },

    async policyOf(streamArn) {
      return (await findStream(env, streamArn))?.policy?.document;
    },

    async read(streamArn, shardId, position, limits) {
      const shard = await requireShard(env, streamArn, shardId);
      const found = await readShard(store, shard, position, limits);
      const first = found.entries[0];
      if (first !== undefined && (first.position > position || timeOfChange(first.value) < horizonMs()))
        throw trimmed();
      return {
        viewType: shard.stream.viewType,
        records: found.entries.map((entry) => recordOf(shard, streamArn, entry)),
        next: found.ended ? undefined : found.next,
      };
    },
  };
}

export function streamArnOf({ account, region, tableName, label }: Omit<TableStreamName, 'arn'> & Place): string {
  return formatArn({ service: 'dynamodb', region, account, resource: `table/${tableName}/stream/${label}` });
}

interface Place {
  readonly account: string;
  readonly region: string;
}

/** Undefined: there is no such stream, or not any more. */
export async function findStream(env: Environment, streamArn: string): Promise<StreamRecord | undefined> {
  const arn = parseArn(streamArn);
  const [kind, tableName, what, label, ...more] = arn?.resource.split('/') ?? [];
  if (arn?.service !== 'dynamodb' || kind !== 'table' || what !== 'stream' || more.length > 0) return undefined;
  if (tableName === undefined || label === undefined) return undefined;
  const { store, clock } = env.platform;
  const entry = await store.get(streamKey(arn.account, arn.region, tableName, label));
  const record = entry && decodeStream(entry.value);
  return record && isReadable(record, clock.now() - env.limits.streamRetentionMs) ? record : undefined;
}

/** The shards of a stream of which something may be left, parents before children. */
export function shardsOf(
  stream: StreamRecord,
  horizonMs: number,
): readonly (Shard & { readonly parent: string | undefined })[] {
  const { tableId, label, generations } = stream;
  return generations
    .filter(({ closedAtMs }) => closedAtMs === undefined || closedAtMs >= horizonMs)
    .flatMap((generation) => {
      const before = generations[generations.indexOf(generation) - 1];
      const shards = generation.starts.length;
      return generation.starts.map((first, number) => ({
        stream,
        generation,
        number,
        log: streamLog(tableId, label, generation.slot, number),
        first,
        isClosed: generation.closedAtMs !== undefined,
        parent: before && shardIdOf(before.openedAtMs, parentOf(number, shards, before.starts.length)),
      }));
    });
}

export function shardIn(stream: StreamRecord, shardId: string, horizonMs: number): Shard | undefined {
  return shardsOf(stream, horizonMs).find(
    ({ generation, number }) => shardIdOf(generation.openedAtMs, number) === shardId,
  );
}

export interface ShardPage {
  readonly entries: readonly LogEntry[];
  readonly next: number;
  /** The shard is closed, and nothing is behind these. */
  readonly ended: boolean;
}

/** Entries from a position on, as many as fit, one at least. `shard` was read before: what was closed then gets no more. */
export async function readShard(store: Store, shard: Shard, position: number, limits: ReadLimits): Promise<ShardPage> {
  const entries: LogEntry[] = [];
  let next = Math.max(position, shard.first);
  let bytes = 0;
  while (entries.length < limits.records) {
    const want = Math.min(recordsAtOnce, limits.records - entries.length);
    const found = await store.readLog(shard.log, next, want);
    for (const entry of found) {
      bytes += entry.value.length;
      if (bytes > limits.bytes && entries.length > 0) return { entries, next, ended: false };
      entries.push(entry);
      next = entry.position + 1;
    }
    if (found.length < want) return { entries, next, ended: shard.isClosed };
  }
  const ended = shard.isClosed && next >= (await store.nextPosition(shard.log));
  return { entries, next, ended };
}

/** The oldest position whose record has not expired. */
export function oldestPosition(store: Store, { log, first }: Shard, horizonMs: number): Promise<number> {
  return positionAtTime(store, log, first, horizonMs, timeOfChange);
}

export function trimmed(): AwsError {
  // Seen on AWS: github.com/ironSource/node-dynamodb-stream, issue 13.
  return new AwsError('TrimmedDataAccessException', 'The data you are trying to access has been trimmed');
}

/** The same whenever the record is read again. */
export function eventIdOf(streamArn: string, sequenceNumber: string): string {
  return hash('md5', `${streamArn} ${sequenceNumber}`);
}

function recordOf({ generation, number }: Shard, streamArn: string, { position, value }: LogEntry): TableStreamRecord {
  const { eventName, atMs, sizeBytes, keys, newImage, oldImage, isExpiry } = decodeChange(value);
  const sequenceNumber = sequenceNumberOf(generation.openedAtMs, number, position);
  return {
    eventId: eventIdOf(streamArn, sequenceNumber),
    eventName,
    sequenceNumber,
    createdAtMs: atMs,
    sizeBytes,
    keys: new RawJson(keys),
    newImage: newImage === undefined ? undefined : new RawJson(newImage),
    oldImage: oldImage === undefined ? undefined : new RawJson(oldImage),
    isExpiry,
  };
}

function isReadable({ disabledAtMs }: StreamRecord, horizonMs: number): boolean {
  return disabledAtMs === undefined || disabledAtMs >= horizonMs;
}

function nameOf(record: StreamRecord): TableStreamName {
  const { label, tableName } = record;
  return { arn: streamArnOf(record), label, tableName };
}

async function statusOf(env: Environment, record: StreamRecord): Promise<TableStream['status']> {
  if (record.disabledAtMs !== undefined) return 'DISABLED';
  const table = await env.tables.read(record, record.tableName);
  const status = table?.record.status;
  return record.generations.length === 1 && (status === 'CREATING' || status === 'UPDATING') ? 'ENABLING' : 'ENABLED';
}

async function describeShards(store: Store, record: StreamRecord, horizonMs: number): Promise<TableStream['shards']> {
  const shards = shardsOf(record, horizonMs);
  return Promise.all(
    shards.map(async ({ generation: { openedAtMs }, number, log, first, isClosed, parent }) => ({
      shardId: shardIdOf(openedAtMs, number),
      parentShardId: parent,
      startingSequenceNumber: sequenceNumberOf(openedAtMs, number, first),
      endingSequenceNumber: isClosed
        ? sequenceNumberOf(openedAtMs, number, Math.max(first, (await store.nextPosition(log)) - 1))
        : undefined,
    })),
  );
}

async function requireShard(env: Environment, streamArn: string, shardId: string): Promise<Shard> {
  const stream = await findStream(env, streamArn);
  if (stream === undefined) throw notFound(`Stream: ${streamArn} not found`);
  const shard = shardIn(stream, shardId, env.platform.clock.now() - env.limits.streamRetentionMs);
  // Seen on AWS: github.com/ironSource/node-dynamodb-stream, issue 16.
  if (shard === undefined) throw notFound('Shard does not exist');
  return shard;
}

function notFound(what: string): AwsError {
  return new AwsError('ResourceNotFoundException', `Requested resource not found: ${what}`);
}
