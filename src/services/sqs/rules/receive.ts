import type { ClaimedEntry } from '../../../kernel/store/contract.ts';
import type { AwsError } from '../../../wire/errors.ts';
import type { MessageSystemAttributeName } from '../../../wire/types/sqs.ts';
import { invalidValue, unknownAttribute } from '../errors.ts';
import type { SqsLimits } from '../limits.ts';
import { decodeMessage, type StoredMessage } from '../message.ts';
import { sequenceNumber } from './sequence.ts';

export interface ClaimedMessage {
  readonly entry: ClaimedEntry;
  readonly message: StoredMessage;
  readonly receivedAtMs: number;
  /** Of messages of FIFO queues. */
  readonly sequence?: number;
}

/** What becomes of the messages that a receive has claimed. */
export interface Sorted {
  readonly deliver: readonly ClaimedMessage[];
  /** Past the retention period: they are gone. */
  readonly expired: readonly ClaimedMessage[];
  /** Received more often than the redrive policy allows: they go to the dead-letter queue instead. */
  readonly dead: readonly ClaimedMessage[];
}

/** `maxReceiveCount` undefined: no redrive policy. The count that decides is that of receives in this queue. */
export function sortClaimed(
  claimed: readonly ClaimedEntry[],
  nowMs: number,
  retentionMs: number,
  maxReceiveCount: number | undefined,
): Sorted {
  const deliver: ClaimedMessage[] = [];
  const expired: ClaimedMessage[] = [];
  const dead: ClaimedMessage[] = [];
  for (const entry of claimed) {
    const claimedMessage = { entry, message: decodeMessage(entry.value), receivedAtMs: nowMs };
    if (isExpired(claimedMessage.message.sentAtMs, nowMs, retentionMs)) expired.push(claimedMessage);
    else if (maxReceiveCount !== undefined && entry.attempts > maxReceiveCount) dead.push(claimedMessage);
    else deliver.push(claimedMessage);
  }
  return { deliver, expired, dead };
}

export function isExpired(sentAtMs: number, nowMs: number, retentionMs: number): boolean {
  return sentAtMs + retentionMs <= nowMs;
}

const systemAttributes = new Set<string>([
  'All',
  'SenderId',
  'SentTimestamp',
  'ApproximateReceiveCount',
  'ApproximateFirstReceiveTimestamp',
  'SequenceNumber',
  'MessageDeduplicationId',
  'MessageGroupId',
  'AWSTraceHeader',
  'DeadLetterQueueSourceArn',
]);

/**
 * The system attributes asked for, by the present or the former parameter; undefined for none. Names of queue attributes,
 * which the former parameter's type has as well, ask for nothing.
 */
export function systemAttributeFilter(
  former: readonly string[] | undefined,
  present: readonly string[] | undefined,
  isQueueAttribute: (name: string) => boolean,
): ReadonlySet<string> | undefined {
  if (!former?.length && !present?.length) return undefined;
  const names = new Set<string>([...(former ?? []), ...(present ?? [])]);
  for (const name of names) if (!systemAttributes.has(name) && !isQueueAttribute(name)) throw unknownAttribute(name);
  return names;
}

/** The system attributes of a received message, of those asked for. */
export function shownSystemAttributes(
  claimed: ClaimedMessage,
  names: ReadonlySet<string>,
): Partial<Record<MessageSystemAttributeName, string>> {
  const all = names.has('All');
  const { entry, message } = claimed;
  const { extras } = message;
  const shown: Partial<Record<MessageSystemAttributeName, string>> = {};
  const put = (name: MessageSystemAttributeName, value: string | undefined): void => {
    if (value !== undefined && (all || names.has(name))) shown[name] = value;
  };
  put('SenderId', message.senderId);
  put('SentTimestamp', String(message.sentAtMs));
  put('ApproximateReceiveCount', String(receiveCount(claimed)));
  put('ApproximateFirstReceiveTimestamp', String(extras.firstReceivedAtMs ?? entry.firstClaimedAtMs));
  put('MessageGroupId', extras.groupId);
  put('MessageDeduplicationId', extras.deduplicationId);
  put('SequenceNumber', claimed.sequence === undefined ? undefined : sequenceNumber(claimed.sequence));
  put('AWSTraceHeader', extras.traceHeader);
  put('DeadLetterQueueSourceArn', extras.deadLetterSourceArn);
  return shown;
}

/** Moving to a dead-letter queue keeps the count (a snapshot of LocalStack's against AWS shows it going on). */
export function receiveCount({
  entry,
  message,
}: {
  readonly entry: Pick<ClaimedEntry, 'attempts'>;
  readonly message: StoredMessage;
}): number {
  return entry.attempts + (message.extras.receivedBefore ?? 0);
}

export interface ReceiveParameters {
  readonly limit: number;
  readonly visibilityMs: number;
  readonly waitMs: number;
}

/** The parameters of a receive, with the queue's own where none are given. */
export function receiveParameters(
  input: {
    readonly MaxNumberOfMessages?: number | undefined;
    readonly VisibilityTimeout?: number | undefined;
    readonly WaitTimeSeconds?: number | undefined;
  },
  queue: { readonly visibilityMs: number; readonly waitMs: number },
  limits: SqsLimits,
): ReceiveParameters {
  const { MaxNumberOfMessages: limit = 1, VisibilityTimeout: visibility, WaitTimeSeconds: wait } = input;
  if (!(limit >= 1 && limit <= limits.receiveMessages)) {
    throw invalidValue(limit, 'MaxNumberOfMessages', `Must be between 1 and ${limits.receiveMessages}, if provided.`);
  }
  if (visibility !== undefined) checkVisibility(visibility, limits);
  if (wait !== undefined && !(wait >= 0 && wait * 1000 <= limits.waitMs)) {
    throw invalidValue(wait, 'WaitTimeSeconds', `Must be >= 0 and <= ${limits.waitMs / 1000}, if provided.`);
  }
  return {
    limit,
    visibilityMs: visibility === undefined ? queue.visibilityMs : visibility * 1000,
    waitMs: wait === undefined ? queue.waitMs : wait * 1000,
  };
}

/** In the words of LocalStack's tests against AWS. */
export function visibilityBeyondLimit(seconds: number, limits: Pick<SqsLimits, 'visibilityMs'>): AwsError {
  const reason = `Total VisibilityTimeout for the message is beyond the limit [${limits.visibilityMs / 1000} seconds]`;
  return invalidValue(seconds, 'VisibilityTimeout', reason);
}

export function checkVisibility(seconds: number, limits: Pick<SqsLimits, 'visibilityMs'>): void {
  if (seconds >= 0 && seconds * 1000 <= limits.visibilityMs) return;
  const reason = `Must be >= 0 and <= ${limits.visibilityMs / 1000}, if provided.`;
  throw invalidValue(seconds, 'VisibilityTimeout', reason);
}
