import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ClaimedEntry } from '../../../kernel/store/contract.ts';
import { decodeReceiptHandle, decodeTaskHandle, encodeReceiptHandle, encodeTaskHandle } from '../handles.ts';
import { limitsOf, sqsLimits } from '../limits.ts';
import { decodeMessage, encodeMessage, sentAtOf, withExtras } from '../message.ts';
import { changedAttributes } from './attributes.ts';
import { checkMessage, md5OfAttributes } from './messages.ts';
import { policyWith, policyWithout } from './permissions.ts';
import { sortClaimed } from './receive.ts';
import { parseQueueUrl } from './urls.ts';

const hex = (length: number) =>
  fc.array(fc.constantFrom(...'0123456789abcdef'), { minLength: length, maxLength: length }).map((all) => all.join(''));
const time = fc.integer({ min: 0, max: 2 ** 45 });

describe('stored forms', () => {
  test('a message is read as it was written, and its history can be changed without touching the rest', () => {
    const extras = fc.record(
      { groupId: fc.string(), traceHeader: fc.string(), receivedBefore: fc.nat() },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(
        fc.record({
          messageId: fc.uuid(),
          sentAtMs: time,
          senderId: fc.string({ unit: 'binary', maxLength: 40 }),
          body: fc.string({ unit: 'grapheme', minLength: 1 }),
        }),
        fc.option(extras, { nil: undefined }),
        extras,
        (message, before, after) => {
          const bodyBytes = Buffer.byteLength(message.body);
          const { value, bodyMd5 } = encodeMessage({ ...message, bodyBytes, extras: before });
          const read = decodeMessage(value);
          expect({ ...read, body: read.body.toString('utf8') }).toEqual({ ...message, bodyMd5, extras: before ?? {} });
          expect(sentAtOf(value)).toBe(message.sentAtMs);
          const changed = decodeMessage(withExtras(read, after));
          expect({ ...changed, body: changed.body.toString('utf8') }).toEqual({ ...message, bodyMd5, extras: after });
        },
      ),
      { numRuns: 50 },
    );
  });

  test('a handle says what it was made of, and nothing else is a handle', () => {
    const handle = fc.record({
      queueId: hex(16),
      generation: fc.nat(),
      token: fc.nat(),
      receivedAtMs: time,
      entryId: fc.uint8Array({ minLength: 1, maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    });
    fc.assert(
      fc.property(handle, (one) => {
        expect(decodeReceiptHandle(encodeReceiptHandle(one))).toEqual(one);
      }),
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        const decoded = decodeReceiptHandle(text);
        if (decoded !== undefined) expect(text.startsWith('AQEB')).toBe(true);
        expect(decodeTaskHandle(text)).toBeUndefined();
      }),
    );
    expect(decodeTaskHandle(encodeTaskHandle('a', 'b'))).toEqual({ taskId: 'a', sourceArn: 'b' });
  });
});

