import { AwsError } from './errors.ts';
import type { MemberRef, ServiceModel, Shape } from './model.ts';
import { memberOf, shapeOf } from './model.ts';
import { patternTest } from './pattern.ts';

/** Checks a decoded input against the model's constraints. Throws the service's validation error, in AWS's words. */
export type Validator = (input: unknown) => void;

/**
 * The compiled check of an operation's input; undefined where the model constrains nothing, so that the call costs nothing.
 * `code` is the error's code. Words and order: a structure's members in the model's order; of one value pattern, then length or range, then
 * enum, then what is inside; at most ten errors (observed on DynamoDB by the dynalite project, and in AWS answers quoted in public issues).
 */
export function compileValidator(model: ServiceModel, shapeName: string, code: string): Validator | undefined {
  const compiler: Compiler = {
    model,
    sqs: model.validation?.style === 'sqs',
    unchecked: new Set([...(model.validation?.unchecked ?? []), ...(model.validation?.opaque ?? [])]),
    known: new Map(),
  };
  const check = compileMember(compiler, { shape: shapeName });
  if (check === undefined) return undefined;
  const fail = compiler.sqs ? failAsSqs : failAsCoral;
  return (input) => {
    const violations: Violation[] = [];
    check(input, '', '', violations);
    if (violations.length > 0) fail(violations, code);
  };
}

/** Called for a value that is there (neither undefined nor null); `path` is where it stands, `name` the last step. */
type Check = (value: unknown, path: string, name: string, violations: Violation[]) => void;

interface Violation {
  readonly at: string;
  /** Undefined: the member is missing. A sensitive value is not shown. */
  readonly value: unknown;
  readonly sensitive: boolean;
  readonly text: string;
  readonly reason: string | undefined;
}

interface Compiler {
  readonly model: ServiceModel;
  readonly sqs: boolean;
  readonly unchecked: ReadonlySet<string>;
  /** By shape: its check, or undefined while it is being compiled or when it has none. */
  readonly known: Map<string, { check: Check | undefined; done: boolean }>;
}

const MAX_ERRORS = 10;

function failAsCoral(violations: readonly Violation[], code: string): never {
  const shown = violations.slice(0, MAX_ERRORS);
  const texts = shown.map(({ at, value, sensitive, text }) => {
    const quoted = sensitive ? 'Value' : value === undefined ? 'Value null' : `Value '${javaString(value)}'`;
    return `${quoted} at '${at}' failed to satisfy constraint: ${text}`;
  });
  const count = `${shown.length} validation error${shown.length > 1 ? 's' : ''} detected: `;
  throw new AwsError(code, count + texts.join('; '));
}

/** SQS answers the first fault only, in words of its own (recorded by LocalStack's snapshots, test_sqs.snapshot.json). */
function failAsSqs(violations: readonly Violation[]): never {
  const { at, value, text, reason } = violations[0]!;
  if (value === undefined || value === '') {
    throw new AwsError('MissingRequiredParameterException', `The request must contain the parameter ${at}.`);
  }
  const because = `Value ${javaString(value)} for parameter ${at} is invalid. Reason: ${reason ?? `${text}.`}`;
  throw new AwsError('InvalidParameterValueException', because);
}

/** As Java prints it, which AWS's messages show. */
function javaString(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(javaString).join(', ')}]`;
  if (value instanceof Uint8Array) return `java.nio.HeapByteBuffer[pos=0 lim=${value.length} cap=${value.length}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, inner]) => `${key}=${javaString(inner)}`);
    return `{${entries.join(', ')}}`;
  }
  return String(value);
}

function compileMember(compiler: Compiler, ref: MemberRef): Check | undefined {
  const { shape: name, min, max, reason } = memberOf(ref);
  const own = min === undefined && max === undefined ? undefined : scalarCheck({ type: 'integer', min, max }, reason);
  const check = compileShape(compiler, name);
  if (own === undefined || check === undefined) return own ?? check;
  return (value, path, at, violations) => {
    own(value, path, at, violations);
    check(value, path, at, violations);
  };
}

