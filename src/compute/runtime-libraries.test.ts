/** What AWS's runtimes bring, really installed from the registries that this machine's npm and pip are set up for, and really used. */
import { dirname } from 'node:path';
import { CreateTableCommand, DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import { CreateFunctionCommand, InvokeCommand, LambdaClient, waitUntilFunctionActiveV2 } from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../test/support/cloud.ts';
import type { SandboxSpec } from '../platform/compute.ts';
import { type ComputeFixture, type Files, invocation, openCompute, testLibraries, zip } from './test-support.ts';

let cloud: TestCloud;
let dynamodb: DynamoDBClient;
let fixture: ComputeFixture;
beforeAll(async () => {
  // A cloud that keeps no data has its libraries in the user's cache folder: here, where those of the tests are.
  process.env['XDG_CACHE_HOME'] = dirname(dirname(testLibraries));
  cloud = await startTestCloud();
  fixture = await openCompute({ endpoint: cloud.endpoint });
  dynamodb = new DynamoDBClient({ ...cloud.clientConfig, region: 'eu-west-1' });
  await dynamodb.send(
    new CreateTableCommand({
      TableName: 'Things',
      AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
      BillingMode: 'PAY_PER_REQUEST',
    }),
  );
});
afterAll(async () => {
  dynamodb.destroy();
  await fixture.close();
  await cloud.close();
});

const installing = 180_000;

async function run(files: Files, spec: Partial<SandboxSpec>, layer?: Files) {
  const digests = [await fixture.blobs.put(await zip(files))];
  if (layer !== undefined) digests.push(await fixture.blobs.put(await zip(layer)));
  const note = await fixture.compute.provide(spec.runtime!, digests);
  expect(note).toBeUndefined();
  const [digest, ...layers] = digests as [string, ...string[]];
  const { sandbox, output } = await fixture.start(files, {
    timeoutMs: 20_000,
    credentials: async () => ({ accessKeyId: 'test', secretAccessKey: 'test', sessionToken: 'test' }),
    ...spec,
    code: { kind: 'zip', digest, layers },
  });
  const result = await sandbox.invoke(invocation({ id: spec.runtime }));
  await sandbox.drained();
  await sandbox.close('spindown');
  return { body: JSON.parse(result.payload.toString()) as unknown, output };
}

async function stored(id: string): Promise<string | undefined> {
  const { Item } = await dynamodb.send(new GetItemCommand({ TableName: 'Things', Key: { id: { S: id } } }));
  return Item?.['by']?.S;
}

describe('the AWS SDK', () => {
  const put = `new PutItemCommand({ TableName: 'Things', Item: { id: { S: event.id }, by: { S: 'node' } } })`;

  it('is there for a CommonJS function that does not bundle it', { timeout: installing }, async () => {
    const code = `const { DynamoDBClient, PutItemCommand } = require('@aws-sdk/client-dynamodb');
exports.handler = async (event) => (await new DynamoDBClient().send(${put})).$metadata.httpStatusCode`;
    expect((await run({ 'index.js': code }, { runtime: 'nodejs20.x' })).body).toBe(200);
    expect(await stored('nodejs20.x')).toBe('node');
  });

  it('is there for an ES module', { timeout: installing }, async () => {
    const code = `import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb';
export const handler = async (event) => (await new DynamoDBClient().send(${put})).$metadata.httpStatusCode`;
    expect((await run({ 'index.mjs': code }, { runtime: 'nodejs22.x' })).body).toBe(200);
    expect(await stored('nodejs22.x')).toBe('node');
  });

  it('gives way to the package’s own and to a layer’s', { timeout: installing }, async () => {
    const code = `exports.handler = async () => require('@aws-sdk/client-dynamodb').whose`;
    const own = (whose: string) => ({
      package: '{"name":"@aws-sdk/client-dynamodb","main":"index.js"}',
      index: `exports.whose = '${whose}'`,
    });
    const inPackage = 'node_modules/@aws-sdk/client-dynamodb';
    const inLayer = 'nodejs/node_modules/@aws-sdk/client-dynamodb';
    const layer = { [`${inLayer}/package.json`]: own('').package, [`${inLayer}/index.js`]: own('layer').index };
    const files = { 'index.js': code };
    const bundled = {
      ...files,
      [`${inPackage}/package.json`]: own('').package,
      [`${inPackage}/index.js`]: own('package').index,
    };
    expect((await run(files, { runtime: 'nodejs20.x' }, layer)).body).toBe('layer');
    expect((await run(bundled, { runtime: 'nodejs20.x' }, layer)).body).toBe('package');
  });
});

describe('boto3', () => {
  it('is there for a function that does not bring it', { timeout: installing }, async () => {
    const code = `import boto3
table = boto3.resource("dynamodb").Table("Things")
def handler(event, context):
    answer = table.put_item(Item={"id": event["id"], "by": "python"})
    return [answer["ResponseMetadata"]["HTTPStatusCode"], boto3.__file__]`;
    const { body } = await run({ 'app.py': code }, { runtime: 'python3.12', handler: 'app.handler' });
    expect(body).toEqual([200, expect.stringMatching(/runtimes\/python3\.\d+\/state-\w+\/boto3\/__init__\.py$/)]);
    expect(await stored('python3.12')).toBe('python');
  });

  it('gives way to a layer’s and to the package’s own', { timeout: installing }, async () => {
    const files = { 'app.py': 'import boto3\ndef handler(e, c):\n  return boto3.whose' };
    const layer = { 'python/boto3/__init__.py': 'whose = "layer"', 'python/botocore/__init__.py': '' };
    const spec = { runtime: 'python3.11', handler: 'app.handler' };
    expect((await run(files, spec, layer)).body).toBe('layer');
    const bundled = { ...files, 'boto3/__init__.py': 'whose = "package"' };
    expect((await run(bundled, spec, layer)).body).toBe('package');
  });
});

describe('a deployment', () => {
  it('brings what the package asks for before the function is active', { timeout: installing }, async () => {
    const lambda = new LambdaClient({ ...cloud.clientConfig, region: 'eu-west-1' });
    const code = `import boto3
def handler(event, context):
    boto3.client("dynamodb").put_item(TableName="Things", Item={"id": {"S": event["id"]}, "by": {"S": "deployed"}})
    return boto3.__version__`;
    await lambda.send(
      new CreateFunctionCommand({
        FunctionName: 'put',
        Runtime: 'python3.13',
        Handler: 'app.handler',
        Role: 'arn:aws:iam::000000000000:role/any',
        Timeout: 20,
        Code: { ZipFile: await zip({ 'app.py': code }) },
      }),
    );
    await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 150, minDelay: 1 }, { FunctionName: 'put' });
    const payload = JSON.stringify({ id: 'deployed' });
    const answer = await lambda.send(new InvokeCommand({ FunctionName: 'put', Payload: Buffer.from(payload) }));
    expect(answer.FunctionError).toBeUndefined();
    expect(JSON.parse(Buffer.from(answer.Payload!).toString())).toMatch(/^1\.\d+\.\d+$/);
    const { Item } = await new DynamoDBClient({ ...cloud.clientConfig, region: 'eu-west-1' }).send(
      new GetItemCommand({ TableName: 'Things', Key: { id: { S: 'deployed' } } }),
    );
    expect(Item?.['by']?.S).toBe('deployed');
    lambda.destroy();
  });
});
