import type { Handlers } from '../../../platform/service.ts';
import { RawJson } from '../../../wire/raw-json.ts';
import { capacityOf, collectionMetrics } from '../answers.ts';
import { keyOfItem } from '../changes.ts';
import type { Environment } from '../environment.ts';
import { consumedCapacity, readUnits } from '../rules/capacity.ts';
import { enveloped } from '../rules/envelope.ts';
import { itemToJson } from '../rules/item-json.ts';
import type { UpdateResult } from '../rules/update.ts';
import { attributeOf, type Item } from '../rules/values.ts';
import { readInput } from '../rules/wire-values.ts';
import {
  checkCondition,
  checkDeleteItem,
  checkGetItem,
  checkPutItem,
  checkUpdateItem,
  type DeleteItemInput,
  type GetItemInput,
  type PutItemInput,
  type UpdateItemInput,
  updateItem,
  validateDeleteItem,
  validateGetItem,
  validatePutItem,
  validateUpdateItem,
} from '../rules/writes.ts';
import { jsonOf, newItem, StoredItem, sizeOf } from '../stored-item.ts';
import { writeItem } from '../write-item.ts';

/** GetItem, PutItem, UpdateItem, DeleteItem. */
export function itemOperations(env: Environment): Handlers<'dynamodb'> {
  const { store } = env.platform;
  return {
    async GetItem(context, input) {
      const prepared = validateGetItem(readInput<GetItemInput>(input));
      const found = env.tables.active(context, input.TableName);
      const table = found instanceof Promise ? await found : found;
      checkGetItem(prepared, table.schema);
      const { throughput } = env;
      const hash = throughput === undefined ? undefined : attributeOf(prepared.key, table.hash.name);
      throughput?.admitRead(table, undefined, hash);
      const entry = await store.get(keyOfItem(table, prepared.key));
      const { ReturnConsumedCapacity: wanted } = input;
      throughput?.chargeRead(table, undefined, hash, unitsOfGet(entry?.value, input.ConsistentRead));
      const consumed =
        wanted === undefined
          ? undefined
          : consumedCapacity(wanted, table.record.name, unitsOfGet(entry?.value, input.ConsistentRead));
      if (entry === undefined) return { ConsumedCapacity: consumed };
      const { project } = prepared;
      const json = project === undefined ? jsonOf(entry.value) : itemToJson(project(new StoredItem(entry).item));
      return { Item: new RawJson(json), ConsumedCapacity: consumed };
    },

    async PutItem(context, input) {
      const prepared = enveloped(() => validatePutItem(readInput<PutItemInput>(input)));
      const next = newItem(prepared.item);
      const { change, old } = await writeItem(env, context, input.TableName, {
        keyIn: (table) => {
          checkPutItem(prepared, table.schema);
          return keyOfItem(table, prepared.item);
        },
        decide: (item) => {
          if (prepared.condition !== undefined)
            checkCondition(prepared.condition, item?.item, input.ReturnValuesOnConditionCheckFailure);
          return { next, result: undefined };
        },
      });
      return {
        Attributes: input.ReturnValues === 'ALL_OLD' ? rawItem(old) : undefined,
        ConsumedCapacity: capacityOf(change, input.ReturnConsumedCapacity),
        ItemCollectionMetrics: await collectionMetrics(
          env,
          change.table,
          prepared.item,
          input.ReturnItemCollectionMetrics,
        ),
      };
    },

    async DeleteItem(context, input) {
      const prepared = enveloped(() => validateDeleteItem(readInput<DeleteItemInput>(input)));
      const { change, old } = await writeItem(env, context, input.TableName, {
        keyIn: (table) => {
          checkDeleteItem(prepared, table.schema);
          return keyOfItem(table, prepared.key);
        },
        decide: (item) => {
          if (prepared.condition !== undefined)
            checkCondition(prepared.condition, item?.item, input.ReturnValuesOnConditionCheckFailure);
          return { next: undefined, result: undefined };
        },
      });
      return {
        Attributes: input.ReturnValues === 'ALL_OLD' ? rawItem(old) : undefined,
        ConsumedCapacity: capacityOf(change, input.ReturnConsumedCapacity),
        ItemCollectionMetrics: await collectionMetrics(
          env,
          change.table,
          prepared.key,
          input.ReturnItemCollectionMetrics,
        ),
      };
    },

    async UpdateItem(context, input) {
      const prepared = enveloped(() => validateUpdateItem(readInput<UpdateItemInput>(input)));
      const { change, old, result } = await writeItem(env, context, input.TableName, {
        keyIn: (table) => {
          checkUpdateItem(prepared, table.schema);
          return keyOfItem(table, prepared.key);
        },
        decide: (item, table) => {
          checkCondition(prepared.condition, item?.item, input.ReturnValuesOnConditionCheckFailure);
          const updated = updateItem(prepared, item?.item, table.schema);
          return { next: updated.item && newItem(updated.item), result: updated };
        },
      });
      return {
        Attributes: updatedAttributes(input.ReturnValues, old, result),
        ConsumedCapacity: capacityOf(change, input.ReturnConsumedCapacity),
        ItemCollectionMetrics: await collectionMetrics(
          env,
          change.table,
          prepared.key,
          input.ReturnItemCollectionMetrics,
        ),
      };
    },
  };
}

function unitsOfGet(value: Buffer | undefined, isConsistent: boolean | undefined): number {
  return readUnits(value === undefined ? 0 : sizeOf(value), isConsistent ? 'strong' : 'eventual');
}

function updatedAttributes(
  wanted: string | undefined,
  old: StoredItem | undefined,
  result: UpdateResult,
): RawJson | undefined {
  switch (wanted) {
    case 'ALL_OLD':
      return rawItem(old);
    case 'ALL_NEW':
      return rawOf(result.item);
    case 'UPDATED_OLD':
      return rawOf(result.updatedOld);
    case 'UPDATED_NEW':
      return rawOf(result.updatedNew);
    default:
      return undefined;
  }
}

function rawItem(stored: StoredItem | undefined): RawJson | undefined {
  return stored && new RawJson(stored.json);
}

function rawOf(item: Item | undefined): RawJson | undefined {
  return item && new RawJson(itemToJson(item));
}
