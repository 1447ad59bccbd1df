import type { Clock, Timer } from '../clock/contract.ts';
import type {
  ClaimedEntry,
  Commit,
  CommitResult,
  DueEntry,
  DueRange,
  DueWrite,
  Key,
  Settlement,
  Store,
} from '../store/contract.ts';
import { encodeKey } from '../store/keys.ts';

/**
 * Durable due-work: the one way to do something later. A job is a due entry of the store, written in the same commit as
 * what it belongs to; a worker claims it under a lease with a fencing token, and it is gone only when the handler's
 * commit says so. After a crash everything that was due happens.
 */
export interface Job {
  readonly kind: string;
  readonly key: string;
  readonly payload: Buffer;
  /** Counts this run. */
  readonly attempt: number;
  /** When it was due. */
  readonly dueAtMs: number;
  /** Ends the job: put it into the commit that carries the job's effects. */
  done(): Settlement;
  /** Runs the job again at this time, with another payload if one is given: put it into a commit, too. */
  again(dueAtMs: number, payload?: Uint8Array): Settlement;
  /** Aborts when the cloud shuts down or the lease was lost; what is not committed then is done by another run. */
  readonly signal: AbortSignal;
}

export interface JobHandler {
  /** Jobs of this kind run side by side at most. */
  readonly concurrency: number;
  /**
   * How long a run may take before another may start; a run still going is renewed by its worker, so this bounds only
   * how long a crash delays the work.
   */
  readonly leaseMs: number;
  /** Must commit `job.done()` or `job.again(…)`. A throw is reported, and the job runs again with backoff. */
  readonly run: (job: Job) => Promise<void>;
}

export interface AgendaOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Told of every run that threw. */
  readonly onError: (error: unknown, job: { kind: string; key: string; attempt: number }) => void;
  /** How often the store is asked although no hint came: other processes may share it. */
  readonly pollMs?: number;
}

const defaultPollMs = 5_000;
const firstBackoffMs = 1_000;
const longestBackoffMs = 300_000;

/** The partition of a kind of job. */
export function agendaPartition(kind: string): Key {
  return encodeKey('agenda', kind);
}

/** The write that schedules a job, to be part of any commit. The same kind and key replaces an earlier job. */
export function scheduleJob(
  kind: string,
  key: string,
  dueAtMs: number,
  payload: Uint8Array = Buffer.alloc(0),
): DueWrite {
  return { partition: agendaPartition(kind), id: Buffer.from(key, 'utf8'), dueAtMs, value: payload };
}

/** The write that takes a job back, whether or not it is running. */
export function cancelJob(kind: string, key: string): Settlement {
  return { partition: agendaPartition(kind), id: Buffer.from(key, 'utf8') };
}

export class Agenda {
  readonly #options: AgendaOptions;
  readonly #workers = new Map<string, Worker>();
  readonly #stop = new AbortController();
  #started = false;

  constructor(options: AgendaOptions) {
    this.#options = options;
  }

