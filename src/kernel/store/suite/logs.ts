import { describe, expect, it } from 'vitest';
import { encodeKey, extendKey } from '../keys.ts';
import { bytes, mustCommit, type OpenStore, opener } from './support.ts';

export function logs(open: OpenStore): void {
  const next = opener(open);
  const log = encodeKey('log');

  describe('logs', () => {
    it('give positions from 1 on, one per append, in order', async () => {
      const { store } = await next();
      expect(await store.nextPosition(log)).toBe(1);
      expect(await store.readLog(log, 1, 10)).toEqual([]);
      const first = await mustCommit(store, {
        append: [
          { log, value: bytes('a') },
          { log: encodeKey('other'), value: bytes('x') },
          { log, value: bytes('b') },
        ],
      });
      expect(first.positions).toEqual([1, 1, 2]);
      expect((await mustCommit(store, { append: [{ log, value: bytes('c') }] })).positions).toEqual([3]);
      expect((await mustCommit(store, { set: [{ key: log, value: bytes('-') }] })).positions).toEqual([]);
      expect(await store.nextPosition(log)).toBe(4);
      const texts = async (from: number, limit: number): Promise<string[]> =>
        (await store.readLog(log, from, limit)).map(({ position, value }) => `${position}${value}`);
      expect(await texts(1, 10)).toEqual(['1a', '2b', '3c']);
      expect(await texts(2, 1)).toEqual(['2b']);
      expect(await texts(0, 2)).toEqual(['1a', '2b']);
      expect(await texts(4, 5)).toEqual([]);
      expect(await texts(1, 0)).toEqual([]);
    });

    it('do not mix with logs whose names begin alike', async () => {
      const { store } = await next();
      const longer = extendKey(log, 1);
      await mustCommit(store, { append: [{ log: longer, value: bytes('longer') }] });
      await mustCommit(store, { append: [{ log, value: bytes('shorter') }] });
      expect(await store.readLog(log, 1, 10)).toEqual([{ position: 1, value: bytes('shorter') }]);
      expect(await store.readLog(longer, 1, 10)).toEqual([{ position: 1, value: bytes('longer') }]);
    });

    it('are trimmed from the front, and never start over', async () => {
      const { store } = await next();
      const total = 2500;
      await mustCommit(store, {
        append: Array.from({ length: total }, (_, index) => ({ log, value: bytes(`${index + 1}`) })),
      });
      await mustCommit(store, { trim: [{ log, before: 2400 }] });
      const rest = await store.readLog(log, 1, 5000);
      expect(rest.map(({ position }) => position)).toEqual(Array.from({ length: 101 }, (_, index) => 2400 + index));
      expect(rest.every(({ position, value }) => value.toString() === `${position}`)).toBe(true);
      await mustCommit(store, { trim: [{ log, before: 10 }] });
      expect(await store.readLog(log, 1, 1)).toMatchObject([{ position: 2400 }]);
      await mustCommit(store, { trim: [{ log, before: 1_000_000 }] });
      expect(await store.readLog(log, 1, 10)).toEqual([]);
      expect(await store.nextPosition(log)).toBe(total + 1);
      expect((await mustCommit(store, { append: [{ log, value: bytes('on') }] })).positions).toEqual([total + 1]);
      expect(await store.readLog(log, 1, 10)).toEqual([{ position: total + 1, value: bytes('on') }]);
    });

    it('append and trim in one commit: the trim sees the append', async () => {
      const { store } = await next();
      const append = ['a', 'b', 'c'].map((text) => ({ log, value: bytes(text) }));
      await mustCommit(store, { append, trim: [{ log, before: 3 }] });
      expect(await store.readLog(log, 1, 10)).toEqual([{ position: 3, value: bytes('c') }]);
    });

    it('show no gap and nothing late to a reader beside concurrent writers', async () => {
      const { store } = await next();
      const [writers, each] = [8, 40];
      let writing = true;
      const seen: number[] = [];
      const reader = (async () => {
        for (;;) {
          const last = !writing;
          const found = await store.readLog(log, (seen[seen.length - 1] ?? 0) + 1, 50);
          seen.push(...found.map(({ position }) => position));
          if (last && found.length === 0) return;
          await new Promise(setImmediate);
        }
      })();
      await Promise.all(
        Array.from({ length: writers }, async (_, writer) => {
          for (let turn = 0; turn < each; turn++) {
            await mustCommit(store, { append: [{ log, value: bytes(`${writer}:${turn}`) }] });
          }
        }),
      );
      writing = false;
      await reader;
      expect(seen).toEqual(Array.from({ length: writers * each }, (_, index) => index + 1));
      // Each writer's own entries keep its order.
      const texts = (await store.readLog(log, 1, 1000)).map(({ value }) => value.toString());
      for (let writer = 0; writer < writers; writer++) {
        expect(texts.filter((text) => text.startsWith(`${writer}:`))).toEqual(
          Array.from({ length: each }, (_, turn) => `${writer}:${turn}`),
        );
      }
    });
  });
}
