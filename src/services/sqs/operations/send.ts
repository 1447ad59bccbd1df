import type { DueWrite } from '../../../kernel/store/contract.ts';
import type { RequestContext } from '../../../platform/context.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type {
  BatchResultErrorEntry,
  SendMessageBatchResult,
  SendMessageBatchResultEntry,
  SendMessageResult,
} from '../../../wire/types/sqs.ts';
import { type Environment, lostCheck, onQueue } from '../environment.ts';
import { batchFailure } from '../errors.ts';
import { encodeMessage } from '../message.ts';
import type { Queue } from '../queues.ts';
import { checkBatch, checkBatchBytes } from '../rules/batches.ts';
import { type CheckedMessage, checkMessage, checkSize, type SendInput } from '../rules/messages.ts';
import { encodeRecord } from '../state.ts';

export function sendOperations(env: Environment): Pick<Handlers<'sqs'>, 'SendMessage' | 'SendMessageBatch'> {
  return {
    SendMessage: (context, input) =>
      onQueue(env, context, input.QueueUrl, async (queue): Promise<SendMessageResult | undefined> => {
        const checked = checkMessage(input, env.limits);
        checkSize(checked.totalBytes, queue.config.maxMessageBytes, false);
        const draft = draftMessage(env, context, queue, input, checked);
        return (await commitMessages(env, queue, [draft])) ? draft.result : undefined;
      }),

    SendMessageBatch: (context, input) =>
      onQueue(env, context, input.QueueUrl, async (queue): Promise<SendMessageBatchResult | undefined> => {
        checkBatch('SendMessage', input.Entries, env.limits);
        const Failed: BatchResultErrorEntry[] = [];
        const accepted: { readonly entry: (typeof input.Entries)[number]; readonly checked: CheckedMessage }[] = [];
        let totalBytes = 0;
        for (const entry of input.Entries) {
          try {
            const checked = checkMessage(entry, env.limits);
            totalBytes += checked.totalBytes;
            accepted.push({ entry, checked });
          } catch (error) {
            if (!(error instanceof AwsError)) throw error;
            Failed.push(batchFailure(entry.Id, error));
          }
        }
        // The whole batch is measured before any entry is judged by the queue's own limit (LocalStack's snapshots).
        checkBatchBytes(totalBytes, env.limits);
        const drafts: Draft[] = [];
        const Successful: SendMessageBatchResultEntry[] = [];
        for (const { entry, checked } of accepted) {
          try {
            checkSize(checked.totalBytes, queue.config.maxMessageBytes, true);
            const draft = draftMessage(env, context, queue, entry, checked);
            drafts.push(draft);
            Successful.push({ Id: entry.Id, ...draft.result });
          } catch (error) {
            if (!(error instanceof AwsError)) throw error;
            Failed.push(batchFailure(entry.Id, error));
          }
        }
        if (drafts.length > 0 && !(await commitMessages(env, queue, drafts))) return undefined;
        return { Successful, Failed };
      }),
  };
}

interface Draft {
  readonly write: DueWrite;
  readonly delayed: boolean;
  readonly result: {
    readonly MessageId: string;
    readonly MD5OfMessageBody: string;
    readonly MD5OfMessageAttributes?: string | undefined;
    readonly MD5OfMessageSystemAttributes?: string | undefined;
  };
}

function draftMessage(
  env: Environment,
  context: RequestContext,
  queue: Queue,
  input: SendInput,
  checked: CheckedMessage,
): Draft {
  const { clock, random, faults } = env.platform;
  const sentAtMs = clock.now();
  const messageId = random.uuid();
  const { value, bodyMd5 } = encodeMessage({
    messageId,
    sentAtMs,
    senderId: context.principal.id,
    body: input.MessageBody,
    bodyBytes: checked.bodyBytes,
    extras: checked.extras,
  });
  const delayMs = input.DelaySeconds === undefined ? queue.config.delayMs : input.DelaySeconds * 1000;
  // A reordered message overtakes what was sent in the minute before; it is not held back, so nobody waits for it.
  const headStartMs =
    delayMs === 0 && faults.strikes('sqs.reorder', queue.arn) ? 1 + random.integer(longestHeadStartMs) : 0;
  return {
    write: {
      partition: queue.partition,
      id: env.entryIds.next(sentAtMs, messageId),
      dueAtMs: sentAtMs + delayMs - headStartMs,
      value,
    },
    delayed: delayMs > 0,
    result: {
      MessageId: messageId,
      MD5OfMessageBody: bodyMd5,
      MD5OfMessageAttributes: checked.attributesMd5,
      MD5OfMessageSystemAttributes: checked.systemAttributesMd5,
    },
  };
}

const longestHeadStartMs = 60_000;

/** False when the queue changed meanwhile. */
async function commitMessages(env: Environment, queue: Queue, drafts: readonly Draft[]): Promise<boolean> {
  const schedule = drafts.map(({ write }) => write);
  const sum = [{ key: env.queues.counter(queue), delta: drafts.length }];
  // The first delayed message of a queue leaves a mark, so that counting knows what to look for.
  const marks = !queue.record.mayDelay && drafts.some(({ delayed }) => delayed);
  const result = await env.platform.store.commit(
    marks
      ? {
          checks: [queue.check],
          schedule,
          sum,
          set: [{ key: queue.key, value: encodeRecord({ ...queue.record, mayDelay: true }) }],
        }
      : { checks: [queue.check], schedule, sum },
  );
  if (marks) env.queues.forget(queue);
  if (!result.ok && !lostCheck(result)) throw new Error('a commit without settlements lost by one');
  return result.ok;
}
