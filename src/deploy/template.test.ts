import { describe, expect, it } from 'vitest';
import { TemplateError } from './errors.ts';
import { checkReferences } from './references.ts';
import { parseSource } from './source.ts';
import { readTemplate, type Template } from './template.ts';

function read(text: string): Template {
  const source = parseSource(text);
  const template = readTemplate(source);
  checkReferences(template, source);
  return template;
}

function failure(text: string): string {
  try {
    read(text);
  } catch (error) {
    if (error instanceof TemplateError) return error.located;
    throw error;
  }
  return 'no error';
}

const many = (section: string, count: number, member: string): string =>
  `${section}:\n${Array.from({ length: count }, (_u, i) => `  N${i}: ${member}\n`).join('')}`;
const one = 'Resources: { A: { Type: T } }\n';

describe('a template', () => {
  it('is read with everything that CloudFormation knows of it', () => {
    const template = read(`
AWSTemplateFormatVersion: 2010-09-09
Description: d
Transform: [AWS::LanguageExtensions]
Parameters: { P: { Type: Number, Default: 5, MinValue: 1, NoEcho: true, AllowedValues: [1, 5] } }
Mappings: { M: { k: { a: [x] } } }
Conditions: { C: !Equals [!Ref P, 5] }
Resources:
  A: { Type: T, DependsOn: B, Condition: C, DeletionPolicy: RetainExceptOnCreate, UpdateReplacePolicy: Retain, Metadata: { a: b } }
  B: { Type: T, DependsOn: [], Properties: { X: !GetAtt A.Arn } }
Outputs: { O: { Value: !Sub '\${A}', Description: d, Condition: C, Export: { Name: n } } }
`);
    expect(template.parameters.get('P')).toMatchObject({
      type: 'Number',
      default: '5',
      minValue: 1,
      noEcho: true,
      allowedValues: ['1', '5'],
    });
    expect(template.resources.get('A')).toMatchObject({
      dependsOn: ['B'],
      condition: 'C',
      deletionPolicy: 'RetainExceptOnCreate',
      updateReplacePolicy: 'Retain',
    });
    expect(template.outputs.get('O')).toMatchObject({ exportName: 'n', condition: 'C' });
    expect(template.transforms).toEqual(['AWS::LanguageExtensions']);
  });

  it.each([
    [`${one}outputs: {}`, 'Invalid template property or properties [outputs] (line 2, column 1)'],
    [
      `AWSTemplateFormatVersion: '2011'\n${one}`,
      'Template format error: unsupported value for AWSTemplateFormatVersion. (line 1, column 1)',
    ],
    ['Description: x', 'Template format error: At least one Resources member must be defined.'],
    ['Resources: {}', 'Template format error: At least one Resources member must be defined. (line 1, column 1)'],
    [
      'Resources:\n  A:\n    Properties: {}',
      'Template format error: [/Resources/A] Every Resources object must contain a Type member. (line 2, column 3)',
    ],
    ['Resources: { A: x }', 'Template format error: Any Resources member must be an object. (line 1, column 14)'],
    ['Resources: { A: { Type: T, Foo: 1 } }', "Invalid template resource property 'Foo' (line 1, column 28)"],
    [
      'Resources: { A-b: { Type: T } }',
      'Template format error: Resource name A-b is non alphanumeric. (line 1, column 14)',
    ],
    [
      'Resources: { A: { Type: T, DeletionPolicy: Keep } }',
      'Template format error: Unrecognized DeletionPolicy Keep for resource A (line 1, column 28)',
    ],
    [
      'Resources: { A: { Type: T, DependsOn: 1 } }',
      'Template format error: DependsOn must be a string or list of strings. (line 1, column 28)',
    ],
    [
      `${one}Outputs:\n  O:\n    Value:`,
      "[/Outputs/O/Value] 'null' values are not allowed in templates (line 4, column 5)",
    ],
    [
      `${one}Outputs: { O: { Description: x } }`,
      'Template format error: Every Outputs member must contain a Value object (line 2, column 12)',
    ],
    [
      `${one}Parameters: { A: { Type: String } }`,
      'Template error: all resources and parameters must have unique names. Common name(s):[A] (line 1, column 14)',
    ],
    [
      `${one}Parameters: { P: { Default: x } }`,
      'Template format error: Every Parameters object must contain a Type member. (line 2, column 15)',
    ],
    [
      `${one}Parameters: { P: { Type: String, AllowedValues: x } }`,
      'Template format error: Every AllowedValues member must be a list. (line 2, column 34)',
    ],
    [
      `${one}Parameters: { P: { Type: String, Foo: x } }`,
      "Invalid template parameter property 'Foo' (line 2, column 34)",
    ],
    [`${one}Mappings: { M: x }`, 'Template format error: Every Mappings member M must be a map (line 2, column 13)'],
    [
      `${one}Mappings: { M: { k: { a: { b: c } } } }`,
      'Template format error: Every Mappings attribute must be a String or a List. (line 2, column 23)',
    ],
    [
      many('Resources', 501, '{ Type: T }'),
      'Template format error: Number of resources, 501, is greater than maximum allowed, 500 (line 1, column 1)',
    ],
    [
      one + many('Parameters', 201, '{ Type: String }'),
      'Template format error: Number of parameters, 201, is greater than maximum allowed, 200 (line 2, column 1)',
    ],
    [
      one + many('Outputs', 201, '{ Value: x }'),
      'Template format error: Number of outputs, 201, is greater than maximum allowed, 200 (line 2, column 1)',
    ],
    [
      one + many('Mappings', 201, '{ k: { a: b } }'),
      'Template format error: Number of mappings, 201, is greater than maximum allowed, 200 (line 2, column 1)',
    ],
  ])('%#: is refused in AWS’s words', (text, message) => expect(failure(text)).toBe(message));
});

