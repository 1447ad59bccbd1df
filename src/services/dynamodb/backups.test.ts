import { gunzipSync } from 'node:zlib';
import {
  CreateBackupCommand,
  DeleteBackupCommand,
  DeleteItemCommand,
  DeleteTableCommand,
  DescribeBackupCommand,
  DescribeContinuousBackupsCommand,
  DescribeExportCommand,
  DescribeTableCommand,
  DynamoDBClient,
  ExportTableToPointInTimeCommand,
  ListBackupsCommand,
  ListExportsCommand,
  PutItemCommand,
  paginateScan,
  QueryCommand,
  RestoreTableFromBackupCommand,
  RestoreTableToPointInTimeCommand,
  UpdateContinuousBackupsCommand,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import type { ServiceName } from '../../platform/context.ts';
import type { Dispatcher } from '../../platform/dispatcher.ts';
import type { Service } from '../../platform/service.ts';
import { AwsError } from '../../wire/errors.ts';
import { createTable, untilActive } from './test-support.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

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

const put = (TableName: string, pk: string, v: string) =>
  client.send(new PutItemCommand({ TableName, Item: { pk: { S: pk }, v: { S: v }, g: { S: `g-${v}` } } }));
const remove = (TableName: string, pk: string) =>
  client.send(new DeleteItemCommand({ TableName, Key: { pk: { S: pk } } }));

/** What a table holds: values by key. */
async function contents(TableName: string, IndexName?: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const pages = paginateScan({ client }, { TableName, ...(IndexName === undefined ? {} : { IndexName }) });
  for await (const { Items = [] } of pages) for (const item of Items) found[item['pk']!.S!] = item['v']!.S!;
  return found;
}

const indexed = {
  AttributeDefinitions: [
    { AttributeName: 'pk', AttributeType: 'S' as const },
    { AttributeName: 'g', AttributeType: 'S' as const },
  ],
  GlobalSecondaryIndexes: [
    {
      IndexName: 'byG',
      KeySchema: [{ AttributeName: 'g', KeyType: 'HASH' as const }],
      Projection: { ProjectionType: 'ALL' as const },
    },
  ],
};

async function untilAvailable(BackupArn: string) {
  for (let waited = 0; waited < 500; waited++) {
    const { BackupDescription } = await client.send(new DescribeBackupCommand({ BackupArn }));
    if (BackupDescription?.BackupDetails?.BackupStatus === 'AVAILABLE') return BackupDescription;
    await cloud.clock.advance(50);
  }
  throw new Error('the backup did not become available');
}

const switchRecovery = (TableName: string, enabled: boolean, RecoveryPeriodInDays?: number) =>
  client.send(
    new UpdateContinuousBackupsCommand({
      TableName,
      PointInTimeRecoverySpecification: {
        PointInTimeRecoveryEnabled: enabled,
        ...(RecoveryPeriodInDays === undefined ? {} : { RecoveryPeriodInDays }),
      },
    }),
  );

describe('backups on demand', () => {
  it('hold the table of the moment, however much is written meanwhile', async () => {
    const TableName = 'busy';
    await createTable(client, { TableName, ...indexed }, cloud.clock);
    const expected: Record<string, string> = {};
    for (let n = 0; n < 400; n++) {
      await put(TableName, `k${n}`, 'before');
      expected[`k${n}`] = 'before';
    }
    const { BackupDetails } = await client.send(new CreateBackupCommand({ TableName, BackupName: 'first' }));
    expect(BackupDetails).toMatchObject({ BackupName: 'first', BackupType: 'USER', BackupStatus: 'CREATING' });
    const arn = BackupDetails!.BackupArn!;
    await expect(client.send(new DeleteBackupCommand({ BackupArn: arn }))).rejects.toMatchObject({
      name: 'BackupInUseException',
    });
    // While it is being made: changes, changes of changes, deletions, new ones, and some back and forth.
    for (let n = 0; n < 400; n += 3) await put(TableName, `k${n}`, 'after');
    for (let n = 0; n < 400; n += 6) await put(TableName, `k${n}`, 'later');
    for (let n = 1; n < 400; n += 3) await remove(TableName, `k${n}`);
    for (let n = 1; n < 400; n += 9) await put(TableName, `k${n}`, 'again');
    for (let n = 0; n < 50; n++) await put(TableName, `new${n}`, 'new');
    for (let n = 0; n < 25; n++) await remove(TableName, `new${n}`);
    const described = await untilAvailable(arn);
    expect(described).toMatchObject({
      SourceTableDetails: { TableName, ItemCount: 400, BillingMode: 'PAY_PER_REQUEST' },
      SourceTableFeatureDetails: { GlobalSecondaryIndexes: [{ IndexName: 'byG' }] },
    });
    expect(described.BackupDetails!.BackupSizeBytes).toBeGreaterThan(400 * 10);

    const { TableDescription } = await client.send(
      new RestoreTableFromBackupCommand({ BackupArn: arn, TargetTableName: 'busy-again' }),
    );
    expect(TableDescription).toMatchObject({
      TableStatus: 'CREATING',
      RestoreSummary: { SourceBackupArn: arn, RestoreInProgress: true },
    });
    await expect(
      client.send(new RestoreTableFromBackupCommand({ BackupArn: arn, TargetTableName: 'busy' })),
    ).rejects.toMatchObject({ name: 'TableAlreadyExistsException' });
    const restored = await untilActive(client, 'busy-again', cloud.clock);
    expect(restored).toMatchObject({ ItemCount: 400, RestoreSummary: { RestoreInProgress: false } });
    expect(await contents('busy-again')).toEqual(expected);
    expect(await contents('busy-again', 'byG')).toEqual(expected);
    const byG = new QueryCommand({
      TableName: 'busy-again',
      IndexName: 'byG',
      KeyConditionExpression: 'g = :g',
      ExpressionAttributeValues: { ':g': { S: 'g-later' } },
    });
    expect((await client.send(byG)).Count).toBe(0);

    const { BackupDescription } = await client.send(new DeleteBackupCommand({ BackupArn: arn }));
    expect(BackupDescription?.BackupDetails?.BackupStatus).toBe('DELETED');
    await expect(client.send(new DescribeBackupCommand({ BackupArn: arn }))).rejects.toMatchObject({
      name: 'BackupNotFoundException',
      message: `Backup not found: ${arn}`,
    });
  }, 30_000);

  it('outlive their tables, are listed, and restored with other settings', async () => {
    const TableName = 'short';
    await createTable(client, { TableName, ...indexed }, cloud.clock);
    await put(TableName, 'a', 'x');
    const arns: string[] = [];
    for (const BackupName of ['one', 'two', 'three']) {
      const { BackupDetails } = await client.send(new CreateBackupCommand({ TableName, BackupName }));
      arns.push(BackupDetails!.BackupArn!);
      await untilAvailable(arns.at(-1)!);
      await cloud.clock.advance(hourMs);
    }
    await client.send(new DeleteTableCommand({ TableName }));
    await cloud.clock.advance(1_000);
    const list = (input: object) => client.send(new ListBackupsCommand({ TableName, ...input }));
    const first = await list({ Limit: 2 });
    expect(first.BackupSummaries?.map(({ BackupName }) => BackupName)).toEqual(['one', 'two']);
    const rest = await list({ ExclusiveStartBackupArn: first.LastEvaluatedBackupArn! });
    expect(rest.BackupSummaries).toMatchObject([{ BackupName: 'three', TableName, BackupStatus: 'AVAILABLE' }]);
    const between = first.BackupSummaries![1]!.BackupCreationDateTime!;
    expect((await list({ TimeRangeLowerBound: between })).BackupSummaries).toHaveLength(2);
    expect((await list({ TimeRangeUpperBound: between })).BackupSummaries).toHaveLength(1);
    expect((await list({ BackupType: 'SYSTEM' })).BackupSummaries).toEqual([]);
    await expect(
      list({ TimeRangeLowerBound: between, TimeRangeUpperBound: new Date(between.getTime() - 1000) }),
    ).rejects.toThrow('Time range lower bound must be less than or equal to upper bound');

    const restore = (input: object) =>
      client.send(new RestoreTableFromBackupCommand({ BackupArn: arns[0]!, TargetTableName: 'other', ...input }));
    const units = { ReadCapacityUnits: 3, WriteCapacityUnits: 4 };
    await expect(restore({ BillingModeOverride: 'PROVISIONED' })).rejects.toThrow(
      'Invalid Request: Must override ProvisionedThroughput if BillingMode is overridden to PROVISIONED',
    );
    await expect(restore({ ProvisionedThroughputOverride: units })).rejects.toThrow(
      'Invalid Request: Cannot override ProvisionedThroughput unless BillingMode is PROVISIONED',
    );
    await expect(
      restore({ GlobalSecondaryIndexOverride: [{ ...indexed.GlobalSecondaryIndexes[0], IndexName: 'unknown' }] }),
    ).rejects.toThrow('Index unknown does not match a secondary index that existed in the source table');
    await restore({
      BillingModeOverride: 'PROVISIONED',
      ProvisionedThroughputOverride: units,
      GlobalSecondaryIndexOverride: [],
    });
    const table = await untilActive(client, 'other', cloud.clock);
    expect(table).toMatchObject({ ProvisionedThroughput: units, ItemCount: 1 });
    expect(table.GlobalSecondaryIndexes).toBeUndefined();
    expect(await contents('other')).toEqual({ a: 'x' });
  });

  it('refuse what is not right', async () => {
    const missing = 'arn:aws:dynamodb:us-east-1:000000000000:table/none/backup/01489173575360-b308cd7d';
    const cases: readonly (readonly [() => Promise<unknown>, string, string])[] = [
      [
        () => client.send(new CreateBackupCommand({ TableName: 'nothing', BackupName: 'abc' })),
        'TableNotFoundException',
        'Table not found: nothing',
      ],
      [
        () => client.send(new DescribeBackupCommand({ BackupArn: missing })),
        'BackupNotFoundException',
        `Backup not found: ${missing}`,
      ],
      [
        () => client.send(new DeleteBackupCommand({ BackupArn: missing.replace('/backup/', '/index/') })),
        'ValidationException',
        'Invalid Backup ARN',
      ],
      [
        () => client.send(new RestoreTableFromBackupCommand({ BackupArn: missing, TargetTableName: 'xyz' })),
        'BackupNotFoundException',
        'Backup not found',
      ],
      [() => client.send(new ListBackupsCommand({ Limit: 101 })), 'ValidationException', 'less than or equal to 100'],
    ];
    for (const [call, name, text] of cases) {
      await expect(call()).rejects.toMatchObject({ name, message: expect.stringContaining(text) });
    }
  });
});

describe('point-in-time recovery', () => {
  const restoreTo = (SourceTableName: string, TargetTableName: string, input: object) =>
    client.send(new RestoreTableToPointInTimeCommand({ SourceTableName, TargetTableName, ...input }));

  it('brings back any second since it was switched on', async () => {
    const TableName = 'timed';
    await createTable(client, { TableName, ...indexed }, cloud.clock);
    await put(TableName, 'old', 'from before');
    await expect(restoreTo(TableName, 'timed-x', { UseLatestRestorableTime: true })).rejects.toMatchObject({
      name: 'PointInTimeRecoveryUnavailableException',
      message: "Point in time recovery is not enabled for table 'timed'",
    });
    const on = await switchRecovery(TableName, true);
    expect(on.ContinuousBackupsDescription).toMatchObject({
      ContinuousBackupsStatus: 'ENABLED',
      PointInTimeRecoveryDescription: { PointInTimeRecoveryStatus: 'ENABLED', RecoveryPeriodInDays: 35 },
    });
    const moments: { readonly at: Date; readonly expected: Record<string, string> }[] = [];
    const mark = async () => {
      moments.push({ at: new Date(cloud.clock.now()), expected: await contents(TableName) });
      await cloud.clock.advance(1_000);
    };
    await cloud.clock.advance(1_000);
    await mark();
    await put(TableName, 'a', '1');
    await mark();
    await put(TableName, 'a', '2');
    await put(TableName, 'b', '1');
    await mark();
    await remove(TableName, 'a');
    await put(TableName, 'old', 'changed');
    await mark();
    await put(TableName, 'a', '3');
    await remove(TableName, 'old');
    await cloud.clock.advance(10 * dayMs);
    await put(TableName, 'b', '2');
    await mark();
    await remove(TableName, 'b');
    await put(TableName, 'c', '1');

    for (const [index, { at, expected }] of moments.entries()) {
      const { TableDescription } = await restoreTo(TableName, `timed-${index}`, { RestoreDateTime: at });
      expect(TableDescription?.RestoreSummary?.RestoreDateTime?.getTime()).toBe(at.getTime());
      await untilActive(client, `timed-${index}`, cloud.clock);
      expect(await contents(`timed-${index}`)).toEqual(expected);
      expect(await contents(`timed-${index}`, 'byG')).toEqual(expected);
    }
    await restoreTo(TableName, 'timed-now', { UseLatestRestorableTime: true });
    await untilActive(client, 'timed-now', cloud.clock);
    expect(await contents('timed-now')).toEqual(await contents(TableName));
  }, 30_000);

  it('reaches back as far as it was asked to', async () => {
    const TableName = 'window';
    await createTable(client, { TableName }, cloud.clock);
    await switchRecovery(TableName, true, 2);
    const enabledAt = cloud.clock.now();
    await put(TableName, 'a', '1');
    await expect(
      restoreTo(TableName, 'window-x', { RestoreDateTime: new Date(enabledAt - 5_000) }),
    ).rejects.toMatchObject({ name: 'InvalidRestoreTimeException' });
    await expect(
      restoreTo(TableName, 'window-x', { RestoreDateTime: new Date(cloud.clock.now() + hourMs) }),
    ).rejects.toMatchObject({ name: 'InvalidRestoreTimeException' });
    await expect(restoreTo(TableName, 'window-x', {})).rejects.toThrow(
      'Either one of RestoreDateTime or UseLatestRestorableTime must be specified, but not both',
    );
    await cloud.clock.advance(5 * dayMs);
    const { ContinuousBackupsDescription } = await client.send(new DescribeContinuousBackupsCommand({ TableName }));
    const earliest = ContinuousBackupsDescription!.PointInTimeRecoveryDescription!.EarliestRestorableDateTime!;
    expect(Math.abs(earliest.getTime() - (cloud.clock.now() - 2 * dayMs))).toBeLessThan(2_000);
    await expect(
      restoreTo(TableName, 'window-x', { RestoreDateTime: new Date(cloud.clock.now() - 3 * dayMs) }),
    ).rejects.toMatchObject({ name: 'InvalidRestoreTimeException' });
    await switchRecovery(TableName, false);
    await expect(restoreTo(TableName, 'window-x', { UseLatestRestorableTime: true })).rejects.toMatchObject({
      name: 'PointInTimeRecoveryUnavailableException',
    });
    const off = client.send(
      new UpdateContinuousBackupsCommand({
        TableName,
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: false, RecoveryPeriodInDays: 5 },
      }),
    );
    await expect(off).rejects.toThrow('Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery.');
    await expect(switchRecovery('nothing', true)).rejects.toMatchObject({
      name: 'TableNotFoundException',
      message: 'Table not found: nothing',
    });
  });

  it('leaves a backup of a table that is deleted, for 35 days', async () => {
    const TableName = 'missed';
    await createTable(client, { TableName }, cloud.clock);
    await switchRecovery(TableName, true);
    for (let n = 0; n < 150; n++) await put(TableName, `k${n}`, 'x');
    await client.send(new DeleteTableCommand({ TableName }));
    await cloud.clock.advance(10_000);
    await expect(client.send(new DescribeTableCommand({ TableName }))).rejects.toThrow('not found');
    const { BackupSummaries } = await client.send(new ListBackupsCommand({ TableName, BackupType: 'SYSTEM' }));
    expect(BackupSummaries).toMatchObject([{ BackupName: 'missed$DeletedTableBackup', BackupStatus: 'AVAILABLE' }]);
    const BackupArn = BackupSummaries![0]!.BackupArn!;
    await expect(client.send(new DeleteBackupCommand({ BackupArn }))).rejects.toThrow(
      'User is not allowed to delete the system backup',
    );
    await client.send(new RestoreTableFromBackupCommand({ BackupArn, TargetTableName: TableName }));
    await untilActive(client, TableName, cloud.clock);
    expect(Object.keys(await contents(TableName))).toHaveLength(150);
    await cloud.clock.advance(36 * dayMs);
    await expect(client.send(new DescribeBackupCommand({ BackupArn }))).rejects.toMatchObject({
      name: 'BackupNotFoundException',
    });
  }, 30_000);
});

