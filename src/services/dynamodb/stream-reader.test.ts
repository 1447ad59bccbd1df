import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { serviceCaller } from '../../platform/context.ts';
import { streamReaderContract } from '../../platform/streams.suite.ts';
import { createTable } from './test-support.ts';

let cloud: TestCloud;
let client: DynamoDBClient;
let tables = 0;
beforeAll(async () => {
  cloud = await startTestCloud({ services: ['dynamodb'], clock: 'virtual' });
  client = new DynamoDBClient(cloud.clientConfig);
});
afterAll(async () => {
  client.destroy();
  await cloud.close();
});

const caller = serviceCaller('lambda', '000000000000', 'us-east-1');

streamReaderContract('dynamodb', async () => {
  const TableName = `contract-${++tables}`;
  // Provisioned: one shard.
  const { LatestStreamArn: streamArn } = await createTable(
    client,
    {
      TableName,
      BillingMode: 'PROVISIONED',
      ProvisionedThroughput: { ReadCapacityUnits: 5, WriteCapacityUnits: 5 },
      StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_IMAGE' },
    },
    cloud.clock,
  );
  const reader = cloud.cloud.platform.streams.reader('dynamodb')!;
  const shards = async () => (await reader.shards(streamArn!, caller))!;
  const [shard] = await shards();
  return {
    reader,
    streamArn: streamArn!,
    shardId: shard!.shardId,
    async put(partitionKey) {
      await client.send(new PutItemCommand({ TableName, Item: { pk: { S: partitionKey } } }));
    },
    async replaceShard() {
      await cloud.clock.advance(4 * 3_600_000);
      return (await shards()).filter(({ closed }) => !closed).map(({ shardId }) => shardId);
    },
  };
});
