import type { ClaimedEntry, Commit, Settlement } from '../../../kernel/store/contract.ts';
import type { RequestContext } from '../../../platform/context.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type {
  Message,
  MessageAttributeValue,
  ReceiveMessageRequest,
  ReceiveMessageResult,
} from '../../../wire/types/sqs.ts';
import type { Environment } from '../environment.ts';
import { invalidValue } from '../errors.ts';
import { partitionOf, readLanes, tenantEntryId } from '../fair.ts';
import { duplicateOnReceive } from '../faults.ts';
import { takeFromGroups } from '../fifo/receive.ts';
import { encodeReceiptHandle } from '../handles.ts';
import { withExtras } from '../message.ts';
import { type Queue, takesLettersOf } from '../queues.ts';
import { isAttributeName } from '../rules/attributes.ts';
import {
  type AttributeFilter,
  attributeFilter,
  checkFifoId,
  filterAttributes,
  md5OfAttributes,
} from '../rules/messages.ts';
import {
  type ClaimedMessage,
  type ReceiveParameters,
  receiveCount,
  receiveParameters,
  shownSystemAttributes,
  sortClaimed,
  systemAttributeFilter,
} from '../rules/receive.ts';

import type { Seat } from '../waiting.ts';

/** What a receive asked to see of its messages. */
interface Selection {
  readonly system: ReadonlySet<string> | undefined;
  readonly attributes: AttributeFilter | undefined;
}

const nothing: ReceiveMessageResult = Object.freeze({});
/** While a queue is full of messages in flight, a long poll looks again after this time. */
const fullQueuePauseMs = 1000;
/** Where other processes share the store, a waiting receiver looks this often whether its queue was purged or deleted. */
const sharedSliceMs = 5000;

export function receiveOperations(env: Environment): Pick<Handlers<'sqs'>, 'ReceiveMessage'> {
  const { faults } = env.platform;
  return {
    ReceiveMessage: async (context, input) => {
      const queue = await env.queues.require(context, input.QueueUrl);
      const parameters = receiveParameters(input, queue.config, env.limits);
      const fifo = queue.config.fifo !== undefined;
      const attemptId = input.ReceiveRequestAttemptId;
      if (attemptId !== undefined) {
        const reason = 'The request include parameter that is not valid for this queue type.';
        if (!fifo) throw invalidValue(attemptId, 'ReceiveRequestAttemptId', reason);
        checkFifoId(attemptId, 'ReceiveRequestAttemptId');
      }
      if (fifo) env.fifoRates.admit(env, queue, 'ReceiveMessage');
      const selection: Selection = {
        system: systemAttributeFilter(input.AttributeNames, input.MessageSystemAttributeNames, isAttributeName),
        attributes: attributeFilter(input.MessageAttributeNames),
      };
      if (parameters.waitMs === 0) {
        if (faults.active && faults.strikes('sqs.empty-receive', queue.arn)) return nothing;
        const taken = await take(env, queue, parameters, attemptId);
        if (taken === 'full') {
          // A FIFO queue tells nobody that it is full.
          if (fifo) return nothing;
          throw new AwsError(
            'OverLimit',
            'Too many messages in flight. Delete messages, or raise the number of queues.',
          );
        }
        return taken.length === 0 ? nothing : { Messages: taken.map((one) => shown(queue, one, selection)) };
      }
      return longPoll(env, context, input, queue, parameters, selection);
    },
  };
}

