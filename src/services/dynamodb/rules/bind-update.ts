/**
 * Binding of a parsed update expression, with the checks that need names and values. AWS's order: undefined names,
 * undefined values, overlapping paths, conflicting paths, operands of ADD and DELETE, operands of functions.
 * Order and texts: dynalite's test/updateItem.js and db/updateParser.pegjs, run against AWS.
 */
import type { Action, ActionNode, ArithmeticNode, OperandNode, SetValue } from './ast.ts';
import type { Placeholders } from './bind.ts';
import { invalidExpression } from './lexer.ts';
import { parseUpdateText } from './parse-update.ts';
import { checkPaths } from './paths.ts';
import { RecentResults } from './recent.ts';
import { type AttributeType, typeOf } from './values.ts';

const KIND = 'UpdateExpression';
/** ADD and DELETE name the types of the operands they refuse in words. */
const TYPE_WORDS: Readonly<Partial<Record<AttributeType, string>>> = {
  S: 'STRING',
  N: 'NUMBER',
  B: 'BINARY',
  NULL: 'NULL',
  BOOL: 'BOOLEAN',
  L: 'LIST',
  M: 'MAP',
};

const trees = new RecentResults<readonly ActionNode[]>(500);

/** Parses (or remembers) and binds an update expression; throws RuleError with AWS's text. */
export function bindUpdate(text: string, placeholders: Placeholders): readonly Action[] {
  const nodes = trees.get(text, parseUpdateText);
  for (const node of nodes) visit(node, 'path', placeholders);
  for (const node of nodes) visit(node, 'value', placeholders);
  checkPaths(
    KIND,
    nodes.map((node) => placeholders.resolvePath(KIND, node.path)),
  );
  for (const node of nodes) checkSetOperand(node, placeholders);
  return nodes.map((node) => bindAction(node, placeholders));
}

/** Resolves the names or the values of an action, only to find the undefined ones. */
function visit(node: ActionNode, which: 'path' | 'value', placeholders: Placeholders): void {
  if (which === 'path') placeholders.resolvePath(KIND, node.path);
  if (node.kind === 'remove') return;
  const pending: (OperandNode | ArithmeticNode)[] = [node.value];
  for (let operand = pending.pop(); operand !== undefined; operand = pending.pop()) {
    if (operand.kind === 'arithmetic') pending.push(operand.right, operand.left);
    else if (operand.kind === 'call') pending.push(...operand.args.toReversed());
    else if (operand.kind === which) placeholders.resolveAll(KIND, [operand]);
  }
}

function checkSetOperand(node: ActionNode, placeholders: Placeholders): void {
  if (node.kind !== 'add' && node.kind !== 'delete') return;
  const type = typeOf(placeholders.resolveValue(KIND, node.value.name));
  const word = TYPE_WORDS[type];
  if (word === undefined || (node.kind === 'add' && type === 'N')) return;
  throw invalidExpression(
    KIND,
    `Incorrect operand type for operator or function; operator: ${node.kind.toUpperCase()}, operand type: ${word}`,
  );
}

function bindAction(node: ActionNode, placeholders: Placeholders): Action {
  const path = placeholders.resolvePath(KIND, node.path);
  if (node.kind === 'remove') return { kind: 'remove', path };
  if (node.kind === 'set') return { kind: 'set', path, value: bindSetValue(node.value, placeholders) };
  return { kind: node.kind, path, value: placeholders.resolveValue(KIND, node.value.name) };
}

function bindSetValue(node: OperandNode | ArithmeticNode, placeholders: Placeholders): SetValue {
  if (node.kind === 'path') return { kind: 'path', path: placeholders.resolvePath(KIND, node) };
  if (node.kind === 'value') return { kind: 'value', value: placeholders.resolveValue(KIND, node.name) };
  if (node.kind === 'arithmetic') {
    const left = bindSetValue(node.left, placeholders);
    const right = bindSetValue(node.right, placeholders);
    checkType(node.operator, left, 'N');
    checkType(node.operator, right, 'N');
    return { kind: node.operator, left, right };
  }
  const args = node.args.map((arg) => bindSetValue(arg, placeholders));
  const [first, second] = args;
  if (first === undefined || second === undefined || args.length !== 2) {
    throw invalidExpression(
      KIND,
      'Incorrect number of operands for operator or function; ' +
        `operator or function: ${node.name}, number of operands: ${args.length}`,
    );
  }
  if (node.name === 'list_append') {
    checkType('list_append', first, 'L');
    checkType('list_append', second, 'L');
    return { kind: 'list_append', left: first, right: second };
  }
  if (first.kind !== 'path') {
    throw invalidExpression(KIND, `Operator or function requires a document path; operator or function: ${node.name}`);
  }
  return { kind: 'if_not_exists', path: first.path, otherwise: second };
}

function checkType(operator: string, operand: SetValue, needed: AttributeType): void {
  if (operand.kind !== 'value') return;
  const type = typeOf(operand.value);
  if (type === needed) return;
  throw invalidExpression(
    KIND,
    `Incorrect operand type for operator or function; operator or function: ${operator}, operand type: ${type}`,
  );
}
