import { GetEventSourceMappingCommand, type LambdaClient, PutFunctionConcurrencyCommand } from '@aws-sdk/client-lambda';
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TestCloud } from '../../../test/support/cloud.ts';
import { createRandom } from '../../kernel/random/random.ts';
import type { FakeCompute } from './fake-compute.test-support.ts';
import {
  account,
  dataOf,
  functionArn,
  openStreamWorld,
  type StreamEvent,
  type StreamWorld,
  streamArn,
  until,
} from './stream-world.test-support.ts';

let world: StreamWorld;
let test: TestCloud;
let client: LambdaClient;
let compute: FakeCompute;

beforeEach(async () => {
  world = await openStreamWorld();
  ({ test, client, compute } = world);
});
afterEach(() => test.close());

const map: StreamWorld['map'] = (more) => world.map(more);
const events: StreamWorld['events'] = () => world.events();
const batches: StreamWorld['batches'] = () => world.batches();
const put: StreamWorld['put'] = (...what) => world.put(...what);

describe('batches of a stream that fail', () => {
  let url: string;
  const queueArn = `arn:aws:sqs:us-east-1:${account}:failed`;
  let sqs: SQSClient;
  beforeEach(async () => {
    sqs = new SQSClient(test.clientConfig);
    url = (await sqs.send(new CreateQueueCommand({ QueueName: 'failed' }))).QueueUrl!;
  });

  async function told(): Promise<Record<string, unknown>[]> {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: url, MaxNumberOfMessages: 10, VisibilityTimeout: 0 }),
    );
    return Messages.map(({ Body }) => JSON.parse(Body!) as Record<string, unknown>);
  }

  it('hold the shard until their retries are used up, and are told of', async () => {
    const UUID = await map({
      BatchSize: 2,
      MaximumBatchingWindowInSeconds: 1,
      MaximumRetryAttempts: 2,
      DestinationConfig: { OnFailure: { Destination: queueArn } },
    });
    compute.functions.set('worker', (event) => {
      if (dataOf(event).includes('poison')) throw new Error('intended');
    });
    const numbers = [put('poison'), put('beside'), put('next')];
    await test.clock.advance(10_000);
    expect(batches()).toEqual([['poison', 'beside'], ['poison', 'beside'], ['poison', 'beside'], ['next']]);
    expect(await told()).toEqual([
      {
        requestContext: {
          requestId: compute.invocations[2]!.requestId,
          functionArn,
          condition: 'RetryAttemptsExhausted',
          approximateInvokeCount: 3,
        },
        responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
        version: '1.0',
        timestamp: expect.any(String),
        KinesisBatchInfo: {
          shardId: 'shard-0',
          startSequenceNumber: numbers[0],
          endSequenceNumber: numbers[1],
          approximateArrivalOfFirstRecord: expect.any(String),
          approximateArrivalOfLastRecord: expect.any(String),
          batchSize: 2,
          streamArn: streamArn,
        },
      },
    ]);
    const { LastProcessingResult } = await client.send(new GetEventSourceMappingCommand({ UUID }));
    expect(LastProcessingResult).toBe('OK');
  });

  it('are halved down to the record that fails', async () => {
    await map({
      BatchSize: 4,
      MaximumBatchingWindowInSeconds: 1,
      MaximumRetryAttempts: 0,
      BisectBatchOnFunctionError: true,
      DestinationConfig: { OnFailure: { Destination: queueArn } },
    });
    const seen: unknown[] = [];
    compute.functions.set('worker', (event) => {
      if (dataOf(event).includes(3)) throw new Error('intended');
      seen.push(...dataOf(event));
    });
    const numbers = [1, 2, 3, 4].map((n) => put(n));
    await test.clock.advance(10_000);
    expect(batches()).toEqual([[1, 2, 3, 4], [1, 2], [3, 4], [3], [4]]);
    expect(seen).toEqual([1, 2, 4]);
    expect(await told()).toMatchObject([
      { KinesisBatchInfo: { startSequenceNumber: numbers[2], endSequenceNumber: numbers[2], batchSize: 1 } },
    ]);
  });

  it('go on from the lowest record that the function names', async () => {
    await map({
      BatchSize: 3,
      MaximumBatchingWindowInSeconds: 1,
      MaximumRetryAttempts: 3,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      DestinationConfig: { OnFailure: { Destination: queueArn } },
    });
    compute.functions.set('worker', (event) => {
      const bad = (event as StreamEvent).Records.filter((_, index) => dataOf(event)[index] === 5);
      return { batchItemFailures: bad.map(({ kinesis: { sequenceNumber: itemIdentifier } }) => ({ itemIdentifier })) };
    });
    for (let n = 0; n < 6; n++) put(n);
    await test.clock.advance(20_000);
    expect(batches()).toEqual([[0, 1, 2], [3, 4, 5], [5], [5], [5]]);
    // As recorded on AWS: test_kinesis_report_batch_item_failures.
    expect(await told()).toMatchObject([
      {
        requestContext: { condition: 'RetryAttemptsExhausted', approximateInvokeCount: 4 },
        responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: null },
        KinesisBatchInfo: { batchSize: 1 },
      },
    ]);
  });

  it('are given up when their records are too old', async () => {
    await map({
      BatchSize: 10,
      MaximumRecordAgeInSeconds: 60,
      DestinationConfig: { OnFailure: { Destination: queueArn } },
    });
    compute.functions.set('worker', () => {
      throw new Error('intended');
    });
    put('aging');
    await test.clock.advance(120_000);
    expect(batches()).toEqual(Array.from({ length: 7 }, () => ['aging']));
    const [record] = await told();
    // As recorded on AWS: test_kinesis_maximum_record_age_exceeded.
    expect(record).toMatchObject({ requestContext: { condition: 'RecordAgeExceeded', approximateInvokeCount: 8 } });
    expect(record).not.toHaveProperty('responseContext');
  });

  it('do not count what found no capacity', async () => {
    await client.send(new PutFunctionConcurrencyCommand({ FunctionName: 'worker', ReservedConcurrentExecutions: 0 }));
    await map({ MaximumRetryAttempts: 0, DestinationConfig: { OnFailure: { Destination: queueArn } } });
    put('patient');
    await test.clock.advance(600_000);
    expect(compute.invocations).toEqual([]);
    await client.send(new PutFunctionConcurrencyCommand({ FunctionName: 'worker', ReservedConcurrentExecutions: 1 }));
    await test.clock.advance(120_000);
    expect(batches()).toEqual([['patient']]);
    expect(await told()).toEqual([]);
  });

  it('hold only their own keys where several are under way at once', async () => {
    await map({ BatchSize: 1, ParallelizationFactor: 10 });
    const order: unknown[] = [];
    let running = 0;
    let most = 0;
    let failures = 3;
    compute.functions.set('worker', async (event) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running--;
      const [data] = dataOf(event) as [string];
      if (data === 'key-0:0' && failures-- > 0) throw new Error('intended');
      order.push(data);
    });
    for (let n = 0; n < 3; n++) for (let key = 0; key < 20; key++) put(`key-${key}:${n}`, `key-${key}`);
    await test.clock.advance(60_000);
    await until(() => order.length === 60);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(10);
    for (let key = 0; key < 20; key++)
      expect(order.filter((one) => String(one).startsWith(`key-${key}:`))).toEqual(
        [0, 1, 2].map((n) => `key-${key}:${n}`),
      );
  });
});