async function longPoll(
  env: Environment,
  context: RequestContext,
  { QueueUrl: queueUrl, ReceiveRequestAttemptId: attemptId }: ReceiveMessageRequest,
  first: Queue,
  parameters: ReceiveParameters,
  selection: Selection,
): Promise<ReceiveMessageResult> {
  const { clock, store } = env.platform;
  const untilMs = clock.now() + parameters.waitMs;
  const sliceMs = store.shared ? sharedSliceMs : Number.POSITIVE_INFINITY;
  let queue = first;
  let taken = await take(env, queue, parameters, attemptId);
  if (taken !== 'full' && taken.length > 0) return { Messages: taken.map((one) => shown(queue, one, selection)) };
  let seat = enter(env, queue);
  try {
    for (;;) {
      if (taken === 'full') {
        if (clock.now() >= untilMs) return nothing;
        const pauseMs = Math.min(fullQueuePauseMs, untilMs - clock.now());
        const stayed = await context.idle(() =>
          clock.sleep(pauseMs, context.signal).then(
            () => true,
            () => false,
          ),
        );
        if (!stayed) return nothing;
      } else if ((await env.queues.require(context, queueUrl)).partition.equals(queue.partition)) {
        // Asked only now that there is a seat: a purge later than that wakes it.
        const how = await context.idle(() => seat.wait(Math.min(untilMs, clock.now() + sliceMs), context.signal));
        if (how === 'gone' || (how === 'timeout' && clock.now() >= untilMs)) return nothing;
      }
      const now = await env.queues.require(context, queueUrl);
      if (!now.partition.equals(queue.partition)) {
        seat.leave();
        seat = enter(env, now);
      }
      queue = now;
      taken = await take(env, queue, parameters, attemptId);
      if (taken !== 'full' && taken.length > 0) return { Messages: taken.map((one) => shown(queue, one, selection)) };
    }
  } finally {
    seat.leave();
  }
}

function enter(env: Environment, queue: Queue): Seat {
  const { id, generation } = queue.record;
  const lanes = async () => (await readLanes(env.platform.store, id, generation)).map(({ partition }) => partition);
  return env.rooms.enter(queue.partition, lanes);
}

/**
 * Claims messages and settles what must not be delivered: what is past retention is dropped, what was received too often
 * goes to the dead-letter queue in the same commit. Empty: there is nothing now; 'full': too many are in flight.
 */
async function take(
  env: Environment,
  queue: Queue,
  parameters: ReceiveParameters,
  attemptId: string | undefined,
): Promise<readonly ClaimedMessage[] | 'full'> {
  const { clock, store, faults } = env.platform;
  if (queue.config.fifo !== undefined) return takeFromGroups(env, queue, parameters, attemptId);
  const { config, partition } = queue;
  if (await env.inFlight.isFull(queue, parameters.limit)) return 'full';
  for (;;) {
    const nowMs = clock.now();
    const untilMs = nowMs + parameters.visibilityMs;
    const claimed =
      queue.record.mayGroup === true
        ? await env.fair.claim(queue, parameters.limit, untilMs)
        : await store.claim({ partition, dueByMs: nowMs, untilMs, limit: parameters.limit });
    if (claimed.length === 0) return [];
    const { deliver, expired, dead } = sortClaimed(claimed, nowMs, config.retentionMs, config.redrive?.maxReceiveCount);
    const undeliverable = dead.length === 0 ? [] : await moveToDeadLetters(env, queue, dead, nowMs);
    if (expired.length > 0)
      await drop(
        env,
        queue,
        expired.map(({ entry }) => entry),
      );
    const delivered = undeliverable.length === 0 ? deliver : [...deliver, ...undeliverable];
    if (delivered.length === 0) continue;
    if (faults.active) await duplicateOnReceive(env, queue, delivered, nowMs);
    return delivered;
  }
}

/** Removes what nobody else has claimed since. */
async function drop(env: Environment, queue: Queue, entries: readonly ClaimedEntry[]): Promise<void> {
  await settleThose(
    env,
    entries.map((entry) => ({ entry })),
    (rest) => ({
      settle: rest.map(({ entry }) => removal(queue, entry)),
      sum: [{ key: env.queues.counter(queue), delta: -rest.length }],
    }),
  );
}

function removal(queue: Queue, entry: ClaimedEntry): Settlement {
  return { partition: partitionOf(queue, entry.id), id: entry.id, token: entry.token };
}

