import type { ClaimedEntry, ClaimRequest, Key } from '../contract.ts';
import { DueHeap, isBefore, type Place } from './due-heap.ts';
import type { Environment } from './environment.ts';
import {
  afterScopeOf,
  dueHeaderBytes,
  flagLargeValue,
  inlineBytes,
  KeyWriter,
  pointerBytes,
  readNumber,
  space,
  wholeMs,
} from './layout.ts';

/** A due entry as the batch leaves it. */
interface DueState extends Place {
  readonly dueAtMs: number;
  readonly attempts: number;
  readonly firstClaimedAtMs: number | undefined;
  /** 0: never claimed since it was scheduled. */
  readonly token: number;
  readonly value: Uint8Array;
  /** Whether this batch brought the value: one that it only read need not be written again if it is large. */
  readonly fresh: boolean;
}

/** Where an entry stands on disk, from its pointer. */
interface Pointer {
  readonly dueAtMs: number;
  readonly token: number;
  readonly large: boolean;
}

interface PendingDue {
  readonly id: Buffer;
  readonly stored: Pointer | undefined;
  /** Undefined: removed, or never there. Not loaded: as on disk. */
  state: DueState | undefined | typeof notLoaded;
}

const notLoaded = Symbol('not loaded');

/** What the batch knows of a partition. */
class PendingPartition {
  readonly partition: Key;
  readonly entries = new Map<string, PendingDue>();
  /** States that entries of this batch have, or had until they changed again. */
  readonly order = new DueHeap<DueState>();
  /** Entries of which so far only the token was asked for. */
  readonly unread: PendingDue[] = [];
  /** Entries on disk read ahead in order of due time, and not claimed yet by this batch. */
  ahead: StoredDue[] = [];
  aheadAt = 0;
  /** The last entry read ahead: reading goes on after it. */
  last: { readonly dueAtMs: number; readonly id: Buffer } | undefined;
  /** Everything on disk due by this time has been read ahead. */
  drainedToMs = -1;

  constructor(partition: Key) {
    this.partition = partition;
  }
}

export interface StoredDue {
  readonly id: Buffer;
  readonly dueAtMs: number;
  readonly attempts: number;
  readonly firstClaimedAtMs: number | undefined;
  readonly token: number;
  readonly large: boolean;
  /** Empty where `large`. */
  readonly inline: Buffer;
}

/** The due entries that a batch of commits and claims has touched, over those on disk. */
export class DueOverlay {
  readonly #environment: Environment;
  readonly #generation: number;
  readonly #partitions = new Map<string, PendingPartition>();
  readonly #start = new KeyWriter();
  readonly #end = new KeyWriter();

  constructor(environment: Environment, generation: number) {
    this.#environment = environment;
    this.#generation = generation;
  }

  /** The token of the latest claim: 0 before the first, undefined when there is no such entry. */
  token(partition: Key, id: Buffer): number | undefined {
    const entry = this.#entry(this.#partition(partition), id);
    if (entry.state === notLoaded) return entry.stored?.token;
    return entry.state?.token;
  }

  schedule(partition: Key, id: Buffer, dueAtMs: number, value: Uint8Array): void {
    const pending = this.#partition(partition);
    const entry = this.#entry(pending, id);
    const fresh = { attempts: 0, firstClaimedAtMs: undefined, token: 0, fresh: true };
    enter(pending, entry, { id: entry.id, dueAtMs: wholeMs(dueAtMs), value, ...fresh });
  }

  /** Removes the entry, or moves it. An absent one is left alone. */
  settle(partition: Key, id: Buffer, dueAtMs: number | undefined, value: Uint8Array | undefined): void {
    const pending = this.#partition(partition);
    const entry = this.#entry(pending, id);
    if (dueAtMs === undefined) {
      entry.state = undefined;
      return;
    }
    const old = this.#load(pending, entry);
    if (old === undefined) return;
    const replaced = value === undefined ? {} : { value, fresh: true };
    enter(pending, entry, { ...old, dueAtMs: wholeMs(dueAtMs), ...replaced });
  }

