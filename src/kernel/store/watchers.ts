import type { Key } from './contract.ts';

/**
 * Who watches which prefix. Engines call `touch` for every key, partition and log that a commit wrote; callbacks come
 * coalesced, in a later turn.
 */
export class Watchers {
  readonly #byLength = new Map<number, Map<string, Watched>>();

  watch(prefix: Key, onChange: () => void): () => void {
    let group = this.#byLength.get(prefix.length);
    if (group === undefined) this.#byLength.set(prefix.length, (group = new Map()));
    const name = prefix.toString('latin1');
    let watched = group.get(name);
    if (watched === undefined) group.set(name, (watched = { callbacks: new Set(), pending: false }));
    // Each watch is its own, also when the same function watches twice.
    const callback = (): void => onChange();
    watched.callbacks.add(callback);
    return () => {
      watched.callbacks.delete(callback);
      if (watched.callbacks.size > 0 || group.get(name) !== watched) return;
      group.delete(name);
      if (group.size === 0) this.#byLength.delete(prefix.length);
    };
  }

  get empty(): boolean {
    return this.#byLength.size === 0;
  }

  touch(key: Uint8Array): void {
    if (this.#byLength.size === 0) return;
    const buffer = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
    for (const [length, group] of this.#byLength) {
      if (length > buffer.length) continue;
      const watched = group.get(buffer.toString('latin1', 0, length));
      if (watched === undefined || watched.pending) continue;
      watched.pending = true;
      setImmediate(fire, watched);
    }
  }

  /** Something changed, nobody knows what: tell everyone. */
  touchAll(): void {
    for (const group of this.#byLength.values()) {
      for (const watched of group.values()) {
        if (watched.pending) continue;
        watched.pending = true;
        setImmediate(fire, watched);
      }
    }
  }
}

interface Watched {
  readonly callbacks: Set<() => void>;
  pending: boolean;
}

function fire(watched: Watched): void {
  watched.pending = false;
  for (const callback of [...watched.callbacks]) callback();
}