/**
 * Moves messages to the queue's dead-letter queue, whole or not at all: they keep their ids, times of sending and counts.
 * Answers those that have nowhere to go, because that queue is gone or refuses them: they are delivered, nothing is lost.
 */
async function moveToDeadLetters(
  env: Environment,
  queue: Queue,
  dead: readonly ClaimedMessage[],
  nowMs: number,
): Promise<readonly ClaimedMessage[]> {
  const { target } = queue.config.redrive!;
  let rest = dead;
  while (rest.length > 0) {
    const deadLetters = await env.queues.find(target.account, target.region, target.resource);
    if (deadLetters === undefined || !takesLettersOf(deadLetters, queue)) return rest;
    const lost = await settleOnce(env, rest, {
      checks: [deadLetters.check],
      settle: rest.map(({ entry }) => removal(queue, entry)),
      schedule: rest.map(({ entry, message }) => ({
        partition: deadLetters.partition,
        id: tenantEntryId(env.entryIds.next(nowMs, message.messageId), message.extras.groupId, false),
        // In the order of sending, which is that of their expiry.
        dueAtMs: Math.min(message.sentAtMs, nowMs),
        value: withExtras(message, {
          ...message.extras,
          deadLetterSourceArn: queue.arn,
          // This receive did not happen: the message was moved instead.
          receivedBefore: receiveCount({ entry, message }) - 1,
          firstReceivedAtMs: message.extras.firstReceivedAtMs ?? entry.firstClaimedAtMs,
        }),
      })),
      sum: [
        { key: env.queues.counter(queue), delta: -rest.length },
        { key: env.queues.counter(deadLetters), delta: rest.length },
      ],
    });
    if (lost === undefined) return [];
    if (lost === 'check') env.queues.forget(deadLetters);
    else rest = rest.filter((_, index) => index !== lost);
  }
  return [];
}

/** Commits for all of `items`, leaving out one after the other those whose settlement lost. */
async function settleThose<T>(
  env: Environment,
  items: readonly T[],
  commitFor: (rest: readonly T[]) => Commit,
): Promise<void> {
  for (let rest = items; rest.length > 0; ) {
    const lost = await settleOnce(env, rest, commitFor(rest));
    if (lost === undefined) return;
    rest = rest.filter((_, index) => index !== lost);
  }
}

/** Undefined: committed. Else what lost: a check, or the settlement of the item at this index. */
async function settleOnce(
  env: Environment,
  items: readonly unknown[],
  commit: Commit,
): Promise<number | 'check' | undefined> {
  const result = await env.platform.store.commit(commit);
  if (result.ok) return undefined;
  if ('check' in result.conflict) return 'check';
  if (result.conflict.settle >= items.length) throw new Error('a settlement lost that was not made');
  return result.conflict.settle;
}

function shown(queue: Queue, claimed: ClaimedMessage, selection: Selection): Message {
  const { entry, message } = claimed;
  const attributes =
    selection.attributes === undefined || message.extras.attributes === undefined
      ? undefined
      : filterAttributes(message.extras.attributes, selection.attributes);
  return {
    MessageId: message.messageId,
    ReceiptHandle: encodeReceiptHandle({
      queueId: queue.record.id,
      generation: queue.record.generation,
      token: entry.token,
      receivedAtMs: claimed.receivedAtMs,
      entryId: entry.id,
    }),
    MD5OfBody: message.bodyMd5,
    Body: message.body.toString('utf8'),
    Attributes: selection.system === undefined ? undefined : shownSystemAttributes(claimed, selection.system),
    MD5OfMessageAttributes: attributes === undefined ? undefined : md5OfAttributes(attributes),
    MessageAttributes: attributes === undefined ? undefined : shownAttributes(attributes),
  };
}

function shownAttributes(
  attributes: NonNullable<ReturnType<typeof filterAttributes>>,
): Record<string, MessageAttributeValue> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, [DataType, transport, value]]) => [
      name,
      transport === 's' ? { DataType, StringValue: value } : { DataType, BinaryValue: Buffer.from(value, 'base64') },
    ]),
  );
}
