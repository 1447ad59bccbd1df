/**
 * The parameters from before expressions (Expected, AttributeUpdates, KeyConditions, QueryFilter, ScanFilter,
 * ConditionalOperator), brought to the same trees. Developer guide "Legacy conditional parameters"; texts and order:
 * dynalite's validations/index.js, test/putItem.js and test/updateItem.js, run against AWS.
 */
import type { Action, Condition, Operand } from './ast.ts';
import { invalidParameter, RuleError } from './errors.ts';
import type { KeyCondition, KeyOperator } from './key-condition.ts';
import { type AttributeType, type AttributeValue, compareValues, typeOf, validateValue } from './values.ts';

export type ConditionalOperator = 'AND' | 'OR';

export interface LegacyCondition {
  readonly ComparisonOperator?: string;
  readonly AttributeValueList?: readonly AttributeValue[];
}

export interface ExpectedAttributeValue extends LegacyCondition {
  readonly Value?: AttributeValue;
  readonly Exists?: boolean;
}

export interface AttributeValueUpdate {
  readonly Value?: AttributeValue;
  readonly Action?: string;
}

/** The text AWS gives instead of the update expression's where an AttributeUpdates operand has the wrong type. */
export const LEGACY_WRONG_OPERAND = 'Type mismatch for attribute to update';

const SCALARS: readonly AttributeType[] = ['S', 'N', 'B'];
const COMPARABLE: readonly AttributeType[] = ['S', 'N', 'B', 'SS', 'NS', 'BS', 'L', 'M', 'BOOL', 'NULL'];
const CONTAINABLE: readonly AttributeType[] = ['S', 'N', 'B', 'BOOL', 'NULL'];

/** Number of values each operator takes (least, most) and their types. */
const OPERATORS: Readonly<Record<string, readonly [number, number, readonly AttributeType[]]>> = {
  NULL: [0, 0, []],
  NOT_NULL: [0, 0, []],
  EQ: [1, 1, COMPARABLE],
  NE: [1, 1, COMPARABLE],
  LE: [1, 1, SCALARS],
  LT: [1, 1, SCALARS],
  GE: [1, 1, SCALARS],
  GT: [1, 1, SCALARS],
  CONTAINS: [1, 1, CONTAINABLE],
  NOT_CONTAINS: [1, 1, CONTAINABLE],
  BEGINS_WITH: [1, 1, ['S', 'B']],
  IN: [1, Number.POSITIVE_INFINITY, SCALARS],
  BETWEEN: [2, 2, SCALARS],
};

/** Expected as a condition; undefined if it asks for nothing. */
export function conditionOfExpected(
  expected: Readonly<Record<string, ExpectedAttributeValue>> | undefined,
  operator: ConditionalOperator | undefined,
): Condition | undefined {
  const entries = Object.entries(expected ?? {});
  for (const [name, entry] of entries) checkExpected(name, entry);
  checkOperatorUse(operator, expected === undefined ? undefined : entries.length);
  const terms = entries.map(([name, entry]) => {
    if (entry.ComparisonOperator !== undefined) {
      const values = entry.AttributeValueList ?? (entry.Value === undefined ? [] : [entry.Value]);
      return conditionOn(name, entry.ComparisonOperator, checkedValues(entry.ComparisonOperator, values));
    }
    return entry.Exists === false
      ? conditionOn(name, 'NULL', [])
      : conditionOn(name, 'EQ', [validateValue(entry.Value!)]);
  });
  return joined(terms, operator);
}

/** QueryFilter or ScanFilter as a condition; undefined if it asks for nothing. */
export function conditionOfFilter(
  filter: Readonly<Record<string, LegacyCondition>> | undefined,
  operator: ConditionalOperator | undefined,
): Condition | undefined {
  const entries = Object.entries(filter ?? {});
  const terms = entries.map(([name, entry]) =>
    conditionOn(
      name,
      entry.ComparisonOperator!,
      checkedValues(entry.ComparisonOperator!, entry.AttributeValueList ?? []),
    ),
  );
  checkOperatorUse(operator, filter === undefined ? undefined : entries.length);
  return joined(terms, operator);
}

/** KeyConditions as key conditions by attribute name. */
export function keyConditionsOfLegacy(
  conditions: Readonly<Record<string, LegacyCondition>>,
): ReadonlyMap<string, KeyCondition> {
  const entries = Object.entries(conditions).map(([name, entry]): [string, KeyCondition] => {
    const operator = entry.ComparisonOperator!;
    const values = checkedValues(operator, entry.AttributeValueList ?? []);
    return [name, { operator: isKeyOperator(operator) ? operator : 'NOT_INDEXABLE', values }];
  });
  if (entries.length !== 1 && entries.length !== 2) throw new RuleError('Conditions can be of length 1 or 2 only');
  return new Map(entries);
}

/** AttributeUpdates as actions; to be applied with LEGACY_WRONG_OPERAND. */
export function actionsOfAttributeUpdates(updates: Readonly<Record<string, AttributeValueUpdate>>): readonly Action[] {
  return Object.entries(updates).map(([name, update]) => actionOf(name, update));
}

/** AttributesToGet: no name twice. */
export function checkAttributesToGet(names: readonly string[] | undefined): void {
  const seen = new Set<string>();
  for (const name of names ?? []) {
    if (seen.has(name)) throw invalidParameter(`Duplicate value in attribute name: ${name}`);
    seen.add(name);
  }
}

