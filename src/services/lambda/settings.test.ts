import {
  CreateCodeSigningConfigCommand,
  DeleteCodeSigningConfigCommand,
  DeleteFunctionCodeSigningConfigCommand,
  GetCodeSigningConfigCommand,
  GetFunctionCodeSigningConfigCommand,
  GetFunctionConfigurationCommand,
  GetFunctionRecursionConfigCommand,
  GetFunctionScalingConfigCommand,
  GetRuntimeManagementConfigCommand,
  InvokeCommand,
  LambdaClient,
  ListCodeSigningConfigsCommand,
  ListFunctionsByCodeSigningConfigCommand,
  ListTagsCommand,
  type LoggingConfig,
  PublishLayerVersionCommand,
  PublishVersionCommand,
  PutFunctionCodeSigningConfigCommand,
  PutFunctionRecursionConfigCommand,
  PutFunctionScalingConfigCommand,
  PutRuntimeManagementConfigCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateCodeSigningConfigCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  type UpdateFunctionConfigurationCommandInput,
  waitUntilFunctionUpdatedV2,
  waitUntilPublishedVersionActive,
} from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { Crash, FakeCompute, FakeLogs } from './fake-compute.test-support.ts';
import { account, createFunction, echoZip, failure, waiting } from './functions.test-support.ts';

let test: TestCloud;
let client: LambdaClient;
let compute: FakeCompute;
let logs: FakeLogs;

beforeAll(async () => {
  test = await startTestCloud({ services: ['lambda', 'iam', 'sts'] });
  compute = FakeCompute.into(test.cloud.platform);
  logs = FakeLogs.into(test.cloud.platform);
  client = new LambdaClient(test.clientConfig);
});
afterAll(() => test.close());

async function configure(FunctionName: string, more: Omit<UpdateFunctionConfigurationCommandInput, 'FunctionName'>) {
  await client.send(new UpdateFunctionConfigurationCommand({ FunctionName, ...more }));
  await waitUntilFunctionUpdatedV2({ client, ...waiting }, { FunctionName });
  return client.send(new GetFunctionConfigurationCommand({ FunctionName }));
}

