import { matchesWildcard } from '../../../platform/policy.ts';

/**
 * Event patterns as event source mappings filter by
 * (https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html): an object of fields, each with a list of acceptable values
 * or comparisons: prefix, suffix, equals-ignore-case, wildcard, anything-but, numeric, exists, and `$or`.
 */
export type EventPattern = { readonly [field: string]: EventPattern | readonly unknown[] };

/** The pattern, or undefined where the text is no valid one. */
export function parsePattern(text: string): EventPattern | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isPattern(parsed) ? parsed : undefined;
}

/** Patterns that were checked when they were taken. */
export function patternsOf(texts: readonly string[]): readonly EventPattern[] {
  return texts.map((text) => parsePattern(text)).filter((pattern) => pattern !== undefined);
}

export function matchesPattern(pattern: EventPattern, value: unknown): boolean {
  return Object.entries(pattern).every(([field, wanted]) => {
    if (field === '$or' && Array.isArray(wanted))
      return wanted.some((branch) => matchesPattern(branch as EventPattern, value));
    // A field is looked for in every element of a list of objects.
    const found = fieldValues(value, field);
    if (Array.isArray(wanted)) return wanted.some((one) => acceptsAny(one, found));
    if (found.length === 0) return matchesPattern(wanted as EventPattern, undefined);
    return found.some((inner) => matchesPattern(wanted as EventPattern, inner));
  });
}

function fieldValues(value: unknown, field: string): readonly unknown[] {
  if (Array.isArray(value)) return value.flatMap((element) => fieldValues(element, field));
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, field)) return [];
  const found = (value as Record<string, unknown>)[field];
  return Array.isArray(found) && found.length > 0 ? found : [found];
}

function acceptsAny(wanted: unknown, found: readonly unknown[]): boolean {
  if (isObject(wanted) && 'exists' in wanted) return wanted.exists === found.some((one) => !isObject(one));
  return found.some((one) => accepts(wanted, one));
}

function accepts(wanted: unknown, actual: unknown): boolean {
  if (!isObject(wanted)) return wanted === actual;
  const [operator, operand] = Object.entries(wanted)[0] as [string, unknown];
  switch (operator) {
    case 'prefix':
    case 'suffix':
      return affixMatches(operator, operand, actual);
    case 'equals-ignore-case':
      return typeof actual === 'string' && actual.toLowerCase() === String(operand).toLowerCase();
    case 'wildcard':
      // A question mark is a plain character here.
      return typeof actual === 'string' && matchesWildcard(plainMarks(String(operand)), plainMarks(actual));
    case 'anything-but':
      return anythingBut(operand, actual);
    case 'numeric':
      return typeof actual === 'number' && numericMatches(operand as readonly unknown[], actual);
    default:
      return false;
  }
}

function plainMarks(text: string): string {
  return text.replaceAll('?', '\u0000');
}

function affixMatches(operator: 'prefix' | 'suffix', operand: unknown, actual: unknown): boolean {
  if (typeof actual !== 'string') return false;
  const folded = isObject(operand);
  const affix = String(folded ? operand['equals-ignore-case'] : operand);
  const [text, part] = folded ? [actual.toLowerCase(), affix.toLowerCase()] : [actual, affix];
  return operator === 'prefix' ? text.startsWith(part) : text.endsWith(part);
}

function anythingBut(operand: unknown, actual: unknown): boolean {
  if (isObject(operand)) {
    const [operator, inner] = Object.entries(operand)[0] as [string, unknown];
    const refused = Array.isArray(inner) ? inner : [inner];
    return !refused.some((one) => accepts({ [operator]: one }, actual));
  }
  const refused = Array.isArray(operand) ? operand : [operand];
  return !refused.includes(actual);
}

function numericMatches(comparisons: readonly unknown[], actual: number): boolean {
  for (let index = 0; index < comparisons.length; index += 2) {
    if (!compare(actual, comparisons[index] as string, comparisons[index + 1] as number)) return false;
  }
  return true;
}

function compare(actual: number, operator: string, bound: number): boolean {
  switch (operator) {
    case '=':
      return actual === bound;
    case '<':
      return actual < bound;
    case '<=':
      return actual <= bound;
    case '>':
      return actual > bound;
    default:
      return actual >= bound;
  }
}

function isPattern(value: unknown): value is EventPattern {
  if (!isObject(value)) return false;
  const fields = Object.entries(value);
  return fields.length > 0 && fields.every(([field, wanted]) => isWanted(field, wanted));
}

function isWanted(field: string, wanted: unknown): boolean {
  if (!Array.isArray(wanted)) return isPattern(wanted);
  if (wanted.length === 0) return false;
  return field === '$or' ? wanted.length > 1 && wanted.every(isPattern) : wanted.every(isComparison);
}

function isComparison(value: unknown): boolean {
  if (!isObject(value)) return !Array.isArray(value);
  const entries = Object.entries(value);
  const [operator, operand] = entries[0] ?? [];
  if (entries.length !== 1) return false;
  switch (operator) {
    case 'exists':
      return typeof operand === 'boolean';
    case 'prefix':
    case 'suffix':
      return typeof operand === 'string' || (isObject(operand) && typeof operand['equals-ignore-case'] === 'string');
    case 'equals-ignore-case':
    case 'wildcard':
      return typeof operand === 'string';
    case 'anything-but':
      return isAnythingBut(operand);
    case 'numeric':
      return isNumeric(operand);
    default:
      return false;
  }
}

function isAnythingBut(operand: unknown): boolean {
  if (isObject(operand)) {
    const [operator, inner] = Object.entries(operand)[0] ?? [];
    const known = ['prefix', 'suffix', 'equals-ignore-case', 'wildcard'].includes(operator ?? '');
    return known && (Array.isArray(inner) ? inner : [inner]).every((one) => typeof one === 'string');
  }
  const values = Array.isArray(operand) ? operand : [operand];
  return values.length > 0 && values.every((one) => typeof one === 'string' || typeof one === 'number');
}

function isNumeric(operand: unknown): boolean {
  if (!Array.isArray(operand) || (operand.length !== 2 && operand.length !== 4)) return false;
  return operand.every((part, index) =>
    index % 2 === 1 ? typeof part === 'number' : ['=', '<', '<=', '>', '>='].includes(part as string),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
