import { hash } from 'node:crypto';
import type { Key, KeyRange } from '../../kernel/store/contract.ts';
import {
  afterKey,
  Decimal,
  encodeKey,
  extendKey,
  type KeyPart,
  nextKey,
  prefixRange,
} from '../../kernel/store/keys.ts';
import type { StreamView } from './rules/change-record.ts';
import type { KeyRange as KeyCondition } from './rules/key-condition.ts';
import type { KeySchemaElement } from './rules/keys.ts';
import { decompose } from './rules/number.ts';
import type { WarmUnits } from './rules/provisioning.ts';
import type { AttributeValue } from './rules/values.ts';

/**
 * What is on disk. Tables and indexes have numbers that are never given twice, so what a deleted table leaves behind is
 * out of reach of its successor. Partition keys are hashed (128 bits of SHA-256), sort keys stay in order; index
 * entries end in a hash of the item's key, since both keys together would be too long.
 *
 * | key | value |
 * | dynamodb t account region name                  | TableRecord |
 * | dynamodb next                                   | the last table number given |
 * | dynamodb i table hash [sort]                    | an item (see stored-item.ts) |
 * | dynamodb x table index hash [sort] item         | what the index holds of an item, in the same form |
 * | dynamodb e table index expiry item              | the key of an item that expires then (seconds) |
 * | dynamodb n table index 'count'/'bytes' shard    | counter: entries and bytes; index 0 is the table itself |
 * | dynamodb c table hash                           | counter: bytes of an item collection (tables with local indexes) |
 * | dynamodb k account region token                 | TokenRecord: a transaction done lately |
 * | dynamodb kx expiry account region token         | empty: when that may be forgotten |
 *
 * Streams stand in state-streams.ts, backups and the history of items in state-backups.ts.
 */
export interface TableRecord {
  /** In keys. */
  readonly id: number;
  /** AWS's TableId, a UUID. */
  readonly tableId: string;
  readonly name: string;
  readonly account: string;
  readonly region: string;
  readonly status: 'CREATING' | 'UPDATING' | 'ACTIVE' | 'DELETING';
  readonly createdAtMs: number;
  readonly attributeDefinitions: readonly { readonly AttributeName: string; readonly AttributeType: 'S' | 'N' | 'B' }[];
  readonly keySchema: readonly KeySchema[];
  readonly indexes: readonly IndexRecord[];
  /** The last number given to an index of this table. */
  readonly lastIndexId: number;
  readonly billingMode: 'PROVISIONED' | 'PAY_PER_REQUEST';
  readonly onDemandSinceMs?: number;
  /** When it became so, in the last day before the latest change. */
  readonly switchesToOnDemand?: readonly number[];
  readonly throughput: Throughput;
  readonly onDemandThroughput?: OnDemandThroughput;
  /** What it was asked to be ready for, over what its mode gives. */
  readonly warm?: WarmUnits;
  readonly tableClass?: { readonly name: TableClass; readonly updatedAtMs?: number };
  readonly encryption?: { readonly kmsKey: string };
  readonly deletionProtection: boolean;
  readonly tags: Readonly<Record<string, string>>;
  readonly ttl?: TtlRecord;
  readonly ttlChangedAtMs?: number;
  readonly stream?: OpenStream;
  /** Of the latest stream, whether or not it is still open. */
  readonly lastStreamLabel?: string;
  /** Since when what items were is kept, while point-in-time recovery or a backup under way needs it. */
  readonly history?: { readonly sinceMs: number };
  /** Point-in-time recovery is on. */
  readonly recovery?: { readonly sinceMs: number; readonly days: number };
  /** The ids of backups being made. */
  readonly backupsUnderWay?: readonly string[];
  readonly restore?: RestoreRecord;
  readonly policy?: PolicyRecord;
  /** Contributor Insights by index, '' the table itself. */
  readonly insights?: Readonly<Record<string, InsightsRecord>>;
}

/** A resource policy. */
export interface PolicyRecord {
  readonly document: string;
  readonly revisionId: string;
}

export interface InsightsRecord {
  readonly isEnabled: boolean;
  readonly mode: 'ACCESSED_AND_THROTTLED_KEYS' | 'THROTTLED_KEYS';
  readonly changedAtMs: number;
}

/** Where a table's items came from. */
export interface RestoreRecord {
  readonly backupArn?: string;
  readonly tableArn: string;
  readonly restoredAtMs: number;
  readonly isUnderWay: boolean;
}

