/**
 * PartiQL literals and parameters as attribute values. A literal's errors name the place in it (`under root.x[1]`), a
 * parameter's do not. Texts: see tokens.ts and parse-statement.ts.
 */
import { invalidParameter, RuleError } from '../errors.ts';
import { normalizeNumber } from '../number.ts';
import {
  type AttributeValue,
  attributeOf,
  MAX_NESTING_LEVELS,
  setAttribute,
  typeOf,
  validateValue,
} from '../values.ts';
import type { Expression } from './ast.ts';

/** Checks a statement's parameters, in AWS's order: before the statement is read. */
export function validateParameters(parameters: readonly AttributeValue[]): readonly AttributeValue[] {
  for (const parameter of parameters) checkParameter(parameter, 1);
  return parameters.map((parameter) => validateValue(parameter));
}

/** The value of a literal or a parameter; throws RuleError for any other expression. */
export function literalValue(expression: Expression, parameters: readonly AttributeValue[]): AttributeValue {
  if (expression.kind === 'parameter') return parameters[expression.index]!;
  return literal(expression, 'root', 0);
}

/** Whether an expression is a value by itself, whatever the item holds. */
export function isValue(expression: Expression): boolean {
  switch (expression.kind) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'null':
    case 'parameter':
    case 'list':
    case 'bag':
    case 'tuple':
      return true;
    default:
      return false;
  }
}

/** The item of an INSERT. */
export function itemOf(expression: Expression, parameters: readonly AttributeValue[]): Record<string, AttributeValue> {
  if (expression.kind !== 'tuple') throw unsupported(expression, 'root');
  const item: Record<string, AttributeValue> = {};
  for (const [key, value] of expression.entries) {
    const name = keyOf(key, item, 'root');
    setAttribute(item, name, literalValue(value, parameters));
  }
  return item;
}

function literal(expression: Expression, under: string, level: number): AttributeValue {
  if (level >= MAX_NESTING_LEVELS) {
    throw new RuleError(`Nesting Levels have exceeded supported limits under ${under}`);
  }
  switch (expression.kind) {
    case 'string':
      return { S: expression.text };
    case 'number':
      return { N: number(expression.text, under) };
    case 'boolean':
      return { BOOL: expression.value };
    case 'null':
      return { NULL: true };
    case 'list':
      return { L: expression.elements.map((element, index) => literal(element, `${under}[${index}]`, level + 1)) };
    case 'bag':
      return set(expression.elements, under);
    case 'tuple': {
      const members: Record<string, AttributeValue> = {};
      for (const [key, value] of expression.entries) {
        const name = keyOf(key, members, under);
        setAttribute(members, name, literal(value, `${under}.${name}`, level + 1));
      }
      return { M: members };
    }
    default:
      throw unsupported(expression, under);
  }
}

function keyOf(key: Expression, members: Record<string, AttributeValue>, under: string): string {
  if (key.kind !== 'string') {
    throw new RuleError(`Tuple keys must be of type String. Actual type: ${typeName(key)} under ${under}`);
  }
  if (attributeOf(members, key.text) !== undefined) {
    throw new RuleError(`Duplicate keys in tuple. Key: ${key.text} under ${under}`);
  }
  return key.text;
}

/** A bag is a set of strings or of numbers. */
function set(elements: readonly Expression[], under: string): AttributeValue {
  if (elements.length === 0) throw new RuleError('Empty bags are not supported');
  const kind = elements[0]!.kind;
  const texts = elements.map((element) => {
    if ((element.kind !== 'string' && element.kind !== 'number') || element.kind !== kind) {
      throw new RuleError('Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags');
    }
    return element.text;
  });
  if (kind === 'string') {
    if (new Set(texts).size !== texts.length) {
      throw invalidParameter(`Input collection [${texts.join(', ')}] contains duplicates.`);
    }
    return { SS: texts };
  }
  const numbers = texts.map((text) => number(text, under));
  if (new Set(numbers).size !== numbers.length) {
    throw invalidParameter(`Input collection [${texts.join(', ')}] contains duplicates! under ${under}`);
  }
  return { NS: numbers };
}

function number(text: string, under: string): string {
  try {
    return normalizeNumber(text);
  } catch (error) {
    if (!(error instanceof RuleError)) throw error;
    throw new RuleError(`${error.message} under ${under}`);
  }
}

function unsupported(expression: Expression, under: string): RuleError {
  return new RuleError(`Unsupported data type: ${typeName(expression)} under key ${under} at ${expression.at}`);
}

function typeName(expression: Expression): string {
  if (expression.kind === 'call') return expression.name;
  const { kind } = expression;
  return kind === 'path' ? 'VariableReference' : kind.charAt(0).toUpperCase() + kind.slice(1);
}

/** The first thing wrong in document order; a parameter's number is read as Java's BigDecimal reads it. */
function checkParameter(value: AttributeValue, level: number): void {
  const type = typeOf(value);
  if (type === 'N') checkNumber(value.N!);
  else if (type === 'NS') value.NS!.forEach(checkNumber);
  else if (type === 'L' || type === 'M') {
    if (level >= MAX_NESTING_LEVELS) {
      throw new RuleError(
        'Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit',
      );
    }
    const members = value.L ?? Object.values(value.M!);
    for (const member of members) checkParameter(member, level + 1);
  }
}

const INT32_END = 2 ** 31;

function checkNumber(text: string): void {
  const match = /^[+-]?(\d*)(?:\.(\d*))?[eE]([+-]?\d+)$/.exec(text);
  if (match !== null) {
    const exponent = Number(match[3]);
    const scale = (match[2]?.length ?? 0) - exponent;
    if (Math.abs(exponent) >= INT32_END || Math.abs(scale) >= INT32_END) {
      throw new RuleError(`The parameter cannot be converted to a numeric value: ${text}`);
    }
    // The magnitude is judged in 32 bits, and wraps.
    const digits = `${match[1]}${match[2] ?? ''}`.replace(/^0+(?=\d)/, '').length;
    if (digits - scale >= INT32_END) {
      throw new RuleError('Number underflow. Attempting to store a number with magnitude smaller than supported range');
    }
  }
  normalizeNumber(text);
}
