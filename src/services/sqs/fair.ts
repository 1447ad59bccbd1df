import type { Clock } from '../../kernel/clock/contract.ts';
import type { ClaimedEntry, Commit, DueEntry, Key, Store, Version } from '../../kernel/store/contract.ts';
import { prefixRange } from '../../kernel/store/keys.ts';
import type { Queue } from './queues.ts';
import { calmAfterMs, noisyTenants, tenantBytes, tenantOf } from './rules/fair.ts';
import { decodeRecord, encodeRecord, type LaneRecord, laneKey, laneOf, lanesOf, messagesOf } from './state.ts';

/**
 * Fair queues: when a tenant is found to be noisy, its waiting messages move out of everybody's way into a lane of their own,
 * as receivers meet them, and what it sends from then on goes there directly. Receivers look into lanes when there is nothing
 * else, and there first at the tenant with the fewest messages in flight. A lane ends when it is empty. Queues that never saw
 * a MessageGroupId know nothing of all this.
 */
export interface Lane {
  readonly tenant: string;
  readonly key: Key;
  readonly version: Version;
  readonly partition: Key;
  readonly lastSentMs: number;
}

/** Entries' ids: 12 bytes, then the tenant's eight if there is one, then a byte if the entry stands in the tenant's lane. */
const plainIdBytes = 12;
const tenantIdBytes = plainIdBytes + tenantBytes;
const laneIdBytes = tenantIdBytes + 1;

/** The partition in which an entry stands, from its id. */
export function partitionOf(queue: Queue, entryId: Buffer): Key {
  if (entryId.length !== laneIdBytes) return queue.partition;
  return laneOf(queue.partition, entryId.toString('hex', plainIdBytes, tenantIdBytes));
}

/** Every partition of a standard queue. */
export async function partitionsOf(store: Store, queue: Queue): Promise<readonly Key[]> {
  if (queue.record.mayGroup !== true) return [queue.partition];
  return [
    queue.partition,
    ...(await readLanes(store, queue.record.id, queue.record.generation)).map(({ partition }) => partition),
  ];
}

export async function readLanes(store: Store, id: string, generation: number): Promise<Lane[]> {
  const entries = await store.list(prefixRange(lanesOf(id, generation)));
  const queuePartition = messagesOf(id, generation);
  return entries.map(({ key, value, version }) => {
    const { tenant, lastSentMs } = decodeRecord<LaneRecord>(value);
    return { tenant, key, version, partition: laneOf(queuePartition, tenant), lastSentMs };
  });
}

/** Where a message with this group id is to go, with what its commit must carry. */
export async function laneFor(
  store: Store,
  queue: Queue,
  groupId: string,
  nowMs: number,
): Promise<{ readonly lane: Lane | undefined; readonly more: Commit }> {
  if (queue.record.mayGroup !== true) return { lane: undefined, more: {} };
  const { id, generation } = queue.record;
  const tenant = tenantOf(groupId).toString('hex');
  const key = laneKey(id, generation, tenant);
  const entry = await store.get(key);
  if (entry === undefined) return { lane: undefined, more: {} };
  const { lastSentMs } = decodeRecord<LaneRecord>(entry.value);
  const partition = laneOf(queue.partition, tenant);
  const lane = { tenant, key, version: entry.version, partition, lastSentMs };
  // To the minute is enough, and spares a write.
  const renew = nowMs - lastSentMs > 60_000;
  return {
    lane,
    more: {
      checks: [{ key, version: entry.version }],
      ...(renew ? { set: [{ key, value: laneRecord(tenant, nowMs) }] } : {}),
    },
  };
}

/** The id of an entry with its tenant, and with the mark of a lane if it goes there. */
export function tenantEntryId(plain: Buffer, groupId: string | undefined, lane: boolean): Buffer {
  if (groupId === undefined) return plain;
  return Buffer.concat([plain, tenantOf(groupId), lane ? laneMark : noMark]);
}

const laneMark = Buffer.from([1]);
const noMark = Buffer.alloc(0);

