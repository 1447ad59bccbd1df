import {
  CreateStackCommand,
  type CreateStackCommandInput,
  GetTemplateCommand,
  GetTemplateSummaryCommand,
  UpdateStackCommand,
  ValidateTemplateCommand,
} from '@aws-sdk/client-cloudformation';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type StackCloud, startStackCloud } from '../stack-cloud.test-support.ts';

let stacks: StackCloud;

beforeAll(async () => {
  stacks = await startStackCloud();
});

afterAll(() => stacks.close());

const queue = 'Resources: { A: { Type: AWS::SQS::Queue } }';

function creating(rest: Partial<CreateStackCommandInput>): Promise<unknown> {
  return stacks.client.send(new CreateStackCommand({ StackName: 'bad', TemplateBody: queue, ...rest }));
}

describe('what is wrong is refused before anything is made, in AWS’s words', () => {
  it.each([
    ['[1, 2', 'Template format error'],
    ['Resources: {}', 'Template format error: At least one Resources member must be defined.'],
    ['Foo: 1\nResources: { A: { Type: AWS::SQS::Queue } }', 'Invalid template property or properties [Foo]'],
    [
      'Resources: { A: { Type: AWS::Nope::Thing } }',
      'Template format error: Unrecognized resource types: [AWS::Nope::Thing]',
    ],
    [
      'Resources: { A: { Properties: {} } }',
      'Template format error: [/Resources/A] Every Resources object must contain a Type member.',
    ],
    [
      'Resources: { A: { Type: AWS::SQS::Queue, Properties: { QueueName: !Ref B } } }',
      'Template format error: Unresolved resource dependencies [B] in the Resources block of the template',
    ],
    ['Resources: { A: { Type: AWS::SQS::Queue, DependsOn: A } }', 'Circular dependency between resources: [A]'],
    ['Transform: Mine\nResources: { A: { Type: AWS::SQS::Queue } }', 'No transform named Mine found.'],
    [
      'Resources: { A: { Type: AWS::SQS::Queue, UpdatePolicy: { X: 1 } } }',
      'Template error: UpdatePolicy of resource A is not supported here.',
    ],
    [
      'Parameters: { P: { Type: String } }\nResources: { A: { Type: AWS::SQS::Queue } }',
      'Parameters: [P] must have values',
    ],
    [
      'Parameters: { P: { Type: Number, Default: x } }\nResources: { A: { Type: AWS::SQS::Queue } }',
      "Parameter 'P' must be a number.",
    ],
    [
      'Rules: { R: { Assertions: [{ Assert: !Equals [a, b], AssertDescription: a must be b }] } }\nResources: { A: { Type: AWS::SQS::Queue } }',
      'Template constraint validation failed: a must be b (Rule: R)',
    ],
  ])('%s', async (TemplateBody, message) => {
    await expect(creating({ TemplateBody })).rejects.toMatchObject({
      name: 'ValidationError',
      message: expect.stringContaining(message),
    });
  });

  it('names, sources, roles, parameters', async () => {
    await expect(creating({ StackName: '1bad' })).rejects.toThrow(
      "1 validation error detected: Value '1bad' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*|arn:[-a-zA-Z0-9:/._+]*",
    );
    await expect(creating({ TemplateBody: `# ${'x'.repeat(51_200)}` })).rejects.toThrow(
      'Member must have length less than or equal to 51200',
    );
    await expect(creating({ TemplateBody: undefined })).rejects.toThrow(
      'Either Template URL or Template Body must be specified.',
    );
    const elsewhere = { TemplateBody: undefined, TemplateURL: 'https://example.com/t.yaml' };
    await expect(creating(elsewhere)).rejects.toThrow(
      'S3 error: Domain name specified in example.com is not a valid S3 domain',
    );
    const gone = { TemplateBody: undefined, TemplateURL: `https://unkai-blobs.s3.amazonaws.com/${'0'.repeat(64)}` };
    await expect(creating(gone)).rejects.toThrow('S3 error: The specified key does not exist.');
    const RoleARN = 'arn:aws:iam::000000000000:role/none';
    await expect(creating({ RoleARN })).rejects.toThrow(`Role ${RoleARN} is invalid or cannot be assumed`);
    const Parameters = [{ ParameterKey: 'No', ParameterValue: '1' }];
    await expect(creating({ Parameters })).rejects.toThrow('Parameters: [No] do not exist in the template');
    await expect(creating({ NotificationARNs: ['arn:aws:sns:us-east-1:000000000000:t'] })).rejects.toMatchObject({
      name: 'NotImplemented',
    });
    await expect(creating({ Tags: [{ Key: 'aws:x', Value: '1' }] })).rejects.toThrow('aws: prefixed tag key names');
    await expect(
      stacks.client.send(new UpdateStackCommand({ StackName: 'none', TemplateBody: queue })),
    ).rejects.toThrow('Stack [none] does not exist');
  });

  it('missing capabilities', async () => {
    const role = 'Resources: { R: { Type: AWS::IAM::Role, Properties: { AssumeRolePolicyDocument: {} } } }';
    const named = role.replace('Properties: {', 'Properties: { RoleName: x,');
    const insufficient = (message: string) => ({ name: 'InsufficientCapabilitiesException', message });
    await expect(creating({ TemplateBody: role })).rejects.toMatchObject(
      insufficient('Requires capabilities : [CAPABILITY_IAM]'),
    );
    await expect(creating({ TemplateBody: named, Capabilities: ['CAPABILITY_IAM'] })).rejects.toMatchObject(
      insufficient('Requires capabilities : [CAPABILITY_NAMED_IAM]'),
    );
    const loops = `Transform: AWS::LanguageExtensions\n${queue}`;
    await expect(creating({ TemplateBody: loops })).rejects.toMatchObject(
      insufficient('Requires capabilities : [CAPABILITY_AUTO_EXPAND]'),
    );
  });
});

