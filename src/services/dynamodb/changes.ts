import type { Clock } from '../../kernel/clock/contract.ts';
import type { Check, Commit, Key, Store } from '../../kernel/store/contract.ts';
import { type Append, captured } from './captures.ts';
import type { Environment } from './environment.ts';
import { type IndexUnits, indexWriteUnits, writeUnits } from './rules/capacity.ts';
import { isIndexed } from './rules/keys.ts';
import { type AttributeValue, attributeOf, type Item, setAttribute } from './rules/values.ts';
import { collectionKey, entryKey, expiryKey, itemKey } from './state.ts';
import { encodeItem, type NewItem, newItem, type StoredItem } from './stored-item.ts';
import type { Counters, Table, TableIndex } from './tables.ts';

/** What a write did, for the capacity it is said to have consumed. */
export interface Change {
  readonly table: Table;
  readonly beforeBytes: number | undefined;
  readonly afterBytes: number | undefined;
  readonly indexes: readonly IndexChange[];
}

interface IndexChange {
  readonly index: TableIndex;
  readonly beforeBytes: number | undefined;
  readonly afterBytes: number | undefined;
  readonly change: 'none' | 'content' | 'key';
}

/** An index's entry of an item. */
export interface IndexEntry {
  readonly key: Key;
  readonly json: string;
  readonly sizeBytes: number;
  readonly value: () => Buffer;
}

/**
 * A commit in the making: items that change, with their index entries, expiry entries and counters, all of it standing on the
 * versions that were read. Every item that a user, a batch, a transaction, a PartiQL statement or an expiry writes goes through
 * `change` here: what must stand in the same commit as the item (a stream's record, …) is added there and given out by
 * `toCommit`.
 */
export class Writes {
  readonly #shard: number;
  readonly #checks: Check[] = [];
  readonly #set: { key: Key; value: Uint8Array }[] = [];
  readonly #delete: Key[] = [];
  readonly #sums = new Map<Key, number>();
  readonly #clock: Clock;
  #append: Append[] | undefined;
  #nowMs: number | undefined;
  readonly tables: Table[] = [];
  /** By how much item collections of tables with local indexes grow or shrink. */
  readonly collections: { readonly key: Key; readonly delta: number }[] = [];

  constructor({ shards, platform }: Pick<Environment, 'shards' | 'platform'>) {
    this.#shard = shards.next();
    this.#clock = platform.clock;
  }

  /** The item must still be as it was read. */
  expect(table: Table, key: Key, old: StoredItem | undefined): void {
    if (!this.tables.includes(table)) {
      this.tables.push(table);
      this.#checks.push(table.check);
    }
    this.#checks.push({ key, version: old === undefined ? null : old.version });
  }

  /**
   * The item becomes `next`, or goes away. `missing`: entries of the item as it was that indexes still being filled do
   * not have yet (see `missingEntries`). `isExpiry`: its time to live is over.
   */
  change(
    table: Table,
    key: Key,
    old: StoredItem | undefined,
    next: NewItem | undefined,
    missing: ReadonlyMap<number, Key> = nothing,
    isExpiry = false,
  ): Change {
    this.expect(table, key, old);
    const value = next && encodeItem(next);
    const beforeBytes = old?.sizeBytes;
    const afterBytes = next?.sizeBytes;
    if (value !== undefined) this.#set.push({ key, value });
    else if (old !== undefined) this.#delete.push(key);
    this.#count(table.counters, beforeBytes, afterBytes);
    const indexes = table.indexes.length === 0 ? none : this.#changeIndexes(table, key, old, next, value, missing);
    if (table.ttl !== undefined) this.#changeExpiry(table, table.ttl, key, old?.item, next?.item);
    if (table.hasLocalIndexes) this.#countCollection(table, old, next, indexes);
    if (table.capture !== undefined) {
      this.#append ??= [];
      // One commit is one moment.
      this.#nowMs ??= this.#clock.now();
      this.#append.push(...captured(table, table.capture, key, old, next, this.#nowMs, isExpiry));
    }
    return { table, beforeBytes, afterBytes, indexes };
  }

  /** The commit; `more` is added to it. */
  toCommit(more: Pick<Commit, 'set' | 'delete' | 'checks' | 'settle'> = {}): Commit {
    const { set = [], delete: gone = [], checks = [], settle = [] } = more;
    const sum = [...this.#sums].filter(([, delta]) => delta !== 0).map(([key, delta]) => ({ key, delta }));
    const commit = {
      checks: checks.length === 0 ? this.#checks : [...this.#checks, ...checks],
      set: set.length === 0 ? this.#set : [...this.#set, ...set],
      delete: gone.length === 0 ? this.#delete : [...this.#delete, ...gone],
      sum,
      settle,
    };
    return this.#append === undefined ? commit : { ...commit, append: this.#append };
  }

  #changeIndexes(
    table: Table,
    key: Key,
    old: StoredItem | undefined,
    next: NewItem | undefined,
    value: Buffer | undefined,
    missing: ReadonlyMap<number, Key>,
  ): readonly IndexChange[] {
    for (const entry of missing.values()) this.#checks.push({ key: entry, version: null });
    return table.indexes.map((index) => {
      const before = old && !missing.has(index.record.id) ? entryOf(index, key, old) : undefined;
      const after = next && entryOf(index, key, next, value);
      const change = this.#changeEntry(index, before, after);
      return { index, beforeBytes: before?.sizeBytes, afterBytes: after?.sizeBytes, change };
    });
  }

