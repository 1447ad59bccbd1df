import { describe, expect, it } from 'vitest';
import { cidrBlocks } from './cidr.ts';
import { Evaluator } from './intrinsics.ts';
import type { Json, JsonObject } from './json.ts';
import { resolveParameters } from './parameters.ts';
import { parseSource } from './source.ts';
import { readTemplate } from './template.ts';

const pseudo = {
  accountId: '111122223333',
  region: 'eu-west-1',
  partition: 'aws',
  urlSuffix: 'amazonaws.com',
  stackId: 'arn:stack',
  stackName: 'shop',
  notificationArns: ['arn:topic'],
};

async function evaluator(head = ''): Promise<Evaluator> {
  const template = readTemplate(
    parseSource(`
${head}
Parameters:
  Name: { Type: String, Default: n }
  Count: { Type: Number, Default: 3 }
  List: { Type: CommaDelimitedList, Default: 'a,b,c' }
Mappings: { Map: { eu-west-1: { ami: ami-1, zones: [x, y] } } }
Conditions:
  Is: !Equals [!Ref Count, 3]
  Isnt: !Not [!Condition Is]
  Both: !And [!Condition Is, !Equals [a, a]]
  Any: !Or [!Condition Isnt, !Condition Both]
  Loop: !Not [!Condition Pool]
  Pool: !Condition Loop
Resources: { A: { Type: T } }
`),
  );
  const parameters = await resolveParameters(template, { values: new Map() });
  return new Evaluator({
    template,
    pseudo,
    parameters,
    resource: (id) =>
      id === 'A'
        ? { ref: 'a-1', attributes: { Arn: 'arn:a', 'Dotted.Name': 'd', Nested: { Name: 'n' }, Items: ['i'] } }
        : undefined,
    exports: new Map([['shared', 'value']]),
    availabilityZones: (region) => [`${region}a`, `${region}b`],
  });
}

async function value(yaml: string, head = ''): Promise<Json | undefined> {
  const { root } = parseSource(`v: ${yaml}`);
  return (await evaluator(head)).value(root['v'] as Json);
}

