import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Decimal, decodeKey, encodeKey, extendKey, KeyError, type KeyPart, prefixRange } from './keys.ts';

/** Decimals as DynamoDB has them: up to 38 digits, 1E-130 to 9.99E+125. */
const decimal = fc
  .tuple(fc.boolean(), fc.stringMatching(/^[1-9][0-9]{0,37}$/), fc.integer({ min: -129, max: 126 }))
  .map(([negative, digits, exponent]) => new Decimal(negative, digits, exponent));
const part: fc.Arbitrary<KeyPart> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.uint8Array({ maxLength: 20 }),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n }),
  fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .filter((value) => value === 0 || (Math.abs(value) > 1e-100 && Math.abs(value) < 1e100)),
  decimal,
);
const tuple = fc.array(part, { maxLength: 5 });

function typeRank(value: KeyPart): number {
  if (value === null) return 0;
  if (value === false) return 1;
  if (value === true) return 2;
  if (value instanceof Uint8Array) return 3;
  if (typeof value === 'string') return 4;
  return 5;
}

/** Exact, by bringing both numbers to integers of a common scale. */
function scaled(value: number | bigint | Decimal): bigint {
  const { negative, digits, exponent } = value instanceof Decimal ? value : Decimal.parse(String(value));
  if (digits === '') return 0n;
  const magnitude = BigInt(digits) * 10n ** BigInt(1200 + exponent - digits.length);
  return negative ? -magnitude : magnitude;
}

function compareParts(a: KeyPart, b: KeyPart): number {
  const rank = typeRank(a) - typeRank(b);
  if (rank !== 0) return rank;
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  if (typeof a === 'string' && typeof b === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b));
  if (a === null || typeof a === 'boolean') return 0;
  const left = scaled(a as number);
  const right = scaled(b as number);
  return left < right ? -1 : left > right ? 1 : 0;
}

function compareTuples(a: readonly KeyPart[], b: readonly KeyPart[]): number {
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    const order = compareParts(a[index]!, b[index]!);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

describe('keys', () => {
  it('sorts encoded tuples as it sorts the tuples', () => {
    fc.assert(
      fc.property(tuple, tuple, (a, b) => {
        expect(Math.sign(Buffer.compare(encodeKey(...a), encodeKey(...b)))).toBe(Math.sign(compareTuples(a, b)));
      }),
      { numRuns: 5000 },
    );
  });

  it('gives the tuple back', () => {
    fc.assert(
      fc.property(tuple, (parts) => {
        expect(compareTuples(decodeKey(encodeKey(...parts)), parts)).toBe(0);
      }),
      { numRuns: 2000 },
    );
  });

  it('writes a number in one way, whatever its type', () => {
    for (const [a, b] of [
      [100, new Decimal(false, '1', 3)],
      [-1200n, -1200],
      [0.5, Decimal.parse('5e-1')],
      [0, -0],
      [0, Decimal.parse('0.000')],
      [10, 10n],
    ] as const) {
      expect(encodeKey(a)).toEqual(encodeKey(b));
    }
  });

  it('keeps bytes and the equal string apart', () => {
    expect(encodeKey('ab')).not.toEqual(encodeKey(Buffer.from('ab')));
  });

  it('extends a prefix as if the whole tuple were encoded, and finds exactly what extends it', () => {
    fc.assert(
      fc.property(tuple, tuple, tuple, (prefix, rest, other) => {
        const key = extendKey(encodeKey(...prefix), ...rest);
        expect(key).toEqual(encodeKey(...prefix, ...rest));
        const { start, end } = prefixRange(encodeKey(...prefix));
        const inside = (candidate: Buffer): boolean =>
          Buffer.compare(candidate, start) >= 0 && Buffer.compare(candidate, end) < 0;
        expect(inside(key)).toBe(rest.length > 0);
        const extendsPrefix =
          other.length > prefix.length && compareTuples(other.slice(0, prefix.length), prefix) === 0;
        expect(inside(encodeKey(...other))).toBe(extendsPrefix);
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses what cannot be a key', () => {
    expect(() => encodeKey(Number.NaN)).toThrow(KeyError);
    expect(() => encodeKey('\ud800')).toThrow(KeyError);
    expect(() => encodeKey('a\0\ud800')).toThrow(KeyError);
    expect(() => encodeKey('x'.repeat(2399))).toThrow(/at most 2400 bytes/);
    expect(() => encodeKey('x'.repeat(1_000_000))).toThrow(KeyError);
    expect(() => encodeKey(Buffer.alloc(1300))).toThrow(KeyError);
    expect(encodeKey('x'.repeat(2398))).toHaveLength(2400);
  });
});
