/**
 * Keys against the schemas of a table and its indexes: what AWS refuses, in its words and order.
 * Sources: dynalite's db/index.js and tests (run against AWS); paritysuite/dynamodb-conformance's cross-region
 * capture of 2026-09 for empty key values; developer guide "Quotas" for sizes.
 */
import type { Action, Path } from './ast.ts';
import { invalidParameter, RuleError } from './errors.ts';
import { type AttributeMap, type AttributeValue, attributeOf, type Item, typeOf } from './values.ts';

export type KeyType = 'S' | 'N' | 'B';

export interface KeySchemaElement {
  readonly AttributeName: string;
  readonly KeyType: string;
}

export interface IndexSchema {
  readonly IndexName: string;
  readonly KeySchema: readonly KeySchemaElement[];
  readonly Projection?: { readonly ProjectionType?: string; readonly NonKeyAttributes?: readonly string[] };
}

/** What the rules need to know of a table; a table's description has it. */
export interface TableSchema {
  readonly KeySchema: readonly KeySchemaElement[];
  readonly AttributeDefinitions: readonly { readonly AttributeName: string; readonly AttributeType: string }[];
  readonly GlobalSecondaryIndexes?: readonly IndexSchema[];
  readonly LocalSecondaryIndexes?: readonly IndexSchema[];
}

export interface KeyAttribute {
  readonly name: string;
  readonly type: KeyType;
  readonly role: 'HASH' | 'RANGE';
}

export const MAX_HASH_KEY_BYTES = 2048;
export const MAX_RANGE_KEY_BYTES = 1024;

const EMPTY_KEY = 'One or more parameter values are not valid';
const SCHEMA_MISMATCH = 'The provided key element does not match the schema';

interface KnownSchema {
  readonly definitions: TableSchema['AttributeDefinitions'];
  readonly attributes: readonly KeyAttribute[];
}

/** Schemas are immutable data: what one means, together with its definitions, is worked out once. */
const known = new WeakMap<readonly KeySchemaElement[], KnownSchema>();

/** The attributes of a key schema with their types, hash key first. */
export function keyAttributes(table: TableSchema, keySchema = table.KeySchema): readonly KeyAttribute[] {
  const definitions = table.AttributeDefinitions;
  const found = known.get(keySchema);
  if (found?.definitions === definitions) return found.attributes;
  const attributes = keySchema.map((element) => keyAttribute(table, element));
  known.set(keySchema, { definitions, attributes });
  return attributes;
}

function keyAttribute(table: TableSchema, element: KeySchemaElement): KeyAttribute {
  const definition = table.AttributeDefinitions.find(({ AttributeName }) => AttributeName === element.AttributeName);
  if (definition === undefined) throw new Error(`no definition of key attribute ${element.AttributeName}`);
  return {
    name: element.AttributeName,
    type: definition.AttributeType as KeyType,
    role: element.KeyType === 'HASH' ? 'HASH' : 'RANGE',
  };
}

/** The index of that name, and whether it is a global one. */
export function findIndex(
  table: TableSchema,
  name: string,
): { readonly index: IndexSchema; readonly isGlobal: boolean } | undefined {
  const global = table.GlobalSecondaryIndexes?.find(({ IndexName }) => IndexName === name);
  if (global !== undefined) return { index: global, isGlobal: true };
  const local = table.LocalSecondaryIndexes?.find(({ IndexName }) => IndexName === name);
  return local && { index: local, isGlobal: false };
}

/** The key part of an item. */
export function keyOf(item: Item, attributes: readonly KeyAttribute[]): Item {
  return Object.fromEntries(attributes.map(({ name }) => [name, attributeOf(item, name)!]));
}