/** Where changes are written to. */
export interface OpenStream {
  readonly label: string;
  readonly viewType: StreamView;
  /** The log of each open shard is named by this and its number. */
  readonly slot: number;
  readonly shards: number;
}

export interface KeySchema extends KeySchemaElement {
  readonly KeyType: 'HASH' | 'RANGE';
}

export type TableClass = 'STANDARD' | 'STANDARD_INFREQUENT_ACCESS';

export interface Throughput {
  readonly readUnits: number;
  readonly writeUnits: number;
  readonly increasedAtMs?: number;
  readonly decreasedAtMs?: number;
  /** On the day (UTC) of `decreasedAtMs`. */
  readonly decreases: number;
}

export interface OnDemandThroughput {
  readonly MaxReadRequestUnits?: number | undefined;
  readonly MaxWriteRequestUnits?: number | undefined;
}

export interface IndexRecord {
  readonly id: number;
  readonly name: string;
  readonly kind: 'global' | 'local';
  readonly status: 'CREATING' | 'UPDATING' | 'ACTIVE' | 'DELETING';
  /** Items from before the index are still being entered. */
  readonly backfilling: boolean;
  readonly keySchema: readonly KeySchema[];
  readonly projection: {
    readonly ProjectionType: 'ALL' | 'KEYS_ONLY' | 'INCLUDE';
    readonly NonKeyAttributes?: readonly string[];
  };
  readonly throughput: Throughput;
  readonly onDemandThroughput?: OnDemandThroughput;
  readonly warm?: WarmUnits;
}

export interface TtlRecord {
  readonly attributeName: string;
  /** The number of the expiry entries' index. */
  readonly indexId: number;
  /** ENABLING: items from before are still being entered. */
  readonly status: 'ENABLING' | 'ENABLED';
}

export interface TokenRecord {
  /** Of the request. */
  readonly digest: string;
  readonly expiresAtMs: number;
}

/** Counters are spread over so many rows where processes share a store and one row would be hot. */
export const counterShards = 8;
/** The table itself among its indexes. */
export const tableItself = 0;

const tables = encodeKey('dynamodb', 't');
const items = encodeKey('dynamodb', 'i');
const indexEntries = encodeKey('dynamodb', 'x');
const expiries = encodeKey('dynamodb', 'e');
const counters = encodeKey('dynamodb', 'n');
const collections = encodeKey('dynamodb', 'c');
const tokens = encodeKey('dynamodb', 'k');
const tokenExpiries = encodeKey('dynamodb', 'kx');

/** Begins every table's key. */
export const allTables: Key = tables;
export const lastTableIdKey: Key = encodeKey('dynamodb', 'next');

export function tablesOf(account: string, region: string): Key {
  return extendKey(tables, account, region);
}

export function tableKey(account: string, region: string, name: string): Key {
  return extendKey(tables, account, region, name);
}

/** Begins the keys of a table's items. */
export function itemsOf(tableId: number): Key {
  return extendKey(items, tableId);
}

/** Begins the keys of an index's entries. */
export function entriesOf(tableId: number, indexId: number): Key {
  return extendKey(indexEntries, tableId, indexId);
}

/** Begins the keys of a table's expiry entries. */
export function expiriesOf(tableId: number, indexId: number): Key {
  return extendKey(expiries, tableId, indexId);
}

/** Everything that stands under a table's number. */
export function rangesOfTable(tableId: number): readonly KeyRange[] {
  return [items, indexEntries, expiries, counters, collections].map((space) => prefixRange(extendKey(space, tableId)));
}

/** Everything that stands under an index's number. */
export function rangesOfIndex(tableId: number, indexId: number): readonly KeyRange[] {
  return [indexEntries, expiries, counters].map((space) => prefixRange(extendKey(space, tableId, indexId)));
}

export function countersOf(tableId: number, indexId: number, what: 'count' | 'bytes'): readonly Key[] {
  return Array.from({ length: counterShards }, (_, shard) => extendKey(counters, tableId, indexId, what, shard));
}

export function collectionKey(tableId: number, hashValue: AttributeValue): Key {
  return extendKey(collections, tableId, hashPart(hashValue));
}

export function tokenKey(account: string, region: string, token: string): Key {
  return extendKey(tokens, account, region, token);
}

export function tokenExpiryKey(expiresAtMs: number, account: string, region: string, token: string): Key {
  return extendKey(tokenExpiries, expiresAtMs, account, region, token);
}

/** The token expiries before a moment. */
export function tokenExpiriesBefore(beforeMs: number): KeyRange {
  return { start: prefixRange(tokenExpiries).start, end: extendKey(tokenExpiries, beforeMs) };
}