describe('a function that fails at random', () => {
  it.each([
    { seed: 'a', ParallelizationFactor: 1 },
    { seed: 'b', ParallelizationFactor: 4, BisectBatchOnFunctionError: true },
    { seed: 'c', ParallelizationFactor: 10, MaximumBatchingWindowInSeconds: 1 },
    { seed: 'd', ParallelizationFactor: 3, BisectBatchOnFunctionError: true, MaximumBatchingWindowInSeconds: 2 },
  ])('has every record in the end, those of a key in order: %j', async ({ seed, ...settings }) => {
    const random = createRandom(seed);
    const succeeded: string[] = [];
    compute.functions.set('worker', async (event) => {
      const data = dataOf(event) as string[];
      const dice = random.float();
      if (dice < 0.2) throw new Error('intended');
      if (dice < 0.25) return { batchItemFailures: [{ itemIdentifier: 'of no record' }] };
      const done = dice < 0.5 ? Math.floor(random.float() * data.length) : data.length;
      succeeded.push(...data.slice(0, done));
      const { Records } = event as StreamEvent;
      return { batchItemFailures: Records.slice(done).map((one) => ({ itemIdentifier: one.kinesis.sequenceNumber })) };
    });
    await map({ BatchSize: 7, FunctionResponseTypes: ['ReportBatchItemFailures'], ...settings });
    const keys = ['k0', 'k1', 'k2', 'k3', 'k4', 'k5'];
    for (let n = 0; n < 20; n++) {
      for (const key of keys) put(`${key}:${n}`, key);
      if (n % 5 === 0) await test.clock.advance(700);
    }
    await test.clock.advance(3_600_000);
    for (const key of keys)
      expect(succeeded.filter((one) => one.startsWith(`${key}:`))).toEqual(
        Array.from({ length: 20 }, (_, n) => `${key}:${n}`),
      );
  });
});

