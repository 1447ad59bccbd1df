import { parseArn } from '../../platform/arn.ts';
import type { Caller } from '../../platform/context.ts';
import type { Platform } from '../../platform/service.ts';
import { AwsError } from '../../wire/errors.ts';
import type { Message } from '../../wire/types/sqs.ts';
import type { Directory } from './directory.ts';
import type { Invoker } from './invoker.ts';
import { lambdaLimits } from './limits.ts';
import { roleCaller } from './principals.ts';
import { type EventPattern, parsePattern } from './rules/event-pattern.ts';
import {
  batchVerdict,
  initialScaling,
  nextScaling,
  receiveVisibilitySeconds,
  type Scaling,
  sqsRecord,
  wantedMessage,
} from './rules/sqs-batches.ts';
import type { MappingRecord } from './state.ts';

const longPollSeconds = 20;
const messagesPerCall = 10;
const firstBackoffMs = 1_000;
const longestBackoffMs = 30_000;
const deleteAttempts = 4;
const deleteBackoffMs = 200;
/** The queue's own visibility timeout is asked for again after this. */
const visibilityTrustedMs = 60_000;
/** Room for the envelope around the records. */
const envelopeBytes = 64;
const sessionName = 'lambda-event-source';

interface Batch {
  readonly messages: Message[];
  bytes: number;
}

/** Polls one queue for one function. An idle poller waits in a long poll, which is no work: virtual time may pass. */
export class SqsPoller {
  readonly #platform: Platform;
  readonly #directory: Directory;
  readonly #invoker: Invoker;
  #mapping: MappingRecord;
  #filters: readonly EventPattern[];
  #scaling: Scaling;
  #stopped = false;
  #queueUrl: string | undefined;
  #visibility: { readonly seconds: number; readonly readAtMs: number } | undefined;
  readonly #underway = new Set<Promise<void>>();
  /** Called when a batch ends or the poller stops. */
  #wake: (() => void) | undefined;
  readonly #stopWaits = new AbortController();

  constructor(platform: Platform, directory: Directory, invoker: Invoker, mapping: MappingRecord) {
    this.#platform = platform;
    this.#directory = directory;
    this.#invoker = invoker;
    this.#mapping = mapping;
    this.#filters = patternsOf(mapping);
    this.#scaling = initialScaling(mapping.maximumConcurrency, platform.clock.now());
  }

  start(): void {
    void this.#poll();
  }

  update(mapping: MappingRecord): void {
    this.#mapping = mapping;
    this.#filters = patternsOf(mapping);
    const most = mapping.maximumConcurrency;
    if (most !== undefined && this.#scaling.concurrency > most) this.#scaling = { ...this.#scaling, concurrency: most };
  }

  /**
   * A long poll that is out cannot be called back: what it still brings is given back to the queue at once. The batches under way
   * are waited for.
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopWaits.abort(new Error('the poller was stopped'));
    this.#wake?.();
    await Promise.all(this.#underway);
  }

  async #poll(): Promise<void> {
    for (let failures = 0; !this.#stopped; ) {
      try {
        await this.#waitForRoom();
        if (this.#stopped) return;
        const batch = await this.#collect();
        failures = 0;
        if (this.#stopped) return await this.#giveBack(batch.messages);
        if (batch.messages.length > 0) this.#process(batch);
        else this.#scale('empty');
      } catch (error) {
        if (this.#stopped) return;
        failures++;
        const waitMs = Math.min(longestBackoffMs, firstBackoffMs * 2 ** Math.min(failures - 1, 10));
        this.#reportFailure(error, failures);
        this.#queueUrl = undefined;
        await this.#pause(waitMs);
      }
    }
  }

  async #waitForRoom(): Promise<void> {
    while (this.#underway.size >= this.#scaling.concurrency && !this.#stopped) {
      this.#scale('saturated');
      if (this.#underway.size < this.#scaling.concurrency) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #scale(seen: 'saturated' | 'empty' | 'throttled'): void {
    const { maximumConcurrency } = this.#mapping;
    this.#scaling = nextScaling(this.#scaling, seen, maximumConcurrency, this.#platform.clock.now());
  }

  /** Messages until the batch is full, its window is over or its event would be too long. Those not wanted are deleted. */
  async #collect(): Promise<Batch> {
    const { clock } = this.#platform;
    const { batchSize, windowSeconds } = this.#mapping;
    const batch: Batch = { messages: [], bytes: envelopeBytes };
    const first = await this.#receive(Math.min(messagesPerCall, batchSize), longPollSeconds);
    await this.#add(batch, first);
    if (first.length === 0 || windowSeconds === 0) return batch;
    const endMs = clock.now() + windowSeconds * 1_000;
    while (batch.messages.length < batchSize && !this.#stopped) {
      const leftMs = endMs - clock.now();
      if (leftMs <= 0) break;
      if (batch.bytes > lambdaLimits.syncRequestBytes.value - largestRecordBytes) break;
      // A long poll counts whole seconds: the last one may go a little beyond the window.
      const waitSeconds = Math.min(longPollSeconds, Math.ceil(leftMs / 1_000));
      const room = Math.min(messagesPerCall, batchSize - batch.messages.length);
      await this.#add(batch, await this.#receive(room, waitSeconds));
    }
    return batch;
  }

