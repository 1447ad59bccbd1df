import { counterValue } from '../../kernel/store/contract.ts';
import type { ConsumedCapacity, ItemCollectionMetrics } from '../../wire/types/dynamodb.ts';
import { type Change, indexUnitsOf, unitsOf } from './changes.ts';
import type { Environment } from './environment.ts';
import { consumedCapacity, type IndexUnits } from './rules/capacity.ts';
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

/** ConsumedCapacity of several requests, one for each table. */
export function mergedCapacity(
  parts: readonly ConsumedCapacity[],
  wanted: string | undefined,
): readonly ConsumedCapacity[] | undefined {
  if (wanted === undefined || wanted === 'NONE') return undefined;
  const byTable = new Map<string, { units: number; indexes: Map<string, IndexUnits> }>();
  for (const part of parts) {
    const name = part.TableName!;
    const sum = byTable.get(name) ?? { units: 0, indexes: new Map<string, IndexUnits>() };
    byTable.set(name, sum);
    sum.units += wanted === 'INDEXES' ? (part.Table?.CapacityUnits ?? 0) : (part.CapacityUnits ?? 0);
    for (const [isGlobal, details] of [
      [false, part.LocalSecondaryIndexes],
      [true, part.GlobalSecondaryIndexes],
    ] as const) {
      for (const [index, { CapacityUnits = 0 }] of Object.entries(details ?? {})) {
        const known = sum.indexes.get(index)?.units ?? 0;
        sum.indexes.set(index, { name: index, isGlobal, units: known + CapacityUnits });
      }
    }
  }
  return [...byTable].map(
    ([name, { units, indexes }]) => consumedCapacity(wanted, name, units, [...indexes.values()])!,
  );
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

/** The sizes of all item collections that several writes touched, each told once, by the table's name in the request. */
export async function collectionMetricsOf(
  env: Environment,
  writes: readonly { readonly name: string; readonly table: Table; readonly key: AttributeMap }[],
  wanted: string | undefined,
): Promise<Readonly<Record<string, readonly ItemCollectionMetrics[]>> | undefined> {
  if (wanted !== 'SIZE') return undefined;
  const metrics: Record<string, ItemCollectionMetrics[]> = {};
  const told = new Set<string>();
  for (const { name, table, key } of writes) {
    const found = await collectionMetrics(env, table, key, wanted);
    const collection = JSON.stringify([name, found?.ItemCollectionKey]);
    if (found === undefined || told.has(collection)) continue;
    told.add(collection);
    (metrics[name] ??= []).push(found);
  }
  return metrics;
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
