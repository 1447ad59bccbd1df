import type { Key } from '../../kernel/store/contract.ts';
import { encodeKey, extendKey } from '../../kernel/store/keys.ts';

/**
 * What is on disk. Names stand for queues in keys; a queue's messages stand under its id, which no other queue ever had,
 * and its generation, which a purge raises: so a deleted queue's messages are out of reach of its successor, and a purge
 * is one small write however many messages there are.
 *
 * | key | value |
 * | sqs q account region name       | QueueRecord |
 * | sqs gone account region name    | TombstoneRecord: the name is not free yet |
 * | sqs dlq account region target source | empty: the queue `source` names `target` as its dead-letter queue |
 * | sqs n id generation shard       | counter: messages of the queue, in shards so that no row is hot |
 * | sqs task account region source taskId | MoveTaskRecord |
 * | sqs moving account region source      | the active move task's id |
 * | partition: sqs m id generation  | the messages, due when they are visible (see message.ts) |
 * | sqs lane id generation tenant    | LaneRecord: a noisy tenant of a fair queue has messages in a lane of its own |
 * | partition: sqs m id generation tenant | those messages |
 *
 * Of a FIFO queue, that partition holds one entry per message group, due when the group's first message is available:
 *
 * | key | value |
 * | sqs tail id generation group             | GroupTail: there is one exactly while the group has messages |
 * | sqs lease id generation group            | Lease[]: the group's messages that were received and are still there |
 * | sqs fifo id generation group sequence    | a message (see message.ts) |
 * | sqs dedup id generation epoch hash       | DeduplicationRecord; epochs are five minutes, and forgotten as a whole |
 * | sqs attempt id generation epoch hash     | AttemptRecord: what a ReceiveRequestAttemptId was given |
 */
export interface QueueRecord {
  readonly id: string;
  readonly name: string;
  readonly account: string;
  readonly region: string;
  readonly generation: number;
  readonly createdAtMs: number;
  readonly modifiedAtMs: number;
  readonly purgedAtMs?: number;
  /** Whether any message was ever sent with a delay: if not, what is not due is in flight, and counting is cheap. */
  readonly mayDelay: boolean;
  /** Whether any message was ever sent to this standard queue with a group: only then fairness is looked after. */
  readonly mayGroup?: true;
  /** Only what differs from AWS's defaults or was asked for. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
}

export interface TombstoneRecord {
  readonly deletedAtMs: number;
}

export type MoveTaskStatus = 'RUNNING' | 'COMPLETED' | 'CANCELLED' | 'FAILED';

export interface MoveTaskRecord {
  readonly taskId: string;
  readonly account: string;
  readonly region: string;
  readonly sourceName: string;
  readonly sourceId: string;
  readonly sourceArn: string;
  readonly destinationArn?: string;
  readonly maxPerSecond?: number;
  readonly status: MoveTaskStatus;
  readonly startedAtMs: number;
  readonly moved: number;
  readonly toMove: number;
  readonly failureReason?: string;
  /** Runs that ended in a commit; a job's attempt beyond this tells of a run that died. */
  readonly runs: number;
  /** Until when messages that a dead run had claimed may be hidden; the task does not end before. */
  readonly strandedUntilMs: number;
}

/** Senders write it and receivers do not, so that they seldom meet. */
export interface GroupTail {
  /** The sequence of the newest message; those of a group grow, also when it was empty meanwhile. */
  readonly last: number;
  readonly count: number;
  /** When the newest message was sent. */
  readonly newestMs: number;
}

/** A message of a group that was received and not deleted. Leases stand in the messages' order. */
export interface Lease {
  readonly sequence: number;
  /** Receives in this queue; it tells the latest receipt from older ones. */
  readonly receives: number;
  readonly firstMs: number;
  readonly receivedAtMs: number;
  /** In flight until then. */
  readonly untilMs: number;
  /** ChangeMessageVisibility has moved `untilMs`: the receipt cannot be repeated by its attempt's id any more. */
  readonly changed?: true;
}

export interface DeduplicationRecord {
  readonly atMs: number;
  readonly messageId: string;
  readonly sequence: number;
}

export interface AttemptRecord {
  readonly atMs: number;
  readonly messages: readonly { readonly group: string; readonly sequence: number; readonly receives: number }[];
}

/** See fair.ts. */
export interface LaneRecord {
  readonly tenant: string;
  readonly lastSentMs: number;
}

export const counterShards = 8;

