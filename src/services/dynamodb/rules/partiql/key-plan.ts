/**
 * Which reads a SELECT becomes: queries, one for each value of the partition key that its WHERE clause pins (and each
 * separate part of the sort key), or else a scan with a filter. Rules and texts: paritysuite/dynamodb-conformance
 * (whereOverlap.test.ts) and floci's DynamoDbPartiQLEdgeCaseIntegrationTest, recorded on AWS.
 */
import type { Condition } from '../ast.ts';
import { RuleError } from '../errors.ts';
import { pathsOfCondition } from '../evaluate.ts';
import type { KeyCondition, KeyOperator } from '../key-condition.ts';
import { checkKeyValue, type KeyAttribute } from '../keys.ts';
import { type AttributeValue, valuesEqual } from '../values.ts';
import type { Expression } from './ast.ts';
import { conditionOf } from './conditions.ts';
import { isValue, literalValue } from './values.ts';

/** One query of a plan. */
export interface KeyRead {
  readonly hash: AttributeValue;
  /** All of them hold for the sort key. */
  readonly sort: readonly (KeyCondition & { readonly operator: KeyOperator })[];
  /** The rest of the branch; undefined: nothing. */
  readonly filter: Condition | undefined;
  /** The whole branch. */
  readonly whole: Condition;
  /** It excludes sort keys: AWS lets such a branch overlap with others. */
  readonly isNegated: boolean;
  /** Whether the branch asks for equality of each key attribute and for nothing else. */
  readonly isKeyOnly: boolean;
}

/** Developer guide has no figure; 51 are refused on AWS. */
const MAX_READS = 50;

const FLIPPED: Readonly<Record<string, KeyOperator>> = { '=': 'EQ', '<': 'GT', '<=': 'GE', '>': 'LT', '>=': 'LE' };
const STRAIGHT: Readonly<Record<string, KeyOperator>> = { '=': 'EQ', '<': 'LT', '<=': 'LE', '>': 'GT', '>=': 'GE' };

/** The queries of a WHERE clause, or undefined where it must be answered by a scan. Throws RuleError. */
export function keyReadsOf(
  where: Expression,
  key: readonly KeyAttribute[],
  parameters: readonly AttributeValue[],
): readonly KeyRead[] | undefined {
  return new Planner(key, parameters).plan(where);
}

/** The value that a condition has an attribute equal; undefined: it is no such condition. */
export function equalityOn(
  leaf: Expression,
  name: string,
  parameters: readonly AttributeValue[],
): AttributeValue | undefined {
  if (
    leaf.kind === 'in' &&
    isPath(leaf.operand, name) &&
    leaf.list.kind === 'list' &&
    leaf.list.elements.length === 1
  ) {
    const [only] = leaf.list.elements;
    return isValue(only!) ? literalValue(only!, parameters) : undefined;
  }
  if (leaf.kind !== 'infix' || leaf.operator !== '=') return undefined;
  if (isPath(leaf.left, name) && isValue(leaf.right)) return literalValue(leaf.right, parameters);
  if (isPath(leaf.right, name) && isValue(leaf.left)) return literalValue(leaf.left, parameters);
  return undefined;
}

/** What stands between the ANDs of a condition, groups opened. */
export function conjuncts(expression: Expression): readonly Expression[] {
  return expression.kind === 'and' ? expression.terms.flatMap(conjuncts) : [expression];
}

class Planner {
  readonly #hash: KeyAttribute;
  readonly #sort: KeyAttribute | undefined;
  readonly #parameters: readonly AttributeValue[];

  constructor([hash, sort]: readonly KeyAttribute[], parameters: readonly AttributeValue[]) {
    this.#hash = hash!;
    this.#sort = sort;
    this.#parameters = parameters;
  }