function compileShape(compiler: Compiler, name: string): Check | undefined {
  const known = compiler.known.get(name);
  if (known?.done) return known.check;
  if (known !== undefined) return (value, path, at, violations) => known.check?.(value, path, at, violations);
  const entry: { check: Check | undefined; done: boolean } = { check: undefined, done: false };
  compiler.known.set(name, entry);
  if (constrains(compiler, name, new Set())) entry.check = compileConstrained(compiler, shapeOf(compiler.model, name));
  entry.done = true;
  return entry.check;
}

/** Whether a shape, or one it holds, has anything to check; recursive shapes without constraints then cost nothing. */
function constrains(compiler: Compiler, name: string, visited: Set<string>): boolean {
  if (visited.has(name) || compiler.unchecked.has(name)) return false;
  visited.add(name);
  const shape = shapeOf(compiler.model, name);
  const own = shape.min ?? shape.max ?? shape.pattern ?? shape.enum ?? (shape.required?.length || undefined);
  if (own !== undefined) return true;
  const refs = [...Object.values(shape.members ?? {}), shape.member, shape.key, shape.value];
  return refs.some((ref) => {
    if (ref === undefined) return false;
    const member = memberOf(ref);
    return member.min !== undefined || member.max !== undefined || constrains(compiler, member.shape, visited);
  });
}

function compileConstrained(compiler: Compiler, shape: Shape): Check {
  switch (shape.type) {
    case 'structure':
      return structureCheck(compiler, shape);
    case 'list':
      return listCheck(compiler, shape);
    case 'map':
      return mapCheck(compiler, shape);
    default:
      return scalarCheck(shape, undefined);
  }
}

function structureCheck(compiler: Compiler, shape: Shape): Check {
  const required = new Set(shape.required ?? []);
  const steps = Object.entries(shape.members ?? {}).flatMap(([member, ref]) => {
    const check = compileMember(compiler, ref);
    if (check === undefined && !required.has(member)) return [];
    const shown = compiler.sqs ? (memberOf(ref).queryName ?? member) : lowerFirst(member);
    return [{ member, shown, check, required: required.has(member) }];
  });
  const emptyIsMissing = compiler.sqs;
  return (value, path, name, violations) => {
    const here = join(path, name);
    const structure = value as Record<string, unknown>;
    for (const step of steps) {
      const inner = structure[step.member];
      if (inner !== undefined && !(emptyIsMissing && step.required && inner === '')) {
        step.check?.(inner, here, step.shown, violations);
      } else if (step.required) {
        violations.push(violation(join(here, step.shown), inner, false, 'Member must not be null', undefined));
      }
    }
  };
}

function listCheck(compiler: Compiler, shape: Shape): Check {
  const size = sizeCheck(shape);
  const ref = shape.member!;
  const check = compileMember(compiler, ref);
  const itemShape = shapeOf(compiler.model, memberOf(ref).shape);
  if (check === undefined) return size;
  if (!compiler.sqs && isScalar(itemShape)) {
    const all = `Member must satisfy constraint: [${constraintTexts(compiler, itemShape)}]`;
    return (value, path, name, violations) => {
      size(value, path, name, violations);
      const bad = (value as unknown[]).some((item) => fails(check, item));
      if (bad) violations.push(violation(join(path, name), value, itemShape.sensitive === true, all, undefined));
    };
  }
  const listName = compiler.sqs ? memberOf(ref).queryName : undefined;
  return (value, path, name, violations) => {
    size(value, path, name, violations);
    const here = join(path, listName ?? name);
    (value as unknown[]).forEach((item, position) => {
      const at = `${here}.${position + 1}`;
      if (compiler.sqs) check(item, '', at, violations);
      else check(item, at, 'member', violations);
    });
  };
}

function mapCheck(compiler: Compiler, shape: Shape): Check {
  const size = sizeCheck(shape);
  const keyShape = shapeOf(compiler.model, memberOf(shape.key!).shape);
  const valueShape = shapeOf(compiler.model, memberOf(shape.value!).shape);
  const checkKey = compileMember(compiler, shape.key!);
  const checkValue = compileMember(compiler, shape.value!);
  const keyTexts = `Map keys must satisfy constraint: [${constraintTexts(compiler, keyShape)}]`;
  const valueTexts = `Map value must satisfy constraint: [${constraintTexts(compiler, valueShape)}]`;
  const scalarValues = isScalar(valueShape);
  return (value, path, name, violations) => {
    size(value, path, name, violations);
    const here = join(path, name);
    const map = value as Record<string, unknown>;
    for (const key of Object.keys(map)) {
      if (checkKey !== undefined && fails(checkKey, key))
        violations.push(violation(here, value, false, keyTexts, undefined));
      if (checkValue === undefined) continue;
      if (!scalarValues) checkValue(map[key], `${here}.${key}`, 'member', violations);
      else if (fails(checkValue, map[key])) {
        violations.push(violation(here, value, valueShape.sensitive === true, valueTexts, undefined));
      }
    }
  };
}

