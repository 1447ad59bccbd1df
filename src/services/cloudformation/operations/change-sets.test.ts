import {
  CreateChangeSetCommand,
  type CreateChangeSetCommandInput,
  DeleteChangeSetCommand,
  DescribeChangeSetCommand,
  DescribeStacksCommand,
  ExecuteChangeSetCommand,
  GetTemplateCommand,
  ListChangeSetsCommand,
} from '@aws-sdk/client-cloudformation';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type StackCloud, startStackCloud } from '../stack-cloud.test-support.ts';

let stacks: StackCloud;

beforeAll(async () => {
  stacks = await startStackCloud();
});

afterAll(() => stacks.close());

const one = 'Resources: { A: { Type: AWS::SQS::Queue, Properties: { DelaySeconds: 1 } } }';

async function make(input: Omit<CreateChangeSetCommandInput, 'StackName'>, StackName = 'set') {
  const { Id } = await stacks.client.send(new CreateChangeSetCommand({ StackName, ...input }));
  return stacks.client.send(new DescribeChangeSetCommand({ ChangeSetName: Id }));
}

it('creates a stack by a change set, as deploy commands do', async () => {
  const set = await make({ ChangeSetName: 'first', ChangeSetType: 'CREATE', TemplateBody: one });
  expect(set).toMatchObject({ Status: 'CREATE_COMPLETE', ExecutionStatus: 'AVAILABLE', StackName: 'set' });
  expect(set.Changes).toEqual([
    {
      Type: 'Resource',
      ResourceChange: {
        Action: 'Add',
        LogicalResourceId: 'A',
        ResourceType: 'AWS::SQS::Queue',
        Scope: [],
        Details: [],
      },
    },
  ]);
  const { Stacks } = await stacks.client.send(new DescribeStacksCommand({ StackName: 'set' }));
  expect(Stacks?.[0]?.StackStatus).toBe('REVIEW_IN_PROGRESS');
  await stacks.client.send(new ExecuteChangeSetCommand({ ChangeSetName: 'first', StackName: 'set' }));
  await new Promise((resolve) => setTimeout(resolve, 100));
  const stack = await stacks.settled('set');
  expect(stack).toMatchObject({ StackStatus: 'CREATE_COMPLETE', ChangeSetId: set.ChangeSetId });
  expect(await stacks.events('set')).toEqual([
    'set REVIEW_IN_PROGRESS (User Initiated)',
    'set CREATE_IN_PROGRESS (User Initiated)',
    'A CREATE_IN_PROGRESS',
    'A CREATE_IN_PROGRESS (Resource creation Initiated)',
    'A CREATE_COMPLETE',
    'set CREATE_COMPLETE',
  ]);
  const after = await stacks.client.send(new DescribeChangeSetCommand({ ChangeSetName: set.ChangeSetId }));
  expect(after.ExecutionStatus).toBe('EXECUTE_COMPLETE');
});

