import { type Job, scheduleJob } from '../../kernel/agenda/agenda.ts';
import type { Commit, DueWrite, KeyRange } from '../../kernel/store/contract.ts';
import { nextKey, prefixRange } from '../../kernel/store/keys.ts';
import { entryOf, expiryOf, keyOfItem, missingEntries, Writes } from './changes.ts';
import { copy, copyJob, copyKind } from './copies.ts';
import type { Environment } from './environment.ts';
import { exportKind, runExport } from './exports.ts';
import { historyKind, tendHistory } from './history-life.ts';
import { delays } from './limits.ts';
import { tableKind } from './new-table.ts';
import { backupIdOf } from './rules/restore.ts';
import { settledRecord } from './rules/table-update.ts';
import { encodeRecord, expiriesUntil, expiryKey, rangesOfIndex, rangesOfTable, type TableRecord } from './state.ts';
import { type BackupRecord, backupKey, copiesOf, encodeBackup, itemsOfBackup } from './state-backups.ts';
import { StoredItem } from './stored-item.ts';
import { streamKind, tendStream } from './stream-life.ts';
import type { Table } from './tables.ts';

/** What DynamoDB does by itself. Job payloads are JSON. */
const fillKind = 'dynamodb.fill';
const removeKind = 'dynamodb.remove';
const expireKind = 'dynamodb.expire';

/** While what is to be removed is still being copied. */
const copiedAgainMs = 1_000;

/** Items that one commit enters into an index or removes. */
const chunk = 100;

interface TablePayload {
  readonly account: string;
  readonly region: string;
  readonly name: string;
  readonly id: number;
}

interface IndexPayload extends TablePayload {
  readonly indexId: number;
}

type RemovePayload =
  /** Without an index: everything of the table. */
  | { readonly id: number; readonly indexId?: number }
  /** With the place of its record, if that is to go as well. */
  | { readonly backup: string; readonly record?: { readonly account: string; readonly region: string } };

/** Ends what a table is in the middle of: being created, updated or deleted. */
export function tableJob(record: TableRecord, dueAtMs: number): DueWrite {
  return scheduleJob(tableKind, String(record.id), dueAtMs, json(payloadOf(record)));
}

/** Enters the items that are there already into a new index, or into the expiries. */
export function backfillJob(record: TableRecord, indexId: number, dueAtMs: number): DueWrite {
  const payload: IndexPayload = { ...payloadOf(record), indexId };
  return scheduleJob(fillKind, `${record.id}.${indexId}`, dueAtMs, json(payload));
}

/** Clears away what stands under an index's number that nobody reads any more. */
export function removeIndexJob(id: number, indexId: number, dueAtMs: number): DueWrite {
  return scheduleJob(removeKind, `${id}.${indexId}`, dueAtMs, json({ id, indexId } satisfies RemovePayload));
}

function removeTableJob(id: number, dueAtMs: number): DueWrite {
  return scheduleJob(removeKind, String(id), dueAtMs, json({ id } satisfies RemovePayload));
}

/** Clears away a backup's items. */
export function removeBackupJob(id: string, dueAtMs: number): DueWrite {
  return scheduleJob(removeKind, `backup ${id}`, dueAtMs, json({ backup: id } satisfies RemovePayload));
}

/** Clears away a system backup when its time is over. */
function expireBackupJob(backup: BackupRecord): DueWrite {
  const { id, table, expiresAtMs } = backup;
  const { account, region } = table;
  const payload: RemovePayload = { backup: id, record: { account, region } };
  return scheduleJob(removeKind, `backup ${id}`, expiresAtMs!, json(payload));
}

function expireJob(record: TableRecord, dueAtMs: number): DueWrite {
  return scheduleJob(expireKind, String(record.id), dueAtMs, json(payloadOf(record)));
}

export function startWork(env: Environment): void {
  const { agenda } = env.platform;
  const handler = (run: (env: Environment, job: Job) => Promise<void>) => ({
    concurrency: 4,
    leaseMs: 30_000,
    run: (job: Job) => run(env, job),
  });
  agenda.handle(tableKind, handler(settleTable));
  agenda.handle(fillKind, handler(fill));
  agenda.handle(removeKind, handler(remove));
  agenda.handle(expireKind, handler(expire));
  agenda.handle(streamKind, handler(tendStream));
  agenda.handle(historyKind, handler(tendHistory));
  agenda.handle(copyKind, handler(copy));
  agenda.handle(exportKind, handler(runExport));
}

