/**
 * INSERT, UPDATE, DELETE and EXISTS fitted to their table: the item's key, and what becomes of the item. What does not name
 * one item is refused by `checkKey`, because a transaction is cancelled for it and a single statement refused, in
 * other words. Texts: see tokens.ts and parse-statement.ts.
 */
import type { Action, Condition } from '../ast.ts';
import { conditionalCheckFailed, RuleError } from '../errors.ts';
import { compileCondition, type Predicate } from '../evaluate.ts';
import {
  checkItemKeys,
  checkKeyValue,
  checkUpdatedIndexKeys,
  checkUpdateKeys,
  keyAttributes,
  type TableSchema,
} from '../keys.ts';
import { applyUpdate, type UpdateResult } from '../update.ts';
import {
  type AttributeMap,
  type AttributeValue,
  checkItemSize,
  type Item,
  setAttribute,
  validateAttributes,
  valuesEqual,
} from '../values.ts';
import type { DeleteStatement, Expression, InsertStatement, Statement, UpdateStatement } from './ast.ts';
import { conditionOf } from './conditions.ts';
import { conjuncts, equalityOn } from './key-plan.ts';
import { actionsOf } from './updates.ts';
import { itemOf } from './values.ts';

export type WriteStatement = Exclude<Statement, { kind: 'select' }>;

/** What a write makes of an item. */
export interface Outcome {
  /** Undefined: none; 'same': it is only looked at. */
  readonly item: Item | undefined | 'same';
  readonly update?: UpdateResult;
}

export interface PreparedWrite {
  /** The item, or its key. Throws RuleError where the statement names none, or not one only. */
  readonly checkKey: () => AttributeMap;
  /** Throws RuleError: the condition, the update. */
  readonly decide: (old: Item | undefined, returnValues: string | undefined) => Outcome;
}

/** Fits a write to its table; throws RuleError for what is wrong whatever the item holds. */
export function prepareWrite(
  statement: WriteStatement,
  parameters: readonly AttributeValue[],
  table: TableSchema,
  isTransaction: boolean,
): PreparedWrite {
  const { from } = statement.kind === 'exists' ? statement.select : statement;
  if (from.index !== undefined) throw new RuleError('This operation is not supported on an index');
  switch (statement.kind) {
    case 'insert':
      return prepareInsert(statement, parameters, table);
    case 'update':
      return prepareUpdate(statement, parameters, table, isTransaction);
    case 'delete':
      return prepareDelete(statement, parameters, table, isTransaction);
    case 'exists':
      return prepareExists(statement.select.where, parameters, table);
  }
}

function prepareInsert(
  { value }: InsertStatement,
  parameters: readonly AttributeValue[],
  table: TableSchema,
): PreparedWrite {
  const item = validateAttributes(itemOf(value, parameters));
  return {
    checkKey: () => {
      checkItemKeys(item, table);
      checkItemSize(item);
      return item;
    },
    decide: (old) => {
      if (old !== undefined) throw new RuleError('Duplicate primary key exists in table', 'DuplicateItemException');
      return { item };
    },
  };
}

function prepareUpdate(
  { clauses, where }: UpdateStatement,
  parameters: readonly AttributeValue[],
  table: TableSchema,
  isTransaction: boolean,
): PreparedWrite {
  const actions: readonly Action[] = actionsOf(clauses, parameters);
  const { checkKey, condition } = addressed(where, parameters, table, isTransaction);
  let key: Item | undefined;
  return {
    checkKey: () => {
      key = checkKey();
      checkUpdateKeys(actions, table);
      return key;
    },
    decide: (old, returnValues) => {
      // An UPDATE is no upsert: what is not there fails its condition.
      if (old === undefined) throw conditionalCheckFailed();
      if (condition !== undefined && !condition(old)) throw failed(old, returnValues);
      const update = applyUpdate(actions, key!, old);
      if (update.item !== undefined) checkUpdatedIndexKeys(update.item, table);
      return { item: update.item, update };
    },
  };
}

