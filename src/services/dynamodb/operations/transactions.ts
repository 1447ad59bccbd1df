import { createHash } from 'node:crypto';
import type { Commit, Key } from '../../../kernel/store/contract.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import { RawJson } from '../../../wire/raw-json.ts';
import type {
  ItemCollectionMetrics,
  TransactWriteItem,
  TransactWriteItemsInput,
  TransactWriteItemsOutput,
} from '../../../wire/types/dynamodb.ts';
import { capacitiesOf, collectionMetrics } from '../answers.ts';
import { type Change, keyOfItem, missingEntries, Writes } from '../changes.ts';
import { commitOn, type Environment, type Place, untilCommitted } from '../environment.ts';
import {
  type CancellationReason,
  cancellationMessage,
  checkDistinctItems,
  onlyAction,
  reasonOf,
} from '../rules/batches.ts';
import { consumedCapacity, readUnits } from '../rules/capacity.ts';
import { RuleError } from '../rules/errors.ts';
import { itemToJson } from '../rules/item-json.ts';
import type { AttributeMap } from '../rules/values.ts';
import { readInput } from '../rules/wire-values.ts';
import {
  checkCondition,
  checkDeleteItem,
  checkGetItem,
  checkPutItem,
  checkUpdateItem,
  updateItem,
  validateDeleteItem,
  validateGetItem,
  validatePutItem,
  validateUpdateItem,
} from '../rules/writes.ts';
import { jsonOf, type NewItem, newItem, StoredItem, sizeOf } from '../stored-item.ts';
import type { Table } from '../tables.ts';
import { readToken, TokenSweeper, tokenWrites } from '../tokens.ts';

/** TransactGetItems, TransactWriteItems. */
export function transactionOperations(env: Environment): Handlers<'dynamodb'> {
  const sweeper = new TokenSweeper();
  return {
    async TransactGetItems(context, input) {
      const gets = input.TransactItems.map(({ Get }) => ({
        tableName: Get.TableName,
        prepared: validateGetItem(readInput(Get)),
      }));
      const found = await Promise.all(
        gets.map(async ({ tableName, prepared }) => ({
          prepared,
          table: await env.tables.active(context, tableName),
        })),
      );
      const reasons = found.map(({ prepared, table }) => reasonUnless(() => checkGetItem(prepared, table.schema)));
      cancelIfAny(reasons);
      const keys = found.map(({ prepared, table }) => keyOfItem(table, prepared.key));
      checkDistinctItems(keys.map((key) => key.toString('latin1')));
      const entries = await env.platform.store.getMany(keys);
      checkSize(
        env,
        entries.reduce((sum, entry) => sum + (entry === undefined ? 0 : sizeOf(entry.value)), 0),
      );
      const units = new Map<string, number>();
      const Responses = entries.map((entry, position) => {
        const { table, prepared } = found[position]!;
        const { name } = table.record;
        const sizeBytes = entry === undefined ? 0 : sizeOf(entry.value);
        units.set(name, (units.get(name) ?? 0) + readUnits(sizeBytes, 'transactional'));
        if (entry === undefined) return {};
        const { project } = prepared;
        const json = project === undefined ? jsonOf(entry.value) : itemToJson(project(new StoredItem(entry).item));
        return { Item: new RawJson(json) };
      });
      const wanted = input.ReturnConsumedCapacity;
      return {
        Responses,
        ConsumedCapacity:
          wanted === undefined || wanted === 'NONE'
            ? undefined
            : [...units].map(([name, count]) => ({
                ...consumedCapacity(wanted, name, count)!,
                ReadCapacityUnits: count,
              })),
      };
    },

    async TransactWriteItems(context, input) {
      const actions = input.TransactItems.map(prepare);
      const token = input.ClientRequestToken;
      const digest = token === undefined ? '' : digestOf(input);
      return untilCommitted(async () => {
        const known = token === undefined ? undefined : await readToken(env, context, token);
        if (known?.isFresh) {
          if (known.record!.digest === digest) return repeated(env, context, actions, input);
          throw new AwsError(
            'IdempotentParameterMismatchException',
            'The provided client token was already used with different parameters.',
          );
        }
        const more = known === undefined ? {} : tokenWrites(env, context, known, digest);
        const done = await transact(env, context, actions, input, more);
        if (known !== undefined) await sweeper.sweep(env);
        return done;
      });
    },
  };
}

/** One action of a transaction, checked by itself. */
interface Action {
  readonly tableName: string;
  /** Fits it to its table and gives the item's key attributes. Throws RuleError. */
  readonly check: (table: Table) => AttributeMap;
  /** What becomes of the item; 'same' where it is only looked at. Throws RuleError. */
  readonly decide: (old: StoredItem | undefined, table: Table) => NewItem | undefined | 'same';
}

