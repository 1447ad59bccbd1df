import type { Clock } from '../../kernel/clock/contract.ts';
import type { Store } from '../../kernel/store/contract.ts';
import {
  type AccountRecord,
  type AliasRecord,
  type FunctionRecord,
  type FunctionVersion,
  type InvokeConfigRecord,
  keys,
  type Place,
  type PolicyRecord,
  read,
  type UrlRecord,
} from './state.ts';

/** How long an entry is believed without a look at the store: other processes may write there. */
const trustedMs = 1_000;

/**
 * A function as it was read, for the warm path. What belongs to it is read when first asked for and kept: any change of it
 * changes the function's own record, and the entry is dropped then.
 */
export interface FunctionEntry {
  readonly place: Place;
  readonly key: string;
  readonly record: FunctionRecord;
  readonly storeVersion: number;
  /** In the monotonic clock's time. */
  checkedAt: number;
  readonly versions: Map<string, Promise<FunctionVersion | undefined>>;
  readonly aliases: Map<string, Promise<AliasRecord | undefined>>;
  readonly policies: Map<string, Promise<PolicyRecord | undefined>>;
  readonly invokeConfigs: Map<string, Promise<InvokeConfigRecord | undefined>>;
  readonly urls: Map<string, Promise<UrlRecord | undefined>>;
  /** Answers of the resource policy that were worked out already. */
  readonly permitted: Map<string, boolean>;
}

export interface DirectoryOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** $LATEST as it ran until now, and the function as it is now; undefined: it is gone. */
  readonly onReplaced: (before: FunctionVersion, now: FunctionEntry | undefined) => void;
}

/** Functions by name, read once and believed for a second. */
export class Directory {
  readonly #options: DirectoryOptions;
  readonly #entries = new Map<string, FunctionEntry>();
  readonly #accounts = new Map<string, { readonly record: AccountRecord; readonly readAt: number }>();
  #generation = 0;

  constructor(options: DirectoryOptions) {
    this.#options = options;
  }

  /** Without waiting where the entry is fresh. */
  find(place: Place, name: string): FunctionEntry | undefined | Promise<FunctionEntry | undefined> {
    const key = entryKey(place, name);
    const entry = this.#entries.get(key);
    if (entry !== undefined && this.#options.clock.elapsed() - entry.checkedAt < trustedMs) return entry;
    return this.#load(place, name, key);
  }

  /** What a write in this process makes stale. */
  forget(place: Place, name: string): void {
    this.#generation++;
    const entry = this.#entries.get(entryKey(place, name));
    if (entry !== undefined) entry.checkedAt = Number.NEGATIVE_INFINITY;
    this.#accounts.delete(accountKey(place));
  }

  /** Everything may have changed. */
  forgetAll(): void {
    this.#generation++;
    for (const entry of this.#entries.values()) entry.checkedAt = Number.NEGATIVE_INFINITY;
    this.#accounts.clear();
  }

  version(entry: FunctionEntry, version: string): Promise<FunctionVersion | undefined> {
    return this.#child(entry.versions, version, () => keys.version(entry.place, entry.record.name, version));
  }

  alias(entry: FunctionEntry, alias: string): Promise<AliasRecord | undefined> {
    return this.#child(entry.aliases, alias, () => keys.alias(entry.place, entry.record.name, alias));
  }

  policy(entry: FunctionEntry, qualifier: string): Promise<PolicyRecord | undefined> {
    return this.#child(entry.policies, qualifier, () => keys.policy(entry.place, entry.record.name, qualifier));
  }

  invokeConfig(entry: FunctionEntry, qualifier: string): Promise<InvokeConfigRecord | undefined> {
    return this.#child(entry.invokeConfigs, qualifier, () =>
      keys.invokeConfig(entry.place, entry.record.name, qualifier),
    );
  }

  url(entry: FunctionEntry, qualifier: string): Promise<UrlRecord | undefined> {
    return this.#child(entry.urls, qualifier, () => keys.url(entry.place, entry.record.name, qualifier));
  }

  account(place: Place): AccountRecord | Promise<AccountRecord> {
    const key = accountKey(place);
    const known = this.#accounts.get(key);
    if (known !== undefined && this.#options.clock.elapsed() - known.readAt < trustedMs) return known.record;
    return this.#loadAccount(place, key);
  }

  async #load(place: Place, name: string, key: string): Promise<FunctionEntry | undefined> {
    const generation = this.#generation;
    const stored = await read<FunctionRecord>(this.#options.store, keys.function(place, name));
    const before = this.#entries.get(key);
    const checkedAt = this.#options.clock.elapsed();
    if (stored === undefined) {
      if (before !== undefined && generation === this.#generation) this.#drop(before);
      return undefined;
    }
    if (before?.storeVersion === stored.version) {
      if (generation === this.#generation) before.checkedAt = checkedAt;
      return before;
    }
    const entry: FunctionEntry = {
      place,
      key,
      record: stored.record,
      storeVersion: stored.version,
      checkedAt,
      versions: new Map(),
      aliases: new Map(),
      policies: new Map(),
      invokeConfigs: new Map(),
      urls: new Map(),
      permitted: new Map(),
    };
    // What was read before a write of this process must not outlive it.
    if (generation !== this.#generation) return entry;
    this.#entries.set(key, entry);
    const old = before === undefined ? undefined : servedLatest(before.record);
    if (old !== undefined && old.environmentId !== servedLatest(entry.record).environmentId) {
      this.#options.onReplaced(old, entry);
    }
    return entry;
  }

  #drop(entry: FunctionEntry): void {
    this.#entries.delete(entry.key);
    this.#options.onReplaced(servedLatest(entry.record), undefined);
  }

  async #loadAccount(place: Place, key: string): Promise<AccountRecord> {
    const generation = this.#generation;
    const stored = await read<AccountRecord>(this.#options.store, keys.account(place));
    const record = stored?.record ?? { reserved: {} };
    if (generation === this.#generation) this.#accounts.set(key, { record, readAt: this.#options.clock.elapsed() });
    return record;
  }

  #child<T>(known: Map<string, Promise<T | undefined>>, name: string, key: () => Buffer): Promise<T | undefined> {
    let child = known.get(name);
    if (child === undefined) {
      child = read<T>(this.#options.store, key()).then((stored) => stored?.record);
      known.set(name, child);
      // A read that failed is tried again by the next one who asks.
      child.catch(() => known.delete(name));
    }
    return child;
  }
}

/** $LATEST as invocations run it: during an update, as it was before. */
export function servedLatest(record: FunctionRecord): FunctionVersion {
  return record.serving ?? record.latest;
}

function entryKey(place: Place, name: string): string {
  return `${place.account} ${place.region} ${name}`;
}

function accountKey(place: Place): string {
  return `${place.account} ${place.region}`;
}
