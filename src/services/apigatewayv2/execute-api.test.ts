import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  ApiGatewayV2Client,
  CreateApiCommand,
  type CreateApiCommandInput,
  CreateDeploymentCommand,
  CreateIntegrationCommand,
  type CreateIntegrationCommandInput,
  CreateRouteCommand,
  CreateStageCommand,
  type CreateStageCommandInput,
  UpdateApiCommand,
  UpdateRouteCommand,
  UpdateStageCommand,
} from '@aws-sdk/client-apigatewayv2';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import type { Dispatcher } from '../../platform/dispatcher.ts';
import { AwsError } from '../../wire/errors.ts';
import { ask, FakeLambda, FunctionFailure, type HttpAnswer, type HttpAsk } from './test-support.ts';

let cloud: TestCloud;
let client: ApiGatewayV2Client;
const lambda = new FakeLambda();

beforeAll(async () => {
  cloud = await startTestCloud({ services: ['apigatewayv2'] });
  lambda.register(cloud.cloud.platform.bus as Dispatcher);
  client = new ApiGatewayV2Client(cloud.clientConfig);
});

afterAll(async () => {
  client.destroy();
  await cloud.close();
});

interface Shape {
  readonly api?: Partial<CreateApiCommandInput>;
  readonly integration?: Partial<CreateIntegrationCommandInput>;
  readonly stage?: Partial<CreateStageCommandInput>;
  readonly routes?: readonly string[];
}

/** An API whose routes lead to one function, deployed to one stage. */
async function newApi(uri: string, shape: Shape = {}): Promise<string> {
  const api = await client.send(new CreateApiCommand({ Name: 'api', ProtocolType: 'HTTP', ...shape.api }));
  const ApiId = api.ApiId!;
  const { IntegrationId } = await client.send(
    new CreateIntegrationCommand({
      ApiId,
      IntegrationType: 'AWS_PROXY',
      IntegrationUri: uri,
      PayloadFormatVersion: '2.0',
      ...shape.integration,
    }),
  );
  for (const RouteKey of shape.routes ?? ['$default'])
    await client.send(new CreateRouteCommand({ ApiId, RouteKey, Target: `integrations/${IntegrationId}` }));
  await client.send(new CreateStageCommand({ ApiId, StageName: '$default', AutoDeploy: true, ...shape.stage }));
  return ApiId;
}

function get(apiId: string, options: HttpAsk): Promise<HttpAnswer> {
  const { port } = new URL(cloud.endpoint);
  return ask(cloud.endpoint, { host: `${apiId}.execute-api.localhost:${port}`, ...options });
}