  #changeEntry(
    index: TableIndex,
    before: IndexEntry | undefined,
    after: IndexEntry | undefined,
  ): IndexChange['change'] {
    const isSame = before !== undefined && after !== undefined && before.key.equals(after.key);
    if (isSame && before.json === after.json) return 'none';
    if (!isSame && before !== undefined) this.#delete.push(before.key);
    if (after !== undefined) this.#set.push({ key: after.key, value: after.value() });
    this.#count(index.counters, before?.sizeBytes, after?.sizeBytes);
    return isSame ? 'content' : 'key';
  }

  #changeExpiry(
    table: Table,
    ttl: NonNullable<Table['ttl']>,
    key: Key,
    old: Item | undefined,
    next: Item | undefined,
  ): void {
    const before = old && expiryOf(old, ttl.attributeName);
    const after = next && expiryOf(next, ttl.attributeName);
    // While expiries are still being entered an unchanged one may not be there yet: it is written in any case.
    if (before === after && table.record.ttl?.status === 'ENABLED') return;
    if (before !== undefined && before !== after) this.#delete.push(expiryKey(ttl.prefix, before, key));
    if (after !== undefined) this.#set.push({ key: expiryKey(ttl.prefix, after, key), value: key });
  }

  #count(counters: Counters, beforeBytes: number | undefined, afterBytes: number | undefined): void {
    const entries = (afterBytes === undefined ? 0 : 1) - (beforeBytes === undefined ? 0 : 1);
    if (entries !== 0) this.#add(counters.count[this.#shard]!, entries);
    const bytes = (afterBytes ?? 0) - (beforeBytes ?? 0);
    if (bytes !== 0) this.#add(counters.bytes[this.#shard]!, bytes);
  }

  #countCollection(
    table: Table,
    old: StoredItem | undefined,
    next: NewItem | undefined,
    indexes: readonly IndexChange[],
  ): void {
    let delta = (next?.sizeBytes ?? 0) - (old?.sizeBytes ?? 0);
    for (const { index, beforeBytes = 0, afterBytes = 0 } of indexes) {
      if (!index.isGlobal) delta += afterBytes - beforeBytes;
    }
    const item = next?.item ?? old?.item;
    if (delta === 0 || item === undefined) return;
    const key = collectionKey(table.record.id, attributeOf(item, table.hash.name)!);
    this.collections.push({ key, delta });
    this.#add(key, delta);
  }

  #add(key: Key, delta: number): void {
    this.#sums.set(key, (this.#sums.get(key) ?? 0) + delta);
  }
}

const none: readonly IndexChange[] = [];
const nothing: ReadonlyMap<number, Key> = new Map();

/** By index: entries of an item as it is that indexes still being filled do not have yet. Costs nothing otherwise. */
export async function missingEntries(
  store: Store,
  table: Table,
  key: Key,
  old: StoredItem | undefined,
): Promise<ReadonlyMap<number, Key>> {
  const missing = new Map<number, Key>();
  if (old === undefined) return missing;
  for (const index of table.indexes) {
    const entry = index.record.backfilling ? entryOf(index, key, old) : undefined;
    if (entry !== undefined && (await store.get(entry.key)) === undefined) missing.set(index.record.id, entry.key);
  }
  return missing;
}

/** The key of the item in its table's store. */
export function keyOfItem(table: Table, item: Item): Key {
  const { hash, range } = table;
  return itemKey(table.prefix, attributeOf(item, hash.name)!, range && attributeOf(item, range.name));
}

/** What an index holds of an item; undefined if the item lacks an attribute of the index's key. */
export function entryOf(
  index: TableIndex,
  key: Key,
  source: { readonly item: Item; readonly json: string; readonly sizeBytes: number },
  value?: Buffer,
): IndexEntry | undefined {
  const { item } = source;
  if (!isIndexed(item, index.key)) return undefined;
  const view = index.projected === undefined ? source : newItem(pick(item, index.projected));
  return {
    key: entryKey(
      index.prefix,
      attributeOf(item, index.hash.name)!,
      index.range && attributeOf(item, index.range.name),
      key,
    ),
    json: view.json,
    sizeBytes: view.sizeBytes,
    value: () => (view === source && value !== undefined ? value : encodeItem(view)),
  };
}

/** When an item expires, in epoch seconds; undefined: never. */
export function expiryOf(item: Item, attributeName: string): number | undefined {
  const number = attributeOf(item, attributeName)?.N;
  const seconds = number === undefined ? Number.NaN : Math.floor(Number(number));
  return seconds > 0 && Number.isSafeInteger(seconds) ? seconds : undefined;
}

/** Units that a write of a table consumed. */
export function unitsOf(change: Change, isTransactional = false): number {
  return writeUnits(change.beforeBytes, change.afterBytes, isTransactional);
}

/** Units that it consumed of the table's indexes. */
export function indexUnitsOf(change: Change, isTransactional = false): readonly IndexUnits[] {
  return change.indexes.map(({ index, beforeBytes, afterBytes, change: kind }) => ({
    name: index.record.name,
    isGlobal: index.isGlobal,
    units: indexWriteUnits(beforeBytes, afterBytes, kind) * (isTransactional ? 2 : 1),
  }));
}

function pick(item: Item, names: ReadonlySet<string>): Item {
  const view: Record<string, AttributeValue> = {};
  for (const name in item) {
    if (names.has(name)) setAttribute(view, name, item[name]!);
  }
  return view;
}
