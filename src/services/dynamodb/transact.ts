import type { Commit, Key } from '../../kernel/store/contract.ts';
import { AwsError } from '../../wire/errors.ts';
import { RawJson } from '../../wire/raw-json.ts';
import type { ConsumedCapacity, ItemCollectionMetrics, ItemResponse } from '../../wire/types/dynamodb.ts';
import { capacitiesOf, collectionMetricsOf } from './answers.ts';
import { type Change, keyOfItem, missingEntries, unitsOf, Writes } from './changes.ts';
import { checkCollections } from './collections.ts';
import { commitOn, type Environment, type Place, untilCommitted } from './environment.ts';
import { type CancellationReason, cancellationMessage, checkDistinctItems, reasonOf } from './rules/batches.ts';
import { consumedCapacity, readUnits } from './rules/capacity.ts';
import { RuleError, transactionConflict } from './rules/errors.ts';
import { itemToJson } from './rules/item-json.ts';
import { isEmptyKeyRefusal } from './rules/keys.ts';
import { type AttributeMap, attributeOf } from './rules/values.ts';
import type { PreparedGet } from './rules/writes.ts';
import { jsonOf, type NewItem, StoredItem, sizeOf } from './stored-item.ts';
import type { Table } from './tables.ts';
import { readToken, TokenSweeper, tokenWrites } from './tokens.ts';

/** One action of a transaction, checked by itself. */
export interface Action {
  readonly tableName: string;
  /** Fits it to its table and gives the item's key attributes. Throws RuleError. */
  readonly check: (table: Table) => AttributeMap;
  /** What becomes of the item; 'same' where it is only looked at. Throws RuleError. */
  readonly decide: (old: StoredItem | undefined, table: Table) => NewItem | undefined | 'same';
}

export interface TransactWriteRequest {
  readonly actions: readonly Action[];
  readonly token: string | undefined;
  /** The same for the same request, whatever is asked to be returned. */
  readonly digest: string;
  readonly capacityWanted: string | undefined;
  readonly metricsWanted?: string | undefined;
}

export interface TransactWriteAnswer {
  readonly ConsumedCapacity: readonly ConsumedCapacity[] | undefined;
  readonly ItemCollectionMetrics?: Readonly<Record<string, readonly ItemCollectionMetrics[]>> | undefined;
}

/**
 * What is under way in this process: items in a transaction's hands, and tokens. AWS lets others collide with them where a
 * database would have them wait; between processes the commit's checks decide.
 */
export class Transactions {
  readonly #items = new Set<string>();
  readonly #tokens = new Map<string, string>();
  readonly #sweeper = new TokenSweeper();

  /** Whether a transaction has the item in its hands. */
  holds(item: string): boolean {
    return this.#items.size > 0 && this.#items.has(item);
  }

  async write(env: Environment, place: Place, request: TransactWriteRequest): Promise<TransactWriteAnswer> {
    const { token, digest } = request;
    if (token === undefined) return untilCommitted(() => this.#attempt(env, place, request, {}));
    const name = `${place.account} ${place.region} ${token}`;
    const underWay = this.#tokens.get(name);
    if (underWay !== undefined) throw underWay === digest ? inProgress() : otherParameters();
    this.#tokens.set(name, digest);
    try {
      return await untilCommitted(async () => {
        const known = await readToken(env, place, token);
        if (known.isFresh) {
          if (known.record!.digest === digest) return repeated(env, place, request);
          throw otherParameters();
        }
        const done = await this.#attempt(env, place, request, tokenWrites(env, place, known, digest));
        await this.#sweeper.sweep(env);
        return done;
      });
    } finally {
      this.#tokens.delete(name);
    }
  }

  async #attempt(
    env: Environment,
    place: Place,
    { actions, capacityWanted, metricsWanted }: TransactWriteRequest,
    more: Pick<Commit, 'checks' | 'set' | 'delete'>,
  ): Promise<TransactWriteAnswer | undefined> {
    const placed = await placeAll(env, place, actions);
    const locks = placed.map(({ key }) => nameOfKey(key));
    checkDistinctItems(locks);
    cancelIfAny(locks.map((lock) => (this.holds(lock) ? reasonOf(transactionConflict()) : { Code: 'None' })));
    for (const lock of locks) this.#items.add(lock);
    try {
      const changes = await env.locks.holding(locks, () => commitAll(env, placed, more));
      if (changes === undefined) return undefined;
      return {
        ConsumedCapacity: capacitiesOf(changes, capacityWanted, true),
        ItemCollectionMetrics: await collectionMetricsOf(
          env,
          placed.map(({ table, item: key }) => ({ name: table.record.name, table, key })),
          metricsWanted,
        ),
      };
    } finally {
      for (const lock of locks) this.#items.delete(lock);
    }
  }

