import { describe, expect, it } from 'vitest';
import type { Message } from '../../../wire/types/sqs.ts';
import { batchVerdict } from './batch-response.ts';
import { parsePattern } from './event-pattern.ts';
import {
  initialScaling,
  mostBatchBytes,
  nextScaling,
  packed,
  queuedRecord,
  receiveVisibilitySeconds,
  scalingBounds,
  succeededMessages,
  wantedMessage,
} from './sqs-batches.ts';
import {
  afterAttempt,
  batchLength,
  discardedRecord,
  expiredCount,
  itemOf,
  laneOf,
  type PendingBatch,
  type StreamItem,
  streamVerdict,
  wantedRecord,
} from './stream-batches.ts';
import { answeredState, windowEventText, windowLength, windowStartMs } from './tumbling-windows.ts';

const queueArn = 'arn:aws:sqs:us-east-1:123456789012:q';
const fifoArn = `${queueArn}.fifo`;
const streamArn = 'arn:aws:kinesis:us-east-1:123456789012:stream/s';
const tableStreamArn = 'arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/2026-01-01T00:00:00.000';

describe('the answer of a function that reports failures', () => {
  const ids = new Set(['a', 'b']);
  it.each([
    ['', 'none'],
    ['null', 'none'],
    ['""', 'none'],
    ['{}', 'none'],
    ['[]', 'none'],
    ['{"state":{}}', 'none'],
    ['{"batchItemFailures":[]}', 'none'],
    ['{"batchItemFailures":null}', 'none'],
    ['{"batchItemFailures":[{"itemIdentifier":"a"}]}', ['a']],
    ['garbage', 'all'],
    ['[1]', 'all'],
    ['7', 'all'],
    ['{"batchItemFailures":[{"itemIdentifier":""}]}', 'all'],
    ['{"batchItemFailures":[{"itemIdentifier":null}]}', 'all'],
    ['{"batchItemFailures":[{"itemIdentifier":123}]}', 'all'],
    ['{"batchItemFailures":[{"item":"a"}]}', 'all'],
    ['{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"zzz"}]}', 'all'],
    ['{"batchItemFailures":[null]}', 'all'],
    ['{"batchItemFailures":"a"}', 'all'],
    ['{"other":1}', 'all'],
    ['"text"', 'all'],
  ])('%s fails %s', (payload, expected) => {
    const { failed } = batchVerdict(payload, ids);
    expect(typeof failed === 'string' ? failed : [...failed]).toEqual(expected);
  });
});

