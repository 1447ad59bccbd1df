import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../test/support/cloud.ts';

let cloud: TestCloud;
const sockets: Socket[] = [];
beforeAll(async () => {
  cloud = await startTestCloud({ services: ['sts', 'sqs'] });
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await cloud.close();
});

interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** A raw connection: what is written goes out as it is, answers are read one by one. */
async function open() {
  const socket = connect(Number(new URL(cloud.endpoint).port), '127.0.0.1');
  sockets.push(socket);
  await new Promise((resolve) => socket.once('connect', resolve));
  let text = '';
  let isOpen = true;
  const waiting: (() => void)[] = [];
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
    for (const wake of waiting.splice(0)) wake();
  });
  socket.on('close', () => {
    isOpen = false;
    for (const wake of waiting.splice(0)) wake();
  });
  const answer = async (): Promise<Answer> => {
    for (;;) {
      const match = /^HTTP\/1\.1 (\d+)[\s\S]*?\r\n\r\n/.exec(text);
      const length = match === null ? undefined : Number(/content-length: (\d+)/i.exec(match[0])?.[1] ?? 0);
      if (match !== null && text.length >= match[0].length + length!) {
        const body = text.slice(match[0].length, match[0].length + length!);
        text = text.slice(match[0].length + length!);
        return { status: Number(match[1]), head: match[0], body };
      }
      if (!isOpen) throw new Error(`closed after: ${text}`);
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  return { socket, answer, isOpen: () => isOpen };
}

const form = 'Action=GetCallerIdentity&Version=2011-06-15';
function request(headers = '', body = form, path = '/'): string {
  return `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
}

describe('one connection', () => {
  it('carries one call after the other', async () => {
    const { socket, answer } = await open();
    for (let round = 0; round < 3; round++) {
      socket.write(request());
      const got = await answer();
      expect(got.status).toBe(200);
      expect(got.body).toContain('GetCallerIdentityResult');
      expect(got.head).toMatch(/\r\ndate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n/);
    }
  });

  it('answers pipelined calls in their order', async () => {
    const { socket, answer } = await open();
    socket.write(request() + request('', 'Action=Nothing&Version=2011-06-15') + request());
    expect([(await answer()).status, (await answer()).status, (await answer()).status]).toEqual([200, 400, 200]);
  });

  it('takes a call that comes byte by byte', async () => {
    const { socket, answer } = await open();
    for (const byte of request()) {
      socket.write(byte);
      await new Promise(setImmediate);
    }
    expect((await answer()).status).toBe(200);
  });

  it('goes on after it was handed over to the general server, whatever the order of plain and other requests', async () => {
    const { socket, answer } = await open();
    const chunked = `POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n${form.length.toString(16)}\r\n${form}\r\n0\r\n\r\n`;
    const control = 'GET /_unkai/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
    socket.write(request() + chunked);
    expect((await answer()).status).toBe(200);
    expect((await answer()).body).toContain('GetCallerIdentityResult');
    socket.write(control);
    expect(JSON.parse((await answer()).body)).toMatchObject({ name: 'unkai' });
    socket.write(request());
    expect((await answer()).status).toBe(200);
  });

  it('is asked to go on where the client expects that', async () => {
    const { socket, answer } = await open();
    const [head, body] = [request('Expect: 100-continue\r\n').split('\r\n\r\n')[0], form];
    socket.write(`${head}\r\n\r\n`);
    expect((await answer()).status).toBe(100);
    socket.write(body);
    expect((await answer()).status).toBe(200);
  });

  it.each([
    ['no HTTP at all', 'hello\r\n\r\n'],
    ['two lengths', `POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`],
    ['a length that is none', 'POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n'],
    ['a broken header', 'POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nno colon\r\n\r\n'],
  ])('is answered 400 and ended after %s', async (_what, bytes) => {
    const { socket, answer } = await open();
    socket.write(bytes);
    expect((await answer()).status).toBe(400);
  });

  it('is ended after the answer where the client asks for that', async () => {
    const { socket, answer, isOpen } = await open();
    socket.write(request('Connection: Close\r\n'));
    expect((await answer()).head).toContain('connection: close');
    await new Promise((resolve) => (isOpen() ? socket.once('close', resolve) : resolve(undefined)));
    expect(isOpen()).toBe(false);
  });

  it('refuses foreign hosts and pages in whatever lane they come', async () => {
    const { socket, answer } = await open();
    socket.write(request().replace('Host: 127.0.0.1', 'Host: evil.example'));
    expect((await answer()).status).toBe(403);
    const page = await open();
    page.socket.write(request('Origin: https://evil.example\r\n'));
    expect((await page.answer()).status).toBe(403);
  });
});

describe('a cloud that closes', () => {
  it('ends idle connections at once and lets a call that is under way finish', async () => {
    const closing = await startTestCloud({ services: ['sqs'] });
    const send = (target: string, body: object): Promise<Response> =>
      fetch(closing.endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${target}` },
        body: JSON.stringify(body),
      });
    const { QueueUrl } = (await (await send('CreateQueue', { QueueName: 'q' })).json()) as { QueueUrl: string };
    await (await fetch(`${closing.endpoint}/_unkai/status`)).text();
    const polling = send('ReceiveMessage', { QueueUrl, WaitTimeSeconds: 20 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    const startedAt = performance.now();
    await closing.close();
    expect(performance.now() - startedAt).toBeLessThan(1500);
    expect((await polling).status).toBe(200);
  });
});
