import {
  CreateStackCommand,
  DeleteStackCommand,
  DescribeStackEventsCommand,
  DescribeStackResourceCommand,
  DescribeStackResourcesCommand,
  DescribeStacksCommand,
  ListStackResourcesCommand,
  ListStacksCommand,
  UpdateStackCommand,
  UpdateTerminationProtectionCommand,
} from '@aws-sdk/client-cloudformation';
import { GetQueueAttributesCommand, ListQueuesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type StackCloud, startStackCloud } from '../stack-cloud.test-support.ts';

let stacks: StackCloud;
let sqs: SQSClient;

beforeAll(async () => {
  stacks = await startStackCloud();
  sqs = new SQSClient(stacks.cloud.clientConfig);
});

afterAll(async () => {
  sqs.destroy();
  await stacks.close();
});

const queues = `
Description: Two queues
Parameters:
  Delay: { Type: Number, Default: 3, MaxValue: 900 }
  Secret: { Type: String, NoEcho: true, Default: hush }
  Extra: { Type: String, Default: 'no', AllowedValues: ['yes', 'no'] }
Conditions:
  WithExtra: !Equals [!Ref Extra, 'yes']
Resources:
  Main:
    Type: AWS::SQS::Queue
    Properties:
      DelaySeconds: !Ref Delay
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3 }
      Tags: [{ Key: secret, Value: !Ref Secret }]
  Dead: { Type: AWS::SQS::Queue }
  Third: { Type: AWS::SQS::Queue, Condition: WithExtra }
Outputs:
  Url: { Value: !Ref Main, Description: where to send }
  Arn: { Value: !GetAtt Main.Arn, Export: { Name: !Sub '\${AWS::StackName}-arn' } }
`;

async function create(StackName: string, TemplateBody: string, rest = {}): Promise<string> {
  const { StackId } = await stacks.client.send(new CreateStackCommand({ StackName, TemplateBody, ...rest }));
  return StackId as string;
}

