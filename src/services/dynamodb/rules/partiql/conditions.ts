/**
 * WHERE clauses as conditions. DynamoDB brings them to the same trees as its own expressions and refuses them in the same
 * words, without the parameter's name in front.
 */
import type { CallNode, Comparator, Condition, ConditionNode, Operand, OperandNode } from '../ast.ts';
import { Placeholders } from '../bind.ts';
import { bindConditionNode } from '../bind-condition.ts';
import { RuleError } from '../errors.ts';
import type { AttributeType, AttributeValue } from '../values.ts';
import type { Expression } from './ast.ts';
import { isValue, literalValue } from './values.ts';

/** Functions of conditions; the others are refused. */
const FUNCTIONS: ReadonlySet<string> = new Set([
  'attribute_exists',
  'attribute_not_exists',
  'attribute_type',
  'begins_with',
  'contains',
  'size',
]);
const COMPARATORS: ReadonlySet<string> = new Set(['=', '<>', '<', '<=', '>', '>=']);
const TYPES: Readonly<Record<string, AttributeType>> = {
  NULL: 'NULL',
  BOOL: 'BOOL',
  BOOLEAN: 'BOOL',
  BLOB: 'B',
  STRING: 'S',
  NUMERIC: 'N',
  STRUCT: 'M',
  TUPLE: 'M',
  LIST: 'L',
};

/** Binds a condition; throws RuleError with AWS's text. */
export function conditionOf(expression: Expression, parameters: readonly AttributeValue[]): Condition {
  switch (expression.kind) {
    case 'and':
    case 'or':
      return { kind: expression.kind, terms: expression.terms.map((term) => conditionOf(term, parameters)) };
    case 'not':
      return { kind: 'not', term: conditionOf(expression.term, parameters) };
    case 'infix':
      return comparison(expression, parameters);
    case 'in':
      return membership(expression, parameters);
    case 'is':
      return typeTest(expression.operand, expression.type, parameters);
    case 'between':
    case 'call':
      return bindLeaf(expression, parameters);
    default:
      throw unsupported(expression);
  }
}

type InfixExpression = Extract<Expression, { kind: 'infix' }>;
type InExpression = Extract<Expression, { kind: 'in' }>;

function comparison(expression: InfixExpression, parameters: readonly AttributeValue[]): Condition {
  const { operator, left, right } = expression;
  if (!COMPARATORS.has(operator)) throw unsupported(expression);
  if (!isCondition(left) && !isCondition(right)) return bindLeaf(expression, parameters);
  // A condition compared is the boolean it gives.
  if (operator !== '=' && operator !== '<>') {
    throw new RuleError(
      `Incorrect operand type for operator or function; operator or function: ${operator}, operand type: BOOL`,
    );
  }
  return {
    kind: 'compare',
    operator,
    left: operandOf(left, parameters),
    right: operandOf(right, parameters),
  };
}

function membership(expression: InExpression, parameters: readonly AttributeValue[]): Condition {
  const { operand, list } = expression;
  if (list.kind !== 'list') {
    // One value in parentheses is that value.
    const single: Expression = { kind: 'list', elements: [list], at: list.at };
    if (!isValue(list)) throw unsupported(list);
    return membership({ ...expression, list: single }, parameters);
  }
  if (!isCondition(operand)) return bindLeaf(expression, parameters);
  return {
    kind: 'in',
    operand: operandOf(operand, parameters),
    list: list.elements.map((element) => operandOf(element, parameters)),
  };
}

function typeTest(operand: Expression, type: string, parameters: readonly AttributeValue[]): Condition {
  const read = operandOf(operand, parameters);
  if (type === 'MISSING') {
    if (read.kind !== 'path') throw unsupported(operand);
    return { kind: 'attribute_not_exists', path: read.path };
  }
  const tested = TYPES[type];
  if (tested === undefined) {
    throw new RuleError(
      `Unsupported data type for IS operator: ${type}. Supported data types are ` +
        '[MISSING, NULL, BOOLEAN, BLOB, STRING, NUMERIC, STRUCT, TUPLE, LIST]',
    );
  }
  return { kind: 'attribute_type', operand: read, type: tested };
}

