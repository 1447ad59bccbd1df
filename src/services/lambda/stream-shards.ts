import type { Commit, DueWrite, Settlement, Store } from '../../kernel/store/contract.ts';
import type { Caller } from '../../platform/context.ts';
import type { Platform } from '../../platform/service.ts';
import type { StreamPosition, StreamReader, StreamShard } from '../../platform/streams.ts';
import type { OpenWindow } from './rules/tumbling-windows.ts';
import {
  decode,
  encode,
  keys,
  type MappingRecord,
  type Place,
  readAll,
  type ShardRecord,
  type Stored,
  type StreamSettings,
} from './state.ts';

/**
 * Which shards a mapping reads and how far it has come, in the store. A shard that is open is a due entry: whoever has claimed it reads the
 * shard, and each of its commits is fenced by the claim's token, so that of two processes only one moves the shard on.
 */
export interface ShardProgress {
  /** Everything before is over. */
  readonly position: StreamPosition;
  readonly window?: StoredWindow;
}

/** A state that is long stands in the blob store. */
type StoredWindow = Omit<OpenWindow, 'state'> & ({ readonly state: string } | { readonly stateBlob: string });

/** How long a process that has died keeps its shards from the others. */
const leaseMs = 30_000;
/** Where no other process can come, a lease has no end, and what a process that has died held is taken over at once. */
const endlessMs = Date.UTC(9999, 0);
const mostClaims = 1_000;
const inlineStateBytes = 64 * 1024;

/**
 * Writes down the shards that have come, each as soon as its parents are over. The first time this fixes where the mapping begins. Returns
 * false where there is no such stream. Throws AwsError.
 */
export async function discoverShards(
  { store, clock }: Platform,
  reader: StreamReader,
  mapping: MappingRecord,
  settings: StreamSettings,
  caller: Caller,
): Promise<boolean> {
  const shards = await reader.shards(mapping.sourceArn, caller);
  if (shards === undefined) return false;
  const stored = await readAll<ShardRecord>(store, keys.mappingShards(mapping, mapping.uuid));
  const known = new Map(stored.map((one) => [one.record.shardId, one]));
  const first = known.size === 0;
  const found: NewShard[] = [];
  for (const shard of shards) {
    if (known.has(shard.shardId)) continue;
    const latest = first && settings.startingPosition === 'LATEST';
    if (latest && shard.closed) found.push({ shardId: shard.shardId });
    else if (latest) {
      const { next } = await reader.read(mapping.sourceArn, shard.shardId, { at: 'LATEST' }, 1, caller);
      found.push({ shardId: shard.shardId, position: next });
    } else if (parentsAreOver(shard, shards, known)) {
      found.push({ shardId: shard.shardId, position: startOf(settings) });
    }
  }
  if (found.length > 0) await store.commit(commitOf(mapping, found, clock.now()));
  await forgetExpired(store, shards, stored);
  return true;
}

interface NewShard {
  readonly shardId: string;
  /** Left out: it is not read at all. */
  readonly position?: StreamPosition;
}

/** One that another process has written down meanwhile fails the commit, and nothing is lost: it has written the others, too. */
function commitOf(mapping: MappingRecord, found: readonly NewShard[], nowMs: number): Commit {
  const partition = keys.shardLeases(mapping, mapping.uuid);
  const schedule: DueWrite[] = found.flatMap(({ shardId, position }) =>
    position === undefined
      ? []
      : [{ partition, id: Buffer.from(shardId), dueAtMs: nowMs, value: encode({ position } satisfies ShardProgress) }],
  );
  const written = found.map(({ shardId, position }) => ({
    key: keys.mappingShard(mapping, mapping.uuid, shardId),
    value: shardValue(shardId, position === undefined ? 'done' : 'open'),
  }));
  return { checks: written.map(({ key }) => ({ key, version: null })), set: written, schedule };
}

function shardValue(shardId: string, status: ShardRecord['status']): Buffer {
  return encode({ shardId, status } satisfies ShardRecord);
}

function startOf(settings: StreamSettings): StreamPosition {
  if (settings.startingPosition === 'AT_TIMESTAMP')
    return { at: 'TIMESTAMP', epochMs: settings.startingTimestampMs ?? 0 };
  // After LATEST, too: what a later shard holds is new.
  return { at: 'TRIM_HORIZON' };
}

function parentsAreOver(
  shard: StreamShard,
  shards: readonly StreamShard[],
  known: ReadonlyMap<string, Stored<ShardRecord>>,
): boolean {
  return shard.parentShardIds.every((parent) => {
    const status = known.get(parent)?.record.status;
    return status === 'done' || (status === undefined && !shards.some(({ shardId }) => shardId === parent));
  });
}

/** A shard that is over and that the stream no longer names; one stays, so that the beginning is not taken for the first again. */
async function forgetExpired(
  store: Store,
  shards: readonly StreamShard[],
  stored: readonly Stored<ShardRecord>[],
): Promise<void> {
  const listed = new Set(shards.map(({ shardId }) => shardId));
  const expired = stored.filter(({ record }) => record.status === 'done' && !listed.has(record.shardId));
  const gone = expired.length === stored.length ? expired.slice(1) : expired;
  if (gone.length > 0) await store.commit({ delete: gone.map(({ key }) => key) });
}

