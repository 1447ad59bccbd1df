import { createHash } from 'node:crypto';
import type { Handlers } from '../../../platform/service.ts';
import type { TransactWriteItem, TransactWriteItemsInput } from '../../../wire/types/dynamodb.ts';
import type { Environment } from '../environment.ts';
import { onlyAction } from '../rules/batches.ts';
import { isEmptyKeyRefusal } from '../rules/keys.ts';
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
import { newItem } from '../stored-item.ts';
import { type Action, cancelIfAny, reasonUnless } from '../transact.ts';

/** TransactGetItems, TransactWriteItems. */
export function transactionOperations(env: Environment): Handlers<'dynamodb'> {
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
      cancelIfAny(
        found.map(({ prepared, table }) => reasonUnless(() => checkGetItem(prepared, table.schema), isEmptyKeyRefusal)),
      );
      return env.transactions.read(env, found, input.ReturnConsumedCapacity);
    },

    TransactWriteItems: async (context, input) =>
      env.transactions.write(env, context, {
        actions: input.TransactItems.map(prepare),
        token: input.ClientRequestToken,
        digest: input.ClientRequestToken === undefined ? '' : digestOf(input),
        capacityWanted: input.ReturnConsumedCapacity,
        metricsWanted: input.ReturnItemCollectionMetrics,
      }),
  };
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

/** The same for the same request, whatever is asked to be returned. */
function digestOf({ TransactItems }: TransactWriteItemsInput): string {
  return createHash('sha256').update(JSON.stringify(TransactItems)).digest('base64');
}