describe('the log format', () => {
  it('is kept with its levels, in AWS’s defaults', async () => {
    const made = await createFunction(client, 'formats', { LoggingConfig: { LogFormat: 'JSON' } });
    const LogGroup = '/aws/lambda/formats';
    const json = { LogFormat: 'JSON', ApplicationLogLevel: 'INFO', SystemLogLevel: 'INFO', LogGroup };
    expect(made.LoggingConfig).toEqual(json);
    const set = async (LoggingConfig: LoggingConfig) => (await configure('formats', { LoggingConfig })).LoggingConfig;
    expect(await set({ SystemLogLevel: 'WARN' })).toEqual({ ...json, SystemLogLevel: 'WARN' });
    expect(await set({ LogGroup: 'cool' })).toEqual({ ...json, SystemLogLevel: 'WARN', LogGroup: 'cool' });
    expect(await set({ LogFormat: 'Text' })).toEqual({ LogFormat: 'Text', LogGroup: 'cool' });
    expect(await set({ LogFormat: 'JSON', ApplicationLogLevel: 'DEBUG' })).toEqual({
      ...json,
      ApplicationLogLevel: 'DEBUG',
      LogGroup: 'cool',
    });
    const message =
      'LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel from your request or change the LogFormat to "JSON" and try again.';
    const wrong: LoggingConfig = { LogFormat: 'Text', SystemLogLevel: 'INFO' };
    expect(await failure(configure('formats', { LoggingConfig: wrong }))).toMatchObject({ message, status: 400 });
    expect(
      await failure(createFunction(client, 'levels', { LoggingConfig: { ApplicationLogLevel: 'INFO' } })),
    ).toMatchObject({ code: 'InvalidParameterValueException', message });
    expect((await failure(configure('formats', { LoggingConfig: { LogGroup: 'no good' } }))).code).toBe(
      'ValidationException',
    );
  });

  it('JSON gives Lambda’s own lines as platform events, by level', async () => {
    await createFunction(client, 'events', { LoggingConfig: { LogFormat: 'JSON', SystemLogLevel: 'DEBUG' } });
    const tailOf = async () => {
      const { LogResult, $metadata } = await client.send(
        new InvokeCommand({ FunctionName: 'events', LogType: 'Tail' }),
      );
      const lines = Buffer.from(LogResult!, 'base64').toString().trim().split('\n');
      const events = lines.filter((line) => line !== '').map((line) => JSON.parse(line));
      return { requestId: $metadata.requestId, events };
    };
    const { requestId, events } = await tailOf();
    expect(compute.sandboxes.at(-1)!.spec.logging).toEqual({
      format: 'JSON',
      applicationLevel: 'INFO',
      systemLevel: 'DEBUG',
    });
    const time = expect.stringMatching(/^\d{4}-.*Z$/);
    const inside = events.filter(({ type }) => !type.startsWith('platform.init'));
    expect(inside).toEqual([
      { time, type: 'platform.start', record: { requestId, version: '$LATEST' } },
      {
        time,
        type: 'platform.runtimeDone',
        record: { requestId, status: 'success', metrics: { durationMs: 1.5, producedBytes: 2 } },
      },
      {
        time,
        type: 'platform.report',
        record: {
          requestId,
          metrics: {
            durationMs: 1.5,
            billedDurationMs: 22,
            memorySizeMB: 128,
            maxMemoryUsedMB: 36,
            initDurationMs: 20.25,
          },
          status: 'success',
        },
      },
    ]);
    const types = () => logs.all('/aws/lambda/events').map((line) => JSON.parse(line).type.slice('platform.'.length));
    await expect
      .poll(types, { timeout: 10_000 })
      .toEqual(
        expect.arrayContaining(['initStart', 'initRuntimeDone', 'initReport', 'start', 'runtimeDone', 'report']),
      );
    compute.functions.set('events', () => {
      throw new Error('expected');
    });
    const failed = await tailOf();
    expect(failed.events.at(-1)).toMatchObject({
      type: 'platform.report',
      record: { status: 'error', errorType: 'Error' },
    });
    await configure('events', { LoggingConfig: { SystemLogLevel: 'WARN' } });
    compute.functions.set('events', () => {
      throw new Crash();
    });
    const crashed = await tailOf();
    expect(crashed.events.map(({ type, record }) => [type, record.status, record.errorType])).toEqual([
      ['platform.runtimeDone', 'failure', 'Runtime.ExitError'],
      ['platform.report', 'failure', 'Runtime.ExitError'],
    ]);
    compute.functions.delete('events');
    expect((await tailOf()).events).toEqual([]);
  });
});

