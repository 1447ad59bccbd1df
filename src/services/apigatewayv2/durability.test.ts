import {
  ApiGatewayV2Client,
  CreateApiCommand,
  CreateIntegrationCommand,
  CreateRouteCommand,
  GetRoutesCommand,
} from '@aws-sdk/client-apigatewayv2';
import { describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { serviceCaller } from '../../platform/context.ts';
import type { Dispatcher } from '../../platform/dispatcher.ts';
import { createEnvironment } from './environment.ts';
import { ask, FakeLambda } from './test-support.ts';

const lambda = new FakeLambda();
const Target = lambda.on('f', (event) => event['routeKey']);

function bodyOf(cloud: TestCloud, apiId: string): Promise<string> {
  lambda.register(cloud.cloud.platform.bus as Dispatcher);
  return ask(cloud.endpoint, { path: `/_aws/execute-api/${apiId}/x` }).then((answer) => answer.body);
}

describe('an API', () => {
  it('is there after a restart', async () => {
    const first = await startTestCloud({ services: ['apigatewayv2'], engine: 'lmdb' });
    const client = new ApiGatewayV2Client(first.clientConfig);
    const { ApiId } = await client.send(new CreateApiCommand({ Name: 'kept', ProtocolType: 'HTTP', Target }));
    client.destroy();
    const second = await first.restart();
    expect(await bodyOf(second, ApiId!)).toBe('$default');
    await second.close();
  });

  it('loses none of many changes at once', async () => {
    const cloud = await startTestCloud({ services: ['apigatewayv2'] });
    const client = new ApiGatewayV2Client(cloud.clientConfig);
    const { ApiId } = await client.send(new CreateApiCommand({ Name: 'busy', ProtocolType: 'HTTP' }));
    const numbers = Array.from({ length: 20 }, (_, index) => index);
    await Promise.all(numbers.map((n) => client.send(new CreateRouteCommand({ ApiId, RouteKey: `GET /p${n}` }))));
    await Promise.all(
      numbers.map(() =>
        client.send(
          new CreateIntegrationCommand({
            ApiId,
            IntegrationType: 'AWS_PROXY',
            IntegrationUri: Target,
            PayloadFormatVersion: '2.0',
          }),
        ),
      ),
    );
    const { Items } = await client.send(new GetRoutesCommand({ ApiId }));
    expect(new Set(Items?.map((route) => route.RouteKey)).size).toBe(20);
    client.destroy();
    await cloud.close();
  });

  it('that another process changed is seen within about a second', async () => {
    const cloud = await startTestCloud({ services: ['apigatewayv2'] });
    const client = new ApiGatewayV2Client(cloud.clientConfig);
    const { ApiId } = await client.send(new CreateApiCommand({ Name: 'shared', ProtocolType: 'HTTP', Target }));
    expect(await bodyOf(cloud, ApiId!)).toBe('$default');
    // An environment of its own stands for the other process: its writes do not reach this one's memory.
    const other = createEnvironment(cloud.cloud.platform);
    await other.change(serviceCaller('test', '000000000000', 'us-east-1'), ApiId!, (api) => ({
      api: {
        ...api,
        routes: Object.fromEntries(
          Object.entries(api.routes).map(([id, route]) => [id, { ...route, RouteKey: 'GET /x' }]),
        ),
      },
      deploys: true,
      result: () => undefined,
    }));
    await expect.poll(() => bodyOf(cloud, ApiId!), { timeout: 3_000, interval: 100 }).toBe('GET /x');
    client.destroy();
    await cloud.close();
  });
});