/** What a mapping that is deleted leaves behind: to be part of the commit that deletes it. */
export async function forgottenShards(
  store: Store,
  place: Place,
  uuid: string,
): Promise<{ readonly delete: readonly Buffer[]; readonly settle: readonly Settlement[] }> {
  const partition = keys.shardLeases(place, uuid);
  const shards = await readAll(store, keys.mappingShards(place, uuid));
  const leases = await store.listDue(partition);
  return {
    delete: [keys.mappingResult(place, uuid), ...shards.map(({ key }) => key)],
    settle: leases.map(({ id }) => ({ partition, id })),
  };
}

/** Takes the shards that nobody reads. `first`: this process has none of them yet. */
export async function claimShards(
  platform: Platform,
  place: Place,
  uuid: string,
  first: boolean,
): Promise<readonly ShardLease[]> {
  const { store, clock } = platform;
  const partition = keys.shardLeases(place, uuid);
  const claimed = await store.claim({
    partition,
    dueByMs: first && !store.shared ? endlessMs : clock.now(),
    untilMs: leaseEndMs(platform),
    limit: mostClaims,
  });
  return claimed.map(
    ({ id, token, value }) => new ShardLease(platform, { place, uuid }, id, token, decode<ShardProgress>(value)),
  );
}

function leaseEndMs({ store, clock }: Platform): number {
  return store.shared ? clock.now() + leaseMs : endlessMs;
}

/** The right to read one shard, until it is lost, released or finished. */
export class ShardLease {
  readonly shardId: string;
  readonly startedAt: ShardProgress;
  /** How often it must be renewed; undefined: never. */
  readonly renewEveryMs: number | undefined;
  readonly #platform: Platform;
  readonly #mapping: { readonly place: Place; readonly uuid: string };
  readonly #id: Buffer;
  readonly #token: number;
  #progress: ShardProgress;

  constructor(
    platform: Platform,
    mapping: { readonly place: Place; readonly uuid: string },
    id: Buffer,
    token: number,
    progress: ShardProgress,
  ) {
    this.#platform = platform;
    this.#mapping = mapping;
    this.#id = id;
    this.#token = token;
    this.#progress = progress;
    this.startedAt = progress;
    this.shardId = id.toString('utf8');
    this.renewEveryMs = platform.store.shared ? leaseMs / 3 : undefined;
  }

  /** The window that was open when the shard was claimed. */
  async window(): Promise<OpenWindow | undefined> {
    const { window } = this.startedAt;
    if (window === undefined || 'state' in window) return window;
    const { stateBlob, ...rest } = window;
    const state = await this.#platform.blobs.get(stateBlob);
    if (state === undefined) throw new Error(`the state of a window of shard ${this.shardId} is missing`);
    return { ...rest, state: state.toString('utf8') };
  }

  /** Writes down how far the shard has been read, with jobs that belong to it. False: the lease is lost, nothing was written. */
  async commit(
    position: StreamPosition,
    window: OpenWindow | undefined,
    schedule: readonly DueWrite[] = [],
  ): Promise<boolean> {
    const stored = window === undefined ? undefined : await this.#stored(window);
    const progress = { position, ...(stored === undefined ? {} : { window: stored }) };
    const settle = [this.#settlement(leaseEndMs(this.#platform), progress)];
    const { ok } = await this.#platform.store.commit({ settle, schedule });
    if (ok) this.#progress = progress;
    return ok;
  }

  async renew(): Promise<boolean> {
    return (await this.#platform.store.commit({ settle: [this.#settlement(leaseEndMs(this.#platform))] })).ok;
  }

  /** Lets another have the shard. */
  async release(afterMs = 0): Promise<void> {
    await this.#platform.store.commit({ settle: [this.#settlement(this.#platform.clock.now() + afterMs)] });
  }

  /** The shard is read to its end: its children may begin. */
  async finish(): Promise<boolean> {
    const { place, uuid } = this.#mapping;
    const key = keys.mappingShard(place, uuid, this.shardId);
    const { dueAtMs: _, value: __, ...settle } = this.#settlement(0);
    const { ok } = await this.#platform.store.commit({
      set: [{ key, value: shardValue(this.shardId, 'done') }],
      settle: [settle],
    });
    return ok;
  }

  #settlement(dueAtMs: number, progress: ShardProgress = this.#progress): Settlement {
    const { place, uuid } = this.#mapping;
    const partition = keys.shardLeases(place, uuid);
    return { partition, id: this.#id, token: this.#token, dueAtMs, value: encode(progress) };
  }

  async #stored({ state, ...rest }: OpenWindow): Promise<StoredWindow> {
    if (Buffer.byteLength(state) <= inlineStateBytes) return { ...rest, state };
    return { ...rest, stateBlob: await this.#platform.blobs.put(Buffer.from(state, 'utf8')) };
  }
}
