import {
  CreateGlobalTableCommand,
  CreateTableCommand,
  DeleteTableCommand,
  DescribeContributorInsightsCommand,
  DescribeExportCommand,
  DescribeGlobalTableCommand,
  DescribeGlobalTableSettingsCommand,
  DescribeImportCommand,
  DescribeKinesisStreamingDestinationCommand,
  DescribeTableReplicaAutoScalingCommand,
  DescribeTimeToLiveCommand,
  DisableKinesisStreamingDestinationCommand,
  DynamoDBClient,
  EnableKinesisStreamingDestinationCommand,
  ImportTableCommand,
  ListContributorInsightsCommand,
  ListExportsCommand,
  ListGlobalTablesCommand,
  ListImportsCommand,
  ListTagsOfResourceCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateContributorInsightsCommand,
  UpdateGlobalTableCommand,
  UpdateKinesisStreamingDestinationCommand,
  UpdateTableCommand,
  type UpdateTableCommandInput,
  UpdateTableReplicaAutoScalingCommand,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { createTable, untilActive } from './test-support.ts';

const hourMs = 3_600_000;

let cloud: TestCloud;
let client: DynamoDBClient;
beforeAll(async () => {
  cloud = await startTestCloud({ services: ['dynamodb'], clock: 'virtual' });
  client = new DynamoDBClient(cloud.clientConfig);
});
afterAll(async () => {
  client.destroy();
  await cloud.close();
});

const provisioned = (ReadCapacityUnits: number, WriteCapacityUnits: number) => ({
  ProvisionedThroughput: { ReadCapacityUnits, WriteCapacityUnits },
});

async function update(TableName: string, input: Omit<UpdateTableCommandInput, 'TableName'>) {
  await client.send(new UpdateTableCommand({ TableName, ...input }));
  return untilActive(client, TableName, cloud.clock);
}

/** Each call is refused with the error and the text. */
async function refused(cases: readonly (readonly [() => Promise<unknown>, string, string])[]): Promise<void> {
  for (const [call, name, text] of cases)
    await expect(call()).rejects.toMatchObject({ name, message: expect.stringContaining(text) });
}

describe('UpdateTable', () => {
  it('is refused while the table changes, and where nothing would', async () => {
    const TableName = 'refused';
    await createTable(
      client,
      {
        TableName,
        BillingMode: 'PROVISIONED',
        ...provisioned(5, 5),
        AttributeDefinitions: ['pk', 'sk', 'g'].map((AttributeName) => ({
          AttributeName,
          AttributeType: 'S' as const,
        })),
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
        LocalSecondaryIndexes: [
          {
            IndexName: 'local',
            KeySchema: [
              { AttributeName: 'pk', KeyType: 'HASH' },
              { AttributeName: 'g', KeyType: 'RANGE' },
            ],
            Projection: { ProjectionType: 'ALL' },
          },
        ],
        GlobalSecondaryIndexes: [
          {
            IndexName: 'byG',
            KeySchema: [{ AttributeName: 'g', KeyType: 'HASH' }],
            Projection: { ProjectionType: 'ALL' },
            ...provisioned(2, 2),
          },
        ],
      },
      cloud.clock,
    );
    const index = (IndexName: string, more: object = provisioned(2, 2)) =>
      update(TableName, { GlobalSecondaryIndexUpdates: [{ Update: { IndexName, ...more } }] });
    const create = (IndexName: string) => ({
      Create: {
        IndexName,
        KeySchema: [{ AttributeName: 'g', KeyType: 'HASH' as const }],
        Projection: { ProjectionType: 'ALL' as const },
        ...provisioned(1, 1),
      },
    });
    await refused([
      [() => update(TableName, provisioned(5, 5)), 'ValidationException', 'throughput for the table will not change'],
      [() => index('byG'), 'ValidationException', 'throughput for the index byG will not change'],
      [() => index('local'), 'ValidationException', 'Cannot update an index that is not a GlobalSecondaryIndex: local'],
      [() => index('none'), 'ResourceNotFoundException', 'Requested resource not found'],
      [
        () => update(TableName, { SSESpecification: { Enabled: false } }),
        'ValidationException',
        'Table is already encrypted by default',
      ],
      [
        () => update(TableName, { OnDemandThroughput: { MaxReadRequestUnits: 3 } }),
        'ValidationException',
        'MaxReadRequestUnits for OnDemandThroughput cannot be specified when the table BillingMode is PROVISIONED',
      ],
      [
        () => update(TableName, { WarmThroughput: { ReadUnitsPerSecond: 1 } }),
        'ValidationException',
        'Requested ReadUnitsPerSecond for WarmThroughput for table is lower than current WarmThroughput',
      ],
      [
        () =>
          update(TableName, {
            GlobalSecondaryIndexUpdates: [create('byG')],
            AttributeDefinitions: [{ AttributeName: 'g', AttributeType: 'S' }],
          }),
        'ValidationException',
        'Attempting to create an index which already exists',
      ],
      [
        () =>
          update(TableName, {
            GlobalSecondaryIndexUpdates: [create('x1y'), create('x2y')],
            AttributeDefinitions: [{ AttributeName: 'g', AttributeType: 'S' }],
          }),
        'LimitExceededException',
        'Only 1 online index can be created or deleted simultaneously per table',
      ],
      [
        () => update(TableName, { ReplicaUpdates: [{ Create: { RegionName: 'eu-west-1' } }] }),
        'NotImplemented',
        'replica',
      ],
    ]);
    await client.send(new UpdateTableCommand({ TableName, ...provisioned(6, 6) }));
    await refused([
      [
        () => client.send(new UpdateTableCommand({ TableName, ...provisioned(7, 7) })),
        'ResourceInUseException',
        `Attempt to change a resource which is still in use: Table is being updated: ${TableName}`,
      ],
      [
        () => client.send(new DeleteTableCommand({ TableName })),
        'ResourceInUseException',
        `Attempt to change a resource which is still in use: Table is being updated: ${TableName}`,
      ],
    ]);
  });

  it('lets throughput go down four times a day, and then once an hour', async () => {
    const TableName = 'lowered';
    await createTable(client, { TableName, BillingMode: 'PROVISIONED', ...provisioned(100, 100) }, cloud.clock);
    // Not over the end of a day.
    await cloud.clock.advance(24 * hourMs - (cloud.clock.now() % (24 * hourMs)) + hourMs);
    for (const units of [90, 80, 70, 60]) await update(TableName, provisioned(units, 100));
    const again = () => update(TableName, provisioned(50, 100));
    await refused([[again, 'LimitExceededException', 'Number of decreases today: 4.']]);
    await cloud.clock.advance(hourMs);
    expect((await again()).ProvisionedThroughput).toMatchObject({ NumberOfDecreasesToday: 5, ReadCapacityUnits: 50 });
    await refused([
      [() => update(TableName, provisioned(40, 100)), 'LimitExceededException', 'once every 3600 seconds'],
    ]);
    await cloud.clock.advance(24 * hourMs);
    expect((await update(TableName, provisioned(40, 100))).ProvisionedThroughput?.NumberOfDecreasesToday).toBe(1);
  });

  it('changes to on-demand four times a day', async () => {
    const TableName = 'billed';
    await createTable(client, { TableName, BillingMode: 'PROVISIONED', ...provisioned(1, 1) }, cloud.clock);
    const toOnDemand = () => update(TableName, { BillingMode: 'PAY_PER_REQUEST' });
    for (let n = 0; n < 4; n++) {
      await toOnDemand();
      await update(TableName, { BillingMode: 'PROVISIONED', ...provisioned(1, 1) });
    }
    await refused([[toOnDemand, 'LimitExceededException', 'Update to PayPerRequest mode are limited']]);
    await cloud.clock.advance(25 * hourMs);
    expect((await toOnDemand()).BillingModeSummary?.BillingMode).toBe('PAY_PER_REQUEST');
  });
});

it('changes time to live once an hour', async () => {
  const TableName = 'ttl';
  await client.send(
    new CreateTableCommand({
      TableName,
      AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
      BillingMode: 'PAY_PER_REQUEST',
    }),
  );
  const set = (AttributeName: string, Enabled: boolean) =>
    client.send(new UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification: { AttributeName, Enabled } }));
  await refused([
    [
      () => client.send(new DescribeTimeToLiveCommand({ TableName })),
      'ValidationException',
      'Cannot describe time to live while table is in CREATING state: Current table state is CREATING',
    ],
  ]);
  await untilActive(client, TableName, cloud.clock);
  await refused([[() => set('a', false), 'ValidationException', 'TimeToLive is already disabled']]);
  await set('a', true);
  await refused([
    [
      () => set('a', false),
      'ValidationException',
      'Time to live has been modified multiple times within a fixed interval',
    ],
    [
      () => set('b', true),
      'ValidationException',
      'TimeToLive is active on a different AttributeName: current AttributeName is a',
    ],
  ]);
  await cloud.clock.advance(hourMs);
  await set('a', false);
});

