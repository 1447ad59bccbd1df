import { counterBytes, counterValue, type Store } from '../store/contract.ts';
import { encodeKey } from '../store/keys.ts';
import { VirtualClock } from './virtual.ts';
import { WallClock } from './wall.ts';

const clockKey = encodeKey('kernel', 'clock');
const keepEveryMs = 5_000;
/** Clocks drift apart by some 10 ms in this time. */
const followEveryMs = 60_000;

/**
 * Keeps cloud time in the store, so that it does not run backwards from one start to the next: not after an advance under
 * the virtual clock, and not when the wall's clock was set back. Where processes share a store, its clock is the wall. A crash loses the last few seconds of virtual time at most.
 */
export class ClockKeeper {
  readonly clock: WallClock | VirtualClock;
  readonly #store: Store;
  readonly #interval: NodeJS.Timeout;
  #following: NodeJS.Timeout | undefined;
  #keptMs: number;
  #keeping: Promise<unknown> = Promise.resolve();

  private constructor(store: Store, clock: WallClock | VirtualClock, keptMs: number) {
    this.#store = store;
    this.clock = clock;
    this.#keptMs = keptMs;
    this.#interval = setInterval(() => this.#keep(), keepEveryMs).unref();
  }

  static async open(store: Store, kind: 'wall' | 'virtual'): Promise<ClockKeeper> {
    const keptMs = counterValue((await store.get(clockKey))?.value);
    const offsetMs = (await store.clockOffsetMs?.()) ?? 0;
    const wallMs = Date.now() + offsetMs;
    const aheadMs = Math.max(0, keptMs - wallMs);
    // A cloud that was ahead of the wall stays ahead by as much, and flows on from there.
    const clock =
      kind === 'virtual' ? new VirtualClock(Math.max(wallMs, keptMs)) : new WallClock({ offsetMs: offsetMs + aheadMs });
    const keeper = new ClockKeeper(store, clock, keptMs);
    if (clock instanceof VirtualClock) clock.onAdvanced = () => keeper.#keep();
    else if (store.clockOffsetMs !== undefined) keeper.#follow(clock, aheadMs);
    return keeper;
  }

  async close(): Promise<void> {
    clearInterval(this.#interval);
    clearInterval(this.#following);
    this.#keep();
    await this.#keeping;
  }

  #follow(clock: WallClock, aheadMs: number): void {
    this.#following = setInterval(() => {
      this.#store.clockOffsetMs?.().then(
        (offsetMs) => clock.shift(offsetMs + aheadMs),
        // The next one may get through; until then the old offset is as good as any.
        () => {},
      );
    }, followEveryMs).unref();
  }

  #keep(): void {
    const nowMs = this.clock.now();
    if (nowMs <= this.#keptMs) return;
    this.#keptMs = nowMs;
    this.#keeping = this.#store.commit({ set: [{ key: clockKey, value: counterBytes(nowMs) }] }).catch(() => {});
  }
}
