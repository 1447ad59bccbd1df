import {
  CloudFormationClient,
  CreateStackCommand,
  DeleteStackCommand,
  DescribeStackResourcesCommand,
  DescribeStacksCommand,
  UpdateStackCommand,
  waitUntilStackCreateComplete,
  waitUntilStackDeleteComplete,
  waitUntilStackUpdateComplete,
} from '@aws-sdk/client-cloudformation';
import { GetFunctionUrlConfigCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { FakeCompute } from './fake-compute.test-support.ts';

let test: TestCloud;
let stacks: CloudFormationClient;
let client: LambdaClient;
const waiting = () => ({ client: stacks, maxWaitTime: 30, minDelay: 0.05, maxDelay: 0.2 });

beforeAll(async () => {
  test = await startTestCloud();
  FakeCompute.into(test.cloud.platform);
  stacks = new CloudFormationClient(test.clientConfig);
  client = new LambdaClient(test.clientConfig);
});
afterAll(() => test.close());

const template = (urlConfig: string): string => `
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Resources:
  Open:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs20.x
      Handler: index.handler
      InlineCode: 'exports.handler = async (event) => event;'
      FunctionUrlConfig: ${urlConfig}
  Aliased:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs20.x
      Handler: index.handler
      InlineCode: 'exports.handler = async (event) => event;'
      AutoPublishAlias: live
      FunctionUrlConfig: { AuthType: NONE }
Outputs:
  OpenUrl: { Value: !GetAtt OpenUrl.FunctionUrl }
  AliasedUrl: { Value: !GetAtt AliasedUrl.FunctionUrl }
  AliasedArn: { Value: !GetAtt AliasedUrl.FunctionArn }
`;

it('makes URLs of a SAM template that answer, changes and deletes them', async () => {
  const StackName = 'urls';
  const created = template(
    '{ AuthType: NONE, Cors: { AllowOrigins: ["*"], MaxAge: "7" }, InvokeMode: RESPONSE_STREAM }',
  );
  const Capabilities = ['CAPABILITY_IAM', 'CAPABILITY_AUTO_EXPAND'] as const;
  await stacks.send(new CreateStackCommand({ StackName, TemplateBody: created, Capabilities: [...Capabilities] }));
  await waitUntilStackCreateComplete(waiting(), { StackName });
  const { Stacks } = await stacks.send(new DescribeStacksCommand({ StackName }));
  const outputs = Object.fromEntries(Stacks![0]!.Outputs!.map((one) => [one.OutputKey!, one.OutputValue!]));
  expect(outputs['AliasedArn']).toMatch(/:function:urls-Aliased-[A-Za-z0-9]+:live$/);

  const ask = async (url: string) => {
    const [urlId] = new URL(url).hostname.split('.');
    return fetch(`${test.endpoint}/_aws/lambda-url/${urlId}/path`);
  };
  for (const url of [outputs['OpenUrl']!, outputs['AliasedUrl']!]) {
    const answer = await ask(url);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ rawPath: '/path' });
  }
  const { StackResources } = await stacks.send(new DescribeStackResourcesCommand({ StackName }));
  const FunctionName = StackResources!.find((one) => one.LogicalResourceId === 'OpenUrl')!.PhysicalResourceId!;
  expect(await client.send(new GetFunctionUrlConfigCommand({ FunctionName }))).toMatchObject({
    Cors: { AllowOrigins: ['*'], MaxAge: 7 },
    InvokeMode: 'RESPONSE_STREAM',
  });

  const TemplateBody = template('{ AuthType: AWS_IAM }');
  await stacks.send(new UpdateStackCommand({ StackName, TemplateBody, Capabilities: [...Capabilities] }));
  await waitUntilStackUpdateComplete(waiting(), { StackName });
  const changed = await client.send(new GetFunctionUrlConfigCommand({ FunctionName }));
  expect(changed).toMatchObject({ AuthType: 'AWS_IAM', InvokeMode: 'BUFFERED', FunctionUrl: outputs['OpenUrl'] });
  expect(changed.Cors).toBeUndefined();
  expect((await ask(outputs['OpenUrl']!)).status).toBe(403);

  await stacks.send(new DeleteStackCommand({ StackName }));
  await waitUntilStackDeleteComplete(waiting(), { StackName });
  expect(await (await ask(outputs['AliasedUrl']!)).text()).toBe('{"Message":null}');
});