  /** Reads items at one moment; `gets` are in the order of the request. */
  async read(
    env: Environment,
    gets: readonly { readonly table: Table; readonly prepared: Pick<PreparedGet, 'key' | 'project'> }[],
    capacityWanted: string | undefined,
  ): Promise<{ Responses: readonly ItemResponse[]; ConsumedCapacity: readonly ConsumedCapacity[] | undefined }> {
    const keys = gets.map(({ prepared, table }) => keyOfItem(table, prepared.key));
    const locks = keys.map(nameOfKey);
    checkDistinctItems(locks);
    cancelIfAny(locks.map((lock) => (this.holds(lock) ? reasonOf(transactionConflict()) : { Code: 'None' })));
    const { throughput } = env;
    const hashOf = (position: number) => attributeOf(gets[position]!.prepared.key, gets[position]!.table.hash.name);
    if (throughput !== undefined) {
      cancelIfAny(
        gets.map(({ table }, position) => reasonUnless(() => throughput.admitRead(table, undefined, hashOf(position)))),
      );
    }
    const entries = await env.platform.store.getMany(keys);
    checkSize(
      env,
      entries.reduce((sum, entry) => sum + (entry === undefined ? 0 : sizeOf(entry.value)), 0),
    );
    const units = new Units();
    const Responses = entries.map((entry, position) => {
      const { table, prepared } = gets[position]!;
      const ofItem = readUnits(entry === undefined ? 0 : sizeOf(entry.value), 'transactional');
      units.add(table, ofItem);
      throughput?.chargeRead(table, undefined, hashOf(position), ofItem);
      if (entry === undefined) return {};
      const { project } = prepared;
      const json = project === undefined ? jsonOf(entry.value) : itemToJson(project(new StoredItem(entry).item));
      return { Item: new RawJson(json) };
    });
    return { Responses, ConsumedCapacity: units.answer(capacityWanted) };
  }
}

/** Cancels a transaction if any of its actions has a reason. */
export function cancelIfAny(reasons: readonly CancellationReason[]): void {
  if (reasons.every(({ Code }) => Code === 'None')) return;
  const shown = reasons.map(({ Item: item, ...reason }) =>
    item === undefined ? reason : { ...reason, Item: new RawJson(itemToJson(item)) },
  );
  throw new AwsError('TransactionCanceledException', cancellationMessage(reasons), {
    fields: { CancellationReasons: shown },
  });
}

/** Why an action cannot be done, if it cannot; what `isGeneral` says yes to refuses the transaction as a whole. */
export function reasonUnless(check: () => void, isGeneral?: (error: unknown) => boolean): CancellationReason {
  try {
    check();
    return { Code: 'None' };
  } catch (error) {
    if (isGeneral?.(error)) throw error;
    return reasonOf(error);
  }
}

interface Placed {
  readonly action: Action;
  readonly table: Table;
  readonly item: AttributeMap;
  readonly key: Key;
}

/** Finds the table and the key of every action; those that do not fit cancel the transaction. */
async function placeAll(env: Environment, place: Place, actions: readonly Action[]): Promise<readonly Placed[]> {
  const tables = await Promise.all(actions.map(async ({ tableName }) => env.tables.active(place, tableName)));
  const items: AttributeMap[] = [];
  const reasons = actions.map((action, position) =>
    reasonUnless(() => {
      items[position] = action.check(tables[position]!);
    }, isEmptyKeyRefusal),
  );
  cancelIfAny(reasons);
  return actions.map((action, position) => {
    const table = tables[position]!;
    const item = items[position]!;
    return { action, table, item, key: keyOfItem(table, item) };
  });
}

