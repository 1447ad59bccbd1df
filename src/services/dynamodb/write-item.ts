import type { Key } from '../../kernel/store/contract.ts';
import type { Change } from './changes.ts';
import { missingEntries, unitsOf, Writes } from './changes.ts';
import { checkCollections } from './collections.ts';
import { commitOn, type Environment, type Place, tooContended } from './environment.ts';
import { writeUnits } from './rules/capacity.ts';
import { RuleError, transactionConflict } from './rules/errors.ts';
import type { Item } from './rules/values.ts';
import { type NewItem, StoredItem } from './stored-item.ts';
import type { Table } from './tables.ts';

export interface ItemWrite<T> {
  /** Checks the request against the table and gives the item's key. Throws RuleError. */
  readonly keyIn: (table: Table) => Key;
  /** What becomes of the item. Throws RuleError. Asked again when the item changed meanwhile. */
  readonly decide: (old: StoredItem | undefined, table: Table) => Decision<T>;
}

export interface Decision<T> {
  /** Undefined: the item goes away, or stays away. */
  readonly next: NewItem | undefined;
  readonly result: T;
}

export interface Written<T> {
  readonly change: Change;
  readonly key: Key;
  readonly old: StoredItem | undefined;
  readonly result: T;
}

const mostAttempts = 50;

/**
 * Reads an item, decides what becomes of it, and commits that, standing on the versions of item and table that were read.
 * Writers of one item in this process take turns, so that they lose only against other processes and table changes.
 */
export async function writeItem<T>(
  env: Environment,
  place: Place,
  tableName: string,
  write: ItemWrite<T>,
): Promise<Written<T>> {
  for (let attempts = 0; attempts < mostAttempts; attempts++) {
    const found = env.tables.active(place, tableName);
    const table = found instanceof Promise ? await found : found;
    const key = write.keyIn(table);
    const lock = key.toString('latin1');
    if (env.transactions.holds(lock)) throw transactionConflict();
    const turn = env.locks.acquire(lock);
    if (turn !== undefined) await turn;
    try {
      const written = await attempt(env, table, key, write);
      if (written !== undefined) return written;
    } finally {
      env.locks.release(lock);
    }
  }
  throw tooContended();
}

async function attempt<T>(
  env: Environment,
  table: Table,
  key: Key,
  write: ItemWrite<T>,
): Promise<Written<T> | undefined> {
  const { store } = env.platform;
  const entry = await store.get(key);
  const old = entry && new StoredItem(entry);
  const { next, result } = decided(env, table, old, write);
  const touched = next?.item ?? old?.item;
  env.throughput?.admitWrite(table, touched ?? nothing);
  if (old === undefined && next === undefined) {
    const change = { table, beforeBytes: undefined, afterBytes: undefined, indexes: [] };
    env.throughput?.chargeWrite(change, nothing, unitsOf(change));
    return { change, key, old, result };
  }
  const missing = table.isBackfilling ? await missingEntries(store, table, key, old) : undefined;
  const writes = new Writes(env);
  const change = writes.change(table, key, old, next, missing);
  env.throughput?.admitIndexes(change, touched);
  if (table.hasLocalIndexes) await checkCollections(env, writes);
  const committed = await commitOn(env, writes.tables, writes.toCommit());
  if (!committed.ok) return undefined;
  env.throughput?.chargeWrite(change, touched ?? nothing, unitsOf(change));
  return { change, key, old, result };
}

/** A write that fails its condition consumes what writing the item would have. */
function decided<T>(env: Environment, table: Table, old: StoredItem | undefined, write: ItemWrite<T>): Decision<T> {
  const { throughput } = env;
  if (throughput === undefined) return write.decide(old, table);
  try {
    return write.decide(old, table);
  } catch (error) {
    if (error instanceof RuleError && error.code === 'ConditionalCheckFailedException') {
      const item = old?.item ?? nothing;
      throughput.admitWrite(table, item);
      throughput.chargeFailed(table, item, writeUnits(old?.sizeBytes, undefined));
    }
    throw error;
  }
}

const nothing: Item = {};
