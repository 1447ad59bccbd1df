import type { Platform } from '../../platform/service.ts';
import { AwsError } from '../../wire/errors.ts';
import type { Message } from '../../wire/types/sqs.ts';
import type { Directory } from './directory.ts';
import type { Invoker } from './invoker.ts';
import { type EventPattern, patternsOf } from './rules/event-pattern.ts';
import {
  groupOf,
  initialScaling,
  isFifo,
  mostBatchBytes,
  nextScaling,
  packed,
  type QueuedRecord,
  queuedRecord,
  type Scaling,
  type ScalingBounds,
  scalingBounds,
  sqsRecord,
  succeededMessages,
  wantedMessage,
} from './rules/sqs-batches.ts';
import { type Hiding, SqsQueue } from './sqs-queue.ts';
import type { MappingRecord } from './state.ts';

const longPollSeconds = 20;
const messagesPerCall = 10;
const firstBackoffMs = 1_000;
const longestBackoffMs = 30_000;

/** Messages received together. */
interface Received {
  readonly records: readonly QueuedRecord[];
  /** When they show again, unless they are deleted. */
  readonly hidden: Hidden;
}

interface Hidden extends Hiding {
  readonly untilMs: number;
}

/**
 * Polls one queue for one function. An idle poller waits in a long poll, which is no work: virtual time may pass. Of a FIFO queue each receive
 * is a batch of its own: SQS hands out no more of its groups until it is deleted or shows again.
 */
export class SqsPoller {
  readonly #platform: Platform;
  readonly #invoker: Invoker;
  readonly #queue: SqsQueue;
  #mapping: MappingRecord;
  #filters: readonly EventPattern[];
  #bounds: ScalingBounds;
  #scaling: Scaling;
  #stopped = false;
  readonly #underway = new Set<Promise<void>>();
  /** The FIFO groups of the batches under way. */
  readonly #groups = new Set<string>();
  /** Received, and too much for the batch that it came with. */
  #carried: Received | undefined;
  /** Called when a batch ends or the poller stops. */
  #wake: (() => void) | undefined;
  readonly #stopWaits = new AbortController();

  constructor(platform: Platform, directory: Directory, invoker: Invoker, mapping: MappingRecord) {
    this.#platform = platform;
    this.#invoker = invoker;
    this.#mapping = mapping;
    this.#queue = new SqsQueue(platform, directory, () => this.#mapping);
    this.#filters = patternsOf(mapping.filters);
    this.#bounds = scalingBounds(mapping);
    this.#scaling = initialScaling(this.#bounds, platform.clock.now());
  }

  start(): void {
    void this.#poll();
  }

