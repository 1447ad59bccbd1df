import { describe, expect, it } from 'vitest';
import type { ResourceType } from '../platform/resource-type.ts';
import type { LiveResource } from './contract.ts';
import { resolveDynamicReferences } from './dynamic-references.ts';
import { dependencyGraph, reverseGraph, waves } from './graph.ts';
import { knownAfterApply } from './intrinsics.ts';
import { physicalName, uuidOf } from './names.ts';
import { checkAttributes, checkTypes, planChanges } from './plan.ts';
import { prepareTemplate } from './prepare.ts';
import { shapeProperties } from './shapes.ts';
import { parseSource } from './source.ts';
import { readTemplate } from './template.ts';

const pseudo = {
  accountId: '111122223333',
  region: 'eu-west-1',
  partition: 'aws',
  urlSuffix: 'amazonaws.com',
  stackId: 'arn:stack',
  stackName: 'shop',
  notificationArns: [],
};

const thing: ResourceType = {
  typeName: 'Test::Thing',
  properties: ['Key', 'Deep', 'Size', 'Of', 'X'],
  createOnly: ['Key', 'Deep.Key'],
  attributeNames: ['Arn'],
  create: async () => ({ physicalId: 'x', attributes: {} }),
  update: async () => ({ physicalId: 'x', attributes: {} }),
  delete: async () => undefined,
};
const types = (name: string): ResourceType | undefined => (name === 'Test::Thing' ? thing : undefined);

function live(logicalId: string, properties: LiveResource['properties']): LiveResource {
  const policies = { deletionPolicy: 'Delete', updateReplacePolicy: 'Delete' } as const;
  const attributes = { Arn: `arn:${logicalId}` };
  return {
    logicalId,
    type: 'Test::Thing',
    physicalId: `${logicalId}-1`,
    properties,
    attributes,
    dependsOn: [],
    ...policies,
    status: 'CREATE_COMPLETE',
  };
}

function templateOf(text: string): ReturnType<typeof readTemplate> {
  return readTemplate(parseSource(text));
}

describe('the graph', () => {
  const template = templateOf(`
Parameters: { P: { Type: String } }
Conditions: { C: !Equals [!Ref P, x] }
Resources:
  A: { Type: T, Properties: { X: !Ref P } }
  B: { Type: T, Properties: { X: !Sub '\${A.Arn}' }, DependsOn: D }
  C: { Type: T, DependsOn: [A, B] }
  D: { Type: T, Properties: { X: !If [C, !Ref E, !GetAtt F.Arn] } }
  E: { Type: T, Condition: C }
  F: { Type: T }
`);

  it('has what each resource needs, by the branch that is taken', () => {
    expect(waves(dependencyGraph(template, () => false))).toEqual([['A', 'F'], ['D'], ['B'], ['C']]);
    expect(waves(dependencyGraph(template, () => true))).toEqual([['A', 'E', 'F'], ['D'], ['B'], ['C']]);
    expect(waves(reverseGraph(dependencyGraph(template, () => false)))).toEqual([['C'], ['B'], ['A', 'D'], ['F']]);
  });

  it('refuses cycles, naming who is on one', () => {
    const cyclic = templateOf(`
Resources:
  A: { Type: T, Properties: { X: !Ref B } }
  B: { Type: T, DependsOn: A }
  C: { Type: T, DependsOn: A }
`);
    expect(() => dependencyGraph(cyclic, () => true)).toThrow(
      /^Circular dependency between resources: \[(A, B|B, A)\]$/,
    );
    const own = templateOf('Resources: { A: { Type: T, Properties: { X: !GetAtt A.Arn } } }');
    expect(() => dependencyGraph(own, () => true)).toThrow('Circular dependency between resources: [A]');
  });
});

