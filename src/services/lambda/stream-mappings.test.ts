import {
  CreateEventSourceMappingCommand,
  DeleteEventSourceMappingCommand,
  GetEventSourceMappingCommand,
  type LambdaClient,
  ListEventSourceMappingsCommand,
  UpdateEventSourceMappingCommand,
} from '@aws-sdk/client-lambda';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TestCloud } from '../../../test/support/cloud.ts';
import { streamReaderContract } from '../../platform/streams.suite.ts';
import { AwsError } from '../../wire/errors.ts';
import { createEngine } from './engine.ts';
import { FakeCompute, FakeLogs } from './fake-compute.test-support.ts';
import { FakeStreams } from './fake-streams.test-support.ts';
import { decode, keys, type MappingRecord } from './state.ts';
import { StreamPoller } from './stream-poller.ts';
import {
  account,
  dataOf,
  functionArn,
  openStreamWorld,
  role,
  type StreamWorld,
  streamArn,
  tableStreamArn,
  until,
} from './stream-world.test-support.ts';

streamReaderContract('the fake of these tests', async () => {
  const fake = new FakeStreams(() => 0);
  fake.create(streamArn, 'one');
  return {
    reader: fake,
    streamArn: streamArn,
    shardId: 'one',
    put: (key) => void fake.put(streamArn, 'one', key, {}),
    replaceShard: () => {
      fake.replace(streamArn, ['one'], ['two', 'three']);
      return ['two', 'three'];
    },
  };
});

let world: StreamWorld;
let test: TestCloud;
let client: LambdaClient;
let compute: FakeCompute;
let kinesis: FakeStreams;
let tables: FakeStreams;

beforeEach(async () => {
  world = await openStreamWorld();
  ({ test, client, compute, kinesis, tables } = world);
});
afterEach(() => test.close());

const map: StreamWorld['map'] = (more) => world.map(more);
const becomes: StreamWorld['becomes'] = (...what) => world.becomes(...what);
const events: StreamWorld['events'] = () => world.events();
const batches: StreamWorld['batches'] = () => world.batches();
const put: StreamWorld['put'] = (...what) => world.put(...what);

