import type { AdvanceOptions, AdvanceResult, Clock, ClockStatus, Timer, VirtualClockControl } from './contract.ts';
import { sleepOn } from './wall.ts';

const defaultMaxSteps = 100_000;
/** Turns of the event loop without new work after which the cloud counts as quiescent. */
const settlingTurns = 6;
const longestTimeoutMs = 2 ** 31 - 1;

interface Waiter {
  readonly dueAtMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/**
 * Time under control. While work is under way it flows at real speed, so that a function's own back-off, token buckets
 * and deadlines agree; idle and frozen it stands; `advance` jumps from due moment to due moment.
 */
export class VirtualClock implements Clock, VirtualClockControl {
  /** Cloud time at the moment `#anchorReal` of the monotonic clock. */
  #anchorMs: number;
  #anchorReal: number;
  #mode: 'flowing' | 'frozen' = 'frozen';
  #busy = 0;
  #order = 0;
  #waiters: Waiter[] = [];
  #timeout: NodeJS.Timeout | undefined;
  #advancing: Promise<unknown> = Promise.resolve();
  /** Called after every advance. */
  onAdvanced: (() => void) | undefined;

  constructor(startMs: number = Date.now()) {
    this.#anchorMs = Math.trunc(startMs);
    this.#anchorReal = performance.now();
  }

  now(): number {
    if (!this.#flows()) return this.#anchorMs;
    return Math.trunc(this.#anchorMs + (performance.now() - this.#anchorReal));
  }

  elapsed(): number {
    return performance.now();
  }

  at(dueAtMs: number, callback: () => void): Timer {
    const waiter: Waiter = { dueAtMs, order: this.#order++, callback };
    insertWaiter(this.#waiters, waiter);
    this.#arm();
    return {
      cancel: () => {
        const index = this.#waiters.indexOf(waiter);
        if (index < 0) return;
        this.#waiters.splice(index, 1);
        // A timeout left behind would keep a process that has ended its work alive.
        if (index === 0) this.#arm();
      },
    };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal);
  }

  busy(): () => void {
    if (this.#busy === 0) this.#reanchor(() => this.#busy++);
    else this.#busy++;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      if (this.#busy === 1) this.#reanchor(() => this.#busy--);
      else this.#busy--;
    };
  }

  status(): ClockStatus {
    return {
      kind: 'virtual',
      nowMs: this.now(),
      mode: this.#mode,
      busy: this.#busy,
      nextDueMs: this.#waiters[0]?.dueAtMs,
    };
  }

  freeze(): void {
    this.#reanchor(() => {
      this.#mode = 'frozen';
    });
  }

  resume(): void {
    this.#reanchor(() => {
      this.#mode = 'flowing';
    });
  }

  advance(durationMs: number, options?: AdvanceOptions): Promise<AdvanceResult> {
    if (!(durationMs >= 0)) throw new RangeError(`a clock advances by a duration of 0 ms or more, not ${durationMs}`);
    return this.#queue(() => this.#advanceTo(this.now() + durationMs, options));
  }

  set(epochMs: number, options?: AdvanceOptions): Promise<AdvanceResult> {
    if (!(epochMs >= this.now())) {
      throw new RangeError(
        `cloud time never runs backwards: it is ${new Date(this.now()).toISOString()}, later than what was asked for`,
      );
    }
    return this.#queue(() => this.#advanceTo(epochMs, options));
  }

  /** One advance at a time, in the order asked for. */
  #queue<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#advancing.then(run, run);
    this.#advancing = result.then(() => this.onAdvanced?.()).catch(() => {});
    return result;
  }

  async #advanceTo(targetMs: number, options?: AdvanceOptions): Promise<AdvanceResult> {
    const maxSteps = options?.maxSteps ?? defaultMaxSteps;
    let steps = 0;
    for (;;) {
      await this.#quiescent();
      const nextMs = this.#waiters[0]?.dueAtMs ?? Number.POSITIVE_INFINITY;
      if (nextMs > targetMs) break;
      if (steps === maxSteps) return { nowMs: this.now(), steps, reached: false };
      steps++;
      this.#jump(nextMs);
      this.#fireDue();
    }
    this.#jump(targetMs);
    return { nowMs: this.now(), steps, reached: true };
  }

  /** Work may be on its way through promises and I/O callbacks before it calls `busy`; hence several turns. */
  async #quiescent(): Promise<void> {
    let quietTurns = 0;
    while (quietTurns < settlingTurns) {
      await new Promise<void>((resolve) => {
        if (this.#busy > 0) setTimeout(resolve, 1);
        else setImmediate(resolve);
      });
      quietTurns = this.#busy === 0 ? quietTurns + 1 : 0;
    }
  }

  #flows(): boolean {
    return this.#mode === 'flowing' || this.#busy > 0;
  }

  #jump(toMs: number): void {
    const nowMs = this.now();
    this.#anchorMs = Math.max(nowMs, Math.trunc(toMs));
    this.#anchorReal = performance.now();
  }

  #reanchor(change: () => void): void {
    const nowMs = this.now();
    change();
    this.#anchorMs = nowMs;
    this.#anchorReal = performance.now();
    this.#arm();
  }

  /** While time flows, the earliest waiter is served by one real timeout. */
  #arm(): void {
    clearTimeout(this.#timeout);
    const next = this.#waiters[0];
    if (next === undefined) return;
    const waitMs = next.dueAtMs - this.now();
    if (waitMs > 0 && !this.#flows()) return;
    this.#timeout = setTimeout(() => this.#fireDue(), Math.min(Math.max(0, waitMs), longestTimeoutMs));
  }

  #fireDue(): void {
    const nowMs = this.now();
    for (let next = this.#waiters[0]; next !== undefined && next.dueAtMs <= nowMs; next = this.#waiters[0]) {
      this.#waiters.shift();
      next.callback();
    }
    this.#arm();
  }
}

function insertWaiter(waiters: Waiter[], waiter: Waiter): void {
  let low = 0;
  let high = waiters.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = waiters[middle]!;
    if (other.dueAtMs < waiter.dueAtMs || (other.dueAtMs === waiter.dueAtMs && other.order < waiter.order))
      low = middle + 1;
    else high = middle;
  }
  waiters.splice(low, 0, waiter);
}
