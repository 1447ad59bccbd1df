import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TemplateError } from './errors.ts';
import type { Json } from './json.ts';
import { parseSource } from './source.ts';

function failure(text: string): string {
  try {
    parseSource(text);
  } catch (error) {
    if (error instanceof TemplateError) return error.located;
    throw error;
  }
  return 'no error';
}

describe('YAML', () => {
  it('turns short tags into functions, nested in any way', () => {
    const { root } = parseSource(`
a: !Ref B
b: !GetAtt A.B.C
c: !GetAtt [A, B]
d: !Sub ['x \${y}', { y: !If [C, !Ref 'AWS::NoValue', !GetAZs ''] }]
e: !Join ['', [!Ref A, !Base64 x]]
f:
  Fn::Split: [',', !ImportValue z]
g: !Not [!Condition D]
h: !Cidr [!Select [0, !Ref L], 2, 8]
i: !Transform { Name: AWS::Include }
`);
    expect(root).toEqual({
      a: { Ref: 'B' },
      b: { 'Fn::GetAtt': ['A', 'B.C'] },
      c: { 'Fn::GetAtt': ['A', 'B'] },
      d: { 'Fn::Sub': ['x ${y}', { y: { 'Fn::If': ['C', { Ref: 'AWS::NoValue' }, { 'Fn::GetAZs': '' }] } }] },
      e: { 'Fn::Join': ['', [{ Ref: 'A' }, { 'Fn::Base64': 'x' }]] },
      f: { 'Fn::Split': [',', { 'Fn::ImportValue': 'z' }] },
      g: { 'Fn::Not': [{ Condition: 'D' }] },
      h: { 'Fn::Cidr': [{ 'Fn::Select': [0, { Ref: 'L' }] }, 2, 8] },
      i: { 'Fn::Transform': { Name: 'AWS::Include' } },
    });
  });

  it('reads scalars as YAML 1.1 without dates, and N and Y as text', () => {
    const { root } = parseSource(
      'AttributeType: N\nYes: yes\nversion: 2012-10-17\noct: 010\nbig: 12345678901234567890\noff: off\n',
    );
    expect(root).toEqual({
      AttributeType: 'N',
      Yes: true,
      version: '2012-10-17',
      oct: 8,
      big: '12345678901234567890',
      off: false,
    });
  });

  it('says where each value stands', () => {
    const source = parseSource(
      'Resources:\n  A:\n    Type: X\n    Properties:\n      P: !Sub\n        - a\n        - { b: c }\n',
    );
    expect(source.positionAt(['Resources', 'A', 'Properties', 'P'])).toEqual({ line: 5, column: 7 });
    expect(source.positionAt(['Resources', 'A', 'Properties', 'P', 'Fn::Sub', 1, 'b'])).toEqual({
      line: 7,
      column: 13,
    });
    expect(source.positionAt(['Resources', 'A', 'Nope', 'x'])).toEqual({ line: 2, column: 3 });
  });

  it('expands aliases and merges where the client is to do so, within bounds', () => {
    const { root } = parseSource('a: &x { p: 1, q: 1 }\nb:\n  <<: *x\n  q: 2\n', { aliases: 'expand' });
    expect(root).toEqual({ a: { p: 1, q: 1 }, b: { p: 1, q: 2 } });
    const laughs = Array.from(
      { length: 12 },
      (_u, i) => `l${i + 1}: &l${i + 1} [${new Array(10).fill(`*l${i}`).join(', ')}]`,
    );
    expect(() => parseSource(['l0: &l0 x', ...laughs].join('\n'), { aliases: 'expand' })).toThrow('nested too deeply');
  });
});

describe('a text that is not a template', () => {
  it.each([
    ['{"a": 1, "a": 2}', 'Template format error: duplicate key "a". (line 1, column 10)'],
    ['{"a" 1}', 'Template format error: JSON not well-formed. (line 1, column 6)'],
    ['{"a": [1,]}', 'Template format error: JSON not well-formed. (line 1, column 10)'],
    ['{"a": 1}\nx', 'Template format error: JSON not well-formed. (line 2, column 1)'],
    ['a: 1\nb: 2\na: 3', 'Template format error: duplicate key "a". (line 3, column 1)'],
    ['a:\n  b: [', 'Template format error: YAML not well-formed. (line 2, column 7)'],
    ['a: !Foo x', 'Template format error: unsupported YAML tag !Foo (line 1, column 9)'],
    ['a: &x 1\nb: *x', 'Template error: YAML aliases are not allowed in CloudFormation templates (line 2, column 4)'],
    ['- a', 'Template format error: unsupported structure. (line 1, column 1)'],
    ['', 'Template format error: unsupported structure. (line 1, column 1)'],
    [`a: ${'x'.repeat(1_000_000)}`, 'Template may not exceed 1000000 bytes in size.'],
    [`{"a": ${'['.repeat(3000)}`, 'Template format error: JSON not well-formed. (line 1, column 507)'],
  ])('%# is refused, with the place', (text, message) => {
    expect(failure(text)).toBe(message);
  });
});

describe('JSON', () => {
  it('is read as JSON.parse reads it', () => {
    // Integers beyond the safe ones are kept as text, on purpose: they are left out here.
    const leaf = fc.oneof(
      fc.string(),
      fc.boolean(),
      fc.constant(null),
      fc.maxSafeInteger(),
      fc.double({ min: -1, max: 1 }),
    );
    const value = fc.dictionary(fc.string(), fc.object({ values: [leaf], maxDepth: 3 }));
    fc.assert(
      fc.property(value, fc.constantFrom(undefined, 1, '\t'), (object, indent) => {
        const text = JSON.stringify(object, undefined, indent);
        expect(parseSource(text).root).toEqual(JSON.parse(text) as Json);
      }),
      { numRuns: 200 },
    );
  });
});
