import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  ApiGatewayV2Client,
  CreateApiCommand,
  CreateAuthorizerCommand,
  type CreateAuthorizerCommandInput,
  CreateIntegrationCommand,
  CreateRouteCommand,
  CreateStageCommand,
  ResetAuthorizersCacheCommand,
} from '@aws-sdk/client-apigatewayv2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import type { Dispatcher } from '../../platform/dispatcher.ts';
import type { Service } from '../../platform/service.ts';
import { ask, FakeLambda, FunctionFailure, type HttpAnswer } from './test-support.ts';

let cloud: TestCloud;
let client: ApiGatewayV2Client;
const lambda = new FakeLambda();
const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
let issuer: string;
let provider: Server;
let keyReads = 0;

beforeAll(async () => {
  cloud = await startTestCloud({ services: ['apigatewayv2'] });
  lambda.register(cloud.cloud.platform.bus as Dispatcher);
  client = new ApiGatewayV2Client(cloud.clientConfig);
  provider = createServer((request, response) => {
    if (request.url === '/.well-known/openid-configuration')
      response.end(JSON.stringify({ jwks_uri: `${issuer}/keys` }));
    else {
      keyReads++;
      response.end(JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig' }] }));
    }
  });
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
});

afterAll(async () => {
  client.destroy();
  provider.closeAllConnections();
  await new Promise((resolve) => provider.close(resolve));
  await cloud.close();
});

interface Guarded {
  readonly apiId: string;
  readonly authorizerId: string;
}

async function guardedApi(
  authorizer: Partial<CreateAuthorizerCommandInput>,
  route: { readonly AuthorizationScopes?: string[] } = {},
  stage: object = {},
): Promise<Guarded> {
  const { ApiId } = await client.send(new CreateApiCommand({ Name: 'guarded', ProtocolType: 'HTTP' }));
  const IntegrationUri = lambda.on('behind', (event) => event['requestContext']);
  const { IntegrationId } = await client.send(
    new CreateIntegrationCommand({ ApiId, IntegrationType: 'AWS_PROXY', IntegrationUri, PayloadFormatVersion: '2.0' }),
  );
  const { AuthorizerId } = await client.send(
    new CreateAuthorizerCommand({ ApiId, Name: 'guard', ...authorizer } as CreateAuthorizerCommandInput),
  );
  const AuthorizationType = authorizer.AuthorizerType === 'JWT' ? 'JWT' : 'CUSTOM';
  const Target = `integrations/${IntegrationId}`;
  for (const RouteKey of ['GET /a/{id}', 'GET /b'])
    await client.send(new CreateRouteCommand({ ApiId, RouteKey, Target, AuthorizationType, AuthorizerId, ...route }));
  await client.send(new CreateStageCommand({ ApiId, StageName: '$default', AutoDeploy: true, ...stage }));
  return { apiId: ApiId!, authorizerId: AuthorizerId! };
}

function get(apiId: string, path: string, headers: Record<string, string> = {}): Promise<HttpAnswer> {
  return ask(cloud.endpoint, { path: `/_aws/execute-api/${apiId}${path}`, headers });
}

function authorizerUri(functionArn: string): string {
  return `arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/${functionArn}/invocations`;
}

describe('JWT authorizers', () => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

  function token(claims: object = {}, header: object = {}): string {
    const seconds = Math.floor(cloud.cloud.platform.clock.now() / 1000);
    const all = {
      iss: issuer,
      aud: 'me',
      sub: 'u1',
      iat: seconds - 5,
      exp: seconds + 60,
      scope: 'read write',
      ...claims,
    };
    const signed = `${part({ alg: 'RS256', kid: 'k1', ...header })}.${part(all)}`;
    return `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`;
  }

  const jwt = (): Partial<CreateAuthorizerCommandInput> => ({
    AuthorizerType: 'JWT',
    IdentitySource: ['$request.header.Authorization'],
    JwtConfiguration: { Issuer: issuer, Audience: ['me'] },
  });

  it('let good tokens in, and hand their claims on', async () => {
    const { apiId } = await guardedApi(jwt());
    const answer = await get(apiId, '/a/1', { authorization: `Bearer ${token({ groups: ['x', 'y'] })}` });
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({
      authorizer: { jwt: { claims: { sub: 'u1', iss: issuer, groups: '[x y]' }, scopes: null } },
    });
    const reads = keyReads;
    expect((await get(apiId, '/a/1', { authorization: token() })).status).toBe(200);
    expect(keyReads).toBe(reads);
  });

  it.each([
    ['none', undefined],
    ['garbage', () => 'Bearer x.y.z'],
    ['an expired one', () => token({ exp: 1000 })],
    ['one of another issuer', () => token({ iss: 'https://other.example' })],
    ['one for another audience', () => token({ aud: 'you' })],
    ['one that is not valid yet', () => token({ nbf: 9_999_999_999 })],
    ['one signed by an unknown key', () => token({}, { kid: 'k2' })],
    ['an unsigned one', () => `${token({}, { alg: 'none' })}`],
    [
      'a changed one',
      () => token().replace(/\.[^.]+\./, `.${part({ iss: issuer, aud: 'me', exp: 9_999_999_999, sub: 'root' })}.`),
    ],
  ])('refuse %s with 401', async (_what, make) => {
    const { apiId } = await guardedApi(jwt());
    const answer = await get(apiId, '/a/1', make === undefined ? {} : { authorization: make() });
    expect(answer).toMatchObject({ status: 401, body: '{"message":"Unauthorized"}' });
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer/);
  });

  it('ask for one of the scopes of the route', async () => {
    const { apiId } = await guardedApi(jwt(), { AuthorizationScopes: ['admin', 'write'] });
    const answer = await get(apiId, '/a/1', { authorization: token() });
    expect(JSON.parse(answer.body)).toMatchObject({ authorizer: { jwt: { scopes: ['admin', 'write'] } } });
    const refused = await get(apiId, '/a/1', { authorization: token({ scope: 'read' }) });
    expect(refused).toMatchObject({ status: 403, body: '{"message":"Forbidden"}' });
  });
});

