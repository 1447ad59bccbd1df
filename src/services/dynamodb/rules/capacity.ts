/**
 * Consumed capacity. Developer guide "Read/write capacity" and "Item sizes and formats": a read unit is 4 KB, half
 * for an eventually consistent read, two for a transactional one; a write unit is 1 KB, two for a transactional one;
 * everything costs at least one. Sizes are those of `itemSizeBytes`, in bytes.
 */
export const READ_UNIT_BYTES = 4096;
export const WRITE_UNIT_BYTES = 1024;

export type ReadConsistency = 'eventual' | 'strong' | 'transactional';

const READ_FACTOR: Readonly<Record<ReadConsistency, number>> = { eventual: 0.5, strong: 1, transactional: 2 };

/** Units of reading so many bytes: of one item for GetItem, of all items read for a page of Query or Scan. */
export function readUnits(sizeBytes: number, consistency: ReadConsistency): number {
  return Math.max(1, Math.ceil(sizeBytes / READ_UNIT_BYTES)) * READ_FACTOR[consistency];
}

/** Units of a write, by the larger of the item before and after; undefined is no item. */
export function writeUnits(
  beforeBytes: number | undefined,
  afterBytes: number | undefined,
  isTransactional = false,
): number {
  const size = Math.max(beforeBytes ?? 0, afterBytes ?? 0);
  return Math.max(1, Math.ceil(size / WRITE_UNIT_BYTES)) * (isTransactional ? 2 : 1);
}

/**
 * Units that a write costs a secondary index, given the index's view of the item before and after (undefined: not in
 * it) and whether the index key changed. A changed key is a removal and an insertion; an unchanged view costs
 * nothing. Developer guide "Provisioned throughput considerations for Global Secondary Indexes".
 */
export function indexWriteUnits(
  beforeBytes: number | undefined,
  afterBytes: number | undefined,
  change: 'none' | 'content' | 'key',
): number {
  if (change === 'none' || (beforeBytes === undefined && afterBytes === undefined)) return 0;
  if (change === 'key' && beforeBytes !== undefined && afterBytes !== undefined) {
    return writeUnits(beforeBytes, undefined) + writeUnits(undefined, afterBytes);
  }
  return writeUnits(beforeBytes, afterBytes);
}

export interface IndexUnits {
  readonly name: string;
  readonly isGlobal: boolean;
  readonly units: number;
}

export interface CapacityDetail {
  readonly CapacityUnits: number;
}

export interface ConsumedCapacity {
  readonly TableName: string;
  readonly CapacityUnits: number;
  readonly Table?: CapacityDetail;
  readonly LocalSecondaryIndexes?: Readonly<Record<string, CapacityDetail>>;
  readonly GlobalSecondaryIndexes?: Readonly<Record<string, CapacityDetail>>;
}

/** The ConsumedCapacity member of an answer; undefined unless ReturnConsumedCapacity asks for it. */
export function consumedCapacity(
  wanted: string | undefined,
  tableName: string,
  tableUnits: number,
  indexes: readonly IndexUnits[] = [],
): ConsumedCapacity | undefined {
  if (wanted !== 'TOTAL' && wanted !== 'INDEXES') return undefined;
  const total = indexes.reduce((sum, { units }) => sum + units, tableUnits);
  if (wanted === 'TOTAL') return { TableName: tableName, CapacityUnits: total };
  const details = (isGlobal: boolean) =>
    indexes
      .filter((index) => index.isGlobal === isGlobal && index.units > 0)
      .map(({ name, units }) => [name, { CapacityUnits: units }] as const);
  const local = details(false);
  const global = details(true);
  return {
    TableName: tableName,
    CapacityUnits: total,
    Table: { CapacityUnits: tableUnits },
    ...(local.length > 0 && { LocalSecondaryIndexes: Object.fromEntries(local) }),
    ...(global.length > 0 && { GlobalSecondaryIndexes: Object.fromEntries(global) }),
  };
}
