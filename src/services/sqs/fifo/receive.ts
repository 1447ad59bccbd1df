import type { ClaimedEntry, Commit } from '../../../kernel/store/contract.ts';
import type { Environment } from '../environment.ts';
import { tooContended } from '../environment.ts';
import { type StoredMessage, withExtras } from '../message.ts';
import { type Queue, takesLettersOf } from '../queues.ts';
import { hashOf, leaseAfter, stepOf } from '../rules/fifo.ts';
import type { ClaimedMessage, ReceiveParameters } from '../rules/receive.ts';
import { type AttemptRecord, attemptKey, decodeRecord, encodeRecord, type Lease } from '../state.ts';
import { DueGroups } from './due-groups.ts';
import { commitEdits, editGroup, type GroupEdit, type GroupMessage } from './group-edit.ts';
import { encodeEntryId } from './handle.ts';
import { epochOf, forgetJob, willForget } from './remembered.ts';

const mostAttempts = 50;

/**
 * Receives from a FIFO queue: as many messages as the request wants of the group that has waited longest, in order, then of
 * the next. Leases, dead letters, the dropping of what is past retention and the attempt's memory are one commit.
 * An attempt that is repeated within five minutes gets the same messages with the same handles, and their visibility timeout
 * begins anew, as long as it still holds all of them.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
 */
export async function takeFromGroups(
  env: Environment,
  asked: Queue,
  parameters: ReceiveParameters,
  attemptId: string | undefined,
): Promise<readonly ClaimedMessage[] | 'full'> {
  let queue = asked;
  if (attemptId !== undefined) {
    const again = await takeAgain(env, queue, parameters, attemptId);
    if (again !== undefined) return again;
  }
  if (await env.inFlight.isFull(queue, parameters.limit)) return 'full';
  for (let attempts = 0; attempts < mostAttempts; attempts++) {
    const taking = new Taking(env, queue, parameters);
    try {
      await taking.collect();
      if (taking.edits.length === 0) return [];
      const { memory, remembered } = memoryOf(env, queue, attemptId, taking.delivered);
      const more = { ...memory, checks: taking.deadLetters === undefined ? [] : [taking.deadLetters.check] };
      if (await commitEdits(env, taking.edits, more)) {
        remembered();
        if (taking.delivered.length > 0) return taking.delivered;
      }
    } finally {
      taking.letGo();
    }
    const { account, region, name, id, generation } = queue.record;
    const now = await env.queues.find(account, region, name);
    // Deleted or purged meanwhile: what there was to receive is gone.
    if (now?.record.id !== id || now.record.generation !== generation) return [];
    queue = now;
  }
  throw tooContended();
}

class Taking {
  readonly edits: GroupEdit[] = [];
  readonly delivered: ClaimedMessage[] = [];
  deadLetters: Queue | undefined;
  readonly #env: Environment;
  readonly #queue: Queue;
  readonly #parameters: ReceiveParameters;
  readonly #nowMs: number;
  readonly #groups: DueGroups;
  readonly #deadEdits = new Map<string, GroupEdit>();

  constructor(env: Environment, queue: Queue, parameters: ReceiveParameters) {
    this.#env = env;
    this.#queue = queue;
    this.#parameters = parameters;
    this.#nowMs = env.platform.clock.now();
    this.#groups = new DueGroups(env, queue, this.#nowMs);
  }

  letGo(): void {
    this.#groups.letGo();
  }

