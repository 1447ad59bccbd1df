import type { Entry, Key, Version } from '../../kernel/store/contract.ts';
import { itemFromJson, itemToJson } from './rules/item-json.ts';
import { type Item, itemSizeBytes } from './rules/values.ts';

/**
 * An item (or an index's view of one) in the store: a format byte, its size by AWS's formula in four bytes, and its JSON
 * text in the wire's form. So it is answered, counted and paged without being parsed.
 */
const format = 1;
const headBytes = 5;

/** An item as it is to be stored. */
export interface NewItem {
  readonly item: Item;
  readonly json: string;
  readonly sizeBytes: number;
}

export function newItem(item: Item): NewItem {
  return { item, json: itemToJson(item), sizeBytes: itemSizeBytes(item) };
}

export function encodeItem({ json, sizeBytes }: NewItem): Buffer {
  const value = Buffer.allocUnsafe(headBytes + Buffer.byteLength(json, 'utf8'));
  value[0] = format;
  value.writeUInt32BE(sizeBytes, 1);
  value.write(json, headBytes, 'utf8');
  return value;
}

export function sizeOf(value: Buffer): number {
  return value.readUInt32BE(1);
}

export function jsonOf(value: Buffer): string {
  return value.toString('utf8', headBytes);
}

/** An item as it was read: parsed when it is looked into. */
export class StoredItem {
  readonly key: Key;
  readonly version: Version;
  readonly #value: Buffer;
  #json: string | undefined;
  #item: Item | undefined;

  constructor({ key, version, value }: Entry) {
    this.key = key;
    this.version = version;
    this.#value = value;
  }

  /** As it is stored. */
  get value(): Buffer {
    return this.#value;
  }

  get sizeBytes(): number {
    return sizeOf(this.#value);
  }

  get json(): string {
    return (this.#json ??= jsonOf(this.#value));
  }

  get item(): Item {
    return (this.#item ??= itemFromJson(this.json));
  }

  /** Whether this is what would be written. */
  holds(value: Buffer): boolean {
    return this.#value.equals(value);
  }
}
