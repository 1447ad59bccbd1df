import type { Check, Commit, DueWrite, Entry, Key, Settlement, Store } from '../../../kernel/store/contract.ts';
import { decodeKey, nextKey, prefixRange } from '../../../kernel/store/keys.ts';
import type { Environment, Sequences } from '../environment.ts';
import { decodeMessage, type StoredMessage } from '../message.ts';
import type { Queue } from '../queues.ts';
import {
  decodeRecord,
  encodeRecord,
  fifoMessageKey,
  fifoMessagesOf,
  type GroupTail,
  type Lease,
  leaseKey,
  tailKey,
} from '../state.ts';

/** The name of a group among all groups of all queues, for `GroupLocks`. */
export function lockName(queue: Queue, group: string): string {
  return `${queue.record.id}\n${group}`;
}

/** A message of a group, as it stands in the store. */
export interface GroupMessage {
  readonly sequence: number;
  readonly value: Buffer;
  readonly message: StoredMessage;
}

/** The group as it is now, ready to be changed. */
export async function editGroup(env: Environment, queue: Queue, group: string): Promise<GroupEdit> {
  const { id, generation } = queue.record;
  const [tail, leases] = await env.platform.store.getMany([
    tailKey(id, generation, group),
    leaseKey(id, generation, group),
  ]);
  return new GroupEdit(env.sequences, queue, group, tail, leases);
}

/** A change of one message group, gathered until it is committed. The commit fails if the group changed meanwhile. */
export class GroupEdit {
  readonly queue: Queue;
  readonly group: string;
  /** In the order of the messages; the group's first message is among them if any is. */
  readonly leases: Lease[];
  readonly #sequences: Sequences;
  readonly #tail: Entry | undefined;
  readonly #leases: Entry | undefined;
  readonly #set: { readonly key: Key; readonly value: Uint8Array }[] = [];
  readonly #delete: Key[] = [];
  #after: GroupTail;
  #leasesChanged = false;
  #dueAtMs: number | undefined;

  constructor(sequences: Sequences, queue: Queue, group: string, tail: Entry | undefined, leases: Entry | undefined) {
    this.#sequences = sequences;
    this.queue = queue;
    this.group = group;
    this.#tail = tail;
    this.#leases = leases;
    this.#after = tail === undefined ? { last: 0, count: 0, newestMs: 0 } : decodeRecord<GroupTail>(tail.value);
    this.leases = leases === undefined ? [] : [...decodeRecord<readonly Lease[]>(leases.value)];
  }

  /** Messages in the group, as this change leaves it. */
  get count(): number {
    return this.#after.count;
  }

  /** The group's messages, oldest first, `limit` of them at a time; without those that this change removes. */
  async *messages(store: Store, limit: number): AsyncGenerator<GroupMessage> {
    const { id, generation } = this.queue.record;
    const range = prefixRange(fifoMessagesOf(id, generation, this.group));
    for (let { start } = range; ; ) {
      const page = await store.list({ start, end: range.end }, { limit });
      for (const { key, value } of page) {
        yield { sequence: sequenceOf(key), value, message: decodeMessage(value) };
      }
      if (page.length < limit) return;
      start = nextKey(page.at(-1)!.key);
    }
  }

  /** Adds a message at the end and answers its sequence. */
  append(value: Uint8Array, sentAtMs: number): number {
    const { id, generation } = this.queue.record;
    const { last, count } = this.#after;
    const sequence = this.#sequences.next(last, sentAtMs);
    this.#set.push({ key: fifoMessageKey(id, generation, this.group, sequence), value });
    this.#after = { last: Math.max(last, sequence), count: count + 1, newestMs: sentAtMs };
    if (count === 0) this.#dueAtMs = sentAtMs + this.queue.config.delayMs;
    return sequence;
  }

  remove(sequence: number): void {
    const { id, generation } = this.queue.record;
    this.#delete.push(fifoMessageKey(id, generation, this.group, sequence));
    this.#after = { ...this.#after, count: this.#after.count - 1 };
    const index = this.leases.findIndex((lease) => lease.sequence === sequence);
    if (index < 0) return;
    this.leases.splice(index, 1);
    this.#leasesChanged = true;
  }

  /** Puts a lease in the place of the message's former one, or after all others. */
  lease(lease: Lease): void {
    const index = this.leases.findIndex(({ sequence }) => sequence === lease.sequence);
    if (index < 0) this.leases.push(lease);
    else this.leases[index] = lease;
    this.#leasesChanged = true;
  }

