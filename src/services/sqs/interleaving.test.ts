import { describe, expect, test } from 'vitest';
import { Agenda } from '../../kernel/agenda/agenda.ts';
import { VirtualClock } from '../../kernel/clock/virtual.ts';
import { Faults } from '../../kernel/faults/faults.ts';
import { createRandom, type Random } from '../../kernel/random/random.ts';
import { MemoryStore } from '../../kernel/store/memory/memory-store.ts';
import type { RequestContext } from '../../platform/context.ts';
import type { Platform } from '../../platform/service.ts';
import { createEnvironment, type Environment } from './environment.ts';
import { declareFaults } from './faults.ts';
import { limitsOf, type SqsLimits } from './limits.ts';
import { moveTaskOperations } from './operations/move-tasks.ts';
import { queueOperations } from './operations/queues.ts';
import { receiveOperations } from './operations/receive.ts';
import { sendOperations } from './operations/send.ts';
import { settleOperations } from './operations/settle.ts';
import { startWork } from './work.ts';

const origin = 'http://127.0.0.1:4566';

/** SQS on a memory store and a virtual clock, without wire and sockets, so that one seed gives one run. */
function createWorld(seed: number, limits: Partial<SqsLimits> = {}) {
  const clock = new VirtualClock(1_750_000_000_000);
  const random = createRandom(seed);
  const store = new MemoryStore();
  const problems: unknown[] = [];
  const agenda = new Agenda({ store, clock, onError: (error) => problems.push(error) });
  const platform = { clock, random, store, agenda, limits: 'aws', faults: new Faults() } as unknown as Platform;
  const env: Environment = createEnvironment(platform, { ...limitsOf('aws'), ...limits });
  declareFaults(platform.faults);
  env.queues.start();
  startWork(env);
  agenda.start();
  const context = {
    account: '000000000000',
    region: 'us-east-1',
    principal: { kind: 'root', arn: 'arn:aws:iam::000000000000:root', account: '000000000000', id: '000000000000' },
    origin,
    internal: false,
    signal: new AbortController().signal,
    idle: <T>(wait: () => Promise<T>) => wait(),
  } as unknown as RequestContext;
  const operations = {
    ...queueOperations(env),
    ...sendOperations(env),
    ...receiveOperations(env),
    ...settleOperations(env),
    ...moveTaskOperations(env),
  };
  const close = async (): Promise<void> => {
    env.rooms.close();
    env.queues.close();
    await agenda.close();
  };
  return { clock, store, context, operations, problems, close };
}

type World = ReturnType<typeof createWorld>;

const url = (name: string): string => `${origin}/000000000000/${name}`;
const arn = (name: string): string => `arn:aws:sqs:us-east-1:000000000000:${name}`;

async function counts(world: World, name: string): Promise<[number, number, number]> {
  const { Attributes } = await world.operations.GetQueueAttributes!(world.context, {
    QueueUrl: url(name),
    AttributeNames: ['All'],
  });
  const all = Attributes as Record<string, string>;
  return [
    Number(all['ApproximateNumberOfMessages']),
    Number(all['ApproximateNumberOfMessagesNotVisible']),
    Number(all['ApproximateNumberOfMessagesDelayed']),
  ];
}

const visibilityMs = 30_000;

interface Held {
  readonly handle: string;
  readonly queue: string;
  readonly untilMs: number;
}