  claim(request: ClaimRequest, token: number): ClaimedEntry[] {
    const pending = this.#partition(request.partition);
    const dueByMs = Math.floor(request.dueByMs);
    const untilMs = wholeMs(request.untilMs);
    // Whatever the batch has touched is passed over on disk, so it must be in the order here.
    for (const entry of pending.unread.splice(0)) this.#load(pending, entry);
    const claimed: ClaimedEntry[] = [];
    const taken: DueState[] = [];
    while (claimed.length < request.limit) {
      const stored = this.#nextStored(pending, dueByMs, request.limit - claimed.length);
      const changed = firstChanged(pending, dueByMs);
      if (stored === undefined && changed === undefined) break;
      let entry: PendingDue;
      let old: DueState;
      if (stored !== undefined && (changed === undefined || isBefore(stored, changed))) {
        pending.aheadAt++;
        const { dueAtMs, token, large } = stored;
        old = stateOf(stored, this.#valueOf(request.partition, stored));
        entry = { id: stored.id, stored: { dueAtMs, token, large }, state: old };
        pending.entries.set(stored.id.toString('latin1'), entry);
      } else {
        old = pending.order.pop()!;
        entry = pending.entries.get(old.id.toString('latin1'))!;
      }
      const state = {
        id: entry.id,
        dueAtMs: untilMs,
        attempts: old.attempts + 1,
        firstClaimedAtMs: old.firstClaimedAtMs ?? request.dueByMs,
        token,
        value: old.value,
        fresh: old.fresh,
      };
      entry.state = state;
      taken.push(state);
      claimed.push({
        id: entry.id,
        value: asBuffer(state.value),
        dueAtMs: untilMs,
        attempts: state.attempts,
        firstClaimedAtMs: state.firstClaimedAtMs,
        token,
        wasDueAtMs: old.dueAtMs,
      });
    }
    // Only now: a lease that ends before `dueByMs` must not be claimed twice at once.
    for (const state of taken) pending.order.push(state);
    return claimed;
  }

  /** Puts and removes what has changed. Only inside `Environment.write`. */
  write(): void {
    for (const { partition, entries } of this.#partitions.values()) {
      for (const entry of entries.values()) {
        if (entry.state !== notLoaded) this.#writeEntry(partition, entry, entry.state);
      }
    }
  }

  touchedPartitions(visit: (partition: Key) => void): void {
    for (const { partition, entries } of this.#partitions.values()) {
      if (entries.size > 0) visit(partition);
    }
  }

  #writeEntry(partition: Key, { id, stored }: PendingDue, state: DueState | undefined): void {
    const environment = this.#environment;
    const generation = this.#generation;
    const key = this.#start;
    if (stored !== undefined && stored.dueAtMs !== state?.dueAtMs) {
      environment.remove(key.due(generation, partition, stored.dueAtMs, id));
    }
    if (state === undefined) {
      if (stored === undefined) return;
      environment.remove(key.pointer(generation, space.pointer, partition, id));
      if (stored.large) environment.remove(key.pointer(generation, space.value, partition, id));
      return;
    }
    // Read, and left as it was.
    if (!state.fresh && stored?.dueAtMs === state.dueAtMs && stored.token === state.token) return;
    const large = state.value.length > inlineBytes;
    if (large && state.fresh) environment.put(key.pointer(generation, space.value, partition, id), state.value, 0);
    if (!large && stored?.large) environment.remove(key.pointer(generation, space.value, partition, id));
    environment.put(key.due(generation, partition, state.dueAtMs, id), encodeDue(state, large), state.token);
    if (stored?.dueAtMs !== state.dueAtMs || stored.token !== state.token || stored.large !== large) {
      const value = encodePointer(state.dueAtMs, large);
      environment.put(key.pointer(generation, space.pointer, partition, id), value, state.token);
    }
  }

  #partition(partition: Key): PendingPartition {
    const name = partition.toString('latin1');
    let found = this.#partitions.get(name);
    if (found === undefined) this.#partitions.set(name, (found = new PendingPartition(partition)));
    return found;
  }

  #entry(pending: PendingPartition, id: Buffer): PendingDue {
    const name = id.toString('latin1');
    let found = pending.entries.get(name);
    if (found === undefined) {
      found = { id, stored: this.#pointer(pending.partition, id), state: notLoaded };
      pending.entries.set(name, found);
      pending.unread.push(found);
    }
    return found;
  }

  #pointer(partition: Key, id: Buffer): Pointer | undefined {
    return readPointer(this.#environment, this.#start.pointer(this.#generation, space.pointer, partition, id));
  }

  #load(pending: PendingPartition, entry: PendingDue): DueState | undefined {
    if (entry.state !== notLoaded) return entry.state;
    if (entry.stored === undefined) return undefined;
    const key = this.#start.due(this.#generation, pending.partition, entry.stored.dueAtMs, entry.id);
    const found = this.#environment.get(key);
    if (found === undefined) throw new Error('a due entry of the store lacks its record: the store is damaged');
    const stored = decodeDue(entry.id, entry.stored.dueAtMs, found.value, found.version);
    const state = stateOf(stored, this.#valueOf(pending.partition, stored));
    enter(pending, entry, state);
    return state;
  }

  #valueOf(partition: Key, stored: StoredDue): Buffer {
    if (!stored.large) return stored.inline;
    return readLargeValue(this.#environment, this.#start, this.#generation, partition, stored.id);
  }

  /** The next entry on disk that is due by then and not touched by this batch; stays next until `aheadAt` moves. */
  #nextStored(pending: PendingPartition, dueByMs: number, wanted: number): StoredDue | undefined {
    for (;;) {
      const next = pending.ahead[pending.aheadAt];
      if (next !== undefined) {
        if (next.dueAtMs > dueByMs) return undefined;
        if (!pending.entries.has(next.id.toString('latin1'))) return next;
        pending.aheadAt++;
        continue;
      }
      if (dueByMs <= pending.drainedToMs) return undefined;
      this.#readAhead(pending, dueByMs, wanted);
    }
  }

  #readAhead(pending: PendingPartition, dueByMs: number, wanted: number): void {
    const { last } = pending;
    const generation = this.#generation;
    if (last === undefined) this.#start.dueBound(generation, pending.partition, 0);
    else this.#start.due(generation, pending.partition, last.dueAtMs, last.id).next();
    if (dueByMs >= Number.MAX_SAFE_INTEGER) this.#end.afterScope(generation, space.due, pending.partition);
    else this.#end.dueBound(generation, pending.partition, dueByMs + 1);
    // A few more than wanted: those that the batch has touched already are passed over.
    const limit = wanted + Math.min(pending.entries.size, 32);
    pending.ahead = readDue(this.#environment, this.#start, this.#end, limit);
    pending.aheadAt = 0;
    const read = pending.ahead.length;
    if (read < limit) pending.drainedToMs = dueByMs;
    if (read > 0) pending.last = pending.ahead[read - 1];
  }
}

