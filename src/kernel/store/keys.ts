import { type Key, type KeyRange, maxKeyBytes } from './contract.ts';

/**
 * Order-preserving tuple keys. Parts compare by type first (null, false, true, bytes, string, number), then by value:
 * bytes bytewise, strings by code point, numbers numerically whatever their type in JavaScript.
 *
 * | part    | bytes |
 * | null    | 01 |
 * | false   | 02 |
 * | true    | 03 |
 * | bytes   | 05, the bytes with 00 escaped as 00 FF, 00 |
 * | string  | 06, UTF-8 with 00 escaped as 00 FF, 00 |
 * | number  | 11 for zero; 12, exponent, digits, 00 for positive; 10 and the complement of all that for negative |
 *
 * A number is 0.d₁d₂… × 100^exponent with digits in base 100, each stored plus one so that 00 ends them; the exponent
 * is one byte, biased by 128. That covers 38-digit decimals from 1E-130 to 1E126 and every 64-bit integer.
 */
export type KeyPart = null | boolean | number | bigint | string | Uint8Array | Decimal;

/** A decimal number in canonical form: (−1)^negative × 0.digits × 10^exponent; zero has no digits. */
export class Decimal {
  readonly negative: boolean;
  readonly digits: string;
  readonly exponent: number;

  constructor(negative: boolean, digits: string, exponent: number) {
    const stripped = digits.replace(/^0+/, '');
    const trimmed = stripped.replace(/0+$/, '');
    this.digits = trimmed;
    this.negative = negative && trimmed !== '';
    this.exponent = trimmed === '' ? 0 : exponent - (digits.length - stripped.length);
  }

  /** Parses `-12.5e3` and the like. */
  static parse(text: string): Decimal {
    const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text);
    if (match === null || (match[2] === '' && (match[3] ?? '') === '')) throw new KeyError(`not a number: ${text}`);
    const whole = match[2] ?? '';
    return new Decimal(match[1] === '-', whole + (match[3] ?? ''), whole.length + Number(match[4] ?? 0));
  }

  toString(): string {
    if (this.digits === '') return '0';
    return `${this.negative ? '-' : ''}0.${this.digits}E${this.exponent}`;
  }
}

/** A programming error: the caller validates user input first. */
export class KeyError extends Error {
  override readonly name = 'KeyError';
}

const tagNull = 0x01;
const tagFalse = 0x02;
const tagTrue = 0x03;
const tagBytes = 0x05;
const tagString = 0x06;
const tagNegative = 0x10;
const tagZero = 0x11;
const tagPositive = 0x12;
const exponentBias = 128;

/** Escaping doubles at most; numbers and tags stay small. */
const scratch = Buffer.allocUnsafe(maxKeyBytes * 2 + 64);

/** Encodes a tuple. Throws KeyError over `maxKeyBytes`, for NaN, infinities and strings with lone surrogates. */
export function encodeKey(...parts: readonly KeyPart[]): Key {
  return finish(encodeParts(parts, 0));
}

/** The tuple of `prefix` followed by `parts`: a prefix encoded once serves many keys. */
export function extendKey(prefix: Key, ...parts: readonly KeyPart[]): Key {
  prefix.copy(scratch, 0);
  return finish(encodeParts(parts, prefix.length));
}

/** Every key whose tuple begins with the prefix's parts, and not the prefix itself. */
export function prefixRange(prefix: Key): KeyRange {
  const start = Buffer.allocUnsafe(prefix.length + 1);
  prefix.copy(start);
  start[prefix.length] = 0x00;
  const end = Buffer.allocUnsafe(prefix.length + 1);
  prefix.copy(end);
  end[prefix.length] = 0xff;
  return { start, end };
}

/** The smallest key that sorts after this one and all tuples that extend it. */
export function afterKey(key: Key): Key {
  return Buffer.concat([key, Buffer.from([0xff])]);
}

/** The smallest key that sorts after this one: to go on exclusively from it. */
export function nextKey(key: Key): Key {
  return Buffer.concat([key, Buffer.from([0x00])]);
}

/** The tuple back: integers as number where safe, else bigint; other numbers as Decimal; bytes as Buffer. */
export function decodeKey(key: Uint8Array): KeyPart[] {
  const parts: KeyPart[] = [];
  const buffer = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
  let offset = 0;
  while (offset < buffer.length) {
    const tag = buffer[offset++]!;
    switch (tag) {
      case tagNull:
        parts.push(null);
        break;
      case tagFalse:
        parts.push(false);
        break;
      case tagTrue:
        parts.push(true);
        break;
      case tagZero:
        parts.push(0);
        break;
      case tagBytes:
      case tagString: {
        const [bytes, next] = unescaped(buffer, offset);
        parts.push(tag === tagBytes ? bytes : bytes.toString('utf8'));
        offset = next;
        break;
      }
      case tagNegative:
      case tagPositive: {
        const [value, next] = decodeNumber(buffer, offset, tag === tagNegative);
        parts.push(value);
        offset = next;
        break;
      }
      default:
        throw new KeyError(`unknown type tag ${tag} at byte ${offset - 1}`);
    }
  }
  return parts;
}

function finish(length: number): Key {
  if (length > maxKeyBytes) throw new KeyError(`a key has at most ${maxKeyBytes} bytes, this one ${length}`);
  const key = Buffer.allocUnsafe(length);
  scratch.copy(key, 0, 0, length);
  return key;
}

