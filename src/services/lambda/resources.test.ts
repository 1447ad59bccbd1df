import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import type { Caller } from '../../platform/context.ts';
import type { Properties, ResourceContext } from '../../platform/resource-type.ts';
import { FakeCompute, FakeLogs } from './fake-compute.test-support.ts';
import { zipFiles } from './rules/package.ts';

const account = '000000000000';
const caller: Caller = {
  account,
  region: 'us-east-1',
  principal: { kind: 'root', arn: `arn:aws:iam::${account}:root`, account, id: account },
};
const Role = `arn:aws:iam::${account}:role/worker`;

let test: TestCloud;
let compute: FakeCompute;

beforeAll(async () => {
  test = await startTestCloud({ services: ['lambda', 'sqs', 'iam', 'sts'] });
  compute = FakeCompute.into(test.cloud.platform);
  FakeLogs.into(test.cloud.platform);
});
afterAll(() => test.close());

function context(logicalId: string): ResourceContext {
  const { bus, clock } = test.cloud.platform;
  return {
    caller,
    bus,
    stackName: 'stack',
    stackId: 'arn:aws:cloudformation:us-east-1:000000000000:stack/stack/1',
    logicalId,
    clientToken: 'token',
    generatedName: ({ maxLength }) => `stack-${logicalId}-ABCDEF`.slice(0, maxLength),
    sleep: (delayMs) => clock.sleep(delayMs),
  };
}

function type(name: string) {
  const found = test.cloud.platform.resourceTypes.get(`AWS::Lambda::${name}`);
  if (found === undefined) throw new Error(`no type ${name}`);
  return found;
}

function call(operation: string, input: object): Promise<Record<string, unknown>> {
  return test.cloud.platform.bus.callByName(caller, 'lambda', operation, input) as Promise<Record<string, unknown>>;
}

it('makes a function of code in the template, finds it again, changes and deletes it', async () => {
  const properties: Properties = {
    Runtime: 'nodejs20.x',
    Handler: 'index.handler',
    Role,
    Code: { ZipFile: 'exports.handler = async () => 1;' },
    Timeout: '7',
    Environment: { Variables: { COUNT: 5 } },
    ReservedConcurrentExecutions: '3',
    Tags: [{ Key: 'team', Value: 'x' }],
  };
  const made = await type('Function').create(context('Fn'), properties);
  expect(made).toMatchObject({
    physicalId: 'stack-Fn-ABCDEF',
    attributes: { Arn: `arn:aws:lambda:us-east-1:${account}:function:stack-Fn-ABCDEF` },
  });
  expect(await type('Function').create(context('Fn'), properties)).toEqual(made);
  const named = { ...properties, FunctionName: 'stack-Fn-ABCDEF' };
  await expect(type('Function').create(context('Other'), named)).rejects.toMatchObject({ code: 'AlreadyExists' });
  const shown = await call('GetFunction', { FunctionName: made.physicalId });
  expect(shown).toMatchObject({
    Configuration: { Timeout: 7, Environment: { Variables: { COUNT: '5' } } },
    Concurrency: { ReservedConcurrentExecutions: 3 },
    Tags: { team: 'x', 'aws:cloudformation:logical-id': 'Fn' },
  });

  const digest = await test.cloud.platform.blobs.put(zipFiles({ 'index.js': 'exports.handler = async () => 2;' }));
  const { Timeout: _, ReservedConcurrentExecutions: __, ...rest } = properties;
  const changed = { ...rest, Code: { S3Bucket: 'unkai-blobs', S3Key: digest } };
  await type('Function').update(context('Fn'), made.physicalId, changed, properties);
  expect(await call('GetFunction', { FunctionName: made.physicalId })).toMatchObject({
    Configuration: { Timeout: 3, CodeSha256: Buffer.from(digest, 'hex').toString('base64') },
    Concurrency: undefined,
  });

  const FunctionName = made.physicalId;
  const version = await type('Version').create(context('V'), { FunctionName });
  expect(version).toMatchObject({ physicalId: expect.stringMatching(/:1$/), attributes: { Version: '1' } });
  const alias = { FunctionName, Name: 'live', FunctionVersion: '1' };
  const live = await type('Alias').create(context('A'), alias);
  expect(await type('Alias').create(context('A'), alias)).toEqual(live);

  const permission = { FunctionName, Action: 'lambda:InvokeFunction', Principal: 'apigateway.amazonaws.com' };
  const allowed = await type('Permission').create(context('P'), permission);
  expect(await type('Permission').create(context('P'), permission)).toEqual(allowed);
  await type('Permission').delete(context('P'), allowed.physicalId, permission);
  await type('Permission').delete(context('P'), allowed.physicalId, permission);

  const config = { FunctionName, Qualifier: '$LATEST', MaximumRetryAttempts: '1' };
  const made2 = await type('EventInvokeConfig').create(context('C'), config);
  expect(await call('GetFunctionEventInvokeConfig', { FunctionName })).toMatchObject({ MaximumRetryAttempts: 1 });
  await type('EventInvokeConfig').delete(context('C'), made2.physicalId, config);

  await type('Alias').delete(context('A'), live.physicalId, alias);
  await type('Version').delete(context('V'), version.physicalId, {});
  await type('Function').delete(context('Fn'), FunctionName, changed);
  await type('Function').delete(context('Fn'), FunctionName, changed);
});