describe('creating', () => {
  it('makes the resources in order, tells events, and shows parameters, outputs, tags', async () => {
    const id = await create('shop', queues, {
      Tags: [{ Key: 'team', Value: 'a' }],
      Parameters: [{ ParameterKey: 'Delay', ParameterValue: '7' }],
    });
    expect(id).toMatch(/^arn:aws:cloudformation:us-east-1:000000000000:stack\/shop\/[0-9a-f-]{36}$/);
    const stack = await stacks.settled('shop');
    expect(stack).toMatchObject({
      StackId: id,
      StackStatus: 'CREATE_COMPLETE',
      Description: 'Two queues',
      Tags: [{ Key: 'team', Value: 'a' }],
      DisableRollback: false,
      EnableTerminationProtection: false,
    });
    expect(stack.Parameters).toEqual([
      { ParameterKey: 'Delay', ParameterValue: '7' },
      { ParameterKey: 'Secret', ParameterValue: '****' },
      { ParameterKey: 'Extra', ParameterValue: 'no' },
    ]);
    const url = stack.Outputs?.find(({ OutputKey }) => OutputKey === 'Url');
    expect(url).toMatchObject({
      Description: 'where to send',
      OutputValue: expect.stringMatching(/shop-Main-[A-Za-z0-9]{12}$/),
    });
    expect(stack.Outputs?.find(({ OutputKey }) => OutputKey === 'Arn')?.ExportName).toBe('shop-arn');
    const { Attributes } = await sqs.send(
      new GetQueueAttributesCommand({ QueueUrl: url?.OutputValue, AttributeNames: ['All'] }),
    );
    expect(Attributes?.['DelaySeconds']).toBe('7');
    expect(await stacks.events('shop')).toEqual([
      'shop CREATE_IN_PROGRESS (User Initiated)',
      'Dead CREATE_IN_PROGRESS',
      'Dead CREATE_IN_PROGRESS (Resource creation Initiated)',
      'Dead CREATE_COMPLETE',
      'Main CREATE_IN_PROGRESS',
      'Main CREATE_IN_PROGRESS (Resource creation Initiated)',
      'Main CREATE_COMPLETE',
      'shop CREATE_COMPLETE',
    ]);
  });

  it('shows resources, by the stack, by one of them, and by what they are', async () => {
    const { StackResources = [] } = await stacks.client.send(new DescribeStackResourcesCommand({ StackName: 'shop' }));
    expect(StackResources.map((r) => [r.LogicalResourceId, r.ResourceType, r.ResourceStatus])).toEqual([
      ['Dead', 'AWS::SQS::Queue', 'CREATE_COMPLETE'],
      ['Main', 'AWS::SQS::Queue', 'CREATE_COMPLETE'],
    ]);
    const one = { StackName: 'shop', LogicalResourceId: 'Main' };
    const { StackResourceDetail } = await stacks.client.send(new DescribeStackResourceCommand(one));
    expect(StackResourceDetail?.PhysicalResourceId).toBe(StackResources[1]?.PhysicalResourceId);
    const found = await stacks.client.send(
      new DescribeStackResourcesCommand({ PhysicalResourceId: StackResources[1]?.PhysicalResourceId }),
    );
    expect(found.StackResources).toHaveLength(2);
    const { StackResourceSummaries } = await stacks.client.send(new ListStackResourcesCommand({ StackName: 'shop' }));
    expect(StackResourceSummaries).toHaveLength(2);
    await expect(
      stacks.client.send(new DescribeStackResourceCommand({ ...one, LogicalResourceId: 'Nope' })),
    ).rejects.toThrow('Resource Nope does not exist for stack shop');
  });

  it('keeps NoEcho values out of events', async () => {
    const { StackEvents = [] } = await stacks.client.send(new DescribeStackEventsCommand({ StackName: 'shop' }));
    const main = StackEvents.find((event) => event.LogicalResourceId === 'Main');
    expect(main?.ResourceProperties).toContain('****');
    expect(JSON.stringify(StackEvents)).not.toContain('hush');
  });

  it('rolls back what failed, naming the resource and why', async () => {
    await create(
      'broken',
      'Resources: { Good: { Type: AWS::SQS::Queue }, Bad: { Type: AWS::SQS::Queue, DependsOn: Good, Properties: { DelaySeconds: 9999 } } }',
    );
    const stack = await stacks.settled('broken');
    expect(stack.StackStatus).toBe('ROLLBACK_COMPLETE');
    const events = await stacks.events('broken');
    expect(events.find((text) => text.startsWith('Bad CREATE_FAILED'))).toMatch(
      /^Bad CREATE_FAILED \(Resource handler returned message: ".*DelaySeconds.*" \(RequestToken: [0-9a-f-]{36}, HandlerErrorCode: InvalidRequest\)\)$/,
    );
    expect(events).toContain(
      'broken ROLLBACK_IN_PROGRESS (The following resource(s) failed to create: [Bad]. Rollback requested by user.)',
    );
    expect(events.at(-1)).toBe('broken ROLLBACK_COMPLETE');
    const { QueueUrls = [] } = await sqs.send(new ListQueuesCommand({ QueueNamePrefix: 'broken' }));
    expect(QueueUrls).toEqual([]);
    await expect(
      stacks.client.send(new UpdateStackCommand({ StackName: 'broken', TemplateBody: queues })),
    ).rejects.toThrow(/^Stack:arn:\S+ is in ROLLBACK_COMPLETE state and can not be updated\.$/);
  });

  it('fails for a property that the type does not have', async () => {
    await create('extraneous', 'Resources: { Bad: { Type: AWS::SQS::Queue, Properties: { Colour: red } } }', {
      OnFailure: 'DO_NOTHING',
    });
    expect((await stacks.settled('extraneous')).StackStatus).toBe('CREATE_FAILED');
    expect(await stacks.events('extraneous')).toContain(
      'Bad CREATE_FAILED (Properties validation failed for resource Bad with message:\n#: extraneous key [Colour] is not permitted)',
    );
  });

  it('deletes the stack at a failure if asked to', async () => {
    const id = await create('gone', 'Resources: { Bad: { Type: AWS::SQS::Queue, Properties: { Colour: red } } }', {
      OnFailure: 'DELETE',
    });
    expect((await stacks.settled(id)).StackStatus).toBe('DELETE_COMPLETE');
    await expect(stacks.client.send(new DescribeStacksCommand({ StackName: 'gone' }))).rejects.toThrow(
      'Stack with id gone does not exist',
    );
  });

  it('answers a repeated request of the same token with the same stack', async () => {
    const request = { ClientRequestToken: 'once' };
    const first = await create('token', queues, request);
    expect(await create('token', queues, request)).toBe(first);
    await stacks.settled('token');
    await expect(create('token', queues, { ClientRequestToken: 'twice' })).rejects.toMatchObject({
      name: 'AlreadyExistsException',
      message: 'Stack [token] already exists',
    });
  });
});