describe('a mapping of a stream', () => {
  it('hands on records of Kinesis in the recorded form, and tells of its state', async () => {
    const UUID = await map();
    const sequenceNumber = put('hello');
    await until(() => compute.invocations.length === 1);
    expect(events()[0]).toEqual({
      Records: [
        {
          kinesis: {
            kinesisSchemaVersion: '1.0',
            partitionKey: 'k',
            sequenceNumber,
            data: Buffer.from('"hello"').toString('base64'),
            approximateArrivalTimestamp: expect.any(Number),
          },
          eventSource: 'aws:kinesis',
          eventVersion: '1.0',
          eventID: `shard-0:${sequenceNumber}`,
          eventName: 'aws:kinesis:record',
          invokeIdentityArn: role,
          awsRegion: 'us-east-1',
          eventSourceARN: streamArn,
        },
      ],
    });
    expect(kinesis.reads[0]!.caller.principal).toMatchObject({ kind: 'assumed-role', roleArn: role });
    await until(async () => {
      const { LastProcessingResult } = await client.send(new GetEventSourceMappingCommand({ UUID }));
      return LastProcessingResult === 'OK';
    });
    const { $metadata: _, LastModified: __, ...shown } = await client.send(new GetEventSourceMappingCommand({ UUID }));
    expect(shown).toEqual({
      UUID,
      BatchSize: 100,
      BisectBatchOnFunctionError: false,
      DestinationConfig: { OnFailure: {} },
      EventSourceArn: streamArn,
      EventSourceMappingArn: `arn:aws:lambda:us-east-1:${account}:event-source-mapping:${UUID}`,
      FunctionArn: functionArn,
      FunctionResponseTypes: [],
      LastProcessingResult: 'OK',
      MaximumBatchingWindowInSeconds: 0,
      MaximumRecordAgeInSeconds: -1,
      MaximumRetryAttempts: -1,
      ParallelizationFactor: 1,
      StartingPosition: 'TRIM_HORIZON',
      State: 'Enabled',
      StateTransitionReason: 'User action',
      TumblingWindowInSeconds: 0,
    });
  });

  it('hands on records of DynamoDB, filtered', async () => {
    await map({
      EventSourceArn: tableStreamArn,
      FilterCriteria: { Filters: [{ Pattern: '{"dynamodb":{"Keys":{"id":{"S":["wanted"]}}}}' }] },
    });
    tables.put(tableStreamArn, 'shard-0', 'noise', 1);
    const wanted = tables.put(tableStreamArn, 'shard-0', 'wanted', 2);
    await until(() => compute.invocations.length === 1);
    expect(events()[0]).toMatchObject({
      Records: [{ eventName: 'INSERT', eventSourceARN: tableStreamArn, dynamodb: { SequenceNumber: wanted } }],
    });
    expect(events()[0]!.Records).toHaveLength(1);
  });

  it('begins with the latest, or with a moment', async () => {
    put('before');
    const latest = await map({ StartingPosition: 'LATEST' });
    put('after');
    await until(() => compute.invocations.length === 1);
    expect(batches()).toEqual([['after']]);
    await client.send(new DeleteEventSourceMappingCommand({ UUID: latest }));
    await becomes(latest, undefined);
    kinesis.put(streamArn, 'shard-0', 'k', 'early', test.clock.now() + 1_000);
    kinesis.put(streamArn, 'shard-0', 'k', 'late', test.clock.now() + 60_000);
    const from = new Date(test.clock.now() + 30_000);
    await map({ StartingPosition: 'AT_TIMESTAMP', StartingPositionTimestamp: from });
    await until(() => compute.invocations.length === 2);
    expect(batches()[1]).toEqual(['late']);
  });

  it('reads parents before their children', async () => {
    put('parent');
    kinesis.replace(streamArn, ['shard-0'], ['shard-1', 'shard-2']);
    put('left', 'k', 'shard-1');
    put('right', 'k', 'shard-2');
    let failures = 2;
    compute.functions.set('worker', (event) => {
      if (dataOf(event)[0] === 'parent' && failures-- > 0) throw new Error('intended');
    });
    await map();
    await test.clock.advance(5_000);
    await until(() => compute.invocations.length === 5);
    expect(batches().slice(0, 3)).toEqual([['parent'], ['parent'], ['parent']]);
    expect(new Set(batches().slice(3).flat())).toEqual(new Set(['left', 'right']));
    // A merge, with both parents read.
    kinesis.replace(streamArn, ['shard-1', 'shard-2'], ['shard-3']);
    put('merged', 'k', 'shard-3');
    await test.clock.advance(30_000);
    expect(batches().at(-1)).toEqual(['merged']);
  });

  it('collects over its window, up to its size', async () => {
    await map({ BatchSize: 3, MaximumBatchingWindowInSeconds: 10 });
    put(1);
    put(2);
    await test.clock.advance(9_000);
    expect(batches()).toEqual([]);
    put(3);
    await until(() => compute.invocations.length === 1);
    put(4);
    await test.clock.advance(11_000);
    expect(batches()).toEqual([[1, 2, 3], [4]]);
  });

  it('finds records although no hint came', async () => {
    kinesis.silent = true;
    await map();
    put('unheard');
    await test.clock.advance(11_000);
    expect(batches()).toEqual([['unheard']]);
  });

  it('goes on reading after the stream failed', async () => {
    await map();
    kinesis.failures.push(new AwsError('ProvisionedThroughputExceededException', 'too fast'));
    put('later');
    await test.clock.advance(20_000);
    expect(batches()).toEqual([['later']]);
  });

  it('lets virtual time pass while it waits', async () => {
    await map();
    const { steps, reached } = await test.clock.advance(3_600_000);
    expect(reached).toBe(true);
    expect(steps).toBeLessThan(1_000);
  });

  it('is disabled and enabled where it stands, changed, listed and deleted', async () => {
    const UUID = await map();
    put(1);
    await until(() => compute.invocations.length === 1);
    await client.send(new UpdateEventSourceMappingCommand({ UUID, Enabled: false }));
    await becomes(UUID, 'Disabled');
    put(2);
    await test.clock.advance(60_000);
    expect(compute.invocations).toHaveLength(1);
    await client.send(
      new UpdateEventSourceMappingCommand({
        UUID,
        Enabled: true,
        BatchSize: 1,
        MaximumRetryAttempts: 4,
        BisectBatchOnFunctionError: true,
        ParallelizationFactor: 2,
        MaximumRecordAgeInSeconds: 600,
      }),
    );
    await becomes(UUID, 'Enabled');
    await until(() => compute.invocations.length === 2);
    // While it is at work.
    await client.send(new UpdateEventSourceMappingCommand({ UUID, BatchSize: 2 }));
    await becomes(UUID, 'Enabled');
    put(3);
    await until(() => compute.invocations.length === 3);
    expect(batches()).toEqual([[1], [2], [3]]);
    const { EventSourceMappings } = await client.send(
      new ListEventSourceMappingsCommand({ EventSourceArn: streamArn }),
    );
    expect(EventSourceMappings).toMatchObject([
      { UUID, BatchSize: 2, MaximumRetryAttempts: 4, ParallelizationFactor: 2, LastProcessingResult: 'OK' },
    ]);
    await client.send(new DeleteEventSourceMappingCommand({ UUID }));
    await becomes(UUID, undefined);
    // A mapping of the same pair begins anew.
    await map();
    await until(() => compute.invocations.length === 4);
    expect(batches()[3]).toEqual([1, 2, 3]);
  });
});

