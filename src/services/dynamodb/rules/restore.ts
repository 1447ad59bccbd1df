/**
 * Backups and restores: what AWS refuses, and the table that comes of one.
 * Texts: ack-api-quirks, finding DDB-TABLE-442, recorded on AWS in October 2026; API reference "RestoreTableFromBackup".
 */
import { formatArn, parseArn } from '../../../platform/arn.ts';
import type { RestoreTableFromBackupInput } from '../../../wire/types/dynamodb.ts';
import type { IndexRecord, TableRecord, Throughput } from '../state.ts';
import { checkEncryption, encryptionOf } from './encryption.ts';
import { RuleError } from './errors.ts';
import { unprovisioned } from './provisioning.ts';

export type RestoreOverrides = Omit<RestoreTableFromBackupInput, 'BackupArn' | 'TargetTableName'>;

interface Place {
  readonly account: string;
  readonly region: string;
}

export function backupArnOf({ account, region, name }: Place & { readonly name: string }, id: string): string {
  return formatArn({ service: 'dynamodb', region, account, resource: `table/${name}/backup/${id}` });
}

export interface BackupName extends Place {
  readonly table: string;
  readonly id: string;
}

/** Throws RuleError. */
export function parseBackupArn(text: string): BackupName {
  const arn = parseArn(text);
  const [kind, table, what, id, ...more] = arn?.resource.split('/') ?? [];
  const isGood = arn?.service === 'dynamodb' && kind === 'table' && what === 'backup' && more.length === 0;
  if (!isGood || table === undefined || id === undefined) throw new RuleError('Invalid Backup ARN');
  return { account: arn.account, region: arn.region, table, id };
}

export function backupIdOf(createdAtMs: number, hex: string): string {
  return `${String(createdAtMs).padStart(14, '0')}-${hex}`;
}

export function backupNotFound(arn: string): RuleError {
  return new RuleError(`Backup not found: ${arn}`, 'BackupNotFoundException');
}

export function tableGone(nameOrArn: string): RuleError {
  return new RuleError(`Table not found: ${nameOrArn}`, 'TableNotFoundException');
}

/** The moment to restore; times are epoch milliseconds. Throws RuleError. */
export function restoreTime(
  given: { readonly RestoreDateTime?: number | undefined; readonly UseLatestRestorableTime?: boolean | undefined },
  earliestMs: number,
  latestMs: number,
): number {
  const { RestoreDateTime: atMs, UseLatestRestorableTime: latest } = given;
  if ((atMs === undefined) === (latest !== true)) {
    throw new RuleError(
      'Invalid Request: Either one of RestoreDateTime or UseLatestRestorableTime must be specified, but not both',
    );
  }
  if (atMs === undefined) return latestMs;
  if (atMs >= earliestMs && atMs <= latestMs) return atMs;
  throw new RuleError(
    `RestoreDateTime ${text(atMs)} is outside of the restorable window: EarliestRestorableDateTime is ${text(earliestMs)}, ` +
      `LatestRestorableDateTime is ${text(latestMs)}`,
    'InvalidRestoreTimeException',
  );
}

