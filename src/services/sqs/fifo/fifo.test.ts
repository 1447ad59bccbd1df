import {
  ChangeMessageVisibilityCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectError, type SqsWorld, startSqsWorld } from '../world.test-support.ts';

let world: SqsWorld;
let created = 0;
beforeAll(async () => {
  world = await startSqsWorld({ clock: 'virtual' });
});
afterAll(() => world.close());

const advance = (seconds: number) => world.cloud.clock.advance(seconds * 1000);
const fifoQueue = (attributes: Record<string, string> = {}) =>
  world.queue({ FifoQueue: 'true', ContentBasedDeduplication: 'true', ...attributes }, `fifo-${++created}.fifo`);
const send = (QueueUrl: string, MessageGroupId: string, MessageBody: string, more: object = {}) =>
  world.client.send(new SendMessageCommand({ QueueUrl, MessageGroupId, MessageBody, ...more }));
const remove = (QueueUrl: string, { ReceiptHandle }: Message) =>
  world.client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
const hide = (QueueUrl: string, { ReceiptHandle }: Message, VisibilityTimeout: number) =>
  world.client.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout }));
const bodies = (messages: readonly Message[]) => messages.map(({ Body }) => Body);

describe('the order of a group', () => {
  test('holds, and a receive takes from one group after the other', async () => {
    const url = await fifoQueue();
    await send(url, 'g1', 'a');
    await send(url, 'g2', 'x');
    await send(url, 'g1', 'b');
    await send(url, 'g1', 'c');
    expect(bodies(await world.receive(url, { MaxNumberOfMessages: 2 }))).toEqual(['a', 'b']);
    // The first group is in flight: what it still has waits.
    expect(bodies(await world.receive(url))).toEqual(['x']);
    expect(await world.receive(url)).toEqual([]);
    expect(await world.counts(url)).toEqual([1, 3, 0]);
    await advance(31);
    expect(await world.counts(url)).toEqual([4, 0, 0]);
    expect(bodies(await world.receive(url)).sort()).toEqual(['a', 'b', 'c', 'x']);
  });

  test('goes on when what is in flight was deleted, and not before all of it', async () => {
    const url = await fifoQueue();
    for (const body of ['a', 'b', 'c', 'd']) await send(url, 'g', body);
    const [first, second] = await world.receive(url, { MaxNumberOfMessages: 2 });
    await remove(url, first!);
    expect(await world.receive(url)).toEqual([]);
    await send(url, 'g', 'e');
    expect(await world.receive(url)).toEqual([]);
    await remove(url, second!);
    expect(bodies(await world.receive(url))).toEqual(['c', 'd', 'e']);
    expect(await world.counts(url)).toEqual([0, 3, 0]);
  });

  test('comes back in order after the visibility timeout, up to what is still in flight', async () => {
    const url = await fifoQueue({ VisibilityTimeout: '10' });
    for (const body of ['a', 'b', 'c', 'd']) await send(url, 'g', body);
    const messages = await world.receive(url, { MaxNumberOfMessages: 3 });
    await hide(url, messages[1]!, 60);
    await advance(11);
    // As AWS was seen to do: what comes before the extended message is there, and nothing after it.
    expect(bodies(await world.receive(url, { VisibilityTimeout: 0 }))).toEqual(['a']);
    await advance(50);
    expect(bodies(await world.receive(url))).toEqual(['a', 'b', 'c', 'd']);
  });

  test('a message made visible comes at once although later ones are in flight', async () => {
    const url = await fifoQueue();
    await send(url, 'g1', 'a');
    await send(url, 'g1', 'b');
    await send(url, 'g2', 'x');
    const [first] = await world.receive(url, { MaxNumberOfMessages: 2 });
    await advance(1);
    await hide(url, first!, 0);
    expect(bodies(await world.receive(url, { MaxNumberOfMessages: 3 }))).toEqual(['x', 'a']);
  });

  test('a visibility timeout of zero leaves the group where it can be received again', async () => {
    const url = await fifoQueue();
    for (const [group, body] of ['g1-1', 'g2-1', 'g2-2', 'g3-1', 'g1-2'].map((text) => text.split('-'))) {
      await send(url, group!, `${group}-${body}`);
      await advance(1);
    }
    expect(bodies(await world.receive(url, { MaxNumberOfMessages: 3, VisibilityTimeout: 0 }))).toEqual([
      ...['g1-1', 'g1-2', 'g2-1'],
    ]);
    await advance(1);
    expect(bodies(await world.receive(url, { VisibilityTimeout: 0 }))).toEqual([
      ...['g3-1', 'g1-1', 'g1-2', 'g2-1', 'g2-2'],
    ]);
  });

  test('wakes a long poll when a group has something again', async () => {
    const url = await fifoQueue();
    await send(url, 'g', 'a');
    await send(url, 'g', 'b');
    const [first] = await world.receive(url, { MaxNumberOfMessages: 1 });
    const waiting = world.receive(url, { WaitTimeSeconds: 20 });
    await remove(url, first!);
    expect(bodies(await waiting)).toEqual(['b']);
  });
});

