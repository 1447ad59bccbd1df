import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateTableCommand, DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { InvokeCommand } from '@aws-sdk/client-lambda';
import {
  CreateQueueCommand,
  ReceiveMessageCommand,
  type ReceiveMessageCommandOutput,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { zipFiles } from '../../src/services/lambda/rules/package.ts';
import { createFunction } from './functions.ts';
import { build, cleanUp, isAlive, startCli, temporaryFolder, unkaiJson, until } from './support.ts';

/** Fails at its first attempt, and keeps its own record, so that no log can be in doubt. */
const source = `
const { appendFileSync, readFileSync } = require('node:fs');
exports.handler = async (event, context) => {
  appendFileSync(event.record, context.awsRequestId + ' ' + process.pid + '\\n');
  if (readFileSync(event.record, 'utf8').trim().split('\\n').length < 2) throw new Error('the first attempt fails');
};`;

const clientConfig = (endpoint: string) => ({
  endpoint,
  region: 'us-east-1',
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  maxAttempts: 1,
});

beforeAll(build);
afterAll(cleanUp);

it('kill -9 loses nothing: messages, items, and the retry that was still to come', async () => {
  const folder = await temporaryFolder();
  const record = join(folder, 'record.txt');
  const attempts = async (): Promise<string[][]> =>
    (await readFile(record, 'utf8').catch(() => ''))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(' '));

  const first = await startCli(['--data', 'd', '--clock', 'virtual', '--sandbox', 'process'], { cwd: folder });
  // A table becomes active, and a function too, in cloud time.
  await unkaiJson(['clock', 'resume', '--endpoint', first.endpoint]);
  const sqs = new SQSClient(clientConfig(first.endpoint));
  const tables = new DynamoDBClient(clientConfig(first.endpoint));
  const { QueueUrl } = await sqs.send(
    new CreateQueueCommand({ QueueName: 'q', Attributes: { VisibilityTimeout: '300' } }),
  );
  const bodies = Array.from({ length: 20 }, (_, n) => `m${n}`);
  await Promise.all(bodies.map((MessageBody) => sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }))));
  const held = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 3 }));
  await tables.send(
    new CreateTableCommand({
      TableName: 'items',
      KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
      AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
      BillingMode: 'PAY_PER_REQUEST',
    }),
  );
  await until('the table is there', () =>
    tables
      .send(new PutItemCommand({ TableName: 'items', Item: { id: { S: 'a' }, n: { N: '1' } } }))
      .catch(() => undefined),
  );
  const lambda = await createFunction(first.endpoint, 'flaky', zipFiles({ 'index.js': source }));
  await lambda.send(
    new InvokeCommand({
      FunctionName: 'flaky',
      InvocationType: 'Event',
      Payload: Buffer.from(JSON.stringify({ record })),
    }),
  );
  const [attempt] = await until('the first attempt', async () =>
    (await attempts()).length === 1 ? attempts() : undefined,
  );
  const [requestId, sandboxPid] = attempt!;
  // The failure is on record once the invocation is no longer under way.
  await until('the attempt has ended', async () => {
    const { data } = await unkaiJson<{ busy: number }>(['clock', 'status', '--endpoint', first.endpoint]);
    return data.busy === 0;
  });
  await first.end('SIGKILL');
  await until('the sandbox has died with its cloud', async () => !isAlive(Number(sandboxPid)));

  const second = await startCli(['--data', 'd', '--clock', 'virtual', '--sandbox', 'process'], { cwd: folder });
  const url = QueueUrl!.replace(first.endpoint, second.endpoint);
  const sqsAgain = new SQSClient(clientConfig(second.endpoint));
  const receiveAll = async (): Promise<string[]> => {
    const found: string[] = [];
    let answer: ReceiveMessageCommandOutput;
    do {
      answer = await sqsAgain.send(new ReceiveMessageCommand({ QueueUrl: url, MaxNumberOfMessages: 10 }));
      found.push(...(answer.Messages ?? []).map(({ Body }) => Body!));
    } while ((answer.Messages ?? []).length > 0);
    return found;
  };
  const heldBodies = (held.Messages ?? []).map(({ Body }) => Body!);
  expect(heldBodies).toHaveLength(3);
  const free = await receiveAll();
  // What was received stays invisible as long as it was promised.
  expect(free.sort()).toEqual(bodies.filter((body) => !heldBodies.includes(body)).sort());
  const { Item } = await new DynamoDBClient(clientConfig(second.endpoint)).send(
    new GetItemCommand({ TableName: 'items', Key: { id: { S: 'a' } }, ConsistentRead: true }),
  );
  expect(Item).toEqual({ id: { S: 'a' }, n: { N: '1' } });
  expect(await attempts()).toHaveLength(1);
  const advanced = await unkaiJson(['clock', 'advance', '10m', '--endpoint', second.endpoint]);
  expect(advanced).toMatchObject({ code: 0, data: { reached: true } });
  const all = await until('the retry', async () => ((await attempts()).length === 2 ? attempts() : undefined));
  expect(all.map(([id]) => id)).toEqual([requestId, requestId]);
  expect((await receiveAll()).sort()).toEqual(bodies.sort());
  expect((await second.end('SIGTERM')).code).toBe(0);
});
