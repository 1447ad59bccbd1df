import {
  DeleteItemCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { compositeKey, createTable, rawRequest } from './test-support.ts';

describe.each(['memory', 'lmdb'] as const)('items on %s', (engine) => {
  let cloud: TestCloud;
  let client: DynamoDBClient;

  beforeAll(async () => {
    cloud = await startTestCloud({ engine, services: ['dynamodb'] });
    client = new DynamoDBClient(cloud.clientConfig);
    await createTable(client, { TableName: 'things' });
    await createTable(client, { TableName: 'pairs', ...compositeKey });
  });
  afterAll(async () => {
    client.destroy();
    await cloud.close();
  });

  it('gives back what was put, of every type', async () => {
    const Item = {
      pk: { S: 'types' },
      n: { N: '-12.50e2' },
      b: { B: new Uint8Array([0, 1, 254, 255]) },
      yes: { BOOL: true },
      none: { NULL: true },
      ss: { SS: ['a', 'b'] },
      ns: { NS: ['1', '2.0'] },
      bs: { BS: [new Uint8Array([1]), new Uint8Array([2, 3])] },
      l: { L: [{ S: '' }, { M: { 雲: { S: '海' }, __proto: { N: '0' } } }] },
    };
    await client.send(new PutItemCommand({ TableName: 'things', Item }));
    const got = await client.send(new GetItemCommand({ TableName: 'things', Key: { pk: { S: 'types' } } }));
    expect(got.Item).toEqual({ ...Item, n: { N: '-1250' }, ns: { NS: ['1', '2'] } });
  });

  it('puts, updates, returns and deletes', async () => {
    const Key = { pk: { S: 'a' }, sk: { N: '1' } };
    const put = new PutItemCommand({
      TableName: 'pairs',
      Item: { ...Key, v: { N: '1' } },
      ReturnValues: 'ALL_OLD',
      ReturnConsumedCapacity: 'TOTAL',
    });
    const first = await client.send(put);
    expect(first.Attributes).toBeUndefined();
    expect(first.ConsumedCapacity).toEqual({ TableName: 'pairs', CapacityUnits: 1 });
    const second = await client.send(put);
    expect(second.Attributes).toEqual({ ...Key, v: { N: '1' } });
    const updated = await client.send(
      new UpdateItemCommand({
        TableName: 'pairs',
        Key,
        UpdateExpression: 'SET v = v + :one, w = :w',
        ExpressionAttributeValues: { ':one': { N: '1' }, ':w': { B: new Uint8Array([7]) } },
        ReturnValues: 'UPDATED_NEW',
      }),
    );
    expect(updated.Attributes).toEqual({ v: { N: '2' }, w: { B: new Uint8Array([7]) } });
    const gone = await client.send(new DeleteItemCommand({ TableName: 'pairs', Key, ReturnValues: 'ALL_OLD' }));
    expect(gone.Attributes).toEqual({ ...Key, v: { N: '2' }, w: { B: new Uint8Array([7]) } });
    const got = await client.send(new GetItemCommand({ TableName: 'pairs', Key, ReturnConsumedCapacity: 'TOTAL' }));
    expect(got.Item).toBeUndefined();
    expect(got.ConsumedCapacity?.CapacityUnits).toBe(0.5);
  });

  it('refuses what AWS refuses, in its words and order', async () => {
    const cases: readonly (readonly [string, object, string])[] = [
      [
        'GetItem',
        { TableName: 'nothing', Key: { pk: { S: 'a' } } },
        'ResourceNotFoundException: Requested resource not found',
      ],
      [
        'GetItem',
        { TableName: 'things', Key: { pk: { S: 1 } } },
        'SerializationException: NUMBER_VALUE cannot be converted to String',
      ],
      [
        'GetItem',
        { TableName: 'things', Key: { pk: {} } },
        'ValidationException: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes',
      ],
      [
        'GetItem',
        { TableName: 'things', Key: { pk: null } },
        'ValidationException: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes',
      ],
      [
        'GetItem',
        { TableName: 'things', Key: { pk: { N: '1' } } },
        'ValidationException: The provided key element does not match the schema',
      ],
      [
        'GetItem',
        { TableName: 'nothing', Key: { pk: { N: 'one' } } },
        'ValidationException: The parameter cannot be converted to a numeric value: one',
      ],
      [
        'PutItem',
        { TableName: 'things', Item: { pk: { B: 'abc' } } },
        'SerializationException: Base64 encoded length is expected a multiple of 4 bytes but found: 3',
      ],
      [
        'PutItem',
        { TableName: 'things', Item: { v: { S: 'a' } } },
        'ValidationException: One or more parameter values were invalid: Missing the key pk in the item',
      ],
      [
        'PutItem',
        { TableName: 'things', Item: { pk: { S: '' } } },
        'ValidationException: One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk',
      ],
      [
        'PutItem',
        { TableName: 'things', Item: { pk: { S: 'x'.repeat(2049) } } },
        'ValidationException: One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes',
      ],
      [
        'PutItem',
        { TableName: 'things', Item: { pk: { S: 'a' }, v: { S: 'x'.repeat(409_600) } } },
        'ValidationException: 1 validation error detected: Item size has exceeded the maximum allowed size',
      ],
      [
        'UpdateItem',
        { TableName: 'things', Key: { pk: { S: 'a' } }, UpdateExpression: 'SET' },
        'ValidationException: 1 validation error detected: Invalid UpdateExpression: Syntax error; token: "<EOF>", near: "SET"',
      ],
      [
        'UpdateItem',
        {
          TableName: 'things',
          Key: { pk: { S: 'a' } },
          UpdateExpression: 'SET pk = :a',
          ExpressionAttributeValues: { ':a': { S: 'b' } },
        },
        'ValidationException: One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key',
      ],
    ];
    for (const [operation, input, expected] of cases) {
      const { status, type, message } = await rawRequest(cloud.endpoint, operation, input);
      expect(`${type}: ${message}`).toBe(expected);
      expect(status).toBe(400);
    }
  });

  it('takes the longest keys that AWS takes', async () => {
    await createTable(client, {
      TableName: 'bytes',
      AttributeDefinitions: [
        { AttributeName: 'pk', AttributeType: 'B' },
        { AttributeName: 'sk', AttributeType: 'B' },
      ],
      KeySchema: compositeKey.KeySchema,
    });
    const Key = { pk: { B: new Uint8Array(2048) }, sk: { B: new Uint8Array(1024) } };
    await client.send(new PutItemCommand({ TableName: 'bytes', Item: { ...Key, v: { S: 'long' } } }));
    const got = await client.send(new GetItemCommand({ TableName: 'bytes', Key }));
    expect(got.Item?.['v']).toEqual({ S: 'long' });
  });

  it('answers a failed condition with the item, if asked', async () => {
    const Item = { pk: { S: 'condition' }, b: { B: new Uint8Array([1, 2]) } };
    await client.send(new PutItemCommand({ TableName: 'things', Item }));
    const put = (ReturnValuesOnConditionCheckFailure: 'ALL_OLD' | 'NONE') =>
      client.send(
        new PutItemCommand({
          TableName: 'things',
          Item,
          ConditionExpression: 'attribute_not_exists(pk)',
          ReturnValuesOnConditionCheckFailure,
        }),
      );
    await expect(put('ALL_OLD')).rejects.toMatchObject({ name: 'ConditionalCheckFailedException', Item });
    const error = await put('NONE').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ message: 'The conditional request failed' });
    expect(error).not.toHaveProperty('Item.pk');
  });

  it('knows the parameters from before expressions', async () => {
    const Key = { pk: { S: 'legacy' } };
    await client.send(
      new UpdateItemCommand({
        TableName: 'things',
        Key,
        AttributeUpdates: { n: { Action: 'ADD', Value: { N: '5' } }, s: { Value: { S: 'x' } } },
        Expected: { n: { Exists: false } },
      }),
    );
    const again = client.send(
      new DeleteItemCommand({
        TableName: 'things',
        Key,
        Expected: { n: { ComparisonOperator: 'GT', AttributeValueList: [{ N: '5' }] } },
      }),
    );
    await expect(again).rejects.toMatchObject({ name: 'ConditionalCheckFailedException' });
    const got = await client.send(new GetItemCommand({ TableName: 'things', Key, AttributesToGet: ['n', 'x'] }));
    expect(got.Item).toEqual({ n: { N: '5' } });
  });

  it('makes no item of an update that only removes', async () => {
    const Key = { pk: { S: 'nothing there' } };
    await client.send(new UpdateItemCommand({ TableName: 'things', Key, UpdateExpression: 'REMOVE a' }));
    expect((await client.send(new GetItemCommand({ TableName: 'things', Key }))).Item).toBeUndefined();
  });
});