function actionOf(name: string, update: AttributeValueUpdate): Action {
  const path = [name];
  const value = update.Value === undefined ? undefined : validateValue(update.Value);
  if (value === undefined) {
    if (update.Action !== 'DELETE') {
      throw invalidParameter('Only DELETE action is allowed when no attribute value is specified');
    }
    return { kind: 'remove', path };
  }
  const type = typeOf(value);
  const isSet = type === 'SS' || type === 'NS' || type === 'BS';
  switch (update.Action ?? 'PUT') {
    case 'PUT':
      return { kind: 'set', path, value: { kind: 'value', value } };
    case 'DELETE':
      if (!isSet) throw invalidParameter(`DELETE action with value is not supported for the type ${type}`);
      return { kind: 'delete', path, value };
    case 'ADD':
      if (isSet || type === 'N') return { kind: 'add', path, value };
      if (type !== 'L') throw invalidParameter(`ADD action is not supported for the type ${type}`);
      return { kind: 'set', path, value: appended(path, value) };
    default:
      throw new RuleError(
        `1 validation error detected: Value '${update.Action}' at 'attributeUpdates.${name}.member.action' failed to ` +
          'satisfy constraint: Member must satisfy enum value set: [DELETE, ADD, PUT]',
      );
  }
}

/** ADD of a list, which only the legacy parameter knows: appended to the list there is. */
function appended(path: readonly string[], value: AttributeValue): Extract<Action, { kind: 'set' }>['value'] {
  const left = { kind: 'if_not_exists', path, otherwise: { kind: 'value', value: { L: [] } } } as const;
  return { kind: 'list_append', left, right: { kind: 'value', value } };
}

function checkExpected(name: string, entry: ExpectedAttributeValue): void {
  const { ComparisonOperator: operator, AttributeValueList: list, Value: value, Exists: exists } = entry;
  if (list !== undefined && value !== undefined) {
    throw invalidParameter(`Value and AttributeValueList cannot be used together for Attribute: ${name}`);
  }
  if (operator !== undefined) {
    if (exists !== undefined) {
      throw invalidParameter(`Exists and ComparisonOperator cannot be used together for Attribute: ${name}`);
    }
    if (operator !== 'NULL' && operator !== 'NOT_NULL' && list === undefined && value === undefined) {
      throw invalidParameter(
        `Value or AttributeValueList must be used with ComparisonOperator: ${operator} for Attribute: ${name}`,
      );
    }
    return;
  }
  if (list !== undefined) {
    throw invalidParameter(`AttributeValueList can only be used with a ComparisonOperator for Attribute: ${name}`);
  }
  if (exists !== false && value === undefined) {
    throw invalidParameter(`Value must be provided when Exists is ${exists ?? 'null'} for Attribute: ${name}`);
  }
  if (exists === false && value !== undefined) {
    throw invalidParameter(`Value cannot be used when Exists is false for Attribute: ${name}`);
  }
}

function checkedValues(operator: string, list: readonly AttributeValue[]): readonly AttributeValue[] {
  const values = list.map((value) => validateValue(value));
  const [least, most, types] = OPERATORS[operator] ?? [0, 0, []];
  if (values.length < least || values.length > most) {
    throw invalidParameter(`Invalid number of argument(s) for the ${operator} ComparisonOperator`);
  }
  const kinds = values.map(typeOf);
  if (kinds.some((kind) => kind !== kinds[0])) {
    throw invalidParameter('AttributeValues inside AttributeValueList must be of same type');
  }
  const wrong = kinds.find((kind) => !types.includes(kind));
  if (wrong !== undefined) {
    throw invalidParameter(`ComparisonOperator ${operator} is not valid for ${wrong} AttributeValue type`);
  }
  if (operator === 'BETWEEN' && compareValues(values[0]!, values[1]!)! > 0) {
    throw new RuleError(
      'The BETWEEN condition was provided a range where the lower bound is greater than the upper bound',
    );
  }
  return values;
}

function conditionOn(name: string, operator: string, values: readonly AttributeValue[]): Condition {
  const path = [name];
  const attribute: Operand = { kind: 'path', path };
  const [first, second] = values.map((value): Operand => ({ kind: 'value', value }));
  switch (operator) {
    case 'NULL':
      return { kind: 'attribute_not_exists', path };
    case 'NOT_NULL':
      return { kind: 'attribute_exists', path };
    case 'IN':
      return { kind: 'in', operand: attribute, list: values.map((value) => ({ kind: 'value', value })) };
    case 'BETWEEN':
      return { kind: 'between', operand: attribute, low: first!, high: second! };
    case 'BEGINS_WITH':
      return { kind: 'begins_with', operand: attribute, argument: first! };
    case 'CONTAINS':
      return { kind: 'contains', operand: attribute, argument: first! };
    case 'NOT_CONTAINS':
      return { kind: 'not', term: { kind: 'contains', operand: attribute, argument: first! } };
    default: {
      const comparators = { EQ: '=', NE: '<>', LE: '<=', LT: '<', GE: '>=', GT: '>' } as const;
      const comparator = comparators[operator as keyof typeof comparators];
      if (comparator === undefined) throw new Error(`unknown comparison operator ${operator}`);
      return { kind: 'compare', operator: comparator, left: attribute, right: first! };
    }
  }
}

function joined(terms: readonly Condition[], operator: ConditionalOperator | undefined): Condition | undefined {
  if (terms.length < 2) return terms[0];
  return { kind: operator === 'OR' ? 'or' : 'and', terms };
}

function checkOperatorUse(operator: ConditionalOperator | undefined, conditions: number | undefined): void {
  if (operator === undefined) return;
  if (conditions === undefined) {
    throw invalidParameter('ConditionalOperator cannot be used without Filter or Expected');
  }
  if (conditions < 2) {
    throw invalidParameter('ConditionalOperator can only be used when Filter or Expected has two or more elements');
  }
}

function isKeyOperator(operator: string): operator is KeyOperator {
  return ['EQ', 'LT', 'LE', 'GT', 'GE', 'BETWEEN', 'BEGINS_WITH'].includes(operator);
}
