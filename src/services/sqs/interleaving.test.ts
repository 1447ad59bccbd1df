import { describe, expect, test } from 'vitest';
import { runStandard } from './interleaving.test-support.ts';
import { arn, counts, createSimulation, url } from './simulation.test-support.ts';

const long = process.env['UNKAI_LONG'] === '1';
const seeds = Array.from({ length: long ? 100 : 6 }, (_, index) => index + 1);

describe('random interleavings', () => {
  test.each(seeds)('lose nothing and give nothing to two at once (seed %d)', (seed) => runStandard(seed, 400));
});

describe('concurrent receivers', () => {
  test('share a backlog without overlap, and the counts stay exact', async () => {
    const world = createSimulation(1);
    const { operations, context } = world;
    await operations.CreateQueue!(context, { QueueName: 'q' });
    for (let batch = 0; batch < 50; batch++) {
      const Entries = Array.from({ length: 10 }, (_, index) => ({ Id: `${index}`, MessageBody: `${batch}.${index}` }));
      await operations.SendMessageBatch!(context, { QueueUrl: url('q'), Entries });
    }
    const seen: string[] = [];
    const worker = async (): Promise<void> => {
      for (;;) {
        const input = { QueueUrl: url('q'), MaxNumberOfMessages: 7 };
        const { Messages = [] } = await operations.ReceiveMessage!(context, input);
        if (Messages.length === 0) return;
        seen.push(...Messages.map(({ Body }) => Body!));
        await operations.DeleteMessageBatch!(context, {
          QueueUrl: url('q'),
          Entries: Messages.map(({ ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle: ReceiptHandle! })),
        });
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    expect(new Set(seen).size).toBe(500);
    expect(seen).toHaveLength(500);
    expect(await counts(world, 'q')).toEqual([0, 0, 0]);
    await world.close();
  });
});

describe('the limit of messages in flight', () => {
  test('refuses a short poll and keeps a long one waiting', async () => {
    const world = createSimulation(1, { inFlightMessages: 3 });
    const { operations, context, clock } = world;
    await operations.CreateQueue!(context, { QueueName: 'q', Attributes: { VisibilityTimeout: '10' } });
    for (let index = 0; index < 5; index++) {
      await operations.SendMessage!(context, { QueueUrl: url('q'), MessageBody: `${index}`, DelaySeconds: 0 });
    }
    await operations.SendMessage!(context, { QueueUrl: url('q'), MessageBody: 'late', DelaySeconds: 900 });
    const receive = (WaitTimeSeconds: number) =>
      operations.ReceiveMessage!(context, { QueueUrl: url('q'), WaitTimeSeconds });
    for (let index = 0; index < 3; index++) expect((await receive(0)).Messages).toHaveLength(1);
    await expect(receive(0)).rejects.toMatchObject({ code: 'OverLimit' });
    const waiting = receive(20);
    await clock.advance(5_000);
    await expect(receive(0)).rejects.toMatchObject({ code: 'OverLimit' });
    await clock.advance(7_000);
    expect((await waiting).Messages).toHaveLength(1);
    await world.close();
  });
});

describe('a move task whose run dies', () => {
  test('goes on and ends only when what the dead run had hidden is moved, too', async () => {
    const world = createSimulation(5);
    const { operations, context, clock, store } = world;
    await operations.CreateQueue!(context, { QueueName: 'letters' });
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arn('letters'), maxReceiveCount: 1 });
    await operations.CreateQueue!(context, { QueueName: 'work', Attributes: { RedrivePolicy } });
    for (let index = 0; index < 20; index++) {
      await operations.SendMessage!(context, { QueueUrl: url('work'), MessageBody: `${index}` });
    }
    for (let round = 0; round < 4; round++) {
      await operations.ReceiveMessage!(context, {
        QueueUrl: url('work'),
        MaxNumberOfMessages: 10,
        VisibilityTimeout: 0,
      });
    }
    while ((await counts(world, 'letters'))[0] < 20) {
      await operations.ReceiveMessage!(context, {
        QueueUrl: url('work'),
        MaxNumberOfMessages: 10,
        VisibilityTimeout: 0,
      });
    }
    // The process dies between the claim and the commit, once.
    const commit = store.commit.bind(store);
    let died = false;
    Object.assign(store, {
      commit: (one: Parameters<typeof commit>[0]) => {
        if (!died && one.schedule?.length && one.settle?.length) {
          died = true;
          return Promise.reject(new Error('killed'));
        }
        return commit(one);
      },
    });
    await operations.StartMessageMoveTask!(context, { SourceArn: arn('letters'), MaxNumberOfMessagesPerSecond: 10 });
    await clock.advance(60_000);
    expect(died).toBe(true);
    const { Results } = await operations.ListMessageMoveTasks!(context, { SourceArn: arn('letters') });
    expect(Results![0]).toMatchObject({ Status: 'COMPLETED', ApproximateNumberOfMessagesMoved: 20 });
    expect(await counts(world, 'letters')).toEqual([0, 0, 0]);
    expect(await counts(world, 'work')).toEqual([20, 0, 0]);
    await world.close();
  });
});

test('a move task that has not ended in time fails, and what it has not moved stays', async () => {
  const world = createSimulation(6, { moveTaskMs: 5_000 });
  const { operations, context, clock } = world;
  await operations.CreateQueue!(context, { QueueName: 'letters' });
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arn('letters'), maxReceiveCount: 1 });
  await operations.CreateQueue!(context, { QueueName: 'work', Attributes: { RedrivePolicy } });
  await operations.CreateQueue!(context, { QueueName: 'elsewhere' });
  for (let index = 0; index < 20; index++) {
    await operations.SendMessage!(context, { QueueUrl: url('letters'), MessageBody: `${index}` });
  }
  await operations.StartMessageMoveTask!(context, {
    SourceArn: arn('letters'),
    DestinationArn: arn('elsewhere'),
    MaxNumberOfMessagesPerSecond: 1,
  });
  await clock.advance(60_000);
  const { Results } = await operations.ListMessageMoveTasks!(context, { SourceArn: arn('letters') });
  expect(Results![0]).toMatchObject({ Status: 'FAILED', FailureReason: 'MaximumRunTimeExceeded' });
  const [moved] = await counts(world, 'elsewhere');
  expect(moved).toBeGreaterThan(2);
  expect(moved).toBeLessThan(8);
  expect(await counts(world, 'letters')).toEqual([20 - moved, 0, 0]);
  await world.close();
});
