import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TemplateError } from '../errors.ts';
import type { Json, JsonObject } from '../json.ts';
import { parseSource } from '../source.ts';
import { packageLocalPaths } from './packaging.ts';
import { policyTemplate } from './policies.ts';
import { isSamTemplate, transformSam } from './transform.ts';

const folder = new URL('./fixtures/', import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith('.yaml'));

function transform(text: string, parameters?: ReadonlyMap<string, Json>): JsonObject {
  return transformSam(parseSource(text).root, { region: 'us-east-1', ...(parameters && { parameters }) });
}

function functionWith(properties: string): string {
  return `
Transform: AWS::Serverless-2016-10-31
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: { InlineCode: x, Handler: index.handler, Runtime: nodejs20.x, ${properties} }
`;
}

describe('the transform', () => {
  // The expected templates were recorded by running aws-sam-translator 1.110.0 (Translator.translate, region us-east-1,
  // parameters' defaults) on these templates of our own.
  it.each(names)('gives for %s what aws-sam-translator gives', (name) => {
    const text = readFileSync(new URL(name, folder), 'utf8');
    const recorded = JSON.parse(readFileSync(new URL(name.replace('.yaml', '.expected.json'), folder), 'utf8'));
    expect(transform(text)).toEqual(recorded);
  });

  it('has fixtures to compare with', () => expect(names.length).toBeGreaterThanOrEqual(5));

  it('does not change what it is given', () => {
    const { root } = parseSource(readFileSync(new URL('events.yaml', folder), 'utf8'));
    const before = JSON.stringify(root);
    transformSam(root, { region: 'us-east-1' });
    expect(JSON.stringify(root)).toBe(before);
    expect(isSamTemplate(root)).toBe(true);
  });

  it('changes a version’s id with a parameter’s value, and leaves other transforms named', () => {
    const text = `
Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
Parameters: { Key: { Type: String } }
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: { Bucket: b, Key: !Ref Key }, Handler: a, Runtime: nodejs20.x, AutoPublishAlias: live }
`;
    const ids = ['a.zip', 'b.zip'].map((key) =>
      Object.keys(transform(text, new Map([['Key', key]]))['Resources'] as JsonObject),
    );
    expect(ids[0]?.find((id) => id.startsWith('FVersion'))).not.toBe(ids[1]?.find((id) => id.startsWith('FVersion')));
    expect(transform(text)['Transform']).toEqual(['AWS::LanguageExtensions']);
  });
});

describe('what is wrong or not supported', () => {
  it.each([
    [
      'Sort: 1',
      'Resource with id [F] is invalid. property Sort not defined for resource of type AWS::Serverless::Function',
    ],
    [
      'DeploymentPreference: { Type: Linear }',
      "Resource with id [F] is invalid. Property 'DeploymentPreference' is not supported here.",
    ],
    [
      'Events: { E: { Type: Api, Properties: { Path: /, Method: get } } }',
      "Resource with id [F] is invalid. Event with id [E] is invalid. Events of type 'Api' are not supported here.",
    ],
    [
      'Events: { E: { Type: SQS, Properties: { Queue: a, Colour: red } } }',
      'Event with id [E] is invalid. property Colour not defined for resource of type SQS',
    ],
    ['Events: { E: { Type: SQS } }', "Event with id [E] is invalid. Missing required property 'Queue'."],
    [
      'Events: { E: { Type: HttpApi, Properties: { ApiId: !Ref Nope } } }',
      "ApiId must be a valid reference to an 'AWS::Serverless::HttpApi' resource in same template.",
    ],
    [
      'Policies: [{ SQSPollerPolicy: {} }]',
      "Following required parameters of template 'SQSPollerPolicy' don't have values: ['QueueName']",
    ],
    ['Policies: [{ NoSuchPolicy: {} }]', "Policy at index 0 in the 'Policies' property is not valid"],
    ['AutoPublishAlias: !GetAtt A.B', "'AutoPublishAlias' must be a string or a Ref to a template parameter"],
    [
      'FunctionUrlConfig: { AuthType: MAYBE }',
      'AuthType is required to configure function property `FunctionUrlConfig`. Please provide either AWS_IAM or NONE.',
    ],
    ['DeadLetterQueue: { Type: SQS }', "'DeadLetterQueue' requires Type and TargetArn properties to be specified."],
    ['PackageType: Image', 'Runtime, Handler, Layers cannot be present when PackageType is of type `Image`'],
  ])('%s is an error that names the resource', (properties, message) => {
    expect(() => transform(functionWith(properties))).toThrow(message);
  });

  it('tells all that is wrong at once, in AWS’s words', () => {
    const text = `
Transform: AWS::Serverless-2016-10-31
Resources:
  S: { Type: AWS::Serverless::StateMachine }
  F: { Type: AWS::Serverless::Function, Properties: { Runtime: nodejs20.x, Handler: a, CodeUri: ./local } }
`;
    expect(() => transform(text)).toThrow(
      'Transform AWS::Serverless-2016-10-31 failed with: Invalid Serverless Application Specification document. Number of errors ' +
        "found: 2. Resource with id [F] is invalid. 'CodeUri' is not a valid S3 Uri of the form 's3://bucket/key' with optional " +
        "versionId query parameter. Resource with id [S] is invalid. Resource type 'AWS::Serverless::StateMachine' is not supported here.",
    );
  });

  it('refuses a generated id that the template uses itself, and unknown Globals', () => {
    const text = `${functionWith('MemorySize: 1')}  FRole: { Type: AWS::IAM::Role }\n`;
    expect(() => transform(text)).toThrow('attempts to create a new resource [FRole] of type "AWS::IAM::Role"');
    expect(() => transform(`Globals: { Function: { Role: x } }\n${functionWith('MemorySize: 1')}`)).toThrow(
      "'Role' is not a supported property of 'Function'",
    );
    expect(() => transform(`Globals: { Table: {} }\n${functionWith('MemorySize: 1')}`)).toThrow(
      "'Table' is not supported.",
    );
  });
});

