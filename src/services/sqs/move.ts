import type { Job } from '../../kernel/agenda/agenda.ts';
import type { ClaimedEntry, Commit, Entry } from '../../kernel/store/contract.ts';
import type { Environment } from './environment.ts';
import { partitionOf, partitionsOf, tenantEntryId } from './fair.ts';
import { planGroupMoves } from './fifo/move.ts';
import { carriedExtras, decodeMessage, type StoredMessage, withExtras } from './message.ts';
import type { Queue } from './queues.ts';
import { isExpired } from './rules/receive.ts';
import { queueArn } from './rules/redrive.ts';
import { activeTaskKey, decodeRecord, encodeRecord, type MoveTaskRecord, taskKey } from './state.ts';

/** For how long a run hides what it is about to move. A run that dies leaves it hidden for so long. */
const claimMs = 10_000;
const mostPerRun = 100;

/** The payload of a move job: where its record is. */
export interface MovePayload {
  readonly account: string;
  readonly region: string;
  readonly source: string;
  readonly taskId: string;
}

/**
 * One step of a move task: claims some messages of the source, and in one commit moves them, adds them to the progress and
 * schedules the next step. So each message is moved once, whenever the process dies.
 */
export async function runMoveTask(env: Environment, job: Job): Promise<void> {
  const { store, clock } = env.platform;
  const { account, region, source, taskId } = JSON.parse(job.payload.toString('utf8')) as MovePayload;
  const key = taskKey(account, region, source, taskId);
  const entry = await store.get(key);
  const task = entry === undefined ? undefined : decodeRecord<MoveTaskRecord>(entry.value);
  if (entry === undefined || task?.status !== 'RUNNING') {
    await store.commit({ settle: [job.done()] });
    return;
  }
  const nowMs = clock.now();
  const from = await env.queues.read(account, region, source);
  if (from === undefined || from.record.id !== task.sourceId) {
    await finish(env, job, entry, { ...task, status: 'FAILED', failureReason: nonExistentQueue });
    return;
  }
  if (nowMs >= task.startedAtMs + env.limits.moveTaskMs) {
    await finish(env, job, entry, { ...task, status: 'FAILED', failureReason: 'MaximumRunTimeExceeded' });
    return;
  }
  if (from.config.fifo !== undefined) return moveGroups(env, job, entry, task, from);
  const died = job.attempt > task.runs + 1;
  const strandedUntilMs = died ? Math.max(task.strandedUntilMs, nowMs + claimMs) : task.strandedUntilMs;
  const perSecond = movesPerSecond(env, task);
  const claimed: ClaimedEntry[] = [];
  const most = Math.min(mostPerRun, perSecond);
  for (const partition of await partitionsOf(store, from)) {
    if (claimed.length >= most) break;
    const limit = most - claimed.length;
    claimed.push(...(await store.claim({ partition, dueByMs: nowMs, untilMs: nowMs + claimMs, limit })));
  }
  // The agenda counts this run already when it runs again: the next one's attempt must not look like a death.
  const after: MoveTaskRecord = { ...task, runs: job.attempt, strandedUntilMs };
  if (claimed.length === 0) {
    if (strandedUntilMs > nowMs) {
      await store.commit({ checks: [check(entry)], set: [write(entry, after)], settle: [job.again(strandedUntilMs)] });
    } else {
      await finish(env, job, entry, { ...after, status: 'COMPLETED' });
    }
    return;
  }
  const plan = await planMoves(env, task, from, claimed, nowMs);
  if ('failure' in plan) {
    await giveBack(env, from, claimed);
    await finish(env, job, entry, { ...after, status: 'FAILED', failureReason: plan.failure });
    return;
  }
  const pauseMs = perSecond === Number.POSITIVE_INFINITY ? 0 : Math.ceil((claimed.length / perSecond) * 1000);
  const result = await store.commit({
    ...plan.commit,
    checks: [check(entry), ...(plan.commit.checks ?? [])],
    set: [write(entry, { ...after, moved: task.moved + plan.moved })],
    // The job's own settlement comes first, so that losing it shows as such.
    settle: [job.again(nowMs + pauseMs), ...(plan.commit.settle ?? [])],
  });
  if (result.ok) return;
  // Cancelled, or a destination changed meanwhile: nothing was moved, and the next run sees what is to be done.
  await giveBack(env, from, claimed);
  for (const queue of plan.destinations) env.queues.forget(queue);
  await store.commit({ settle: [job.again(nowMs)] });
}

