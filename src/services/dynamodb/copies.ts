import { type Job, scheduleJob } from '../../kernel/agenda/agenda.ts';
import type { Commit, DueWrite, Entry, Key } from '../../kernel/store/contract.ts';
import { nextKey, prefixRange } from '../../kernel/store/keys.ts';
import { Writes } from './changes.ts';
import type { Environment } from './environment.ts';
import { type ExportPayload, exportJob } from './exports.ts';
import { withoutNeedlessHistory } from './history-life.ts';
import { delays } from './limits.ts';
import { positionAtTime } from './log-times.ts';
import { decodePast, timeOfPast } from './rules/history.ts';
import { encodeRecord, itemsOf, type TableRecord } from './state.ts';
import { backupKey, copyKey, decodeBackup, encodeBackup, historyLog, itemsOfBackup } from './state-backups.ts';
import { StoredItem, sizeOf } from './stored-item.ts';
import type { Table } from './tables.ts';

/**
 * Copies of a table's items as they were at one moment, into a backup or into a new table. All that is there is copied while
 * writes go on, and then what the history tells of later changes is undone, from the latest back to that moment. A copy that is
 * interrupted begins anew: every step may be done twice.
 */
export const copyKind = 'dynamodb.copy';

/** Items of one commit. */
const chunk = 100;
const chunkBytes = 1024 * 1024;

interface CopyPayload {
  readonly account: string;
  readonly region: string;
  readonly from: CopySource;
  readonly to: CopyGoal;
}

type CopyGoal = BackupGoal | { readonly table: string; readonly id: number };

interface BackupGoal {
  readonly backup: string;
  /** The copy goes on to S3 in this name. */
  readonly exportedBy?: ExportPayload['caller'];
}

export type CopySource =
  | { readonly backup: string }
  /** `historySinceMs` is left out where nobody writes any more. */
  | {
      readonly table: string;
      readonly id: number;
      readonly atMs: number;
      readonly historySinceMs?: number;
    };

/** The job of a copy, and the mark that keeps its source on disk. */
export function copyJob(
  { account, region }: { readonly account: string; readonly region: string },
  from: CopySource,
  to: CopyGoal,
  nowMs: number,
): Required<Pick<Commit, 'set' | 'schedule'>> {
  const payload: CopyPayload = { account, region, from, to };
  const name = nameOf(payload);
  const schedule: readonly DueWrite[] = [
    scheduleJob(copyKind, name, nowMs + delays.copyMs, Buffer.from(JSON.stringify(payload))),
  ];
  return { set: 'id' in from ? [{ key: copyKey(from.id, name), value: Buffer.alloc(0) }] : [], schedule };
}

/** Whether a copy's payload says that it is made of this backup. */
export function isCopyOf(payload: Buffer, backup: string): boolean {
  const { from } = JSON.parse(payload.toString('utf8')) as CopyPayload;
  return 'backup' in from && from.backup === backup;
}

/** Does a copy. */
export async function copy(env: Environment, job: Job): Promise<void> {
  const payload = JSON.parse(job.payload.toString('utf8')) as CopyPayload;
  const target = 'backup' in payload.to ? backupTarget(env, payload.to.backup) : await tableTarget(env, payload);
  if (target !== undefined && !(await copyItems(env, payload.from, target, job.signal))) return;
  await finish(env, job, payload);
}

/** Something that items are put into by the suffixes of their keys. */
interface CopyTarget {
  put(items: readonly { readonly suffix: Buffer; readonly value: Buffer | undefined }[]): Promise<void>;
}

/** False: interrupted. */
async function copyItems(
  env: Environment,
  from: CopySource,
  target: CopyTarget,
  signal: AbortSignal,
): Promise<boolean> {
  const { store } = env.platform;
  const prefix = 'backup' in from ? itemsOfBackup(from.backup) : itemsOf(from.id);
  const range = prefixRange(prefix);
  let { start } = range;
  for (;;) {
    if (signal.aborted) return false;
    const entries = await store.list({ start, end: range.end }, { limit: chunk, maxBytes: chunkBytes });
    if (entries.length === 0) break;
    await target.put(entries.map(({ key, value }) => ({ suffix: key.subarray(prefix.length), value })));
    start = nextKey(entries.at(-1)!.key);
  }
  if ('backup' in from || from.historySinceMs === undefined) return true;
  return undoSince(env, historyLog(from.id, from.historySinceMs), from.atMs, target, signal);
}

async function undoSince(
  env: Environment,
  log: Key,
  atMs: number,
  target: CopyTarget,
  signal: AbortSignal,
): Promise<boolean> {
  const { store } = env.platform;
  const first = await positionAtTime(store, log, 1, atMs + 1, timeOfPast);
  for (let end = await store.nextPosition(log); end > first; end -= chunk) {
    if (signal.aborted) return false;
    const from = Math.max(first, end - chunk);
    const entries = await store.readLog(log, from, end - from);
    // The earliest of several changes of one item has the last word.
    const bySuffix = new Map<string, { suffix: Buffer; value: Buffer | undefined }>();
    for (const { value } of entries.toReversed()) {
      const past = decodePast(value);
      if (past.atMs > atMs) bySuffix.set(past.suffix.toString('latin1'), past);
    }
    await target.put([...bySuffix.values()]);
  }
  return true;
}

