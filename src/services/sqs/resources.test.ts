import { randomBytes } from 'node:crypto';
import { ListQueueTagsCommand, SetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Caller, serviceCaller } from '../../platform/context.ts';
import type { Properties, ResourceContext, ResourceState, ResourceType } from '../../platform/resource-type.ts';
import { AwsError } from '../../wire/errors.ts';
import { type SqsWorld, startSqsWorld } from './world.test-support.ts';

let world: SqsWorld;
beforeAll(async () => {
  world = await startSqsWorld({ clock: 'virtual' });
});
afterAll(() => world.close());

const caller: Caller = serviceCaller('cloudformation', '000000000000', 'us-east-1');

function contextOf(logicalId: string, stackName = 'stack'): ResourceContext {
  const { platform } = world.cloud.cloud;
  return {
    caller,
    bus: platform.bus,
    stackName,
    stackId: `arn:aws:cloudformation:us-east-1:000000000000:stack/${stackName}/1`,
    logicalId,
    clientToken: randomBytes(8).toString('hex'),
    generatedName: ({ suffix = '' }) => `${stackName}-${logicalId}-ABCDEFGH${suffix}`,
    sleep: (ms) => platform.clock.sleep(ms),
  };
}

const type = (name: string): ResourceType => world.cloud.cloud.platform.resourceTypes.get(name)!;
const create = (logicalId: string, properties: Properties, stackName?: string): Promise<ResourceState> =>
  type('AWS::SQS::Queue').create(contextOf(logicalId, stackName), properties);

describe('AWS::SQS::Queue', () => {
  test('is created with all its properties, once however often it is tried', async () => {
    const letters = await create('Letters', {});
    expect(letters.physicalId).toBe(`${world.cloud.endpoint}/000000000000/stack-Letters-ABCDEFGH`);
    expect(letters.attributes).toEqual({
      Arn: 'arn:aws:sqs:us-east-1:000000000000:stack-Letters-ABCDEFGH',
      QueueName: 'stack-Letters-ABCDEFGH',
      QueueUrl: letters.physicalId,
    });
    const properties = {
      QueueName: 'cfn-queue',
      DelaySeconds: 17,
      MaximumMessageSize: 2048,
      MessageRetentionPeriod: 13579,
      ReceiveMessageWaitTimeSeconds: 18,
      VisibilityTimeout: '45',
      KmsMasterKeyId: 'alias/aws/sqs',
      KmsDataKeyReusePeriodSeconds: 297,
      RedrivePolicy: { deadLetterTargetArn: letters.attributes['Arn'], maxReceiveCount: 7 },
      Tags: [{ Key: 'Department', Value: 'Finance' }],
    };
    const state = await create('Queue', properties);
    expect(await create('Queue', properties)).toEqual(state);
    expect(await world.attributes(state.physicalId)).toMatchObject({
      DelaySeconds: '17',
      MaximumMessageSize: '2048',
      MessageRetentionPeriod: '13579',
      ReceiveMessageWaitTimeSeconds: '18',
      VisibilityTimeout: '45',
      KmsMasterKeyId: 'alias/aws/sqs',
      KmsDataKeyReusePeriodSeconds: '297',
      SqsManagedSseEnabled: 'false',
      RedrivePolicy: JSON.stringify(properties.RedrivePolicy),
    });
    const { Tags } = await world.client.send(new ListQueueTagsCommand({ QueueUrl: state.physicalId }));
    expect(Tags).toMatchObject({ Department: 'Finance', 'aws:cloudformation:logical-id': 'Queue' });

    const updated = await type('AWS::SQS::Queue').update(
      contextOf('Queue'),
      state.physicalId,
      { QueueName: 'cfn-queue', VisibilityTimeout: 50, Tags: [{ Key: 'New', Value: 1 }] },
      properties,
    );
    expect(updated).toEqual(state);
    const after = await world.attributes(state.physicalId);
    expect(after).toMatchObject({ DelaySeconds: '0', MaximumMessageSize: '1048576', VisibilityTimeout: '50' });
    expect(after).not.toHaveProperty('RedrivePolicy');
    expect(after).not.toHaveProperty('KmsMasterKeyId');
    const tags = await world.client.send(new ListQueueTagsCommand({ QueueUrl: state.physicalId }));
    expect(tags.Tags).toMatchObject({ New: '1' });
    expect(tags.Tags).not.toHaveProperty('Department');
  });

  test('takes no queue of someone else', async () => {
    await world.queue({}, 'taken');
    await expect(create('Queue', { QueueName: 'taken' })).rejects.toThrow(
      "Resource of type 'AWS::SQS::Queue' with identifier 'taken' already exists.",
    );
    await create('Queue', { QueueName: 'of-one-stack' }, 'one');
    await expect(create('Queue', { QueueName: 'of-one-stack' }, 'two')).rejects.toBeInstanceOf(AwsError);
  });

  test('waits for its name after a deletion, and is deleted twice without harm', async () => {
    const queue = type('AWS::SQS::Queue');
    const properties = { QueueName: 'reborn' };
    const state = await create('Queue', properties);
    await queue.delete(contextOf('Queue'), state.physicalId, properties);
    await queue.delete(contextOf('Queue'), state.physicalId, properties);
    const again = create('Queue', properties);
    await world.cloud.clock.advance(61_000);
    await world.cloud.clock.advance(5_000);
    expect(await again).toEqual(state);
  });

  test('passes on what SQS refuses', async () => {
    await expect(create('Bad', { VisibilityTimeout: 99999 })).rejects.toThrow(
      'Invalid value for the parameter VisibilityTimeout.',
    );
    await expect(create('Fifo', { FifoQueue: true, QueueName: 'plain' })).rejects.toThrow(/must end with .fifo suffix/);
  });

  test('makes FIFO queues, and takes their attributes back', async () => {
    const queue = type('AWS::SQS::Queue');
    const properties = {
      FifoQueue: true,
      ContentBasedDeduplication: true,
      DeduplicationScope: 'messageGroup',
      FifoThroughputLimit: 'perMessageGroupId',
    };
    const { physicalId, attributes } = await create('Fifo', properties);
    expect(attributes!['QueueName']).toMatch(/^.+\.fifo$/);
    expect(await world.attributes(physicalId)).toMatchObject({
      FifoQueue: 'true',
      ContentBasedDeduplication: 'true',
      DeduplicationScope: 'messageGroup',
      FifoThroughputLimit: 'perMessageGroupId',
    });
    await queue.update!(contextOf('Fifo'), physicalId, { FifoQueue: true }, properties);
    expect(await world.attributes(physicalId)).toMatchObject({
      FifoQueue: 'true',
      ContentBasedDeduplication: 'false',
      DeduplicationScope: 'queue',
      FifoThroughputLimit: 'perQueue',
    });
  });
});