describe('a plan', () => {
  it('tells additions, changes, replacements and removals', () => {
    const template = templateOf(`
Resources:
  Same: { Type: Test::Thing, Properties: { Size: 1 } }
  Changed: { Type: Test::Thing, Properties: { Size: 2 } }
  Replaced: { Type: Test::Thing, Properties: { Deep: { Key: 2, Other: 1 } }, UpdateReplacePolicy: Retain }
  Follows: { Type: Test::Thing, Properties: { Of: !Ref Replaced } }
  Perhaps: { Type: Test::Thing, Properties: { Key: !GetAtt New.Arn } }
  New: { Type: Test::Thing }
`);
    const previous = [
      live('Same', { Size: 1 }),
      live('Changed', { Size: 1 }),
      live('Replaced', { Deep: { Key: 1, Other: 1 } }),
      live('Follows', { Of: 'Replaced-1' }),
      live('Perhaps', { Key: 'k' }),
      live('Gone', {}),
    ];
    const scope = { template, pseudo, parameters: new Map(), exports: new Map(), availabilityZones: () => [] };
    const changes = planChanges(scope, previous, types);
    expect(
      changes.map((change) => [change.action, change.logicalId, change.replacement, change.replacingProperties]),
    ).toEqual([
      ['Modify', 'Changed', 'False', []],
      ['Modify', 'Replaced', 'True', ['Deep.Key']],
      ['Add', 'New', undefined, []],
      ['Modify', 'Follows', 'False', []],
      ['Modify', 'Perhaps', 'Conditional', ['Key']],
      ['Remove', 'Gone', undefined, []],
    ]);
    expect(changes[1]?.policy).toBe('Retain');
    expect(changes[3]?.after).toEqual({ Of: knownAfterApply });
  });

  it('refuses unknown types, changed types, attributes and snapshots that the type has not', () => {
    expect(() => checkTypes(templateOf('Resources: { A: { Type: No::Such } }'), [], types)).toThrow(
      'Unrecognized resource types: [No::Such]',
    );
    const other = { ...live('A', {}), type: 'Test::Other' };
    expect(() => checkTypes(templateOf('Resources: { A: { Type: Test::Thing } }'), [other], types)).toThrow(
      'Update of resource type is not permitted. The new template modifies resource type of the following resources: [A]',
    );
    const snapshot = templateOf('Resources: { A: { Type: Test::Thing, DeletionPolicy: Snapshot } }');
    expect(() => checkTypes(snapshot, [], types)).toThrow('does not support deletion policy Snapshot');
    const attribute = templateOf(
      'Resources: { A: { Type: Test::Thing }, B: { Type: Test::Thing, Properties: { X: !GetAtt A.Url } } }',
    );
    expect(() => checkAttributes(attribute, types)).toThrow(
      'Template error: resource A does not support attribute type Url in Fn::GetAtt',
    );
  });
});

describe('preparing', () => {
  const prepare = (text: string, values: Record<string, string> = {}): ReturnType<typeof prepareTemplate> =>
    prepareTemplate(parseSource(text), { pseudo, parameters: { values: new Map(Object.entries(values)) } });

  it('expands loops, then the SAM transform, and checks what comes out', async () => {
    const { template, processed } = await prepare(
      `
Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
Parameters: { Names: { Type: CommaDelimitedList } }
Resources:
  Fn::ForEach::Tables:
    - Name
    - !Ref Names
    - Table\${Name}:
        Type: AWS::Serverless::SimpleTable
        Properties: { TableName: !Sub 'app-\${Name}' }
  Fn::ForEach::Outer:
    - A
    - [x.y]
    - Fn::ForEach::Inner:
        - B
        - ['1', '2']
        - Queue&{A}\${B}: { Type: AWS::SQS::Queue, Properties: { QueueName: !Ref B } }
`,
      { Names: 'Red,Blue' },
    );
    expect([...template.resources.keys()].sort()).toEqual(['Queuexy1', 'Queuexy2', 'TableBlue', 'TableRed']);
    expect(template.resources.get('TableRed')?.properties['TableName']).toEqual({ 'Fn::Sub': 'app-Red' });
    expect(template.resources.get('Queuexy2')?.properties).toEqual({ QueueName: '2' });
    expect(processed['Transform']).toBeUndefined();
  });

  it.each([
    ['Transform: Mine\nResources: { A: { Type: T } }', 'No transform named Mine found.'],
    [
      'Transform: AWS::LanguageExtensions\nResources: { "Fn::ForEach::X": [A, [1]] }',
      'Fn::ForEach::X: invalid number of arguments, expected 3 got 2',
    ],
    [
      'Transform: AWS::LanguageExtensions\nResources: { "Fn::ForEach::X": [A, [1, 2], { B: { Type: T } }] }',
      'no placeholder in logical resource id',
    ],
    [
      'Transform: AWS::LanguageExtensions\nResources: { "Fn::ForEach::X": [A, x, { "B${A}": { Type: T } }] }',
      'incorrect type for iteration variables \'"x"\', expected list',
    ],
    [
      'Conditions: { A: !Condition B, B: !Condition A }\nResources: { A1: { Type: T } }',
      'Found circular condition dependency: [A, B]',
    ],
  ])('%#: refuses what is wrong', async (text, message) => {
    await expect(prepare(text)).rejects.toThrow(message);
  });
});