describe('SnapStart', () => {
  it('makes published versions Pending, then Active and optimized', async () => {
    const SnapStart = { ApplyOn: 'PublishedVersions' as const };
    const made = await createFunction(client, 'snapped', { Runtime: 'python3.12', SnapStart });
    expect(made.SnapStart).toEqual({ ApplyOn: 'PublishedVersions', OptimizationStatus: 'Off' });
    const before = await client.send(new GetFunctionConfigurationCommand({ FunctionName: 'snapped' }));
    const published = await client.send(new PublishVersionCommand({ FunctionName: 'snapped' }));
    expect(published).toMatchObject({ Version: '1', State: 'Pending', SnapStart: { OptimizationStatus: 'Off' } });
    const of = { FunctionName: 'snapped', Qualifier: '1' };
    await waitUntilPublishedVersionActive({ client, ...waiting }, of);
    const active = await client.send(new GetFunctionConfigurationCommand(of));
    expect(active).toMatchObject({ State: 'Active', SnapStart: { OptimizationStatus: 'On' } });
    expect(active.StateReason).toBeUndefined();
    await client.send(new InvokeCommand(of));
    expect(compute.sandboxes.at(-1)!.spec.initializationType).toBe('snap-start');
    await client.send(new InvokeCommand({ FunctionName: 'snapped' }));
    expect(compute.sandboxes.at(-1)!.spec.initializationType).toBe('on-demand');
    const after = await client.send(new GetFunctionConfigurationCommand({ FunctionName: 'snapped' }));
    expect(after.RevisionId).toBe(before.RevisionId);
  });

  it('is refused where AWS has none', async () => {
    const SnapStart = { ApplyOn: 'PublishedVersions' as const };
    for (const Runtime of ['nodejs20.x', 'python3.11', 'provided.al2023'] as const)
      expect(await failure(createFunction(client, 'unsnapped', { Runtime, SnapStart }))).toMatchObject({
        code: 'InvalidParameterValueException',
        message: `${Runtime} is not supported for SnapStart enabled functions.`,
      });
    const big = { Runtime: 'java21' as const, SnapStart, EphemeralStorage: { Size: 513 } };
    expect((await failure(createFunction(client, 'unsnapped', big))).message).toContain('512 MB');
    const wrong = { ApplyOn: 'Always' as 'None' };
    expect(await failure(createFunction(client, 'unsnapped', { SnapStart: wrong }))).toMatchObject({
      code: 'ValidationException',
      message: expect.stringContaining("at 'snapStart.applyOn'"),
    });
  });
});

it('a function in a VPC is shown with it, and cut off', async () => {
  const VpcConfig = { SubnetIds: ['subnet-1'], SecurityGroupIds: ['sg-1'] };
  const made = await createFunction(client, 'inside', { VpcConfig, EphemeralStorage: { Size: 1_024 } });
  expect(made.VpcConfig).toEqual({ ...VpcConfig, VpcId: '', Ipv6AllowedForDualStack: false });
  await client.send(new InvokeCommand({ FunctionName: 'inside' }));
  expect(compute.sandboxes.at(-1)!.spec).toMatchObject({ network: 'none', ephemeralStorageMb: 1_024 });
  const out = await configure('inside', { VpcConfig: { SubnetIds: [], SecurityGroupIds: [] } });
  expect(out.VpcConfig).toBeUndefined();
  const half = configure('inside', { VpcConfig: { SubnetIds: ['subnet-1'] } });
  expect((await failure(half)).message).toBe('SubnetIds and SecurityIds must coexist or be both empty list.');
});

