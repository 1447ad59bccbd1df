/**
 * Binding of a parsed condition to a request's names and values, with the checks that need them. AWS makes them one
 * comparison or function at a time, in the order of the text; within one: undefined placeholders, number of operands,
 * operands that must differ, operand types. Order and texts: dynalite's test/scan.js and db/conditionParser.pegjs, run
 * against AWS; orderable operands: paritysuite/dynamodb-conformance, queryKeyConditionOperands.test.ts.
 */
import {
  type CallNode,
  type Condition,
  type ConditionNode,
  describePath,
  type ExpressionKind,
  type Operand,
  type OperandNode,
} from './ast.ts';
import type { Placeholders } from './bind.ts';
import { invalidExpression } from './lexer.ts';
import { parseConditionText } from './parse-condition.ts';
import { RecentResults } from './recent.ts';
import { type AttributeType, type AttributeValue, compareValues, describeValue, typeOf } from './values.ts';

type ConditionKind = Extract<ExpressionKind, 'ConditionExpression' | 'FilterExpression' | 'KeyConditionExpression'>;

const MAX_IN_OPERANDS = 100;
const OPERAND_COUNTS: Readonly<Record<string, number>> = {
  attribute_exists: 1,
  attribute_not_exists: 1,
  attribute_type: 2,
  begins_with: 2,
  contains: 2,
  size: 1,
};
const ATTRIBUTE_TYPES: ReadonlySet<string> = new Set(['S', 'N', 'B', 'NULL', 'SS', 'BOOL', 'L', 'BS', 'NS', 'M']);
const ORDERABLE: ReadonlySet<AttributeType> = new Set(['S', 'N', 'B']);
const SIZELESS: ReadonlySet<AttributeType> = new Set(['N', 'BOOL', 'NULL']);

/** By kind, because the kinds' error texts differ. */
const trees: Readonly<Record<ConditionKind, RecentResults<ConditionNode>>> = {
  ConditionExpression: new RecentResults(500),
  FilterExpression: new RecentResults(500),
  KeyConditionExpression: new RecentResults(500),
};

/** Parses (or remembers) and binds a condition, filter or key condition; throws RuleError with AWS's text. */
export function bindCondition(kind: ConditionKind, text: string, placeholders: Placeholders): Condition {
  const tree = trees[kind].get(text, () => parseConditionText(kind, text));
  return bindConditionNode(kind, tree, placeholders);
}

/** Binds a parsed condition; throws RuleError with AWS's text. */
export function bindConditionNode(kind: ConditionKind, tree: ConditionNode, placeholders: Placeholders): Condition {
  return new ConditionBinder(kind, placeholders).bind(tree);
}

class ConditionBinder {
  readonly #kind: ConditionKind;
  readonly #placeholders: Placeholders;

  constructor(kind: ConditionKind, placeholders: Placeholders) {
    this.#kind = kind;
    this.#placeholders = placeholders;
  }

  bind(node: ConditionNode): Condition {
    switch (node.kind) {
      case 'and':
      case 'or':
        return { kind: node.kind, terms: node.terms.map((term) => this.bind(term)) };
      case 'not':
        return { kind: 'not', term: this.bind(node.term) };
      case 'compare': {
        this.#check([node.left, node.right]);
        this.#checkDistinct(node.operator, [node.left, node.right]);
        const left = this.#operand(node.left);
        const right = this.#operand(node.right);
        if (node.operator !== '=' && node.operator !== '<>') {
          this.#checkType(node.operator, left, ORDERABLE);
          this.#checkType(node.operator, right, ORDERABLE);
        }
        return { kind: 'compare', operator: node.operator, left, right };
      }
      case 'between': {
        this.#check([node.operand, node.low, node.high]);
        const operand = this.#operand(node.operand);
        const low = this.#operand(node.low);
        const high = this.#operand(node.high);
        for (const each of [operand, low, high]) this.#checkType('BETWEEN', each, ORDERABLE);
        this.#checkBounds(low, high);
        return { kind: 'between', operand, low, high };
      }
      case 'in':
        return this.#bindIn(node.operand, node.list);
      case 'call':
        this.#check([node]);
        return this.#bindFunction(node);
    }
  }

  #bindIn(operand: OperandNode, list: readonly OperandNode[]): Condition {
    this.#check([operand, ...list]);
    if (list.length > MAX_IN_OPERANDS) {
      throw this.#invalid(`The IN operator is provided with too many operands; number of operands: ${list.length}`);
    }
    this.#checkDistinct('IN', [operand, ...list]);
    return { kind: 'in', operand: this.#operand(operand), list: list.map((each) => this.#operand(each)) };
  }

