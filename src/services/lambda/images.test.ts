import {
  GetAccountSettingsCommand,
  GetFunctionCommand,
  InvokeCommand,
  LambdaClient,
  PublishVersionCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { FakeCompute, FakeLogs } from './fake-compute.test-support.ts';
import { account, createFunction, echoZip, failure, waiting } from './functions.test-support.ts';

const repository = `${account}.dkr.ecr.us-east-1.amazonaws.com/shop/api`;

let test: TestCloud;
let client: LambdaClient;
let compute: FakeCompute;
let first: string;
let second: string;

beforeAll(async () => {
  test = await startTestCloud({ services: ['lambda', 'iam', 'sts'] });
  const { platform } = test.cloud;
  compute = FakeCompute.into(platform);
  FakeLogs.into(platform);
  client = new LambdaClient(test.clientConfig);
  first = await platform.blobs.put(Buffer.from('a manifest'));
  second = await platform.blobs.put(Buffer.from('another manifest'));
  const images = new Map([
    [`${repository}:1`, first],
    [`${repository}:2`, second],
  ]);
  platform.images.register({
    async resolve(uri) {
      const digest = images.get(uri);
      return digest === undefined ? undefined : { digest, sizeBytes: 1_000 };
    },
  });
});
afterAll(() => test.close());

const image = (tag: string) => ({
  PackageType: 'Image' as const,
  Code: { ImageUri: `${repository}:${tag}` },
  Runtime: undefined,
  Handler: undefined,
});

async function updated(FunctionName: string): Promise<void> {
  await waitUntilFunctionUpdatedV2({ client, ...waiting }, { FunctionName });
}

it('functions of images are made, shown, run and changed', async () => {
  const before = await client.send(new GetAccountSettingsCommand({}));
  const ImageConfig = { EntryPoint: ['sh'], Command: ['-c', 'run'], WorkingDirectory: '/app' };
  const made = await createFunction(client, 'api', { ...image('1'), ImageConfig });
  expect(made).toMatchObject({
    PackageType: 'Image',
    CodeSize: 0,
    CodeSha256: first,
    ImageConfigResponse: { ImageConfig },
  });
  expect(made.Runtime ?? made.Handler ?? made.Layers).toBeUndefined();
  const { Code, Configuration } = await client.send(new GetFunctionCommand({ FunctionName: 'api' }));
  expect(Code).toEqual({
    RepositoryType: 'ECR',
    ImageUri: `${repository}:1`,
    ResolvedImageUri: `${repository}@sha256:${first}`,
  });
  expect(Configuration).toMatchObject({ State: 'Active', LastUpdateStatus: 'Successful' });
  await client.send(new InvokeCommand({ FunctionName: 'api' }));
  expect(compute.sandboxes.at(-1)!.spec).toMatchObject({
    runtime: undefined,
    handler: '',
    code: { kind: 'image', digest: first, entryPoint: ['sh'], command: ['-c', 'run'], workingDirectory: '/app' },
  });
  await client.send(new UpdateFunctionCodeCommand({ FunctionName: 'api', ImageUri: `${repository}:2` }));
  await updated('api');
  const changed = await client.send(
    new UpdateFunctionConfigurationCommand({ FunctionName: 'api', ImageConfig: { Command: ['other'] } }),
  );
  expect(changed.ImageConfigResponse).toEqual({ ImageConfig: { Command: ['other'] } });
  await updated('api');
  await client.send(new InvokeCommand({ FunctionName: 'api' }));
  expect(compute.sandboxes.at(-1)!.spec.code).toEqual({ kind: 'image', digest: second, command: ['other'] });
  const version = await client.send(new PublishVersionCommand({ FunctionName: 'api', CodeSha256: second }));
  expect(version).toMatchObject({ Version: '1', PackageType: 'Image', CodeSha256: second });
  const reset = await client.send(new UpdateFunctionConfigurationCommand({ FunctionName: 'api', ImageConfig: {} }));
  expect(reset.ImageConfigResponse).toBeUndefined();
  // Images count against the registry, not against Lambda's storage.
  const after = await client.send(new GetAccountSettingsCommand({}));
  expect(after.AccountUsage!.TotalCodeSize).toBe(before.AccountUsage!.TotalCodeSize);
});

it('images and packages do not mix', async () => {
  const refused = async (sent: Promise<unknown>): Promise<string> => {
    const found = await failure(sent);
    expect(found).toMatchObject({ code: 'InvalidParameterValueException', status: 400 });
    return found.message;
  };
  const onCreate = "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.";
  expect(await refused(createFunction(client, 'mixed', { ...image('1'), Handler: 'a.b' }))).toBe(onCreate);
  expect(await refused(createFunction(client, 'mixed', { ...image('1'), Runtime: 'nodejs20.x' }))).toBe(onCreate);
  const Layers = [`arn:aws:lambda:us-east-1:${account}:layer:a:1`];
  expect(await refused(createFunction(client, 'mixed', { ...image('1'), Layers }))).toBe(onCreate);
  expect(await refused(createFunction(client, 'mixed', { Code: { ImageUri: `${repository}:1` } }))).toBe(
    'Please provide a source for function code.',
  );
  expect(await refused(createFunction(client, 'mixed', { Runtime: undefined }))).toBe(
    'Runtime and Handler are mandatory parameters for functions created with deployment packages.',
  );
  expect(await refused(createFunction(client, 'mixed', { ...image('1'), Code: { ZipFile: echoZip } }))).toContain(
    'ImageUri',
  );
  expect(await refused(createFunction(client, 'mixed', { ImageConfig: { Command: ['a'] } }))).toContain('ImageConfig');
  expect(await refused(createFunction(client, 'mixed', image('9')))).toBe(
    `Source image ${repository}:9 does not exist. Provide a valid source image.`,
  );
  expect(await refused(createFunction(client, 'mixed', { ...image('1'), Code: { ImageUri: repository } }))).toBe(
    `Source image ${repository} is not valid. Provide a valid source image.`,
  );
  await createFunction(client, 'image', image('1'));
  await createFunction(client, 'zip');
  const code = (FunctionName: string, more: object) =>
    refused(client.send(new UpdateFunctionCodeCommand({ FunctionName, ...more })));
  expect(await code('image', { ZipFile: echoZip })).toBe(
    'Please provide ImageUri when updating a function with packageType Image.',
  );
  expect(await code('zip', { ImageUri: `${repository}:1` })).toBe(
    "Please don't provide ImageUri when updating a function with packageType Zip.",
  );
  const configure = (FunctionName: string, more: object) =>
    refused(client.send(new UpdateFunctionConfigurationCommand({ FunctionName, ...more })));
  expect(await configure('image', { Handler: 'a.b' })).toContain('Handler or Runtime or Layer');
  expect(await configure('zip', { ImageConfig: { Command: ['a'] } })).toContain('ImageConfig');
});