describe('deduplication', () => {
  test('by content: for five minutes, also after the message was deleted, and not longer', async () => {
    const url = await fifoQueue();
    const first = await send(url, 'g', 'a');
    const [message] = await world.receive(url);
    await remove(url, message!);
    await advance(290);
    const again = await send(url, 'other', 'a');
    expect(again).toMatchObject({ MessageId: first.MessageId, SequenceNumber: first.SequenceNumber });
    expect(await world.counts(url)).toEqual([0, 0, 0]);
    await advance(11);
    expect((await send(url, 'g', 'a')).MessageId).not.toBe(first.MessageId);
    expect(bodies(await world.receive(url))).toEqual(['a']);
  });

  test('by id, in a batch too, and apart by group where the scope is the group', async () => {
    const url = await fifoQueue({ ContentBasedDeduplication: 'false' });
    const entry = (Id: string, MessageGroupId: string, MessageDeduplicationId: string) => ({
      Id,
      MessageGroupId,
      MessageDeduplicationId,
      MessageBody: `${Id}${MessageGroupId}`,
    });
    const batch = (QueueUrl: string) =>
      world.client.send(
        new SendMessageBatchCommand({
          QueueUrl,
          Entries: [entry('1', 'a', 'x'), entry('2', 'a', 'x'), entry('3', 'b', 'x'), entry('4', 'b', 'y')],
        }),
      );
    const { Successful, Failed } = await batch(url);
    expect(Failed ?? []).toEqual([]);
    expect(Successful!.map(({ Id }) => Id)).toEqual(['1', '2', '3', '4']);
    expect(new Set(Successful!.map(({ MessageId }) => MessageId)).size).toBe(2);
    expect(await world.counts(url)).toEqual([2, 0, 0]);
    const scoped = await fifoQueue({ DeduplicationScope: 'messageGroup', FifoThroughputLimit: 'perMessageGroupId' });
    await batch(scoped);
    expect(await world.counts(scoped)).toEqual([3, 0, 0]);
  });
});

test('shows what AWS shows of a message, with sequences of 20 digits that grow', async () => {
  const url = await fifoQueue();
  const sequences: string[] = [];
  for (const body of ['a', 'b', 'c']) sequences.push((await send(url, 'g', body)).SequenceNumber!);
  expect(sequences).toEqual([...sequences].sort());
  for (const sequence of sequences) expect(sequence).toMatch(/^\d{20}$/);
  const [message] = await world.receive(url, { MessageSystemAttributeNames: ['All'], MaxNumberOfMessages: 1 });
  expect(message!.Attributes).toEqual({
    SenderId: '000000000000',
    SentTimestamp: expect.stringMatching(/^\d{13}$/),
    ApproximateReceiveCount: '1',
    ApproximateFirstReceiveTimestamp: expect.stringMatching(/^\d{13}$/),
    SequenceNumber: sequences[0],
    MessageGroupId: 'g',
    // The SHA-256 of the body.
    MessageDeduplicationId: 'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb',
  });
  await remove(url, message!);
  const [next] = await world.receive(url, { MaxNumberOfMessages: 2 });
  await remove(url, next!);
  // An emptied group goes on where it stopped.
  for (const one of await world.receive(url)) await remove(url, one);
  expect((await send(url, 'g', 'd')).SequenceNumber! > sequences[2]!).toBe(true);
});