describe('exports', () => {
  const request = (TableArn: string, input: object = {}) =>
    client.send(new ExportTableToPointInTimeCommand({ TableArn, S3Bucket: 'bucket', S3Prefix: 'out', ...input }));
  const describeExport = async (ExportArn: string) =>
    (await client.send(new DescribeExportCommand({ ExportArn }))).ExportDescription!;
  const untilDone = async (arn: string) => {
    for (let waited = 0; (await describeExport(arn)).ExportStatus === 'IN_PROGRESS' && waited < 200; waited++)
      await cloud.clock.advance(50);
    return describeExport(arn);
  };

  it('go to S3 where there is one, as AWS lays them out', async () => {
    const { TableArn } = await createTable(client, { TableName: 'exported' }, cloud.clock);
    await expect(request(TableArn!)).rejects.toMatchObject({ name: 'PointInTimeRecoveryUnavailableException' });
    await switchRecovery('exported', true);
    for (let n = 0; n < 120; n++) await put('exported', `k${n}`, 'before');
    const ExportTime = new Date(cloud.clock.now());
    await cloud.clock.advance(1_000);
    for (let n = 0; n < 60; n++) await remove('exported', `k${n}`);
    await expect(request(TableArn!)).rejects.toMatchObject({ $metadata: { httpStatusCode: 501 } });
    await expect(request(TableArn!, { ExportFormat: 'ION' })).rejects.toMatchObject({
      $metadata: { httpStatusCode: 501 },
    });
    await expect(request(TableArn!, { ExportTime: new Date(cloud.clock.now() - 40 * dayMs) })).rejects.toMatchObject({
      name: 'InvalidExportTimeException',
    });

    const objects = new Map<string, Buffer>();
    const storage = {
      HeadBucket: async () => ({}),
      PutObject: async (_context: unknown, { Bucket, Key, Body }: { Bucket: string; Key: string; Body: Buffer }) => {
        if (Bucket !== 'bucket') throw new AwsError('NoSuchBucket', 'The specified bucket does not exist');
        objects.set(Key, Body);
        return { ETag: '"tag"' };
      },
    };
    const dispatcher = cloud.cloud.platform.bus as Dispatcher;
    dispatcher.register('s3' as ServiceName, { operations: storage } as unknown as Service);
    const { ExportDescription } = await request(TableArn!, { ExportTime, ClientToken: 'once' });
    expect(ExportDescription).toMatchObject({ ExportStatus: 'IN_PROGRESS', ExportFormat: 'DYNAMODB_JSON' });
    const again = await request(TableArn!, { ExportTime, ClientToken: 'once' });
    expect(again.ExportDescription?.ExportArn).toBe(ExportDescription?.ExportArn);
    const done = await untilDone(ExportDescription!.ExportArn!);
    expect(done).toMatchObject({ ExportStatus: 'COMPLETED', ItemCount: 120 });
    const summary = JSON.parse(objects.get(done.ExportManifest!)!.toString());
    expect(summary).toMatchObject({ itemCount: 120, s3Bucket: 'bucket', outputFormat: 'DYNAMODB_JSON' });
    const files = objects.get(summary.manifestFilesS3Key)!.toString().trim().split('\n');
    const found = files
      .map((line) => JSON.parse(line) as { dataFileS3Key: string })
      .flatMap(({ dataFileS3Key }) => gunzipSync(objects.get(dataFileS3Key)!).toString().trim().split('\n'))
      .map((line) => (JSON.parse(line) as { Item: { pk: { S: string } } }).Item.pk.S);
    expect(found.sort()).toEqual(Array.from({ length: 120 }, (_, n) => `k${n}`).sort());

    const { ExportDescription: bad } = await request(TableArn!, { S3Bucket: 'elsewhere' });
    expect(await untilDone(bad!.ExportArn!)).toMatchObject({ ExportStatus: 'FAILED', FailureCode: 'NoSuchBucket' });
    const { ExportSummaries } = await client.send(new ListExportsCommand({ TableArn }));
    expect(ExportSummaries?.map(({ ExportStatus }) => ExportStatus)).toEqual(['COMPLETED', 'FAILED']);
  });
});

it('goes on with a backup and a restore after a restart', async () => {
  const before = await startTestCloud({ engine: 'lmdb', services: ['dynamodb'] });
  const one = new DynamoDBClient(before.clientConfig);
  await createTable(one, { TableName: 'kept' });
  for (let n = 0; n < 20; n++)
    await one.send(new PutItemCommand({ TableName: 'kept', Item: { pk: { S: `k${n}` }, v: { S: 'x' } } }));
  const { BackupDetails } = await one.send(new CreateBackupCommand({ TableName: 'kept', BackupName: 'kept' }));
  one.destroy();
  const after = await before.restart();
  const two = new DynamoDBClient(after.clientConfig);
  const BackupArn = BackupDetails!.BackupArn!;
  await expect
    .poll(
      async () =>
        (await two.send(new DescribeBackupCommand({ BackupArn }))).BackupDescription?.BackupDetails?.BackupStatus,
      { timeout: 10_000 },
    )
    .toBe('AVAILABLE');
  await two.send(new RestoreTableFromBackupCommand({ BackupArn, TargetTableName: 'restored' }));
  expect((await untilActive(two, 'restored')).ItemCount).toBe(20);
  two.destroy();
  await after.close();
}, 30_000);
