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

export const counterShards = 8;

const queues = encodeKey('sqs', 'q');
const tombstones = encodeKey('sqs', 'gone');
const deadLetterSources = encodeKey('sqs', 'dlq');
const counters = encodeKey('sqs', 'n');
const messages = encodeKey('sqs', 'm');
const tasks = encodeKey('sqs', 'task');
const activeTasks = encodeKey('sqs', 'moving');

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

export function encodeRecord(record: QueueRecord | TombstoneRecord | MoveTaskRecord): Buffer {
  return Buffer.from(JSON.stringify(record), 'utf8');
}

export function decodeRecord<T extends QueueRecord | TombstoneRecord | MoveTaskRecord>(value: Buffer): T {
  return JSON.parse(value.toString('utf8')) as T;
}