describe('updating', () => {
  const update = (StackName: string, TemplateBody: string, rest = {}) =>
    stacks.client.send(new UpdateStackCommand({ StackName, TemplateBody, ...rest }));

  it('changes what has changed, and keeps parameters by UsePreviousValue', async () => {
    await create('change', queues, { Parameters: [{ ParameterKey: 'Delay', ParameterValue: '11' }] });
    const before = await stacks.settled('change');
    const parameters = [
      { ParameterKey: 'Delay', UsePreviousValue: true },
      { ParameterKey: 'Extra', ParameterValue: 'yes' },
    ];
    await expect(update('change', queues, { Parameters: [parameters[0]] })).rejects.toMatchObject({
      name: 'ValidationError',
      message: 'No updates are to be performed.',
    });
    await update('change', queues, { Parameters: parameters });
    const after = await stacks.settled('change');
    expect(after.StackStatus).toBe('UPDATE_COMPLETE');
    expect(after.LastUpdatedTime).toBeInstanceOf(Date);
    expect(after.Outputs).toEqual(before.Outputs);
    expect(after.Parameters?.[0]).toEqual({ ParameterKey: 'Delay', ParameterValue: '11' });
    const events = await stacks.events('change');
    expect(events.slice(8)).toEqual([
      'change UPDATE_IN_PROGRESS (User Initiated)',
      'Third CREATE_IN_PROGRESS',
      'Third CREATE_IN_PROGRESS (Resource creation Initiated)',
      'Third CREATE_COMPLETE',
      'change UPDATE_COMPLETE_CLEANUP_IN_PROGRESS',
      'change UPDATE_COMPLETE',
    ]);
    await update('change', queues.replace('DelaySeconds: !Ref Delay', 'DelaySeconds: 20'));
    expect((await stacks.settled('change')).StackStatus).toBe('UPDATE_COMPLETE');
    const { StackResources = [] } = await stacks.client.send(
      new DescribeStackResourcesCommand({ StackName: 'change' }),
    );
    expect(StackResources.map((r) => [r.LogicalResourceId, r.ResourceStatus])).toEqual([
      ['Dead', 'CREATE_COMPLETE'],
      ['Main', 'UPDATE_COMPLETE'],
    ]);
  });

  it('replaces where a property cannot change in place', async () => {
    const named =
      'Resources: { Q: { Type: AWS::SQS::Queue, Properties: { QueueName: first } } }\nOutputs: { Url: { Value: !Ref Q } }';
    await create('replace', named);
    await stacks.settled('replace');
    await update('replace', named.replace('first', 'second'));
    const stack = await stacks.settled('replace');
    expect(stack.Outputs?.[0]?.OutputValue).toMatch(/second$/);
    expect((await stacks.events('replace')).slice(6)).toEqual([
      'Q UPDATE_IN_PROGRESS (Requested update requires the creation of a new physical resource; hence creating one.)',
      'Q UPDATE_IN_PROGRESS (Resource creation Initiated)',
      'Q UPDATE_COMPLETE',
      'replace UPDATE_COMPLETE_CLEANUP_IN_PROGRESS',
      'Q DELETE_IN_PROGRESS',
      'Q DELETE_COMPLETE',
      'replace UPDATE_COMPLETE',
    ]);
    const { QueueUrls = [] } = await sqs.send(new ListQueuesCommand({ QueueNamePrefix: 'first' }));
    expect(QueueUrls).toEqual([]);
  });

  it('brings everything back when it fails, the description and parameters too', async () => {
    await create('back', queues);
    const before = await stacks.settled('back');
    const bad =
      `${queues.replace('Two queues', 'Three').replace('DelaySeconds: !Ref Delay', 'DelaySeconds: 5')}`.replace(
        'Outputs:',
        '  Bad: { Type: AWS::SQS::Queue, DependsOn: Main, Properties: { DelaySeconds: 9999 } }\nOutputs:',
      );
    await update('back', bad);
    const after = await stacks.settled('back');
    expect(after).toMatchObject({
      StackStatus: 'UPDATE_ROLLBACK_COMPLETE',
      Description: 'Two queues',
      Outputs: before.Outputs as object,
    });
    const { Attributes } = await sqs.send(
      new GetQueueAttributesCommand({ QueueUrl: before.Outputs?.[0]?.OutputValue, AttributeNames: ['DelaySeconds'] }),
    );
    expect(Attributes?.['DelaySeconds']).toBe('3');
    await expect(update('back', queues)).rejects.toThrow('No updates are to be performed.');
  });
});