function encodeParts(parts: readonly KeyPart[], start: number): number {
  let offset = start;
  for (const part of parts) {
    if (offset > maxKeyBytes) break;
    if (typeof part === 'string') offset = encodeString(part, offset);
    else if (typeof part === 'number') offset = encodeNumber(part, offset);
    else if (part === null) scratch[offset++] = tagNull;
    else if (part === false) scratch[offset++] = tagFalse;
    else if (part === true) scratch[offset++] = tagTrue;
    else if (typeof part === 'bigint') offset = encodeDecimal(Decimal.parse(part.toString()), offset);
    else if (part instanceof Decimal) offset = encodeDecimal(part, offset);
    else offset = encodeBytes(part, tagBytes, offset);
  }
  return offset;
}

function encodeString(text: string, start: number): number {
  // Three bytes per UTF-16 unit at most; longer strings cannot be keys anyway.
  if (text.length > maxKeyBytes) return maxKeyBytes + 1;
  if (text.length * 3 + start + 2 > scratch.length || text.includes('\0')) {
    return encodeBytes(wellFormed(text), tagString, start);
  }
  scratch[start] = tagString;
  const length = scratch.write(text, start + 1, 'utf8');
  // An ASCII string has one byte a unit; anything else may hide a lone surrogate, which UTF-8 would silently replace.
  if (length !== text.length && !text.isWellFormed())
    throw new KeyError('a string with a lone surrogate cannot be a key');
  scratch[start + 1 + length] = 0x00;
  return start + 2 + length;
}

function wellFormed(text: string): Buffer {
  if (!text.isWellFormed()) throw new KeyError('a string with a lone surrogate cannot be a key');
  return Buffer.from(text, 'utf8');
}

function encodeBytes(bytes: Uint8Array, tag: number, start: number): number {
  if (bytes.length > maxKeyBytes) return maxKeyBytes + 1;
  let offset = start;
  scratch[offset++] = tag;
  for (let index = 0; index < bytes.length; index++) {
    if (offset > maxKeyBytes) return offset;
    const byte = bytes[index]!;
    scratch[offset++] = byte;
    if (byte === 0x00) scratch[offset++] = 0xff;
  }
  scratch[offset++] = 0x00;
  return offset;
}

function encodeNumber(value: number, start: number): number {
  if (value === 0) {
    scratch[start] = tagZero;
    return start + 1;
  }
  if (!Number.isSafeInteger(value)) {
    if (!Number.isFinite(value)) throw new KeyError(`${value} cannot be part of a key`);
    return encodeDecimal(Decimal.parse(String(value)), start);
  }
  const negative = value < 0;
  let rest = negative ? -value : value;
  let count = 0;
  for (let probe = rest; probe >= 1; probe = Math.floor(probe / 100)) count++;
  // Trailing zero digits are left out, so that every way to write a number gives the same bytes.
  let digits = count;
  while (rest % 100 === 0) {
    rest /= 100;
    digits--;
  }
  for (let index = digits - 1; index >= 0; index--) {
    const next = Math.floor(rest / 100);
    scratch[start + 2 + index] = rest - next * 100 + 1;
    rest = next;
  }
  return finishNumber(negative, count, digits, start);
}

function encodeDecimal(value: Decimal, start: number): number {
  if (value.digits === '') {
    scratch[start] = tagZero;
    return start + 1;
  }
  const odd = (value.exponent & 1) !== 0;
  const aligned = (odd ? '0' : '') + value.digits;
  const padded = aligned.length % 2 === 0 ? aligned : `${aligned}0`;
  const exponent = (value.exponent + (odd ? 1 : 0)) / 2;
  if (exponent <= -exponentBias || exponent >= exponentBias) throw new KeyError(`number out of range: ${value}`);
  const digits = padded.length / 2;
  if (digits > 512) throw new KeyError('a number with over 1,024 digits cannot be part of a key');
  for (let index = 0; index < digits; index++) {
    scratch[start + 2 + index] = Number(padded.slice(index * 2, index * 2 + 2)) + 1;
  }
  return finishNumber(value.negative, exponent, digits, start);
}

function finishNumber(negative: boolean, exponent: number, digits: number, start: number): number {
  scratch[start] = negative ? tagNegative : tagPositive;
  scratch[start + 1] = exponent + exponentBias;
  const end = start + 2 + digits;
  scratch[end] = 0x00;
  if (negative) for (let index = start + 1; index <= end; index++) scratch[index] = ~scratch[index]! & 0xff;
  return end + 1;
}

function decodeNumber(buffer: Buffer, start: number, negative: boolean): [number | bigint | Decimal, number] {
  const flip = negative ? 0xff : 0x00;
  const exponent = (buffer[start]! ^ flip) - exponentBias;
  let digits = '';
  let offset = start + 1;
  for (;;) {
    if (offset >= buffer.length) throw new KeyError('a number in a key has no end');
    const byte = buffer[offset++]! ^ flip;
    if (byte === 0x00) break;
    digits += String(byte - 1).padStart(2, '0');
  }
  const value = new Decimal(negative, digits, exponent * 2);
  if (value.exponent < value.digits.length) return [value, offset];
  const integer = BigInt((negative ? '-' : '') + value.digits.padEnd(value.exponent, '0'));
  const small = Number(integer);
  return [Number.isSafeInteger(small) ? small : integer, offset];
}

function unescaped(buffer: Buffer, start: number): [Buffer, number] {
  const first = buffer.indexOf(0x00, start);
  if (first < 0) throw new KeyError('a string in a key has no end');
  if (buffer[first + 1] !== 0xff) return [buffer.subarray(start, first), first + 1];
  const bytes: number[] = [];
  for (let offset = start; ; offset++) {
    if (offset >= buffer.length) throw new KeyError('a string in a key has no end');
    const byte = buffer[offset]!;
    if (byte === 0x00) {
      if (buffer[offset + 1] !== 0xff) return [Buffer.from(bytes), offset + 1];
      offset++;
    }
    bytes.push(byte);
  }
}
