import { type Job, scheduleJob } from '../../kernel/agenda/agenda.ts';
import type { Commit, DueWrite } from '../../kernel/store/contract.ts';
import type { Platform } from '../../platform/service.ts';
import type { Directory } from './directory.ts';
import type { Pollers } from './pollers.ts';
import {
  decode,
  encode,
  type FunctionRecord,
  type FunctionVersion,
  keys,
  type MappingRecord,
  type Place,
  read,
  readAll,
  unchanged,
} from './state.ts';
import { forgottenShards } from './stream-shards.ts';
import { transact } from './transaction.ts';

const functionJobKind = 'lambda.function';
const mappingJobKind = 'lambda.mapping';
const leaseMs = 30_000;

interface FunctionJob extends Place {
  readonly name: string;
}

interface MappingJob extends Place {
  readonly uuid: string;
}

/** Brings functions from Pending to Active and updates to their end, and mappings from each passing state to the lasting one. */
export class Lifecycle {
  readonly #platform: Platform;
  readonly #directory: Directory;
  readonly #pollers: Pollers;
  readonly #noted = new Set<string>();

  constructor(platform: Platform, directory: Directory, pollers: Pollers) {
    this.#platform = platform;
    this.#directory = directory;
    this.#pollers = pollers;
  }

  start(): void {
    const { agenda } = this.#platform;
    agenda.handle(functionJobKind, { concurrency: 8, leaseMs, run: (job) => this.#settleFunction(job) });
    agenda.handle(mappingJobKind, { concurrency: 64, leaseMs, run: (job) => this.#settleMapping(job) });
  }

  /** To be part of the commit that makes a function Pending or its update InProgress. */
  functionJob(place: Place, name: string): DueWrite {
    const job: FunctionJob = { account: place.account, region: place.region, name };
    return scheduleJob(functionJobKind, jobKey(place, name), this.#platform.clock.now(), encode(job));
  }

  /** To be part of the commit that puts a mapping into a passing state. */
  mappingJob(place: Place, uuid: string): DueWrite {
    const job: MappingJob = { account: place.account, region: place.region, uuid };
    return scheduleJob(mappingJobKind, jobKey(place, uuid), this.#platform.clock.now(), encode(job));
  }

  async #settleFunction(job: Job): Promise<void> {
    const { store, random } = this.#platform;
    const place = decode<FunctionJob>(job.payload);
    await transact(store, async () => {
      const settle = [job.done()];
      const stored = await read<FunctionRecord>(store, keys.function(place, place.name));
      if (stored === undefined) return { commit: { settle }, result: undefined };
      const { latest, serving, ...rest } = stored.record;
      const problem = await this.#problemOf(latest);
      // A version with SnapStart is published while nothing of $LATEST changes.
      const changing = latest.state === 'Pending' || latest.update === 'InProgress';
      const record: FunctionRecord = {
        ...rest,
        latest: changing ? settledVersion(latest, problem, random.uuid()) : latest,
        // A function whose update failed goes on as it was.
        ...(problem !== undefined && serving !== undefined ? { serving } : {}),
      };
      const pending = await this.#pendingVersions(place, place.name);
      const commit: Commit = {
        checks: [unchanged(stored.key, stored)],
        set: [
          { key: stored.key, value: encode(record) },
          ...pending.map(({ key, record: version }) => ({
            key,
            value: encode(settledVersion(version, problem, version.revisionId)),
          })),
        ],
        settle,
      };
      return { commit, result: undefined };
    });
    this.#directory.forget(place, place.name);
    // Reads the function anew, which ends the environments of what was replaced.
    await this.#directory.find(place, place.name);
  }

  /** Why a version cannot run here; undefined: it can. */
  async #problemOf(version: FunctionVersion): Promise<string | undefined> {
    const { compute, log, blobs } = this.#platform;
    if (!(await blobs.has(version.codeDigest))) return 'The code of the function is missing from the blob store.';
    if (version.runtime === undefined) return undefined;
    const support = await compute.supports(version.runtime);
    if (!support.ok) return support.reason;
    if (support.note !== undefined && !this.#noted.has(support.note)) {
      this.#noted.add(support.note);
      log.warn(support.note, { runtime: version.runtime });
    }
    const lacking = await compute.provide(version.runtime, [
      version.codeDigest,
      ...(version.layers ?? []).map(({ digest }) => digest),
    ]);
    if (lacking !== undefined) log.warn(lacking, { runtime: version.runtime });
    return undefined;
  }

  async #pendingVersions(place: Place, name: string): ReturnType<typeof readAll<FunctionVersion>> {
    const versions = await readAll<FunctionVersion>(this.#platform.store, keys.versions(place, name));
    return versions.filter(({ record }) => record.state === 'Pending');
  }

  async #settleMapping(job: Job): Promise<void> {
    const { store, clock } = this.#platform;
    const place = decode<MappingJob>(job.payload);
    const key = keys.mapping(place, place.uuid);
    await transact(store, async () => {
      const settle = [job.done()];
      const stored = await read<MappingRecord>(store, key);
      if (stored === undefined) return { commit: { settle }, result: undefined };
      const { record } = stored;
      const checks = [unchanged(key, stored)];
      // Batches under way come to their end; nothing more is received.
      if (record.state === 'Deleting' || !record.enabled) await this.#pollers.drain(record.uuid);
      if (record.state === 'Deleting') {
        const gone = [key, keys.mappingPair(place, record.sourceArn, record.functionArn)];
        const shards = await forgottenShards(store, place, record.uuid);
        const commit = { checks, delete: [...gone, ...shards.delete], settle: [...settle, ...shards.settle] };
        return { commit, result: undefined };
      }
      if (record.enabled) await this.#pollers.prepare(record);
      const state = record.enabled ? 'Enabled' : 'Disabled';
      const next: MappingRecord = { ...record, state, lastModifiedMs: clock.now() };
      return { commit: { checks, set: [{ key, value: encode(next) }], settle }, result: undefined };
    });
    await this.#pollers.refresh();
  }
}

function settledVersion(version: FunctionVersion, problem: string | undefined, revisionId: string): FunctionVersion {
  const { stateReason: _, stateReasonCode: __, updateReason: ___, ...rest } = version;
  if (problem === undefined) return { ...rest, revisionId, state: 'Active', update: 'Successful' };
  if (version.state === 'Active') return { ...rest, revisionId, update: 'Failed', updateReason: problem };
  return {
    ...rest,
    revisionId,
    state: 'Failed',
    stateReason: problem,
    stateReasonCode: version.image === undefined ? 'InvalidRuntime' : 'InvalidImage',
    update: 'Successful',
  };
}

function jobKey(place: Place, name: string): string {
  return `${place.account}/${place.region}/${name}`;
}
