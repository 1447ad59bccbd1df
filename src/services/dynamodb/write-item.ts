import type { Key } from '../../kernel/store/contract.ts';
import type { Change } from './changes.ts';
import { missingEntries, Writes } from './changes.ts';
import { commitOn, type Environment, type Place, tooContended } from './environment.ts';
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
  const { next, result } = write.decide(old, table);
  if (old === undefined && next === undefined) {
    return { change: { table, beforeBytes: undefined, afterBytes: undefined, indexes: [] }, key, old, result };
  }
  const missing = table.isBackfilling ? await missingEntries(store, table, key, old) : undefined;
  const writes = new Writes(env.shards.next());
  const change = writes.change(table, key, old, next, missing);
  const committed = await commitOn(env, writes.tables, writes.toCommit());
  return committed.ok ? { change, key, old, result } : undefined;
}
