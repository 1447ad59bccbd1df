/** The cloud is killed while a mapping is at work: every message of its queue is processed in the end, and the queue is empty. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateEventSourceMappingCommand,
  CreateFunctionCommand,
  LambdaClient,
  waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';
import { CreateQueueCommand, GetQueueAttributesCommand, SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { zipOf } from '../../bench/zip.ts';
import { eventually, type Process, startProcess } from '../support/unkai.ts';

const messages = 60;
const account = '000000000000';

/** What the function has done: it tells it over the network, as a function tells a database. */
const processed = new Map<string, number>();
const recorder = createServer((request, response) => {
  const id = request.url!.slice(1);
  processed.set(id, (processed.get(id) ?? 0) + 1);
  response.end();
});

let data: string;
let cloud: Process;
beforeAll(async () => {
  await new Promise<void>((resolve) => recorder.listen(0, '127.0.0.1', resolve));
  data = await mkdtemp(join(tmpdir(), 'unkai-mappings-'));
  cloud = await start('0');
});
afterAll(async () => {
  await cloud.end('SIGTERM');
  recorder.close();
  await rm(data, { recursive: true, force: true });
});

const start = (port: string): Promise<Process> =>
  startProcess(['bin/unkai', 'start', '--port', port, '--data', data, '--sandbox', 'process']);

const code = `
const http = require('node:http');
const record = (id) => new Promise((resolve, reject) =>
  http.get(process.env.RECORDER + id, (answer) => answer.resume().on('end', resolve)).on('error', reject));
exports.handler = async (event) => {
  await new Promise((resolve) => setTimeout(resolve, 50));
  await Promise.all(event.Records.map(({ body }) => record(body)));
};`;

it('goes on with the queue after kill -9', async () => {
  const config = {
    endpoint: cloud.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
  const lambda = new LambdaClient(config);
  const sqs = new SQSClient(config);
  await lambda.send(
    new CreateFunctionCommand({
      FunctionName: 'worker',
      Runtime: 'nodejs20.x',
      Handler: 'index.handler',
      Role: `arn:aws:iam::${account}:role/worker`,
      Timeout: 3,
      Code: { ZipFile: zipOf('index.js', code) },
      Environment: { Variables: { RECORDER: `http://127.0.0.1:${(recorder.address() as AddressInfo).port}/` } },
    }),
  );
  await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 20 }, { FunctionName: 'worker' });
  const { QueueUrl } = await sqs.send(
    new CreateQueueCommand({ QueueName: 'work', Attributes: { VisibilityTimeout: '4' } }),
  );
  const EventSourceArn = `arn:aws:sqs:us-east-1:${account}:work`;
  await lambda.send(new CreateEventSourceMappingCommand({ EventSourceArn, FunctionName: 'worker', BatchSize: 2 }));
  for (let first = 0; first < messages; first += 10)
    await sqs.send(
      new SendMessageBatchCommand({
        QueueUrl,
        Entries: Array.from({ length: 10 }, (_, n) => ({ Id: String(n), MessageBody: `message-${first + n}` })),
      }),
    );
  await eventually(
    'some messages to be processed',
    async () => processed.size,
    (size) => size >= 5,
  );
  const port = new URL(cloud.endpoint).port;
  await cloud.end('SIGKILL');
  const beforeTheRestart = processed.size;
  expect(beforeTheRestart).toBeLessThan(messages);
  cloud = await start(port);
  await eventually(
    'all messages to be processed',
    async () => processed.size,
    (size) => size === messages,
  );
  await eventually(
    'the queue to be empty',
    () =>
      sqs.send(
        new GetQueueAttributesCommand({
          QueueUrl,
          AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
        }),
      ),
    ({ Attributes }) => Object.values(Attributes ?? {}).every((count) => count === '0'),
  );
  lambda.destroy();
  sqs.destroy();
}, 90_000);
