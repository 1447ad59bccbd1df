import {
  CreateTableCommand,
  DeleteTableCommand,
  DescribeContinuousBackupsCommand,
  DescribeEndpointsCommand,
  DescribeLimitsCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  DynamoDBClient,
  GetItemCommand,
  ListTablesCommand,
  ListTagsOfResourceCommand,
  PutItemCommand,
  QueryCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateTableCommand,
  UpdateTimeToLiveCommand,
  waitUntilTableExists,
  waitUntilTableNotExists,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { createTable, rawRequest, untilActive } from './test-support.ts';

describe('tables', () => {
  let cloud: TestCloud;
  let client: DynamoDBClient;

  beforeAll(async () => {
    cloud = await startTestCloud({ services: ['dynamodb'] });
    client = new DynamoDBClient(cloud.clientConfig);
  });
  afterAll(async () => {
    client.destroy();
    await cloud.close();
  });

  const key = { pk: { S: 'a' } };

  it('come to life and go away, as the waiters see', async () => {
    const { TableDescription: created } = await client.send(
      new CreateTableCommand({
        TableName: 'life',
        AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
        ProvisionedThroughput: { ReadCapacityUnits: 5, WriteCapacityUnits: 2 },
      }),
    );
    expect(created).toMatchObject({
      TableName: 'life',
      TableStatus: 'CREATING',
      TableArn: 'arn:aws:dynamodb:us-east-1:000000000000:table/life',
      ItemCount: 0,
      TableSizeBytes: 0,
      DeletionProtectionEnabled: false,
      ProvisionedThroughput: { NumberOfDecreasesToday: 0, ReadCapacityUnits: 5, WriteCapacityUnits: 2 },
    });
    await expect(client.send(new GetItemCommand({ TableName: 'life', Key: key }))).rejects.toThrow(
      'Requested resource not found',
    );
    await expect(client.send(new DeleteTableCommand({ TableName: 'life' }))).rejects.toThrow(
      'Attempt to change a resource which is still in use: Table is being created: life',
    );
    await waitUntilTableExists({ client, maxWaitTime: 10, minDelay: 1, maxDelay: 1 }, { TableName: 'life' });

    await client.send(new PutItemCommand({ TableName: 'life', Item: { ...key, v: { S: '12345' } } }));
    const { Table } = await client.send(new DescribeTableCommand({ TableName: 'life' }));
    expect(Table).toMatchObject({ ItemCount: 1, TableSizeBytes: 9 });

    const { TableDescription: leaving } = await client.send(new DeleteTableCommand({ TableName: 'life' }));
    expect(leaving?.TableStatus).toBe('DELETING');
    await expect(client.send(new GetItemCommand({ TableName: 'life', Key: key }))).rejects.toThrow(
      'Requested resource not found',
    );
    await waitUntilTableNotExists({ client, maxWaitTime: 10, minDelay: 1, maxDelay: 1 }, { TableName: 'life' });
    await createTable(client, { TableName: 'life' });
    expect((await client.send(new GetItemCommand({ TableName: 'life', Key: key }))).Item).toBeUndefined();
  });

  it('can be named by ARN', async () => {
    await createTable(client, { TableName: 'named' });
    const TableName = 'arn:aws:dynamodb:us-east-1:000000000000:table/named';
    await client.send(new PutItemCommand({ TableName, Item: key }));
    expect((await client.send(new GetItemCommand({ TableName, Key: key }))).Item).toEqual(key);
    expect((await client.send(new DescribeTableCommand({ TableName }))).Table?.TableName).toBe('named');
    const elsewhere = new GetItemCommand({ TableName: TableName.replace('us-east-1', 'eu-west-1'), Key: key });
    await expect(client.send(elsewhere)).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });

  it('are refused in AWS’s words', async () => {
    const good = {
      TableName: 'words',
      AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
    };
    const cases: readonly (readonly [string, object, string])[] = [
      [
        'CreateTable',
        good,
        'ValidationException: One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED',
      ],
      [
        'DescribeTable',
        { TableName: 'nothing' },
        'ResourceNotFoundException: Requested resource not found: Table: nothing not found',
      ],
      [
        'DeleteTable',
        { TableName: 'nothing' },
        'ResourceNotFoundException: Requested resource not found: Table: nothing not found',
      ],
      [
        'UpdateTable',
        { TableName: 'nothing', DeletionProtectionEnabled: true },
        'ResourceNotFoundException: Requested resource not found: Table: nothing not found',
      ],
      [
        'CreateTable',
        { ...good, TableName: 'life', BillingMode: 'PAY_PER_REQUEST' },
        'ResourceInUseException: Table already exists: life',
      ],
      [
        'ListTagsOfResource',
        { ResourceArn: 'a:b:c:d:e:f/g' },
        'ValidationException: Invalid TableArn: Invalid ResourceArn provided as input a:b:c:d:e:f/g',
      ],
    ];
    for (const [operation, input, expected] of cases) {
      const { type, message } = await rawRequest(cloud.endpoint, operation, input);
      expect(`${type}: ${message}`).toBe(expected);
    }
  });

  it('are listed page by page', async () => {
    for (const TableName of ['list-c', 'list-a', 'list-b']) await createTable(client, { TableName });
    const first = await client.send(new ListTablesCommand({ ExclusiveStartTableName: 'list-', Limit: 2 }));
    expect(first).toMatchObject({ TableNames: ['list-a', 'list-b'], LastEvaluatedTableName: 'list-b' });
    const second = await client.send(new ListTablesCommand({ ExclusiveStartTableName: 'list-b', Limit: 1 }));
    expect(second.TableNames).toEqual(['list-c']);
    const elsewhere = new DynamoDBClient({ ...cloud.clientConfig, region: 'eu-west-1' });
    expect((await elsewhere.send(new ListTablesCommand({}))).TableNames).toEqual([]);
    elsewhere.destroy();
  });

  it('change their throughput, billing and protection', async () => {
    await createTable(client, {
      TableName: 'settings',
      BillingMode: 'PROVISIONED',
      ProvisionedThroughput: { ReadCapacityUnits: 5, WriteCapacityUnits: 5 },
    });
    const update = async (input: object) => {
      await client.send(new UpdateTableCommand({ TableName: 'settings', ...input }));
      return untilActive(client, 'settings');
    };
    await expect(update({ ProvisionedThroughput: { ReadCapacityUnits: 5, WriteCapacityUnits: 5 } })).rejects.toThrow(
      'The provisioned throughput for the table will not change.',
    );
    const lower = await update({ ProvisionedThroughput: { ReadCapacityUnits: 1, WriteCapacityUnits: 6 } });
    expect(lower.ProvisionedThroughput).toMatchObject({
      NumberOfDecreasesToday: 1,
      ReadCapacityUnits: 1,
      WriteCapacityUnits: 6,
      LastIncreaseDateTime: expect.any(Date),
      LastDecreaseDateTime: expect.any(Date),
    });
    await update({ DeletionProtectionEnabled: true });
    const onDemand = await update({ BillingMode: 'PAY_PER_REQUEST' });
    expect(onDemand).toMatchObject({
      BillingModeSummary: { BillingMode: 'PAY_PER_REQUEST' },
      ProvisionedThroughput: { ReadCapacityUnits: 0 },
      DeletionProtectionEnabled: true,
    });
    await expect(client.send(new DeleteTableCommand({ TableName: 'settings' }))).rejects.toThrow(
      'protected against deletion',
    );
  });

  it('get an index over the items they have, and lose it', async () => {
    await createTable(client, { TableName: 'indexed' });
    const put = (n: number) =>
      client.send(
        new PutItemCommand({
          TableName: 'indexed',
          Item: { pk: { S: `p${n}` }, g: { S: `g${n % 2}` }, n: { N: String(n) } },
        }),
      );
    for (let n = 0; n < 250; n++) await put(n);
    await client.send(
      new UpdateTableCommand({
        TableName: 'indexed',
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          { AttributeName: 'g', AttributeType: 'S' },
          { AttributeName: 'n', AttributeType: 'N' },
        ],
        GlobalSecondaryIndexUpdates: [
          {
            Create: {
              IndexName: 'byG',
              KeySchema: [
                { AttributeName: 'g', KeyType: 'HASH' },
                { AttributeName: 'n', KeyType: 'RANGE' },
              ],
              Projection: { ProjectionType: 'ALL' },
            },
          },
        ],
      }),
    );
    const query = new QueryCommand({
      TableName: 'indexed',
      IndexName: 'byG',
      KeyConditionExpression: 'g = :g',
      ExpressionAttributeValues: { ':g': { S: 'g0' } },
    });
    await expect(client.send(query)).rejects.toThrow('Cannot read from backfilling global secondary index: byG');
    // Old items change and new ones come while the index is being filled.
    for (let n = 200; n < 300; n++) await put(n);
    const table = await untilActive(client, 'indexed');
    expect(table.GlobalSecondaryIndexes).toMatchObject([{ IndexName: 'byG', ItemCount: 300 }]);
    const found = await client.send(query);
    expect(found.Items?.map(({ n }) => Number(n?.N))).toEqual(Array.from({ length: 150 }, (_, n) => n * 2));

    await client.send(
      new UpdateTableCommand({ TableName: 'indexed', GlobalSecondaryIndexUpdates: [{ Delete: { IndexName: 'byG' } }] }),
    );
    await expect(client.send(query)).rejects.toThrow('The table does not have the specified index: byG');
    const without = await untilActive(client, 'indexed');
    expect(without.GlobalSecondaryIndexes).toBeUndefined();
    expect(without.AttributeDefinitions).toEqual([{ AttributeName: 'pk', AttributeType: 'S' }]);
  });

  it('carry tags', async () => {
    const { TableArn: ResourceArn } = await createTable(client, {
      TableName: 'tagged',
      Tags: [{ Key: 'a', Value: '1' }],
    });
    await client.send(
      new TagResourceCommand({
        ResourceArn,
        Tags: [
          { Key: 'b', Value: '2' },
          { Key: 'a', Value: '3' },
        ],
      }),
    );
    const tags = async () => (await client.send(new ListTagsOfResourceCommand({ ResourceArn }))).Tags;
    expect(await tags()).toEqual([
      { Key: 'a', Value: '3' },
      { Key: 'b', Value: '2' },
    ]);
    await client.send(new UntagResourceCommand({ ResourceArn, TagKeys: ['a', 'x'] }));
    expect(await tags()).toEqual([{ Key: 'b', Value: '2' }]);
    const none = client.send(new ListTagsOfResourceCommand({ ResourceArn: `${ResourceArn}-not` }));
    await expect(none).rejects.toThrow(`Requested resource not found: ResourcArn: ${ResourceArn}-not not found`);
  });

  it('answer what is known of limits, endpoints and backups', async () => {
    expect(await client.send(new DescribeLimitsCommand({}))).toMatchObject({ TableMaxReadCapacityUnits: 40_000 });
    const { Endpoints } = await client.send(new DescribeEndpointsCommand({}));
    expect(Endpoints?.[0]?.Address).toBe(new URL(cloud.endpoint).host);
    const backups = await client.send(new DescribeContinuousBackupsCommand({ TableName: 'life' }));
    expect(backups.ContinuousBackupsDescription).toMatchObject({
      ContinuousBackupsStatus: 'ENABLED',
      PointInTimeRecoveryDescription: { PointInTimeRecoveryStatus: 'DISABLED' },
    });
  });
});

