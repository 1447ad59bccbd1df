/**
 * Checks of expression parameters against each other, common to all data operations.
 * Order and texts: dynalite's validations/index.js, run against AWS.
 */
import type { Condition } from './ast.ts';
import { type ExpressionNames, Placeholders } from './bind.ts';
import { bindCondition } from './bind-condition.ts';
import { RuleError } from './errors.ts';
import { compileCondition, type Predicate } from './evaluate.ts';
import type { AttributeMap } from './values.ts';

export interface ExpressionInput {
  readonly ExpressionAttributeNames?: ExpressionNames;
  readonly ExpressionAttributeValues?: AttributeMap;
}

/** A named parameter and whether the request has it. */
type Presence = Readonly<Record<string, unknown>>;

/**
 * Refuses expressions beside legacy parameters, and names and values without expressions. `expressions` and `legacy`
 * are the operation's parameters in the order in which AWS lists them.
 */
export function checkParameterMix(input: ExpressionInput, expressions: Presence, legacy: Presence): void {
  const used = present(expressions);
  if (used.length > 0) {
    // KeyConditions may stand beside expressions that are not the key condition.
    const clashing = present(legacy).filter(
      (name) => name !== 'KeyConditions' || expressions['KeyConditionExpression'] !== undefined,
    );
    if (clashing.length > 0) {
      throw new RuleError(
        'Can not use both expression and non-expression parameters in the same request: ' +
          `Non-expression parameters: {${clashing.join(', ')}} Expression parameters: {${used.join(', ')}}`,
      );
    }
  }
  if (input.ExpressionAttributeNames !== undefined && used.length === 0) {
    throw new RuleError('ExpressionAttributeNames can only be specified when using expressions');
  }
  const withValues = Object.keys(expressions).filter((name) => name !== 'ProjectionExpression');
  if (
    input.ExpressionAttributeValues !== undefined &&
    withValues.every((name) => expressions[name] === undefined) &&
    withValues.length > 0
  ) {
    throw new RuleError(
      'ExpressionAttributeValues can only be specified when using expressions: ' +
        `${withValues.join(' and ')} ${withValues.length > 1 ? 'are' : 'is'} null`,
    );
  }
}

/** The request's placeholders, checked. */
export function placeholdersOf(input: ExpressionInput): Placeholders {
  return new Placeholders(input.ExpressionAttributeNames, input.ExpressionAttributeValues);
}

/** The condition of a write, from its expression or else from the legacy parameter. */
export function predicateOf(
  expression: string | undefined,
  placeholders: Placeholders,
  legacy: Condition | undefined,
): Predicate | undefined {
  const condition = expression === undefined ? legacy : bindCondition('ConditionExpression', expression, placeholders);
  return condition && compileCondition(condition);
}

function present(parameters: Presence): readonly string[] {
  return Object.keys(parameters).filter((name) => parameters[name] !== undefined);
}
