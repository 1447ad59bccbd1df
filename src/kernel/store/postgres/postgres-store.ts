import pg from 'pg';
import type {
  ClaimedEntry,
  ClaimRequest,
  Commit,
  CommitResult,
  DueEntry,
  DueRange,
  Entry,
  Key,
  KeyRange,
  ListOptions,
  LogEntry,
  Store,
} from '../contract.ts';
import { StoreOpenError } from '../open-error.ts';
import { Watchers } from '../watchers.ts';
import { byteaArray, encodeCommit, partitionKey, wholeMs } from './codec.ts';
import { checkServer, clientConfig, describe, prepared, type Target } from './connection.ts';
import { migrate } from './migrations.ts';
import { Notifications } from './notifications.ts';
import { restoreInto, snapshotOf } from './snapshots.ts';

export { StoreOpenError } from '../open-error.ts';

export interface PostgresStoreOptions {
  /** postgres://user:password@host:port/database */
  readonly url: string;
  /** One store per schema (default `unkai`): small letters, digits and underscores. */
  readonly schema?: string;
  /** Connections for commits, claims and reads (default 16); two more serve notifications. */
  readonly connections?: number;
}

const attempts = 20;
const rowsAtOnce = 1000;

/** Connects, checks the server, and brings the schema up to date. Throws StoreOpenError. */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<PostgresStore> {
  const { url, schema = 'unkai', connections = 16 } = options;
  if (!/^[a-z_][a-z0-9_]{0,39}$/.test(schema)) {
    throw new StoreOpenError(
      `${schema} cannot be the name of a schema`,
      'Use up to 40 small letters, digits and underscores, beginning with a letter.',
    );
  }
  const target = { url, schema };
  const client = await checkServer(target);
  try {
    await migrate(client, schema);
    const { rows } = await client.query('SELECT hashtext($1) AS class', [`unkai ${schema}`]);
    return new PostgresStore(target, connections, Number(rows[0].class));
  } catch (error) {
    if (error instanceof StoreOpenError) throw error;
    throw new StoreOpenError(
      `the schema ${schema} at ${describe(url)} cannot be set up: ${(error as Error).message}`,
      'Give the user the right to create a schema in the database, or name a schema of its own.',
      { cause: error },
    );
  } finally {
    await client.end().catch(() => {});
  }
}

/** Everything in one schema of a PostgreSQL database, which several processes may share. */
export class PostgresStore implements Store {
  readonly engine = 'postgres';
  readonly durable = true;
  readonly shared = true;
  readonly #pool: pg.Pool;
  readonly #watchers = new Watchers();
  readonly #notifications: Notifications;
  readonly #statements: Statements;
  /** The first half of advisory lock numbers: keeps schemas apart. */
  readonly #lockClass: number;
  readonly #schema: string;
  readonly #underWay = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  /** @internal `openPostgresStore` opens stores. */
  constructor(target: Target, connections: number, lockClass: number) {
    this.#pool = new pg.Pool({ ...clientConfig(target), max: connections, idleTimeoutMillis: 60_000 });
    // A connection that breaks while idle is replaced; one that breaks in use fails its caller.
    this.#pool.on('error', () => {});
    this.#notifications = new Notifications(target, this.#watchers);
    this.#statements = statementsOf(target.schema);
    this.#lockClass = lockClass;
    this.#schema = target.schema;
  }

  async get(key: Key): Promise<Entry | undefined> {
    const [row] = await this.#rows<{ value: Buffer; version: number }>('get', this.#statements.get, [key]);
    return row === undefined ? undefined : { key, value: row.value, version: row.version };
  }

  async getMany(keys: readonly Key[]): Promise<readonly (Entry | undefined)[]> {
    if (keys.length === 0) return [];
    const rows = await this.#rows<Entry>('get_many', this.#statements.getMany, [byteaArray(keys)]);
    const found = new Map(rows.map((row) => [row.key.toString('latin1'), row]));
    return keys.map((key) => found.get(key.toString('latin1')));
  }

