import type { Key, Store } from '../../kernel/store/contract.ts';

/** The first position from `from` on whose entry is not before a moment. Times grow along a log, so halving finds it. */
export async function positionAtTime(
  store: Store,
  log: Key,
  from: number,
  atMs: number,
  timeOf: (value: Buffer) => number,
): Promise<number> {
  const [oldest] = await store.readLog(log, from, 1);
  const end = await store.nextPosition(log);
  if (oldest === undefined) return end;
  if (timeOf(oldest.value) >= atMs) return oldest.position;
  let [low, high] = [oldest.position + 1, end];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const [entry] = await store.readLog(log, middle, 1);
    if (entry !== undefined && timeOf(entry.value) < atMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
