import { prefixRange } from '../../../kernel/store/keys.ts';
import type { Environment } from '../environment.ts';
import type { Queue } from '../queues.ts';
import { isExpired } from '../rules/receive.ts';
import { fifoMessagesOf, leasesOf, rememberedOf, tailsOf } from '../state.ts';
import { pages } from './counts.ts';
import { commitEdits, editGroup, groupOf, lockName } from './group-edit.ts';

const messagesPerLook = 10;
const removedPerCommit = 200;
const bytesPerCommit = 4 * 1024 * 1024;

/**
 * Drops what is past retention at the head of every group. Answers when the oldest message left was sent; undefined if none
 * is. Reads one message of each group: it is the work of one sweeper, at most once a minute.
 */
export async function sweepGroups(env: Environment, queue: Queue, signal: AbortSignal): Promise<number | undefined> {
  const { id, generation } = queue.record;
  let oldestMs: number | undefined;
  for await (const { key } of pages(env.platform.store, prefixRange(tailsOf(id, generation)))) {
    if (signal.aborted) return oldestMs;
    const headMs = await sweepGroup(env, queue, groupOf(key));
    if (headMs !== undefined && (oldestMs === undefined || headMs < oldestMs)) oldestMs = headMs;
  }
  return oldestMs;
}

async function sweepGroup(env: Environment, queue: Queue, group: string): Promise<number | undefined> {
  const { store, clock } = env.platform;
  const letGo = await env.groupLocks.lock(lockName(queue, group));
  try {
    const edit = await editGroup(env, queue, group);
    const nowMs = clock.now();
    let headMs: number | undefined;
    for await (const { sequence, message } of edit.messages(store, messagesPerLook)) {
      const inFlight = edit.leases.some((lease) => lease.sequence === sequence && lease.untilMs > nowMs);
      if (inFlight || !isExpired(message.sentAtMs, nowMs, queue.config.retentionMs)) {
        headMs = message.sentAtMs;
        break;
      }
      edit.remove(sequence);
    }
    if (edit.delta === 0) return headMs;
    await edit.settleDue(store, nowMs);
    // Lost against another process: the next sweep will see.
    await commitEdits(env, [edit]);
    return headMs;
  } finally {
    letGo();
  }
}

/** Removes everything of a generation of a FIFO queue that nobody can reach any more. False if it was told to stop. */
export async function removeGroups(
  env: Environment,
  id: string,
  generation: number,
  signal: AbortSignal,
): Promise<boolean> {
  const { store } = env.platform;
  const prefixes = [
    fifoMessagesOf(id, generation),
    tailsOf(id, generation),
    leasesOf(id, generation),
    ...rememberedOf(id, generation),
  ];
  for (const prefix of prefixes) {
    for (;;) {
      if (signal.aborted) return false;
      const entries = await store.list(prefixRange(prefix), { limit: removedPerCommit, maxBytes: bytesPerCommit });
      if (entries.length === 0) break;
      await store.commit({ delete: entries.map(({ key }) => key) });
    }
  }
  return true;
}

/** Makes groups due by the queue's present delay: theirs alone that no receiver has touched, as others are due by their leases. */
export async function redelayGroups(env: Environment, queue: Queue, signal: AbortSignal): Promise<void> {
  const { store, clock } = env.platform;
  const { id, generation } = queue.record;
  for await (const { key } of pages(store, prefixRange(tailsOf(id, generation)))) {
    if (signal.aborted) return;
    const group = groupOf(key);
    const letGo = await env.groupLocks.lock(lockName(queue, group));
    try {
      const edit = await editGroup(env, queue, group);
      if (edit.count === 0 || edit.leases.length > 0) continue;
      await edit.settleDue(store, clock.now());
      await commitEdits(env, [edit]);
    } finally {
      letGo();
    }
  }
}
