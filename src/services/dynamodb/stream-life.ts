import { type Job, scheduleJob } from '../../kernel/agenda/agenda.ts';
import type { Commit, DueWrite, Store } from '../../kernel/store/contract.ts';
import type { Environment } from './environment.ts';
import { delays } from './limits.ts';
import type { StreamView } from './rules/change-record.ts';
import { shardCount } from './rules/shards.ts';
import { encodeRecord, type OpenStream, type TableRecord } from './state.ts';
import {
  decodeStream,
  encodeStream,
  type GenerationRecord,
  type StreamRecord,
  streamKey,
  streamLog,
  streamSlots,
} from './state-streams.ts';
import { oldestPosition, shardsOf } from './streams.ts';
import type { Table } from './tables.ts';

/** Streams begin and end with what happens to their tables; their shards are closed, opened and swept by a job. */
export const streamKind = 'dynamodb.stream';
/** Expired records are judged when they are read; this is how often they leave the disk. */
const sweepEveryMs = 3_600_000;

interface StreamPayload {
  readonly account: string;
  readonly region: string;
  readonly tableName: string;
  readonly label: string;
}

/** The table with a stream opened on it, and what its commit needs beside. */
export function openStream(
  record: TableRecord,
  viewType: StreamView,
  nowMs: number,
): { readonly record: TableRecord; readonly more: Pick<Commit, 'set' | 'schedule'> } {
  const { account, region, name: tableName, id: tableId, keySchema } = record;
  const label = new Date(nowMs).toISOString().slice(0, -1);
  const shards = shardCount(record.billingMode, record.throughput);
  const starts = Array.from({ length: shards }, () => 1);
  const stream: StreamRecord = {
    tableId,
    tableName,
    account,
    region,
    label,
    viewType,
    keySchema,
    createdAtMs: nowMs,
    generations: [{ openedAtMs: nowMs, slot: 0, starts }],
  };
  return {
    record: { ...record, stream: { label, viewType, slot: 0, shards }, lastStreamLabel: label },
    more: {
      set: [{ key: streamKey(account, region, tableName, label), value: encodeStream(stream) }],
      schedule: [streamJob(stream, nowMs + Math.min(delays.shardOpenMs, sweepEveryMs))],
    },
  };
}

/** The table without its stream, which can be read for another day, and what its commit needs beside. */
export async function closeStream(
  store: Store,
  record: TableRecord,
  nowMs: number,
): Promise<{ readonly record: TableRecord; readonly more: Pick<Commit, 'checks' | 'set'> }> {
  const { stream: open, ...others } = record;
  if (open === undefined) return { record, more: {} };
  const { key, version, stream } = (await readStream(store, { ...record, tableName: record.name, label: open.label }))!;
  const generations = closed(stream.generations, nowMs);
  return {
    record: others,
    more: {
      checks: [{ key, version }],
      set: [{ key, value: encodeStream({ ...stream, disabledAtMs: nowMs, generations }) }],
    },
  };
}

/** Closes shards that have been open for long, and clears away what has expired. */
export async function tendStream(env: Environment, job: Job): Promise<void> {
  const { store, clock } = env.platform;
  const payload = JSON.parse(job.payload.toString('utf8')) as StreamPayload;
  for (;;) {
    const found = await readStream(store, payload);
    if (found === undefined) return void (await store.commit({ settle: [job.done()] }));
    const { key, version, stream } = found;
    const nowMs = clock.now();
    const horizonMs = nowMs - env.limits.streamRetentionMs;
    if (stream.disabledAtMs !== undefined && stream.disabledAtMs < horizonMs) {
      const trim = await trims(store, stream, Number.POSITIVE_INFINITY);
      const gone = await store.commit({ checks: [{ key, version }], delete: [key], trim, settle: [job.done()] });
      if (gone.ok) return;
      continue;
    }
    const trim = await trims(store, stream, horizonMs);
    const alive = stream.generations.filter(({ closedAtMs }) => closedAtMs === undefined || closedAtMs >= horizonMs);
    const rotation = await rotated(env, stream, alive, nowMs);
    const after: StreamRecord = { ...stream, generations: rotation?.generations ?? alive };
    const latest = after.generations.at(-1);
    const closesAtMs =
      latest === undefined || latest.closedAtMs !== undefined
        ? Number.POSITIVE_INFINITY
        : latest.openedAtMs + delays.shardOpenMs;
    const result = await store.commit({
      checks: [{ key, version }, ...(rotation?.checks ?? [])],
      set: [{ key, value: encodeStream(after) }, ...(rotation?.set ?? [])],
      trim,
      settle: [job.again(Math.min(nowMs + sweepEveryMs, closesAtMs))],
    });
    if (rotation !== undefined) env.tables.forget(rotation.table);
    if (result.ok) return;
  }
}

function streamJob({ account, region, tableName, label }: StreamPayload, dueAtMs: number): DueWrite {
  const payload: StreamPayload = { account, region, tableName, label };
  const key = [account, region, tableName, label].join(' ');
  return scheduleJob(streamKind, key, dueAtMs, Buffer.from(JSON.stringify(payload)));
}

async function readStream(store: Store, { account, region, tableName, label }: StreamPayload) {
  const key = streamKey(account, region, tableName, label);
  const entry = await store.get(key);
  return entry && { key, version: entry.version, stream: decodeStream(entry.value) };
}

/** The open shards closed and their children opened, when it is time; the table changes with it, so that no writer misses it. */
async function rotated(
  env: Environment,
  stream: StreamRecord,
  alive: readonly GenerationRecord[],
  nowMs: number,
): Promise<(Required<Pick<Commit, 'checks' | 'set'>> & { generations: GenerationRecord[]; table: Table }) | undefined> {
  const open = alive.at(-1);
  if (open === undefined || open.closedAtMs !== undefined || nowMs < open.openedAtMs + delays.shardOpenMs)
    return undefined;
  const table = await env.tables.read(stream, stream.tableName);
  if (table?.record.stream?.label !== stream.label) return undefined;
  const { record } = table;
  const shards = shardCount(record.billingMode, record.throughput, open.starts.length);
  const slot = (open.slot + 1) % streamSlots;
  const logs = Array.from({ length: shards }, (_, shard) => streamLog(stream.tableId, stream.label, slot, shard));
  const starts = await Promise.all(logs.map((log) => env.platform.store.nextPosition(log)));
  const next: OpenStream = { ...table.record.stream, slot, shards };
  return {
    table,
    generations: [...closed(alive, nowMs), { openedAtMs: nowMs, slot, starts }],
    checks: [table.check],
    set: [{ key: table.key, value: encodeRecord({ ...record, stream: next }) }],
  };
}

function closed(generations: readonly GenerationRecord[], nowMs: number): readonly GenerationRecord[] {
  return generations.map((one) => (one.closedAtMs === undefined ? { ...one, closedAtMs: nowMs } : one));
}

/** What has expired in the logs of a stream, closed shards and open ones. */
async function trims(store: Store, stream: StreamRecord, horizonMs: number): Promise<NonNullable<Commit['trim']>> {
  const found = await Promise.all(
    shardsOf(stream, Number.NEGATIVE_INFINITY).map(async (shard) => {
      const [first] = await store.readLog(shard.log, shard.first, 1);
      const before = first === undefined ? 0 : await oldestPosition(store, shard, horizonMs);
      return first === undefined || before <= first.position ? [] : [{ log: shard.log, before }];
    }),
  );
  return found.flat();
}
