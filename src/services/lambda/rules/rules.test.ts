import { describe, expect, it } from 'vitest';
import type { FunctionRecord, InvokeConfigRecord, QueuedEvent } from '../state.ts';
import { chosenVersion } from './aliases.ts';
import { deadLetterAttributes, destinationRecord, nextStep, verdictBefore } from './async.ts';
import { checkReservation, refusal, unreservedConcurrency } from './concurrency.ts';
import { matchesPattern, parsePattern } from './event-pattern.ts';
import { initLine, reportLine, streamName, timeoutLine } from './log-lines.ts';
import { functionArn, parseFunctionName } from './names.ts';
import { zipFiles } from './package.ts';
import { checkPayload, clientContextText } from './payload.ts';

const place = { account: '123456789012', region: 'eu-west-1' };

const event: QueuedEvent = {
  ...place,
  requestId: 'r-1',
  functionName: 'f',
  acceptedAtMs: 0,
  traceHeader: '',
  body: { text: '{"n":1}' },
  invokeCount: 0,
  throttles: 0,
};
const failure = {
  outcome: 'function-error' as const,
  result: { statusCode: 200, executedVersion: '1', functionError: 'Unhandled', payload: '{"errorMessage":"é"}' },
};

describe('asynchronous events', () => {
  it('are retried after one minute and two, as often as configured', () => {
    const first = nextStep(event, failure, undefined, 1_000);
    expect(first).toMatchObject({ step: 'again', dueAtMs: 61_000, event: { invokeCount: 1 } });
    const second = nextStep(first.event, failure, undefined, 61_000);
    expect(second).toMatchObject({ step: 'again', dueAtMs: 181_000 });
    expect(nextStep(second.event, failure, undefined, 181_000)).toMatchObject({
      step: 'finish',
      condition: 'RetriesExhausted',
    });
    const none: InvokeConfigRecord = { qualifier: '$LATEST', retries: 0, lastModifiedMs: 0 };
    expect(nextStep(event, failure, none, 0)).toMatchObject({ step: 'finish', condition: 'RetriesExhausted' });
  });

  it('wait for capacity 1 s doubling to 5 min, up to their greatest age', () => {
    const waits: number[] = [];
    let waiting = event;
    let nowMs = 0;
    for (let count = 0; count < 12; count++) {
      const next = nextStep(waiting, { outcome: 'unavailable', statusCode: 429 }, undefined, nowMs);
      if (next.step !== 'again') throw new Error('it should wait');
      waits.push((next.dueAtMs - nowMs) / 1_000);
      nowMs = next.dueAtMs;
      waiting = next.event;
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    expect(waiting.invokeCount).toBe(0);
    const aged: InvokeConfigRecord = { qualifier: '$LATEST', eventAgeSeconds: 60, lastModifiedMs: 0 };
    expect(nextStep(waiting, { outcome: 'unavailable', statusCode: 429 }, aged, 59_000)).toMatchObject({
      dueAtMs: 60_000,
    });
    expect(verdictBefore(waiting, aged, undefined, 60_000)).toBe('EventAgeExceeded');
    expect(verdictBefore(waiting, aged, undefined, 59_999)).toBeUndefined();
    expect(verdictBefore(event, aged, 0, 0)).toBe('ZeroReservedConcurrency');
  });

  it('leave a record and a dead letter', () => {
    const done = nextStep(event, failure, { qualifier: '', retries: 0, lastModifiedMs: 0 }, 0).event;
    const record = JSON.parse(destinationRecord(done, '{"n":1}', 'arn', 'RetriesExhausted', 0));
    expect(record).toMatchObject({ requestPayload: { n: 1 }, responsePayload: { errorMessage: 'é' } });
    const long = { ...done, last: { ...failure.result, payload: JSON.stringify({ errorMessage: 'é'.repeat(600) }) } };
    const { ErrorMessage, ErrorCode } = deadLetterAttributes(long, 'RetriesExhausted');
    expect(Buffer.byteLength(ErrorMessage!.value)).toBe(1_024);
    expect(ErrorCode!.value).toBe('200');
    const garbage = { ...done, last: { ...failure.result, payload: 'not json' } };
    expect(JSON.parse(destinationRecord(garbage, '{}', 'arn', 'Success', 0)).responsePayload).toBe('not json');
  });
});

describe('event patterns', () => {
  const matches = (pattern: object, value: unknown) => matchesPattern(parsePattern(JSON.stringify(pattern))!, value);
  it.each([
    [{ a: ['x'] }, { a: 'x' }, true],
    [{ a: ['x'] }, { a: ['y', 'x'] }, true],
    [{ a: ['x'] }, {}, false],
    [{ a: [null] }, { a: null }, true],
    [{ a: [1] }, { a: '1' }, false],
    [{ a: { b: ['x'] } }, { a: [{ b: 'y' }, { b: 'x' }] }, true],
    [{ a: [{ prefix: 'ab' }] }, { a: 'abc' }, true],
    [{ a: [{ suffix: { 'equals-ignore-case': 'C' } }] }, { a: 'abc' }, true],
    [{ a: [{ 'equals-ignore-case': 'ABC' }] }, { a: 'abc' }, true],
    [{ a: [{ wildcard: 'a*c' }] }, { a: 'abbbc' }, true],
    [{ a: [{ wildcard: 'a?c' }] }, { a: 'abc' }, false],
    [{ a: [{ 'anything-but': ['x', 'y'] }] }, { a: 'z' }, true],
    [{ a: [{ 'anything-but': ['x', 'y'] }] }, {}, false],
    [{ a: [{ 'anything-but': { prefix: 'z' } }] }, { a: 'zoo' }, false],
    [{ a: [{ numeric: ['>', 1, '<=', 5] }] }, { a: 5 }, true],
    [{ a: [{ numeric: ['=', 5] }] }, { a: 6 }, false],
    [{ a: [{ exists: true }] }, { a: 0 }, true],
    [{ a: [{ exists: false }] }, {}, true],
    [{ a: [{ exists: false }] }, { a: 1 }, false],
    [{ $or: [{ a: [1] }, { b: [2] }] }, { b: 2 }, true],
    [{ a: [1], b: [2] }, { a: 1, b: 3 }, false],
  ])('%j on %j: %s', (pattern, value, expected) => {
    expect(matches(pattern, value)).toBe(expected);
  });
  it.each([
    '',
    'x',
    '[]',
    '{}',
    '{"a":"x"}',
    '{"a":[]}',
    '{"a":[{"unknown":1}]}',
    '{"a":[{"numeric":[">"]}]}',
    '{"a":{}}',
  ])('%s is none', (text) => {
    expect(parsePattern(text)).toBeUndefined();
  });
});

describe('small rules', () => {
  it('names', () => {
    expect(parseFunctionName('f', undefined, place)).toEqual({ name: 'f', qualifier: undefined });
    expect(parseFunctionName('f:live', 'live', place)).toEqual({ name: 'f', qualifier: 'live' });
    expect(parseFunctionName(functionArn(place, 'f', '$LATEST'), undefined, place).qualifier).toBe('$LATEST');
    expect(() => parseFunctionName('999999999999:function:f', undefined, place)).toThrowError(
      expect.objectContaining({ code: 'AccessDeniedException' }),
    );
    expect(() => parseFunctionName('a:b:c', undefined, place)).toThrowError(/'functionName' failed to satisfy/);
  });

  it('weights', () => {
    const alias = { name: 'a', version: '1', description: '', revisionId: '', weights: { '2': 0.25 } };
    expect(chosenVersion(alias, 0.2)).toBe('2');
    expect(chosenVersion(alias, 0.25)).toBe('1');
  });

  it('capacity', () => {
    const free = { reserved: undefined, provisioned: 0, ofFunction: 0, unreserved: 999, unreservedLimit: 1_000 };
    expect(refusal(free)).toBeUndefined();
    expect(refusal({ ...free, unreserved: 1_000 })).toBe('ConcurrentInvocationLimitExceeded');
    expect(refusal({ ...free, reserved: 1, ofFunction: 1 })).toBe('ReservedFunctionConcurrentInvocationLimitExceeded');
    expect(refusal({ ...free, reserved: 5, ofFunction: 1, unreserved: 1_000 })).toBeUndefined();
    expect(refusal({ ...free, reserved: 5, provisioned: 4, ofFunction: 1 })).toBe(
      'ReservedFunctionConcurrentInvocationLimitExceeded',
    );
    const b = { name: 'b' } as FunctionRecord;
    const floor = /minimum value of \[100\]/;
    expect(() => checkReservation({ reserved: { a: 500 } }, b, 401, 1_000)).toThrowError(floor);
    expect(() => checkReservation({ reserved: { a: 500, b: 300 } }, b, 400, 1_000)).not.toThrow();
    const account = { reserved: { a: 500 }, provisioned: { a: 100, c: 50 } };
    expect(unreservedConcurrency(account, 1_000)).toBe(450);
    expect(() => checkReservation(account, b, 351, 1_000)).toThrowError(floor);
  });

  it('payloads', () => {
    expect(() => checkPayload(Buffer.from('[1,2]'), true)).not.toThrow();
    expect(() => checkPayload(Buffer.from('nope'), true)).toThrowError(/line: 1, column: \d/);
    expect(() => checkPayload(Buffer.from('{"a":'), true)).toThrowError(/Unexpected end-of-input/);
    expect(() => clientContextText(Buffer.from('no json').toString('base64'))).toThrowError(
      /valid Base64-encoded JSON/,
    );
    expect(() => clientContextText('x'.repeat(4_000))).toThrowError(/3583 bytes/);
  });

  it('log lines', () => {
    const stats = { durationMs: 2.9, initMs: undefined, maxMemoryMb: 36 };
    expect(reportLine('r', 128, stats)).toBe(
      'REPORT RequestId: r\tDuration: 2.90 ms\tBilled Duration: 3 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\t',
    );
    expect(reportLine('r', 128, stats, { status: 'timeout' })).toMatch(/Status: timeout\t$/);
    expect(timeoutLine(0, 'r', 3_000)).toBe('1970-01-01T00:00:00.000Z r Task timed out after 3.00 seconds');
    expect(streamName(0, '$LATEST', 'ab')).toBe('1970/01/01/[$LATEST]ab');
    expect(initLine({ durationMs: 10_000, phase: 'init', status: 'timeout' })).toBe(
      'INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout',
    );
  });

  it('a package made of text is the same for the same text', () => {
    expect(zipFiles({ 'index.js': 'x' }).equals(zipFiles({ 'index.js': 'x' }))).toBe(true);
  });
});
