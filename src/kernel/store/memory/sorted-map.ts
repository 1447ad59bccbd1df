/**
 * An ordered map from strings to values: a list of sorted chunks. Inserting costs a binary search and a copy of half a
 * chunk, which at this chunk size beats a tree of objects by far, in time and in memory.
 */
export class SortedMap<V> {
  #chunks: Chunk<V>[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: string): V | undefined {
    const chunk = this.#chunks[this.#chunkFor(key)];
    if (chunk === undefined) return undefined;
    const index = lowerBound(chunk.keys, key);
    return chunk.keys[index] === key ? chunk.values[index] : undefined;
  }

  set(key: string, value: V): void {
    if (this.#chunks.length === 0) this.#chunks.push({ keys: [], values: [] });
    const at = this.#chunkFor(key);
    const chunk = this.#chunks[at]!;
    const index = lowerBound(chunk.keys, key);
    if (chunk.keys[index] === key) {
      chunk.values[index] = value;
      return;
    }
    chunk.keys.splice(index, 0, key);
    chunk.values.splice(index, 0, value);
    this.#size++;
    if (chunk.keys.length > maxChunk) {
      // Keys often arrive in order: then the old chunk stays full and a new one begins.
      const cut = index === chunk.keys.length - 1 ? chunk.keys.length - 1 : chunk.keys.length >>> 1;
      this.#chunks.splice(at + 1, 0, { keys: chunk.keys.splice(cut), values: chunk.values.splice(cut) });
    }
  }

  delete(key: string): boolean {
    const at = this.#chunkFor(key);
    const chunk = this.#chunks[at];
    if (chunk === undefined) return false;
    const index = lowerBound(chunk.keys, key);
    if (chunk.keys[index] !== key) return false;
    chunk.keys.splice(index, 1);
    chunk.values.splice(index, 1);
    this.#size--;
    if (chunk.keys.length === 0) this.#chunks.splice(at, 1);
    return true;
  }

  clear(): void {
    this.#chunks = [];
    this.#size = 0;
  }

  /** Calls `visit` in key order from `start` (inclusive) to `end` (exclusive) until it returns false. */
  visit(start: string, end: string | undefined, visit: (key: string, value: V) => boolean): void {
    for (let at = this.#chunkFor(start); at < this.#chunks.length; at++) {
      const { keys, values } = this.#chunks[at]!;
      for (let index = lowerBound(keys, start); index < keys.length; index++) {
        const key = keys[index]!;
        if (end !== undefined && key >= end) return;
        if (!visit(key, values[index]!)) return;
      }
    }
  }

  /** Calls `visit` in reverse key order, from below `end` down to `start` (inclusive), until it returns false. */
  visitReverse(start: string, end: string, visit: (key: string, value: V) => boolean): void {
    for (let at = this.#chunkFor(end); at >= 0; at--) {
      const chunk = this.#chunks[at];
      if (chunk === undefined) continue;
      for (let index = lowerBound(chunk.keys, end) - 1; index >= 0; index--) {
        const key = chunk.keys[index]!;
        if (key < start) return;
        if (!visit(key, chunk.values[index]!)) return;
      }
    }
  }

  count(start: string, end: string): number {
    let total = 0;
    for (let at = this.#chunkFor(start); at < this.#chunks.length; at++) {
      const { keys } = this.#chunks[at]!;
      if (keys[0]! >= end) break;
      const from = lowerBound(keys, start);
      const to = keys[keys.length - 1]! < end ? keys.length : lowerBound(keys, end);
      total += Math.max(0, to - from);
    }
    return total;
  }

  /** The last chunk whose first key is at or before `key`, or the first one. */
  #chunkFor(key: string): number {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#chunks[middle]!.keys[0]! <= key) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

interface Chunk<V> {
  keys: string[];
  values: V[];
}

const maxChunk = 512;

function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
