import type { Clock, Timer } from './contract.ts';

/** setTimeout holds 31 bits of milliseconds; longer waits are taken in pieces. */
const longestTimeoutMs = 2 ** 31 - 1;

/**
 * The clock of the wall, shifted by `offsetMs` (against a database's clock) and never running backwards: not within
 * the process and, by `notBeforeMs`, not behind a time that was persisted before.
 */
export class WallClock implements Clock {
  #offsetMs: number;
  #latestMs: number;

  constructor(options: { offsetMs?: number; notBeforeMs?: number } = {}) {
    this.#offsetMs = options.offsetMs ?? 0;
    this.#latestMs = options.notBeforeMs ?? 0;
  }

  /** Follows another clock, such as that of a shared database: cloud time is the wall's plus this. */
  shift(offsetMs: number): void {
    this.#offsetMs = offsetMs;
  }

  now(): number {
    const nowMs = Math.trunc(Date.now() + this.#offsetMs);
    if (nowMs > this.#latestMs) this.#latestMs = nowMs;
    return this.#latestMs;
  }

  elapsed(): number {
    return performance.now();
  }

  at(dueAtMs: number, callback: () => void): Timer {
    let timeout: NodeJS.Timeout;
    const arm = (): void => {
      const waitMs = Math.max(0, dueAtMs - this.now());
      timeout = setTimeout(
        () => {
          // A timeout may fire a fraction early; a callback must never see a time before the one it asked for.
          if (this.now() < dueAtMs) arm();
          else callback();
        },
        Math.min(waitMs, longestTimeoutMs),
      );
    };
    arm();
    return { cancel: () => clearTimeout(timeout) };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal);
  }

  busy(): () => void {
    return doNothing;
  }
}

/** What the wall says, whatever cloud time is: for judging signatures made by other clocks. */
export function wallNow(): number {
  return Date.now();
}

let dateSecond = -1;
let dateText = '';

/** The wall's time as HTTP writes it, made once a second. */
export function httpDate(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}

const doNothing = (): void => {};

/** The one implementation of `sleep`, on any clock's `at`. */
export function sleepOn(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.at(clock.now() + delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