function operandOf(expression: Expression, parameters: readonly AttributeValue[]): Operand {
  if (isCondition(expression)) return { kind: 'condition', condition: conditionOf(expression, parameters) };
  if (expression.kind === 'path') return { kind: 'path', path: expression.steps };
  if (isValue(expression)) return { kind: 'value', value: literalValue(expression, parameters) };
  if (expression.kind === 'call' && expression.name === 'size') {
    const size = bindLeaf(
      { kind: 'infix', operator: '=', left: expression, right: { kind: 'null', at: '' }, at: '' },
      parameters,
    );
    if (size.kind === 'compare') return size.left;
  }
  throw unsupported(expression);
}

/** Whether an expression says yes or no of an item. */
function isCondition(expression: Expression): boolean {
  switch (expression.kind) {
    case 'and':
    case 'or':
    case 'not':
    case 'in':
    case 'between':
    case 'is':
      return true;
    case 'infix':
      return COMPARATORS.has(expression.operator);
    case 'call':
      return expression.name !== 'size' && FUNCTIONS.has(expression.name);
    default:
      return false;
  }
}

/** A comparison or function without conditions inside goes through the expressions' own binder. */
function bindLeaf(expression: Expression, parameters: readonly AttributeValue[]): Condition {
  const leaf = new Leaf(parameters);
  const node = leaf.condition(expression);
  try {
    return bindConditionNode('ConditionExpression', node, leaf.placeholders());
  } catch (error) {
    if (!(error instanceof RuleError)) throw error;
    throw new RuleError(error.message.replace(/^Invalid ConditionExpression: /, ''), error.code);
  }
}

/** Names and values become placeholders, so that none can be mistaken for one. */
class Leaf {
  readonly #parameters: readonly AttributeValue[];
  readonly #names: Record<string, string> = {};
  readonly #values: Record<string, AttributeValue> = {};
  #count = 0;

  constructor(parameters: readonly AttributeValue[]) {
    this.#parameters = parameters;
  }

  placeholders(): Placeholders {
    const names = Object.keys(this.#names).length === 0 ? undefined : this.#names;
    const values = Object.keys(this.#values).length === 0 ? undefined : this.#values;
    return new Placeholders(names, values);
  }

  condition(expression: Expression): ConditionNode {
    switch (expression.kind) {
      case 'infix':
        return {
          kind: 'compare',
          operator: expression.operator as Comparator,
          left: this.#operand(expression.left),
          right: this.#operand(expression.right),
        };
      case 'between':
        return {
          kind: 'between',
          operand: this.#operand(expression.operand),
          low: this.#operand(expression.low),
          high: this.#operand(expression.high),
        };
      case 'in': {
        const list = expression.list.kind === 'list' ? expression.list.elements : [expression.list];
        return {
          kind: 'in',
          operand: this.#operand(expression.operand),
          list: list.map((element) => this.#operand(element)),
        };
      }
      case 'call':
        if (expression.name === 'size') throw unsupported(expression);
        return this.#call(expression);
      default:
        throw unsupported(expression);
    }
  }

  #operand(expression: Expression): OperandNode {
    if (expression.kind === 'path') {
      const elements = expression.steps.map((step) => {
        if (typeof step === 'number') return step;
        const name = `#${this.#count++}`;
        this.#names[name] = step;
        return name;
      });
      return { kind: 'path', elements };
    }
    if (expression.kind === 'call') return this.#call(expression);
    if (!isValue(expression)) throw unsupported(expression);
    const name = `:${this.#count++}`;
    this.#values[name] = literalValue(expression, this.#parameters);
    return { kind: 'value', name };
  }

  #call(expression: Extract<Expression, { kind: 'call' }>): CallNode {
    if (!FUNCTIONS.has(expression.name)) {
      throw new RuleError(`Unrecognized function: ${expression.name} at ${expression.at}`);
    }
    return { kind: 'call', name: expression.name, args: expression.args.map((arg) => this.#operand(arg)) };
  }
}

function unsupported(expression: Expression): RuleError {
  switch (expression.kind) {
    case 'infix':
      return new RuleError(`Unsupported operator in Condition Expression. Operator: ${expression.operator}`);
    case 'negative':
      return new RuleError('Unsupported operator in Condition Expression. Operator: -');
    case 'like':
      return new RuleError('Unsupported operator in Condition Expression. Operator: LIKE');
    case 'call':
      return new RuleError(`Unrecognized function: ${expression.name} at ${expression.at}`);
    default:
      return new RuleError(`Unsupported token in expression: ${expression.kind} at ${expression.at}`);
  }
}
