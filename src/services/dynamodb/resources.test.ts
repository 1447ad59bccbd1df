import { DescribeTableCommand, DynamoDBClient, ListTagsOfResourceCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { serviceCaller } from '../../platform/context.ts';
import type { ResourceContext } from '../../platform/resource-type.ts';
import { tableType } from './resources.ts';

describe('AWS::DynamoDB::Table', () => {
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

  const contextOf = (stackId = 'arn:stack/1'): ResourceContext => {
    const { bus, clock } = cloud.cloud.platform;
    return {
      caller: serviceCaller('cloudformation', '000000000000', 'us-east-1'),
      bus,
      stackName: 'stack',
      stackId,
      logicalId: 'Table',
      clientToken: 'token',
      generatedName: () => 'stack-Table-ABC',
      sleep: (delayMs) => clock.sleep(delayMs),
    };
  };

  const simple = {
    AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
    KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
    BillingMode: 'PAY_PER_REQUEST',
  };
  const TableName = 'stack-Table-ABC';
  const table = async () => (await client.send(new DescribeTableCommand({ TableName }))).Table!;

  it('is made, found again by a repeated attempt, changed and deleted', async () => {
    const context = contextOf();
    const properties = {
      ...simple,
      BillingMode: 'PROVISIONED',
      ProvisionedThroughput: { ReadCapacityUnits: '2', WriteCapacityUnits: 3 },
      TimeToLiveSpecification: { AttributeName: 'expires', Enabled: 'true' },
      Tags: [{ Key: 'team', Value: 'blue' }],
      SSESpecification: { SSEEnabled: true },
    };
    const made = await tableType.create(context, properties);
    expect(made).toEqual({
      physicalId: TableName,
      attributes: { Arn: `arn:aws:dynamodb:us-east-1:000000000000:table/${TableName}` },
    });
    expect(await tableType.create(context, properties)).toEqual(made);
    expect(await table()).toMatchObject({
      TableStatus: 'ACTIVE',
      ProvisionedThroughput: { ReadCapacityUnits: 2, WriteCapacityUnits: 3 },
      SSEDescription: { Status: 'ENABLED' },
    });

    const changed = {
      ...simple,
      AttributeDefinitions: [...simple.AttributeDefinitions, { AttributeName: 'g', AttributeType: 'N' }],
      GlobalSecondaryIndexes: [
        {
          IndexName: 'byG',
          KeySchema: [{ AttributeName: 'g', KeyType: 'HASH' }],
          Projection: { ProjectionType: 'ALL' },
        },
      ],
      Tags: [{ Key: 'team', Value: 'green' }],
    };
    await tableType.update(context, TableName, changed, properties);
    expect(await table()).toMatchObject({
      BillingModeSummary: { BillingMode: 'PAY_PER_REQUEST' },
      GlobalSecondaryIndexes: [{ IndexName: 'byG', IndexStatus: 'ACTIVE' }],
    });
    expect((await table()).SSEDescription).toBeUndefined();
    const { Tags } = await client.send(
      new ListTagsOfResourceCommand({ ResourceArn: made.attributes['Arn'] as string }),
    );
    expect(Tags).toContainEqual({ Key: 'team', Value: 'green' });

    const narrowed = { ...changed, GlobalSecondaryIndexes: [], AttributeDefinitions: simple.AttributeDefinitions };
    await tableType.update(context, TableName, narrowed, changed);
    expect((await table()).GlobalSecondaryIndexes).toBeUndefined();

    await tableType.delete(context, TableName, narrowed);
    await expect(table()).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    await tableType.delete(context, TableName, narrowed);
  });

  it('leaves a table of someone else alone', async () => {
    await tableType.create(contextOf(), simple);
    await expect(tableType.create(contextOf('arn:stack/2'), simple)).rejects.toThrow('already exists');
    await tableType.delete(contextOf(), TableName, simple);
  });

  it('says what is not built', async () => {
    const streamed = { ...simple, StreamSpecification: { StreamViewType: 'NEW_IMAGE' } };
    await expect(tableType.create(contextOf(), streamed)).rejects.toThrow('StreamSpecification');
    const recoverable = { ...simple, PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true } };
    await expect(tableType.create(contextOf(), recoverable)).rejects.toThrow('PointInTimeRecoverySpecification');
  });
});
