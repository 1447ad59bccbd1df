import { describe, expect, it } from 'vitest';
import { codecFor } from '../codec.ts';
import { AwsError } from '../errors.ts';
import type { ServiceModel } from '../model.ts';
import { writersOf } from '../protocols/aws-json.ts';
import { eventWriter, failureMessage } from './events.ts';
import { decodeMessages, EventStreamError, encodeMessage, type Header, type Message } from './message.ts';

async function* pieces(bytes: Buffer, size = bytes.length): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function decoded(bytes: Buffer, size?: number): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const message of decodeMessages(pieces(bytes, size))) messages.push(message);
  return messages;
}

const everyType: Header[] = [
  ['yes', { type: 'boolean', value: true }],
  ['no', { type: 'boolean', value: false }],
  ['byte', { type: 'byte', value: -5 }],
  ['short', { type: 'short', value: -30_000 }],
  ['integer', { type: 'integer', value: -2_000_000_000 }],
  ['long', { type: 'long', value: -9_007_199_254_740_993n }],
  ['bytes', { type: 'bytes', value: Buffer.from([0, 1, 255]) }],
  ['string', { type: 'string', value: 'héllo 雲' }],
  ['time', { type: 'timestamp', value: 1_700_000_000_123 }],
  ['uuid', { type: 'uuid', value: '0bf1d6e4-0c4f-4a3b-8b8d-3d3f1c2b4a59' }],
];

describe('a message', () => {
  it('comes back as it was, however it is cut', async () => {
    const bytes = Buffer.concat([
      encodeMessage(everyType, Buffer.from('payload')),
      encodeMessage([], Buffer.alloc(0)),
      encodeMessage([['a', { type: 'string', value: '' }]], Buffer.alloc(5_000, 7)),
    ]);
    for (const size of [1, 3, 16, 1_000, bytes.length]) {
      const [first, second, third] = await decoded(bytes, size);
      expect(first).toEqual({ headers: everyType, payload: Buffer.from('payload') });
      expect(second).toEqual({ headers: [], payload: Buffer.alloc(0) });
      expect(third!.payload).toEqual(Buffer.alloc(5_000, 7));
    }
  });

  it("is byte for byte the specification's", () => {
    // https://github.com/awslabs/aws-c-event-stream (the empty message, and one with a payload) in tests/
    expect(encodeMessage([], Buffer.alloc(0)).toString('hex')).toBe('000000100000000005c248eb7d98c8ff');
    expect(encodeMessage([], Buffer.from("{'foo':'bar'}")).toString('hex')).toBe(
      '0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936',
    );
  });

  it('is refused with any byte damaged, or without its end', async () => {
    const whole = encodeMessage(everyType.slice(0, 3), Buffer.from('body'));
    for (let at = 0; at < whole.length; at++) {
      const damaged = Buffer.from(whole);
      damaged[at]! ^= 0x40;
      await expect(decoded(damaged), `byte ${at}`).rejects.toThrow(EventStreamError);
    }
    await expect(decoded(whole.subarray(0, -1))).rejects.toThrow(
      `the stream ends ${whole.length - 1} bytes into a message`,
    );
    await expect(decoded(Buffer.concat([whole, Buffer.from('x')]))).rejects.toThrow(EventStreamError);
  });

  it('has bounds', () => {
    expect(() => encodeMessage([['n'.repeat(256), { type: 'boolean', value: true }]], Buffer.alloc(0))).toThrow(
      EventStreamError,
    );
    expect(() => encodeMessage([['n', { type: 'string', value: 'v'.repeat(32_768) }]], Buffer.alloc(0))).toThrow(
      EventStreamError,
    );
    expect(() => encodeMessage([], Buffer.alloc(24 * 1024 * 1024 + 1))).toThrow(EventStreamError);
  });
});

const toy: ServiceModel = {
  service: 'toy',
  apiVersion: '',
  serviceId: '',
  protocols: ['restJson'],
  signingName: '',
  endpointPrefix: '',
  operations: {},
  shapes: {
    String: { type: 'string' },
    Integer: { type: 'integer' },
    Stream: { type: 'structure', eventstream: true, members: { Note: 'Note', Words: 'Words', Busy: 'BusyException' } },
    Note: {
      type: 'structure',
      event: true,
      members: { Count: { shape: 'Integer', eventheader: true }, Text: 'String' },
    },
    Words: { type: 'structure', event: true, members: { Text: { shape: 'String', eventpayload: true } } },
    BusyException: { type: 'structure', error: { status: 400, fault: 'Sender' }, members: { message: 'String' } },
  },
};

