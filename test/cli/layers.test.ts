import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CloudFormationClient, CreateStackCommand, waitUntilStackCreateComplete } from '@aws-sdk/client-cloudformation';
import { DeleteLayerVersionCommand, GetFunctionCommand, InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connect } from '../../src/cli/client.ts';
import { packageTemplate } from '../../src/cli/package.ts';
import { startTestCloud, type TestCloud } from '../support/cloud.ts';
import { cleanUp, temporaryFolder } from './support.ts';

const template = `
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Runtime: nodejs20.x
    Handler: index.handler
    Layers: [!Ref Common]
Resources:
  Common:
    Type: AWS::Serverless::LayerVersion
    Properties: { LayerName: common, ContentUri: common, RetentionPolicy: Delete }
  Words:
    Type: AWS::Serverless::LayerVersion
    Properties: { ContentUri: words, CompatibleRuntimes: [nodejs20.x] }
  Greeter:
    Type: AWS::Serverless::Function
    Metadata: { Anything: ignored }
    Properties: { FunctionName: greeter, CodeUri: src, Layers: [!Ref Words] }
`;

const files: Readonly<Record<string, string>> = {
  'template.yaml': template,
  'common/nodejs/node_modules/greeting/index.js': "module.exports = (name) => 'Hello ' + name;",
  'common/shared.txt': 'of the first layer',
  'words/shared.txt': 'of the second layer',
  'src/index.js': `const greeting = require('greeting');
const { readFileSync } = require('node:fs');
exports.handler = async () => [greeting('layer'), readFileSync('/opt/shared.txt', 'utf8')];`,
};

let test: TestCloud;

beforeAll(async () => {
  test = await startTestCloud();
});
afterAll(async () => {
  await test.close();
  await cleanUp();
});

it('a SAM template’s layers are packaged, deployed and found by its functions', { timeout: 60_000 }, async () => {
  const folder = await temporaryFolder();
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  const client = await connect({ endpoint: test.endpoint, region: 'us-east-1' });
  const packaged = await packageTemplate(join(folder, 'template.yaml'), client);
  const cloudFormation = new CloudFormationClient(test.clientConfig);
  await cloudFormation.send(
    new CreateStackCommand({
      StackName: 'layered',
      TemplateBody: JSON.stringify(packaged.template),
      Capabilities: ['CAPABILITY_IAM', 'CAPABILITY_AUTO_EXPAND'],
    }),
  );
  const patience = { client: cloudFormation, maxWaitTime: 50, minDelay: 0.1, maxDelay: 0.3 };
  await waitUntilStackCreateComplete(patience, { StackName: 'layered' });
  const lambda = new LambdaClient(test.clientConfig);
  const { Configuration } = await lambda.send(new GetFunctionCommand({ FunctionName: 'greeter' }));
  expect(Configuration?.Layers?.map(({ Arn }) => Arn)).toEqual([
    'arn:aws:lambda:us-east-1:000000000000:layer:common:1',
    'arn:aws:lambda:us-east-1:000000000000:layer:Words:1',
  ]);
  await lambda.send(new DeleteLayerVersionCommand({ LayerName: 'common', VersionNumber: 1 }));
  const done = await lambda.send(new InvokeCommand({ FunctionName: 'greeter', LogType: 'Tail' }));
  const payload = JSON.parse(Buffer.from(done.Payload!).toString());
  expect(payload, Buffer.from(done.LogResult!, 'base64').toString()).toEqual(['Hello layer', 'of the second layer']);
});