function enter(pending: PendingPartition, entry: PendingDue, state: DueState): void {
  entry.state = state;
  pending.order.push(state);
}

/** The earliest state that still holds, if it is due by then; stays first until it is popped. */
function firstChanged(pending: PendingPartition, dueByMs: number): DueState | undefined {
  for (;;) {
    const first = pending.order.peek();
    if (first === undefined || first.dueAtMs > dueByMs) return undefined;
    if (pending.entries.get(first.id.toString('latin1'))?.state === first) return first;
    pending.order.pop();
  }
}

function stateOf(stored: StoredDue, value: Buffer): DueState {
  const { id, dueAtMs, attempts, firstClaimedAtMs, token } = stored;
  return { id, dueAtMs, attempts, firstClaimedAtMs, token, value, fresh: false };
}

export function readPointer(environment: Environment, key: KeyWriter): Pointer | undefined {
  const found = environment.get(key);
  if (found === undefined) return undefined;
  return {
    dueAtMs: found.value.readDoubleBE(0),
    token: found.version,
    large: (found.value[8]! & flagLargeValue) !== 0,
  };
}

/** Entries in order of due time and id. */
export function readDue(
  environment: Environment,
  start: KeyWriter,
  end: KeyWriter,
  limit: number,
  transaction?: Parameters<Environment['get']>[1],
): StoredDue[] {
  const request = { start, end, limit, ...(transaction === undefined ? {} : { transaction }) };
  return environment.range(request).map(({ key, value, version }) => {
    const at = afterScopeOf(key);
    return decodeDue(key.subarray(at + 8), readNumber(key, at), value, version);
  });
}

export function readLargeValue(
  environment: Environment,
  key: KeyWriter,
  generation: number,
  partition: Key,
  id: Buffer,
  transaction?: Parameters<Environment['get']>[1],
): Buffer {
  const found = environment.get(key.pointer(generation, space.value, partition, id), transaction);
  if (found === undefined) throw new Error('a due entry of the store lacks its value: the store is damaged');
  return found.value;
}

export function decodeDue(id: Buffer, dueAtMs: number, record: Buffer, token: number): StoredDue {
  const first = record.readDoubleBE(4);
  return {
    id,
    dueAtMs,
    attempts: record.readUInt32BE(0),
    firstClaimedAtMs: Number.isNaN(first) ? undefined : first,
    token,
    large: (record[12]! & flagLargeValue) !== 0,
    inline: record.subarray(dueHeaderBytes),
  };
}

export function encodeDue(
  state: Pick<DueState, 'attempts' | 'firstClaimedAtMs' | 'value'>,
  large = state.value.length > inlineBytes,
): Buffer {
  const out = Buffer.allocUnsafe(dueHeaderBytes + (large ? 0 : state.value.length));
  out.writeUInt32BE(state.attempts, 0);
  out.writeDoubleBE(state.firstClaimedAtMs ?? Number.NaN, 4);
  out[12] = large ? flagLargeValue : 0;
  if (!large) out.set(state.value, dueHeaderBytes);
  return out;
}

export function encodePointer(dueAtMs: number, large: boolean): Buffer {
  const out = Buffer.allocUnsafe(pointerBytes);
  out.writeDoubleBE(dueAtMs, 0);
  out[8] = large ? flagLargeValue : 0;
  return out;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
