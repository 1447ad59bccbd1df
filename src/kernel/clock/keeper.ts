import { counterBytes, counterValue, type Store } from '../store/contract.ts';
import { encodeKey } from '../store/keys.ts';
import { VirtualClock } from './virtual.ts';
import { WallClock } from './wall.ts';

const clockKey = encodeKey('kernel', 'clock');
const keepEveryMs = 5_000;

/**
 * Keeps cloud time in the store, so that it does not run backwards from one start to the next: not after an advance under
 * the virtual clock, and not when the wall's clock was set back. A crash loses the last few seconds of virtual time at most.
 */
export class ClockKeeper {
  readonly clock: WallClock | VirtualClock;
  readonly #store: Store;
  readonly #interval: NodeJS.Timeout;
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
    const wallMs = Date.now();
    // A cloud that was ahead of the wall stays ahead by as much, and flows on from there.
    const clock =
      kind === 'virtual'
        ? new VirtualClock(Math.max(wallMs, keptMs))
        : new WallClock({ offsetMs: Math.max(0, keptMs - wallMs) });
    const keeper = new ClockKeeper(store, clock, keptMs);
    if (clock instanceof VirtualClock) clock.onAdvanced = () => keeper.#keep();
    return keeper;
  }

  async close(): Promise<void> {
    clearInterval(this.#interval);
    this.#keep();
    await this.#keeping;
  }

  #keep(): void {
    const nowMs = this.clock.now();
    if (nowMs <= this.#keptMs) return;
    this.#keptMs = nowMs;
    this.#keeping = this.#store.commit({ set: [{ key: clockKey, value: counterBytes(nowMs) }] }).catch(() => {});
  }
}
