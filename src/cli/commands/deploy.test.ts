import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startTestCloud } from '../../../test/support/cloud.ts';
import { FakeCompute } from '../../services/lambda/fake-compute.test-support.ts';
import { connect } from '../client.ts';
import { createTerminal } from '../terminal.ts';
import { deployTarget } from './deploy.ts';

const template = `
Transform: AWS::Serverless-2016-10-31
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs20.x
      Handler: index.handler
      InlineCode: 'exports.handler = async (event) => event;'
      AutoPublishAlias: live
      FunctionUrlConfig: { AuthType: NONE }
      Events:
        Api: { Type: HttpApi }
`;

it('tells where the APIs and the function URLs of a stack are reached', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'unkai-deploy-'));
  const cloud = await startTestCloud();
  try {
    FakeCompute.into(cloud.cloud.platform);
    await writeFile(join(folder, 'template.yaml'), template);
    const client = connect({ endpoint: cloud.endpoint, region: 'us-east-1' });
    // Under --json nothing is told on the way.
    const { endpoints } = await deployTarget(createTerminal(true), client, folder, { stack: 'told' });
    expect(endpoints.map(({ name }) => name)).toEqual(['ServerlessHttpApi', 'HelloUrl']);
    expect(endpoints[1]!.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/_aws\/lambda-url\/[a-z2-7]{32}\/$/);
    for (const { url } of endpoints) {
      const event = (await (await fetch(url)).json()) as { readonly version: string };
      expect(event.version).toBe('2.0');
    }
  } finally {
    await cloud.close();
    await rm(folder, { recursive: true, force: true });
  }
});
