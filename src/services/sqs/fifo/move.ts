import type { Commit } from '../../../kernel/store/contract.ts';
import type { Environment } from '../environment.ts';
import { carriedExtras, withExtras } from '../message.ts';
import type { Queue } from '../queues.ts';
import { stepOf } from '../rules/fifo.ts';
import { DueGroups } from './due-groups.ts';
import { commitEdits, editGroup, type GroupEdit, type GroupMessage } from './group-edit.ts';

/** Where a message of the source goes to, or why it cannot be told. */
export type Destination = { readonly queue: Queue } | { readonly failure: string };

export interface GroupMoves {
  readonly moved: number;
  readonly failure: string | undefined;
  /** Commits the moves with everything in `more`; false if it lost. */
  commit(more: Commit): Promise<boolean>;
  /** Must follow, whatever has happened. */
  letGo(): void;
}

/**
 * Plans to move up to `limit` visible messages of a FIFO queue: each to the end of its group in its destination, in order.
 * Deduplication is not asked: a move is no sending.
 */
export async function planGroupMoves(
  env: Environment,
  from: Queue,
  limit: number,
  destinationOf: (message: GroupMessage['message']) => Promise<Destination>,
): Promise<GroupMoves> {
  const { store, clock, random } = env.platform;
  const nowMs = clock.now();
  const groups = new DueGroups(env, from, nowMs);
  const edits: GroupEdit[] = [];
  const rule = { ...from.config, maxReceiveCount: undefined };
  let moved = 0;
  let failure: string | undefined;
  try {
    for await (const edit of groups.edits()) {
      edits.push(edit);
      const ends = new Map<Queue, GroupEdit>();
      const leases = new Map(edit.leases.map((lease) => [lease.sequence, lease]));
      for await (const { sequence, message } of edit.messages(store, limit)) {
        const step = stepOf(message, leases.get(sequence), nowMs, rule);
        if (step === 'stop' || moved === limit) break;
        if (step === 'deliver') {
          const to = await destinationOf(message);
          if ('failure' in to) {
            failure = to.failure;
            break;
          }
          let end = ends.get(to.queue);
          if (end === undefined) {
            end = await editGroup(env, to.queue, edit.group);
            ends.set(to.queue, end);
            edits.push(end);
          }
          const messageId = random.uuid();
          end.append(withExtras(message, carriedExtras(message.extras), { messageId, sentAtMs: nowMs }), nowMs);
          moved++;
        }
        edit.remove(sequence);
      }
      await edit.settleDue(store, nowMs);
      if (failure !== undefined || moved === limit) break;
    }
  } catch (error) {
    groups.letGo();
    throw error;
  }
  return {
    moved,
    failure,
    commit: (more) => commitEdits(env, edits, more),
    letGo: () => groups.letGo(),
  };
}