describe('AWS::SQS::QueuePolicy', () => {
  test('sets the policy of its queues and takes it away', async () => {
    const policy = type('AWS::SQS::QueuePolicy');
    const [a, b] = [await world.queue(), await world.queue()];
    const document = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: '*', Action: 'sqs:*' }] };
    const properties = { PolicyDocument: document, Queues: [a, b] };
    const state = await policy.create(contextOf('Policy'), properties);
    expect(JSON.parse((await world.attributes(b))['Policy']!)).toEqual(document);
    const fewer = { PolicyDocument: document, Queues: [a] };
    await policy.update(contextOf('Policy'), state.physicalId, fewer, properties);
    expect(await world.attributes(b)).not.toHaveProperty('Policy');
    await policy.delete(contextOf('Policy'), state.physicalId, fewer);
    expect(await world.attributes(a)).not.toHaveProperty('Policy');
    await world.client.send(new SetQueueAttributesCommand({ QueueUrl: a, Attributes: { Policy: '' } }));
  });
});

describe('as a target', () => {
  test('a queue takes events by its ARN, and refuses for good what cannot be', async () => {
    const url = await world.queue();
    const { targets } = world.cloud.cloud.platform;
    const delivery = {
      deliveryId: '1',
      targetArn: world.arn(url),
      principal: caller.principal,
      sourceArn: 'arn:aws:lambda:us-east-1:000000000000:function:f',
      account: '000000000000',
      region: 'us-east-1',
      attempt: 1,
      body: '{"a":1}',
      attributes: {
        RequestID: { type: 'String', value: 'r' },
        ErrorCode: { type: 'Number', value: '200' },
        Bytes: { type: 'Binary', value: 'AAE=' },
      },
    } as const;
    expect(await targets.deliver(delivery)).toEqual({ result: 'done' });
    const [message] = await world.receive(url, { MessageAttributeNames: ['All'] });
    expect(message!.Body).toBe('{"a":1}');
    expect(message!.MessageAttributes).toMatchObject({
      RequestID: { DataType: 'String', StringValue: 'r' },
      ErrorCode: { DataType: 'Number', StringValue: '200' },
      Bytes: { DataType: 'Binary' },
    });
    expect(await targets.deliver({ ...delivery, targetArn: `${world.arn(url)}x` })).toMatchObject({
      result: 'permanent',
      error: { code: 'QueueDoesNotExist' },
    });
  });
});