function backupTarget({ platform: { store } }: Environment, id: string): CopyTarget {
  const prefix = itemsOfBackup(id);
  return {
    async put(items) {
      const keyed = items.map(({ suffix, value }) => ({ key: Buffer.concat([prefix, suffix]), value }));
      await store.commit({
        set: keyed.flatMap(({ key, value }) => (value === undefined ? [] : [{ key, value }])),
        delete: keyed.flatMap(({ key, value }) => (value === undefined ? [key] : [])),
      });
    },
  };
}

/** Nobody else writes to a table that is being restored. Undefined: it is gone. */
async function tableTarget(env: Environment, payload: CopyPayload): Promise<CopyTarget | undefined> {
  const table = await restoredTable(env, payload);
  if (table === undefined) return undefined;
  const { store } = env.platform;
  return {
    async put(items) {
      const keys = items.map(({ suffix }) => Buffer.concat([table.prefix, suffix]));
      const known = await store.getMany(keys);
      const writes = new Writes(env);
      for (const [position, { value }] of items.entries()) {
        const entry = known[position];
        const old = entry && new StoredItem(entry);
        const key = keys[position]!;
        if (old === undefined && value === undefined) continue;
        writes.change(table, key, old, value && new StoredItem({ key, value, version: 0 } satisfies Entry));
      }
      if (writes.tables.length === 0) return;
      const result = await store.commit(writes.toCommit());
      if (!result.ok) throw new Error(`the table ${table.record.name} changed while it was being restored`);
    },
  };
}

async function restoredTable(env: Environment, { account, region, to }: CopyPayload): Promise<Table | undefined> {
  if (!('id' in to)) return undefined;
  const table = await env.tables.read({ account, region }, to.table);
  return table?.record.id === to.id && table.record.status === 'CREATING' ? table : undefined;
}

async function finish(env: Environment, job: Job, payload: CopyPayload): Promise<void> {
  const { store } = env.platform;
  const { from, to } = payload;
  const mark = 'id' in from ? [copyKey(from.id, nameOf(payload))] : [];
  for (;;) {
    const done = 'backup' in to ? await finishedCopy(env, payload, to) : await finishedTable(env, payload);
    const result = await store.commit({ ...done.commit, delete: mark, settle: [job.done()] });
    if (done.table !== undefined) env.tables.forget(done.table);
    if (result.ok) return;
  }
}

interface Finished {
  readonly table: Table | undefined;
  readonly commit: Pick<Commit, 'checks' | 'set' | 'schedule'>;
}

function finishedCopy(
  env: Environment,
  payload: CopyPayload,
  { backup: id, exportedBy: caller }: BackupGoal,
): Promise<Finished> | Finished {
  if (caller === undefined) return finishedBackup(env, payload, id);
  return { table: undefined, commit: { schedule: [exportJob({ id, caller }, env.platform.clock.now())] } };
}

async function finishedBackup(env: Environment, { account, region, from }: CopyPayload, id: string): Promise<Finished> {
  const { store, clock } = env.platform;
  const key = backupKey(account, region, id);
  const entry = await store.get(key);
  if (entry === undefined) return { table: undefined, commit: {} };
  const { count, bytes } = await sizeOfRange(env, itemsOfBackup(id));
  const backup = encodeBackup({ ...decodeBackup(entry.value), status: 'AVAILABLE', count, bytes });
  const commit = { checks: [{ key, version: entry.version }], set: [{ key, value: backup }] };
  const table = 'id' in from ? await env.tables.read({ account, region }, from.table) : undefined;
  if (table === undefined || !('id' in from) || table.record.id !== from.id) return { table: undefined, commit };
  const { backupsUnderWay = [], ...others } = table.record;
  const left = backupsUnderWay.filter((one) => one !== id);
  const without: TableRecord = left.length === 0 ? others : { ...others, backupsUnderWay: left };
  const { record, schedule } = withoutNeedlessHistory(without, clock.now());
  return {
    table,
    commit: {
      checks: [...commit.checks, table.check],
      set: [...commit.set, { key: table.key, value: encodeRecord(record) }],
      schedule,
    },
  };
}

async function finishedTable(env: Environment, payload: CopyPayload): Promise<Finished> {
  const table = await restoredTable(env, payload);
  if (table === undefined) return { table, commit: {} };
  const { record } = table;
  const restore = record.restore && { ...record.restore, isUnderWay: false };
  const active: TableRecord = { ...record, status: 'ACTIVE', ...(restore === undefined ? {} : { restore }) };
  return { table, commit: { checks: [table.check], set: [{ key: table.key, value: encodeRecord(active) }] } };
}

async function sizeOfRange(
  { platform: { store } }: Environment,
  prefix: Key,
): Promise<{ readonly count: number; readonly bytes: number }> {
  const { start, end } = prefixRange(prefix);
  let count = 0;
  let bytes = 0;
  for (let from = start; ; ) {
    const entries = await store.list({ start: from, end }, { limit: chunk * 10, maxBytes: 8 * chunkBytes });
    if (entries.length === 0) return { count, bytes };
    count += entries.length;
    for (const { value } of entries) bytes += sizeOf(value);
    from = nextKey(entries.at(-1)!.key);
  }
}

function nameOf({ account, region, to }: CopyPayload): string {
  return 'backup' in to ? `${account} ${region} ${to.backup}` : String(to.id);
}