describe('events', () => {
  it('are written by the model: headers, a text body, a JSON body', async () => {
    const write = eventWriter(toy, 'Stream', writersOf(toy));
    const bytes = Buffer.concat([write({ Note: { Count: 3, Text: 'a' } }), write({ Words: { Text: 'plain' } })]);
    const [note, words] = await decoded(bytes);
    expect(note!.headers).toEqual([
      [':event-type', { type: 'string', value: 'Note' }],
      [':content-type', { type: 'string', value: 'application/json' }],
      [':message-type', { type: 'string', value: 'event' }],
      ['Count', { type: 'integer', value: 3 }],
    ]);
    expect(note!.payload.toString()).toBe('{"Text":"a"}');
    expect(words!.headers[1]).toEqual([':content-type', { type: 'string', value: 'text/plain' }]);
    expect(words!.payload.toString()).toBe('plain');
    expect(() => write({ Other: {} })).toThrow('Stream has no event Other');
  });

  it('end in an exception of the model, or in an error', async () => {
    const messageOf = async (error: unknown) => (await decoded(failureMessage(error, toy, 'Stream')))[0]!;
    const busy = await messageOf(new AwsError('BusyException', 'later'));
    expect(busy.headers).toContainEqual([':exception-type', { type: 'string', value: 'Busy' }]);
    expect(busy.headers).toContainEqual([':message-type', { type: 'string', value: 'exception' }]);
    expect(busy.payload.toString()).toBe('{"message":"later"}');
    const other = await messageOf(new AwsError('Throttled', 'slow down'));
    expect(other.headers).toContainEqual([':error-code', { type: 'string', value: 'Throttled' }]);
    expect(other.headers).toContainEqual([':error-message', { type: 'string', value: 'slow down' }]);
    const bug = await messageOf(new Error('secret'));
    expect(JSON.stringify(bug.headers)).not.toContain('secret');
    expect(bug.headers).toContainEqual([':error-code', { type: 'string', value: 'InternalFailure' }]);
  });
});

describe('an output that streams', () => {
  const { encode } = codecFor('lambda', 'InvokeWithResponseStream', 'restJson');

  it('has its head at once and its events as they come', async () => {
    let returned = false;
    async function* events() {
      try {
        yield { PayloadChunk: { Payload: Buffer.from('one') } };
        yield { InvokeComplete: { ErrorCode: 'Unhandled' } };
      } finally {
        returned = true;
      }
    }
    const answer = encode({ StatusCode: 200, ExecutedVersion: '7', EventStream: events() }, 'id');
    expect(answer).toMatchObject({ status: 200, body: '' });
    expect(answer.headers).toMatchObject({
      'content-type': 'application/vnd.amazon.eventstream',
      'X-Amz-Executed-Version': '7',
    });
    const messages: Message[] = [];
    for await (const message of decodeMessages(answer.stream!)) messages.push(message);
    expect(messages.map(({ payload }) => payload.toString())).toEqual(['one', '{"ErrorCode":"Unhandled"}']);
    expect(returned).toBe(true);
  });

  it('ends its events when the reader leaves, and throws a bug on after its message', async () => {
    let returned = false;
    async function* endless() {
      try {
        for (;;) yield { PayloadChunk: { Payload: Buffer.from('more') } };
      } finally {
        returned = true;
      }
    }
    for await (const _ of encode({ EventStream: endless() }, 'id').stream!) break;
    expect(returned).toBe(true);

    // biome-ignore lint/correctness/useYield: it fails before its first event
    async function* broken(): AsyncGenerator<never> {
      throw new TypeError('a bug');
    }
    const seen: Buffer[] = [];
    const reading = async () => {
      for await (const piece of encode({ EventStream: broken() }, 'id').stream!) seen.push(piece);
    };
    await expect(reading()).rejects.toThrow('a bug');
    expect(seen).toHaveLength(1);
  });

  it('is an empty body where there is nothing to stream', () => {
    const answer = encode({ StatusCode: 204 }, 'id');
    expect(answer.stream).toBeUndefined();
    expect(answer).toMatchObject({ status: 204, body: '' });
  });
});
