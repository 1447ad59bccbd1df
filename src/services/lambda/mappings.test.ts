import {
  CreateEventSourceMappingCommand,
  type CreateEventSourceMappingCommandInput,
  CreateFunctionCommand,
  DeleteEventSourceMappingCommand,
  DeleteFunctionCommand,
  GetEventSourceMappingCommand,
  LambdaClient,
  ListEventSourceMappingsCommand,
  ListTagsCommand,
  PutFunctionConcurrencyCommand,
  UpdateEventSourceMappingCommand,
  waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';
import {
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { FakeCompute, FakeLogs } from './fake-compute.test-support.ts';
import { zipFiles } from './rules/package.ts';

const account = '000000000000';
const zip = zipFiles({ 'index.js': 'exports.handler = async (event) => event;' });

let test: TestCloud;
let client: LambdaClient;
let sqs: SQSClient;
let compute: FakeCompute;
let url: string;
const arn = `arn:aws:sqs:us-east-1:${account}:work`;

beforeEach(async () => {
  test = await startTestCloud({ services: ['lambda', 'sqs', 'iam', 'sts'], clock: 'virtual' });
  compute = FakeCompute.into(test.cloud.platform);
  FakeLogs.into(test.cloud.platform);
  client = new LambdaClient(test.clientConfig);
  sqs = new SQSClient(test.clientConfig);
  await createWorker();
  const created = await sqs.send(
    new CreateQueueCommand({ QueueName: 'work', Attributes: { VisibilityTimeout: '30' } }),
  );
  url = created.QueueUrl!;
});
afterEach(() => test.close());

async function createWorker(): Promise<void> {
  await client.send(
    new CreateFunctionCommand({
      FunctionName: 'worker',
      Runtime: 'nodejs20.x',
      Handler: 'index.handler',
      Role: `arn:aws:iam::${account}:role/worker`,
      Code: { ZipFile: zip },
      Timeout: 5,
    }),
  );
  await waitUntilFunctionActiveV2(
    { client, maxWaitTime: 10, minDelay: 0.01, maxDelay: 0.05 },
    { FunctionName: 'worker' },
  );
}

interface SqsEvent {
  readonly Records: readonly {
    readonly messageId: string;
    readonly body: string;
    readonly attributes: Record<string, string>;
  }[];
}

async function map(more: Partial<CreateEventSourceMappingCommandInput> = {}): Promise<string> {
  const made = await client.send(
    new CreateEventSourceMappingCommand({ EventSourceArn: arn, FunctionName: 'worker', ...more }),
  );
  expect(made).toMatchObject({ State: 'Creating', StateTransitionReason: 'USER_INITIATED' });
  await becomes(made.UUID!, 'Enabled');
  return made.UUID!;
}

async function becomes(UUID: string, state: string | undefined): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    const shown = await client.send(new GetEventSourceMappingCommand({ UUID })).catch(() => undefined);
    if (shown?.State === state) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`the mapping did not become ${state}`);
}

async function depth(): Promise<{ visible: number; inFlight: number }> {
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({
      QueueUrl: url,
      AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
    }),
  );
  return {
    visible: Number(Attributes!['ApproximateNumberOfMessages']),
    inFlight: Number(Attributes!['ApproximateNumberOfMessagesNotVisible']),
  };
}

const send = (MessageBody: string) => sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody }));
const events = (): SqsEvent[] => compute.invocations.map(({ event }) => event as SqsEvent);
const bodies = (): string[] => events().flatMap(({ Records }) => Records.map(({ body }) => body));

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('it did not come about');
}