async function settleTable(env: Environment, job: Job): Promise<void> {
  const { clock } = env.platform;
  for (;;) {
    const table = await tableOfJob(env, job);
    if (table === undefined || table.record.status === 'ACTIVE') return finish(env, job);
    const { record } = table;
    const nowMs = clock.now();
    const leaving = record.indexes.filter(({ status }) => status === 'DELETING');
    const isGone = record.status === 'DELETING';
    const done = await commitFor(env, table, {
      checks: [table.check],
      settle: [job.done()],
      ...(isGone
        ? removed(env, table, nowMs)
        : {
            set: [{ key: table.key, value: encodeRecord(settledRecord(record)) }],
            schedule: leaving.map(({ id }) => removeIndexJob(record.id, id, nowMs)),
          }),
    });
    if (done) return;
  }
}

/** What a table leaves behind: where point-in-time recovery was on, a backup for as long as AWS keeps it. */
function removed(env: Environment, { key, record }: Table, nowMs: number): Pick<Commit, 'set' | 'delete' | 'schedule'> {
  const { id, name, account, region, recovery } = record;
  const gone = { delete: [key], schedule: [removeTableJob(id, nowMs)] };
  if (recovery === undefined) return gone;
  const backup: BackupRecord = {
    id: backupIdOf(nowMs, env.platform.random.hex(8)),
    name: `${name}$DeletedTableBackup`,
    type: 'SYSTEM',
    status: 'CREATING',
    createdAtMs: nowMs,
    expiresAtMs: nowMs + env.limits.recoveryDays * dayMs,
    count: 0,
    bytes: 0,
    table: { ...record, status: 'ACTIVE' },
  };
  const job = copyJob(record, { table: name, id, atMs: nowMs }, { backup: backup.id }, nowMs);
  return {
    delete: gone.delete,
    set: [...job.set, { key: backupKey(account, region, backup.id), value: encodeBackup(backup) }],
    schedule: [...gone.schedule, ...job.schedule, expireBackupJob(backup)],
  };
}

const dayMs = 86_400_000;

/** Writes go on meanwhile and see to their own entries; this one leaves alone what is there. */
async function fill(env: Environment, job: Job): Promise<void> {
  const { store, clock } = env.platform;
  const { indexId } = payloadIn<IndexPayload>(job);
  const first = await tableOfJob(env, job);
  if (first === undefined) return finish(env, job);
  const { end, start } = prefixRange(first.prefix);
  let from = start;
  while (!job.signal.aborted) {
    const table = await tableOfJob(env, job);
    if (table === undefined || !isFilling(table.record, indexId)) return finish(env, job);
    const entries = await store.list({ start: from, end }, { limit: chunk, maxBytes: 1024 * 1024 });
    if (entries.length === 0) {
      const filled = filledRecord(table.record, indexId);
      const done = await commitFor(env, table, {
        checks: [table.check],
        set: [{ key: table.key, value: encodeRecord(filled) }],
        settle: [job.done()],
        ...(filled.ttl?.indexId === indexId ? { schedule: [expireJob(filled, clock.now())] } : {}),
      });
      if (done) return;
      continue;
    }
    const items = entries.map((entry) => new StoredItem(entry));
    if (!(await fillItems(env, table, indexId, items))) continue;
    from = nextKey(entries[entries.length - 1]!.key);
  }
}

/** False: something changed meanwhile. */
async function fillItems(
  env: Environment,
  table: Table,
  indexId: number,
  items: readonly StoredItem[],
): Promise<boolean> {
  const { store } = env.platform;
  const { ttl } = table;
  if (ttl !== undefined && table.record.ttl?.indexId === indexId) {
    const set = items.flatMap(({ key, item }) => {
      const seconds = expiryOf(item, ttl.attributeName);
      return seconds === undefined ? [] : [{ key: expiryKey(ttl.prefix, seconds, key), value: key }];
    });
    const checks = [table.check, ...items.map(({ key, version }) => ({ key, version }))];
    return set.length === 0 || commitFor(env, table, { checks, set });
  }
  const index = table.indexes.find(({ record }) => record.id === indexId)!;
  const found = items.flatMap((item) => {
    const entry = entryOf(index, item.key, item);
    return entry === undefined ? [] : [{ item, entry }];
  });
  const known = await store.getMany(found.map(({ entry }) => entry.key));
  const absent = found.filter((_, position) => known[position] === undefined);
  if (absent.length === 0) return true;
  const shard = env.shards.next();
  return commitFor(env, table, {
    checks: [
      table.check,
      ...absent.map(({ item: { key, version } }) => ({ key, version })),
      ...absent.map(({ entry }) => ({ key: entry.key, version: null })),
    ],
    set: absent.map(({ entry }) => ({ key: entry.key, value: entry.value() })),
    sum: [
      { key: index.counters.count[shard]!, delta: absent.length },
      { key: index.counters.bytes[shard]!, delta: absent.reduce((sum, { entry }) => sum + entry.sizeBytes, 0) },
    ],
  });
}

