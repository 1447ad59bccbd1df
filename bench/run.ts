/** npm run bench. Every pair is measured in one run, interleaved, and told as the median of its rounds. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { backlog } from './backlog.ts';
import { invocations } from './invocations.ts';
import { awsRequest, load, type Measured } from './load.ts';
import { anonymousMiB, type Running, startServer, stopAll, timeProcess } from './processes.ts';
import { median, print, type Result, result, write } from './report.ts';
import { sandboxes } from './sandboxes.ts';
import { queues } from './sqs.ts';
import { largeTable, tables } from './tables.ts';

const [root, ...chosen] = process.argv.slice(2) as [string, ...string[]];
const rounds = 5;
const warmUpMs = 1_500;
const roundMs = 2_000;
const connections = 32;
const here = (path: string): string => join(root, path);
const floorOf = (name: string): string => here(`node_modules/.cache/bench/floors/${name}.mjs`);
const folders: string[] = [];

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'unkai-bench-'));
  folders.push(folder);
  return folder;
}

function startCloud(...args: string[]): Promise<Running> {
  return startServer([
    here('bin/unkai'),
    'start',
    '--port',
    '0',
    '--limits',
    'relaxed',
    ...(args.includes('--ephemeral') ? [] : ['--data', scratch()]),
    ...args,
  ]);
}

const benchmarks: Record<string, () => Promise<Result[]>> = {
  start: startUp,
  sqs: sendMessage,
  queues: () => queues({ floor: floorOf('echo'), startCloud, scratch, rounds, warmUpMs, roundMs }),
  dynamodb: tableOperations,
  tables: () => tables({ startCloud, startDynalite, floorOf, scratch, versus, exchange }),
  'large-table': () => largeTable({ startCloud, startDynalite, floorOf, scratch, versus, exchange, rounds }),
  lambda: () => invocations({ root, floor: floorOf('hop'), startCloud, rounds, warmUpMs, roundMs }),
  sandboxes: () => sandboxes({ startCloud }),
  backlog: () => backlog({ startCloud, rounds }),
};

/** Too long for every run. */
const onDemand: readonly string[] = ['large-table'];

const results: Result[] = [];
try {
  for (const [name, run] of Object.entries(benchmarks)) {
    if (chosen.length > 0 ? !chosen.includes(name) : onDemand.includes(name)) continue;
    process.stderr.write(`${name} …\n`);
    results.push(...(await run()));
  }
} finally {
  stopAll();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}
process.stdout.write(`${print(results)}\n`);
if (chosen.length === 0) process.stdout.write(`written to ${write(root, results)}\n`);

async function startUp(): Promise<Result[]> {
  const ready: number[] = [];
  const floor: number[] = [];
  const memory: number[] = [];
  const data = scratch();
  for (let round = 0; round < rounds * 2; round++) {
    floor.push(await timeProcess(['-e', '0']));
    const cloud = await startServer([here('bin/unkai'), 'start', '--port', '0', '--limits', 'relaxed', '--data', data]);
    ready.push(cloud.readyMs);
    if (round >= rounds * 2 - 3) {
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      memory.push(anonymousMiB(cloud.pid));
    }
    await cloud.stop();
  }
  return [
    result(
      'start to ready',
      `${median(ready).toFixed(0)} ms`,
      `node -e 0: ${median(floor).toFixed(0)} ms`,
      median(ready) / median(floor),
      '<= 5',
    ),
    result('idle anonymous memory', `${median(memory).toFixed(0)} MiB`, '80 MiB', median(memory) / 80, '<= 1'),
  ];
}

async function sendMessage(): Promise<Result[]> {
  const cloud = await startCloud();
  const queueUrl = (await call(cloud.port, 'sqs', 'AmazonSQS.CreateQueue', { QueueName: 'bench' }))[
    'QueueUrl'
  ] as string;
  const body = JSON.stringify({
    QueueUrl: queueUrl,
    MessageBody: JSON.stringify({
      eventId: '0f8fad5b-d9cb-469f-a165-70867728950e',
      macAddress: '02:00:5e:10:00:01',
      note: 'x'.repeat(150),
    }),
  });
  const sample = await exchange(cloud.port, 'sqs', 'AmazonSQS.SendMessage', body);
  const floor = await startServer([
    floorOf('echo'),
    JSON.stringify({ body: sample.body, headers: sample.headers, store: scratch() }),
  ]);
  const request = (port: number): Buffer => awsRequest({ port, service: 'sqs', target: 'AmazonSQS.SendMessage', body });
  const pair = await versus({ subject: [cloud.port, request(cloud.port)], floor: [floor.port, request(floor.port)] });
  await Promise.all([cloud.stop(), floor.stop()]);
  return [rates('SendMessage, durable', pair, 'F1', '>= 0.7')];
}

function startDynalite(): Promise<Running> {
  return startServer([
    '-e',
    `const s = require(${JSON.stringify(here('bench/peers/node_modules/dynalite'))})({ createTableMs: 0 }); s.listen(0, '127.0.0.1', () => console.log('ready on http://127.0.0.1:' + s.address().port))`,
  ]);
}

