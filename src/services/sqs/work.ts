import { type Job, type JobHandler, scheduleJob } from '../../kernel/agenda/agenda.ts';
import type { DueWrite, Key } from '../../kernel/store/contract.ts';
import type { Environment } from './environment.ts';
import { partitionsOf, readLanes } from './fair.ts';
import { redelayGroups, removeGroups, sweepGroups } from './fifo/clearing.ts';
import { forgetEpoch, forgetKind } from './fifo/remembered.ts';
import { sentAtOf } from './message.ts';
import { runMoveTask } from './move.ts';
import type { Queue } from './queues.ts';
import { isExpired } from './rules/receive.ts';
import { countersOf, decodeRecord, messagesOf, type QueueRecord, type TombstoneRecord, tombstoneKey } from './state.ts';

/** What SQS does by itself. Job payloads are JSON. */
const sweepKind = 'sqs.sweep';
const removeKind = 'sqs.remove';
export const moveKind = 'sqs.move';
const redelayKind = 'sqs.redelay';

/** Entries that one commit removes. */
const chunk = 200;
/** Sweeps of one queue are at least so far apart, and at most a hundredth of the retention period. */
const longestSweepPauseMs = 60_000;

interface SweepPayload {
  readonly account: string;
  readonly region: string;
  readonly name: string;
  readonly id: string;
}

interface RemovePayload extends SweepPayload {
  readonly generation: number;
  /** When the name of a deleted queue is free again; undefined after a purge. */
  readonly freeAtMs?: number;
}

/** The one sweeper of a queue: it drops what is past retention although nobody asks for it. */
export function sweepJob(record: QueueRecord, dueAtMs: number): DueWrite {
  const { account, region, name, id } = record;
  const payload: SweepPayload = { account, region, name, id };
  return scheduleJob(sweepKind, id, dueAtMs, Buffer.from(JSON.stringify(payload)));
}

/** Lets a FIFO queue's new delay hold for the messages that wait by the old one. */
export function redelayJob(record: QueueRecord, dueAtMs: number): DueWrite {
  const { account, region, name, id } = record;
  const payload: SweepPayload = { account, region, name, id };
  return scheduleJob(redelayKind, id, dueAtMs, Buffer.from(JSON.stringify(payload)));
}

/** Clears away the messages of a generation that nobody can reach any more, after a purge or a deletion. */
export function removeJob(record: QueueRecord, dueAtMs: number, freeAtMs?: number): DueWrite {
  const { account, region, name, id, generation } = record;
  const payload: RemovePayload = {
    account,
    region,
    name,
    id,
    generation,
    ...(freeAtMs === undefined ? {} : { freeAtMs }),
  };
  return scheduleJob(removeKind, `${id}.${generation}`, dueAtMs, Buffer.from(JSON.stringify(payload)));
}

export function startWork(env: Environment): void {
  const { agenda } = env.platform;
  const handler = (concurrency: number, run: (env: Environment, job: Job) => Promise<void>): JobHandler => ({
    concurrency,
    leaseMs: 30_000,
    run: (job) => run(env, job),
  });
  agenda.handle(sweepKind, handler(2, sweep));
  agenda.handle(removeKind, handler(2, remove));
  agenda.handle(moveKind, handler(16, runMoveTask));
  agenda.handle(forgetKind, handler(2, forgetEpoch));
  agenda.handle(redelayKind, handler(2, redelay));
}

/**
 * Walks from the front of the queue, where the oldest messages are, as long as they are expired. Only a claim gives a
 * fence against receivers, so exactly those are claimed and removed. It comes again when the message now in front expires,
 * and if there is none, when one sent now would: a queue that nobody sends to costs one look per retention period.
 */
async function sweep(env: Environment, job: Job): Promise<void> {
  const { store, clock } = env.platform;
  const { account, region, name, id } = JSON.parse(job.payload.toString('utf8')) as SweepPayload;
  const queue = await env.queues.read(account, region, name);
  if (queue === undefined || queue.record.id !== id) {
    await store.commit({ settle: [job.done()] });
    return;
  }
  const oldest =
    queue.config.fifo === undefined
      ? await Promise.all(
          (await partitionsOf(store, queue)).map((partition) => sweepPartition(env, queue, partition, job.signal)),
        )
      : [await sweepGroups(env, queue, job.signal)];
  const oldestMs = Math.min(...oldest.map((sentAtMs) => sentAtMs ?? Number.POSITIVE_INFINITY));
  await store.commit({ settle: [job.again(nextSweepAtMs(oldestMs, queue.config.retentionMs, clock.now()))] });
}

