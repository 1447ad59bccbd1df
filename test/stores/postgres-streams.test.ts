/** Two clouds, as on two machines, over one database: streams, backups and point-in-time recovery of tables that both write to. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateBackupCommand,
  DeleteItemCommand,
  DescribeBackupCommand,
  DynamoDBClient,
  PutItemCommand,
  paginateScan,
  RestoreTableFromBackupCommand,
  RestoreTableToPointInTimeCommand,
  TransactWriteItemsCommand,
  UpdateContinuousBackupsCommand,
  UpdateTableCommand,
} from '@aws-sdk/client-dynamodb';
import { DynamoDBStreamsClient } from '@aws-sdk/client-dynamodb-streams';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { serviceCaller } from '../../src/platform/context.ts';
import { streamReaderContract } from '../../src/platform/streams.suite.ts';
import { createTable, untilActive } from '../../src/services/dynamodb/test-support.ts';
import { recordsOf } from '../../src/services/dynamodbstreams/test-support.ts';
import { startTestCloud, type TestCloud } from '../support/cloud.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';

let server: PostgresServer;
let folders: string[];
let clouds: TestCloud[];
let clients: DynamoDBClient[];

beforeAll(async () => {
  server = await startPostgres();
  folders = await Promise.all([0, 1].map(() => mkdtemp(join(tmpdir(), 'unkai-postgres-'))));
  clouds = [];
  for (const directory of folders)
    clouds.push(
      await startTestCloud({
        store: { engine: 'postgres', url: server.url, directory },
        services: ['dynamodb', 'dynamodbstreams'],
      }),
    );
  clients = clouds.map(({ clientConfig }) => new DynamoDBClient({ ...clientConfig, maxAttempts: 10 }));
}, 60_000);
afterAll(async () => {
  for (const client of clients ?? []) client.destroy();
  for (const cloud of clouds ?? []) await cloud.close();
  await server?.stop();
  await Promise.all((folders ?? []).map((folder) => rm(folder, { recursive: true, force: true })));
});

async function contents(TableName: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const { Items = [] } of paginateScan({ client: clients[1]! }, { TableName, ConsistentRead: true }))
    for (const item of Items) found[item['pk']!.S!] = item['v']!.S!;
  return found;
}

const on = { PointInTimeRecoveryEnabled: true };

it('records every change of both, in an order that leads to what is there', async () => {
  const TableName = 'both';
  const { LatestStreamArn: arn } = await createTable(clients[0]!, {
    TableName,
    StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_AND_OLD_IMAGES' },
  });
  await untilActive(clients[1]!, TableName);
  await clients[0]!.send(new UpdateContinuousBackupsCommand({ TableName, PointInTimeRecoverySpecification: on }));
  const key = (n: number) => ({ pk: { S: `k${n % 7}` } });
  // Some lose against others; then nothing is written.
  const conflicts = ['TransactionCanceledException', 'TransactionConflictException'];
  const write = async (n: number): Promise<void> => {
    await attempt(n).catch((error: Error) => {
      if (!conflicts.includes(error.name)) throw error;
    });
  };
  const attempt = (n: number): Promise<unknown> => {
    const client = clients[n % 2]!;
    if (n % 5 === 0) return client.send(new DeleteItemCommand({ TableName, Key: key(n) }));
    const puts = [0, 3].map((step) => ({ Put: { TableName, Item: { ...key(n + step), v: { S: `t${n}` } } } }));
    if (n % 5 === 1) return client.send(new TransactWriteItemsCommand({ TransactItems: puts }));
    return client.send(new PutItemCommand({ TableName, Item: { ...key(n), v: { S: `v${n}` } } }));
  };
  const backups: Promise<{ readonly arn: string; readonly at: number }>[] = [];
  for (let n = 0; n < 200; n += 10) {
    if (n === 100)
      backups.push(
        clients[1]!.send(new CreateBackupCommand({ TableName, BackupName: 'midway' })).then(({ BackupDetails }) => ({
          arn: BackupDetails!.BackupArn!,
          at: BackupDetails!.BackupCreationDateTime!.getTime(),
        })),
      );
    await Promise.all(Array.from({ length: 10 }, (_, step) => write(n + step)));
  }
  const streams = new DynamoDBStreamsClient(clouds[1]!.clientConfig);
  const records = await recordsOf(streams, arn!);
  streams.destroy();
  const replayed: Record<string, string> = {};
  for (const { eventName, dynamodb } of records) {
    const name = dynamodb!.Keys!['pk']!.S!;
    expect(dynamodb!.OldImage?.['v']?.S, `${eventName} ${name}`).toBe(replayed[name]);
    if (eventName === 'REMOVE') delete replayed[name];
    else replayed[name] = dynamodb!.NewImage!['v']!.S!;
  }
  expect(replayed).toEqual(await contents(TableName));

  const backup = await backups[0]!;
  await expect
    .poll(
      async () =>
        (await clients[0]!.send(new DescribeBackupCommand({ BackupArn: backup.arn }))).BackupDescription?.BackupDetails
          ?.BackupStatus,
      { timeout: 20_000 },
    )
    .toBe('AVAILABLE');
  await clients[0]!.send(new RestoreTableFromBackupCommand({ BackupArn: backup.arn, TargetTableName: 'from-backup' }));
  await clients[1]!.send(
    new RestoreTableToPointInTimeCommand({
      SourceTableName: TableName,
      TargetTableName: 'from-time',
      RestoreDateTime: new Date(backup.at),
    }),
  );
  await untilActive(clients[0]!, 'from-backup');
  await untilActive(clients[0]!, 'from-time');
  expect(await contents('from-time')).toEqual(await contents('from-backup'));
}, 90_000);

const caller = serviceCaller('lambda', '000000000000', 'us-east-1');
let tables = 0;

/** One cloud writes, the other reads. A stream is closed for good here: hours do not pass. */
streamReaderContract('dynamodb on PostgreSQL', async () => {
  const TableName = `contract-${++tables}`;
  const { LatestStreamArn: streamArn } = await createTable(clients[0]!, {
    TableName,
    BillingMode: 'PROVISIONED',
    ProvisionedThroughput: { ReadCapacityUnits: 5, WriteCapacityUnits: 5 },
    StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_IMAGE' },
  });
  const reader = clouds[1]!.cloud.platform.streams.reader('dynamodb')!;
  const [shard] = (await reader.shards(streamArn!, caller))!;
  return {
    reader,
    streamArn: streamArn!,
    shardId: shard!.shardId,
    async put(partitionKey) {
      await clients[0]!.send(new PutItemCommand({ TableName, Item: { pk: { S: partitionKey } } }));
    },
    async replaceShard() {
      await clients[0]!.send(new UpdateTableCommand({ TableName, StreamSpecification: { StreamEnabled: false } }));
      return [];
    },
  };
});