/** The same for a FIFO queue, whose messages are not claimed: nothing is stranded by a run that dies. */
async function moveGroups(env: Environment, job: Job, entry: Entry, task: MoveTaskRecord, from: Queue): Promise<void> {
  const { clock } = env.platform;
  const nowMs = clock.now();
  const perSecond = movesPerSecond(env, task);
  const moves = await planGroupMoves(env, from, Math.min(mostPerRun, perSecond), (message) =>
    destinationOf(env, task, message),
  );
  try {
    if (moves.failure !== undefined && moves.moved === 0) {
      await finish(env, job, entry, { ...task, status: 'FAILED', failureReason: moves.failure });
      return;
    }
    if (moves.moved === 0) {
      await finish(env, job, entry, { ...task, status: 'COMPLETED' });
      return;
    }
    const pauseMs = perSecond === Number.POSITIVE_INFINITY ? 0 : Math.ceil((moves.moved / perSecond) * 1000);
    const done = await moves.commit({
      checks: [check(entry)],
      set: [write(entry, { ...task, runs: job.attempt, moved: task.moved + moves.moved })],
      settle: [job.again(nowMs + pauseMs)],
    });
    // Lost against a sender, or cancelled: the next run sees what is to be done.
    if (!done) await env.platform.store.commit({ settle: [job.again(nowMs)] });
  } finally {
    moves.letGo();
  }
}

function movesPerSecond(env: Environment, task: MoveTaskRecord): number {
  return Math.min(task.maxPerSecond ?? env.limits.moveRate, env.limits.moveRate);
}

/** The task's destination, or the queue that the message came from. */
async function destinationOf(
  env: Environment,
  task: MoveTaskRecord,
  message: StoredMessage,
): Promise<{ readonly queue: Queue } | { readonly failure: string }> {
  const arn = task.destinationArn ?? message.extras.deadLetterSourceArn;
  if (arn === undefined) return { failure: 'CouldNotDetermineMessageSource' };
  const queue = await findByArn(env, arn);
  return queue === undefined ? { failure: nonExistentQueue } : { queue };
}

const nonExistentQueue = 'AWS.SimpleQueueService.NonExistentQueue';

/** The messages' ways: to the task's destination, or each to the queue that it came from. */
async function planMoves(
  env: Environment,
  task: MoveTaskRecord,
  from: Queue,
  claimed: readonly ClaimedEntry[],
  nowMs: number,
): Promise<
  | { readonly failure: string }
  | { readonly commit: Commit; readonly moved: number; readonly destinations: readonly Queue[] }
> {
  const { random } = env.platform;
  const destinations = new Map<string, Queue>();
  const schedule: NonNullable<Commit['schedule']>[number][] = [];
  const counts = new Map<Queue, number>();
  for (const entry of claimed) {
    const message = decodeMessage(entry.value);
    if (isExpired(message.sentAtMs, nowMs, from.config.retentionMs)) continue;
    const arn = task.destinationArn ?? message.extras.deadLetterSourceArn ?? '';
    const known = destinations.get(arn);
    const found = known === undefined ? await destinationOf(env, task, message) : { queue: known };
    if ('failure' in found) return found;
    const to = found.queue;
    destinations.set(arn, to);
    const messageId = random.uuid();
    schedule.push({
      partition: to.partition,
      id: tenantEntryId(env.entryIds.next(nowMs, messageId), message.extras.groupId, false),
      dueAtMs: nowMs,
      value: withExtras(message, carriedExtras(message.extras), { messageId, sentAtMs: nowMs }),
    });
    counts.set(to, (counts.get(to) ?? 0) + 1);
  }
  return {
    destinations: [...destinations.values()],
    moved: schedule.length,
    commit: {
      checks: [...counts.keys()].map((queue) => queue.check),
      settle: claimed.map(({ id, token }) => ({ partition: partitionOf(from, id), id, token })),
      schedule,
      sum: [
        { key: env.queues.counter(from), delta: -claimed.length },
        ...[...counts].map(([queue, delta]) => ({ key: env.queues.counter(queue), delta })),
      ],
    },
  };
}

async function findByArn(env: Environment, text: string): Promise<Queue | undefined> {
  const arn = queueArn(text);
  return arn === undefined ? undefined : env.queues.find(arn.account, arn.region, arn.resource);
}

/** Makes claimed messages visible again. Each by itself: one that someone else has by now must not keep back the others. */
async function giveBack(env: Environment, from: Queue, claimed: readonly ClaimedEntry[]): Promise<void> {
  for (const { id, token, wasDueAtMs } of claimed) {
    await env.platform.store.commit({ settle: [{ partition: partitionOf(from, id), id, token, dueAtMs: wasDueAtMs }] });
  }
}

async function finish(env: Environment, job: Job, entry: Entry, task: MoveTaskRecord): Promise<void> {
  await env.platform.store.commit({
    checks: [check(entry)],
    set: [write(entry, task)],
    delete: [activeTaskKey(task.account, task.region, task.sourceName)],
    settle: [job.done()],
  });
}

function check(entry: Entry): { key: Buffer; version: number } {
  return { key: entry.key, version: entry.version };
}

function write(entry: Entry, task: MoveTaskRecord): { key: Buffer; value: Buffer } {
  return { key: entry.key, value: encodeRecord(task) };
}
