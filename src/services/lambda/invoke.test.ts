import {
  CreateFunctionCommand,
  type CreateFunctionCommandInput,
  InvokeAsyncCommand,
  InvokeCommand,
  type InvokeCommandInput,
  LambdaClient,
  PutFunctionConcurrencyCommand,
  PutFunctionEventInvokeConfigCommand,
  waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { Crash, FakeCompute, FakeLogs } from './fake-compute.test-support.ts';
import { idleEnvironmentMs } from './limits.ts';
import { zipFiles } from './rules/package.ts';

const account = '000000000000';
const zip = zipFiles({ 'index.js': 'exports.handler = async (event) => event;' });

let test: TestCloud;
let client: LambdaClient;
let sqs: SQSClient;
let compute: FakeCompute;
let logs: FakeLogs;

beforeEach(async () => {
  test = await startTestCloud({ services: ['lambda', 'sqs', 'iam', 'sts'], clock: 'virtual' });
  compute = FakeCompute.into(test.cloud.platform);
  logs = FakeLogs.into(test.cloud.platform);
  client = new LambdaClient(test.clientConfig);
  sqs = new SQSClient(test.clientConfig);
});
afterEach(() => test.close());

async function create(name: string, more: Partial<CreateFunctionCommandInput> = {}): Promise<void> {
  await client.send(
    new CreateFunctionCommand({
      FunctionName: name,
      Runtime: 'nodejs20.x',
      Handler: 'index.handler',
      Role: `arn:aws:iam::${account}:role/worker`,
      Code: { ZipFile: zip },
      ...more,
    }),
  );
  await waitUntilFunctionActiveV2({ client, maxWaitTime: 10, minDelay: 0.01, maxDelay: 0.05 }, { FunctionName: name });
}

function invoke(name: string, more: Partial<InvokeCommandInput> = {}) {
  return client.send(new InvokeCommand({ FunctionName: name, ...more }));
}

function failure(sent: Promise<unknown>): Promise<Record<string, unknown>> {
  return sent.then(
    () => {
      throw new Error('the call should have failed');
    },
    (error: Record<string, unknown>) => error,
  );
}

async function queue(name: string): Promise<{ arn: string; url: string }> {
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name }));
  return { arn: `arn:aws:sqs:us-east-1:${account}:${name}`, url: QueueUrl! };
}

async function received(url: string) {
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({ QueueUrl: url, MessageAttributeNames: ['All'], MaxNumberOfMessages: 10 }),
  );
  return Messages;
}

const text = (payload: Uint8Array | undefined): string => Buffer.from(payload ?? []).toString('utf8');

