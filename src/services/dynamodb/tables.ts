import type { Clock } from '../../kernel/clock/contract.ts';
import type { Check, Entry, Key, Store, Version } from '../../kernel/store/contract.ts';
import { counterValue } from '../../kernel/store/contract.ts';
import { prefixRange } from '../../kernel/store/keys.ts';
import { formatArn, parseArn } from '../../platform/arn.ts';
import type { StreamView } from './rules/change-record.ts';
import { type KeyAttribute, keyAttributes, projectedNames, type TableSchema } from './rules/keys.ts';
import { resourceNotFound, tableNotFound } from './rules/tables.ts';
import {
  allTables,
  counterShards,
  countersOf,
  decodeRecord,
  entriesOf,
  expiriesOf,
  type IndexRecord,
  itemsOf,
  type TableRecord,
  tableItself,
  tableKey,
  tablesOf,
} from './state.ts';
import { historyLog } from './state-backups.ts';
import { streamLog } from './state-streams.ts';

/** One version of a table, with everything that operations need of it worked out. */
export interface Table {
  readonly record: TableRecord;
  readonly version: Version;
  readonly key: Key;
  readonly arn: string;
  /** For commits: the table is still this one and has these indexes. */
  readonly check: Check;
  readonly schema: TableSchema;
  readonly hash: KeyAttribute;
  readonly range: KeyAttribute | undefined;
  /** Begins the keys of its items. */
  readonly prefix: Key;
  /** Indexes that writes maintain, whether or not they can be read yet. */
  readonly indexes: readonly TableIndex[];
  readonly hasLocalIndexes: boolean;
  /** An index is still being filled. */
  readonly isBackfilling: boolean;
  readonly counters: Counters;
  readonly ttl: { readonly attributeName: string; readonly prefix: Key } | undefined;
  /** What is kept of changes beside the items; undefined: nothing. */
  readonly capture: Capture | undefined;
}

export interface Capture {
  readonly stream: { readonly viewType: StreamView; readonly logs: readonly Key[] } | undefined;
  /** The log of what items were. */
  readonly history: Key | undefined;
}

export interface TableIndex {
  readonly record: IndexRecord;
  readonly isGlobal: boolean;
  readonly key: readonly KeyAttribute[];
  readonly hash: KeyAttribute;
  readonly range: KeyAttribute | undefined;
  readonly prefix: Key;
  /** Attributes it holds; undefined: all. */
  readonly projected: ReadonlySet<string> | undefined;
  readonly counters: Counters;
}

/** A sum over rows, so that none is hot. */
export interface Counters {
  readonly count: readonly Key[];
  readonly bytes: readonly Key[];
}

interface Place {
  readonly account: string;
  readonly region: string;
}

interface Cached {
  readonly table: Table;
  /** Until when (monotonic) it may be used without asking the store. */
  readonly trustedUntil: number;
}

const mostCached = 10_000;
/** How old what another process may have changed can be. */
const sharedTrustMs = 1000;

/**
 * Tables by name. Every commit that depends on a table carries its version as a check, so an old copy does no harm there;
 * copies are dropped whenever a table changes, and are read from for a second at most where other processes share the
 * store.
 */