async function tableOperations(): Promise<Result[]> {
  const cloud = await startCloud();
  const dynalite = await startDynalite();
  const table = {
    TableName: 'bench',
    BillingMode: 'PAY_PER_REQUEST',
    AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
    KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
  };
  const items = 10_000;
  for (const port of [cloud.port, dynalite.port]) {
    await call(port, 'dynamodb', 'DynamoDB_20120810.CreateTable', table);
    for (;;) {
      const { Table } = (await call(port, 'dynamodb', 'DynamoDB_20120810.DescribeTable', { TableName: 'bench' })) as {
        Table: { TableStatus: string };
      };
      if (Table.TableStatus === 'ACTIVE') break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  const put = (index: number): string => JSON.stringify({ TableName: 'bench', Item: itemOf(index % items) });
  const get = (index: number): string =>
    JSON.stringify({ TableName: 'bench', Key: { pk: { S: `device-${index % items}` } } });
  const requests = (port: number, target: string, bodyOf: (index: number) => string): Buffer[] =>
    Array.from({ length: items }, (_, index) =>
      awsRequest({ port, service: 'dynamodb', target: `DynamoDB_20120810.${target}`, body: bodyOf(index) }),
    );

  const putSample = await exchange(cloud.port, 'dynamodb', 'DynamoDB_20120810.PutItem', put(0));
  const durable = await startServer([
    floorOf('echo'),
    JSON.stringify({ body: putSample.body, headers: putSample.headers, store: scratch() }),
  ]);
  const puts = (port: number): Buffer[] => requests(port, 'PutItem', put);
  const putPair = await versus({
    subject: [cloud.port, puts(cloud.port)],
    floor: [durable.port, puts(durable.port)],
    peer: [dynalite.port, puts(dynalite.port)],
  });

  const getSample = await exchange(cloud.port, 'dynamodb', 'DynamoDB_20120810.GetItem', get(1));
  const bare = await startServer([
    floorOf('echo'),
    JSON.stringify({ body: getSample.body, headers: getSample.headers }),
  ]);
  const gets = (port: number): Buffer[] => requests(port, 'GetItem', get);
  const getPair = await versus({
    subject: [cloud.port, gets(cloud.port)],
    floor: [bare.port, gets(bare.port)],
    peer: [dynalite.port, gets(dynalite.port)],
  });
  await Promise.all([cloud.stop(), durable.stop(), bare.stop(), dynalite.stop()]);
  return [
    rates('GetItem', getPair, 'F0', '>= 0.45'),
    rates('GetItem', { ...getPair, floor: getPair.peer! }, 'dynalite', '>= 1.3'),
    rates('PutItem, durable', putPair, 'F1', '>= 0.5'),
    rates('PutItem, durable', { ...putPair, floor: putPair.peer! }, 'dynalite in memory', '>= 1'),
  ];
}

function itemOf(index: number): Record<string, unknown> {
  return {
    pk: { S: `device-${index}` },
    customerId: { S: 'customer-12345' },
    status: { S: 'provisioning' },
    attempts: { N: String(index % 7) },
    updatedAt: { S: '2026-11-21T23:00:00.000Z' },
    tags: { L: [{ S: 'a' }, { S: 'b' }] },
  };
}

type Side = readonly [port: number, requests: Buffer | readonly Buffer[]];
interface Pair {
  readonly subject: number;
  readonly floor: number;
  readonly peer?: number;
}

/** Rounds of each in turn, after a warm-up of each; medians of requests per second. */
async function versus(sides: { subject: Side; floor: Side; peer?: Side }): Promise<Pair> {
  const run = ([port, requests]: Side, durationMs: number): Promise<Measured> => {
    let next = 0;
    const request = Buffer.isBuffer(requests)
      ? () => requests
      : () => (requests as Buffer[])[next++ % requests.length]!;
    return load({ port, connections, durationMs, request });
  };
  const all = Object.entries(sides) as [keyof Pair, Side][];
  for (const [, side] of all) await run(side, warmUpMs);
  const rate: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const [name, side] of all) {
      rate[name] ??= [];
      rate[name].push((await run(side, roundMs)).perSecond);
    }
  }
  return Object.fromEntries(all.map(([name]) => [name, median(rate[name]!)])) as unknown as Pair;
}

function rates(name: string, { subject, floor }: Pair, floorName: string, target: string): Result {
  return result(name, `${Math.round(subject)}/s`, `${floorName}: ${Math.round(floor)}/s`, subject / floor, target);
}

async function call(port: number, service: string, target: string, input: unknown): Promise<Record<string, unknown>> {
  return JSON.parse((await exchange(port, service, target, JSON.stringify(input))).body) as Record<string, unknown>;
}

/** One request; its answer's body and the headers that a floor must send as well. */
async function exchange(
  port: number,
  service: string,
  target: string,
  body: string,
): Promise<{ body: string; headers: Record<string, string> }> {
  const answer = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': target,
      authorization: `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261121/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`,
      'x-amz-date': '20261121T230000Z',
    },
    body,
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${target} answered ${answer.status}: ${text}`);
  const headers: Record<string, string> = {};
  for (const name of ['content-type', 'x-amzn-requestid', 'x-amz-crc32']) {
    const value = answer.headers.get(name);
    if (value !== null) headers[name] = value;
  }
  if (headers['x-amz-crc32'] !== undefined && Number(headers['x-amz-crc32']) !== crc32(text))
    throw new Error(`${target}: the checksum is wrong`);
  return { body: text, headers };
}
