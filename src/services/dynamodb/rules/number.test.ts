import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RuleError } from './errors.ts';
import {
  addNumbers,
  compareNumbers,
  compareParts,
  decompose,
  formatNumber,
  normalizeNumber,
  numberSizeBytes,
  parseNumber,
  subtractNumbers,
} from './number.ts';

/** The value times 10^170, as an integer: enough for any DynamoDB number. */
function exact(text: string): bigint {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text)!;
  const fraction = match[3] ?? '';
  const power = 170 + Number(match[4] ?? 0) - fraction.length;
  return BigInt((match[1] === '-' ? '-' : '') + (match[2] ?? '') + fraction) * 10n ** BigInt(power);
}

const anyNumber = fc
  .tuple(
    fc.constantFrom('', '-', '+'),
    fc.bigInt({ min: 0n, max: 10n ** 38n - 1n }),
    fc.nat(40),
    fc.integer({ min: -90, max: 80 }),
  )
  .map(([sign, coefficient, pointFromEnd, exponent]) => {
    const digits = coefficient.toString().padStart(pointFromEnd + 1, '0');
    const cut = digits.length - pointFromEnd;
    const point = pointFromEnd === 0 ? '' : `.${digits.slice(cut)}`;
    return `${sign}${digits.slice(0, cut)}${point}${exponent === 0 ? '' : `e${exponent}`}`;
  });

function outcome(run: () => string): string {
  try {
    return run();
  } catch (error) {
    if (error instanceof RuleError) return 'refused';
    throw error;
  }
}

