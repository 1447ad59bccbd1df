import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RuleError } from './errors.ts';
import { itemFromJson, itemToJson } from './item-json.ts';
import {
  type AttributeValue,
  attributeOf,
  checkItemSize,
  checkUpdatedItemSize,
  compareStrings,
  compareValues,
  itemSizeBytes,
  mapsEqual,
  setAttribute,
  typeOf,
  validateAttributes,
  validateValue,
  valueSizeBytes,
  valuesEqual,
} from './values.ts';

const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'base64'));
const deep = (levels: number): AttributeValue => (levels === 0 ? { S: 'leaf' } : { M: { n: deep(levels - 1) } });

const scalar: fc.Arbitrary<AttributeValue> = fc.oneof(
  fc.string({ unit: 'binary' }).map((S) => ({ S })),
  fc.integer().map((n) => ({ N: String(n) })),
  fc.uint8Array().map((B) => ({ B })),
  fc.boolean().map((BOOL) => ({ BOOL })),
  fc.constant({ NULL: true }),
  fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 4 }).map((SS) => ({ SS })),
  fc.uniqueArray(fc.integer(), { minLength: 1, maxLength: 4 }).map((ns) => ({ NS: ns.map(String) })),
  fc
    .uniqueArray(fc.uint8Array({ maxLength: 3 }), { minLength: 1, maxLength: 3, selector: (b) => b.join() })
    .map((BS) => ({ BS })),
);
const names = fc.oneof(fc.string({ minLength: 1 }), fc.constantFrom('__proto__', 'constructor', 'B', 'BS', 'M'));
const anyValue: fc.Arbitrary<AttributeValue> = fc.letrec<{ value: AttributeValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }).map((L) => ({ L })),
    fc.array(fc.tuple(names, tie('value')), { maxLength: 3 }).map((entries) => ({ M: Object.fromEntries(entries) })),
  ),
})).value;
const anyItem = fc.array(fc.tuple(names, anyValue), { maxLength: 4 }).map((entries) => Object.fromEntries(entries));

describe('validation of values', () => {
  // dynalite, test/putItem.js: "unsupported datatype", "invalid values", "empty/invalid numbers", "multiple datatypes".
  const empty = 'Supplied AttributeValue is empty, must contain exactly one of the supported datatypes';
  it.each<[AttributeValue, string]>([
    [{}, empty],
    [{ a: '' } as AttributeValue, empty],
    [{ M: { a: {} } }, empty],
    [{ L: [{}] }, empty],
    [
      { NULL: false },
      'One or more parameter values were invalid: Null attribute value types must have the value of true',
    ],
    [{ SS: [] }, 'One or more parameter values were invalid: An string set  may not be empty'],
    [{ NS: [] }, 'One or more parameter values were invalid: An number set  may not be empty'],
    [{ BS: [] }, 'One or more parameter values were invalid: Binary sets should not be empty'],
    [{ SS: ['a', 'a'] }, 'One or more parameter values were invalid: Input collection [a, a] contains duplicates.'],
    [
      { BS: [bytes('Yg=='), bytes('Yg==')] },
      'One or more parameter values were invalid: Input collection [Yg==, Yg==]of type BS contains duplicates.',
    ],
    [{ NS: ['1', '1.0'] }, 'Input collection contains duplicates'],
    [{ S: '', N: '' }, 'The parameter cannot be converted to a numeric value'],
    [{ S: 'a', N: 'b' }, 'The parameter cannot be converted to a numeric value: b'],
    [{ NS: ['1', 'b'] }, 'The parameter cannot be converted to a numeric value: b'],
    [
      { N: '1', S: 'a' },
      'Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes',
    ],
    [
      deep(32),
      'Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit',
    ],
  ])('refuses %j', (value, message) => {
    expect(() => validateValue(value)).toThrow(new RuleError(message));
  });

  it('accepts 31 levels around a scalar, and empty strings and bytes', () => {
    for (const value of [deep(31), { S: '' }, { B: new Uint8Array() }, { L: [] }, { M: {} }]) {
      expect(validateValue(value)).toBe(value);
    }
  });

  it('normalises numbers wherever they are and leaves the request as it was', () => {
    const value: AttributeValue = { L: [{ N: '1.0' }, { M: { a: { NS: ['2e1', '3'] }, b: { S: 'x' } } }] };
    expect(validateValue(value)).toEqual({ L: [{ N: '1' }, { M: { a: { NS: ['20', '3'] }, b: { S: 'x' } } }] });
    expect(value.L![0]!.N).toBe('1.0');
    expect(validateValue({ S: undefined, N: '01' } as unknown as AttributeValue)).toEqual({ N: '1' });
  });

  it('refuses empty and overlong names', () => {
    expect(() => validateAttributes({ '': { S: 'a' } })).toThrow('Empty attribute name');
    expect(() => validateAttributes({ ['a'.repeat(65_536)]: { S: 'a' } })).toThrow('65536');
    expect(() => validateAttributes({ ['a'.repeat(65_535)]: { S: 'a' } })).not.toThrow();
  });

  it('accepts what is valid, once and again', () => {
    fc.assert(
      fc.property(anyItem, (item) => {
        expect(validateAttributes(item)).toBe(item);
      }),
    );
  });
});