/** Entries of a partition that are looked at for who is in flight. */
const sampled = 2_000;
const sampleTrustMs = 1_000;
/** Backlog of noisy tenants that one receive moves at most: so many times so many messages. */
const shiftRounds = 4;
const shiftedPerRound = 500;

interface Sample {
  readonly counts: ReadonlyMap<string, number>;
  readonly noisy: ReadonlySet<string>;
  readonly takenAtMs: number;
  /** Messages that this process may receive until it looks again. */
  left: number;
}

/** Receives from fair queues. What it knows of who is in flight is from the store, and at most a second old. */
export class FairReceiver {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #samples = new Map<string, Sample>();

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** As the store's claim, but quiet tenants first. */
  async claim(queue: Queue, limit: number, untilMs: number): Promise<readonly ClaimedEntry[]> {
    const lanes = await readLanes(this.#store, queue.record.id, queue.record.generation);
    const sample = await this.#sample(queue, lanes);
    sample.left -= limit;
    const nowMs = this.#clock.now();
    const claimed: ClaimedEntry[] = [];
    const calm = lanes.filter(({ lastSentMs }) => lastSentMs + calmAfterMs <= nowMs);
    await this.#claimCalm(queue, calm, limit, untilMs, claimed);
    for (let round = 0; round < shiftRounds && claimed.length < limit; round++) {
      if (!(await this.#claimQuiet(queue, sample.noisy, limit, untilMs, claimed))) break;
    }
    if (claimed.length >= limit) return claimed;
    const inFlight = ({ tenant }: Lane): number => sample.counts.get(tenant) ?? 0;
    // Shifting may have made lanes.
    const now = await readLanes(this.#store, queue.record.id, queue.record.generation);
    for (const lane of now.sort((a, b) => inFlight(a) - inFlight(b))) {
      const got = await this.#claimFrom(lane.partition, limit - claimed.length, untilMs, claimed);
      if (claimed.length >= limit) break;
      if (got === 0) await this.#endIfEmpty(lane);
    }
    return claimed;
  }

  /** Lanes of tenants that are calm stand in line with everybody: whoever has waited longest comes first. */
  async #claimCalm(queue: Queue, calm: readonly Lane[], limit: number, untilMs: number, claimed: ClaimedEntry[]) {
    if (calm.length === 0) return;
    const quietMs = (await this.#store.nextDue(queue.partition)) ?? Number.POSITIVE_INFINITY;
    for (const { partition } of calm) {
      const nextMs = (await this.#store.nextDue(partition)) ?? Number.POSITIVE_INFINITY;
      if (nextMs < quietMs) await this.#claimFrom(partition, limit - claimed.length, untilMs, claimed);
    }
  }

  /** One look at the queue's front. False when there is no more to be had there. */
  async #claimQuiet(
    queue: Queue,
    noisy: ReadonlySet<string>,
    limit: number,
    untilMs: number,
    claimed: ClaimedEntry[],
  ): Promise<boolean> {
    const wanted = limit - claimed.length;
    const run = noisy.size === 0 ? 0 : await this.#noisyRun(queue, noisy);
    const got = await this.#store.claim({
      partition: queue.partition,
      dueByMs: this.#clock.now(),
      untilMs,
      limit: Math.max(run, wanted),
    });
    // What was received before stays: a receipt may still be used for it.
    const shifted = got.filter((entry) => entry.attempts === 1 && isOf(noisy, entry));
    const kept = got.filter((entry) => !shifted.includes(entry));
    const lost = shifted.length > 0 && !(await this.#shift(queue, shifted)) ? shifted : [];
    const quiet = [...kept, ...lost];
    claimed.push(...quiet.slice(0, wanted));
    // Only if others have taken what was seen: then these come as if they had been received once.
    for (const { id, token, wasDueAtMs } of quiet.slice(wanted)) {
      await this.#store.commit({ settle: [{ partition: queue.partition, id, token, dueAtMs: wasDueAtMs }] });
    }
    return shifted.length > 0 && lost.length === 0;
  }

  /** How many messages at the front are noisy tenants' and were never received. */
  async #noisyRun(queue: Queue, noisy: ReadonlySet<string>): Promise<number> {
    const beforeMs = this.#clock.now() + 1;
    const front = await this.#store.listDue(queue.partition, { beforeMs, limit: shiftedPerRound });
    const end = front.findIndex((entry) => entry.attempts > 0 || !isOf(noisy, entry));
    return end < 0 ? front.length : end;
  }

  /** Moves messages into their tenants' lanes, as if they had been sent there. */
  async #shift(queue: Queue, entries: readonly ClaimedEntry[]): Promise<boolean> {
    const { id, generation } = queue.record;
    const nowMs = this.#clock.now();
    const tenants = [...new Set(entries.map(tenantOfEntry))];
    const keys = tenants.map((tenant) => laneKey(id, generation, tenant));
    const found = await this.#store.getMany(keys);
    const { ok } = await this.#store.commit({
      checks: [queue.check, ...keys.map((key, index) => ({ key, version: found[index]?.version ?? null }))],
      set: tenants.flatMap((tenant, index) =>
        found[index] === undefined ? [{ key: keys[index]!, value: laneRecord(tenant, nowMs) }] : [],
      ),
      settle: entries.map((entry) => ({ partition: queue.partition, id: entry.id, token: entry.token })),
      schedule: entries.map((entry) => ({
        partition: laneOf(queue.partition, tenantOfEntry(entry)),
        id: Buffer.concat([entry.id, laneMark]),
        dueAtMs: entry.wasDueAtMs,
        value: entry.value,
      })),
    });
    return ok;
  }

  async #claimFrom(partition: Key, limit: number, untilMs: number, claimed: ClaimedEntry[]): Promise<number> {
    if (limit <= 0) return 0;
    const got = await this.#store.claim({ partition, dueByMs: this.#clock.now(), untilMs, limit });
    claimed.push(...got);
    return got.length;
  }

  /** Whoever sends into the lane at the same time makes one of the two commits fail: senders check that it is there. */
  async #endIfEmpty({ key, version, partition }: Lane): Promise<void> {
    if ((await this.#store.countDue(partition, { limit: 1 })) > 0) return;
    await this.#store.commit({ checks: [{ key, version }], delete: [key] });
  }

  async #sample(queue: Queue, lanes: readonly Lane[]): Promise<Sample> {
    const { id } = queue.record;
    const nowMs = this.#clock.now();
    const known = this.#samples.get(id);
    if (known !== undefined && known.left > 0 && nowMs < known.takenAtMs + sampleTrustMs) return known;
    const counts = new Map<string, number>();
    let total = 0;
    for (const partition of [queue.partition, ...lanes.map((lane) => lane.partition)]) {
      for (const entry of await this.#store.listDue(partition, { fromMs: nowMs + 1, limit: sampled })) {
        if (entry.attempts === 0) continue;
        total++;
        const tenant = tenantOfEntry(entry);
        if (tenant !== '') counts.set(tenant, (counts.get(tenant) ?? 0) + 1);
      }
    }
    const noisy = noisyTenants(counts, total);
    const sample = { counts, noisy, takenAtMs: nowMs, left: Math.max(10, total / 4) };
    if (this.#samples.size > 1_000) this.#samples.clear();
    this.#samples.set(id, sample);
    return sample;
  }
}

function isOf(tenants: ReadonlySet<string>, entry: DueEntry): boolean {
  return tenants.size > 0 && tenants.has(tenantOfEntry(entry));
}

/** In hex; empty for a message without a group. */
function tenantOfEntry({ id }: DueEntry): string {
  return id.length >= tenantIdBytes ? id.toString('hex', plainIdBytes, tenantIdBytes) : '';
}

function laneRecord(tenant: string, lastSentMs: number): Buffer {
  return encodeRecord({ tenant, lastSentMs });
}
