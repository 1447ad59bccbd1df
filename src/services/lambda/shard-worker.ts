import type { Timer } from '../../kernel/clock/contract.ts';
import type { DueWrite } from '../../kernel/store/contract.ts';
import type { Caller } from '../../platform/context.ts';
import type { Platform } from '../../platform/service.ts';
import type { StreamPage, StreamPosition, StreamReader } from '../../platform/streams.ts';
import { Bell } from './bell.ts';
import type { Invoker } from './invoker.ts';
import type { EventPattern } from './rules/event-pattern.ts';
import { itemOf, laneOf, type StreamItem, wantedRecord } from './rules/stream-batches.ts';
import { ShardLane } from './shard-lane.ts';
import type { MappingRecord, StreamSettings } from './state.ts';
import type { ShardLease } from './stream-shards.ts';

/** What the workers of one mapping share. */
export interface ShardHost {
  readonly platform: Platform;
  readonly invoker: Invoker;
  readonly reader: StreamReader;
  readonly mapping: MappingRecord;
  readonly settings: StreamSettings;
  readonly filters: readonly EventPattern[];
  /** Who reads: the function's role, read with the function. */
  caller(): Promise<Caller>;
  /** That role, as it was read last. */
  roleArn(): string;
  /** What a batch came to: LastProcessingResult. */
  note(result: string): void;
  reportFailure(error: unknown, failures: number): void;
  /** The worker has ended by itself: its shard is over, or another process has it. */
  ended(worker: ShardWorker): void;
}

/** A hint may be lost: the shard is asked again after this, sooner where other processes write. */
const idlePollMs = 10_000;
const sharedPollMs = 1_000;
const firstPauseMs = 1_000;
const longestPauseMs = 30_000;
const mostRecordsPerRead = 10_000;
/** Records read ahead, for each lane beside a batch: what is read is kept in memory. */
const recordsAhead = 1_000;
const bytesAhead = 12 * 1_048_576;

/** Reads one shard in order, spreads its records over the lanes, and writes down how far all of them have come. */
export class ShardWorker {
  readonly host: ShardHost;
  readonly shardId: string;
  /** Why it stops, if it does. */
  readonly stopping = new AbortController();
  /** Nothing is to be read any more. */
  ended = false;
  /** A read that began at this moment found nothing new. */
  caughtUpAtMs = Number.NEGATIVE_INFINITY;
  readonly #lease: ShardLease;
  readonly #lanes: readonly ShardLane[];
  readonly #bell = new Bell();
  #order: string[] = [];
  readonly #over = new Set<string>();
  /** Before the first record of `#order`. */
  #position: StreamPosition;
  #readOn: StreamPosition;
  #bytes = 0;
  /** The reader waits until lanes have worked some of what was read off. */
  #full = false;
  #commits: Promise<void> = Promise.resolve();
  #lost = false;
  #running: Promise<void> = Promise.resolve();
  #renewal: Timer | undefined;

  constructor(host: ShardHost, lease: ShardLease) {
    this.host = host;
    this.shardId = lease.shardId;
    this.#lease = lease;
    this.#position = lease.startedAt.position;
    this.#readOn = lease.startedAt.position;
    this.#lanes = Array.from({ length: host.settings.parallelization }, () => new ShardLane(this));
  }

  start(): void {
    this.#running = this.#run();
  }

  /** New records may have come. */
  wake(): void {
    this.#bell.ring();
  }

  /** Takes no more batches; resolves when those under way are over and the shard is free for another. */
  async stop(): Promise<void> {
    this.#end('the poller was stopped');
    await this.#running;
  }

