import { CreateFunctionUrlConfigCommand, PutFunctionConcurrencyCommand } from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Crash } from './fake-compute.test-support.ts';
import { ask, open, UrlTest } from './function-urls.test-support.ts';

let urls: UrlTest;
beforeAll(async () => {
  urls = await UrlTest.start();
});
afterAll(() => urls.close());

describe('a request', () => {
  it('becomes an event of format 2.0', async () => {
    const url = await urls.published('echo', (event) => event);
    const { text } = await ask(url, {
      method: 'POST',
      path: 'a%20b/c?x=1&x=2&y=%2F',
      headers: { 'content-type': 'application/json', cookie: 'a=1; b=2', 'X-Own': 'MiXed', 'user-agent': 'tester' },
      body: '{"k":"v"}',
    });
    const event = JSON.parse(text) as Record<string, unknown>;
    const { host } = new URL(url);
    const [urlId] = host.split('.');
    expect(event).toMatchObject({
      version: '2.0',
      routeKey: '$default',
      rawPath: '/a%20b/c',
      rawQueryString: 'x=1&x=2&y=%2F',
      cookies: ['a=1', 'b=2'],
      headers: {
        'x-own': 'MiXed',
        host,
        'content-length': '9',
        'x-forwarded-proto': 'http',
        'x-forwarded-port': new URL(url).port,
        'x-forwarded-for': '127.0.0.1',
      },
      queryStringParameters: { x: '1,2', y: '/' },
      requestContext: {
        accountId: 'anonymous',
        apiId: urlId,
        domainName: `${urlId}.lambda-url.us-east-1.localhost`,
        domainPrefix: urlId,
        http: { method: 'POST', path: '/a%20b/c', protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'tester' },
        routeKey: '$default',
        stage: '$default',
      },
      body: '{"k":"v"}',
      isBase64Encoded: false,
    });
    expect(event['headers']).not.toHaveProperty('cookie');

    const plain = JSON.parse((await ask(url)).text) as Record<string, unknown>;
    expect(plain).not.toHaveProperty('body');
    expect(plain).not.toHaveProperty('cookies');
    expect(plain).not.toHaveProperty('queryStringParameters');
    expect(plain['headers']).not.toHaveProperty('content-length');

    const binary = await ask(url, { method: 'POST', body: Buffer.from([0, 255, 1]) });
    expect(JSON.parse(binary.text)).toMatchObject({ body: 'AP8B', isBase64Encoded: true });
    const byPath = await ask(urls.pathForm(url), { path: 'deep/er?q=1' });
    expect(JSON.parse(byPath.text)).toMatchObject({
      rawPath: '/deep/er',
      rawQueryString: 'q=1',
      requestContext: { domainName: `${urlId}.lambda-url.us-east-1.localhost` },
    });
  });

  it('is answered with status, headers, cookies and a decoded body', async () => {
    const url = await urls.published('answers', () => ({
      statusCode: '418',
      headers: { 'X-Kind': 'tea', 'Content-Type': 'image/png' },
      cookies: ['a=1', 'b=2; Path=/'],
      body: Buffer.from([1, 2, 3]).toString('base64'),
      isBase64Encoded: true,
    }));
    const answer = await ask(url);
    expect(answer.status).toBe(418);
    expect(answer.headers).toMatchObject({
      'x-kind': 'tea',
      'content-type': 'image/png',
      'set-cookie': ['a=1', 'b=2; Path=/'],
    });
    expect(answer.headers['x-amzn-requestid']).toBe(urls.compute.invocations.at(-1)!.requestId);
    expect(answer.headers['x-amzn-trace-id']).toMatch(/^Root=1-[0-9a-f]{8}-[0-9a-f]{24}/);
    expect([...answer.body]).toEqual([1, 2, 3]);
  });

  it.each([
    ['a string', 'hello', 'hello'],
    ['an object', { hello: 'world' }, '{"hello":"world"}'],
    ['a list', ['hello', 3, true], '["hello",3,true]'],
    ['a number', 3.1, '3.1'],
    ['a response without a type', { statusCode: 200, body: 'body123' }, 'body123'],
  ])('is answered with %s as JSON', async (what, value, text) => {
    const url = await urls.published(what.replaceAll(' ', '-'), () => value);
    const answer = await ask(url);
    expect(answer).toMatchObject({ status: 200, text });
    expect(answer.headers['content-type']).toBe('application/json');
  });

  it('fails with a 502 where the function fails or answers no response', async () => {
    const url = await urls.published('failing', () => {
      throw new Error('no');
    });
    const failed = await ask(url);
    expect(failed).toMatchObject({ status: 502, text: 'Internal Server Error' });
    urls.compute.functions.set('failing', () => {
      throw new Crash();
    });
    expect((await ask(url)).status).toBe(502);
    urls.compute.functions.set('failing', () => ({ statusCode: 'odd' }));
    expect((await ask(url)).status).toBe(502);
  });

  it('fails with a 502 where the function cannot run', async () => {
    urls.compute.unsupported = 'nothing runs here';
    try {
      await expect(urls.published('unable', () => 'ok')).rejects.toThrow();
    } finally {
      urls.compute.unsupported = undefined;
    }
    const { FunctionUrl } = await urls.client.send(
      new CreateFunctionUrlConfigCommand({ FunctionName: 'unable', AuthType: 'NONE' }),
    );
    await urls.permit('unable');
    expect((await ask(FunctionUrl!)).status).toBe(502);
  });

  it('is refused over 6 MB, and beyond the concurrency', async () => {
    const url = await urls.published('bounded', () => 'ok');
    const large = await ask(url, { method: 'POST', body: 'x'.repeat(6_291_457) });
    expect(large.status).toBe(413);
    expect(large.headers['x-amzn-errortype']).toBe('RequestEntityTooLargeException');
    // A body that only becomes too large in its event.
    expect((await ask(url, { method: 'POST', body: 'x'.repeat(6_000_000) })).status).toBe(413);
    await urls.client.send(
      new PutFunctionConcurrencyCommand({ FunctionName: 'bounded', ReservedConcurrentExecutions: 0 }),
    );
    const throttled = await ask(url);
    expect(throttled.status).toBe(429);
    expect(throttled.headers['x-amzn-errortype']).toBe('TooManyRequestsException');
    expect(JSON.parse(throttled.text)).toMatchObject({
      Reason: 'ReservedFunctionConcurrentInvocationLimitExceeded',
      message: 'Rate Exceeded.',
    });
  });

  it('is refused beyond ten times the reserved concurrency a second', async () => {
    const url = await urls.published('rated', () => 'ok');
    await urls.client.send(
      new PutFunctionConcurrencyCommand({ FunctionName: 'rated', ReservedConcurrentExecutions: 2 }),
    );
    // Twenty at once and twenty a second; of those, two run at a time.
    const answers = await Promise.all(Array.from({ length: 200 }, () => ask(url)));
    const reasons = answers.map(({ status, text }) => (status === 429 ? JSON.parse(text).Reason : status));
    expect(new Set(reasons)).toContain(200);
    expect(new Set(reasons)).toContain('ReservedFunctionInvocationRateLimitExceeded');
  });

  it('to nowhere is a 403', async () => {
    const answer = await ask(
      `http://0123456789abcdefghijklmnopqrstuv.lambda-url.us-east-1.localhost:${new URL(urls.test.endpoint).port}/`,
    );
    expect(answer).toMatchObject({ status: 403, text: '{"Message":null}' });
    expect(answer.headers['x-amzn-errortype']).toBe('AccessDeniedException');
    const url = await urls.published('elsewhere', () => 1);
    expect((await ask(url.replace('us-east-1', 'eu-west-1'))).status).toBe(403);
    expect((await ask(`${urls.test.endpoint}/_aws/lambda-url/`)).status).toBe(403);
  });
});

