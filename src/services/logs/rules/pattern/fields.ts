import { compileComparison } from './compare.ts';
import { invalidPattern, Scanner } from './scanner.ts';

type FieldTest = (value: string) => boolean;

/** One field of a pattern; 'rest' is the ellipsis: any number of fields. */
type Field = { readonly kind: 'rest' } | { readonly kind: 'field'; readonly test: FieldTest };

/**
 * `[ip, user, ..., status = 4* && status != 404, bytes > 1000]`: true for messages whose fields, separated by spaces, fit one by
 * one. What stands in quotes or square brackets is one field.
 */
export function compileFieldPattern(pattern: string): (message: string) => boolean {
  const scanner = new Scanner(pattern);
  scanner.expect('[');
  const fields: Field[] = [];
  do fields.push(field(scanner));
  while (scanner.take(','));
  scanner.expect(']');
  if (!scanner.done || fields.filter(({ kind }) => kind === 'rest').length > 1) throw invalidPattern();
  const rest = fields.findIndex(({ kind }) => kind === 'rest');
  return (message) => {
    const values = splitFields(message);
    if (rest === -1) return values.length === fields.length && values.every((value, at) => fits(fields[at]!, value));
    const behind = fields.length - rest - 1;
    if (values.length < rest + behind) return false;
    const start = values.length - behind;
    return values.every((value, at) =>
      at < rest ? fits(fields[at]!, value) : at < start || fits(fields[rest + 1 + at - start]!, value),
    );
  };
}

function fits(field: Field, value: string): boolean {
  return field.kind === 'rest' || field.test(value);
}

function field(scanner: Scanner): Field {
  if (scanner.take('...')) return { kind: 'rest' };
  const test = disjunction(scanner);
  return { kind: 'field', test };
}

function disjunction(scanner: Scanner): FieldTest {
  const tests = [conjunction(scanner)];
  while (scanner.take('||')) tests.push(conjunction(scanner));
  return (value) => tests.some((test) => test(value));
}

function conjunction(scanner: Scanner): FieldTest {
  const tests = [condition(scanner)];
  while (scanner.take('&&')) tests.push(condition(scanner));
  return (value) => tests.every((test) => test(value));
}

function condition(scanner: Scanner): FieldTest {
  if (scanner.take('(')) {
    const test = disjunction(scanner);
    scanner.expect(')');
    return test;
  }
  // A field may be left without a name.
  const name = scanner.match(/^[\p{L}\p{N}_$.@-]+/u);
  const operator = scanner.operator();
  if (operator === undefined) return () => true;
  if (name === undefined) throw invalidPattern();
  const compared = compileComparison(operator, scanner.value(/^[^\s",&|()\]]+/));
  if (compared === undefined) throw invalidPattern();
  return compared;
}

function splitFields(message: string): string[] {
  const found = message.match(/\[[^\]]*\]|"[^"]*"|\S+/g) ?? [];
  return found.map((text) => (/^(?:\[.*\]|".*")$/s.test(text) ? text.slice(1, -1) : text));
}
