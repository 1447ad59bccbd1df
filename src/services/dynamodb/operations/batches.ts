import type { Key } from '../../../kernel/store/contract.ts';
import type { Handlers } from '../../../platform/service.ts';
import { RawJson } from '../../../wire/raw-json.ts';
import type { BatchGetItemInput, BatchWriteItemInput, ConsumedCapacity } from '../../../wire/types/dynamodb.ts';
import { capacitiesOf, collectionMetricsOf } from '../answers.ts';
import { type Change, keyOfItem, missingEntries, unitsOf, Writes } from '../changes.ts';
import { checkCollections } from '../collections.ts';
import { commitOn, type Environment, type Place, untilCommitted } from '../environment.ts';
import { type BatchWrite, checkNoDuplicates, validateBatchGet, validateBatchWrite } from '../rules/batches.ts';
import { consumedCapacity, readUnits } from '../rules/capacity.ts';
import { itemToJson } from '../rules/item-json.ts';
import { checkBatchItemKeys } from '../rules/keys.ts';
import { isThrottled } from '../rules/throttling.ts';
import { type AttributeMap, attributeOf } from '../rules/values.ts';
import { checkDeleteItem, checkGetItem, type PreparedGet } from '../rules/writes.ts';
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
      const { writes, unprocessed } = await untilCommitted(() => writeAll(env, context, prepared, input.RequestItems));
      const changes = writes.map(({ change }) => change);
      return {
        UnprocessedItems: unprocessed,
        ItemCollectionMetrics: await collectionMetricsOf(
          env,
          writes.map(({ change: { table }, name, item: key }) => ({ name, table, key })),
          input.ReturnItemCollectionMetrics,
        ),
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
  /** The answer takes no more items. */
  #isFull = false;
  #processed = 0;
  #refusal: unknown;

  constructor(env: Environment, input: BatchGetItemInput) {
    this.#env = env;
    this.#input = input;
  }

  async read(name: string, table: Table, gets: readonly PreparedGet[], keys: readonly Key[]): Promise<void> {
    const entries = await this.#env.platform.store.getMany(keys);
    const request = this.#input.RequestItems[name]!;
    const items: RawJson[] = [];
    const left: object[] = [];
    let units = 0;
    for (const [position, entry] of entries.entries()) {
      const sizeBytes = entry === undefined ? 0 : sizeOf(entry.value);
      if (this.#bytes + sizeBytes > this.#env.limits.batchGetBytes) this.#isFull = true;
      const { key, project } = gets[position]!;
      if (this.#isFull || !this.#isLetIn(table, key)) {
        left.push(request.Keys[position]!);
        continue;
      }
      this.#bytes += sizeBytes;
      this.#processed++;
      const ofItem = readUnits(sizeBytes, request.ConsistentRead ? 'strong' : 'eventual');
      this.#env.throughput?.chargeRead(table, undefined, attributeOf(key, table.hash.name), ofItem);
      units += ofItem;
      if (entry === undefined) continue;
      items.push(
        new RawJson(project === undefined ? jsonOf(entry.value) : itemToJson(project(new StoredItem(entry).item))),
      );
    }
    this.#responses[name] = items;
    if (left.length > 0) {
      this.#unprocessed[name] = { ...request, Keys: left as typeof request.Keys };
    }
    const consumed = consumedCapacity(this.#input.ReturnConsumedCapacity, table.record.name, units);
    if (consumed !== undefined) this.#consumed.push(consumed);
  }

  #isLetIn(table: Table, key: AttributeMap): boolean {
    try {
      this.#env.throughput?.admitRead(table, undefined, attributeOf(key, table.hash.name));
      return true;
    } catch (error) {
      if (!isThrottled(error)) throw error;
      this.#refusal = error;
      return false;
    }
  }

  /** Throws if not one item could be read for want of throughput. */
  output() {
    if (this.#processed === 0 && this.#refusal !== undefined) throw this.#refusal;
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

type WriteRequests = BatchWriteItemInput['RequestItems'];

interface BatchWritten {
  readonly writes: readonly BatchChange[];
  /** What was throttled. */
  readonly unprocessed: WriteRequests;
}

/** One commit for all of the batch that is let in: AWS promises less. Undefined: it lost against another. */
async function writeAll(
  env: Environment,
  place: Place,
  prepared: ReadonlyMap<string, readonly BatchWrite[]>,
  requests: WriteRequests,
): Promise<BatchWritten | undefined> {
  const { store } = env.platform;
  const all: PlannedWrite[] = [];
  for (const [name, writes] of prepared) {
    const table = await env.tables.active(place, name);
    for (const [position, write] of writes.entries()) {
      const item = 'put' in write ? write.put : write.remove;
      if ('put' in write) checkBatchItemKeys(item, table.schema);
      else checkDeleteItem({ key: item, condition: undefined }, table.schema);
      const next = 'put' in write ? newItem(item) : undefined;
      const request = requests[name]![position]!;
      all.push({ table, name, key: keyOfItem(table, item), item, next, request });
    }
  }
  checkNoDuplicates(all.map(({ key }) => nameOfKey(key)));
  const { planned, unprocessed } = letIn(env, all);
  const locks = planned.map(({ key }) => nameOfKey(key));
  return env.locks.holding(locks, async () => {
    const entries = await store.getMany(planned.map(({ key }) => key));
    const writes = new Writes(env);
    const changes: BatchChange[] = [];
    for (const [position, { table, name, key, item, next }] of planned.entries()) {
      const entry = entries[position];
      const old = entry && new StoredItem(entry);
      const missing = table.isBackfilling ? await missingEntries(store, table, key, old) : undefined;
      changes.push({ change: writes.change(table, key, old, next, missing), name, item });
    }
    await checkCollections(env, writes);
    const result = await commitOn(env, writes.tables, writes.toCommit());
    if (!result.ok) return undefined;
    for (const { change, item } of changes) env.throughput?.chargeWrite(change, item, unitsOf(change));
    return { writes: changes, unprocessed };
  });
}

interface PlannedWrite {
  readonly table: Table;
  readonly name: string;
  readonly key: Key;
  readonly item: AttributeMap;
  readonly next: NewItem | undefined;
  /** As it came. */
  readonly request: WriteRequests[string][number];
}

/** What throughput is left for; if for nothing, the request fails as a single write would. */
function letIn(
  env: Environment,
  all: readonly PlannedWrite[],
): { readonly planned: readonly PlannedWrite[]; readonly unprocessed: WriteRequests } {
  const { throughput } = env;
  if (throughput === undefined) return { planned: all, unprocessed: {} };
  const planned: PlannedWrite[] = [];
  const unprocessed: Record<string, WriteRequests[string][number][]> = {};
  let refusal: unknown;
  for (const write of all) {
    try {
      throughput.admitWrite(write.table, write.next?.item ?? write.item);
      planned.push(write);
    } catch (error) {
      if (!isThrottled(error)) throw error;
      refusal = error;
      (unprocessed[write.name] ??= []).push(write.request);
    }
  }
  if (planned.length === 0 && refusal !== undefined) throw refusal;
  return { planned, unprocessed };
}
