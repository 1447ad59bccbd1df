import { describe, expect, it } from 'vitest';
import { counterValue, type Key, type Store } from '../contract.ts';
import { afterKey, encodeKey, extendKey, nextKey, prefixRange } from '../keys.ts';
import { bytes, mustCommit, type OpenStore, opener } from './support.ts';

export function keySpace(open: OpenStore): void {
  const next = opener(open);

  describe('keys', () => {
    it('gives back what was set, with the version of the commit', async () => {
      const { store } = await next();
      const key = encodeKey('a', 1);
      expect(await store.get(key)).toBeUndefined();
      const { version } = await mustCommit(store, { set: [{ key, value: bytes('one') }] });
      expect(await store.get(key)).toEqual({ key, value: bytes('one'), version });
    });

    it('keeps the bytes as they were when the commit was answered', async () => {
      const { store } = await next();
      const value = bytes('before');
      await mustCommit(store, { set: [{ key: encodeKey('a'), value }] });
      value.fill(0);
      expect((await store.get(encodeKey('a')))?.value).toEqual(bytes('before'));
    });

    it('keeps empty values, large values, long keys and bytes of every kind', async () => {
      const { store } = await next();
      const all = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
      const large = Buffer.alloc(1_500_000, 0x5a);
      const long = encodeKey(Buffer.alloc(2397, 0x42));
      expect(long.length).toBe(2399);
      await mustCommit(store, {
        set: [
          { key: encodeKey('empty'), value: Buffer.alloc(0) },
          { key: encodeKey('large'), value: large },
          { key: encodeKey('all', all), value: all },
          { key: Buffer.alloc(2400, 0xfe), value: bytes('edge') },
          { key: long, value: new Uint8Array([1, 2, 3]) },
        ],
      });
      expect((await store.get(encodeKey('empty')))?.value).toEqual(Buffer.alloc(0));
      expect((await store.get(encodeKey('large')))?.value.equals(large)).toBe(true);
      expect((await store.get(encodeKey('all', all)))?.value).toEqual(all);
      expect((await store.get(long))?.value).toEqual(Buffer.from([1, 2, 3]));
      expect((await store.get(Buffer.alloc(2400, 0xfe)))?.value).toEqual(bytes('edge'));
    });

    it('answers getMany in the order of the keys given', async () => {
      const { store } = await next();
      const set = [3, 1, 2].map((number) => ({ key: encodeKey('m', number), value: bytes(`v${number}`) }));
      await mustCommit(store, { set });
      const found = await store.getMany([2, 9, 3, 1, 2].map((number) => encodeKey('m', number)));
      expect(found.map((entry) => entry?.value.toString())).toEqual(['v2', undefined, 'v3', 'v1', 'v2']);
      expect(await store.getMany([])).toEqual([]);
    });

    it('gives versions that grow and are never used twice, also after a delete', async () => {
      const { store } = await next();
      const key = encodeKey('v');
      const seen: number[] = [];
      for (let turn = 0; turn < 5; turn++) {
        seen.push((await mustCommit(store, { set: [{ key, value: bytes('same') }] })).version);
        if (turn % 2 === 1) await mustCommit(store, { delete: [key] });
      }
      expect([...new Set(seen)].sort((a, b) => a - b)).toEqual(seen);
      expect(await store.get(key)).toMatchObject({ version: seen[4] });
    });

    it('deletes, and does not mind what is absent', async () => {
      const { store } = await next();
      const [key, other] = [encodeKey('d', 1), encodeKey('d', 2)];
      await mustCommit(store, { set: [{ key, value: bytes('x') }] });
      await mustCommit(store, { delete: [key, other] });
      expect(await store.getMany([key, other])).toEqual([undefined, undefined]);
      expect(await store.count(prefixRange(encodeKey('d')))).toBe(0);
    });

    it('does not mix keys, partitions and logs of the same bytes', async () => {
      const { store } = await next();
      const name = encodeKey('same');
      await mustCommit(store, {
        set: [{ key: name, value: bytes('key') }],
        append: [{ log: name, value: bytes('log') }],
        schedule: [{ partition: name, id: bytes('same'), dueAtMs: 1, value: bytes('due') }],
      });
      await mustCommit(store, { delete: [name] });
      expect(await store.readLog(name, 1, 10)).toEqual([{ position: 1, value: bytes('log') }]);
      expect((await store.due(name, bytes('same')))?.value).toEqual(bytes('due'));
      expect(await store.list(prefixRange(Buffer.alloc(0)))).toEqual([]);
    });
  });

  describe('lists', () => {
    const prefix = encodeKey('l');
    const numbers = (entries: readonly { readonly key: Key }[]): number[] =>
      entries.map(
        ({ key }) => Array.from({ length: 20 }, (_, index) => index).find((n) => extendKey(prefix, n).equals(key))!,
      );
    const filled = async (): Promise<Store> => {
      const { store } = await next();
      const set: { key: Key; value: Buffer }[] = [7, 3, 9, 0, 5].map((n) => ({
        key: extendKey(prefix, n),
        value: Buffer.alloc(10, n),
      }));
      set.push({ key: encodeKey('k', 'z'), value: bytes('before') }, { key: encodeKey('m'), value: bytes('after') });
      await mustCommit(store, { set });
      return store;
    };

    it('lists in key order from start (inclusive) to end (exclusive)', async () => {
      const store = await filled();
      expect(numbers(await store.list(prefixRange(prefix)))).toEqual([0, 3, 5, 7, 9]);
      const range = { start: extendKey(prefix, 3), end: extendKey(prefix, 7) };
      expect(numbers(await store.list(range))).toEqual([3, 5]);
      expect(numbers(await store.list({ start: nextKey(range.start), end: afterKey(range.end) }))).toEqual([5, 7]);
      expect(await store.count(range)).toBe(2);
    });

    it('lists in reverse over the same range', async () => {
      const store = await filled();
      const range = { start: extendKey(prefix, 3), end: extendKey(prefix, 9) };
      expect(numbers(await store.list(range, { reverse: true }))).toEqual([7, 5, 3]);
      expect(numbers(await store.list(range, { reverse: true, limit: 1 }))).toEqual([7]);
    });

    it('stops at limit and after maxBytes', async () => {
      const store = await filled();
      const range = prefixRange(prefix);
      expect(numbers(await store.list(range, { limit: 2 }))).toEqual([0, 3]);
      expect(await store.list(range, { limit: 0 })).toEqual([]);
      expect(numbers(await store.list(range, { maxBytes: 11 }))).toEqual([0, 3]);
      expect(numbers(await store.list(range, { maxBytes: 20 }))).toEqual([0, 3]);
      expect(numbers(await store.list(range, { maxBytes: 1, reverse: true }))).toEqual([9]);
    });

    it('answers ranges that hold nothing', async () => {
      const store = await filled();
      const [low, high] = [extendKey(prefix, 3), extendKey(prefix, 7)];
      expect(await store.list({ start: high, end: low })).toEqual([]);
      expect(await store.list({ start: low, end: low })).toEqual([]);
      expect(await store.count({ start: high, end: low })).toBe(0);
      expect(await store.list(prefixRange(encodeKey('nothing')))).toEqual([]);
    });

    it('lists and counts thousands, in slices, without a gap and both ways', async () => {
      const { store } = await next();
      const total = 4321;
      for (let from = 0; from < total; from += 1000) {
        const set = Array.from({ length: Math.min(1000, total - from) }, (_, index) => ({
          key: extendKey(prefix, from + index),
          value: bytes(`${from + index}`),
        }));
        await mustCommit(store, { set });
      }
      const forward = await store.list(prefixRange(prefix));
      expect(forward.map(({ value }) => Number(value))).toEqual(Array.from({ length: total }, (_, index) => index));
      const backward = await store.list(prefixRange(prefix), { reverse: true, limit: 3000 });
      expect(backward.map(({ value }) => Number(value))).toEqual(
        Array.from({ length: 3000 }, (_, index) => total - 1 - index),
      );
      expect(await store.count(prefixRange(prefix))).toBe(total);
    });
  });

  describe('counters', () => {
    it('add up from nothing, below zero, and among other writes of the commit', async () => {
      const { store } = await next();
      const key = encodeKey('c');
      const read = async (): Promise<number> => counterValue((await store.get(key))?.value);
      expect(await read()).toBe(0);
      await mustCommit(store, { sum: [{ key, delta: 5 }] });
      await mustCommit(store, {
        sum: [
          { key, delta: -12 },
          { key, delta: 1 },
        ],
      });
      expect(await read()).toBe(-6);
      await mustCommit(store, { sum: [{ key, delta: 2 ** 40 }] });
      expect(await read()).toBe(2 ** 40 - 6);
      await mustCommit(store, { delete: [key] });
      await mustCommit(store, { sum: [{ key, delta: 3 }] });
      expect(await read()).toBe(3);
    });

    it('add without conflict, and change the version', async () => {
      const { store } = await next();
      const key = encodeKey('c');
      const before = await mustCommit(store, { sum: [{ key, delta: 1 }] });
      const results = await Promise.all(
        Array.from({ length: 200 }, (_, index) => store.commit({ sum: [{ key, delta: index }] })),
      );
      expect(results.every(({ ok }) => ok)).toBe(true);
      expect(counterValue((await store.get(key))?.value)).toBe(1 + (199 * 200) / 2);
      const stale = await store.commit({ checks: [{ key, version: before.version }], delete: [key] });
      expect(stale).toEqual({ ok: false, conflict: { check: 0 } });
    });
  });
}