function isFilling({ indexes, ttl }: TableRecord, indexId: number): boolean {
  if (ttl?.indexId === indexId) return ttl.status === 'ENABLING';
  return indexes.some(({ id, status }) => id === indexId && status === 'CREATING');
}

function filledRecord(record: TableRecord, indexId: number): TableRecord {
  if (record.ttl?.indexId === indexId) return { ...record, ttl: { ...record.ttl, status: 'ENABLED' } };
  return {
    ...record,
    indexes: record.indexes.map((index) =>
      index.id === indexId ? { ...index, status: 'ACTIVE', backfilling: false } : index,
    ),
  };
}

async function remove(env: Environment, job: Job): Promise<void> {
  const { store, clock } = env.platform;
  const payload = payloadIn<RemovePayload>(job);
  if ('backup' in payload) {
    const { backup, record } = payload;
    if (record !== undefined) await store.commit({ delete: [backupKey(record.account, record.region, backup)] });
    await removeRange(env, job, prefixRange(itemsOfBackup(backup)));
  } else {
    const { id, indexId } = payload;
    if (indexId === undefined && (await store.count(copiesOf(id))) > 0) {
      await store.commit({ settle: [job.again(clock.now() + copiedAgainMs)] });
      return;
    }
    const ranges = indexId === undefined ? rangesOfTable(id) : rangesOfIndex(id, indexId);
    for (const range of ranges) await removeRange(env, job, range);
  }
  if (!job.signal.aborted) await finish(env, job);
}

async function removeRange(env: Environment, job: Job, range: KeyRange): Promise<void> {
  const { store } = env.platform;
  while (!job.signal.aborted) {
    const entries = await store.list(range, { limit: chunk * 5, maxBytes: 4 * 1024 * 1024 });
    if (entries.length === 0) return;
    await store.commit({ delete: entries.map(({ key }) => key) });
  }
}

/** Deletes what has expired: an item is judged by what it holds now, whatever the entry says. */
async function expire(env: Environment, job: Job): Promise<void> {
  const { store, clock } = env.platform;
  while (!job.signal.aborted) {
    const table = await tableOfJob(env, job);
    if (table?.ttl === undefined || table.record.status === 'DELETING') return finish(env, job);
    const nowMs = clock.now();
    const nowSeconds = Math.floor(nowMs / 1000);
    const due = await store.list(expiriesUntil(table.ttl.prefix, nowSeconds), { limit: chunk });
    if (due.length === 0) {
      await store.commit({ settle: [job.again(nowMs + delays.ttlSweepMs)] });
      return;
    }
    for (const entry of due) await expireItem(env, table, entry.key, entry.value, nowMs);
  }
}

async function expireItem(env: Environment, table: Table, expiry: Buffer, key: Buffer, nowMs: number): Promise<void> {
  const { store } = env.platform;
  const entry = await store.get(key);
  const old = entry && new StoredItem(entry);
  const seconds = old && expiryOf(old.item, table.ttl!.attributeName);
  const dueAtMs = (seconds ?? Number.POSITIVE_INFINITY) * 1000;
  const isExpired = dueAtMs <= nowMs && dueAtMs > nowMs - env.limits.ttlOldestMs;
  if (old === undefined || !isExpired) {
    // The entry is stale, or of something that expired too long ago to be deleted; the item's version guards it.
    await store.commit({ checks: [{ key, version: old?.version ?? null }], delete: [expiry] });
    return;
  }
  const writes = new Writes(env);
  const missing = await missingEntries(store, table, keyOfItem(table, old.item), old);
  writes.change(table, key, old, undefined, missing, true);
  await commitFor(env, table, writes.toCommit());
}

async function commitFor(env: Environment, table: Table, commit: Commit): Promise<boolean> {
  const result = await env.platform.store.commit(commit);
  const isTableChanged = commit.set?.some(({ key }) => key === table.key) || commit.delete?.includes(table.key);
  if (!result.ok || isTableChanged) env.tables.forget(table);
  return result.ok;
}

async function finish(env: Environment, job: Job): Promise<void> {
  await env.platform.store.commit({ settle: [job.done()] });
}

/** The table of the job as it is now; undefined if that one is gone. */
async function tableOfJob(env: Environment, job: Job): Promise<Table | undefined> {
  const payload = payloadIn<TablePayload>(job);
  const table = await env.tables.read(payload, payload.name);
  return table?.record.id === payload.id ? table : undefined;
}

function payloadOf({ account, region, name, id }: TableRecord): TablePayload {
  return { account, region, name, id };
}

function payloadIn<T>(job: Job): T {
  return JSON.parse(job.payload.toString('utf8')) as T;
}

function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}