  /** Gathers what is to be delivered, and every other change that became due with it. */
  async collect(): Promise<void> {
    for await (const edit of this.#groups.edits()) {
      await this.#takeOf(edit);
      if (this.delivered.length >= this.#parameters.limit) return;
    }
  }

  async #takeOf(edit: GroupEdit): Promise<void> {
    const { store } = this.#env.platform;
    this.edits.push(edit);
    const { config } = this.#queue;
    const rule = { ...config, maxReceiveCount: config.redrive?.maxReceiveCount };
    const leases = new Map(edit.leases.map((lease) => [lease.sequence, lease]));
    const wanted = this.#parameters.limit - this.delivered.length;
    let taken = 0;
    for await (const one of edit.messages(store, wanted)) {
      const lease = leases.get(one.sequence);
      let step = stepOf(one.message, lease, this.#nowMs, rule);
      if (step === 'stop') break;
      if (step === 'expired') edit.remove(one.sequence);
      // A dead letter that has nowhere to go is delivered: nothing is lost.
      if (step === 'dead' && !(await this.#bury(edit, one, lease!))) step = 'deliver';
      if (step !== 'deliver') continue;
      const after = leaseAfter(lease, one.sequence, this.#nowMs, this.#parameters.visibilityMs);
      edit.lease(after);
      this.delivered.push(claimedOf(edit.group, one, after));
      if (++taken === wanted) break;
    }
    await edit.settleDue(store, this.#nowMs);
  }

  /** Moves a message to the end of its group in the dead-letter queue; false if there is none, or it refuses. */
  async #bury(edit: GroupEdit, { sequence, message }: GroupMessage, lease: Lease): Promise<boolean> {
    const { queues } = this.#env;
    const { target } = this.#queue.config.redrive!;
    this.deadLetters ??= await queues.find(target.account, target.region, target.resource);
    const letters = this.deadLetters;
    if (letters === undefined || letters.record.id === this.#queue.record.id) return false;
    if (!takesLettersOf(letters, this.#queue)) return false;
    let dead = this.#deadEdits.get(edit.group);
    if (dead === undefined) {
      dead = await editGroup(this.#env, letters, edit.group);
      this.#deadEdits.set(edit.group, dead);
      this.edits.push(dead);
    }
    edit.remove(sequence);
    dead.append(buried(message, lease, this.#queue.arn, this.#nowMs), this.#nowMs);
    return true;
  }
}

/**
 * In a FIFO dead-letter queue the time of sending starts anew (Developer Guide, "Using dead-letter queues"); id and count of
 * receives go on.
 */
function buried(message: StoredMessage, lease: Lease, sourceArn: string, nowMs: number): Buffer {
  const { extras, messageId } = message;
  const moved = {
    ...extras,
    deadLetterSourceArn: sourceArn,
    receivedBefore: lease.receives + (extras.receivedBefore ?? 0),
    firstReceivedAtMs: extras.firstReceivedAtMs ?? lease.firstMs,
  };
  return withExtras(message, moved, { messageId, sentAtMs: nowMs });
}

function claimedOf(group: string, { sequence, value, message }: GroupMessage, lease: Lease): ClaimedMessage {
  const entry: ClaimedEntry = {
    id: encodeEntryId(group, sequence),
    value,
    dueAtMs: lease.untilMs,
    wasDueAtMs: lease.receivedAtMs,
    attempts: lease.receives,
    firstClaimedAtMs: lease.firstMs,
    token: lease.receives,
  };
  return { entry, message, receivedAtMs: lease.receivedAtMs, sequence };
}

/** What an attempt's id is to be remembered with, to be part of its commit. */
function memoryOf(
  env: Environment,
  queue: Queue,
  attemptId: string | undefined,
  delivered: readonly ClaimedMessage[],
): { readonly memory: Commit; readonly remembered: () => void } {
  if (attemptId === undefined || delivered.length === 0) return { memory: {}, remembered: () => {} };
  const atMs = env.platform.clock.now();
  const epoch = epochOf(env, atMs);
  const { id, generation } = queue.record;
  const record: AttemptRecord = {
    atMs,
    messages: delivered.map(({ entry, message, sequence }) => ({
      group: message.extras.groupId!,
      sequence: sequence!,
      receives: entry.attempts,
    })),
  };
  return {
    memory: {
      set: [{ key: attemptKey(id, generation, epoch, hashOf(attemptId)), value: encodeRecord(record) }],
      schedule: forgetJob(env, queue, epoch),
    },
    remembered: () => willForget(env, queue, epoch),
  };
}

/** The messages of an earlier receive with this id; undefined if there is none, or any message of it has changed since. */
async function takeAgain(
  env: Environment,
  queue: Queue,
  { visibilityMs }: ReceiveParameters,
  attemptId: string,
): Promise<readonly ClaimedMessage[] | undefined> {
  const { store, clock } = env.platform;
  const { id, generation } = queue.record;
  const nowMs = clock.now();
  const epoch = epochOf(env, nowMs);
  const hash = hashOf(attemptId);
  const entries = await store.getMany([
    attemptKey(id, generation, epoch, hash),
    attemptKey(id, generation, epoch - 1, hash),
  ]);
  const entry = entries[0] ?? entries[1];
  if (entry === undefined) return undefined;
  const record = decodeRecord<AttemptRecord>(entry.value);
  if (record.atMs + env.limits.receiveAttemptMs <= nowMs) return undefined;
  const edits = new Map<string, GroupEdit>();
  const again: ClaimedMessage[] = [];
  for (const group of new Set(record.messages.map((one) => one.group))) {
    const edit = await editGroup(env, queue, group);
    edits.set(group, edit);
    const wanted = record.messages.filter((one) => one.group === group);
    for await (const one of edit.messages(store, wanted.length)) {
      const was = wanted.find(({ sequence }) => sequence === one.sequence);
      const lease = edit.leases.find(({ sequence }) => sequence === one.sequence);
      if (was === undefined || lease?.receives !== was.receives || lease.untilMs <= nowMs) break;
      if (lease.changed === true) return undefined;
      const after = { ...lease, untilMs: nowMs + visibilityMs };
      edit.lease(after);
      again.push(claimedOf(group, one, after));
    }
    await edit.settleDue(store, nowMs);
  }
  if (again.length < record.messages.length) return undefined;
  return (await commitEdits(env, [...edits.values()])) ? again : undefined;
}
