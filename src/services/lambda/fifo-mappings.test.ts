import {
  CreateEventSourceMappingCommand,
  type CreateEventSourceMappingCommandInput,
  CreateFunctionCommand,
  GetEventSourceMappingCommand,
  LambdaClient,
  waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { FakeCompute, FakeLogs } from './fake-compute.test-support.ts';
import { FakeFifoQueue } from './fake-queue.test-support.ts';
import { zipFiles } from './rules/package.ts';

const account = '000000000000';
const arn = `arn:aws:sqs:us-east-1:${account}:work.fifo`;

let test: TestCloud;
let client: LambdaClient;
let compute: FakeCompute;
let queue: FakeFifoQueue;

beforeEach(async () => {
  test = await startTestCloud({ services: ['lambda', 'iam', 'sts'], clock: 'virtual' });
  compute = FakeCompute.into(test.cloud.platform);
  FakeLogs.into(test.cloud.platform);
  queue = FakeFifoQueue.into(test.cloud.platform, 30);
  client = new LambdaClient(test.clientConfig);
  await client.send(
    new CreateFunctionCommand({
      FunctionName: 'worker',
      Runtime: 'nodejs20.x',
      Handler: 'index.handler',
      Role: `arn:aws:iam::${account}:role/worker`,
      Code: { ZipFile: zipFiles({ 'index.js': '' }) },
      Timeout: 5,
    }),
  );
  const waiting = { client, maxWaitTime: 10, minDelay: 0.01, maxDelay: 0.05 };
  await waitUntilFunctionActiveV2(waiting, { FunctionName: 'worker' });
});
afterEach(() => test.close());

interface FifoEvent {
  readonly Records: readonly {
    readonly messageId: string;
    readonly body: string;
    readonly attributes: { readonly MessageGroupId: string };
  }[];
}

async function map(more: Partial<CreateEventSourceMappingCommandInput> = {}): Promise<void> {
  const { UUID } = await client.send(
    new CreateEventSourceMappingCommand({ EventSourceArn: arn, FunctionName: 'worker', ...more }),
  );
  await until(async () => (await client.send(new GetEventSourceMappingCommand({ UUID: UUID! }))).State === 'Enabled');
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('it did not come about');
}

const bodiesOf = (event: unknown): string[] => (event as FifoEvent).Records.map(({ body }) => body);
const batches = (): string[][] => compute.invocations.map(({ event }) => bodiesOf(event));

it('has one batch of a group under way, and as many batches as there are groups', async () => {
  const groups = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  const running = new Map<string, number>();
  let most = 0;
  compute.functions.set('worker', async (event) => {
    const [{ attributes }] = (event as FifoEvent).Records as [FifoEvent['Records'][0]];
    const group = attributes.MessageGroupId;
    running.set(group, (running.get(group) ?? 0) + 1);
    expect(running.get(group)).toBe(1);
    most = Math.max(
      most,
      [...running.values()].reduce((a, b) => a + b, 0),
    );
    await new Promise((resolve) => setTimeout(resolve, 10));
    running.set(group, 0);
  });
  for (const group of groups) queue.send(group, `${group}1`, `${group}2`, `${group}3`);
  await map({ BatchSize: 1 });
  await until(() => queue.left().length === 0);
  // More than the five that a standard queue begins with.
  expect(most).toBeGreaterThan(5);
  for (const group of groups)
    expect(
      batches()
        .flat()
        .filter((body) => body.startsWith(group)),
    ).toEqual([1, 2, 3].map((n) => `${group}${n}`));
});

it('keeps to MaximumConcurrency', async () => {
  let running = 0;
  let most = 0;
  compute.functions.set('worker', async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 10));
    running--;
  });
  for (const group of ['a', 'b', 'c', 'd', 'e']) queue.send(group, group);
  await map({ BatchSize: 1, ScalingConfig: { MaximumConcurrency: 2 } });
  await until(() => queue.left().length === 0);
  expect(most).toBe(2);
});

it('mixes groups in a batch, in order, and brings a failed one back as it was', async () => {
  let failures = 1;
  compute.functions.set('worker', () => {
    if (failures-- > 0) throw new Error('intended');
  });
  queue.send('a', 'a1', 'a2');
  queue.send('b', 'b1');
  await map();
  await until(() => compute.invocations.length === 1);
  // Nothing of the groups comes while they are hidden.
  queue.send('a', 'a3');
  await test.clock.advance(29_000);
  expect(batches()).toEqual([['a1', 'a2', 'b1']]);
  await test.clock.advance(2_000);
  expect(batches()).toEqual([
    ['a1', 'a2', 'b1'],
    ['a1', 'a2', 'b1', 'a3'],
  ]);
  expect(queue.left()).toEqual([]);
});

it('retries what the function names, in order, and nothing else, as AWS does', async () => {
  let attempts = 0;
  compute.functions.set('worker', (event) => {
    const bad = ++attempts === 1 ? (event as FifoEvent).Records.filter(({ body }) => ['a2', 'a3'].includes(body)) : [];
    return { batchItemFailures: bad.map(({ messageId }) => ({ itemIdentifier: messageId })) };
  });
  queue.send('a', 'a1', 'a2', 'a3', 'a4');
  queue.send('b', 'b1');
  await map({ FunctionResponseTypes: ['ReportBatchItemFailures'] });
  await until(() => queue.left().length === 2);
  expect(queue.left()).toEqual(['a2', 'a3']);
  await test.clock.advance(31_000);
  expect(batches()).toEqual([
    ['a1', 'a2', 'a3', 'a4', 'b1'],
    ['a2', 'a3'],
  ]);
  expect(queue.left()).toEqual([]);
});

it('sends what is too long for one event in several, one after the other, and none behind a failure', async () => {
  const long = 'x'.repeat(1_000_000);
  let attempts = 0;
  compute.functions.set('worker', () => {
    if (++attempts === 1) throw new Error('intended');
  });
  queue.send('a', ...Array.from({ length: 8 }, (_, n) => `${n}${long}`));
  await map();
  await until(() => compute.invocations.length === 1);
  await test.clock.advance(31_000);
  await until(() => queue.left().length === 0);
  expect(batches().map((bodies) => bodies.map((body) => body[0]).join(''))).toEqual(['012345', '012345', '67']);
});

it.each([
  [{ BatchSize: 11 }, 'Batch size cannot be greater than 10 for FIFO queues.'],
  [{ MaximumBatchingWindowInSeconds: 1 }, 'Batching window is not supported for FIFO queues.'],
])('refuses what a FIFO queue does not have %#', async (more, message) => {
  await expect(map(more)).rejects.toMatchObject({ name: 'InvalidParameterValueException', message });
});
