import type { Key, KeyRange, Store } from '../../../kernel/store/contract.ts';
import { nextKey, prefixRange } from '../../../kernel/store/keys.ts';
import { sentAtOf } from '../message.ts';
import type { Queue } from '../queues.ts';
import { decodeRecord, fifoMessagesOf, type GroupTail, type Lease, leaseKey, leasesOf, tailsOf } from '../state.ts';
import { groupOf, sequenceOf } from './group-edit.ts';

const pageEntries = 500;

/** Messages of a FIFO queue that are in flight: its leases tell, of which there are few. */
export async function countLeased(store: Store, queue: Queue, nowMs: number): Promise<number> {
  const { id, generation } = queue.record;
  let inFlight = 0;
  for await (const { value } of pages(store, prefixRange(leasesOf(id, generation)))) {
    for (const { untilMs } of decodeRecord<readonly Lease[]>(value)) if (untilMs > nowMs) inFlight++;
  }
  return inFlight;
}

/**
 * Messages of a FIFO queue that are still delayed: in each group the newest ones, back to the first that is not. A queue
 * without a delay has none; that of a queue which has one is short.
 */
export async function countDelayedInGroups(store: Store, queue: Queue, nowMs: number): Promise<number> {
  const { delayMs } = queue.config;
  if (delayMs === 0) return 0;
  const { id, generation } = queue.record;
  let delayed = 0;
  for await (const { key, value } of pages(store, prefixRange(tailsOf(id, generation)))) {
    if (decodeRecord<GroupTail>(value).newestMs + delayMs <= nowMs) continue;
    const group = groupOf(key);
    const leases = await store.get(leaseKey(id, generation, group));
    const received = leases === undefined ? 0 : decodeRecord<readonly Lease[]>(leases.value).at(-1)!.sequence;
    for await (const one of pages(store, prefixRange(fifoMessagesOf(id, generation, group)), true)) {
      if (sentAtOf(one.value) + delayMs <= nowMs || sequenceOf(one.key) <= received) break;
      delayed++;
    }
  }
  return delayed;
}

/** The entries of a range, some at a time, so that counting many takes little memory. */
export async function* pages(
  store: Store,
  range: KeyRange,
  reverse = false,
): AsyncGenerator<{ readonly key: Key; readonly value: Buffer }> {
  let { start, end } = range;
  for (;;) {
    const page = await store.list({ start, end }, { limit: pageEntries, maxBytes: 1_048_576, reverse });
    yield* page;
    const last = page.at(-1);
    if (last === undefined) return;
    if (reverse) end = last.key;
    else start = nextKey(last.key);
  }
}
