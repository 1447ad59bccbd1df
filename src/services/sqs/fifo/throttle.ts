import { TokenBucket } from '../../../kernel/limits/limits.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { Environment } from '../environment.ts';
import { highThroughputCalls } from '../limits.ts';
import type { Queue } from '../queues.ts';

/** Actions that have a rate of their own; a batch counts as one call of its action. */
export type RatedAction = 'SendMessage' | 'ReceiveMessage' | 'DeleteMessage' | 'ChangeMessageVisibility';

const mostBuckets = 20_000;

/**
 * AWS's rates of calls on FIFO queues: per queue and action, or with high throughput per queue by region and per group, which
 * lives in one of the queue's partitions. Held by each process for itself, and only while rates are on.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/high-throughput-fifo.html
 */
export class FifoRates {
  readonly #buckets = new Map<string, TokenBucket>();

  /** Throws RequestThrottled; nothing is counted then. `groups`: those that the call names. */
  admit(env: Environment, queue: Queue, action: RatedAction, groups: Iterable<string> = []): void {
    const perSecond = env.limits.fifoCalls;
    if (perSecond === Number.POSITIVE_INFINITY) return;
    const nowMs = env.platform.clock.now();
    const { id, region } = queue.record;
    const high = queue.config.fifo?.perGroup === true;
    const wanted = [this.#bucket(`${action}\n${id}`, high ? highThroughputCalls(region) : perSecond, nowMs)];
    if (high) {
      for (const group of new Set(groups)) wanted.push(this.#bucket(`${action}\n${id}\n${group}`, perSecond, nowMs));
    }
    if (wanted.some((bucket) => bucket.waitMs(1, nowMs) > 0)) {
      throw new AwsError('RequestThrottled', 'The request was denied due to request throttling.', { status: 403 });
    }
    for (const bucket of wanted) bucket.take(1, nowMs);
  }

  #bucket(of: string, perSecond: number, nowMs: number): TokenBucket {
    // With another rate, by another setting of the queue, it is another bucket.
    const name = `${perSecond}\n${of}`;
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      // A bucket that nobody asked for a second is full again: forgetting all of them now and then gives a second's rate anew.
      if (this.#buckets.size >= mostBuckets) this.#buckets.clear();
      bucket = new TokenBucket(perSecond, perSecond, nowMs);
      this.#buckets.set(name, bucket);
    }
    return bucket;
  }
}