describe('code signing', () => {
  const AllowedPublishers = {
    SigningProfileVersionArns: [`arn:aws:signer:us-east-1:${account}:/signing-profiles/test/abcdefghij`],
  };
  const enforce = { UntrustedArtifactOnDeployment: 'Enforce' as const };
  const make = async (more = {}) =>
    (await client.send(new CreateCodeSigningConfigCommand({ AllowedPublishers, ...more }))).CodeSigningConfig!;

  it('configurations are made, changed, tagged, listed and deleted', async () => {
    const made = await make({ Description: 'mine', CodeSigningPolicies: enforce, Tags: { team: 'x' } });
    expect(made).toMatchObject({ Description: 'mine', CodeSigningPolicies: enforce, AllowedPublishers });
    expect(made.CodeSigningConfigId).toMatch(/^csc-[a-z0-9]{17}$/);
    const CodeSigningConfigArn = made.CodeSigningConfigArn!;
    expect(CodeSigningConfigArn).toBe(
      `arn:aws:lambda:us-east-1:${account}:code-signing-config:${made.CodeSigningConfigId}`,
    );
    await client.send(new TagResourceCommand({ Resource: CodeSigningConfigArn, Tags: { more: 'y' } }));
    await client.send(new UntagResourceCommand({ Resource: CodeSigningConfigArn, TagKeys: ['team'] }));
    expect((await client.send(new ListTagsCommand({ Resource: CodeSigningConfigArn }))).Tags).toEqual({ more: 'y' });
    const warn = { UntrustedArtifactOnDeployment: 'Warn' as const };
    const changed = await client.send(
      new UpdateCodeSigningConfigCommand({ CodeSigningConfigArn, CodeSigningPolicies: warn }),
    );
    expect(changed.CodeSigningConfig).toMatchObject({ Description: 'mine', CodeSigningPolicies: warn });
    await make();
    const page = await client.send(new ListCodeSigningConfigsCommand({ MaxItems: 1 }));
    const rest = await client.send(new ListCodeSigningConfigsCommand({ Marker: page.NextMarker! }));
    expect([...page.CodeSigningConfigs!, ...rest.CodeSigningConfigs!]).toHaveLength(2);

    await createFunction(client, 'signed', { CodeSigningConfigArn });
    const FunctionName = 'signed';
    expect(await client.send(new GetFunctionCodeSigningConfigCommand({ FunctionName }))).toMatchObject({
      CodeSigningConfigArn,
      FunctionName,
    });
    const users = async () =>
      (await client.send(new ListFunctionsByCodeSigningConfigCommand({ CodeSigningConfigArn }))).FunctionArns;
    expect(await users()).toEqual([`arn:aws:lambda:us-east-1:${account}:function:signed`]);
    const gone = new DeleteCodeSigningConfigCommand({ CodeSigningConfigArn });
    expect(await failure(client.send(gone))).toMatchObject({ code: 'ResourceConflictException', status: 409 });
    await client.send(new DeleteFunctionCodeSigningConfigCommand({ FunctionName }));
    await client.send(new DeleteFunctionCodeSigningConfigCommand({ FunctionName }));
    const none = await client.send(new GetFunctionCodeSigningConfigCommand({ FunctionName }));
    expect(none.CodeSigningConfigArn).toBeUndefined();
    expect(await users()).toEqual([]);
    await client.send(gone);
    const missing = {
      code: 'ResourceNotFoundException',
      message: `The Lambda code signing configuration ${CodeSigningConfigArn} can not be found.`,
    };
    expect(await failure(client.send(new GetCodeSigningConfigCommand({ CodeSigningConfigArn })))).toMatchObject(
      missing,
    );
    expect(await failure(client.send(new UpdateCodeSigningConfigCommand({ CodeSigningConfigArn })))).toMatchObject(
      missing,
    );
    expect(await failure(client.send(gone))).toMatchObject(missing);
    expect(await failure(users())).toMatchObject(missing);
    const put = (name: string) =>
      failure(client.send(new PutFunctionCodeSigningConfigCommand({ FunctionName: name, CodeSigningConfigArn })));
    const unknown = {
      code: 'CodeSigningConfigNotFoundException',
      message: `The code signing configuration cannot be found. Check that the provided configuration is not deleted: ${CodeSigningConfigArn}.`,
      status: 404,
    };
    expect(await put('signed')).toMatchObject(unknown);
    expect(await put('nobody')).toMatchObject(unknown);
    expect(await failure(createFunction(client, 'unsigned', { CodeSigningConfigArn }))).toMatchObject(unknown);
  });

  it('that enforce signatures let no package in: there are none here', async () => {
    const { CodeSigningConfigArn } = await make({ CodeSigningPolicies: enforce });
    const refused = {
      code: 'CodeVerificationFailedException',
      message: expect.stringContaining('unsigned'),
      status: 400,
    };
    expect(await failure(createFunction(client, 'guarded', { CodeSigningConfigArn }))).toMatchObject(refused);
    await createFunction(client, 'guarded');
    const attach = new PutFunctionCodeSigningConfigCommand({ FunctionName: 'guarded', CodeSigningConfigArn });
    await client.send(attach);
    const code = new UpdateFunctionCodeCommand({ FunctionName: 'guarded', ZipFile: echoZip });
    expect(await failure(client.send(code))).toMatchObject(refused);
    const layer = await client.send(
      new PublishLayerVersionCommand({ LayerName: 'unsigned', Content: { ZipFile: echoZip } }),
    );
    expect(await failure(configure('guarded', { Layers: [layer.LayerVersionArn!] }))).toMatchObject(refused);
    await configure('guarded', { Timeout: 9 });
    const nobody = new PutFunctionCodeSigningConfigCommand({ FunctionName: 'nobody', CodeSigningConfigArn });
    expect(await failure(client.send(nobody))).toMatchObject({ code: 'ResourceNotFoundException' });
  });
});

