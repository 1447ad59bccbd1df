import {
  CreateQueueCommand,
  DeleteMessageCommand,
  ListMessageMoveTasksCommand,
  PurgeQueueCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prefixRange } from '../../../kernel/store/keys.ts';
import { createSimulation, url as urlOf } from '../simulation.test-support.ts';
import { rememberedOf, tailsOf } from '../state.ts';
import { expectError, type SqsWorld, startSqsWorld, worldOf } from '../world.test-support.ts';

let world: SqsWorld;
let created = 0;
beforeAll(async () => {
  world = await startSqsWorld({ clock: 'virtual' });
});
afterAll(() => world.close());

const advance = (seconds: number) => world.cloud.clock.advance(seconds * 1000);
const fifo = { FifoQueue: 'true', ContentBasedDeduplication: 'true' };
const fifoQueue = (attributes: Record<string, string> = {}) =>
  world.queue({ ...fifo, ...attributes }, `life-${++created}.fifo`);
const send = (QueueUrl: string, MessageGroupId: string, MessageBody: string) =>
  world.client.send(new SendMessageCommand({ QueueUrl, MessageGroupId, MessageBody }));
const bodies = (messages: readonly { readonly Body?: string | undefined }[]) => messages.map(({ Body }) => Body);
const redriveTo = (letters: string, maxReceiveCount = 1) => ({
  RedrivePolicy: JSON.stringify({ deadLetterTargetArn: world.arn(letters), maxReceiveCount }),
});

describe('dead letters', () => {
  test('leave their group in order, keep their ids and count on, and the group goes on', async () => {
    const letters = await fifoQueue();
    const url = await fifoQueue({ ...redriveTo(letters, 2), VisibilityTimeout: '1' });
    const ids: (string | undefined)[] = [];
    for (const body of ['a', 'b', 'c']) ids.push((await send(url, 'g', body)).MessageId);
    for (let round = 0; round < 2; round++) {
      expect(bodies(await world.receive(url, { MaxNumberOfMessages: 2 }))).toEqual(['a', 'b']);
      await advance(2);
    }
    // The receive after the last allowed one moves them, and gives what comes next.
    expect(bodies(await world.receive(url, { MaxNumberOfMessages: 2 }))).toEqual(['c']);
    expect(await world.counts(letters)).toEqual([2, 0, 0]);
    const dead = await world.receive(letters, { MessageSystemAttributeNames: ['All'] });
    expect(dead.map(({ MessageId }) => MessageId)).toEqual(ids.slice(0, 2));
    expect(dead[0]!.Attributes).toMatchObject({
      ApproximateReceiveCount: '3',
      MessageGroupId: 'g',
      DeadLetterQueueSourceArn: world.arn(url),
    });
  });

  test('go to a queue of the same kind only', async () => {
    const [plain, letters] = [await world.queue(), await fifoQueue()];
    const reason = /Dead-letter queue must be same type of queue as the source\.$/;
    await expectError(fifoQueue(redriveTo(plain)), 'InvalidParameterValue', reason);
    await expectError(world.queue(redriveTo(letters)), 'InvalidParameterValue', reason);
  });

  test('stay where they are while the redrive allow policy refuses them', async () => {
    for (const kind of ['standard', 'fifo'] as const) {
      const [letters, url] =
        kind === 'fifo'
          ? [await fifoQueue(), await fifoQueue({ VisibilityTimeout: '0' })]
          : [await world.queue(), await world.queue({ VisibilityTimeout: '0' })];
      const set = (QueueUrl: string, Attributes: Record<string, string>) =>
        world.client.send(new SetQueueAttributesCommand({ QueueUrl, Attributes }));
      await set(url, redriveTo(letters));
      const group = kind === 'fifo' ? { MessageGroupId: 'g' } : {};
      await world.client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'a', ...group }));
      await set(letters, { RedriveAllowPolicy: '{"redrivePermission":"denyAll"}' });
      for (let round = 0; round < 3; round++) expect(bodies(await world.receive(url))).toEqual(['a']);
      await set(letters, { RedriveAllowPolicy: '' });
      expect(await world.receive(url)).toEqual([]);
      expect(await world.counts(letters)).toEqual([1, 0, 0]);
    }
  });

  test('are redriven in order, although they were sent less than five minutes ago', async () => {
    const letters = await fifoQueue();
    const url = await fifoQueue({ ...redriveTo(letters), VisibilityTimeout: '0' });
    for (let index = 0; index < 30; index++) await send(url, `g${index % 3}`, `${index}`);
    while ((await world.counts(letters))[0] < 30) await world.receive(url);
    await send(url, 'g0', 'new');
    const start = (input: object) =>
      world.client.send(new StartMessageMoveTaskCommand({ SourceArn: world.arn(letters), ...input }));
    const plain = await world.queue();
    await expectError(start({ DestinationArn: world.arn(plain) }), 'InvalidParameterValue', /same type/);
    await start({ MaxNumberOfMessagesPerSecond: 10 });
    await advance(1.5);
    const moved = 30 - (await world.counts(letters))[0];
    expect(moved).toBeGreaterThan(0);
    expect(moved).toBeLessThan(30);
    await advance(10);
    const { Results } = await world.client.send(new ListMessageMoveTasksCommand({ SourceArn: world.arn(letters) }));
    expect(Results![0]).toMatchObject({ Status: 'COMPLETED', ApproximateNumberOfMessagesMoved: 30 });
    expect(await world.counts(url)).toEqual([31, 0, 0]);
    await world.client.send(new SetQueueAttributesCommand({ QueueUrl: url, Attributes: { VisibilityTimeout: '60' } }));
    const seen: Record<string, number[]> = {};
    for (let messages = await world.receive(url); messages.length > 0; messages = await world.receive(url)) {
      for (const { Body, ReceiptHandle } of messages) {
        if (Body !== 'new') (seen[`${Number(Body) % 3}`] ??= []).push(Number(Body));
        await world.client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle }));
      }
    }
    for (const order of Object.values(seen)) expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(Object.values(seen).flat()).toHaveLength(30);
  });
});