export class Tables {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #trustMs: number;
  readonly #cached = new Map<string, Cached>();
  /** Grows with every copy that is dropped: what was read before that is not kept. */
  #changes = 0;
  #unwatch: (() => void) | undefined;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#trustMs = store.shared ? sharedTrustMs : Number.POSITIVE_INFINITY;
  }

  start(): void {
    this.#unwatch = this.#store.watch(allTables, () => {
      this.#changes++;
      this.#cached.clear();
    });
  }

  close(): void {
    this.#unwatch?.();
  }

  /** The table that a data operation names, by name or ARN; throws ResourceNotFoundException unless it can be used. */
  active(place: Place, nameOrArn: string): Table | Promise<Table> {
    const cached = this.#cached.get(cacheName(place, nameOrArn));
    if (cached !== undefined && this.#isTrusted(cached)) return usable(cached.table);
    return this.#loadActive(place, nameOrArn);
  }

  /** The table that a table operation names, as it stands in the store now; throws ResourceNotFoundException. */
  async require(place: Place, nameOrArn: string): Promise<Table> {
    const name = this.nameOf(place, nameOrArn);
    const table = name === undefined ? undefined : await this.read(place, name);
    if (table === undefined) throw tableNotFound(nameOrArn);
    return table;
  }

  /** The table's name; undefined for the ARN of something else or of another account's or region's table. */
  nameOf(place: Place, nameOrArn: string): string | undefined {
    if (!nameOrArn.startsWith('arn:')) return nameOrArn;
    const arn = parseArn(nameOrArn);
    if (arn?.service !== 'dynamodb' || arn.account !== place.account || arn.region !== place.region) return undefined;
    const [kind, name, ...more] = arn.resource.split('/');
    return kind === 'table' && more.length === 0 ? name : undefined;
  }

  /** The table as it stands in the store now. */
  async read(place: Place, name: string): Promise<Table | undefined> {
    const changes = this.#changes;
    const entry = await this.#store.get(tableKey(place.account, place.region, name));
    const cacheKey = cacheName(place, name);
    if (entry === undefined) {
      this.#cached.delete(cacheKey);
      return undefined;
    }
    const known = this.#cached.get(cacheKey);
    const table = known?.table.version === entry.version ? known.table : tableOf(entry);
    if (changes !== this.#changes) return table;
    if (this.#cached.size >= mostCached) this.#cached.clear();
    this.#cached.set(cacheKey, { table, trustedUntil: this.#clock.elapsed() + this.#trustMs });
    return table;
  }

  /** All tables of an account and region, by name. */
  async list({ account, region }: Place): Promise<readonly Table[]> {
    return (await this.#store.list(prefixRange(tablesOf(account, region)))).map(tableOf);
  }

  /** To be called after every commit that changed the table, and after one that lost against such a change. */
  forget({ record }: Table): void {
    this.#changes++;
    this.#cached.delete(cacheName(record, record.name));
  }

  /** The sum over a counter's rows. */
  async total(counters: readonly Key[]): Promise<number> {
    const rows = await this.#store.getMany(counters);
    return rows.reduce((sum, row) => sum + counterValue(row?.value), 0);
  }

  async #loadActive(place: Place, nameOrArn: string): Promise<Table> {
    const name = this.nameOf(place, nameOrArn);
    if (name === undefined) throw resourceNotFound();
    const cached = name === nameOrArn ? undefined : this.#cached.get(cacheName(place, name));
    if (cached !== undefined && this.#isTrusted(cached)) return usable(cached.table);
    const table = await this.read(place, name);
    if (table === undefined) throw resourceNotFound();
    return usable(table);
  }

  #isTrusted({ trustedUntil }: Cached): boolean {
    return trustedUntil === Number.POSITIVE_INFINITY || this.#clock.elapsed() < trustedUntil;
  }
}

export function tableArn({ account, region, name }: Place & { readonly name: string }): string {
  return formatArn({ service: 'dynamodb', region, account, resource: `table/${name}` });
}

export function tableOf(entry: Entry): Table {
  const record = decodeRecord<TableRecord>(entry.value);
  const inSchema = record.indexes.filter(({ status }) => status !== 'DELETING');
  const schema: TableSchema = {
    AttributeDefinitions: record.attributeDefinitions,
    KeySchema: record.keySchema,
    GlobalSecondaryIndexes: inSchema.filter(({ kind }) => kind === 'global').map(indexSchema),
    LocalSecondaryIndexes: inSchema.filter(({ kind }) => kind === 'local').map(indexSchema),
  };
  const [hash, range] = keyAttributes(schema);
  return {
    record,
    version: entry.version,
    key: entry.key,
    arn: tableArn(record),
    check: { key: entry.key, version: entry.version },
    schema,
    hash: hash!,
    range,
    prefix: itemsOf(record.id),
    indexes: inSchema.map((index) => tableIndex(record, schema, index)),
    isBackfilling: inSchema.some(({ backfilling }) => backfilling),
    hasLocalIndexes: inSchema.some(({ kind }) => kind === 'local'),
    counters: countersFor(record.id, tableItself),
    ttl: record.ttl && {
      attributeName: record.ttl.attributeName,
      prefix: expiriesOf(record.id, record.ttl.indexId),
    },
    capture: captureOf(record),
  };
}

function captureOf({ id, stream, history }: TableRecord): Capture | undefined {
  if (stream === undefined && history === undefined) return undefined;
  const logs = Array.from({ length: stream?.shards ?? 0 }, (_, shard) =>
    streamLog(id, stream!.label, stream!.slot, shard),
  );
  return {
    stream: stream && { viewType: stream.viewType, logs },
    history: history && historyLog(id, history.sinceMs),
  };
}

function tableIndex({ id }: TableRecord, schema: TableSchema, record: IndexRecord): TableIndex {
  const key = keyAttributes(schema, record.keySchema);
  return {
    record,
    isGlobal: record.kind === 'global',
    key,
    hash: key[0]!,
    range: key[1],
    prefix: entriesOf(id, record.id),
    projected: projectedNames(schema, indexSchema(record)),
    counters: countersFor(id, record.id),
  };
}

function indexSchema({ name, keySchema, projection }: IndexRecord) {
  return { IndexName: name, KeySchema: keySchema, Projection: projection };
}

function countersFor(tableId: number, indexId: number): Counters {
  return { count: countersOf(tableId, indexId, 'count'), bytes: countersOf(tableId, indexId, 'bytes') };
}

/** Which of a counter's rows to add to: taking turns keeps each of them cool, where that matters. */
export class ShardTurn {
  readonly #shards: number;
  #next = 0;

  constructor(store: Store) {
    this.#shards = store.shared ? counterShards : 1;
  }

  next(): number {
    this.#next = (this.#next + 1) % this.#shards;
    return this.#next;
  }
}

function usable(table: Table): Table {
  const { status } = table.record;
  if (status === 'CREATING' || status === 'DELETING') throw resourceNotFound();
  return table;
}

function cacheName({ account, region }: Place, name: string): string {
  return `${name}\n${account}\n${region}`;
}
