import type { Clock } from '../../kernel/clock/contract.ts';
import { TokenBucket } from '../../kernel/limits/limits.ts';
import type { Version } from '../../kernel/store/contract.ts';
import type { Change } from './changes.ts';
import { indexUnitsOf } from './changes.ts';
import type { DynamoDbLimits } from './limits.ts';
import { isIndexed } from './rules/keys.ts';
import { type Direction, type Exceeded, OnDemandRate, throttled } from './rules/throttling.ts';
import { type AttributeMap, type AttributeValue, attributeOf, type Item } from './rules/values.ts';
import { tableItself } from './state.ts';
import type { Table, TableIndex } from './tables.ts';

/** Partition key values of a table whose use is remembered at a time; those at rest are forgotten first. */
const mostKeys = 20_000;
const mostTables = 10_000;

/**
 * The throughput of tables and global indexes, in this process: provisioned units with 300 seconds of burst, what on-demand tables
 * have scaled to, the maxima asked for, and what one partition key value can take, which is where adaptive capacity ends. A
 * request is let in while there is anything left, and charged what it turns out to cost, so a bucket may go below zero.
 */
export class Throughput {
  readonly #clock: Clock;
  readonly #limits: DynamoDbLimits;
  /** By table number. */
  readonly #tables = new Map<number, TableThroughput>();

  constructor(clock: Clock, limits: DynamoDbLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Throws if nothing is left for reading; `hash`: the partition key value that is read, if it is one. */
  admitRead(table: Table, index: TableIndex | undefined, hash: AttributeValue | undefined): void {
    this.#admit(table, index?.isGlobal ? index : undefined, 'Read', hash);
  }

  chargeRead(table: Table, index: TableIndex | undefined, hash: AttributeValue | undefined, units: number): void {
    this.#charge(table, index?.isGlobal ? index : undefined, 'Read', hash, units);
  }

  /** Throws if nothing is left for writing the item (or an item of the key), in the table or in a global index that holds it. */
  admitWrite(table: Table, item: AttributeMap): void {
    this.#admit(table, undefined, 'Write', attributeOf(item, table.hash.name));
    for (const index of table.indexes) {
      if (index.isGlobal && isIndexed(item, index.key)) this.#admitIndex(table, index, item);
    }
  }

  /** Throws if nothing is left in a global index that a write touches: the table's writes wait for its indexes. */
  admitIndexes(change: Change, item: Item | undefined): void {
    for (const { index, beforeBytes, afterBytes, change: kind } of change.indexes) {
      const isTouched = kind !== 'none' && (beforeBytes ?? afterBytes) !== undefined;
      if (index.isGlobal && isTouched) this.#admitIndex(change.table, index, item ?? {});
    }
  }

  chargeWrite(change: Change, item: AttributeMap, units: number, isTransactional = false): void {
    const { table } = change;
    this.#charge(table, undefined, 'Write', attributeOf(item, table.hash.name), units);
    for (const { name, isGlobal, units: ofIndex } of indexUnitsOf(change, isTransactional)) {
      const index = isGlobal && ofIndex > 0 ? table.indexes.find(({ record }) => record.name === name) : undefined;
      if (index !== undefined) this.#charge(table, index, 'Write', attributeOf(item, index.hash.name), ofIndex);
    }
  }

  /** A write that only failed its condition. */
  chargeFailed(table: Table, item: AttributeMap, units: number): void {
    this.#charge(table, undefined, 'Write', attributeOf(item, table.hash.name), units);
  }

  #admitIndex(table: Table, index: TableIndex, item: AttributeMap): void {
    this.#admit(table, index, 'Write', attributeOf(item, index.hash.name));
  }

