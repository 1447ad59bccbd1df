import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AwsCli, type ClientCloud, startClientCloud } from './support.ts';

const plain = `
AWSTemplateFormatVersion: '2010-09-09'
Parameters:
  Seconds: { Type: Number, Default: 30, MinValue: 0 }
Resources:
  Dead: { Type: AWS::SQS::Queue }
  Jobs:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub '\${AWS::StackName}-jobs'
      VisibilityTimeout: !Ref Seconds
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3 }
Outputs:
  Url: { Value: !Ref Jobs }
  Arn: { Value: !GetAtt Jobs.Arn, Export: { Name: !Sub '\${AWS::StackName}-arn' } }
`;

const sam = `
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Runtime: nodejs20.x, Timeout: 5 } }
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
      InlineCode: |
        exports.handler = async (event) => ({ statusCode: 200, body: 'hello ' + event.pathParameters.name });
      Events:
        Get: { Type: HttpApi, Properties: { Method: GET, Path: '/hello/{name}' } }
Outputs:
  Api: { Value: !Ref ServerlessHttpApi }
  Function: { Value: !Ref Hello }
`;

const broken = `
Resources:
  Good: { Type: AWS::SQS::Queue, Properties: { QueueName: broken-good } }
  Bad:
    Type: AWS::SQS::Queue
    DependsOn: Good
    Properties: { VisibilityTimeout: 43201 }
`;

let cloud: ClientCloud;
let aws: AwsCli;

beforeAll(async () => {
  cloud = await startClientCloud();
  aws = new AwsCli(cloud);
  for (const [name, template] of Object.entries({ plain, sam, broken }))
    await writeFile(join(cloud.folder, `${name}.yaml`), template);
});
afterAll(() => cloud?.close());

// The CLI names its change sets by the second, and a name that a change set had before is refused, as on AWS.
const nextSecond = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1000));

const outputs = async (stack: string): Promise<Record<string, string>> => {
  const { Stacks } = await aws.json<{ Stacks: { Outputs?: { OutputKey: string; OutputValue: string }[] }[] }>(
    ...['cloudformation', 'describe-stacks', '--stack-name', stack],
  );
  return Object.fromEntries((Stacks[0]?.Outputs ?? []).map(({ OutputKey, OutputValue }) => [OutputKey, OutputValue]));
};

describe('aws cloudformation', () => {
  it('deploys a template, then a change of it, then none', async () => {
    const deploy = ['cloudformation', 'deploy', '--template-file', 'plain.yaml', '--stack-name', 'plain'];
    expect(await aws.text(...deploy)).toContain('Successfully created/updated stack - plain');
    const { Url, Arn } = await outputs('plain');
    expect(Url).toBe(`${cloud.endpoint}/000000000000/plain-jobs`);
    expect(Arn).toBe('arn:aws:sqs:us-east-1:000000000000:plain-jobs');
    await nextSecond();
    await aws.text(...deploy, '--parameter-overrides', 'Seconds=77');
    const timeout = await aws.text(
      ...['sqs', 'get-queue-attributes', '--queue-url', Url!, '--attribute-names', 'VisibilityTimeout'],
      ...['--query', 'Attributes.VisibilityTimeout', '--output', 'text'],
    );
    expect(timeout).toBe('77');
    await nextSecond();
    expect(await aws.text(...deploy, '--no-fail-on-empty-changeset')).toContain('No changes to deploy');
    const exported = await aws.json<{ Exports: { Name: string; Value: string }[] }>('cloudformation', 'list-exports');
    expect(exported.Exports).toMatchObject([{ Name: 'plain-arn', Value: Arn }]);
  });

  it('deploys a SAM template with inline code, whose API answers', async () => {
    const deploy = ['cloudformation', 'deploy', '--template-file', 'sam.yaml', '--stack-name', 'sam'];
    const refused = await aws.try(...deploy);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('Status: FAILED. Reason: Requires capabilities : [CAPABILITY_IAM]');
    await nextSecond();
    await aws.text(...deploy, '--capabilities', 'CAPABILITY_IAM', 'CAPABILITY_AUTO_EXPAND');
    const { Api, Function: name } = await outputs('sam');
    const response = await fetch(`${cloud.endpoint}/_aws/execute-api/${Api}/hello/you`);
    expect([response.status, await response.text()]).toEqual([200, 'hello you']);
    await aws.json('lambda', 'invoke', '--function-name', name!, '--payload', '{"pathParameters":{"name":"x"}}', 'out');
    expect(JSON.parse(await readFile(join(cloud.folder, 'out'), 'utf8'))).toEqual({ statusCode: 200, body: 'hello x' });
  });

  it('rolls back a template that fails, and says which resource and why', async () => {
    await aws.json(
      ...['cloudformation', 'create-stack', '--stack-name', 'broken', '--template-body', 'file://broken.yaml'],
    );
    const waited = await aws.try('cloudformation', 'wait', 'stack-create-complete', '--stack-name', 'broken');
    expect(waited.code).toBe(255);
    const events = await aws.json<{ StackEvents: Record<string, string>[] }>(
      ...['cloudformation', 'describe-stack-events', '--stack-name', 'broken'],
    );
    expect(events.StackEvents[0]).toMatchObject({ LogicalResourceId: 'broken', ResourceStatus: 'ROLLBACK_COMPLETE' });
    const failed = events.StackEvents.find(({ ResourceStatus }) => ResourceStatus === 'CREATE_FAILED');
    expect(failed).toMatchObject({
      LogicalResourceId: 'Bad',
      ResourceStatusReason: expect.stringContaining('VisibilityTimeout'),
    });
    expect((await aws.error('sqs', 'get-queue-url', '--queue-name', 'broken-good')).code).toBe(
      'AWS.SimpleQueueService.NonExistentQueue',
    );
  });

  it('refuses what is no template', async () => {
    expect(
      await aws.error('cloudformation', 'validate-template', '--template-body', '{"Resources": {}}'),
    ).toMatchObject({
      code: 'ValidationError',
      message: 'Template format error: At least one Resources member must be defined.',
    });
    expect(await aws.error('cloudformation', 'describe-stacks', '--stack-name', 'nowhere')).toEqual({
      code: 'ValidationError',
      message: 'Stack with id nowhere does not exist',
    });
  });

  it('deletes a stack and waits until all of it is gone', async () => {
    await aws.text('cloudformation', 'delete-stack', '--stack-name', 'plain');
    await aws.text('cloudformation', 'wait', 'stack-delete-complete', '--stack-name', 'plain');
    expect((await aws.error('sqs', 'get-queue-url', '--queue-name', 'plain-jobs')).code).toBe(
      'AWS.SimpleQueueService.NonExistentQueue',
    );
  });
});
