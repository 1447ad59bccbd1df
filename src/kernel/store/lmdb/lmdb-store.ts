import type {
  ClaimedEntry,
  ClaimRequest,
  Commit,
  CommitResult,
  DueEntry,
  DueRange,
  Entry,
  Key,
  KeyRange,
  ListOptions,
  LogEntry,
  Store,
} from '../contract.ts';
import { Watchers } from '../watchers.ts';
import { Batch, readHead } from './batch.ts';
import { decodeDue, readDue, readLargeValue, readPointer, type StoredDue } from './due-overlay.ts';
import { Environment, type Found } from './environment.ts';
import { Generations } from './generations.ts';
import { afterScopeOf, KeyWriter, readNumber, space, wholeMs } from './layout.ts';

export { StoreOpenError } from '../open-error.ts';

export interface LmdbStoreOptions {
  /** A directory; created if absent. Only one process may have it open (`openDataDirectory` sees to that). */
  readonly path: string;
  /** Answers before the data is on disk: for showing that the sync test notices. */
  readonly unsafeNoSync?: boolean;
}

/** Opens or creates the store in a few milliseconds. Throws StoreOpenError. */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<Store> {
  const noSync = options.unsafeNoSync === true;
  return new LmdbStore(new Environment({ path: options.path, noSync }), !noSync);
}

/** Entries that a list reads at one point in time. */
const entriesPerTurn = 1000;
/** Keys that a count passes over before it lets the event loop run: about a millisecond. */
const countedPerTurn = 20_000;
/** Value bytes after which a list lets the event loop run. */
const bytesPerTurn = 4 * 1024 * 1024;
interface Failure {
  readonly error: unknown;
}

/** A batch on its way to disk. */
interface Begun {
  /** Never rejects. */
  readonly written: Promise<Failure | undefined>;
  /** Tells the callers. */
  readonly finish: (failure: Failure | undefined) => void;
}

/** Judging commits stops here, so that a burst does not hold up the event loop; the rest is the next batch. */
const judgingMs = 4;
/** Versions set aside on disk at a time. */
const versionsReserved = 2 ** 20;

type Job =
  | { readonly commit: Commit; readonly resolve: (result: CommitResult) => void; readonly reject: Reject }
  | { readonly claim: ClaimRequest; readonly resolve: (claimed: ClaimedEntry[]) => void; readonly reject: Reject }
  | { readonly switchTo: number; readonly resolve: () => void; readonly reject: Reject };
type Reject = (error: unknown) => void;

/**
 * Everything in one LMDB environment. Commits and claims queue up; while one batch is written and synced the next one
 * gathers, so that many callers share one sync. Reads never wait.
 */
class LmdbStore implements Store {
  readonly engine = 'lmdb';
  readonly durable: boolean;
  readonly shared = false;
  readonly #environment: Environment;
  readonly #generations: Generations;
  readonly #watchers = new Watchers();
  readonly #start = new KeyWriter();
  readonly #end = new KeyWriter();
  #queue: Job[] = [];
  #busy = false;
  #idle: (() => void) | undefined;
  #closing: Promise<void> | undefined;
  #generation: number;
  #version: number;
  /** Versions up to here are set aside on disk. */
  #ceiling: number;

  constructor(environment: Environment, durable: boolean) {
    this.#environment = environment;
    this.durable = durable;
    const meta = environment.meta();
    this.#generation = meta?.generation ?? 1;
    this.#version = meta?.ceiling ?? 0;
    // A new environment gets its meta record with its first commit.
    this.#ceiling = meta?.ceiling ?? -1;
    this.#generations = new Generations(environment);
    this.#generations.clearInBackground(() => other(this.#generation));
  }

  async get(key: Key): Promise<Entry | undefined> {
    return this.#read(key);
  }