it('hands messages to the function in the documented form, and deletes them', async () => {
  await map();
  await sqs.send(
    new SendMessageCommand({
      QueueUrl: url,
      MessageBody: 'hello',
      MessageAttributes: { colour: { DataType: 'String', StringValue: 'red' } },
    }),
  );
  await until(async () => compute.invocations.length > 0 && (await depth()).inFlight === 0);
  expect(events()[0]).toEqual({
    Records: [
      {
        messageId: expect.any(String),
        receiptHandle: expect.any(String),
        body: 'hello',
        attributes: {
          ApproximateReceiveCount: '1',
          SentTimestamp: expect.any(String),
          SenderId: expect.any(String),
          ApproximateFirstReceiveTimestamp: expect.any(String),
        },
        messageAttributes: {
          colour: { stringValue: 'red', stringListValues: [], binaryListValues: [], dataType: 'String' },
        },
        md5OfMessageAttributes: expect.any(String),
        md5OfBody: '5d41402abc4b2a76b9719d911017c592',
        eventSource: 'aws:sqs',
        eventSourceARN: arn,
        awsRegion: 'us-east-1',
      },
    ],
  });
  expect(await depth()).toEqual({ visible: 0, inFlight: 0 });
});

it('leaves a failed batch to the visibility timeout, and only the failed messages of a partial one', async () => {
  await map({ FunctionResponseTypes: ['ReportBatchItemFailures'] });
  let attempts = 0;
  compute.functions.set('worker', (event) => {
    const { Records } = event as SqsEvent;
    attempts++;
    if (attempts === 1) throw new Error('intended');
    const failed = attempts === 2 ? Records.filter(({ body }) => body === 'b') : [];
    return { batchItemFailures: failed.map(({ messageId }) => ({ itemIdentifier: messageId })) };
  });
  await sqs.send(
    new SendMessageBatchCommand({
      QueueUrl: url,
      Entries: ['a', 'b'].map((body) => ({ Id: body, MessageBody: body })),
    }),
  );
  await until(() => attempts === 1);
  await test.clock.advance(29_000);
  expect(attempts).toBe(1);
  await test.clock.advance(2_000);
  await test.clock.advance(31_000);
  expect(attempts).toBe(3);
  expect(bodies()).toEqual(['a', 'b', 'a', 'b', 'b']);
  expect(events()[2]!.Records[0]!.attributes['ApproximateReceiveCount']).toBe('3');
  expect(await depth()).toEqual({ visible: 0, inFlight: 0 });
});

it('filters by the body, deleting what is not wanted', async () => {
  await map({ FilterCriteria: { Filters: [{ Pattern: '{"body":{"kind":["order"]}}' }] } });
  await send('{"kind":"noise"}');
  await send('{"kind":"order","n":1}');
  await until(async () => compute.invocations.length === 1 && (await depth()).inFlight === 0);
  expect(bodies()).toEqual(['{"kind":"order","n":1}']);
  expect(await depth()).toEqual({ visible: 0, inFlight: 0 });
});

it('collects a batch over its window', async () => {
  await map({ BatchSize: 25, MaximumBatchingWindowInSeconds: 3 });
  for (let n = 0; n < 12; n++) await send(String(n));
  await test.clock.advance(20_000);
  expect(compute.invocations).toHaveLength(1);
  expect(new Set(bodies()).size).toBe(12);
});

it('runs no more batches at once than MaximumConcurrency', async () => {
  await map({ BatchSize: 1, ScalingConfig: { MaximumConcurrency: 2 } });
  let running = 0;
  let most = 0;
  compute.functions.set('worker', async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 20));
    running--;
  });
  for (let n = 0; n < 8; n++) await send(String(n));
  await until(async () => compute.invocations.length === 8 && (await depth()).inFlight === 0);
  expect(most).toBe(2);
});

it('is disabled, enabled and deleted', async () => {
  const UUID = await map();
  await client.send(new UpdateEventSourceMappingCommand({ UUID, Enabled: false }));
  await becomes(UUID, 'Disabled');
  await send('later');
  await test.clock.advance(60_000);
  expect(compute.invocations).toEqual([]);
  await client.send(new UpdateEventSourceMappingCommand({ UUID, Enabled: true, BatchSize: 5 }));
  await becomes(UUID, 'Enabled');
  await until(() => compute.invocations.length === 1);
  const { EventSourceMappings } = await client.send(new ListEventSourceMappingsCommand({ FunctionName: 'worker' }));
  expect(EventSourceMappings).toMatchObject([{ UUID, BatchSize: 5, State: 'Enabled' }]);
  const deleted = await client.send(new DeleteEventSourceMappingCommand({ UUID }));
  expect(deleted.State).toBe('Deleting');
  await becomes(UUID, undefined);
});

