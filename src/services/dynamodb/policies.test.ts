import {
  DeleteResourcePolicyCommand,
  DynamoDBClient,
  GetItemCommand,
  GetResourcePolicyCommand,
  PutItemCommand,
  PutResourcePolicyCommand,
  QueryCommand,
} from '@aws-sdk/client-dynamodb';
import {
  DescribeStreamCommand,
  DynamoDBStreamsClient,
  GetRecordsCommand,
  GetShardIteratorCommand,
} from '@aws-sdk/client-dynamodb-streams';
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient } from '@aws-sdk/client-iam';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { createTable } from './test-support.ts';

const account = '000000000000';

function policyOf(resource: string, ...actions: string[]): string {
  return JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { AWS: `arn:aws:iam::${account}:user/reader` },
        Action: actions,
        Resource: resource,
      },
    ],
  });
}

describe('resource policies', () => {
  let cloud: TestCloud;
  let client: DynamoDBClient;
  let arn: string;
  let streamArn: string;
  beforeAll(async () => {
    cloud = await startTestCloud({ services: ['dynamodb', 'dynamodbstreams'] });
    client = new DynamoDBClient(cloud.clientConfig);
    const table = await createTable(client, {
      TableName: 'guarded',
      StreamSpecification: { StreamEnabled: true, StreamViewType: 'KEYS_ONLY' },
    });
    arn = table.TableArn!;
    streamArn = table.LatestStreamArn!;
  });
  afterAll(async () => {
    client.destroy();
    await cloud.close();
  });

  const put = (ResourceArn: string, Policy: string, ExpectedRevisionId?: string) =>
    client.send(
      new PutResourcePolicyCommand({
        ResourceArn,
        Policy,
        ...(ExpectedRevisionId === undefined ? {} : { ExpectedRevisionId }),
      }),
    );
  const get = (ResourceArn: string) => client.send(new GetResourcePolicyCommand({ ResourceArn }));

  it.each(['table', 'stream'])('are kept with their revisions on a %s', async (what) => {
    const ResourceArn = what === 'table' ? arn : streamArn;
    const missing = `Resource-based policy not found for the provided ResourceArn: ${ResourceArn}`;
    await expect(get(ResourceArn)).rejects.toMatchObject({ name: 'PolicyNotFoundException', message: missing });
    const Policy = policyOf(ResourceArn, 'dynamodb:GetItem');
    await expect(put(ResourceArn, Policy, '1')).rejects.toMatchObject({ name: 'PolicyNotFoundException' });
    const { RevisionId: first } = await put(ResourceArn, Policy, 'NO_POLICY');
    expect(await get(ResourceArn)).toMatchObject({ Policy, RevisionId: first });
    expect((await put(ResourceArn, Policy)).RevisionId).toBe(first);
    const { RevisionId: second } = await put(ResourceArn, policyOf(ResourceArn, 'dynamodb:*'), first);
    expect(second).not.toBe(first);
    await expect(put(ResourceArn, Policy, first)).rejects.toMatchObject({ name: 'PolicyNotFoundException' });
    const remove = (ExpectedRevisionId?: string) =>
      client.send(
        new DeleteResourcePolicyCommand({
          ResourceArn,
          ...(ExpectedRevisionId === undefined ? {} : { ExpectedRevisionId }),
        }),
      );
    await expect(remove(first)).rejects.toMatchObject({ name: 'PolicyNotFoundException' });
    expect((await remove(second)).RevisionId).toBe(second);
    expect((await remove()).RevisionId).toBeUndefined();
    await expect(remove(second)).rejects.toMatchObject({ name: 'PolicyNotFoundException' });
  });

  it('are refused in AWS’s words', async () => {
    const good = policyOf(arn, 'dynamodb:GetItem');
    const cases: readonly (readonly [string, string, string])[] = [
      [arn, '{', 'Invalid policy document: This policy contains invalid Json'],
      [
        arn,
        '{"Version":"2012-10-17","Statement":[]}',
        'Invalid policy document: Could not parse the policy: Statement is empty!',
      ],
      [arn, good.replace('"Resource"', '"Source"'), 'Invalid policy document: Missing required field Resource'],
      [arn, good.replace('"Principal"', '"Who"'), 'Invalid policy document: Missing required field Principal'],
      [
        arn,
        good.replace('dynamodb:GetItem', 'sqs:SendMessage'),
        'Invalid policy document: The following action names are invalid: sqs:SendMessage',
      ],
      [arn, good.replace('table/guarded', 'table/other'), 'Invalid policy document: The relative-id'],
      [arn, `${good}${' '.repeat(20_480)}`, 'Maximum policy size of 20480 bytes exceeded'],
      ['guarded', good, "ARNs must start with 'arn:': guarded"],
      ['arn:aws:sqs:us-east-1:000000000000:queue', good, 'Provided Arn is not a DynamoDB resource arn: arn:aws:sqs'],
      [`${arn}/index/byG`, good, 'Invalid resource arn provided, only table or stream is accepted.'],
      [arn.replace('us-east-1', 'eu-west-1'), good, 'Invalid resource Arn: arn:aws:dynamodb:eu-west-1'],
      [
        arn.replace(account, '111111111111'),
        good,
        'This action is only supported by accounts that match the resource owner’s account.',
      ],
    ];
    for (const [ResourceArn, Policy, text] of cases) {
      await expect(put(ResourceArn, Policy)).rejects.toMatchObject({
        name: 'ValidationException',
        message: expect.stringContaining(text),
      });
    }
    await expect(put(`${arn}-not`, policyOf('*', 'dynamodb:GetItem'))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    });
  });
});