describe('a request', () => {
  it('reaches the function by host and by path, and its answer comes back', async () => {
    const apiId = await newApi(
      lambda.on('echo', (event) => ({
        statusCode: 201,
        headers: { 'content-type': 'text/x' },
        cookies: ['a=1', 'b=2'],
        body: `saw ${String(event['rawPath'])}`,
      })),
      { routes: ['POST /items/{id}'] },
    );
    const answer = await get(apiId, {
      method: 'POST',
      path: '/items/a%20b?x=1',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    expect(answer).toMatchObject({ status: 201, body: 'saw /items/a b' });
    expect(answer.headers['content-type']).toBe('text/x');
    expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2']);
    const { event, caller } = lambda.last;
    expect(event).toMatchObject({
      version: '2.0',
      routeKey: 'POST /items/{id}',
      rawPath: '/items/a b',
      rawQueryString: 'x=1',
      pathParameters: { id: 'a b' },
      body: '{}',
      requestContext: {
        apiId,
        accountId: '000000000000',
        domainName: `${apiId}.execute-api.localhost`,
        domainPrefix: apiId,
        stage: '$default',
        requestId: answer.headers['apigw-requestid'],
      },
    });
    expect(caller.principal).toEqual({
      kind: 'service',
      arn: 'apigateway.amazonaws.com',
      account: '000000000000',
      id: `arn:aws:execute-api:us-east-1:000000000000:${apiId}/$default/POST/items/{id}`,
    });
    const byPath = await ask(cloud.endpoint, { method: 'POST', path: `/_aws/execute-api/${apiId}/items/z` });
    expect(byPath.body).toBe('saw /items/z');
    const fetched = await fetch(`${cloud.endpoint}/_aws/execute-api/${apiId}/items/y`, { method: 'POST' });
    expect(await fetched.text()).toBe('saw /items/y');
  });

  it('finds its stage by the first part of the path', async () => {
    const uri = lambda.on('stages', (event) => event['rawPath']);
    const apiId = await newApi(uri, { stage: { StageVariables: { color: 'red' } } });
    await client.send(new CreateStageCommand({ ApiId: apiId, StageName: 'dev', AutoDeploy: true }));
    expect((await get(apiId, { path: '/dev/x' })).body).toBe('/dev/x');
    expect(lambda.last.event['requestContext']).toMatchObject({ stage: 'dev', http: { path: '/dev/x' } });
    expect(lambda.last.event).not.toHaveProperty('stageVariables');
    await get(apiId, { path: '/dev' });
    expect(lambda.last.event['rawPath']).toBe('/dev/');
    await get(apiId, { path: '/develop' });
    expect(lambda.last.event).toMatchObject({ rawPath: '/develop', stageVariables: { color: 'red' } });
  });

  it('gets 404 where nothing answers', async () => {
    const apiId = await newApi(
      lambda.on('none', () => 1),
      { routes: ['GET /a', 'GET /b/{id}'] },
    );
    const missing = await get(apiId, { path: '/nope' });
    expect(missing).toMatchObject({ status: 404, body: '{"message":"Not Found"}' });
    expect(missing.headers['content-type']).toBe('application/json');
    expect(missing.headers['apigw-requestid']).toMatch(/^[A-Za-z0-9+/]{15}=$/);
    expect((await get(apiId, { path: '/b/x%2Fy' })).status).toBe(404);
    expect((await get('nosuchapi1', { path: '/' })).status).toBe(404);
    expect((await ask(cloud.endpoint, { path: '/_aws/execute-api/' })).status).toBe(404);
    expect((await get(apiId, { path: '/%zz' })).status).toBe(400);
    await client.send(new UpdateApiCommand({ ApiId: apiId, DisableExecuteApiEndpoint: true }));
    expect((await get(apiId, { path: '/a' })).status).toBe(404);
  });

  it('gets what a deployment froze, until another is deployed', async () => {
    const apiId = await newApi(
      lambda.on('frozen', (event) => event['routeKey']),
      { routes: ['GET /old'] },
    );
    const { DeploymentId } = await client.send(new CreateDeploymentCommand({ ApiId: apiId }));
    await client.send(new CreateStageCommand({ ApiId: apiId, StageName: 'prod', DeploymentId }));
    const { Target } = await client
      .send(new CreateRouteCommand({ ApiId: apiId, RouteKey: 'GET /bare' }))
      .then((route) =>
        client.send(new UpdateRouteCommand({ ApiId: apiId, RouteId: route.RouteId, RouteKey: 'GET /new' })),
      );
    expect(Target).toBeUndefined();
    expect((await get(apiId, { path: '/prod/old' })).body).toBe('GET /old');
    expect((await get(apiId, { path: '/prod/new' })).status).toBe(404);
    // Switching AutoDeploy off keeps what was deployed last.
    await client.send(new UpdateStageCommand({ ApiId: apiId, StageName: '$default', AutoDeploy: false }));
    expect((await get(apiId, { path: '/old' })).body).toBe('GET /old');
  });

  it('may name the function through a stage variable', async () => {
    lambda.on('blue', () => 'blue');
    const uri = `arn:aws:lambda:us-east-1:000000000000:function:\${stageVariables.fn}`;
    const apiId = await newApi(uri, { stage: { StageVariables: { fn: 'blue' } } });
    expect((await get(apiId, { path: '/' })).body).toBe('blue');
  });

  it('is told in format 1.0 where the integration says so', async () => {
    const apiId = await newApi(
      lambda.on('v1', () => ({ statusCode: 200, multiValueHeaders: { 'X-M': ['1', '2'] }, body: 'ok' })),
      { integration: { PayloadFormatVersion: '1.0' } },
    );
    const answer = await get(apiId, { path: '/p?a=1' });
    expect(answer.headers['x-m']).toBe('1, 2');
    expect(lambda.last.event).toMatchObject({
      version: '1.0',
      path: '/p',
      resource: '$default',
      queryStringParameters: { a: '1' },
    });
  });

  it('carries on the trace of the client', async () => {
    const apiId = await newApi(lambda.on('traced', () => 1));
    await get(apiId, { path: '/', headers: { 'X-Amzn-Trace-Id': 'Root=1-5e6722a7-0123456789abcdef01234567' } });
    expect(lambda.last.event['headers']).toMatchObject({
      'x-amzn-trace-id': 'Root=1-5e6722a7-0123456789abcdef01234567',
    });
    expect(lambda.last.caller.trace?.traceId).toBe('5e6722a70123456789abcdef01234567');
  });
});

describe('failures', () => {
  it.each([
    ['a failing function', () => new FunctionFailure(), 500, 'Internal Server Error'],
    ['a malformed answer', () => ({ statusCode: 'x' }), 500, 'Internal Server Error'],
    [
      'a throttled function',
      () => new AwsError('TooManyRequestsException', 'Rate Exceeded.', { status: 429 }),
      503,
      'Service Unavailable',
    ],
    [
      'a missing permission',
      () => new AwsError('AccessDeniedException', 'no', { status: 403 }),
      500,
      'Internal Server Error',
    ],
    [
      'a function that is gone',
      () => new AwsError('ResourceNotFoundException', 'no', { status: 404 }),
      500,
      'Internal Server Error',
    ],
    [
      'a payload over the limit of Lambda',
      () => new AwsError('RequestTooLargeException', 'no', { status: 413 }),
      413,
      'Request Entity Too Large',
    ],
  ])('%s is seen as AWS shows it', async (_what, answer, status, message) => {
    const apiId = await newApi(lambda.on('failing', answer));
    expect(await get(apiId, { path: '/' })).toMatchObject({ status, body: JSON.stringify({ message }) });
  });

  it('a slow integration is a 503', async () => {
    const apiId = await newApi(
      lambda.on('slow', () => cloud.cloud.platform.clock.sleep(400)),
      {
        integration: { TimeoutInMillis: 60 },
      },
    );
    expect(await get(apiId, { path: '/' })).toMatchObject({ status: 503, body: '{"message":"Service Unavailable"}' });
  });

  it('a body over 10 MB is a 413, headers over 10,240 bytes a 431', async () => {
    const apiId = await newApi(lambda.on('big', () => 1));
    const large = await get(apiId, { method: 'POST', path: '/', body: Buffer.alloc(10 * 1024 * 1024 + 1) });
    expect(large).toMatchObject({ status: 413, body: '{"message":"Request Entity Too Large"}' });
    const fits = await get(apiId, { method: 'POST', path: '/', body: Buffer.alloc(10 * 1024 * 1024) });
    expect(fits.status).toBe(200);
    expect((await get(apiId, { path: '/', headers: { 'x-large': 'x'.repeat(10_240) } })).status).toBe(431);
  });

  it('throttles hold by route and by stage', async () => {
    const apiId = await newApi(
      lambda.on('throttled', () => 1),
      { routes: ['GET /slow', 'GET /fast', 'GET /never'] },
    );
    await client.send(
      new UpdateStageCommand({
        ApiId: apiId,
        StageName: '$default',
        DefaultRouteSettings: { ThrottlingBurstLimit: 3, ThrottlingRateLimit: 0.001 },
        RouteSettings: {
          'GET /fast': { ThrottlingBurstLimit: 100, ThrottlingRateLimit: 100 },
          'GET /never': { ThrottlingBurstLimit: 0, ThrottlingRateLimit: 0 },
        },
      }),
    );
    const statuses = async (path: string): Promise<number[]> => {
      const answers = await Promise.all([1, 2, 3, 4].map(() => get(apiId, { path })));
      return answers.map((answer) => answer.status).sort();
    };
    expect(await statuses('/slow')).toEqual([200, 200, 200, 429]);
    expect(await statuses('/fast')).toEqual([200, 200, 200, 200]);
    expect(await statuses('/never')).toEqual([429, 429, 429, 429]);
    expect((await get(apiId, { path: '/slow' })).body).toBe('{"message":"Too Many Requests"}');
  });
});

describe('CORS', () => {
  const cors = {
    AllowOrigins: ['https://good.example'],
    AllowMethods: ['GET', 'POST'],
    AllowHeaders: ['content-type'],
    ExposeHeaders: ['x-a'],
    MaxAge: 300,
    AllowCredentials: true,
  };

  it('answers preflight requests itself, and adds its headers', async () => {
    const apiId = await newApi(
      lambda.on('cors', () => ({
        statusCode: 200,
        headers: { 'Access-Control-Allow-Origin': 'https://evil.example' },
        body: '',
      })),
      { api: { CorsConfiguration: cors } },
    );
    const seen = lambda.invocations.length;
    const origin = 'https://good.example';
    const preflight = await get(apiId, {
      method: 'OPTIONS',
      path: '/x',
      headers: { origin, 'access-control-request-method': 'POST' },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-methods': 'GET,POST',
      'access-control-allow-headers': 'content-type',
      'access-control-max-age': '300',
      'access-control-allow-credentials': 'true',
    });
    expect(lambda.invocations.length).toBe(seen);
    const actual = await get(apiId, { path: '/x', headers: { origin } });
    expect(actual.headers['access-control-allow-origin']).toBe(origin);
    expect(actual.headers['access-control-expose-headers']).toBe('x-a');
    const plain = await get(apiId, { path: '/x' });
    expect(plain.headers['access-control-allow-origin']).toBeUndefined();
  });

  it('decides which foreign pages come in at all', async () => {
    const apiId = await newApi(
      lambda.on('door', () => 1),
      { api: { CorsConfiguration: cors } },
    );
    expect((await get(apiId, { path: '/', headers: { origin: 'https://good.example' } })).status).toBe(200);
    expect((await get(apiId, { path: '/', headers: { origin: 'https://evil.example' } })).status).toBe(403);
    const closed = await newApi(lambda.on('door', () => 1));
    expect((await get(closed, { path: '/', headers: { origin: 'https://good.example' } })).status).toBe(403);
    expect((await get(closed, { path: '/', headers: { origin: 'http://localhost:3000' } })).status).toBe(200);
  });
});

describe('HTTP_PROXY', () => {
  let backend: Server | undefined;

  afterEach(async () => {
    backend?.closeAllConnections();
    await new Promise((resolve) => (backend === undefined ? resolve(undefined) : backend.close(resolve)));
    backend = undefined;
  });

  async function listen(answer: Parameters<typeof createServer>[1]): Promise<string> {
    const server = createServer(answer as never);
    backend = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  const http = { IntegrationType: 'HTTP_PROXY', IntegrationMethod: 'ANY', PayloadFormatVersion: '1.0' } as const;

  it('passes the request on and the answer back, mapped as told', async () => {
    const base = await listen((request, response) => {
      let body = '';
      request.on('data', (chunk) => (body += chunk));
      request.on('end', () => {
        response.writeHead(200, { 'x-backend': 'yes', 'content-type': 'application/json' });
        response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body }));
      });
    });
    const apiId = await newApi(`${base}/v1/{proxy}`, {
      routes: ['ANY /api/{proxy+}'],
      integration: {
        ...http,
        RequestParameters: {
          'append:header.x-stage': '$context.stage',
          'overwrite:querystring.id': `\${request.path.proxy}-\${request.body.name}`,
          'remove:querystring.secret': "''",
        },
        ResponseParameters: {
          '200': {
            'append:header.x-added': '$response.body.method',
            'remove:header.x-backend': "''",
            'overwrite:statuscode': '202',
          },
        },
      },
    });
    const answer = await get(apiId, {
      method: 'PUT',
      path: '/api/a/b?q=1&secret=2',
      body: '{"name":"n"}',
      headers: { 'content-type': 'application/json', 'x-own': 'o' },
    });
    expect(answer.status).toBe(202);
    expect(answer.headers['x-added']).toBe('PUT');
    expect(answer.headers['x-backend']).toBeUndefined();
    const seen = JSON.parse(answer.body) as {
      method: string;
      url: string;
      headers: Record<string, string>;
      body: string;
    };
    expect(seen).toMatchObject({ method: 'PUT', url: '/v1/a/b?q=1&id=a%2Fb-n', body: '{"name":"n"}' });
    const dots = await get(apiId, { path: '/api/%2e%2e/admin' });
    expect(JSON.parse(dots.body)).toMatchObject({ url: '/v1/../admin?id=..%2Fadmin-' });
    expect(seen.headers).toMatchObject({ 'x-stage': '$default', 'x-own': 'o', host: new URL(base).host });
  });

  it('is a 503 where the backend is slow or not there', async () => {
    const base = await listen(() => {});
    const slow = await newApi(base, { integration: { ...http, TimeoutInMillis: 60 } });
    expect((await get(slow, { path: '/' })).status).toBe(503);
    const gone = await newApi('http://127.0.0.1:1/', { integration: http });
    expect((await get(gone, { path: '/' })).status).toBe(503);
  });
});