  async list(range: KeyRange, options: ListOptions = {}): Promise<readonly Entry[]> {
    const { limit = Number.POSITIVE_INFINITY, maxBytes, reverse = false } = options;
    const found: Entry[] = [];
    let { start, end } = range;
    let bytes = 0;
    const kind = `${reverse ? 'listReverse' : 'list'}${maxBytes === undefined ? '' : 'Bytes'}` as const;
    while (found.length < limit) {
      const want = Math.min(limit - found.length, rowsAtOnce);
      const parameters = [start, end, want, ...(maxBytes === undefined ? [] : [maxBytes - bytes])];
      const rows = await this.#rows<Entry>(kind, this.#statements[kind], parameters);
      found.push(...rows);
      for (const { value } of rows) bytes += value.length;
      if (rows.length < want || (maxBytes !== undefined && bytes >= maxBytes)) break;
      const { key } = rows[rows.length - 1]!;
      if (reverse) end = key;
      else start = Buffer.concat([key, Buffer.from([0])]);
    }
    return found;
  }

  async count(range: KeyRange): Promise<number> {
    const [row] = await this.#rows<{ count: number }>('count', this.#statements.count, [range.start, range.end]);
    return row!.count;
  }

  async commit(commit: Commit): Promise<CommitResult> {
    const { parameters, fences, appends } = encodeCommit(commit);
    const [row] = await this.#changing<CommitRow>('commit', this.#statements.commit, [this.#lockClass, ...parameters]);
    const { failed_check, failed_fence, new_version, firsts } = row!;
    if (failed_check > 0) return { ok: false, conflict: { check: failed_check - 1 } };
    if (failed_fence > 0) return { ok: false, conflict: { settle: fences[failed_fence - 1]! } };
    this.#tell(commit);
    const positions = appends.map(({ log, offset }) => firsts![log]! + offset);
    return { ok: true, version: new_version, positions };
  }