it('makes a mapping, finds it again, changes and deletes it', async () => {
  const { bus } = test.cloud.platform;
  await bus.call(caller, 'sqs', 'CreateQueue', { QueueName: 'source' });
  const fn = { Runtime: 'nodejs20.x', Handler: 'index.handler', Role, Code: { ZipFile: '1' } };
  const { physicalId: FunctionName } = await type('Function').create(context('Consumer'), fn);
  const properties: Properties = {
    EventSourceArn: `arn:aws:sqs:us-east-1:${account}:source`,
    FunctionName,
    BatchSize: '5',
    FunctionResponseTypes: ['ReportBatchItemFailures'],
  };
  const made = await type('EventSourceMapping').create(context('M'), properties);
  expect(await type('EventSourceMapping').create(context('M'), properties)).toEqual(made);
  await expect(type('EventSourceMapping').create(context('N'), properties)).rejects.toMatchObject({
    code: 'ResourceConflictException',
  });
  await bus.call(caller, 'sqs', 'SendMessage', {
    QueueUrl: (await bus.call(caller, 'sqs', 'GetQueueUrl', { QueueName: 'source' })).QueueUrl!,
    MessageBody: 'x',
  });
  await expect.poll(() => compute.invocations.length).toBe(1);
  const changed = { ...properties, BatchSize: 7, Enabled: 'false' };
  await type('EventSourceMapping').update(context('M'), made.physicalId, changed, properties);
  expect(await call('GetEventSourceMapping', { UUID: made.physicalId })).toMatchObject({
    BatchSize: 7,
    State: 'Disabled',
  });
  await type('EventSourceMapping').delete(context('M'), made.physicalId, changed);
  await expect(call('GetEventSourceMapping', { UUID: made.physicalId })).rejects.toMatchObject({
    code: 'ResourceNotFoundException',
  });
  await type('EventSourceMapping').delete(context('M'), made.physicalId, changed);
});

it('says why a function cannot be made', async () => {
  compute.unsupported = 'no interpreter';
  const fn = { Runtime: 'ruby3.4', Handler: 'a.b', Role, Code: { S3Bucket: 'unkai-blobs', S3Key: 'f'.repeat(64) } };
  await expect(type('Function').create(context('Bad'), fn)).rejects.toThrow('There is no package');
  const inline = { ...fn, Code: { ZipFile: 'x' } };
  await expect(type('Function').create(context('Bad'), inline)).rejects.toThrow('ZipFile can only be used when');
  const node = { ...inline, Runtime: 'nodejs20.x' };
  await expect(type('Function').create(context('Bad'), node)).rejects.toThrow('no interpreter');
  compute.unsupported = undefined;
});