describe('receipt handles', () => {
  test('are good while the message is in flight by them', async () => {
    const url = await fifoQueue({ VisibilityTimeout: '5' });
    await send(url, 'g', 'a');
    const [message] = await world.receive(url);
    await advance(6);
    const expired = `Value ${message!.ReceiptHandle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.`;
    await expectError(remove(url, message!), 'InvalidParameterValue', expired);
    await expectError(hide(url, message!, 10), 'InvalidParameterValue', expired);
    const [again] = await world.receive(url);
    await expectError(remove(url, message!), 'InvalidParameterValue', expired);
    const { Successful, Failed } = await world.client.send(
      new DeleteMessageBatchCommand({
        QueueUrl: url,
        Entries: [message!, again!].map(({ ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle })),
      }),
    );
    expect(Successful).toEqual([{ Id: '1' }]);
    expect(Failed).toMatchObject([{ Id: '0', SenderFault: true, Code: 'InvalidParameterValue', Message: expired }]);
    // Deleting once more succeeds.
    await remove(url, again!);
    expect(await world.counts(url)).toEqual([0, 0, 0]);
  });

  test('cannot hide a message for more than 12 hours from its receipt', async () => {
    const url = await fifoQueue();
    await send(url, 'g', 'a');
    const [message] = await world.receive(url);
    await advance(10);
    await expectError(hide(url, message!, 43_200), 'InvalidParameterValue', /beyond the limit \[43200 seconds\]/);
    await hide(url, message!, 43_189);
  });
});

test('ReceiveRequestAttemptId gives the same messages again until one of them has changed', async () => {
  const url = await fifoQueue({ VisibilityTimeout: '20' });
  for (const body of ['a', 'b', 'c']) await send(url, 'g', body);
  const receive = async (ReceiveRequestAttemptId: string) =>
    (
      await world.client.send(
        new ReceiveMessageCommand({ QueueUrl: url, MaxNumberOfMessages: 2, ReceiveRequestAttemptId }),
      )
    ).Messages ?? [];
  const first = await receive('one');
  expect(bodies(first)).toEqual(['a', 'b']);
  await advance(15);
  expect(await receive('one')).toEqual(first);
  expect(await receive('two')).toEqual([]);
  // The visibility timeout began anew.
  await advance(15);
  expect(await world.counts(url)).toEqual([1, 2, 0]);
  await remove(url, first[0]!);
  expect(await receive('one')).toEqual([]);
  await expectError(receive('no spaces'), 'InvalidParameterValue', /ReceiveRequestAttemptId can only include/);
});

describe('what a FIFO queue asks for', () => {
  test('a group, an id, and no delay of the message', async () => {
    const url = await fifoQueue({ ContentBasedDeduplication: 'false' });
    const sendWith = (more: object) =>
      world.client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'x', ...more }));
    await expectError(
      sendWith({ MessageDeduplicationId: 'a' }),
      'MissingParameter',
      'The request must contain the parameter MessageGroupId.',
    );
    const needsId =
      'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly';
    await expectError(sendWith({ MessageGroupId: 'a' }), 'InvalidParameterValue', needsId);
    const good = { MessageGroupId: 'a', MessageDeduplicationId: 'a' };
    await expectError(
      sendWith({ ...good, DelaySeconds: 2 }),
      'InvalidParameterValue',
      'Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for this queue type.',
    );
    for (const [name, value] of [
      ['MessageGroupId', ''],
      ['MessageGroupId', 'a b'],
      ['MessageDeduplicationId', 'a'.repeat(129)],
      ['MessageDeduplicationId', 'ä'],
    ] as const) {
      await expectError(
        sendWith({ ...good, [name]: value }),
        'InvalidParameterValue',
        `Value ${value} for parameter ${name} is invalid. Reason: ${name} can only include alphanumeric and punctuation characters. 1 to 128 in length.`,
      );
    }
    await sendWith({ ...good, DelaySeconds: 0 });
    const batch = (entry: object) =>
      world.client.send(
        new SendMessageBatchCommand({
          QueueUrl: url,
          Entries: [
            { Id: 'a', MessageBody: 'a', ...good },
            { Id: 'b', MessageBody: 'b', ...entry },
          ],
        }),
      );
    // Seen on AWS: these refuse the whole batch.
    await expectError(batch({ MessageGroupId: 'a' }), 'InvalidParameterValue', needsId);
    await expectError(batch({ MessageDeduplicationId: 'b' }), 'InvalidParameterValue', /parameter MessageGroupId\.$/);
    const { Successful, Failed } = await batch({ ...good, DelaySeconds: 1 });
    expect(Successful!.map(({ Id }) => Id)).toEqual(['a']);
    expect(Failed).toMatchObject([{ Id: 'b', Code: 'InvalidParameterValue', SenderFault: true }]);
  });

  test("its delay is the queue's, also for messages that were sent before it changed", async () => {
    const url = await fifoQueue({ DelaySeconds: '60' });
    await send(url, 'g', 'a');
    await advance(30);
    await send(url, 'g', 'b');
    await send(url, 'h', 'c');
    expect(await world.counts(url)).toEqual([0, 0, 3]);
    await advance(31);
    expect(await world.counts(url)).toEqual([1, 0, 2]);
    expect(bodies(await world.receive(url))).toEqual(['a']);
  });
});