describe('reading templates', () => {
  it('gives a stack’s template as it was written and as it was processed', async () => {
    const TemplateBody = `Transform: AWS::LanguageExtensions
Resources:
  Fn::ForEach::Queues:
    - N
    - [A, B]
    - Queue\${N}: { Type: AWS::SQS::Queue }
Outputs: { Count: { Value: !Length [1, 2] } }
`;
    await stacks.client.send(
      new CreateStackCommand({ StackName: 'loops', TemplateBody, Capabilities: ['CAPABILITY_AUTO_EXPAND'] }),
    );
    const stack = await stacks.settled('loops');
    expect([stack.StackStatus, stack.Outputs?.[0]?.OutputValue]).toEqual(['CREATE_COMPLETE', '2']);
    const original = await stacks.client.send(new GetTemplateCommand({ StackName: 'loops' }));
    expect(original).toMatchObject({ TemplateBody, StagesAvailable: ['Original', 'Processed'] });
    const { TemplateBody: processed = '' } = await stacks.client.send(
      new GetTemplateCommand({ StackName: 'loops', TemplateStage: 'Processed' }),
    );
    expect(Object.keys(JSON.parse(processed).Resources)).toEqual(['QueueA', 'QueueB']);
  });

  it('takes a template from the blob store, long ones too', async () => {
    const long = `${queue}\nMetadata: { Filler: ${'x'.repeat(80_000)} }`;
    const digest = await stacks.cloud.cloud.platform.blobs.put(Buffer.from(long));
    const TemplateURL = `https://unkai-blobs.s3.amazonaws.com/${digest}`;
    await stacks.client.send(new CreateStackCommand({ StackName: 'long', TemplateURL }));
    expect((await stacks.settled('long')).StackStatus).toBe('CREATE_COMPLETE');
    expect((await stacks.client.send(new GetTemplateCommand({ StackName: 'long' }))).TemplateBody).toBe(long);
  });

  it('validates and summarizes', async () => {
    const TemplateBody = `Description: about
Parameters: { P: { Type: String, Default: d, NoEcho: true, AllowedValues: [d, e] } }
Resources: { R: { Type: AWS::IAM::Role, Properties: { AssumeRolePolicyDocument: {} } } }
`;
    expect(await stacks.client.send(new ValidateTemplateCommand({ TemplateBody }))).toMatchObject({
      Description: 'about',
      Parameters: [{ ParameterKey: 'P', DefaultValue: 'd', NoEcho: true }],
      Capabilities: ['CAPABILITY_IAM'],
      CapabilitiesReason: 'The following resource(s) require capabilities: [AWS::IAM::Role]',
    });
    expect(await stacks.client.send(new GetTemplateSummaryCommand({ TemplateBody }))).toMatchObject({
      ResourceTypes: ['AWS::IAM::Role'],
      Parameters: [{ ParameterKey: 'P', ParameterType: 'String', ParameterConstraints: { AllowedValues: ['d', 'e'] } }],
    });
    await expect(stacks.client.send(new ValidateTemplateCommand({ TemplateBody: 'a: [' }))).rejects.toThrow(
      'Template format error',
    );
    const sam =
      'Transform: AWS::Serverless-2016-10-31\nGlobals: { Function: { Timeout: 3 } }\nResources: { F: { Type: AWS::Serverless::Function } }';
    expect(await stacks.client.send(new ValidateTemplateCommand({ TemplateBody: sam }))).toMatchObject({
      Capabilities: ['CAPABILITY_AUTO_EXPAND'],
      DeclaredTransforms: ['AWS::Serverless-2016-10-31'],
    });
  });
});
