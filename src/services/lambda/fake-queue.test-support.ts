import type { Dispatcher } from '../../platform/dispatcher.ts';
import type { Handlers, Platform, Service } from '../../platform/service.ts';
import type { Message } from '../../wire/types/sqs.ts';
import { Bell } from './bell.ts';

interface FakeMessage {
  readonly id: string;
  readonly group: string;
  readonly body: string;
  visibleAtMs: number;
  receiveCount: number;
}

/** An SQS of one FIFO queue: hands out the messages of a group in order, and none of a group that has some in flight. */
export class FakeFifoQueue {
  readonly visibilitySeconds: number;
  readonly #platform: Platform;
  readonly #more = new Bell();
  #messages: FakeMessage[] = [];
  #count = 0;
  /** Bodies, by receive. */
  readonly received: string[][] = [];

  private constructor(platform: Platform, visibilitySeconds: number) {
    this.#platform = platform;
    this.visibilitySeconds = visibilitySeconds;
  }

  static into(platform: Platform, visibilitySeconds: number): FakeFifoQueue {
    const fake = new FakeFifoQueue(platform, visibilitySeconds);
    (platform.bus as Dispatcher).register('sqs', { operations: fake.#operations() } as Service);
    return fake;
  }

  send(group: string, ...bodies: readonly string[]): void {
    for (const body of bodies)
      this.#messages.push({ id: `m-${++this.#count}`, group, body, visibleAtMs: 0, receiveCount: 0 });
    this.#more.ring();
  }

  left(): string[] {
    return this.#messages.map(({ body }) => body);
  }

  #take(count: number): Message[] {
    const nowMs = this.#platform.clock.now();
    const inFlight = new Set(this.#messages.filter((one) => one.visibleAtMs > nowMs).map(({ group }) => group));
    const taken = this.#messages.filter(({ group }) => !inFlight.has(group)).slice(0, count);
    for (const message of taken) {
      message.visibleAtMs = nowMs + this.visibilitySeconds * 1_000;
      message.receiveCount++;
    }
    if (taken.length > 0) this.received.push(taken.map(({ body }) => body));
    return taken.map(({ id, group, body, receiveCount }) => ({
      MessageId: id,
      ReceiptHandle: id,
      Body: body,
      MD5OfBody: '',
      Attributes: { MessageGroupId: group, ApproximateReceiveCount: String(receiveCount) },
    }));
  }

  #operations(): Handlers<'sqs'> {
    const { clock } = this.#platform;
    return {
      GetQueueUrl: async () => ({ QueueUrl: 'http://fake/queue.fifo' }),
      GetQueueAttributes: async () => ({ Attributes: { VisibilityTimeout: String(this.visibilitySeconds) } }),
      ReceiveMessage: async (context, { MaxNumberOfMessages = 1, WaitTimeSeconds = 0 }) => {
        const untilMs = clock.now() + WaitTimeSeconds * 1_000;
        for (;;) {
          const messages = this.#take(MaxNumberOfMessages);
          if (messages.length > 0 || clock.now() >= untilMs) return { Messages: messages };
          const nextMs = Math.min(untilMs, ...this.#messages.map(({ visibleAtMs }) => visibleAtMs));
          await context.idle(() => this.#more.wait(clock, Math.max(nextMs, clock.now() + 1)));
        }
      },
      DeleteMessageBatch: async (_context, { Entries }) => {
        const gone = new Set(Entries.map(({ ReceiptHandle }) => ReceiptHandle));
        this.#messages = this.#messages.filter(({ id }) => !gone.has(id));
        this.#more.ring();
        return { Successful: Entries.map(({ Id }) => ({ Id })), Failed: [] };
      },
      ChangeMessageVisibilityBatch: async (_context, { Entries }) => {
        for (const { ReceiptHandle } of Entries)
          for (const message of this.#messages) if (message.id === ReceiptHandle) message.visibleAtMs = 0;
        this.#more.ring();
        return { Successful: Entries.map(({ Id }) => ({ Id })), Failed: [] };
      },
    };
  }
}
