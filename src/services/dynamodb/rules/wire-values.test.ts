import { describe, expect, it } from 'vitest';
import { readAttributes, readInput } from './wire-values.ts';

describe('attribute values from the wire', () => {
  it('are the same object where nothing has to change', () => {
    const item = JSON.parse('{"a":{"S":"x"},"l":{"L":[{"N":"1"},{"M":{"b":{"BOOL":true}}}]},"s":{"SS":["a"]}}');
    expect(readAttributes(item)).toBe(item);
    const input = { TableName: 't', Item: item };
    expect(readInput(input)).toBe(input);
  });

  it('have their binaries as bytes, however deep, and leave the input alone', () => {
    const input = { Item: { a: { L: [{ M: { b: { B: 'AQI=' } } }] }, c: { BS: ['AA==', ''] } } };
    const before = JSON.stringify(input);
    const { Item } = readInput<{ Item: object }>(input);
    expect(Item).toEqual({
      a: { L: [{ M: { b: { B: Buffer.from([1, 2]) } } }] },
      c: { BS: [Buffer.from([0]), Buffer.alloc(0)] },
    });
    expect(JSON.stringify(input)).toBe(before);
  });

  it('are read in the legacy parameters, too', () => {
    const read = readInput({
      Expected: { a: { Value: { B: 'AA==' } }, b: { AttributeValueList: [{ B: 'AQ==' }], ComparisonOperator: 'EQ' } },
    });
    expect(read).toEqual({
      Expected: {
        a: { Value: { B: Buffer.from([0]) } },
        b: { AttributeValueList: [{ B: Buffer.from([1]) }], ComparisonOperator: 'EQ' },
      },
    });
  });

  it('lose what is null or unknown', () => {
    expect(readAttributes({ a: { S: 'x', N: null, X: 1 }, b: null })).toEqual({ a: { S: 'x' }, b: {} });
  });

  it('may have any name', () => {
    const read = readAttributes(JSON.parse('{"__proto__":{"B":"AA=="}}'));
    expect(Object.keys(read)).toEqual(['__proto__']);
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
  });

  it.each([
    [{ S: 1 }, 'NUMBER_VALUE cannot be converted to String'],
    [{ N: 1.5 }, 'DECIMAL_VALUE cannot be converted to String'],
    [{ S: true }, 'TRUE_VALUE cannot be converted to String'],
    [{ S: [] }, 'Unrecognized collection type class java.lang.String'],
    [{ S: {} }, 'Start of structure or map found where not expected'],
    [{ B: 1 }, 'only base-64-encoded strings are convertible to bytes'],
    [{ B: 'abcde' }, 'Base64 encoded length is expected a multiple of 4 bytes but found: 5'],
    [{ B: '=+/=' }, 'Invalid last non-pad Base64 character dectected'],
    [{ BOOL: 1 }, 'NUMBER_VALUE cannot be converted to Boolean'],
    [{ NULL: 'maybe' }, 'Unexpected token received from parser'],
    [{ M: [] }, 'Unrecognized collection type java.util.Map'],
    [{ M: 'x' }, 'Unexpected field type'],
    [{ L: 'x' }, 'Unexpected field type'],
    [{ L: {} }, 'Start of structure or map found where not expected'],
    [{ SS: 'x' }, 'Unexpected field type'],
    [{ NS: [1] }, 'NUMBER_VALUE cannot be converted to String'],
    ['x', 'Unexpected value type in payload'],
    [[], 'Unrecognized collection type class java.lang.Object'],
  ])('%j is refused', (value, message) => {
    expect(() => readAttributes({ a: value })).toThrow(message);
  });

  it('hold no nulls in sets', () => {
    expect(() => readAttributes({ a: { SS: [null] } })).toThrow(
      'One or more parameter values were invalid: An string set may not have a null string as a member',
    );
  });
});