it('runtime management', async () => {
  await createFunction(client, 'managed', { Publish: true });
  const get = (Qualifier?: string) =>
    client.send(new GetRuntimeManagementConfigCommand({ FunctionName: 'managed', Qualifier }));
  const put = (more: Omit<ConstructorParameters<typeof PutRuntimeManagementConfigCommand>[0], 'FunctionName'>) =>
    client.send(new PutRuntimeManagementConfigCommand({ FunctionName: 'managed', ...more }));
  expect(await get()).toMatchObject({ UpdateRuntimeOn: 'Auto' });
  const RuntimeVersionArn = 'arn:aws:lambda:us-east-1::runtime:0123456789abcdef';
  const manual = await put({ UpdateRuntimeOn: 'Manual', RuntimeVersionArn });
  const FunctionArn = `arn:aws:lambda:us-east-1:${account}:function:managed`;
  expect(manual).toMatchObject({ UpdateRuntimeOn: 'Manual', RuntimeVersionArn, FunctionArn });
  expect(await get()).toMatchObject({ UpdateRuntimeOn: 'Manual', RuntimeVersionArn });
  expect(await get('1')).toMatchObject({ UpdateRuntimeOn: 'Auto', FunctionArn: `${FunctionArn}:1` });
  await put({ UpdateRuntimeOn: 'FunctionUpdate', Qualifier: '1' });
  expect(await get('1')).toMatchObject({ UpdateRuntimeOn: 'FunctionUpdate' });
  await put({ UpdateRuntimeOn: 'Auto' });
  expect((await get()).RuntimeVersionArn).toBeUndefined();
  expect((await failure(put({ UpdateRuntimeOn: 'Manual' }))).code).toBe('InvalidParameterValueException');
  expect((await failure(put({ UpdateRuntimeOn: 'Auto', RuntimeVersionArn }))).status).toBe(400);
  expect((await failure(put({ UpdateRuntimeOn: 'Sometimes' as 'Auto' }))).code).toBe('ValidationException');
  expect((await failure(get('7'))).message).toBe(`Function not found: ${FunctionArn}:7`);
});

it('recursion and scaling configurations', async () => {
  const FunctionName = 'looping';
  await createFunction(client, FunctionName, { Publish: true });
  const get = async () => (await client.send(new GetFunctionRecursionConfigCommand({ FunctionName }))).RecursiveLoop;
  const put = (RecursiveLoop: 'Allow' | 'Terminate') =>
    client.send(new PutFunctionRecursionConfigCommand({ FunctionName, RecursiveLoop }));
  expect(await get()).toBe('Terminate');
  expect((await put('Allow')).RecursiveLoop).toBe('Allow');
  expect(await get()).toBe('Allow');
  await put('Terminate');
  expect(await get()).toBe('Terminate');
  expect((await failure(put('Maybe' as 'Allow'))).code).toBe('ValidationException');
  const nobody = new GetFunctionRecursionConfigCommand({ FunctionName: 'nobody' });
  expect((await failure(client.send(nobody))).code).toBe('ResourceNotFoundException');
  const scaling = { FunctionName, Qualifier: '1' };
  const wanted = { ...scaling, FunctionScalingConfig: { MinExecutionEnvironments: 1 } };
  for (const call of [
    client.send(new GetFunctionScalingConfigCommand(scaling)),
    client.send(new PutFunctionScalingConfigCommand(wanted)),
  ])
    expect(await failure(call)).toMatchObject({ code: 'InvalidParameterValueException', status: 400 });
});
