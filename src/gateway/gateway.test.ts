import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../test/support/cloud.ts';

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud({ services: ['sts'] });
});
afterAll(() => cloud.close());

/** fetch sets Host and Origin by itself; what a browser or a rebound name would send needs a plain request. */
async function ask(path: string, init: { method?: string; headers?: Record<string, string>; body?: string } = {}) {
  const { request } = await import('node:http');
  return new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
    const call = request(
      `${cloud.endpoint}${path}`,
      { method: init.method ?? 'GET', headers: init.headers ?? {} },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      },
    );
    call.on('error', reject);
    call.end(init.body);
  });
}

const identity = {
  method: 'POST',
  body: 'Action=GetCallerIdentity&Version=2011-06-15',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
};

describe('the door', () => {
  it.each(['evil.example', 'localhost.evil.example', 'evil.example:4566'])(
    'refuses the foreign host %s',
    async (host) => {
      const answer = await ask('/', { ...identity, headers: { ...identity.headers, host } });
      expect(answer.status).toBe(403);
      expect(answer.body).toContain('not served here');
    },
  );

  it.each(['localhost', 'localhost:4566', '127.0.0.1:4566', '[::1]:4566', 'abc.execute-api.localhost'])(
    'serves %s',
    async (host) => {
      expect((await ask('/', { ...identity, headers: { ...identity.headers, host } })).status).toBe(200);
    },
  );

  it.each(['https://evil.example', 'null', 'http://localhost.evil.example'])('refuses pages of %s', async (origin) => {
    const api = await ask('/', { ...identity, headers: { ...identity.headers, origin } });
    expect(api.status).toBe(403);
    const control = await ask('/_unkai/stop', { method: 'POST', headers: { origin } });
    expect(control.status).toBe(403);
    expect((await ask('/_unkai/status')).status).toBe(200);
  });

  it('lets pages of this machine use the APIs, with CORS headers', async () => {
    const origin = 'http://localhost:5173';
    const answer = await ask('/', { ...identity, headers: { ...identity.headers, origin } });
    expect(answer.status).toBe(200);
    expect(answer.headers['access-control-allow-origin']).toBe(origin);
    expect((await ask('/', { method: 'OPTIONS', headers: { origin } })).status).toBe(204);
  });
});

describe('the AWS API', () => {
  it('answers what nobody knows with an error that a client reads', async () => {
    const json = await ask('/', {
      method: 'POST',
      headers: { 'x-amz-target': 'NoSuchService.Do', 'content-type': 'application/x-amz-json-1.1' },
      body: '{}',
    });
    expect(json.status).toBe(400);
    expect(JSON.parse(json.body).__type).toContain('UnknownOperationException');
    const query = await ask('/', { ...identity, body: 'Action=Nothing&Version=2011-06-15' });
    expect(query.status).toBe(400);
    expect(query.body).toContain('<Code>InvalidAction</Code>');
  });

  it('says 501 of a service that this cloud does not run, naming the operation', async () => {
    const answer = await ask('/', {
      method: 'POST',
      headers: { 'x-amz-target': 'AmazonSQS.ListQueues', 'content-type': 'application/x-amz-json-1.0' },
      body: '{}',
    });
    expect(answer.status).toBe(501);
    expect(answer.body).toContain('ListQueues');
  });

  it('refuses a body that is larger than any API takes, without keeping it', async () => {
    const answer = await ask('/2015-03-31/functions', { method: 'POST', body: 'x'.repeat(70_167_300) });
    expect(answer.status).toBe(413);
    expect(JSON.parse(answer.body).message).toContain('smaller than 70167211 bytes');
  });

  it('takes the account from a 12-digit access key and the region from the scope', async () => {
    const authorization =
      'AWS4-HMAC-SHA256 Credential=123456789012/20261121/eu-west-1/sts/aws4_request, SignedHeaders=host, Signature=00';
    const answer = await ask('/', { ...identity, headers: { ...identity.headers, authorization } });
    expect(answer.body).toContain('<Account>123456789012</Account>');
  });
});

describe('the control API', () => {
  it('tells what runs', async () => {
    const status = JSON.parse((await ask('/_unkai/status')).body);
    expect(status).toMatchObject({
      name: 'unkai',
      store: { engine: 'memory', durable: false },
      limits: 'aws',
      auth: 'off',
    });
  });

  it('refuses to move the wall clock, saying what to do', async () => {
    const answer = await ask('/_unkai/clock/advance', { method: 'POST', body: '{"durationMs": 1000}' });
    expect(answer.status).toBe(409);
    expect(JSON.parse(answer.body).error).toMatchObject({
      code: 'ClockIsWall',
      hint: expect.stringContaining('--clock virtual'),
    });
  });

  it('refuses unknown fault points and bad bodies', async () => {
    const unknown = await ask('/_unkai/faults', { method: 'PUT', body: '{"point": "nowhere", "rate": 1}' });
    expect(JSON.parse(unknown.body).error.message).toContain("no fault point 'nowhere'");
    const bad = await ask('/_unkai/faults', { method: 'PUT', body: '[' });
    expect(bad.status).toBe(400);
  });

  it('makes an operation fail when asked to, and only as often', async () => {
    const rule = { point: 'operation.unavailable', scope: 'sts.GetCallerIdentity', rate: 1, times: 1 };
    expect((await ask('/_unkai/faults', { method: 'PUT', body: JSON.stringify(rule) })).status).toBe(200);
    expect((await ask('/', identity)).status).toBe(503);
    expect((await ask('/', identity)).status).toBe(200);
  });
});
