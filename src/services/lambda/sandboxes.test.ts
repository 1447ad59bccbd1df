import { CloudWatchLogsClient, FilterLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import {
  CreateEventSourceMappingCommand,
  CreateFunctionCommand,
  InvokeCommand,
  LambdaClient,
  UpdateFunctionCodeCommand,
  waitUntilFunctionActiveV2,
  waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { CreateQueueCommand, GetQueueAttributesCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { zipFiles } from './rules/package.ts';

const account = '000000000000';
const waiting = { maxWaitTime: 10, minDelay: 0.01, maxDelay: 0.05 };

let test: TestCloud;
let client: LambdaClient;

beforeAll(async () => {
  test = await startTestCloud({ services: ['lambda', 'logs', 'sqs', 'iam', 'sts'] });
  client = new LambdaClient(test.clientConfig);
});
afterAll(() => test.close());

async function create(name: string, runtime: 'nodejs20.x' | 'python3.12', files: Record<string, string>, more = {}) {
  await client.send(
    new CreateFunctionCommand({
      FunctionName: name,
      Runtime: runtime,
      Handler: 'index.handler',
      Role: `arn:aws:iam::${account}:role/worker`,
      Code: { ZipFile: zipFiles(files) },
      ...more,
    }),
  );
  await waitUntilFunctionActiveV2({ client, ...waiting }, { FunctionName: name });
}

/** What CloudWatch Logs holds of a function. */
async function logged(name: string): Promise<string[]> {
  const { events = [] } = await new CloudWatchLogsClient(test.clientConfig).send(
    new FilterLogEventsCommand({ logGroupName: `/aws/lambda/${name}` }),
  );
  return events.map(({ message }) => message!);
}

async function answer(name: string, Payload = '{}') {
  const done = await client.send(new InvokeCommand({ FunctionName: name, Payload, LogType: 'Tail' }));
  return {
    error: done.FunctionError,
    payload: JSON.parse(Buffer.from(done.Payload!).toString()),
    log: Buffer.from(done.LogResult!, 'base64').toString(),
  };
}

it('runs a Node function in a real process, with its log, and swaps its code', async () => {
  const code = (word: string): Record<string, string> => ({
    'index.js': `exports.handler = async (event, context) => { console.log('got', event.n); return { word: '${word}', id: context.awsRequestId }; };`,
  });
  await create('node', 'nodejs20.x', code('one'));
  const first = await answer('node', '{"n":5}');
  expect(first.payload.word).toBe('one');
  expect(first.log).toMatch(/^START RequestId: .*\n.*got 5\nEND RequestId: .*\nREPORT .*Init Duration: /);
  expect((await answer('node')).log).not.toContain('Init Duration');
  await client.send(new UpdateFunctionCodeCommand({ FunctionName: 'node', ZipFile: zipFiles(code('two')) }));
  await waitUntilFunctionUpdatedV2({ client, ...waiting }, { FunctionName: 'node' });
  expect((await answer('node')).payload.word).toBe('two');
  const reports = async () => (await logged('node')).filter((line) => line.startsWith('REPORT'));
  await expect.poll(async () => (await reports()).length).toBe(3);
  expect((await logged('node'))[0]).toMatch(/^START RequestId: /);
});

it('runs a Python function, reports its errors, and ends one that takes too long', async () => {
  await create(
    'python',
    'python3.12',
    {
      'index.py':
        'import time\ndef handler(event, context):\n    if event.get("sleep"):\n        time.sleep(5)\n    raise ValueError("intended")\n',
    },
    { Timeout: 1 },
  );
  const failed = await answer('python');
  expect(failed.error).toBe('Unhandled');
  expect(failed.payload).toMatchObject({ errorMessage: 'intended', errorType: 'ValueError' });
  const late = await answer('python', '{"sleep":true}');
  expect(late.payload).toMatchObject({ errorType: 'Sandbox.Timedout' });
  expect(late.log).toMatch(/ Task timed out after 1\.00 seconds\n.*END RequestId/s);
  expect(late.log).toContain('Status: timeout');
});

it('serves a queue', async () => {
  await create('consumer', 'nodejs20.x', {
    'index.mjs':
      'export const handler = async (event) => { for (const r of event.Records) console.log("body", r.body); };',
  });
  const sqs = new SQSClient(test.clientConfig);
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'real' }));
  await client.send(
    new CreateEventSourceMappingCommand({
      EventSourceArn: `arn:aws:sqs:us-east-1:${account}:real`,
      FunctionName: 'consumer',
    }),
  );
  for (let n = 0; n < 5; n++) await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: String(n) }));
  const seen = async () => (await logged('consumer').catch(() => [])).filter((line) => line.includes('body '));
  await expect.poll(async () => (await seen()).length, { timeout: 10_000 }).toBe(5);
  const left = async (): Promise<string | undefined> =>
    (
      await sqs.send(
        new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['ApproximateNumberOfMessagesNotVisible'] }),
      )
    ).Attributes?.['ApproximateNumberOfMessagesNotVisible'];
  await expect.poll(left).toBe('0');
});
