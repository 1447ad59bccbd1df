/** DynamoDB beyond single puts and gets: conditions, queries, transactions and batches; and a table of ten million items. */
import { awsRequest, load } from './load.ts';
import { anonymousMiB, type Running, startServer } from './processes.ts';
import { median, type Result, result } from './report.ts';

type Side = readonly [port: number, requests: Buffer | readonly Buffer[]];

interface Pair {
  readonly subject: number;
  readonly floor: number;
  readonly peer?: number;
}

export interface TablesOptions {
  readonly startCloud: () => Promise<Running>;
  readonly startDynalite: () => Promise<Running>;
  readonly floorOf: (name: string) => string;
  readonly scratch: () => string;
  readonly versus: (sides: { subject: Side; floor: Side; peer?: Side }) => Promise<Pair>;
  readonly exchange: (
    port: number,
    service: string,
    target: string,
    body: string,
  ) => Promise<{ body: string; headers: Record<string, string> }>;
}

const table = {
  BillingMode: 'PAY_PER_REQUEST',
  AttributeDefinitions: [
    { AttributeName: 'pk', AttributeType: 'S' },
    { AttributeName: 'sk', AttributeType: 'N' },
  ],
  KeySchema: [
    { AttributeName: 'pk', KeyType: 'HASH' },
    { AttributeName: 'sk', KeyType: 'RANGE' },
  ],
};
const partitions = 100;
const perPartition = 100;

/** UpdateItem with a condition, Query of 100 items of 1 KB, TransactWriteItems of 4, BatchWriteItem of 25. */
export async function tables(options: TablesOptions): Promise<Result[]> {
  const [cloud, dynalite] = await Promise.all([options.startCloud(), options.startDynalite()]);
  for (const { port } of [cloud, dynalite]) {
    for (const TableName of ['queried', 'written']) await create(options, port, { TableName, ...table });
    for (let pk = 0; pk < partitions; pk++) {
      for (let sk = 0; sk < perPartition; sk += 25) {
        const requests = range(25).map((n) => ({ PutRequest: { Item: kilobyte(`p${pk}`, sk + n) } }));
        await send(options, port, 'BatchWriteItem', { RequestItems: { queried: requests } });
      }
    }
  }
  const cases: readonly Case[] = [
    {
      operation: 'UpdateItem',
      title: 'UpdateItem with a condition, durable',
      peerTarget: '>= 1',
      body: (n) => ({
        TableName: 'written',
        Key: { pk: { S: `p${n % partitions}` }, sk: { N: String(n % 97) } },
        UpdateExpression: 'SET #s = :s ADD n :one',
        ConditionExpression: 'attribute_not_exists(n) OR n >= :zero',
        ExpressionAttributeNames: { '#s': 'status' },
        ExpressionAttributeValues: { ':s': { S: 'running' }, ':one': { N: '1' }, ':zero': { N: '0' } },
      }),
    },
    {
      operation: 'Query',
      title: 'Query of 100 items of 1 KB',
      peerTarget: '>= 1.3',
      body: (n) => ({
        TableName: 'queried',
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': { S: `p${n % partitions}` } },
      }),
    },
    {
      operation: 'TransactWriteItems',
      title: 'TransactWriteItems of 4, durable',
      peerTarget: undefined,
      body: (n) => ({
        TransactItems: range(4).map((part) => ({
          Put: {
            TableName: 'written',
            Item: { pk: { S: `t${n}` }, sk: { N: String(part) }, v: { S: 'x'.repeat(100) } },
          },
        })),
      }),
    },
    {
      operation: 'BatchWriteItem',
      title: 'BatchWriteItem of 25, durable',
      peerTarget: '>= 1',
      body: (n) => ({
        RequestItems: {
          written: range(25).map((part) => ({
            PutRequest: { Item: { pk: { S: `b${n % 1_000}` }, sk: { N: String(part) }, v: { S: 'x'.repeat(100) } } },
          })),
        },
      }),
    },
  ];
  const results: Result[] = [];
  for (const one of cases) results.push(...(await measure(options, one, cloud, dynalite)));
  await Promise.all([cloud.stop(), dynalite.stop()]);
  return results;
}

interface Case {
  readonly operation: string;
  readonly title: string;
  /** Undefined: dynalite does not have the operation. */
  readonly peerTarget: string | undefined;
  readonly body: (index: number) => object;
}

async function measure(
  options: TablesOptions,
  { operation, title, peerTarget, body }: Case,
  cloud: Running,
  dynalite: Running,
): Promise<Result[]> {
  const bodies = range(10_000).map((index) => JSON.stringify(body(index)));
  const requests = (port: number): Buffer[] => bodies.map((text) => requestOf(port, operation, text));
  const sample = await options.exchange(cloud.port, 'dynamodb', `DynamoDB_20120810.${operation}`, bodies[0]!);
  const isRead = operation === 'Query';
  const floor = await startServer([
    options.floorOf('echo'),
    JSON.stringify({ body: sample.body, headers: sample.headers, ...(isRead ? {} : { store: options.scratch() }) }),
  ]);
  const pair = await options.versus({
    subject: [cloud.port, requests(cloud.port)],
    floor: [floor.port, requests(floor.port)],
    ...(peerTarget === undefined ? {} : { peer: [dynalite.port, requests(dynalite.port)] as const }),
  });
  await floor.stop();
  const told = (name: string, other: number, target: string | undefined): Result =>
    result(title, `${Math.round(pair.subject)}/s`, `${name}: ${Math.round(other)}/s`, pair.subject / other, target);
  return [
    told(isRead ? 'F0' : 'F1', pair.floor, undefined),
    ...(pair.peer === undefined ? [] : [told(isRead ? 'dynalite' : 'dynalite in memory', pair.peer, peerTarget)]),
  ];
}

