import type { Clock } from '../../../kernel/clock/contract.ts';
import type { Store } from '../../../kernel/store/contract.ts';
import { type ApiRecord, type Configuration, decode, frozenKey, readApi } from '../state.ts';
import { type CompiledStage, compileStage } from './compiled.ts';

/** How long an entry is believed without a look at the store: other processes may write there. */
const trustedMs = 1_000;
const maxEntries = 2_000;

/** An API as it was read, its stages compiled when first asked for. */
export interface ApiEntry {
  readonly record: ApiRecord;
  readonly storeVersion: number;
  /** In the monotonic clock's time. */
  checkedAt: number;
  readonly stages: Map<string, CompiledStage | Promise<CompiledStage | undefined>>;
}

/** APIs by id, read once and believed for a second: the way of a request. */
export class Directory {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #entries = new Map<string, ApiEntry>();
  #generation = 0;

  constructor(options: { readonly store: Store; readonly clock: Clock }) {
    this.#store = options.store;
    this.#clock = options.clock;
  }

  /** Without waiting where the entry is fresh. */
  find(apiId: string): ApiEntry | undefined | Promise<ApiEntry | undefined> {
    const entry = this.#entries.get(apiId);
    if (entry !== undefined && this.#clock.elapsed() - entry.checkedAt < trustedMs) return entry;
    return this.#load(apiId);
  }

  /** What a write of this process makes stale. */
  forget(apiId: string): void {
    this.#generation++;
    const entry = this.#entries.get(apiId);
    if (entry !== undefined) entry.checkedAt = Number.NEGATIVE_INFINITY;
  }

  /** The stage ready to serve; undefined where it has nothing deployed, or is not there. */
  stage(entry: ApiEntry, name: string): CompiledStage | undefined | Promise<CompiledStage | undefined> {
    const known = entry.stages.get(name);
    if (known !== undefined) return known;
    const stage = entry.record.stages[name];
    if (stage === undefined) return undefined;
    if (stage.AutoDeploy === true) {
      const compiled = compileStage(entry.record, stage, entry.record, this.#clock.now());
      entry.stages.set(name, compiled);
      return compiled;
    }
    const deploymentId = stage.DeploymentId;
    if (deploymentId === undefined) return undefined;
    const compiling = this.#store.get(frozenKey(entry.record.apiId, deploymentId)).then((frozen) => {
      if (frozen === undefined) return undefined;
      const compiled = compileStage(entry.record, stage, decode<Configuration>(frozen.value), this.#clock.now());
      entry.stages.set(name, compiled);
      return compiled;
    });
    entry.stages.set(name, compiling);
    // A read that failed is tried again by the next one who asks.
    compiling.catch(() => entry.stages.delete(name));
    return compiling;
  }

  async #load(apiId: string): Promise<ApiEntry | undefined> {
    const generation = this.#generation;
    const stored = await readApi(this.#store, apiId);
    const checkedAt = this.#clock.elapsed();
    const before = this.#entries.get(apiId);
    if (stored === undefined) {
      if (generation === this.#generation) this.#entries.delete(apiId);
      return undefined;
    }
    if (before?.storeVersion === stored.version) {
      if (generation === this.#generation) before.checkedAt = checkedAt;
      return before;
    }
    const entry: ApiEntry = { record: stored.record, storeVersion: stored.version, checkedAt, stages: new Map() };
    // What was read before a write of this process must not outlive it.
    if (generation === this.#generation) {
      if (this.#entries.size >= maxEntries) this.#entries.clear();
      this.#entries.set(apiId, entry);
    }
    return entry;
  }
}
