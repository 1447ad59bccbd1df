/**
 * UpdateTable against the table there is: what AWS refuses, and the table's record afterwards.
 * Texts: dynalite's actions/updateTable.js and tests, run against AWS; API reference "UpdateTable".
 */
import type { UpdateTableInput } from '../../../wire/types/dynamodb.ts';
import type { IndexRecord, KeySchema, TableRecord } from '../state.ts';
import type { StreamView } from './change-record.ts';
import { changedEncryption } from './encryption.ts';
import { invalidParameter, RuleError } from './errors.ts';
import {
  changedThroughput,
  checkOnDemandBounds,
  checkOnDemandMode,
  checkWillChange,
  switchedToOnDemand,
  unprovisioned,
  warmed,
  warmUnits,
} from './provisioning.ts';
import { checkBounds, checkDefined, checkGlobalIndex, MAX_GLOBAL_INDEXES } from './tables.ts';

type IndexUpdate = NonNullable<UpdateTableInput['GlobalSecondaryIndexUpdates']>[number];

const DOING = { CREATING: 'created', UPDATING: 'updated', DELETING: 'deleted', ACTIVE: '' } as const;

/** Refuses to change a table that is changing already. */
export function checkNotInUse(record: Pick<TableRecord, 'name' | 'status'>): void {
  if (record.status === 'ACTIVE') return;
  throw new RuleError(
    `Attempt to change a resource which is still in use: Table is being ${DOING[record.status]}: ${record.name}`,
    'ResourceInUseException',
  );
}

export interface UpdateContext {
  readonly nowMs: number;
  /** Whether adjustable quotas hold. */
  readonly isLimited: boolean;
}

/** The record after the update, UPDATING, but for its stream. Throws RuleError. */
export function updateTableRecord(record: TableRecord, input: UpdateTableInput, context: UpdateContext): TableRecord {
  checkNotInUse(record);
  const { nowMs } = context;
  const billingMode = input.BillingMode ?? record.billingMode;
  const isOnDemand = billingMode === 'PAY_PER_REQUEST';
  if (isOnDemand && input.ProvisionedThroughput !== undefined) {
    throw invalidParameter(
      'Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST',
    );
  }
  checkOnDemandMode(input.OnDemandThroughput, isOnDemand);
  const { throughput } = record;
  const isSameMode = billingMode === record.billingMode;
  if (input.ProvisionedThroughput !== undefined && isSameMode && input.GlobalSecondaryIndexUpdates === undefined) {
    checkWillChange(throughput, input.ProvisionedThroughput, 'table');
  }
  const becomesOnDemand = isOnDemand && !isSameMode;
  const indexes = withIndexUpdates(record, input, isOnDemand, context);
  if (!isOnDemand && !isSameMode) checkIndexesProvisioned(indexes);
  const { encryption, ...others } = record;
  const sse = input.SSESpecification;
  const key = sse === undefined ? encryption : changedEncryption(encryption, sse, record);
  const warm = warmed(input.WarmThroughput, warmUnits(record, record), { isOnDemand, isNew: false }) ?? record.warm;
  return {
    ...others,
    ...(key === undefined ? {} : { encryption: key }),
    status: 'UPDATING',
    attributeDefinitions: definitionsFor(record, input, indexes),
    billingMode,
    ...(becomesOnDemand
      ? {
          onDemandSinceMs: nowMs,
          switchesToOnDemand: switchedToOnDemand(record.switchesToOnDemand ?? [], nowMs, context),
        }
      : {}),
    throughput: isOnDemand
      ? unprovisioned
      : changedThroughput(throughput, input.ProvisionedThroughput, nowMs, {
          isLimited: context.isLimited && isSameMode,
        }),
    indexes: indexes.map((index) => (becomesOnDemand ? { ...index, throughput: unprovisioned } : index)),
    lastIndexId: Math.max(record.lastIndexId, ...indexes.map(({ id }) => id)),
    ...(input.OnDemandThroughput === undefined ? {} : { onDemandThroughput: input.OnDemandThroughput }),
    ...(warm === undefined ? {} : { warm }),
    ...(input.TableClass === undefined ? {} : { tableClass: { name: input.TableClass, updatedAtMs: nowMs } }),
    deletionProtection: input.DeletionProtectionEnabled ?? record.deletionProtection,
  };
}