const connections = 32;
const few = 10_000;

/**
 * A table of many items (UNKAI_BENCH_ITEMS, 10,000,000) against one of 10,000, in reads and in random durable puts, with the floor's
 * fall beside it. Takes tens of minutes and some gigabytes of disk: only when it is asked for by name.
 */
export async function largeTable(options: TablesOptions & { readonly rounds: number }): Promise<Result[]> {
  const many = Number(process.env['UNKAI_BENCH_ITEMS'] ?? 10_000_000);
  const cloud = await options.startCloud();
  const hashOnly = {
    BillingMode: 'PAY_PER_REQUEST',
    AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
    KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
  };
  for (const [TableName, items] of [
    ['few', few],
    ['many', many],
  ] as const) {
    await create(options, cloud.port, { TableName, ...hashOnly });
    await fill(cloud.port, TableName, items);
  }
  const floors = await Promise.all(
    [few, many].map((items) =>
      startServer([
        options.floorOf('keys'),
        JSON.stringify({ body: '{}', headers: {}, store: options.scratch(), items, bytes: 250 }),
      ]),
    ),
  );
  const rates = new Map<string, number[]>();
  for (let round = 0; round <= options.rounds; round++) {
    for (const operation of ['GetItem', 'PutItem'] as const) {
      for (const [name, items, floor] of [
        ['few', few, floors[0]!],
        ['many', many, floors[1]!],
      ] as const) {
        for (const [side, port] of [
          ['cloud', cloud.port],
          ['floor', floor.port],
        ] as const) {
          const { perSecond } = await load({
            port,
            connections,
            durationMs: 3_000,
            request: () => requestOf(port, operation, JSON.stringify(single(operation, name, scattered(items)))),
          });
          const key = `${side} ${operation} ${name}`;
          if (round > 0) rates.set(key, [...(rates.get(key) ?? []), perSecond]);
        }
      }
    }
  }
  const memoryMiB = anonymousMiB(cloud.pid);
  await Promise.all([cloud.stop(), ...floors.map((floor) => floor.stop())]);
  const told = (side: string, operation: string, target: string | undefined): Result => {
    const [slow, fast] = ['many', 'few'].map((name) => median(rates.get(`${side} ${operation} ${name}`)!));
    const title = `${operation} among ${many.toLocaleString('en')}${side === 'floor' ? ', the floor' : ''}`;
    return result(title, `${Math.round(slow!)}/s`, `among 10,000: ${Math.round(fast!)}/s`, slow! / fast!, target);
  };
  return [
    told('cloud', 'GetItem', '>= 0.9'),
    told('floor', 'GetItem', undefined),
    told('cloud', 'PutItem', '>= 0.4'),
    told('floor', 'PutItem', undefined),
    result('anonymous memory then', `${memoryMiB.toFixed(0)} MiB`, '300 MiB', memoryMiB / 300, '<= 1'),
  ];
}

function single(operation: 'GetItem' | 'PutItem', TableName: string, index: number): object {
  const pk = { S: `device-${index}` };
  return operation === 'GetItem' ? { TableName, Key: { pk } } : { TableName, Item: device(index) };
}

function device(index: number): object {
  return {
    pk: { S: `device-${index}` },
    customerId: { S: 'customer-12345' },
    status: { S: 'provisioning' },
    attempts: { N: String(index % 7) },
    note: { S: 'x'.repeat(100) },
  };
}

async function fill(port: number, name: string, items: number): Promise<void> {
  let next = 0;
  await load({
    port,
    connections,
    durationMs: Number.POSITIVE_INFINITY,
    stop: () => next >= items,
    request: () => {
      const from = next;
      next += 25;
      const requests = range(25).map((n) => ({ PutRequest: { Item: device((from + n) % items) } }));
      return requestOf(port, 'BatchWriteItem', JSON.stringify({ RequestItems: { [name]: requests } }));
    },
  });
}

/** Any index, evenly; the benchmark needs no seed. */
function scattered(items: number): number {
  return Math.floor(Math.random() * items);
}

function kilobyte(pk: string, sk: number): object {
  return { pk: { S: pk }, sk: { N: String(sk) }, v: { S: 'x'.repeat(1_000) } };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function requestOf(port: number, operation: string, body: string): Buffer {
  return awsRequest({ port, service: 'dynamodb', target: `DynamoDB_20120810.${operation}`, body });
}

async function create(options: TablesOptions, port: number, input: { readonly TableName: string }): Promise<void> {
  await send(options, port, 'CreateTable', input);
  for (;;) {
    const { body } = await send(options, port, 'DescribeTable', { TableName: input.TableName });
    if ((JSON.parse(body) as { Table: { TableStatus: string } }).Table.TableStatus === 'ACTIVE') return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function send({ exchange }: TablesOptions, port: number, operation: string, input: object) {
  return exchange(port, 'dynamodb', `DynamoDB_20120810.${operation}`, JSON.stringify(input));
}
