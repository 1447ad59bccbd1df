/**
 * Placeholders of one request: ExpressionAttributeNames and ExpressionAttributeValues, what they stand for, and which
 * of them the request's expressions used.
 */
import type { ExpressionKind, OperandNode, Path, PathNode } from './ast.ts';
import { RuleError } from './errors.ts';
import { invalidExpression } from './lexer.ts';
import { type AttributeMap, type AttributeValue, attributeOf, checkAttributeName, validateValue } from './values.ts';

export type ExpressionNames = Readonly<Record<string, string>>;

export class Placeholders {
  readonly #names: ExpressionNames;
  readonly #values: AttributeMap;
  readonly #unusedNames: Set<string>;
  readonly #unusedValues: Set<string>;

  /** Checks the placeholders themselves, in AWS's order (dynalite's validations/index.js); numbers become canonical. */
  constructor(names: ExpressionNames | undefined, values: AttributeMap | undefined) {
    this.#names = names ?? {};
    this.#unusedNames = new Set(Object.keys(this.#names));
    if (names !== undefined) checkNames(names);
    this.#values = values === undefined ? {} : checkValues(values);
    this.#unusedValues = new Set(Object.keys(this.#values));
  }

  /** What the aliases of a path stand for; undefined aliases are an error of that expression. */
  resolvePath(kind: ExpressionKind, node: PathNode): Path {
    return node.elements.map((element) => {
      if (typeof element === 'number' || !element.startsWith('#')) return element;
      const name = Object.hasOwn(this.#names, element) ? this.#names[element] : undefined;
      if (name === undefined) {
        throw invalidExpression(
          kind,
          `An expression attribute name used in the document path is not defined; attribute name: ${element}`,
        );
      }
      this.#unusedNames.delete(element);
      return name;
    });
  }

  resolveValue(kind: ExpressionKind, name: string): AttributeValue {
    const value = attributeOf(this.#values, name);
    if (value === undefined) {
      throw invalidExpression(
        kind,
        `An expression attribute value used in expression is not defined; attribute value: ${name}`,
      );
    }
    this.#unusedValues.delete(name);
    return value;
  }

  /** Resolves everything under an operand in the order of the text, so that the first undefined one is reported. */
  resolveAll(kind: ExpressionKind, operands: readonly OperandNode[]): void {
    for (const operand of operands) {
      if (operand.kind === 'path') this.resolvePath(kind, operand);
      else if (operand.kind === 'value') this.resolveValue(kind, operand.name);
      else this.resolveAll(kind, operand.args);
    }
  }

  /** To be called when all expressions are bound: AWS refuses what none of them used. */
  checkAllUsed(): void {
    if (this.#unusedNames.size > 0) throw unused('Names', this.#unusedNames);
    if (this.#unusedValues.size > 0) throw unused('Values', this.#unusedValues);
  }
}

/** The longest `#name` or `:value`; developer guide "Quotas". */
const MAX_PLACEHOLDER_BYTES = 255;

function checkNames(names: ExpressionNames): void {
  const keys = Object.keys(names);
  if (keys.length === 0) throw new RuleError('ExpressionAttributeNames must not be empty');
  for (const key of keys) {
    if (!/^#[0-9a-zA-Z_]+$/.test(key)) {
      throw new RuleError(`ExpressionAttributeNames contains invalid key: Syntax error; key: "${key}"`);
    }
    checkPlaceholderSize('Names', key);
  }
  for (const key of keys) checkAttributeName(names[key]!);
}

function checkValues(values: AttributeMap): AttributeMap {
  const keys = Object.keys(values);
  if (keys.length === 0) throw new RuleError('ExpressionAttributeValues must not be empty');
  for (const key of keys) {
    if (!/^:[0-9a-zA-Z_]+$/.test(key)) {
      throw new RuleError(`ExpressionAttributeValues contains invalid key: Syntax error; key: "${key}"`);
    }
    checkPlaceholderSize('Values', key);
  }
  const checked: Record<string, AttributeValue> = {};
  for (const key of keys) {
    try {
      checked[key] = validateValue(values[key]!);
    } catch (error) {
      if (!(error instanceof RuleError)) throw error;
      throw new RuleError(`ExpressionAttributeValues contains invalid value: ${error.message} for key ${key}`);
    }
  }
  return checked;
}

function checkPlaceholderSize(which: 'Names' | 'Values', key: string): void {
  if (key.length <= MAX_PLACEHOLDER_BYTES) return;
  throw new RuleError(
    `ExpressionAttribute${which} contains invalid key: The expression attribute map key is too long, ` +
      `must be at most ${MAX_PLACEHOLDER_BYTES} bytes; key: "${key}"`,
  );
}

function unused(which: 'Names' | 'Values', keys: ReadonlySet<string>): RuleError {
  return new RuleError(
    `Value provided in ExpressionAttribute${which} unused in expressions: keys: {${[...keys].join(', ')}}`,
  );
}