describe('numbers', () => {
  // Observed on AWS: ScyllaDB test/alternator/test_number.py, _NORMALIZATION_CASES.
  it.each([
    ['007', '7'],
    ['+3', '3'],
    ['1.10', '1.1'],
    ['100.000', '100'],
    ['0.0', '0'],
    ['-0', '0'],
    ['-0.0', '0'],
    ['0e5', '0'],
    ['0e125', '0'],
    ['0.0e126', '0'],
    ['1E+3', '1000'],
    ['-3e2', '-300'],
    ['1.23e-1', '0.123'],
    ['123e-2', '1.23'],
    ['.5', '0.5'],
    ['-.5', '-0.5'],
    ['1e125', `1${'0'.repeat(125)}`],
    ['1e-20', '0.00000000000000000001'],
    ['-273.15', '-273.15'],
    ['100', '100'],
  ])('%s becomes %s', (input, output) => {
    expect(normalizeNumber(input)).toBe(output);
  });

  it.each([
    ['', 'The parameter cannot be converted to a numeric value'],
    ['b', 'The parameter cannot be converted to a numeric value: b'],
    [' 1', 'The parameter cannot be converted to a numeric value:  1'],
    ['.', 'The parameter cannot be converted to a numeric value: .'],
    ['NaN', 'The parameter cannot be converted to a numeric value: NaN'],
    ['Infinity', 'The parameter cannot be converted to a numeric value: Infinity'],
    ['0x10', 'The parameter cannot be converted to a numeric value: 0x10'],
    ['123456789012345678901234567890123456789', 'Attempting to store more than 38 significant digits in a Number'],
    ['-1.23456789012345678901234567890123456789', 'Attempting to store more than 38 significant digits in a Number'],
    ['1e126', 'Number overflow. Attempting to store a number with magnitude larger than supported range'],
    ['1.0e100000000', 'Number overflow. Attempting to store a number with magnitude larger than supported range'],
    ['-11e125', 'Number overflow. Attempting to store a number with magnitude larger than supported range'],
    ['0e126', 'Number overflow. Attempting to store a number with magnitude larger than supported range'],
    ['1e9223372036854775808000', 'The parameter cannot be converted to a numeric value: 1e9223372036854775808000'],
    ['1e-131', 'Number underflow. Attempting to store a number with magnitude smaller than supported range'],
    ['0.9e-130', 'Number underflow. Attempting to store a number with magnitude smaller than supported range'],
  ])('refuses %s', (input, message) => {
    expect(() => normalizeNumber(input)).toThrow(new RuleError(message));
  });

  it('accepts 38 digits, with zeros around them, at both ends of the range', () => {
    for (const text of ['9'.repeat(38) + '0'.repeat(88), `0.${'0'.repeat(129)}1`, `00${'9'.repeat(38)}.000`]) {
      expect(exact(normalizeNumber(text))).toBe(exact(text));
    }
  });

  it('normalises without changing the value, and only once', () => {
    fc.assert(
      fc.property(anyNumber, (text) => {
        const canonical = normalizeNumber(text);
        expect(exact(canonical)).toBe(exact(text));
        expect(normalizeNumber(canonical)).toBe(canonical);
        expect(canonical).toMatch(/^(0|-?(0|[1-9]\d*)(\.\d*[1-9])?)$/);
        expect(formatNumber(decompose(canonical))).toBe(canonical);
        expect(decompose(canonical)).toEqual(parseNumber(text));
      }),
    );
  });

  it('orders as the values do, whole and taken apart', () => {
    fc.assert(
      fc.property(anyNumber, anyNumber, (x, y) => {
        const [a, b] = [normalizeNumber(x), normalizeNumber(y)];
        const order = exact(a) < exact(b) ? -1 : exact(a) > exact(b) ? 1 : 0;
        expect(Math.sign(compareNumbers(a, b))).toBe(order);
        expect(Math.sign(compareParts(decompose(a), decompose(b)))).toBe(order);
      }),
    );
  });

  it('adds and subtracts exactly or refuses', () => {
    const close = fc.tuple(anyNumber, anyNumber, fc.boolean()).map(([x, y, near]) => [x, near ? `${x}` : y] as const);
    fc.assert(
      fc.property(close, ([x, y]) => {
        const [a, b] = [normalizeNumber(x), normalizeNumber(y)];
        for (const [total, expected] of [
          [outcome(() => addNumbers(a, b)), exact(a) + exact(b)],
          [outcome(() => subtractNumbers(a, b)), exact(a) - exact(b)],
        ] as const) {
          const digits = expected.toString().replace('-', '').replace(/0+$/, '');
          const magnitude = expected.toString().replace('-', '').length - 1 - 170;
          const fits = expected === 0n || (digits.length <= 38 && magnitude <= 125 && magnitude >= -130);
          if (fits) expect(exact(total)).toBe(expected);
          else expect(total).toBe('refused');
        }
      }),
    );
  });

  it('adds short integers exactly at the edge of the fast path', () => {
    expect(addNumbers('999999999999999', '1')).toBe('1000000000000000');
    expect(addNumbers('9007199254740993', '1')).toBe('9007199254740994');
    expect(subtractNumbers('5', '5')).toBe('0');
    expect(subtractNumbers('-5', '-5')).toBe('0');
    expect(addNumbers('0.1', '0.2')).toBe('0.3');
    expect(addNumbers('1', '10000000000000000000000')).toBe('10000000000000000000001');
  });

  it('refuses sums outside the range or beyond 38 digits with the texts AWS uses', () => {
    const [nine, e50] = [normalizeNumber('9e125'), normalizeNumber('1e50')];
    const overflow = 'Number overflow. Attempting to store a number with magnitude larger than supported range';
    expect(() => addNumbers(nine, nine)).toThrow(overflow);
    expect(() => subtractNumbers(e50, '1')).toThrow(overflow);
    expect(() => subtractNumbers(normalizeNumber('1.1e-130'), normalizeNumber('1e-130'))).toThrow('Number underflow');
  });

  // Measured on AWS against the 400 KB limit: paritysuite/dynamodb-conformance, numberByteSize.test.ts (2026-08).
  it.each([
    ['0', 1],
    ['1', 2],
    ['12', 2],
    ['123', 3],
    ['1234', 3],
    ['12345678901234567890123456789012345678', 20],
    ['0042', 2],
    ['100', 2],
    ['1010', 3],
    ['0.0000001', 2],
    ['1E125', 2],
    ['1E-100', 2],
    ['1.5', 3],
    ['15', 2],
    ['1.200', 3],
    ['1.234', 4],
    ['3.14159', 5],
    ['123456', 4],
    ['-1', 3],
  ])('%s takes %i bytes', (text, bytes) => {
    expect(numberSizeBytes(normalizeNumber(text))).toBe(bytes);
  });
});
