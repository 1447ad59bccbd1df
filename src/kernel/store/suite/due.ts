import { describe, expect, it } from 'vitest';
import type { DueEntry, Store } from '../contract.ts';
import { encodeKey, extendKey } from '../keys.ts';
import { bytes, mustCommit, type OpenStore, opener } from './support.ts';

export function dueEntries(open: OpenStore): void {
  const next = opener(open);
  const partition = encodeKey('due');
  const ids = (entries: readonly DueEntry[]): string[] => entries.map(({ id }) => id.toString());
  const put = (store: Store, ...entries: readonly (readonly [string, number])[]) =>
    mustCommit(store, {
      schedule: entries.map(([id, dueAtMs]) => ({ partition, id: bytes(id), dueAtMs, value: bytes(`v-${id}`) })),
    });

  describe('due entries', () => {
    it('are listed by due time, then by id', async () => {
      const { store } = await next();
      await put(store, ['b', 20], ['c', 10], ['a', 20], ['ab', 20], ['z', 9_007_199_254_740_991], ['first', 0]);
      expect(ids(await store.listDue(partition))).toEqual(['first', 'c', 'a', 'ab', 'b', 'z']);
      expect(ids(await store.listDue(partition, { fromMs: 10, beforeMs: 21 }))).toEqual(['c', 'a', 'ab', 'b']);
      expect(ids(await store.listDue(partition, { limit: 2 }))).toEqual(['first', 'c']);
      expect(await store.listDue(partition, { limit: 0 })).toEqual([]);
      const after = { dueAtMs: 20, id: bytes('a') };
      expect(ids(await store.listDue(partition, { after, beforeMs: 21 }))).toEqual(['ab', 'b']);
      expect(ids(await store.listDue(partition, { after, fromMs: 21 }))).toEqual(['z']);
      expect(await store.countDue(partition)).toBe(6);
      expect(await store.countDue(partition, { fromMs: 10, beforeMs: 20 })).toBe(1);
      expect(await store.countDue(partition, { limit: 4 })).toBe(4);
      expect(await store.countDue(partition, { after })).toBe(3);
      expect(await store.nextDue(partition)).toBe(0);
      expect(await store.nextDue(encodeKey('none'))).toBeUndefined();
      expect(await store.countDue(encodeKey('none'))).toBe(0);
    });

    it('show attempts, first claim and token as undefined or 0 before the first claim', async () => {
      const { store } = await next();
      await put(store, ['a', 20]);
      expect(await store.due(partition, bytes('a'))).toEqual({
        id: bytes('a'),
        value: bytes('v-a'),
        dueAtMs: 20,
        attempts: 0,
        firstClaimedAtMs: undefined,
        token: undefined,
      });
      expect(await store.due(partition, bytes('b'))).toBeUndefined();
    });

    it('do not mix with those of partitions whose names begin alike', async () => {
      const { store } = await next();
      const partitions = [partition, extendKey(partition, 1), extendKey(partition, 'x'), Buffer.alloc(1500, 0x42)];
      await mustCommit(store, {
        schedule: partitions.map((one, index) => ({
          partition: one,
          id: bytes('same'),
          dueAtMs: 100 - index,
          value: bytes(`${index}`),
        })),
      });
      for (const [index, one] of partitions.entries()) {
        expect(await store.listDue(one)).toMatchObject([{ value: bytes(`${index}`), dueAtMs: 100 - index }]);
        expect(await store.nextDue(one)).toBe(100 - index);
      }
      const claimed = await store.claim({ partition, dueByMs: 1000, untilMs: 2000, limit: 10 });
      expect(claimed).toHaveLength(1);
    });

    it('carry long ids and the longest partitions', async () => {
      const { store } = await next();
      const long = Buffer.alloc(2400, 0x33);
      const other = Buffer.concat([long.subarray(0, 2399), Buffer.from([0x34])]);
      // Bytes that do not compress.
      const id = Buffer.from(Array.from({ length: 512 }, (_, index) => (index * index * 31 + index * 7) & 0xff));
      for (const one of [long, other]) {
        await mustCommit(store, { schedule: [{ partition: one, id, dueAtMs: 3, value: one.subarray(2399) }] });
      }
      expect((await store.due(long, id))?.value).toEqual(Buffer.from([0x33]));
      expect((await store.due(other, id))?.value).toEqual(Buffer.from([0x34]));
      const [claimed] = await store.claim({ partition: other, dueByMs: 3, untilMs: 9, limit: 5 });
      expect(claimed).toMatchObject({ id, value: Buffer.from([0x34]) });
      expect(await store.nextDue(long)).toBe(3);
    });

    it('start anew when they are scheduled again', async () => {
      const { store } = await next();
      await put(store, ['a', 20]);
      const [claimed] = await store.claim({ partition, dueByMs: 20, untilMs: 50, limit: 1 });
      await put(store, ['a', 7]);
      expect(await store.listDue(partition)).toMatchObject([{ dueAtMs: 7, attempts: 0, token: undefined }]);
      const settle = [{ partition, id: bytes('a'), token: claimed!.token }];
      expect(await store.commit({ settle })).toEqual({ ok: false, conflict: { settle: 0 } });
    });

    it('are claimed earliest first, up to the limit, and move to the new due time', async () => {
      const { store } = await next();
      await put(store, ['d', 40], ['b', 20], ['a', 20], ['c', 30]);
      const claimed = await store.claim({ partition, dueByMs: 30, untilMs: 100, limit: 2 });
      expect(claimed).toMatchObject([
        { id: bytes('a'), value: bytes('v-a'), dueAtMs: 100, wasDueAtMs: 20, attempts: 1, firstClaimedAtMs: 30 },
        { id: bytes('b'), value: bytes('v-b'), dueAtMs: 100, wasDueAtMs: 20, attempts: 1, firstClaimedAtMs: 30 },
      ]);
      expect(ids(await store.claim({ partition, dueByMs: 39, untilMs: 100, limit: 9 }))).toEqual(['c']);
      expect(await store.claim({ partition, dueByMs: 39, untilMs: 100, limit: 9 })).toEqual([]);
      expect(await store.claim({ partition, dueByMs: 1000, untilMs: 1001, limit: 0 })).toEqual([]);
      const again = await store.claim({ partition, dueByMs: 100, untilMs: 200, limit: 9 });
      expect(again.map(({ id, attempts, wasDueAtMs }) => `${id} ${attempts} ${wasDueAtMs}`)).toEqual([
        'd 1 40',
        'a 2 100',
        'b 2 100',
        'c 2 100',
      ]);
      expect(again[1]).toMatchObject({ firstClaimedAtMs: 30 });
      const { wasDueAtMs: _was, ...entry } = again[1]!;
      expect(await store.due(partition, bytes('a'))).toEqual(entry);
      expect(await store.nextDue(partition)).toBe(200);
    });

    it('are fenced: only the latest claim may settle them', async () => {
      const { store } = await next();
      await put(store, ['a', 10]);
      const [first] = await store.claim({ partition, dueByMs: 10, untilMs: 20, limit: 1 });
      const [second] = await store.claim({ partition, dueByMs: 20, untilMs: 30, limit: 1 });
      expect(second!.token).not.toBe(first!.token);
      const settle = (token: number | undefined, dueAtMs?: number) => ({
        partition,
        id: bytes('a'),
        ...(token === undefined ? {} : { token }),
        ...(dueAtMs === undefined ? {} : { dueAtMs }),
      });
      const stale = await store.commit({ settle: [settle(first!.token)] });
      expect(stale).toEqual({ ok: false, conflict: { settle: 0 } });
      // A move keeps the claim: its holder may settle again.
      await mustCommit(store, { settle: [settle(second!.token, 500)] });
      expect(await store.due(partition, bytes('a'))).toMatchObject({ dueAtMs: 500, attempts: 2, token: second!.token });
      await mustCommit(store, { settle: [settle(second!.token)] });
      expect(await store.due(partition, bytes('a'))).toBeUndefined();
      expect(await store.countDue(partition)).toBe(0);
      const gone = await store.commit({ settle: [settle(second!.token)] });
      expect(gone).toEqual({ ok: false, conflict: { settle: 0 } });
      await mustCommit(store, { settle: [settle(undefined), settle(undefined, 5)] });
      expect(await store.countDue(partition)).toBe(0);
    });

    it('are settled by anyone without a token, with a new value if one is given', async () => {
      const { store } = await next();
      await put(store, ['a', 10], ['b', 10]);
      await store.claim({ partition, dueByMs: 10, untilMs: 20, limit: 1 });
      await mustCommit(store, {
        settle: [
          { partition, id: bytes('a'), dueAtMs: 33, value: Buffer.alloc(4000, 3) },
          { partition, id: bytes('b'), dueAtMs: 34 },
        ],
      });
      expect(await store.due(partition, bytes('a'))).toMatchObject({
        dueAtMs: 33,
        attempts: 1,
        value: Buffer.alloc(4000, 3),
      });
      expect(await store.due(partition, bytes('b'))).toMatchObject({ dueAtMs: 34, attempts: 0, value: bytes('v-b') });
      await mustCommit(store, { settle: [{ partition, id: bytes('a'), dueAtMs: 33, value: bytes('small') }] });
      expect(await store.due(partition, bytes('a'))).toMatchObject({ dueAtMs: 33, value: bytes('small') });
    });

    it('keep values of any size through claims and moves', async () => {
      const { store } = await next();
      const sizes = [0, 1, 1023, 1024, 1025, 5000, 300_000];
      await mustCommit(store, {
        schedule: sizes.map((size) => ({
          partition,
          id: bytes(`${size}`),
          dueAtMs: size,
          value: Buffer.alloc(size, size & 0xff),
        })),
      });
      for (const [dueByMs, untilMs] of [
        [1e6, 2e6],
        [2e6, 3e6],
      ] as const) {
        const claimed = await store.claim({ partition, dueByMs, untilMs, limit: 50 });
        expect(claimed).toHaveLength(sizes.length);
        for (const { id, value } of claimed) {
          expect(value.equals(Buffer.alloc(Number(id), Number(id) & 0xff))).toBe(true);
        }
      }
      await mustCommit(store, { settle: sizes.map((size) => ({ partition, id: bytes(`${size}`) })) });
      expect(await store.listDue(partition)).toEqual([]);
    });

    it('go to one claimer only, each exactly once, however many come at once', async () => {
      const { store } = await next();
      const total = 400;
      await put(store, ...Array.from({ length: total }, (_, index) => [`${index}`, index % 17] as const));
      const taken: string[] = [];
      await Promise.all(
        Array.from({ length: 12 }, async (_, claimer) => {
          for (;;) {
            const claimed = await store.claim({ partition, dueByMs: 100, untilMs: 1e9, limit: 1 + (claimer % 7) });
            if (claimed.length === 0) return;
            expect(claimed.length).toBeLessThanOrEqual(1 + (claimer % 7));
            taken.push(...ids(claimed));
            const half = claimed.slice(claimed.length >> 1);
            await mustCommit(store, { settle: half.map(({ id, token }) => ({ partition, id, token })) });
          }
        }),
      );
      // On an engine that skips entries under way in another claim, a claimer may leave before the last are free.
      for (;;) {
        const rest = await store.claim({ partition, dueByMs: 100, untilMs: 1e9, limit: 50 });
        if (rest.length === 0) break;
        taken.push(...ids(rest));
      }
      expect(taken).toHaveLength(total);
      expect(new Set(taken).size).toBe(total);
    });

    it('are claimed while others schedule and settle, and none is lost', async () => {
      const { store } = await next();
      const total = 300;
      let scheduled = 0;
      const done = new Set<string>();
      const producers = Array.from({ length: 4 }, async () => {
        while (scheduled < total) {
          const index = scheduled++;
          await put(store, [`p${index}`, index % 5]);
        }
      });
      const consumers = Array.from({ length: 4 }, async () => {
        for (let empty = 0; done.size < total && empty < 2000; ) {
          const claimed = await store.claim({ partition, dueByMs: 10, untilMs: 1e9, limit: 10 });
          if (claimed.length === 0) {
            empty++;
            await new Promise((resolve) => setTimeout(resolve, 1));
            continue;
          }
          await mustCommit(store, { settle: claimed.map(({ id, token }) => ({ partition, id, token })) });
          for (const id of ids(claimed)) {
            expect(done.has(id)).toBe(false);
            done.add(id);
          }
        }
      });
      await Promise.all([...producers, ...consumers]);
      expect(done.size).toBe(total);
      expect(await store.countDue(partition)).toBe(0);
    });

    it('are paged through with after, thousands of them', async () => {
      const { store } = await next();
      const total = 2300;
      for (let from = 0; from < total; from += 500) {
        await put(
          store,
          ...Array.from(
            { length: Math.min(500, total - from) },
            (_, index) => [`${from + index}`, (from + index) % 3] as const,
          ),
        );
      }
      const all = await store.listDue(partition);
      expect(all).toHaveLength(total);
      expect(await store.countDue(partition)).toBe(total);
      const paged: DueEntry[] = [];
      for (;;) {
        const last = paged[paged.length - 1];
        const page = await store.listDue(partition, { limit: 700, ...(last === undefined ? {} : { after: last }) });
        paged.push(...page);
        if (page.length < 700) break;
      }
      expect(ids(paged)).toEqual(ids(all));
    });
  });
}