describe('CORS', () => {
  const Cors = {
    AllowOrigins: ['https://app.example'],
    AllowMethods: ['GET', 'POST'],
    AllowHeaders: ['x-own'],
    ExposeHeaders: ['x-kind'],
    AllowCredentials: true,
    MaxAge: 300,
  };

  it('is answered by the URL itself, also beforehand', async () => {
    const seen = urls.compute.invocations.length;
    const run = () => ({ statusCode: 200, headers: { 'Access-Control-Allow-Origin': '*', 'x-kind': 'k' }, body: 'b' });
    const url = await urls.published('cors', run, { Cors });
    const origin = 'https://app.example';
    const before = await ask(url, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-own' },
    });
    expect(before.status).toBe(200);
    expect(before.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-methods': 'GET,POST',
      'access-control-allow-headers': 'x-own',
      'access-control-expose-headers': 'x-kind',
      'access-control-max-age': '300',
      'access-control-allow-credentials': 'true',
    });
    expect(urls.compute.invocations.length).toBe(seen);
    const answer = await ask(url, { headers: { origin } });
    expect(answer.headers['access-control-allow-origin']).toBe(origin);
    expect((await ask(url)).headers['access-control-allow-origin']).toBeUndefined();
    const foreign = await ask(url, { headers: { origin: 'https://evil.example' } });
    expect(foreign.status).toBe(403);
  });

  it("is the function's affair where the URL has no rules", async () => {
    const url = await urls.published('own-cors', () => ({
      headers: { 'Access-Control-Allow-Origin': '*' },
      statusCode: 200,
    }));
    expect((await ask(url)).headers['access-control-allow-origin']).toBe('*');
  });
});

