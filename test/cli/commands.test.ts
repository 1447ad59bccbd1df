import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CreateQueueCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { zipFiles } from '../../src/services/lambda/rules/package.ts';
import { createFunction } from './functions.ts';
import { build, type CliCloud, cleanUp, RunningCli, startCli, temporaryFolder, unkai, unkaiJson } from './support.ts';

const source = `
exports.handler = async (event) => {
  console.log('asked for', JSON.stringify(event));
  if (event.fail) throw new Error('as asked');
  return { echo: event };
};`;

let cloud: CliCloud;
let sqs: SQSClient;
let folder: string;

interface Failure {
  readonly error: { readonly code: string; readonly message: string; readonly hint: string };
}

const text = (...args: string[]) => unkai([...args, '--endpoint', cloud.endpoint], { cwd: folder });
const json = <T = Record<string, unknown>>(...args: string[]) =>
  unkaiJson<T>([...args, '--endpoint', cloud.endpoint], { cwd: folder });
const failure = async (...args: string[]): Promise<Failure['error']> => {
  const { code, data } = await json<Failure>(...args);
  expect(code).toBe(1);
  expect(data.error.message).not.toBe('');
  return data.error;
};

beforeAll(async () => {
  await build();
  folder = await temporaryFolder();
  cloud = await startCli(['--ephemeral', '--clock', 'wall'], { cwd: folder });
  sqs = new SQSClient({
    endpoint: cloud.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  });
  await createFunction(cloud.endpoint, 'app-Echo-1A2B3C', zipFiles({ 'index.js': source }));
});
afterAll(cleanUp);

describe('unkai status', () => {
  it('tells what runs, plain text into a pipe', async () => {
    const { code, stdout, stderr } = await text('status');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      new RegExp(
        `^Unkai \\d+\\.\\d+\\.\\d+ at ${cloud.endpoint}, process ${cloud.pid}, up for \\d+(\\.\\d+)? (ms|s|min)\n`,
      ),
    );
    expect(stdout).toContain('store memory (nothing is kept), clock wall, limits aws, auth off\n');
    expect(stdout).not.toContain('\u001b');
    const { data } = await json('status');
    expect(data).toMatchObject({
      name: 'unkai',
      pid: cloud.pid,
      endpoint: cloud.endpoint,
      functions: ['app-Echo-1A2B3C'],
      clock: 'wall',
    });
  });

  it('says where it looked when there is no cloud', async () => {
    const finished = await unkaiJson<Failure>(['status', '--endpoint', 'http://127.0.0.1:1']);
    expect(finished).toMatchObject({
      code: 1,
      data: { error: { code: 'NoCloud', message: 'no cloud answers at http://127.0.0.1:1' } },
    });
    expect((await unkaiJson<Failure>(['status', '--endpoint', 'nonsense'])).data.error.code).toBe('BadEndpoint');
    expect((await unkaiJson<Failure>(['status', '--endpoint', 'https://x'])).data.error.code).toBe('BadEndpoint');
  });
});