const queues = encodeKey('sqs', 'q');
const tombstones = encodeKey('sqs', 'gone');
const deadLetterSources = encodeKey('sqs', 'dlq');
const counters = encodeKey('sqs', 'n');
const messages = encodeKey('sqs', 'm');
const tasks = encodeKey('sqs', 'task');
const activeTasks = encodeKey('sqs', 'moving');
const tails = encodeKey('sqs', 'tail');
const leases = encodeKey('sqs', 'lease');
const fifoMessages = encodeKey('sqs', 'fifo');
const deduplications = encodeKey('sqs', 'dedup');
const attempts = encodeKey('sqs', 'attempt');
const lanes = encodeKey('sqs', 'lane');

/** Begins every queue's key. */
export const allQueues: Key = queues;

export function queuesOf(account: string, region: string): Key {
  return extendKey(queues, account, region);
}

export function queueKey(account: string, region: string, name: string): Key {
  return extendKey(queues, account, region, name);
}

export function tombstoneKey(account: string, region: string, name: string): Key {
  return extendKey(tombstones, account, region, name);
}

export function sourcesOf(account: string, region: string, deadLetterQueue: string): Key {
  return extendKey(deadLetterSources, account, region, deadLetterQueue);
}

export function sourceKey(account: string, region: string, deadLetterQueue: string, source: string): Key {
  return extendKey(deadLetterSources, account, region, deadLetterQueue, source);
}

export function messagesOf(id: string, generation: number): Key {
  return extendKey(messages, id, generation);
}

export function countersOf(id: string, generation: number): readonly Key[] {
  return Array.from({ length: counterShards }, (_, shard) => extendKey(counters, id, generation, shard));
}

export function tasksOf(account: string, region: string, source: string): Key {
  return extendKey(tasks, account, region, source);
}

export function taskKey(account: string, region: string, source: string, taskId: string): Key {
  return extendKey(tasks, account, region, source, taskId);
}

export function activeTasksOf(account: string, region: string): Key {
  return extendKey(activeTasks, account, region);
}

export function activeTaskKey(account: string, region: string, source: string): Key {
  return extendKey(activeTasks, account, region, source);
}

/** All groups of a FIFO queue that have messages. */
export function tailsOf(id: string, generation: number): Key {
  return extendKey(tails, id, generation);
}

/** All groups of a FIFO queue of which messages were received and are still there. */
export function leasesOf(id: string, generation: number): Key {
  return extendKey(leases, id, generation);
}

/** Begins the keys of a group's messages; without a group, of all of the queue's. */
export function fifoMessagesOf(id: string, generation: number, group?: string): Key {
  return group === undefined ? extendKey(fifoMessages, id, generation) : extendKey(fifoMessages, id, generation, group);
}

export function tailKey(id: string, generation: number, group: string): Key {
  return extendKey(tails, id, generation, group);
}

export function leaseKey(id: string, generation: number, group: string): Key {
  return extendKey(leases, id, generation, group);
}

export function fifoMessageKey(id: string, generation: number, group: string, sequence: number): Key {
  return extendKey(fifoMessages, id, generation, group, sequence);
}

/** Begins the keys of what a FIFO queue remembers of an epoch; without an epoch, of all of them. */
export function rememberedOf(id: string, generation: number, epoch?: number): readonly [Key, Key] {
  const parts = epoch === undefined ? [id, generation] : [id, generation, epoch];
  return [extendKey(deduplications, ...parts), extendKey(attempts, ...parts)];
}

export function deduplicationKey(id: string, generation: number, epoch: number, hash: Uint8Array): Key {
  return extendKey(deduplications, id, generation, epoch, hash);
}

export function attemptKey(id: string, generation: number, epoch: number, hash: Uint8Array): Key {
  return extendKey(attempts, id, generation, epoch, hash);
}

/** All lanes of a fair queue. */
export function lanesOf(id: string, generation: number): Key {
  return extendKey(lanes, id, generation);
}

export function laneKey(id: string, generation: number, tenant: string): Key {
  return extendKey(lanes, id, generation, tenant);
}

/** The partition of a tenant's lane: whoever watches that of the queue is told of changes here, too. */
export function laneOf(queuePartition: Key, tenant: string): Key {
  return extendKey(queuePartition, tenant);
}

type StoredRecord =
  | QueueRecord
  | TombstoneRecord
  | MoveTaskRecord
  | GroupTail
  | readonly Lease[]
  | DeduplicationRecord
  | AttemptRecord
  | LaneRecord;

export function encodeRecord(record: StoredRecord): Buffer {
  return Buffer.from(JSON.stringify(record), 'utf8');
}

export function decodeRecord<T extends StoredRecord>(value: Buffer): T {
  return JSON.parse(value.toString('utf8')) as T;
}
