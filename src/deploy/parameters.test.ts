import { describe, expect, it } from 'vitest';
import { type ParameterInput, type ResolvedParameter, resolveParameters } from './parameters.ts';
import { parseSource } from './source.ts';
import { readTemplate } from './template.ts';

function resolve(
  declarations: string,
  values: Record<string, string>,
  rest: Partial<ParameterInput> = {},
): Promise<ReadonlyMap<string, ResolvedParameter>> {
  const template = readTemplate(parseSource(`Parameters: { ${declarations} }\nResources: { A: { Type: T } }`));
  return resolveParameters(template, { values: new Map(Object.entries(values)), ...rest });
}

describe('parameters', () => {
  it('have the value given, else the default, as text or a list', async () => {
    const values = await resolve(
      'S: { Type: String, Default: d }, N: { Type: Number, Default: 5 }, L: { Type: CommaDelimitedList }, Z: { Type: List<Number>, Default: "1, 2" }, V: { Type: "List<AWS::EC2::Subnet::Id>", NoEcho: true }',
      { L: 'a, b', V: 'subnet-1', S: '' },
    );
    expect(values.get('S')?.value).toBe('');
    expect(values.get('N')?.value).toBe('5');
    expect(values.get('L')?.value).toEqual(['a', 'b']);
    expect(values.get('Z')?.value).toEqual(['1', '2']);
    expect(values.get('V')).toMatchObject({ value: ['subnet-1'], text: 'subnet-1', noEcho: true });
  });

  it.each([
    ['P: { Type: String }, Q: { Type: String }', {}, 'Parameters: [P, Q] must have values'],
    ['P: { Type: String, Default: a }', { X: '1', Y: '2' }, 'Parameters: [X, Y] do not exist in the template'],
    ['P: { Type: String, AllowedValues: [a, b] }', { P: 'c' }, "Parameter 'P' must be one of AllowedValues"],
    ['P: { Type: String, AllowedPattern: "[a-z]+" }', { P: 'abc1' }, "Parameter 'P' must match pattern [a-z]+"],
    [
      'P: { Type: String, AllowedPattern: "[a-z]+", ConstraintDescription: lower case }',
      { P: 'A' },
      'Parameter P failed to satisfy constraint: lower case',
    ],
    [
      'P: { Type: String, AllowedPattern: "[a" }',
      { P: 'A' },
      "Template format error: Parameter 'P' AllowedPattern must be a valid regular expression.",
    ],
    ['P: { Type: String, MinLength: 3 }', { P: 'ab' }, "Parameter 'P' must contain at least 3 characters"],
    ['P: { Type: String, MaxLength: 1 }', { P: 'ab' }, "Parameter 'P' must contain at most 1 characters"],
    ['P: { Type: Number }', { P: 'x' }, "Parameter 'P' must be a number."],
    ['P: { Type: Number, MinValue: 0 }', { P: '-1' }, "Parameter 'P' must be a number not less than 0"],
    ['P: { Type: List<Number>, MaxValue: 9 }', { P: '1,10' }, "Parameter 'P' must be a number not greater than 9"],
    ['P: { Type: CommaDelimitedList, AllowedValues: [a] }', { P: 'a,b' }, "Parameter 'P' must be one of AllowedValues"],
    ['P: { Type: Text }', { P: 'x' }, 'Template format error: Unrecognized parameter type: Text'],
    [
      'P: { Type: String }',
      { P: 'x'.repeat(4097) },
      "Parameter 'P' exceeds the maximum parameter value length of 4096 bytes.",
    ],
    [
      'P: { Type: "AWS::SSM::Parameter::Value<String>" }',
      { P: '/none' },
      'Unable to fetch parameters [/none] from parameter store for this account.',
    ],
  ])('%s with %j is refused', async (declarations, values, message) => {
    await expect(resolve(declarations, values, { lookupSsm: async () => undefined })).rejects.toThrow(message);
  });

  it('of SSM types are looked up when the operation begins', async () => {
    const values = await resolve(
      'P: { Type: "AWS::SSM::Parameter::Value<List<String>>", Default: /hosts }',
      {},
      { lookupSsm: async (name) => (name === '/hosts' ? 'a,b' : undefined) },
    );
    expect(values.get('P')).toMatchObject({ value: ['a', 'b'], text: '/hosts', resolvedText: 'a,b' });
  });

  it('take the previous value where that is asked for', async () => {
    const previous = await resolve('P: { Type: String }', { P: 'old' });
    const values = await resolve('P: { Type: String, Default: new }', {}, { previous, usePrevious: new Set(['P']) });
    expect(values.get('P')?.value).toBe('old');
  });
});
