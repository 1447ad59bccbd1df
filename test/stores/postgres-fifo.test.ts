import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../support/cloud.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';

/** One FIFO queue used through two clouds, as on two machines, over one database. */
let server: PostgresServer;
let folders: string[];
let clouds: TestCloud[] = [];
beforeAll(async () => {
  server = await startPostgres();
  folders = await Promise.all([0, 1].map(() => mkdtemp(join(tmpdir(), 'unkai-fifo-'))));
  for (const directory of folders) {
    const store = { engine: 'postgres', url: server.url, directory } as const;
    clouds.push(await startTestCloud({ store, services: ['sqs'], limits: 'relaxed' }));
  }
}, 60_000);
afterAll(async () => {
  for (const cloud of clouds) await cloud.close();
  clouds = [];
  await server?.stop();
  await Promise.all((folders ?? []).map((folder) => rm(folder, { recursive: true, force: true })));
});

const groups = ['a', 'b', 'c'];
const perGroup = 20;

it('keeps the order of groups whoever sends and whoever receives', async () => {
  const clients = clouds.map(({ clientConfig }) => new SQSClient({ ...clientConfig, maxAttempts: 3 }));
  const Attributes = { FifoQueue: 'true', ContentBasedDeduplication: 'true' };
  const { QueueUrl } = await clients[0]!.send(new CreateQueueCommand({ QueueName: 'q.fifo', Attributes }));
  const sequences: Record<string, string[]> = {};
  let sending = true;
  const send = async (): Promise<void> => {
    for (let number = 0; number < perGroup; number++) {
      // One after the other, but each by the other cloud; the same batch from both is sent once.
      const input = {
        QueueUrl,
        Entries: groups.map((group) => ({ Id: group, MessageBody: `${group}${number}`, MessageGroupId: group })),
      };
      const order = number % 2 === 0 ? clients : [...clients].reverse();
      const answers = await Promise.all(order.map((client) => client.send(new SendMessageBatchCommand(input))));
      for (const { Id, SequenceNumber } of answers[0]!.Successful!) (sequences[Id!] ??= []).push(SequenceNumber!);
      expect(answers.map(({ Failed }) => Failed ?? [])).toEqual([[], []]);
    }
    sending = false;
  };
  const seen: string[] = [];
  const receive = async (client: SQSClient): Promise<void> => {
    for (;;) {
      const { Messages = [] } = await client.send(
        new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 4, WaitTimeSeconds: 1 }),
      );
      if (Messages.length === 0 && !sending) return;
      if (Messages.length === 0) continue;
      seen.push(...Messages.map(({ Body }) => Body!));
      const Entries = Messages.map(({ ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle }));
      const { Failed } = await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
      expect(Failed ?? []).toEqual([]);
    }
  };
  await Promise.all([send(), ...clients.map(receive)]);
  for (const group of groups) {
    expect(seen.filter((body) => body.startsWith(group))).toEqual(
      Array.from({ length: perGroup }, (_, number) => `${group}${number}`),
    );
    expect(new Set(sequences[group]).size).toBe(perGroup);
  }
  const AttributeNames = ['ApproximateNumberOfMessages' as const, 'ApproximateNumberOfMessagesNotVisible' as const];
  const { Attributes: counts } = await clients[1]!.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames }));
  expect(Object.values(counts!)).toEqual(['0', '0']);
}, 60_000);
