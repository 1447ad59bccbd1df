/**
 * A bounded memory of the results of a pure function of a text. Two generations: what was not asked for while the younger
 * one filled up is forgotten with the older. So a hit is one look-up, with no order to keep.
 */
export class RecentResults<T> {
  readonly #generationSize: number;
  #young = new Map<string, T>();
  #old = new Map<string, T>();

  /** Remembers at least the last `generationSize` texts and at most twice as many. */
  constructor(generationSize: number) {
    this.#generationSize = generationSize;
  }

  /** The remembered result for the text, or the computed one; a computation that throws is not remembered. */
  get(text: string, compute: (text: string) => T): T {
    const known = this.#young.get(text);
    if (known !== undefined) return known;
    const result = this.#old.get(text) ?? compute(text);
    if (this.#young.size >= this.#generationSize) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(text, result);
    return result;
  }
}