it('tells modifications, replacements and removals, and their values if asked', async () => {
  const TemplateBody =
    'Resources: { A: { Type: AWS::SQS::Queue, Properties: { DelaySeconds: 2, QueueName: mine } }, B: { Type: AWS::SQS::Queue } }';
  const set = await make({ ChangeSetName: 'second', TemplateBody });
  expect(
    set.Changes?.map(({ ResourceChange: change }) => [change?.Action, change?.LogicalResourceId, change?.Replacement]),
  ).toEqual([
    ['Modify', 'A', 'True'],
    ['Add', 'B', undefined],
  ]);
  expect(set.Changes?.[0]?.ResourceChange).toMatchObject({
    PolicyAction: 'ReplaceAndDelete',
    Scope: ['Properties'],
    Details: [
      { Target: { Attribute: 'Properties', Name: 'DelaySeconds', RequiresRecreation: 'Never' } },
      { Target: { Attribute: 'Properties', Name: 'QueueName', RequiresRecreation: 'Always' } },
    ],
  });
  const other = await make({ ChangeSetName: 'third', UsePreviousTemplate: true, Tags: [{ Key: 'a', Value: 'b' }] });
  expect(other.Status).toBe('CREATE_COMPLETE');
  const shown = { ChangeSetName: 'second', StackName: 'set' };
  const values = await stacks.client.send(new DescribeChangeSetCommand({ ...shown, IncludePropertyValues: true }));
  expect(JSON.parse(values.Changes?.[0]?.ResourceChange?.AfterContext ?? '')).toEqual({
    Properties: { DelaySeconds: 2, QueueName: 'mine' },
  });
  const { TemplateBody: body } = await stacks.client.send(new GetTemplateCommand(shown));
  expect(body).toBe(TemplateBody);
  await stacks.client.send(new ExecuteChangeSetCommand(shown));
  expect((await stacks.settled('set')).StackStatus).toBe('UPDATE_COMPLETE');
  const { Summaries = [] } = await stacks.client.send(new ListChangeSetsCommand({ StackName: 'set' }));
  expect(new Map(Summaries.map((s) => [s.ChangeSetName, s.ExecutionStatus])).get('third')).toBe('OBSOLETE');
  await expect(
    stacks.client.send(new ExecuteChangeSetCommand({ ChangeSetName: 'third', StackName: 'set' })),
  ).rejects.toMatchObject({ name: 'InvalidChangeSetStatusException' });
});

it('fails a set without changes in the words that deploy commands look for', async () => {
  const set = await make({ ChangeSetName: 'nothing', UsePreviousTemplate: true });
  expect(set).toMatchObject({
    Status: 'FAILED',
    ExecutionStatus: 'UNAVAILABLE',
    StatusReason:
      "The submitted information didn't contain changes. Submit different information to create a change set.",
  });
  await expect(stacks.client.send(new ExecuteChangeSetCommand({ ChangeSetName: set.ChangeSetId }))).rejects.toThrow(
    /^ChangeSet \[arn:\S+\] cannot be executed in its current status of \[FAILED\]$/,
  );
  await stacks.client.send(new DeleteChangeSetCommand({ ChangeSetName: set.ChangeSetId }));
  await expect(
    stacks.client.send(new DescribeChangeSetCommand({ ChangeSetName: 'nothing', StackName: 'set' })),
  ).rejects.toMatchObject({ name: 'ChangeSetNotFoundException', message: 'ChangeSet [nothing] does not exist' });
});

it('refuses what cannot be', async () => {
  await expect(make({ ChangeSetName: 'x', TemplateBody: one }, 'nowhere')).rejects.toThrow(
    'Stack [nowhere] does not exist',
  );
  await expect(make({ ChangeSetName: 'x', ChangeSetType: 'CREATE', TemplateBody: one })).rejects.toThrow(
    'Stack [set] already exists and cannot be created again with the changeSet [x].',
  );
  await expect(make({ ChangeSetName: 'first', TemplateBody: one })).rejects.toMatchObject({
    name: 'AlreadyExistsException',
  });
  const role = 'Resources: { R: { Type: AWS::IAM::Role, Properties: { AssumeRolePolicyDocument: {} } } }';
  await expect(make({ ChangeSetName: 'iam', TemplateBody: role })).rejects.toMatchObject({
    name: 'InsufficientCapabilitiesException',
    message: 'Requires capabilities : [CAPABILITY_IAM]',
  });
  const sam = `Transform: AWS::Serverless-2016-10-31\nResources: { F: { Type: AWS::Serverless::Function, Properties: { Nope: 1 } } }`;
  const failed = await make({ ChangeSetName: 'sam', TemplateBody: sam });
  expect(failed.Status).toBe('FAILED');
  expect(failed.StatusReason).toMatch(
    /^Transform AWS::Serverless-2016-10-31 failed with: Invalid Serverless Application/,
  );
});