it('is made disabled, and takes and shows every setting', async () => {
  const { UUID, State } = await client.send(
    new CreateEventSourceMappingCommand({
      EventSourceArn: arn,
      FunctionName: 'worker',
      Enabled: false,
      KMSKeyArn: `arn:aws:kms:us-east-1:${account}:key/k`,
      MetricsConfig: { Metrics: ['EventCount'] },
      ProvisionedPollerConfig: { MinimumPollers: 3 },
      Tags: { team: 'x' },
    }),
  );
  expect(State).toBe('Disabled');
  const shown = () => client.send(new GetEventSourceMappingCommand({ UUID: UUID! }));
  expect(await shown()).toMatchObject({
    KMSKeyArn: `arn:aws:kms:us-east-1:${account}:key/k`,
    MetricsConfig: { Metrics: ['EventCount'] },
    ProvisionedPollerConfig: { MinimumPollers: 3, MaximumPollers: 200 },
  });
  await client.send(
    new UpdateEventSourceMappingCommand({
      UUID: UUID!,
      BatchSize: 20,
      MaximumBatchingWindowInSeconds: 2,
      FilterCriteria: { Filters: [{ Pattern: '{"body":["a"]}' }] },
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      KMSKeyArn: '',
      MetricsConfig: {},
      ProvisionedPollerConfig: {},
      ScalingConfig: { MaximumConcurrency: 4 },
    }),
  );
  await becomes(UUID!, 'Disabled');
  const { $metadata: _, LastModified: __, ...changed } = await shown();
  expect(changed).toEqual({
    UUID,
    BatchSize: 20,
    EventSourceArn: arn,
    EventSourceMappingArn: `arn:aws:lambda:us-east-1:${account}:event-source-mapping:${UUID}`,
    FilterCriteria: { Filters: [{ Pattern: '{"body":["a"]}' }] },
    FunctionArn: `arn:aws:lambda:us-east-1:${account}:function:worker`,
    FunctionResponseTypes: ['ReportBatchItemFailures'],
    MaximumBatchingWindowInSeconds: 2,
    ScalingConfig: { MaximumConcurrency: 4 },
    State: 'Disabled',
    StateTransitionReason: 'USER_INITIATED',
  });
  expect(await client.send(new ListTagsCommand({ Resource: changed.EventSourceMappingArn! }))).toMatchObject({
    Tags: { team: 'x' },
  });
});

it('retries a batch whose answer is malformed', async () => {
  await map({ FunctionResponseTypes: ['ReportBatchItemFailures'] });
  compute.functions.set('worker', () =>
    compute.invocations.length === 1 ? { batchItemFailures: [{ itemIdentifier: 'of no message' }] } : {},
  );
  await send('again');
  await until(() => compute.invocations.length === 1);
  await test.clock.advance(31_000);
  expect(bodies()).toEqual(['again', 'again']);
  expect(await depth()).toEqual({ visible: 0, inFlight: 0 });
});

it('tries again within the visibility timeout where the function is throttled', async () => {
  await client.send(new PutFunctionConcurrencyCommand({ FunctionName: 'worker', ReservedConcurrentExecutions: 0 }));
  await map();
  await send('patient');
  await until(async () => (await depth()).inFlight === 1);
  await test.clock.advance(5_000);
  expect(compute.invocations).toEqual([]);
  await client.send(new PutFunctionConcurrencyCommand({ FunctionName: 'worker', ReservedConcurrentExecutions: 1 }));
  await test.clock.advance(15_000);
  expect(bodies()).toEqual(['patient']);
  expect(events()[0]!.Records[0]!.attributes['ApproximateReceiveCount']).toBe('1');
  expect(await depth()).toEqual({ visible: 0, inFlight: 0 });
});

it('makes no event longer than an invocation takes', async () => {
  for (let n = 0; n < 8; n++) await send(`${n}${'x'.repeat(1_000_000)}`);
  await map({ MaximumBatchingWindowInSeconds: 5 });
  await test.clock.advance(30_000);
  expect(new Set(bodies().map((body) => body[0])).size).toBe(8);
  expect(compute.invocations.length).toBeLessThanOrEqual(3);
  for (const event of events()) expect(JSON.stringify(event).length).toBeLessThanOrEqual(6_291_456);
  expect(await depth()).toEqual({ visible: 0, inFlight: 0 });
});

