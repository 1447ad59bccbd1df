import { expect } from 'vitest';
import { createRandom, type Random } from '../../kernel/random/random.ts';
import type { Store } from '../../kernel/store/contract.ts';
import { partitionsOf } from './fair.ts';
import { decodeMessage } from './message.ts';
import { arn, counts, createSimulation, type Simulation, url } from './simulation.test-support.ts';

const visibilityMs = 30_000;

interface Held {
  readonly handle: string;
  readonly queue: string;
  readonly untilMs: number;
}

/** Senders, receivers, deletes, extensions, expiry of visibility, dead letters and redrives, all mixed up. */
export async function runStandard(seed: number, steps: number, store?: Store): Promise<void> {
  const world = createSimulation(seed, {}, store);
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
        // Half of the runs are on a fair queue.
        ...(seed % 2 === 0 && choose.float() < 0.9 ? { MessageGroupId: 'aaab'[choose.integer(4)]! } : {}),
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
async function contains({ env, store }: Simulation, body: string): Promise<boolean> {
  for (const name of ['work', 'letters']) {
    const queue = (await env.queues.find('000000000000', 'us-east-1', name))!;
    for (const partition of await partitionsOf(store, queue)) {
      for (const { value } of await store.listDue(partition)) {
        if (decodeMessage(value).body.toString('utf8') === body) return true;
      }
    }
  }
  return false;
}
