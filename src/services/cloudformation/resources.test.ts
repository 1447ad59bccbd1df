import {
  CreateStackCommand,
  DeleteStackCommand,
  DescribeStackResourcesCommand,
  DescribeStacksCommand,
  UpdateStackCommand,
} from '@aws-sdk/client-cloudformation';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type StackCloud, startStackCloud } from './stack-cloud.test-support.ts';

let stacks: StackCloud;

beforeAll(async () => {
  stacks = await startStackCloud({ services: ['cloudformation', 'sqs', 'iam', 'sts', 'logs', 'lambda'] });
});

afterAll(() => stacks.close());

async function create(StackName: string, TemplateBody: string) {
  const Capabilities = ['CAPABILITY_IAM' as const];
  const { StackId } = await stacks.client.send(new CreateStackCommand({ StackName, TemplateBody, Capabilities }));
  return { id: StackId as string, stack: await stacks.settled(StackName) };
}

describe('nested stacks', () => {
  const child = `Parameters: { Delay: { Type: Number } }
Resources: { Q: { Type: AWS::SQS::Queue, Properties: { DelaySeconds: !Ref Delay } } }
Outputs: { Name: { Value: !GetAtt Q.QueueName } }
`;

  async function parent(delay: number): Promise<string> {
    const digest = await stacks.cloud.cloud.platform.blobs.put(Buffer.from(child));
    return `Resources:
  Child:
    Type: AWS::CloudFormation::Stack
    Properties: { TemplateURL: 'https://unkai-blobs.s3.amazonaws.com/${digest}', Parameters: { Delay: ${delay} } }
Outputs: { Name: { Value: !GetAtt Child.Outputs.Name } }
`;
  }

  it('are made, changed and deleted with the stack whose part they are', async () => {
    const { id, stack } = await create('outer', await parent(1));
    expect(stack.StackStatus).toBe('CREATE_COMPLETE');
    expect(stack.Outputs?.[0]?.OutputValue).toMatch(/^outer-Child-[A-Za-z0-9]{12}-Q-[A-Za-z0-9]{12}$/);
    const { StackResources = [] } = await stacks.client.send(new DescribeStackResourcesCommand({ StackName: 'outer' }));
    const inner = StackResources[0]?.PhysicalResourceId as string;
    const { Stacks = [] } = await stacks.client.send(new DescribeStacksCommand({ StackName: inner }));
    expect(Stacks[0]).toMatchObject({ ParentId: id, RootId: id, StackStatus: 'CREATE_COMPLETE' });
    await stacks.client.send(new UpdateStackCommand({ StackName: 'outer', TemplateBody: await parent(2) }));
    expect((await stacks.settled('outer')).StackStatus).toBe('UPDATE_COMPLETE');
    expect((await stacks.settled(inner)).Parameters?.[0]?.ParameterValue).toBe('2');
    await stacks.client.send(new DeleteStackCommand({ StackName: 'outer' }));
    expect((await stacks.settled(id)).StackStatus).toBe('DELETE_COMPLETE');
    expect((await stacks.settled(inner)).StackStatus).toBe('DELETE_COMPLETE');
  });

  it('fail the stack whose part they are, with the reason', async () => {
    const { stack } = await create('unlucky', await parent(9999));
    expect(stack.StackStatus).toBe('ROLLBACK_COMPLETE');
    expect((await stacks.events('unlucky')).find((text) => text.startsWith('Child CREATE_FAILED'))).toMatch(
      /^Child CREATE_FAILED \(Embedded stack arn:\S+ was not successfully created: The following resource\(s\) failed to create: \[Q\]\.\)$/,
    );
  });
});

describe('custom resources', () => {
  const template = (size: number, fails = 'false') => `Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{ Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: sts:AssumeRole }]
  Maker:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: nodejs20.x
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Code:
        ZipFile: |
          const http = require('node:http');
          exports.handler = (event) => new Promise((resolve, reject) => {
            const { Size, Fails } = event.ResourceProperties;
            const body = JSON.stringify({
              Status: Fails === 'true' && event.RequestType !== 'Delete' ? 'FAILED' : 'SUCCESS',
              Reason: 'no such size',
              PhysicalResourceId: 'thing-' + Size,
              Data: { Text: event.RequestType + typeof Size },
            });
            const request = http.request(event.ResponseURL, { method: 'PUT' }, (answer) => answer.resume().on('end', resolve));
            request.on('error', reject);
            request.end(body);
          });
  Thing:
    Type: Custom::Thing
    Properties: { ServiceToken: !GetAtt Maker.Arn, Size: ${size}, Fails: ${fails} }
Outputs: { Id: { Value: !Ref Thing }, Text: { Value: !GetAtt Thing.Text } }
`;

  it('are made by a function, which is told of changes and deletions', async () => {
    const { id, stack } = await create('custom', template(1));
    expect(await stacks.events('custom')).toContain('Thing CREATE_COMPLETE');
    expect(stack.Outputs?.map(({ OutputValue }) => OutputValue)).toEqual(['thing-1', 'Createstring']);
    const TemplateBody = template(2);
    const Capabilities = ['CAPABILITY_IAM' as const];
    await stacks.client.send(new UpdateStackCommand({ StackName: 'custom', TemplateBody, Capabilities }));
    const updated = await stacks.settled('custom');
    expect(updated.Outputs?.map(({ OutputValue }) => OutputValue)).toEqual(['thing-2', 'Updatestring']);
    // Another physical id: the old one is deleted in the cleanup.
    expect((await stacks.events('custom')).slice(-4, -1)).toEqual([
      'custom UPDATE_COMPLETE_CLEANUP_IN_PROGRESS',
      'Thing DELETE_IN_PROGRESS',
      'Thing DELETE_COMPLETE',
    ]);
    await stacks.client.send(new DeleteStackCommand({ StackName: 'custom' }));
    expect((await stacks.settled(id)).StackStatus).toBe('DELETE_COMPLETE');
  });

  it('fail with what the function says', async () => {
    const { stack } = await create('failing', template(1, 'true'));
    expect(stack.StackStatus).toBe('ROLLBACK_COMPLETE');
    expect((await stacks.events('failing')).find((text) => text.startsWith('Thing CREATE_FAILED'))).toMatch(
      /^Thing CREATE_FAILED \(Received response status \[FAILED\] from custom resource\. Message returned: no such size \(RequestId: [0-9a-f-]{36}\)\)$/,
    );
  });
}, 60_000);