it('waits for a queue and for a function that are gone', async () => {
  const UUID = await map();
  await sqs.send(new DeleteQueueCommand({ QueueUrl: url }));
  await test.clock.advance(120_000);
  expect(await client.send(new GetEventSourceMappingCommand({ UUID }))).toMatchObject({ State: 'Enabled' });
  await sqs.send(new CreateQueueCommand({ QueueName: 'work' }));
  await client.send(new DeleteFunctionCommand({ FunctionName: 'worker' }));
  await send('kept');
  await test.clock.advance(120_000);
  // As recorded on AWS: test_event_source_mapping_lifecycle_delete_function.
  expect(await client.send(new GetEventSourceMappingCommand({ UUID }))).toMatchObject({ State: 'Enabled' });
  expect(compute.invocations).toEqual([]);
  await createWorker();
  await test.clock.advance(120_000);
  expect(bodies()).toEqual(['kept']);
  await client.send(new DeleteFunctionCommand({ FunctionName: 'worker' }));
  await client.send(new DeleteEventSourceMappingCommand({ UUID }));
  await becomes(UUID, undefined);
});

it('ends a loop through the queue, whose message goes the way of those that fail', async () => {
  const letters = await sqs.send(new CreateQueueCommand({ QueueName: 'letters' }));
  await sqs.send(
    new SetQueueAttributesCommand({
      QueueUrl: url,
      Attributes: {
        RedrivePolicy: JSON.stringify({
          deadLetterTargetArn: `arn:aws:sqs:us-east-1:${account}:letters`,
          maxReceiveCount: 1,
        }),
      },
    }),
  );
  await map();
  compute.functions.set('worker', async (_event, { invocation }) => {
    const AWSTraceHeader = { DataType: 'String', StringValue: invocation.traceHeader };
    await sqs.send(
      new SendMessageCommand({ QueueUrl: url, MessageBody: 'on', MessageSystemAttributes: { AWSTraceHeader } }),
    );
  });
  await send('first');
  await until(async () => compute.invocations.length === 16 && (await depth()).inFlight === 1);
  await test.clock.advance(60_000);
  expect(compute.invocations).toHaveLength(16);
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: letters.QueueUrl! }));
  expect(Messages).toMatchObject([{ Body: 'on' }]);
});

it('is listed by pages, by queue and by function', async () => {
  const made: string[] = [];
  for (let n = 0; n < 3; n++) {
    await sqs.send(new CreateQueueCommand({ QueueName: `work-${n}` }));
    made.push(await map({ EventSourceArn: `${arn}-${n}` }));
  }
  const seen: string[] = [];
  let Marker: string | undefined;
  do {
    const page = await client.send(new ListEventSourceMappingsCommand({ FunctionName: 'worker', MaxItems: 2, Marker }));
    seen.push(...page.EventSourceMappings!.map(({ UUID }) => UUID!));
    Marker = page.NextMarker;
  } while (Marker !== undefined);
  expect(seen.sort()).toEqual(made.sort());
  const one = await client.send(new ListEventSourceMappingsCommand({ EventSourceArn: `${arn}-1` }));
  expect(one.EventSourceMappings).toHaveLength(1);
});

it('lets virtual time pass while it waits', async () => {
  await map();
  const before = test.clock.now();
  const { steps, reached } = await test.clock.advance(3_600_000);
  expect(reached).toBe(true);
  expect(test.clock.now() - before).toBeGreaterThanOrEqual(3_600_000);
  expect(steps).toBeLessThan(1_000);
});

