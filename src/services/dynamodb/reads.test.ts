import {
  BatchWriteItemCommand,
  DynamoDBClient,
  PutItemCommand,
  QueryCommand,
  type QueryCommandInput,
  ScanCommand,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { compositeKey, createTable } from './test-support.ts';

describe('Query and Scan', () => {
  let cloud: TestCloud;
  let client: DynamoDBClient;

  beforeAll(async () => {
    cloud = await startTestCloud({ services: ['dynamodb'] });
    client = new DynamoDBClient(cloud.clientConfig);
    await createTable(client, {
      TableName: 'orders',
      AttributeDefinitions: [...compositeKey.AttributeDefinitions, { AttributeName: 'at', AttributeType: 'S' }],
      KeySchema: compositeKey.KeySchema,
      LocalSecondaryIndexes: [
        {
          IndexName: 'byTime',
          KeySchema: [
            { AttributeName: 'pk', KeyType: 'HASH' },
            { AttributeName: 'at', KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'KEYS_ONLY' },
        },
      ],
      GlobalSecondaryIndexes: [
        {
          IndexName: 'onTime',
          KeySchema: [{ AttributeName: 'at', KeyType: 'HASH' }],
          Projection: { ProjectionType: 'KEYS_ONLY' },
        },
      ],
    });
    for (let first = 0; first < 100; first += 25) {
      await client.send(
        new BatchWriteItemCommand({
          RequestItems: {
            orders: Array.from({ length: 25 }, (_, offset) => {
              const n = String(first + offset);
              const Item = {
                pk: { S: 'p' },
                sk: { N: n },
                at: { S: `t${n.padStart(3, '0')}` },
                v: { S: 'x'.repeat(80) },
              };
              return { PutRequest: { Item } };
            }),
          },
        }),
      );
    }
  });
  afterAll(async () => {
    client.destroy();
    await cloud.close();
  });

  const query = (input: Partial<QueryCommandInput>) =>
    client.send(
      new QueryCommand({
        TableName: 'orders',
        KeyConditionExpression: 'pk = :p',
        ExpressionAttributeValues: { ':p': { S: 'p' }, ...input.ExpressionAttributeValues },
        ...input,
        ...(input.ExpressionAttributeValues && {
          ExpressionAttributeValues: { ':p': { S: 'p' }, ...input.ExpressionAttributeValues },
        }),
      }),
    );

  it('counts what a filter leaves, and what it read', async () => {
    const page = await query({
      FilterExpression: 'sk2 = :x OR begins_with(v, :x)',
      ExpressionAttributeValues: { ':x': { S: 'y' } },
      ReturnConsumedCapacity: 'INDEXES',
      ConsistentRead: true,
    });
    expect(page).toMatchObject({ Count: 0, ScannedCount: 100, Items: [] });
    // 100 items of 2+1 + 2+2or3 + 2+4 + 1+80 bytes: 9.5 KB are three units of 4 KB.
    expect(page.ConsumedCapacity).toEqual({ TableName: 'orders', CapacityUnits: 3, Table: { CapacityUnits: 3 } });
    const count = await query({ Select: 'COUNT' });
    expect(count).toMatchObject({ Count: 100 });
    expect(count.Items).toBeUndefined();
  });

  it('says where to go on when the limit is reached, even at the end', async () => {
    const page = await query({ Limit: 100 });
    expect(page.LastEvaluatedKey).toEqual({ pk: { S: 'p' }, sk: { N: '99' } });
    const rest = await query({ ExclusiveStartKey: page.LastEvaluatedKey });
    expect(rest).toMatchObject({ Count: 0, Items: [] });
    expect(rest.LastEvaluatedKey).toBeUndefined();
  });

  it('ends a page at a megabyte', async () => {
    await createTable(client, { TableName: 'large', ...compositeKey });
    for (let n = 0; n < 5; n++) {
      const Item = { pk: { S: 'p' }, sk: { N: String(n) }, v: { S: 'x'.repeat(300_000) } };
      await client.send(new PutItemCommand({ TableName: 'large', Item }));
    }
    const first = await client.send(new ScanCommand({ TableName: 'large' }));
    expect(first.Count).toBe(4);
    const second = await client.send(
      new ScanCommand({ TableName: 'large', ExclusiveStartKey: first.LastEvaluatedKey }),
    );
    expect(second.Items?.map(({ sk }) => sk)).toEqual([{ N: '4' }]);
    expect(second.LastEvaluatedKey).toBeUndefined();
  });

  it('filters by what an index holds', async () => {
    const filter = { FilterExpression: 'v = :v AND w = :v', ExpressionAttributeValues: { ':v': { S: 'x' } } };
    const queried = query({
      IndexName: 'byTime',
      ...filter,
      ExpressionAttributeValues: { ...filter.ExpressionAttributeValues, ':p': { S: 'p' } },
    });
    await expect(queried).rejects.toThrow(
      'One or more parameter values were invalid: Secondary index byTime does not project one or more filter attributes: [v, w]',
    );
    const scanned = await client.send(new ScanCommand({ TableName: 'orders', IndexName: 'byTime', ...filter }));
    expect(scanned).toMatchObject({ Count: 0, ScannedCount: 100 });
  });

  it('fetches from the table what a local index lacks, and says what a global one lacks', async () => {
    const local = await query({
      IndexName: 'byTime',
      KeyConditionExpression: 'pk = :p AND #at BETWEEN :a AND :b',
      ExpressionAttributeNames: { '#at': 'at' },
      ExpressionAttributeValues: { ':a': { S: 't010' }, ':b': { S: 't011' } },
      ProjectionExpression: 'sk, v',
      ReturnConsumedCapacity: 'INDEXES',
    });
    expect(local.Items).toEqual([
      { sk: { N: '10' }, v: { S: 'x'.repeat(80) } },
      { sk: { N: '11' }, v: { S: 'x'.repeat(80) } },
    ]);
    expect(local.ConsumedCapacity).toMatchObject({
      CapacityUnits: 1.5,
      Table: { CapacityUnits: 1 },
      LocalSecondaryIndexes: { byTime: { CapacityUnits: 0.5 } },
    });
    const global = client.send(
      new ScanCommand({ TableName: 'orders', IndexName: 'onTime', ProjectionExpression: 'v' }),
    );
    await expect(global).rejects.toThrow(
      'One or more parameter values were invalid: Global secondary index onTime does not project [v]',
    );
    const consistent = client.send(new ScanCommand({ TableName: 'orders', IndexName: 'onTime', ConsistentRead: true }));
    await expect(consistent).rejects.toThrow('Consistent reads are not supported on global secondary indexes');
  });

  it('refuses a starting key of another segment', async () => {
    const pages = await Promise.all(
      [0, 1].map((Segment) =>
        client.send(new ScanCommand({ TableName: 'orders', Segment, TotalSegments: 2, Limit: 1 })),
      ),
    );
    const started = pages.findIndex(({ LastEvaluatedKey }) => LastEvaluatedKey !== undefined);
    const other = client.send(
      new ScanCommand({
        TableName: 'orders',
        Segment: 1 - started,
        TotalSegments: 2,
        ExclusiveStartKey: pages[started]!.LastEvaluatedKey,
      }),
    );
    await expect(other).rejects.toThrow('Please use ExclusiveStartKey with correct Segment');
  });

  it('tells the size of an item collection, and what a write cost the indexes', async () => {
    const put = await client.send(
      new PutItemCommand({
        TableName: 'orders',
        Item: { pk: { S: 'q' }, sk: { N: '1' }, at: { S: 't1' } },
        ReturnItemCollectionMetrics: 'SIZE',
        ReturnConsumedCapacity: 'INDEXES',
      }),
    );
    expect(put.ItemCollectionMetrics).toEqual({ ItemCollectionKey: { pk: { S: 'q' } }, SizeEstimateRangeGB: [0, 1] });
    expect(put.ConsumedCapacity).toEqual({
      TableName: 'orders',
      CapacityUnits: 3,
      Table: { CapacityUnits: 1 },
      LocalSecondaryIndexes: { byTime: { CapacityUnits: 1 } },
      GlobalSecondaryIndexes: { onTime: { CapacityUnits: 1 } },
    });
  });

  it('refuses an index that is not there', async () => {
    await expect(query({ IndexName: 'none' })).rejects.toThrow('The table does not have the specified index: none');
  });
});
