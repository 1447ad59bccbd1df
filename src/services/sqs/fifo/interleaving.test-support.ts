import { expect } from 'vitest';
import { createRandom } from '../../../kernel/random/random.ts';
import type { Store } from '../../../kernel/store/contract.ts';
import { prefixRange } from '../../../kernel/store/keys.ts';
import { decodeMessage } from '../message.ts';
import { arn, counts, createSimulation, type Simulation, url } from '../simulation.test-support.ts';
import { fifoMessagesOf } from '../state.ts';

const visibilityMs = 30_000;
const groups = ['a', 'b', 'c', 'd'];

interface Held {
  readonly handle: string;
  readonly queue: string;
  readonly untilMs: number;
}

/**
 * Senders, receivers, deletes, extensions, expiry of visibility, changing delays, duplicates, dead letters and redrives on a
 * FIFO queue, all mixed up. No message is lost or given to two at once, and none comes before an earlier one of its group.
 */
export async function runFifo(seed: number, steps: number, store?: Store): Promise<void> {
  const world = createSimulation(seed, { fifoCalls: Number.POSITIVE_INFINITY, recreateWaitMs: 0 }, store);
  const choose = createRandom(seed * 31 + 7);
  const { operations, context, clock } = world;
  const suffix = `-${seed}.fifo`;
  const [work, letters] = [`work${suffix}`, `letters${suffix}`];
  const Attributes = { FifoQueue: 'true', ContentBasedDeduplication: 'true' };
  await operations.CreateQueue!(context, { QueueName: letters, Attributes });
  await operations.CreateQueue!(context, {
    QueueName: work,
    Attributes: {
      ...Attributes,
      VisibilityTimeout: String(visibilityMs / 1000),
      RedrivePolicy: JSON.stringify({ deadLetterTargetArn: arn(letters), maxReceiveCount: 3 }),
    },
  });

  let sent = 0;
  const alive = new Set<string>();
  const held = new Map<string, Held>();
  const latest = new Map<string, string>();
  const recent: { readonly body: string; readonly group: string; readonly id: string; readonly atMs: number }[] = [];

  const send = async (): Promise<void> => {
    const bodies = Array.from({ length: 1 + choose.integer(4) }, () => `m${sent++}`);
    const before = new Map(latest);
    for (const body of bodies) alive.add(body);
    const Entries = bodies.map((MessageBody, index) => ({
      Id: String(index),
      MessageBody,
      MessageGroupId: groups[choose.integer(groups.length)]!,
    }));
    const { Successful, Failed } = await operations.SendMessageBatch!(context, { QueueUrl: url(work), Entries });
    expect(Failed ?? [], `seed ${seed}`).toEqual([]);
    for (const [index, { MessageId, SequenceNumber }] of Successful!.entries()) {
      const { MessageGroupId: group, MessageBody: body } = Entries[index]!;
      expect(SequenceNumber! > (before.get(group) ?? ''), `sequences grow (seed ${seed})`).toBe(true);
      if (SequenceNumber! > (latest.get(group) ?? '')) latest.set(group, SequenceNumber!);
      recent.push({ body, group, id: MessageId!, atMs: clock.now() });
    }
  };
  const repeat = async (): Promise<void> => {
    const one = recent.findLast(({ atMs }) => atMs > clock.now() - 290_000);
    if (one === undefined) return;
    const input = { QueueUrl: url(work), MessageBody: one.body, MessageGroupId: one.group };
    expect((await operations.SendMessage!(context, input)).MessageId, `seed ${seed}`).toBe(one.id);
  };
  const receive = async (queue: string): Promise<void> => {
    const { Messages = [] } = await operations.ReceiveMessage!(context, {
      QueueUrl: url(queue),
      MaxNumberOfMessages: 1 + choose.integer(10),
      MessageSystemAttributeNames: ['All'],
    });
    const nowMs = clock.now();
    const given = new Set(Messages.map(({ Body }) => Body!));
    const stored = new Map<string, readonly string[]>();
    for (const { Attributes: shown } of Messages) {
      const group = shown!.MessageGroupId!;
      if (!stored.has(group)) stored.set(group, await bodiesOf(world, queue, group));
    }
    for (const { Body, ReceiptHandle, Attributes: shown } of Messages) {
      expect(alive.has(Body!), `${Body} was deleted and came back (seed ${seed})`).toBe(true);
      const other = held.get(Body!);
      expect(other === undefined || other.untilMs <= nowMs, `${Body} is held twice (seed ${seed})`).toBe(true);
      const order = stored.get(shown!.MessageGroupId!)!;
      const earlier = order.slice(0, Math.max(0, order.indexOf(Body!)));
      expect(
        earlier.filter((body) => !given.has(body)),
        `${Body} came before earlier ones (seed ${seed})`,
      ).toEqual([]);
      held.set(Body!, { handle: ReceiptHandle!, queue, untilMs: nowMs + visibilityMs - 5 });
    }
    for (const group of stored.keys()) {
      const sequences = Messages.filter((one) => one.Attributes!.MessageGroupId === group).map(
        (one) => one.Attributes!.SequenceNumber!,
      );
      expect(sequences, `seed ${seed}`).toEqual([...sequences].sort());
    }
  };
  const pick = (): [string, Held] | undefined => {
    const entries = [...held];
    return entries[choose.integer(Math.max(1, entries.length))];
  };
  const remove = async (): Promise<void> => {
    const picked = pick();
    if (picked === undefined) return;
    const [body, { handle, queue, untilMs }] = picked;
    held.delete(body);
    const deleted = await operations.DeleteMessage!(context, { QueueUrl: url(queue), ReceiptHandle: handle }).then(
      () => true,
      (error: Error) => {
        expect(error.message).toMatch(/The receipt handle has expired/);
        return false;
      },
    );
    if (untilMs > clock.now() + 50) expect(deleted, `${body} could not be deleted (seed ${seed})`).toBe(true);
    if (!(await bodiesOf(world, work)).includes(body) && !(await bodiesOf(world, letters)).includes(body)) {
      alive.delete(body);
    }
  };
  const hide = async (): Promise<void> => {
    const picked = pick();
    if (picked === undefined || picked[1].untilMs <= clock.now() + 50) return;
    const [body, { handle, queue }] = picked;
    const seconds = choose.integer(3) * 20;
    const input = { QueueUrl: url(queue), ReceiptHandle: handle, VisibilityTimeout: seconds };
    await operations.ChangeMessageVisibility!(context, input);
    held.set(body, { handle, queue, untilMs: clock.now() + seconds * 1000 - 5 });
  };
  const redrive = async (): Promise<void> => {
    await operations.StartMessageMoveTask!(context, { SourceArn: arn(letters) }).catch(() => {});
  };
  const delay = async (): Promise<void> => {
    const DelaySeconds = String(choose.integer(2) * 10);
    await operations.SetQueueAttributes!(context, { QueueUrl: url(work), Attributes: { DelaySeconds } });
  };
  const chances: [number, () => Promise<unknown>][] = [
    [0.26, send],
    [0.29, repeat],
    [0.55, () => receive(work)],
    [0.6, () => receive(letters)],
    [0.8, remove],
    [0.86, hide],
    [0.88, delay],
    [0.97, () => clock.advance(choose.integer(20_000))],
    [1, redrive],
  ];

  for (let step = 0; step < steps; step++) {
    const chance = choose.float();
    const act = chances.find(([upTo]) => chance < upTo)![1];
    // Sometimes two receivers and a sender at the same time.
    if (choose.float() < 0.2) await Promise.all([receive(work), send(), receive(work)]);
    await act();
    if (step % 50 === 0) {
      const total = [...(await counts(world, work)), ...(await counts(world, letters))].reduce((a, b) => a + b);
      expect(total, `counts disagree with contents (seed ${seed}, step ${step})`).toBe(alive.size);
    }
  }

  // In the end everything that was not deleted comes, each once, and each group in its order.
  await clock.advance(15 * 60_000);
  const left: string[] = [];
  for (const name of [work, letters]) {
    for (;;) {
      const expected = await bodiesOf(world, name);
      const input = { QueueUrl: url(name), MaxNumberOfMessages: 10 };
      const { Messages = [] } = await operations.ReceiveMessage!(context, input);
      if (Messages.length === 0 && (await bodiesOf(world, name)).length === expected.length) break;
      for (const { Body, ReceiptHandle } of Messages) {
        expect(expected, `seed ${seed}`).toContain(Body);
        left.push(Body!);
        await operations.DeleteMessage!(context, { QueueUrl: url(name), ReceiptHandle: ReceiptHandle! });
      }
    }
  }
  expect(left.sort(), `seed ${seed}`).toEqual([...alive].sort());
  expect([...(await counts(world, work)), ...(await counts(world, letters))]).toEqual([0, 0, 0, 0, 0, 0]);
  expect(world.problems).toEqual([]);
  await world.close();
}

/** Looks into the store: the bodies of a queue's messages, or of one group's, in order. */
async function bodiesOf(world: Simulation, name: string, group?: string): Promise<readonly string[]> {
  const queue = await world.env.queues.find('000000000000', 'us-east-1', name);
  const { id, generation } = queue!.record;
  const entries = await world.store.list(prefixRange(fifoMessagesOf(id, generation, group)));
  return entries.map(({ value }) => decodeMessage(value).body.toString('utf8'));
}