it('takes no more tags than fifty, and none of AWS’s own', async () => {
  const { TableArn: ResourceArn } = await createTable(client, { TableName: 'tags' }, cloud.clock);
  const tag = (...keys: string[]) =>
    client.send(new TagResourceCommand({ ResourceArn, Tags: keys.map((Key) => ({ Key, Value: 'v' })) }));
  await refused([
    [() => tag(), 'ValidationException', 'Atleast one Tag needs to be provided as Input.'],
    [() => tag('aws:own'), 'ValidationException', 'Tag Key cannot be prefixed with aws:, Key: aws:own'],
    [() => tag('a', 'a'), 'ValidationException', 'Duplicate Tag Keys provided as input: Duplicate Tag Key found a'],
    [
      () => client.send(new UntagResourceCommand({ ResourceArn, TagKeys: [] })),
      'ValidationException',
      'Atleast one Tag Key needs to be provided as Input.',
    ],
  ]);
  await tag(...Array.from({ length: 50 }, (_, n) => `k${n}`));
  await refused([
    [
      () => tag('one more'),
      'ValidationException',
      'Number of Tags exceed the current limit for the provided ResourceArn',
    ],
  ]);
  const first = await client.send(new ListTagsOfResourceCommand({ ResourceArn }));
  expect(first.Tags).toHaveLength(10);
  const second = await client.send(new ListTagsOfResourceCommand({ ResourceArn, NextToken: first.NextToken! }));
  expect(second.Tags).toHaveLength(10);
});

