/**
 * BatchGetItem, BatchWriteItem and the transactions: what AWS refuses of a request by itself.
 * Texts: dynalite's validations/batchGetItem.js and batchWriteItem.js, run against AWS; for transactions getmoto/moto's
 * AWS-verified tests.
 */
import type { DynamoDbLimits } from '../limits.ts';
import { RuleError } from './errors.ts';
import { type AttributeMap, checkItemSize, type Item, validateAttributes } from './values.ts';
import { readAttributes } from './wire-values.ts';
import { type PreparedGet, validateGetItem } from './writes.ts';

interface KeysInput {
  readonly Keys: readonly object[];
  readonly AttributesToGet?: readonly string[] | undefined;
  readonly ProjectionExpression?: string | undefined;
  readonly ExpressionAttributeNames?: Readonly<Record<string, string>> | undefined;
}

/** What BatchGetItem wants of one table: the keys, each made ready like a GetItem's. */
export function validateBatchGet(
  limits: Pick<DynamoDbLimits, 'batchGetKeys'>,
  requests: Readonly<Record<string, KeysInput>>,
): ReadonlyMap<string, readonly PreparedGet[]> {
  const prepared = new Map<string, readonly PreparedGet[]>();
  let count = 0;
  for (const [table, { Keys, ...rest }] of Object.entries(requests)) {
    count += Keys.length;
    const keys = Keys.map((key) => readAttributes(key as Readonly<Record<string, unknown>>));
    const first = validateGetItem({ ...(rest as object), Key: keys[0] ?? {} });
    const gets = keys.map((key, position) => (position === 0 ? first : { ...first, key: validateAttributes(key) }));
    // What is the same whatever the table is refused before the table is looked for.
    checkNoDuplicates(gets.map(({ key }) => JSON.stringify(Object.entries(key).sort(([a], [b]) => (a < b ? -1 : 1)))));
    prepared.set(table, gets);
  }
  if (count > limits.batchGetKeys) throw new RuleError('Too many items requested for the BatchGetItem call');
  return prepared;
}

interface WriteRequestInput {
  readonly PutRequest?: { readonly Item: object } | undefined;
  readonly DeleteRequest?: { readonly Key: object } | undefined;
}

/** A put of an item or the deletion of a key. */
export type BatchWrite = { readonly put: Item } | { readonly remove: AttributeMap };

export function validateBatchWrite(
  limits: Pick<DynamoDbLimits, 'batchWriteRequests'>,
  requests: Readonly<Record<string, readonly WriteRequestInput[]>>,
): ReadonlyMap<string, readonly BatchWrite[]> {
  const prepared = new Map<string, readonly BatchWrite[]>();
  let count = 0;
  for (const [table, writes] of Object.entries(requests)) {
    count += writes.length;
    prepared.set(table, writes.map(batchWriteOf));
  }
  if (count > limits.batchWriteRequests) throw new RuleError('Too many items requested for the BatchWriteItem call');
  return prepared;
}

function batchWriteOf({ PutRequest: put, DeleteRequest: remove }: WriteRequestInput): BatchWrite {
  if (put !== undefined && remove !== undefined) {
    throw new RuleError(
      'Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes',
    );
  }
  if (put !== undefined) {
    const item = validateAttributes(readAttributes(put.Item as Readonly<Record<string, unknown>>));
    checkItemSize(item);
    return { put: item };
  }
  if (remove !== undefined) {
    return { remove: validateAttributes(readAttributes(remove.Key as Readonly<Record<string, unknown>>)) };
  }
  throw new RuleError('Supplied AttributeValue is empty, must contain exactly one of the supported datatypes');
}

/** Refuses a key named twice in a batch. */
export function checkNoDuplicates(keys: readonly string[]): void {
  if (new Set(keys).size !== keys.length) throw new RuleError('Provided list of item keys contains duplicates');
}

/** Refuses a transaction with two actions on one item. */
export function checkDistinctItems(keys: readonly string[]): void {
  if (new Set(keys).size !== keys.length) {
    throw new RuleError('Transaction request cannot include multiple operations on one item');
  }
}

/** Exactly one action in each entry of a transaction. */
export function onlyAction<A extends object>(entry: A): keyof A {
  const actions = (Object.keys(entry) as (keyof A)[]).filter((name) => entry[name] !== undefined);
  if (actions.length !== 1) {
    throw new RuleError('TransactItems can only contain one of Check, Put, Update or Delete');
  }
  return actions[0]!;
}

export interface CancellationReason {
  readonly Code: string;
  readonly Message?: string;
  readonly Item?: Item;
}

/** Why one action of a transaction cannot be done, of what its checks threw; other errors are thrown on. */
export function reasonOf(error: unknown): CancellationReason {
  if (!(error instanceof RuleError)) throw error;
  if (error.code === 'ConditionalCheckFailedException') {
    const item = error.fields?.['Item'] as Item | undefined;
    return { Code: 'ConditionalCheckFailed', Message: error.message, ...(item === undefined ? {} : { Item: item }) };
  }
  const Code = REASONS[error.code];
  if (Code === undefined) throw error;
  return { Code, Message: error.message };
}

/** Errors of single requests, as a transaction's cancellation reasons name them. */
const REASONS: Readonly<Record<string, string>> = {
  ValidationException: 'ValidationError',
  TransactionConflictException: 'TransactionConflict',
  DuplicateItemException: 'DuplicateItem',
  ItemCollectionSizeLimitExceededException: 'ItemCollectionSizeLimitExceeded',
  ProvisionedThroughputExceededException: 'ProvisionedThroughputExceeded',
  ThrottlingException: 'ThrottlingError',
};

/** The text of a cancelled transaction. */
export function cancellationMessage(reasons: readonly CancellationReason[]): string {
  const codes = reasons.map(({ Code }) => Code).join(', ');
  return `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes}]`;
}
