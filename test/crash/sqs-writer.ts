import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { createRandom } from '../../src/kernel/random/random.ts';
import { openLmdbStore } from '../../src/kernel/store/lmdb/lmdb-store.ts';
import { arn, createSimulation, url } from '../../src/services/sqs/simulation.test-support.ts';
import { createQueues, type Report } from './sqs-workload.ts';

/** The process that is killed: senders, receivers, dead letters and redrives on queues of both kinds, on LMDB. */
const { values: options } = parseArgs({
  options: { path: { type: 'string' }, round: { type: 'string' }, start: { type: 'string' } },
});
const round = Number(options.round);
const store = await openLmdbStore({ path: options.path! });
const limits = { fifoCalls: Number.POSITIVE_INFINITY };
const world = createSimulation(round, limits, store, Number(options.start));
const { operations, context } = world;
await createQueues(world);
await Promise.all(Array.from({ length: 6 }, (_, worker) => work(worker)));

async function work(worker: number): Promise<never> {
  const random = createRandom(round * 100 + worker);
  for (let turn = 0; ; turn++) {
    const suffix = random.float() < 0.5 ? '' : '.fifo';
    const chance = random.float();
    if (chance < 0.45) await send(`${round}:${worker}:${turn}`, suffix, random.integer(4));
    else if (chance < 0.8) await receiveAndDelete(`work${suffix}`, random.integer(10));
    else if (chance < 0.95) await receive(`work${suffix}`, 0);
    else if (chance < 0.98) await receiveAndDelete(`letters${suffix}`, 1);
    else await operations.StartMessageMoveTask!(context, { SourceArn: arn(`letters${suffix}`) }).catch(() => {});
    if (turn % 10 === 0) await world.clock.advance(100);
  }
}

async function send(name: string, suffix: string, more: number): Promise<void> {
  const bodies = Array.from({ length: more + 1 }, (_, index) => `${name}:${index}`);
  report({ kind: 'sending', bodies });
  const { Failed } = await operations.SendMessageBatch!(context, {
    QueueUrl: url(`work${suffix}`),
    Entries: bodies.map((MessageBody, index) => ({
      Id: `${index}`,
      MessageBody,
      ...(suffix === '' ? {} : { MessageGroupId: `g${index % 3}` }),
    })),
  });
  if (Failed !== undefined) throw new Error(`could not send: ${JSON.stringify(Failed)}`);
  report({ kind: 'sent', bodies });
}

async function receive(queue: string, VisibilityTimeout: number) {
  const input = { QueueUrl: url(queue), MaxNumberOfMessages: 10, VisibilityTimeout };
  return (await operations.ReceiveMessage!(context, input)).Messages ?? [];
}

async function receiveAndDelete(queue: string, most: number): Promise<void> {
  const messages = (await receive(queue, 600)).slice(0, most);
  if (messages.length === 0) return;
  const bodies = messages.map(({ Body }) => Body!);
  report({ kind: 'deleting', bodies });
  const { Failed } = await operations.DeleteMessageBatch!(context, {
    QueueUrl: url(queue),
    Entries: messages.map(({ ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle: ReceiptHandle! })),
  });
  if (Failed !== undefined) throw new Error(`could not delete: ${JSON.stringify(Failed)}`);
  report({ kind: 'deleted', bodies });
}

function report(line: Report): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}
