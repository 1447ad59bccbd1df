import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { serviceCaller } from '../../platform/context.ts';
import type { Dispatcher } from '../../platform/dispatcher.ts';
import type { Properties, ResourceContext, ResourceType } from '../../platform/resource-type.ts';
import { ask, FakeLambda } from './test-support.ts';

let cloud: TestCloud;
const lambda = new FakeLambda();

beforeAll(async () => {
  cloud = await startTestCloud({ services: ['apigatewayv2'] });
  lambda.register(cloud.cloud.platform.bus as Dispatcher);
});

afterAll(() => cloud.close());

function type(name: string): ResourceType {
  return cloud.cloud.platform.resourceTypes.get(`AWS::ApiGatewayV2::${name}`)!;
}

function context(logicalId: string, clientToken = logicalId): ResourceContext {
  return {
    caller: serviceCaller('cloudformation', '000000000000', 'us-east-1'),
    bus: cloud.cloud.platform.bus,
    stackName: 'stack',
    stackId: 'arn:aws:cloudformation:us-east-1:000000000000:stack/stack/1',
    logicalId,
    clientToken,
    generatedName: () => `stack-${logicalId}-ABC`,
    sleep: async () => {},
  };
}

async function create(name: string, logicalId: string, properties: Properties): Promise<string> {
  const first = await type(name).create(context(logicalId), properties);
  // A create that is tried again after a crash finds what it made.
  const again = await type(name).create(context(logicalId), properties);
  expect(again).toEqual(first);
  return first.physicalId;
}

function get(apiId: string, path: string) {
  return ask(cloud.endpoint, { path: `/_aws/execute-api/${apiId}${path}` });
}

describe('resource types', () => {
  it('make an API of single resources, change it and take it away', async () => {
    const uri = lambda.on('cfn', (event) => [event['routeKey'], event['stageVariables']]);
    const ApiId = await create('Api', 'Api', { Name: 'cfn', ProtocolType: 'HTTP', Tags: { a: '1' } });
    const integration = {
      ApiId,
      IntegrationType: 'AWS_PROXY',
      IntegrationUri: uri,
      PayloadFormatVersion: '2.0',
      TimeoutInMillis: '5000',
    };
    const IntegrationId = await create('Integration', 'Integration', integration);
    const route = { ApiId, RouteKey: 'GET /x', Target: `integrations/${IntegrationId}` };
    const RouteId = await create('Route', 'Route', route);
    const stage = { ApiId, StageName: 'dev', AutoDeploy: 'true', StageVariables: { v: '1', w: '2' } };
    expect(await create('Stage', 'Stage', stage)).toBe('dev');
    expect((await get(ApiId, '/dev/x')).body).toBe('["GET /x",{"v":"1","w":"2"}]');

    await type('Route').update(context('Route'), RouteId, { ...route, RouteKey: 'GET /y' }, route);
    await type('Stage').update(context('Stage'), 'dev', { ...stage, StageVariables: { w: '3' } }, stage);
    expect((await get(ApiId, '/dev/y')).body).toBe('["GET /y",{"w":"3"}]');
    expect((await get(ApiId, '/dev/x')).status).toBe(404);

    const DeploymentId = await create('Deployment', 'Deployment', { ApiId, Description: 'd' });
    const fixed = { ApiId, StageName: 'fixed', DeploymentId };
    await create('Stage', 'Fixed', fixed);
    const updated = await type('Api').update(
      context('Api'),
      ApiId,
      { Name: 'renamed', ProtocolType: 'HTTP', CorsConfiguration: { AllowOrigins: ['*'], MaxAge: '5' } },
      { Name: 'cfn', ProtocolType: 'HTTP', Tags: { a: '1' } },
    );
    expect(updated.attributes['ApiEndpoint']).toContain(`${ApiId}.execute-api.localhost`);

    await type('Stage').delete(context('Fixed'), 'fixed', fixed);
    await type('Deployment').delete(context('Deployment'), DeploymentId, { ApiId });
    await type('Stage').delete(context('Stage'), 'dev', stage);
    await type('Route').delete(context('Route'), RouteId, route);
    await type('Integration').delete(context('Integration'), IntegrationId, integration);
    await type('Api').delete(context('Api'), ApiId, {});
    // Deleting what is gone is no failure.
    await type('Route').delete(context('Route'), RouteId, route);
    await type('Api').delete(context('Api'), ApiId, {});
  });

  it('make an API of the document that SAM writes, with CORS and an authorizer', async () => {
    const uri = lambda.on('sam', (event) => event['routeKey']);
    const integrationUri = `arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/${uri}/invocations`;
    const authorizerUri = integrationUri.replace(':sam/', ':sam-auth/');
    lambda.on('sam-auth', () => ({ isAuthorized: false }));
    const operation = {
      'x-amazon-apigateway-integration': {
        type: 'aws_proxy',
        httpMethod: 'POST',
        payloadFormatVersion: '2.0',
        uri: integrationUri,
      },
      responses: {},
    };
    const body = (extra: object): Properties => ({
      Body: {
        openapi: '3.0.1',
        info: { version: '1.0', title: 'sam-stack' },
        paths: {
          '/devices': { post: operation },
          '/devices/{mac}': {
            get: { ...operation, parameters: [{ name: 'mac', in: 'path', required: true }], security: [{ Guard: [] }] },
          },
          ...extra,
        },
        'x-amazon-apigateway-cors': { allowOrigins: ['https://a.example'], allowMethods: ['*'] },
        components: {
          securitySchemes: {
            Guard: {
              type: 'apiKey',
              name: 'Unused',
              in: 'header',
              'x-amazon-apigateway-authorizer': {
                type: 'request',
                authorizerUri,
                authorizerPayloadFormatVersion: '2.0',
                enableSimpleResponses: true,
                identitySource: ['$request.header.X-Key'],
                authorizerResultTtlInSeconds: 0,
              },
            },
          },
        },
        tags: [{ name: 'httpapi:createdBy', 'x-amazon-apigateway-tag-value': 'SAM' }],
      },
    });
    const ApiId = await create('Api', 'ServerlessHttpApi', body({}));
    const stage = { ApiId, StageName: '$default', AutoDeploy: true, Tags: { 'httpapi:createdBy': 'SAM' } };
    await create('Stage', 'DefaultStage', stage);
    const post = await ask(cloud.endpoint, { method: 'POST', path: `/_aws/execute-api/${ApiId}/devices` });
    expect(post.body).toBe('POST /devices');
    expect((await get(ApiId, '/devices/1')).status).toBe(401);
    await type('Api').update(
      context('ServerlessHttpApi'),
      ApiId,
      body({ $default: { 'x-amazon-apigateway-any-method': { ...operation, isDefaultRoute: true } } }),
      body({}),
    );
    expect((await get(ApiId, '/other')).body).toBe('$default');
  });

  it('say what is wrong', async () => {
    await expect(type('Api').create(context('Ws'), { Name: 'ws', ProtocolType: 'WEBSOCKET' })).rejects.toMatchObject({
      status: 501,
    });
    await expect(
      type('Api').create(context('S3'), { BodyS3Location: { Bucket: 'b', Key: 'k' } }),
    ).rejects.toMatchObject({ status: 501 });
    await expect(
      type('Api').create(context('Bad'), { Name: 'x', ProtocolType: 'HTTP', DisableExecuteApiEndpoint: 'maybe' }),
    ).rejects.toThrow('DisableExecuteApiEndpoint must be of type Boolean');
  });
});