describe('time to live', () => {
  it('deletes what has expired, and only that', async () => {
    const cloud = await startTestCloud({ services: ['dynamodb'], clock: 'virtual' });
    const client = new DynamoDBClient(cloud.clientConfig);
    await createTable(client, { TableName: 'sessions' }, cloud.clock);
    const nowSeconds = Math.floor(cloud.clock.now() / 1000);
    const put = (name: string, seconds: object) =>
      client.send(
        new PutItemCommand({ TableName: 'sessions', Item: { pk: { S: name }, expires: seconds as { N: string } } }),
      );
    await put('before', { N: String(nowSeconds + 100) });
    const TimeToLiveSpecification = { AttributeName: 'expires', Enabled: true };
    await client.send(new UpdateTimeToLiveCommand({ TableName: 'sessions', TimeToLiveSpecification }));
    await put('soon', { N: String(nowSeconds + 200) });
    await put('later', { N: String(nowSeconds + 10_000) });
    await put('moved', { N: String(nowSeconds + 100) });
    await put('moved', { N: String(nowSeconds + 10_000) });
    await put('text', { S: String(nowSeconds + 100) });
    await put('long ago', { N: '1' });
    await cloud.clock.advance(60_000);
    const described = await client.send(new DescribeTimeToLiveCommand({ TableName: 'sessions' }));
    expect(described.TimeToLiveDescription).toEqual({ TimeToLiveStatus: 'ENABLED', AttributeName: 'expires' });
    const again = client.send(new UpdateTimeToLiveCommand({ TableName: 'sessions', TimeToLiveSpecification }));
    await expect(again).rejects.toThrow('TimeToLive is already enabled');

    await cloud.clock.advance(600_000);
    const left: string[] = [];
    for (const name of ['before', 'soon', 'later', 'moved', 'text', 'long ago']) {
      const got = await client.send(new GetItemCommand({ TableName: 'sessions', Key: { pk: { S: name } } }));
      if (got.Item !== undefined) left.push(name);
    }
    expect(left).toEqual(['later', 'moved', 'text', 'long ago']);
    const { Table } = await client.send(new DescribeTableCommand({ TableName: 'sessions' }));
    expect(Table?.ItemCount).toBe(4);
    client.destroy();
    await cloud.close();
  });
});

describe('tables on LMDB', () => {
  it('are there after a restart, and what was under way goes on', async () => {
    const before = await startTestCloud({ engine: 'lmdb', services: ['dynamodb'] });
    const client = new DynamoDBClient(before.clientConfig);
    await createTable(client, { TableName: 'kept' });
    await client.send(new PutItemCommand({ TableName: 'kept', Item: { pk: { S: 'a' }, v: { N: '1' } } }));
    await client.send(
      new CreateTableCommand({
        TableName: 'coming',
        AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
        BillingMode: 'PAY_PER_REQUEST',
      }),
    );
    client.destroy();
    const after = await before.restart();
    const again = new DynamoDBClient(after.clientConfig);
    const got = await again.send(new GetItemCommand({ TableName: 'kept', Key: { pk: { S: 'a' } } }));
    expect(got.Item).toEqual({ pk: { S: 'a' }, v: { N: '1' } });
    expect((await untilActive(again, 'coming')).TableStatus).toBe('ACTIVE');
    again.destroy();
    await after.close();
  });
});
