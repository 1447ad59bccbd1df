import { agendaPartition } from '../../../kernel/agenda/agenda.ts';
import type { Handlers } from '../../../platform/service.ts';
import type { BackupDescription, BackupSummary, TableDescription } from '../../../wire/types/dynamodb.ts';
import { copyJob, copyKind, isCopyOf } from '../copies.ts';
import { commitOn, type Environment, type Place, untilCommitted } from '../environment.ts';
import { withHistory } from '../history-life.ts';
import { addTable } from '../new-table.ts';
import { RuleError } from '../rules/errors.ts';
import {
  backupArnOf,
  backupIdOf,
  backupNotFound,
  parseBackupArn,
  type RestoreOverrides,
  restoredRecord,
  tableGone,
} from '../rules/restore.ts';
import { encodeRecord, type RestoreRecord, type TableRecord } from '../state.ts';
import { type BackupRecord, backupKey, backupsOf, decodeBackup, encodeBackup } from '../state-backups.ts';
import { tableArn } from '../tables.ts';
import { removeBackupJob } from '../work.ts';

/** CreateBackup, DeleteBackup, DescribeBackup, ListBackups, RestoreTableFromBackup. */
export function backupOperations(env: Environment): Handlers<'dynamodb'> {
  const { store, clock } = env.platform;
  return {
    async CreateBackup(context, input) {
      const backup = await untilCommitted(() => create(env, context, input.TableName, input.BackupName));
      return { BackupDetails: detailsOf(backup) };
    },

    async DescribeBackup(context, input) {
      return { BackupDescription: descriptionOf((await requireBackup(env, context, input.BackupArn)).record) };
    },

    async DeleteBackup(context, input) {
      const deleted = await untilCommitted(async () => {
        const { key, version, record } = await requireBackup(env, context, input.BackupArn);
        if (record.type === 'SYSTEM') {
          throw new RuleError(
            `Invalid Request: User is not allowed to delete the system backup with arn ${input.BackupArn}. ` +
              `It will automatically expire on ${new Date(record.expiresAtMs!).toISOString()}`,
          );
        }
        if (record.status === 'CREATING' || (await isBeingRestored(env, record.id))) throw backupInUse();
        const { ok } = await store.commit({
          checks: [{ key, version }],
          delete: [key],
          schedule: [removeBackupJob(record.id, clock.now())],
        });
        return ok ? record : undefined;
      });
      const description = descriptionOf(deleted);
      return {
        BackupDescription: {
          ...description,
          BackupDetails: { ...description.BackupDetails!, BackupStatus: 'DELETED' },
        },
      };
    },

    async ListBackups(context, input) {
      const { TimeRangeLowerBound: fromMs = 0, TimeRangeUpperBound: untilMs = Number.POSITIVE_INFINITY } = input;
      if (fromMs > untilMs) {
        throw new RuleError(
          'One or more parameter values were invalid: Time range lower bound must be less than or equal to upper bound',
        );
      }
      const name = input.TableName === undefined ? undefined : env.tables.nameOf(context, input.TableName);
      const type = input.BackupType ?? 'ALL';
      const after = input.ExclusiveStartBackupArn === undefined ? '' : parseBackupArn(input.ExclusiveStartBackupArn).id;
      const entries = await store.list(backupsOf(context.account, context.region));
      const found = entries
        .map(({ value }) => decodeBackup(value))
        .filter(
          (one) =>
            one.id > after &&
            (input.TableName === undefined || one.table.name === name) &&
            (type === 'ALL' || one.type === type) &&
            one.createdAtMs >= fromMs &&
            one.createdAtMs < untilMs,
        );
      const page = found.slice(0, input.Limit ?? env.limits.backupsPage);
      return {
        BackupSummaries: page.map(summaryOf),
        LastEvaluatedBackupArn: page.length < found.length ? arnOf(page.at(-1)!) : undefined,
      };
    },

    async RestoreTableFromBackup(context, input) {
      const description = await untilCommitted(async () => {
        const { record } = await requireBackup(env, context, input.BackupArn);
        if (record.status === 'CREATING') throw backupInUse();
        const restore: RestoreRecord = {
          backupArn: input.BackupArn,
          tableArn: tableArn(record.table),
          restoredAtMs: record.createdAtMs,
          isUnderWay: true,
        };
        return restoreTable(env, context, input.TargetTableName, record.table, restore, input, (id) =>
          copyJob(context, { backup: record.id }, { table: input.TargetTableName, id }, clock.now()),
        );
      });
      return { TableDescription: description };
    },
  };
}

/** Makes a table of another one's shape and begins to fill it; undefined: the commit lost. Throws RuleError. */
export async function restoreTable(
  env: Environment,
  place: Place,
  name: string,
  source: TableRecord,
  restore: RestoreRecord,
  overrides: RestoreOverrides,
  copying: (id: number) => ReturnType<typeof copyJob>,
): Promise<TableDescription | undefined> {
  const most = env.limits.restoresUnderWay;
  if ((await env.platform.store.countDue(agendaPartition(copyKind))) >= most) {
    throw new RuleError(
      `Subscriber limit exceeded: Only ${most} tables can be restored simultaneously`,
      'LimitExceededException',
    );
  }
  try {
    return await addTable(env, place, name, async (id, nowMs) => {
      const target = { id, tableId: env.platform.random.uuid(), name, createdAtMs: nowMs };
      return { record: { ...restoredRecord(source, target, place, overrides), restore }, more: copying(id) };
    });
  } catch (error) {
    if (!(error instanceof RuleError) || error.code !== 'ResourceInUseException') throw error;
    throw new RuleError(error.message, 'TableAlreadyExistsException');
  }
}