it('decide where policies are enforced', async () => {
  const cloud = await startTestCloud({ services: ['dynamodb', 'dynamodbstreams', 'iam', 'sts'], auth: 'enforced' });
  const root = await cloud.cloud.platform.credentials.root();
  const config = { ...cloud.clientConfig, credentials: root };
  const owner = new DynamoDBClient(config);
  const iam = new IAMClient(config);
  await iam.send(new CreateUserCommand({ UserName: 'reader' }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: 'reader' }));
  const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
  const reader = new DynamoDBClient({ ...config, credentials });
  const streams = new DynamoDBStreamsClient({ ...config, credentials });
  const TableName = 'guarded';
  const table = await createTable(owner, {
    TableName,
    AttributeDefinitions: [
      { AttributeName: 'pk', AttributeType: 'S' },
      { AttributeName: 'g', AttributeType: 'S' },
    ],
    GlobalSecondaryIndexes: [
      { IndexName: 'byG', KeySchema: [{ AttributeName: 'g', KeyType: 'HASH' }], Projection: { ProjectionType: 'ALL' } },
    ],
    StreamSpecification: { StreamEnabled: true, StreamViewType: 'KEYS_ONLY' },
  });
  const [arn, streamArn] = [table.TableArn!, table.LatestStreamArn!];
  await owner.send(new PutItemCommand({ TableName, Item: { pk: { S: 'a' }, g: { S: 'g' } } }));
  const read = () => reader.send(new GetItemCommand({ TableName, Key: { pk: { S: 'a' } } }));
  const query = () =>
    reader.send(
      new QueryCommand({
        TableName,
        IndexName: 'byG',
        KeyConditionExpression: 'g = :g',
        ExpressionAttributeValues: { ':g': { S: 'g' } },
      }),
    );
  const denied = { name: 'AccessDeniedException', $metadata: { httpStatusCode: 400 } };
  await expect(read()).rejects.toMatchObject(denied);
  const grant = (ResourceArn: string, resource: string, ...actions: string[]) =>
    owner.send(new PutResourcePolicyCommand({ ResourceArn, Policy: policyOf(resource, ...actions) }));
  await grant(arn, arn, 'dynamodb:GetItem', 'dynamodb:Query');
  expect((await read()).Item).toBeDefined();
  await expect(query()).rejects.toMatchObject(denied);
  await grant(arn, `${arn}/index/*`, 'dynamodb:Query');
  expect((await query()).Count).toBe(1);
  await expect(read()).rejects.toMatchObject(denied);

  const describeStream = () => streams.send(new DescribeStreamCommand({ StreamArn: streamArn }));
  await expect(describeStream()).rejects.toMatchObject({ name: 'AccessDeniedException' });
  await grant(streamArn, streamArn, 'dynamodb:DescribeStream', 'dynamodb:GetShardIterator', 'dynamodb:GetRecords');
  const { StreamDescription } = await describeStream();
  let found = 0;
  for (const { ShardId } of StreamDescription!.Shards!) {
    const { ShardIterator } = await streams.send(
      new GetShardIteratorCommand({ StreamArn: streamArn, ShardId, ShardIteratorType: 'TRIM_HORIZON' }),
    );
    found += (await streams.send(new GetRecordsCommand({ ShardIterator }))).Records!.length;
  }
  expect(found).toBe(1);
  for (const each of [owner, iam, reader, streams]) each.destroy();
  await cloud.close();
}, 30_000);