  /** Declares who does jobs of a kind; each kind once. */
  handle(kind: string, handler: JobHandler): void {
    if (this.#workers.has(kind)) throw new Error(`jobs of kind ${kind} have a handler already`);
    const worker = new Worker(kind, handler, this.#options, this.#stop.signal);
    this.#workers.set(kind, worker);
    if (this.#started) worker.start();
  }

  /** Schedules in a commit of its own. */
  async schedule(kind: string, key: string, dueAtMs: number, payload?: Uint8Array): Promise<void> {
    await this.#options.store.commit({ schedule: [scheduleJob(kind, key, dueAtMs, payload)] });
  }

  /** What waits, for looking at. */
  list(kind: string, range?: DueRange): Promise<readonly DueEntry[]> {
    return this.#options.store.listDue(agendaPartition(kind), range);
  }

  start(): void {
    this.#started = true;
    for (const worker of this.#workers.values()) worker.start();
  }

  /** Starts no more jobs, tells those that run, and waits for them. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('the cloud is shutting down'));
    await Promise.all([...this.#workers.values()].map((worker) => worker.close()));
  }
}

class Worker {
  readonly #kind: string;
  readonly #handler: JobHandler;
  readonly #options: AgendaOptions;
  readonly #partition: Key;
  readonly #signal: AbortSignal;
  readonly #running = new Set<Promise<void>>();
  #unwatch: (() => void) | undefined;
  #timer: Timer | undefined;
  #poll: Timer | undefined;
  #claiming = false;
  #again = false;
  #loop: Promise<void> = Promise.resolve();

  constructor(kind: string, handler: JobHandler, options: AgendaOptions, signal: AbortSignal) {
    this.#kind = kind;
    this.#handler = handler;
    this.#options = options;
    this.#signal = signal;
    this.#partition = agendaPartition(kind);
  }

  start(): void {
    this.#unwatch = this.#options.store.watch(this.#partition, () => this.#wake());
    this.#wake();
  }

  async close(): Promise<void> {
    this.#unwatch?.();
    this.#timer?.cancel();
    this.#poll?.cancel();
    await this.#loop;
    await Promise.all(this.#running);
  }

  #wake(): void {
    this.#again = true;
    if (this.#claiming || this.#signal.aborted) return;
    this.#claiming = true;
    // Looking for work counts as work: virtual time must not jump over what is just being claimed.
    const idle = this.#options.clock.busy();
    this.#loop = this.#claimAll()
      .catch((error) => {
        this.#options.onError(error, { kind: this.#kind, key: '', attempt: 0 });
        this.#armPoll(firstBackoffMs);
      })
      .finally(() => {
        this.#claiming = false;
        idle();
      });
  }

  async #claimAll(): Promise<void> {
    const { store, clock } = this.#options;
    while (this.#again && !this.#signal.aborted) {
      this.#again = false;
      const room = this.#handler.concurrency - this.#running.size;
      // A run that ends wakes the worker again.
      if (room <= 0) return;
      const nowMs = clock.now();
      const claimed = await store.claim({
        partition: this.#partition,
        dueByMs: nowMs,
        untilMs: nowMs + this.#handler.leaseMs,
        limit: room,
      });
      for (const entry of claimed) this.#run(entry);
      if (claimed.length === room) continue;
      await this.#armNext();
    }
  }

  /** A timer for the earliest job, whoever holds it: a lease that ends is a job that is due. */
  async #armNext(): Promise<void> {
    const nextMs = await this.#options.store.nextDue(this.#partition);
    this.#timer?.cancel();
    this.#timer = undefined;
    if (nextMs !== undefined && !this.#signal.aborted) {
      this.#timer = this.#options.clock.at(nextMs, () => this.#wake());
    }
    if (!this.#options.store.shared) return;
    this.#armPoll(this.#options.pollMs ?? defaultPollMs);
  }

  #armPoll(delayMs: number): void {
    this.#poll?.cancel();
    if (this.#signal.aborted) return;
    const { clock } = this.#options;
    this.#poll = clock.at(clock.now() + delayMs, () => this.#wake());
  }

  #run(entry: ClaimedEntry): void {
    const idle = this.#options.clock.busy();
    const run = this.#runOne(entry).finally(() => {
      this.#running.delete(run);
      this.#wake();
      idle();
    });
    this.#running.add(run);
  }

  async #runOne(entry: ClaimedEntry): Promise<void> {
    const { store, clock, onError } = this.#options;
    const { id, token } = entry;
    const partition = this.#partition;
    const key = id.toString('utf8');
    const lost = new AbortController();
    const stop = (): void => lost.abort(this.#signal.reason);
    this.#signal.addEventListener('abort', stop, { once: true });

    const job: Job = {
      kind: this.#kind,
      key,
      payload: entry.value,
      attempt: entry.attempts,
      dueAtMs: entry.wasDueAtMs,
      done: () => ({ partition, id, token }),
      again: (dueAtMs, payload) => ({
        partition,
        id,
        token,
        dueAtMs,
        ...(payload === undefined ? {} : { value: payload }),
      }),
      signal: lost.signal,
    };

    // Renewing keeps the token: only a claim changes it, and only after the lease has run out.
    let renewal: Timer | undefined;
    const renew = (): void => {
      renewal = clock.at(clock.now() + this.#handler.leaseMs / 2, () => {
        store
          .commit({ settle: [{ partition, id, token, dueAtMs: clock.now() + this.#handler.leaseMs }] })
          .then((result) => (result.ok ? ended || renew() : lost.abort(new Error('the lease of this job was lost'))))
          .catch((error) => lost.abort(error));
      });
    };
    let ended = false;
    renew();
    try {
      await this.#handler.run(job);
    } catch (error) {
      if (!this.#signal.aborted) {
        onError(error, { kind: this.#kind, key, attempt: entry.attempts });
        await store.commit({ settle: [job.again(clock.now() + backoffMs(entry.attempts))] }).catch(() => {});
      }
    } finally {
      ended = true;
      renewal?.cancel();
      this.#signal.removeEventListener('abort', stop);
    }
  }
}

function backoffMs(attempt: number): number {
  return Math.min(longestBackoffMs, firstBackoffMs * 2 ** Math.min(attempt - 1, 20));
}

/** Throws unless the commit went through: for commits that carry no checks but a job's settlement. */
export async function commitOrLose(store: Store, commit: Commit): Promise<CommitResult & { ok: true }> {
  const result = await store.commit(commit);
  if (!result.ok) throw new Error('the commit lost against another: the job was taken over or its data changed');
  return result;
}
