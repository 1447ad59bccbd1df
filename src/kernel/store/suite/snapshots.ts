import { describe, expect, it } from 'vitest';
import { counterValue, type Store } from '../contract.ts';
import { encodeKey, extendKey, prefixRange } from '../keys.ts';
import { MemoryStore } from '../memory/memory-store.ts';
import { bytes, mustCommit, type OpenStore, opener, type StoreUnderTest } from './support.ts';

const queue = encodeKey('queue');
const log = encodeKey('log');
const everything = { start: Buffer.alloc(0), end: Buffer.alloc(2400, 0xff) };

export function snapshots(open: OpenStore): void {
  const next = opener(open);

  describe('snapshots', () => {
    it('bring everything to another store of the engine, and to one in memory and back', async () => {
      const [{ store }, other, memory] = [await next(), await next(), new MemoryStore()];
      await fill(store);
      const expected = await contentOf(store);
      await other.store.restore(store.snapshot());
      expect(await contentOf(other.store)).toEqual(expected);
      await memory.restore(other.store.snapshot());
      expect(await contentOf(memory)).toEqual(expected);
      await store.restore(memory.snapshot());
      expect(await contentOf(store)).toEqual(expected);
    });

    it('replace the whole content, and what follows goes on from it', async () => {
      const [source, target] = [await next(), await next()];
      await fill(source.store);
      const { version } = await mustCommit(target.store, {
        set: [{ key: encodeKey('old'), value: bytes('old') }],
        append: [{ log: encodeKey('old'), value: bytes('old') }],
        schedule: [{ partition: encodeKey('old'), id: bytes('old'), dueAtMs: 1, value: bytes('old') }],
      });
      await target.store.restore(source.store.snapshot());
      const { store } = target;
      expect(await store.get(encodeKey('old'))).toBeUndefined();
      expect(await store.nextPosition(encodeKey('old'))).toBe(1);
      expect(await store.countDue(encodeKey('old'))).toBe(0);
      expect((await store.get(encodeKey('k', 1)))!.version).toBeGreaterThan(version);
      expect((await mustCommit(store, { append: [{ log, value: bytes('on') }] })).positions).toEqual([6]);
      await mustCommit(store, { sum: [{ key: encodeKey('count'), delta: 1 }] });
      expect(counterValue((await store.get(encodeKey('count')))!.value)).toBe(43);
      const claimed = await store.claim({ partition: queue, dueByMs: 1e6, untilMs: 2e6, limit: 10 });
      expect(claimed.map(({ id, attempts }) => `${id} ${attempts}`)).toEqual(['b 1', 'large 1', 'a 2']);
      const settle = claimed.map(({ id, token }) => ({ partition: queue, id, token }));
      await mustCommit(store, { settle });
    });

    it('outlast a restart, several times over', async () => {
      const target = await next();
      if (target.reopen === undefined) return expectNothingKept(target);
      const source = new MemoryStore();
      await fill(source);
      let { store } = target;
      for (let turn = 0; turn < 3; turn++) {
        await mustCommit(store, { set: [{ key: encodeKey('extra', turn), value: bytes('x') }] });
        await store.restore(source.snapshot());
        store = await target.reopen();
        expect(await contentOf(store)).toEqual(await contentOf(source));
      }
    });

    it('show one point in time while commits go on', async () => {
      const { store } = await next();
      const prefix = encodeKey('t');
      const set = (text: string) =>
        mustCommit(store, {
          set: Array.from({ length: 300 }, (_, index) => ({ key: extendKey(prefix, index), value: bytes(text) })),
        });
      await set('0');
      let copying = true;
      const writer = (async () => {
        for (let turn = 1; copying; turn++) {
          await set(`${turn}`);
          await new Promise(setImmediate);
        }
      })();
      const memory = new MemoryStore();
      await memory.restore(slowly(store.snapshot()));
      copying = false;
      await writer;
      const values = (await memory.list(prefixRange(prefix))).map(({ value }) => value.toString());
      expect(values).toHaveLength(300);
      expect(new Set(values).size).toBe(1);
    });

    it('are refused when cut, foreign or damaged, and nothing is lost', async () => {
      const [source, target] = [await next(), await next()];
      await fill(source.store);
      await mustCommit(target.store, { set: [{ key: encodeKey('mine'), value: bytes('mine') }] });
      await fill(target.store);
      const expected = await contentOf(target.store);
      const whole = Buffer.concat(await collect(source.store.snapshot()));
      const bad: readonly Buffer[] = [
        Buffer.alloc(0),
        bytes('this is no snapshot at all, but text'),
        whole.subarray(0, 10),
        whole.subarray(0, whole.length >> 1),
        whole.subarray(0, whole.length - 1),
        Buffer.concat([whole, bytes('more')]),
        Buffer.concat([whole.subarray(0, 40), whole.subarray(80)]),
      ];
      for (const snapshot of bad) {
        await expect(target.store.restore(inPieces(snapshot))).rejects.toThrow();
        expect(await contentOf(target.store)).toEqual(expected);
      }
      const broken = (async function* () {
        yield whole.subarray(0, 100);
        throw new Error('the source broke off');
      })();
      await expect(target.store.restore(broken)).rejects.toThrow('the source broke off');
      expect(await contentOf(target.store)).toEqual(expected);
      await target.store.restore(inPieces(whole));
      expect(await contentOf(target.store)).toEqual(await contentOf(source.store));
    });
  });
}

