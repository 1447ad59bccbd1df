import {
  type ClaimedEntry,
  type ClaimRequest,
  type Commit,
  type CommitResult,
  counterBytes,
  counterValue,
  type DueEntry,
  type DueRange,
  type Entry,
  type Key,
  type KeyRange,
  type ListOptions,
  type LogEntry,
  type Store,
} from '../contract.ts';
import { type PortableRecord, readPortable, writePortable } from '../portable.ts';
import { Watchers } from '../watchers.ts';
import { SortedMap } from './sorted-map.ts';

/** Entries that a list or a count visits before it lets the event loop run. */
const entriesPerTurn = 1000;

interface KeyRecord {
  readonly value: Buffer;
  readonly version: number;
}

interface DueRecord extends DueEntry {
  readonly partition: string;
}

interface Partition {
  readonly byId: Map<string, DueRecord>;
  /** Ordered by due time and id. */
  readonly byDue: SortedMap<DueRecord>;
}

interface Log {
  next: number;
  /** `entries[0]` is at position `next - entries.length`. */
  entries: Buffer[];
}

/** Everything in memory, nothing on disk: for `--ephemeral`, tests and simulation. */
export class MemoryStore implements Store {
  readonly engine = 'memory';
  readonly durable = false;
  readonly shared = false;
  readonly #keys = new SortedMap<KeyRecord>();
  readonly #partitions = new Map<string, Partition>();
  readonly #logs = new Map<string, Log>();
  readonly #watchers = new Watchers();
  #version = 0;

  async get(key: Key): Promise<Entry | undefined> {
    return this.#read(key);
  }

  async getMany(keys: readonly Key[]): Promise<readonly (Entry | undefined)[]> {
    return keys.map((key) => this.#read(key));
  }

  async list(range: KeyRange, options: ListOptions = {}): Promise<readonly Entry[]> {
    const limit = options.limit ?? Number.POSITIVE_INFINITY;
    const maxBytes = options.maxBytes ?? Number.POSITIVE_INFINITY;
    const found: Entry[] = [];
    if (limit <= 0) return found;
    let start = range.start.toString('latin1');
    let end = range.end.toString('latin1');
    let bytes = 0;
    let more = true;
    while (more) {
      more = false;
      let turn = 0;
      const visit = (key: string, record: KeyRecord): boolean => {
        if (turn++ === entriesPerTurn) {
          more = true;
          return false;
        }
        found.push({ key: Buffer.from(key, 'latin1'), value: record.value, version: record.version });
        bytes += record.value.length;
        if (options.reverse) end = key;
        else start = `${key}\0`;
        return found.length < limit && bytes < maxBytes;
      };
      if (options.reverse) this.#keys.visitReverse(start, end, visit);
      else this.#keys.visit(start, end, visit);
      if (more) await new Promise(setImmediate);
    }
    return found;
  }

  async count(range: KeyRange): Promise<number> {
    return this.#keys.count(range.start.toString('latin1'), range.end.toString('latin1'));
  }

  async commit(commit: Commit): Promise<CommitResult> {
    const conflict = this.#conflict(commit);
    if (conflict !== undefined) return { ok: false, conflict };
    const version = ++this.#version;
    for (const { key, value } of commit.set ?? []) this.#write(key, Buffer.from(value), version);
    for (const key of commit.delete ?? []) {
      if (this.#keys.delete(key.toString('latin1'))) this.#watchers.touch(key);
    }
    for (const { key, delta } of commit.sum ?? []) {
      this.#write(key, counterBytes(counterValue(this.#read(key)?.value) + delta), version);
    }
    const positions = (commit.append ?? []).map(({ log, value }) => {
      const { entries, next } = this.#log(log);
      entries.push(Buffer.from(value));
      this.#log(log).next = next + 1;
      this.#watchers.touch(log);
      return next;
    });
    for (const { log, before } of commit.trim ?? []) {
      const { entries, next } = this.#log(log);
      entries.splice(0, Math.max(0, before - (next - entries.length)));
    }
    for (const { partition, id, dueAtMs, value } of commit.schedule ?? []) {
      const fresh = { attempts: 0, firstClaimedAtMs: undefined, token: undefined };
      this.#putDue({
        partition: partition.toString('latin1'),
        id: Buffer.from(id),
        dueAtMs,
        value: Buffer.from(value),
        ...fresh,
      });
      this.#watchers.touch(partition);
    }
    for (const { partition, id, dueAtMs, value } of commit.settle ?? []) {
      const old = this.#due(partition, id);
      if (old === undefined) continue;
      if (dueAtMs === undefined) this.#removeDue(old);
      else this.#putDue({ ...old, dueAtMs, value: value === undefined ? old.value : Buffer.from(value) });
      this.#watchers.touch(partition);
    }
    return { ok: true, version, positions };
  }

