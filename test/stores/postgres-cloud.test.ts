import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateTableCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  UpdateItemCommand,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb';
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../support/cloud.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';

/** Two clouds, as on two machines, over one database. */
let server: PostgresServer;
let folders: string[];
let clouds: TestCloud[];

beforeAll(async () => {
  server = await startPostgres();
  folders = await Promise.all([0, 1].map(() => mkdtemp(join(tmpdir(), 'unkai-postgres-'))));
  // One after the other: the first makes the tables.
  clouds = [];
  for (const directory of folders) {
    clouds.push(
      await startTestCloud({
        store: { engine: 'postgres', url: server.url, directory },
        services: ['sqs', 'dynamodb'],
      }),
    );
  }
}, 60_000);

afterAll(async () => {
  for (const cloud of clouds ?? []) await cloud.close();
  await server?.stop();
  await Promise.all((folders ?? []).map((folder) => rm(folder, { recursive: true, force: true })));
});

it('shares queues: what one process sends another receives, once', async () => {
  const [first, second] = clouds.map(({ clientConfig }) => new SQSClient(clientConfig)) as [SQSClient, SQSClient];
  const { QueueUrl } = await first.send(new CreateQueueCommand({ QueueName: 'shared' }));
  await Promise.all(
    Array.from({ length: 30 }, (_, index) =>
      first.send(new SendMessageCommand({ QueueUrl, MessageBody: `m${index}` })),
    ),
  );
  const seen: string[] = [];
  const drain = async (client: SQSClient): Promise<void> => {
    for (;;) {
      const { Messages = [] } = await client.send(
        new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 5, WaitTimeSeconds: 1 }),
      );
      if (Messages.length === 0) return;
      for (const { Body, ReceiptHandle } of Messages) {
        seen.push(Body!);
        await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
      }
    }
  };
  await Promise.all([drain(first), drain(second)]);
  expect(seen.sort()).toEqual(Array.from({ length: 30 }, (_, index) => `m${index}`).sort());
  const { Attributes } = await second.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }));
  expect(Attributes).toMatchObject({ ApproximateNumberOfMessages: '0', ApproximateNumberOfMessagesNotVisible: '0' });
});

it('wakes a long poll of one process when the other sends', async () => {
  const [first, second] = clouds.map(({ clientConfig }) => new SQSClient(clientConfig)) as [SQSClient, SQSClient];
  const { QueueUrl } = await first.send(new CreateQueueCommand({ QueueName: 'awaited' }));
  const waiting = second.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 20 }));
  await new Promise((resolve) => setTimeout(resolve, 300));
  const startedAt = performance.now();
  await first.send(new SendMessageCommand({ QueueUrl, MessageBody: 'now' }));
  expect((await waiting).Messages?.[0]?.Body).toBe('now');
  expect(performance.now() - startedAt).toBeLessThan(10_000);
});

it('shares tables: updates of one item from both processes all count, also after a restart', async () => {
  const clients = clouds.map(({ clientConfig }) => new DynamoDBClient({ ...clientConfig, maxAttempts: 10 })) as [
    DynamoDBClient,
    DynamoDBClient,
  ];
  const table = { TableName: 'shared' };
  await clients[0].send(
    new CreateTableCommand({
      ...table,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
    }),
  );
  await waitUntilTableExists({ client: clients[1], maxWaitTime: 20, minDelay: 0.2, maxDelay: 0.5 }, table);
  await clients[0].send(new PutItemCommand({ ...table, Item: { pk: { S: 'a' }, n: { N: '0' } } }));
  const add = new UpdateItemCommand({
    ...table,
    Key: { pk: { S: 'a' } },
    UpdateExpression: 'ADD n :one',
    ExpressionAttributeValues: { ':one': { N: '1' } },
  });
  await Promise.all(Array.from({ length: 40 }, (_, index) => clients[index % 2]!.send(add)));
  clouds[1] = await clouds[1]!.restart();
  const again = new DynamoDBClient(clouds[1].clientConfig);
  const { Item } = await again.send(new GetItemCommand({ ...table, Key: { pk: { S: 'a' } }, ConsistentRead: true }));
  expect(Item).toEqual({ pk: { S: 'a' }, n: { N: '40' } });
}, 60_000);