  #bindFunction(node: CallNode): Condition {
    const [first, second] = node.args;
    switch (node.name) {
      case 'attribute_exists':
      case 'attribute_not_exists': {
        const operand = this.#operand(first!);
        if (operand.kind !== 'path') {
          throw this.#invalid(`Operator or function requires a document path; operator or function: ${node.name}`);
        }
        return { kind: node.name, path: operand.path };
      }
      case 'attribute_type':
        return { kind: 'attribute_type', operand: this.#operand(first!), type: this.#attributeType(second!) };
      case 'begins_with': {
        const operand = this.#operand(first!);
        const argument = this.#operand(second!);
        const allowed: ReadonlySet<AttributeType> = new Set(['S', 'B']);
        this.#checkType('begins_with', operand, allowed);
        this.#checkType('begins_with', argument, allowed);
        return { kind: 'begins_with', operand, argument };
      }
      case 'contains':
        return { kind: 'contains', operand: this.#operand(first!), argument: this.#operand(second!) };
      default:
        throw new Error(`the parser let the function ${node.name} through`);
    }
  }

  #attributeType(node: OperandNode): AttributeType {
    const operand = this.#operand(node);
    const type = immediateType(operand);
    if (operand.kind !== 'value' || operand.value.S === undefined) {
      throw this.#wrongType('attribute_type', type ?? '{NS,SS,L,BS,N,M,B,BOOL,NULL,S}');
    }
    if (!ATTRIBUTE_TYPES.has(operand.value.S)) {
      throw this.#invalid(
        `Invalid attribute type name found; type: ${operand.value.S}, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}`,
      );
    }
    return operand.value.S as AttributeType;
  }

  /** An operand, with what AWS checks of the size() in it. */
  #operand(node: OperandNode): Operand {
    if (node.kind === 'path') return { kind: 'path', path: this.#placeholders.resolvePath(this.#kind, node) };
    if (node.kind === 'value') return { kind: 'value', value: this.#placeholders.resolveValue(this.#kind, node.name) };
    const operand = this.#operand(node.args[0]!);
    const type = immediateType(operand);
    if (type !== undefined && SIZELESS.has(type)) throw this.#wrongType('size', type);
    return { kind: 'size', operand };
  }

  /** Undefined placeholders first, then numbers of operands and operands that must differ, functions inside out. */
  #check(operands: readonly OperandNode[]): void {
    this.#placeholders.resolveAll(this.#kind, operands);
    this.#checkCalls(operands, (call) => {
      if (OPERAND_COUNTS[call.name] !== call.args.length) {
        throw this.#invalid(
          'Incorrect number of operands for operator or function; ' +
            `operator or function: ${call.name}, number of operands: ${call.args.length}`,
        );
      }
    });
    this.#checkCalls(operands, (call) => {
      this.#checkDistinct(call.name, call.args);
    });
  }

  #checkCalls(operands: readonly OperandNode[], check: (call: CallNode) => void): void {
    for (const operand of operands) {
      if (operand.kind !== 'call') continue;
      this.#checkCalls(operand.args, check);
      check(operand);
    }
  }

  #checkDistinct(operator: string, operands: readonly OperandNode[]): void {
    const [first, ...rest] = operands;
    if (first?.kind !== 'path' || rest.every(({ kind }) => kind !== 'path')) return;
    const path = describePath(this.#placeholders.resolvePath(this.#kind, first));
    for (const other of rest) {
      if (other.kind !== 'path' || describePath(this.#placeholders.resolvePath(this.#kind, other)) !== path) continue;
      throw this.#invalid(
        'The first operand must be distinct from the remaining operands for this operator or function; ' +
          `operator: ${operator}, first operand: ${path}`,
      );
    }
  }

  #checkType(operator: string, operand: Operand, allowed: ReadonlySet<AttributeType>): void {
    const type = immediateType(operand);
    if (type !== undefined && !allowed.has(type)) throw this.#wrongType(operator, type);
  }

  #checkBounds(low: Operand, high: Operand): void {
    if (low.kind !== 'value' || high.kind !== 'value') return;
    if (typeOf(low.value) !== typeOf(high.value)) {
      throw this.#wrongBounds('The BETWEEN operator requires same data type for lower and upper bounds', low, high);
    }
    if (compareValues(low.value, high.value)! > 0) {
      throw this.#wrongBounds(
        'The BETWEEN operator requires upper bound to be greater than or equal to lower bound',
        low,
        high,
      );
    }
  }

  #wrongBounds(detail: string, low: { value: AttributeValue }, high: { value: AttributeValue }): Error {
    return this.#invalid(
      `${detail}; lower bound operand: AttributeValue: ${describeValue(low.value)}, ` +
        `upper bound operand: AttributeValue: ${describeValue(high.value)}`,
    );
  }

  #wrongType(operator: string, type: string): Error {
    return this.#invalid(
      `Incorrect operand type for operator or function; operator or function: ${operator}, operand type: ${type}`,
    );
  }

  #invalid(detail: string): Error {
    return invalidExpression(this.#kind, detail);
  }
}

/** The type an operand has whatever the item holds: that of a value, N for size(). */
function immediateType(operand: Operand): AttributeType | undefined {
  switch (operand.kind) {
    case 'path':
      return undefined;
    case 'size':
      return 'N';
    case 'condition':
      return 'BOOL';
    case 'value':
      return typeOf(operand.value);
  }
}
