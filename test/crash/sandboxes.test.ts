/**
 * Sandboxes are killed at random under load: every synchronous caller gets an answer or AWS's error, and every asynchronous event and every
 * queue message is processed in the end. `UNKAI_LONG=1` does so for a minute, else for some seconds.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateEventSourceMappingCommand,
  CreateFunctionCommand,
  InvokeCommand,
  LambdaClient,
  PutFunctionEventInvokeConfigCommand,
  waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { zipOf } from '../../bench/zip.ts';
import { createRandom } from '../../src/kernel/random/random.ts';
import { startTestCloud, type TestCloud } from '../support/cloud.ts';

const loadMs = process.env['UNKAI_LONG'] === '1' ? 60_000 : 8_000;
const role = 'arn:aws:iam::000000000000:role/worker';

/** What the functions have done: they tell it over the network, as a function tells a database. */
const processed = new Set<string>();
const recorder = createServer((request, response) => {
  processed.add(request.url!.slice(1));
  response.end();
});

let cloud: TestCloud;
let lambda: LambdaClient;
let sqs: SQSClient;
let scratch: string;
beforeAll(async () => {
  await new Promise<void>((resolve) => recorder.listen(0, '127.0.0.1', resolve));
  scratch = await mkdtemp(join(tmpdir(), 'unkai-chaos-'));
  cloud = await startTestCloud({ engine: 'lmdb', clock: 'virtual', sandbox: 'process' });
  lambda = new LambdaClient(cloud.clientConfig);
  sqs = new SQSClient(cloud.clientConfig);
});
afterAll(async () => {
  lambda.destroy();
  sqs.destroy();
  await cloud.close();
  recorder.close();
  await rm(scratch, { recursive: true, force: true });
});

const code = `
const http = require('node:http');
const record = (id) => new Promise((resolve, reject) =>
  http.get(process.env.RECORDER + id, (answer) => answer.resume().on('end', resolve)).on('error', reject));
exports.handler = async (event) => {
  const ids = event.Records === undefined ? [event.id] : event.Records.map(({ body }) => body);
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 30));
  await Promise.all(ids.map(record));
  return { ids };
};`;

/** Processes of this cloud's sandboxes. */
async function sandboxPids(): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const environment = await readFile(`/proc/${name}/environ`, 'latin1').catch(() => '');
    if (environment.includes(`CHAOS=${scratch}\0`)) found.push(Number(name));
  }
  return found;
}

it('loses nothing and answers everybody while its sandboxes are killed', async () => {
  const address = `http://127.0.0.1:${(recorder.address() as AddressInfo).port}/`;
  for (const name of ['sync', 'async', 'queue']) {
    await lambda.send(
      new CreateFunctionCommand({
        FunctionName: name,
        Runtime: 'nodejs20.x',
        Handler: 'index.handler',
        Role: role,
        Timeout: 10,
        Code: { ZipFile: zipOf('index.js', code) },
        Environment: { Variables: { RECORDER: address, CHAOS: scratch } },
      }),
    );
    await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 20, minDelay: 0.1 }, { FunctionName: name });
  }
  const { QueueUrl: lost } = await sqs.send(new CreateQueueCommand({ QueueName: 'lost' }));
  const lostArn = 'arn:aws:sqs:us-east-1:000000000000:lost';
  await lambda.send(
    new PutFunctionEventInvokeConfigCommand({
      FunctionName: 'async',
      DestinationConfig: { OnFailure: { Destination: lostArn } },
    }),
  );
  const { QueueUrl: queue } = await sqs.send(
    new CreateQueueCommand({ QueueName: 'work', Attributes: { VisibilityTimeout: '60' } }),
  );
  await lambda.send(
    new CreateEventSourceMappingCommand({
      FunctionName: 'queue',
      EventSourceArn: 'arn:aws:sqs:us-east-1:000000000000:work',
      BatchSize: 5,
    }),
  );

  const random = createRandom('chaos');
  const endAt = performance.now() + loadMs;
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  let kills = 0;
  const killer = (async () => {
    while (performance.now() < endAt) {
      await pause(40 + random.integer(120));
      const pids = await sandboxPids();
      const victim = pids[random.integer(Math.max(1, pids.length))];
      if (victim === undefined) continue;
      try {
        process.kill(victim, 'SIGKILL');
        kills++;
      } catch {
        // It has ended by itself meanwhile.
      }
    }
  })();

  const sent = { async: [] as string[], queue: [] as string[] };
  const answers = { good: 0, failed: 0 };
  const syncCaller = async (caller: number): Promise<void> => {
    for (let index = 0; performance.now() < endAt; index++) {
      const id = `sync-${caller}-${index}`;
      const answer = await lambda.send(new InvokeCommand({ FunctionName: 'sync', Payload: JSON.stringify({ id }) }));
      const payload = JSON.parse(Buffer.from(answer.Payload!).toString()) as Record<string, unknown>;
      if (answer.FunctionError === undefined) {
        expect(payload).toEqual({ ids: [id] });
        expect(processed.has(id)).toBe(true);
        answers.good++;
      } else {
        expect(payload).toMatchObject({ errorType: 'Runtime.ExitError' });
        expect(payload['errorMessage']).toMatch(/^RequestId: .* Error: Runtime exited with error: signal: killed$/);
        answers.failed++;
      }
    }
  };
  const sender = async (): Promise<void> => {
    for (let index = 0; performance.now() < endAt; index++) {
      const id = `async-${index}`;
      const accepted = await lambda.send(
        new InvokeCommand({ FunctionName: 'async', InvocationType: 'Event', Payload: JSON.stringify({ id }) }),
      );
      expect(accepted.StatusCode).toBe(202);
      sent.async.push(id);
      const body = `queue-${index}`;
      await sqs.send(new SendMessageCommand({ QueueUrl: queue!, MessageBody: body }));
      sent.queue.push(body);
      await pause(10);
    }
  };
  await Promise.all([killer, sender(), ...[0, 1, 2, 3].map(syncCaller)]);
  // Nothing is killed any more: retries after one and two minutes, and messages whose visibility ends, come to their end.
  for (let round = 0; round < 20; round++) {
    await cloud.clock.advance(60_000);
    const { Attributes } = await sqs.send(
      new GetQueueAttributesCommand({
        QueueUrl: queue!,
        AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
      }),
    );
    if (round > 6 && Object.values(Attributes!).every((count) => count === '0')) break;
  }

  // An event whose function was killed three times over has gone to its destination, which counts as not lost.
  const givenUp = new Set<string>();
  for (;;) {
    const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: lost!, MaxNumberOfMessages: 10 }));
    if (Messages.length === 0) break;
    for (const { Body } of Messages) {
      givenUp.add((JSON.parse(Body!) as { requestPayload: { id: string } }).requestPayload.id);
    }
  }
  expect(kills).toBeGreaterThan(3);
  expect(answers.good).toBeGreaterThan(10);
  expect(answers.failed).toBeGreaterThan(0);
  expect(sent.queue.filter((id) => !processed.has(id))).toEqual([]);
  expect(sent.async.filter((id) => !processed.has(id) && !givenUp.has(id))).toEqual([]);
  process.stdout.write(
    `${kills} kills; ${answers.good} answers and ${answers.failed} errors to synchronous callers; ` +
      `${sent.async.length} events (${givenUp.size} given up after three kills) and ${sent.queue.length} messages, none lost\n`,
  );
}, 240_000);