/** Senders, receivers, deletes, extensions, expiry of visibility, dead letters and redrives, all mixed up. */
async function run(seed: number, steps: number): Promise<void> {
  const world = createWorld(seed);
  const choose: Random = createRandom(seed * 31 + 1);
  const { operations, context, clock } = world;
  await operations.CreateQueue!(context, { QueueName: 'letters' });
  await operations.CreateQueue!(context, {
    QueueName: 'work',
    Attributes: {
      VisibilityTimeout: String(visibilityMs / 1000),
      RedrivePolicy: JSON.stringify({ deadLetterTargetArn: arn('letters'), maxReceiveCount: 3 }),
    },
  });

  let sent = 0;
  const alive = new Set<string>();
  const held = new Map<string, Held>();

  const send = async (): Promise<void> => {
    const bodies = Array.from({ length: 1 + choose.integer(4) }, () => `m${sent++}`);
    for (const body of bodies) alive.add(body);
    await operations.SendMessageBatch!(context, {
      QueueUrl: url('work'),
      Entries: bodies.map((MessageBody, index) => ({
        Id: String(index),
        MessageBody,
        ...(choose.float() < 0.2 ? { DelaySeconds: choose.integer(60) } : {}),
      })),
    });
  };
  const receive = async (queue: string): Promise<void> => {
    const { Messages = [] } = await operations.ReceiveMessage!(context, {
      QueueUrl: url(queue),
      MaxNumberOfMessages: 1 + choose.integer(10),
    });
    for (const { Body, ReceiptHandle } of Messages) {
      const nowMs = clock.now();
      expect(alive.has(Body!), `${Body} was deleted and came back (seed ${seed})`).toBe(true);
      const other = held.get(Body!);
      expect(other === undefined || other.untilMs <= nowMs, `${Body} is held twice (seed ${seed})`).toBe(true);
      held.set(Body!, { handle: ReceiptHandle!, queue, untilMs: nowMs + visibilityMs - 5 });
    }
  };
  const pick = (): [string, Held] | undefined => {
    const entries = [...held];
    return entries[choose.integer(Math.max(1, entries.length))];
  };
  const remove = async (): Promise<void> => {
    const picked = pick();
    if (picked === undefined) return;
    const [body, { handle, queue }] = picked;
    await operations.DeleteMessage!(context, { QueueUrl: url(queue), ReceiptHandle: handle });
    held.delete(body);
    // A handle from before a move to the dead-letter queue deletes nothing.
    if (!(await contains(world, body))) alive.delete(body);
  };
  const hide = async (): Promise<void> => {
    const picked = pick();
    if (picked === undefined) return;
    const [body, { handle, queue, untilMs }] = picked;
    const seconds = choose.integer(3) * 20;
    if (untilMs <= clock.now() + 50) return;
    const input = { QueueUrl: url(queue), ReceiptHandle: handle, VisibilityTimeout: seconds };
    await operations.ChangeMessageVisibility!(context, input);
    held.set(body, { handle, queue, untilMs: clock.now() + seconds * 1000 - 5 });
  };
  const redrive = async (): Promise<void> => {
    await operations.StartMessageMoveTask!(context, { SourceArn: arn('letters') }).catch(() => {});
  };
  const chances: [number, () => Promise<unknown>][] = [
    [0.3, send],
    [0.55, () => receive('work')],
    [0.6, () => receive('letters')],
    [0.8, remove],
    [0.88, hide],
    [0.98, () => clock.advance(choose.integer(20_000))],
    [1, redrive],
  ];

  for (let step = 0; step < steps; step++) {
    const chance = choose.float();
    const act = chances.find(([upTo]) => chance < upTo)![1];
    // Sometimes two receivers, or a receiver and a delete, at the same time.
    if (choose.float() < 0.2) await Promise.all([receive('work'), act === redrive ? redrive() : receive('work')]);
    await act();
    if (step % 50 === 0) {
      const total = [...(await counts(world, 'work')), ...(await counts(world, 'letters'))].reduce((a, b) => a + b);
      expect(total, `counts disagree with contents (seed ${seed}, step ${step})`).toBe(alive.size);
    }
  }

  // In the end everything that was not deleted can be received, each once.
  await clock.advance(15 * 60_000);
  const left: string[] = [];
  for (const name of ['work', 'letters', 'work']) {
    for (;;) {
      const input = { QueueUrl: url(name), MaxNumberOfMessages: 10, VisibilityTimeout: 40_000 };
      const { Messages = [] } = await operations.ReceiveMessage!(context, input);
      if (Messages.length === 0) break;
      left.push(...Messages.map(({ Body }) => Body!));
    }
  }
  expect(left.sort(), `seed ${seed}`).toEqual([...alive].sort());
  expect(world.problems).toEqual([]);
  await world.close();
}

/** Looks into the store: whether any queue has a message with this body. */
async function contains(world: World, body: string): Promise<boolean> {
  for await (const chunk of world.store.snapshot()) {
    if (chunk.includes(body) && new RegExp(`${body}(?!\\d)`).test(chunk.toString('latin1'))) return true;
  }
  return false;
}

describe('random interleavings', () => {
  test.each([1, 2, 3, 4, 5, 6])('lose nothing and give nothing to two at once (seed %d)', (seed) => run(seed, 400));
});

describe('concurrent receivers', () => {
  test('share a backlog without overlap, and the counts stay exact', async () => {
    const world = createWorld(1);
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
    const world = createWorld(1, { inFlightMessages: 3 });
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
    const world = createWorld(5);
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
