import type { RequestContext } from '../../../platform/context.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { BatchResultErrorEntry } from '../../../wire/types/sqs.ts';
import { type Environment, onQueue } from '../environment.ts';
import { batchFailure, invalidReceiptHandle, invalidValue, missingParameter } from '../errors.ts';
import { partitionOf } from '../fair.ts';
import { duplicateOnDelete } from '../faults.ts';
import { type GroupSettlement, groupHandle, settleInGroup } from '../fifo/settle.ts';
import { decodeReceiptHandle, type ReceiptHandle } from '../handles.ts';
import type { Queue } from '../queues.ts';
import { batchResult, checkBatch, groupBy } from '../rules/batches.ts';
import { checkVisibility, visibilityBeyondLimit } from '../rules/receive.ts';

const done = Object.freeze({});

/** What a receiver does with a message it has: delete it, or change when it becomes visible again. */
export function settleOperations(
  env: Environment,
): Pick<
  Handlers<'sqs'>,
  'DeleteMessage' | 'DeleteMessageBatch' | 'ChangeMessageVisibility' | 'ChangeMessageVisibilityBatch'
> {
  return {
    DeleteMessage: async (context, input) => {
      await onQueue(env, context, input.QueueUrl, async (queue) => {
        if (queue.config.fifo !== undefined) {
          await settleOne(env, context, queue, input.QueueUrl, input.ReceiptHandle, undefined);
          return done;
        }
        const handle = readHandle(queue, input.ReceiptHandle);
        return (await deleteMessages(env, queue, [handle])) ? done : undefined;
      });
    },

    DeleteMessageBatch: (context, input) =>
      onQueue(env, context, input.QueueUrl, async (queue) => {
        checkBatch('DeleteMessage', input.Entries, env.limits);
        if (queue.config.fifo !== undefined) return settleBatch(env, context, queue, input.QueueUrl, input.Entries);
        const { handles, Successful, Failed } = readHandles(queue, input.Entries);
        return (await deleteMessages(env, queue, handles)) ? batchResult(Successful, Failed) : undefined;
      }),

    ChangeMessageVisibility: (context, input) =>
      changeVisibility(env, context, input.QueueUrl, input.ReceiptHandle, input.VisibilityTimeout),

    ChangeMessageVisibilityBatch: async (context, input) => {
      const queue = await env.queues.require(context, input.QueueUrl);
      checkBatch('ChangeMessageVisibility', input.Entries, env.limits);
      if (queue.config.fifo !== undefined) {
        const entries = input.Entries.map((entry) => ({
          ...entry,
          hideSeconds: entry.VisibilityTimeout ?? Number.NaN,
        }));
        return settleBatch(env, context, queue, input.QueueUrl, entries);
      }
      const Successful: { Id: string }[] = [];
      const Failed: BatchResultErrorEntry[] = [];
      await Promise.all(
        input.Entries.map(async ({ Id, ReceiptHandle, VisibilityTimeout }) => {
          try {
            await changeVisibility(env, context, input.QueueUrl, ReceiptHandle, VisibilityTimeout);
            Successful.push({ Id });
          } catch (error) {
            if (!(error instanceof AwsError)) throw error;
            Failed.push(batchFailure(Id, error));
          }
        }),
      );
      return batchResult(Successful, Failed);
    },
  };
}

/**
 * Deletes what the handles stand for, in one commit. The usual case, a handle of the latest receipt, costs no read: its
 * token fences the commit. For an older handle the entry is read: on a standard queue it deletes, too. What is gone
 * already counts as deleted. False when the queue changed meanwhile.
 */
async function deleteMessages(env: Environment, queue: Queue, handles: readonly ReceiptHandle[]): Promise<boolean> {
  const { store, faults } = env.platform;
  let rest = current(queue, handles);
  if (faults.active) rest = await withoutDuplicated(env, queue, rest);
  while (rest.length > 0) {
    const result = await store.commit({
      checks: [queue.check],
      settle: rest.map(({ entryId, token }) => ({ partition: partitionOf(queue, entryId), id: entryId, token })),
      sum: [{ key: env.queues.counter(queue), delta: -rest.length }],
    });
    if (result.ok) return true;
    if ('check' in result.conflict) return false;
    const index = result.conflict.settle;
    const { entryId } = rest[index]!;
    const entry = await store.due(partitionOf(queue, entryId), entryId);
    rest =
      entry?.token === undefined
        ? rest.filter((_, at) => at !== index)
        : rest.with(index, { ...rest[index]!, token: entry.token });
  }
  return true;
}

/** Deletes (`hideSeconds` undefined) or hides a message of a FIFO queue. */
async function settleOne(
  env: Environment,
  context: RequestContext,
  queue: Queue,
  queueUrl: string,
  receiptHandle: string,
  hideSeconds: number | undefined,
): Promise<void> {
  const one = groupHandle(receiptHandle, readHandle(queue, receiptHandle));
  env.fifoRates.admit(env, queue, hideSeconds === undefined ? 'DeleteMessage' : 'ChangeMessageVisibility', [one.group]);
  const [error] = await settleInGroup(env, context, queueUrl, [{ ...one, hideSeconds }]);
  if (error !== undefined) throw error;
}