/** PutItem: the item has the table's key, and where it has attributes of index keys, of the right type. */
export function checkItemKeys(item: Item, table: TableSchema): void {
  for (const attribute of keyAttributes(table)) {
    const value = attributeOf(item, attribute.name);
    if (value === undefined) throw invalidParameter(`Missing the key ${attribute.name} in the item`);
    if (value[attribute.type] === undefined) {
      throw invalidParameter(
        `Type mismatch for key ${attribute.name} expected: ${attribute.type} actual: ${typeOf(value)}`,
      );
    }
    checkKeyValue(value, attribute);
  }
  forEachIndexKey(table, (attribute, indexName) => {
    const value = attributeOf(item, attribute.name);
    if (value === undefined) return;
    checkIndexType(attribute, indexName, typeOf(value));
    if (isEmptyKey(value)) {
      throw new RuleError(
        'One or more parameter values are not valid. A value specified for a secondary index key is not supported. ' +
          `${emptyKeyText(value)} IndexName: ${indexName}, IndexKey: ${attribute.name}`,
      );
    }
    checkKeySize(value, attribute);
  });
}

/**
 * BatchWriteItem: a put's item has the table's key. AWS refuses one that lacks it as it refuses a wrong key, and looks at
 * the rest as PutItem does (paritysuite/dynamodb-conformance, error-messages/batchWriteItem.test.ts).
 */
export function checkBatchItemKeys(item: Item, table: TableSchema): void {
  for (const { name, type } of keyAttributes(table)) {
    if (attributeOf(item, name)?.[type] === undefined) throw new RuleError(SCHEMA_MISMATCH);
  }
  checkItemKeys(item, table);
}

/** GetItem, UpdateItem, DeleteItem: exactly the attributes of the table's key. */
export function checkKey(key: AttributeMap, attributes: readonly KeyAttribute[]): void {
  if (Object.keys(key).length !== attributes.length) throw new RuleError(SCHEMA_MISMATCH);
  for (const attribute of attributes) {
    const value = attributeOf(key, attribute.name);
    if (value?.[attribute.type] === undefined) throw new RuleError(SCHEMA_MISMATCH);
    checkKeyValue(value, attribute);
  }
}

/** UpdateItem: no action touches the key, none makes an index key of a wrong type, none reaches into key attributes. */
export function checkUpdateKeys(actions: readonly Action[], table: TableSchema): void {
  for (const { name } of keyAttributes(table)) {
    if (actions.some(({ path }) => path[0] === name)) {
      throw invalidParameter(`Cannot update attribute ${name}. This attribute is part of the key`);
    }
  }
  forEachIndexKey(table, (attribute, indexName) => {
    const action = actions.find(({ path }) => path.length === 1 && path[0] === attribute.name);
    const type = action && staticType(action);
    if (type !== undefined) checkIndexType(attribute, indexName, type);
  });
  checkScalarPaths(pathsOfActions(actions), table);
}

/** UpdateItem, when the new item is known: what the update made of index keys. */
export function checkUpdatedIndexKeys(item: Item, table: TableSchema): void {
  forEachIndexKey(table, (attribute) => {
    const value = attributeOf(item, attribute.name);
    if (value === undefined) return;
    if (value[attribute.type] === undefined) {
      throw invalidParameter('The update expression attempted to update the secondary index key to unsupported type');
    }
    if (isEmptyKey(value)) {
      throw new RuleError(
        'One or more parameter values are not valid. The update expression attempted to update a secondary index key ' +
          `to a value that is not supported. ${emptyKeyText(value)}`,
      );
    }
    checkKeySize(value, attribute);
  });
}

/** Whether an item appears in an index: it has all the index's key attributes. */
export function isIndexed(item: Item, attributes: readonly KeyAttribute[]): boolean {
  return attributes.every(({ name }) => attributeOf(item, name) !== undefined);
}

/** The names of the attributes an index holds beside all; undefined if it holds all. */
export function projectedNames(table: TableSchema, index: IndexSchema): ReadonlySet<string> | undefined {
  const type = index.Projection?.ProjectionType;
  if (type === 'ALL') return undefined;
  const keys = [...table.KeySchema, ...index.KeySchema].map(({ AttributeName }) => AttributeName);
  return new Set([...keys, ...(type === 'INCLUDE' ? (index.Projection?.NonKeyAttributes ?? []) : [])]);
}

