import { DeleteMessageCommand, type Message, PurgeQueueCommand, SendMessageBatchCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { counts as countsOf, createSimulation, url as urlOf } from './simulation.test-support.ts';
import { type SqsWorld, startSqsWorld } from './world.test-support.ts';

let world: SqsWorld;
beforeAll(async () => {
  world = await startSqsWorld({ clock: 'virtual' });
});
afterAll(() => world.close());

const advance = (seconds: number) => world.cloud.clock.advance(seconds * 1000);

async function send(QueueUrl: string, MessageGroupId: string | undefined, count: number): Promise<void> {
  for (let sent = 0; sent < count; sent += 10) {
    const Entries = Array.from({ length: Math.min(10, count - sent) }, (_, index) => ({
      Id: String(index),
      MessageBody: `${MessageGroupId ?? 'none'}-${sent + index}`,
      MessageGroupId,
    }));
    await world.client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
  }
}

const tenants = (messages: readonly Message[]) => messages.map(({ Body }) => Body!.split('-')[0]);

/** A queue in which the tenant `loud` has so many messages in flight and a backlog. */
async function noisyQueue(inFlight: number, backlog: number): Promise<string> {
  const url = await world.queue({ VisibilityTimeout: '600' });
  await send(url, 'loud', inFlight + backlog);
  for (let taken = 0; taken < inFlight; taken += 10) expect(await world.receive(url)).toHaveLength(10);
  await advance(2);
  return url;
}

test('a quiet tenant does not wait behind the backlog of a noisy one', async () => {
  const url = await noisyQueue(40, 1_300);
  await send(url, 'quiet', 3);
  await send(url, undefined, 1);
  expect(tenants(await world.receive(url)).slice(0, 4)).toEqual(['quiet', 'quiet', 'quiet', 'none']);
  await send(url, 'quiet', 2);
  await send(url, 'loud', 10);
  expect(tenants(await world.receive(url)).slice(0, 2)).toEqual(['quiet', 'quiet']);
  expect(await world.counts(url)).toEqual([1_300 + 16 - 20, 60, 0]);
});

test('a tenant with few messages in flight is not noisy', async () => {
  const url = await noisyQueue(20, 50);
  await send(url, 'quiet', 3);
  expect(new Set(tenants(await world.receive(url)))).toEqual(new Set(['loud']));
});

test('of several noisy tenants the one with the fewest messages in flight comes first', async () => {
  const url = await noisyQueue(60, 100);
  await send(url, 'louder', 200);
  const inFlight = { loud: 60, louder: 0 };
  for (let round = 0; round < 12; round++) {
    await advance(2);
    const behind = inFlight.louder < inFlight.loud ? 'louder' : 'loud';
    const got = tenants(await world.receive(url));
    expect(got).toHaveLength(10);
    if (inFlight.loud !== inFlight.louder) expect(new Set(got)).toEqual(new Set([behind]));
    for (const tenant of got) inFlight[tenant as 'loud']++;
  }
  expect(Math.abs(inFlight.loud - inFlight.louder)).toBeLessThanOrEqual(10);
});

test('nothing is lost, counted wrongly or given twice on the way, and receives count from one', async () => {
  const url = await noisyQueue(40, 300);
  await send(url, 'quiet', 10);
  const seen = new Map<string, string>();
  for (;;) {
    const messages = await world.receive(url, { MessageSystemAttributeNames: ['All'] });
    if (messages.length === 0) break;
    for (const { Body, ReceiptHandle, Attributes } of messages) {
      expect(seen.has(Body!)).toBe(false);
      seen.set(Body!, ReceiptHandle!);
      expect(Attributes!['ApproximateReceiveCount']).toBe('1');
    }
  }
  expect(seen.size).toBe(310);
  expect(await world.counts(url)).toEqual([0, 350, 0]);
  for (const ReceiptHandle of seen.values()) {
    await world.client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle }));
  }
  expect(await world.counts(url)).toEqual([0, 40, 0]);
  await advance(601);
  expect(await world.counts(url)).toEqual([40, 0, 0]);
});

test('a purge clears lanes as well, and a waiting receiver is woken by them', async () => {
  const url = await noisyQueue(40, 100);
  await world.receive(url);
  await world.client.send(new PurgeQueueCommand({ QueueUrl: url }));
  expect(await world.counts(url)).toEqual([0, 0, 0]);
  expect(await world.receive(url)).toEqual([]);
  const noisy = await noisyQueue(40, 11);
  expect(await world.receive(noisy)).toHaveLength(10);
  expect(await world.receive(noisy)).toHaveLength(1);
  const waiting = world.receive(noisy, { WaitTimeSeconds: 20 });
  // It goes to the lane, which is there while messages of it are in flight.
  await send(noisy, 'loud', 1);
  expect(tenants(await waiting)).toEqual(['loud']);
});

test('a tenant that has not sent for five minutes stands in line again', async () => {
  const url = await noisyQueue(40, 100);
  await send(url, 'quiet', 1);
  expect(tenants(await world.receive(url))[0]).toBe('quiet');
  await advance(301);
  await send(url, 'quiet', 1);
  expect(tenants(await world.receive(url))[0]).toBe('loud');
});

test('queues without groups know nothing of lanes', async () => {
  const simulation = createSimulation(1);
  await simulation.operations.CreateQueue!(simulation.context, { QueueName: 'plain' });
  for (let index = 0; index < 60; index++) {
    await simulation.operations.SendMessage!(simulation.context, { QueueUrl: urlOf('plain'), MessageBody: `${index}` });
  }
  let reads = 0;
  const list = simulation.store.list.bind(simulation.store);
  Object.assign(simulation.store, {
    list: (...parameters: Parameters<typeof list>) => {
      reads++;
      return list(...parameters);
    },
  });
  for (let round = 0; round < 5; round++) {
    await simulation.operations.ReceiveMessage!(simulation.context, {
      QueueUrl: urlOf('plain'),
      MaxNumberOfMessages: 10,
    });
  }
  expect(reads).toBe(0);
  expect(await countsOf(simulation, 'plain')).toEqual([10, 50, 0]);
  await simulation.close();
});