  async claim(request: ClaimRequest): Promise<readonly ClaimedEntry[]> {
    const { partition, limit } = request;
    if (limit <= 0 || request.dueByMs < 0) return [];
    const untilMs = wholeMs(request.untilMs);
    const dueByMs = Math.min(Math.floor(request.dueByMs), Number.MAX_SAFE_INTEGER);
    const parameters = [this.#lockClass, partitionKey(partition), dueByMs, untilMs, dueByMs, Math.floor(limit)];
    const rows = await this.#changing<ClaimRow>('claim', this.#statements.claim, parameters);
    if (rows.length > 0) this.#notifications.changed(partition);
    rows.sort((a, b) => a.was_due_at - b.was_due_at || a.id.compare(b.id));
    return rows.map((row) => ({
      id: row.id,
      value: row.value,
      dueAtMs: untilMs,
      attempts: row.attempts,
      firstClaimedAtMs: row.first_claimed_at,
      token: row.token,
      wasDueAtMs: row.was_due_at,
    }));
  }

  async due(partition: Key, id: Buffer): Promise<DueEntry | undefined> {
    const [row] = await this.#rows<DueRow>('due', this.#statements.due, [partitionKey(partition), id]);
    return row === undefined ? undefined : publicDue(row);
  }

  async listDue(partition: Key, range: DueRange = {}): Promise<readonly DueEntry[]> {
    const limit = range.limit ?? Number.POSITIVE_INFINITY;
    const found: DueEntry[] = [];
    let { after } = range;
    while (found.length < limit) {
      const want = Math.min(limit - found.length, rowsAtOnce);
      const bounds = dueBounds(partition, { ...range, ...(after === undefined ? {} : { after }) });
      const rows = await this.#rows<DueRow>('list_due', this.#statements.listDue, [...bounds, want]);
      found.push(...rows.map(publicDue));
      if (rows.length < want) break;
      after = found[found.length - 1]!;
    }
    return found;
  }

  async countDue(partition: Key, range: DueRange = {}): Promise<number> {
    const limit = Math.min(range.limit ?? Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    const parameters = [...dueBounds(partition, range), limit];
    const [row] = await this.#rows<{ count: number }>('count_due', this.#statements.countDue, parameters);
    return row!.count;
  }

  async nextDue(partition: Key): Promise<number | undefined> {
    const parameters = [partitionKey(partition)];
    const [row] = await this.#rows<{ due_at: number }>('next_due', this.#statements.nextDue, parameters);
    return row?.due_at;
  }

  async readLog(log: Key, from: number, limit: number): Promise<readonly LogEntry[]> {
    const found: LogEntry[] = [];
    let position = wholeMs(from);
    while (found.length < limit) {
      const want = Math.min(limit - found.length, rowsAtOnce);
      const rows = await this.#rows<LogEntry>('read_log', this.#statements.readLog, [log, position, want]);
      found.push(...rows);
      if (rows.length < want) break;
      position = rows[rows.length - 1]!.position + 1;
    }
    return found;
  }

  async nextPosition(log: Key): Promise<number> {
    const [row] = await this.#rows<{ next: number }>('next_position', this.#statements.nextPosition, [log]);
    return row?.next ?? 1;
  }

  watch(prefix: Key, onChange: () => void): () => void {
    const stop = this.#watchers.watch(prefix, onChange);
    // What happens elsewhere before the connection stands goes unheard, as a hint may.
    this.#notifications.listen().catch(() => {});
    return stop;
  }

  snapshot(): AsyncIterable<Buffer> {
    return snapshotOf(this.#pool, this.#schema);
  }

  async restore(source: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#track(restoreInto(this.#pool, this.#schema, this.#lockClass, source));
    this.#notifications.changedAll();
  }

  /**
   * What to add to this machine's wall clock to get the database's, in milliseconds: the clock of all who share it. Of a
   * few measurements the one with the shortest round trip counts, which bounds the error by half of that.
   */
  async clockOffsetMs(measurements = 5): Promise<number> {
    let best = { offsetMs: 0, roundTripMs: Number.POSITIVE_INFINITY };
    for (let turn = 0; turn < measurements; turn++) {
      const before = performance.now();
      const [row] = await this.#rows<{ now: number }>('now', this.#statements.now, []);
      const roundTripMs = performance.now() - before;
      if (roundTripMs < best.roundTripMs) {
        best = { offsetMs: Math.round(row!.now + roundTripMs / 2 - Date.now()), roundTripMs };
      }
    }
    return best.offsetMs;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    await this.#notifications.close();
    await this.#pool.end();
  }

  async #rows<Row>(name: string, text: string, values: readonly unknown[]): Promise<Row[]> {
    const { rows } = await this.#pool.query(prepared(name, text, values));
    return rows as Row[];
  }

  /** Statements that PostgreSQL gives up as a deadlock or for their order have done nothing, and are tried again. */
  #changing<Row>(name: string, text: string, values: readonly unknown[]): Promise<Row[]> {
    if (this.#closing !== undefined) return Promise.reject(new Error('the store is closed'));
    return this.#track(this.#tryAgain<Row>(name, text, values));
  }

  async #tryAgain<Row>(name: string, text: string, values: readonly unknown[]): Promise<Row[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#rows<Row>(name, text, values);
      } catch (error) {
        const { code } = error as { readonly code?: string };
        const again = code === '40001' || code === '40P01';
        if (!again || attempt === attempts) throw error;
        await new Promise((resolve) => setTimeout(resolve, attempt));
      }
    }
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    try {
      return await work;
    } finally {
      this.#underWay.delete(work);
    }
  }

  #tell(commit: Commit): void {
    const notifications = this.#notifications;
    for (const { key } of commit.set ?? []) notifications.changed(key);
    for (const key of commit.delete ?? []) notifications.changed(key);
    for (const { key } of commit.sum ?? []) notifications.changed(key);
    for (const { log } of commit.append ?? []) notifications.changed(log);
    for (const { log } of commit.trim ?? []) notifications.changed(log);
    for (const { partition } of commit.schedule ?? []) notifications.changed(partition);
    for (const { partition } of commit.settle ?? []) notifications.changed(partition);
  }
}

interface CommitRow {
  readonly failed_check: number;
  readonly failed_fence: number;
  readonly new_version: number;
  readonly firsts: readonly number[] | null;
}

