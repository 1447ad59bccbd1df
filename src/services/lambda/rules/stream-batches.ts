import { parseArn } from '../../../platform/arn.ts';
import type { StreamRecord } from '../../../platform/streams.ts';
import type { StreamSettings } from '../state.ts';
import { batchVerdict } from './batch-response.ts';
import { type EventPattern, matchesPattern } from './event-pattern.ts';

/** A record on its way to the function. */
export interface StreamItem {
  readonly sequenceNumber: string;
  readonly partitionKey: string;
  readonly arrivalMs: number;
  /** As it stands in the event: JSON. */
  readonly text: string;
  readonly bytes: number;
}

/** Key order as recorded on AWS (test_lambda_integration_kinesis.snapshot.json, test_lambda_integration_dynamodbstreams.snapshot.json). */
export function itemOf(record: StreamRecord, streamArn: string, roleArn: string): StreamItem {
  const { awsRegion, ...event } = record.event;
  const kinesis = parseArn(streamArn)?.service === 'kinesis';
  const text = JSON.stringify(
    kinesis
      ? { ...event, invokeIdentityArn: roleArn, awsRegion, eventSourceARN: streamArn }
      : { ...record.event, eventSourceARN: streamArn },
  );
  return {
    sequenceNumber: record.sequenceNumber,
    partitionKey: record.partitionKey,
    arrivalMs: record.approximateArrivalMs,
    text,
    bytes: Buffer.byteLength(text),
  };
}

/**
 * Whether one of the filters matches a record, or there is none. A record of Kinesis is seen with its metadata and its data, decoded from
 * base64 and JSON, side by side: what is no JSON matches no pattern of `data`
 * (https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-filtering.html; https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html).
 */
export function wantedRecord(filters: readonly EventPattern[], event: Readonly<Record<string, unknown>>): boolean {
  if (filters.length === 0) return true;
  const seen = filteredView(event);
  return filters.some((pattern) => matchesPattern(pattern, seen));
}

function filteredView(event: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { kinesis } = event;
  if (typeof kinesis !== 'object' || kinesis === null) return event;
  const { data, ...metadata } = kinesis as { readonly data?: unknown };
  return { ...event, ...metadata, data: parsedData(data) };
}

