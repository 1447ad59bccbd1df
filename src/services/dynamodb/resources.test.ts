import {
  DescribeContinuousBackupsCommand,
  DescribeContributorInsightsCommand,
  DescribeTableCommand,
  DynamoDBClient,
  GetResourcePolicyCommand,
  ListTagsOfResourceCommand,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { serviceCaller } from '../../platform/context.ts';
import type { ResourceContext } from '../../platform/resource-type.ts';
import { globalTableType } from './resource-global-table.ts';
import { tableType } from './resources.ts';

describe('AWS::DynamoDB::Table', () => {
  let cloud: TestCloud;
  let client: DynamoDBClient;

  beforeAll(async () => {
    // Relaxed: time to live changes more than once an hour here.
    cloud = await startTestCloud({ services: ['dynamodb'], limits: 'relaxed' });
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

  it('honours every setting, one UpdateTable after the other', async () => {
    const context = contextOf();
    const statement = {
      Effect: 'Allow',
      Principal: { AWS: '000000000000' },
      Action: 'dynamodb:GetItem',
      Resource: '*',
    };
    const properties = {
      ...simple,
      StreamSpecification: { StreamViewType: 'NEW_IMAGE' },
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: 'true', RecoveryPeriodInDays: '7' },
      TimeToLiveSpecification: { AttributeName: 'expires', Enabled: true },
      ContributorInsightsSpecification: { Enabled: true },
      ResourcePolicy: { PolicyDocument: { Version: '2012-10-17', Statement: [statement] } },
      OnDemandThroughput: { MaxReadRequestUnits: '10', MaxWriteRequestUnits: 20 },
      DeletionProtectionEnabled: 'true',
      TableClass: 'STANDARD_INFREQUENT_ACCESS',
    };
    const made = await tableType.create(context, properties);
    const first = await table();
    expect(made.attributes).toEqual({ Arn: first.TableArn, StreamArn: first.LatestStreamArn });
    expect(first).toMatchObject({
      StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_IMAGE' },
      OnDemandThroughput: { MaxReadRequestUnits: 10, MaxWriteRequestUnits: 20 },
      DeletionProtectionEnabled: true,
      TableClassSummary: { TableClass: 'STANDARD_INFREQUENT_ACCESS' },
    });
    const recovery = async () =>
      (await client.send(new DescribeContinuousBackupsCommand({ TableName }))).ContinuousBackupsDescription!
        .PointInTimeRecoveryDescription!;
    expect(await recovery()).toMatchObject({ PointInTimeRecoveryStatus: 'ENABLED', RecoveryPeriodInDays: 7 });
    const insights = async () =>
      (await client.send(new DescribeContributorInsightsCommand({ TableName }))).ContributorInsightsStatus;
    expect(await insights()).toBe('ENABLED');
    const policy = async () =>
      (await client.send(new GetResourcePolicyCommand({ ResourceArn: first.TableArn }))).Policy!;
    expect(JSON.parse(await policy())).toMatchObject({ Statement: [statement] });

    const changed = {
      ...simple,
      StreamSpecification: { StreamViewType: 'KEYS_ONLY' },
      TimeToLiveSpecification: { AttributeName: 'expires', Enabled: true },
      OnDemandThroughput: { MaxReadRequestUnits: 30 },
      SSESpecification: { SSEEnabled: true, KMSMasterKeyId: 'alias/mine' },
      WarmThroughput: { ReadUnitsPerSecond: 15_000 },
    };
    const after = await tableType.update(context, TableName, changed, properties);
    const second = await table();
    expect(second).toMatchObject({
      StreamSpecification: { StreamEnabled: true, StreamViewType: 'KEYS_ONLY' },
      OnDemandThroughput: { MaxReadRequestUnits: 30 },
      DeletionProtectionEnabled: false,
      TableClassSummary: { TableClass: 'STANDARD' },
      SSEDescription: { KMSMasterKeyArn: 'arn:aws:kms:us-east-1:000000000000:alias/mine' },
      WarmThroughput: { ReadUnitsPerSecond: 15_000, WriteUnitsPerSecond: 4_000 },
    });
    expect(after.attributes['StreamArn']).toBe(second.LatestStreamArn);
    expect(second.LatestStreamArn).not.toBe(first.LatestStreamArn);
    expect(await recovery()).toMatchObject({ PointInTimeRecoveryStatus: 'DISABLED' });
    expect(await insights()).toBe('DISABLED');
    await expect(policy()).rejects.toMatchObject({ name: 'PolicyNotFoundException' });
    await tableType.update(context, TableName, simple, changed);
    expect((await table()).StreamSpecification).toBeUndefined();
    await tableType.delete(context, TableName, simple);
  });

  it('says what is not built', async () => {
    const imported = { ...simple, ImportSourceSpecification: { InputFormat: 'CSV' } };
    await expect(tableType.create(contextOf(), imported)).rejects.toThrow('ImportSourceSpecification');
    await tableType.delete(contextOf(), TableName, simple);
    const sent = {
      ...simple,
      KinesisStreamSpecification: { StreamArn: 'arn:aws:kinesis:us-east-1:000000000000:stream/s' },
    };
    await expect(tableType.create(contextOf(), sent)).rejects.toMatchObject({ status: 501 });
    await tableType.delete(contextOf(), TableName, simple);
  });

  it('is what a global table with one replica is', async () => {
    const context = contextOf();
    const properties = {
      ...simple,
      StreamSpecification: { StreamViewType: 'NEW_AND_OLD_IMAGES' },
      WriteOnDemandThroughputSettings: { MaxWriteRequestUnits: 7 },
      Replicas: [
        {
          Region: 'us-east-1',
          PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
          Tags: [{ Key: 'team', Value: 'blue' }],
          ReadOnDemandThroughputSettings: { MaxReadRequestUnits: 9 },
        },
      ],
    };
    const made = await globalTableType.create(context, properties);
    const now = await table();
    expect(made.attributes).toEqual({ Arn: now.TableArn, StreamArn: now.LatestStreamArn, TableId: now.TableId });
    expect(now.OnDemandThroughput).toEqual({ MaxReadRequestUnits: 9, MaxWriteRequestUnits: 7 });
    const [replica] = properties.Replicas;
    const two = { ...properties, Replicas: [replica, { Region: 'eu-west-1' }] };
    await expect(globalTableType.update(context, TableName, two, properties)).rejects.toMatchObject({ status: 501 });
    await globalTableType.delete(context, TableName, properties);
  });
});