describe('deleting', () => {
  it('takes resources away in the reverse order; the stack is then known by its id alone', async () => {
    const id = await create('short', queues);
    await stacks.settled('short');
    await stacks.client.send(new DeleteStackCommand({ StackName: 'short' }));
    expect((await stacks.settled(id)).StackStatus).toBe('DELETE_COMPLETE');
    const events = (await stacks.events(id)).slice(8);
    expect(events).toEqual([
      'short DELETE_IN_PROGRESS (User Initiated)',
      'Main DELETE_IN_PROGRESS',
      'Main DELETE_COMPLETE',
      'Dead DELETE_IN_PROGRESS',
      'Dead DELETE_COMPLETE',
      'short DELETE_COMPLETE',
    ]);
    await expect(stacks.client.send(new DescribeStacksCommand({ StackName: 'short' }))).rejects.toThrow(
      'Stack with id short does not exist',
    );
    const { StackSummaries = [] } = await stacks.client.send(
      new ListStacksCommand({ StackStatusFilter: ['DELETE_COMPLETE'] }),
    );
    expect(StackSummaries.map((summary) => summary.StackId)).toContain(id);
    // Twice, and what was never there: both are well.
    await stacks.client.send(new DeleteStackCommand({ StackName: id }));
    await stacks.client.send(new DeleteStackCommand({ StackName: 'never' }));
  });

  it('may begin while the stack is being created', async () => {
    const id = await create('hasty', queues);
    await stacks.client.send(new DeleteStackCommand({ StackName: 'hasty' }));
    for (;;) {
      const stack = await stacks.settled(id);
      if (stack.StackStatus === 'DELETE_COMPLETE') break;
    }
    const { QueueUrls = [] } = await sqs.send(new ListQueuesCommand({ QueueNamePrefix: 'hasty' }));
    expect(QueueUrls).toEqual([]);
  });

  it('is refused under termination protection', async () => {
    const id = await create('safe', queues, { EnableTerminationProtection: true });
    await stacks.settled('safe');
    const remove = new DeleteStackCommand({ StackName: 'safe' });
    await expect(stacks.client.send(remove)).rejects.toThrow(
      'Stack [safe] cannot be deleted while TerminationProtection is enabled',
    );
    await stacks.client.send(
      new UpdateTerminationProtectionCommand({ StackName: 'safe', EnableTerminationProtection: false }),
    );
    await stacks.client.send(remove);
    expect((await stacks.settled(id)).StackStatus).toBe('DELETE_COMPLETE');
  });
});
