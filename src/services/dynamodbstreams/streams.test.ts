import {
  BatchWriteItemCommand,
  DeleteItemCommand,
  DeleteTableCommand,
  DescribeTableCommand,
  DynamoDBClient,
  PutItemCommand,
  TransactWriteItemsCommand,
  UpdateItemCommand,
  UpdateTableCommand,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb';
import {
  DescribeStreamCommand,
  DynamoDBStreamsClient,
  GetRecordsCommand,
  GetShardIteratorCommand,
  ListStreamsCommand,
  type ShardIteratorType,
} from '@aws-sdk/client-dynamodb-streams';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { createTable, untilActive } from '../dynamodb/test-support.ts';
import { recordsOf, recordsOfShard, shardsOf } from './test-support.ts';

const hourMs = 3_600_000;

let cloud: TestCloud;
let client: DynamoDBClient;
let streams: DynamoDBStreamsClient;
beforeAll(async () => {
  cloud = await startTestCloud({ services: ['dynamodb', 'dynamodbstreams'], clock: 'virtual' });
  client = new DynamoDBClient(cloud.clientConfig);
  streams = new DynamoDBStreamsClient(cloud.clientConfig);
});
afterAll(async () => {
  client.destroy();
  streams.destroy();
  await cloud.close();
});

type View = 'NEW_IMAGE' | 'OLD_IMAGE' | 'NEW_AND_OLD_IMAGES' | 'KEYS_ONLY';

/** A table with a stream of one shard. */
async function streamed(TableName: string, StreamViewType: View = 'NEW_AND_OLD_IMAGES'): Promise<string> {
  const table = await createTable(
    client,
    {
      TableName,
      BillingMode: 'PROVISIONED',
      ProvisionedThroughput: { ReadCapacityUnits: 5, WriteCapacityUnits: 900 },
      StreamSpecification: { StreamEnabled: true, StreamViewType },
    },
    cloud.clock,
  );
  return table.LatestStreamArn!;
}

const put = (TableName: string, pk: string, more: Record<string, { S: string } | { N: string }> = {}) =>
  client.send(new PutItemCommand({ TableName, Item: { pk: { S: pk }, ...more } }));

async function iteratorOf(StreamArn: string, ShardIteratorType: ShardIteratorType, SequenceNumber?: string) {
  const [shard] = await shardsOf(streams, StreamArn);
  const command = new GetShardIteratorCommand({
    StreamArn,
    ShardId: shard!.ShardId!,
    ShardIteratorType,
    ...(SequenceNumber === undefined ? {} : { SequenceNumber }),
  });
  return (await streams.send(command)).ShardIterator!;
}

describe('records', () => {
  it('tell what became of an item, in size as the developer guide has it', async () => {
    const TableName = 'guide';
    const { LatestStreamArn: arn } = await createTable(
      client,
      {
        TableName,
        AttributeDefinitions: [{ AttributeName: 'Id', AttributeType: 'N' }],
        KeySchema: [{ AttributeName: 'Id', KeyType: 'HASH' }],
        StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_AND_OLD_IMAGES' },
      },
      cloud.clock,
    );
    const Id = { N: '101' };
    await client.send(new PutItemCommand({ TableName, Item: { Id, Message: { S: 'New item!' } } }));
    await client.send(new PutItemCommand({ TableName, Item: { Id, Message: { S: 'This item has changed' } } }));
    await client.send(new DeleteItemCommand({ TableName, Key: { Id } }));
    const records = await recordsOf(streams, arn!);
    const [first, second] = [
      { Id, Message: { S: 'New item!' } },
      { Id, Message: { S: 'This item has changed' } },
    ];
    const common = { Keys: { Id }, StreamViewType: 'NEW_AND_OLD_IMAGES' };
    expect(records).toMatchObject([
      { eventName: 'INSERT', dynamodb: { ...common, NewImage: first, SizeBytes: 26 } },
      { eventName: 'MODIFY', dynamodb: { ...common, OldImage: first, NewImage: second, SizeBytes: 59 } },
      { eventName: 'REMOVE', dynamodb: { ...common, OldImage: second, SizeBytes: 38 } },
    ]);
    for (const { eventVersion, eventSource, awsRegion, eventID, dynamodb, userIdentity } of records) {
      expect({ eventVersion, eventSource, awsRegion, userIdentity }).toEqual({
        eventVersion: '1.1',
        eventSource: 'aws:dynamodb',
        awsRegion: 'us-east-1',
        userIdentity: undefined,
      });
      expect(eventID).toMatch(/^[0-9a-f]{32}$/);
      expect(dynamodb?.SequenceNumber).toMatch(/^\d{21,40}$/);
      expect(dynamodb?.ApproximateCreationDateTime?.getMilliseconds()).toBe(0);
    }
    expect(new Set(records.map(({ eventID }) => eventID)).size).toBe(3);
    expect(await recordsOf(streams, arn!)).toEqual(records);
  });

  it.each<[View, object]>([
    ['KEYS_ONLY', { NewImage: undefined, OldImage: undefined }],
    ['NEW_IMAGE', { NewImage: { pk: { S: 'a' }, v: { S: 'two' } }, OldImage: undefined }],
    ['OLD_IMAGE', { NewImage: undefined, OldImage: { pk: { S: 'a' }, v: { S: 'one' } } }],
  ])('show no more than %s', async (view, images) => {
    const TableName = `view-${view}`;
    const arn = await streamed(TableName, view);
    await put(TableName, 'a', { v: { S: 'one' } });
    await put(TableName, 'a', { v: { S: 'two' } });
    const [, record] = await recordsOf(streams, arn);
    const { NewImage, OldImage, Keys, StreamViewType } = record!.dynamodb!;
    expect({ NewImage, OldImage }).toEqual(images);
    expect({ Keys, StreamViewType }).toEqual({ Keys: { pk: { S: 'a' } }, StreamViewType: view });
  });

  it('come of every writer, and of nothing that changes nothing', async () => {
    const TableName = 'writers';
    const arn = await streamed(TableName);
    const key = (pk: string) => ({ pk: { S: pk } });
    await put(TableName, 'put');
    await put(TableName, 'put');
    const set = new PutItemCommand({ TableName, Item: { ...key('set'), s: { SS: ['a', 'b'] }, n: { N: '1.0' } } });
    await client.send(set);
    await client.send(new PutItemCommand({ TableName, Item: { n: { N: '1' }, s: { SS: ['b', 'a'] }, ...key('set') } }));
    const update = (pk: string, UpdateExpression: string) =>
      client.send(
        new UpdateItemCommand({
          TableName,
          Key: key(pk),
          UpdateExpression,
          ExpressionAttributeNames: { '#v': 'v' },
          ...(UpdateExpression.includes(':v') ? { ExpressionAttributeValues: { ':v': { S: 'x' } } } : {}),
        }),
      );
    await update('put', 'SET #v = :v');
    await update('put', 'SET #v = :v');
    await update('put', 'REMOVE #v');
    await update('put', 'REMOVE #v');
    await client.send(new DeleteItemCommand({ TableName, Key: key('nothing') }));
    await client.send(
      new BatchWriteItemCommand({
        RequestItems: {
          [TableName]: [
            { PutRequest: { Item: key('batch') } },
            { DeleteRequest: { Key: key('put') } },
            { DeleteRequest: { Key: key('nothing') } },
            { PutRequest: { Item: { ...key('set'), s: { SS: ['a', 'b'] }, n: { N: '1' } } } },
          ],
        },
      }),
    );
    await client.send(
      new TransactWriteItemsCommand({
        TransactItems: [
          { Put: { TableName, Item: key('transaction') } },
          { Delete: { TableName, Key: key('batch') } },
          { Delete: { TableName, Key: key('nothing') } },
          { ConditionCheck: { TableName, Key: key('set'), ConditionExpression: 'attribute_exists(pk)' } },
          {
            Update: {
              TableName,
              Key: key('updated'),
              UpdateExpression: 'SET v = :v',
              ExpressionAttributeValues: { ':v': { S: 'x' } },
            },
          },
        ],
      }),
    );
    const seen = (await recordsOf(streams, arn)).map(
      ({ eventName, dynamodb }) => `${eventName} ${dynamodb?.Keys?.['pk']?.S}`,
    );
    expect(seen.slice(0, 4)).toEqual(['INSERT put', 'INSERT set', 'MODIFY put', 'MODIFY put']);
    expect(seen.slice(4)).toEqual([
      'INSERT batch',
      'REMOVE put',
      'INSERT transaction',
      'REMOVE batch',
      'INSERT updated',
    ]);
  });

  it('say who deleted what had expired', async () => {
    const TableName = 'expiring';
    const arn = await streamed(TableName);
    await client.send(
      new UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification: { AttributeName: 'ttl', Enabled: true } }),
    );
    await put(TableName, 'a', { ttl: { N: String(Math.floor(cloud.clock.now() / 1000) + 60) } });
    await cloud.clock.advance(300_000);
    const records = await recordsOf(streams, arn);
    expect(records.map(({ eventName }) => eventName)).toEqual(['INSERT', 'REMOVE']);
    expect(records[1]?.userIdentity).toEqual({ PrincipalId: 'dynamodb.amazonaws.com', Type: 'Service' });
  });
});

