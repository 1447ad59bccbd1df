/**
 * UpdateTable against the table there is: what AWS refuses, and the table's record afterwards.
 * Texts: dynalite's actions/updateTable.js and tests, run against AWS; API reference "UpdateTable".
 */
import type { UpdateTableInput } from '../../../wire/types/dynamodb.ts';
import type { IndexRecord, KeySchema, TableRecord, Throughput } from '../state.ts';
import { invalidParameter, RuleError } from './errors.ts';
import { checkDefined, checkGlobalIndex, MAX_GLOBAL_INDEXES } from './tables.ts';

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

/** The record after the update, UPDATING. Throws RuleError. */
export function updateTableRecord(record: TableRecord, input: UpdateTableInput, nowMs: number): TableRecord {
  checkNotInUse(record);
  const billingMode = input.BillingMode ?? record.billingMode;
  const isOnDemand = billingMode === 'PAY_PER_REQUEST';
  if (isOnDemand && input.ProvisionedThroughput !== undefined) {
    throw invalidParameter(
      'Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST',
    );
  }
  const { throughput } = record;
  if (input.ProvisionedThroughput !== undefined && billingMode === record.billingMode) {
    checkThroughputChanges(throughput, input.ProvisionedThroughput);
  }
  const becomesOnDemand = isOnDemand && record.billingMode === 'PROVISIONED';
  const indexes = withIndexUpdates(record, input, isOnDemand, nowMs);
  const attributeDefinitions = definitionsFor(record, input, indexes);
  return {
    ...record,
    status: 'UPDATING',
    attributeDefinitions,
    billingMode,
    ...(becomesOnDemand ? { onDemandSinceMs: nowMs } : {}),
    throughput: isOnDemand ? unprovisioned : changedThroughput(throughput, input.ProvisionedThroughput, nowMs),
    indexes: indexes.map((index) => (becomesOnDemand ? { ...index, throughput: unprovisioned } : index)),
    lastIndexId: Math.max(record.lastIndexId, ...indexes.map(({ id }) => id)),
    ...(input.OnDemandThroughput === undefined ? {} : { onDemandThroughput: input.OnDemandThroughput }),
    ...(input.TableClass === undefined ? {} : { tableClass: { name: input.TableClass, updatedAtMs: nowMs } }),
    deletionProtection: input.DeletionProtectionEnabled ?? record.deletionProtection,
  };
}

/** The record when what was UPDATING has been done: indexes that were deleted are gone. */
export function settledRecord(record: TableRecord): TableRecord {
  const indexes = record.indexes
    .filter(({ status }) => status !== 'DELETING')
    .map((index): IndexRecord => (index.status === 'UPDATING' ? { ...index, status: 'ACTIVE' } : index));
  return { ...record, status: 'ACTIVE', indexes, attributeDefinitions: usedDefinitions(record, indexes) };
}

export const unprovisioned: Throughput = { readUnits: 0, writeUnits: 0, decreases: 0 };

export function changedThroughput(
  before: Throughput,
  after: { readonly ReadCapacityUnits: number; readonly WriteCapacityUnits: number } | undefined,
  nowMs: number,
): Throughput {
  if (after === undefined) return before;
  const { ReadCapacityUnits: readUnits, WriteCapacityUnits: writeUnits } = after;
  const increases = readUnits > before.readUnits || writeUnits > before.writeUnits;
  const decreases = readUnits < before.readUnits || writeUnits < before.writeUnits;
  const isSameDay =
    before.decreasedAtMs !== undefined && Math.floor(before.decreasedAtMs / DAY_MS) === Math.floor(nowMs / DAY_MS);
  return {
    ...before,
    readUnits,
    writeUnits,
    ...(increases ? { increasedAtMs: nowMs } : {}),
    ...(decreases ? { decreasedAtMs: nowMs, decreases: isSameDay ? before.decreases + 1 : 1 } : {}),
  };
}

const DAY_MS = 86_400_000;

function checkThroughputChanges(
  before: Throughput,
  after: { readonly ReadCapacityUnits: number; readonly WriteCapacityUnits: number },
): void {
  const { ReadCapacityUnits: readUnits, WriteCapacityUnits: writeUnits } = after;
  if (readUnits !== before.readUnits || writeUnits !== before.writeUnits) return;
  throw new RuleError(
    'The provisioned throughput for the table will not change. The requested value equals the current value. ' +
      `Current ReadCapacityUnits provisioned for the table: ${before.readUnits}. Requested ReadCapacityUnits: ${readUnits}. ` +
      `Current WriteCapacityUnits provisioned for the table: ${before.writeUnits}. Requested WriteCapacityUnits: ${writeUnits}. ` +
      'Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.',
  );
}

function withIndexUpdates(
  record: TableRecord,
  input: UpdateTableInput,
  isOnDemand: boolean,
  nowMs: number,
): readonly IndexRecord[] {
  const updates = input.GlobalSecondaryIndexUpdates ?? [];
  const online = updates.filter(({ Create, Delete }) => Create !== undefined || Delete !== undefined);
  if (online.length > 1) {
    throw new RuleError(
      'Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table',
      'LimitExceededException',
    );
  }
  let indexes = record.indexes;
  for (const update of updates) indexes = withIndexUpdate(record, indexes, update, input, isOnDemand, nowMs);
  return indexes;
}

function withIndexUpdate(
  record: TableRecord,
  indexes: readonly IndexRecord[],
  update: IndexUpdate,
  input: UpdateTableInput,
  isOnDemand: boolean,
  nowMs: number,
): readonly IndexRecord[] {
  const name = update.Create?.IndexName ?? update.Update?.IndexName ?? update.Delete?.IndexName;
  const found = indexes.find((index) => index.name === name);
  if (update.Create !== undefined) {
    if (found !== undefined) throw new RuleError('Attempting to create an index which already exists');
    if (indexes.filter(({ kind }) => kind === 'global').length >= MAX_GLOBAL_INDEXES) {
      throw invalidParameter(`GlobalSecondaryIndex count exceeds the per-table limit of ${MAX_GLOBAL_INDEXES}`);
    }
    return [...indexes, createdIndex(record, update.Create, input, isOnDemand)];
  }
  if (found === undefined || found.kind !== 'global') {
    throw new RuleError('Requested resource not found', 'ResourceNotFoundException');
  }
  if (found.status !== 'ACTIVE') {
    throw new RuleError(
      `Attempt to change a resource which is still in use: Index is being ${DOING[found.status]}: ${found.name}`,
      'ResourceInUseException',
    );
  }
  const changed: IndexRecord =
    update.Delete !== undefined
      ? { ...found, status: 'DELETING' }
      : {
          ...found,
          status: 'UPDATING',
          throughput: changedThroughput(found.throughput, update.Update?.ProvisionedThroughput, nowMs),
          ...(update.Update?.OnDemandThroughput === undefined
            ? {}
            : { onDemandThroughput: update.Update.OnDemandThroughput }),
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
  return {
    id: record.lastIndexId + 1,
    name: create.IndexName,
    kind: 'global',
    status: 'CREATING',
    backfilling: true,
    keySchema: create.KeySchema as readonly KeySchema[],
    projection: create.Projection as IndexRecord['projection'],
    throughput:
      given === undefined
        ? unprovisioned
        : { readUnits: given.ReadCapacityUnits, writeUnits: given.WriteCapacityUnits, decreases: 0 },
    ...(create.OnDemandThroughput === undefined ? {} : { onDemandThroughput: create.OnDemandThroughput }),
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
