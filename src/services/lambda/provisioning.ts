import type { Timer } from '../../kernel/clock/contract.ts';
import { decodeKey, prefixRange } from '../../kernel/store/keys.ts';
import type { InitReport } from '../../platform/compute.ts';
import type { Platform } from '../../platform/service.ts';
import type { ProvisionedConcurrencyStatusEnum } from '../../wire/types/lambda.ts';
import type { Directory } from './directory.ts';
import type { Environment, EnvironmentSource, Environments } from './environments.ts';
import { provisionedShares } from './rules/concurrency.ts';
import { isVersionNumber } from './rules/names.ts';
import { type AccountRecord, decode, keys, type Place } from './state.ts';

/** Environments that are being started and initialised at once, of all functions together: more would only share the machine. */
const mostStarting = 8;
/** How often those that wait are looked after. */
const watchMs = 2_000;
/** How long after a failed initialisation it is tried again. */
const retryMs = 60_000;

export interface ProvisionedStatus {
  readonly status: ProvisionedConcurrencyStatusEnum;
  readonly reason?: string;
  /** Environments that are there, initialised or not. */
  readonly allocated: number;
  /** Initialised ones, in use or not. */
  readonly available: number;
}

/** The environments of one version that are started ahead. */
interface Allocation {
  readonly source: EnvironmentSource;
  target: number;
  starting: number;
  readonly environments: Set<Environment>;
  readonly available: Set<Environment>;
  failure: { readonly reason: string; readonly retryAtMs: number } | undefined;
}

/** Provisioned concurrency: as many environments as are configured, started ahead, kept, and replaced when they end. */
export class Provisioning {
  readonly #platform: Platform;
  readonly #directory: Directory;
  readonly #environments: Environments;
  /** By function, then by version. */
  readonly #allocations = new Map<string, Map<string, Allocation>>();
  readonly #refreshes = new Map<string, Promise<void>>();
  readonly #starts = new Set<Promise<void>>();
  #initialising = 0;
  #watch: Timer | undefined;
  #closed = false;

  constructor(platform: Platform, directory: Directory, environments: Environments) {
    this.#platform = platform;
    this.#directory = directory;
    this.#environments = environments;
  }

  /** Starts what is configured; goes on behind. */
  start(): void {
    this.#track(this.#startAll());
  }

  /** Brings the environments of a function to what is configured now; what is missing is started behind. */
  refresh(place: Place, name: string): Promise<void> {
    const key = functionKey(place, name);
    const before = this.#refreshes.get(key) ?? Promise.resolve();
    const refresh = before
      .catch(() => {})
      .then(() => this.#refresh(place, name, key))
      .finally(() => {
        if (this.#refreshes.get(key) === refresh) this.#refreshes.delete(key);
      });
    this.#refreshes.set(key, refresh);
    return refresh;
  }

  /** How far the allocation of a configuration is; `versions` says how much of it each version gets. */
  status(place: Place, name: string, versions: ReadonlyMap<string, number>): ProvisionedStatus {
    let requested = 0;
    let allocated = 0;
    let available = 0;
    let reason: string | undefined;
    for (const [version, share] of versions) {
      const allocation = this.#allocations.get(functionKey(place, name))?.get(version);
      requested += share;
      if (allocation === undefined) continue;
      this.#environments.sweepReady(allocation.source.version.environmentId);
      allocated += Math.min(share, allocation.environments.size);
      available += Math.min(share, allocation.available.size);
      reason ??= allocation.failure?.reason;
    }
    if (reason !== undefined) return { status: 'FAILED', reason, allocated: 0, available: 0 };
    return { status: available >= requested ? 'READY' : 'IN_PROGRESS', allocated, available };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watch?.cancel();
    await Promise.allSettled([...this.#starts, ...this.#refreshes.values()]);
  }

  async #startAll(): Promise<void> {
    const accounts = await this.#platform.store.list(prefixRange(keys.allAccounts));
    for (const { key, value } of accounts) {
      const [, , account, region] = decodeKey(key) as string[];
      for (const name of Object.keys(decode<AccountRecord>(value).provisioned ?? {}))
        await this.refresh({ account: account!, region: region! }, name);
    }
  }

  async #refresh(place: Place, name: string, key: string): Promise<void> {
    const wanted = await this.#wanted(place, name);
    const present = this.#allocations.get(key) ?? new Map<string, Allocation>();
    for (const [version, allocation] of present) {
      const now = wanted.get(version);
      const same = now?.source.version.environmentId === allocation.source.version.environmentId;
      allocation.target = same ? now!.target : 0;
      if (same) allocation.failure = undefined;
      else present.delete(version);
      this.#shrink(allocation);
    }
    for (const [version, { source, target }] of wanted) {
      if (present.has(version)) continue;
      present.set(version, {
        source,
        target,
        starting: 0,
        environments: new Set(),
        available: new Set(),
        failure: undefined,
      });
    }
    if (present.size === 0) this.#allocations.delete(key);
    else this.#allocations.set(key, present);
    this.#fill();
  }

  async #wanted(
    place: Place,
    name: string,
  ): Promise<ReadonlyMap<string, { readonly source: EnvironmentSource; readonly target: number }>> {
    const wanted = new Map<string, { source: EnvironmentSource; target: number }>();
    const entry = await this.#directory.find(place, name);
    if (entry === undefined) return wanted;
    for (const [qualifier, { requested }] of Object.entries(entry.record.provisioned ?? {})) {
      const alias = isVersionNumber(qualifier) ? undefined : await this.#directory.alias(entry, qualifier);
      const shares = alias === undefined ? new Map([[qualifier, requested]]) : provisionedShares(alias, requested);
      for (const [number, share] of shares) {
        const version = isVersionNumber(number) ? await this.#directory.version(entry, number) : undefined;
        if (version === undefined) continue;
        const target = (wanted.get(number)?.target ?? 0) + share;
        wanted.set(number, { source: { place, functionName: name, version }, target });
      }
    }
    return wanted;
  }

  #shrink(allocation: Allocation): void {
    while (allocation.environments.size > allocation.target) {
      const ended = this.#environments.endReady(allocation.source.version.environmentId);
      // Those in use end after their invocation.
      if (ended === undefined) return;
      forget(allocation, ended);
    }
  }