function prepare(entry: TransactWriteItem): Action {
  const name = onlyAction(entry);
  const given = entry[name]!;
  const { TableName: tableName, ReturnValuesOnConditionCheckFailure: returnValues } = given;
  switch (name) {
    case 'Put': {
      const put = validatePutItem(readInput(given));
      const next = newItem(put.item);
      return {
        tableName,
        check: (table) => {
          checkPutItem(put, table.schema);
          return put.item;
        },
        decide: (old) => {
          checkCondition(put.condition, old?.item, returnValues);
          return next;
        },
      };
    }
    case 'Update': {
      const update = validateUpdateItem(readInput(given));
      return {
        tableName,
        check: (table) => {
          checkUpdateItem(update, table.schema);
          return update.key;
        },
        decide: (old, table) => {
          checkCondition(update.condition, old?.item, returnValues);
          const { item } = updateItem(update, old?.item, table.schema);
          return item && newItem(item);
        },
      };
    }
    case 'Delete':
    case 'ConditionCheck': {
      const remove = validateDeleteItem(readInput(given));
      return {
        tableName,
        check: (table) => {
          checkDeleteItem(remove, table.schema);
          return remove.key;
        },
        decide: (old) => {
          checkCondition(remove.condition, old?.item, returnValues);
          return name === 'Delete' ? undefined : 'same';
        },
      };
    }
  }
}

interface Placed {
  readonly action: Action;
  readonly table: Table;
  readonly item: AttributeMap;
  readonly key: Key;
}

async function transact(
  env: Environment,
  place: Place,
  actions: readonly Action[],
  input: TransactWriteItemsInput,
  more: Pick<Commit, 'checks' | 'set' | 'delete'>,
): Promise<TransactWriteItemsOutput | undefined> {
  const placed = await placeAll(env, place, actions);
  const locks = placed.map(({ key }) => key.toString('latin1'));
  checkDistinctItems(locks);
  const changes = await env.locks.holding(locks, () => commitAll(env, placed, more));
  if (changes === undefined) return undefined;
  return {
    ConsumedCapacity: capacitiesOf(changes, input.ReturnConsumedCapacity, true),
    ItemCollectionMetrics: await metricsOf(env, placed, input.ReturnItemCollectionMetrics),
  };
}

/** Finds the table and the key of every action; those that do not fit cancel the transaction. */
async function placeAll(env: Environment, place: Place, actions: readonly Action[]): Promise<readonly Placed[]> {
  const tables = await Promise.all(actions.map(async ({ tableName }) => env.tables.active(place, tableName)));
  const items: AttributeMap[] = [];
  const reasons = actions.map((action, position) =>
    reasonUnless(() => {
      items[position] = action.check(tables[position]!);
    }),
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
  const writes = new Writes(env.shards.next());
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
  const result = await commitOn(env, writes.tables, writes.toCommit(more));
  return result.ok ? changes : undefined;
}

function reasonUnless(check: () => void): CancellationReason {
  try {
    check();
    return { Code: 'None' };
  } catch (error) {
    return reasonOf(error);
  }
}

function cancelIfAny(reasons: readonly CancellationReason[]): void {
  if (reasons.every(({ Code }) => Code === 'None')) return;
  const shown = reasons.map(({ Item: item, ...reason }) =>
    item === undefined ? reason : { ...reason, Item: new RawJson(itemToJson(item)) },
  );
  throw new AwsError('TransactionCanceledException', cancellationMessage(reasons), {
    fields: { CancellationReasons: shown },
  });
}

function checkSize(env: Environment, bytes: number): void {
  if (bytes <= env.limits.transactionBytes) return;
  throw new RuleError('Collective size of items in transaction cannot exceed 4MB');
}

async function metricsOf(
  env: Environment,
  placed: readonly Placed[],
  wanted: string | undefined,
): Promise<Readonly<Record<string, readonly ItemCollectionMetrics[]>> | undefined> {
  if (wanted !== 'SIZE') return undefined;
  const metrics: Record<string, ItemCollectionMetrics[]> = {};
  for (const { table, item } of placed) {
    const found = await collectionMetrics(env, table, item, wanted);
    if (found !== undefined) (metrics[table.record.name] ??= []).push(found);
  }
  return metrics;
}

/** A repeated request is answered as done; it consumes what reading the items does. */
async function repeated(
  env: Environment,
  place: Place,
  actions: readonly Action[],
  input: TransactWriteItemsInput,
): Promise<TransactWriteItemsOutput> {
  const wanted = input.ReturnConsumedCapacity;
  if (wanted === undefined || wanted === 'NONE') return {};
  const placed = await placeAll(env, place, actions);
  const entries = await env.platform.store.getMany(placed.map(({ key }) => key));
  const units = new Map<string, number>();
  for (const [position, entry] of entries.entries()) {
    const { name } = placed[position]!.table.record;
    const read = readUnits(entry === undefined ? 0 : sizeOf(entry.value), 'transactional');
    units.set(name, (units.get(name) ?? 0) + read);
  }
  return {
    ConsumedCapacity: [...units].map(([name, count]) => ({
      ...consumedCapacity(wanted, name, count)!,
      ReadCapacityUnits: count,
    })),
  };
}

/** The same for the same request, whatever is asked to be returned. */
function digestOf({ TransactItems }: TransactWriteItemsInput): string {
  return createHash('sha256').update(JSON.stringify(TransactItems)).digest('base64');
}
