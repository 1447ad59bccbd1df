import type { Job } from '../../kernel/agenda/agenda.ts';
import type { ClaimedEntry, Commit, Entry } from '../../kernel/store/contract.ts';
import type { Environment } from './environment.ts';
import { decodeMessage, type MessageExtras, withExtras } from './message.ts';
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
  const died = job.attempt > task.runs + 1;
  const strandedUntilMs = died ? Math.max(task.strandedUntilMs, nowMs + claimMs) : task.strandedUntilMs;
  const perSecond = Math.min(task.maxPerSecond ?? env.limits.moveRate, env.limits.moveRate);
  const claimed = await store.claim({
    partition: from.partition,
    dueByMs: nowMs,
    untilMs: nowMs + claimMs,
    limit: Math.min(mostPerRun, perSecond),
  });
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
    const arn = task.destinationArn ?? message.extras.deadLetterSourceArn;
    if (arn === undefined) return { failure: 'CouldNotDetermineMessageSource' };
    const to = destinations.get(arn) ?? (await findByArn(env, arn));
    if (to === undefined) return { failure: nonExistentQueue };
    destinations.set(arn, to);
    const messageId = random.uuid();
    schedule.push({
      partition: to.partition,
      id: env.entryIds.next(nowMs, messageId),
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
      settle: claimed.map(({ id, token }) => ({ partition: from.partition, id, token })),
      schedule,
      sum: [
        { key: env.queues.counter(from), delta: -claimed.length },
        ...[...counts].map(([queue, delta]) => ({ key: env.queues.counter(queue), delta })),
      ],
    },
  };
}

/** A moved message is a new one: its history stays behind. */
function carriedExtras({ attributes, traceHeader, groupId }: MessageExtras): MessageExtras {
  return {
    ...(attributes === undefined ? {} : { attributes }),
    ...(traceHeader === undefined ? {} : { traceHeader }),
    ...(groupId === undefined ? {} : { groupId }),
  };
}

async function findByArn(env: Environment, text: string): Promise<Queue | undefined> {
  const arn = queueArn(text);
  return arn === undefined ? undefined : env.queues.find(arn.account, arn.region, arn.resource);
}

/** Makes claimed messages visible again. Each by itself: one that someone else has by now must not keep back the others. */
async function giveBack(env: Environment, from: Queue, claimed: readonly ClaimedEntry[]): Promise<void> {
  for (const { id, token, wasDueAtMs } of claimed) {
    await env.platform.store.commit({ settle: [{ partition: from.partition, id, token, dueAtMs: wasDueAtMs }] });
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