async function commitAll(
  env: Environment,
  placed: readonly Placed[],
  more: Pick<Commit, 'checks' | 'set' | 'delete'>,
): Promise<readonly Change[] | undefined> {
  const { store } = env.platform;
  const entries = await store.getMany(placed.map(({ key }) => key));
  const olds = entries.map((entry) => entry && new StoredItem(entry));
  const nexts: (NewItem | undefined | 'same')[] = [];
  const reasons = placed.map(({ action, table }, position) =>
    reasonUnless(() => {
      nexts[position] = action.decide(olds[position], table);
    }),
  );
  cancelIfAny(reasons);
  checkSize(
    env,
    nexts.reduce<number>((sum, next) => sum + (typeof next === 'object' ? next.sizeBytes : 0), 0),
  );
  const writes = new Writes(env);
  const changes: Change[] = [];
  for (const [position, { table, key }] of placed.entries()) {
    const old = olds[position];
    const next = nexts[position];
    if (next === 'same' || (next === undefined && old === undefined)) {
      writes.expect(table, key, old);
      changes.push({ table, beforeBytes: old?.sizeBytes, afterBytes: undefined, indexes: [] });
      continue;
    }
    const missing = table.isBackfilling ? await missingEntries(store, table, key, old) : undefined;
    changes.push(writes.change(table, key, old, next, missing));
  }
  await cancelUnlessRoom(env, placed, changes, nexts, writes);
  const result = await commitOn(env, writes.tables, writes.toCommit(more));
  if (!result.ok) return undefined;
  for (const [position, change] of changes.entries()) {
    env.throughput?.chargeWrite(change, placed[position]!.item, unitsOf(change, true), true);
  }
  return changes;
}

/** What lacks throughput, or room in its item collection, cancels the transaction. */
async function cancelUnlessRoom(
  env: Environment,
  placed: readonly Placed[],
  changes: readonly Change[],
  nexts: readonly (NewItem | undefined | 'same')[],
  writes: Writes,
): Promise<void> {
  const { throughput } = env;
  if (throughput !== undefined) {
    cancelIfAny(
      placed.map(({ table, item }, position) =>
        reasonUnless(() => {
          const next = nexts[position];
          throughput.admitWrite(table, item);
          throughput.admitIndexes(changes[position]!, typeof next === 'object' ? next.item : undefined);
        }),
      ),
    );
  }
  if (writes.collections.length === 0) return;
  try {
    await checkCollections(env, writes);
  } catch (error) {
    const reason = reasonOf(error);
    cancelIfAny(placed.map(({ table }) => (table.hasLocalIndexes ? reason : { Code: 'None' })));
  }
}

/** A repeated request is answered as done; it consumes what reading the items does. */
async function repeated(
  env: Environment,
  place: Place,
  { actions, capacityWanted }: TransactWriteRequest,
): Promise<TransactWriteAnswer> {
  if (capacityWanted === undefined || capacityWanted === 'NONE') return { ConsumedCapacity: undefined };
  const placed = await placeAll(env, place, actions);
  const entries = await env.platform.store.getMany(placed.map(({ key }) => key));
  const units = new Units();
  for (const [position, entry] of entries.entries()) {
    units.add(placed[position]!.table, readUnits(entry === undefined ? 0 : sizeOf(entry.value), 'transactional'));
  }
  return { ConsumedCapacity: units.answer(capacityWanted) };
}

/** Read units by table. */
class Units {
  readonly #byTable = new Map<string, number>();

  add({ record: { name } }: Table, units: number): void {
    this.#byTable.set(name, (this.#byTable.get(name) ?? 0) + units);
  }

  answer(wanted: string | undefined): readonly ConsumedCapacity[] | undefined {
    if (wanted === undefined || wanted === 'NONE') return undefined;
    return [...this.#byTable].map(([name, units]) => ({
      ...consumedCapacity(wanted, name, units)!,
      ReadCapacityUnits: units,
    }));
  }
}

function checkSize(env: Environment, bytes: number): void {
  if (bytes <= env.limits.transactionBytes) return;
  throw new RuleError('Collective size of items in transaction cannot exceed 4MB');
}

function nameOfKey(key: Key): string {
  return key.toString('latin1');
}

/** API reference "TransactWriteItems", TransactionInProgressException. */
function inProgress(): AwsError {
  return new AwsError(
    'TransactionInProgressException',
    'The transaction with the given request token is already in progress.',
  );
}

function otherParameters(): AwsError {
  return new AwsError(
    'IdempotentParameterMismatchException',
    'The provided client token was already used with different parameters.',
  );
}