describe('names', () => {
  it('are the stack’s, the resource’s and twelve letters, within the limit', () => {
    expect(physicalName('shop', 'Queue', 'seed', { maxLength: 80 })).toMatch(/^shop-Queue-[A-Za-z0-9]{12}$/);
    expect(physicalName('shop', 'Queue', 'seed', { maxLength: 80 })).toBe(
      physicalName('shop', 'Queue', 'seed', { maxLength: 80 }),
    );
    const long = physicalName('s'.repeat(100), 'L'.repeat(100), 'seed', { maxLength: 64 });
    expect(long).toMatch(/^s{25}-L{25}-[A-Za-z0-9]{12}$/);
    expect(physicalName('shop', 'Queue', 'seed', { maxLength: 80, suffix: '.fifo', lowerCase: true })).toMatch(
      /^shop-queue-[a-z0-9]{12}\.fifo$/,
    );
    expect(physicalName('s'.repeat(100), 'Q', 'seed', { maxLength: 20 }).length).toBeLessThanOrEqual(20);
    expect(uuidOf('x')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

describe('properties', () => {
  const typed: ResourceType = {
    ...thing,
    required: ['Name'],
    properties: ['Name', 'Size', 'On', 'Tags', 'Env', 'Policy', 'Rate'],
    shapes: {
      Name: 'string',
      Size: 'integer',
      On: 'boolean',
      Tags: [{ Key: 'string', Value: 'string' }],
      Env: { Vars: 'stringMap' },
      Policy: 'json',
      Rate: 'number',
    },
  };

  it('are brought to their types', () => {
    expect(
      shapeProperties(typed, 'A', {
        Name: 5,
        Size: '30',
        On: 'true',
        Tags: [{ Key: 'a', Value: 1 }],
        Env: { Vars: { N: 1, B: false } },
        Policy: { a: 1 },
        Rate: '0.5',
      }),
    ).toEqual({
      Name: '5',
      Size: 30,
      On: true,
      Tags: [{ Key: 'a', Value: '1' }],
      Env: { Vars: { N: '1', B: 'false' } },
      Policy: { a: 1 },
      Rate: 0.5,
    });
  });

  it('are refused with all that is wrong', () => {
    expect(() => shapeProperties(typed, 'A', { Sise: 1, Size: 'x', Tags: { a: 1 }, Env: { Foo: 1 } })).toThrow(
      'Properties validation failed for resource A with message:\n#: required key [Name] not found\n' +
        '#: extraneous key [Sise] is not permitted\n#/Size: expected type: Integer, found: String\n' +
        '#/Tags: expected type: JSONArray, found: JSONObject\n#/Env: extraneous key [Foo] is not permitted',
    );
  });

  it('have their dynamic references looked up', async () => {
    const lookup = async (service: string, reference: string): Promise<string> => `<${service}|${reference}>`;
    const properties = { A: 'x {{resolve:ssm:/a:1}} y', B: ['{{resolve:secretsmanager:s:SecretString:k}}'], C: 1 };
    expect(await resolveDynamicReferences(properties, lookup)).toEqual({
      A: 'x <ssm|/a:1> y',
      B: ['<secretsmanager|s:SecretString:k>'],
      C: 1,
    });
    await expect(resolveDynamicReferences({ A: '{{resolve:s3:x}}' }, lookup)).rejects.toThrow('s3 is not a service');
  });
});