describe('Lambda authorizers', () => {
  it('with simple responses: allow with a context, deny with 403, and are called as API Gateway', async () => {
    const AuthorizerUri = authorizerUri(
      lambda.on('simple', (event) => ({
        isAuthorized: (event['headers'] as Record<string, string>)['x-key'] === 'good',
        context: { user: 'u', n: 1 },
      })),
    );
    const { apiId, authorizerId } = await guardedApi({
      AuthorizerType: 'REQUEST',
      AuthorizerUri,
      AuthorizerPayloadFormatVersion: '2.0',
      EnableSimpleResponses: true,
      IdentitySource: ['$request.header.X-Key'],
    });
    const allowed = await get(apiId, '/a/1?q=2', { 'x-key': 'good' });
    expect(JSON.parse(allowed.body)).toMatchObject({ authorizer: { lambda: { user: 'u', n: 1 } } });
    const asked = lambda.invocations.at(-2)!;
    expect(asked.caller.principal.id).toBe(
      `arn:aws:execute-api:us-east-1:000000000000:${apiId}/authorizers/${authorizerId}`,
    );
    expect(asked.event).toMatchObject({
      version: '2.0',
      type: 'REQUEST',
      routeArn: `arn:aws:execute-api:us-east-1:000000000000:${apiId}/$default/GET/a/1`,
      identitySource: ['good'],
      routeKey: 'GET /a/{id}',
      pathParameters: { id: '1' },
      queryStringParameters: { q: '2' },
    });
    expect(asked.event).not.toHaveProperty('body');
    expect(await get(apiId, '/a/1', { 'x-key': 'bad' })).toMatchObject({
      status: 403,
      body: '{"message":"Forbidden"}',
    });
    const before = lambda.invocations.length;
    expect(await get(apiId, '/a/1')).toMatchObject({ status: 401, body: '{"message":"Unauthorized"}' });
    expect(lambda.invocations.length).toBe(before);
  });

  it('with policies: judge each route by the cached policy, until it is old or dropped', async () => {
    let calls = 0;
    const AuthorizerUri = authorizerUri(
      lambda.on('policy', (event) => {
        calls++;
        const resource = String(event['methodArn']).replace(/\/GET\/.*/, '/GET/a/*');
        return {
          principalId: 'p',
          policyDocument: {
            Version: '2012-10-17',
            Statement: [{ Action: 'execute-api:Invoke', Effect: 'Allow', Resource: resource }],
          },
          context: { k: 'v' },
        };
      }),
    );
    const { apiId } = await guardedApi({
      AuthorizerType: 'REQUEST',
      AuthorizerUri,
      AuthorizerPayloadFormatVersion: '1.0',
      AuthorizerResultTtlInSeconds: 300,
      IdentitySource: ['$request.header.X-Key'],
    });
    const headers = { 'x-key': 'one' };
    expect((await get(apiId, '/a/1', headers)).status).toBe(200);
    expect((await get(apiId, '/a/2', headers)).status).toBe(200);
    expect((await get(apiId, '/b', headers)).status).toBe(403);
    expect(calls).toBe(1);
    await get(apiId, '/a/1', { 'x-key': 'two' });
    expect(calls).toBe(2);
    await client.send(new ResetAuthorizersCacheCommand({ ApiId: apiId, StageName: '$default' }));
    await get(apiId, '/a/1', headers);
    expect(calls).toBe(3);
  });

  it.each([
    ['fail', () => new FunctionFailure()],
    ['answer neither form', () => ({ yes: true })],
  ])('that %s are a 500', async (_what, answer) => {
    const { apiId } = await guardedApi({
      AuthorizerType: 'REQUEST',
      AuthorizerUri: authorizerUri(lambda.on('broken', answer)),
      IdentitySource: [],
      AuthorizerPayloadFormatVersion: '2.0',
      EnableSimpleResponses: true,
    });
    expect(await get(apiId, '/b')).toMatchObject({ status: 500, body: '{"message":"Internal Server Error"}' });
  });
});