describe('requests for a mapping of a stream', () => {
  it.each([
    [{ StartingPosition: undefined }, "Value null at 'startingPosition' failed to satisfy constraint"],
    [{ EventSourceArn: `${streamArn}-missing` }, `Stream not found: ${streamArn}-missing`],
    [
      {
        EventSourceArn: tableStreamArn,
        StartingPosition: 'AT_TIMESTAMP' as const,
        StartingPositionTimestamp: new Date(0),
      },
      `Unsupported starting position for arn type: ${tableStreamArn}`,
    ],
    [{ EventSourceArn: tableStreamArn.split('/stream')[0] }, 'Unrecognized event source.'],
    [
      { ScalingConfig: { MaximumConcurrency: 5 } },
      'Unsupported ScalingConfig parameter for given event source mapping type.',
    ],
    [{ Topics: ['topic'] }, 'Unsupported Topics parameter for given event source mapping type.'],
    [{ MaximumRecordAgeInSeconds: 30 }, 'MaximumRecordAgeInSeconds must be -1, or at least 60.'],
    [{ FilterCriteria: { Filters: [{ Pattern: '{"data":["plain"]}' }] } }, 'Invalid filter pattern definition.'],
    [{ FunctionName: 'nobody' }, 'Function does not exist'],
  ])('are refused %#', async (more, words) => {
    const input = { EventSourceArn: streamArn, FunctionName: 'worker', StartingPosition: 'LATEST' as const, ...more };
    await expect(client.send(new CreateEventSourceMappingCommand(input))).rejects.toMatchObject({
      name: 'InvalidParameterValueException',
      message: expect.stringContaining(words),
    });
  });

  it('name the mapping of the same pair that is there', async () => {
    const UUID = await map();
    await expect(map()).rejects.toMatchObject({
      name: 'ResourceConflictException',
      message: `The event source arn (" ${streamArn} ") and function (" worker ") provided mapping already exists. Please update or delete the existing mapping with UUID ${UUID}`,
    });
  });

  it.each([
    { DestinationConfig: { OnFailure: { Destination: 'arn:aws:s3:::bucket' } } },
    { TumblingWindowInSeconds: 30, ParallelizationFactor: 2 },
    { EventSourceArn: `arn:aws:kafka:us-east-1:${account}:cluster/c/1` },
    { EventSourceArn: undefined, SelfManagedEventSource: { Endpoints: { KAFKA_BOOTSTRAP_SERVERS: ['h:1'] } } },
  ])('for what is not built answer 501 %#', async (more) => {
    await expect(map(more)).rejects.toMatchObject({ $metadata: { httpStatusCode: 501 } });
  });
});

