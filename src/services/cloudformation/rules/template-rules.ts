import { TemplateError } from '../../../deploy/errors.ts';
import { Evaluator, type PseudoParameters } from '../../../deploy/intrinsics.ts';
import { isList, isObject, type Json, type JsonObject, jsonEquals, member } from '../../../deploy/json.ts';
import type { PreparedTemplate } from '../../../deploy/prepare.ts';
import { functionOf } from '../../../deploy/references.ts';

/**
 * Judges a template's Rules section: the assertions of every rule whose condition holds.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
 *
 * @throws {TemplateError} naming every assertion that failed (text: https://github.com/aws/aws-cdk/issues/17942).
 */
export function checkTemplateRules(
  { template, parameters }: Pick<PreparedTemplate, 'template' | 'parameters'>,
  pseudo: PseudoParameters,
): void {
  const evaluator = new Evaluator({
    template,
    pseudo,
    parameters,
    resource: () => undefined,
    exports: new Map(),
    availabilityZones: () => [],
  });
  const failed: string[] = [];
  for (const [name, rule] of Object.entries(template.rules)) {
    if (!isObject(rule)) throw new TemplateError(`Template format error: Rule ${name} must be an object.`);
    const condition = member(rule, 'RuleCondition');
    if (condition !== undefined && !holds(condition, evaluator)) continue;
    const assertions = member(rule, 'Assertions');
    if (!isList(assertions))
      throw new TemplateError(`Template format error: Rule ${name} must contain a list of Assertions.`);
    for (const assertion of assertions) {
      const assert = isObject(assertion) ? member(assertion, 'Assert') : undefined;
      if (assert === undefined)
        throw new TemplateError(`Template format error: Every assertion of rule ${name} must contain an Assert.`);
      if (holds(assert, evaluator)) continue;
      const description = member(assertion as JsonObject, 'AssertDescription');
      failed.push(`${typeof description === 'string' ? description : 'assertion failed'} (Rule: ${name})`);
    }
  }
  if (failed.length > 0) throw new TemplateError(`Template constraint validation failed: ${failed.join('; ')}`);
}

function holds(expression: Json, evaluator: Evaluator): boolean {
  const call = isObject(expression) ? functionOf(expression) : undefined;
  const operands = call !== undefined && isList(call.argument) ? call.argument : [];
  const value = (operand: Json | undefined): Json => evaluator.value(operand ?? '') ?? '';
  const list = (operand: Json | undefined): readonly Json[] => {
    const evaluated = value(operand);
    return isList(evaluated) ? evaluated : [evaluated];
  };
  switch (call?.name) {
    case 'Fn::And':
      return operands.every((operand) => holds(operand, evaluator));
    case 'Fn::Or':
      return operands.some((operand) => holds(operand, evaluator));
    case 'Fn::Not':
      return !holds(operands[0] ?? false, evaluator);
    case 'Fn::Equals':
      return String(value(operands[0])) === String(value(operands[1]));
    case 'Fn::Contains':
      return includes(list(operands[0]), value(operands[1]));
    case 'Fn::EachMemberEquals':
      return list(operands[0]).every((item) => jsonEquals(item, value(operands[1])));
    case 'Fn::EachMemberIn':
      return list(operands[0]).every((item) => includes(list(operands[1]), item));
    default:
      if (typeof expression === 'boolean') return expression;
      throw new TemplateError(
        `Template error: ${call?.name ?? JSON.stringify(expression)} is not a supported function in a rule here`,
      );
  }
}

function includes(items: readonly Json[], wanted: Json): boolean {
  return items.some((item) => String(item) === String(wanted));
}
