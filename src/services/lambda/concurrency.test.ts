import {
  CreateAliasCommand,
  DeleteAliasCommand,
  DeleteFunctionCommand,
  DeleteProvisionedConcurrencyConfigCommand,
  GetAccountSettingsCommand,
  GetProvisionedConcurrencyConfigCommand,
  InvokeCommand,
  LambdaClient,
  ListProvisionedConcurrencyConfigsCommand,
  PublishVersionCommand,
  PutFunctionConcurrencyCommand,
  PutProvisionedConcurrencyConfigCommand,
  UpdateAliasCommand,
  UpdateFunctionConfigurationCommand,
  waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import type { Caller } from '../../platform/context.ts';
import { Crash, FakeCompute, FakeLogs } from './fake-compute.test-support.ts';
import { account, createFunction, failure, waiting } from './functions.test-support.ts';

// CI machines are busy.
vi.setConfig({ testTimeout: 30_000 });
const patience = { timeout: 15_000 };

let test: TestCloud;
let client: LambdaClient;
let compute: FakeCompute;

async function start(engine: 'memory' | 'lmdb' = 'memory'): Promise<void> {
  test = await startTestCloud({ services: ['lambda', 'logs', 'iam', 'sts'], limits: 'aws', engine });
  attach();
}

function attach(): void {
  compute = FakeCompute.into(test.cloud.platform);
  FakeLogs.into(test.cloud.platform);
  client = new LambdaClient({ ...test.clientConfig, requestHandler: { httpAgent: { maxSockets: 250 } } });
}

beforeEach(() => start());
afterEach(() => test.close());

const caller: Caller = {
  account,
  region: 'us-east-1',
  principal: { kind: 'root', arn: `arn:aws:iam::${account}:root`, account, id: account },
};

/** As the SDK's, without its time. */
function invokeOnBus(FunctionName: string): Promise<string | undefined> {
  return test.cloud.platform.bus.call(caller, 'lambda', 'Invoke', { FunctionName }).then(
    () => undefined,
    (error: { code: string; fields: { Reason?: string } }) => {
      expect(error.code).toBe('TooManyRequestsException');
      return error.fields.Reason;
    },
  );
}

function invoke(FunctionName: string, Qualifier?: string) {
  return client.send(new InvokeCommand({ FunctionName, Qualifier }));
}

/** Lets a function's invocations wait until they are let go. */
function holdAll(name: string): { readonly running: () => number; release(): void } {
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  let running = 0;
  compute.functions.set(name, async () => {
    running++;
    await gate;
  });
  return { running: () => running, release: () => release() };
}

function reserve(FunctionName: string, ReservedConcurrentExecutions: number) {
  return client.send(new PutFunctionConcurrencyCommand({ FunctionName, ReservedConcurrentExecutions }));
}

describe('throttles, each with its reason', () => {
  it('the account’s pool, and a reservation beside it', async () => {
    await createFunction(client, 'greedy');
    await createFunction(client, 'safe');
    await createFunction(client, 'other');
    await reserve('safe', 898);
    await reserve('other', 2);
    const greedy = holdAll('greedy');
    const other = holdAll('other');
    const held = [...Array(100)].map(() => invoke('greedy'));
    await expect.poll(greedy.running, patience).toBe(100);
    const refused = { code: 'TooManyRequestsException', message: 'Rate Exceeded.', status: 429 };
    expect(await failure(invoke('greedy'))).toEqual({ ...refused, reason: 'ConcurrentInvocationLimitExceeded' });
    expect((await invoke('safe')).StatusCode).toBe(200);
    const both = [invoke('other'), invoke('other')];
    await expect.poll(other.running, patience).toBe(2);
    expect(await failure(invoke('other'))).toEqual({
      ...refused,
      reason: 'ReservedFunctionConcurrentInvocationLimitExceeded',
    });
    greedy.release();
    other.release();
    await Promise.all([...held, ...both]);
    expect((await invoke('greedy')).StatusCode).toBe(200);
    expect((await invoke('other')).StatusCode).toBe(200);
  });

  it('ten requests a second for each reserved execution', async () => {
    await createFunction(client, 'slow');
    await reserve('slow', 1);
    const reasons = new Set<string | undefined>();
    for (let count = 0; count < 200; count++) reasons.add(await invokeOnBus('slow'));
    expect([...reasons].sort()).toEqual(['ReservedFunctionInvocationRateLimitExceeded', undefined]);
  });

  it('ten requests a second for each execution of the account', async () => {
    await createFunction(client, 'blocker');
    await reserve('blocker', 900);
    await createFunction(client, 'busy');
    const reasons = new Set<string | undefined>();
    // A thousand at once, and a thousand more each second: far less than are asked for.
    for (let count = 0; count < 8_000 && reasons.size < 2; count++) reasons.add(await invokeOnBus('busy'));
    expect([...reasons].sort()).toEqual(['FunctionInvocationRateLimitExceeded', undefined]);
  });

  it('a thousand new environments at once, and a hundred each second', async () => {
    await createFunction(client, 'crashing');
    compute.functions.set('crashing', () => {
      throw new Crash();
    });
    let started = 0;
    let reason: string | undefined;
    for (; started < 4_000 && reason === undefined; started++) reason = await invokeOnBus('crashing');
    expect(reason).toBe('ConcurrentInvocationLimitExceeded');
    expect(started).toBeGreaterThan(1_000);
  });
});

describe('provisioned concurrency', () => {
  const put = (FunctionName: string, Qualifier: string, ProvisionedConcurrentExecutions: number) =>
    client.send(
      new PutProvisionedConcurrencyConfigCommand({ FunctionName, Qualifier, ProvisionedConcurrentExecutions }),
    );
  const get = (FunctionName: string, Qualifier: string) =>
    client.send(new GetProvisionedConcurrencyConfigCommand({ FunctionName, Qualifier }));
  const remove = (FunctionName: string, Qualifier: string) =>
    client.send(new DeleteProvisionedConcurrencyConfigCommand({ FunctionName, Qualifier }));
  const list = async (FunctionName: string) =>
    (await client.send(new ListProvisionedConcurrencyConfigsCommand({ FunctionName }))).ProvisionedConcurrencyConfigs!;
  const ahead = () =>
    compute.sandboxes.filter(({ alive, spec }) => alive && spec.initializationType === 'provisioned-concurrency');

  async function published(name: string): Promise<void> {
    await createFunction(client, name, { Publish: true });
  }

  async function ready(name: string, qualifier: string): Promise<void> {
    await expect.poll(async () => (await get(name, qualifier)).Status, patience).toBe('READY');
  }

  it('starts environments ahead, uses them first, spills over, and replaces those that end', async () => {
    await published('warm');
    const asked = await put('warm', '1', 3);
    expect(asked).toMatchObject({
      RequestedProvisionedConcurrentExecutions: 3,
      AvailableProvisionedConcurrentExecutions: 0,
      AllocatedProvisionedConcurrentExecutions: 0,
      Status: 'IN_PROGRESS',
      LastModified: expect.stringMatching(/\+0000$/),
    });
    expect(asked.$metadata.httpStatusCode).toBe(202);
    await ready('warm', '1');
    expect(await get('warm', '1')).toMatchObject({
      AvailableProvisionedConcurrentExecutions: 3,
      AllocatedProvisionedConcurrentExecutions: 3,
    });
    expect(ahead()).toHaveLength(3);
    expect(compute.sandboxes).toHaveLength(3);
    const held = holdAll('warm');
    const running = [...Array(4)].map(() => invoke('warm', '1'));
    await expect.poll(held.running, patience).toBe(4);
    expect(compute.sandboxes).toHaveLength(4);
    expect(compute.sandboxes[3]!.spec.initializationType).toBe('on-demand');
    held.release();
    await Promise.all(running);
    compute.functions.set('warm', () => {
      throw new Crash();
    });
    await invoke('warm', '1');
    compute.functions.delete('warm');
    await expect.poll(() => ahead().length, patience).toBe(3);
    await ready('warm', '1');
    // One that ends while it waits is replaced, too.
    ahead()[0]!.alive = false;
    await expect.poll(() => ahead().length, patience).toBe(3);
    await put('warm', '1', 1);
    await expect.poll(() => ahead().length, patience).toBe(1);
    await remove('warm', '1');
    await expect.poll(() => ahead().length, patience).toBe(0);
    expect(await failure(get('warm', '1'))).toMatchObject({ code: 'ProvisionedConcurrencyConfigNotFoundException' });
  });

  it('counts against the reservation and the account', async () => {
    await published('counted');
    await published('bounded');
    await reserve('bounded', 2);
    await put('bounded', '1', 2);
    await put('counted', '1', 50);
    const settings = async () =>
      (await client.send(new GetAccountSettingsCommand({}))).AccountLimit!.UnreservedConcurrentExecutions;
    expect(await settings()).toBe(1_000 - 2 - 50);
    await ready('bounded', '1');
    // All that is reserved is provisioned for version 1: $LATEST gets nothing.
    expect((await failure(invoke('bounded'))).reason).toBe('ReservedFunctionConcurrentInvocationLimitExceeded');
    expect((await invoke('bounded', '1')).StatusCode).toBe(200);
    const held = holdAll('bounded');
    const running = [invoke('bounded', '1'), invoke('bounded', '1')];
    await expect.poll(held.running, patience).toBe(2);
    expect((await failure(invoke('bounded', '1'))).reason).toBe('ReservedFunctionConcurrentInvocationLimitExceeded');
    held.release();
    await Promise.all(running);
    const refused = async (sent: Promise<unknown>) => {
      const found = await failure(sent);
      expect(found).toMatchObject({ code: 'InvalidParameterValueException', status: 400 });
      return found.message;
    };
    expect(await refused(put('bounded', '1', 3))).toBe(
      'Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function',
    );
    expect(await refused(reserve('bounded', 1))).toBe(
      " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned concurrency [2].",
    );
    expect(await refused(put('counted', '1', 999))).toBe(
      "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [998].",
    );
    expect(await refused(put('counted', '1', 899))).toBe(
      "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].",
    );
    expect(await refused(reserve('bounded', 900))).toMatch(/below its minimum value of \[100\]/);
    await client.send(new DeleteFunctionCommand({ FunctionName: 'counted' }));
    expect(await settings()).toBe(998);
    await expect.poll(() => ahead().every(({ spec }) => spec.functionName === 'bounded'), patience).toBe(true);
  });

  it('of an alias moves with it, and goes with it', async () => {
    await published('moved');
    const alias = { FunctionName: 'moved', Name: 'live' };
    await client.send(new CreateAliasCommand({ ...alias, FunctionVersion: '1' }));
    await client.send(new UpdateFunctionConfigurationCommand({ FunctionName: 'moved', MemorySize: 256 }));
    await waitUntilFunctionUpdatedV2({ client, ...waiting }, { FunctionName: 'moved' });
    await client.send(new PublishVersionCommand({ FunctionName: 'moved' }));
    await put('moved', 'live', 4);
    await ready('moved', 'live');
    const versions = () =>
      ahead()
        .map(({ spec }) => spec.version)
        .sort()
        .join('');
    expect(versions()).toBe('1111');
    expect(await failure(put('moved', '1', 1))).toMatchObject({
      code: 'ResourceConflictException',
      message: 'Version is pointed by a Provisioned Concurrency alias',
    });
    await client.send(new UpdateAliasCommand({ ...alias, RoutingConfig: { AdditionalVersionWeights: { '2': 0.25 } } }));
    await expect.poll(versions, patience).toBe('1112');
    expect(await failure(put('moved', 'live', 2))).toMatchObject({
      message: 'Alias with weights can not be used with Provisioned Concurrency',
    });
    const latest = new UpdateAliasCommand({ ...alias, FunctionVersion: '$LATEST', RoutingConfig: {} });
    expect(await failure(client.send(latest))).toMatchObject({ code: 'InvalidParameterValueException' });
    await client.send(new UpdateAliasCommand({ ...alias, FunctionVersion: '2', RoutingConfig: {} }));
    await expect.poll(versions, patience).toBe('2222');
    await ready('moved', 'live');
    expect(await list('moved')).toMatchObject([
      {
        FunctionArn: expect.stringMatching(/:moved:live$/),
        Status: 'READY',
        RequestedProvisionedConcurrentExecutions: 4,
      },
    ]);
    await client.send(new DeleteAliasCommand(alias));
    await expect.poll(versions, patience).toBe('');
    expect(await list('moved')).toEqual([]);
    await put('moved', '1', 1);
    await client.send(new CreateAliasCommand({ ...alias, FunctionVersion: '1' }));
    expect(await failure(put('moved', 'live', 1))).toMatchObject({
      message: "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
      status: 409,
    });
    await client.send(new DeleteAliasCommand(alias));
    await client.send(new DeleteFunctionCommand({ FunctionName: 'moved', Qualifier: '1' }));
    await expect.poll(versions, patience).toBe('');
  });

  it('is refused for what is not published or not there', async () => {
    await published('strict');
    const arn = (rest: string): string => `arn:aws:lambda:us-east-1:${account}:function:${rest}`;
    const notFound = (message: string) => ({ code: 'ResourceNotFoundException', status: 404, message });
    const none = notFound(`Cannot find alias arn: ${arn('strict:none')}`);
    const gone = notFound(`Function not found: ${arn('strict:10')}`);
    const nobody = notFound(`Cannot find alias arn: ${arn('nobody:none')}`);
    for (const call of [(name: string, qualifier: string) => put(name, qualifier, 1), get, remove]) {
      expect(await failure(call('strict', 'none'))).toMatchObject(none);
      expect(await failure(call('strict', '10'))).toMatchObject(gone);
      expect(await failure(call('nobody', 'none'))).toMatchObject(nobody);
      expect(await failure(call('nobody', '1'))).toMatchObject(notFound(`Function not found: ${arn('nobody:1')}`));
    }
    const latest = 'The function resource provided must be an alias or a published version.';
    expect(await failure(get('strict', '$LATEST'))).toMatchObject({ message: latest, status: 400 });
    expect(await failure(remove('strict', '$LATEST'))).toMatchObject({ message: latest });
    const unpublished = 'Provisioned Concurrency Configs cannot be applied to unpublished function versions.';
    expect(await failure(put('strict', '$LATEST', 1))).toMatchObject({ message: unpublished });
    await client.send(new CreateAliasCommand({ FunctionName: 'strict', Name: 'edge', FunctionVersion: '$LATEST' }));
    expect(await failure(put('strict', 'edge', 1))).toMatchObject({ message: unpublished });
    expect(await failure(put('strict', '1', 0))).toMatchObject({
      code: 'ValidationException',
      message:
        "1 validation error detected: Value '0' at 'provisionedConcurrentExecutions' failed to satisfy constraint: Member must have value greater than or equal to 1",
    });
    await remove('strict', '1');
    expect(await list('strict')).toEqual([]);
    expect(await failure(list('nobody'))).toMatchObject(notFound(`Function not found: ${arn('nobody')}`));
  });

  it('says that an initialisation failed', async () => {
    await published('broken');
    compute.brokenAtInit.add('broken');
    await put('broken', '1', 2);
    await expect.poll(async () => (await get('broken', '1')).Status, patience).toBe('FAILED');
    expect(await get('broken', '1')).toMatchObject({
      StatusReason: 'FUNCTION_ERROR_INIT_FAILURE',
      AvailableProvisionedConcurrentExecutions: 0,
      AllocatedProvisionedConcurrentExecutions: 0,
    });
    expect(ahead()).toHaveLength(0);
    compute.brokenAtInit.clear();
    await put('broken', '1', 2);
    await ready('broken', '1');
  });

  it('is there again after a restart', async () => {
    await test.close();
    await start('lmdb');
    await published('kept');
    await put('kept', '1', 2);
    await ready('kept', '1');
    const before = compute;
    test = await test.restart();
    expect(before.alive()).toBe(0);
    client = new LambdaClient(test.clientConfig);
    // The real compute runs it this time.
    await ready('kept', '1');
    expect(await get('kept', '1')).toMatchObject({ AvailableProvisionedConcurrentExecutions: 2 });
    expect((await invoke('kept', '1')).FunctionError).toBeUndefined();
  });
});
