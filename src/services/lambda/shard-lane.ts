import { AwsError } from '../../wire/errors.ts';
import { Bell } from './bell.ts';
import { discardedJob } from './discarded-batches.ts';
import { lambdaLimits } from './limits.ts';
import {
  afterAttempt,
  type BatchOutcome,
  batchLength,
  type DiscardedBatch,
  eventText,
  expiredCount,
  type LastInvocation,
  type PendingBatch,
  type StreamItem,
  streamVerdict,
} from './rules/stream-batches.ts';
import {
  answeredState,
  emptyState,
  mostStateBytes,
  type OpenWindow,
  windowEventText,
  windowLength,
  windowStartMs,
} from './rules/tumbling-windows.ts';
import type { ShardWorker } from './shard-worker.ts';

/** Room for what stands around the records. */
const envelopeBytes = 512;
const failedCall = 'PROBLEM: Function call failed';

interface Attempt {
  readonly outcome: BatchOutcome;
  readonly last: LastInvocation;
  /** The window's state as the function answered it. */
  readonly state?: string;
}

/** Some of a shard's partition keys, in order: collects batches and sees each through to its end, success or not. */
export class ShardLane {
  /** With tumbling windows: the one that is open. Such a shard has one lane only. */
  window: OpenWindow | undefined;
  stopped: Promise<void> = Promise.resolve();
  readonly #shard: ShardWorker;
  readonly #bell = new Bell();
  #queue: StreamItem[] = [];
  #queuedBytes = 0;
  /** When the first of the queue came. */
  #since = 0;

  constructor(shard: ShardWorker) {
    this.#shard = shard;
  }

  /** Goes on with the window that was open. */
  open(window: OpenWindow | undefined): void {
    this.window = window;
  }

  add(item: StreamItem, nowMs: number): void {
    if (this.#queue.length === 0) this.#since = nowMs;
    this.#queue.push(item);
    this.#queuedBytes += item.bytes;
  }

  wake(): void {
    this.#bell.ring();
  }

  /** Resolves when the shard's end is reached or the worker stops. */
  run(): Promise<void> {
    this.stopped = this.#run();
    return this.stopped;
  }

  async #run(): Promise<void> {
    const { clock } = this.#shard.host.platform;
    while (!this.#isStopped()) {
      if (this.window !== undefined && this.#windowIsOver(this.window)) {
        await this.#closeWindow(this.window);
        continue;
      }
      if (this.#queue.length === 0) {
        if (this.#shard.ended) return;
        const endMs = this.#windowEndMs();
        // What belongs to a window that has passed may still be unread.
        if (endMs !== undefined && clock.now() >= endMs) this.#shard.wake();
        await this.#bell.wait(clock, endMs !== undefined && clock.now() < endMs ? endMs : undefined);
        continue;
      }
      const dueAtMs = this.#since + this.#shard.host.mapping.windowSeconds * 1_000;
      if (!this.#isFull() && clock.now() < dueAtMs) {
        await this.#bell.wait(clock, dueAtMs);
        continue;
      }
      await this.#process(this.#takeBatch());
    }
  }

  #isStopped(): boolean {
    return this.#shard.stopping.signal.aborted;
  }

  /** Nothing that comes later could join the batch. */
  #isFull(): boolean {
    const { batchSize } = this.#shard.host.mapping;
    if (this.#shard.ended || this.#queue.length >= batchSize || this.#queuedBytes >= this.#mostBytes()) return true;
    return this.#queue.length > this.#joinable().length;
  }

