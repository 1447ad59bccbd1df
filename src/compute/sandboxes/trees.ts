/** The process trees of sandboxes while they work and while they rest: their memory is bounded, and between invocations they stand still. */
import type { Timer } from '../../kernel/clock/contract.ts';
import { WallClock } from '../../kernel/clock/wall.ts';
import { descendants, memoryOf, procAvailable, proportionalTreeBytes, sendSignal } from './processes.ts';

/** Memory is looked at this often while a tree works. */
const samplePeriodMs = 100;
/** New processes of a tree are looked for this often only: to find them costs many times what a look at the known ones does. */
const walkPeriodMs = 500;
/** A tree that has rested this long is frozen; a function that is called again sooner pays nothing for it. */
const restBeforeFreezeMs = 30;

export interface TreeOptions {
  /** The first processes: what hangs below them belongs to the tree. */
  readonly roots: readonly number[];
  readonly memoryBytes: number;
  /** A process of ours that only waits for the others, and is left running. */
  readonly keeper?: number;
  /** Whether it stands still while it rests. */
  readonly freezes: boolean;
  /** More memory than the bound: called once. */
  readonly onExceeded: () => void;
}

/**
 * All trees of a cloud, with one timer for each purpose however many they are. Bounding memory by looking at it is coarser than a cgroup
 * and needs no rights: a burst shorter than the period goes unpunished, though not unreported where it was the first process's own.
 */
export class Trees {
  /** Processes live in real time, whatever the cloud's clock says. */
  readonly #clock = new WallClock();
  readonly #working = new Set<ProcessTree>();
  readonly #resting = new Set<ProcessTree>();
  #sampler: Timer | undefined;
  #freezer: Timer | undefined;

  tree(options: TreeOptions): ProcessTree {
    return new ProcessTree(this, options);
  }

  /** For ProcessTree. */
  works(tree: ProcessTree): void {
    this.#resting.delete(tree);
    if (!procAvailable) return;
    this.#working.add(tree);
    this.#armSampler();
  }

  /** For ProcessTree. */
  rests(tree: ProcessTree): void {
    this.leaves(tree);
    if (!tree.freezes || !procAvailable) return;
    tree.restsSinceMs = this.#clock.elapsed();
    this.#resting.add(tree);
    this.#armFreezer();
  }

  /** For ProcessTree. */
  leaves(tree: ProcessTree): void {
    this.#resting.delete(tree);
    this.#working.delete(tree);
  }

  /** For ProcessTree: looks now, unless it has just done so. */
  refreshes(tree: ProcessTree): void {
    if (procAvailable && this.#clock.elapsed() - tree.sampledAtMs >= samplePeriodMs) this.#sample(tree);
  }

  #armSampler(): void {
    // One tree at a time, each once in a period: to look at all of them in one go would hold up every request meanwhile.
    const pauseMs = Math.max(1, Math.floor(samplePeriodMs / Math.max(1, this.#working.size)));
    this.#sampler ??= this.#clock.at(this.#clock.now() + pauseMs, () => {
      this.#sampler = undefined;
      const before = this.#clock.elapsed() - samplePeriodMs / 2;
      for (const tree of this.#working) {
        if (tree.sampledAtMs > before) continue;
        // Behind the others, for the next time.
        this.#working.delete(tree);
        this.#working.add(tree);
        this.#sample(tree);
        break;
      }
      if (this.#working.size > 0) this.#armSampler();
    });
  }

  #armFreezer(): void {
    this.#freezer ??= this.#clock.at(this.#clock.now() + restBeforeFreezeMs, () => {
      this.#freezer = undefined;
      const before = this.#clock.elapsed() - restBeforeFreezeMs;
      for (const tree of this.#resting) {
        if (tree.restsSinceMs > before) continue;
        this.#resting.delete(tree);
        tree.freeze();
      }
      if (this.#resting.size > 0) this.#armFreezer();
    });
  }

  #sample(tree: ProcessTree): void {
    tree.sampledAtMs = this.#clock.elapsed();
    tree.sample(tree.sampledAtMs);
  }
}

export class ProcessTree {
  readonly #trees: Trees;
  readonly #options: TreeOptions;
  #frozen: readonly number[] = [];
  #exceeded = false;
  #ended = false;
  #peakBytes = 0;
  /** The tree's processes, as they were found last. */
  #known: readonly number[] = [];
  #walkedAtMs = Number.NEGATIVE_INFINITY;
  /** Of the monotonic clock; for Trees. */
  sampledAtMs = Number.NEGATIVE_INFINITY;
  restsSinceMs = 0;

  constructor(trees: Trees, options: TreeOptions) {
    this.#trees = trees;
    this.#options = options;
  }

  get freezes(): boolean {
    return this.#options.freezes;
  }

  /** The most seen so far. */
  get peakBytes(): number {
    if (!this.#ended) this.#trees.refreshes(this);
    return this.#peakBytes;
  }

  work(): void {
    if (this.#ended) return;
    this.#trees.works(this);
    this.#thaw();
  }

  rest(): void {
    if (!this.#ended) this.#trees.rests(this);
  }

  /** Its processes are gone, or about to go. */
  end(): void {
    this.#ended = true;
    this.#trees.leaves(this);
    this.#frozen = [];
  }

  /** Stops every process, the ones that appear meanwhile included, so that none is left to start another. */
  freeze(): void {
    const stopped = new Set<number>();
    for (let before = -1; before !== stopped.size; ) {
      before = stopped.size;
      for (const pid of this.#processes()) {
        if (stopped.has(pid) || !sendSignal(pid, 'SIGSTOP')) continue;
        stopped.add(pid);
      }
    }
    this.#frozen = [...stopped];
  }

  /** `nowMs` is the monotonic clock's. */
  sample(nowMs: number): void {
    const { roots, memoryBytes, onExceeded } = this.#options;
    if (nowMs - this.#walkedAtMs >= walkPeriodMs) {
      this.#walkedAtMs = nowMs;
      this.#known = roots.flatMap((root) => [root, ...descendants(root)]);
    }
    let residentBytes = 0;
    let processes = 0;
    for (const pid of this.#known) {
      const memory = memoryOf(pid);
      if (memory === undefined) continue;
      processes++;
      residentBytes += memory.residentBytes;
      if (memory.peakBytes > this.#peakBytes) this.#peakBytes = memory.peakBytes;
    }
    if (residentBytes > this.#peakBytes) this.#peakBytes = residentBytes;
    if (residentBytes <= memoryBytes || this.#exceeded) return;
    if (processes > 1 && roots.reduce((sum, root) => sum + proportionalTreeBytes(root), 0) <= memoryBytes) return;
    this.#exceeded = true;
    onExceeded();
  }

  #processes(): number[] {
    const { roots, keeper } = this.#options;
    return roots.flatMap((root) => [root, ...descendants(root)]).filter((pid) => pid !== keeper);
  }

  #thaw(): void {
    if (this.#frozen.length === 0) return;
    for (const pid of this.#frozen) sendSignal(pid, 'SIGCONT');
    this.#frozen = [];
  }
}