describe('tumbling windows', () => {
  const sum = (event: unknown): unknown => {
    const { state = {} } = event as StreamEvent;
    return { state: { sum: (state['sum'] ?? 0) + (dataOf(event) as number[]).reduce((a, b) => a + b, 0) } };
  };

  it('carry a state from batch to batch, and end with one invocation more', async () => {
    const startMs = Math.ceil(test.clock.now() / 60_000) * 60_000;
    await test.clock.set(startMs);
    await map({ TumblingWindowInSeconds: 60, BatchSize: 2 });
    compute.functions.set('worker', sum);
    for (const n of [1, 2, 3]) put(n);
    await test.clock.advance(30_000);
    expect(batches().flat()).toEqual([1, 2, 3]);
    expect(events().every(({ isFinalInvokeForWindow }) => isFinalInvokeForWindow === false)).toBe(true);
    await test.clock.advance(45_000);
    expect(events().at(-1)).toEqual({
      Records: [],
      window: {
        start: new Date(startMs).toISOString().replace('.000', ''),
        end: new Date(startMs + 60_000).toISOString().replace('.000', ''),
      },
      state: { sum: 6 },
      shardId: 'shard-0',
      eventSourceARN: streamArn,
      isFinalInvokeForWindow: true,
      isWindowTerminatedEarly: false,
    });
    put(10);
    await until(() => batches().flat().length === 4);
    expect(events().at(-1)).toMatchObject({ state: {}, isFinalInvokeForWindow: false });
    // No window opens without records.
    const count = compute.invocations.length;
    await test.clock.advance(600_000);
    expect(compute.invocations).toHaveLength(count + 1);
  });

  it('end early when the state outgrows its bound, and need a state in the answer', async () => {
    await map({ TumblingWindowInSeconds: 900, MaximumRetryAttempts: 1 });
    let answers: unknown[] = [{}, { state: { long: 'x'.repeat(1_048_577) } }];
    compute.functions.set('worker', () => answers.shift());
    put(1);
    await test.clock.advance(5_000);
    expect(batches()).toEqual([[1], [1], []]);
    expect(events()[2]).toMatchObject({ isFinalInvokeForWindow: true, isWindowTerminatedEarly: true });
    answers = [{ state: {} }];
    put(2);
    await until(() => compute.invocations.length === 4);
    expect(events()[3]).toMatchObject({ state: {}, isFinalInvokeForWindow: false });
  });
});
