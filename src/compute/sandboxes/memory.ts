import type { Clock, Timer } from '../../kernel/clock/contract.ts';
import { procAvailable, proportionalTreeBytes, treeMemory } from './processes.ts';

const samplePeriodMs = 100;

export interface WatchedTree {
  readonly pid: number;
  readonly limitBytes: number;
  /** The most seen so far. */
  peakBytes: number;
  /** Of the monotonic clock. */
  sampledAtMs: number;
  readonly onExceeded: () => void;
}

/**
 * Bounds the memory of process trees by looking at it ten times a second while they work. It is coarser than a cgroup, and needs no
 * rights: a burst shorter than the period goes unpunished, though not unreported where it was the first process's own.
 */
export class MemoryWatch {
  readonly #clock: Clock;
  readonly #working = new Set<WatchedTree>();
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  tree(pid: number, limitBytes: number, onExceeded: () => void): WatchedTree {
    return { pid, limitBytes, onExceeded, peakBytes: 0, sampledAtMs: Number.NEGATIVE_INFINITY };
  }

  /** From now on the tree is looked at, until `rest`. */
  work(tree: WatchedTree): void {
    if (!procAvailable) return;
    this.#working.add(tree);
    this.#timer ??= this.#clock.at(this.#clock.now() + samplePeriodMs, () => this.#tick());
  }

  /** It works no more. What it held is noted, if it was not just now. */
  rest(tree: WatchedTree): void {
    if (!this.#working.delete(tree)) return;
    if (this.#clock.elapsed() - tree.sampledAtMs >= samplePeriodMs) this.#sample(tree);
    if (this.#working.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #tick(): void {
    this.#timer = undefined;
    for (const tree of this.#working) this.#sample(tree);
    if (this.#working.size > 0) {
      this.#timer ??= this.#clock.at(this.#clock.now() + samplePeriodMs, () => this.#tick());
    }
  }

  #sample(tree: WatchedTree): void {
    tree.sampledAtMs = this.#clock.elapsed();
    const memory = treeMemory(tree.pid);
    if (memory === undefined) return;
    if (memory.peakBytes > tree.peakBytes) tree.peakBytes = memory.peakBytes;
    if (memory.residentBytes <= tree.limitBytes) return;
    if (memory.processes > 1 && proportionalTreeBytes(tree.pid) <= tree.limitBytes) return;
    tree.onExceeded();
  }
}
