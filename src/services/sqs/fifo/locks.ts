/**
 * One at a time works on a message group in this process: not for safety, which the checks of every commit give, but so
 * that commits do not lose against each other. A receiver holds several groups and passes over those that another receiver
 * holds; everyone else holds one at a time, so that nobody waits in a circle.
 */
export class GroupLocks {
  readonly #tails = new Map<string, Promise<void>>();
  readonly #receiving = new Set<string>();

  /** Waits for its turn; answers how to let go. */
  async lock(name: string): Promise<() => void> {
    const before = this.#tails.get(name);
    let letGo!: () => void;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    this.#tails.set(name, held);
    if (before !== undefined) await before;
    return () => {
      if (this.#tails.get(name) === held) this.#tails.delete(name);
      letGo();
    };
  }

  /** Undefined if another receiver holds the group or waits for it. */
  async lockToReceive(name: string): Promise<(() => void) | undefined> {
    if (this.#receiving.has(name)) return undefined;
    this.#receiving.add(name);
    const letGo = await this.lock(name);
    return () => {
      this.#receiving.delete(name);
      letGo();
    };
  }
}
