import type { RequestContext } from '../../../platform/context.ts';
import type { AwsError } from '../../../wire/errors.ts';
import { type Environment, onQueue } from '../environment.ts';
import { invalidReceiptHandle, invalidValue } from '../errors.ts';
import type { ReceiptHandle } from '../handles.ts';
import type { SqsLimits } from '../limits.ts';
import { holds } from '../rules/fifo.ts';
import { visibilityBeyondLimit } from '../rules/receive.ts';
import { commitEdits, editGroup, type GroupEdit, lockName } from './group-edit.ts';
import { decodeEntryId } from './handle.ts';

/** A handle as it was given, read, and where its message is. */
interface GroupHandle {
  readonly text: string;
  readonly handle: ReceiptHandle;
  readonly group: string;
  readonly sequence: number;
}

/** Throws ReceiptHandleIsInvalid for a handle that names no message of a group. */
export function groupHandle(text: string, handle: ReceiptHandle): GroupHandle {
  const named = decodeEntryId(handle.entryId);
  if (named === undefined) throw invalidReceiptHandle(text);
  return { text, handle, ...named };
}

/** What is to become of a message in flight. */
export interface GroupSettlement extends GroupHandle {
  /** For so long it stays hidden from now on; undefined: it is deleted. */
  readonly hideSeconds: number | undefined;
}

/**
 * Deletes or hides messages of one group, in one commit. Unlike on a standard queue, a handle is good only while its message is
 * in flight by it. Answers for each what is wrong with it, if anything: a message that is gone already counts as deleted.
 */
export async function settleInGroup(
  env: Environment,
  context: RequestContext,
  queueUrl: string | undefined,
  settlements: readonly GroupSettlement[],
): Promise<readonly (AwsError | undefined)[]> {
  const { group } = settlements[0]!;
  const { store, clock } = env.platform;
  const first = await env.queues.require(context, queueUrl);
  const letGo = await env.groupLocks.lock(lockName(first, group));
  try {
    return await onQueue(env, context, queueUrl, async (queue) => {
      const edit = await editGroup(env, queue, group);
      const nowMs = clock.now();
      const outcomes = settlements.map((one) => settle(edit, one, nowMs, env.limits));
      if (outcomes.every((outcome) => outcome !== 'settled')) return outcomes.map(errorOf);
      await edit.settleDue(store, nowMs);
      return (await commitEdits(env, [edit])) ? outcomes.map(errorOf) : undefined;
    });
  } finally {
    letGo();
  }
}

type Outcome = AwsError | 'settled' | 'gone';

function settle(edit: GroupEdit, one: GroupSettlement, nowMs: number, limits: SqsLimits): Outcome {
  const { text, handle, sequence, hideSeconds } = one;
  const current = handle.generation === edit.queue.record.generation;
  const lease = current ? edit.leases.find((other) => other.sequence === sequence) : undefined;
  if (lease === undefined) {
    if (hideSeconds === undefined) return 'gone';
    const reason = 'Message does not exist or is not available for visibility timeout change.';
    return invalidValue(text, 'ReceiptHandle', reason);
  }
  if (!holds(lease, handle.token, nowMs)) {
    return invalidValue(text, 'ReceiptHandle', 'The receipt handle has expired.');
  }
  if (hideSeconds === undefined) {
    edit.remove(sequence);
    return 'settled';
  }
  const untilMs = nowMs + hideSeconds * 1000;
  if (untilMs > lease.receivedAtMs + limits.visibilityMs) return visibilityBeyondLimit(hideSeconds, limits);
  edit.lease({ ...lease, untilMs, changed: true });
  return 'settled';
}

function errorOf(outcome: Outcome): AwsError | undefined {
  return typeof outcome === 'string' ? undefined : outcome;
}