/** Answers when the message now in front was sent. */
async function sweepPartition(
  env: Environment,
  queue: Queue,
  partition: Key,
  signal: AbortSignal,
): Promise<number | undefined> {
  const { store, clock } = env.platform;
  const { retentionMs } = queue.config;
  for (;;) {
    const nowMs = clock.now();
    const front = await store.listDue(partition, { beforeMs: nowMs + 1, limit: chunk });
    const alive = front.findIndex(({ value }) => !isExpired(sentAtOf(value), nowMs, retentionMs));
    const expired = alive < 0 ? front.length : alive;
    if (expired === 0 || signal.aborted) {
      const oldest = front[alive];
      return oldest === undefined ? undefined : sentAtOf(oldest.value);
    }
    const claimed = await store.claim({
      partition,
      dueByMs: front[expired - 1]!.dueAtMs,
      untilMs: nowMs + 30_000,
      limit: expired,
    });
    const gone = claimed.filter(({ value }) => isExpired(sentAtOf(value), nowMs, retentionMs));
    const kept = claimed.filter((entry) => !gone.includes(entry));
    await store.commit({
      settle: [
        ...gone.map(({ id, token }) => ({ partition, id, token })),
        ...kept.map(({ id, token, wasDueAtMs }) => ({ partition, id, token, dueAtMs: wasDueAtMs })),
      ],
      sum: [{ key: env.queues.counter(queue), delta: -gone.length }],
    });
  }
}

/** `oldestMs`: when the oldest message was sent, infinite if there is none. */
function nextSweepAtMs(oldestMs: number, retentionMs: number, nowMs: number): number {
  const pauseMs = Math.min(longestSweepPauseMs, Math.ceil(retentionMs / 100));
  return Math.max(nowMs + pauseMs, Math.min(oldestMs, nowMs) + retentionMs);
}

async function redelay(env: Environment, job: Job): Promise<void> {
  const { account, region, name, id } = JSON.parse(job.payload.toString('utf8')) as SweepPayload;
  const queue = await env.queues.read(account, region, name);
  if (queue?.record.id === id) await redelayGroups(env, queue, job.signal);
  if (!job.signal.aborted) await env.platform.store.commit({ settle: [job.done()] });
}

async function remove(env: Environment, job: Job): Promise<void> {
  const { store, clock } = env.platform;
  const payload = JSON.parse(job.payload.toString('utf8')) as RemovePayload;
  const lanes = await readLanes(store, payload.id, payload.generation);
  for (const partition of [messagesOf(payload.id, payload.generation), ...lanes.map((lane) => lane.partition)]) {
    while (!job.signal.aborted) {
      const entries = await store.listDue(partition, { limit: chunk });
      if (entries.length === 0) break;
      await store.commit({ settle: entries.map(({ id }) => ({ partition, id })) });
    }
  }
  if (!job.signal.aborted && lanes.length > 0) await store.commit({ delete: lanes.map(({ key }) => key) });
  if (job.signal.aborted || !(await removeGroups(env, payload.id, payload.generation, job.signal))) return;
  const counters = countersOf(payload.id, payload.generation);
  const { freeAtMs } = payload;
  if (freeAtMs === undefined) {
    await store.commit({ delete: counters, settle: [job.done()] });
    return;
  }
  if (clock.now() < freeAtMs) {
    await store.commit({ delete: counters, settle: [job.again(freeAtMs)] });
    return;
  }
  const key = tombstoneKey(payload.account, payload.region, payload.name);
  const tombstone = await store.get(key);
  // A later deletion of another queue of that name has left a tombstone of its own, with a job of its own.
  const own =
    tombstone !== undefined &&
    clock.now() >= decodeRecord<TombstoneRecord>(tombstone.value).deletedAtMs + env.limits.recreateWaitMs;
  await store.commit({
    checks: own ? [{ key, version: tombstone.version }] : [],
    delete: own ? [...counters, key] : counters,
    settle: [job.done()],
  });
}
