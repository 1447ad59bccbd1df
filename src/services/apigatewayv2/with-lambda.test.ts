import { buffer } from 'node:stream/consumers';
import { ApiGatewayV2Client, CreateApiCommand } from '@aws-sdk/client-apigatewayv2';
import {
  AddPermissionCommand,
  CreateFunctionCommand,
  LambdaClient,
  RemovePermissionCommand,
  waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ZipFile } from 'yazl';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { ask, type HttpAnswer } from './test-support.ts';

let cloud: TestCloud;
let gateway: ApiGatewayV2Client;
let lambda: LambdaClient;

beforeAll(async () => {
  cloud = await startTestCloud({ services: ['apigatewayv2', 'lambda', 'logs', 'iam', 'sts'] });
  gateway = new ApiGatewayV2Client(cloud.clientConfig);
  lambda = new LambdaClient(cloud.clientConfig);
});

afterAll(async () => {
  gateway.destroy();
  lambda.destroy();
  await cloud.close();
});

async function createFunction(name: string, code: string): Promise<string> {
  const zip = new ZipFile();
  zip.addBuffer(Buffer.from(code), 'index.js');
  zip.end();
  const { FunctionArn } = await lambda.send(
    new CreateFunctionCommand({
      FunctionName: name,
      Runtime: 'nodejs20.x',
      Handler: 'index.handler',
      Role: 'arn:aws:iam::000000000000:role/worker',
      Timeout: 1,
      Code: { ZipFile: await buffer(zip.outputStream) },
    }),
  );
  await waitUntilFunctionActiveV2(
    { client: lambda, maxWaitTime: 10, minDelay: 0.01, maxDelay: 0.05 },
    { FunctionName: name },
  );
  return FunctionArn!;
}

function get(apiId: string, path: string): Promise<HttpAnswer> {
  return ask(cloud.endpoint, { path: `/_aws/execute-api/${apiId}${path}` });
}

it('runs a real function, where its policy lets the API in', async () => {
  const Target = await createFunction(
    'hello',
    'exports.handler = async (event) => { if (event.rawPath === "/throw") throw new Error("boom"); return { statusCode: 200, body: "hello " + event.queryStringParameters.name }; };',
  );
  const { ApiId } = await gateway.send(new CreateApiCommand({ Name: 'hello', ProtocolType: 'HTTP', Target }));
  const internal = { status: 500, body: '{"message":"Internal Server Error"}' };
  expect(await get(ApiId!, '/?name=you')).toMatchObject(internal);

  const permit = (StatementId: string, apiId: string): Promise<unknown> =>
    lambda.send(
      new AddPermissionCommand({
        FunctionName: 'hello',
        StatementId,
        Action: 'lambda:InvokeFunction',
        Principal: 'apigateway.amazonaws.com',
        SourceArn: `arn:aws:execute-api:us-east-1:000000000000:${apiId}/*/$default`,
      }),
    );
  await permit('other', 'otherapi');
  expect(await get(ApiId!, '/?name=you')).toMatchObject(internal);
  await permit('this', ApiId!);
  expect(await get(ApiId!, '/?name=you')).toMatchObject({ status: 200, body: 'hello you' });
  expect(await get(ApiId!, '/throw')).toMatchObject(internal);
  await lambda.send(new RemovePermissionCommand({ FunctionName: 'hello', StatementId: 'this' }));
  expect(await get(ApiId!, '/?name=you')).toMatchObject(internal);
});