describe('rules', () => {
  test('every claimed message is delivered, dropped or dead, and exactly one of these', () => {
    const entry = fc.record({ attempts: fc.integer({ min: 1, max: 12 }), sentAtMs: fc.integer({ min: 0, max: 1000 }) });
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 10 }),
        fc.integer({ min: 1, max: 500 }),
        fc.option(fc.integer({ min: 1, max: 10 }), { nil: undefined }),
        (all, retentionMs, most) => {
          const claimed = all.map(({ attempts, sentAtMs }, index) => ({
            id: Buffer.from([index]),
            value: encodeMessage({
              messageId: '00000000-0000-4000-8000-000000000000',
              sentAtMs,
              senderId: 's',
              body: 'x',
              bodyBytes: 1,
              extras: undefined,
            }).value,
            attempts,
          })) as unknown as ClaimedEntry[];
          const { deliver, expired, dead } = sortClaimed(claimed, 1000, retentionMs, most);
          const ids = [...deliver, ...expired, ...dead].map(({ entry: { id } }) => id[0]).sort();
          expect(ids).toEqual(all.map((_, index) => index));
          for (const { message } of expired) expect(1000 - message.sentAtMs).toBeGreaterThanOrEqual(retentionMs);
          for (const { message, entry: one } of deliver) {
            expect(1000 - message.sentAtMs).toBeLessThan(retentionMs);
            expect(one.attempts).toBeLessThanOrEqual(most ?? 12);
          }
        },
      ),
    );
  });

  test('the digest of attributes depends on everything but their order', () => {
    expect(md5OfAttributes({ b: ['String', 's', 'x'], a: ['Number', 's', '1'] })).toBe(
      md5OfAttributes({ a: ['Number', 's', '1'], b: ['String', 's', 'x'] }),
    );
    // LocalStack's snapshot of AWS: test_send_message_with_binary_attributes.
    const bytes = Buffer.from('traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01', 'latin1');
    expect(md5OfAttributes({ attr1: ['Binary', 'b', bytes.toString('base64')] })).toBe(
      '8cbe4db156db8a94db8b801b7addb984',
    );
  });

  test('size counts names, types and values of attributes, and no system attribute', () => {
    const checked = checkMessage(
      {
        MessageBody: 'ä',
        MessageAttributes: {
          ab: { DataType: 'String', StringValue: 'ü' },
          c: { DataType: 'Binary', BinaryValue: new Uint8Array(7) },
        },
        MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: 'x'.repeat(100) } },
      },
      limitsOf('aws'),
    );
    expect(checked.totalBytes).toBe(2 + (2 + 6 + 2) + (1 + 6 + 7));
  });

  test('urls that are none are never taken for one', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const address = parseQueueUrl(text);
        if (address !== undefined) expect(address.name).not.toMatch(/\/|^$/);
      }),
    );
    expect(parseQueueUrl('http://h/queue/eu-west-1/1/n')).toEqual({ account: '1', region: 'eu-west-1', name: 'n' });
    expect(parseQueueUrl('https://sqs.eu-west-1.amazonaws.com/1/n')).toMatchObject({ region: 'eu-west-1' });
    expect(parseQueueUrl('https://eu-west-1.queue.amazonaws.com/1/n')).toMatchObject({ region: 'eu-west-1' });
    expect(parseQueueUrl('https://queue.amazonaws.com/1/n.fifo')).toMatchObject({
      region: 'us-east-1',
      name: 'n.fifo',
    });
    expect(parseQueueUrl('https://sqs.cn-north-1.amazonaws.com.cn/1/n')).toMatchObject({ region: 'cn-north-1' });
    expect(parseQueueUrl('https://sqs-fips.us-west-2.amazonaws.com/1/n')).toMatchObject({ region: 'us-west-2' });
    expect(parseQueueUrl('https://vpce-0a.sqs.us-east-2.vpce.amazonaws.com/1/n')).toMatchObject({
      region: 'us-east-2',
    });
    expect(parseQueueUrl('https://sqs.eu-central-1.api.aws/1/n')).toMatchObject({ region: 'eu-central-1' });
    expect(parseQueueUrl('https://elsewhere.example/1/n')).toMatchObject({
      account: '1',
      region: undefined,
      name: 'n',
    });
    expect(parseQueueUrl('/1/n')).toEqual({ account: '1', region: undefined, name: 'n' });
    expect(parseQueueUrl('n')).toEqual({ account: undefined, region: undefined, name: 'n' });
    for (const bad of ['', '/n', 'a/b/c', 'http://h', 'http://h/', 'http://h/a', 'http://h/a/b/c', 'http://h//n']) {
      expect(parseQueueUrl(bad), bad).toBeUndefined();
    }
  });

  test('a permission added and removed leaves the policy as it was', () => {
    const own = JSON.stringify({ Version: '2012-10-17', Statement: { Sid: 'own', Effect: 'Deny' } });
    const permission = {
      label: 'l',
      accounts: ['111111111111'],
      actions: ['SendMessage', '*'],
      queueArn: 'arn:aws:sqs:us-east-1:000000000000:q',
      partition: 'aws',
    };
    const after = policyWith(own, permission, 7);
    expect(JSON.parse(after).Statement).toHaveLength(2);
    expect(JSON.parse(policyWithout(after, 'l', permission.queueArn)!).Statement).toEqual([
      { Sid: 'own', Effect: 'Deny' },
    ]);
    expect(policyWithout(policyWith(undefined, permission, 7), 'l', permission.queueArn)).toBeUndefined();
  });

  test('attributes at their defaults leave no trace', () => {
    const limits = limitsOf('aws');
    expect(changedAttributes({ KmsMasterKeyId: 'k' }, { KmsMasterKeyId: '' }, limits)).toEqual({});
    expect(changedAttributes({ RedrivePolicy: '{…}' }, { RedrivePolicy: '{}' }, limits)).toEqual({});
  });

  test('the relaxed profile lifts rates and quotas and keeps sizes', () => {
    const relaxed = limitsOf('relaxed');
    expect(relaxed.messageBytes).toBe(1_048_576);
    expect(relaxed.inFlightMessages).toBe(Number.POSITIVE_INFINITY);
    expect(relaxed.recreateWaitMs).toBe(0);
    for (const { source, unit } of Object.values(sqsLimits)) expect([source, unit].every(Boolean)).toBe(true);
  });
});