  async claim(request: ClaimRequest): Promise<readonly ClaimedEntry[]> {
    const partition = this.#partitions.get(request.partition.toString('latin1'));
    if (partition === undefined || request.limit <= 0) return [];
    const found: DueRecord[] = [];
    partition.byDue.visit('', dueBound(request.dueByMs + 1), (_key, record) => {
      found.push(record);
      return found.length < request.limit;
    });
    if (found.length === 0) return [];
    const token = ++this.#version;
    const claimed = found.map((record) => ({
      ...record,
      dueAtMs: request.untilMs,
      attempts: record.attempts + 1,
      firstClaimedAtMs: record.firstClaimedAtMs ?? request.dueByMs,
      token,
    }));
    for (const record of claimed) this.#putDue(record);
    this.#watchers.touch(request.partition);
    return claimed.map((record, index) => ({
      ...publicDue(record),
      token,
      firstClaimedAtMs: record.firstClaimedAtMs,
      wasDueAtMs: found[index]!.dueAtMs,
    }));
  }

  async due(partition: Key, id: Buffer): Promise<DueEntry | undefined> {
    const record = this.#due(partition, id);
    return record === undefined ? undefined : publicDue(record);
  }

  async listDue(partition: Key, range: DueRange = {}): Promise<readonly DueEntry[]> {
    const found: DueEntry[] = [];
    const limit = range.limit ?? Number.POSITIVE_INFINITY;
    const { start, end } = dueBounds(range);
    if (limit <= 0) return found;
    this.#partitions.get(partition.toString('latin1'))?.byDue.visit(start, end, (_key, record) => {
      found.push(publicDue(record));
      return found.length < limit;
    });
    return found;
  }

  async countDue(partition: Key, range: DueRange = {}): Promise<number> {
    const { start, end } = dueBounds(range);
    const count = this.#partitions.get(partition.toString('latin1'))?.byDue.count(start, end) ?? 0;
    return Math.min(count, range.limit ?? count);
  }

  async nextDue(partition: Key): Promise<number | undefined> {
    let next: number | undefined;
    this.#partitions.get(partition.toString('latin1'))?.byDue.visit('', undefined, (_key, record) => {
      next = record.dueAtMs;
      return false;
    });
    return next;
  }

  async readLog(log: Key, from: number, limit: number): Promise<readonly LogEntry[]> {
    const found = this.#logs.get(log.toString('latin1'));
    if (found === undefined) return [];
    const first = found.next - found.entries.length;
    const start = Math.max(0, from - first);
    return found.entries
      .slice(start, start + limit)
      .map((value, index) => ({ position: first + start + index, value }));
  }

  async nextPosition(log: Key): Promise<number> {
    return this.#logs.get(log.toString('latin1'))?.next ?? 1;
  }

  watch(prefix: Key, onChange: () => void): () => void {
    return this.#watchers.watch(prefix, onChange);
  }

  snapshot(): AsyncIterable<Buffer> {
    // Gathered at once, so that it shows one point in time; the values themselves are shared and never change.
    return writePortable([...this.#records()]);
  }

  async restore(source: AsyncIterable<Uint8Array>): Promise<void> {
    // Read whole before anything is replaced: a bad snapshot must not cost what is here.
    const records: PortableRecord[] = [];
    for await (const record of readPortable(source)) records.push(record);
    this.#keys.clear();
    this.#partitions.clear();
    this.#logs.clear();
    const version = ++this.#version;
    for (const record of records) {
      if (record.kind === 'key') this.#keys.set(record.key.toString('latin1'), { value: record.value, version });
      else if (record.kind === 'log') this.#log(record.log).entries.push(record.value);
      else if (record.kind === 'position') this.#log(record.log).next = record.next;
      else this.#putDue({ ...record, partition: record.partition.toString('latin1'), token: undefined });
    }
    this.#watchers.touchAll();
  }

  async close(): Promise<void> {}

  *#records(): Iterable<PortableRecord> {
    const records: PortableRecord[] = [];
    this.#keys.visit(
      '',
      undefined,
      (key, { value }) => records.push({ kind: 'key', key: Buffer.from(key, 'latin1'), value }) > 0,
    );
    yield* records;
    for (const [name, { byDue }] of this.#partitions) {
      const partition = Buffer.from(name, 'latin1');
      const due: PortableRecord[] = [];
      byDue.visit('', undefined, (_key, record) => due.push({ kind: 'due', ...record, partition }) > 0);
      yield* due;
    }
    for (const [name, { next, entries }] of this.#logs) {
      const log = Buffer.from(name, 'latin1');
      const first = next - entries.length;
      yield* entries.map((value, index): PortableRecord => ({ kind: 'log', log, position: first + index, value }));
      yield { kind: 'position', log, next };
    }
  }

  #conflict(commit: Commit): { check: number } | { settle: number } | undefined {
    for (const [check, { key, version }] of (commit.checks ?? []).entries()) {
      if ((this.#keys.get(key.toString('latin1'))?.version ?? null) !== version) return { check };
    }
    for (const [settle, { partition, id, token }] of (commit.settle ?? []).entries()) {
      if (token !== undefined && this.#due(partition, id)?.token !== token) return { settle };
    }
    return undefined;
  }

  #read(key: Key): Entry | undefined {
    const record = this.#keys.get(key.toString('latin1'));
    return record === undefined ? undefined : { key, value: record.value, version: record.version };
  }

  #write(key: Key, value: Buffer, version: number): void {
    this.#keys.set(key.toString('latin1'), { value, version });
    this.#watchers.touch(key);
  }

  #log(log: Key): Log {
    const name = log.toString('latin1');
    let found = this.#logs.get(name);
    if (found === undefined) this.#logs.set(name, (found = { next: 1, entries: [] }));
    return found;
  }

  #due(partition: Key, id: Buffer): DueRecord | undefined {
    return this.#partitions.get(partition.toString('latin1'))?.byId.get(id.toString('latin1'));
  }

  #putDue(record: DueRecord): void {
    let partition = this.#partitions.get(record.partition);
    if (partition === undefined) {
      partition = { byId: new Map(), byDue: new SortedMap() };
      this.#partitions.set(record.partition, partition);
    }
    const id = record.id.toString('latin1');
    const old = partition.byId.get(id);
    if (old !== undefined) partition.byDue.delete(dueKey(old));
    partition.byId.set(id, record);
    partition.byDue.set(dueKey(record), record);
  }

  #removeDue(record: DueRecord): void {
    const partition = this.#partitions.get(record.partition)!;
    partition.byId.delete(record.id.toString('latin1'));
    partition.byDue.delete(dueKey(record));
    if (partition.byId.size === 0) this.#partitions.delete(record.partition);
  }
}

function publicDue({ id, value, dueAtMs, attempts, firstClaimedAtMs, token }: DueRecord): DueEntry {
  return { id, value, dueAtMs, attempts, firstClaimedAtMs, token };
}

/** Milliseconds as sixteen digits sort as numbers do. */
function dueBound(ms: number): string {
  return String(Math.min(Math.max(0, Math.trunc(ms)), Number.MAX_SAFE_INTEGER)).padStart(16, '0');
}

function dueKey(record: { readonly dueAtMs: number; readonly id: Buffer }): string {
  return dueBound(record.dueAtMs) + record.id.toString('latin1');
}

function dueBounds(range: DueRange): { start: string; end: string } {
  const from = dueBound(range.fromMs ?? 0);
  const after = range.after === undefined ? '' : `${dueKey(range.after)}\0`;
  return { start: after > from ? after : from, end: range.beforeMs === undefined ? ':' : dueBound(range.beforeMs) };
}
