import { randomBytes, randomFillSync, randomUUID } from 'node:crypto';

/** The only source of chance. Seeded, it gives the same answers in the same order; unseeded, it is cryptographic. */
export interface Random {
  /** A version 4 UUID in lower case. */
  uuid(): string;
  bytes(length: number): Buffer;
  /** `length` characters of lower-case hex. */
  hex(length: number): string;
  /** `length` characters of the alphabet given (default: upper-case letters and digits). */
  text(length: number, alphabet?: string): string;
  /** A float in [0, 1). */
  float(): number;
  /** An integer in [0, bound). */
  integer(bound: number): number;
}

const upperAlphanumeric = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

export function createRandom(seed?: number | string): Random {
  return seed === undefined ? new SystemRandom() : new SeededRandom(seed);
}

abstract class BaseRandom implements Random {
  abstract uuid(): string;
  abstract bytes(length: number): Buffer;
  abstract float(): number;

  hex(length: number): string {
    return this.bytes((length + 1) >> 1)
      .toString('hex')
      .slice(0, length);
  }

  text(length: number, alphabet: string = upperAlphanumeric): string {
    let out = '';
    for (let index = 0; index < length; index++) out += alphabet[this.integer(alphabet.length)];
    return out;
  }

  integer(bound: number): number {
    return Math.floor(this.float() * bound);
  }
}

class SystemRandom extends BaseRandom {
  readonly #pool = Buffer.alloc(4096);
  #used = 4096;

  uuid(): string {
    return randomUUID();
  }

  bytes(length: number): Buffer {
    if (length > this.#pool.length / 8) return randomBytes(length);
    // Drawn in bulk: a call for a few bytes costs as much as one for thousands.
    if (this.#used + length > this.#pool.length) this.#refill();
    const out = Buffer.from(this.#pool.subarray(this.#used, this.#used + length));
    this.#pool.fill(0, this.#used, this.#used + length);
    this.#used += length;
    return out;
  }

  float(): number {
    if (this.#used + 6 > this.#pool.length) this.#refill();
    const value = this.#pool.readUIntBE(this.#used, 6);
    this.#used += 6;
    return value / 2 ** 48;
  }

  #refill(): void {
    randomFillSync(this.#pool);
    this.#used = 0;
  }
}

/** sfc32 (Chris Doty-Humphrey's small fast counting generator, public domain), seeded by hashing the seed's text. */
class SeededRandom extends BaseRandom {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number | string) {
    super();
    const hash = hashText(String(seed));
    this.#a = hash();
    this.#b = hash();
    this.#c = hash();
    for (let round = 0; round < 15; round++) this.#next();
  }

  uuid(): string {
    const bytes = this.bytes(16);
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    const hex = bytes.toString('hex');
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }

  bytes(length: number): Buffer {
    const out = Buffer.allocUnsafe(length);
    for (let index = 0; index < length; index++) out[index] = this.#next() & 0xff;
    return out;
  }

  float(): number {
    return (this.#next() >>> 5) / 2 ** 27;
  }

  #next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + sum) | 0;
    return sum >>> 0;
  }
}

/** FNV-1a followed by an avalanche, giving as many 32-bit words as asked for. */
function hashText(text: string): () => number {
  let hash = 2166136261;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 16777619);
  }
  return () => {
    hash = Math.imul(hash ^ (hash >>> 16), 2246822507);
    hash = Math.imul(hash ^ (hash >>> 13), 3266489909);
    hash ^= hash >>> 16;
    return hash >>> 0;
  };
}