describe('RESPONSE_STREAM', () => {
  const InvokeMode = 'RESPONSE_STREAM';
  const preludeType = 'application/vnd.awslambda.http-integration-response';

  it('turns the prelude into the head and sends the rest as it comes', async () => {
    const gates = new Map<string, () => void>();
    const url = await urls.published(
      'streaming',
      async (_event, { stream }) => {
        const write = stream(preludeType);
        const head = { statusCode: 201, headers: { 'X-Kind': 'live' }, cookies: ['a=1', 'b=2'] };
        const [one, two] = [JSON.stringify(head).slice(0, 10), JSON.stringify(head).slice(10)];
        await write(one);
        await write(`${two}${'\0'.repeat(8)}first,`);
        await new Promise<void>((resolve) => gates.set('second', resolve));
        await write('second');
      },
      { InvokeMode },
    );
    const response = await open(url);
    expect(response.statusCode).toBe(201);
    expect(response.headers).toMatchObject({
      'x-kind': 'live',
      'set-cookie': ['a=1', 'b=2'],
      'transfer-encoding': 'chunked',
      'content-type': 'application/octet-stream',
    });
    let text = '';
    for await (const piece of response) {
      text += String(piece);
      // The function waits for the client to have had the first part.
      if (text === 'first,') gates.get('second')!();
    }
    expect(text).toBe('first,second');
  });

  it('streams without a prelude, and sends whole responses unread', async () => {
    const url = await urls.published(
      'raw-stream',
      async (_event, { stream }) => {
        await stream('text/event-stream')('data: 1\n\n');
      },
      { InvokeMode },
    );
    const streamed = await ask(url);
    expect(streamed).toMatchObject({ status: 200, text: 'data: 1\n\n' });
    expect(streamed.headers['content-type']).toBe('text/event-stream');
    urls.compute.functions.set('raw-stream', () => ({ statusCode: 201, body: 'b' }));
    expect(await ask(url)).toMatchObject({ status: 200, text: '{"statusCode":201,"body":"b"}' });
  });

  it('fails with a 502 before the body, and breaks the connection off in the middle of it', async () => {
    const url = await urls.published(
      'broken-stream',
      async (_event, { stream }) => {
        await stream(preludeType)('{"statusCode":200');
      },
      { InvokeMode },
    );
    expect((await ask(url)).status).toBe(502);
    urls.compute.functions.set('broken-stream', () => {
      throw new Error('no');
    });
    expect(await ask(url)).toMatchObject({ status: 502, text: 'Internal Server Error' });
    urls.compute.functions.set('broken-stream', async (_event, { stream }) => {
      await stream('text/plain')('a part');
      throw new Error('no');
    });
    await expect(ask(url)).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  it('is understood by a URL that buffers', async () => {
    const url = await urls.published('buffered-stream', async (_event, { stream }) => {
      const write = stream(preludeType);
      await write(`{"statusCode":202,"headers":{"x-kind":"k"}}${'\0'.repeat(8)}`);
      await write('body');
    });
    const answer = await ask(url);
    expect(answer).toMatchObject({ status: 202, text: 'body' });
    expect(answer.headers['x-kind']).toBe('k');
  });
});