async function create(
  env: Environment,
  place: Place,
  nameOrArn: string,
  backupName: string,
): Promise<BackupRecord | undefined> {
  const { clock, random } = env.platform;
  const name = env.tables.nameOf(place, nameOrArn);
  const table = name === undefined ? undefined : await env.tables.read(place, name);
  if (table === undefined || table.record.status === 'DELETING') throw tableGone(nameOrArn);
  if (table.record.status === 'CREATING') throw backupsUnavailable(nameOrArn);
  const nowMs = clock.now();
  const id = backupIdOf(nowMs, random.hex(8));
  const { record: before } = table;
  const { record, schedule } = withHistory(before, nowMs);
  const after: TableRecord = { ...record, backupsUnderWay: [...(record.backupsUnderWay ?? []), id] };
  const backup: BackupRecord = {
    id,
    name: backupName,
    type: 'USER',
    status: 'CREATING',
    createdAtMs: nowMs,
    count: 0,
    bytes: 0,
    table: before,
  };
  const from = { table: before.name, id: before.id, atMs: nowMs, historySinceMs: after.history!.sinceMs };
  const job = copyJob(before, from, { backup: id }, nowMs);
  const result = await commitOn(env, [table], {
    checks: [table.check],
    set: [
      { key: table.key, value: encodeRecord(after) },
      { key: backupKey(before.account, before.region, id), value: encodeBackup(backup) },
      ...job.set,
    ],
    schedule: [...schedule, ...job.schedule],
  });
  if (!result.ok) return undefined;
  env.tables.forget(table);
  return backup;
}

export function backupsUnavailable(table: string): RuleError {
  return new RuleError(
    `Backups are being enabled for the table: ${table}. Please retry later`,
    'ContinuousBackupsUnavailableException',
  );
}

async function requireBackup(env: Environment, place: Place, arn: string) {
  const { account, region, table, id } = parseBackupArn(arn);
  if (account !== place.account || region !== place.region) throw backupNotFound(arn);
  const key = backupKey(account, region, id);
  const entry = await env.platform.store.get(key);
  const record = entry && decodeBackup(entry.value);
  if (record === undefined || record.table.name !== table) throw backupNotFound(arn);
  return { key, version: entry!.version, record };
}

/** API reference, "BackupInUseException". */
function backupInUse(): RuleError {
  return new RuleError(
    'There is another ongoing conflicting backup control plane operation on the table. ' +
      'The backup is either being created, deleted or restored to a table.',
    'BackupInUseException',
  );
}

async function isBeingRestored(env: Environment, id: string): Promise<boolean> {
  const jobs = await env.platform.agenda.list(copyKind);
  return jobs.some(({ value }) => isCopyOf(value, id));
}

function arnOf({ id, table }: BackupRecord): string {
  return backupArnOf(table, id);
}

function detailsOf(backup: BackupRecord): NonNullable<BackupDescription['BackupDetails']> {
  return {
    BackupArn: arnOf(backup),
    BackupName: backup.name,
    BackupSizeBytes: backup.bytes,
    BackupStatus: backup.status,
    BackupType: backup.type,
    BackupCreationDateTime: backup.createdAtMs,
    BackupExpiryDateTime: backup.expiresAtMs,
  };
}

function summaryOf(backup: BackupRecord): BackupSummary {
  const { name: TableName, tableId: TableId } = backup.table;
  return { TableName, TableId, TableArn: tableArn(backup.table), ...detailsOf(backup) };
}

function descriptionOf(backup: BackupRecord): BackupDescription {
  const { table, count, bytes } = backup;
  const units = ({ readUnits, writeUnits }: TableRecord['throughput']) => ({
    ReadCapacityUnits: readUnits,
    WriteCapacityUnits: writeUnits,
  });
  const indexes = (kind: 'local' | 'global') => {
    const found = table.indexes.filter((index) => index.kind === kind);
    const shown = found.map(({ name: IndexName, keySchema: KeySchema, projection: Projection, throughput }) => ({
      IndexName,
      KeySchema,
      Projection,
      ...(kind === 'global' ? { ProvisionedThroughput: units(throughput) } : {}),
    }));
    return shown.length === 0 ? undefined : shown;
  };
  return {
    BackupDetails: detailsOf(backup),
    SourceTableDetails: {
      TableName: table.name,
      TableId: table.tableId,
      TableArn: tableArn(table),
      TableSizeBytes: bytes,
      KeySchema: table.keySchema,
      TableCreationDateTime: table.createdAtMs,
      ProvisionedThroughput: units(table.throughput),
      OnDemandThroughput: table.onDemandThroughput,
      ItemCount: count,
      BillingMode: table.billingMode,
    },
    SourceTableFeatureDetails: {
      LocalSecondaryIndexes: indexes('local'),
      GlobalSecondaryIndexes: indexes('global'),
      StreamDescription: table.stream && { StreamEnabled: true, StreamViewType: table.stream.viewType },
      TimeToLiveDescription: table.ttl && {
        TimeToLiveStatus: table.ttl.status,
        AttributeName: table.ttl.attributeName,
      },
      SSEDescription: table.encryption && {
        Status: 'ENABLED',
        SSEType: 'KMS',
        KMSMasterKeyArn: table.encryption.kmsKey,
      },
    },
  };
}