describe('a template with anything anywhere', () => {
  const roots = names.map((name) => parseSource(readFileSync(new URL(name, folder), 'utf8')).root);
  const junk = fc.constantFrom<Json>(
    'x',
    1,
    true,
    [],
    [1],
    ['a'],
    {},
    { a: 1 },
    { Ref: 'X' },
    { 'Fn::If': ['C'] },
    { 'Fn::If': 'x' },
    { 'Fn::GetAtt': 1 },
    [[]],
  );

  function pathsIn(value: Json, at: readonly string[] = []): readonly (readonly string[])[] {
    const inside = typeof value === 'object' && value !== null ? Object.entries(value) : [];
    return [at, ...inside.flatMap(([key, item]) => pathsIn(item as Json, [...at, key]))];
  }

  function put(root: JsonObject, path: readonly string[], value: Json): JsonObject {
    const copy = structuredClone(root) as { [key: string]: Json };
    let at = copy;
    for (const key of path.slice(0, -1)) at = at[key] as typeof at;
    at[path.at(-1) as string] = value;
    return copy;
  }

  it('is transformed, or refused with a reason: never a crash', () => {
    const places = roots.flatMap((root) =>
      pathsIn(root)
        .filter((path) => path.length > 0)
        .map((path) => ({ root, path })),
    );
    fc.assert(
      fc.property(fc.constantFrom(...places), junk, ({ root, path }, value) => {
        try {
          transformSam(put(root, path, value), { region: 'us-east-1' });
        } catch (error) {
          if (!(error instanceof TemplateError)) throw error;
        }
      }),
      { numRuns: Number(process.env['UNKAI_FUZZ_RUNS'] ?? 300) },
    );
  });
});

describe('policy templates', () => {
  it('put the values in, even where a value refers to a template parameter of the same name', () => {
    const document = policyTemplate('DynamoDBReadPolicy', { TableName: { Ref: 'TableName' } }, 'F') as JsonObject;
    expect(JSON.stringify(document)).toContain('{"tableName":{"Ref":"TableName"}}');
    expect(policyTemplate('Nope', {}, 'F')).toBeUndefined();
  });
});

describe('packaging', () => {
  it('asks for every local path once and puts the object in its place', async () => {
    const { root } = parseSource(`
Globals: { Function: { CodeUri: src/ } }
Resources:
  A: { Type: AWS::Serverless::Function, Properties: { Handler: a } }
  B: { Type: AWS::Serverless::Function, Properties: { CodeUri: ./b } }
  C: { Type: AWS::Serverless::Function, Properties: { CodeUri: s3://x/y } }
  D: { Type: AWS::Serverless::Function, Properties: { InlineCode: x } }
  L: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: layer } }
  P: { Type: AWS::Lambda::Function, Properties: { Code: plain } }
  H: { Type: AWS::Serverless::HttpApi, Properties: { DefinitionUri: api.yaml } }
`);
    const asked: string[] = [];
    const packaged = await packageLocalPaths(root, async ({ logicalId, property, path, kind }) => {
      asked.push(`${logicalId}.${property}=${path} ${kind}`);
      return { bucket: 'code', key: logicalId };
    });
    expect(asked).toEqual([
      'A.CodeUri=src/ zip',
      'B.CodeUri=./b zip',
      'L.ContentUri=layer zip',
      'P.Code=plain zip',
      'H.DefinitionUri=api.yaml document',
    ]);
    const resources = packaged['Resources'] as { readonly [id: string]: { readonly Properties: JsonObject } };
    expect(resources['A']?.Properties['CodeUri']).toEqual({ Bucket: 'code', Key: 'A' });
    expect(resources['P']?.Properties['Code']).toEqual({ S3Bucket: 'code', S3Key: 'P' });
    expect(resources['C']?.Properties['CodeUri']).toBe('s3://x/y');
  });
});
