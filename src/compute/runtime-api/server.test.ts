import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type HttpRequest, HttpSyntaxError, RequestParser } from '../../wire/http1.ts';
import { responseLimitBytes } from '../limits.ts';
import { listenOnLoopback } from '../sandboxes/process.ts';
import type { RuntimeEvent } from './connection.ts';
import { RuntimeApi } from './server.ts';
import { StreamedResponse } from './streamed-response.ts';

describe('the request parser', () => {
  /** The same bytes whole, and in every split in two, and byte by byte, give the same requests. */
  function parse(text: string | Buffer, maxBodyBytes = 1000): Partial<HttpRequest>[] {
    const bytes = Buffer.from(text);
    const whole = feed([bytes], maxBodyBytes);
    for (let cut = 1; cut < bytes.length; cut++) {
      expect(feed([bytes.subarray(0, cut), bytes.subarray(cut)], maxBodyBytes)).toEqual(whole);
    }
    expect(
      feed(
        Array.from(bytes, (_, at) => bytes.subarray(at, at + 1)),
        maxBodyBytes,
      ),
    ).toEqual(whole);
    return whole;
  }

  function feed(pieces: Buffer[], maxBodyBytes: number): Partial<HttpRequest>[] {
    const parser = new RequestParser(maxBodyBytes);
    const found: Partial<HttpRequest>[] = [];
    for (const piece of pieces) {
      parser.push(piece);
      for (let request = parser.next(); request !== undefined; request = parser.next()) {
        const { method, path, body, bodyBytes, trailers, keepAlive } = request;
        found.push({ method, path, body: Buffer.from(body), bodyBytes, trailers: { ...trailers }, keepAlive });
      }
    }
    return found;
  }

  it('reads requests without and with a body, one behind the other', () => {
    const found = parse(
      'GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\nPOST /d HTTP/1.1\r\ncontent-LENGTH:  3 \r\n\r\nxyzGET /e HTTP/1.1\r\n\r\n',
    );
    expect(found.map(({ method, path, body }) => `${method} ${path} ${body!.toString()}`)).toEqual([
      'GET /a ',
      'POST /d xyz',
      'GET /e ',
    ]);
  });

  it('reads chunks, extensions and trailers', () => {
    const [request] = parse(
      'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nError-Type: t\r\n\r\n',
    );
    expect(request).toMatchObject({ bodyBytes: 13, trailers: { 'error-type': 't' } });
    expect(request!.body!.toString()).toBe('abc0123456789');
  });

  it('keeps no more of a body than it may, and counts the rest', () => {
    const [request] = parse(`POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\n${'x'.repeat(20)}`, 5);
    expect(request).toMatchObject({ bodyBytes: 20 });
    expect(request!.body).toHaveLength(5);
  });

  it('gives a body out as it comes where somebody takes it, and waits while it is paused', () => {
    const text =
      'POST /taken HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n' +
      'POST /kept HTTP/1.1\r\nContent-Length: 2\r\n\r\nxy' +
      'POST /taken HTTP/1.1\r\nContent-Length: 4\r\n\r\nfghi';
    const bytes = Buffer.from(text);
    for (let cut = 1; cut < bytes.length; cut++) {
      const taken: string[] = [];
      const parser = new RequestParser(1000, (method, path) =>
        method === 'POST' && path === '/taken'
          ? (piece) => {
              taken.push(piece.toString());
              parser.paused = true;
            }
          : undefined,
      );
      const found: string[] = [];
      const read = (): void => {
        for (let turn = 0; turn < 20; turn++) {
          const request = parser.next();
          if (request !== undefined) {
            found.push(
              `${request.path} ${request.body.toString()} ${request.bodyBytes} ${request.trailers['a'] ?? ''}`,
            );
          } else if (parser.paused) {
            expect(parser.next()).toBeUndefined();
            parser.paused = false;
          }
        }
      };
      for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
        parser.push(piece);
        read();
      }
      expect(found).toEqual(['/taken  5 b', '/kept xy 2 ', '/taken  4 ']);
      expect(taken.join('')).toBe('abcdefghi');
    }
  });

  it('knows when a connection ends', () => {
    const keepAlive = (head: string) => parse(`GET / ${head}\r\n\r\n`)[0]!.keepAlive;
    expect(keepAlive('HTTP/1.1')).toBe(true);
    expect(keepAlive('HTTP/1.1\r\nConnection: close')).toBe(false);
    expect(keepAlive('HTTP/1.0')).toBe(false);
    expect(keepAlive('HTTP/1.0\r\nConnection: keep-alive')).toBe(true);
  });

  it('takes the absolute form, and empty lines before a request', () => {
    expect(parse('\r\n\r\nGET http://127.0.0.1:9001/a?b HTTP/1.1\r\n\r\n')[0]).toMatchObject({ path: '/a' });
  });

  it.each([
    ['no HTTP at all', 'hello there\r\n\r\n', 400],
    ['a TLS greeting', '\x16\x03\x01\x02\x00\r\n\r\n', 400],
    ['another version', 'GET / HTTP/1.7\r\n\r\n', 505],
    ['a header without a name', 'GET / HTTP/1.1\r\n: x\r\n\r\n', 400],
    ['a header without a colon', 'GET / HTTP/1.1\r\nx\r\n\r\n', 400],
    ['two lengths', 'POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400],
    ['a negative length', 'POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n', 400],
    ['a length and chunks', 'POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
    ['another coding', 'POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n', 400],
    ['a chunk without a size', 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n', 400],
    ['a chunk beyond its size', 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n', 400],
    ['an endless head', `GET / HTTP/1.1\r\n${'x: y\r\n'.repeat(10_000)}`, 431],
  ])('refuses %s', (_name, text, status) => {
    const parser = new RequestParser(10);
    parser.push(Buffer.from(text, 'latin1'));
    let thrown: unknown;
    try {
      while (parser.next() !== undefined);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(HttpSyntaxError);
    expect((thrown as HttpSyntaxError).status).toBe(status);
  });
});

describe('the Runtime API', () => {
  let api: RuntimeApi;
  let address: string;
  let told: string[];
  beforeEach(async () => {
    told = [];
    const listening = await listenOnLoopback();
    address = listening.address;
    api = new RuntimeApi({
      listener: {
        onNext: () => told.push('next'),
        onResponse: (body) => told.push(`response ${body.toString()}`),
        onStream: (type) => new StreamedResponse(undefined, type),
        onTruncated: () => told.push('truncated'),
        onResponseTooLarge: () => told.push('too large'),
        onError: (type, body) => told.push(`error ${type} ${body.toString()}`),
        onInitError: (type, body) => told.push(`init error ${type} ${body.toString()}`),
        onRestore: () => told.push('restore'),
        onRestoreError: (type, body) => told.push(`restore error ${type} ${body.toString()}`),
      },
      server: listening.server,
    });
  });
  afterEach(() => api.close());

  const event = (requestId: string, payload = '{}'): RuntimeEvent => ({
    requestId,
    payload: Buffer.from(payload),
    invokedFunctionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:f',
    deadlineMs: 1_700_000_000_000,
    traceHeader: '',
  });
  const next = 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n';
  const post = (path: string, body: string, headers = '') =>
    `POST /2018-06-01/runtime/${path} HTTP/1.1\r\nHost: x\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

  it('blocks until there is an event, and gives it with its headers', async () => {
    const client = await Client.open(address);
    client.write(next);
    await until(() => told.includes('next'));
    api.deliver({
      ...event('id-1', '{"a":"Ω"}'),
      traceHeader: 'Root=1-a;Sampled=1',
      clientContext: '{"custom":\n{"x":"ü"}}',
      cognitoIdentity: '{"cognitoIdentityId":"c"}',
    });
    expect(await client.read('{"a":"Ω"}')).toBe(
      'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: id-1\r\n' +
        'Lambda-Runtime-Deadline-Ms: 1700000000000\r\n' +
        'Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:123456789012:function:f\r\n' +
        'Lambda-Runtime-Trace-Id: Root=1-a;Sampled=1\r\n' +
        'Lambda-Runtime-Client-Context: {"custom": {"x":"\\u00fc"}}\r\n' +
        'Lambda-Runtime-Cognito-Identity: {"cognitoIdentityId":"c"}\r\nContent-Length: 10\r\n\r\n{"a":"Ω"}',
    );
    client.write(post('invocation/id-1/response', 'done'));
    expect(await client.read('{"status":"OK"}\n')).toMatch(/^HTTP\/1\.1 202 Accepted\r\n/);
    expect(told).toEqual(['next', 'response done']);
  });

  it('answers an answer and the request behind it together', async () => {
    const client = await Client.open(address);
    client.write(next);
    await until(() => told.length === 1);
    api.deliver(event('id-1', '1'));
    await client.read('\r\n\r\n1');
    client.write(post('invocation/id-1/response', 'x') + next);
    await until(() => told.length === 3);
    api.deliver(event('id-2', '2'));
    const both = await client.read('\r\n\r\n2');
    expect(both.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 202', 'HTTP/1.1 200']);
    expect(told).toEqual(['next', 'response x', 'next']);
  });

  it('gives the same event again to a runtime that asks again without answering, on whatever connection', async () => {
    const first = await Client.open(address);
    first.write(next);
    await until(() => told.length === 1);
    api.deliver(event('id-1', '"again"'));
    await first.read('"again"');
    first.socket.destroy();
    const second = await Client.open(address);
    second.write(next);
    expect(await second.read('"again"')).toContain('Request-Id: id-1');
    second.write(post('invocation/id-1/response', 'x'));
    await second.read('OK');
  });

  it('gives the event to the connection that still waits', async () => {
    const lost = await Client.open(address);
    lost.write(next);
    await until(() => told.length === 1);
    lost.socket.destroy();
    const waiting = await Client.open(address);
    waiting.write(next);
    await until(() => api.waiting === 1);
    api.deliver(event('id-1', '"here"'));
    await waiting.read('"here"');
  });

  it('reads chunked bodies, waits for those that wait for it, and hears errors in trailers', async () => {
    const client = await Client.open(address);
    client.write(next);
    await until(() => told.length === 1);
    api.deliver(event('id-1', '1'));
    await client.read('\r\n\r\n1');
    const path = '/2018-06-01/runtime/invocation/id-1/response';
    client.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n`);
    expect(await client.read('\r\n\r\n')).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    client.write('4\r\npart\r\n');
    client.write('0\r\nLambda-Runtime-Function-Error-Type: Function.Broken\r\n');
    client.write(`Lambda-Runtime-Function-Error-Body: ${Buffer.from('{"e":1}').toString('base64')}\r\n\r\n`);
    await client.read('OK');
    expect(told.at(-1)).toBe('error Function.Broken {"e":1}');
  });

  it('refuses a body beyond the limit, however it comes', async () => {
    const client = await Client.open(address);
    client.write(next);
    await until(() => told.length === 1);
    api.deliver(event('id-1', '1'));
    await client.read('\r\n\r\n1');
    client.write(post('invocation/id-1/response', 'x'.repeat(responseLimitBytes + 1)));
    expect(await client.read('}\n')).toContain(
      '{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}',
    );
    expect(told.at(-1)).toBe('too large');
  });

  it('takes one initialisation error, and then no more requests for events', async () => {
    const client = await Client.open(address);
    client.write(post('init/error', '{}', 'Lambda-Runtime-Function-Error-Type: Runtime.Bad\r\n'));
    await client.read('OK');
    expect(told).toEqual(['init error Runtime.Bad {}']);
    client.write(next);
    expect(await client.read('}\n')).toContain('State transition from InitError to Ready failed for runtime.');
  });

  it('answers what is not HTTP, unknown paths and wrong methods', async () => {
    const ask = async (text: string) => {
      const client = await Client.open(address);
      client.write(text);
      return (await client.end()).split('\r\n')[0];
    };
    const close = 'HTTP/1.1\r\nConnection: close\r\n\r\n';
    expect(await ask('garbage\r\n\r\n')).toBe('HTTP/1.1 400 Bad Request');
    expect(await ask(`GET /2018-06-01/runtime/other ${close}`)).toBe('HTTP/1.1 404 Not Found');
    expect(await ask(`GET / ${close}`)).toBe('HTTP/1.1 404 Not Found');
    expect(await ask(`POST /2018-06-01/runtime/invocation/next ${close}`)).toBe('HTTP/1.1 405 Method Not Allowed');
    expect(await ask(`GET /2018-06-01/runtime/invocation/x/response ${close}`)).toBe('HTTP/1.1 405 Method Not Allowed');
    expect(await ask(`POST /2018-06-01/runtime/invocation/x/response ${close}`)).toBe('HTTP/1.1 400 Bad Request');
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

class Client {
  readonly socket: Socket;
  #text = '';

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('utf8').on('data', (text) => {
      this.#text += text;
    });
    socket.on('error', () => {});
  }

  static open(address: string): Promise<Client> {
    const [host, port] = address.split(':') as [string, string];
    const socket = connect(Number(port), host);
    return new Promise((resolve) => socket.once('connect', () => resolve(new Client(socket))));
  }

  write(text: string): void {
    this.socket.write(text);
  }

  /** What has come, once it ends so. */
  async read(ending: string): Promise<string> {
    await until(() => this.#text.endsWith(ending) || this.#text.includes(ending));
    const text = this.#text;
    this.#text = '';
    return text;
  }

  async end(): Promise<string> {
    await until(() => this.socket.closed);
    return this.#text;
  }
}
