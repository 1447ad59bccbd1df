import {
  ListMessageMoveTasksCommand,
  PurgeQueueCommand,
  SQSClient,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs';
import { expect, test } from 'vitest';
import { startSqsWorld, worldOf } from './world.test-support.ts';

test('queues, messages, receipts, counts and move tasks survive a restart', async () => {
  const before = await startSqsWorld({ engine: 'lmdb', clock: 'virtual' });
  const letters = await before.queue({}, 'letters');
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: before.arn(letters), maxReceiveCount: 1 });
  const source = await before.queue({ RedrivePolicy, VisibilityTimeout: '60' }, 'source');
  for (let index = 0; index < 5; index++) await before.send(source, `m${index}`);
  await before.send(source, 'late', 300);
  await before.receive(source, { VisibilityTimeout: 0, MaxNumberOfMessages: 4 });
  const held = await before.receive(source, { MaxNumberOfMessages: 10 });
  expect(held.map(({ Body }) => Body)).toEqual(['m4']);
  expect(await before.counts(letters)).toEqual([4, 0, 0]);
  const purged = await before.queue({}, 'purged');
  await before.send(purged, 'gone');
  await before.client.send(new PurgeQueueCommand({ QueueUrl: purged }));
  const slowly = { SourceArn: before.arn(letters), MaxNumberOfMessagesPerSecond: 1 };
  await before.client.send(new StartMessageMoveTaskCommand(slowly));
  await before.cloud.clock.advance(1_500);

  const cloud = await before.cloud.restart();
  const world = worldOf(cloud, new SQSClient(cloud.clientConfig));
  const at = (url: string) => `${cloud.endpoint}${new URL(url).pathname}`;
  const running = await world.client.send(new ListMessageMoveTasksCommand({ SourceArn: world.arn(letters) }));
  const moved = running.Results![0]!.ApproximateNumberOfMessagesMoved!;
  expect(moved).toBeGreaterThan(0);
  expect(moved).toBeLessThan(4);
  expect(await world.counts(at(letters))).toEqual([4 - moved, 0, 0]);
  expect(await world.counts(at(source))).toEqual([moved, 1, 1]);
  expect(await world.counts(at(purged))).toEqual([0, 0, 0]);
  await cloud.clock.advance(20_000);
  expect(await world.counts(at(letters))).toEqual([0, 0, 0]);
  await cloud.clock.advance(300_000);
  const bodies = (await world.receive(at(source))).map(({ Body }) => Body).sort();
  // m4 was received once before the restart, so it is a dead letter by now.
  expect(bodies).toEqual(['late', 'm0', 'm1', 'm2', 'm3']);
  expect((await world.receive(at(letters))).map(({ Body }) => Body)).toEqual(['m4']);
  await world.close();
});
