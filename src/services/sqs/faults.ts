import type { Faults } from '../../kernel/faults/faults.ts';
import type { DueEntry } from '../../kernel/store/contract.ts';
import type { Environment } from './environment.ts';
import { partitionOf, tenantEntryId } from './fair.ts';
import { decodeMessage, withExtras } from './message.ts';
import type { Queue } from './queues.ts';
import { type ClaimedMessage, receiveCount } from './rules/receive.ts';

/** What a standard queue may do and rarely does. The scope is the queue's ARN; the rate, the share of its messages. */
export function declareFaults(faults: Faults): void {
  faults.declare({
    name: 'sqs.duplicate',
    description: 'a message is delivered once more: beside its first delivery, or after it was deleted',
  });
  faults.declare({ name: 'sqs.reorder', description: 'a message overtakes those sent in the minute before it' });
  faults.declare({ name: 'sqs.empty-receive', description: 'a short poll finds nothing although there are messages' });
}

/**
 * Puts a second copy of first-delivered messages that are struck into the queue: visible at once, with a receipt of its
 * own. A message is doubled once at most, and so is its copy never.
 */
export async function duplicateOnReceive(
  env: Environment,
  queue: Queue,
  delivered: readonly ClaimedMessage[],
  nowMs: number,
): Promise<void> {
  for (const claimed of delivered) {
    const { entry, message } = claimed;
    const { messageId, extras } = message;
    if (extras.duplicated || receiveCount(claimed) !== 1 || doubledWhenDeleted(messageId)) continue;
    if (!env.platform.faults.strikes('sqs.duplicate', queue.arn)) continue;
    const { id, token, dueAtMs, firstClaimedAtMs } = entry;
    // A lost commit means that someone else has the message already: then it is delivered twice anyway.
    await env.platform.store.commit({
      settle: [
        {
          partition: partitionOf(queue, id),
          id,
          token,
          dueAtMs,
          value: withExtras(message, { ...extras, duplicated: true }),
        },
      ],
      schedule: [
        {
          partition: queue.partition,
          id: tenantEntryId(env.entryIds.next(nowMs, messageId), extras.groupId, false),
          dueAtMs: nowMs,
          value: withExtras(message, {
            ...extras,
            duplicated: true,
            receivedBefore: receiveCount(claimed),
            firstReceivedAtMs: firstClaimedAtMs,
          }),
        },
      ],
      sum: [{ key: env.queues.counter(queue), delta: 1 }],
    });
  }
}

/**
 * Whether a message about to be deleted is struck; then it has come back instead, as a new delivery with the count going on,
 * and the deletion counts as done.
 */
export async function duplicateOnDelete(env: Environment, queue: Queue, entry: DueEntry): Promise<boolean> {
  const { faults, store, clock } = env.platform;
  const message = decodeMessage(entry.value);
  const { messageId, extras } = message;
  if (extras.duplicated || !doubledWhenDeleted(messageId) || entry.token === undefined) return false;
  if (!faults.strikes('sqs.duplicate', queue.arn)) return false;
  const nowMs = clock.now();
  const value = withExtras(message, {
    ...extras,
    duplicated: true,
    receivedBefore: receiveCount({ entry, message }),
    firstReceivedAtMs: extras.firstReceivedAtMs ?? entry.firstClaimedAtMs ?? nowMs,
  });
  const result = await store.commit({
    settle: [{ partition: partitionOf(queue, entry.id), id: entry.id, token: entry.token }],
    schedule: [
      {
        partition: queue.partition,
        id: tenantEntryId(env.entryIds.next(nowMs, messageId), message.extras.groupId, false),
        dueAtMs: nowMs,
        value,
      },
    ],
  });
  return result.ok;
}

/** Each message has one chance: half of them when first received, half when deleted. */
function doubledWhenDeleted(messageId: string): boolean {
  return (Number.parseInt(messageId.at(-1)!, 16) & 1) === 1;
}