  /** Records are over, one way or the other; `schedule` are jobs that come of it. Resolves when that is written down. */
  async settle(items: readonly StreamItem[], schedule: readonly DueWrite[] = []): Promise<void> {
    for (const item of items) {
      this.#over.add(item.sequenceNumber);
      this.#bytes -= item.bytes;
    }
    this.#advance();
    const commit = this.#commits.then(() => this.#commit(schedule));
    this.#commits = commit.catch(() => {});
    await commit;
    if (this.#full) this.#bell.ring();
  }

  async #run(): Promise<void> {
    const { platform } = this.host;
    let finished = false;
    try {
      this.#lanes[0]!.open(await this.#lease.window());
      this.#armRenewal();
      const lanes = this.#lanes.map((lane) => lane.run());
      await Promise.all([this.#read(), ...lanes]);
      const busy = platform.clock.busy();
      try {
        finished = !this.stopping.signal.aborted && this.#order.length === 0 && (await this.#lease.finish());
        if (!finished && !this.#lost) await this.#lease.release();
      } finally {
        busy();
      }
    } catch (error) {
      this.#end('the worker failed');
      await Promise.allSettled(this.#lanes.map((lane) => lane.stopped));
      this.host.reportFailure(error, 1);
      await this.#lease.release(longestPauseMs).catch(() => {});
    } finally {
      this.#renewal?.cancel();
      this.host.ended(this);
    }
  }

  async #read(): Promise<void> {
    const { platform, mapping } = this.host;
    const pollMs = platform.store.shared ? sharedPollMs : idlePollMs;
    for (let failures = 0; !this.stopping.signal.aborted && !this.ended; ) {
      const room = this.#room();
      this.#full = room <= 0;
      if (this.#full) {
        await this.#bell.wait(platform.clock);
        continue;
      }
      const busy = platform.clock.busy();
      const startedAtMs = platform.clock.now();
      let more = false;
      try {
        const caller = await this.host.caller();
        const page = await this.host.reader.read(mapping.sourceArn, this.shardId, this.#readOn, room, caller);
        failures = 0;
        more = page.records.length > 0;
        this.#take(page, startedAtMs);
        // Records that no filter wants are over: nobody else would write that down.
        if (more && this.#order.length === 0) await this.settle([]);
      } catch (error) {
        failures++;
        if (!this.stopping.signal.aborted) this.host.reportFailure(error, failures);
      } finally {
        busy();
      }
      if (more || this.ended) continue;
      const pauseMs =
        failures === 0 ? pollMs : Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(failures - 1, 10));
      if (failures === 0) await this.#bell.wait(platform.clock, platform.clock.now() + pauseMs);
      else await platform.clock.sleep(pauseMs, this.stopping.signal).catch(() => {});
    }
  }

  #room(): number {
    const { batchSize } = this.host.mapping;
    if (this.#bytes >= bytesAhead * this.#lanes.length) return 0;
    return Math.min(mostRecordsPerRead, this.#lanes.length * (batchSize + recordsAhead) - this.#order.length);
  }

  #take(page: StreamPage, startedAtMs: number): void {
    const { mapping, filters } = this.host;
    const nowMs = this.host.platform.clock.now();
    for (const record of page.records) {
      this.#order.push(record.sequenceNumber);
      if (!wantedRecord(filters, record.event)) {
        this.#over.add(record.sequenceNumber);
        continue;
      }
      const item = itemOf(record, mapping.sourceArn, this.host.roleArn());
      this.#bytes += item.bytes;
      this.#lanes[laneOf(item.partitionKey, this.#lanes.length)]!.add(item, nowMs);
    }
    this.#readOn = page.next;
    this.ended = page.ended;
    if (page.records.length === 0) this.caughtUpAtMs = startedAtMs;
    this.#advance();
    for (const lane of this.#lanes) lane.wake();
  }

  /** Forgets the records at the head that are over. */
  #advance(): void {
    let count = 0;
    while (count < this.#order.length && this.#over.delete(this.#order[count]!)) count++;
    if (count === 0 && this.#order.length > 0) return;
    const last = this.#order[count - 1];
    if (count > 0) this.#order = this.#order.slice(count);
    if (this.#order.length === 0) this.#position = this.#readOn;
    else if (last !== undefined) this.#position = { at: 'AFTER', sequenceNumber: last };
  }

  async #commit(schedule: readonly DueWrite[]): Promise<void> {
    if (this.#lost) return;
    const busy = this.host.platform.clock.busy();
    try {
      if (await this.#lease.commit(this.#position, this.#lanes[0]!.window, schedule)) return;
      this.#lost = true;
      this.#end('another process reads the shard');
    } finally {
      busy();
    }
  }

  #end(reason: string): void {
    this.stopping.abort(new Error(reason));
    this.#bell.ring();
    for (const lane of this.#lanes) lane.wake();
  }

  #armRenewal(): void {
    const everyMs = this.#lease.renewEveryMs;
    if (everyMs === undefined || this.stopping.signal.aborted) return;
    const { clock } = this.host.platform;
    this.#renewal = clock.at(clock.now() + everyMs, () => {
      const renewed = this.#commits.then(async () => {
        if (this.#lost || (await this.#lease.renew())) return this.#armRenewal();
        this.#lost = true;
        this.#end('another process reads the shard');
      });
      this.#commits = renewed.catch((error: unknown) => {
        this.host.reportFailure(error, 1);
        this.#armRenewal();
      });
    });
  }
}