  update(mapping: MappingRecord): void {
    this.#mapping = mapping;
    this.#filters = patternsOf(mapping.filters);
    const before = this.#bounds;
    const { start, ceiling } = (this.#bounds = scalingBounds(mapping));
    // Every mapping is told when any has changed: what this one has come to stays.
    if (start === before.start && ceiling === before.ceiling) return;
    this.#scaling = { ...this.#scaling, concurrency: Math.min(ceiling, Math.max(start, this.#scaling.concurrency)) };
    this.#wake?.();
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
        if (this.#stopped) break;
        const received = await this.#collect();
        failures = 0;
        if (this.#stopped) {
          await this.#queue.giveBack(messagesOf(received.records));
          break;
        }
        if (received.records.length > 0) this.#process(received);
        else this.#scale('empty');
      } catch (error) {
        if (this.#stopped) break;
        failures++;
        this.#reportFailure(error, failures);
        this.#queue.forget();
        await this.#pause(backoffMs(failures));
      }
    }
    await this.#queue.giveBack(messagesOf(this.#carried?.records ?? [])).catch(() => {});
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

  #scale(seen: Parameters<typeof nextScaling>[1]): void {
    this.#scaling = nextScaling(this.#scaling, seen, this.#bounds, this.#platform.clock.now());
  }

  /** Messages until the batch is full, its window is over or its event would be too long. Those not wanted are deleted. */
  async #collect(): Promise<Received> {
    const { clock } = this.#platform;
    const { batchSize, windowSeconds } = this.#mapping;
    let batch = this.#carried ?? (await this.#receive(batchSize, longPollSeconds));
    this.#carried = undefined;
    if (batch.records.length === 0 || isFifo(this.#mapping.sourceArn)) return batch;
    const endMs = clock.now() + windowSeconds * 1_000;
    while (batch.records.length < batchSize && bytesOf(batch.records) < mostBatchBytes && !this.#stopped) {
      const leftMs = endMs - clock.now();
      if (leftMs <= 0) break;
      // A long poll counts whole seconds: the last one may go a little beyond the window.
      const waitSeconds = Math.min(longPollSeconds, Math.ceil(leftMs / 1_000));
      const more = await this.#receive(batchSize - batch.records.length, waitSeconds);
      batch = { records: [...batch.records, ...more.records], hidden: batch.hidden };
    }
    const [first = [], ...others] = packed(batch.records, batchSize);
    if (others.length > 0) this.#carried = { records: others.flat(), hidden: batch.hidden };
    return { records: first, hidden: batch.hidden };
  }

  async #receive(count: number, waitSeconds: number): Promise<Received> {
    const { messages, hiding } = await this.#queue.receive(Math.min(messagesPerCall, count), waitSeconds);
    const { sourceArn, region } = this.#mapping;
    const wanted: QueuedRecord[] = [];
    const unwanted: Message[] = [];
    for (const message of messages) {
      const record = sqsRecord(message, sourceArn, region);
      if (wantedMessage(this.#filters, record)) wanted.push(queuedRecord(message, record));
      else unwanted.push(message);
    }
    await this.#queue.delete(unwanted);
    const untilMs = this.#platform.clock.now() + hiding.seconds * 1_000;
    return { records: wanted, hidden: { ...hiding, untilMs } };
  }

  #process(received: Received): void {
    const fifo = isFifo(this.#mapping.sourceArn);
    const run = (fifo ? this.#invokeInOrder(received) : this.#invoke(received.records, received.hidden).then(() => {}))
      .catch((error) => this.#reportFailure(error, 1))
      .finally(() => {
        this.#underway.delete(run);
        this.#wake?.();
      });
    this.#underway.add(run);
  }

  /**
   * A receive of a FIFO queue: in one batch, or, where that is too long, in several one after the other. A group that failed is left for
   * later, as is one whose former messages are still at work (they have shown again too soon).
   */
  async #invokeInOrder({ records, hidden }: Received): Promise<void> {
    const free = records.filter(({ message }) => !this.#groups.has(groupOf(message) ?? ''));
    const own = new Set(free.map(({ message }) => groupOf(message) ?? ''));
    for (const group of own) this.#groups.add(group);
    try {
      const blocked = new Set<string | undefined>();
      for (const batch of packed(free, this.#mapping.batchSize)) {
        const open = batch.filter(({ message }) => !blocked.has(groupOf(message)));
        if (open.length === 0) continue;
        const deleted = new Set(await this.#invoke(open, hidden));
        for (const { message } of open) if (!deleted.has(message)) blocked.add(groupOf(message));
      }
    } finally {
      for (const group of own) this.#groups.delete(group);
    }
  }

  /**
   * Nothing is deleted of a batch that failed: its messages come back when they show again. A batch that found no capacity is tried again
   * while they are hidden. Returns what was deleted.
   */
  async #invoke(records: readonly QueuedRecord[], hidden: Hidden): Promise<readonly Message[]> {
    const { clock } = this.#platform;
    for (let refusals = 1; ; refusals++) {
      const done = await this.#attempt(records);
      if (done !== 'throttled') return done;
      this.#scale('throttled');
      const waitMs = backoffMs(refusals);
      // The next attempt must be over before another may receive the messages.
      if (this.#stopped || clock.now() + waitMs + hidden.timeoutSeconds * 1_000 > hidden.untilMs) return [];
      await this.#pause(waitMs);
    }
  }

  /** Invokes, and deletes what was processed. */
  async #attempt(records: readonly QueuedRecord[]): Promise<readonly Message[] | 'throttled'> {
    const mapping = this.#mapping;
    const { clock, random, tracer } = this.#platform;
    const busy = clock.busy();
    const span = tracer.start('lambda.sqs-batch');
    try {
      const resolved = await this.#invoker.resolve(mapping, mapping.functionName, mapping.qualifier);
      const done = await this.#invoker.execute(resolved, {
        requestId: random.uuid(),
        payload: Buffer.from(`{"Records":[${records.map(({ text }) => text).join(',')}]}`, 'utf8'),
        // A message that a function sent carries on where that stood: so loops are found.
        traceHeader: this.#invoker.traceHeader(
          span,
          ...records.map(({ message }) => message.Attributes?.AWSTraceHeader),
        ),
      });
      span.end(done.functionError);
      if (done.functionError !== undefined) {
        this.#scale('failed');
        return [];
      }
      const succeeded = succeededMessages(mapping, messagesOf(records), done.payload.toString('utf8'));
      await this.#queue.delete(succeeded);
      return succeeded;
    } catch (error) {
      span.end(error instanceof AwsError ? error.code : 'InternalFailure');
      if (!(error instanceof AwsError)) throw error;
      if (error.status === 429) return 'throttled';
      this.#reportFailure(error, 1);
      return [];
    } finally {
      busy();
    }
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

function backoffMs(failures: number): number {
  return Math.min(longestBackoffMs, firstBackoffMs * 2 ** Math.min(failures - 1, 10));
}

function messagesOf(records: readonly QueuedRecord[]): readonly Message[] {
  return records.map(({ message }) => message);
}

function bytesOf(records: readonly QueuedRecord[]): number {
  return records.reduce((sum, { bytes }) => sum + bytes, 0);
}
