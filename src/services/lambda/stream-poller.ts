import { parseArn } from '../../platform/arn.ts';
import type { Caller } from '../../platform/context.ts';
import type { Platform } from '../../platform/service.ts';
import type { StreamReader } from '../../platform/streams.ts';
import { AwsError } from '../../wire/errors.ts';
import { Bell } from './bell.ts';
import type { Directory } from './directory.ts';
import type { Invoker } from './invoker.ts';
import { roleCaller } from './principals.ts';
import { patternsOf } from './rules/event-pattern.ts';
import { type ShardHost, ShardWorker } from './shard-worker.ts';
import { encode, keys, type MappingRecord, type StreamSettings } from './state.ts';
import { claimShards, discoverShards } from './stream-shards.ts';

/** Shards that have come are looked for after one has ended, and this often. */
const discoverEveryMs = 60_000;
/** Where other processes share the store: how often the shards that they have left are looked for. */
const sharedClaimEveryMs = 5_000;
const firstPauseMs = 1_000;
const longestPauseMs = 60_000;

/** Polls the shards of one stream for one function: finds them, claims them, and has a worker read each. */
export class StreamPoller {
  readonly #platform: Platform;
  readonly #directory: Directory;
  readonly #invoker: Invoker;
  #mapping: MappingRecord;
  readonly #workers = new Set<ShardWorker>();
  readonly #bell = new Bell();
  #stopped = false;
  #unwatch: (() => void) | undefined;
  #loop: Promise<void> = Promise.resolve();
  #restarts: Promise<void> = Promise.resolve();
  #roleArn = '';
  #lastResult: string | undefined;
  #notes: Promise<unknown> = Promise.resolve();

  constructor(platform: Platform, directory: Directory, invoker: Invoker, mapping: MappingRecord) {
    this.#platform = platform;
    this.#directory = directory;
    this.#invoker = invoker;
    this.#mapping = mapping;
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** New settings hold from the next batch on: the workers begin anew where they stand. */
  update(mapping: MappingRecord): void {
    const before = this.#mapping;
    this.#mapping = mapping;
    if (settingsText(before) === settingsText(mapping)) return;
    this.#restarts = this.#restarts.then(async () => {
      await Promise.all([...this.#workers].map((worker) => worker.stop()));
      this.#bell.ring();
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unwatch?.();
    this.#bell.ring();
    await this.#loop;
    await this.#restarts;
    await Promise.all([...this.#workers].map((worker) => worker.stop()));
    await this.#notes;
  }

  async #run(): Promise<void> {
    const { clock, store } = this.#platform;
    let first = true;
    for (let failures = 0; !this.#stopped; ) {
      const busy = clock.busy();
      try {
        first = await this.#workOn(first);
        failures = 0;
      } catch (error) {
        failures++;
        this.#reportFailure(error, failures);
      } finally {
        busy();
      }
      const everyMs = store.shared ? sharedClaimEveryMs : discoverEveryMs;
      const pauseMs =
        failures === 0 ? everyMs : Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(failures - 1, 10));
      await this.#bell.wait(clock, clock.now() + pauseMs);
    }
  }

  /** Returns whether the shards that this process held before it started are still to be claimed. */
  async #workOn(first: boolean): Promise<boolean> {
    const mapping = this.#mapping;
    const reader = readerOf(this.#platform, mapping);
    await this.#caller();
    this.#unwatch ??= reader.watch(mapping.sourceArn, () => {
      for (const worker of this.#workers) worker.wake();
    });
    await findShards(this.#platform, this.#directory, mapping);
    const leases = await claimShards(this.#platform, mapping, mapping.uuid, first);
    // It may have been changed meanwhile.
    const host = this.#host(this.#mapping, this.#mapping.stream!, reader);
    for (const lease of leases) {
      const worker = new ShardWorker(host, lease);
      this.#workers.add(worker);
      worker.start();
    }
    return false;
  }

  #host(mapping: MappingRecord, settings: StreamSettings, reader: StreamReader): ShardHost {
    return {
      platform: this.#platform,
      invoker: this.#invoker,
      reader,
      mapping,
      settings,
      filters: patternsOf(mapping.filters),
      caller: () => this.#caller(),
      roleArn: () => this.#roleArn,
      note: (result) => this.#note(result),
      reportFailure: (error, failures) => this.#reportFailure(error, failures),
      ended: (worker) => {
        this.#workers.delete(worker);
        // Its children may be ready, or its place free again.
        this.#bell.ring();
      },
    };
  }

  async #caller(): Promise<Caller> {
    const caller = await callerOf(this.#directory, this.#mapping);
    this.#roleArn = caller.principal.roleArn!;
    return caller;
  }

  /** Written when it changes. */
  #note(result: string): void {
    if (this.#lastResult === result) return;
    this.#lastResult = result;
    const busy = this.#platform.clock.busy();
    const key = keys.mappingResult(this.#mapping, this.#mapping.uuid);
    this.#notes = this.#notes
      .then(() => this.#platform.store.commit({ set: [{ key, value: encode({ result }) }] }))
      .catch((error: unknown) => this.#reportFailure(error, 1))
      .finally(busy);
  }

  /** Said at the first failure and then ever more rarely: a stream that is gone stays gone. */
  #reportFailure(error: unknown, failures: number): void {
    if (this.#stopped || (failures & (failures - 1)) !== 0) return;
    this.#platform.log.warn('an event source mapping met a problem', {
      mapping: this.#mapping.uuid,
      stream: this.#mapping.sourceArn,
      function: this.#mapping.functionArn,
      problem: error instanceof AwsError ? `${error.code}: ${error.message}` : String(error),
    });
  }
}

/** Writes down the shards of a mapping's stream that have come. Throws AwsError. */
export async function findShards(platform: Platform, directory: Directory, mapping: MappingRecord): Promise<void> {
  const caller = await callerOf(directory, mapping);
  const found = await discoverShards(platform, readerOf(platform, mapping), mapping, mapping.stream!, caller);
  if (!found) throw new AwsError('ResourceNotFoundException', `Stream not found: ${mapping.sourceArn}`);
}

/** The function's role, read with the function: it may change. */
async function callerOf(directory: Directory, mapping: MappingRecord): Promise<Caller> {
  const entry = await directory.find(mapping, mapping.functionName);
  if (entry === undefined)
    throw new AwsError(
      'ResourceNotFoundException',
      `the function ${mapping.functionName} of the mapping does not exist`,
    );
  return roleCaller(entry.record.latest.role, 'lambda-event-source', mapping);
}

function readerOf({ streams }: Platform, { sourceArn }: MappingRecord): StreamReader {
  const reader = streams.reader(parseArn(sourceArn)!.service);
  if (reader === undefined) throw new AwsError('NotImplemented', `nothing here reads ${sourceArn}`);
  return reader;
}

function settingsText(mapping: MappingRecord): string {
  const { state: _, enabled: __, lastModifiedMs: ___, tags: ____, ...settings } = mapping;
  return JSON.stringify(settings);
}
