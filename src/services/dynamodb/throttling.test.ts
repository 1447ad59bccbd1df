import {
  BatchGetItemCommand,
  BatchWriteItemCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { dynamoDbLimits } from './limits.ts';
import { OnDemandRate } from './rules/throttling.ts';
import { collectionKey } from './state.ts';
import { createTable } from './test-support.ts';

/** Throughput under `--limits aws`, on a virtual clock: it moves on while requests run, and by leaps when it is told to. */
let cloud: TestCloud;
let client: DynamoDBClient;
beforeAll(async () => {
  cloud = await startTestCloud({ services: ['dynamodb'], clock: 'virtual', limits: 'aws' });
  client = new DynamoDBClient(cloud.clientConfig);
});
afterAll(async () => {
  client.destroy();
  await cloud.close();
});

const provisioned = (read: number, write: number) => ({
  BillingMode: 'PROVISIONED' as const,
  ProvisionedThroughput: { ReadCapacityUnits: read, WriteCapacityUnits: write },
});
const arn = (resource: string): string => `arn:aws:dynamodb:us-east-1:000000000000:table/${resource}`;
const kilobytes = (count: number) => ({ S: 'x'.repeat(count * 1024 - 20) });

interface Refusal {
  readonly name: string;
  readonly message: string;
  readonly ThrottlingReasons?: readonly object[];
  readonly throttlingReasons?: readonly object[];
}

/** Repeats a request until it is refused. */
async function untilRefused(request: () => Promise<unknown>, most = 200): Promise<Refusal & { readonly done: number }> {
  for (let done = 0; done < most; done++) {
    try {
      await request();
    } catch (error) {
      const { name, message, ThrottlingReasons, throttlingReasons } = error as Refusal;
      return {
        name,
        message,
        done,
        ...(ThrottlingReasons && { ThrottlingReasons }),
        ...(throttlingReasons && { throttlingReasons }),
      };
    }
  }
  throw new Error(`not refused in ${most} requests`);
}

describe('provisioned tables', () => {
  it('take 300 seconds of burst, then what is provisioned', async () => {
    await createTable(client, { TableName: 'slow', ...provisioned(1, 1) }, cloud.clock);
    const put = () =>
      client.send(new PutItemCommand({ TableName: 'slow', Item: { pk: { S: 'a' }, v: kilobytes(100) } }));
    const refused = await untilRefused(put);
    expect(refused).toMatchObject({
      done: 3,
      name: 'ProvisionedThroughputExceededException',
      message:
        'The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.',
      ThrottlingReasons: [{ reason: 'TableWriteProvisionedThroughputExceeded', resource: arn('slow') }],
    });
    await cloud.clock.advance(20_000);
    await put();
    await expect(put()).rejects.toMatchObject({ name: 'ProvisionedThroughputExceededException' });
    // Reads have a bucket of their own: half a unit for each of 25 blocks of 4 KB.
    const get = () => client.send(new GetItemCommand({ TableName: 'slow', Key: { pk: { S: 'a' } } }));
    expect(await untilRefused(get)).toMatchObject({
      done: 24,
      ThrottlingReasons: [{ reason: 'TableReadProvisionedThroughputExceeded', resource: arn('slow') }],
    });
  });

  it('leave to batches what they have no throughput for', async () => {
    await createTable(client, { TableName: 'batches', ...provisioned(1, 1) }, cloud.clock);
    await createTable(client, { TableName: 'idle', ...provisioned(1, 1) }, cloud.clock);
    const put = () =>
      client.send(new PutItemCommand({ TableName: 'batches', Item: { pk: { S: 'a' }, v: kilobytes(300) } }));
    await untilRefused(put);
    const write = { PutRequest: { Item: { pk: { S: 'b' } } } };
    const written = await client.send(new BatchWriteItemCommand({ RequestItems: { batches: [write], idle: [write] } }));
    expect(written.UnprocessedItems).toEqual({ batches: [write] });
    const only = client.send(new BatchWriteItemCommand({ RequestItems: { batches: [write] } }));
    await expect(only).rejects.toMatchObject({ name: 'ProvisionedThroughputExceededException' });
    const transaction = client.send(
      new TransactWriteItemsCommand({
        TransactItems: [
          { Put: { TableName: 'idle', Item: { pk: { S: 't' } } } },
          { Put: { TableName: 'batches', Item: { pk: { S: 't' } } } },
        ],
      }),
    );
    await expect(transaction).rejects.toMatchObject({
      CancellationReasons: [{ Code: 'None' }, { Code: 'ProvisionedThroughputExceeded' }],
    });

    await untilRefused(() =>
      client.send(new GetItemCommand({ TableName: 'batches', Key: { pk: { S: 'a' } }, ConsistentRead: true })),
    );
    const Keys = [{ pk: { S: 'a' } }, { pk: { S: 'b' } }];
    const read = await client.send(
      new BatchGetItemCommand({ RequestItems: { batches: { Keys, ConsistentRead: true }, idle: { Keys } } }),
    );
    expect(read.UnprocessedKeys).toEqual({ batches: { Keys, ConsistentRead: true } });
    expect(read.Responses?.['idle']).toEqual([{ pk: { S: 'b' } }]);
  });

  it('make their writes wait for their indexes', async () => {
    const GlobalSecondaryIndexes = [
      {
        IndexName: 'narrow',
        KeySchema: [{ AttributeName: 'g', KeyType: 'HASH' as const }],
        Projection: { ProjectionType: 'ALL' as const },
        ProvisionedThroughput: { ReadCapacityUnits: 1, WriteCapacityUnits: 1 },
      },
    ];
    const AttributeDefinitions = ['pk', 'g'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' as const }));
    await createTable(
      client,
      { TableName: 'indexed', ...provisioned(1000, 1000), AttributeDefinitions, GlobalSecondaryIndexes },
      cloud.clock,
    );
    let number = 0;
    const put = (more: object) =>
      client.send(
        new PutItemCommand({ TableName: 'indexed', Item: { pk: { S: String(number++) }, v: kilobytes(100), ...more } }),
      );
    expect(await untilRefused(() => put({ g: { S: 'x' } }))).toMatchObject({
      done: 3,
      ThrottlingReasons: [{ reason: 'IndexWriteProvisionedThroughputExceeded', resource: arn('indexed/index/narrow') }],
    });
    await put({});
    const query = () =>
      client.send(
        new QueryCommand({
          TableName: 'indexed',
          IndexName: 'narrow',
          KeyConditionExpression: 'g = :g',
          ExpressionAttributeValues: { ':g': { S: 'x' } },
        }),
      );
    expect(await untilRefused(query)).toMatchObject({
      ThrottlingReasons: [{ reason: 'IndexReadProvisionedThroughputExceeded', resource: arn('indexed/index/narrow') }],
    });
  });
});

describe('on-demand tables', () => {
  it('are held to the maximum that was asked for', async () => {
    await createTable(
      client,
      { TableName: 'capped', OnDemandThroughput: { MaxWriteRequestUnits: 5, MaxReadRequestUnits: -1 } },
      cloud.clock,
    );
    const put = () =>
      client.send(new PutItemCommand({ TableName: 'capped', Item: { pk: { S: 'a' }, v: kilobytes(20) } }));
    expect(await untilRefused(put)).toMatchObject({
      name: 'ThrottlingException',
      message: 'Throughput exceeds the maximum OnDemandThroughput configured on table or index',
      throttlingReasons: [{ reason: 'TableWriteMaxOnDemandThroughputExceeded', resource: arn('capped') }],
    });
  });

  it('are throttled where one key takes more than a partition can', async () => {
    await createTable(client, { TableName: 'hot' }, cloud.clock);
    const put = (pk: string) =>
      client.send(new PutItemCommand({ TableName: 'hot', Item: { pk: { S: pk }, v: kilobytes(390) } }));
    expect(await untilRefused(() => put('hot'))).toMatchObject({
      name: 'ThrottlingException',
      throttlingReasons: [{ reason: 'TableWriteKeyRangeThroughputExceeded', resource: arn('hot') }],
    });
    await put('cold');
  });

  it('double what they take every half hour', () => {
    const settings = { initial: 4_000, growthMs: 1_800_000, burstSeconds: 1 };
    const rate = new OnDemandRate(settings, 0);
    let nowMs = 0;
    const refusedAt = (perSecond: number): boolean => {
      let refused = false;
      for (const end = nowMs + 2_000; nowMs < end; nowMs += 100) {
        if (rate.isExhausted(nowMs)) refused = true;
        else rate.charge(perSecond / 10, nowMs);
      }
      return refused;
    };
    expect(refusedAt(3_900)).toBe(false);
    expect(refusedAt(7_000)).toBe(true);
    nowMs += 1_800_000;
    rate.charge(1, nowMs);
    nowMs += 10_000;
    expect(refusedAt(7_000)).toBe(false);
  });
});

it('refuses to let an item collection outgrow 10 GB', async () => {
  await createTable(
    client,
    {
      TableName: 'collections',
      AttributeDefinitions: ['pk', 'sk', 'l'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
      LocalSecondaryIndexes: [
        {
          IndexName: 'local',
          KeySchema: [
            { AttributeName: 'pk', KeyType: 'HASH' },
            { AttributeName: 'l', KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'ALL' },
        },
      ],
    },
    cloud.clock,
  );
  const put = (pk: string) =>
    client.send(
      new PutItemCommand({
        TableName: 'collections',
        Item: { pk: { S: pk }, sk: { S: '1' }, v: kilobytes(1) },
        ReturnItemCollectionMetrics: 'SIZE',
      }),
    );
  expect((await put('full')).ItemCollectionMetrics).toEqual({
    ItemCollectionKey: { pk: { S: 'full' } },
    SizeEstimateRangeGB: [0, 1],
  });
  // As if ten gigabytes had been written.
  const { store } = cloud.cloud.platform;
  const tableId = await lastTableId();
  const delta = dynamoDbLimits.collectionBytes.value;
  await store.commit({ sum: [{ key: collectionKey(tableId, { S: 'full' }), delta }] });
  const sized = client.send(
    new PutItemCommand({ TableName: 'collections', Item: { pk: { S: 'full' }, sk: { S: '2' } } }),
  );
  await expect(sized).rejects.toMatchObject({
    name: 'ItemCollectionSizeLimitExceededException',
    message: 'Item collection size limit of 10 gigabytes exceeded.',
  });
  await put('other');
});

async function lastTableId(): Promise<number> {
  const { lastTableIdKey } = await import('./state.ts');
  const entry = await cloud.cloud.platform.store.get(lastTableIdKey);
  const { counterValue } = await import('../../kernel/store/contract.ts');
  return counterValue(entry!.value);
}
