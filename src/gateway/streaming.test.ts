import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../test/support/cloud.ts';
import type { Dispatcher } from '../platform/dispatcher.ts';
import type { Service } from '../platform/service.ts';
import { AwsError } from '../wire/errors.ts';
import { decodeMessages, type Message } from '../wire/event-stream/message.ts';
import type { InvokeWithResponseStreamResponseEvent } from '../wire/types/lambda.ts';

type Events = AsyncIterable<InvokeWithResponseStreamResponseEvent>;

let cloud: TestCloud;
let events: (signal: AbortSignal) => Events;
const logged: string[] = [];

beforeAll(async () => {
  const log = { info: () => {}, warn: () => {}, error: (message: string) => void logged.push(message) };
  cloud = await startTestCloud({ services: ['sts'], log });
  const service = {
    operations: {
      InvokeWithResponseStream: async ({ signal }: { readonly signal: AbortSignal }) => ({
        StatusCode: 200,
        EventStream: events(signal),
      }),
    },
  };
  (cloud.cloud.platform.bus as Dispatcher).register('lambda', service as unknown as Service);
});
afterAll(() => cloud.close());

const path = '/2021-11-15/functions/any/response-streaming-invocations';

function chunk(text: string): InvokeWithResponseStreamResponseEvent {
  return { PayloadChunk: { Payload: Buffer.from(text) } };
}

/** `origin` sends a request past the fast lane. */
async function messages(headers: Record<string, string> = {}): Promise<Message[]> {
  const answer = await fetch(`${cloud.endpoint}${path}`, { method: 'POST', body: '{}', headers });
  expect(answer.headers.get('content-type')).toBe('application/vnd.amazon.eventstream');
  const seen: Message[] = [];
  for await (const message of decodeMessages(answer.body as unknown as AsyncIterable<Uint8Array>)) seen.push(message);
  return seen;
}

const ways = [
  ['the fast lane', () => ({})],
  ['node:http', () => ({ origin: cloud.endpoint })],
] as const;

describe.each(ways)('an answer that streams, by %s', (_way, headers) => {
  it('comes piece by piece to its end', async () => {
    events = async function* () {
      for (const text of ['one', 'two', 'three']) yield chunk(text);
    };
    expect((await messages(headers())).map(({ payload }) => payload.toString())).toEqual(['one', 'two', 'three']);
  });

  it('ends in the error that stopped it; a bug is logged and not told', async () => {
    events = async function* () {
      yield chunk('one');
      throw new AwsError('TooManyRequestsException', 'slowly');
    };
    const [, told] = await messages(headers());
    expect(told!.headers).toContainEqual([':error-code', { type: 'string', value: 'TooManyRequestsException' }]);
    expect(logged).toEqual([]);
    events = async function* () {
      yield chunk('one');
      throw new TypeError('a bug');
    };
    const [, hidden] = await messages(headers());
    expect(hidden!.headers).toContainEqual([':error-code', { type: 'string', value: 'InternalFailure' }]);
    expect(logged.splice(0)).toEqual(['an internal failure was answered']);
  });

  it('stops when the client has left', async () => {
    let over: (sent: number) => void = () => {};
    const ended = new Promise<number>((resolve) => {
      over = resolve;
    });
    let aborted = false;
    events = async function* (signal) {
      signal.addEventListener('abort', () => {
        aborted = true;
      });
      let sent = 0;
      try {
        for (; ; sent++) yield chunk('x'.repeat(16_384));
      } finally {
        over(sent);
      }
    };
    const { hostname, port } = new URL(cloud.endpoint);
    const sent = httpRequest({ hostname, port, path, method: 'POST', headers: headers() }, (response) => {
      response.once('data', () => response.destroy());
    });
    sent.on('error', () => {});
    sent.end('{}');
    expect(await ended).toBeGreaterThan(0);
    expect(aborted).toBe(true);
  });
});

it('leaves the connection to the next request', async () => {
  events = async function* () {
    yield chunk('one');
  };
  const socket = connect(Number(new URL(cloud.endpoint).port), '127.0.0.1');
  const head = (uri: string, body: string, type: string) =>
    `POST ${uri} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const form = 'Action=GetCallerIdentity&Version=2011-06-15';
  socket.write(head(path, '{}', 'application/json') + head('/', form, 'application/x-www-form-urlencoded'));
  let text = '';
  for await (const piece of socket) {
    text += (piece as Buffer).toString('latin1');
    if (text.includes('</GetCallerIdentityResponse>')) break;
  }
  expect(text).toMatch(
    /^HTTP\/1\.1 200 OK\r\n[\s\S]*transfer-encoding: chunked\r\n[\s\S]*\r\n0\r\n\r\nHTTP\/1\.1 200 OK\r\n/,
  );
});