test('a purge forgets messages and duplicates', async () => {
  const url = await fifoQueue();
  await send(url, 'g', 'a');
  await send(url, 'g', 'b');
  const [held] = await world.receive(url, { MaxNumberOfMessages: 1 });
  await world.client.send(new PurgeQueueCommand({ QueueUrl: url }));
  expect(await world.counts(url)).toEqual([0, 0, 0]);
  await world.client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: held!.ReceiptHandle }));
  await send(url, 'g', 'a');
  expect(bodies(await world.receive(url))).toEqual(['a']);
});

test('what is past retention goes, read or not, and the store is left clean', async () => {
  const url = await fifoQueue({ MessageRetentionPeriod: '60' });
  await send(url, 'g', 'a');
  await send(url, 'h', 'b');
  await advance(30);
  await send(url, 'g', 'c');
  await advance(31);
  expect(bodies(await world.receive(url, { VisibilityTimeout: 0 }))).toEqual(['c']);
  await advance(3_600);
  expect(await world.counts(url)).toEqual([0, 0, 0]);
  const { id, generation } = (await queueRecord(url))!;
  const { store } = world.cloud.cloud.platform;
  for (const prefix of [tailsOf(id, generation), ...rememberedOf(id, generation)]) {
    expect(await store.list(prefixRange(prefix))).toEqual([]);
  }
});

test('a shorter delay holds at once for what waits already', async () => {
  const url = await fifoQueue({ DelaySeconds: '600' });
  await send(url, 'g', 'a');
  await advance(1);
  expect(await world.counts(url)).toEqual([0, 0, 1]);
  const waiting = world.receive(url, { WaitTimeSeconds: 20 });
  await world.client.send(new SetQueueAttributesCommand({ QueueUrl: url, Attributes: { DelaySeconds: '0' } }));
  expect(bodies(await waiting)).toEqual(['a']);
  await world.client.send(new SetQueueAttributesCommand({ QueueUrl: url, Attributes: { DelaySeconds: '900' } }));
  await send(url, 'h', 'b');
  expect(await world.counts(url)).toEqual([0, 1, 1]);
});

test('senders of one group share commits, keep their order and know duplicates among each other', async () => {
  const simulation = createSimulation(5, { fifoCalls: Number.POSITIVE_INFINITY });
  const { operations, context, store } = simulation;
  const QueueUrl = urlOf('q.fifo');
  await operations.CreateQueue!(context, { QueueName: 'q.fifo', Attributes: fifo });
  let commits = 0;
  const commit = store.commit.bind(store);
  Object.assign(store, {
    commit: async (...parameters: Parameters<typeof commit>) => {
      commits++;
      // As long as a disk takes.
      await new Promise((resolve) => setTimeout(resolve, 5));
      return commit(...parameters);
    },
  });
  const sent = await Promise.all(
    Array.from({ length: 120 }, (_, index) =>
      operations.SendMessage!(context, { QueueUrl, MessageBody: `${index % 100}`, MessageGroupId: 'g' }),
    ),
  );
  expect(commits).toBeLessThan(10);
  expect(new Set(sent.map(({ MessageId }) => MessageId)).size).toBe(100);
  const sequences = sent.slice(0, 100).map(({ SequenceNumber }) => SequenceNumber!);
  expect(sequences).toEqual([...sequences].sort());
  const { Messages } = await operations.ReceiveMessage!(context, { QueueUrl, MaxNumberOfMessages: 10 });
  expect(bodies(Messages!)).toEqual(Array.from({ length: 10 }, (_, index) => `${index}`));
  await simulation.close();
});