describe('equality and order', () => {
  it('takes sets without order and numbers by value', () => {
    expect(valuesEqual({ SS: ['a', 'b'] }, { SS: ['b', 'a'] })).toBe(true);
    expect(valuesEqual({ BS: [bytes('AA=='), bytes('AQ==')] }, { BS: [bytes('AQ=='), bytes('AA==')] })).toBe(true);
    expect(valuesEqual({ NS: ['1', '2'] }, { NS: ['1', '3'] })).toBe(false);
    expect(valuesEqual({ L: [{ S: 'a' }, { S: 'b' }] }, { L: [{ S: 'b' }, { S: 'a' }] })).toBe(false);
    expect(valuesEqual({ M: { a: { N: '1' }, b: { N: '2' } } }, { M: { b: { N: '2' }, a: { N: '1' } } })).toBe(true);
    expect(valuesEqual({ S: '1' }, { N: '1' })).toBe(false);
    expect(valuesEqual({ M: {} }, { M: { toString: { S: 'a' } } })).toBe(false);
  });

  it('orders strings by their UTF-8 bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        expect(Math.sign(compareStrings(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
    expect(compareStrings('\u{1F600}', '\uFFFD')).toBeGreaterThan(0);
  });

  it('orders bytes unsigned and nothing across types', () => {
    expect(compareValues({ B: Uint8Array.of(0xff) }, { B: Uint8Array.of(1) })).toBeGreaterThan(0);
    expect(compareValues({ S: '1' }, { N: '1' })).toBeUndefined();
    expect(compareValues({ BOOL: true }, { BOOL: true })).toBeUndefined();
  });
});

describe('size', () => {
  // Developer guide, "Item sizes and formats".
  it.each<[AttributeValue, number]>([
    [{ S: 'é€' }, 5],
    [{ B: new Uint8Array(7) }, 7],
    [{ NULL: true }, 1],
    [{ BOOL: false }, 1],
    [{ N: '27' }, 2],
    [{ SS: ['ab', 'c'] }, 3],
    [{ L: [] }, 3],
    [{ M: {} }, 3],
    [{ L: [{ S: 'ab' }, { NULL: true }] }, 3 + 1 + 2 + 1 + 1],
    [{ M: { ab: { S: 'c' } } }, 3 + 1 + 2 + 1],
  ])('%j takes %i bytes', (value, size) => {
    expect(valueSizeBytes(value)).toBe(size);
  });

  it('counts names in UTF-8 and draws the line at 409,600', () => {
    expect(itemSizeBytes({ é: { S: 'a' } })).toBe(3);
    const atLimit = { a: { S: 'x'.repeat(409_599) } };
    const over = { a: { S: 'x'.repeat(409_600) } };
    expect(() => checkItemSize(atLimit)).not.toThrow();
    expect(() => checkItemSize(over)).toThrow(new RuleError('Item size has exceeded the maximum allowed size'));
    expect(() => checkUpdatedItemSize(over)).toThrow('Item size to update has exceeded the maximum allowed size');
  });
});

describe('stored form', () => {
  it('gives back every item', () => {
    fc.assert(
      fc.property(anyItem, (item) => {
        const text = itemToJson(item);
        expect(mapsEqual(itemFromJson(text), item)).toBe(true);
        expect(itemToJson(itemFromJson(text))).toBe(text);
      }),
    );
  });

  it('is the wire form, binaries in base64', () => {
    expect(JSON.parse(itemToJson({ a: { B: bytes('AAEC') }, b: { L: [{ BS: [bytes('Yg==')] }] } }))).toEqual({
      a: { B: 'AAEC' },
      b: { L: [{ BS: ['Yg=='] }] },
    });
  });

  it('keeps names apart from what objects inherit', () => {
    const item: Record<string, AttributeValue> = {};
    setAttribute(item, '__proto__', { S: 'a' });
    expect(typeOf(attributeOf(itemFromJson(itemToJson(item)), '__proto__')!)).toBe('S');
    expect(attributeOf({}, 'constructor')).toBeUndefined();
  });
});
