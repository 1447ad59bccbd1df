import type { CommitResult } from '../../kernel/store/contract.ts';
import type { RequestContext } from '../../platform/context.ts';
import type { Platform } from '../../platform/service.ts';
import { AwsError } from '../../wire/errors.ts';
import { InFlight } from './counts.ts';
import { FairReceiver } from './fair.ts';
import { GroupLocks } from './fifo/locks.ts';
import { GroupSender } from './fifo/send.ts';
import { FifoRates } from './fifo/throttle.ts';
import { limitsOf, type SqsLimits } from './limits.ts';
import { type Queue, Queues } from './queues.ts';
import { WaitingRooms } from './waiting.ts';

/** What the operations of one cloud's SQS share. */
export interface Environment {
  readonly platform: Platform;
  readonly limits: SqsLimits;
  readonly queues: Queues;
  readonly rooms: WaitingRooms;
  readonly entryIds: EntryIds;
  readonly inFlight: InFlight;
  readonly fair: FairReceiver;
  readonly sequences: Sequences;
  readonly groupLocks: GroupLocks;
  readonly groupSender: GroupSender;
  readonly fifoRates: FifoRates;
  /** The epoch of each FIFO queue that is sure to be forgotten (see fifo/remembered.ts). */
  readonly forgetting: Map<string, number>;
}

export function createEnvironment(platform: Platform, limits: SqsLimits = limitsOf(platform.limits)): Environment {
  return {
    platform,
    limits,
    queues: new Queues(platform.store, platform.clock),
    rooms: new WaitingRooms(platform.store, platform.clock),
    entryIds: new EntryIds(),
    inFlight: new InFlight(platform.store, platform.clock, limits),
    fair: new FairReceiver(platform.store, platform.clock),
    sequences: new Sequences(),
    groupLocks: new GroupLocks(),
    groupSender: new GroupSender(),
    fifoRates: new FifoRates(),
    forgetting: new Map(),
  };
}

/**
 * Ids of due entries: they break ties of the same millisecond in the order of sending and grow, which keeps the store's
 * pages warm; the end of the message's random id makes them unique across processes and restarts.
 */
export class EntryIds {
  #sequence = 0;

  next(nowMs: number, messageId: string): Buffer {
    this.#sequence = Math.max(this.#sequence + 1, nowMs * 16);
    const id = Buffer.allocUnsafe(12);
    id.writeUIntBE(this.#sequence, 0, 6);
    id.write(messageId.slice(24), 6, 6, 'hex');
    return id;
  }
}

/**
 * Sequences of messages of FIFO queues. They grow with time, so that a group goes on where it stopped without being
 * remembered while it is empty; and with every message of this process, as time may stand still.
 */
export class Sequences {
  #latest = 0;

  next(lastOfGroup: number, nowMs: number): number {
    this.#latest = Math.max(this.#latest + 1, lastOfGroup + 1, nowMs * 1000);
    return this.#latest;
  }
}

/** Losing against others so often means that something is wrong; the client may try again. */
const mostAttempts = 50;

/**
 * Carries out a transaction on a queue: reads it, lets `attempt` decide and commit, and starts over when the commit lost
 * against another. `attempt` answers undefined for a lost commit.
 */
export async function onQueue<T extends object>(
  env: Environment,
  context: Pick<RequestContext, 'account' | 'region'>,
  queueUrl: string | undefined,
  attempt: (queue: Queue) => Promise<T | undefined>,
): Promise<T> {
  for (let attempts = 0; attempts < mostAttempts; attempts++) {
    const queue = await env.queues.require(context, queueUrl);
    const done = await attempt(queue);
    if (done !== undefined) return done;
    env.queues.forget(queue);
  }
  throw tooContended();
}

export function tooContended(): AwsError {
  return new AwsError('ServiceUnavailable', 'The request lost against too many others. Please try again.', {
    status: 503,
  });
}

/** Whether a commit failed because of one of its first `count` checks. */
export function lostCheck(result: CommitResult & { ok: false }): boolean {
  return 'check' in result.conflict;
}