it('makes layers, shares them, and gives them to functions', async () => {
  const blob = (text: string) => test.cloud.platform.blobs.put(zipFiles({ 'nodejs/a.js': text }));
  const [S3Key, otherKey] = [await blob('1'), await blob('2')];
  const properties: Properties = {
    LayerName: 'common',
    Content: { S3Bucket: 'unkai-blobs', S3Key },
    CompatibleRuntimes: ['nodejs20.x'],
    Description: 'shared code',
  };
  const made = await type('LayerVersion').create(context('L'), properties);
  const arn = `arn:aws:lambda:us-east-1:${account}:layer:common`;
  expect(made).toEqual({ physicalId: `${arn}:1`, attributes: { LayerVersionArn: `${arn}:1` } });
  // An attempt that was interrupted published it already.
  expect(await type('LayerVersion').create({ ...context('L'), retried: true }, properties)).toEqual(made);
  const other = { ...properties, Content: { S3Bucket: 'unkai-blobs', S3Key: otherKey } };
  const next = await type('LayerVersion').create({ ...context('L'), retried: true }, other);
  expect(next.physicalId).toBe(`${arn}:2`);
  const unnamed = await type('LayerVersion').create(context('Unnamed'), { Content: properties['Content'] });
  expect(unnamed.physicalId).toContain(':layer:stack-Unnamed-ABCDEF:1');

  const grant = { LayerVersionArn: made.physicalId, Action: 'lambda:GetLayerVersion', Principal: '111122223333' };
  const granted = await type('LayerVersionPermission').create(context('G'), grant);
  expect(await type('LayerVersionPermission').create(context('G'), grant)).toEqual(granted);
  expect(granted.physicalId).toBe(`${made.physicalId}#stack-G-ABCDEF`);
  const { Policy } = await call('GetLayerVersionPolicy', { LayerName: 'common', VersionNumber: 1 });
  expect(JSON.parse(String(Policy)).Statement).toMatchObject([{ Sid: 'stack-G-ABCDEF' }]);

  const fn = {
    Runtime: 'nodejs20.x',
    Handler: 'index.handler',
    Role,
    Code: { ZipFile: '1' },
    Layers: [made.physicalId],
  };
  const { physicalId: FunctionName } = await type('Function').create(context('Layered'), fn);
  const layers = async () => {
    const { Layers } = await call('GetFunctionConfiguration', { FunctionName });
    return (Layers as { Arn: string }[] | undefined)?.map(({ Arn }) => Arn);
  };
  expect(await layers()).toEqual([`${arn}:1`]);
  await type('Function').update(context('Layered'), FunctionName, { ...fn, Layers: [next.physicalId] }, fn);
  expect(await layers()).toEqual([`${arn}:2`]);
  await type('LayerVersionPermission').delete(context('G'), granted.physicalId, grant);
  await type('LayerVersionPermission').delete(context('G'), granted.physicalId, grant);
  await type('LayerVersion').delete(context('L'), next.physicalId, other);
  await type('LayerVersion').delete(context('L'), next.physicalId, other);
  expect(await layers()).toEqual([`${arn}:2`]);
  const { Layers: _, ...plain } = fn;
  await type('Function').update(context('Layered'), FunctionName, plain, fn);
  expect(await layers()).toBeUndefined();
});