describe('batches from a queue', () => {
  const message = (id: string, group?: string): Message => ({
    MessageId: id,
    ...(group === undefined ? {} : { Attributes: { MessageGroupId: group } }),
  });

  it.each([
    ['{"body":{"a":[1]}}', '{"a":1}', true],
    ['{"body":{"a":[1]}}', '{"a":2}', false],
    ['{"body":{"a":[1]}}', 'hello', false],
    ['{"body":{"a":[{"exists":false}]}}', 'hello', false],
    ['{"body":["hello"]}', 'hello', true],
    ['{"body":["hello"]}', '{"a":1}', false],
    ['{"messageAttributes":{"colour":{"stringValue":["red"]}}}', 'hello', true],
    ['{"messageAttributes":{"colour":{"stringValue":["blue"]}}}', 'hello', false],
    ['{"messageAttributes":{"colour":{"stringValue":["red"]}},"body":{"a":[1]}}', '{"a":1}', true],
  ])('are filtered by %s: %s, %s', (pattern, body, expected) => {
    const record = { body, messageAttributes: { colour: { stringValue: 'red' } } };
    expect(wantedMessage([parsePattern(pattern)!], record)).toBe(expected);
    expect(wantedMessage([], record)).toBe(true);
  });

  it('scale from five by 300 a minute, within the bound', () => {
    const bounds = scalingBounds({ sourceArn: queueArn });
    let scaling = initialScaling(bounds, 0);
    expect(scaling.concurrency).toBe(5);
    for (let nowMs = 1_000; nowMs <= 60_000; nowMs += 1_000) scaling = nextScaling(scaling, 'saturated', bounds, nowMs);
    expect(scaling.concurrency).toBe(305);
    expect(nextScaling(scaling, 'throttled', bounds, 60_000).concurrency).toBe(152);
    expect(nextScaling(scaling, 'failed', bounds, 60_000).concurrency).toBe(266);
    expect(nextScaling({ concurrency: 5, changedAtMs: 0 }, 'failed', bounds, 60_000).concurrency).toBe(5);
    expect(nextScaling({ concurrency: 2, changedAtMs: 0 }, 'failed', bounds, 60_000).concurrency).toBe(2);
    expect(nextScaling(scaling, 'empty', bounds, 60_000).concurrency).toBe(5);
    expect(nextScaling({ concurrency: 1_250, changedAtMs: 0 }, 'saturated', bounds, 9_000).concurrency).toBe(1_250);
  });

  it('scale within MaximumConcurrency, with provisioned pollers, and by groups', () => {
    const two = scalingBounds({ sourceArn: queueArn, maximumConcurrency: 2 });
    expect(nextScaling(initialScaling(two, 0), 'saturated', two, 10_000).concurrency).toBe(2);
    const provisioned = scalingBounds({ sourceArn: queueArn, provisionedPollers: { minimum: 3, maximum: 4 } });
    expect(provisioned).toEqual({ start: 30, ceiling: 40, perMinute: 1_000 });
    expect(scalingBounds({ sourceArn: fifoArn }).start).toBe(1_250);
    expect(scalingBounds({ sourceArn: fifoArn, maximumConcurrency: 7 }).start).toBe(7);
  });

  it('are hidden for long enough where there is a window', () => {
    expect(receiveVisibilitySeconds(0, 60, 30)).toBeUndefined();
    expect(receiveVisibilitySeconds(5, 20, 30)).toBeUndefined();
    expect(receiveVisibilitySeconds(20, 20, 30)).toBe(70);
  });

  it('are no longer than an event may be', () => {
    const long = queuedRecord(message('long'), { body: 'x'.repeat(1_048_576) });
    const batches = packed(
      Array.from({ length: 10 }, () => long),
      10,
    );
    expect(batches.map((batch) => batch.length)).toEqual([5, 5]);
    for (const batch of batches)
      expect(batch.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(mostBatchBytes);
    const short = queuedRecord(message('short'), {});
    expect(packed([short, short, short], 2).map((batch) => batch.length)).toEqual([2, 1]);
  });

  it('are deleted save those that are named', () => {
    const messages = [
      message('a1', 'a'),
      message('b1', 'b'),
      message('a2', 'a'),
      message('b2', 'b'),
      message('a3', 'a'),
    ];
    const deleted = (payload: string) =>
      succeededMessages({ responseTypes: ['ReportBatchItemFailures'] }, messages, payload).map(
        ({ MessageId }) => MessageId,
      );
    const answer = '{"batchItemFailures":[{"itemIdentifier":"a2"}]}';
    expect(deleted(answer)).toEqual(['a1', 'b1', 'b2', 'a3']);
    expect(deleted('garbage')).toEqual([]);
    expect(succeededMessages({ responseTypes: [] }, messages, answer)).toHaveLength(5);
  });
});

const item = (n: number, arrivalMs = n): StreamItem => ({
  sequenceNumber: String(n),
  partitionKey: 'k',
  arrivalMs,
  text: `{"n":${n}}`,
  bytes: 10,
});
const items = (...numbers: readonly number[]): readonly StreamItem[] => numbers.map((n) => item(n));
const pending = (...numbers: readonly number[]): PendingBatch => ({
  items: items(...numbers),
  failures: 0,
  invocations: 0,
  refusals: 0,
});
const numbersOf = (batches: readonly PendingBatch[]): string[][] =>
  batches.map((batch) => batch.items.map(({ sequenceNumber }) => sequenceNumber));

describe('batches from a stream', () => {
  it('go through the same lane for the same key, and use all lanes', () => {
    const lanes = Array.from({ length: 200 }, (_, n) => laneOf(`key-${n}`, 4));
    expect(new Set(lanes)).toEqual(new Set([0, 1, 2, 3]));
    expect(lanes).toEqual(Array.from({ length: 200 }, (_, n) => laneOf(`key-${n}`, 4)));
    expect(laneOf('anything', 1)).toBe(0);
  });

  it('are as long as their number and their bytes allow, and never empty', () => {
    expect(batchLength(items(1, 2, 3), 2, 1_000)).toBe(2);
    expect(batchLength(items(1, 2, 3), 10, 22)).toBe(2);
    expect(batchLength(items(1, 2), 10, 1)).toBe(1);
  });

  it('are retried as often as configured, backing off', () => {
    const settings = { bisects: false, retries: 2 };
    const waits: number[] = [];
    let batch = pending(1, 2);
    for (;;) {
      const step = afterAttempt(batch, { outcome: 'error' }, settings);
      batch = step.left[0]!;
      if (step.givenUp) break;
      waits.push(step.waitMs);
    }
    expect(waits).toEqual([500, 1_000]);
    expect(batch).toMatchObject({ invocations: 3, failures: 3 });
    const endless = { ...pending(1), failures: 9_999 };
    expect(afterAttempt(endless, { outcome: 'error' }, { bisects: false, retries: -1 })).toMatchObject({
      givenUp: false,
      waitMs: 60_000,
    });
  });

  it('do not use up retries while there is no capacity', () => {
    const step = afterAttempt(pending(1), { outcome: 'unavailable' }, { bisects: true, retries: 0 });
    expect(step).toMatchObject({ givenUp: false, processed: 0, waitMs: 500 });
    expect(step.left[0]).toMatchObject({ failures: 0, invocations: 0, refusals: 1 });
  });

  it('are halved down to the record that fails, without using up retries', () => {
    const settings = { bisects: true, retries: 0 };
    const step = afterAttempt(pending(1, 2, 3), { outcome: 'error' }, settings);
    expect(numbersOf(step.left)).toEqual([['1', '2'], ['3']]);
    expect(step.left.map(({ failures }) => failures)).toEqual([0, 0]);
    expect(afterAttempt(pending(3), { outcome: 'error' }, settings)).toMatchObject({ givenUp: true });
  });

  it('go on from the lowest failed record', () => {
    const partial = { outcome: 'partial', firstFailed: 1 } as const;
    const counted = afterAttempt(pending(1, 2, 3), partial, { bisects: false, retries: 1 });
    expect(counted).toMatchObject({ processed: 1, givenUp: false });
    expect(numbersOf(counted.left)).toEqual([['2', '3']]);
    expect(counted.left[0]).toMatchObject({ failures: 1 });
    const split = afterAttempt(pending(1, 2, 3), partial, { bisects: true, retries: 0 });
    expect(numbersOf(split.left)).toEqual([['2', '3']]);
    expect(split.left[0]).toMatchObject({ failures: 0 });
    const first = afterAttempt(pending(1, 2), { outcome: 'partial', firstFailed: 0 }, { bisects: true, retries: 0 });
    expect(numbersOf(first.left)).toEqual([['1'], ['2']]);
  });

  it('read the lowest failed number out of an answer', () => {
    const answer = '{"batchItemFailures":[{"itemIdentifier":"3"},{"itemIdentifier":"2"}]}';
    expect(streamVerdict(answer, items(1, 2, 3))).toEqual({ outcome: 'partial', firstFailed: 1 });
    expect(streamVerdict('{"batchItemFailures":[{"itemIdentifier":"9"}]}', items(1))).toEqual({ outcome: 'error' });
    expect(streamVerdict('null', items(1))).toEqual({ outcome: 'success' });
  });

  it('lose the records that are too old', () => {
    const aged = [item(1, 0), item(2, 30_000), item(3, 90_000)];
    expect(expiredCount(aged, 60, 90_001)).toBe(2);
    expect(expiredCount(aged, 60, 60_000)).toBe(0);
    expect(expiredCount(aged, 60, 1_000_000)).toBe(3);
    expect(expiredCount(aged, -1, 1_000_000)).toBe(0);
  });

  it('are filtered by the data of Kinesis and the image of DynamoDB', () => {
    const data = (text: string) => ({
      kinesis: { partitionKey: 'p', data: Buffer.from(text).toString('base64') },
      eventName: 'aws:kinesis:record',
    });
    const wanted = [parsePattern('{"data":{"a":[1]}}')!];
    expect(wantedRecord(wanted, data('{"a":1}'))).toBe(true);
    expect(wantedRecord(wanted, data('{"a":2}'))).toBe(false);
    expect(wantedRecord(wanted, data('plain'))).toBe(false);
    expect(wantedRecord([parsePattern('{"partitionKey":["p"]}')!], data('plain'))).toBe(true);
    const image = { eventName: 'INSERT', dynamodb: { NewImage: { n: { N: '1' } } } };
    expect(wantedRecord([parsePattern('{"eventName":["INSERT"]}')!], image)).toBe(true);
    expect(wantedRecord([parsePattern('{"dynamodb":{"NewImage":{"n":{"N":["2"]}}}}')!], image)).toBe(false);
    expect(wantedRecord([], image)).toBe(true);
  });

  // Recorded on AWS: test_dynamodb_event_filter.
  it.each([
    ['{"eventName":["INSERT","MODIFY"],"eventSource":["aws:dynamodb"]}', {}, true],
    ['{"eventName":["MODIFY"]}', {}, false],
    ['{"dynamodb":{"NewImage":{"key":{"S":["value"]}}}}', { key: { S: 'value' } }, true],
    ['{"dynamodb":{"NewImage":{"key":["value"]}}}', { key: { S: 'value' } }, false],
    ['{"dynamodb":{"NewImage":{"key":{"S":[{"exists":true}]}}}}', { key: { S: 'value' } }, true],
    ['{"dynamodb":{"NewImage":{"key":{"S":[{"exists":true}]}}}}', {}, false],
    ['{"dynamodb":{"NewImage":{"key":[{"exists":false}]}}}', {}, true],
    ['{"dynamodb":{"NewImage":{"key":[{"exists":false}]}}}', { key: { S: 'value' } }, true],
    [
      '{"dynamodb":{"NewImage":{"key":{"N":[{"numeric":[">",100]},{"anything-but":"101"}]}}}}',
      { key: { N: '42' } },
      true,
    ],
    [
      '{"dynamodb":{"NewImage":{"key":{"N":[{"numeric":[">",100]},{"anything-but":"101"}]}}}}',
      { key: { N: '101' } },
      false,
    ],
    ['{"dynamodb":{"NewImage":{"key":{"S":[{"prefix":"us-1"}]}}}}', { key: { S: 'us-1-other' } }, true],
    ['{"dynamodb":{"ApproximateCreationDateTime":[{"numeric":[">",0]}]}}', {}, true],
  ])('of DynamoDB are filtered by %s as on AWS: %j, %s', (pattern, NewImage, expected) => {
    const event = {
      eventName: 'INSERT',
      eventSource: 'aws:dynamodb',
      dynamodb: { ApproximateCreationDateTime: 1_700_000_000, NewImage },
    };
    expect(wantedRecord([parsePattern(pattern)!], event)).toBe(expected);
  });

  it('have records with what the poller knows, in the order of AWS', () => {
    const record = {
      sequenceNumber: '1',
      partitionKey: 'k',
      approximateArrivalMs: 5,
      event: { kinesis: {}, eventSource: 'aws:kinesis', eventName: 'aws:kinesis:record', awsRegion: 'us-east-1' },
    };
    expect(Object.keys(JSON.parse(itemOf(record, streamArn, 'role').text) as object)).toEqual([
      'kinesis',
      'eventSource',
      'eventName',
      'invokeIdentityArn',
      'awsRegion',
      'eventSourceARN',
    ]);
    const ofTable = { ...record, event: { eventName: 'INSERT', awsRegion: 'us-east-1', dynamodb: {} } };
    expect(JSON.parse(itemOf(ofTable, tableStreamArn, 'role').text)).toEqual({
      ...ofTable.event,
      eventSourceARN: tableStreamArn,
    });
  });

  it('that were given up are told of in the recorded form', () => {
    const batch = {
      streamArn,
      functionArn: 'arn:f',
      shardId: 'shard-1',
      items: [item(1, 1_500), item(2, 2_500)],
      condition: 'RetryAttemptsExhausted' as const,
      invokeCount: 3,
      last: { requestId: 'r', executedVersion: '$LATEST' },
    };
    expect(JSON.parse(discardedRecord(batch, 3_000, false))).toEqual({
      requestContext: {
        requestId: 'r',
        functionArn: 'arn:f',
        condition: 'RetryAttemptsExhausted',
        approximateInvokeCount: 3,
      },
      responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: null },
      version: '1.0',
      timestamp: '1970-01-01T00:00:03.000Z',
      KinesisBatchInfo: {
        shardId: 'shard-1',
        startSequenceNumber: '1',
        endSequenceNumber: '2',
        approximateArrivalOfFirstRecord: '1970-01-01T00:00:01.500Z',
        approximateArrivalOfLastRecord: '1970-01-01T00:00:02.500Z',
        batchSize: 2,
        streamArn,
      },
    });
    const aged = { ...batch, streamArn: tableStreamArn, condition: 'RecordAgeExceeded' as const };
    const told = JSON.parse(discardedRecord(aged, 3_000, true)) as Record<string, unknown>;
    expect(told).not.toHaveProperty('responseContext');
    expect(told).toMatchObject({ DDBStreamBatchInfo: { approximateArrivalOfFirstRecord: '1970-01-01T00:00:01Z' } });
    expect(told['payload']).toBe('{"Records":[{"n":1},{"n":2}]}');
  });
});

