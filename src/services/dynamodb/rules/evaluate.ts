/**
 * Evaluation of bound conditions: compiled once to closures, then run on each item.
 * Semantics: developer guide "Comparison operator and function reference"; corners from ScyllaDB's
 * test_condition_expression.py, run against AWS: a comparison with something missing is false, except `<>`, which is
 * true.
 */
import type { Condition, Operand, Path } from './ast.ts';
import { memberOf, valueAt } from './paths.ts';
import {
  type AttributeType,
  type AttributeValue,
  attributeOf,
  compareValues,
  type Item,
  typeOf,
  valuesEqual,
} from './values.ts';

/** Whether an item satisfies a condition; an item that does not exist is `{}`. */
export type Predicate = (item: Item) => boolean;

type Reader = (item: Item) => AttributeValue | undefined;

/** Compiles a bound condition to a predicate. */
export function compileCondition(condition: Condition): Predicate {
  switch (condition.kind) {
    case 'and':
      return compileAll(condition.terms.map(compileCondition));
    case 'or':
      return compileAny(condition.terms.map(compileCondition));
    case 'not': {
      const term = compileCondition(condition.term);
      return (item) => !term(item);
    }
    case 'compare':
      return compileComparison(condition.operator, reader(condition.left), reader(condition.right));
    case 'between': {
      const [operand, low, high] = [reader(condition.operand), reader(condition.low), reader(condition.high)];
      return (item) => {
        const value = operand(item);
        return ordered(low(item), value, (order) => order <= 0) && ordered(value, high(item), (order) => order <= 0);
      };
    }
    case 'in': {
      const operand = reader(condition.operand);
      const list = condition.list.map(reader);
      return (item) => {
        const value = operand(item);
        return value !== undefined && list.some((each) => equal(value, each(item)));
      };
    }
    case 'attribute_exists': {
      const attribute = pathReader(condition.path);
      return (item) => attribute(item) !== undefined;
    }
    case 'attribute_not_exists': {
      const attribute = pathReader(condition.path);
      return (item) => attribute(item) === undefined;
    }
    case 'attribute_type': {
      const operand = reader(condition.operand);
      const type: AttributeType = condition.type;
      return (item) => operand(item)?.[type] !== undefined;
    }
    case 'begins_with':
      return compileBinary(condition.operand, condition.argument, beginsWith);
    case 'contains':
      return compileBinary(condition.operand, condition.argument, contains);
  }
}

/** All document paths a condition looks at. */
export function pathsOfCondition(condition: Condition): readonly Path[] {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.terms.flatMap(pathsOfCondition);
    case 'not':
      return pathsOfCondition(condition.term);
    case 'compare':
      return [condition.left, condition.right].flatMap(pathsOfOperand);
    case 'between':
      return [condition.operand, condition.low, condition.high].flatMap(pathsOfOperand);
    case 'in':
      return [condition.operand, ...condition.list].flatMap(pathsOfOperand);
    case 'attribute_exists':
    case 'attribute_not_exists':
      return [condition.path];
    case 'attribute_type':
      return pathsOfOperand(condition.operand);
    case 'begins_with':
    case 'contains':
      return [condition.operand, condition.argument].flatMap(pathsOfOperand);
  }
}

function pathsOfOperand(operand: Operand): readonly Path[] {
  if (operand.kind === 'path') return [operand.path];
  if (operand.kind === 'condition') return pathsOfCondition(operand.condition);
  return operand.kind === 'size' ? pathsOfOperand(operand.operand) : [];
}

function compileAll(terms: readonly Predicate[]): Predicate {
  const [first, second] = terms;
  if (terms.length === 2) return (item) => first!(item) && second!(item);
  return (item) => terms.every((term) => term(item));
}

function compileAny(terms: readonly Predicate[]): Predicate {
  return (item) => terms.some((term) => term(item));
}