describe('a synchronous invocation', () => {
  it('answers the payload, the version and the tail of the log', async () => {
    await create('echo');
    compute.functions.set('echo', (event, { log }) => {
      log('hello from the function');
      return { event };
    });
    const done = await invoke('echo', { Payload: '{"a":1}', LogType: 'Tail' });
    expect(done).toMatchObject({ StatusCode: 200, ExecutedVersion: '$LATEST' });
    expect(done.FunctionError).toBeUndefined();
    expect(text(done.Payload)).toBe('{"event":{"a":1}}');
    const id = compute.invocations[0]!.requestId;
    expect(done.$metadata.requestId).toBe(id);
    const lines = [
      `START RequestId: ${id} Version: $LATEST`,
      'hello from the function',
      `END RequestId: ${id}`,
      `REPORT RequestId: ${id}\tDuration: 1.50 ms\tBilled Duration: 22 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\tInit Duration: 20.25 ms\t`,
    ];
    expect(Buffer.from(done.LogResult!, 'base64').toString()).toBe(`${lines.join('\n')}\n`);
    await test.clock.advance(200);
    expect(logs.all('/aws/lambda/echo')).toEqual(lines);
    expect([...logs.lines.keys()][0]).toMatch(/^\/aws\/lambda\/echo\n\d{4}\/\d\d\/\d\d\/\[\$LATEST\][0-9a-f]{32}$/);
  });

  it('gives the function an empty object for no payload, and its client context', async () => {
    await create('context');
    compute.functions.set('context', (event, { invocation }) => ({ event, context: invocation.clientContext }));
    const ClientContext = Buffer.from('{"custom":{"a":"b"}}').toString('base64');
    const done = await invoke('context', { ClientContext });
    expect(JSON.parse(text(done.Payload))).toEqual({ event: {}, context: '{"custom":{"a":"b"}}' });
  });

  it('answers 200 with FunctionError where the function fails, and replaces an environment that crashed', async () => {
    await create('failing');
    compute.functions.set('failing', (event) => {
      throw (event as { crash?: boolean }).crash ? new Crash() : new Error('intended');
    });
    const failed = await invoke('failing', { Payload: '{}' });
    expect(failed).toMatchObject({ StatusCode: 200, FunctionError: 'Unhandled' });
    expect(JSON.parse(text(failed.Payload))).toEqual({ errorType: 'Error', errorMessage: 'intended' });
    const crashed = await invoke('failing', { Payload: '{"crash":true}', LogType: 'Tail' });
    expect(JSON.parse(text(crashed.Payload)).errorType).toBe('Runtime.ExitError');
    expect(Buffer.from(crashed.LogResult!, 'base64').toString()).toMatch(
      /exit status 1\nRuntime\.ExitError\nEND .*\nREPORT .*\tStatus: error\tError Type: Runtime\.ExitError\t?\n/,
    );
    await invoke('failing', { Payload: '{}' });
    expect(compute.sandboxes).toHaveLength(2);
    expect(compute.sandboxes[0]!.closedFor).toBe('failure');
  });

  it('refuses what is no JSON, too long or of a function that is not there', async () => {
    await create('strict');
    expect(await failure(invoke('strict', { Payload: '{"a":' }))).toMatchObject({
      name: 'InvalidRequestContentException',
      Type: 'User',
    });
    expect(await failure(invoke('strict', { Payload: Buffer.from([0x22, 0x87, 0x22]) }))).toMatchObject({
      message: expect.stringContaining('Invalid UTF-8 start byte 0x87'),
    });
    const long = `"${'x'.repeat(1_048_576)}"`;
    expect(await failure(invoke('strict', { Payload: long, InvocationType: 'Event' }))).toMatchObject({
      name: 'RequestTooLargeException',
      $metadata: expect.objectContaining({ httpStatusCode: 413 }),
    });
    expect((await invoke('strict', { Payload: long })).StatusCode).toBe(200);
    expect(await failure(invoke('nobody'))).toMatchObject({ name: 'ResourceNotFoundException' });
    expect((await invoke('strict', { InvocationType: 'DryRun' })).StatusCode).toBe(204);
    compute.functions.set('strict', () => 'x'.repeat(6_291_600));
    const big = await invoke('strict');
    expect(JSON.parse(text(big.Payload)).errorType).toBe('Function.ResponseSizeTooLarge');
  });

  it('keeps an environment warm, uses the latest one, and ends it when idle', async () => {
    await create('warm');
    let waiting: (() => void)[] = [];
    compute.functions.set('warm', (event, { sandboxId }) =>
      (event as { wait?: boolean }).wait ? new Promise((resolve) => waiting.push(() => resolve(sandboxId))) : sandboxId,
    );
    const both = [invoke('warm', { Payload: '{"wait":true}' }), invoke('warm', { Payload: '{"wait":true}' })];
    while (waiting.length < 2) await new Promise((resolve) => setImmediate(resolve));
    const released = waiting;
    waiting = [];
    released[0]!();
    await both[0];
    released[1]!();
    const last = text((await both[1])!.Payload);
    expect(text((await invoke('warm')).Payload)).toBe(last);
    expect(compute.alive()).toBe(2);
    await test.clock.advance(idleEnvironmentMs + 60_000);
    expect(compute.alive()).toBe(0);
    expect(compute.sandboxes.map(({ closedFor }) => closedFor)).toEqual(['spindown', 'spindown']);
  });

  it('throttles beyond a reservation, with the reason', async () => {
    await create('narrow');
    await client.send(new PutFunctionConcurrencyCommand({ FunctionName: 'narrow', ReservedConcurrentExecutions: 1 }));
    let finish: (() => void) | undefined;
    compute.functions.set('narrow', () => new Promise((resolve) => (finish = () => resolve(1))));
    const first = invoke('narrow');
    while (finish === undefined) await new Promise((resolve) => setImmediate(resolve));
    const refused = await failure(invoke('narrow'));
    expect(refused).toMatchObject({
      name: 'TooManyRequestsException',
      message: 'Rate Exceeded.',
      Reason: 'ReservedFunctionConcurrentInvocationLimitExceeded',
      Type: 'User',
      retryAfterSeconds: '1',
    });
    finish();
    expect((await first).StatusCode).toBe(200);
    expect(compute.invocations).toHaveLength(1);
  });
});

