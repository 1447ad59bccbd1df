import {
  BatchGetItemCommand,
  BatchWriteItemCommand,
  DynamoDBClient,
  GetItemCommand,
  TransactGetItemsCommand,
  TransactWriteItemsCommand,
  type TransactWriteItemsCommandInput,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { compositeKey, createTable } from './test-support.ts';

describe('batches and transactions', () => {
  let cloud: TestCloud;
  let client: DynamoDBClient;

  beforeAll(async () => {
    cloud = await startTestCloud({ services: ['dynamodb'], clock: 'virtual' });
    client = new DynamoDBClient(cloud.clientConfig);
    await createTable(client, { TableName: 'things' }, cloud.clock);
    await createTable(client, { TableName: 'pairs', ...compositeKey }, cloud.clock);
  });
  afterAll(async () => {
    client.destroy();
    await cloud.close();
  });

  const put = (name: string, v = '1') => ({ PutRequest: { Item: { pk: { S: name }, v: { S: v } } } });
  const get = async (name: string) =>
    (await client.send(new GetItemCommand({ TableName: 'things', Key: { pk: { S: name } } }))).Item;

  it('writes and reads several tables at once', async () => {
    const written = await client.send(
      new BatchWriteItemCommand({
        RequestItems: {
          things: [put('a'), put('b'), { DeleteRequest: { Key: { pk: { S: 'c' } } } }],
          pairs: [{ PutRequest: { Item: { pk: { S: 'a' }, sk: { N: '1' } } } }],
        },
        ReturnConsumedCapacity: 'TOTAL',
      }),
    );
    expect(written.UnprocessedItems).toEqual({});
    expect(written.ConsumedCapacity).toEqual([
      { TableName: 'things', CapacityUnits: 3 },
      { TableName: 'pairs', CapacityUnits: 1 },
    ]);
    const read = await client.send(
      new BatchGetItemCommand({
        RequestItems: {
          things: { Keys: ['a', 'b', 'none'].map((name) => ({ pk: { S: name } })), ProjectionExpression: 'pk' },
          pairs: { Keys: [{ pk: { S: 'a' }, sk: { N: '1.0' } }] },
        },
      }),
    );
    expect(read.Responses).toEqual({
      things: [{ pk: { S: 'a' } }, { pk: { S: 'b' } }],
      pairs: [{ pk: { S: 'a' }, sk: { N: '1' } }],
    });
    expect(read.UnprocessedKeys).toEqual({});
  });

  it('refuses a batch wholly for one bad request in it', async () => {
    const write = (things: ReturnType<typeof put>[]) =>
      client.send(new BatchWriteItemCommand({ RequestItems: { things } }));
    await expect(write([put('new'), put('new')])).rejects.toThrow('Provided list of item keys contains duplicates');
    await expect(write([put('new'), put('')])).rejects.toThrow('cannot contain an empty string value');
    expect(await get('new')).toBeUndefined();
    const many = Array.from({ length: 26 }, (_, n) => put(`n${n}`));
    await expect(write(many)).rejects.toMatchObject({ name: 'ValidationException' });
    const spread = client.send(
      new BatchWriteItemCommand({
        RequestItems: { things: many.slice(0, 13), pairs: Array.from({ length: 13 }, () => put('x')) },
      }),
    );
    await expect(spread).rejects.toThrow('Too many items requested for the BatchWriteItem call');
  });

  it('leaves to another request what is over sixteen megabytes', async () => {
    const names = Array.from({ length: 50 }, (_, n) => `large ${n}`);
    for (let first = 0; first < names.length; first += 10) {
      const things = names.slice(first, first + 10).map((name) => put(name, 'x'.repeat(400_000)));
      await client.send(new BatchWriteItemCommand({ RequestItems: { things } }));
    }
    const Keys = names.map((name) => ({ pk: { S: name } }));
    const read = await client.send(new BatchGetItemCommand({ RequestItems: { things: { Keys } } }));
    expect(read.Responses?.['things']).toHaveLength(41);
    expect(read.UnprocessedKeys?.['things']?.Keys).toEqual(Keys.slice(41));
  });

  const transact = (input: Partial<TransactWriteItemsCommandInput>) =>
    client.send(new TransactWriteItemsCommand({ TransactItems: [], ...input }));

  it('does all of a transaction or nothing, and says why', async () => {
    const item = { pk: { S: 't1' }, v: { S: 'old' } };
    await transact({ TransactItems: [{ Put: { TableName: 'things', Item: item } }] });
    const failing = transact({
      TransactItems: [
        { Put: { TableName: 'things', Item: { pk: { S: 't2' } } } },
        {
          ConditionCheck: {
            TableName: 'things',
            Key: { pk: { S: 't1' } },
            ConditionExpression: 'v = :v',
            ExpressionAttributeValues: { ':v': { S: 'new' } },
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
          },
        },
        {
          Update: {
            TableName: 'pairs',
            Key: { pk: { S: 't' }, sk: { N: '1' } },
            UpdateExpression: 'SET a = b',
          },
        },
      ],
    });
    await expect(failing).rejects.toMatchObject({
      name: 'TransactionCanceledException',
      message:
        'Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed, ValidationError]',
      CancellationReasons: [
        { Code: 'None' },
        { Code: 'ConditionalCheckFailed', Message: 'The conditional request failed', Item: item },
        {
          Code: 'ValidationError',
          Message: 'The provided expression refers to an attribute that does not exist in the item',
        },
      ],
    });
    expect(await get('t2')).toBeUndefined();
  });

  it('writes several tables in one transaction, and reads them in one', async () => {
    const done = await transact({
      TransactItems: [
        { Put: { TableName: 'things', Item: { pk: { S: 'both' } } } },
        {
          Update: {
            TableName: 'pairs',
            Key: { pk: { S: 'both' }, sk: { N: '1' } },
            UpdateExpression: 'SET v = :v',
            ExpressionAttributeValues: { ':v': { N: '1' } },
          },
        },
        { Delete: { TableName: 'things', Key: { pk: { S: 'none' } } } },
      ],
      ReturnConsumedCapacity: 'TOTAL',
    });
    expect(done.ConsumedCapacity).toEqual([
      { TableName: 'things', CapacityUnits: 4, WriteCapacityUnits: 4 },
      { TableName: 'pairs', CapacityUnits: 2, WriteCapacityUnits: 2 },
    ]);
    const read = await client.send(
      new TransactGetItemsCommand({
        TransactItems: [
          { Get: { TableName: 'pairs', Key: { pk: { S: 'both' }, sk: { N: '1' } }, ProjectionExpression: 'v' } },
          { Get: { TableName: 'things', Key: { pk: { S: 'none' } } } },
        ],
      }),
    );
    expect(read.Responses).toEqual([{ Item: { v: { N: '1' } } }, {}]);
  });

  it('refuses two actions on one item, and entries with two actions', async () => {
    const Item = { pk: { S: 'twice' } };
    const Put = { TableName: 'things', Item };
    const twice = transact({ TransactItems: [{ Put }, { Delete: { TableName: 'things', Key: Item } }] });
    await expect(twice).rejects.toThrow('Transaction request cannot include multiple operations on one item');
    const double = transact({ TransactItems: [{ Put, Delete: { TableName: 'things', Key: Item } }] });
    await expect(double).rejects.toThrow('TransactItems can only contain one of Check, Put, Update or Delete');
  });

  it('does a transaction once for one token, for ten minutes', async () => {
    const add = (amount: string) =>
      transact({
        ClientRequestToken: 'token',
        TransactItems: [
          {
            Update: {
              TableName: 'things',
              Key: { pk: { S: 'sum' } },
              UpdateExpression: 'ADD n :n',
              ExpressionAttributeValues: { ':n': { N: amount } },
            },
          },
        ],
      });
    // The same token at the same time: one does it, the others find it done or under way.
    const outcomes = await Promise.allSettled([add('1'), add('1'), add('1')]);
    expect(outcomes.some(({ status }) => status === 'fulfilled')).toBe(true);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected')
        expect(outcome.reason).toMatchObject({ name: 'TransactionInProgressException' });
    }
    await add('1');
    expect(await get('sum')).toMatchObject({ n: { N: '1' } });
    await expect(add('2')).rejects.toMatchObject({ name: 'IdempotentParameterMismatchException' });
    await cloud.clock.advance(600_001);
    await add('2');
    expect(await get('sum')).toMatchObject({ n: { N: '3' } });
  });
});
