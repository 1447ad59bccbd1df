/** Cloud time. The only source of time for everything outside `kernel/`. */
export interface Clock {
  /** Milliseconds since the Unix epoch, in cloud time; whole, and never smaller than an earlier answer. */
  now(): number;

  /**
   * Calls `callback` once, when cloud time has reached `dueAtMs` (epoch milliseconds); at the next turn if that is past.
   * A timer is a hint that something may be due, never the record of it: what must survive a crash stands in the agenda.
   */
  at(dueAtMs: number, callback: () => void): Timer;

  /** Resolves when cloud time has moved on by `delayMs`; rejects with the signal's reason if it aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;

  /**
   * Marks work under way (an operation, a sandbox, a due job). Virtual time flows at real speed while there is any and
   * jumps only when there is none. Returns the function that ends the work; calling it twice does no harm.
   */
  busy(): () => void;

  /** Monotonic real milliseconds with fractions, for measuring durations only. */
  elapsed(): number;
}

export interface Timer {
  cancel(): void;
}

/** What `unkai clock` and tests steer; only the virtual clock has it. */
export interface VirtualClockControl {
  status(): ClockStatus;
  /** Time stands still whenever the cloud is idle. */
  freeze(): void;
  /** Time flows at real speed from where it stands. */
  resume(): void;
  /**
   * Moves cloud time on by `durationMs`, stopping at every moment at which something is due until that has settled.
   * Resolves when all that became due has settled.
   */
  advance(durationMs: number, options?: AdvanceOptions): Promise<AdvanceResult>;
  /** Like advance, to the epoch millisecond given; refuses to go back. */
  set(epochMs: number, options?: AdvanceOptions): Promise<AdvanceResult>;
}

export interface AdvanceOptions {
  /** Jumps at most, before giving up (default 100,000): a schedule that feeds itself must not hang its caller. */
  readonly maxSteps?: number;
}

export interface AdvanceResult {
  readonly nowMs: number;
  readonly steps: number;
  /** False when `maxSteps` ran out before the target was reached. */
  readonly reached: boolean;
}

export interface ClockStatus {
  readonly kind: 'wall' | 'virtual';
  readonly nowMs: number;
  readonly mode: 'flowing' | 'frozen';
  /** Pieces of work under way. */
  readonly busy: number;
  /** The next moment that a timer waits for, if any. */
  readonly nextDueMs: number | undefined;
}