describe('an asynchronous invocation', () => {
  it('is retried after one and two minutes, then goes to the dead-letter queue and the destination', async () => {
    const dead = await queue('dead');
    const failed = await queue('failed');
    await create('retried', { DeadLetterConfig: { TargetArn: dead.arn } });
    await client.send(
      new PutFunctionEventInvokeConfigCommand({
        FunctionName: 'retried',
        DestinationConfig: { OnFailure: { Destination: failed.arn } },
      }),
    );
    const times: number[] = [];
    compute.functions.set('retried', () => {
      times.push(test.clock.now());
      throw new Error('intended');
    });
    const accepted = await invoke('retried', { InvocationType: 'Event', Payload: '{"n":1}' });
    expect(accepted.StatusCode).toBe(202);
    await test.clock.advance(10 * 60_000);
    expect(times).toHaveLength(3);
    expect(Math.round((times[1]! - times[0]!) / 1_000)).toBe(60);
    expect(Math.round((times[2]! - times[1]!) / 1_000)).toBe(120);
    expect(new Set(compute.invocations.map(({ requestId }) => requestId)).size).toBe(1);

    const [letter] = await received(dead.url);
    expect(letter!.Body).toBe('{"n":1}');
    expect(letter!.MessageAttributes).toMatchObject({
      RequestID: { StringValue: accepted.$metadata.requestId, DataType: 'String' },
      ErrorCode: { StringValue: '200', DataType: 'Number' },
      ErrorMessage: { StringValue: 'intended' },
    });
    const [record] = await received(failed.url);
    expect(JSON.parse(record!.Body!)).toEqual({
      version: '1.0',
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
      requestContext: {
        requestId: accepted.$metadata.requestId,
        functionArn: `arn:aws:lambda:us-east-1:${account}:function:retried:$LATEST`,
        condition: 'RetriesExhausted',
        approximateInvokeCount: 3,
      },
      requestPayload: { n: 1 },
      responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
      responsePayload: { errorType: 'Error', errorMessage: 'intended' },
    });
  });

  it('gives the success to its destination', async () => {
    const done = await queue('done');
    await create('succeeding');
    await client.send(
      new PutFunctionEventInvokeConfigCommand({
        FunctionName: 'succeeding',
        DestinationConfig: { OnSuccess: { Destination: done.arn } },
      }),
    );
    compute.functions.set('succeeding', () => ({ ok: true }));
    await client.send(new InvokeAsyncCommand({ FunctionName: 'succeeding', InvokeArgs: '{}' }));
    await test.clock.advance(1_000);
    const [record] = await received(done.url);
    expect(JSON.parse(record!.Body!)).toMatchObject({
      requestContext: { condition: 'Success', approximateInvokeCount: 1 },
      responsePayload: { ok: true },
    });
  });

  it('waits while the function is throttled, and uses up no retry', async () => {
    const failed = await queue('aged');
    await create('busy');
    await client.send(new PutFunctionConcurrencyCommand({ FunctionName: 'busy', ReservedConcurrentExecutions: 1 }));
    await client.send(
      new PutFunctionEventInvokeConfigCommand({
        FunctionName: 'busy',
        MaximumEventAgeInSeconds: 60,
        DestinationConfig: { OnFailure: { Destination: failed.arn } },
      }),
    );
    let finish: (() => void) | undefined;
    compute.functions.set('busy', () => {
      return new Promise((resolve) => (finish = () => resolve(1)));
    });
    const first = invoke('busy');
    while (finish === undefined) await new Promise((resolve) => setImmediate(resolve));
    await invoke('busy', { InvocationType: 'Event', Payload: '{"late":true}' });
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    finish();
    await first;
    finish = undefined;
    const advanced = test.clock.advance(30_000);
    while (finish === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    (finish as () => void)();
    await advanced;
    expect(compute.invocations.map(({ event }) => event)).toEqual([{}, { late: true }]);
    expect(await received(failed.url)).toEqual([]);
  });

  it('goes straight to the destination while nothing is reserved for it', async () => {
    const failed = await queue('zero');
    await create('stopped');
    await client.send(new PutFunctionConcurrencyCommand({ FunctionName: 'stopped', ReservedConcurrentExecutions: 0 }));
    await client.send(
      new PutFunctionEventInvokeConfigCommand({
        FunctionName: 'stopped',
        DestinationConfig: { OnFailure: { Destination: failed.arn } },
      }),
    );
    await invoke('stopped', { InvocationType: 'Event', Payload: '{}' });
    await test.clock.advance(1_000);
    const [record] = await received(failed.url);
    const body = JSON.parse(record!.Body!);
    expect(body.requestContext).toMatchObject({ condition: 'ZeroReservedConcurrency', approximateInvokeCount: 0 });
    expect(body.responseContext).toBeUndefined();
    expect(compute.invocations).toEqual([]);
  });

  it('ends early when the next retry would come after its greatest age', async () => {
    const failed = await queue('early');
    await create('short-lived');
    await client.send(
      new PutFunctionEventInvokeConfigCommand({
        FunctionName: 'short-lived',
        MaximumEventAgeInSeconds: 90,
        DestinationConfig: { OnFailure: { Destination: failed.arn } },
      }),
    );
    compute.functions.set('short-lived', () => {
      throw new Error('intended');
    });
    await invoke('short-lived', { InvocationType: 'Event', Payload: '{}' });
    await test.clock.advance(5 * 60_000);
    const [record] = await received(failed.url);
    expect(JSON.parse(record!.Body!).requestContext).toMatchObject({
      condition: 'EventAgeExceeded',
      approximateInvokeCount: 2,
    });
  });
});

describe('after a restart', () => {
  it('events that were accepted are still there', async () => {
    const durable = await startTestCloud({
      services: ['lambda', 'sqs', 'iam', 'sts'],
      engine: 'lmdb',
      clock: 'virtual',
    });
    const first = FakeCompute.into(durable.cloud.platform);
    FakeLogs.into(durable.cloud.platform);
    let lambda = new LambdaClient(durable.clientConfig);
    await lambda.send(
      new CreateFunctionCommand({
        FunctionName: 'kept',
        Runtime: 'nodejs20.x',
        Handler: 'index.handler',
        Role: `arn:aws:iam::${account}:role/worker`,
        Code: { ZipFile: zip },
      }),
    );
    await waitUntilFunctionActiveV2(
      { client: lambda, maxWaitTime: 10, minDelay: 0.01, maxDelay: 0.05 },
      { FunctionName: 'kept' },
    );
    first.functions.set('kept', () => {
      throw new Error('not yet');
    });
    await lambda.send(new InvokeCommand({ FunctionName: 'kept', InvocationType: 'Event', Payload: '{"n":7}' }));
    while (first.invocations.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const again = await durable.restart();
    const second = FakeCompute.into(again.cloud.platform);
    FakeLogs.into(again.cloud.platform);
    lambda = new LambdaClient(again.clientConfig);
    await again.clock.advance(2 * 60_000);
    expect(second.invocations.map(({ event }) => event)).toEqual([{ n: 7 }]);
    await again.close();
  });
});
