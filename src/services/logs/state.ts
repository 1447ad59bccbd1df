import type { Entry, Key, KeyRange, Store } from '../../kernel/store/contract.ts';
import { decodeKey, encodeKey, extendKey, prefixRange } from '../../kernel/store/keys.ts';

/**
 * | key | value |
 * | logs, group, account, region, name | GroupRecord |
 * | logs, stored, group id | counter: bytes of the group's events, with the overhead of each |
 * | logs, stream, group id, name | StreamRecord |
 * | logs, last, group id, last event's time, name | empty: streams by their last event; 0 for those without one |
 * | logs, chunk, group id, first time, stream id, number | Chunk: events of one stream, at most `chunkSpanMs` apart |
 * | logs, of, group id, stream id, first time, number | the chunk's last time, as text: the same chunks by stream |
 *
 * A group and a stream get a new id when they are made, so what is left of a deleted one is never seen, and is removed behind the
 * answer. Within a chunk times only grow, and a chunk spans little time, so a range of time is a range of keys and a little before
 * it, in a group as in a stream.
 */
export interface GroupRecord {
  readonly id: string;
  readonly name: string;
  readonly createdMs: number;
  readonly retentionDays?: number;
  readonly kmsKeyId?: string;
  readonly class: 'STANDARD' | 'INFREQUENT_ACCESS' | 'DELIVERY';
  readonly deletionProtected: boolean;
  readonly tags: Readonly<Record<string, string>>;
}

export interface StreamRecord {
  readonly id: string;
  readonly name: string;
  readonly createdMs: number;
  readonly firstMs?: number;
  readonly lastMs?: number;
  readonly ingestedMs?: number;
  /** The number of the next chunk. */
  readonly next: number;
}

/** Events as time and message; all came in together. */
export interface Chunk {
  readonly stream: string;
  readonly ingestedMs: number;
  readonly events: readonly (readonly [number, string])[];
}

export interface ChunkRef {
  readonly firstMs: number;
  readonly streamId: string;
  readonly number: number;
}

/** Longer batches are cut: a reader must look back so far from where it begins. */
export const chunkSpanMs = 60_000;
/** Chunks are cut at about this size; only a single large event makes a larger one. */
export const chunkBytes = 48 * 1024;

export interface Place {
  readonly account: string;
  readonly region: string;
}

export const keys = {
  group: ({ account, region }: Place, name: string): Key => encodeKey('logs', 'group', account, region, name),
  groups: ({ account, region }: Place): KeyRange => prefixRange(encodeKey('logs', 'group', account, region)),
  stored: (groupId: string): Key => encodeKey('logs', 'stored', groupId),
  stream: (groupId: string, name: string): Key => encodeKey('logs', 'stream', groupId, name),
  streams: (groupId: string): KeyRange => prefixRange(encodeKey('logs', 'stream', groupId)),
  last: (groupId: string, lastMs: number, name: string): Key => encodeKey('logs', 'last', groupId, lastMs, name),
  lasts: (groupId: string): KeyRange => prefixRange(encodeKey('logs', 'last', groupId)),
  chunk: (groupId: string, { firstMs, streamId, number }: ChunkRef): Key =>
    encodeKey('logs', 'chunk', groupId, firstMs, streamId, number),
  /** Chunks of a group that begin at or after `fromMs` and before `untilMs`. */
  chunks: (groupId: string, fromMs?: number, untilMs?: number): KeyRange =>
    timeRange(encodeKey('logs', 'chunk', groupId), fromMs, untilMs),
  of: (groupId: string, { firstMs, streamId, number }: ChunkRef): Key =>
    encodeKey('logs', 'of', groupId, streamId, firstMs, number),
  /** The same of one stream. */
  chunksOf: (groupId: string, streamId: string, fromMs?: number, untilMs?: number): KeyRange =>
    timeRange(encodeKey('logs', 'of', groupId, streamId), fromMs, untilMs),
};

function timeRange(prefix: Key, fromMs: number | undefined, untilMs: number | undefined): KeyRange {
  const whole = prefixRange(prefix);
  return {
    start: fromMs === undefined ? whole.start : extendKey(prefix, fromMs),
    end: untilMs === undefined ? whole.end : extendKey(prefix, untilMs),
  };
}

/** Names that begin with a prefix; the keys of `range` end in the name. */
export function namesFrom(range: KeyRange, one: (name: string) => Key, prefix: string, after?: string): KeyRange {
  const bounds: KeyRange = prefix === '' ? range : { start: one(prefix), end: endOfPrefix(one(prefix)) };
  if (after === undefined) return bounds;
  const next = Buffer.concat([one(after), Buffer.from([0x00])]);
  return { start: next.compare(bounds.start) > 0 ? next : bounds.start, end: bounds.end };
}

/** A string's encoding ends in one zero byte; without it, it is the beginning of every longer string's. */
function endOfPrefix(key: Key): Key {
  const open = Buffer.from(key.subarray(0, key.length - 1));
  return Buffer.concat([open, Buffer.from([0xff])]);
}

export function chunkRefOf(key: Key): ChunkRef {
  const [, , , firstMs, streamId, number] = decodeKey(key);
  return { firstMs: Number(firstMs), streamId: String(streamId), number: Number(number) };
}

export function streamChunkRefOf(key: Key): ChunkRef {
  const [, , , streamId, firstMs, number] = decodeKey(key);
  return { firstMs: Number(firstMs), streamId: String(streamId), number: Number(number) };
}

export interface Stored<T> {
  readonly key: Key;
  readonly value: T;
  readonly version: number;
}

export function storedOf<T>({ key, value, version }: Entry): Stored<T> {
  return { key, value: JSON.parse(value.toString('utf8')) as T, version };
}

export async function read<T>(store: Store, key: Key): Promise<Stored<T> | undefined> {
  const entry = await store.get(key);
  return entry === undefined ? undefined : storedOf<T>(entry);
}

export function write(key: Key, value: unknown): { readonly key: Key; readonly value: Uint8Array } {
  return { key, value: Buffer.from(JSON.stringify(value), 'utf8') };
}

/** What an event takes of a group's stored bytes. */
export function storedBytes(message: string): number {
  return Buffer.byteLength(message, 'utf8') + 26;
}

export function chunkStoredBytes({ events }: Chunk): number {
  return events.reduce((sum, [, message]) => sum + storedBytes(message), 0);
}