it('makes functions of images, code signing configurations, and what is beside versions', async () => {
  const { platform } = test.cloud;
  const digest = await platform.blobs.put(Buffer.from('a manifest'));
  platform.images.register({
    resolve: async (uri) => (uri === 'shop/api:1' ? { digest, sizeBytes: 10 } : undefined),
  });
  const image: Properties = {
    PackageType: 'Image',
    Role,
    Code: { ImageUri: 'shop/api:1' },
    ImageConfig: { Command: ['run'] },
    LoggingConfig: { LogFormat: 'JSON', SystemLogLevel: 'WARN' },
    RecursiveLoop: 'Allow',
  };
  const { physicalId: FunctionName } = await type('Function').create(context('Image'), image);
  const shown = () => call('GetFunctionConfiguration', { FunctionName });
  expect(await shown()).toMatchObject({
    PackageType: 'Image',
    ImageConfigResponse: { ImageConfig: { Command: ['run'] } },
    LoggingConfig: { LogFormat: 'JSON', SystemLogLevel: 'WARN', LogGroup: `/aws/lambda/${FunctionName}` },
  });
  expect(await call('GetFunctionRecursionConfig', { FunctionName })).toEqual({ RecursiveLoop: 'Allow' });
  const { ImageConfig: _, LoggingConfig: __, RecursiveLoop: ___, ...bare } = image;
  await type('Function').update(context('Image'), FunctionName, bare, image);
  expect((await shown())['ImageConfigResponse']).toBeUndefined();
  expect(await shown()).toMatchObject({ LoggingConfig: { LogFormat: 'Text' } });
  expect(await call('GetFunctionRecursionConfig', { FunctionName })).toEqual({ RecursiveLoop: 'Terminate' });

  const AllowedPublishers = {
    SigningProfileVersionArns: [`arn:aws:signer:us-east-1:${account}:/signing-profiles/p/abc`],
  };
  const signing = { AllowedPublishers, Description: 'one', Tags: [{ Key: 'team', Value: 'x' }] };
  const config = await type('CodeSigningConfig').create(context('S'), signing);
  expect(await type('CodeSigningConfig').create({ ...context('S'), retried: true }, signing)).toEqual(config);
  await type('CodeSigningConfig').update(context('S'), config.physicalId, { AllowedPublishers }, signing);
  const CodeSigningConfigArn = config.physicalId;
  expect(await call('GetCodeSigningConfig', { CodeSigningConfigArn })).toMatchObject({
    CodeSigningConfig: { Description: '', CodeSigningPolicies: { UntrustedArtifactOnDeployment: 'Warn' } },
  });
  const { Tags } = await call('ListTags', { Resource: CodeSigningConfigArn });
  expect(Tags).not.toHaveProperty('team');

  const RuntimeManagementConfig = { UpdateRuntimeOn: 'FunctionUpdate' };
  const zip: Properties = { Runtime: 'nodejs20.x', Handler: 'index.handler', Role, Code: { ZipFile: '1' } };
  const full = { ...zip, CodeSigningConfigArn, RuntimeManagementConfig };
  const { physicalId: name } = await type('Function').create(context('Zip'), full);
  const of = { FunctionName: name };
  expect(await call('GetRuntimeManagementConfig', of)).toMatchObject(RuntimeManagementConfig);
  expect(await call('GetFunctionCodeSigningConfig', of)).toMatchObject({ CodeSigningConfigArn });
  await type('Function').update(context('Zip'), name, zip, full);
  expect(await call('GetRuntimeManagementConfig', of)).toMatchObject({ UpdateRuntimeOn: 'Auto' });
  expect(await call('GetFunctionCodeSigningConfig', of)).toEqual({});
  await type('CodeSigningConfig').delete(context('S'), config.physicalId, signing);
  await type('CodeSigningConfig').delete(context('S'), config.physicalId, signing);

  const ProvisionedConcurrencyConfig = { ProvisionedConcurrentExecutions: '2' };
  const version = await type('Version').create(context('V'), { ...of, RuntimePolicy: RuntimeManagementConfig });
  expect(await call('GetRuntimeManagementConfig', { ...of, Qualifier: '1' })).toMatchObject(RuntimeManagementConfig);
  const alias = { ...of, Name: 'live', FunctionVersion: '1', ProvisionedConcurrencyConfig };
  const live = await type('Alias').create(context('A'), alias);
  const provisioned = () => call('ListProvisionedConcurrencyConfigs', of);
  expect(await provisioned()).toMatchObject({
    ProvisionedConcurrencyConfigs: [{ Status: 'READY', AvailableProvisionedConcurrentExecutions: 2 }],
  });
  const { ProvisionedConcurrencyConfig: ____, ...calm } = alias;
  await type('Alias').update(context('A'), live.physicalId, calm, alias);
  expect(await provisioned()).toEqual({ ProvisionedConcurrencyConfigs: [] });
  const warm = { ...of, ProvisionedConcurrencyConfig };
  await type('Version').update(context('V'), version.physicalId, warm, of);
  expect(await provisioned()).toMatchObject({ ProvisionedConcurrencyConfigs: [{ Status: 'READY' }] });
});