/** Refuses paths into attributes that are keys of the table or of an index. */
export function checkScalarPaths(paths: readonly Path[], table: TableSchema): void {
  const nested = new Set(paths.filter((path) => path.length > 1).map(([name]) => name));
  if (nested.size === 0) return;
  const refusal = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: ";
  for (const { name } of keyAttributes(table)) {
    if (nested.has(name)) throw new RuleError(`${refusal}Key: ${name}`);
  }
  forEachIndexKey(table, ({ name }) => {
    if (nested.has(name)) throw new RuleError(`${refusal}IndexKey: ${name}`);
  });
}

/** Whether a key was refused because it is empty: transactions are not cancelled for that but refused as a whole. */
export function isEmptyKeyRefusal(error: unknown): boolean {
  return error instanceof RuleError && error.message.startsWith(`${EMPTY_KEY}. The AttributeValue for a key`);
}

/** A value that stands for a key: not empty, not too long. */
export function checkKeyValue(value: AttributeValue, attribute: KeyAttribute): void {
  if (isEmptyKey(value)) {
    throw new RuleError(`${EMPTY_KEY}. ${emptyKeyText(value)} Key: ${attribute.name}`);
  }
  checkKeySize(value, attribute);
}

function checkKeySize(value: AttributeValue, attribute: KeyAttribute): void {
  const size = value.S === undefined ? (value.B?.length ?? 0) : Buffer.byteLength(value.S);
  if (attribute.role === 'HASH' && size > MAX_HASH_KEY_BYTES) {
    // The missing space is AWS's.
    throw invalidParameter(`Size of hashkey has exceeded the maximum size limit of${MAX_HASH_KEY_BYTES} bytes`);
  }
  if (attribute.role === 'RANGE' && size > MAX_RANGE_KEY_BYTES) {
    throw invalidParameter(
      `Aggregated size of all range keys has exceeded the size limit of ${MAX_RANGE_KEY_BYTES} bytes`,
    );
  }
}

function checkIndexType(attribute: KeyAttribute, indexName: string, actual: string): void {
  if (actual === attribute.type) return;
  throw invalidParameter(
    `Type mismatch for Index Key ${attribute.name} Expected: ${attribute.type} Actual: ${actual} IndexName: ${indexName}`,
  );
}

function forEachIndexKey(table: TableSchema, visit: (attribute: KeyAttribute, indexName: string) => void): void {
  for (const index of table.GlobalSecondaryIndexes ?? []) {
    for (const attribute of keyAttributes(table, index.KeySchema)) visit(attribute, index.IndexName);
  }
  for (const index of table.LocalSecondaryIndexes ?? []) {
    for (const attribute of keyAttributes(table, index.KeySchema)) {
      if (attribute.role === 'RANGE') visit(attribute, index.IndexName);
    }
  }
}

/**
 * The type an action gives an attribute whatever the item holds; undefined if it depends or takes the attribute away.
 */
function staticType(action: Action): string | undefined {
  if (action.kind === 'remove') return undefined;
  if (action.kind !== 'set') return action.kind === 'add' ? typeOf(action.value) : undefined;
  switch (action.value.kind) {
    case 'value':
      return typeOf(action.value.value);
    case '+':
    case '-':
      return 'N';
    case 'list_append':
      return 'L';
    default:
      return undefined;
  }
}

function pathsOfActions(actions: readonly Action[]): readonly Path[] {
  return actions.map(({ path }) => path);
}

function isEmptyKey(value: AttributeValue): boolean {
  return value.S === '' || value.B?.length === 0;
}

function emptyKeyText(value: AttributeValue): string {
  return `The AttributeValue for a key attribute cannot contain an empty ${value.S === '' ? 'string' : 'binary'} value.`;
}
