import type { Clock } from '../../../kernel/clock/contract.ts';

export const timedOut: unique symbol = Symbol('timed out');

/** The outcome, or `timedOut` after so much cloud time; what was begun goes on by itself, as it does on AWS. */
export async function within<T>(clock: Clock, limitMs: number, work: Promise<T>): Promise<T | typeof timedOut> {
  let expire: (value: typeof timedOut) => void = () => {};
  const expired = new Promise<typeof timedOut>((resolve) => {
    expire = resolve;
  });
  const timer = clock.at(clock.now() + limitMs, () => expire(timedOut));
  try {
    return await Promise.race([work, expired]);
  } finally {
    timer.cancel();
    // Nobody waits for it any more if it fails after the deadline.
    work.catch(() => {});
  }
}
