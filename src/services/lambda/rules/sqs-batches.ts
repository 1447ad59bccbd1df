import { toBase64 } from '../../../wire/base64.ts';
import type { Message, MessageAttributeValue } from '../../../wire/types/sqs.ts';
import { lambdaLimits } from '../limits.ts';
import type { MappingRecord } from '../state.ts';
import { batchVerdict } from './batch-response.ts';
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
 * Whether a message is wanted: one of the filters matches, or there is none. A filter of a JSON body needs a body of JSON, one of plain
 * strings a body that is none; one without a body looks at the rest of the record
 * (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html).
 */
export function wantedMessage(filters: readonly EventPattern[], record: Readonly<Record<string, unknown>>): boolean {
  if (filters.length === 0) return true;
  const parsed = parseBody(String(record['body'] ?? ''));
  const seen = parsed === undefined ? record : { ...record, body: parsed };
  return filters.some((pattern) => {
    const { body } = pattern;
    if (body !== undefined && Array.isArray(body) !== (parsed === undefined)) return false;
    return matchesPattern(pattern, seen);
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

/** What a mapping's concurrency moves within, and how fast it may grow. */
export interface ScalingBounds {
  readonly start: number;
  readonly ceiling: number;
  readonly perMinute: number;
}

/**
 * From five batches by 300 a minute up to 1,250, or to MaximumConcurrency. Provisioned pollers run ten batches each, and grow by 1,000 a
 * minute. A FIFO queue hands out a group only once at a time: the groups that are active are the bound
 * (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html).
 */
export function scalingBounds(
  mapping: Pick<MappingRecord, 'maximumConcurrency' | 'provisionedPollers' | 'sourceArn'>,
): ScalingBounds {
  const { maximumConcurrency, provisionedPollers: provisioned } = mapping;
  const { sqsBatchesAtStart, sqsBatches, sqsBatchesPerMinute, sqsPollerBatches, sqsPollerRamp } = lambdaLimits;
  if (provisioned !== undefined)
    return {
      start: provisioned.minimum * sqsPollerBatches.value,
      ceiling: provisioned.maximum * sqsPollerBatches.value,
      perMinute: sqsPollerRamp.value,
    };
  const ceiling = maximumConcurrency ?? sqsBatches.value;
  const start = isFifo(mapping.sourceArn) ? ceiling : Math.min(sqsBatchesAtStart.value, ceiling);
  return { start, ceiling, perMinute: sqsBatchesPerMinute.value };
}

export function isFifo(queueArn: string): boolean {
  return queueArn.endsWith('.fifo');
}

/** How many batches of a mapping may be under way. */
export interface Scaling {
  readonly concurrency: number;
  /** When the concurrency was last changed. */
  readonly changedAtMs: number;
}

export function initialScaling({ start }: ScalingBounds, nowMs: number): Scaling {
  return { concurrency: start, changedAtMs: nowMs };
}

/**
 * Grows while the queue has more than the batches under way can take, and falls back when it has run dry. Backs off from a function that fails
 * or is throttled: AWS documents "gradually", without figures
 * (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html).
 */
export function nextScaling(
  scaling: Scaling,
  seen: 'saturated' | 'empty' | 'failed' | 'throttled',
  bounds: ScalingBounds,
  nowMs: number,
): Scaling {
  const { concurrency } = scaling;
  switch (seen) {
    case 'empty':
      return initialScaling(bounds, nowMs);
    case 'throttled':
      return { concurrency: Math.max(1, concurrency >> 1), changedAtMs: nowMs };
    case 'failed':
      // Not below the start, nor up to it where it was lower.
      return { concurrency: Math.max(Math.min(concurrency, bounds.start), (concurrency * 7) >> 3), changedAtMs: nowMs };
    case 'saturated': {
      const perMs = bounds.perMinute / 60_000;
      const more = Math.floor((nowMs - scaling.changedAtMs) * perMs);
      if (more < 1) return scaling;
      // After a pause the growth is that of the last second only.
      const raise = Math.min(more, Math.ceil(perMs * 1_000));
      return { concurrency: Math.min(bounds.ceiling, concurrency + raise), changedAtMs: nowMs };
    }
  }
}

/**
 * The messages to delete after an invocation that succeeded, by a function that may report failures: those that it does not name, of FIFO
 * queues, too, where it is the function's to stop at a failure and to name the rest ("Handling errors for an SQS event source").
 */
export function succeededMessages(
  mapping: Pick<MappingRecord, 'responseTypes'>,
  messages: readonly Message[],
  payload: string,
): readonly Message[] {
  if (!mapping.responseTypes.includes('ReportBatchItemFailures')) return messages;
  const { failed } = batchVerdict(payload, new Set(messages.map(({ MessageId }) => MessageId!)));
  if (failed === 'none') return messages;
  if (failed === 'all') return [];
  return messages.filter(({ MessageId }) => !failed.has(MessageId!));
}

/** The group of a message from a FIFO queue. */
export function groupOf(message: Message): string | undefined {
  return message.Attributes?.MessageGroupId;
}

/** A message as it stands in the event. */
export interface QueuedRecord {
  readonly message: Message;
  /** JSON. */
  readonly text: string;
  readonly bytes: number;
}

export function queuedRecord(message: Message, record: Readonly<Record<string, unknown>>): QueuedRecord {
  const text = JSON.stringify(record);
  return { message, text, bytes: Buffer.byteLength(text) + 1 };
}

/** Splits records, in order, into batches that are neither too many nor too long. */
export function packed(records: readonly QueuedRecord[], mostRecords: number): readonly (readonly QueuedRecord[])[] {
  const batches: QueuedRecord[][] = [];
  let bytes = 0;
  for (const record of records) {
    const batch = batches.at(-1);
    bytes += record.bytes;
    if (batch === undefined || batch.length === mostRecords || bytes > mostBatchBytes) {
      batches.push([record]);
      bytes = record.bytes;
    } else batch.push(record);
  }
  return batches;
}

/** What the records of one event may have: the payload's limit without its envelope. */
export const mostBatchBytes = lambdaLimits.syncRequestBytes.value - 64;

/** The visibility timeout to receive with, where the window makes the queue's own too short. */
export function receiveVisibilitySeconds(
  windowSeconds: number,
  timeoutSeconds: number,
  queueVisibilitySeconds: number,
): number | undefined {
  if (windowSeconds === 0 || windowSeconds + timeoutSeconds <= queueVisibilitySeconds) return undefined;
  return Math.min(43_200, windowSeconds + timeoutSeconds + 30);
}