/** Whether the update opens or closes the table's stream. Throws RuleError. */
export function streamUpdate(
  { name, stream }: TableRecord,
  specification: UpdateTableInput['StreamSpecification'],
): { readonly open: StreamView } | 'close' | undefined {
  if (specification === undefined) return undefined;
  if (specification.StreamEnabled) {
    if (stream !== undefined) throw new RuleError(`Table already has an enabled stream: TableName: ${name}`);
    return { open: specification.StreamViewType! };
  }
  if (stream === undefined) throw new RuleError(`Table has no stream to disable: TableName: ${name}`);
  return 'close';
}

/** The record when what was UPDATING has been done: indexes that were deleted are gone. */
export function settledRecord(record: TableRecord): TableRecord {
  const indexes = record.indexes
    .filter(({ status }) => status !== 'DELETING')
    .map((index): IndexRecord => (index.status === 'UPDATING' ? { ...index, status: 'ACTIVE' } : index));
  return { ...record, status: 'ACTIVE', indexes, attributeDefinitions: usedDefinitions(record, indexes) };
}

function checkIndexesProvisioned(indexes: readonly IndexRecord[]): void {
  const without = indexes.find(
    ({ kind, status, throughput }) => kind === 'global' && status !== 'DELETING' && throughput.readUnits === 0,
  );
  if (without === undefined) return;
  throw invalidParameter(`ProvisionedThroughput must be specified for index: ${without.name}`);
}

function withIndexUpdates(
  record: TableRecord,
  input: UpdateTableInput,
  isOnDemand: boolean,
  context: UpdateContext,
): readonly IndexRecord[] {
  const updates = input.GlobalSecondaryIndexUpdates ?? [];
  const online = updates.filter(({ Create, Delete }) => Create !== undefined || Delete !== undefined);
  const isUnderWay = record.indexes.some(({ status }) => status === 'CREATING' || status === 'DELETING');
  if (online.length > 1 || (online.length > 0 && isUnderWay)) {
    throw new RuleError(
      'Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table',
      'LimitExceededException',
    );
  }
  let indexes = record.indexes;
  for (const update of updates) indexes = withIndexUpdate(record, indexes, update, input, isOnDemand, context);
  return indexes;
}

function withIndexUpdate(
  record: TableRecord,
  indexes: readonly IndexRecord[],
  update: IndexUpdate,
  input: UpdateTableInput,
  isOnDemand: boolean,
  { nowMs, isLimited }: UpdateContext,
): readonly IndexRecord[] {
  const name = update.Create?.IndexName ?? update.Update?.IndexName ?? update.Delete?.IndexName;
  const found = indexes.find((index) => index.name === name);
  if (update.Create !== undefined) {
    if (found !== undefined) throw new RuleError('Attempting to create an index which already exists');
    if (indexes.filter(({ kind }) => kind === 'global').length >= MAX_GLOBAL_INDEXES) {
      throw new RuleError(
        `One or more parameter values were invalid: GlobalSecondaryIndex count exceeds the per-table limit of ${MAX_GLOBAL_INDEXES}`,
        'LimitExceededException',
      );
    }
    return [...indexes, createdIndex(record, update.Create, input, isOnDemand)];
  }
  if (found?.kind === 'local') {
    const what = update.Delete === undefined ? 'update' : 'delete';
    throw new RuleError(`Cannot ${what} an index that is not a GlobalSecondaryIndex: ${found.name}`);
  }
  if (found === undefined) {
    throw new RuleError('Requested resource not found', 'ResourceNotFoundException');
  }
  if (found.status !== 'ACTIVE') {
    throw new RuleError(
      `Attempt to change a resource which is still in use: Index is being ${DOING[found.status]}: ${found.name}`,
      'ResourceInUseException',
    );
  }
  if (update.Delete !== undefined) {
    return indexes.map((index) => (index === found ? { ...found, status: 'DELETING' } : index));
  }
  const { ProvisionedThroughput: units, OnDemandThroughput: maximum, WarmThroughput } = update.Update!;
  if (units === undefined && maximum === undefined && WarmThroughput === undefined) {
    throw invalidParameter(`ProvisionedThroughput must be specified for index: ${found.name}`);
  }
  checkBounds(units);
  checkOnDemandBounds(maximum, found.name);
  checkOnDemandMode(maximum, isOnDemand, found.name);
  if (units !== undefined && isOnDemand) {
    throw invalidParameter(
      `The only Updates for index: ${found.name} when TableThroughputMode is PAY_PER_REQUEST can be to OnDemandThroughput, WarmThroughput`,
    );
  }
  const isSameMode = input.BillingMode === undefined || input.BillingMode === record.billingMode;
  if (units !== undefined && isSameMode) checkWillChange(found.throughput, units, `index ${found.name}`);
  const warm =
    warmed(WarmThroughput, warmUnits(record, found), { isOnDemand, isNew: false, index: found.name }) ?? found.warm;
  const changed: IndexRecord = {
    ...found,
    status: 'UPDATING',
    throughput: changedThroughput(found.throughput, units, nowMs, { isLimited: isLimited && isSameMode }),
    ...(maximum === undefined ? {} : { onDemandThroughput: maximum }),
    ...(warm === undefined ? {} : { warm }),
  };
  return indexes.map((index) => (index === found ? changed : index));
}

