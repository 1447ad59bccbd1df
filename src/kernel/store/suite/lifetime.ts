import { describe, expect, it } from 'vitest';
import { type Commit, counterValue } from '../contract.ts';
import { encodeKey, extendKey } from '../keys.ts';
import { bytes, mustCommit, type OpenStore, opener, until } from './support.ts';

export function watching(open: OpenStore): void {
  const next = opener(open);

  describe('watch', () => {
    it('calls back after keys, partitions and logs under the prefix changed', async () => {
      const { store } = await next();
      const prefix = encodeKey('w');
      const changes: readonly Commit[] = [
        { set: [{ key: extendKey(prefix, 1), value: bytes('x') }] },
        { delete: [extendKey(prefix, 1)] },
        { sum: [{ key: extendKey(prefix, 2), delta: 1 }] },
        { append: [{ log: extendKey(prefix, 3), value: bytes('x') }] },
        { schedule: [{ partition: prefix, id: bytes('i'), dueAtMs: 1, value: bytes('x') }] },
        { settle: [{ partition: prefix, id: bytes('i') }] },
      ];
      for (const change of changes) {
        await new Promise<void>((resolve, reject) => {
          const timer = setTimeout(() => reject(new Error(`no call for ${Object.keys(change)}`)), 5000);
          const stop = store.watch(prefix, () => {
            clearTimeout(timer);
            stop();
            resolve();
          });
          store.commit(change).catch(reject);
        });
      }
    });

    it('leaves other prefixes alone, and calls no more after its end', async () => {
      const { store } = await next();
      let [calls, others] = [0, 0];
      const stop = store.watch(encodeKey('w'), () => calls++);
      const stopOther = store.watch(encodeKey('z'), () => others++);
      await mustCommit(store, { set: [{ key: encodeKey('w', 1), value: bytes('x') }] });
      await until(() => calls > 0);
      stop();
      const before = calls;
      await mustCommit(store, { set: [{ key: encodeKey('w', 2), value: bytes('x') }] });
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(calls).toBe(before);
      expect(others).toBe(0);
      stopOther();
    });
  });
}

export function lifetime(open: OpenStore): void {
  const next = opener(open);

  describe('lifetime', () => {
    it('says what it is', async () => {
      const { store, reopen } = await next();
      expect(['memory', 'lmdb', 'postgres']).toContain(store.engine);
      expect(store.durable).toBe(reopen !== undefined);
    });

    it('waits for commits under way when it closes', async () => {
      const { store } = await next();
      const commits = Array.from({ length: 20 }, (_, index) =>
        store.commit({ set: [{ key: encodeKey('late', index), value: bytes('x') }] }),
      );
      await store.close();
      expect((await Promise.all(commits)).every(({ ok }) => ok)).toBe(true);
    });

    it('has everything again after closing and opening, and uses no version or token again', async () => {
      const { store, reopen } = await next();
      if (reopen === undefined) {
        expect(store.durable).toBe(false);
        return;
      }
      const key = encodeKey('kept');
      const { version } = await mustCommit(store, {
        set: [{ key, value: bytes('1') }],
        sum: [{ key: encodeKey('count'), delta: 7 }],
        append: [{ log: key, value: bytes('entry') }],
        schedule: [
          { partition: key, id: bytes('a'), dueAtMs: 10, value: Buffer.alloc(5000, 1) },
          { partition: key, id: bytes('b'), dueAtMs: 20, value: bytes('b') },
        ],
      });
      const [claimed] = await store.claim({ partition: key, dueByMs: 10, untilMs: 500, limit: 5 });
      const again = await reopen();
      expect(await again.get(key)).toEqual({ key, value: bytes('1'), version });
      expect(counterValue((await again.get(encodeKey('count')))?.value)).toBe(7);
      expect(await again.readLog(key, 1, 10)).toEqual([{ position: 1, value: bytes('entry') }]);
      expect(await again.nextPosition(key)).toBe(2);
      const { wasDueAtMs, ...entry } = claimed!;
      expect(wasDueAtMs).toBe(10);
      expect(await again.due(key, bytes('a'))).toEqual(entry);
      const [reclaimed] = await again.claim({ partition: key, dueByMs: 500, untilMs: 900, limit: 1 });
      expect(reclaimed!.id).toEqual(bytes('b'));
      expect(reclaimed!.token).not.toBe(claimed!.token);
      await mustCommit(again, { delete: [key] });
      const { version: later } = await mustCommit(again, { set: [{ key, value: bytes('2') }] });
      expect(later).toBeGreaterThan(version);
    });
  });
}
