/**
 * Throttling: how on-demand tables scale, and AWS's refusals. Developer guide "On-demand capacity mode" (initial throughput,
 * scaling), "Troubleshooting throttling" (reasons and texts).
 */
import { TokenBucket } from '../../../kernel/limits/limits.ts';
import { RuleError } from './errors.ts';

export type Direction = 'Read' | 'Write';

/** The last part of a ThrottlingReason's `reason`. */
export type Exceeded = 'ProvisionedThroughputExceeded' | 'KeyRangeThroughputExceeded' | 'MaxOnDemandThroughputExceeded';

/** What an on-demand table takes: twice the highest rate it had before the last half hour, and no less than a new table. */
export class OnDemandRate {
  readonly #settings: OnDemandSettings;
  #limit: number;
  #bucket: TokenBucket;
  #windowFromMs: number;
  #windowPeak = 0;
  #secondFromMs: number;
  #secondUnits = 0;

  constructor(settings: OnDemandSettings, nowMs: number) {
    this.#settings = settings;
    this.#limit = settings.initial;
    this.#bucket = this.#newBucket(nowMs);
    this.#windowFromMs = nowMs;
    this.#secondFromMs = nowMs;
  }

  isExhausted(nowMs: number): boolean {
    return this.#bucket.waitMs(1, nowMs) > 0;
  }

  charge(units: number, nowMs: number): void {
    if (nowMs - this.#secondFromMs >= 1000) {
      this.#windowPeak = Math.max(this.#windowPeak, this.#secondUnits);
      this.#secondUnits = 0;
      this.#secondFromMs = nowMs;
      if (nowMs - this.#windowFromMs >= this.#settings.growthMs) this.#grow(nowMs);
    }
    this.#secondUnits += units;
    this.#bucket.charge(units, nowMs);
  }

  #grow(nowMs: number): void {
    const limit = Math.max(this.#limit, 2 * this.#windowPeak);
    this.#windowPeak = 0;
    this.#windowFromMs = nowMs;
    if (limit === this.#limit) return;
    this.#limit = limit;
    this.#bucket = this.#newBucket(nowMs);
  }

  #newBucket(nowMs: number): TokenBucket {
    return new TokenBucket(this.#limit * this.#settings.burstSeconds, this.#limit, nowMs);
  }
}

interface OnDemandSettings {
  /** Units per second of a new table. */
  readonly initial: number;
  readonly growthMs: number;
  readonly burstSeconds: number;
}

const PROVISIONED_TABLE =
  'The level of configured provisioned throughput for the table was exceeded. ' +
  'Consider increasing your provisioning level with the UpdateTable API.';
const PROVISIONED_INDEX =
  'The level of configured provisioned throughput for one or more global secondary indexes of the table was exceeded. ' +
  'Consider increasing your provisioning level for the under-provisioned global secondary indexes with the UpdateTable API';
const HOT_KEY =
  'Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or index so ' +
  'please try again shortly. If exceptions persist, check if you have a hot key: ' +
  'https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html';
const MAXIMUM = 'Throughput exceeds the maximum OnDemandThroughput configured on table or index';

/** The refusal of a request for want of throughput; `resource`: the ARN of what has none left. */
export function throttled(
  billingMode: 'PROVISIONED' | 'PAY_PER_REQUEST',
  kind: 'Table' | 'Index',
  direction: Direction,
  exceeded: Exceeded,
  resource: string,
): RuleError {
  const reasons = [{ reason: `${kind}${direction}${exceeded}`, resource }];
  if (billingMode === 'PROVISIONED') {
    const message = kind === 'Table' ? PROVISIONED_TABLE : PROVISIONED_INDEX;
    return new RuleError(message, 'ProvisionedThroughputExceededException', { ThrottlingReasons: reasons });
  }
  const message = exceeded === 'MaxOnDemandThroughputExceeded' ? MAXIMUM : HOT_KEY;
  return new RuleError(message, 'ThrottlingException', { throttlingReasons: reasons });
}

/** Whether a request was refused for want of throughput. */
export function isThrottled(error: unknown): error is RuleError {
  return (
    error instanceof RuleError &&
    (error.code === 'ProvisionedThroughputExceededException' || error.code === 'ThrottlingException')
  );
}
