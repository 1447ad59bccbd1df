import type { Clock } from '../../kernel/clock/contract.ts';

/** Wakes the one who waits at it; a ring that nobody heard is kept for the next wait. Waiting is no work: virtual time may pass. */
export class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Resolves at the next ring, or when cloud time has come to `untilMs`. */
  async wait(clock: Clock, untilMs?: number): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        const timer = untilMs === undefined ? undefined : clock.at(untilMs, resolve);
        this.#wake = () => {
          timer?.cancel();
          resolve();
        };
      });
      this.#wake = undefined;
    }
    this.#rung = false;
  }
}
