import { compileComparison, type ValueTest } from './compare.ts';
import { invalidPattern, Scanner } from './scanner.ts';

type Test = (value: unknown) => boolean;
type Step = string | number | '*';

/**
 * `{ $.level = "error" && ($.code > 499 || $.tags[0] = x*) }`: true for messages that are JSON objects of which it holds.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
 */
export function compileJsonPattern(pattern: string): (message: string) => boolean {
  const scanner = new Scanner(pattern);
  scanner.expect('{');
  const test = disjunction(scanner);
  scanner.expect('}');
  if (!scanner.done) throw invalidPattern();
  return (message) => {
    const start = message.trimStart()[0];
    if (start !== '{' && start !== '[') return false;
    try {
      return test(JSON.parse(message));
    } catch {
      return false;
    }
  };
}

function disjunction(scanner: Scanner): Test {
  const tests = [conjunction(scanner)];
  while (scanner.take('||')) tests.push(conjunction(scanner));
  return tests.length === 1 ? tests[0]! : (value) => tests.some((test) => test(value));
}

function conjunction(scanner: Scanner): Test {
  const tests = [term(scanner)];
  while (scanner.take('&&')) tests.push(term(scanner));
  return tests.length === 1 ? tests[0]! : (value) => tests.every((test) => test(value));
}

function term(scanner: Scanner): Test {
  if (scanner.take('(')) {
    const test = disjunction(scanner);
    scanner.expect(')');
    return test;
  }
  const select = selector(scanner);
  if (scanner.takeWord('NOT')) {
    if (!scanner.takeWord('EXISTS')) throw invalidPattern();
    return (value) => select(value).length === 0;
  }
  if (scanner.takeWord('EXISTS')) return (value) => select(value).length > 0;
  if (scanner.takeWord('IS')) return constantTest(scanner, select);
  const operator = scanner.operator();
  if (operator === undefined) throw invalidPattern();
  const compared = compileComparison(operator, scanner.value(/^[^\s"&|(){}]+/));
  if (compared === undefined) throw invalidPattern();
  return (value) => select(value).some((one) => isPlain(one) && compared(plain(one)));
}

/** `IS NULL`, `IS TRUE`, `IS FALSE`, and each with NOT. */
function constantTest(scanner: Scanner, select: (value: unknown) => unknown[]): Test {
  const negated = scanner.takeWord('NOT');
  const wanted = scanner.takeWord('NULL')
    ? null
    : scanner.takeWord('TRUE')
      ? true
      : scanner.takeWord('FALSE')
        ? false
        : undefined;
  if (wanted === undefined) throw invalidPattern();
  return (value) => select(value).some((one) => (one === wanted) !== negated);
}

function isPlain(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function plain(value: string | number | boolean): Parameters<ValueTest>[0] {
  return typeof value === 'boolean' ? String(value) : value;
}

/** `$.a.b[0].c`, `$['a']`, `$.list[*]`. */
function selector(scanner: Scanner): (value: unknown) => unknown[] {
  scanner.expect('$');
  const steps: Step[] = [];
  for (;;) {
    const name = scanner.matchHere(/^\.[\p{L}\p{N}_@-]+/u);
    const quoted = name === undefined ? scanner.matchHere(/^\[\s*(?:'[^']*'|"[^"]*")\s*\]/) : undefined;
    const index = name === undefined && quoted === undefined ? scanner.matchHere(/^\[\s*(?:\d+|\*)\s*\]/) : undefined;
    if (name !== undefined) steps.push(name.slice(1));
    else if (quoted !== undefined) steps.push(quoted.slice(1, -1).trim().slice(1, -1));
    else if (index !== undefined) steps.push(index.includes('*') ? '*' : Number(index.slice(1, -1)));
    else break;
  }
  if (steps.length === 0) throw invalidPattern();
  const wild = steps.map((step, at) => (step === '*' ? at : -1)).filter((at) => at >= 0);
  return (value) =>
    steps.reduce<unknown[]>(
      (found, step, at) => found.flatMap((one) => stepInto(one, step, wild.includes(at))),
      [value],
    );
}

function stepInto(value: unknown, step: Step, every: boolean): unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  if (every) return Array.isArray(value) ? (value as unknown[]) : [];
  if (typeof step === 'number') return Array.isArray(value) && step < value.length ? [(value as unknown[])[step]] : [];
  return !Array.isArray(value) && Object.hasOwn(value, step) ? [(value as Record<string, unknown>)[step]] : [];
}
