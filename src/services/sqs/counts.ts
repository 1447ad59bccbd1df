import type { Clock } from '../../kernel/clock/contract.ts';
import type { Key, Store } from '../../kernel/store/contract.ts';
import { partitionsOf } from './fair.ts';
import { countDelayedInGroups, countLeased } from './fifo/counts.ts';
import { type SqsLimits, sqsLimits } from './limits.ts';
import type { Queue, Queues } from './queues.ts';

export interface MessageCounts {
  readonly visible: number;
  readonly inFlight: number;
  readonly delayed: number;
}

/** Delayed messages are told from those in flight by reading them, so many at a time. */
const pageEntries = 500;

/**
 * The exact counts behind AWS's approximate ones. The total is a counter that every commit keeps; only what is hidden now
 * is counted, and what is hidden is bounded by the limit of messages in flight. In a queue that ever saw a delayed message,
 * hidden messages of the coming 15 minutes are looked at one by one: never received means delayed.
 */
export async function countMessages(store: Store, queues: Queues, queue: Queue, nowMs: number): Promise<MessageCounts> {
  const total = await queues.total(queue);
  if (queue.config.fifo !== undefined) {
    const inFlight = await countLeased(store, queue, nowMs);
    const delayed = await countDelayedInGroups(store, queue, nowMs);
    return { visible: Math.max(0, total - inFlight - delayed), inFlight, delayed };
  }
  const hidden = await countHidden(store, queue, nowMs);
  const delayed = hidden === 0 || !queue.record.mayDelay ? 0 : await countDelayed(store, queue, nowMs);
  return { visible: Math.max(0, total - hidden), inFlight: Math.max(0, hidden - delayed), delayed };
}

/** Exact where it matters: delayed messages are only looked for when they could make the difference. */
async function countInFlight(store: Store, queue: Queue, nowMs: number, limit: number): Promise<number> {
  const hidden = await countHidden(store, queue, nowMs);
  return hidden < limit || !queue.record.mayDelay ? hidden : hidden - (await countDelayed(store, queue, nowMs));
}

async function countHidden(store: Store, queue: Queue, nowMs: number): Promise<number> {
  let hidden = 0;
  for (const partition of await partitionsOf(store, queue)) {
    hidden += await store.countDue(partition, { fromMs: nowMs + 1 });
  }
  return hidden;
}

async function countDelayed(store: Store, queue: Queue, nowMs: number): Promise<number> {
  let delayed = 0;
  for (const partition of await partitionsOf(store, queue)) delayed += await countDelayedIn(store, partition, nowMs);
  return delayed;
}

async function countDelayedIn(store: Store, partition: Key, nowMs: number): Promise<number> {
  const beforeMs = nowMs + sqsLimits.delayMs.value + 1;
  let delayed = 0;
  let after: { readonly dueAtMs: number; readonly id: Buffer } | undefined;
  for (;;) {
    const page = await store.listDue(partition, {
      fromMs: nowMs + 1,
      beforeMs,
      limit: pageEntries,
      ...(after === undefined ? {} : { after }),
    });
    for (const { attempts } of page) if (attempts === 0) delayed++;
    const last = page.at(-1);
    if (last === undefined || page.length < pageEntries) return delayed;
    after = { dueAtMs: last.dueAtMs, id: last.id };
  }
}

/**
 * Holds the limit of messages in flight without counting on every receive: after a count, what this process may have
 * claimed since is added up, and only when that could have reached the limit is it counted again.
 */
export class InFlight {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #limits: Pick<SqsLimits, 'inFlightMessages' | 'fifoInFlightMessages'>;
  /** By queue id: surely no more than so many. */
  readonly #bounds = new Map<string, number>();

  constructor(store: Store, clock: Clock, limits: Pick<SqsLimits, 'inFlightMessages' | 'fifoInFlightMessages'>) {
    this.#store = store;
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Whether no message may be received now; if one may, up to `wanted` are taken to be. */
  async isFull(queue: Queue, wanted: number): Promise<boolean> {
    const fifo = queue.config.fifo !== undefined;
    const limit = fifo ? this.#limits.fifoInFlightMessages : this.#limits.inFlightMessages;
    if (limit === Number.POSITIVE_INFINITY) return false;
    const { id } = queue.record;
    const bound = this.#bounds.get(id);
    if (bound !== undefined && bound + wanted <= limit) {
      this.#bounds.set(id, bound + wanted);
      return false;
    }
    const nowMs = this.#clock.now();
    const inFlight = fifo
      ? await countLeased(this.#store, queue, nowMs)
      : await countInFlight(this.#store, queue, nowMs, limit);
    if (inFlight >= limit) return true;
    if (this.#bounds.size > 10_000) this.#bounds.clear();
    this.#bounds.set(id, inFlight + wanted);
    return false;
  }
}