describe('what no command knows', () => {
  it.each([
    [['frobnicate'], 'frobnicate'],
    [['status', '--frobnicate'], '--frobnicate'],
    [['clock'], 'clock'],
    [['invoke'], 'function'],
  ])('%j ends with 2', async (args, named) => {
    const { code, stdout, stderr } = await unkai(args);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(named);
  });

  it('--help and --version are no errors', async () => {
    const help = await unkai(['--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const command of ['start', 'up', 'deploy', 'status', 'logs', 'invoke', 'queues', 'redrive', 'clock', 'stop'])
      expect(help.stdout).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'));
    expect((await unkai(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('--json goes for that too', async () => {
    const { code, data } = await unkaiJson<Failure>(['frobnicate']);
    expect(code).toBe(2);
    expect(data.error.message).toContain('frobnicate');
  });
});

describe('unkai queues and redrive', () => {
  it('shows depths, ages and dead-letter queues, and moves messages back', async () => {
    expect(await json('queues')).toEqual({ code: 0, data: [] });
    expect((await text('queues')).stdout).toBe('there are no queues\n');
    const { QueueUrl: dead } = await sqs.send(new CreateQueueCommand({ QueueName: 'app-Dead-9Z' }));
    const { QueueUrl } = await sqs.send(
      new CreateQueueCommand({
        QueueName: 'app-Jobs-8Y',
        Attributes: {
          VisibilityTimeout: '0',
          RedrivePolicy: '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:app-Dead-9Z","maxReceiveCount":1}',
        },
      }),
    );
    await sqs.send(
      new SendMessageBatchCommand({
        QueueUrl,
        Entries: ['a', 'b', 'c'].map((Id) => ({ Id, MessageBody: Id })),
      }),
    );
    for (let turn = 0; turn < 2; turn++)
      await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'later', DelaySeconds: 600 }));
    const { data } = await json<Record<string, unknown>[]>('queues');
    expect(data).toMatchObject([
      { name: 'app-Dead-9Z', url: dead, waiting: 3, inFlight: 0, oldestAgeMs: expect.any(Number) },
      {
        name: 'app-Jobs-8Y',
        arn: 'arn:aws:sqs:us-east-1:000000000000:app-Jobs-8Y',
        waiting: 0,
        delayed: 1,
        deadLetterQueue: 'app-Dead-9Z',
        maxReceiveCount: 1,
      },
    ]);
    const table = (await text('queues')).stdout;
    expect(table).toMatch(/^QUEUE +WAITING +IN FLIGHT +DELAYED +OLDEST +DEAD-LETTER QUEUE\n/);
    expect(table).toMatch(/^app-Jobs-8Y +0 +0 +1 +\S.* +app-Dead-9Z after 1$/m);
    expect(table).not.toContain('\u001b');
    // The logical name of the template is enough.
    expect(await json('redrive', 'Dead')).toMatchObject({ code: 0, data: { status: 'COMPLETED', moved: 3 } });
    const after = (await json<{ name: string; waiting: number }[]>('queues')).data;
    expect(after.map(({ name, waiting }) => [name, waiting])).toEqual([
      ['app-Dead-9Z', 0],
      ['app-Jobs-8Y', 3],
    ]);
  });

  it('refuses what it cannot do, and says what there is', async () => {
    expect(await failure('redrive', 'nowhere')).toMatchObject({
      code: 'NoSuchQueue',
      hint: 'there are: app-Dead-9Z, app-Jobs-8Y',
    });
    expect((await failure('redrive', 'app')).message).toBe("'app' could be several queues");
    // Not a dead-letter queue of any queue.
    const refused = await failure('redrive', 'Jobs');
    expect(refused.code).toMatch(/^(AWS\.SimpleQueueService\.)?(InvalidParameterValue|ResourceNotFoundException)/);
    expect((await failure('redrive', 'Dead', '--rate', 'fast')).code).not.toBe('Internal');
  });
});

describe('unkai invoke', () => {
  it('prints the answer, finds the function by its logical name, and reads the event from where it is told', async () => {
    const said = await text('invoke', 'Echo', '--payload', '{"a": "ü"}');
    expect(said.code).toBe(0);
    expect(said.stdout).toBe('{"echo":{"a":"ü"}}\n');
    expect(said.stderr).toMatch(/START RequestId: [\s\S]*asked for \{"a":"ü"\}[\s\S]*REPORT RequestId: /);
    expect(said.stderr).not.toContain('\u001b');
    await writeFile(join(folder, 'event.json'), '{"from": "file"}');
    expect((await text('invoke', 'Echo', '-e', 'event.json')).stdout).toBe('{"echo":{"from":"file"}}\n');
    const piped = await unkai(['invoke', 'Echo', '-e', '-', '--endpoint', cloud.endpoint], { input: '[1]' });
    expect(piped.stdout).toBe('{"echo":[1]}\n');
    const { data } = await json('invoke', 'app-Echo-1A2B3C');
    expect(data).toMatchObject({ functionName: 'app-Echo-1A2B3C', statusCode: 200, payload: '{"echo":{}}' });
    const later = await text('invoke', 'Echo', '--async', '--payload', '{"n": "later"}');
    expect(later).toMatchObject({ code: 0, stdout: 'accepted (202)\n' });
  });

  it('ends with 1 where the function failed or cannot be asked', async () => {
    const failed = await text('invoke', 'Echo', '--payload', '{"fail": true}');
    expect(failed.code).toBe(1);
    expect(JSON.parse(failed.stdout)).toMatchObject({ errorType: 'Error', errorMessage: 'as asked' });
    expect(failed.stderr).toContain('error FunctionError: app-Echo-1A2B3C failed (Unhandled)\n');
    expect(await failure('invoke', 'Nobody')).toMatchObject({
      code: 'NoSuchFunction',
      hint: 'there are: app-Echo-1A2B3C',
    });
    expect((await failure('invoke', 'Echo', '--payload', '{')).code).toBe('BadPayload');
    expect((await failure('invoke', 'Echo', '-e', 'none.json')).code).toBe('NoEvent');
  });

  it('prints one JSON document under --json also where the function failed', async () => {
    const { code, data } = await json('invoke', 'Echo', '--payload', '{"fail": true}');
    expect(code).toBe(1);
    expect(data).toMatchObject({ functionError: 'Unhandled' });
  });
});

describe('unkai logs', () => {
  it('prints what functions printed, chosen by filter', async () => {
    await expect
      .poll(async () => (await text('logs', 'Echo', '--filter', 'later')).stdout, { timeout: 10_000 })
      .toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z {2}.*asked for \{"n":"later"\}\n$/);
    const all = await text('logs', '--since', '1h');
    expect(all.stdout).toMatch(/ {2}app-Echo-1A2B3C {2}START RequestId: /);
    const lines = (await unkai(['logs', '--json', '--endpoint', cloud.endpoint])).stdout.trimEnd().split('\n');
    expect(JSON.parse(lines[0]!)).toEqual({
      timestamp: expect.any(Number),
      group: '/aws/lambda/app-Echo-1A2B3C',
      stream: expect.any(String),
      message: expect.any(String),
    });
    expect((await failure('logs', 'Nobody')).code).toBe('NoSuchFunction');
    expect((await failure('logs', '--since', 'yesterday')).code).toBe('BadDuration');
  });

  it('--follow goes on until it is interrupted', async () => {
    const following = new RunningCli(['logs', 'Echo', '--follow', '--endpoint', cloud.endpoint]);
    await following.printed(/asked for/);
    await text('invoke', 'Echo', '--payload', '{"n": "followed"}');
    await following.printed(/asked for \{"n":"followed"\}/);
    const { code } = await following.end('SIGINT');
    // Interrupted by the signal itself, or ended by it in order.
    expect([null, 0, 130]).toContain(code);
  });
});

describe('unkai fault', () => {
  it('switches faults on and off', async () => {
    const { data } = await json<{ points: { name: string }[]; rules: unknown[] }>('fault', 'list');
    expect(data.rules).toEqual([]);
    expect(data.points.map(({ name }) => name)).toContain('sqs.duplicate');
    const set = await json('fault', 'set', 'sqs.duplicate', '*', '--rate', '0.5', '--seed', '7', '--times', '3');
    expect(set).toMatchObject({
      code: 0,
      data: { rules: [{ point: 'sqs.duplicate', scope: '*', rate: 0.5, seed: 7, times: 3 }] },
    });
    expect((await text('fault', 'list')).stdout).toMatch(/^sqs\.duplicate +\* +0\.5 +7 +0 +0$/m);
    expect(await json('fault', 'clear')).toEqual({ code: 0, data: { rules: [] } });
    expect((await text('fault', 'list')).stdout).toMatch(/none is on\n$/);
  });

  it('duplicates and reorders the messages of one queue', async () => {
    await sqs.send(new CreateQueueCommand({ QueueName: 'unreliable' }));
    const scope = 'arn:aws:sqs:us-east-1:000000000000:unreliable';
    expect(await json('fault', 'duplicate', 'unreliable', '--rate', '0.25', '--seed', '3')).toMatchObject({
      data: { rules: [{ point: 'sqs.duplicate', scope, rate: 0.25, seed: 3 }] },
    });
    const { data } = await json<{ rules: unknown[] }>('fault', 'reorder', scope);
    expect(data.rules).toContainEqual(expect.objectContaining({ point: 'sqs.reorder', scope, rate: 0.05, seed: 1 }));
    await text('fault', 'clear');
    expect((await failure('fault', 'duplicate', 'nowhere')).code).toBe('QueueDoesNotExist');
  });

  it('refuses points, rates and counts that are none', async () => {
    expect((await failure('fault', 'set', 'no.such', '*')).code).toBe('BadFault');
    expect((await failure('fault', 'set', 'sqs.duplicate', '*', '--rate', '2')).code).toBe('BadFault');
    expect((await failure('fault', 'set', 'sqs.duplicate', '*', '--rate', 'often')).code).toBe('BadNumber');
    expect((await failure('fault', 'set', 'sqs.duplicate', '*', '--times', 'few')).hint).not.toBe('');
    expect((await failure('fault', 'set', 'sqs.duplicate', '*', '--seed', 'lucky')).hint).not.toBe('');
    expect((await json<{ rules: unknown[] }>('fault', 'list')).data.rules).toEqual([]);
  });
});

describe('unkai clock', () => {
  it('tells the time of the wall, and refuses to move it', async () => {
    expect((await json('clock', 'status')).data).toMatchObject({ kind: 'wall', mode: 'flowing' });
    for (const args of [['freeze'], ['resume'], ['advance', '1h'], ['set', '2040-01-01T00:00:00Z']]) {
      expect(await failure('clock', ...args)).toMatchObject({
        code: 'ClockIsWall',
        hint: 'start it with: unkai start --clock virtual',
      });
    }
  });

  it('moves virtual time, and what is due happens', async () => {
    const virtual = await startCli(['--ephemeral', '--clock', 'virtual']);
    const clock = (...args: string[]) => unkaiJson<never>(['clock', ...args, '--endpoint', virtual.endpoint]);
    const client = new SQSClient({
      endpoint: virtual.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    });
    const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: 'q' }));
    await client.send(new SendMessageCommand({ QueueUrl, MessageBody: 'x', DelaySeconds: 900 }));
    const frozen = (await clock('freeze')).data as { nowMs: number; mode: string };
    expect(frozen.mode).toBe('frozen');
    expect((await client.send(new ReceiveMessageCommand({ QueueUrl }))).Messages).toBeUndefined();
    const { nowMs } = (await clock('advance', '15m')).data as { nowMs: number };
    expect(nowMs - frozen.nowMs).toBeGreaterThanOrEqual(900_000);
    expect(nowMs - frozen.nowMs).toBeLessThan(905_000);
    expect((await client.send(new ReceiveMessageCommand({ QueueUrl }))).Messages).toHaveLength(1);
    const target = '2099-12-24T18:00:00.000Z';
    const set = await unkai(['clock', 'set', target, '--endpoint', virtual.endpoint]);
    expect(set.stdout).toMatch(/^2099-12-24T18:00:00\.\d+Z {2}after \d+ due moments\n$/);
    expect((await clock('set', '2001-01-01T00:00:00Z')).data).toMatchObject({ error: { code: 'BadTime' } });
    expect((await clock('set', 'tomorrow')).data).toMatchObject({ error: { code: 'BadTime' } });
    expect((await clock('advance', 'soon')).data).toMatchObject({ error: { code: 'BadDuration' } });
    expect((await clock('resume')).data).toMatchObject({ mode: 'flowing' });
    await virtual.end('SIGTERM');
  });
});