/** The key of the item, given its table's prefix and key values. */
export function itemKey(prefix: Key, hashValue: AttributeValue, sortValue: AttributeValue | undefined): Key {
  return sortValue === undefined
    ? extendKey(prefix, hashPart(hashValue))
    : extendKey(prefix, hashPart(hashValue), sortPart(sortValue));
}

/** The key of an item's entry in an index; `item` is the item's own key. */
export function entryKey(
  prefix: Key,
  hashValue: AttributeValue,
  sortValue: AttributeValue | undefined,
  item: Key,
): Key {
  return sortValue === undefined
    ? extendKey(prefix, hashPart(hashValue), digest(item))
    : extendKey(prefix, hashPart(hashValue), sortPart(sortValue), digest(item));
}

export function expiryKey(prefix: Key, expiresAtSeconds: number, item: Key): Key {
  return extendKey(prefix, expiresAtSeconds, digest(item));
}

/** The expiry entries up to a moment. */
export function expiriesUntil(prefix: Key, seconds: number): KeyRange {
  return { start: prefixRange(prefix).start, end: afterKey(extendKey(prefix, seconds)) };
}

/** The entries that a key condition leaves, of a table (`prefix` of its items) or of an index. */
export function rangeOf(prefix: Key, condition: KeyCondition): KeyRange {
  const partition = extendKey(prefix, hashPart(condition.hash));
  if (condition.range === undefined) return { start: partition, end: afterKey(partition) };
  const { operator, values } = condition.range;
  const first = extendKey(partition, sortPart(values[0]!));
  switch (operator) {
    case 'EQ':
      return { start: first, end: afterKey(first) };
    case 'LT':
      return { start: partition, end: first };
    case 'LE':
      return { start: partition, end: afterKey(first) };
    case 'GT':
      return { start: afterKey(first), end: afterKey(partition) };
    case 'GE':
      return { start: first, end: afterKey(partition) };
    case 'BETWEEN':
      return { start: first, end: afterKey(extendKey(partition, sortPart(values[1]!))) };
    case 'BEGINS_WITH': {
      // Without the byte that ends it, the beginning of the encoded text begins every encoded text that begins so.
      const beginning = first.subarray(0, first.length - 1);
      return { start: beginning, end: afterBytes(beginning) };
    }
  }
}

/** A segment of a table or an index: hashes are evenly spread, so a share of their range is a share of the entries. */
export function segmentRange(prefix: Key, segment: number, totalSegments: number): KeyRange {
  const { start, end } = prefixRange(prefix);
  return {
    start: segment === 0 ? start : extendKey(prefix, hashAt(segment, totalSegments)),
    end: segment + 1 === totalSegments ? end : extendKey(prefix, hashAt(segment + 1, totalSegments)),
  };
}

/** Where a range goes on after (or, backwards, before) an entry. */
export function continued(range: KeyRange, from: Key, reverse: boolean): KeyRange {
  if (reverse) return { start: range.start, end: from.compare(range.end) < 0 ? from : range.end };
  const start = nextKey(from);
  return { start: start.compare(range.start) > 0 ? start : range.start, end: range.end };
}

function hashAt(segment: number, totalSegments: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(Math.floor((segment / totalSegments) * 2 ** 32));
  return bytes;
}

function hashPart(value: AttributeValue): Buffer {
  return digest(value.S ?? value.N ?? (value.B as Uint8Array));
}

function digest(data: string | Uint8Array): Buffer {
  return hash('sha256', data, 'buffer').subarray(0, 16);
}

function sortPart(value: AttributeValue): KeyPart {
  if (value.S !== undefined) return value.S;
  if (value.N === undefined) return value.B as Uint8Array;
  const text = value.N;
  // Fifteen digits fit a double exactly; the encoding of a number does not depend on its type.
  if (text.length <= 15 && !text.includes('.')) return Number(text);
  const { sign, digits, exponent } = decompose(text);
  return new Decimal(sign < 0, digits, exponent + 1);
}

/** The smallest key after all that begin with these bytes. */
function afterBytes(beginning: Key): Key {
  let length = beginning.length;
  while (beginning[length - 1] === 0xff) length--;
  const end = Buffer.from(beginning.subarray(0, length));
  end[length - 1]! += 1;
  return end;
}

export function encodeRecord(record: TableRecord | TokenRecord): Buffer {
  return Buffer.from(JSON.stringify(record), 'utf8');
}

export function decodeRecord<T extends TableRecord | TokenRecord>(value: Buffer): T {
  return JSON.parse(value.toString('utf8')) as T;
}
