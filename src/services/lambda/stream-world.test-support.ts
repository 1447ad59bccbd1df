import {
  CreateEventSourceMappingCommand,
  type CreateEventSourceMappingCommandInput,
  CreateFunctionCommand,
  GetEventSourceMappingCommand,
  LambdaClient,
  waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { FakeCompute, FakeLogs } from './fake-compute.test-support.ts';
import { FakeStreams } from './fake-streams.test-support.ts';
import { zipFiles } from './rules/package.ts';

export const account = '000000000000';
export const role = `arn:aws:iam::${account}:role/worker`;
export const streamArn = `arn:aws:kinesis:us-east-1:${account}:stream/s`;
export const tableStreamArn = `arn:aws:dynamodb:us-east-1:${account}:table/t/stream/2026-01-01T00:00:00.000`;
export const functionArn = `arn:aws:lambda:us-east-1:${account}:function:worker`;

/** The event of a batch of Kinesis, with or without windows. */
export interface StreamEvent {
  readonly Records: readonly { readonly kinesis: { readonly data: string; readonly sequenceNumber: string } }[];
  readonly state?: Record<string, number>;
  readonly isFinalInvokeForWindow?: boolean;
  readonly isWindowTerminatedEarly?: boolean;
  readonly window?: { readonly start: string; readonly end: string };
}

type MappingInput = Partial<CreateEventSourceMappingCommandInput>;

/** A cloud with a function `worker`, a stream of Kinesis and one of a table, each of one shard, `shard-0`. */
export interface StreamWorld {
  readonly test: TestCloud;
  readonly client: LambdaClient;
  readonly compute: FakeCompute;
  readonly kinesis: FakeStreams;
  readonly tables: FakeStreams;
  /** Maps the stream of Kinesis to the function; resolves when that is enabled. */
  map(more?: MappingInput): Promise<string>;
  becomes(uuid: string, state: string | undefined): Promise<void>;
  events(): StreamEvent[];
  /** What was put, by batch. */
  batches(): unknown[][];
  put(data: unknown, key?: string, shardId?: string): string;
}

export async function openStreamWorld(engine: 'memory' | 'lmdb' = 'memory'): Promise<StreamWorld> {
  const services = ['lambda', 'sqs', 'iam', 'sts'] as const;
  const test = await startTestCloud({
    services: [...services],
    engine,
    ...(engine === 'memory' ? { clock: 'virtual' } : {}),
  });
  const { platform } = test.cloud;
  const compute = FakeCompute.into(platform);
  FakeLogs.into(platform);
  const client = new LambdaClient(test.clientConfig);
  await client.send(
    new CreateFunctionCommand({
      FunctionName: 'worker',
      Runtime: 'nodejs20.x',
      Handler: 'index.handler',
      Role: role,
      Code: { ZipFile: zipFiles({ 'index.js': '' }) },
      Timeout: 5,
    }),
  );
  const waiting = { client, maxWaitTime: 10, minDelay: 0.01, maxDelay: 0.05 };
  await waitUntilFunctionActiveV2(waiting, { FunctionName: 'worker' });
  const kinesis = FakeStreams.into(platform, 'kinesis');
  const tables = FakeStreams.into(platform, 'dynamodb');
  kinesis.create(streamArn, 'shard-0');
  tables.create(tableStreamArn, 'shard-0');

  const becomes = (UUID: string, state: string | undefined): Promise<void> =>
    until(async () => {
      const shown = await client.send(new GetEventSourceMappingCommand({ UUID })).catch(() => undefined);
      return shown?.State === state;
    });
  const events = (): StreamEvent[] => compute.invocations.map(({ event }) => event as StreamEvent);
  return {
    test,
    client,
    compute,
    kinesis,
    tables,
    becomes,
    events,
    batches: () => events().map(dataOf),
    put: (data, key = 'k', shardId = 'shard-0') => kinesis.put(streamArn, shardId, key, data),
    async map(more = {}) {
      const { UUID } = await client.send(
        new CreateEventSourceMappingCommand({
          EventSourceArn: streamArn,
          FunctionName: 'worker',
          StartingPosition: 'TRIM_HORIZON',
          ...more,
        }),
      );
      await becomes(UUID!, 'Enabled');
      return UUID!;
    },
  };
}

export function dataOf(event: unknown): unknown[] {
  return (event as StreamEvent).Records.map(({ kinesis: { data } }) =>
    JSON.parse(Buffer.from(data, 'base64').toString()),
  );
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('it did not come about');
}
