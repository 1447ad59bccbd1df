/**
 * Rates of the store engines at a number of concurrent callers. Run it bundled:
 *   npx esbuild bench/store.ts --bundle --platform=node --format=esm --packages=external --outfile=store-bench.mjs
 *   node store-bench.mjs [--engine memory|lmdb|postgres ...] [--callers 32] [--seconds 3] [--backlog 1000000] [--url postgres://...]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Commit, Store } from '../src/kernel/store/contract.ts';
import { encodeKey, extendKey, prefixRange } from '../src/kernel/store/keys.ts';
import { openLmdbStore } from '../src/kernel/store/lmdb/lmdb-store.ts';
import { MemoryStore } from '../src/kernel/store/memory/memory-store.ts';
import { openPostgresStore } from '../src/kernel/store/postgres/postgres-store.ts';

const { values: options } = parseArgs({
  options: {
    engine: { type: 'string', multiple: true },
    only: { type: 'string' },
    callers: { type: 'string', default: '32' },
    seconds: { type: 'string', default: '3' },
    backlog: { type: 'string', default: '100000' },
    url: { type: 'string' },
  },
});

const callers = Number(options.callers);
const seconds = Number(options.seconds);
const value = Buffer.alloc(300, 7);
const partition = encodeKey('bench', 'queue');
const depth = encodeKey('bench', 'depth');
const items = encodeKey('bench', 'item');
const stored = 10_000;

interface Case {
  readonly name: string;
  readonly prepare?: (store: Store) => Promise<void>;
  readonly run: (store: Store, turn: number) => Promise<unknown>;
  /** Units of work in one run. */
  readonly each?: number;
}

const cases: readonly Case[] = [
  { name: 'schedule + sum', run: (store, turn) => store.commit(sent(partition, turn, turn)) },
  {
    name: 'schedule + sum, ids in no order',
    run: (store, turn) => store.commit(sent(partition, scattered(turn), turn)),
  },
  {
    name: 'check + 2 sets',
    run: (store, turn) =>
      store.commit({
        checks: [{ key: extendKey(items, turn, 'a'), version: null }],
        set: [
          { key: extendKey(items, turn, 'a'), value },
          { key: extendKey(items, turn, 'b'), value },
        ],
      }),
  },
  {
    name: 'get',
    prepare: fillItems,
    run: (store, turn) => store.get(extendKey(items, (turn * 7919) % stored)),
  },
  {
    name: 'list 100',
    prepare: fillItems,
    run: (store, turn) => store.list({ ...prefixRange(items), start: extendKey(items, turn % 9000) }, { limit: 100 }),
  },
  { name: 'claim, settle, schedule, backlog 1,000', ...claimAndSettle('few', 1000) },
  {
    name: `claim, settle, schedule, backlog ${Number(options.backlog).toLocaleString('en')}`,
    ...claimAndSettle('many', Number(options.backlog)),
  },
  { name: 'append', run: (store) => store.commit({ append: [{ log: items, value }] }) },
];

await main();

async function main(): Promise<void> {
  for (const engine of options.engine ?? ['memory', 'lmdb', ...(options.url === undefined ? [] : ['postgres'])]) {
    const directory = mkdtempSync(join(tmpdir(), 'unkai-bench-'));
    const began = performance.now();
    const store = await open(engine, directory);
    console.log(`${engine}: opened in ${(performance.now() - began).toFixed(1)} ms`);
    try {
      for (const one of cases) {
        if (options.only !== undefined && !one.name.includes(options.only)) continue;
        await measure(engine, store, one);
      }
    } finally {
      await store.close();
      rmSync(directory, { recursive: true, force: true });
    }
  }
}

async function open(engine: string, directory: string): Promise<Store> {
  if (engine === 'memory') return new MemoryStore();
  if (engine === 'lmdb') return openLmdbStore({ path: directory });
  if (options.url === undefined) throw new Error('--url says where PostgreSQL is');
  return openPostgresStore({ url: options.url, schema: `bench_${process.pid}` });
}

async function measure(engine: string, store: Store, one: Case): Promise<void> {
  await one.prepare?.(store);
  let turn = 0;
  let done = 0;
  const began = performance.now();
  const cpu = process.cpuUsage();
  const loop = performance.eventLoopUtilization();
  const end = began + seconds * 1000;
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (performance.now() < end) {
        await one.run(store, turn++);
        done += one.each ?? 1;
        // Reads that never wait must not starve the clock.
        if ((turn & 255) === 0) await new Promise(setImmediate);
      }
    }),
  );
  const elapsedMs = performance.now() - began;
  const used = process.cpuUsage(cpu);
  const busy = performance.eventLoopUtilization(loop).utilization;
  const rate = Math.round((done / elapsedMs) * 1000).toLocaleString('en');
  const cpuUs = ((used.user + used.system) / done).toFixed(1);
  const mainUs = ((busy * elapsedMs * 1000) / done).toFixed(1);
  console.log(
    `${engine.padEnd(9)}${one.name.padEnd(40)}${rate.padStart(10)}/s  ${mainUs.padStart(6)} µs main  ${cpuUs.padStart(6)} µs CPU`,
  );
}

/** What a queue does: receive ten, delete them; ten new ones keep the backlog as deep as it was. */
function claimAndSettle(name: string, backlog: number): Pick<Case, 'prepare' | 'run' | 'each'> {
  const queue = encodeKey('bench', name);
  let last = backlog;
  return {
    prepare: (store) => fill(backlog, (turn) => store.commit(sent(queue, turn, turn))),
    each: 10,
    run: async (store) => {
      const claimed = await store.claim({ partition: queue, dueByMs: 1e12, untilMs: 2e12, limit: 10 });
      await store.commit({
        settle: claimed.map(({ id, token }) => ({ partition: queue, id, token })),
        schedule: claimed.map(() => {
          last++;
          return sent(queue, last, last).schedule![0]!;
        }),
      });
    },
  };
}

function sent(queue: Buffer, number: number, turn: number): Commit {
  const id = Buffer.alloc(16);
  id.writeUInt32BE(number, 0);
  return {
    schedule: [{ partition: queue, id, dueAtMs: 1_000_000 + Math.floor(turn / 20), value }],
    sum: [{ key: depth, delta: 1 }],
  };
}

/** Numbers as far apart as those of random ids are. */
function scattered(turn: number): number {
  return Math.imul(turn, 2654435761) >>> 0;
}

function fillItems(store: Store): Promise<void> {
  return fill(stored, (turn) => store.commit({ set: [{ key: extendKey(items, turn), value }] }));
}

async function fill(count: number, write: (turn: number) => Promise<unknown>): Promise<void> {
  for (let turn = 0; turn < count; turn += 2000) {
    await Promise.all(Array.from({ length: Math.min(2000, count - turn) }, (_, index) => write(turn + index)));
  }
}
