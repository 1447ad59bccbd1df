import {
  CancelMessageMoveTaskCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  ListMessageMoveTasksCommand,
  SendMessageCommand,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectError, type SqsWorld, startSqsWorld } from '../world.test-support.ts';

let world: SqsWorld;
beforeAll(async () => {
  world = await startSqsWorld({ clock: 'virtual' });
});
afterAll(() => world.close());

const advance = (seconds: number) => world.cloud.clock.advance(seconds * 1000);
let pairs = 0;

/** A queue and its dead-letter queue. */
async function pair(maxReceiveCount = 2): Promise<{ source: string; letters: string }> {
  const name = `pair-${++pairs}`;
  const letters = await world.queue({}, `${name}-letters`);
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: world.arn(letters), maxReceiveCount });
  const source = await world.queue({ VisibilityTimeout: '1', RedrivePolicy }, `${name}-source`);
  return { source, letters };
}

/** Sends and receives so often that all messages are dead letters in the end. */
async function kill(source: string, bodies: readonly string[]): Promise<void> {
  for (const body of bodies) await world.send(source, body);
  for (let rounds = 0; rounds < 100; rounds++) {
    const [visible, inFlight] = await world.counts(source);
    if (visible + inFlight === 0) return;
    await world.receive(source, { VisibilityTimeout: 0 });
  }
  throw new Error('the messages do not die');
}

const start = (source: string, more: object = {}) =>
  world.client.send(new StartMessageMoveTaskCommand({ SourceArn: world.arn(source), ...more }));
const list = async (source: string, MaxResults?: number) =>
  (await world.client.send(new ListMessageMoveTasksCommand({ SourceArn: world.arn(source), MaxResults }))).Results ??
  [];

describe('dead letters', () => {
  test('move on the receive after the last allowed one, with id, time and count', async () => {
    const { source, letters } = await pair(2);
    const id = await world.client.send(
      new SendMessageCommand({
        QueueUrl: source,
        MessageBody: 'poison',
        MessageAttributes: { a: { DataType: 'String', StringValue: 'b' } },
      }),
    );
    const [first] = await world.receive(source, { MessageSystemAttributeNames: ['All'] });
    await advance(1);
    const [second] = await world.receive(source, { MessageSystemAttributeNames: ['All'] });
    expect(second!.Attributes!['ApproximateReceiveCount']).toBe('2');
    await advance(5);
    expect(await world.counts(letters)).toEqual([0, 0, 0]);
    expect(await world.receive(source)).toEqual([]);
    expect(await world.counts(source)).toEqual([0, 0, 0]);
    expect(await world.counts(letters)).toEqual([1, 0, 0]);
    const [dead] = await world.receive(letters, {
      MessageSystemAttributeNames: ['All'],
      MessageAttributeNames: ['All'],
    });
    expect(dead).toMatchObject({
      MessageId: id.MessageId,
      Body: 'poison',
      MD5OfMessageAttributes: id.MD5OfMessageAttributes,
      Attributes: {
        ApproximateReceiveCount: '3',
        SentTimestamp: first!.Attributes!['SentTimestamp'],
        ApproximateFirstReceiveTimestamp: first!.Attributes!['ApproximateFirstReceiveTimestamp'],
        DeadLetterQueueSourceArn: world.arn(source),
      },
    });
    await world.client.send(new DeleteMessageCommand({ QueueUrl: letters, ReceiptHandle: dead!.ReceiptHandle! }));
    expect(await world.counts(letters)).toEqual([0, 0, 0]);
  });

  test('make room for others in the same receive', async () => {
    const { source, letters } = await pair(1);
    await world.send(source, 'dead');
    await world.receive(source, { VisibilityTimeout: 0 });
    await world.send(source, 'alive');
    expect((await world.receive(source, { MaxNumberOfMessages: 1 })).map(({ Body }) => Body)).toEqual(['alive']);
    expect(await world.counts(letters)).toEqual([1, 0, 0]);
  });

  test('expire in the dead-letter queue by the time of their first sending', async () => {
    const letters = await world.queue({ MessageRetentionPeriod: '60' }, 'short-letters');
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: world.arn(letters), maxReceiveCount: 1 });
    const source = await world.queue({ VisibilityTimeout: '1', RedrivePolicy }, 'short-source');
    await world.send(source, 'x');
    await world.receive(source);
    await advance(40);
    await world.receive(source);
    expect(await world.counts(letters)).toEqual([1, 0, 0]);
    await advance(21);
    expect(await world.counts(letters)).toEqual([0, 0, 0]);
  });

  test('stay where they are when the dead-letter queue is gone', async () => {
    const { source, letters } = await pair(1);
    await world.send(source, 'x');
    await world.receive(source, { VisibilityTimeout: 0 });
    await world.client.send(new DeleteQueueCommand({ QueueUrl: letters }));
    expect(await world.receive(source, { VisibilityTimeout: 0 })).toHaveLength(1);
    expect(await world.receive(source)).toHaveLength(1);
  });

  test('a queue may be its own dead-letter queue, and loses nothing', async () => {
    const source = await world.queue({}, 'ouroboros');
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: world.arn(source), maxReceiveCount: 1 });
    const { SetQueueAttributesCommand } = await import('@aws-sdk/client-sqs');
    await world.client.send(new SetQueueAttributesCommand({ QueueUrl: source, Attributes: { RedrivePolicy } }));
    await world.send(source, 'x');
    for (let round = 0; round < 5; round++) {
      expect(await world.receive(source, { VisibilityTimeout: 0 })).toHaveLength(1);
      expect(await world.counts(source)).toEqual([1, 0, 0]);
    }
  });
});