describe('access logs', () => {
  it('go to CloudWatch Logs in the format asked for', async () => {
    const written: { group: string; messages: string[] }[] = [];
    const logs: Service<'logs'> = {
      operations: {
        CreateLogStream: async () => {},
        PutLogEvents: async (_context, { logGroupName, logEvents }) => {
          written.push({ group: logGroupName, messages: logEvents.map((event) => event.message) });
          return {};
        },
      },
    };
    (cloud.cloud.platform.bus as Dispatcher).register('logs', logs as Service);
    const { apiId } = await guardedApi(
      {
        AuthorizerType: 'REQUEST',
        AuthorizerUri: authorizerUri(lambda.on('no', () => ({ isAuthorized: false }))),
        IdentitySource: [],
        AuthorizerPayloadFormatVersion: '2.0',
        EnableSimpleResponses: true,
      },
      {},
      {
        AccessLogSettings: {
          DestinationArn: 'arn:aws:logs:us-east-1:000000000000:log-group:/api/access',
          Format:
            '{"id":"$context.requestId","route":"$context.routeKey","status":$context.status,"who":"$context.authorizer.claims.sub"}',
        },
      },
    );
    const answer = await get(apiId, '/b');
    await expect.poll(() => written.length, { timeout: 3_000 }).toBe(1);
    expect(written[0]!.group).toBe('/api/access');
    expect(JSON.parse(written[0]!.messages[0]!)).toEqual({
      id: answer.headers['apigw-requestid'],
      route: 'GET /b',
      status: 403,
      who: '-',
    });
  });
});
