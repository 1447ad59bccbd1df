import type { Key } from '../../kernel/store/contract.ts';
import { encodeChange } from './rules/change-record.ts';
import { encodePast } from './rules/history.ts';
import { itemToJson } from './rules/item-json.ts';
import { shardOf } from './rules/shards.ts';
import { attributeOf, type Item, itemSizeBytes, mapsEqual } from './rules/values.ts';
import type { NewItem, StoredItem } from './stored-item.ts';
import type { Capture, Table } from './tables.ts';

export interface Append {
  readonly log: Key;
  readonly value: Buffer;
}

/** What is kept of a change beside the item, in its own commit. A write that changes nothing leaves nothing. */
export function captured(
  table: Table,
  { stream, history }: Capture,
  key: Key,
  old: StoredItem | undefined,
  next: NewItem | undefined,
  nowMs: number,
  isExpiry: boolean,
): readonly Append[] {
  if (isSame(old, next)) return [];
  const appends: Append[] = [];
  if (stream !== undefined) {
    const { viewType, logs } = stream;
    const log = logs[shardOf(firstHashByte(table, key), logs.length)]!;
    const keys = keysOf(table, (next ?? old!).item);
    appends.push({ log, value: encodeChange(viewType, nowMs, keys, old, next, isExpiry) });
  }
  if (history !== undefined) {
    const suffix = key.subarray(table.prefix.length);
    appends.push({ log: history, value: encodePast({ atMs: nowMs, suffix, value: old?.value }) });
  }
  return appends;
}

function isSame(old: StoredItem | undefined, next: NewItem | undefined): boolean {
  if (old === undefined || next === undefined) return old === next;
  return old.json === next.json || mapsEqual(old.item, next.item);
}

/** The partition key's hash stands behind the table's prefix and its type's tag. */
function firstHashByte({ prefix }: Table, key: Key): number {
  return key[prefix.length + 1]!;
}

function keysOf({ hash, range }: Table, item: Item): { readonly json: string; readonly sizeBytes: number } {
  const names = range === undefined ? [hash.name] : [hash.name, range.name];
  const keys = Object.fromEntries(names.map((name) => [name, attributeOf(item, name)!]));
  return { json: itemToJson(keys), sizeBytes: itemSizeBytes(keys) };
}
