import type { KeyRange, Store } from '../../kernel/store/contract.ts';
import { nextKey } from '../../kernel/store/keys.ts';
import { comparePositions, type Position } from './rules/position.ts';
import { type Chunk, type ChunkRef, chunkRefOf, chunkSpanMs, keys, streamChunkRefOf } from './state.ts';

/** An event where it stands. */
export interface PlacedEvent {
  readonly position: Position;
  readonly stream: string;
  readonly message: string;
  readonly ingestedMs: number;
}

export interface Window {
  /** Inclusive. */
  readonly fromMs: number;
  /** Exclusive. */
  readonly untilMs: number;
}

interface PlacedChunk {
  readonly ref: ChunkRef;
  readonly chunk: Chunk;
}

const firstRead = 8;
const mostRead = 128;

/**
 * Events of a whole group in order, from a position on. Reads chunks as it is asked for events: a range of keys that begins a
 * chunk's span before the window. `onChunk` is told of each chunk that was read, to bound the work of one call.
 */
export function groupEvents(
  store: Store,
  groupId: string,
  window: Window,
  from?: Position,
  onChunk: () => void = () => {},
): AsyncIterable<PlacedEvent> {
  return inOrder(groupChunks(store, groupId, window, from), window, from, onChunk);
}

/** The same of some streams of the group. */
export function streamEvents(
  store: Store,
  groupId: string,
  streamIds: readonly string[],
  window: Window,
  from?: Position,
  onChunk: () => void = () => {},
): AsyncIterable<PlacedEvent> {
  const sources = streamIds.map((streamId) => streamChunks(store, groupId, streamId, window, from));
  return inOrder(merged(sources), window, from, onChunk);
}

/**
 * The last events of a stream before a position (or the end), at most `limit`, in order. Reads backwards until no chunk that is
 * left can hold a later event.
 */
export async function eventsBefore(
  store: Store,
  groupId: string,
  streamId: string,
  window: Window,
  before: Position | undefined,
  limit: number,
): Promise<PlacedEvent[]> {
  const untilMs = before === undefined ? window.untilMs : Math.min(window.untilMs, before.timeMs + 1);
  let range = keys.chunksOf(groupId, streamId, lookBack(window.fromMs), untilMs);
  let events: PlacedEvent[] = [];
  for (let size = firstRead; ; size = Math.min(mostRead, size * 2)) {
    const pointers = await store.list(range, { reverse: true, limit: size });
    const refs = pointers.map(({ key }) => streamChunkRefOf(key));
    for (const placed of await loadChunks(store, groupId, refs)) {
      for (const event of eventsOf(placed, window))
        if (before === undefined || comparePositions(event.position, before) < 0) events.push(event);
    }
    events.sort((left, right) => comparePositions(left.position, right.position));
    // Whatever is not among the last ones now never will be.
    events = events.slice(-limit);
    const last = pointers.at(-1);
    if (last === undefined || pointers.length < size) return events;
    const earliestMs = events[0]?.position.timeMs ?? Number.POSITIVE_INFINITY;
    if (events.length === limit && streamChunkRefOf(last.key).firstMs + chunkSpanMs < earliestMs) return events;
    range = { start: range.start, end: last.key };
  }
}

async function* groupChunks(
  store: Store,
  groupId: string,
  window: Window,
  from: Position | undefined,
): AsyncGenerator<PlacedChunk> {
  const fromMs = Math.max(window.fromMs, from?.timeMs ?? 0);
  let range: KeyRange = keys.chunks(groupId, lookBack(fromMs), window.untilMs);
  for (let size = firstRead; ; size = Math.min(mostRead, size * 2)) {
    const entries = await store.list(range, { limit: size });
    for (const { key, value } of entries) yield { ref: chunkRefOf(key), chunk: chunkOf(value) };
    const last = entries.at(-1);
    if (last === undefined || entries.length < size) return;
    range = { start: nextKey(last.key), end: range.end };
  }
}

async function* streamChunks(
  store: Store,
  groupId: string,
  streamId: string,
  window: Window,
  from: Position | undefined,
): AsyncGenerator<PlacedChunk> {
  const fromMs = Math.max(window.fromMs, from?.timeMs ?? 0);
  let range: KeyRange = keys.chunksOf(groupId, streamId, lookBack(fromMs), window.untilMs);
  for (let size = firstRead; ; size = Math.min(mostRead, size * 2)) {
    const pointers = await store.list(range, { limit: size });
    const refs = pointers.map(({ key }) => streamChunkRefOf(key));
    yield* await loadChunks(store, groupId, refs);
    const last = pointers.at(-1);
    if (last === undefined || pointers.length < size) return;
    range = { start: nextKey(last.key), end: range.end };
  }
}

/** A chunk that a sweeper took meanwhile is left out. */
async function loadChunks(store: Store, groupId: string, refs: readonly ChunkRef[]): Promise<PlacedChunk[]> {
  const entries = await store.getMany(refs.map((ref) => keys.chunk(groupId, ref)));
  return entries.flatMap((entry, index) =>
    entry === undefined ? [] : [{ ref: refs[index]!, chunk: chunkOf(entry.value) }],
  );
}

/** Several orderly sources as one. */
async function* merged(sources: readonly AsyncGenerator<PlacedChunk>[]): AsyncGenerator<PlacedChunk> {
  const heads = await Promise.all(sources.map((source) => source.next()));
  for (;;) {
    let best = -1;
    for (const [index, head] of heads.entries()) {
      if (head.done) continue;
      const chosen = heads[best];
      if (chosen === undefined || chosen.done || compareRefs(head.value.ref, chosen.value.ref) < 0) best = index;
    }
    const head = heads[best];
    if (head === undefined || head.done) return;
    yield head.value;
    heads[best] = await sources[best]!.next();
  }
}

function compareRefs(left: ChunkRef, right: ChunkRef): number {
  return (
    left.firstMs - right.firstMs ||
    (left.streamId < right.streamId ? -1 : left.streamId > right.streamId ? 1 : left.number - right.number)
  );
}

/** Chunks come in order of their first times, so an event is next once every chunk that begins before it has been seen. */
async function* inOrder(
  chunks: AsyncGenerator<PlacedChunk>,
  window: Window,
  from: Position | undefined,
  onChunk: () => void,
): AsyncGenerator<PlacedEvent> {
  let waiting: PlacedEvent[] = [];
  for await (const placed of chunks) {
    const settled = waiting.findIndex(({ position }) => position.timeMs >= placed.ref.firstMs);
    const ready = settled === -1 ? waiting : waiting.slice(0, settled);
    yield* ready;
    onChunk();
    waiting = settled === -1 ? [] : waiting.slice(settled);
    for (const event of eventsOf(placed, window))
      if (from === undefined || comparePositions(event.position, from) >= 0) waiting.push(event);
    if (waiting.length > 1) waiting.sort((left, right) => comparePositions(left.position, right.position));
  }
  yield* waiting;
}

function* eventsOf({ ref, chunk }: PlacedChunk, { fromMs, untilMs }: Window): Iterable<PlacedEvent> {
  for (const [index, [timeMs, message]] of chunk.events.entries()) {
    if (timeMs < fromMs || timeMs >= untilMs) continue;
    const position = { timeMs, streamId: ref.streamId, number: ref.number, index };
    yield { position, stream: chunk.stream, message, ingestedMs: chunk.ingestedMs };
  }
}

function lookBack(fromMs: number): number {
  return Math.max(0, fromMs - chunkSpanMs);
}

function chunkOf(value: Buffer): Chunk {
  return JSON.parse(value.toString('utf8')) as Chunk;
}
