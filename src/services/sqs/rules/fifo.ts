import { hash } from 'node:crypto';
import { invalidParameter, invalidValue, missingParameter } from '../errors.ts';
import type { Lease } from '../state.ts';
import type { FifoConfig } from './attributes.ts';
import { checkFifoId } from './messages.ts';
import { isExpired } from './receive.ts';

/** What a receive does with a group, from its first message on. */
export type Step = 'deliver' | 'expired' | 'dead' | 'stop';

/**
 * What becomes of a group's next message. A group gives its messages in order up to the first that is in flight or delayed:
 * so one that is visible again comes even while later ones are in flight, and no message comes while an earlier one is.
 * (LocalStack's tests against AWS: test_fifo_group_visibility_extends_with_change_message_visibility and its neighbours.)
 */
export function stepOf(
  message: { readonly sentAtMs: number },
  lease: Lease | undefined,
  nowMs: number,
  queue: { readonly delayMs: number; readonly retentionMs: number; readonly maxReceiveCount: number | undefined },
): Step {
  if (lease !== undefined && lease.untilMs > nowMs) return 'stop';
  if (isExpired(message.sentAtMs, nowMs, queue.retentionMs)) return 'expired';
  // What was received once is not delayed again, also by a delay that was made longer since.
  if (lease === undefined && message.sentAtMs + queue.delayMs > nowMs) return 'stop';
  if (queue.maxReceiveCount !== undefined && (lease?.receives ?? 0) >= queue.maxReceiveCount) return 'dead';
  return 'deliver';
}

/** The lease of a message that is received now. */
export function leaseAfter(before: Lease | undefined, sequence: number, nowMs: number, visibilityMs: number): Lease {
  return {
    sequence,
    receives: (before?.receives ?? 0) + 1,
    firstMs: before?.firstMs ?? nowMs,
    receivedAtMs: nowMs,
    untilMs: nowMs + visibilityMs,
  };
}

/** A handle stands for a receipt until the message is visible again. */
export function holds(lease: Lease, receives: number, nowMs: number): boolean {
  return lease.receives === receives && lease.untilMs > nowMs;
}

/** Parameters that a FIFO queue asks for or does not take; a batch is refused as a whole (LocalStack's snapshots). */
export function checkFifoMessage(
  input: {
    readonly MessageGroupId?: string | undefined;
    readonly MessageDeduplicationId?: string | undefined;
    readonly DelaySeconds?: number | undefined;
  },
  config: FifoConfig,
  inBatch: boolean,
): void {
  const { MessageGroupId: group, MessageDeduplicationId: id } = input;
  if (group === undefined) {
    if (inBatch) throw invalidParameter('The request must contain the parameter MessageGroupId.');
    throw missingParameter('MessageGroupId');
  }
  if (id === undefined && !config.contentBased) {
    throw invalidParameter(
      'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
    );
  }
}

/** In a batch these concern the entry alone. A delay of zero is taken, and the queue's own holds. */
export function checkFifoIds(input: Parameters<typeof checkFifoMessage>[0]): void {
  if (input.MessageGroupId !== undefined) checkFifoId(input.MessageGroupId, 'MessageGroupId');
  if (input.MessageDeduplicationId !== undefined) checkFifoId(input.MessageDeduplicationId, 'MessageDeduplicationId');
  if (input.DelaySeconds !== undefined && input.DelaySeconds !== 0) {
    const reason = 'The request include parameter that is not valid for this queue type.';
    throw invalidValue(input.DelaySeconds, 'DelaySeconds', reason);
  }
}

/** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/using-messagededuplicationid-property.html */
export function deduplicationIdOf(body: string): string {
  return hash('sha256', body, 'hex');
}

/** By what a message is known as a duplicate: its deduplication id, among the queue's or its group's. */
export function deduplicationHash(config: FifoConfig, group: string, deduplicationId: string): Buffer {
  return hashOf(config.scope === 'queue' ? `q${deduplicationId}` : `g${group}\n${deduplicationId}`);
}

export function hashOf(text: string): Buffer {
  return hash('sha256', text, 'buffer').subarray(0, 16);
}