  #admit(table: Table, index: TableIndex | undefined, direction: Direction, hash: AttributeValue | undefined): void {
    const nowMs = this.#clock.now();
    const exceeded = this.#resource(table, index, direction, nowMs).exceeded(hash, nowMs);
    if (exceeded !== undefined) throw refusal(table, index, direction, exceeded);
  }

  #charge(
    table: Table,
    index: TableIndex | undefined,
    direction: Direction,
    hash: AttributeValue | undefined,
    units: number,
  ): void {
    const nowMs = this.#clock.now();
    this.#resource(table, index, direction, nowMs).charge(hash, units, nowMs);
  }

  #resource(table: Table, index: TableIndex | undefined, direction: Direction, nowMs: number): Resource {
    const { id } = table.record;
    let known = this.#tables.get(id);
    if (known === undefined) {
      if (this.#tables.size >= mostTables) this.#tables.clear();
      known = { version: table.version, Read: [], Write: [] };
      this.#tables.set(id, known);
    }
    const resources = known[direction];
    const indexId = index?.record.id ?? tableItself;
    const resource = resources[indexId];
    if (resource !== undefined && known.version === table.version) return resource;
    // Settings may have changed with the table: what has not changed goes on as it was.
    known.version = table.version;
    for (const each of ['Read', 'Write'] as const) {
      known[each].forEach((one, position) => {
        const indexOf = table.indexes.find(({ record }) => record.id === position);
        const now = settingsOf(table, indexOf, each);
        if (one.provisioned !== now.provisioned || one.most !== now.most || one.warm !== now.warm)
          delete known[each][position];
      });
    }
    return (resources[indexId] ??= new Resource(settingsOf(table, index, direction), direction, this.#limits, nowMs));
  }
}

/** Resources by index number; 0 is the table itself. */
interface TableThroughput {
  version: Version;
  readonly Read: Resource[];
  readonly Write: Resource[];
}

interface Settings {
  /** Units per second; undefined: on demand. */
  readonly provisioned: number | undefined;
  /** The maximum of an on-demand table, if it has one. */
  readonly most: number | undefined;
  /** What it is warmed up for: it takes so much from the beginning. */
  readonly warm: number;
}

function settingsOf(table: Table, index: TableIndex | undefined, direction: Direction): Settings {
  const { throughput, onDemandThroughput, warm: warmed } = index?.record ?? table.record;
  const isRead = direction === 'Read';
  const warm = (isRead ? warmed?.readUnits : warmed?.writeUnits) ?? 0;
  if (table.record.billingMode === 'PROVISIONED') {
    return { provisioned: isRead ? throughput.readUnits : throughput.writeUnits, most: undefined, warm };
  }
  const most = isRead ? onDemandThroughput?.MaxReadRequestUnits : onDemandThroughput?.MaxWriteRequestUnits;
  return { provisioned: undefined, most: most === -1 ? undefined : most, warm };
}

class Resource {
  readonly provisioned: number | undefined;
  readonly most: number | undefined;
  readonly warm: number;
  readonly #keyUnits: number;
  readonly #burstSeconds: number;
  readonly #bucket: TokenBucket | undefined;
  readonly #onDemand: OnDemandRate | undefined;
  readonly #maximum: TokenBucket | undefined;
  readonly #keys = new Map<string, TokenBucket>();

  constructor({ provisioned, most, warm }: Settings, direction: Direction, limits: DynamoDbLimits, nowMs: number) {
    const isRead = direction === 'Read';
    this.provisioned = provisioned;
    this.most = most;
    this.warm = warm;
    this.#keyUnits = isRead ? limits.partitionReadUnits : limits.partitionWriteUnits;
    this.#burstSeconds = limits.shortBurstSeconds;
    if (provisioned !== undefined) {
      this.#bucket = new TokenBucket(provisioned * limits.burstSeconds, provisioned, nowMs);
      return;
    }
    const initial = Math.max(warm, isRead ? limits.onDemandReadUnits : limits.onDemandWriteUnits);
    const { onDemandGrowthMs: growthMs, shortBurstSeconds: burstSeconds } = limits;
    this.#onDemand = new OnDemandRate({ initial, growthMs, burstSeconds }, nowMs);
    if (most !== undefined) this.#maximum = new TokenBucket(most, most, nowMs);
  }

  exceeded(hash: AttributeValue | undefined, nowMs: number): Exceeded | undefined {
    if (this.#bucket !== undefined && this.#bucket.waitMs(1, nowMs) > 0) return 'ProvisionedThroughputExceeded';
    if (this.#maximum !== undefined && this.#maximum.waitMs(1, nowMs) > 0) return 'MaxOnDemandThroughputExceeded';
    if (this.#onDemand?.isExhausted(nowMs)) return 'KeyRangeThroughputExceeded';
    const ofKey = hash === undefined ? undefined : this.#keys.get(textOf(hash));
    return ofKey !== undefined && ofKey.waitMs(1, nowMs) > 0 ? 'KeyRangeThroughputExceeded' : undefined;
  }

  charge(hash: AttributeValue | undefined, units: number, nowMs: number): void {
    this.#bucket?.charge(units, nowMs);
    this.#onDemand?.charge(units, nowMs);
    this.#maximum?.charge(units, nowMs);
    if (hash === undefined) return;
    const key = textOf(hash);
    let ofKey = this.#keys.get(key);
    if (ofKey === undefined) {
      if (this.#keys.size >= mostKeys) this.#forgetKeys(nowMs);
      ofKey = new TokenBucket(this.#keyUnits * this.#burstSeconds, this.#keyUnits, nowMs);
      this.#keys.set(key, ofKey);
    }
    ofKey.charge(units, nowMs);
  }

  #forgetKeys(nowMs: number): void {
    const full = this.#keyUnits * this.#burstSeconds;
    for (const [key, bucket] of this.#keys) {
      if (bucket.waitMs(full, nowMs) === 0) this.#keys.delete(key);
    }
    if (this.#keys.size >= mostKeys) this.#keys.clear();
  }
}

function refusal(table: Table, index: TableIndex | undefined, direction: Direction, exceeded: Exceeded): Error {
  const resource = index === undefined ? table.arn : `${table.arn}/index/${index.record.name}`;
  return throttled(table.record.billingMode, index === undefined ? 'Table' : 'Index', direction, exceeded, resource);
}

/** Key values of one attribute have one type. */
function textOf({ S, N, B }: AttributeValue): string {
  return S ?? N ?? Buffer.from(B!).toString('latin1');
}
