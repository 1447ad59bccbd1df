import { parseArn } from '../../platform/arn.ts';
import type { Caller } from '../../platform/context.ts';
import type { Platform } from '../../platform/service.ts';
import { AwsError } from '../../wire/errors.ts';
import type { Message } from '../../wire/types/sqs.ts';
import type { Directory } from './directory.ts';
import { roleCaller } from './principals.ts';
import { receiveVisibilitySeconds } from './rules/sqs-batches.ts';
import type { MappingRecord } from './state.ts';

const messagesPerCall = 10;
const deleteAttempts = 4;
const deleteBackoffMs = 200;
/** The queue's own visibility timeout is asked for again after this. */
const visibilityTrustedMs = 60_000;
const defaultVisibilitySeconds = 30;
const defaultTimeoutSeconds = 3;
const sessionName = 'lambda-event-source';

/** How long what is received is hidden. */
export interface Hiding {
  readonly seconds: number;
  readonly timeoutSeconds: number;
}

/** The queue behind a mapping, used in the name of the function's role. */
export class SqsQueue {
  readonly #platform: Platform;
  readonly #directory: Directory;
  readonly #mapping: () => MappingRecord;
  #queueUrl: string | undefined;
  #visibility: { readonly seconds: number; readonly readAtMs: number } | undefined;

  constructor(platform: Platform, directory: Directory, mapping: () => MappingRecord) {
    this.#platform = platform;
    this.#directory = directory;
    this.#mapping = mapping;
  }

  /** Up to ten messages, and how long they are hidden. */
  async receive(
    count: number,
    waitSeconds: number,
  ): Promise<{ readonly messages: readonly Message[]; readonly hiding: Hiding }> {
    const caller = await this.#caller();
    const QueueUrl = await this.#url(caller);
    const { hiding, asked } = await this.#hiding(caller, QueueUrl);
    const { Messages = [] } = await this.#platform.bus.call(caller, 'sqs', 'ReceiveMessage', {
      QueueUrl,
      MaxNumberOfMessages: Math.min(messagesPerCall, count),
      WaitTimeSeconds: waitSeconds,
      MessageSystemAttributeNames: ['All'],
      MessageAttributeNames: ['All'],
      ...(asked === undefined ? {} : { VisibilityTimeout: asked }),
    });
    return { messages: Messages, hiding };
  }

  /** Lets others have messages at once. */
  async giveBack(messages: readonly Message[]): Promise<void> {
    if (messages.length === 0) return;
    const caller = await this.#caller();
    const QueueUrl = await this.#url(caller);
    for (const some of tens(messages)) {
      const Entries = some.map(({ ReceiptHandle }, index) => ({
        Id: String(index),
        ReceiptHandle: ReceiptHandle!,
        VisibilityTimeout: 0,
      }));
      await this.#platform.bus.call(caller, 'sqs', 'ChangeMessageVisibilityBatch', { QueueUrl, Entries });
    }
  }

  async delete(messages: readonly Message[]): Promise<void> {
    if (messages.length === 0) return;
    const caller = await this.#caller();
    const QueueUrl = await this.#url(caller);
    for (const some of tens(messages)) await this.#deleteSome(caller, QueueUrl, some);
  }

  /** What was remembered of the queue may be wrong. */
  forget(): void {
    this.#queueUrl = undefined;
    this.#visibility = undefined;
  }

  async #deleteSome(caller: Caller, QueueUrl: string, messages: readonly Message[]): Promise<void> {
    let left = messages;
    for (let attempt = 1; left.length > 0; attempt++) {
      const Entries = left.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle: ReceiptHandle! }));
      let problem: unknown;
      try {
        const answer = await this.#platform.bus.call(caller, 'sqs', 'DeleteMessageBatch', { QueueUrl, Entries });
        const failed = new Set((answer.Failed ?? []).map(({ Id }) => Id));
        left = left.filter((_, index) => failed.has(String(index)));
        problem = answer.Failed?.[0]?.Message;
      } catch (error) {
        problem = error;
      }
      if (left.length === 0) return;
      if (attempt === deleteAttempts) {
        // They will come again: delivery is at least once.
        this.#platform.log.error('messages that were processed could not be deleted', {
          queue: this.#mapping().sourceArn,
          messages: left.length,
          problem: String(problem),
        });
        return;
      }
      await this.#platform.clock.sleep(deleteBackoffMs * 2 ** attempt);
    }
  }

  /** The function's role, read with the function: it may change. */
  async #caller(): Promise<Caller> {
    const mapping = this.#mapping();
    const entry = await this.#directory.find(mapping, mapping.functionName);
    if (entry === undefined)
      throw new AwsError(
        'ResourceNotFoundException',
        `the function ${mapping.functionName} of the mapping does not exist`,
      );
    return roleCaller(entry.record.latest.role, sessionName, mapping);
  }

  async #url(caller: Caller): Promise<string> {
    if (this.#queueUrl !== undefined) return this.#queueUrl;
    const arn = parseArn(this.#mapping().sourceArn)!;
    const { QueueUrl } = await this.#platform.bus.call(caller, 'sqs', 'GetQueueUrl', {
      QueueName: arn.resource,
      QueueOwnerAWSAccountId: arn.account,
    });
    this.#queueUrl = QueueUrl!;
    return this.#queueUrl;
  }

  /** `asked`: what to receive with, where a window needs more than the queue's own. */
  async #hiding(
    caller: Caller,
    QueueUrl: string,
  ): Promise<{ readonly hiding: Hiding; readonly asked: number | undefined }> {
    const mapping = this.#mapping();
    const nowMs = this.#platform.clock.now();
    if (this.#visibility === undefined || nowMs - this.#visibility.readAtMs > visibilityTrustedMs) {
      const { Attributes } = await this.#platform.bus.call(caller, 'sqs', 'GetQueueAttributes', {
        QueueUrl,
        AttributeNames: ['VisibilityTimeout'],
      });
      const seconds = Number(Attributes?.VisibilityTimeout ?? defaultVisibilitySeconds);
      this.#visibility = { seconds, readAtMs: nowMs };
    }
    const entry = await this.#directory.find(mapping, mapping.functionName);
    const timeoutSeconds = entry?.record.latest.timeoutSeconds ?? defaultTimeoutSeconds;
    const asked = receiveVisibilitySeconds(mapping.windowSeconds, timeoutSeconds, this.#visibility.seconds);
    return { hiding: { seconds: asked ?? this.#visibility.seconds, timeoutSeconds }, asked };
  }
}

function tens<T>(items: readonly T[]): readonly (readonly T[])[] {
  const parts: T[][] = [];
  for (let start = 0; start < items.length; start += messagesPerCall)
    parts.push(items.slice(start, start + messagesPerCall));
  return parts;
}
