import type { Key, KeyRange } from '../../kernel/store/contract.ts';
import { encodeKey, extendKey, prefixRange } from '../../kernel/store/keys.ts';
import type { StreamView } from './rules/change-record.ts';
import type { KeySchema, PolicyRecord } from './state.ts';

/**
 * Streams on disk. They outlive their tables by a day.
 *
 * | key | value |
 * | dynamodb s account region table label       | StreamRecord |
 * | log: dynamodb sl table label slot shard     | change records (rules/change-record.ts), in the order of their commits |
 */
export interface StreamRecord {
  readonly tableId: number;
  readonly tableName: string;
  readonly account: string;
  readonly region: string;
  readonly label: string;
  readonly viewType: StreamView;
  readonly keySchema: readonly KeySchema[];
  readonly createdAtMs: number;
  readonly disabledAtMs?: number;
  readonly policy?: PolicyRecord;
  /** Oldest first. All but the last are closed; the last is, if the stream is disabled. */
  readonly generations: readonly GenerationRecord[];
}

/** Shards that were opened together; each has an even share of the hashes. */
export interface GenerationRecord {
  readonly openedAtMs: number;
  readonly closedAtMs?: number;
  /** Logs are used in turns, so that what stands of each log for ever stays little. */
  readonly slot: number;
  /** The first position of each shard. */
  readonly starts: readonly number[];
}

/** More generations than live at the same time. */
export const streamSlots = 16;

const streams = encodeKey('dynamodb', 's');
const logs = encodeKey('dynamodb', 'sl');

export function streamKey(account: string, region: string, tableName: string, label: string): Key {
  return extendKey(streams, account, region, tableName, label);
}

/** The streams of an account and region, or of one table. */
export function streamsOf(account: string, region: string, tableName?: string): KeyRange {
  return prefixRange(
    tableName === undefined ? extendKey(streams, account, region) : extendKey(streams, account, region, tableName),
  );
}

/** Begins the logs of a stream. */
export function streamLogs(tableId: number, label: string): Key {
  return extendKey(logs, tableId, label);
}

export function streamLog(tableId: number, label: string, slot: number, shard: number): Key {
  return extendKey(logs, tableId, label, slot, shard);
}

export function encodeStream(record: StreamRecord): Buffer {
  return Buffer.from(JSON.stringify(record), 'utf8');
}

export function decodeStream(value: Buffer): StreamRecord {
  return JSON.parse(value.toString('utf8')) as StreamRecord;
}