function text(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

/** The table that a restore makes of another one: its keys, throughput and indexes, nothing else. Throws RuleError. */
export function restoredRecord(
  source: TableRecord,
  target: { readonly id: number; readonly tableId: string; readonly name: string; readonly createdAtMs: number },
  place: Place,
  overrides: RestoreOverrides,
): TableRecord {
  checkOverrides(overrides);
  checkEncryption(overrides.SSESpecificationOverride);
  const billingMode = overrides.BillingModeOverride ?? source.billingMode;
  const isOnDemand = billingMode === 'PAY_PER_REQUEST';
  const given = overrides.ProvisionedThroughputOverride;
  if (given !== undefined && isOnDemand) {
    throw invalid('Cannot override ProvisionedThroughput unless BillingMode is PROVISIONED');
  }
  if (given === undefined && !isOnDemand && source.billingMode === 'PAY_PER_REQUEST') {
    throw invalid('Must override ProvisionedThroughput if BillingMode is overridden to PROVISIONED');
  }
  const kept = isOnDemand ? unprovisioned : { ...source.throughput, decreases: 0 };
  const encryption =
    overrides.SSESpecificationOverride === undefined
      ? source.encryption
      : encryptionOf(overrides.SSESpecificationOverride, place);
  const maximum = overrides.OnDemandThroughputOverride ?? (isOnDemand ? source.onDemandThroughput : undefined);
  const indexes = [
    ...keptIndexes(source, 'local', overrides.LocalSecondaryIndexOverride, isOnDemand),
    ...keptIndexes(source, 'global', overrides.GlobalSecondaryIndexOverride, isOnDemand),
  ].map((index, position) => ({ ...index, id: position + 1 }));
  const used = new Set(
    [source.keySchema, ...indexes.map(({ keySchema }) => keySchema)].flat().map((e) => e.AttributeName),
  );
  return {
    ...target,
    account: place.account,
    region: place.region,
    status: 'CREATING',
    attributeDefinitions: source.attributeDefinitions.filter(({ AttributeName }) => used.has(AttributeName)),
    keySchema: source.keySchema,
    indexes,
    lastIndexId: indexes.length,
    billingMode,
    ...(isOnDemand ? { onDemandSinceMs: target.createdAtMs } : {}),
    throughput: given === undefined ? settled(kept) : unitsOf(given),
    ...(maximum === undefined ? {} : { onDemandThroughput: maximum }),
    ...(source.tableClass === undefined ? {} : { tableClass: { name: source.tableClass.name } }),
    ...(encryption === undefined ? {} : { encryption }),
    deletionProtection: false,
    tags: {},
  };
}

function checkOverrides(overrides: RestoreOverrides): void {
  const {
    BillingModeOverride: mode,
    ProvisionedThroughputOverride: units,
    OnDemandThroughputOverride: maximum,
  } = overrides;
  if (mode === 'PAY_PER_REQUEST' && units !== undefined) {
    throw invalid('Cannot override ProvisionedThroughput if BillingMode is overridden to PAY_PER_REQUEST');
  }
  for (const name of ['MaxReadRequestUnits', 'MaxWriteRequestUnits'] as const) {
    const value = maximum?.[name];
    if (value === undefined) continue;
    if (mode !== 'PAY_PER_REQUEST') {
      throw invalid(`Cannot override ${name} for OnDemandThroughput unless BillingModeOverride is PAY_PER_REQUEST`);
    }
    if (value < 1 && value !== -1) throw invalid(`Requested ${name} for OnDemandThroughput is outside of valid range`);
  }
}

type IndexOverride = NonNullable<RestoreOverrides['GlobalSecondaryIndexOverride']>[number];

/** The indexes that come along: those named, which must be as they were, or all. */
function keptIndexes(
  source: TableRecord,
  kind: IndexRecord['kind'],
  named: readonly Pick<IndexOverride, 'IndexName' | 'KeySchema' | 'Projection' | 'ProvisionedThroughput'>[] | undefined,
  isOnDemand: boolean,
): readonly IndexRecord[] {
  const were = source.indexes.filter((index) => index.kind === kind && index.status !== 'DELETING');
  const chosen = named?.map((override) => {
    const was = were.find(({ name }) => name === override.IndexName);
    if (was === undefined || !isSame(was, override)) {
      throw invalid(
        `Index ${override.IndexName} does not match a secondary index that existed in the source table and cannot be ` +
          'created during the restore operation',
      );
    }
    if (override.ProvisionedThroughput !== undefined && isOnDemand) {
      throw invalid(
        `Cannot override ProvisionedThroughput for index ${was.name} if BillingMode is overridden to PAY_PER_REQUEST`,
      );
    }
    return { was, units: override.ProvisionedThroughput };
  });
  return (chosen ?? were.map((was) => ({ was, units: undefined }))).map(({ was, units }) => {
    const throughput = isOnDemand ? unprovisioned : units === undefined ? settled(was.throughput) : unitsOf(units);
    if (kind === 'global' && !isOnDemand && throughput.readUnits === 0) {
      throw invalid(`Must specify provisioned throughput for index ${was.name}`);
    }
    const { warm: _, onDemandThroughput, ...index } = was;
    return {
      ...index,
      status: 'ACTIVE',
      backfilling: false,
      throughput,
      ...(isOnDemand && onDemandThroughput !== undefined ? { onDemandThroughput } : {}),
    };
  });
}

function isSame(was: IndexRecord, { KeySchema, Projection }: Pick<IndexOverride, 'KeySchema' | 'Projection'>): boolean {
  const shape = (keys: IndexOverride['KeySchema'], projection: IndexOverride['Projection']) =>
    JSON.stringify([
      keys.map(({ AttributeName, KeyType }) => [AttributeName, KeyType]),
      projection.ProjectionType,
      [...(projection.NonKeyAttributes ?? [])].sort(),
    ]);
  return shape(was.keySchema, was.projection) === shape(KeySchema, Projection);
}

function settled({ readUnits, writeUnits }: Throughput): Throughput {
  return { readUnits, writeUnits, decreases: 0 };
}

function unitsOf(given: { readonly ReadCapacityUnits: number; readonly WriteCapacityUnits: number }): Throughput {
  return { readUnits: given.ReadCapacityUnits, writeUnits: given.WriteCapacityUnits, decreases: 0 };
}

function invalid(detail: string): RuleError {
  return new RuleError(`Invalid Request: ${detail}`);
}
