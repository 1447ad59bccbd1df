import type { Key } from '../../../kernel/store/contract.ts';
import type { Handlers } from '../../../platform/service.ts';
import { RawJson } from '../../../wire/raw-json.ts';
import type { BatchGetItemInput, ConsumedCapacity, ItemCollectionMetrics } from '../../../wire/types/dynamodb.ts';
import { capacitiesOf, collectionMetrics } from '../answers.ts';
import { type Change, keyOfItem, missingEntries, Writes } from '../changes.ts';
import { commitOn, type Environment, type Place, untilCommitted } from '../environment.ts';
import { type BatchWrite, checkNoDuplicates, validateBatchGet, validateBatchWrite } from '../rules/batches.ts';
import { consumedCapacity, readUnits } from '../rules/capacity.ts';
import { itemToJson } from '../rules/item-json.ts';
import type { AttributeMap } from '../rules/values.ts';
import { checkDeleteItem, checkGetItem, checkPutItem, type PreparedGet } from '../rules/writes.ts';
import { jsonOf, type NewItem, newItem, StoredItem, sizeOf } from '../stored-item.ts';
import type { Table } from '../tables.ts';

/** BatchGetItem, BatchWriteItem. */
export function batchOperations(env: Environment): Handlers<'dynamodb'> {
  return {
    async BatchGetItem(context, input) {
      const prepared = validateBatchGet(env.limits, input.RequestItems);
      const tables = new Map<string, { readonly table: Table; readonly keys: readonly Key[] }>();
      for (const [name, gets] of prepared) {
        const table = await env.tables.active(context, name);
        tables.set(name, { table, keys: gets.map((get) => checkedKey(get, table)) });
      }
      for (const { keys } of tables.values()) checkNoDuplicates(keys.map(nameOfKey));

      const answer = new BatchGetAnswer(env, input);
      for (const [name, gets] of prepared) {
        const { table, keys } = tables.get(name)!;
        await answer.read(name, table, gets, keys);
      }
      return answer.output();
    },

    async BatchWriteItem(context, input) {
      const prepared = validateBatchWrite(env.limits, input.RequestItems);
      const writes = await untilCommitted(() => writeAll(env, context, prepared));
      const changes = writes.map(({ change }) => change);
      return {
        UnprocessedItems: {},
        ItemCollectionMetrics: await metricsOf(env, writes, input.ReturnItemCollectionMetrics),
        ConsumedCapacity: capacitiesOf(changes, input.ReturnConsumedCapacity),
      };
    },
  };
}

function checkedKey(get: PreparedGet, table: Table): Key {
  checkGetItem(get, table.schema);
  return keyOfItem(table, get.key);
}

function nameOfKey(key: Key): string {
  return key.toString('latin1');
}

/** Collects items until there are 16 MB of them; the keys after that are left to another request. */
class BatchGetAnswer {
  readonly #env: Environment;
  readonly #input: BatchGetItemInput;
  readonly #responses: Record<string, RawJson[]> = {};
  readonly #unprocessed: Record<string, BatchGetItemInput['RequestItems'][string]> = {};
  readonly #consumed: ConsumedCapacity[] = [];
  #bytes = 0;

  constructor(env: Environment, input: BatchGetItemInput) {
    this.#env = env;
    this.#input = input;
  }

  async read(name: string, table: Table, gets: readonly PreparedGet[], keys: readonly Key[]): Promise<void> {
    const entries = await this.#env.platform.store.getMany(keys);
    const request = this.#input.RequestItems[name]!;
    const items: RawJson[] = [];
    let units = 0;
    let done = 0;
    for (const [position, entry] of entries.entries()) {
      const sizeBytes = entry === undefined ? 0 : sizeOf(entry.value);
      if (this.#bytes + sizeBytes > this.#env.limits.batchGetBytes) break;
      this.#bytes += sizeBytes;
      done++;
      units += readUnits(sizeBytes, request.ConsistentRead ? 'strong' : 'eventual');
      if (entry === undefined) continue;
      const { project } = gets[position]!;
      items.push(
        new RawJson(project === undefined ? jsonOf(entry.value) : itemToJson(project(new StoredItem(entry).item))),
      );
    }
    this.#responses[name] = items;
    if (done < keys.length) {
      this.#bytes = this.#env.limits.batchGetBytes;
      this.#unprocessed[name] = { ...request, Keys: request.Keys.slice(done) };
    }
    const consumed = consumedCapacity(this.#input.ReturnConsumedCapacity, table.record.name, units);
    if (consumed !== undefined) this.#consumed.push(consumed);
  }

  output() {
    const isAsked = this.#input.ReturnConsumedCapacity !== undefined && this.#input.ReturnConsumedCapacity !== 'NONE';
    return {
      Responses: this.#responses,
      UnprocessedKeys: this.#unprocessed,
      ConsumedCapacity: isAsked ? this.#consumed : undefined,
    };
  }
}

interface BatchChange {
  readonly change: Change;
  readonly name: string;
  readonly item: AttributeMap;
}

/** One commit for the whole batch: AWS promises less. Undefined: it lost against another. */
async function writeAll(
  env: Environment,
  place: Place,
  prepared: ReadonlyMap<string, readonly BatchWrite[]>,
): Promise<readonly BatchChange[] | undefined> {
  const { store } = env.platform;
  const planned: { table: Table; name: string; key: Key; item: AttributeMap; next: NewItem | undefined }[] = [];
  for (const [name, writes] of prepared) {
    const table = await env.tables.active(place, name);
    for (const write of writes) {
      const item = 'put' in write ? write.put : write.remove;
      if ('put' in write) checkPutItem({ item, condition: undefined }, table.schema);
      else checkDeleteItem({ key: item, condition: undefined }, table.schema);
      const next = 'put' in write ? newItem(item) : undefined;
      planned.push({ table, name, key: keyOfItem(table, item), item, next });
    }
  }
  const locks = planned.map(({ key }) => nameOfKey(key));
  checkNoDuplicates(locks);
  return env.locks.holding(locks, async () => {
    const entries = await store.getMany(planned.map(({ key }) => key));
    const writes = new Writes(env.shards.next());
    const changes: BatchChange[] = [];
    for (const [position, { table, name, key, item, next }] of planned.entries()) {
      const entry = entries[position];
      const old = entry && new StoredItem(entry);
      const missing = table.isBackfilling ? await missingEntries(store, table, key, old) : undefined;
      changes.push({ change: writes.change(table, key, old, next, missing), name, item });
    }
    const result = await commitOn(env, writes.tables, writes.toCommit());
    return result.ok ? changes : undefined;
  });
}

async function metricsOf(
  env: Environment,
  writes: readonly BatchChange[],
  wanted: string | undefined,
): Promise<Readonly<Record<string, readonly ItemCollectionMetrics[]>> | undefined> {
  if (wanted !== 'SIZE') return undefined;
  const metrics: Record<string, ItemCollectionMetrics[]> = {};
  for (const { change, name, item } of writes) {
    const found = await collectionMetrics(env, change.table, item, wanted);
    if (found !== undefined) (metrics[name] ??= []).push(found);
  }
  return metrics;
}
