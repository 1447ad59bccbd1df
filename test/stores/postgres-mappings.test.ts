/** Two clouds, as on two machines, over one database: they share the shards of a stream's mapping, and go on for each other. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateEventSourceMappingCommand,
  CreateFunctionCommand,
  GetEventSourceMappingCommand,
  LambdaClient,
  waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FakeCompute, FakeLogs } from '../../src/services/lambda/fake-compute.test-support.ts';
import { FakeStreams } from '../../src/services/lambda/fake-streams.test-support.ts';
import { zipFiles } from '../../src/services/lambda/rules/package.ts';
import { dataOf, role, streamArn } from '../../src/services/lambda/stream-world.test-support.ts';
import { startTestCloud, type TestCloud } from '../support/cloud.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';

let server: PostgresServer;
let folders: string[];
let clouds: TestCloud[];
let computes: FakeCompute[];

beforeAll(async () => {
  server = await startPostgres();
  folders = await Promise.all([0, 1].map(() => mkdtemp(join(tmpdir(), 'unkai-postgres-'))));
  clouds = [];
  for (const directory of folders)
    clouds.push(
      await startTestCloud({
        store: { engine: 'postgres', url: server.url, directory },
        services: ['lambda', 'sqs', 'iam', 'sts'],
      }),
    );
}, 60_000);
afterAll(async () => {
  await Promise.all(clouds.map((cloud) => cloud.close()));
  await server.stop();
  await Promise.all(folders.map((directory) => rm(directory, { recursive: true, force: true })));
});

it('reads each record of a stream once, whichever cloud reads it', async () => {
  const streams = new FakeStreams(() => clouds[0]!.cloud.clock.now());
  const shards = ['a', 'b', 'c', 'd'];
  streams.create(streamArn, ...shards);
  computes = clouds.map(({ cloud }) => {
    FakeLogs.into(cloud.platform);
    cloud.platform.streams.register('kinesis', streams);
    return FakeCompute.into(cloud.platform);
  });
  const client = new LambdaClient(clouds[0]!.clientConfig);
  await client.send(
    new CreateFunctionCommand({
      FunctionName: 'worker',
      Runtime: 'nodejs20.x',
      Handler: 'index.handler',
      Role: role,
      Code: { ZipFile: zipFiles({ 'index.js': '' }) },
    }),
  );
  await waitUntilFunctionActiveV2({ client, maxWaitTime: 30 }, { FunctionName: 'worker' });
  const { UUID } = await client.send(
    new CreateEventSourceMappingCommand({
      EventSourceArn: streamArn,
      FunctionName: 'worker',
      StartingPosition: 'TRIM_HORIZON',
      BatchSize: 5,
    }),
  );
  await expect
    .poll(async () => (await client.send(new GetEventSourceMappingCommand({ UUID: UUID! }))).State, { timeout: 20_000 })
    .toBe('Enabled');
  const seen = (): unknown[] =>
    computes.flatMap(({ invocations }) => invocations.flatMap(({ event }) => dataOf(event)));
  const expected: string[] = [];
  const put = (round: string): void => {
    for (let n = 0; n < 25; n++)
      for (const shard of shards) {
        streams.put(streamArn, shard, 'k', `${shard}:${round}:${n}`);
        expected.push(`${shard}:${round}:${n}`);
      }
  };
  put('first');
  await expect.poll(() => seen().length, { timeout: 20_000 }).toBe(expected.length);
  // The one that has the shards leaves; the other goes on from where it stood.
  const leaving = computes.findIndex(({ invocations }) => invocations.length > 0);
  await clouds[leaving]!.close();
  clouds = clouds.filter((_, index) => index !== leaving);
  put('second');
  await expect.poll(() => seen().length, { timeout: 40_000 }).toBe(expected.length);
  expect(seen().sort()).toEqual(expected.sort());
  client.destroy();
}, 120_000);