it.each([
  [{ BatchSize: 11 }, 'Maximum batch window in seconds must be greater than 0'],
  [{ EventSourceArn: `${arn}-missing` }, 'AWS.SimpleQueueService.NonExistentQueue'],
  [{ FunctionName: 'nobody' }, 'Function does not exist'],
  [{ FilterCriteria: { Filters: [{ Pattern: '{"body":"x"}' }] } }, 'Invalid filter pattern definition.'],
  [{ EventSourceArn: 'arn:aws:iam::000000000000:role/x' }, 'Unrecognized event source.'],
  [
    { DestinationConfig: { OnFailure: { Destination: arn } } },
    'Unsupported DestinationConfig parameter for given event source mapping type.',
  ],
  [{ StartingPosition: 'LATEST' as const }, 'Unsupported StartingPosition parameter'],
  [{ LoggingConfig: { SystemLogLevel: 'INFO' as const } }, 'Unsupported LoggingConfig parameter'],
  [{ MetricsConfig: { Metrics: ['KafkaMetrics' as const] } }, 'Unsupported MetricsConfig parameter'],
  [{ ProvisionedPollerConfig: { MinimumPollers: 1 } }, 'must be at least 2'],
  [{ ProvisionedPollerConfig: { MinimumPollers: 9, MaximumPollers: 8 } }, 'must be less than or equal to'],
  [
    { ProvisionedPollerConfig: { MinimumPollers: 2 }, ScalingConfig: { MaximumConcurrency: 2 } },
    'cannot be used together',
  ],
])('refuses bad settings %#', async (more, words) => {
  await expect(
    client.send(new CreateEventSourceMappingCommand({ EventSourceArn: arn, FunctionName: 'worker', ...more })),
  ).rejects.toMatchObject({ name: 'InvalidParameterValueException', message: expect.stringContaining(words) });
});

it('refuses a second mapping of the same pair, a queue that hides too briefly, and streams', async () => {
  const UUID = await map();
  await expect(
    client.send(new CreateEventSourceMappingCommand({ EventSourceArn: arn, FunctionName: 'worker' })),
  ).rejects.toMatchObject({ name: 'ResourceConflictException', message: expect.stringContaining(UUID) });
  await sqs.send(new CreateQueueCommand({ QueueName: 'brief', Attributes: { VisibilityTimeout: '4' } }));
  await expect(
    client.send(
      new CreateEventSourceMappingCommand({ EventSourceArn: arn.replace('work', 'brief'), FunctionName: 'worker' }),
    ),
  ).rejects.toMatchObject({
    message: 'Queue visibility timeout: 4 seconds is less than Function timeout: 5 seconds',
  });
  const stream = 'arn:aws:kinesis:us-east-1:000000000000:stream/s';
  await expect(
    client.send(
      new CreateEventSourceMappingCommand({
        EventSourceArn: stream,
        FunctionName: 'worker',
        StartingPosition: 'LATEST',
      }),
    ),
  ).rejects.toMatchObject({ $metadata: { httpStatusCode: 501 } });
});

it('goes on after a restart, from what the store has', async () => {
  const durable = await startTestCloud({ services: ['lambda', 'sqs', 'iam', 'sts'], engine: 'lmdb' });
  FakeCompute.into(durable.cloud.platform);
  FakeLogs.into(durable.cloud.platform);
  const lambda = new LambdaClient(durable.clientConfig);
  const queues = new SQSClient(durable.clientConfig);
  await queues.send(new CreateQueueCommand({ QueueName: 'work' }));
  await lambda.send(
    new CreateFunctionCommand({
      FunctionName: 'worker',
      Runtime: 'nodejs20.x',
      Handler: 'index.handler',
      Role: `arn:aws:iam::${account}:role/worker`,
      Code: { ZipFile: zip },
    }),
  );
  const { UUID } = await lambda.send(
    new CreateEventSourceMappingCommand({ EventSourceArn: arn, FunctionName: 'worker' }),
  );
  expect(UUID).toBeDefined();
  const again = await durable.restart();
  const fake = FakeCompute.into(again.cloud.platform);
  FakeLogs.into(again.cloud.platform);
  const { QueueUrl } = await new SQSClient(again.clientConfig).send(new CreateQueueCommand({ QueueName: 'work' }));
  await new SQSClient(again.clientConfig).send(new SendMessageCommand({ QueueUrl, MessageBody: 'after' }));
  await until(() => fake.invocations.length === 1);
  await again.close();
});
