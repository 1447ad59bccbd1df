import type { CommitResult, DueWrite } from '../../../kernel/store/contract.ts';
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
import { laneFor, tenantEntryId } from '../fair.ts';
import { encodeMessage } from '../message.ts';
import type { Queue } from '../queues.ts';
import { batchResult, checkBatch, checkBatchBytes, groupBy } from '../rules/batches.ts';
import { checkFifoIds, checkFifoMessage } from '../rules/fifo.ts';
import { type CheckedMessage, checkMessage, checkSize, type SendInput } from '../rules/messages.ts';
import { encodeRecord, type QueueRecord } from '../state.ts';

export function sendOperations(env: Environment): Pick<Handlers<'sqs'>, 'SendMessage' | 'SendMessageBatch'> {
  return {
    SendMessage: (context, input) =>
      onQueue(env, context, input.QueueUrl, async (queue): Promise<SendMessageResult | undefined> => {
        if (queue.config.fifo !== undefined) return sendToFifo(env, context, queue, input);
        const checked = checkMessage(input, env.limits);
        checkSize(checked.totalBytes, queue.config.maxMessageBytes, false);
        const lanes = input.MessageGroupId === undefined ? undefined : await lanesFor(env, queue, [input]);
        const draft = draftMessage(env, context, queue, input, checked, lanes);
        return (await commitMessages(env, queue, [draft], lanes)) ? draft.result : undefined;
      }),

    SendMessageBatch: (context, input) =>
      onQueue(env, context, input.QueueUrl, async (queue): Promise<SendMessageBatchResult | undefined> => {
        checkBatch('SendMessage', input.Entries, env.limits);
        if (queue.config.fifo !== undefined) return sendBatchToFifo(env, context, queue, input.QueueUrl, input.Entries);
        const Failed: BatchResultErrorEntry[] = [];
        const accepted = checkEntries(env, queue, input.Entries, Failed);
        const lanes = await lanesFor(
          env,
          queue,
          accepted.map(({ entry }) => entry),
        );
        const drafts: Draft[] = [];
        const Successful: SendMessageBatchResultEntry[] = [];
        for (const { entry, checked } of accepted) {
          const draft = draftMessage(env, context, queue, entry, checked, lanes);
          drafts.push(draft);
          Successful.push({ Id: entry.Id, ...draft.result });
        }
        if (drafts.length > 0 && !(await commitMessages(env, queue, drafts, lanes))) return undefined;
        return batchResult(Successful, Failed);
      }),
  };
}

type BatchEntry = SendInput & { readonly Id: string };

/** The entries that may be sent; the others are told of in `failed`. Throws what is wrong with the batch as a whole. */
function checkEntries<T extends BatchEntry>(
  env: Environment,
  queue: Queue,
  entries: readonly T[],
  failed: BatchResultErrorEntry[],
): readonly { readonly entry: T; readonly checked: CheckedMessage }[] {
  const fifo = queue.config.fifo !== undefined;
  const accepted: { readonly entry: T; readonly checked: CheckedMessage }[] = [];
  const gather = (entry: T, check: () => void): void => {
    try {
      check();
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      failed.push(batchFailure(entry.Id, error));
    }
  };
  let totalBytes = 0;
  for (const entry of entries) {
    gather(entry, () => {
      if (fifo) checkFifoIds(entry);
      const checked = checkMessage(entry, env.limits, fifo);
      totalBytes += checked.totalBytes;
      accepted.push({ entry, checked });
    });
  }
  // The whole batch is measured before any entry is judged by the queue's own limit (LocalStack's snapshots).
  checkBatchBytes(totalBytes, env.limits);
  const fitting: typeof accepted = [];
  for (const one of accepted) {
    gather(one.entry, () => {
      checkSize(one.checked.totalBytes, queue.config.maxMessageBytes, true);
      fitting.push(one);
    });
  }
  return fitting;
}

async function sendToFifo(
  env: Environment,
  context: RequestContext,
  queue: Queue,
  input: SendInput & { readonly QueueUrl: string },
): Promise<SendMessageResult> {
  checkFifoMessage(input, queue.config.fifo!, false);
  checkFifoIds(input);
  const checked = checkMessage(input, env.limits, true);
  checkSize(checked.totalBytes, queue.config.maxMessageBytes, false);
  const group = input.MessageGroupId!;
  env.fifoRates.admit(env, queue, 'SendMessage', [group]);
  const [sent] = await env.groupSender.send(env, context, queue, input.QueueUrl, group, [{ input, checked }]);
  return sent!;
}