  async getMany(keys: readonly Key[]): Promise<readonly (Entry | undefined)[]> {
    return keys.map((key) => this.#read(key));
  }

  async list(range: KeyRange, options: ListOptions = {}): Promise<readonly Entry[]> {
    const { limit = Number.POSITIVE_INFINITY, maxBytes = Number.POSITIVE_INFINITY, reverse = false } = options;
    const found: Entry[] = [];
    let { start, end } = range;
    let bytes = 0;
    for (;;) {
      this.#assertOpen();
      const want = Math.min(limit - found.length, entriesPerTurn);
      if (want <= 0 || start.compare(end) >= 0) return found;
      const from = this.#start.key(this.#generation, start);
      const to = this.#end.key(this.#generation, end);
      const stopAt = Math.min(maxBytes, bytes + bytesPerTurn);
      let read = 0;
      for (const { key, value, version } of this.#environment.walk({ start: from, end: to, limit: want, reverse })) {
        read++;
        found.push({ key: key.subarray(1), value, version });
        bytes += value.length;
        if (bytes >= stopAt) break;
      }
      if (bytes >= maxBytes || (read < want && bytes < stopAt) || found.length >= limit) return found;
      const { key } = found[found.length - 1]!;
      if (reverse) end = key;
      else start = Buffer.concat([key, zero]);
      await nextTurn();
    }
  }

  async count(range: KeyRange): Promise<number> {
    if (range.start.compare(range.end) >= 0) return 0;
    const start = new KeyWriter().key(this.#generation, range.start);
    const end = new KeyWriter().key(this.#generation, range.end);
    return this.#count(start, end, Number.POSITIVE_INFINITY);
  }

  commit(commit: Commit): Promise<CommitResult> {
    return new Promise((resolve, reject) => this.#submit({ commit, resolve, reject }));
  }

  claim(claim: ClaimRequest): Promise<readonly ClaimedEntry[]> {
    return new Promise((resolve, reject) => this.#submit({ claim, resolve, reject }));
  }

  async due(partition: Key, id: Buffer): Promise<DueEntry | undefined> {
    this.#assertOpen();
    const generation = this.#generation;
    const pointer = readPointer(this.#environment, this.#start.pointer(generation, space.pointer, partition, id));
    if (pointer === undefined) return undefined;
    const found = this.#environment.get(this.#start.due(generation, partition, pointer.dueAtMs, id))!;
    return this.#publicDue(partition, decodeDue(Buffer.from(id), pointer.dueAtMs, found.value, found.version));
  }

  async listDue(partition: Key, range: DueRange = {}): Promise<readonly DueEntry[]> {
    const limit = range.limit ?? Number.POSITIVE_INFINITY;
    const found: DueEntry[] = [];
    const start = new KeyWriter();
    const end = new KeyWriter();
    let { after } = range;
    for (;;) {
      this.#assertOpen();
      const want = Math.min(limit - found.length, entriesPerTurn);
      this.#dueBounds(start, end, partition, { ...range, ...(after === undefined ? {} : { after }) });
      const read = want <= 0 ? [] : readDue(this.#environment, start, end, want);
      for (const stored of read) found.push(this.#publicDue(partition, stored));
      if (read.length === 0 || read.length < want || found.length >= limit) return found;
      after = read[read.length - 1]!;
      await nextTurn();
    }
  }

  async countDue(partition: Key, range: DueRange = {}): Promise<number> {
    const start = new KeyWriter();
    const end = new KeyWriter();
    this.#dueBounds(start, end, partition, range);
    return this.#count(start, end, range.limit ?? Number.POSITIVE_INFINITY);
  }

  async nextDue(partition: Key): Promise<number | undefined> {
    this.#assertOpen();
    this.#dueBounds(this.#start, this.#end, partition, {});
    const [first] = this.#environment.keys(this.#start, this.#end, 1);
    return first === undefined ? undefined : readNumber(first, afterScopeOf(first));
  }

  async readLog(log: Key, from: number, limit: number): Promise<readonly LogEntry[]> {
    const found: LogEntry[] = [];
    let position = from;
    for (;;) {
      this.#assertOpen();
      const generation = this.#generation;
      const head = readHead(this.#environment, this.#start, generation, log);
      const want = Math.min(limit - found.length, entriesPerTurn);
      if (head === undefined || want <= 0) return found;
      position = Math.max(position, head.first);
      const start = this.#start.log(generation, log, position);
      const end = this.#end.afterScope(generation, space.log, log);
      const read = this.#environment.range({ start, end, limit: want });
      for (const { key, value } of read) found.push({ position: readNumber(key, key.length - 8), value });
      if (read.length < want || found.length >= limit) return found;
      position = found[found.length - 1]!.position + 1;
      await nextTurn();
    }
  }

  async nextPosition(log: Key): Promise<number> {
    this.#assertOpen();
    return readHead(this.#environment, this.#start, this.#generation, log)?.next ?? 1;
  }

  watch(prefix: Key, onChange: () => void): () => void {
    return this.#watchers.watch(prefix, onChange);
  }

  snapshot(): AsyncIterable<Buffer> {
    this.#assertOpen();
    return this.#generations.snapshot(() => this.#generation);
  }

  async restore(source: AsyncIterable<Uint8Array>): Promise<void> {
    this.#assertOpen();
    try {
      await this.#generations.exclusively(async () => {
        const target = other(this.#generation);
        await this.#generations.load(target, source, () => ++this.#version);
        await new Promise<void>((resolve, reject) => this.#submit({ switchTo: target, resolve, reject }));
        this.#watchers.touchAll();
      });
    } finally {
      // What was here before, or what a bad snapshot left.
      this.#generations.clearInBackground(() => other(this.#generation));
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#generations.stop();
    if (this.#busy || this.#queue.length > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await this.#environment.close();
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new Error('the store is closed');
  }

  #read(key: Key): Entry | undefined {
    this.#assertOpen();
    const found: Found | undefined = this.#environment.get(this.#start.key(this.#generation, key));
    return found === undefined ? undefined : { key, value: found.value, version: found.version };
  }

  #publicDue(partition: Key, stored: StoredDue): DueEntry {
    const { id, dueAtMs, attempts, firstClaimedAtMs, token } = stored;
    const value = stored.large
      ? readLargeValue(this.#environment, this.#start, this.#generation, partition, id)
      : stored.inline;
    return { id, value, dueAtMs, attempts, firstClaimedAtMs, token: token === 0 ? undefined : token };
  }

  #dueBounds(start: KeyWriter, end: KeyWriter, partition: Key, range: DueRange): void {
    const generation = this.#generation;
    const { after, beforeMs } = range;
    const fromMs = wholeMs(range.fromMs ?? 0);
    if (after !== undefined && wholeMs(after.dueAtMs) >= fromMs) {
      start.due(generation, partition, after.dueAtMs, after.id).next();
    } else start.dueBound(generation, partition, fromMs);
    if (beforeMs === undefined) end.afterScope(generation, space.due, partition);
    else end.dueBound(generation, partition, beforeMs);
  }

  /** In slices: each passes over its keys in native code, and the key it ends at begins the next. */
  async #count(start: KeyWriter, end: KeyWriter, atMost: number): Promise<number> {
    let total = 0;
    while (total < atMost) {
      this.#assertOpen();
      const [next] = this.#environment.keys(start, end, 1, countedPerTurn);
      if (next === undefined) {
        total += this.#environment.count(start, end);
        break;
      }
      total += countedPerTurn;
      start.raw(next);
      await nextTurn();
    }
    return Math.min(total, atMost);
  }

  #submit(job: Job): void {
    if (this.#closing !== undefined) {
      job.reject(new Error('the store is closed'));
      return;
    }
    this.#queue.push(job);
    if (this.#busy) return;
    this.#busy = true;
    // At the end of this turn, so that what arrives in the same turn shares the batch.
    setImmediate(runQueue, this);
  }

  /** @internal */
  async run(): Promise<void> {
    let current = this.#begin();
    while (current !== undefined) {
      const error = await current.written;
      // The next batch goes to LMDB's thread before this one's callers go on: it writes while they do.
      const next = this.#begin();
      current.finish(error);
      // What the callers submitted meanwhile, if the queue was empty.
      current = next ?? this.#begin();
    }
    this.#busy = false;
    this.#idle?.();
  }

  /** Judges what waits and hands it to LMDB; undefined when nothing waits. */
  #begin(): Begun | undefined {
    const first = this.#queue[0];
    if (first === undefined) return undefined;
    this.#environment.refresh();
    if ('switchTo' in first) {
      this.#queue.shift();
      return { written: this.#switch(first), finish: () => {} };
    }
    const { batch, jobs, outcomes } = this.#judge();
    let unswept: readonly Key[] = [];
    const ceiling = this.#version > this.#ceiling ? this.#version + versionsReserved : this.#ceiling;
    const written = batch.dirty
      ? this.#environment
          .write(() => {
            if (ceiling > this.#ceiling) this.#environment.putMeta(this.#generation, ceiling);
            unswept = batch.write();
          })
          .then(
            () => {
              this.#ceiling = ceiling;
              return undefined;
            },
            (error: unknown) => ({ error }),
          )
      : Promise.resolve(undefined);
    const finish = (failure: Failure | undefined): void => {
      if (failure !== undefined) {
        for (const { reject } of jobs) reject(failure.error);
        return;
      }
      if (!this.#watchers.empty) batch.touched((key) => this.#watchers.touch(key));
      for (let index = 0; index < jobs.length; index++) {
        (jobs[index]!.resolve as (outcome: unknown) => void)(outcomes[index]);
      }
      for (const log of unswept) this.#sweep(log);
    };
    return { written, finish };
  }

  /** Takes jobs from the head of the queue and decides them. */
  #judge(): { readonly batch: Batch; readonly jobs: readonly Job[]; readonly outcomes: readonly unknown[] } {
    for (;;) {
      const batch = new Batch(this.#environment, this.#generation, this.#version);
      const queue = this.#queue;
      const outcomes: unknown[] = [];
      const began = performance.now();
      let taken = 0;
      try {
        for (; taken < queue.length; taken++) {
          const job = queue[taken]!;
          if ('switchTo' in job || ((taken & 31) === 31 && performance.now() - began > judgingMs)) break;
          outcomes.push('commit' in job ? batch.commit(job.commit) : batch.claim(job.claim));
        }
      } catch (error) {
        // A commit that cannot even be judged (a sum over what is no counter, say) may be half in the batch: it alone
        // fails, and the others are judged anew without it.
        queue.splice(taken, 1)[0]!.reject(error);
        continue;
      }
      const jobs = taken === queue.length ? queue : queue.slice(0, taken);
      this.#queue = taken === queue.length ? [] : queue.slice(taken);
      this.#version = batch.version;
      return { batch, jobs, outcomes };
    }
  }

  async #switch(job: {
    readonly switchTo: number;
    readonly resolve: () => void;
    readonly reject: Reject;
  }): Promise<undefined> {
    try {
      const ceiling = this.#version + versionsReserved;
      await this.#environment.write(() => this.#environment.putMeta(job.switchTo, ceiling));
      this.#ceiling = ceiling;
      this.#generation = job.switchTo;
      job.resolve();
    } catch (error) {
      job.reject(error);
    }
  }

  /** A long trimmed stretch goes away over several batches. */
  #sweep(log: Key): void {
    if (this.#closing !== undefined) return;
    this.commit({ trim: [{ log, before: 0 }] }).catch(() => {});
  }
}

const zero = Buffer.from([0]);

function runQueue(store: LmdbStore): void {
  void store.run();
}

function other(generation: number): number {
  return generation === 1 ? 2 : 1;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
