import { WallClock } from '../kernel/clock/wall.ts';

const clock = new WallClock();

/** The CLI waits in real time, whatever time it is in the cloud. */
export function wait(delayMs: number): Promise<void> {
  return clock.sleep(delayMs);
}