describe('what a template refers to', () => {
  const inA = (value: string): string => `Resources:\n  A: { Type: T, Properties: { P: ${value} } }\n`;

  it.each([
    [
      inA('!Ref Nope'),
      'Template format error: Unresolved resource dependencies [Nope] in the Resources block of the template (line 2, column 39)',
    ],
    [
      inA("!Sub '${Nope} ${!Literal} ${AWS::Region}'"),
      'Template format error: Unresolved resource dependencies [Nope] in the Resources block of the template (line 2, column 39)',
    ],
    [
      inA('!GetAtt Nope.Arn'),
      'Template error: instance of Fn::GetAtt references undefined resource Nope (line 2, column 42)',
    ],
    [
      inA("!Sub '${Nope.Arn}'"),
      'Template error: instance of Fn::Sub references invalid resource attribute Nope.Arn (line 2, column 39)',
    ],
    [inA('!If [Nope, 1, 2]'), 'Template error: unresolved condition dependency Nope in Fn::If (line 2, column 38)'],
    [
      inA('!FindInMap [Nope, a, b]'),
      "Template validation error: Template error: Mapping named 'Nope' is not present in the 'Mappings' section of template. (line 2, column 45)",
    ],
    [
      'Resources: { A: { Type: T, DependsOn: [B, C] } }',
      'Template format error: Unresolved resource dependencies [B, C] in the Resources block of the template (line 1, column 28)',
    ],
    [
      'Resources: { A: { Type: T, Condition: C } }',
      'Template format error: Unresolved condition dependency C in the Resources block of the template (line 1, column 28)',
    ],
    [
      `${one}Outputs: { O: { Value: !Ref Nope } }`,
      'Unresolved resource dependencies [Nope] in the Outputs block of the template (line 2, column 29)',
    ],
    [
      `${one}Conditions: { C: !Equals [!Ref A, x] }`,
      'Template format error: Unresolved dependencies [A]. Cannot reference resources in the Conditions block of the template (line 2, column 32)',
    ],
    [
      `${one}Conditions: { C: !Not [!Condition D] }`,
      'Template format error: Unresolved condition dependencies [D] in the Conditions block of the template (line 2, column 15)',
    ],
  ])('%#: must be there', (text, message) => expect(failure(text)).toBe(message));

  it('may be a variable of the Fn::Sub itself', () => {
    expect(failure(inA("!Sub ['${x}', { x: !Ref 'AWS::StackName' }]"))).toBe('no error');
  });
});
