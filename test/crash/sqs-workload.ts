import { prefixRange } from '../../src/kernel/store/keys.ts';
import { partitionsOf } from '../../src/services/sqs/fair.ts';
import { groupOf } from '../../src/services/sqs/fifo/group-edit.ts';
import { decodeMessage } from '../../src/services/sqs/message.ts';
import type { Queue } from '../../src/services/sqs/queues.ts';
import { arn, type Simulation } from '../../src/services/sqs/simulation.test-support.ts';
import {
  decodeRecord,
  fifoMessagesOf,
  type GroupTail,
  type Lease,
  leasesOf,
  tailsOf,
} from '../../src/services/sqs/state.ts';

/** What the writer says: before it asks for something, and when that was acknowledged. */
export interface Report {
  readonly kind: 'sending' | 'sent' | 'deleting' | 'deleted';
  readonly bodies: readonly string[];
}

export const queues = ['work', 'letters', 'work.fifo', 'letters.fifo'] as const;

export async function createQueues({ operations, context }: Simulation): Promise<void> {
  for (const suffix of ['', '.fifo']) {
    const kind = suffix === '' ? {} : { FifoQueue: 'true', ContentBasedDeduplication: 'true' };
    await operations.CreateQueue!(context, { QueueName: `letters${suffix}`, Attributes: kind });
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arn(`letters${suffix}`), maxReceiveCount: 3 });
    const Attributes = { ...kind, RedrivePolicy, VisibilityTimeout: '600' };
    await operations.CreateQueue!(context, { QueueName: `work${suffix}`, Attributes });
  }
}

/** What is wrong with the queues after a crash, given everything that the writers ever said. */
export async function findDamage(world: Simulation, reports: readonly Report[]): Promise<string[]> {
  const said = (kind: Report['kind']): Set<string> =>
    new Set(reports.filter((one) => one.kind === kind).flatMap(({ bodies }) => bodies));
  const [sending, sent, deleting, deleted] = [said('sending'), said('sent'), said('deleting'), said('deleted')];
  const damage: string[] = [];
  const found = new Map<string, number>();
  for (const name of queues) {
    const queue = await world.env.queues.read('000000000000', 'us-east-1', name);
    if (queue === undefined) return [`${name} is lost`];
    const bodies = await bodiesOf(world, queue);
    for (const body of bodies) found.set(body, (found.get(body) ?? 0) + 1);
    const counted = await world.env.queues.total(queue);
    if (counted !== bodies.length) damage.push(`${name} has ${bodies.length} messages and counts ${counted}`);
    if (queue.config.fifo !== undefined) damage.push(...(await groupDamage(world, queue)));
  }
  for (const body of sent) if (!deleting.has(body) && !found.has(body)) damage.push(`${body} is lost`);
  for (const [body, times] of found) {
    if (times > 1) damage.push(`${body} is there ${times} times`);
    if (deleted.has(body)) damage.push(`${body} was deleted and is there`);
    if (!sending.has(body)) damage.push(`${body} was never sent`);
  }
  return damage;
}

async function bodiesOf({ store }: Simulation, queue: Queue): Promise<string[]> {
  const text = (value: Buffer): string => decodeMessage(value).body.toString('utf8');
  if (queue.config.fifo !== undefined) {
    const { id, generation } = queue.record;
    return (await store.list(prefixRange(fifoMessagesOf(id, generation)))).map(({ value }) => text(value));
  }
  const bodies: string[] = [];
  for (const partition of await partitionsOf(store, queue)) {
    for (const { value } of await store.listDue(partition)) bodies.push(text(value));
  }
  return bodies;
}

/** Everything that is kept about a group says the same. */
async function groupDamage({ store }: Simulation, queue: Queue): Promise<string[]> {
  const { id, generation, name } = queue.record;
  const damage: string[] = [];
  const due = new Set((await store.listDue(queue.partition)).map((entry) => entry.id.toString('latin1')));
  const leases = new Map(
    (await store.list(prefixRange(leasesOf(id, generation)))).map(({ key, value }) => [
      groupOf(key),
      decodeRecord<readonly Lease[]>(value),
    ]),
  );
  for (const { key, value } of await store.list(prefixRange(tailsOf(id, generation)))) {
    const group = groupOf(key);
    const { count, last } = decodeRecord<GroupTail>(value);
    const range = prefixRange(fifoMessagesOf(id, generation, group));
    const messages = await store.list(range);
    if (count !== messages.length) damage.push(`${name}, ${group}: ${messages.length} messages, counted ${count}`);
    if (!due.delete(group)) damage.push(`${name}, ${group}: nobody will ever look at it`);
    const leased = leases.get(group) ?? [];
    leases.delete(group);
    if (leased.length > messages.length) damage.push(`${name}, ${group}: more leases than messages`);
    if (leased.some(({ sequence }) => sequence > last)) damage.push(`${name}, ${group}: a lease beyond its end`);
  }
  for (const group of due) damage.push(`${name}, ${group}: due without messages`);
  for (const group of leases.keys()) damage.push(`${name}, ${group}: leases without messages`);
  return damage;
}
