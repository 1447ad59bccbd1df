import { afterEach, describe, expect, it } from 'vitest';
import { Booted, type BootOptions } from './node-bootstrap-support.ts';

const started: Booted[] = [];
afterEach(async () => {
  for (const booted of started.splice(0)) await booted.close();
});

async function boot(code: string, options: Partial<BootOptions> = {}): Promise<Booted> {
  const booted = await Booted.start({ files: { 'index.js': code }, ...options });
  started.push(booted);
  return booted;
}

/** A handler that streams, from its body: `stream` and `context` are in reach. */
function streams(body: string, options = ''): string {
  return `const { pipeline } = require('node:stream/promises'); const { Readable } = require('node:stream');
    const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    exports.handler = awslambda.streamifyResponse(async (event, stream, context) => { ${body} }${options});`;
}

const node24 = { AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x' };

describe.each(['address', 'descriptor'] as const)('a streamed response (Runtime API by %s)', (channel) => {
  it('goes out in chunks as it is written', async () => {
    const booted = await boot(streams("stream.write('one,'); await wait(200); stream.write('two'); stream.end();"), {
      channel,
    });
    await booted.give('id-1', {});
    await booted.until(() => booted.sent.includes('one,\r\n'));
    expect(booted.sent.includes('two')).toBe(false);
    const response = await booted.request();
    expect(response).toMatchObject({ method: 'POST', path: '/2018-06-01/runtime/invocation/id-1/response' });
    expect(response.headers).toMatchObject({
      'lambda-runtime-function-response-mode': 'streaming',
      'transfer-encoding': 'chunked',
      'content-type': 'application/octet-stream',
    });
    expect(response.body.toString()).toBe('one,two');
    expect(response.trailers).toEqual({});
    await booted.give('id-2', {});
    expect((await booted.request()).path).toBe('/2018-06-01/runtime/invocation/id-2/response');
  });

  it('begins with the metadata of an HTTP response', async () => {
    const body = `const metadata = { statusCode: 201, headers: { 'x-a': 'b' }, cookies: ['c=d'] };
      const http = awslambda.HttpResponseStream.from(stream, metadata);
      await pipeline(Readable.from(['a', Buffer.from('b'), 'ü']), http);`;
    const booted = await boot(streams(body), { channel });
    await booted.give('id', {});
    const response = await booted.request();
    expect(response.headers['content-type']).toBe('application/vnd.awslambda.http-integration-response');
    const prelude = '{"statusCode":201,"headers":{"x-a":"b"},"cookies":["c=d"]}';
    expect(response.body.toString()).toBe(`${prelude}${'\0'.repeat(8)}abü`);
  });

  it('tells in trailers what fails in the middle, and goes on', async () => {
    const body = `if (event.fine) { stream.end('fine'); return; } stream.write('begun'); await wait(20); throw new RangeError('half-way');`;
    const booted = await boot(streams(body), { channel });
    await booted.give('id-1', {});
    const response = await booted.request();
    expect(response.body.toString()).toBe('begun');
    expect(response.trailers['lambda-runtime-function-error-type']).toBe('RangeError');
    const error = Buffer.from(response.trailers['lambda-runtime-function-error-body']!, 'base64').toString();
    expect(JSON.parse(error)).toMatchObject({ errorType: 'RangeError', errorMessage: 'half-way' });
    await booted.until(() => booted.output.includes('ERROR\tInvoke Error \t{"errorType":"RangeError"'));
    await booted.give('id-2', { fine: true });
    expect((await booted.request()).body.toString()).toBe('fine');
  });

  it('posts an error where nothing was written before it', async () => {
    const booted = await boot(streams("stream.setContentType('text/plain'); throw new TypeError('early');"), {
      channel,
    });
    await booted.give('id', {});
    const error = await booted.request();
    expect(error.path).toBe('/2018-06-01/runtime/invocation/id/error');
    expect(error.headers['lambda-runtime-function-error-type']).toBe('TypeError');
    await booted.give('id-2', {});
  });

  it('ends with a crash in the middle', async () => {
    const body = "stream.write('begun'); setTimeout(() => { throw new Error('boom'); }, 20); await wait(5000);";
    const booted = await boot(streams(body), { channel });
    await booted.give('id', {});
    const response = await booted.request();
    expect(response.trailers['lambda-runtime-function-error-type']).toBe('Error');
    expect(await booted.exited).toBe(129);
  });
});

describe('the stream that a handler is given', () => {
  it('makes the handler wait while nobody reads', async () => {
    const body = `const piece = Buffer.alloc(64 * 1024, 'x');
      for (let count = 0; count < 400; count++) {
        if (!stream.write(piece)) await new Promise((resolve) => stream.once('drain', resolve));
        console.log('written', count);
      }
      stream.end();`;
    const booted = await boot(streams(body));
    await booted.give('id', {});
    booted.listening(false);
    const lines = () => booted.output.split('\n').length;
    let seen = -1;
    while (seen !== lines()) {
      seen = lines();
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(seen).toBeLessThan(390);
    booted.listening(true);
    expect((await booted.request()).body.length).toBe(400 * 64 * 1024);
  });

  it('has the high water mark that it was asked to have', async () => {
    const told = "stream.end(`${stream.writableHighWaterMark} ${stream.write('x'.repeat(100))}`);";
    const small = await boot(streams(told, ', { highWaterMark: 50 }'));
    await small.give('id', {});
    expect((await small.request()).body.toString()).toBe(`${'x'.repeat(100)}50 false`);
    const usual = await boot(streams(told));
    await usual.give('id', {});
    expect((await usual.request()).body.toString()).toBe(`${'x'.repeat(100)}16384 true`);
  });

  it('sends what is neither text nor bytes as JSON, and no empty chunk', async () => {
    const booted = await boot(streams("stream.write(''); stream.write({ a: 1 }); stream.write(7); stream.end();"));
    await booted.give('id', {});
    expect((await booted.request()).body.toString()).toBe('{"a":1}7');
  });

  it('sends the metadata with a first write that is empty, but not with the end alone', async () => {
    const from =
      "const http = awslambda.HttpResponseStream.from(stream, { statusCode: 204 }); http.write(''); http.end();";
    const written = await boot(streams(from));
    await written.give('id', {});
    expect((await written.request()).body.toString()).toBe(`{"statusCode":204}${'\0'.repeat(8)}`);
    const ended = await boot(streams(from.replace("http.write('');", '')));
    await ended.give('id', {});
    expect((await ended.request()).body.length).toBe(0);
  });

  it('refuses a content type after the first write', async () => {
    const booted = await boot(streams("stream.write('a'); stream.setContentType('text/html');"));
    await booted.give('id', {});
    const { trailers } = await booted.request();
    expect(trailers['lambda-runtime-function-error-type']).toBe('Runtime.InvalidStreamingOperation');
  });

  it('takes the error of a source that fails', async () => {
    const source = "(async function* () { yield 'a'; throw new RangeError('source'); })()";
    const booted = await boot(streams(`await pipeline(${source}, stream);`));
    await booted.give('id', {});
    const { trailers, body } = await booted.request();
    expect(body.toString()).toBe('a');
    expect(trailers['lambda-runtime-function-error-type']).toBe('RangeError');
  });
});

describe('handlers that stream', () => {
  it('have to be async', async () => {
    const booted = await boot(
      "exports.handler = awslambda.streamifyResponse((event, stream) => { stream.end('x'); });",
    );
    await booted.give('id', {});
    const refused = await booted.request();
    // AWS's client gives a bare text here, and so it is called.
    expect(refused.trailers['lambda-runtime-function-error-type']).toBe('string');
    await booted.until(() => booted.output.includes('Streaming does not support non-async handlers.'));
  });

  it('have their values ignored, and said so', async () => {
    const booted = await boot(streams("stream.end('x'); return 5;"));
    await booted.give('id', {});
    await booted.request();
    await booted.until(() => booted.output.includes('WARN\tStreaming handlers ignore return values.'));
  });

  it('are waited for while the stream is open', async () => {
    const booted = await boot(streams("stream.write('never ended');"));
    await booted.give('id', {});
    const ended = await Promise.race([
      booted.request().then(() => 'answered', String),
      new Promise((resolve) => setTimeout(() => resolve('waits'), 700)),
    ]);
    expect(ended).toBe('waits');
    expect(booted.child.exitCode).toBe(null);
  });

  it.each([
    ['when the event loop is empty', {}, '', true],
    ['at once if the context says so', {}, 'context.callbackWaitsForEmptyEventLoop = false;', false],
    ['at once from Node.js 24 on', node24, '', false],
  ])('are given the next event %s', async (_name, environment, more, waits) => {
    const booted = await boot(streams(`${more} stream.end('x'); setTimeout(() => console.log('later'), 400);`), {
      environment,
    });
    await booted.give('id', {});
    await booted.request();
    const next = await booted.request();
    expect(next.method).toBe('GET');
    if (waits) await booted.until(() => booted.output.includes('later'));
    else expect(booted.output).not.toContain('later');
  });

  it('go on to the next event where their response has ended and they never do', async () => {
    const booted = await boot(streams("stream.end('x'); await new Promise(() => {});"));
    await booted.give('id-1', {});
    await booted.request();
    await booted.give('id-2', {});
    expect((await booted.request()).path).toContain('id-2');
  });

  it('are known by a mark that has to be right', async () => {
    const mark = "exports.handler[Symbol.for('aws.lambda.runtime.handler.streaming')]";
    const booted = await boot(`exports.handler = async () => {}; ${mark} = 'request';`);
    const failed = await booted.request();
    expect(failed.headers['lambda-runtime-function-error-type']).toBe('Runtime.MalformedStreamingHandler');
    const without = { environment: { AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA: '1' } };
    const bare = await boot('exports.handler = async () => typeof awslambda;', without);
    await bare.give('id', {});
    expect((await bare.request()).body.toString()).toBe('"undefined"');
  });
});