it('is made, changed and deleted by a template', async () => {
  const { bus, clock, resourceTypes } = test.cloud.platform;
  const type = resourceTypes.get('AWS::Lambda::EventSourceMapping')!;
  const context = {
    caller: {
      account,
      region: 'us-east-1',
      principal: { kind: 'root' as const, arn: `arn:aws:iam::${account}:root`, account, id: account },
    },
    bus,
    stackName: 'stack',
    stackId: `arn:aws:cloudformation:us-east-1:${account}:stack/stack/1`,
    logicalId: 'M',
    clientToken: 'token',
    generatedName: () => 'none',
    sleep: (delayMs: number) => clock.sleep(delayMs),
  };
  const whole = {
    EventSourceArn: streamArn,
    FunctionName: 'worker',
    StartingPosition: 'AT_TIMESTAMP',
    StartingPositionTimestamp: '1741010802',
    BatchSize: '7',
    MaximumBatchingWindowInSeconds: '1',
    BisectBatchOnFunctionError: 'true',
    MaximumRetryAttempts: '5',
    MaximumRecordAgeInSeconds: '61',
    ParallelizationFactor: '2',
    FunctionResponseTypes: ['ReportBatchItemFailures'],
    FilterCriteria: { Filters: [{ Pattern: '{"data":{"a":[1]}}' }] },
    DestinationConfig: { OnFailure: { Destination: `arn:aws:sqs:us-east-1:${account}:failed` } },
    Tags: [{ Key: 'team', Value: 'x' }],
  };
  const advancing = async <T>(work: Promise<T>): Promise<T> => {
    let over = false;
    const settled = work.finally(() => {
      over = true;
    });
    while (!over) await test.clock.advance(100);
    return settled;
  };
  const made = await advancing(type.create(context, whole));
  const shown = () => client.send(new GetEventSourceMappingCommand({ UUID: made.physicalId }));
  expect(await shown()).toMatchObject({
    StartingPosition: 'AT_TIMESTAMP',
    StartingPositionTimestamp: new Date(1_741_010_802_000),
    BatchSize: 7,
    MaximumBatchingWindowInSeconds: 1,
    BisectBatchOnFunctionError: true,
    MaximumRetryAttempts: 5,
    MaximumRecordAgeInSeconds: 61,
    ParallelizationFactor: 2,
    FunctionResponseTypes: ['ReportBatchItemFailures'],
    FilterCriteria: { Filters: [{ Pattern: '{"data":{"a":[1]}}' }] },
    DestinationConfig: { OnFailure: { Destination: `arn:aws:sqs:us-east-1:${account}:failed` } },
  });
  const { EventSourceArn, FunctionName, StartingPosition, StartingPositionTimestamp } = whole;
  const bare = {
    EventSourceArn,
    FunctionName,
    StartingPosition,
    StartingPositionTimestamp,
    TumblingWindowInSeconds: '9',
  };
  await advancing(type.update!(context, made.physicalId, bare, whole));
  const changed = await shown();
  expect(changed).toMatchObject({
    BatchSize: 100,
    MaximumBatchingWindowInSeconds: 0,
    BisectBatchOnFunctionError: false,
    MaximumRetryAttempts: -1,
    MaximumRecordAgeInSeconds: -1,
    ParallelizationFactor: 1,
    TumblingWindowInSeconds: 9,
    FunctionResponseTypes: [],
    DestinationConfig: { OnFailure: {} },
  });
  expect(changed.FilterCriteria).toBeUndefined();
  await advancing(type.delete(context, made.physicalId, bare));
  await expect(shown()).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
});

it('shares the shards with other processes over one store, each read by one only', async () => {
  const ids = ['a', 'b', 'c', 'd'];
  kinesis.create(streamArn, ...ids);
  const { platform } = test.cloud;
  const store = new Proxy(platform.store, {
    get(target, name) {
      if (name === 'shared') return true;
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  const { UUID } = await client.send(
    new CreateEventSourceMappingCommand({
      EventSourceArn: streamArn,
      FunctionName: 'worker',
      StartingPosition: 'TRIM_HORIZON',
      Enabled: false,
    }),
  );
  const stored = await store.get(keys.mapping({ account, region: 'us-east-1' }, UUID!));
  const mapping = decode<MappingRecord>(stored!.value);
  const pollers = [1, 2].map(() => {
    const { directory, invoker } = createEngine({ ...platform, store });
    return new StreamPoller({ ...platform, store }, directory, invoker, mapping);
  });
  for (const poller of pollers) poller.start();
  for (let n = 0; n < 25; n++) for (const id of ids) put(`${id}:${n}`, 'k', id);
  await test.clock.advance(30_000);
  expect(batches().flat()).toHaveLength(100);
  // One leaves; the other goes on with what it had.
  await pollers[0]!.stop();
  for (const id of ids) put(`${id}:later`, 'k', id);
  await test.clock.advance(30_000);
  expect(batches().flat()).toHaveLength(104);
  for (const id of ids)
    expect(
      batches()
        .flat()
        .filter((one) => String(one).startsWith(`${id}:`))
        .at(-1),
    ).toBe(`${id}:later`);
  await pollers[1]!.stop();
});

it('goes on after a restart, from where it stood', async () => {
  const durable = await openStreamWorld('lmdb');
  const UUID = await durable.map();
  durable.put(1);
  await until(async () => {
    const shown = await durable.client.send(new GetEventSourceMappingCommand({ UUID }));
    return shown.LastProcessingResult === 'OK';
  });
  const again = await durable.test.restart();
  const fake = FakeCompute.into(again.cloud.platform);
  FakeLogs.into(again.cloud.platform);
  again.cloud.platform.streams.register('kinesis', durable.kinesis);
  durable.put(2);
  await until(() => fake.invocations.length === 1);
  expect(dataOf(fake.invocations[0]!.event)).toEqual([2]);
  await again.close();
});
