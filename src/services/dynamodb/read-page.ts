import type { Entry, Key, KeyRange } from '../../kernel/store/contract.ts';
import { prefixRange } from '../../kernel/store/keys.ts';
import { RawJson } from '../../wire/raw-json.ts';
import type { ConsumedCapacity } from '../../wire/types/dynamodb.ts';
import { pickKey, toWire } from './answers.ts';
import { keyOfItem } from './changes.ts';
import type { Environment } from './environment.ts';
import { consumedCapacity, readUnits } from './rules/capacity.ts';
import { RuleError } from './rules/errors.ts';
import type { Predicate } from './rules/evaluate.ts';
import { itemToJson } from './rules/item-json.ts';
import type { Projector } from './rules/paths.ts';
import type { ReadSource } from './rules/reads.ts';
import { type AttributeMap, type AttributeValue, attributeOf, type Item } from './rules/values.ts';
import { continued, entryKey } from './state.ts';
import { jsonOf, StoredItem, sizeOf } from './stored-item.ts';
import type { Table, TableIndex } from './tables.ts';

/** A page of Query or Scan to be read. */
export interface PageRequest {
  readonly table: Table;
  readonly source: ReadSource;
  readonly index: TableIndex | undefined;
  readonly range: KeyRange;
  /** The partition key value that is read; undefined for a scan. */
  readonly hash: AttributeValue | undefined;
  readonly reverse: boolean;
  readonly limit: number | undefined;
  readonly startKey: Item | undefined;
  readonly filter: Predicate | undefined;
  /** The filter sees what the index holds, also where items are fetched from the table: PartiQL's way. */
  readonly filtersIndexView?: boolean;
  readonly project: Projector | undefined;
  readonly countOnly: boolean;
  readonly isConsistent: boolean;
  readonly capacityWanted: string | undefined;
}

export interface Page {
  readonly Items: readonly RawJson[] | undefined;
  readonly Count: number;
  readonly ScannedCount: number;
  readonly LastEvaluatedKey: ReturnType<typeof toWire> | undefined;
  readonly ConsumedCapacity: ConsumedCapacity | undefined;
}

/** The index that a read goes to; throws where it cannot be read yet. */
export function readableIndex(table: Table, source: ReadSource): TableIndex | undefined {
  if (source.index === undefined) return undefined;
  const name = source.index.IndexName;
  const index = table.indexes.find(({ record }) => record.name === name)!;
  if (index.record.backfilling || index.record.status === 'CREATING') {
    throw new RuleError(`Cannot read from backfilling global secondary index: ${name}`);
  }
  return index;
}

/** Begins the keys of what is read. */
export function prefixOf(table: Table, index: TableIndex | undefined): Key {
  return index?.prefix ?? table.prefix;
}

/**
 * Reads up to `limit` items or a megabyte, filter or not: an answer ends where either is reached, and then says where to go
 * on, even if nothing follows.
 */
export async function readPage(env: Environment, request: PageRequest): Promise<Page> {
  const part = await readPart(env, request, env.limits.pageBytes);
  return {
    Items: request.countOnly ? undefined : part.items,
    Count: part.count,
    ScannedCount: part.scanned,
    LastEvaluatedKey: part.last && toWire(pickKey(new StoredItem(part.last).item, request.source.startKeyNames)),
    ConsumedCapacity: capacityOfPage(request, part),
  };
}

/** What has been read of a page. */
export interface PagePart {
  readonly items: readonly RawJson[];
  readonly count: number;
  readonly scanned: number;
  readonly bytes: number;
  /** Units of reading from the table what a local index does not hold. */
  readonly fetchedUnits: number;
  /** The entry at which the page was cut; undefined: there is nothing more. */
  readonly last: Entry | undefined;
}

/** Reads until `limit` items or `maxBytes` are reached, or the range ends. */
export async function readPart(env: Environment, request: PageRequest, maxBytes: number): Promise<PagePart> {
  const { table, index, source, filter, project, startKey, reverse } = request;
  env.throughput?.admitRead(table, index, request.hash);
  const limit = request.limit ?? Number.POSITIVE_INFINITY;
  let { range } = request;
  if (startKey !== undefined) range = continued(range, positionOf(request, startKey), reverse);

  const items: RawJson[] = [];
  let count = 0;
  let scanned = 0;
  let bytes = 0;
  let fetchedUnits = 0;
  let last: Entry | undefined;
  let isCut = false;
  while (!isCut) {
    const wanted = Math.min(limit - scanned, entriesPerRead);
    const entries = await env.platform.store.list(range, { limit: wanted, maxBytes, reverse });
    const isLast = entries.length < wanted && entries.reduce((sum, { value }) => sum + value.length, 0) < maxBytes;
    const fetched = source.fetchesFromTable ? await fetchItems(env, table, entries) : undefined;
    for (const [position, entry] of entries.entries()) {
      scanned++;
      bytes += sizeOf(entry.value);
      last = entry;
      const whole = fetched?.[position];
      if (whole !== undefined)
        fetchedUnits += readUnits(sizeOf(whole.value), request.isConsistent ? 'strong' : 'eventual');
      const shown = whole ?? entry;
      const item = filter === undefined && project === undefined ? undefined : new StoredItem(shown).item;
      const isWanted =
        filter === undefined ||
        filter(request.filtersIndexView && whole !== undefined ? new StoredItem(entry).item : item!);
      if (isWanted) {
        count++;
        if (!request.countOnly) {
          items.push(new RawJson(project === undefined ? jsonOf(shown.value) : itemToJson(project(item!))));
        }
      }
      isCut = scanned >= limit || bytes >= maxBytes;
      if (isCut) break;
    }
    if (isCut || isLast) break;
    range = continued(range, last!.key, reverse);
  }
  const units = readUnits(bytes, request.isConsistent ? 'strong' : 'eventual');
  env.throughput?.chargeRead(table, index, request.hash, units + fetchedUnits);
  return { items, count, scanned, bytes, fetchedUnits, last: isCut ? last : undefined };
}

/** Entries of small items read at a time: a page of a megabyte holds no more than some ten thousand. */
const entriesPerRead = 2_000;

/** Where a starting key stands among what is read. */
export function positionOf({ table, index }: Pick<PageRequest, 'table' | 'index'>, startKey: AttributeMap): Key {
  const item = keyOfItem(table, startKey);
  if (index === undefined) return item;
  const { prefix, hash, range } = index;
  return entryKey(prefix, attributeOf(startKey, hash.name)!, range && attributeOf(startKey, range.name), item);
}

/** Everything of a table or an index. */
export function wholeRange(table: Table, index: TableIndex | undefined): KeyRange {
  return prefixRange(prefixOf(table, index));
}

function fetchItems(
  env: Environment,
  table: Table,
  entries: readonly Entry[],
): Promise<readonly (Entry | undefined)[]> {
  return env.platform.store.getMany(entries.map((entry) => keyOfItem(table, new StoredItem(entry).item)));
}

function capacityOfPage(request: PageRequest, { bytes, fetchedUnits }: PagePart): ConsumedCapacity | undefined {
  const { capacityWanted: wanted, table, index } = request;
  if (wanted === undefined || wanted === 'NONE') return undefined;
  const units = readUnits(bytes, request.isConsistent ? 'strong' : 'eventual');
  const { name } = table.record;
  if (index === undefined) return consumedCapacity(wanted, name, units);
  const ofIndex = { name: index.record.name, isGlobal: index.isGlobal, units };
  return consumedCapacity(wanted, name, fetchedUnits, [ofIndex]);
}
