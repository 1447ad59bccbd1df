/** The cloud is killed while asynchronous events are at work: no process of a sandbox survives it, and no accepted event is lost. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateFunctionCommand, InvokeCommand, LambdaClient, waitUntilFunctionActiveV2 } from '@aws-sdk/client-lambda';
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { zipOf } from '../../bench/zip.ts';
import { processesWithEnvironment } from '../../src/compute/sandboxes/processes.ts';
import { eventually, type Process, startProcess } from '../support/unkai.ts';

const events = 60;

/** What it has done the function tells a queue, over the one address that every sandbox can reach. */
const code = `
const http = require('node:http');
const record = (QueueUrl, MessageBody) => new Promise((resolve, reject) => {
  const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.SendMessage' };
  http.request(process.env.AWS_ENDPOINT_URL, { method: 'POST', headers }, (answer) => answer.resume().on('end', resolve))
    .on('error', reject)
    .end(JSON.stringify({ QueueUrl, MessageBody }));
});
exports.handler = async ({ id }) => {
  await new Promise((resolve) => setTimeout(resolve, 300));
  await record(process.env.DONE, id);
};`;

describe.concurrent.each(['process', 'bubblewrap'])('sandboxes: %s', (sandbox) => {
  let data: string;
  let cloud: Process;
  const start = (port: string): Promise<Process> =>
    startProcess(['bin/unkai', 'start', '--port', port, '--data', data, '--sandbox', sandbox]);
  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), 'unkai-events-'));
    cloud = await start('0');
  });
  afterAll(async () => {
    await cloud.end('SIGTERM');
    await rm(data, { recursive: true, force: true });
  });

  it('leaves no orphan behind and runs every accepted event in the end', async () => {
    const config = {
      endpoint: cloud.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    };
    const lambda = new LambdaClient(config);
    const sqs = new SQSClient(config);
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'done' }));
    const processed = new Set<string>();
    const look = async (): Promise<number> => {
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, VisibilityTimeout: 600 }),
      );
      for (const { Body } of Messages) processed.add(Body!);
      return processed.size;
    };
    await lambda.send(
      new CreateFunctionCommand({
        FunctionName: 'worker',
        Runtime: 'nodejs20.x',
        Handler: 'index.handler',
        Role: 'arn:aws:iam::000000000000:role/worker',
        Code: { ZipFile: zipOf('index.js', code) },
        Environment: { Variables: { DONE: QueueUrl!, MARK: data } },
      }),
    );
    await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 20, minDelay: 0.1 }, { FunctionName: 'worker' });
    const ids = Array.from({ length: events }, (_, index) => `${sandbox}-${index}`);
    for (const id of ids) {
      const Payload = JSON.stringify({ id });
      await lambda.send(new InvokeCommand({ FunctionName: 'worker', InvocationType: 'Event', Payload }));
    }
    const running = (): Promise<number[]> => processesWithEnvironment([`MARK=${data}\0`]);
    expect((await running()).length).toBeGreaterThan(0);
    const before = await look();
    const port = new URL(cloud.endpoint).port;
    await cloud.end('SIGKILL');
    await eventually('the end of every sandbox', running, (pids) => pids.length === 0);
    expect(before).toBeLessThan(events);
    cloud = await start(port);
    await eventually('all events to be processed', look, (size) => size === events);
    lambda.destroy();
    sqs.destroy();
  }, 120_000);
});
