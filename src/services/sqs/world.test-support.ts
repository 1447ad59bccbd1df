import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { expect } from 'vitest';
import { startTestCloud, type TestCloud, type TestCloudOptions } from '../../../test/support/cloud.ts';

/** A cloud with SQS only, a stock client, and what the tests of this folder do all the time. */
export interface SqsWorld {
  readonly cloud: TestCloud;
  readonly client: SQSClient;
  /** Creates a queue with a fresh name and answers its URL. */
  queue(attributes?: Record<string, string>, name?: string): Promise<string>;
  send(url: string, body: string, delaySeconds?: number): Promise<string>;
  receive(url: string, options?: Partial<ReceiveMessageCommand['input']>): Promise<Message[]>;
  attributes(url: string, ...names: string[]): Promise<Record<string, string>>;
  /** [visible, in flight, delayed] */
  counts(url: string): Promise<[number, number, number]>;
  arn(url: string): string;
  close(): Promise<void>;
}

export async function startSqsWorld(options: TestCloudOptions = {}): Promise<SqsWorld> {
  const cloud = await startTestCloud({ services: ['sqs'], ...options });
  return worldOf(cloud, new SQSClient(cloud.clientConfig));
}

export function worldOf(cloud: TestCloud, client: SQSClient): SqsWorld {
  let created = 0;
  const world: SqsWorld = {
    cloud,
    client,
    queue: async (Attributes, name = `queue-${++created}`) => {
      const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: name, Attributes }));
      return QueueUrl!;
    },
    send: async (QueueUrl, MessageBody, DelaySeconds) => {
      const { MessageId } = await client.send(new SendMessageCommand({ QueueUrl, MessageBody, DelaySeconds }));
      return MessageId!;
    },
    receive: async (QueueUrl, more = {}) => {
      const input = { QueueUrl, MaxNumberOfMessages: 10, ...more };
      return (await client.send(new ReceiveMessageCommand(input))).Messages ?? [];
    },
    attributes: async (QueueUrl, ...names) => {
      const AttributeNames = (names.length === 0 ? ['All'] : names) as 'All'[];
      return (await client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames }))).Attributes ?? {};
    },
    counts: async (url) => {
      const all = await world.attributes(url);
      return [
        Number(all['ApproximateNumberOfMessages']),
        Number(all['ApproximateNumberOfMessagesNotVisible']),
        Number(all['ApproximateNumberOfMessagesDelayed']),
      ];
    },
    arn: (url) => `arn:aws:sqs:us-east-1:000000000000:${url.slice(url.lastIndexOf('/') + 1)}`,
    close: async () => {
      client.destroy();
      await cloud.close();
    },
  };
  return world;
}

/** The call must fail with this code (as older clients know it), and words that are these or match. */
export async function expectError(call: Promise<unknown>, code: string, message?: string | RegExp): Promise<void> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason as { name: string; Code?: string; message: string },
  );
  expect(error, `expected ${code}, but the call succeeded`).toBeDefined();
  expect(error!.Code ?? error!.name, error!.message).toBe(code);
  if (typeof message === 'string') expect(error!.message).toBe(message);
  else if (message !== undefined) expect(error!.message).toMatch(message);
}