describe('functions', () => {
  it.each<[string, Json]>([
    ['!Ref Name', 'n'],
    ['!Ref List', ['a', 'b', 'c']],
    ['!Ref A', 'a-1'],
    ["!Ref 'AWS::AccountId'", '111122223333'],
    ["!Ref 'AWS::NotificationARNs'", ['arn:topic']],
    [
      "!Sub '${AWS::Region}.${AWS::URLSuffix} ${AWS::Partition} ${AWS::StackName} ${AWS::StackId}'",
      'eu-west-1.amazonaws.com aws shop arn:stack',
    ],
    ['!GetAtt A.Arn', 'arn:a'],
    ['!GetAtt A.Dotted.Name', 'd'],
    ['!GetAtt A.Nested.Name', 'n'],
    ['!GetAtt [A, !Ref Attr]', 'unused'],
    ["!Sub '${A} ${A.Arn} ${!Kept} $x'", 'a-1 arn:a ${Kept} $x'],
    ["!Sub ['${x}-${Count}', { x: !Join ['.', [1, true, z]] }]", '1.true.z-3'],
    ["!Join [',', !Ref List]", 'a,b,c'],
    ["!Join ['', [a, !Ref 'AWS::NoValue', b]]", 'ab'],
    ['!If [Is, { a: 1, b: !Ref "AWS::NoValue" }, x]', { a: 1 }],
    ['!If [Isnt, 1, [!If [Is, a, b], !Ref "AWS::NoValue"]]', ['a']],
    ['!If [Any, 1, 2]', 1],
    ["!Select ['1', !Ref List]", 'b'],
    ["!Select [0, !GetAZs '']", 'eu-west-1a'],
    ['!GetAZs us-east-1', ['us-east-1a', 'us-east-1b']],
    ["!Split ['-', a-b--c]", ['a', 'b', '', 'c']],
    ["!FindInMap [Map, !Ref 'AWS::Region', ami]", 'ami-1'],
    ['!FindInMap [Map, eu-west-1, zones]', ['x', 'y']],
    ['!Base64 héllo', 'aMOpbGxv'],
    ["!Cidr ['10.0.0.0/16', 3, 8]", ['10.0.0.0/24', '10.0.1.0/24', '10.0.2.0/24']],
    ['!ImportValue shared', 'value'],
    ['{ Condition: { StringEquals: { a: !Ref Name } } }', { Condition: { StringEquals: { a: 'n' } } }],
  ])('%s', async (yaml, expected) => {
    if (expected === 'unused') await expect(value(yaml)).rejects.toThrow('Unresolved resource dependencies [Attr]');
    else expect(await value(yaml)).toEqual(expected);
  });

  it.each([
    ['!GetAtt A.Nope', 'Template error: resource A does not support attribute type Nope in Fn::GetAtt'],
    [
      '!GetAtt A',
      'Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute',
    ],
    ['!Select [3, !Ref List]', 'Template error: Fn::Select cannot select nonexistent value at index 3'],
    [
      '!Select [x, !Ref List]',
      'Template error: Fn::Select requires a list argument with two elements: an integer index and a list',
    ],
    [
      "!Split ['', a]",
      'Template error: every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split or a function that returns a string to be split.',
    ],
    [
      "!Join ['', a]",
      'Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings',
    ],
    ['!FindInMap [Map, us-east-1, ami]', 'Template error: Unable to get mapping for Map::us-east-1::ami'],
    [
      '!FindInMap [Map, us-east-1, ami, { DefaultValue: x }]',
      'Template error: every Fn::FindInMap object requires three parameters',
    ],
    ['!If [Nope, 1, 2]', 'Template error: unresolved condition dependency Nope in Fn::If'],
    ['!If [Loop, 1, 2]', 'Template error: Found circular condition dependency: [Loop, Pool]'],
    ['!ImportValue nope', 'No export named nope found.'],
    ["!Sub '${A.Items}'", 'every variable in an Fn::Sub object must reference a string'],
    ["!Sub '${a b}'", 'variable names in Fn::Sub syntax must contain only alphanumeric characters'],
    ['!Length [1]', 'Fn::Length needs the transform AWS::LanguageExtensions'],
    ["!Cidr ['10.0.0.0/24', 3, 8]", 'Fn::Cidr cannot make 3 blocks out of 10.0.0.0/24'],
    ['{ "Fn::Nope": 1 }', 'Template error: Fn::Nope is not a supported function here'],
  ])('%s is refused', async (yaml, message) => {
    await expect(value(yaml)).rejects.toThrow(message);
  });

  it('of the language extensions need their transform', async () => {
    const head = 'Transform: AWS::LanguageExtensions';
    expect(await value('!Length [1, !Ref "AWS::NoValue", 2]', head)).toBe(2);
    expect(await value('!ToJsonString { a: !Ref Count, b: [1] }', head)).toBe('{"a":"3","b":[1]}');
    expect(await value('!FindInMap [Map, us-east-1, ami, { DefaultValue: !Ref Name }]', head)).toBe('n');
  });

  it('leaves nothing of AWS::NoValue', async () => {
    expect(await value("!Ref 'AWS::NoValue'")).toBeUndefined();
    expect((await evaluator()).object({ a: { Ref: 'AWS::NoValue' }, b: 1 } as JsonObject)).toEqual({ b: 1 });
  });
});

describe('Fn::Cidr', () => {
  it('splits IPv6 blocks', () => {
    expect(cidrBlocks('2001:db8::/56', 2, 64)).toEqual(['2001:db8::/64', '2001:db8:0:1::/64']);
    expect(cidrBlocks('::/0', 1, 1)).toEqual(['::/127']);
  });

  it.each(['10.0.0.0', '10.0.0.300/8', '10.0.0.0/33', 'x/8', '1:2::3::4/64', '10.0.0.0/8/8'])('refuses %s', (block) => {
    expect(cidrBlocks(block, 1, 4)).toBeUndefined();
  });
});