/** Each group's messages are a commit of their own: a batch is not one on AWS either. */
async function sendBatchToFifo(
  env: Environment,
  context: RequestContext,
  queue: Queue,
  queueUrl: string,
  entries: readonly BatchEntry[],
): Promise<SendMessageBatchResult> {
  for (const entry of entries) checkFifoMessage(entry, queue.config.fifo!, true);
  const Failed: BatchResultErrorEntry[] = [];
  const accepted = checkEntries(env, queue, entries, Failed);
  const groups = groupBy(accepted, ({ entry }) => entry.MessageGroupId!);
  env.fifoRates.admit(env, queue, 'SendMessage', groups.keys());
  const results = new Map<string, SendMessageBatchResultEntry>();
  await Promise.all(
    [...groups].map(async ([group, members]) => {
      const sends = members.map(({ entry, checked }) => ({ input: entry, checked }));
      try {
        const sent = await env.groupSender.send(env, context, queue, queueUrl, group, sends);
        for (const [index, { entry }] of members.entries()) results.set(entry.Id, { Id: entry.Id, ...sent[index]! });
      } catch (error) {
        if (!(error instanceof AwsError)) throw error;
        for (const { entry } of members) Failed.push(batchFailure(entry.Id, error));
      }
    }),
  );
  const Successful = accepted.flatMap(({ entry }) => results.get(entry.Id) ?? []);
  return batchResult(Successful, Failed);
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
  lanes: Lanes | undefined,
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
    extras: withTrace(checked.extras, context.traceHeader),
  });
  const delayMs = input.DelaySeconds === undefined ? queue.config.delayMs : input.DelaySeconds * 1000;
  // A reordered message overtakes what was sent in the minute before; it is not held back, so nobody waits for it.
  const headStartMs =
    delayMs === 0 && faults.strikes('sqs.reorder', queue.arn) ? 1 + random.integer(longestHeadStartMs) : 0;
  const group = input.MessageGroupId;
  const lane = group === undefined ? undefined : lanes?.get(group)?.lane;
  return {
    write: {
      partition: lane?.partition ?? queue.partition,
      id: tenantEntryId(env.entryIds.next(sentAtMs, messageId), group, lane !== undefined),
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

/** The trace header of the request itself stands for one that the message does not name. */
function withTrace(extras: CheckedMessage['extras'], traceHeader: string | undefined): CheckedMessage['extras'] {
  return traceHeader === undefined ? extras : { traceHeader, ...extras };
}

const longestHeadStartMs = 60_000;

type Lanes = ReadonlyMap<string, Awaited<ReturnType<typeof laneFor>>>;

/** By group; undefined where no message has one, as on most queues. */
async function lanesFor(env: Environment, queue: Queue, inputs: readonly SendInput[]): Promise<Lanes | undefined> {
  if (!inputs.some(({ MessageGroupId }) => MessageGroupId !== undefined)) return undefined;
  const groups = new Set(inputs.flatMap(({ MessageGroupId }) => MessageGroupId ?? []));
  const { store, clock } = env.platform;
  const found = [...groups].map(async (group) => [group, await laneFor(store, queue, group, clock.now())] as const);
  return new Map(await Promise.all(found));
}

/** False when the queue changed meanwhile. */
async function commitMessages(
  env: Environment,
  queue: Queue,
  drafts: readonly Draft[],
  lanes: Lanes | undefined,
): Promise<boolean> {
  const schedule = drafts.map(({ write }) => write);
  const sum = [{ key: env.queues.counter(queue), delta: drafts.length }];
  // The first delayed message of a queue leaves a mark, so that counting knows what to look for; and so does the first group.
  const delays = !queue.record.mayDelay && drafts.some(({ delayed }) => delayed);
  const groups = lanes !== undefined && queue.record.mayGroup !== true;
  if (!delays && lanes === undefined) {
    return committed(await env.platform.store.commit({ checks: [queue.check], schedule, sum }));
  }
  const mores = [...(lanes?.values() ?? [])].map(({ more }) => more);
  const marked: QueueRecord = {
    ...queue.record,
    mayDelay: queue.record.mayDelay || delays,
    ...(groups ? { mayGroup: true } : {}),
  };
  const result = await env.platform.store.commit({
    checks: [queue.check, ...mores.flatMap(({ checks }) => checks ?? [])],
    schedule,
    sum,
    set: [
      ...(delays || groups ? [{ key: queue.key, value: encodeRecord(marked) }] : []),
      ...mores.flatMap(({ set }) => set ?? []),
    ],
  });
  if (delays || groups) env.queues.forget(queue);
  return committed(result);
}

function committed(result: CommitResult): boolean {
  if (!result.ok && !lostCheck(result)) throw new Error('a commit without settlements lost by one');
  return result.ok;
}
