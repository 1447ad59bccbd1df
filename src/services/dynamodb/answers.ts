import { counterValue } from '../../kernel/store/contract.ts';
import type { ConsumedCapacity, ItemCollectionMetrics } from '../../wire/types/dynamodb.ts';
import { type Change, indexUnitsOf, unitsOf } from './changes.ts';
import type { Environment } from './environment.ts';
import { consumedCapacity } from './rules/capacity.ts';
import { attributesToWire } from './rules/item-json.ts';
import { type AttributeMap, type AttributeValue, attributeOf } from './rules/values.ts';
import { collectionKey } from './state.ts';
import type { Table } from './tables.ts';

const bytesPerGB = 1024 ** 3;

/** The ConsumedCapacity of a write, if it is asked for. */
export function capacityOf(change: Change, wanted: string | undefined): ConsumedCapacity | undefined {
  if (wanted === undefined || wanted === 'NONE') return undefined;
  return consumedCapacity(wanted, change.table.record.name, unitsOf(change), indexUnitsOf(change));
}

/** ConsumedCapacity of several writes, one for each table. */
export function capacitiesOf(
  changes: readonly Change[],
  wanted: string | undefined,
  isTransactional = false,
): readonly ConsumedCapacity[] | undefined {
  if (wanted === undefined || wanted === 'NONE') return undefined;
  const byTable = new Map<string, Change[]>();
  for (const change of changes) {
    const { name } = change.table.record;
    const known = byTable.get(name);
    if (known === undefined) byTable.set(name, [change]);
    else known.push(change);
  }
  return [...byTable].map(([name, ofTable]) => {
    const units = ofTable.reduce((sum, change) => sum + unitsOf(change, isTransactional), 0);
    const byIndex = new Map<string, { name: string; isGlobal: boolean; units: number }>();
    for (const index of ofTable.flatMap((change) => indexUnitsOf(change, isTransactional))) {
      byIndex.set(index.name, { ...index, units: index.units + (byIndex.get(index.name)?.units ?? 0) });
    }
    const consumed = consumedCapacity(wanted, name, units, [...byIndex.values()])!;
    return isTransactional ? { ...consumed, WriteCapacityUnits: consumed.CapacityUnits } : consumed;
  });
}

/** The size of the item collection that a write touched, if asked for; only tables with local indexes have one. */
export async function collectionMetrics(
  env: Environment,
  table: Table,
  key: AttributeMap,
  wanted: string | undefined,
): Promise<ItemCollectionMetrics | undefined> {
  if (wanted !== 'SIZE' || !table.hasLocalIndexes) return undefined;
  const value = attributeOf(key, table.hash.name)!;
  const entry = await env.platform.store.get(collectionKey(table.record.id, value));
  const gigabytes = counterValue(entry?.value) / bytesPerGB;
  return {
    ItemCollectionKey: toWire({ [table.hash.name]: value }),
    SizeEstimateRangeGB: [Math.floor(gigabytes), Math.floor(gigabytes) + 1],
  };
}

/** Attributes in the wire's form, for members that take no RawJson. */
export function toWire(attributes: AttributeMap): Readonly<Record<string, WireValue>> {
  return attributesToWire(attributes) as Readonly<Record<string, WireValue>>;
}

type WireValue = NonNullable<ItemCollectionMetrics['ItemCollectionKey']>[string];

/** The attributes of a key, taken from an item. */
export function pickKey(item: AttributeMap, names: readonly string[]): Readonly<Record<string, AttributeValue>> {
  return Object.fromEntries(names.map((name) => [name, attributeOf(item, name)!]));
}