describe('move tasks', () => {
  test('bring dead letters back to where they came from, as new messages', async () => {
    const { source, letters } = await pair(1);
    const sentId = await world.send(source, 'again');
    await kill(source, ['and again']);
    expect(await world.counts(letters)).toEqual([2, 0, 0]);
    const { TaskHandle } = await start(letters);
    expect(JSON.parse(Buffer.from(TaskHandle!, 'base64').toString())).toMatchObject({ sourceArn: world.arn(letters) });
    await advance(1);
    expect(await list(letters)).toEqual([
      {
        SourceArn: world.arn(letters),
        Status: 'COMPLETED',
        ApproximateNumberOfMessagesMoved: 2,
        ApproximateNumberOfMessagesToMove: 2,
        StartedTimestamp: expect.any(Number),
      },
    ]);
    expect(await world.counts(letters)).toEqual([0, 0, 0]);
    const back = await world.receive(source, { MessageSystemAttributeNames: ['All'] });
    expect(back.map(({ Body }) => Body).sort()).toEqual(['again', 'and again']);
    expect(back.map(({ MessageId }) => MessageId)).not.toContain(sentId);
    for (const { Attributes } of back) {
      expect(Attributes).toMatchObject({ ApproximateReceiveCount: '1' });
      expect(Attributes).not.toHaveProperty('DeadLetterQueueSourceArn');
    }
  });

  test('bring them elsewhere when asked, at the rate asked for, and can be cancelled', async () => {
    const { source, letters } = await pair(1);
    const elsewhere = await world.queue();
    await kill(
      source,
      Array.from({ length: 10 }, (_, index) => String(index)),
    );
    const options = { DestinationArn: world.arn(elsewhere), MaxNumberOfMessagesPerSecond: 1 };
    const { TaskHandle } = await start(letters, options);
    await expectError(
      start(letters, options),
      'InvalidParameterValue',
      'There is already a task running. Only one active task is allowed for a source queue arn at a given time.',
    );
    await advance(3.5);
    const [running] = await list(letters);
    expect(running).toMatchObject({
      TaskHandle,
      Status: 'RUNNING',
      DestinationArn: world.arn(elsewhere),
      MaxNumberOfMessagesPerSecond: 1,
      ApproximateNumberOfMessagesToMove: 10,
    });
    const moved = running!.ApproximateNumberOfMessagesMoved!;
    expect(moved).toBeGreaterThanOrEqual(3);
    expect(moved).toBeLessThanOrEqual(5);
    expect(await world.counts(elsewhere)).toEqual([moved, 0, 0]);
    const cancelled = await world.client.send(new CancelMessageMoveTaskCommand({ TaskHandle }));
    expect(cancelled.ApproximateNumberOfMessagesMoved).toBe(moved);
    await advance(20);
    expect((await list(letters))[0]).toMatchObject({ Status: 'CANCELLED', ApproximateNumberOfMessagesMoved: moved });
    expect((await list(letters))[0]!.TaskHandle).toBeUndefined();
    expect(await world.counts(letters)).toEqual([10 - moved, 0, 0]);
    await expectError(
      world.client.send(new CancelMessageMoveTaskCommand({ TaskHandle })),
      'AWS.SimpleQueueService.UnsupportedOperation',
    );
    // A new one goes on.
    await start(letters);
    await advance(1);
    expect(await world.counts(source)).toEqual([10 - moved, 0, 0]);
    expect((await list(letters, 10)).map(({ Status }) => Status)).toEqual(['COMPLETED', 'CANCELLED']);
  });

  test('fail when the destination goes away, and leave the rest where it is', async () => {
    const { source, letters } = await pair(1);
    const elsewhere = await world.queue();
    await kill(source, ['a', 'b', 'c', 'd']);
    await start(letters, { DestinationArn: world.arn(elsewhere), MaxNumberOfMessagesPerSecond: 1 });
    await advance(1.5);
    await world.client.send(new DeleteQueueCommand({ QueueUrl: elsewhere }));
    await advance(30);
    const [task] = await list(letters);
    expect(task).toMatchObject({ Status: 'FAILED', FailureReason: 'AWS.SimpleQueueService.NonExistentQueue' });
    expect(await world.counts(letters)).toEqual([4 - task!.ApproximateNumberOfMessagesMoved!, 0, 0]);
  });

  test('fail for messages that came from nowhere', async () => {
    const { letters } = await pair(1);
    await world.send(letters, 'stray');
    await start(letters);
    await advance(1);
    expect((await list(letters))[0]).toMatchObject({
      Status: 'FAILED',
      FailureReason: 'CouldNotDetermineMessageSource',
    });
    expect(await world.counts(letters)).toEqual([1, 0, 0]);
  });

  test('refuse what cannot be', async () => {
    const plain = await world.queue();
    const { letters } = await pair();
    await expectError(start(plain), 'InvalidParameterValue', 'Source queue must be configured as a Dead Letter Queue.');
    await expectError(
      start(`${plain}-missing`),
      'ResourceNotFoundException',
      "The resource that you specified for the SourceArn parameter doesn't exist.",
    );
    await expectError(
      start(letters, { DestinationArn: `${world.arn(plain)}-missing` }),
      'ResourceNotFoundException',
      "The resource that you specified for the DestinationArn parameter doesn't exist.",
    );
    await expectError(
      world.client.send(new StartMessageMoveTaskCommand({ SourceArn: 'nonsense' })),
      'InvalidParameterValue',
      'You must use this format to specify the SourceArn: arn:<partition>:<service>:<region>:<account-id>:<resource-id>',
    );
    await expectError(start(letters, { MaxNumberOfMessagesPerSecond: 501 }), 'InvalidParameterValue');
    const cancel = (value: object | string) =>
      world.client.send(
        new CancelMessageMoveTaskCommand({
          TaskHandle: typeof value === 'string' ? value : Buffer.from(JSON.stringify(value)).toString('base64'),
        }),
      );
    await expectError(cancel('foobared'), 'InvalidParameterValue', 'Value for parameter TaskHandle is invalid.');
    await expectError(
      cancel({ taskId: 'x', sourceArn: `${world.arn(plain)}-missing` }),
      'ResourceNotFoundException',
      "The resource that you specified for the SourceArn parameter doesn't exist.",
    );
    await expectError(
      cancel({ taskId: 'x', sourceArn: world.arn(letters) }),
      'ResourceNotFoundException',
      'Task does not exist.',
    );
    expect(await list(letters)).toEqual([]);
  });
});
