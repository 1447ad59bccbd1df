import { DeleteMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type SqsWorld, startSqsWorld } from './world.test-support.ts';

let world: SqsWorld;
beforeAll(async () => {
  world = await startSqsWorld({ clock: 'virtual', seed: 1 });
});
afterAll(() => world.close());
beforeEach(() => world.cloud.cloud.platform.faults.clear());

const fault = (point: string, url: string, rate = 1) =>
  world.cloud.cloud.platform.faults.set({ point, scope: world.arn(url), rate, seed: 7 });

/** Receives and deletes until the queue is empty; answers how often each body came, with the counts it came with. */
async function drain(url: string): Promise<Map<string, number[]>> {
  const seen = new Map<string, number[]>();
  for (let rounds = 0; rounds < 200; rounds++) {
    const messages = await world.receive(url, { MessageSystemAttributeNames: ['All'] });
    for (const { Body, ReceiptHandle, Attributes } of messages) {
      seen.set(Body!, [...(seen.get(Body!) ?? []), Number(Attributes!['ApproximateReceiveCount'])]);
      await world.client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle }));
    }
    if (messages.length === 0) return seen;
  }
  throw new Error('the queue never gets empty');
}

test('sqs.duplicate delivers every message twice at rate 1, counted on, and no more', async () => {
  const url = await world.queue();
  for (let index = 0; index < 20; index++) await world.send(url, `m${index}`);
  fault('sqs.duplicate', url);
  const seen = await drain(url);
  expect(seen.size).toBe(20);
  for (const counts of seen.values()) expect(counts).toEqual([1, 2]);
  expect(await world.counts(url)).toEqual([0, 0, 0]);
});

test('sqs.duplicate delivers a share of them twice at a lower rate', async () => {
  const url = await world.queue();
  for (let index = 0; index < 60; index++) await world.send(url, `m${index}`);
  fault('sqs.duplicate', url, 0.3);
  const twice = [...(await drain(url)).values()].filter((counts) => counts.length === 2).length;
  expect(twice).toBeGreaterThan(5);
  expect(twice).toBeLessThan(35);
});

test('a duplicate of a message on its last attempt is delivered and not a dead letter', async () => {
  const letters = await world.queue();
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: world.arn(letters), maxReceiveCount: 1 });
  const url = await world.queue({ RedrivePolicy });
  for (let index = 0; index < 10; index++) await world.send(url, `m${index}`);
  fault('sqs.duplicate', url);
  const seen = await drain(url);
  for (const counts of seen.values()) expect(counts).toEqual([1, 2]);
  expect(await world.counts(letters)).toEqual([0, 0, 0]);
});

test('sqs.reorder lets messages overtake and loses none', async () => {
  const url = await world.queue();
  fault('sqs.reorder', url, 0.5);
  for (let index = 0; index < 20; index++) await world.send(url, String(index));
  const order = [...(await drain(url)).keys()].map(Number);
  expect(order).not.toEqual([...order].sort((a, b) => a - b));
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index));
});

test('a FIFO queue is neither doubled nor reordered', async () => {
  const url = await world.queue({ FifoQueue: 'true', ContentBasedDeduplication: 'true' }, 'faultless.fifo');
  fault('sqs.duplicate', url);
  fault('sqs.reorder', url);
  const sent = Array.from({ length: 20 }, (_, index) => String(index));
  for (const MessageBody of sent) {
    await world.client.send(new SendMessageCommand({ QueueUrl: url, MessageBody, MessageGroupId: 'g' }));
  }
  const seen = await drain(url);
  expect([...seen.keys()]).toEqual(sent);
  for (const counts of seen.values()) expect(counts).toEqual([1]);
});

test('sqs.empty-receive strikes short polls and not long ones', async () => {
  const url = await world.queue();
  await world.send(url, 'x');
  fault('sqs.empty-receive', url);
  expect(await world.receive(url)).toEqual([]);
  expect(await world.receive(url, { WaitTimeSeconds: 1 })).toHaveLength(1);
});