it('keeps the switches of Contributor Insights', async () => {
  const TableName = 'insights';
  await createTable(client, { TableName }, cloud.clock);
  const describeIt = () => client.send(new DescribeContributorInsightsCommand({ TableName }));
  expect((await describeIt()).ContributorInsightsStatus).toBe('DISABLED');
  const set = (ContributorInsightsAction: 'ENABLE' | 'DISABLE') =>
    client.send(
      new UpdateContributorInsightsCommand({
        TableName,
        ContributorInsightsAction,
        ContributorInsightsMode: 'THROTTLED_KEYS',
      }),
    );
  expect((await set('ENABLE')).ContributorInsightsStatus).toBe('ENABLING');
  expect(await describeIt()).toMatchObject({
    ContributorInsightsStatus: 'ENABLED',
    ContributorInsightsMode: 'THROTTLED_KEYS',
    ContributorInsightsRuleList: [],
  });
  const { ContributorInsightsSummaries } = await client.send(new ListContributorInsightsCommand({ TableName }));
  expect(ContributorInsightsSummaries).toMatchObject([{ TableName, ContributorInsightsStatus: 'ENABLED' }]);
  await set('DISABLE');
  expect((await describeIt()).ContributorInsightsStatus).toBe('DISABLED');
  await refused([
    [
      () => client.send(new DescribeContributorInsightsCommand({ TableName, IndexName: 'none' })),
      'ResourceNotFoundException',
      'not found',
    ],
  ]);
});

it('tells the truth about global tables, destinations, exports and imports', async () => {
  const TableName = 'alone';
  const { TableArn } = await createTable(client, { TableName }, cloud.clock);
  const StreamArn = 'arn:aws:kinesis:us-east-1:000000000000:stream/s';
  expect((await client.send(new ListGlobalTablesCommand({}))).GlobalTables).toEqual([]);
  expect((await client.send(new ListExportsCommand({}))).ExportSummaries).toEqual([]);
  expect((await client.send(new ListImportsCommand({ TableArn }))).ImportSummaryList).toEqual([]);
  expect(await client.send(new DescribeKinesisStreamingDestinationCommand({ TableName }))).toMatchObject({
    TableName,
    KinesisDataStreamDestinations: [],
  });
  const scaling = await client.send(new DescribeTableReplicaAutoScalingCommand({ TableName }));
  expect(scaling.TableAutoScalingDescription).toMatchObject({ TableName, Replicas: [] });
  const outdated = 'DynamoDB global tables version 2017.11.29 is not supported.';
  await refused([
    [
      () =>
        client.send(
          new CreateGlobalTableCommand({ GlobalTableName: TableName, ReplicationGroup: [{ RegionName: 'us-east-1' }] }),
        ),
      'ValidationException',
      outdated,
    ],
    [
      () => client.send(new UpdateGlobalTableCommand({ GlobalTableName: TableName, ReplicaUpdates: [] })),
      'ValidationException',
      outdated,
    ],
    [
      () => client.send(new DescribeGlobalTableCommand({ GlobalTableName: TableName })),
      'GlobalTableNotFoundException',
      TableName,
    ],
    [
      () => client.send(new DescribeGlobalTableSettingsCommand({ GlobalTableName: TableName })),
      'GlobalTableNotFoundException',
      TableName,
    ],
    [
      () => client.send(new DescribeExportCommand({ ExportArn: `${TableArn}/export/01-a` })),
      'ExportNotFoundException',
      'Export not found',
    ],
    [
      () => client.send(new DescribeImportCommand({ ImportArn: `${TableArn}/import/01-a` })),
      'ImportNotFoundException',
      'Import not found',
    ],
  ]);
  const unbuilt: readonly (() => Promise<unknown>)[] = [
    () => client.send(new EnableKinesisStreamingDestinationCommand({ TableName, StreamArn })),
    () => client.send(new DisableKinesisStreamingDestinationCommand({ TableName, StreamArn })),
    () => client.send(new UpdateKinesisStreamingDestinationCommand({ TableName, StreamArn })),
    () =>
      client.send(
        new ImportTableCommand({
          InputFormat: 'CSV',
          S3BucketSource: { S3Bucket: 'bucket' },
          TableCreationParameters: {
            TableName: 'imported',
            AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
            KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
          },
        }),
      ),
    () => client.send(new UpdateTableReplicaAutoScalingCommand({ TableName })),
  ];
  for (const call of unbuilt) await expect(call()).rejects.toMatchObject({ $metadata: { httpStatusCode: 501 } });
});
