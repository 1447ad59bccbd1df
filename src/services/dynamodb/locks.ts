/**
 * Locks by name within this process, first come first served. They promise nothing (another process may write as well; the commit's
 * checks decide): they only spare writers of one item from losing against each other again and again.
 */
export class KeyedLocks {
  /** The waiting ones of every held name; undefined while nobody waits. */
  readonly #held = new Map<string, (() => void)[] | undefined>();

  /** Undefined: taken at once. Else wait for it. Release it in any case. */
  acquire(name: string): Promise<void> | undefined {
    if (!this.#held.has(name)) {
      this.#held.set(name, undefined);
      return undefined;
    }
    return new Promise((resolve) => {
      const waiting = this.#held.get(name);
      if (waiting === undefined) this.#held.set(name, [resolve]);
      else waiting.push(resolve);
    });
  }

  release(name: string): void {
    const next = this.#held.get(name)?.shift();
    if (next === undefined) this.#held.delete(name);
    else next();
  }

  /** Runs with all the names held; they are taken in order, so that nobody waits for another in a circle. */
  async holding<T>(names: readonly string[], run: () => Promise<T>): Promise<T> {
    const sorted = [...new Set(names)].sort();
    for (const name of sorted) await this.acquire(name);
    try {
      return await run();
    } finally {
      for (const name of sorted) this.release(name);
    }
  }
}