  /**
   * To be called after the last change: works out when the group's first message is available. Leased messages come first;
   * one that nobody has received yet is asked for only if the queue delays.
   */
  async settleDue(store: Store, nowMs: number): Promise<void> {
    if (this.#after.count === 0) return;
    const first = this.leases[0];
    if (first !== undefined) {
      this.#dueAtMs = first.untilMs;
      return;
    }
    const { delayMs } = this.queue.config;
    this.#dueAtMs = nowMs;
    if (delayMs === 0) return;
    const removed = new Set(this.#delete.map((key) => key.toString('latin1')));
    const { id, generation } = this.queue.record;
    for await (const { sequence, message } of this.messages(store, 1)) {
      if (removed.has(fifoMessageKey(id, generation, this.group, sequence).toString('latin1'))) continue;
      this.#dueAtMs = message.sentAtMs + delayMs;
      return;
    }
  }

  /** Messages more (or, negative, fewer) in the queue. */
  get delta(): number {
    return this.#set.length - this.#delete.length;
  }

  /** @internal */
  writeTo(commit: Draft): void {
    const { id, generation } = this.queue.record;
    const tail = tailKey(id, generation, this.group);
    const leases = leaseKey(id, generation, this.group);
    commit.checks.push({ key: tail, version: this.#tail?.version ?? null });
    commit.checks.push({ key: leases, version: this.#leases?.version ?? null });
    commit.set.push(...this.#set);
    commit.delete.push(...this.#delete);
    const { count } = this.#after;
    if (this.#set.length > 0 || this.#delete.length > 0) {
      if (count > 0) commit.set.push({ key: tail, value: encodeRecord(this.#after) });
      else if (this.#tail !== undefined) commit.delete.push(tail);
    }
    if (this.#leasesChanged) {
      if (this.leases.length > 0) commit.set.push({ key: leases, value: encodeRecord(this.leases) });
      else if (this.#leases !== undefined) commit.delete.push(leases);
    }
    const entry = { partition: this.queue.partition, id: Buffer.from(this.group, 'latin1') };
    if (count === 0) {
      if (this.#tail !== undefined) commit.settle.push(entry);
    } else if (this.#dueAtMs !== undefined) {
      if (this.#tail === undefined) commit.schedule.push({ ...entry, dueAtMs: this.#dueAtMs, value: nothing });
      else commit.settle.push({ ...entry, dueAtMs: this.#dueAtMs });
    }
  }
}

const nothing = Buffer.alloc(0);

interface Draft {
  readonly checks: Check[];
  readonly set: { readonly key: Key; readonly value: Uint8Array }[];
  readonly delete: Key[];
  readonly schedule: DueWrite[];
  readonly settle: Settlement[];
}

/** One commit for the changes of several groups, of one queue or more, with everything in `more`, whose checks come first. */
export async function commitEdits(env: Environment, edits: readonly GroupEdit[], more: Commit = {}): Promise<boolean> {
  const draft: Draft = {
    checks: [...(more.checks ?? [])],
    set: [...(more.set ?? [])],
    delete: [...(more.delete ?? [])],
    schedule: [...(more.schedule ?? [])],
    settle: [...(more.settle ?? [])],
  };
  const deltas = new Map<Queue, number>();
  for (const edit of edits) deltas.set(edit.queue, (deltas.get(edit.queue) ?? 0) + edit.delta);
  for (const queue of deltas.keys()) draft.checks.push(queue.check);
  for (const edit of edits) edit.writeTo(draft);
  const sums = [...deltas].filter(([, delta]) => delta !== 0);
  const result = await env.platform.store.commit({
    ...draft,
    sum: [...(more.sum ?? []), ...sums.map(([queue, delta]) => ({ key: env.queues.counter(queue), delta }))],
  });
  if (!result.ok) for (const queue of deltas.keys()) env.queues.forget(queue);
  return result.ok;
}

/** The sequence at the end of a message's key. */
export function sequenceOf(key: Key): number {
  return decodeKey(key).at(-1) as number;
}

/** The group at the end of the key of its tail or its leases. */
export function groupOf(key: Key): string {
  return decodeKey(key).at(-1) as string;
}

/** The group's oldest message in its stored form. */
export async function firstOfGroup(store: Store, queue: Queue, group: string): Promise<Buffer | undefined> {
  const { id, generation } = queue.record;
  const [first] = await store.list(prefixRange(fifoMessagesOf(id, generation, group)), { limit: 1 });
  return first?.value;
}