interface DueRow {
  readonly id: Buffer;
  readonly value: Buffer;
  readonly due_at: number;
  readonly attempts: number;
  readonly first_claimed_at: number | null;
  readonly token: number | null;
}

interface ClaimRow {
  readonly id: Buffer;
  readonly value: Buffer;
  readonly was_due_at: number;
  readonly attempts: number;
  readonly first_claimed_at: number;
  readonly token: number;
}

type Statements = ReturnType<typeof statementsOf>;

function statementsOf(schema: string) {
  const entries = `"${schema}".entry`;
  const due = `"${schema}".due`;
  const range = 'key >= $1::bytea AND key < $2::bytea';
  const listed = (order: string) =>
    `SELECT key, value, version FROM ${entries} WHERE ${range} ORDER BY key ${order} LIMIT $3::bigint`;
  // Up to and with the entry that brings the sum of lengths to the bound; lengths are known without reading the values.
  const listedBytes = (order: string) =>
    `SELECT key, value, version FROM (
      SELECT *, coalesce(sum(octet_length(value)) OVER
        (ORDER BY key ${order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), -1) AS before
      FROM (${listed(order)}) AS found) AS summed WHERE before < $4::bigint ORDER BY key ${order}`;
  const dueRange = `partition = $1::bytea AND due_at >= $2::bigint AND due_at < $3::bigint
    AND ($4::bigint IS NULL OR (due_at, id) > ($4::bigint, $5::bytea))`;
  const dueColumns = 'id, value, due_at, attempts, first_claimed_at, token';
  const commitParameters = Array.from({ length: 31 }, (_, index) => `$${index + 1}`).join(', ');
  return {
    get: `SELECT value, version FROM ${entries} WHERE key = $1::bytea`,
    getMany: `SELECT key, value, version FROM ${entries} WHERE key = ANY ($1::bytea[])`,
    list: listed('ASC'),
    listReverse: listed('DESC'),
    listBytes: listedBytes('ASC'),
    listReverseBytes: listedBytes('DESC'),
    count: `SELECT count(*) AS count FROM ${entries} WHERE ${range}`,
    commit: `SELECT * FROM "${schema}".write_commit(${commitParameters})`,
    claim: `SELECT * FROM "${schema}".claim($1, $2, $3, $4, $5, $6)`,
    due: `SELECT ${dueColumns} FROM ${due} WHERE partition = $1::bytea AND id = $2::bytea`,
    listDue: `SELECT ${dueColumns} FROM ${due} WHERE ${dueRange} ORDER BY due_at, id LIMIT $6::bigint`,
    countDue: `SELECT count(*) AS count FROM (SELECT FROM ${due} WHERE ${dueRange} LIMIT $6::bigint) AS found`,
    nextDue: `SELECT due_at FROM ${due} WHERE partition = $1::bytea ORDER BY due_at LIMIT 1`,
    readLog: `SELECT position, value FROM "${schema}".log_entry
      WHERE log = $1::bytea AND position >= $2::bigint ORDER BY position LIMIT $3::bigint`,
    nextPosition: `SELECT next FROM "${schema}".log WHERE name = $1::bytea`,
    now: 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now',
  } as const;
}

function dueBounds(partition: Key, { fromMs = 0, beforeMs, after }: DueRange): readonly unknown[] {
  return [
    partitionKey(partition),
    // The index finds its place by the time alone; the comparison with `after` then passes over few.
    Math.max(wholeMs(fromMs), after === undefined ? 0 : wholeMs(after.dueAtMs)),
    // One more than the largest time, so that no bound leaves nothing out.
    beforeMs === undefined ? 2 ** 53 : wholeMs(beforeMs),
    after === undefined ? null : wholeMs(after.dueAtMs),
    after === undefined ? null : after.id,
  ];
}

function publicDue(row: DueRow): DueEntry {
  return {
    id: row.id,
    value: row.value,
    dueAtMs: row.due_at,
    attempts: row.attempts,
    firstClaimedAtMs: row.first_claimed_at ?? undefined,
    token: row.token ?? undefined,
  };
}
