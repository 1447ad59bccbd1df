/** A quota as named data. */
export interface Limit {
  readonly name: string;
  readonly value: number;
  /** 'requests/s', 'bytes', 'ms', … */
  readonly unit: string;
  /** Where the figure is documented. */
  readonly source: string;
  /** Whether a customer may have it raised; those are lifted by the relaxed profile. */
  readonly adjustable: boolean;
}

/** 'aws': every limit holds. 'relaxed': rates and adjustable quotas are lifted; what shapes the API (sizes, counts) stays. */
export type LimitProfile = 'aws' | 'relaxed';

/** A token bucket, refilled continuously. Amounts and rates are whatever the limit counts. */
export class TokenBucket {
  readonly #capacity: number;
  readonly #perSecond: number;
  #tokens: number;
  #atMs: number;

  constructor(capacity: number, perSecond: number, nowMs: number) {
    this.#capacity = capacity;
    this.#perSecond = perSecond;
    this.#tokens = capacity;
    this.#atMs = nowMs;
  }

  /** Takes `amount` if it is there. */
  take(amount: number, nowMs: number): boolean {
    this.#refill(nowMs);
    if (this.#tokens < amount) return false;
    this.#tokens -= amount;
    return true;
  }

  /** Takes whatever was used although it was not known before: the bucket may go below zero. */
  charge(amount: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#tokens -= amount;
  }

  /** Milliseconds until `amount` is there; infinite if the bucket can never hold it. */
  waitMs(amount: number, nowMs: number): number {
    this.#refill(nowMs);
    if (amount > this.#capacity) return Number.POSITIVE_INFINITY;
    return Math.max(0, Math.ceil(((amount - this.#tokens) / this.#perSecond) * 1000));
  }

  #refill(nowMs: number): void {
    if (nowMs <= this.#atMs) return;
    this.#tokens = Math.min(this.#capacity, this.#tokens + ((nowMs - this.#atMs) / 1000) * this.#perSecond);
    this.#atMs = nowMs;
  }
}

/** Counts what is under way at once. */
export class Gauge {
  #current = 0;
  #peak = 0;

  get current(): number {
    return this.#current;
  }

  /** The highest value so far. */
  get peak(): number {
    return this.#peak;
  }

  /** Enters unless `limit` are inside already; returns how to leave (once), or undefined. */
  enter(limit: number): (() => void) | undefined {
    if (this.#current >= limit) return undefined;
    this.#current++;
    if (this.#current > this.#peak) this.#peak = this.#current;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#current--;
    };
  }
}