  #takeBatch(): readonly StreamItem[] {
    const { mapping, platform, settings } = this.#shard.host;
    if (settings.tumblingSeconds > 0)
      this.window ??= {
        startMs: windowStartMs(this.#queue[0]!.arrivalMs, settings.tumblingSeconds),
        state: emptyState,
      };
    const count = batchLength(this.#joinable(), mapping.batchSize, this.#mostBytes());
    const batch = this.#queue.slice(0, count);
    this.#queue = this.#queue.slice(count);
    for (const item of batch) this.#queuedBytes -= item.bytes;
    this.#since = platform.clock.now();
    return batch;
  }

  /** The records at the head that belong to the window that is open, or would be. */
  #joinable(): readonly StreamItem[] {
    const { tumblingSeconds } = this.#shard.host.settings;
    const first = this.#queue[0];
    if (tumblingSeconds === 0 || first === undefined) return this.#queue;
    const startMs = this.window?.startMs ?? windowStartMs(first.arrivalMs, tumblingSeconds);
    return this.#queue.slice(0, windowLength(this.#queue, startMs, tumblingSeconds));
  }

  #mostBytes(): number {
    const stateBytes = this.window === undefined ? 0 : Buffer.byteLength(this.window.state);
    return lambdaLimits.syncRequestBytes.value - envelopeBytes - stateBytes;
  }

  #windowEndMs(): number | undefined {
    return this.window === undefined
      ? undefined
      : this.window.startMs + this.#shard.host.settings.tumblingSeconds * 1_000;
  }

  #windowIsOver(window: OpenWindow): boolean {
    if (window.overgrown || this.#shard.host.settings.tumblingSeconds === 0) return true;
    if (this.#queue.length > 0) return this.#joinable().length === 0;
    return this.#shard.ended || this.#shard.caughtUpAtMs >= this.#windowEndMs()!;
  }

  async #closeWindow(window: OpenWindow): Promise<void> {
    let batch: PendingBatch = { items: [], failures: 0, invocations: 0, refusals: 0 };
    for (;;) {
      const { outcome } = await this.#attempt(batch.items, true);
      const step = afterAttempt(batch, outcome, this.#shard.host.settings);
      if (step.left.length === 0) break;
      if (step.givenUp) {
        const problem = `the final invocation of the window from ${new Date(window.startMs).toISOString()} was given up`;
        this.#shard.host.reportFailure(new Error(problem), 1);
        break;
      }
      batch = step.left[0]!;
      await this.#pause(step.waitMs);
      if (this.#isStopped()) return;
    }
    this.window = undefined;
    await this.#shard.settle([]);
  }

  async #process(items: readonly StreamItem[]): Promise<void> {
    const { platform, settings } = this.#shard.host;
    const left: PendingBatch[] = [{ items, failures: 0, invocations: 0, refusals: 0 }];
    let last: LastInvocation = { requestId: platform.random.uuid() };
    while (left.length > 0 && !this.#isStopped()) {
      const batch = left.shift()!;
      const expired = expiredCount(batch.items, settings.recordAgeSeconds, platform.clock.now());
      if (expired > 0) {
        // The count on AWS includes the attempt that is not made (recorded: test_kinesis_maximum_record_age_exceeded).
        const invokeCount = batch.invocations + 1;
        await this.#discard(batch.items.slice(0, expired), 'RecordAgeExceeded', invokeCount, last);
        if (expired < batch.items.length) left.unshift({ ...batch, items: batch.items.slice(expired) });
        continue;
      }
      const attempt = await this.#attempt(batch.items, false);
      if (attempt.outcome.outcome !== 'unavailable') last = attempt.last;
      this.#keepState(attempt.state);
      const step = afterAttempt(batch, attempt.outcome, settings);
      if (step.processed > 0) await this.#shard.settle(batch.items.slice(0, step.processed));
      if (step.givenUp) {
        for (const { items: lost, invocations } of step.left)
          await this.#discard(lost, 'RetryAttemptsExhausted', invocations, last);
        continue;
      }
      left.unshift(...step.left);
      if (step.waitMs > 0) await this.#pause(step.waitMs);
    }
  }

  #keepState(state: string | undefined): void {
    if (state === undefined || this.window === undefined) return;
    const { overgrown: _, ...window } = this.window;
    const grown = Buffer.byteLength(state) > mostStateBytes;
    this.window = grown ? { ...window, state, overgrown: true } : { ...window, state };
  }

  /** Given up: what is told of it is part of the commit that goes on. */
  async #discard(
    items: readonly StreamItem[],
    condition: DiscardedBatch['condition'],
    invokeCount: number,
    last: LastInvocation,
  ): Promise<void> {
    const { mapping, settings, platform } = this.#shard.host;
    const busy = platform.clock.busy();
    try {
      const { sourceArn: streamArn, functionArn } = mapping;
      const batch: DiscardedBatch = {
        streamArn,
        functionArn,
        shardId: this.#shard.shardId,
        items,
        condition,
        invokeCount,
        last,
      };
      const job =
        settings.onFailure === undefined
          ? undefined
          : await discardedJob(platform, mapping, settings.onFailure, this.#shard.host.roleArn(), batch);
      await this.#shard.settle(items, job === undefined ? [] : [job]);
    } finally {
      busy();
    }
  }

  async #attempt(items: readonly StreamItem[], final: boolean): Promise<Attempt> {
    const { platform, invoker, mapping } = this.#shard.host;
    const busy = platform.clock.busy();
    const requestId = platform.random.uuid();
    const span = platform.tracer.start('lambda.stream-batch');
    try {
      const payload = Buffer.from(this.#eventText(items, final), 'utf8');
      if (payload.length > lambdaLimits.syncRequestBytes.value) {
        span.end('RequestTooLargeException');
        this.#shard.host.note(failedCall);
        return { outcome: { outcome: 'error' }, last: { requestId } };
      }
      const resolved = await invoker.resolve(mapping, mapping.functionName, mapping.qualifier);
      const done = await invoker.execute(resolved, { requestId, payload, traceHeader: invoker.traceHeader(span) });
      span.end(done.functionError);
      const attempt = this.#judge(items, final, done.payload, {
        requestId,
        executedVersion: done.version,
        ...(done.functionError === undefined ? {} : { functionError: done.functionError }),
      });
      this.#shard.host.note(attempt.outcome.outcome === 'error' ? failedCall : 'OK');
      return attempt;
    } catch (error) {
      span.end(error instanceof AwsError ? error.code : 'InternalFailure');
      if (!(error instanceof AwsError)) throw error;
      if (error.status !== 429) this.#shard.host.reportFailure(error, 1);
      if (error.code === 'ResourceNotFoundException') this.#shard.host.note(failedCall);
      return { outcome: { outcome: 'unavailable' }, last: { requestId } };
    } finally {
      busy();
    }
  }

  #eventText(items: readonly StreamItem[], final: boolean): string {
    const { mapping, settings } = this.#shard.host;
    if (this.window === undefined) return eventText(items);
    const { tumblingSeconds } = settings;
    const { shardId } = this.#shard;
    return windowEventText(items, this.window, { tumblingSeconds, shardId, streamArn: mapping.sourceArn, final });
  }

  #judge(items: readonly StreamItem[], final: boolean, answer: Buffer, last: LastInvocation): Attempt {
    const { mapping } = this.#shard.host;
    if (last.functionError !== undefined) return { outcome: { outcome: 'error' }, last };
    const payload = answer.toString('utf8');
    const state = this.window === undefined || final ? undefined : answeredState(payload);
    // Without a state in the answer the invocation counts as failed.
    if (this.window !== undefined && !final && state === undefined) return { outcome: { outcome: 'error' }, last };
    const outcome = mapping.responseTypes.includes('ReportBatchItemFailures')
      ? streamVerdict(payload, items)
      : ({ outcome: 'success' } as const);
    return { outcome, last, ...(state === undefined || outcome.outcome === 'error' ? {} : { state }) };
  }

  async #pause(waitMs: number): Promise<void> {
    await this.#shard.host.platform.clock.sleep(waitMs, this.#shard.stopping.signal).catch(() => {});
  }
}
