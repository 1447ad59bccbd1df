import { type PortableRecord, readPortable, writePortable } from '../portable.ts';
import { decodeDue, encodeDue, encodePointer, readLargeValue } from './due-overlay.ts';
import type { Environment, ReadTransaction } from './environment.ts';
import {
  afterScopeOf,
  decodeHead,
  encodeHead,
  inlineBytes,
  KeyWriter,
  type LogHead,
  readNumber,
  scopeOf,
  space,
} from './layout.ts';

const recordsPerTurn = 1000;
/** What a restore hands to LMDB at a time. */
const bytesPerWrite = 4 * 1024 * 1024;

/**
 * Snapshots and restores. A restore builds the other generation while the current one stays in use; the store then
 * switches in one commit, and the old generation is cleared in the background. A crash or a bad snapshot leaves at most
 * an unused generation behind, which the next opening clears.
 */
export class Generations {
  readonly #environment: Environment;
  readonly #reading = new Set<ReadTransaction>();
  #chain: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /** One restore or clearing at a time. */
  exclusively(work: () => Promise<void>): Promise<void> {
    const done = this.#chain.then(work);
    this.#chain = done.catch(() => {});
    return done;
  }

  clearInBackground(unused: () => number): void {
    // What fails here is left for the next opening.
    this.exclusively(() => this.#clear(unused())).catch(() => {});
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const transaction of this.#reading) transaction.done();
    this.#reading.clear();
    await this.#chain;
  }

  /** The point in time is that of the first read; `current` tells the generation of that moment. */
  async *snapshot(current: () => number): AsyncIterable<Buffer> {
    if (this.#stopped) throw new Error('the store is closed');
    const generation = current();
    const transaction = this.#environment.beginRead();
    this.#reading.add(transaction);
    try {
      yield* writePortable(this.#records(generation, transaction));
    } finally {
      if (this.#reading.delete(transaction)) transaction.done();
    }
  }

  /** Fills a generation that is not in use. Throws SnapshotError for a source that is no whole snapshot. */
  async load(generation: number, source: AsyncIterable<Uint8Array>, nextVersion: () => number): Promise<void> {
    await this.#clear(generation);
    const environment = this.#environment;
    const version = nextVersion();
    const key = new KeyWriter();
    /** The oldest entry of logs whose position record has not come yet. */
    const firsts = new Map<string, number>();
    let pending: PortableRecord[] = [];
    let bytes = 0;
    const flush = async (): Promise<void> => {
      const records = pending;
      pending = [];
      bytes = 0;
      await environment.write(() => {
        for (const record of records) this.#put(record, generation, version, key, firsts);
      });
    };
    for await (const record of readPortable(source)) {
      if (this.#stopped) throw new Error('the store is closed');
      pending.push(record);
      bytes += record.kind === 'position' ? 0 : record.value.length;
      if (pending.length >= recordsPerTurn || bytes >= bytesPerWrite) await flush();
    }
    if (pending.length > 0) await flush();
  }

  #put(record: PortableRecord, generation: number, version: number, key: KeyWriter, firsts: Map<string, number>) {
    const environment = this.#environment;
    switch (record.kind) {
      case 'key':
        environment.put(key.key(generation, record.key), record.value, version);
        return;
      case 'due': {
        const { partition, id, value, dueAtMs } = record;
        const large = value.length > inlineBytes;
        if (large) environment.put(key.pointer(generation, space.value, partition, id), value, 0);
        environment.put(key.due(generation, partition, dueAtMs, id), encodeDue(record), 0);
        environment.put(key.pointer(generation, space.pointer, partition, id), encodePointer(dueAtMs, large), 0);
        return;
      }
      case 'log': {
        const name = record.log.toString('latin1');
        firsts.set(name, Math.min(record.position, firsts.get(name) ?? record.position));
        environment.put(key.log(generation, record.log, record.position), record.value, 0);
        return;
      }
      case 'position': {
        const name = record.log.toString('latin1');
        const first = firsts.get(name) ?? record.next;
        firsts.delete(name);
        const head: LogHead = { next: record.next, first, swept: first };
        environment.put(key.scope(generation, space.head, record.log), encodeHead(head), 0);
        return;
      }
    }
  }

  async *#records(generation: number, transaction: ReadTransaction): AsyncIterable<PortableRecord> {
    for await (const { key, value } of this.#walk(generation, space.key, transaction)) {
      yield { kind: 'key', key: key.subarray(1), value };
    }
    const lookup = new KeyWriter();
    for await (const { key, value, version } of this.#walk(generation, space.due, transaction)) {
      const partition = scopeOf(key);
      const at = afterScopeOf(key);
      const stored = decodeDue(key.subarray(at + 8), readNumber(key, at), value, version);
      const { id, dueAtMs, attempts, firstClaimedAtMs } = stored;
      const bytes = stored.large
        ? readLargeValue(this.#environment, lookup, generation, partition, id, transaction)
        : stored.inline;
      yield { kind: 'due', partition, id, value: bytes, dueAtMs, attempts, firstClaimedAtMs };
    }
    for await (const { key, value } of this.#walk(generation, space.head, transaction)) {
      const log = scopeOf(key);
      const { next, first } = decodeHead(value);
      const start = new KeyWriter().log(generation, log, first);
      const end = new KeyWriter().afterScope(generation, space.log, log);
      for await (const entry of this.#slices(start, end, transaction)) {
        yield { kind: 'log', log, position: readNumber(entry.key, entry.key.length - 8), value: entry.value };
      }
      yield { kind: 'position', log, next };
    }
  }

  #walk(generation: number, which: number, transaction: ReadTransaction) {
    const start = new KeyWriter().space(generation, which);
    const end = new KeyWriter().space(generation, which + 1);
    return this.#slices(start, end, transaction);
  }

  async *#slices(start: KeyWriter, end: KeyWriter, transaction: ReadTransaction) {
    for (;;) {
      if (!this.#reading.has(transaction)) throw new Error('the store is closed');
      const found = this.#environment.range({ start, end, limit: recordsPerTurn, transaction });
      yield* found;
      if (found.length < recordsPerTurn) return;
      start.raw(found[found.length - 1]!.key).next();
      await new Promise(setImmediate);
    }
  }

  async #clear(generation: number): Promise<void> {
    const start = new KeyWriter().generation(generation);
    const end = new KeyWriter().generation(generation + 1);
    const key = new KeyWriter();
    while (!this.#stopped) {
      const found = this.#environment.keys(start, end, recordsPerTurn);
      if (found.length === 0) return;
      await this.#environment.write(() => {
        for (const stale of found) this.#environment.remove(key.raw(stale));
      });
    }
    throw new Error('the store is closed');
  }
}