function createdIndex(
  record: TableRecord,
  create: NonNullable<IndexUpdate['Create']>,
  input: UpdateTableInput,
  isOnDemand: boolean,
): IndexRecord {
  const definitions = [...record.attributeDefinitions, ...(input.AttributeDefinitions ?? [])];
  const names = definitions.map(({ AttributeName }) => AttributeName);
  checkDefined(create.KeySchema, [...new Set(names)]);
  checkGlobalIndex(create as Parameters<typeof checkGlobalIndex>[0], isOnDemand);
  const given = create.ProvisionedThroughput;
  const throughput =
    given === undefined
      ? unprovisioned
      : { readUnits: given.ReadCapacityUnits, writeUnits: given.WriteCapacityUnits, decreases: 0 };
  checkOnDemandBounds(create.OnDemandThroughput, create.IndexName);
  checkOnDemandMode(create.OnDemandThroughput, isOnDemand, create.IndexName);
  const billingMode = isOnDemand ? 'PAY_PER_REQUEST' : 'PROVISIONED';
  const base = warmUnits({ billingMode }, { throughput });
  const warm = warmed(create.WarmThroughput, base, { isOnDemand, isNew: true, index: create.IndexName });
  return {
    id: record.lastIndexId + 1,
    name: create.IndexName,
    kind: 'global',
    status: 'CREATING',
    backfilling: true,
    keySchema: create.KeySchema as readonly KeySchema[],
    projection: create.Projection as IndexRecord['projection'],
    throughput,
    ...(create.OnDemandThroughput === undefined ? {} : { onDemandThroughput: create.OnDemandThroughput }),
    ...(warm === undefined ? {} : { warm }),
  };
}

/** All definitions that keys of the table and its indexes use; a known attribute keeps its type. */
function definitionsFor(
  record: TableRecord,
  input: UpdateTableInput,
  indexes: readonly IndexRecord[],
): TableRecord['attributeDefinitions'] {
  const types = new Map<string, 'S' | 'N' | 'B'>(
    record.attributeDefinitions.map(({ AttributeName, AttributeType }) => [AttributeName, AttributeType]),
  );
  for (const { AttributeName: name, AttributeType: type } of input.AttributeDefinitions ?? []) {
    const known = types.get(name);
    if (known !== undefined && known !== type) {
      throw invalidParameter(`Attribute ${name} is defined as ${known} and cannot become ${type}`);
    }
    types.set(name, type);
  }
  const all = [...types].map(([AttributeName, AttributeType]) => ({ AttributeName, AttributeType }));
  return usedDefinitions({ ...record, attributeDefinitions: all }, indexes);
}

function usedDefinitions(
  record: Pick<TableRecord, 'attributeDefinitions' | 'keySchema'>,
  indexes: readonly IndexRecord[],
): TableRecord['attributeDefinitions'] {
  const used = new Set(
    [record.keySchema, ...indexes.map(({ keySchema }) => keySchema)].flat().map((e) => e.AttributeName),
  );
  return record.attributeDefinitions.filter(({ AttributeName }) => used.has(AttributeName));
}