/** The constraints of a list's or map's scalars are told all together, in this order (observed on Lambda's layers and variables). */
function constraintTexts(compiler: Compiler, shape: Shape): string {
  const texts: string[] = [];
  const [least, most] = boundTexts(shape);
  if (shape.max !== undefined) texts.push(`${most} ${shape.max}`);
  if (shape.min !== undefined) texts.push(`${least} ${shape.min}`);
  if (shape.pattern !== undefined) texts.push(`Member must satisfy regular expression pattern: ${shape.pattern}`);
  if (shape.enum !== undefined) texts.push(`Member must satisfy enum value set: [${shape.enum.join(', ')}]`);
  if (compiler.model.jsonDialect !== 'dynamodb') texts.push('Member must not be null');
  return texts.join(', ');
}

function fails(check: Check, value: unknown): boolean {
  const violations: Violation[] = [];
  check(value, '', '', violations);
  return violations.length > 0;
}

function scalarCheck(shape: Constraints, reason: string | undefined): Check {
  const { pattern, enum: values } = shape;
  const matches = pattern === undefined ? undefined : patternTest(pattern, shape.max);
  const allowed = values === undefined ? undefined : new Set(values);
  const bounds = shape.min === undefined && shape.max === undefined ? undefined : sizeCheck(shape, reason);
  const sensitive = shape.sensitive === true;
  return (value, path, name, violations) => {
    if (matches !== undefined && !matches(value as string)) {
      const text = `Member must satisfy regular expression pattern: ${pattern}`;
      violations.push(violation(join(path, name), value, sensitive, text, reason));
    }
    bounds?.(value, path, name, violations);
    if (allowed !== undefined && !allowed.has(value as string)) {
      const text = `Member must satisfy enum value set: [${values!.join(', ')}]`;
      violations.push(violation(join(path, name), value, sensitive, text, reason));
    }
  };
}

/** Just the part of a shape that bounds a value; a member may carry its own. */
type Constraints = { readonly min?: number | undefined; readonly max?: number | undefined } & Pick<
  Shape,
  'type' | 'pattern' | 'enum' | 'sensitive'
>;

function sizeCheck(shape: Constraints, reason?: string): Check {
  const { min, max } = shape;
  const sizeOf = SIZES[shape.type] ?? lengthOf;
  const [least, most] = boundTexts(shape);
  const sensitive = shape.sensitive === true;
  return (value, path, name, violations) => {
    const size = sizeOf(value);
    if (min !== undefined && size < min) {
      violations.push(violation(join(path, name), value, sensitive, `${least} ${min}`, reason));
    }
    if (max !== undefined && size > max) {
      violations.push(violation(join(path, name), value, sensitive, `${most} ${max}`, reason));
    }
  };
}

const SIZES: Readonly<Record<string, (value: unknown) => number>> = {
  integer: Number,
  long: Number,
  float: Number,
  double: Number,
  map: (value) => Object.keys(value as object).length,
};

function lengthOf(value: unknown): number {
  return (value as { length: number }).length;
}

function boundTexts(shape: Constraints): readonly [least: string, most: string] {
  const what = ['integer', 'long', 'float', 'double'].includes(shape.type) ? 'value' : 'length';
  return [`Member must have ${what} greater than or equal to`, `Member must have ${what} less than or equal to`];
}

function isScalar(shape: Shape): boolean {
  return shape.type !== 'structure' && shape.type !== 'list' && shape.type !== 'map';
}

function violation(
  at: string,
  value: unknown,
  sensitive: boolean,
  text: string,
  reason: string | undefined,
): Violation {
  return { at, value, sensitive, text, reason };
}

function join(path: string, name: string): string {
  return path === '' ? name : name === '' ? path : `${path}.${name}`;
}

function lowerFirst(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
