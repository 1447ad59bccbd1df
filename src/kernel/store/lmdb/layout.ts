import { type Key, maxKeyBytes } from '../contract.ts';

/**
 * What the LMDB environment holds. Every key begins with a byte of generation and space (generation × 16 + space): two
 * generations let a restore build the new content beside the old and switch in one transaction. Partitions and logs are
 * preceded by their length, so that none is taken for the beginning of another.
 *
 * | space    | key after the first byte | version | value |
 * | key      | key                      | of the key | value |
 * | pointer  | partition, id            | token or 0 | due time (float64), flags |
 * | due      | partition, due time, id  | token or 0 | attempts (uint32), first claim (float64), flags, value if small |
 * | value    | partition, id            | 0 | the value of a due entry, if large |
 * | log      | log, position            | 0 | value |
 * | head     | log                      | 0 | next, first, swept (float64 each) |
 *
 * The due space is ordered by time and holds all that a claim needs; the pointer says where an id stands in it.
 */
export const space = { key: 1, pointer: 2, due: 3, value: 4, log: 5, head: 6 } as const;
type Space = (typeof space)[keyof typeof space];

/** `first` is the oldest entry still readable; entries before it down to `swept` still wait for their removal. */
export interface LogHead {
  readonly next: number;
  readonly first: number;
  readonly swept: number;
}

export interface Meta {
  readonly format: number;
  readonly generation: number;
  /** No version above this has been given out. */
  readonly ceiling: number;
}

/** Larger values of due entries get a record of their own, so that a claim does not write them again. */
export const inlineBytes = 1024;

export const pointerBytes = 9;
export const dueHeaderBytes = 13;
export const flagLargeValue = 1;

/**
 * A key under construction, handed to LMDB as it stands: one instance serves all calls, since LMDB copies the bytes
 * before the call returns.
 */
export class KeyWriter {
  readonly bytes: Buffer = Buffer.allocUnsafe(maxKeyBytes * 2);
  length = 0;

  meta(): this {
    this.bytes[0] = 0x01;
    this.length = 1;
    return this;
  }

  /** Everything of a generation from here, or with the next generation's number up to here. */
  generation(generation: number): this {
    this.bytes[0] = generation << 4;
    this.length = 1;
    return this;
  }

  space(generation: number, which: number): this {
    this.bytes[0] = (generation << 4) | which;
    this.length = 1;
    return this;
  }

  raw(key: Uint8Array): this {
    this.bytes.set(key);
    this.length = key.length;
    return this;
  }

  key(generation: number, key: Key): this {
    this.bytes[0] = (generation << 4) | space.key;
    this.bytes.set(key, 1);
    this.length = 1 + key.length;
    return this;
  }

  /** The partition or log alone: with `position` or `id` it becomes a whole key. */
  scope(generation: number, which: Space, name: Key): this {
    const { bytes } = this;
    bytes[0] = (generation << 4) | which;
    bytes[1] = name.length >>> 8;
    bytes[2] = name.length & 0xff;
    bytes.set(name, 3);
    this.length = 3 + name.length;
    return this;
  }

  /** The end of a scope: after every key that begins with it. */
  afterScope(generation: number, which: Space, name: Key): this {
    this.scope(generation, which, name);
    // Eight bytes of a time or a position follow; neither ever begins with FF.
    this.bytes[this.length++] = 0xff;
    return this;
  }

  pointer(generation: number, which: Space, partition: Key, id: Uint8Array): this {
    this.scope(generation, which, partition);
    this.bytes.set(id, this.length);
    this.length += id.length;
    return this;
  }

  due(generation: number, partition: Key, dueAtMs: number, id: Uint8Array): this {
    this.scope(generation, space.due, partition).#number(dueAtMs);
    this.bytes.set(id, this.length);
    this.length += id.length;
    return this;
  }

  /** Every entry of the partition due before `dueAtMs` sorts before this. */
  dueBound(generation: number, partition: Key, dueAtMs: number): this {
    return this.scope(generation, space.due, partition).#number(dueAtMs);
  }

  log(generation: number, log: Key, position: number): this {
    return this.scope(generation, space.log, log).#number(position);
  }

  /** The smallest key after this one. */
  next(): this {
    this.bytes[this.length++] = 0x00;
    return this;
  }

  #number(value: number): this {
    const whole = wholeMs(value);
    this.bytes.writeUInt32BE(Math.floor(whole / 0x1_0000_0000), this.length);
    this.bytes.writeUInt32BE(whole % 0x1_0000_0000, this.length + 4);
    this.length += 8;
    return this;
  }
}

/** How LMDB copies a `KeyWriter` into its own buffers, and copies keys out of them. */
export const keyEncoder = {
  writeKey(key: KeyWriter, target: Buffer, start: number): number {
    const end = start + key.length;
    // lmdb-js takes a RangeError for "make room and try again".
    if (end > target.length) throw new RangeError('the key does not fit');
    const { bytes, length } = key;
    // Most keys are short, and for those a loop beats the view that a native copy would need.
    if (length <= 96) for (let index = 0; index < length; index++) target[start + index] = bytes[index]!;
    else target.set(bytes.subarray(0, length), start);
    return end;
  },
  readKey(target: Buffer, start: number, end: number): Buffer {
    return copyOf(target, start, end);
  },
};

/** Hands values to LMDB as they are, and copies them out of its shared buffer. */
export const valueEncoder = {
  encode(value: Uint8Array): Uint8Array {
    return value;
  },
  decode(shared: Buffer, length?: number): Buffer {
    return copyOf(shared, 0, length ?? shared.length);
  },
};

/** A copy in Node's shared pool, which costs half of what a buffer of its own does. */
function copyOf(source: Uint8Array, start: number, end: number): Buffer {
  const out = Buffer.allocUnsafe(end - start);
  out.set(source.subarray(start, end));
  return out;
}

/** Times and positions in keys: whole, from 0 to 2^53 − 1. */
export function wholeMs(ms: number): number {
  if (Number.isNaN(ms)) throw new RangeError('a time must be a number');
  return Math.min(Math.max(0, Math.trunc(ms)), Number.MAX_SAFE_INTEGER);
}

/** The parts of a key in a scope: pointer, due, log and value keys. `key` is the whole key. */
export function scopeOf(key: Buffer): Buffer {
  return key.subarray(3, 3 + key.readUInt16BE(1));
}

export function afterScopeOf(key: Buffer): number {
  return 3 + key.readUInt16BE(1);
}

export function readNumber(key: Buffer, offset: number): number {
  return key.readUInt32BE(offset) * 0x1_0000_0000 + key.readUInt32BE(offset + 4);
}

export function encodeHead(head: LogHead): Buffer {
  const out = Buffer.allocUnsafe(24);
  out.writeDoubleBE(head.next, 0);
  out.writeDoubleBE(head.first, 8);
  out.writeDoubleBE(head.swept, 16);
  return out;
}

export function decodeHead(bytes: Buffer): LogHead {
  return { next: bytes.readDoubleBE(0), first: bytes.readDoubleBE(8), swept: bytes.readDoubleBE(16) };
}

export function encodeMeta(meta: Meta): Buffer {
  const out = Buffer.allocUnsafe(17);
  out.writeDoubleBE(meta.format, 0);
  out[8] = meta.generation;
  out.writeDoubleBE(meta.ceiling, 9);
  return out;
}

export function decodeMeta(bytes: Buffer): Meta {
  return { format: bytes.readDoubleBE(0), generation: bytes[8]!, ceiling: bytes.readDoubleBE(9) };
}