  async #add(batch: Batch, received: readonly Message[]): Promise<void> {
    const unwanted: Message[] = [];
    for (const message of received) {
      if (this.#filters.length > 0 && !wantedMessage(this.#filters, message.Body ?? '')) unwanted.push(message);
      else {
        batch.messages.push(message);
        batch.bytes += 2 * Buffer.byteLength(message.Body ?? '') + 1_024;
      }
    }
    if (unwanted.length > 0) await this.#delete(unwanted);
  }

  async #receive(count: number, waitSeconds: number): Promise<readonly Message[]> {
    const caller = await this.#caller();
    const queueUrl = await this.#url(caller);
    const visibility = await this.#visibilitySeconds(caller, queueUrl);
    const { Messages = [] } = await this.#platform.bus.call(caller, 'sqs', 'ReceiveMessage', {
      QueueUrl: queueUrl,
      MaxNumberOfMessages: count,
      WaitTimeSeconds: waitSeconds,
      MessageSystemAttributeNames: ['All'],
      MessageAttributeNames: ['All'],
      ...(visibility === undefined ? {} : { VisibilityTimeout: visibility }),
    });
    return Messages;
  }

  async #giveBack(messages: readonly Message[]): Promise<void> {
    if (messages.length === 0) return;
    const caller = await this.#caller();
    const QueueUrl = await this.#url(caller);
    for (let start = 0; start < messages.length; start += messagesPerCall) {
      const Entries = messages.slice(start, start + messagesPerCall).map(({ ReceiptHandle }, index) => ({
        Id: String(index),
        ReceiptHandle: ReceiptHandle!,
        VisibilityTimeout: 0,
      }));
      await this.#platform.bus.call(caller, 'sqs', 'ChangeMessageVisibilityBatch', { QueueUrl, Entries });
    }
  }

  #process(batch: Batch): void {
    const endBusy = this.#platform.clock.busy();
    const run = this.#invoke(batch.messages)
      .catch((error) => this.#reportFailure(error, 1))
      .finally(() => {
        this.#underway.delete(run);
        endBusy();
        this.#wake?.();
      });
    this.#underway.add(run);
  }

  /** Nothing is deleted of a batch that failed: its messages come back when the queue's visibility timeout is over. */
  async #invoke(messages: readonly Message[]): Promise<void> {
    const mapping = this.#mapping;
    const { random, tracer } = this.#platform;
    const records = messages.map((message) => sqsRecord(message, mapping.sourceArn, mapping.region));
    const span = tracer.start('lambda.sqs-batch');
    try {
      const resolved = await this.#invoker.resolve(mapping, mapping.functionName, mapping.qualifier);
      const done = await this.#invoker.execute(resolved, {
        requestId: random.uuid(),
        payload: Buffer.from(JSON.stringify({ Records: records }), 'utf8'),
        traceHeader: this.#invoker.traceHeader(span),
      });
      span.end(done.functionError);
      if (done.functionError !== undefined) return;
      await this.#delete(succeeded(mapping, messages, done.payload));
    } catch (error) {
      span.end(error instanceof AwsError ? error.code : 'InternalFailure');
      if (!(error instanceof AwsError)) throw error;
      if (error.status === 429) this.#scale('throttled');
      else this.#reportFailure(error, 1);
    }
  }

  async #delete(messages: readonly Message[]): Promise<void> {
    const caller = await this.#caller();
    const queueUrl = await this.#url(caller);
    for (let start = 0; start < messages.length; start += messagesPerCall) {
      await this.#deleteSome(caller, queueUrl, messages.slice(start, start + messagesPerCall));
    }
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
          queue: this.#mapping.sourceArn,
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
    const { functionName } = this.#mapping;
    const entry = await this.#directory.find(this.#mapping, functionName);
    if (entry === undefined)
      throw new AwsError('ResourceNotFoundException', `the function ${functionName} of the mapping does not exist`);
    return roleCaller(entry.record.latest.role, sessionName, this.#mapping);
  }

  async #url(caller: Caller): Promise<string> {
    if (this.#queueUrl !== undefined) return this.#queueUrl;
    const arn = parseArn(this.#mapping.sourceArn)!;
    const { QueueUrl } = await this.#platform.bus.call(caller, 'sqs', 'GetQueueUrl', {
      QueueName: arn.resource,
      QueueOwnerAWSAccountId: arn.account,
    });
    this.#queueUrl = QueueUrl!;
    return this.#queueUrl;
  }

  /** What to receive with, where a window needs more than the queue's own; undefined: the queue's own. */
  async #visibilitySeconds(caller: Caller, QueueUrl: string): Promise<number | undefined> {
    const { windowSeconds, functionName } = this.#mapping;
    if (windowSeconds === 0) return undefined;
    const nowMs = this.#platform.clock.now();
    if (this.#visibility === undefined || nowMs - this.#visibility.readAtMs > visibilityTrustedMs) {
      const { Attributes } = await this.#platform.bus.call(caller, 'sqs', 'GetQueueAttributes', {
        QueueUrl,
        AttributeNames: ['VisibilityTimeout'],
      });
      this.#visibility = { seconds: Number(Attributes?.VisibilityTimeout ?? 30), readAtMs: nowMs };
    }
    const entry = await this.#directory.find(this.#mapping, functionName);
    const timeoutSeconds = entry?.record.latest.timeoutSeconds ?? 3;
    return receiveVisibilitySeconds(windowSeconds, timeoutSeconds, this.#visibility.seconds);
  }

  async #pause(waitMs: number): Promise<void> {
    await this.#platform.clock.sleep(waitMs, this.#stopWaits.signal).catch(() => {});
  }

  /** Said at the first failure and then ever more rarely: a queue that is gone stays gone. */
  #reportFailure(error: unknown, failures: number): void {
    if ((failures & (failures - 1)) !== 0) return;
    this.#platform.log.warn('an event source mapping met a problem', {
      mapping: this.#mapping.uuid,
      queue: this.#mapping.sourceArn,
      function: this.#mapping.functionArn,
      problem: error instanceof AwsError ? `${error.code}: ${error.message}` : String(error),
    });
  }
}

/** A message has 1 MiB at most; its record escapes and names things. */
const largestRecordBytes = 2 * 1_048_576;

function patternsOf(mapping: MappingRecord): readonly EventPattern[] {
  return mapping.filters.map((text) => parsePattern(text)).filter((pattern) => pattern !== undefined);
}

function succeeded(mapping: MappingRecord, messages: readonly Message[], payload: Buffer): readonly Message[] {
  if (!mapping.responseTypes.includes('ReportBatchItemFailures')) return messages;
  const ids = new Set(messages.map(({ MessageId }) => MessageId!));
  const { failed } = batchVerdict(payload.toString('utf8'), ids);
  if (failed === 'none') return messages;
  if (failed === 'all') return [];
  return messages.filter(({ MessageId }) => !failed.has(MessageId!));
}