describe('tumbling windows', () => {
  it('stand side by side from the epoch on', () => {
    expect(windowStartMs(61_000, 30)).toBe(60_000);
    expect(windowStartMs(60_000, 30)).toBe(60_000);
    expect(windowLength([item(1, 60_000), item(2, 89_999), item(3, 90_000)], 60_000, 30)).toBe(2);
    expect(windowLength([item(1, 95_000)], 60_000, 30)).toBe(0);
    // A late one goes with the window that is open.
    expect(windowLength([item(1, 10), item(2, 61_000)], 60_000, 30)).toBe(2);
  });

  it('are told to the function', () => {
    const of = { tumblingSeconds: 30, shardId: 's', streamArn, final: true };
    expect(JSON.parse(windowEventText([], { startMs: 60_000, state: '{"sum":3}' }, of))).toEqual({
      Records: [],
      window: { start: '1970-01-01T00:01:00Z', end: '1970-01-01T00:01:30Z' },
      state: { sum: 3 },
      shardId: 's',
      eventSourceARN: streamArn,
      isFinalInvokeForWindow: true,
      isWindowTerminatedEarly: false,
    });
  });

  it('need a state in the answer', () => {
    expect(answeredState('{"state":{"a":1}}')).toBe('{"a":1}');
    expect(answeredState('{}')).toBeUndefined();
    expect(answeredState('null')).toBeUndefined();
    expect(answeredState('garbage')).toBeUndefined();
  });
});
