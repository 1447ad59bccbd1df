import {
  CreateEventSourceMappingCommand,
  CreateFunctionCommand,
  LambdaClient,
  waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { zipFiles } from './rules/package.ts';

const account = '000000000000';

let test: TestCloud;
beforeAll(async () => {
  test = await startTestCloud({ services: ['lambda', 'logs', 'sqs', 'iam', 'sts'], sandbox: 'process' });
});
afterAll(() => test.close());

const code = `
exports.handler = async ({ Records }) => {
  if (Records.some(({ body }) => body.includes('noise'))) throw new Error('that should have been filtered');
  const bad = Records.filter(({ body }) => JSON.parse(body).n < 0);
  return { batchItemFailures: bad.map(({ messageId }) => ({ itemIdentifier: messageId })) };
};`;

it('serves a queue with a real function: filtered, in part failed, the failed to the dead letters', async () => {
  const client = new LambdaClient(test.clientConfig);
  const sqs = new SQSClient(test.clientConfig);
  await client.send(
    new CreateFunctionCommand({
      FunctionName: 'worker',
      Runtime: 'nodejs20.x',
      Handler: 'index.handler',
      Role: `arn:aws:iam::${account}:role/worker`,
      Code: { ZipFile: zipFiles({ 'index.js': code }) },
      Timeout: 2,
    }),
  );
  await waitUntilFunctionActiveV2(
    { client, maxWaitTime: 20, minDelay: 0.01, maxDelay: 0.1 },
    { FunctionName: 'worker' },
  );
  const letters = await sqs.send(new CreateQueueCommand({ QueueName: 'letters' }));
  const { QueueUrl } = await sqs.send(
    new CreateQueueCommand({
      QueueName: 'work',
      Attributes: {
        VisibilityTimeout: '2',
        RedrivePolicy: JSON.stringify({
          deadLetterTargetArn: `arn:aws:sqs:us-east-1:${account}:letters`,
          maxReceiveCount: 2,
        }),
      },
    }),
  );
  const bodies = ['{"n":1}', '{"n":-2}', '{"noise":3}', '{"n":4}', 'noise'];
  await sqs.send(
    new SendMessageBatchCommand({
      QueueUrl,
      Entries: bodies.map((MessageBody, index) => ({ Id: String(index), MessageBody })),
    }),
  );
  await client.send(
    new CreateEventSourceMappingCommand({
      EventSourceArn: `arn:aws:sqs:us-east-1:${account}:work`,
      FunctionName: 'worker',
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      FilterCriteria: { Filters: [{ Pattern: '{"body":{"n":[{"exists":true}]}}' }] },
    }),
  );
  const received: string[] = [];
  await expect
    .poll(
      async () => {
        const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: letters.QueueUrl! }));
        received.push(...Messages.map(({ Body }) => Body!));
        return received;
      },
      { timeout: 20_000, interval: 200 },
    )
    .toEqual(['{"n":-2}']);
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({
      QueueUrl,
      AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
    }),
  );
  expect(Attributes).toEqual({ ApproximateNumberOfMessages: '0', ApproximateNumberOfMessagesNotVisible: '0' });
}, 30_000);