describe('shards', () => {
  it('share the keys of an on-demand table, each key in one', async () => {
    const TableName = 'shared';
    const { LatestStreamArn: arn } = await createTable(
      client,
      { TableName, StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_IMAGE' } },
      cloud.clock,
    );
    for (let n = 0; n < 3; n++)
      for (let key = 0; key < 20; key++) await put(TableName, `k${key}`, { n: { N: String(n) } });
    const shards = await shardsOf(streams, arn!);
    expect(shards).toHaveLength(4);
    const byShard = await Promise.all(shards.map(({ ShardId }) => recordsOfShard(streams, arn!, ShardId!)));
    const keys = byShard.map((records) => new Set(records.map(({ dynamodb }) => dynamodb!.Keys!['pk']!.S!)));
    expect(keys.every((each) => each.size > 0)).toBe(true);
    expect(keys.reduce((sum, each) => sum + each.size, 0)).toBe(20);
    for (const records of byShard) {
      for (const key of new Set(records.map(({ dynamodb }) => dynamodb!.Keys!['pk']!.S!))) {
        const versions = records.filter(({ dynamodb }) => dynamodb!.Keys!['pk']!.S === key);
        expect(versions.map(({ dynamodb }) => dynamodb!.NewImage!['n']!.N)).toEqual(['0', '1', '2']);
      }
    }
  });

  it('are closed after four hours, go on in children, and are gone after a day more', async () => {
    const TableName = 'rotated';
    const arn = await streamed(TableName);
    await put(TableName, 'early');
    const [first] = await shardsOf(streams, arn);
    expect(first?.ParentShardId).toBeUndefined();
    expect(first!.SequenceNumberRange?.EndingSequenceNumber).toBeUndefined();
    const waiting = await iteratorOf(arn, 'LATEST');
    await cloud.clock.advance(10 * 60_000);
    expect((await streams.send(new GetRecordsCommand({ ShardIterator: waiting }))).NextShardIterator).toBeDefined();
    await cloud.clock.advance(4 * hourMs);
    await put(TableName, 'late');
    const [parent, child] = await shardsOf(streams, arn);
    expect(child).toMatchObject({ ParentShardId: first!.ShardId });
    expect(parent!.SequenceNumberRange?.EndingSequenceNumber).toBeDefined();
    const { ShardIterator } = await streams.send(
      new GetShardIteratorCommand({ StreamArn: arn, ShardId: parent!.ShardId!, ShardIteratorType: 'TRIM_HORIZON' }),
    );
    const old = await streams.send(new GetRecordsCommand({ ShardIterator: ShardIterator! }));
    expect(old.Records?.map(({ dynamodb }) => dynamodb?.Keys?.['pk']?.S)).toEqual(['early']);
    expect(old.NextShardIterator).toBeUndefined();
    expect(BigInt(old.Records![0]!.dynamodb!.SequenceNumber!)).toBe(
      BigInt(parent!.SequenceNumberRange!.EndingSequenceNumber!),
    );
    const young = await recordsOfShard(streams, arn, child!.ShardId!);
    expect(young.map(({ dynamodb }) => dynamodb?.Keys?.['pk']?.S)).toEqual(['late']);
    expect(BigInt(young[0]!.dynamodb!.SequenceNumber!)).toBeGreaterThan(
      BigInt(old.Records![0]!.dynamodb!.SequenceNumber!),
    );
    const children = await streams.send(
      new DescribeStreamCommand({ StreamArn: arn, ShardFilter: { Type: 'CHILD_SHARDS', ShardId: parent!.ShardId! } }),
    );
    expect(children.StreamDescription?.Shards?.map(({ ShardId }) => ShardId)).toEqual([child!.ShardId]);

    await cloud.clock.advance(22 * hourMs);
    expect(await recordsOf(streams, arn)).toHaveLength(1);
    await cloud.clock.advance(5 * hourMs);
    expect(await recordsOf(streams, arn)).toHaveLength(0);
    const left = await shardsOf(streams, arn);
    expect(left.map(({ ShardId }) => ShardId)).not.toContain(parent!.ShardId);
    // A day's worth of shards, four hours each, and those that are open.
    expect(left.length).toBeLessThanOrEqual(8);
  });
});

it('loses and doubles nothing when shards are closed under writes', async () => {
  // A cloud of its own: nothing but this table's shards is due in it.
  const own = await startTestCloud({ services: ['dynamodb', 'dynamodbstreams'], clock: 'virtual' });
  const writer = new DynamoDBClient(own.clientConfig);
  const reader = new DynamoDBStreamsClient(own.clientConfig);
  const TableName = 'hasty';
  const { LatestStreamArn: arn } = await createTable(
    writer,
    { TableName, StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_AND_OLD_IMAGES' } },
    own.clock,
  );
  const written = new Map<string, string>();
  let round = 0;
  const hammer = async (until: () => Promise<boolean>): Promise<void> => {
    for (let isOver = false; !isOver; isOver = await until()) {
      round++;
      const puts = Array.from({ length: 16 }, async (_, n) => {
        const [pk, v] = [`k${n}`, String(round)];
        await writer.send(new PutItemCommand({ TableName, Item: { pk: { S: pk }, v: { S: v } } }));
        written.set(pk, v);
      });
      await Promise.all([own.clock.advance(20), ...puts]);
    }
  };
  for (let shards = 8; shards <= 16; shards += 4) {
    // Shortly before the shards are due to be closed: that comes in the midst of the writes.
    const open = (await shardsOf(reader, arn!)).at(-1)!;
    const openedAtMs = Number(open.ShardId!.split('-')[1]);
    await own.clock.set(openedAtMs + 4 * hourMs - 50);
    await hammer(async () => (await shardsOf(reader, arn!)).length >= shards);
  }
  const shards = await shardsOf(reader, arn!);
  const replayed = new Map<string, string>();
  for (const { ShardId, ParentShardId } of shards) {
    const parent = shards.findIndex((each) => each.ShardId === ParentShardId);
    expect(parent).toBeLessThan(shards.findIndex((each) => each.ShardId === ShardId));
    for (const { dynamodb } of await recordsOfShard(reader, arn!, ShardId!)) {
      const pk = dynamodb!.Keys!['pk']!.S!;
      expect(dynamodb!.OldImage?.['v']?.S, pk).toBe(replayed.get(pk));
      replayed.set(pk, dynamodb!.NewImage!['v']!.S!);
    }
  }
  expect(replayed).toEqual(written);
  writer.destroy();
  reader.destroy();
  await own.close();
}, 30_000);

describe('iterators', () => {
  it('begin where they are asked to, and go on', async () => {
    const TableName = 'iterated';
    const arn = await streamed(TableName);
    for (const pk of ['a', 'b', 'c']) await put(TableName, pk);
    const [, second] = await recordsOf(streams, arn);
    const SequenceNumber = second!.dynamodb!.SequenceNumber!;
    const from = async (type: ShardIteratorType, number?: string, Limit?: number) => {
      const ShardIterator = await iteratorOf(arn, type, number);
      const page = await streams.send(
        new GetRecordsCommand({ ShardIterator, ...(Limit === undefined ? {} : { Limit }) }),
      );
      return { keys: page.Records!.map(({ dynamodb }) => dynamodb!.Keys!['pk']!.S), next: page.NextShardIterator! };
    };
    expect((await from('TRIM_HORIZON')).keys).toEqual(['a', 'b', 'c']);
    expect((await from('AT_SEQUENCE_NUMBER', SequenceNumber)).keys).toEqual(['b', 'c']);
    expect((await from('AFTER_SEQUENCE_NUMBER', SequenceNumber)).keys).toEqual(['c']);
    const [shard] = await shardsOf(streams, arn);
    const start = shard!.SequenceNumberRange!.StartingSequenceNumber!;
    expect((await from('AT_SEQUENCE_NUMBER', start)).keys).toEqual(['a', 'b', 'c']);
    const latest = await from('LATEST');
    expect(latest.keys).toEqual([]);
    await put(TableName, 'd');
    const after = await streams.send(new GetRecordsCommand({ ShardIterator: latest.next }));
    expect(after.Records?.map(({ dynamodb }) => dynamodb?.Keys?.['pk']?.S)).toEqual(['d']);
    const one = await from('TRIM_HORIZON', undefined, 1);
    expect(one.keys).toEqual(['a']);
    const rest = await streams.send(new GetRecordsCommand({ ShardIterator: one.next, Limit: 2 }));
    expect(rest.Records).toHaveLength(2);
  });

  it('give a megabyte at a time', async () => {
    const TableName = 'large';
    const arn = await streamed(TableName, 'NEW_IMAGE');
    for (let n = 0; n < 12; n++) await put(TableName, `k${n}`, { v: { S: 'x'.repeat(200 * 1024) } });
    const page = await streams.send(new GetRecordsCommand({ ShardIterator: await iteratorOf(arn, 'TRIM_HORIZON') }));
    expect(page.Records).toHaveLength(5);
    expect(await recordsOf(streams, arn)).toHaveLength(12);
  });

  it('expire after a quarter of an hour, and with what they pointed to', async () => {
    const TableName = 'expired';
    const arn = await streamed(TableName);
    await put(TableName, 'a');
    const [record] = await recordsOf(streams, arn);
    const ShardIterator = await iteratorOf(arn, 'TRIM_HORIZON');
    await cloud.clock.advance(14 * 60_000);
    await streams.send(new GetRecordsCommand({ ShardIterator }));
    await cloud.clock.advance(2 * 60_000);
    await expect(streams.send(new GetRecordsCommand({ ShardIterator }))).rejects.toMatchObject({
      name: 'ExpiredIteratorException',
    });
    // The shard is read until its last record is a day old.
    await cloud.clock.advance(3 * hourMs);
    await put(TableName, 'b');
    const [shard] = await shardsOf(streams, arn);
    const at = (SequenceNumber: string, ShardIteratorType: ShardIteratorType) =>
      streams.send(
        new GetShardIteratorCommand({ StreamArn: arn, ShardId: shard!.ShardId!, ShardIteratorType, SequenceNumber }),
      );
    await cloud.clock.advance(20 * hourMs + 40 * 60_000);
    const soon = await at(record!.dynamodb!.SequenceNumber!, 'AT_SEQUENCE_NUMBER');
    await cloud.clock.advance(14 * 60_000);
    await expect(streams.send(new GetRecordsCommand({ ShardIterator: soon.ShardIterator! }))).rejects.toMatchObject({
      name: 'TrimmedDataAccessException',
    });
    await expect(at(record!.dynamodb!.SequenceNumber!, 'AT_SEQUENCE_NUMBER')).rejects.toMatchObject({
      name: 'TrimmedDataAccessException',
      message: 'The data you are trying to access has been trimmed',
    });
    const after = await at(record!.dynamodb!.SequenceNumber!, 'AFTER_SEQUENCE_NUMBER');
    const { Records } = await streams.send(new GetRecordsCommand({ ShardIterator: after.ShardIterator! }));
    expect(Records?.map(({ dynamodb }) => dynamodb?.Keys?.['pk']?.S)).toEqual(['b']);
  });
});

describe('streams', () => {
  it('are opened and closed by UpdateTable, and can be read for a day after that', async () => {
    const TableName = 'switched';
    await createTable(client, { TableName }, cloud.clock);
    const update = (StreamSpecification: { StreamEnabled: boolean; StreamViewType?: View }) =>
      client.send(new UpdateTableCommand({ TableName, StreamSpecification }));
    await expect(update({ StreamEnabled: false })).rejects.toThrow(
      `Table has no stream to disable: TableName: ${TableName}`,
    );
    await put(TableName, 'before');
    const opened = await update({ StreamEnabled: true, StreamViewType: 'NEW_IMAGE' });
    const arn = opened.TableDescription!.LatestStreamArn!;
    expect(opened.TableDescription).toMatchObject({
      TableStatus: 'UPDATING',
      StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_IMAGE' },
      LatestStreamLabel: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$/),
    });
    const status = async () =>
      (await streams.send(new DescribeStreamCommand({ StreamArn: arn }))).StreamDescription!.StreamStatus;
    expect(await status()).toBe('ENABLING');
    await untilActive(client, TableName, cloud.clock);
    expect(await status()).toBe('ENABLED');
    await expect(update({ StreamEnabled: true, StreamViewType: 'KEYS_ONLY' })).rejects.toThrow(
      `Table already has an enabled stream: TableName: ${TableName}`,
    );
    await put(TableName, 'during');
    const closed = await update({ StreamEnabled: false });
    expect(closed.TableDescription).toMatchObject({ LatestStreamArn: arn });
    expect(closed.TableDescription?.StreamSpecification).toBeUndefined();
    await untilActive(client, TableName, cloud.clock);
    await put(TableName, 'after');
    expect(await status()).toBe('DISABLED');
    await cloud.clock.advance(23 * hourMs);
    const records = await recordsOf(streams, arn);
    expect(records.map(({ dynamodb }) => dynamodb?.Keys?.['pk']?.S)).toEqual(['during']);
    const again = await update({ StreamEnabled: true, StreamViewType: 'KEYS_ONLY' });
    const listed = await streams.send(new ListStreamsCommand({ TableName }));
    expect(listed.Streams).toMatchObject([{ StreamArn: arn }, { StreamArn: again.TableDescription?.LatestStreamArn }]);
    await cloud.clock.advance(2 * hourMs);
    await expect(status()).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
      message: `Requested resource not found: Stream: ${arn} not found`,
    });
    expect((await streams.send(new ListStreamsCommand({ TableName }))).Streams).toHaveLength(1);
  });

  it('outlive their tables by a day', async () => {
    const TableName = 'mortal';
    const arn = await streamed(TableName);
    await put(TableName, 'a');
    await client.send(new DeleteTableCommand({ TableName }));
    await cloud.clock.advance(hourMs);
    await expect(client.send(new DescribeTableCommand({ TableName }))).rejects.toThrow('not found');
    expect(await recordsOf(streams, arn)).toHaveLength(1);
    const successor = await streamed(TableName);
    expect(await recordsOf(streams, successor)).toHaveLength(0);
    await cloud.clock.advance(24 * hourMs);
    await expect(shardsOf(streams, arn)).rejects.toThrow('not found');
  });

  it('are listed page by page', async () => {
    const names = ['page-a', 'page-b', 'page-c'];
    for (const name of names) await streamed(name);
    const seen: string[] = [];
    for (let after: string | undefined; ; ) {
      const page = await streams.send(
        new ListStreamsCommand({ Limit: 2, ...(after === undefined ? {} : { ExclusiveStartStreamArn: after }) }),
      );
      seen.push(...page.Streams!.map(({ TableName }) => TableName!));
      after = page.LastEvaluatedStreamArn;
      if (after === undefined) break;
    }
    expect(seen.filter((name) => name.startsWith('page-'))).toEqual(names);
    const elsewhere = new DynamoDBStreamsClient({ ...cloud.clientConfig, region: 'eu-west-1' });
    expect((await elsewhere.send(new ListStreamsCommand({}))).Streams).toEqual([]);
    elsewhere.destroy();
  });

  it('refuse what is not right', async () => {
    const arn = await streamed('refused');
    await put('refused', 'a');
    const [shard] = await shardsOf(streams, arn);
    const ShardId = shard!.ShardId!;
    const missing = arn.replace(/stream\/.*/, 'stream/2020-01-01T00:00:00.000');
    const iterator = (input: object) =>
      streams.send(
        new GetShardIteratorCommand({ StreamArn: arn, ShardId, ShardIteratorType: 'TRIM_HORIZON', ...input }),
      );
    const stranger = new DynamoDBStreamsClient({
      ...cloud.clientConfig,
      credentials: { accessKeyId: '111111111111', secretAccessKey: 'x' },
    });
    const cases: readonly (readonly [() => Promise<unknown>, string, string])[] = [
      [() => stranger.send(new DescribeStreamCommand({ StreamArn: arn })), 'ResourceNotFoundException', 'not found'],
      [() => iterator({ StreamArn: missing }), 'ResourceNotFoundException', `Stream: ${missing} not found`],
      [
        () => iterator({ ShardId: 'shardId-00000000000000000000-00000000' }),
        'ResourceNotFoundException',
        'Requested resource not found: Shard does not exist',
      ],
      [
        () => iterator({ ShardIteratorType: 'AT_SEQUENCE_NUMBER' }),
        'ValidationException',
        'SequenceNumber is required',
      ],
      [() => iterator({ SequenceNumber: '1'.repeat(21) }), 'ValidationException', 'SequenceNumber is not allowed'],
      [
        () => iterator({ ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: '1'.repeat(28) }),
        'ValidationException',
        'Invalid SequenceNumber',
      ],
      [() => iterator({ ShardIteratorType: 'SOMEWHERE' }), 'ValidationException', "at 'shardIteratorType'"],
      [
        () => streams.send(new GetRecordsCommand({ ShardIterator: 'x' })),
        'ValidationException',
        'Invalid ShardIterator',
      ],
      [
        () => streams.send(new GetRecordsCommand({ ShardIterator: 'x', Limit: 1001 })),
        'ValidationException',
        "Value '1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000",
      ],
      [
        () =>
          streams.send(
            new DescribeStreamCommand({ StreamArn: 'arn:aws:dynamodb:us-east-1:000000000000:table/nostream' }),
          ),
        'ValidationException',
        'Invalid StreamArn',
      ],
      [() => streams.send(new ListStreamsCommand({ Limit: 0 })), 'ValidationException', "at 'limit'"],
      [() => streams.send(new ListStreamsCommand({ Limit: 101 })), 'ValidationException', 'less than or equal to 100'],
    ];
    for (const [call, name, text] of cases) {
      await expect(call()).rejects.toMatchObject({ name, message: expect.stringContaining(text) });
    }
  });
});

it('keeps streams through a restart on LMDB', async () => {
  const before = await startTestCloud({ engine: 'lmdb', services: ['dynamodb', 'dynamodbstreams'] });
  const one = new DynamoDBClient(before.clientConfig);
  const { LatestStreamArn: arn } = await createTable(one, {
    TableName: 'kept',
    StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_IMAGE' },
  });
  await one.send(new PutItemCommand({ TableName: 'kept', Item: { pk: { S: 'a' } } }));
  one.destroy();
  const after = await before.restart();
  const two = new DynamoDBClient(after.clientConfig);
  const reader = new DynamoDBStreamsClient(after.clientConfig);
  await two.send(new PutItemCommand({ TableName: 'kept', Item: { pk: { S: 'a' }, v: { S: 'x' } } }));
  const records = await recordsOf(reader, arn!);
  expect(records.map(({ eventName }) => eventName)).toEqual(['INSERT', 'MODIFY']);
  two.destroy();
  reader.destroy();
  await after.close();
});
