/**
 * Key conditions: which part of a table or index a Query reads.
 * Order and texts: dynalite's test/query.js and validations/index.js, run against AWS;
 * paritysuite/dynamodb-conformance, queryKeyConditionOperands.test.ts, for the number of conditions.
 */
import type { Comparator, Condition, Operand } from './ast.ts';
import { invalidParameter, RuleError } from './errors.ts';
import { beginsWith } from './evaluate.ts';
import { checkKeyValue, type KeyAttribute } from './keys.ts';
import { invalidExpression } from './lexer.ts';
import { type AttributeValue, compareValues, valuesEqual } from './values.ts';

export type KeyOperator = 'EQ' | 'LT' | 'LE' | 'GT' | 'GE' | 'BETWEEN' | 'BEGINS_WITH';

/** The condition on one key attribute; `values` has two elements for BETWEEN, one otherwise. */
export interface KeyCondition {
  /** A legacy operator that no index can answer is carried along, to be refused where AWS refuses it. */
  readonly operator: KeyOperator | 'NOT_INDEXABLE';
  readonly values: readonly AttributeValue[];
}

/** What a Query reads: one hash key value, and of it the range that a condition leaves. */
export interface KeyRange {
  readonly hash: AttributeValue;
  readonly range: { readonly operator: KeyOperator; readonly values: readonly AttributeValue[] } | undefined;
}

const FLIPPED: Readonly<Record<Comparator, Comparator>> = {
  '=': '=',
  '<>': '<>',
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
};
const OPERATORS: Readonly<Partial<Record<Comparator, KeyOperator>>> = {
  '=': 'EQ',
  '<': 'LT',
  '<=': 'LE',
  '>': 'GT',
  '>=': 'GE',
};

/**
 * Reads a bound KeyConditionExpression as conditions by attribute name; throws RuleError for forms no key can answer.
 */
export function keyConditionsOf(condition: Condition): ReadonlyMap<string, KeyCondition> {
  const conditions = new Map<string, KeyCondition>();
  collect(condition, conditions);
  return conditions;
}

/** Fits key conditions to a key schema; throws RuleError with AWS's text where they do not. `before`: looks at each attribute first. */
export function resolveKeyRange(
  conditions: ReadonlyMap<string, KeyCondition>,
  attributes: readonly KeyAttribute[],
  before?: (attribute: KeyAttribute) => void,
): KeyRange {
  if (conditions.size > attributes.length) {
    throw new RuleError(
      `The number of query conditions (${conditions.size}) exceeds the number of key attributes ` +
        `defined in the schema (${attributes.length})`,
    );
  }
  for (const attribute of attributes) {
    before?.(attribute);
    checkCondition(conditions, attribute);
  }
  const [hash, range] = attributes;
  const onRange = range && conditions.get(range.name);
  return {
    hash: conditions.get(hash!.name)!.values[0]!,
    range: onRange && { operator: onRange.operator as KeyOperator, values: onRange.values },
  };
}

/** Whether a sort key value lies in the range. */
export function matchesRange(range: KeyRange['range'], value: AttributeValue): boolean {
  if (range === undefined) return true;
  const [first, second] = range.values;
  const order = compareValues(value, first!);
  switch (range.operator) {
    case 'EQ':
      return valuesEqual(value, first!);
    case 'LT':
      return order !== undefined && order < 0;
    case 'LE':
      return order !== undefined && order <= 0;
    case 'GT':
      return order !== undefined && order > 0;
    case 'GE':
      return order !== undefined && order >= 0;
    case 'BETWEEN': {
      const upper = compareValues(value, second!);
      return order !== undefined && order >= 0 && upper !== undefined && upper <= 0;
    }
    case 'BEGINS_WITH':
      return beginsWith(value, first!);
  }
}

function checkCondition(conditions: ReadonlyMap<string, KeyCondition>, attribute: KeyAttribute): void {
  const condition = conditions.get(attribute.name);
  if (condition === undefined) {
    if (attribute.role === 'RANGE' && conditions.size < 2) return;
    throw new RuleError(`Query condition missed key schema element: ${attribute.name}`);
  }
  if (condition.operator === 'NOT_INDEXABLE') {
    throw new RuleError('Attempted conditional constraint is not an indexable operation');
  }
  if (condition.values.some((value) => value[attribute.type] === undefined)) {
    throw invalidParameter('Condition parameter type does not match schema type');
  }
  if (attribute.role === 'HASH' && condition.operator !== 'EQ')
    throw new RuleError('Query key condition not supported');
  for (const value of condition.values) checkKeyValue(value, attribute);
}

function collect(condition: Condition, into: Map<string, KeyCondition>): void {
  switch (condition.kind) {
    case 'and':
      for (const term of condition.terms) collect(term, into);
      return;
    case 'or':
    case 'not':
    case 'in':
      throw wrongOperator(condition.kind.toUpperCase());
    case 'attribute_exists':
    case 'attribute_not_exists':
    case 'attribute_type':
    case 'contains':
      throw wrongOperator(condition.kind);
    case 'compare': {
      if (condition.operator === '<>') throw wrongOperator('<>');
      const { name, position, values } = keyAndValues([condition.left, condition.right]);
      const operator = position === 0 ? condition.operator : FLIPPED[condition.operator];
      add(into, name, { operator: OPERATORS[operator]!, values });
      return;
    }
    case 'between': {
      if (condition.operand.kind !== 'path') throw keyNotFirst('BETWEEN');
      const { name, values } = keyAndValues([condition.operand, condition.low, condition.high]);
      add(into, name, { operator: 'BETWEEN', values });
      return;
    }
    case 'begins_with': {
      if (condition.operand.kind !== 'path') throw keyNotFirst('begins_with');
      const { name, values } = keyAndValues([condition.operand, condition.argument]);
      add(into, name, { operator: 'BEGINS_WITH', values });
      return;
    }
  }
}

function add(into: Map<string, KeyCondition>, name: string, condition: KeyCondition): void {
  if (into.has(name)) throw invalid('KeyConditionExpressions must only contain one condition per key');
  into.set(name, condition);
}

/** The one attribute among the operands, where it stands, and the values that are the rest. */
function keyAndValues(operands: readonly Operand[]): { name: string; position: number; values: AttributeValue[] } {
  let name: string | undefined;
  let position = 0;
  const values: AttributeValue[] = [];
  for (const [index, operand] of operands.entries()) {
    if (operand.kind === 'size' || operand.kind === 'condition')
      throw invalid('KeyConditionExpressions cannot contain nested operations');
    if (operand.kind === 'value') {
      values.push(operand.value);
      continue;
    }
    if (name !== undefined) {
      throw invalid('Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition');
    }
    if (operand.path.length > 1) throw invalid('KeyConditionExpressions cannot have conditions on nested attributes');
    name = operand.path[0] as string;
    position = index;
  }
  if (name === undefined) throw invalid('Invalid condition in KeyConditionExpression: No key attribute specified');
  return { name, position, values };
}

function wrongOperator(operator: string): RuleError {
  return invalid(`Invalid operator used in KeyConditionExpression: ${operator}`);
}

function keyNotFirst(operator: string): RuleError {
  return invalid(
    `Invalid condition in KeyConditionExpression: ${operator} operator must have the key attribute as its first operand`,
  );
}

function invalid(detail: string): RuleError {
  return invalidExpression('KeyConditionExpression', detail);
}
