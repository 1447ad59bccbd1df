import { DeleteQueueCommand, PurgeQueueCommand, SetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClaimRequest } from '../../kernel/store/contract.ts';
import { expectError, type SqsWorld, startSqsWorld } from './world.test-support.ts';

describe('a long poll', () => {
  let world: SqsWorld;
  beforeAll(async () => {
    world = await startSqsWorld();
  });
  afterAll(() => world.close());

  const pause = (ms: number) => world.cloud.cloud.clock.sleep(ms);

  test('wakes soon after a message arrives', async () => {
    const url = await world.queue({ ReceiveMessageWaitTimeSeconds: '20' });
    const latencies: number[] = [];
    for (let round = 0; round < 5; round++) {
      const waiting = world.receive(url).then((messages) => ({ messages, atMs: performance.now() }));
      await pause(20);
      await world.send(url, String(round));
      const sentAtMs = performance.now();
      const { messages, atMs } = await waiting;
      expect(messages.map(({ Body }) => Body)).toEqual([String(round)]);
      latencies.push(atMs - sentAtMs);
    }
    expect(Math.min(...latencies)).toBeLessThan(50);
  });

  test('gives each of many receivers one message, and claims only when there is one', async () => {
    const url = await world.queue();
    const { store } = world.cloud.cloud.platform;
    const claim = store.claim.bind(store);
    let claims = 0;
    Object.assign(store, {
      claim: (request: ClaimRequest) => {
        if (request.partition.includes('m')) claims++;
        return claim(request);
      },
    });
    const receivers = Array.from({ length: 30 }, () =>
      world.receive(url, { MaxNumberOfMessages: 1, WaitTimeSeconds: 20 }),
    );
    await pause(200);
    claims = 0;
    for (let index = 0; index < 30; index++) await world.send(url, String(index));
    const bodies = (await Promise.all(receivers)).map((messages) => Number(messages[0]!.Body));
    Object.assign(store, { claim });
    expect(bodies.sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, index) => index));
    // Without turns it would be near 30 × 30 / 2.
    expect(claims).toBeLessThan(80);
  });

  test('whose client has left takes no message with it', async () => {
    const url = await world.queue();
    const gone = new AbortController();
    const { ReceiveMessageCommand } = await import('@aws-sdk/client-sqs');
    const input = { QueueUrl: url, WaitTimeSeconds: 20 };
    const left = world.client.send(new ReceiveMessageCommand(input), { abortSignal: gone.signal }).catch(() => 'left');
    await pause(100);
    gone.abort();
    expect(await left).toBe('left');
    await pause(50);
    await world.send(url, 'x');
    expect(await world.counts(url)).toEqual([1, 0, 0]);
    expect(await world.receive(url, { WaitTimeSeconds: 5 })).toHaveLength(1);
  });

  test('outlives a purge and ends with its queue', async () => {
    const url = await world.queue();
    const survivor = world.receive(url, { WaitTimeSeconds: 20 });
    await pause(50);
    await world.client.send(new PurgeQueueCommand({ QueueUrl: url }));
    await world.send(url, 'after');
    expect((await survivor).map(({ Body }) => Body)).toEqual(['after']);
    const doomed = world.receive(url, { WaitTimeSeconds: 20 });
    const ended = expectError(doomed, 'AWS.SimpleQueueService.NonExistentQueue');
    await pause(50);
    await world.client.send(new DeleteQueueCommand({ QueueUrl: url }));
    await ended;
  });

  test('ends when the cloud closes', async () => {
    const short = await startSqsWorld();
    const url = await short.queue();
    const waiting = short.receive(url, { WaitTimeSeconds: 20 }).catch(() => 'closed');
    await pause(100);
    const startedAtMs = performance.now();
    await short.close();
    await waiting;
    expect(performance.now() - startedAtMs).toBeLessThan(5_000);
  });
});

describe('a long poll in virtual time', () => {
  let world: SqsWorld;
  beforeAll(async () => {
    world = await startSqsWorld({ clock: 'virtual' });
  });
  afterAll(() => world.close());

  /** Starts a receive and lets it get as far as its wait. */
  async function waiting(url: string, seconds: number): ReturnType<SqsWorld['receive']> {
    const receive = world.receive(url, { WaitTimeSeconds: seconds });
    await new Promise((resolve) => setImmediate(resolve));
    // The request is on its way over a socket; the clock's own timers show when it waits.
    const { clock } = world.cloud;
    const nowMs = clock.now();
    while (!(clock.status().nextDueMs !== undefined && clock.status().nextDueMs! <= nowMs + seconds * 1000 + 2_000)) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    return receive;
  }

  test('ends empty when its time is over', async () => {
    const url = await world.queue();
    const receive = waiting(url, 20);
    let ended = false;
    void receive.then(() => {
      ended = true;
    });
    await world.cloud.clock.advance(15_000);
    expect(ended).toBe(false);
    await world.cloud.clock.advance(10_000);
    expect(await receive).toEqual([]);
  });

  test('gets what becomes visible while it waits', async () => {
    const url = await world.queue({ VisibilityTimeout: '5' });
    await world.client.send(
      new SetQueueAttributesCommand({ QueueUrl: url, Attributes: { ReceiveMessageWaitTimeSeconds: '20' } }),
    );
    await world.send(url, 'x');
    expect(await world.receive(url)).toHaveLength(1);
    const receive = waiting(url, 20);
    await world.cloud.clock.advance(10_000);
    expect((await receive).map(({ Body }) => Body)).toEqual(['x']);
  });
});