  /** Starts what is missing, as much at once as the machine should take. */
  #fill(): void {
    if (this.#closed) return;
    for (const versions of this.#allocations.values())
      for (const allocation of versions.values())
        while (this.#initialising < mostStarting && isShort(allocation)) this.#track(this.#startOne(allocation));
    if (this.#allocations.size > 0) this.#armWatch();
  }

  async #startOne(allocation: Allocation): Promise<void> {
    const { clock } = this.#platform;
    const { environments } = allocation;
    const endBusy = clock.busy();
    let over = false;
    const endStart = (): void => {
      if (over) return;
      over = true;
      endBusy();
      allocation.starting--;
      this.#initialising--;
    };
    allocation.starting++;
    this.#initialising++;
    try {
      const environment = await this.#environments.startAhead(allocation.source, {
        initialised: (started, report) => {
          if (over) return;
          endStart();
          this.#initialised(allocation, started, report);
        },
        keeps: (used) => environments.has(used) && environments.size <= allocation.target,
        gone: (ended) => {
          forget(allocation, ended);
          this.#fill();
        },
      });
      if (this.#closed && !over) {
        endStart();
        this.#environments.endAhead(environment);
      }
    } catch (error) {
      endStart();
      if (!this.#closed) this.#failed(allocation, error instanceof Error ? error.message : String(error));
    }
  }

  #initialised(allocation: Allocation, environment: Environment, report: InitReport): void {
    if (report.status !== 'success') {
      this.#environments.endAhead(environment);
      // AWS's word for it, as public issues quote it.
      this.#failed(allocation, 'FUNCTION_ERROR_INIT_FAILURE');
    } else if (this.#closed || allocation.environments.size >= allocation.target) {
      this.#environments.endAhead(environment);
    } else if (this.#environments.makeReady(environment)) {
      allocation.environments.add(environment);
      allocation.available.add(environment);
    }
    this.#fill();
  }

  #failed(allocation: Allocation, reason: string): void {
    allocation.failure = { reason, retryAtMs: this.#platform.clock.now() + retryMs };
  }

  /** Looks after those that wait: who has ended is replaced, what failed is tried again. */
  #armWatch(): void {
    const { clock } = this.#platform;
    this.#watch ??= clock.at(clock.now() + watchMs, () => {
      this.#watch = undefined;
      for (const versions of this.#allocations.values())
        for (const allocation of versions.values()) {
          this.#environments.sweepReady(allocation.source.version.environmentId);
          if (allocation.failure !== undefined && allocation.failure.retryAtMs <= clock.now())
            allocation.failure = undefined;
        }
      this.#fill();
    });
  }

  #track(work: Promise<void>): void {
    const tracked: Promise<void> = work
      .catch((error: unknown) => {
        const problem = error instanceof Error ? error.message : String(error);
        this.#platform.log.error('provisioned concurrency could not be started', { problem });
      })
      .finally(() => this.#starts.delete(tracked));
    this.#starts.add(tracked);
  }
}

function isShort({ environments, starting, target, failure }: Allocation): boolean {
  return failure === undefined && environments.size + starting < target;
}

function forget(allocation: Allocation, environment: Environment): void {
  allocation.environments.delete(environment);
  allocation.available.delete(environment);
}

function functionKey(place: Place, name: string): string {
  return `${place.account} ${place.region} ${name}`;
}