describe('limits', () => {
  test('300 calls a second of an action, batches of ten counted once', async () => {
    const url = await fifoQueue();
    const throttled = async (calls: number, call: (index: number) => Promise<unknown>): Promise<number> => {
      let refused = 0;
      for (let index = 0; index < calls; index++) {
        await call(index).catch((error: Error) => {
          expect(error.name).toBe('RequestThrottled');
          refused++;
        });
      }
      return refused;
    };
    const simulation = createSimulation(3);
    const { operations, context, clock } = simulation;
    const QueueUrl = urlOf('q.fifo');
    await operations.CreateQueue!(context, { QueueName: 'q.fifo', Attributes: fifo });
    const sendOne = (MessageGroupId: string) => (index: number) =>
      operations.SendMessage!(context, { QueueUrl, MessageGroupId, MessageBody: `${MessageGroupId}${index}` }).catch(
        (error: { code: string }) => {
          throw Object.assign(new Error(error.code), { name: error.code });
        },
      );
    expect(await throttled(310, sendOne('a'))).toBe(10);
    await clock.advance(1_000);
    const batch = (index: number) =>
      operations.SendMessageBatch!(context, {
        QueueUrl,
        Entries: [0, 1, 2].map((entry) => ({
          Id: `${entry}`,
          MessageBody: `${index}.${entry}`,
          MessageGroupId: `${entry}`,
        })),
      });
    expect(await throttled(200, batch)).toBe(0);
    // High throughput: the rate is each group's own.
    await clock.advance(1_000);
    await operations.SetQueueAttributes!(context, {
      QueueUrl,
      Attributes: { DeduplicationScope: 'messageGroup', FifoThroughputLimit: 'perMessageGroupId' },
    });
    expect(await throttled(290, sendOne('b'))).toBe(0);
    expect(await throttled(290, sendOne('c'))).toBe(0);
    expect(await throttled(20, sendOne('b'))).toBe(10);
    await simulation.close();
    // Over the wire it is the modelled error with its status.
    const many = await Promise.allSettled(
      Array.from({ length: 320 }, (_, index) =>
        new SQSClient({ ...world.cloud.clientConfig, maxAttempts: 1 }).send(
          new SendMessageCommand({ QueueUrl: url, MessageGroupId: 'g', MessageBody: `${index}` }),
        ),
      ),
    );
    const errors = many.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []));
    for (const error of errors) expect(error).toMatchObject({ name: 'RequestThrottled' });
  });

  test('at the limit of messages in flight a receive is empty, without an error', async () => {
    const simulation = createSimulation(4, { fifoInFlightMessages: 3 });
    const { operations, context, clock } = simulation;
    const QueueUrl = urlOf('q.fifo');
    await operations.CreateQueue!(context, { QueueName: 'q.fifo', Attributes: fifo });
    for (const group of ['a', 'b', 'c', 'd', 'e']) {
      await operations.SendMessage!(context, { QueueUrl, MessageBody: group, MessageGroupId: group });
    }
    const receive = async (WaitTimeSeconds: number) =>
      (await operations.ReceiveMessage!(context, { QueueUrl, WaitTimeSeconds, VisibilityTimeout: 10 })).Messages ?? [];
    for (let index = 0; index < 3; index++) expect(await receive(0)).toHaveLength(1);
    expect(await receive(0)).toEqual([]);
    const waiting = receive(20);
    await clock.advance(12_000);
    expect(await waiting).toHaveLength(1);
    await simulation.close();
  });
});

test('groups, leases, sequences and duplicates survive a restart', async () => {
  const before = await startSqsWorld({ engine: 'lmdb', clock: 'virtual' });
  const create = new CreateQueueCommand({ QueueName: 'q.fifo', Attributes: { ...fifo, VisibilityTimeout: '60' } });
  const { QueueUrl } = await before.client.send(create);
  const batch = (url: string, texts: readonly string[]) =>
    new SendMessageBatchCommand({
      QueueUrl: url,
      Entries: texts.map((MessageBody, index) => ({ Id: `${index}`, MessageBody, MessageGroupId: MessageBody[0] })),
    });
  const { Successful } = await before.client.send(batch(QueueUrl!, ['a1', 'a2', 'a3', 'b1']));
  const [held] = await before.receive(QueueUrl!, { MaxNumberOfMessages: 1 });
  const cloud = await before.cloud.restart();
  const after = worldOf(cloud, new SQSClient(cloud.clientConfig));
  const url = `${cloud.endpoint}/000000000000/q.fifo`;
  expect(await after.counts(url)).toEqual([3, 1, 0]);
  expect(bodies(await after.receive(url))).toEqual(['b1']);
  const again = await after.client.send(batch(url, ['a1', 'a4']));
  expect(again.Successful![0]!.MessageId).toBe(Successful![0]!.MessageId);
  expect(again.Successful![1]!.SequenceNumber! > Successful![2]!.SequenceNumber!).toBe(true);
  await after.client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: held!.ReceiptHandle }));
  expect(bodies(await after.receive(url))).toEqual(['a2', 'a3', 'a4']);
  await after.close();
});

async function queueRecord(url: string) {
  const { store } = world.cloud.cloud.platform;
  const { queueKey, decodeRecord } = await import('../state.ts');
  const name = url.slice(url.lastIndexOf('/') + 1);
  const entry = await store.get(queueKey('000000000000', 'us-east-1', name));
  return entry === undefined ? undefined : decodeRecord<import('../state.ts').QueueRecord>(entry.value);
}
