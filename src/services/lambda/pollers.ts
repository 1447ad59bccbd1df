import type { Timer } from '../../kernel/clock/contract.ts';
import type { Platform } from '../../platform/service.ts';
import type { Directory } from './directory.ts';
import { sendDiscardedBatches } from './discarded-batches.ts';
import type { Invoker } from './invoker.ts';
import { SqsPoller } from './sqs-poller.ts';
import { keys, type MappingRecord, readAll } from './state.ts';
import { findShards, StreamPoller } from './stream-poller.ts';

/** What works on one event source mapping. */
export interface Poller {
  /** Takes new settings over; the batches under way keep theirs. */
  update(mapping: MappingRecord): void;
  /** Receives nothing more; resolves when the batches under way are over. */
  stop(): Promise<void>;
}

/** How often the mappings are read although no hint came, where other processes write to the same store. */
const refreshMs = 5_000;

/** One poller for each mapping that is enabled, as the store has them: also after a restart. */
export class Pollers {
  readonly #platform: Platform;
  readonly #directory: Directory;
  readonly #invoker: Invoker;
  readonly #running = new Map<string, Poller>();
  readonly #stopping = new Map<string, Promise<void>>();
  #unwatch: (() => void) | undefined;
  #timer: Timer | undefined;
  #refreshing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(platform: Platform, directory: Directory, invoker: Invoker) {
    this.#platform = platform;
    this.#directory = directory;
    this.#invoker = invoker;
  }

  async start(): Promise<void> {
    const { store } = this.#platform;
    sendDiscardedBatches(this.#platform);
    this.#unwatch = store.watch(keys.allMappings, () => void this.refresh());
    await this.refresh();
    if (store.shared) this.#armRefresh();
  }

  /** Starts and stops pollers so that they are what the store says. */
  refresh(): Promise<void> {
    this.#refreshing = this.#refreshing.then(() => this.#readMappings()).catch((error) => this.#reportFailure(error));
    return this.#refreshing;
  }

  /** Fixes where a stream's mapping begins, before it counts as enabled: what comes later is not missed. */
  async prepare(mapping: MappingRecord): Promise<void> {
    if (mapping.stream === undefined) return;
    try {
      await findShards(this.#platform, this.#directory, mapping);
    } catch (error) {
      // The poller tries again.
      this.#reportFailure(error, 'the shards of an event source mapping could not be read');
    }
  }

  /** Ends the poller of a mapping; resolves when its batches are over. */
  async drain(uuid: string): Promise<void> {
    this.#stop(uuid);
    await this.#stopping.get(uuid);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#unwatch?.();
    this.#timer?.cancel();
    await this.#refreshing;
    for (const uuid of [...this.#running.keys()]) this.#stop(uuid);
    await Promise.all(this.#stopping.values());
  }

  async #readMappings(): Promise<void> {
    if (this.#closed) return;
    const mappings = await readAll<MappingRecord>(this.#platform.store, keys.allMappings);
    if (this.#closed) return;
    const wanted = new Map(
      mappings.filter(({ record }) => polls(record)).map(({ record }) => [record.uuid, record] as const),
    );
    for (const uuid of [...this.#running.keys()]) if (!wanted.has(uuid)) this.#stop(uuid);
    for (const [uuid, record] of wanted) {
      const poller = this.#running.get(uuid);
      if (poller !== undefined) poller.update(record);
      else if (!this.#stopping.has(uuid)) this.#running.set(uuid, this.#create(record));
    }
  }

  #create(mapping: MappingRecord): Poller {
    const poller =
      mapping.stream === undefined
        ? new SqsPoller(this.#platform, this.#directory, this.#invoker, mapping)
        : new StreamPoller(this.#platform, this.#directory, this.#invoker, mapping);
    poller.start();
    return poller;
  }

  #stop(uuid: string): void {
    const poller = this.#running.get(uuid);
    if (poller === undefined) return;
    this.#running.delete(uuid);
    const stopped = poller.stop().finally(() => {
      this.#stopping.delete(uuid);
      // It may have been enabled again meanwhile.
      void this.refresh();
    });
    this.#stopping.set(uuid, stopped);
  }

  #armRefresh(): void {
    const { clock } = this.#platform;
    this.#timer = clock.at(clock.now() + refreshMs, () => {
      void this.refresh();
      if (!this.#closed) this.#armRefresh();
    });
  }

  #reportFailure(error: unknown, what = 'the event source mappings could not be read'): void {
    if (this.#closed) return;
    this.#platform.log.error(what, { problem: String(error) });
  }
}

function polls(mapping: MappingRecord): boolean {
  return mapping.enabled && (mapping.state === 'Enabled' || mapping.state === 'Updating');
}