/** The same for a batch: a commit for each group. */
async function settleBatch(
  env: Environment,
  context: RequestContext,
  queue: Queue,
  queueUrl: string,
  entries: readonly { readonly Id: string; readonly ReceiptHandle: string; readonly hideSeconds?: number }[],
): Promise<{
  readonly Successful: readonly { readonly Id: string }[];
  readonly Failed: readonly BatchResultErrorEntry[];
}> {
  const errors = new Map<string, AwsError>();
  const read: (GroupSettlement & { readonly id: string })[] = [];
  let hides = false;
  for (const { Id: id, ReceiptHandle, hideSeconds } of entries) {
    try {
      if (hideSeconds !== undefined) {
        hides = true;
        if (Number.isNaN(hideSeconds)) throw missingParameter('VisibilityTimeout');
        checkVisibility(hideSeconds, env.limits);
      }
      read.push({ id, ...groupHandle(ReceiptHandle, readHandle(queue, ReceiptHandle)), hideSeconds });
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      errors.set(id, error);
    }
  }
  const groups = groupBy(read, ({ group }) => group);
  env.fifoRates.admit(env, queue, hides ? 'ChangeMessageVisibility' : 'DeleteMessage', groups.keys());
  await Promise.all(
    [...groups.values()].map(async (members) => {
      const outcomes = await settleInGroup(env, context, queueUrl, members).catch((error: unknown) => {
        if (!(error instanceof AwsError)) throw error;
        return members.map(() => error);
      });
      for (const [index, { id }] of members.entries()) {
        const error = outcomes[index];
        if (error !== undefined) errors.set(id, error);
      }
    }),
  );
  return batchResult(
    entries.filter(({ Id }) => !errors.has(Id)).map(({ Id }) => ({ Id })),
    [...errors].map(([id, error]) => batchFailure(id, error)),
  );
}

/** Each message once, and only those of this generation: a purge has removed all others. */
function current(queue: Queue, handles: readonly ReceiptHandle[]): ReceiptHandle[] {
  const alive = handles.filter(({ generation }) => generation === queue.record.generation);
  if (alive.length < 2) return alive;
  return [...new Map(alive.map((handle) => [handle.entryId.toString('latin1'), handle])).values()];
}

async function withoutDuplicated(
  env: Environment,
  queue: Queue,
  handles: readonly ReceiptHandle[],
): Promise<ReceiptHandle[]> {
  const rest: ReceiptHandle[] = [];
  for (const handle of handles) {
    const entry = await env.platform.store.due(partitionOf(queue, handle.entryId), handle.entryId);
    if (entry === undefined || !(await duplicateOnDelete(env, queue, entry))) rest.push(handle);
  }
  return rest;
}

/**
 * Hides a message for so long from now on. As seen on AWS (LocalStack's tests against it): for a message that is visible
 * again nothing happens and the call succeeds; for one that is gone the parameter is refused. A handle that is not of the
 * latest receipt is refused as not in flight.
 */
async function changeVisibility(
  env: Environment,
  context: RequestContext,
  queueUrl: string,
  receiptHandle: string,
  seconds: number | undefined,
): Promise<void> {
  const { store, clock } = env.platform;
  await onQueue(env, context, queueUrl, async (queue) => {
    if (seconds === undefined) throw missingParameter('VisibilityTimeout');
    checkVisibility(seconds, env.limits);
    if (queue.config.fifo !== undefined) {
      await settleOne(env, context, queue, queueUrl, receiptHandle, seconds);
      return done;
    }
    const { generation, entryId, token, receivedAtMs } = readHandle(queue, receiptHandle);
    const partition = partitionOf(queue, entryId);
    const entry = generation === queue.record.generation ? await store.due(partition, entryId) : undefined;
    if (entry === undefined) {
      const reason = 'Message does not exist or is not available for visibility timeout change.';
      throw invalidValue(receiptHandle, 'ReceiptHandle', reason);
    }
    if (entry.token !== token) throw new AwsError('MessageNotInflight', "The specified message isn't in flight.");
    const nowMs = clock.now();
    if (entry.dueAtMs <= nowMs) return done;
    if (nowMs + seconds * 1000 > receivedAtMs + env.limits.visibilityMs) {
      throw visibilityBeyondLimit(seconds, env.limits);
    }
    const result = await store.commit({
      checks: [queue.check],
      settle: [{ partition, id: entryId, token, dueAtMs: nowMs + seconds * 1000 }],
    });
    return result.ok ? done : undefined;
  });
}

function readHandles(
  queue: Queue,
  entries: readonly { readonly Id: string; readonly ReceiptHandle: string }[],
): { handles: ReceiptHandle[]; Successful: { Id: string }[]; Failed: BatchResultErrorEntry[] } {
  const handles: ReceiptHandle[] = [];
  const Successful: { Id: string }[] = [];
  const Failed: BatchResultErrorEntry[] = [];
  for (const { Id, ReceiptHandle } of entries) {
    try {
      handles.push(readHandle(queue, ReceiptHandle));
      Successful.push({ Id });
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      Failed.push(batchFailure(Id, error));
    }
  }
  return { handles, Successful, Failed };
}

function readHandle(queue: Queue, text: string | undefined): ReceiptHandle {
  if (text === undefined || text === '') throw missingParameter('ReceiptHandle');
  const handle = decodeReceiptHandle(text);
  if (handle === undefined || handle.queueId !== queue.record.id) throw invalidReceiptHandle(text);
  return handle;
}
