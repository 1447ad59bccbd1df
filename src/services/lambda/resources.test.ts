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
