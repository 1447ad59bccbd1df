import { toBase64 } from '../../../wire/base64.ts';
import type { Message, MessageAttributeValue } from '../../../wire/types/sqs.ts';
import { lambdaLimits } from '../limits.ts';
import { type EventPattern, matchesPattern } from './event-pattern.ts';

/** The event's record of a message (key order as recorded on AWS: test_lambda_integration_sqs.snapshot.json, test_sqs_event_source_mapping). */
export function sqsRecord(message: Message, queueArn: string, region: string): Record<string, unknown> {
  const attributes = message.MessageAttributes ?? {};
  return {
    messageId: message.MessageId,
    receiptHandle: message.ReceiptHandle,
    body: message.Body,
    attributes: message.Attributes ?? {},
    messageAttributes: Object.fromEntries(
      Object.entries(attributes).map(([name, value]) => [name, attributeOf(value)]),
    ),
    ...(message.MD5OfMessageAttributes === undefined ? {} : { md5OfMessageAttributes: message.MD5OfMessageAttributes }),
    md5OfBody: message.MD5OfBody,
    eventSource: 'aws:sqs',
    eventSourceARN: queueArn,
    awsRegion: region,
  };
}

function attributeOf(value: MessageAttributeValue): Record<string, unknown> {
  return {
    ...(value.StringValue === undefined ? {} : { stringValue: value.StringValue }),
    ...(value.BinaryValue === undefined ? {} : { binaryValue: toBase64(value.BinaryValue) }),
    stringListValues: [],
    binaryListValues: [],
    dataType: value.DataType,
  };
}

/**
 * Whether a message is wanted: one of the filters matches. Filters of SQS mappings look at the body alone; a filter of JSON needs a body of
 * JSON, one of plain strings a body that is none
 * (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html).
 */
export function wantedMessage(filters: readonly EventPattern[], body: string): boolean {
  if (filters.length === 0) return true;
  const parsed = parseBody(body);
  return filters.some((pattern) => {
    const wanted = pattern.body;
    if (wanted === undefined) return true;
    const plain = Array.isArray(wanted);
    if (plain !== (parsed === undefined)) return false;
    return matchesPattern({ body: wanted }, { body: plain ? body : parsed });
  });
}

/** The body as an object; undefined for plain text (a JSON string or number counts as text). */
function parseBody(body: string): object | undefined {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === 'object' && parsed !== null ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** The messages to keep in the queue after an invocation that succeeded. */
export type BatchVerdict =
  | { readonly failed: 'none' }
  | { readonly failed: 'all' }
  | { readonly failed: ReadonlySet<string> };

/**
 * Reads the answer of a function that reports batch item failures. An empty or null answer or list: everything succeeded. Anything else
 * that is not a list of known message ids: everything failed
 * (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html).
 */
export function batchVerdict(payload: string, messageIds: ReadonlySet<string>): BatchVerdict {
  if (payload.trim() === '') return { failed: 'none' };
  let answer: unknown;
  try {
    answer = JSON.parse(payload);
  } catch {
    return { failed: 'all' };
  }
  if (answer === null || answer === '') return { failed: 'none' };
  if (typeof answer !== 'object' || Array.isArray(answer)) return { failed: 'all' };
  const list: unknown = 'batchItemFailures' in answer ? answer.batchItemFailures : undefined;
  if (list === null || (list === undefined && Object.keys(answer).length === 0)) return { failed: 'none' };
  if (!Array.isArray(list)) return { failed: 'all' };
  const failed = new Set<string>();
  for (const item of list as readonly unknown[]) {
    const id =
      typeof item === 'object' && item !== null && 'itemIdentifier' in item ? (item.itemIdentifier as unknown) : '';
    if (typeof id !== 'string' || !messageIds.has(id)) return { failed: 'all' };
    failed.add(id);
  }
  return failed.size === 0 ? { failed: 'none' } : { failed };
}

/** How many batches of a mapping may be under way. */
export interface Scaling {
  readonly concurrency: number;
  /** When the concurrency was last raised. */
  readonly raisedAtMs: number;
}

export function initialScaling(maximum: number | undefined, nowMs: number): Scaling {
  return { concurrency: Math.min(lambdaLimits.sqsBatchesAtStart.value, ceiling(maximum)), raisedAtMs: nowMs };
}

/**
 * Grows by up to 300 a minute while the queue has more than the batches under way can take, and falls back when it has run dry;
 * halves when the function is throttled.
 */
export function nextScaling(
  scaling: Scaling,
  seen: 'saturated' | 'empty' | 'throttled',
  maximum: number | undefined,
  nowMs: number,
): Scaling {
  switch (seen) {
    case 'empty':
      return initialScaling(maximum, nowMs);
    case 'throttled':
      return { concurrency: Math.max(1, scaling.concurrency >> 1), raisedAtMs: nowMs };
    case 'saturated': {
      const perMs = lambdaLimits.sqsBatchesPerMinute.value / 60_000;
      const more = Math.floor((nowMs - scaling.raisedAtMs) * perMs);
      if (more < 1) return scaling;
      // After a pause the growth is that of the last second only.
      const raise = Math.min(more, Math.ceil(perMs * 1_000));
      return { concurrency: Math.min(ceiling(maximum), scaling.concurrency + raise), raisedAtMs: nowMs };
    }
  }
}

function ceiling(maximum: number | undefined): number {
  return maximum ?? lambdaLimits.sqsBatches.value;
}

/** The visibility timeout to receive with, where the window makes the queue's own too short. */
export function receiveVisibilitySeconds(
  windowSeconds: number,
  timeoutSeconds: number,
  queueVisibilitySeconds: number,
): number | undefined {
  if (windowSeconds === 0 || windowSeconds + timeoutSeconds <= queueVisibilitySeconds) return undefined;
  return Math.min(43_200, windowSeconds + timeoutSeconds + 30);
}