  plan(where: Expression): readonly KeyRead[] | undefined {
    if (!this.#pinsHash(where)) return undefined;
    if (this.#count(where) > MAX_READS) {
      throw new RuleError('Too many decomposed read operations for a given query.');
    }
    const reads: KeyRead[] = [];
    for (const branch of this.#branches(where)) {
      const read = this.#read(branch);
      if (read === undefined) return undefined;
      reads.push(read);
    }
    return reads;
  }

  /** Whether every way to satisfy the expression fixes the partition key. */
  #pinsHash(expression: Expression): boolean {
    if (expression.kind === 'and') return expression.terms.some((term) => this.#pinsHash(term));
    if (expression.kind === 'or') return expression.terms.every((term) => this.#pinsHash(term));
    if (expression.kind === 'in') return isPath(expression.operand, this.#hash.name) && isListOfValues(expression.list);
    return equalityOn(expression, this.#hash.name, this.#parameters) !== undefined;
  }

  /** Into how many branches the expression falls. */
  #count(expression: Expression): number {
    if (expression.kind === 'and') return expression.terms.reduce((product, term) => product * this.#count(term), 1);
    if (expression.kind === 'or' && this.#mentionsKey(expression)) {
      return expression.terms.reduce((sum, term) => sum + this.#count(term), 0);
    }
    return this.#isKeyList(expression) ? expression.list.elements.length : 1;
  }

  #branches(expression: Expression): readonly (readonly Expression[])[] {
    if (expression.kind === 'and') {
      let branches: readonly (readonly Expression[])[] = [[]];
      for (const term of expression.terms) {
        const more = this.#branches(term);
        branches = branches.flatMap((branch) => more.map((leaves) => [...branch, ...leaves]));
      }
      return branches;
    }
    if (expression.kind === 'or' && this.#mentionsKey(expression)) {
      return expression.terms.flatMap((term) => this.#branches(term));
    }
    if (this.#isKeyList(expression)) {
      const { operand: left, at } = expression;
      return expression.list.elements.map((right) => [{ kind: 'infix', operator: '=', left, right, at }]);
    }
    return [[expression]];
  }

  /** Undefined where the branch names two partition keys at once, which no query can. */
  #read(branch: readonly Expression[]): KeyRead | undefined {
    let hash: AttributeValue | undefined;
    let isNegated = false;
    let isExact = this.#sort === undefined;
    const sort: (KeyCondition & { operator: KeyOperator })[] = [];
    const filter: Expression[] = [];
    for (const leaf of branch) {
      const value = equalityOn(leaf, this.#hash.name, this.#parameters);
      if (value !== undefined) {
        checkType(value, this.#hash);
        if (hash !== undefined && !valuesEqual(hash, value)) return undefined;
        hash = value;
        continue;
      }
      const onSort = this.#sort && this.#sortCondition(leaf, this.#sort);
      if (onSort === undefined) {
        filter.push(leaf);
        if (this.#negatesSort(leaf)) isNegated = true;
        continue;
      }
      if (onSort.operator === 'EQ') isExact = true;
      const known = sort.some(
        ({ operator, values: [first] }) => operator === 'EQ' && valuesEqual(first!, onSort.values[0]!),
      );
      if (onSort.operator !== 'EQ' || !known) sort.push(onSort);
    }
    return {
      hash: hash!,
      sort,
      filter: this.#conditionOf(filter),
      whole: this.#conditionOf(branch)!,
      isNegated,
      isKeyOnly: filter.length === 0 && sort.length === (this.#sort === undefined ? 0 : 1) && isExact,
    };
  }

  #sortCondition(leaf: Expression, attribute: KeyAttribute): (KeyCondition & { operator: KeyOperator }) | undefined {
    const found = this.#comparisonOn(leaf, attribute.name);
    if (found === undefined) return undefined;
    for (const value of found.values) checkType(value, attribute);
    return found;
  }

  #comparisonOn(leaf: Expression, name: string): (KeyCondition & { operator: KeyOperator }) | undefined {
    const valuesOf = (...expressions: Expression[]) => expressions.map((each) => literalValue(each, this.#parameters));
    if (leaf.kind === 'infix') {
      const { left, right } = leaf;
      const straight = isPath(left, name) && isValue(right) ? STRAIGHT[leaf.operator] : undefined;
      if (straight !== undefined) return { operator: straight, values: valuesOf(right) };
      const flipped = isPath(right, name) && isValue(left) ? FLIPPED[leaf.operator] : undefined;
      return flipped && { operator: flipped, values: valuesOf(left) };
    }
    if (leaf.kind === 'between' && isPath(leaf.operand, name) && isValue(leaf.low) && isValue(leaf.high)) {
      return { operator: 'BETWEEN', values: valuesOf(leaf.low, leaf.high) };
    }
    if (leaf.kind === 'call' && leaf.name === 'begins_with') {
      const [path, prefix] = leaf.args;
      if (path !== undefined && prefix !== undefined && isPath(path, name) && isValue(prefix)) {
        return { operator: 'BEGINS_WITH', values: valuesOf(prefix) };
      }
    }
    return undefined;
  }

  #negatesSort(leaf: Expression): boolean {
    if (this.#sort === undefined) return false;
    const isNegation = leaf.kind === 'not' || (leaf.kind === 'infix' && leaf.operator === '<>');
    return isNegation && this.#mentions(leaf, [this.#sort.name]);
  }

  #isKeyList(expression: Expression): expression is KeyList {
    return (
      expression.kind === 'in' &&
      isListOfValues(expression.list) &&
      (isPath(expression.operand, this.#hash.name) ||
        (this.#sort !== undefined && isPath(expression.operand, this.#sort.name)))
    );
  }

  #mentionsKey(expression: Expression): boolean {
    return this.#mentions(
      expression,
      this.#sort === undefined ? [this.#hash.name] : [this.#hash.name, this.#sort.name],
    );
  }

  #mentions(expression: Expression, names: readonly string[]): boolean {
    return pathsOfCondition(conditionOf(expression, this.#parameters)).some(
      (path) => path.length === 1 && names.includes(path[0] as string),
    );
  }

  #conditionOf(leaves: readonly Expression[]): Condition | undefined {
    const terms = leaves.map((leaf) => conditionOf(leaf, this.#parameters));
    return terms.length < 2 ? terms[0] : { kind: 'and', terms };
  }
}

type KeyList = Extract<Expression, { kind: 'in' }> & {
  readonly list: Extract<Expression, { kind: 'list' | 'bag' }>;
};

function isListOfValues(expression: Expression): boolean {
  return expression.kind === 'list' && expression.elements.every(isValue);
}

function isPath(expression: Expression, name: string): boolean {
  return expression.kind === 'path' && expression.steps.length === 1 && expression.steps[0] === name;
}

function checkType(value: AttributeValue, attribute: KeyAttribute): void {
  if (value[attribute.type] === undefined) {
    throw new RuleError(
      `Key attribute's data type should match its data type in table's schema: Key ${attribute.name}`,
    );
  }
  checkKeyValue(value, attribute);
}