function compileComparison(operator: '=' | '<>' | '<' | '<=' | '>' | '>=', left: Reader, right: Reader): Predicate {
  switch (operator) {
    case '=':
      return (item) => equal(left(item), right(item));
    case '<>':
      return (item) => !equal(left(item), right(item));
    case '<':
      return (item) => ordered(left(item), right(item), (order) => order < 0);
    case '<=':
      return (item) => ordered(left(item), right(item), (order) => order <= 0);
    case '>':
      return (item) => ordered(left(item), right(item), (order) => order > 0);
    case '>=':
      return (item) => ordered(left(item), right(item), (order) => order >= 0);
  }
}

function compileBinary(
  operand: Operand,
  argument: Operand,
  test: (value: AttributeValue, argument: AttributeValue) => boolean,
): Predicate {
  const [readOperand, readArgument] = [reader(operand), reader(argument)];
  return (item) => {
    const value = readOperand(item);
    const other = readArgument(item);
    return value !== undefined && other !== undefined && test(value, other);
  };
}

function reader(operand: Operand): Reader {
  if (operand.kind === 'path') return pathReader(operand.path);
  if (operand.kind === 'value') {
    const { value } = operand;
    return () => value;
  }
  if (operand.kind === 'condition') {
    const holds = compileCondition(operand.condition);
    return (item) => ({ BOOL: holds(item) });
  }
  const inner = reader(operand.operand);
  return (item) => {
    const value = inner(item);
    const size = value === undefined ? undefined : sizeOf(value);
    return size === undefined ? undefined : { N: String(size) };
  };
}

function pathReader(path: Path): Reader {
  const name = path[0] as string;
  if (path.length === 1) return (item) => attributeOf(item, name);
  if (path.length === 2) {
    const second = path[1]!;
    return (item) => {
      const value = attributeOf(item, name);
      return value && memberOf(value, second);
    };
  }
  return (item) => valueAt(item, path);
}

/**
 * size(): length of strings (in UTF-16 units, as in Java; unverified beyond the basic plane), bytes of binaries, elements
 * of the rest; numbers, booleans and nulls have none.
 */
function sizeOf(value: AttributeValue): number | undefined {
  switch (typeOf(value)) {
    case 'S':
      return value.S!.length;
    case 'B':
      return value.B!.length;
    case 'SS':
      return value.SS!.length;
    case 'NS':
      return value.NS!.length;
    case 'BS':
      return value.BS!.length;
    case 'L':
      return value.L!.length;
    case 'M':
      return Object.keys(value.M!).length;
    default:
      return undefined;
  }
}

function equal(a: AttributeValue | undefined, b: AttributeValue | undefined): boolean {
  return a !== undefined && b !== undefined && valuesEqual(a, b);
}

function ordered(
  a: AttributeValue | undefined,
  b: AttributeValue | undefined,
  test: (order: number) => boolean,
): boolean {
  const order = a === undefined || b === undefined ? undefined : compareValues(a, b);
  return order !== undefined && test(order);
}

/** Whether a string or binary begins with another. */
export function beginsWith(value: AttributeValue, prefix: AttributeValue): boolean {
  if (value.S !== undefined && prefix.S !== undefined) return value.S.startsWith(prefix.S);
  if (value.B === undefined || prefix.B === undefined || prefix.B.length > value.B.length) return false;
  return Buffer.compare(value.B.subarray(0, prefix.B.length), prefix.B) === 0;
}

function contains(value: AttributeValue, part: AttributeValue): boolean {
  if (value.L !== undefined) return value.L.some((element) => valuesEqual(element, part));
  if (part.S !== undefined) return value.S?.includes(part.S) ?? value.SS?.includes(part.S) ?? false;
  if (part.N !== undefined) return value.NS?.includes(part.N) ?? false;
  if (part.B === undefined) return false;
  const bytes = part.B;
  if (value.B !== undefined) return Buffer.from(value.B).indexOf(bytes) >= 0;
  return value.BS?.some((member) => Buffer.compare(member, bytes) === 0) ?? false;
}