/** Something of everything: also what only a claim, a trim or a large value brings about. */
export async function fill(store: Store): Promise<void> {
  await mustCommit(store, {
    set: [
      { key: encodeKey('k', 1), value: bytes('one') },
      { key: encodeKey('k', 2), value: Buffer.alloc(0) },
      { key: encodeKey('k', 'large'), value: Buffer.alloc(200_000, 9) },
    ],
    sum: [{ key: encodeKey('count'), delta: 42 }],
    append: Array.from({ length: 5 }, (_, index) => ({ log, value: bytes(`entry ${index + 1}`) })),
    trim: [{ log: encodeKey('never used'), before: 5 }],
    schedule: [
      { partition: queue, id: bytes('a'), dueAtMs: 100, value: bytes('va') },
      { partition: queue, id: bytes('b'), dueAtMs: 200, value: bytes('') },
      { partition: queue, id: bytes('large'), dueAtMs: 300, value: Buffer.alloc(70_000, 4) },
      { partition: Buffer.alloc(1800, 0x77), id: bytes('c'), dueAtMs: 5, value: bytes('vc') },
    ],
  });
  await mustCommit(store, { append: [{ log: encodeKey('emptied'), value: bytes('x') }] });
  await mustCommit(store, {
    trim: [
      { log, before: 3 },
      { log: encodeKey('emptied'), before: 2 },
    ],
  });
  await store.claim({ partition: queue, dueByMs: 150, untilMs: 400, limit: 5 });
}

/** All that a snapshot carries: everything but versions and tokens. */
export async function contentOf(store: Store): Promise<unknown> {
  const partitions = [queue, Buffer.alloc(1800, 0x77), encodeKey('none')];
  const logs = [log, encodeKey('emptied'), encodeKey('none')];
  return {
    keys: (await store.list(everything)).map(({ key, value }) => [key.toString('hex'), value.toString('hex')]),
    due: await Promise.all(
      partitions.map(async (one) => (await store.listDue(one)).map(({ token: _token, ...entry }) => entry)),
    ),
    logs: await Promise.all(logs.map((one) => store.readLog(one, 0, 100))),
    positions: await Promise.all(logs.map((one) => store.nextPosition(one))),
  };
}

function expectNothingKept({ store }: StoreUnderTest): void {
  expect(store.durable).toBe(false);
}

async function collect(source: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const parts: Buffer[] = [];
  for await (const part of source) parts.push(part);
  return parts;
}

async function* inPieces(whole: Buffer): AsyncIterable<Buffer> {
  for (let at = 0; at < whole.length; at += 7919) yield whole.subarray(at, at + 7919);
}

async function* slowly(source: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  for await (const part of source) {
    await new Promise((resolve) => setTimeout(resolve, 3));
    yield part;
  }
}
