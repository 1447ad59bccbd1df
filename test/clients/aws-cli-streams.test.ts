import { afterAll, beforeAll, expect, it } from 'vitest';
import { AwsCli, type ClientCloud, startClientCloud } from './support.ts';

let cloud: ClientCloud;
let aws: AwsCli;

beforeAll(async () => {
  cloud = await startClientCloud({ services: ['dynamodb', 'dynamodbstreams', 'sts', 'iam'] });
  aws = new AwsCli(cloud);
});
afterAll(() => cloud?.close());

const table = ['--table-name', 'readings'];
const itemOf = (device: string, n: number) => JSON.stringify({ device: { S: device }, n: { N: String(n) } });

it('reads a stream, and restores a backup', async () => {
  const { TableDescription } = await aws.json<{ TableDescription: { LatestStreamArn: string } }>(
    ...['dynamodb', 'create-table', ...table, '--provisioned-throughput', 'ReadCapacityUnits=5,WriteCapacityUnits=5'],
    ...['--attribute-definitions', 'AttributeName=device,AttributeType=S'],
    ...['--key-schema', 'AttributeName=device,KeyType=HASH'],
    ...['--stream-specification', 'StreamEnabled=true,StreamViewType=NEW_IMAGE'],
  );
  await aws.text('dynamodb', 'wait', 'table-exists', ...table);
  for (const n of [1, 2]) await aws.text('dynamodb', 'put-item', ...table, '--item', itemOf('a', n));
  const stream = ['--stream-arn', TableDescription.LatestStreamArn];
  const shard = await aws.text(
    ...['dynamodbstreams', 'describe-stream', ...stream],
    ...['--query', 'StreamDescription.Shards[].ShardId', '--output', 'text'],
  );
  const iterator = await aws.text(
    ...['dynamodbstreams', 'get-shard-iterator', ...stream, '--shard-id', shard],
    ...['--shard-iterator-type', 'TRIM_HORIZON', '--query', 'ShardIterator', '--output', 'text'],
  );
  const { Records } = await aws.json<{ Records: readonly unknown[] }>(
    ...['dynamodbstreams', 'get-records', '--shard-iterator', iterator],
  );
  expect(Records).toMatchObject([
    { eventName: 'INSERT', dynamodb: { Keys: { device: { S: 'a' } }, NewImage: { n: { N: '1' } } } },
    { eventName: 'MODIFY', dynamodb: { Keys: { device: { S: 'a' } }, NewImage: { n: { N: '2' } } } },
  ]);

  const backup = await aws.text(
    ...['dynamodb', 'create-backup', ...table, '--backup-name', 'first'],
    ...['--query', 'BackupDetails.BackupArn', '--output', 'text'],
  );
  await aws.text('dynamodb', 'put-item', ...table, '--item', itemOf('a', 3));
  await expect
    .poll(
      () =>
        aws.text(
          ...['dynamodb', 'describe-backup', '--backup-arn', backup],
          ...['--query', 'BackupDescription.BackupDetails.BackupStatus', '--output', 'text'],
        ),
      { timeout: 20_000 },
    )
    .toBe('AVAILABLE');
  const restored = ['--target-table-name', 'restored', '--backup-arn', backup];
  await aws.text('dynamodb', 'restore-table-from-backup', ...restored);
  await aws.text('dynamodb', 'wait', 'table-exists', '--table-name', 'restored');
  const key = JSON.stringify({ device: { S: 'a' } });
  const { Item } = await aws.json<{ Item: unknown }>('dynamodb', 'get-item', '--table-name', 'restored', '--key', key);
  expect(Item).toEqual({ device: { S: 'a' }, n: { N: '2' } });
}, 90_000);
