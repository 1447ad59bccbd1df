import { type Job, scheduleJob } from '../../kernel/agenda/agenda.ts';
import type { DueWrite } from '../../kernel/store/contract.ts';
import type { Environment } from './environment.ts';
import { positionAtTime } from './log-times.ts';
import { timeOfPast } from './rules/history.ts';
import type { TableRecord } from './state.ts';
import { copiesOf, historyLog } from './state-backups.ts';

/** The log of what items were, kept while point-in-time recovery is on or a backup is being made. */
export const historyKind = 'dynamodb.history';

const sweepEveryMs = 6 * 3_600_000;
const dayMs = 86_400_000;
const againMs = 5_000;

interface HistoryPayload {
  readonly account: string;
  readonly region: string;
  readonly name: string;
  readonly id: number;
  readonly sinceMs: number;
}

/** The table as one whose history is needed, and the jobs to be written with it. */
export function withHistory(
  record: TableRecord,
  nowMs: number,
): { readonly record: TableRecord; readonly schedule: readonly DueWrite[] } {
  if (record.history !== undefined) return { record, schedule: [] };
  const changed: TableRecord = { ...record, history: { sinceMs: nowMs } };
  return { record: changed, schedule: [historyJob(changed, nowMs, nowMs + sweepEveryMs)] };
}

/** The table without its history, if nothing needs it any more. */
export function withoutNeedlessHistory(
  record: TableRecord,
  nowMs: number,
): { readonly record: TableRecord; readonly schedule: readonly DueWrite[] } {
  const { history, ...others } = record;
  const isNeeded = record.recovery !== undefined || (record.backupsUnderWay ?? []).length > 0;
  if (history === undefined || isNeeded) return { record, schedule: [] };
  return { record: others, schedule: [historyJob(record, history.sinceMs, nowMs)] };
}

/** Clears away what is older than anyone may restore, and everything when the table needs its history no more. */
export async function tendHistory(env: Environment, job: Job): Promise<void> {
  const { store, clock } = env.platform;
  const { account, region, name, id, sinceMs } = JSON.parse(job.payload.toString('utf8')) as HistoryPayload;
  const log = historyLog(id, sinceMs);
  const table = await env.tables.read({ account, region }, name);
  const nowMs = clock.now();
  if (table?.record.id !== id || table.record.history?.sinceMs !== sinceMs) {
    if ((await store.count(copiesOf(id))) > 0) {
      await store.commit({ settle: [job.again(nowMs + againMs)] });
      return;
    }
    await store.commit({ trim: [{ log, before: await store.nextPosition(log) }], settle: [job.done()] });
    return;
  }
  // A day more than may be restored: a restore to the edge of it may be under way.
  const days = (table.record.recovery?.days ?? env.limits.recoveryDays) + 1;
  const before = await positionAtTime(store, log, 1, nowMs - days * dayMs, timeOfPast);
  await store.commit({ trim: [{ log, before }], settle: [job.again(nowMs + sweepEveryMs)] });
}

function historyJob({ account, region, name, id }: TableRecord, sinceMs: number, dueAtMs: number): DueWrite {
  const payload: HistoryPayload = { account, region, name, id, sinceMs };
  return scheduleJob(historyKind, `${id}.${sinceMs}`, dueAtMs, Buffer.from(JSON.stringify(payload)));
}