function parsedData(data: unknown): unknown {
  if (typeof data !== 'string') return undefined;
  try {
    return JSON.parse(Buffer.from(data, 'base64').toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}

/** Which of a shard's lanes a key's records go through, each lane in order: FNV-1a. */
export function laneOf(partitionKey: string, lanes: number): number {
  if (lanes === 1) return 0;
  let hash = 0x811c9dc5;
  for (let index = 0; index < partitionKey.length; index++)
    hash = Math.imul(hash ^ partitionKey.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % lanes;
}

/** How many records from the head make a batch: at least one, no more than its size and its bytes allow. */
export function batchLength(items: readonly StreamItem[], mostItems: number, mostBytes: number): number {
  let bytes = 0;
  let count = 0;
  for (const item of items) {
    bytes += item.bytes + 1;
    if (count === mostItems || (count > 0 && bytes > mostBytes)) break;
    count++;
  }
  return count;
}

/** Records that are sent together, and what has become of them so far. */
export interface PendingBatch {
  readonly items: readonly StreamItem[];
  /** Failures that count against the retries. */
  readonly failures: number;
  readonly invocations: number;
  /** Refusals for want of capacity, in a row. */
  readonly refusals: number;
}

export type BatchOutcome =
  | { readonly outcome: 'success' | 'error' }
  /** The function answered that the record at this index failed; those before it are over. */
  | { readonly outcome: 'partial'; readonly firstFailed: number }
  /** The function was not run: no capacity, or the service's own fault. */
  | { readonly outcome: 'unavailable' };

export interface BatchStep {
  /** Records at the head that are over. */
  readonly processed: number;
  /** What is tried again, in this order; of a batch given up: what is given up. */
  readonly left: readonly PendingBatch[];
  readonly givenUp: boolean;
  readonly waitMs: number;
}

/**
 * What follows an attempt at a batch. A refusal is tried again for as long as the records live and counts nothing. A failure is halved where
 * that is asked for, which counts nothing either, else retried until the retries are used up. A partial failure goes on from the lowest failed
 * record (https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html,
 * https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html).
 */
export function afterAttempt(
  batch: PendingBatch,
  outcome: BatchOutcome,
  { bisects, retries }: Pick<StreamSettings, 'bisects' | 'retries'>,
): BatchStep {
  if (outcome.outcome === 'success') return { processed: batch.items.length, left: [], givenUp: false, waitMs: 0 };
  if (outcome.outcome === 'unavailable') {
    const waitMs = backoffMs(batch.refusals);
    return { processed: 0, left: [{ ...batch, refusals: batch.refusals + 1 }], givenUp: false, waitMs };
  }
  const processed = outcome.outcome === 'partial' ? outcome.firstFailed : 0;
  const items = batch.items.slice(processed);
  const tried = { ...batch, items, invocations: batch.invocations + 1, refusals: 0 };
  if (bisects && processed > 0) return { processed, left: [tried], givenUp: false, waitMs: firstBackoffMs };
  if (bisects && items.length > 1) {
    const middle = Math.ceil(items.length / 2);
    const left = [
      { ...tried, items: items.slice(0, middle) },
      { ...tried, items: items.slice(middle) },
    ];
    return { processed, left, givenUp: false, waitMs: firstBackoffMs };
  }
  const failed = { ...tried, failures: batch.failures + 1 };
  const givenUp = retries >= 0 && failed.failures > retries;
  return { processed, left: [failed], givenUp, waitMs: givenUp ? 0 : backoffMs(batch.failures) };
}

/**
 * Doubling from half a second to a minute. AWS documents "exponential backoff" without figures; a record of 60 s at most was tried seven times
 * there before it was given up (recorded: test_kinesis_maximum_record_age_exceeded).
 */
function backoffMs(count: number): number {
  return Math.min(longestBackoffMs, firstBackoffMs * 2 ** Math.min(count, 20));
}

const firstBackoffMs = 500;
const longestBackoffMs = 60_000;

/** How many records at the head are older than they may be. */
export function expiredCount(items: readonly StreamItem[], recordAgeSeconds: number, nowMs: number): number {
  if (recordAgeSeconds < 0) return 0;
  const fresh = items.findIndex(({ arrivalMs }) => nowMs - arrivalMs <= recordAgeSeconds * 1_000);
  return fresh < 0 ? items.length : fresh;
}

/** Reads the answer of a function that reports batch item failures; everything but a list of the batch's own numbers fails all of it. */
export function streamVerdict(payload: string, items: readonly StreamItem[]): BatchOutcome {
  const { failed } = batchVerdict(payload, new Set(items.map(({ sequenceNumber }) => sequenceNumber)));
  if (failed === 'none') return { outcome: 'success' };
  if (failed === 'all') return { outcome: 'error' };
  return { outcome: 'partial', firstFailed: items.findIndex(({ sequenceNumber }) => failed.has(sequenceNumber)) };
}

/** Of the last invocation of a batch, for the record of its failure. */
export interface LastInvocation {
  readonly requestId: string;
  /** Undefined where the function was not run. */
  readonly executedVersion?: string;
  readonly functionError?: string;
}

export interface DiscardedBatch {
  readonly streamArn: string;
  readonly functionArn: string;
  readonly shardId: string;
  readonly items: readonly StreamItem[];
  readonly condition: 'RetryAttemptsExhausted' | 'RecordAgeExceeded';
  readonly invokeCount: number;
  readonly last: LastInvocation;
}

/**
 * What the on-failure destination gets; `withPayload` (S3 only) adds the event as text. Form as recorded on AWS
 * (test_kinesis_event_source_mapping_with_on_failure_destination_config, test_kinesis_maximum_record_age_exceeded,
 * test_dynamodb_event_source_mapping_with_on_failure_destination_config; the payload:
 * https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html).
 */
export function discardedRecord(batch: DiscardedBatch, nowMs: number, withPayload: boolean): string {
  const { items, last, condition } = batch;
  const kinesis = parseArn(batch.streamArn)?.service === 'kinesis';
  const arrival = (ms: number): string =>
    kinesis ? new Date(ms).toISOString() : new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');
  const info = {
    shardId: batch.shardId,
    startSequenceNumber: items[0]!.sequenceNumber,
    endSequenceNumber: items.at(-1)!.sequenceNumber,
    approximateArrivalOfFirstRecord: arrival(items[0]!.arrivalMs),
    approximateArrivalOfLastRecord: arrival(items.at(-1)!.arrivalMs),
    batchSize: items.length,
    streamArn: batch.streamArn,
  };
  return JSON.stringify({
    requestContext: {
      requestId: last.requestId,
      functionArn: batch.functionArn,
      condition,
      approximateInvokeCount: batch.invokeCount,
    },
    ...(condition === 'RecordAgeExceeded'
      ? {}
      : {
          responseContext: {
            statusCode: 200,
            executedVersion: last.executedVersion,
            functionError: last.functionError ?? null,
          },
        }),
    version: '1.0',
    timestamp: new Date(nowMs).toISOString(),
    [kinesis ? 'KinesisBatchInfo' : 'DDBStreamBatchInfo']: info,
    ...(withPayload ? { payload: eventText(items) } : {}),
  });
}

/** The event of a batch, without windows. */
export function eventText(items: readonly StreamItem[], more = ''): string {
  return `{"Records":[${items.map(({ text }) => text).join(',')}]${more}}`;
}
