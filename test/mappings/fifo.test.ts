import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  CreateEventSourceMappingCommand,
  CreateFunctionCommand,
  LambdaClient,
  waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';
import { CreateQueueCommand, GetQueueAttributesCommand, SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { zipOf } from '../../bench/zip.ts';
import { startTestCloud, type TestCloud } from '../support/cloud.ts';

/** A FIFO queue, its mapping and a real function: what the function has done it tells over the network. */
const account = '000000000000';
const groups = ['a', 'b', 'c'];
const perGroup = 12;

const done: string[] = [];
const recorder = createServer((request, response) => {
  done.push(decodeURIComponent(request.url!.slice(1)));
  response.end();
});

let cloud: TestCloud;
beforeAll(async () => {
  await new Promise<void>((resolve) => recorder.listen(0, '127.0.0.1', resolve));
  cloud = await startTestCloud({ limits: 'relaxed', sandbox: 'process' });
});
afterAll(async () => {
  await cloud.close();
  recorder.close();
});

/** Every fifth message fails at its first try; what follows it in the batch is given back with it, as AWS asks of FIFO queues. */
const code = `
const http = require('node:http');
const record = (text) => new Promise((resolve, reject) =>
  http.get(process.env.RECORDER + encodeURIComponent(text), (answer) => answer.resume().on('end', resolve)).on('error', reject));
exports.handler = async (event) => {
  const failed = new Set();
  const batchItemFailures = [];
  for (const { messageId, body, attributes } of event.Records) {
    const group = attributes.MessageGroupId;
    const poison = Number(body.slice(1)) % 5 === 3 && attributes.ApproximateReceiveCount === '1';
    if (failed.has(group) || poison) {
      failed.add(group);
      batchItemFailures.push({ itemIdentifier: messageId });
      continue;
    }
    await record(body);
  }
  return { batchItemFailures };
};`;

it('keeps the order of every group through failures, and processes every message once', async () => {
  const [sqs, lambda] = [new SQSClient(cloud.clientConfig), new LambdaClient(cloud.clientConfig)];
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
  await waitUntilFunctionActiveV2(
    { client: lambda, maxWaitTime: 30, minDelay: 0.1, maxDelay: 1 },
    { FunctionName: 'worker' },
  );
  const { QueueUrl } = await sqs.send(
    new CreateQueueCommand({
      QueueName: 'work.fifo',
      Attributes: { FifoQueue: 'true', ContentBasedDeduplication: 'true', VisibilityTimeout: '4' },
    }),
  );
  await lambda.send(
    new CreateEventSourceMappingCommand({
      EventSourceArn: `arn:aws:sqs:us-east-1:${account}:work.fifo`,
      FunctionName: 'worker',
      BatchSize: 5,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
    }),
  );
  for (let number = 0; number < perGroup; number++) {
    await sqs.send(
      new SendMessageBatchCommand({
        QueueUrl,
        Entries: groups.map((group) => ({ Id: group, MessageBody: `${group}${number}`, MessageGroupId: group })),
      }),
    );
  }
  const AttributeNames = ['ApproximateNumberOfMessages' as const, 'ApproximateNumberOfMessagesNotVisible' as const];
  for (let tries = 0; tries < 600; tries++) {
    const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames }));
    if (done.length >= groups.length * perGroup && Object.values(Attributes!).every((count) => count === '0')) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  for (const group of groups) {
    const order = done.filter((body) => body.startsWith(group));
    expect(order).toEqual(Array.from({ length: perGroup }, (_, number) => `${group}${number}`));
  }
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames }));
  expect(Attributes).toEqual({ ApproximateNumberOfMessages: '0', ApproximateNumberOfMessagesNotVisible: '0' });
}, 90_000);