function prepareDelete(
  { where }: DeleteStatement,
  parameters: readonly AttributeValue[],
  table: TableSchema,
  isTransaction: boolean,
): PreparedWrite {
  const { checkKey, condition } = addressed(where, parameters, table, isTransaction);
  return {
    checkKey,
    decide: (old, returnValues) => {
      // Of what is not there, no condition is asked.
      if (old !== undefined && condition !== undefined && !condition(old)) throw failed(old, returnValues);
      return { item: undefined };
    },
  };
}

function prepareExists(
  where: Expression | undefined,
  parameters: readonly AttributeValue[],
  table: TableSchema,
): PreparedWrite {
  const found = where && keyIn(where, parameters, table, 'first');
  if (found?.key === undefined || found.rest.length === 0 || found.isByList) {
    throw new RuleError('EXISTS() must contain a single item read with additional condition');
  }
  const { key } = found;
  const condition = compileCondition(allOf(found.rest, parameters)!);
  return {
    checkKey: () => checkedKey(key, table),
    decide: (old, returnValues) => {
      if (old === undefined || !condition(old)) throw failed(old, returnValues);
      return { item: 'same' };
    },
  };
}

function failed(old: Item | undefined, returnValues: string | undefined): RuleError {
  return conditionalCheckFailed(returnValues === 'ALL_OLD' ? old : undefined);
}

/** The one item that a WHERE clause names, and what else it asks of it. */
function addressed(
  where: Expression | undefined,
  parameters: readonly AttributeValue[],
  table: TableSchema,
  isTransaction: boolean,
): { checkKey: () => Item; condition: Predicate | undefined } {
  if (where !== undefined) conditionOf(where, parameters);
  const found = where && keyIn(where, parameters, table, 'only');
  const rest = found && allOf(found.rest, parameters);
  return {
    condition: rest && compileCondition(rest),
    checkKey: () => {
      if (found?.clashing !== undefined && !isTransaction) {
        throw new RuleError(
          `Multiple conditions on same key ${found.clashing}. Only single item Update/Insert/Delete are supported`,
        );
      }
      if (found?.key === undefined || found.clashing !== undefined || found.isByList) {
        throw new RuleError(
          isTransaction
            ? 'The provided key element does not match the schema'
            : 'Where clause does not contain a mandatory equality on all key attributes',
        );
      }
      return checkedKey(found.key, table);
    },
  };
}

interface FoundKey {
  /** Undefined: an attribute is missing. */
  readonly key: Item | undefined;
  /** What is not about the key. */
  readonly rest: readonly Expression[];
  /** The key attribute that is to equal two values. */
  readonly clashing: string | undefined;
  /** An attribute is given by IN. */
  readonly isByList: boolean;
}

function keyIn(
  where: Expression,
  parameters: readonly AttributeValue[],
  table: TableSchema,
  whichOfTwo: 'first' | 'only',
): FoundKey {
  const names = keyAttributes(table).map(({ name }) => name);
  const key: Record<string, AttributeValue> = {};
  const rest: Expression[] = [];
  let clashing: string | undefined;
  let isByList = false;
  for (const leaf of conjuncts(where)) {
    const name = names.find((each) => equalityOn(leaf, each, parameters) !== undefined);
    const value = name === undefined ? undefined : equalityOn(leaf, name, parameters);
    if (name === undefined || value === undefined) {
      rest.push(leaf);
      continue;
    }
    isByList ||= leaf.kind === 'in';
    const known = key[name];
    if (known === undefined) setAttribute(key, name, value);
    else if (!valuesEqual(known, value)) {
      clashing ??= name;
      if (whichOfTwo === 'first') rest.push(leaf);
    }
  }
  const isWhole = names.every((name) => key[name] !== undefined);
  return { key: isWhole ? key : undefined, rest, clashing, isByList };
}

function checkedKey(key: Item, table: TableSchema): Item {
  for (const attribute of keyAttributes(table)) {
    const value = key[attribute.name]!;
    if (value[attribute.type] === undefined) throw new RuleError('The provided key element does not match the schema');
    checkKeyValue(value, attribute);
  }
  return key;
}

function allOf(leaves: readonly Expression[], parameters: readonly AttributeValue[]): Condition | undefined {
  const terms = leaves.map((leaf) => conditionOf(leaf, parameters));
  return terms.length < 2 ? terms[0] : { kind: 'and', terms };
}
