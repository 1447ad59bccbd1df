import { describe, expect, it } from 'vitest';
import { type Commit, counterValue, type Store } from '../contract.ts';
import { encodeKey, extendKey, prefixRange } from '../keys.ts';
import { bytes, mustCommit, type OpenStore, opener } from './support.ts';

export function atomicity(open: OpenStore): void {
  const next = opener(open);

  describe('commits with checks', () => {
    it('need each key at its version, or absent', async () => {
      const { store } = await next();
      const [a, b] = [encodeKey('a'), encodeKey('b')];
      const { version } = await mustCommit(store, {
        checks: [{ key: a, version: null }],
        set: [{ key: a, value: bytes('1') }],
      });
      const fail = (checks: Commit['checks'], check: number) =>
        expect(store.commit({ checks: checks!, set: [{ key: b, value: bytes('no') }] })).resolves.toEqual({
          ok: false,
          conflict: { check },
        });
      await fail([{ key: a, version: null }], 0);
      await fail([{ key: a, version: version + 1 }], 0);
      await fail(
        [
          { key: a, version },
          { key: b, version },
        ],
        1,
      );
      expect(await store.get(b)).toBeUndefined();
      await mustCommit(store, {
        checks: [
          { key: a, version },
          { key: b, version: null },
        ],
        delete: [a],
      });
      await fail([{ key: a, version }], 0);
    });

    it('write nothing of a commit that fails', async () => {
      const { store } = await next();
      const key = encodeKey('x');
      await mustCommit(store, {
        set: [{ key, value: bytes('x') }],
        append: [{ log: key, value: bytes('1') }],
        schedule: [{ partition: key, id: bytes('i'), dueAtMs: 5, value: bytes('v') }],
      });
      const everything: Commit = {
        set: [{ key: encodeKey('y'), value: bytes('y') }],
        delete: [key],
        sum: [{ key: encodeKey('n'), delta: 1 }],
        append: [{ log: key, value: bytes('2') }],
        trim: [{ log: key, before: 2 }],
        schedule: [{ partition: key, id: bytes('j'), dueAtMs: 1, value: bytes('w') }],
        settle: [{ partition: key, id: bytes('i') }],
      };
      expect(await store.commit({ ...everything, checks: [{ key, version: null }] })).toMatchObject({ ok: false });
      const fenced = { partition: key, id: bytes('i'), token: 123_456 };
      expect(await store.commit({ ...everything, settle: [...everything.settle!, fenced] })).toEqual({
        ok: false,
        conflict: { settle: 1 },
      });
      expect(await store.getMany([encodeKey('y'), encodeKey('n')])).toEqual([undefined, undefined]);
      expect(await store.get(key)).toMatchObject({ value: bytes('x') });
      expect(await store.readLog(key, 1, 5)).toEqual([{ position: 1, value: bytes('1') }]);
      expect(await store.listDue(key)).toMatchObject([{ id: bytes('i'), dueAtMs: 5 }]);
    });

    it('judge all checks before any write of the same commit', async () => {
      const { store } = await next();
      const [a, b] = [encodeKey('a'), encodeKey('b')];
      await mustCommit(store, {
        checks: [
          { key: a, version: null },
          { key: b, version: null },
        ],
        set: [
          { key: a, value: bytes('a') },
          { key: b, value: bytes('b') },
        ],
      });
      expect(await store.getMany([a, b])).toMatchObject([{ value: bytes('a') }, { value: bytes('b') }]);
    });

    it('keep increments by reading, checking and trying again exact under concurrency', async () => {
      const { store } = await next();
      const key = encodeKey('counter');
      const [writers, each] = [16, 12];
      let conflicts = 0;
      await Promise.all(
        Array.from({ length: writers }, async () => {
          for (let done = 0; done < each; ) {
            const found = await store.get(key);
            const value = bytes(String(Number(found?.value.toString() ?? '0') + 1));
            const result = await store.commit({
              checks: [{ key, version: found?.version ?? null }],
              set: [{ key, value }],
            });
            if (result.ok) done++;
            else conflicts++;
            if (conflicts > 100_000) throw new Error('trying again makes no progress');
          }
        }),
      );
      expect((await store.get(key))?.value.toString()).toBe(String(writers * each));
      // A failed commit is answered when what it lost against is readable: each round has a winner.
      expect(conflicts).toBeLessThan(writers * writers * each);
    });

    it('let exactly one of many creators of an absent key win, every time', async () => {
      const { store } = await next();
      for (let round = 0; round < 25; round++) {
        const key = encodeKey('create', round);
        const results = await Promise.all(
          Array.from({ length: 12 }, (_, writer) =>
            store.commit({
              checks: [{ key, version: null }],
              set: [{ key, value: bytes(`${writer}`) }],
              sum: [{ key: encodeKey('created'), delta: 1 }],
            }),
          ),
        );
        const winners = results.flatMap((result, writer) => (result.ok ? [writer] : []));
        expect(winners).toHaveLength(1);
        expect((await store.get(key))?.value.toString()).toBe(`${winners[0]}`);
      }
      expect(counterValue((await store.get(encodeKey('created')))?.value)).toBe(25);
    });

    it('guard absence also against a delete and a new creation', async () => {
      const { store } = await next();
      const key = encodeKey('again');
      let alive = 0;
      await Promise.all(
        Array.from({ length: 8 }, async () => {
          for (let turn = 0; turn < 15; turn++) {
            const result = await store.commit({ checks: [{ key, version: null }], set: [{ key, value: bytes('x') }] });
            if (!result.ok) continue;
            expect(++alive).toBe(1);
            alive--;
            await mustCommit(store, { checks: [{ key, version: result.version }], delete: [key] });
          }
        }),
      );
      expect(await store.get(key)).toBeUndefined();
    });

    it('end, whatever order they name their keys in', async () => {
      const { store } = await next();
      const keys = Array.from({ length: 6 }, (_, index) => encodeKey('order', index));
      await Promise.all(
        Array.from({ length: 24 }, async (_, writer) => {
          for (let turn = 0; turn < 8; turn++) {
            const order = keys.map((_key, index) => keys[(index * (writer % 2 === 0 ? 1 : 5) + writer) % keys.length]!);
            await mustCommit(store, {
              sum: order.map((key) => ({ key, delta: 1 })),
              append: order.map((log) => ({ log, value: bytes('x') })),
              schedule: order.map((partition) => ({ partition, id: bytes('one'), dueAtMs: turn, value: bytes('x') })),
              delete: order.map((key) => extendKey(key, 'gone')),
              set: order.map((key) => ({ key: extendKey(key, 'kept'), value: bytes(`${writer}`) })),
            });
          }
        }),
      );
      for (const key of keys) {
        expect(counterValue((await store.get(key))?.value)).toBe(24 * 8);
        expect(await store.nextPosition(key)).toBe(24 * 8 + 1);
        expect(await store.countDue(key)).toBe(1);
      }
    });

    it('are seen whole or not at all by readers', async () => {
      const { store } = await next();
      const prefix = encodeKey('pair');
      let writing = true;
      const writer = (async () => {
        for (let turn = 1; turn <= 60; turn++) {
          const set = Array.from({ length: 10 }, (_, index) => ({
            key: extendKey(prefix, index),
            value: bytes(`${turn}`),
          }));
          await mustCommit(store, { set });
        }
        writing = false;
      })();
      while (writing) {
        const listed = await store.list(prefixRange(prefix));
        expect(new Set(listed.map(({ value }) => value.toString())).size).toBeLessThanOrEqual(1);
        expect([0, 10]).toContain(listed.length);
        await new Promise(setImmediate);
      }
      await writer;
    });

    it('do not make a list miss a key that was there all along', async () => {
      const { store } = await next();
      const prefix = encodeKey('r');
      const steady = 2400;
      for (let from = 0; from < steady; from += 800) {
        const set = Array.from({ length: 800 }, (_, index) => ({
          key: extendKey(prefix, from + index, 'steady'),
          value: bytes('s'),
        }));
        await mustCommit(store, { set });
      }
      let listing = true;
      const churn = (async () => {
        for (let turn = 0; listing; turn++) {
          const key = extendKey(prefix, (turn * 37) % steady, 'churn');
          await store.commit(turn % 3 === 2 ? { delete: [key] } : { set: [{ key, value: bytes('c') }] });
          await new Promise(setImmediate);
        }
      })();
      for (let turn = 0; turn < 6; turn++) {
        const listed = await store.list(prefixRange(prefix), { reverse: turn % 2 === 1 });
        expect(listed.filter(({ value }) => value.toString() === 's')).toHaveLength(steady);
        const sorted = [...listed].sort((a, b) => a.key.compare(b.key) * (turn % 2 === 1 ? -1 : 1));
        expect(listed).toEqual(sorted);
      }
      listing = false;
      await churn;
    });

    it('move what one commit lists, also among many movers, without losing or doubling it', async () => {
      const { store } = await next();
      const accounts = Array.from({ length: 5 }, (_, index) => encodeKey('account', index));
      await mustCommit(store, { set: accounts.map((key) => ({ key, value: bytes('100') })) });
      await Promise.all(Array.from({ length: 10 }, (_, mover) => move(store, accounts, mover)));
      const total = (await store.getMany(accounts)).reduce((sum, entry) => sum + Number(entry!.value.toString()), 0);
      expect(total).toBe(500);
    });
  });
}

async function move(store: Store, accounts: readonly Buffer[], mover: number): Promise<void> {
  for (let turn = 0; turn < 10; ) {
    const from = accounts[(mover + turn) % accounts.length]!;
    const to = accounts[(mover * 3 + turn * 2 + 1) % accounts.length]!;
    if (from.equals(to)) {
      turn++;
      continue;
    }
    const [source, target] = await store.getMany([from, to]);
    const result = await store.commit({
      checks: [
        { key: from, version: source!.version },
        { key: to, version: target!.version },
      ],
      set: [
        { key: from, value: bytes(String(Number(source!.value.toString()) - 1)) },
        { key: to, value: bytes(String(Number(target!.value.toString()) + 1)) },
      ],
    });
    if (result.ok) turn++;
  }
}
