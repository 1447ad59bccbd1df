import {
  type ClaimedEntry,
  type ClaimRequest,
  type Commit,
  type CommitResult,
  counterBytes,
  counterValue,
  type Key,
} from '../contract.ts';
import { DueOverlay } from './due-overlay.ts';
import type { Environment } from './environment.ts';
import { decodeHead, encodeHead, KeyWriter, type LogHead, space } from './layout.ts';

/** A key as the batch leaves it. */
interface PendingKey {
  readonly key: Key;
  value: Uint8Array | undefined;
  /** Set while the latest write was a sum: the bytes are made once, when the batch is written. */
  counter: number | undefined;
  version: number;
}

interface PendingLog {
  readonly log: Key;
  readonly stored: LogHead | undefined;
  next: number;
  first: number;
  /** From position `next - values.length`. */
  readonly values: Uint8Array[];
  touched: boolean;
}

/** Entries of a trimmed log that one batch removes; the rest waits for the next ones. */
const sweptPerBatch = 1000;

/**
 * Commits and claims that become one LMDB transaction. Each is judged and applied in turn over what the store holds and
 * what the ones before it have changed, in memory; `write` then puts the outcome, each record once however often it was
 * changed. So a commit that fails has touched nothing, and LMDB's own thread does all the writing.
 */
export class Batch {
  readonly #environment: Environment;
  readonly #generation: number;
  readonly #keys = new Map<string, PendingKey>();
  readonly #logs = new Map<string, PendingLog>();
  readonly #due: DueOverlay;
  readonly #key = new KeyWriter();
  /** The latest version given out. */
  version: number;
  /** Whether there is anything to write. */
  dirty = false;

  constructor(environment: Environment, generation: number, version: number) {
    this.#environment = environment;
    this.#generation = generation;
    this.version = version;
    this.#due = new DueOverlay(environment, generation);
  }

  commit(commit: Commit): CommitResult {
    const { checks, settle } = commit;
    if (checks !== undefined) {
      for (let check = 0; check < checks.length; check++) {
        const { key, version } = checks[check]!;
        if (this.#version(key) !== version) return { ok: false, conflict: { check } };
      }
    }
    if (settle !== undefined) {
      for (let index = 0; index < settle.length; index++) {
        const { partition, id, token } = settle[index]!;
        if (token !== undefined && this.#due.token(partition, id) !== token) {
          return { ok: false, conflict: { settle: index } };
        }
      }
    }
    return { ok: true, version: ++this.version, positions: this.#apply(commit, this.version) };
  }

  claim(request: ClaimRequest): ClaimedEntry[] {
    const claimed = this.#due.claim(request, this.version + 1);
    if (claimed.length === 0) return claimed;
    this.version++;
    this.dirty = true;
    return claimed;
  }

  /** Only inside `Environment.write`. Returns the logs of which trimmed entries are left to remove. */
  write(): Key[] {
    const environment = this.#environment;
    const generation = this.#generation;
    for (const { key, value, counter, version } of this.#keys.values()) {
      const bytes = counter === undefined ? value : counterBytes(counter);
      if (bytes === undefined) environment.remove(this.#key.key(generation, key));
      else environment.put(this.#key.key(generation, key), bytes, version);
    }
    this.#due.write();
    const unswept: Key[] = [];
    for (const log of this.#logs.values()) {
      if (log.touched && !this.#writeLog(log)) unswept.push(log.log);
    }
    return unswept;
  }

  touched(visit: (key: Key) => void): void {
    for (const { key } of this.#keys.values()) visit(key);
    for (const { log } of this.#logs.values()) visit(log);
    this.#due.touchedPartitions(visit);
  }

  #apply(commit: Commit, version: number): readonly number[] {
    const { set, sum, append, trim, schedule, settle } = commit;
    this.dirty = true;
    if (set !== undefined) {
      for (const { key, value } of set) this.#write(key, value, undefined, version);
    }
    if (commit.delete !== undefined) {
      for (const key of commit.delete) this.#write(key, undefined, undefined, version);
    }
    if (sum !== undefined) {
      for (const { key, delta } of sum) this.#write(key, undefined, this.#counter(key) + delta, version);
    }
    const positions = append === undefined || append.length === 0 ? noPositions : this.#append(append);
    if (trim !== undefined) {
      for (const { log, before } of trim) {
        const pending = this.#log(log);
        pending.first = Math.min(Math.max(pending.first, before), pending.next);
        pending.touched = true;
      }
    }
    if (schedule !== undefined) {
      for (const { partition, id, dueAtMs, value } of schedule) this.#due.schedule(partition, id, dueAtMs, value);
    }
    if (settle !== undefined) {
      for (const { partition, id, dueAtMs, value } of settle) this.#due.settle(partition, id, dueAtMs, value);
    }
    return positions;
  }

  #write(key: Key, value: Uint8Array | undefined, counter: number | undefined, version: number): void {
    const name = key.toString('latin1');
    const pending = this.#keys.get(name);
    if (pending === undefined) {
      this.#keys.set(name, { key, value, counter, version });
      return;
    }
    pending.value = value;
    pending.counter = counter;
    pending.version = version;
  }

  #version(key: Key): number | null {
    const pending = this.#keys.size === 0 ? undefined : this.#keys.get(key.toString('latin1'));
    if (pending !== undefined) {
      return pending.value === undefined && pending.counter === undefined ? null : pending.version;
    }
    return this.#environment.version(this.#key.key(this.#generation, key)) ?? null;
  }

  #counter(key: Key): number {
    const pending = this.#keys.get(key.toString('latin1'));
    if (pending !== undefined) return pending.counter ?? counterValue(pending.value);
    return counterValue(this.#environment.get(this.#key.key(this.#generation, key))?.value);
  }

  #append(append: NonNullable<Commit['append']>): number[] {
    return append.map(({ log, value }) => {
      const pending = this.#log(log);
      pending.values.push(value);
      pending.touched = true;
      return pending.next++;
    });
  }

  #log(log: Key): PendingLog {
    const name = log.toString('latin1');
    let found = this.#logs.get(name);
    if (found === undefined) {
      const stored = readHead(this.#environment, this.#key, this.#generation, log);
      found = { log, stored, next: stored?.next ?? 1, first: stored?.first ?? 1, values: [], touched: false };
      this.#logs.set(name, found);
    }
    return found;
  }

  /** Returns false when trimmed entries are left. */
  #writeLog({ log, stored, next, first, values }: PendingLog): boolean {
    const environment = this.#environment;
    const generation = this.#generation;
    const begin = next - values.length;
    for (let index = Math.max(0, first - begin); index < values.length; index++) {
      environment.put(this.#key.log(generation, log, begin + index), values[index]!, 0);
    }
    // Entries of this batch that it trimmed itself were never written.
    const writtenEnd = Math.min(first, begin);
    let swept = stored?.swept ?? 1;
    const end = Math.min(writtenEnd, swept + sweptPerBatch);
    for (; swept < end; swept++) environment.remove(this.#key.log(generation, log, swept));
    const done = swept >= writtenEnd;
    if (done) swept = first;
    environment.put(this.#key.scope(generation, space.head, log), encodeHead({ next, first, swept }), 0);
    return done;
  }
}

const noPositions: readonly number[] = [];

export function readHead(
  environment: Environment,
  key: KeyWriter,
  generation: number,
  log: Key,
  transaction?: Parameters<Environment['get']>[1],
): LogHead | undefined {
  const found = environment.get(key.scope(generation, space.head, log), transaction);
  return found === undefined ? undefined : decodeHead(found.value);
}
