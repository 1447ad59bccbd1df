/** SET and REMOVE clauses as actions of an update. Texts: see tokens.ts and parse-statement.ts. */
import type { Action, SetValue } from '../ast.ts';
import { RuleError } from '../errors.ts';
import { checkPaths } from '../paths.ts';
import { type AttributeValue, typeOf } from '../values.ts';
import type { CallExpression, Clause, Expression, PathExpression } from './ast.ts';
import { isValue, literalValue } from './values.ts';

/** Binds the clauses of an UPDATE; throws RuleError with AWS's text. */
export function actionsOf(clauses: readonly Clause[], parameters: readonly AttributeValue[]): readonly Action[] {
  const actions = clauses.map((clause) => actionOf(clause, parameters));
  try {
    checkPaths(
      'UpdateExpression',
      actions.map(({ path }) => path),
    );
  } catch (error) {
    if (!(error instanceof RuleError)) throw error;
    throw new RuleError(error.message.replace(/^Invalid UpdateExpression: /, ''));
  }
  return actions;
}

function actionOf(clause: Clause, parameters: readonly AttributeValue[]): Action {
  const path = clause.path.steps;
  if (clause.kind === 'remove') return { kind: 'remove', path };
  const { value } = clause;
  if (value.kind === 'call' && (value.name === 'set_add' || value.name === 'set_delete')) {
    return setAction(clause.path, value, parameters);
  }
  return { kind: 'set', path, value: setValue(value, parameters) };
}

/** `a = set_add(a, …)` and `a = set_delete(a, …)`: what ADD and DELETE are to update expressions. */
function setAction(target: PathExpression, call: CallExpression, parameters: readonly AttributeValue[]): Action {
  const name = call.name.toUpperCase();
  const [first, second] = call.args;
  if (first === undefined || second === undefined || call.args.length !== 2) {
    throw new RuleError(`${name} must have exactly two arguments at ${call.at}`);
  }
  if (first.kind !== 'path' || !isSamePath(first, target)) {
    throw new RuleError(`The first argument to ${name} must equal the assignment value at ${call.at}`);
  }
  const value = isValue(second) ? literalValue(second, parameters) : undefined;
  if (value === undefined || (value.SS ?? value.NS ?? value.BS) === undefined) {
    throw new RuleError(`The second argument to ${name} must be a value with type SET at ${first.at}`);
  }
  return { kind: call.name === 'set_add' ? 'add' : 'delete', path: target.steps, value };
}

function setValue(expression: Expression, parameters: readonly AttributeValue[]): SetValue {
  if (expression.kind === 'path') return { kind: 'path', path: expression.steps };
  if (isValue(expression)) return { kind: 'value', value: literalValue(expression, parameters) };
  if (expression.kind === 'infix') {
    const { operator } = expression;
    if (operator !== '+' && operator !== '-') {
      throw new RuleError(`Unsupported operator in Update Expression. Operator: ${operator}`);
    }
    const left = setValue(expression.left, parameters);
    const right = setValue(expression.right, parameters);
    for (const operand of [left, right]) {
      if (operand.kind === 'value' && operand.value.N === undefined) throw wrongType(operator, operand.value);
    }
    return { kind: operator, left, right };
  }
  if (expression.kind === 'call') return functionValue(expression, parameters);
  if (expression.kind === 'negative') throw new RuleError('Unsupported operator in Update Expression. Operator: -');
  throw new RuleError(`Unsupported token in expression: ${expression.kind} at ${expression.at}`);
}

function functionValue(call: CallExpression, parameters: readonly AttributeValue[]): SetValue {
  if (call.name !== 'list_append') throw new RuleError(`Unrecognized function: ${call.name} at ${call.at}`);
  const [left, right] = call.args.map((arg) => setValue(arg, parameters));
  if (left === undefined || right === undefined || call.args.length !== 2) {
    throw new RuleError(
      'Incorrect number of operands for operator or function; ' +
        `operator or function: list_append, number of operands: ${call.args.length}`,
    );
  }
  for (const operand of [left, right]) {
    if (operand.kind === 'value' && operand.value.L === undefined) throw wrongType('list_append', operand.value);
  }
  return { kind: 'list_append', left, right };
}

function wrongType(operator: string, value: AttributeValue): RuleError {
  return new RuleError(
    `Incorrect operand type for operator or function; operator or function: ${operator}, operand type: ${typeOf(value)}`,
  );
}

function isSamePath(a: PathExpression, b: PathExpression): boolean {
  return a.steps.length === b.steps.length && a.steps.every((step, index) => step === b.steps[index]);
}
