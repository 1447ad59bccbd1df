import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Store } from '../../src/kernel/store/contract.ts';
import { openLmdbStore } from '../../src/kernel/store/lmdb/lmdb-store.ts';
import { openPostgresStore } from '../../src/kernel/store/postgres/postgres-store.ts';
import { type Acknowledged, idOf, names } from './workload.ts';

/**
 * The process that is killed. It writes with several writers at once and reports each acknowledged write, and nothing
 * else, as a line of JSON on its standard output. With --steps it writes one after the other, and says before each that
 * it submits it: for the trace of system calls.
 */
const { values: options } = parseArgs({
  options: {
    engine: { type: 'string' },
    path: { type: 'string' },
    url: { type: 'string' },
    schema: { type: 'string' },
    round: { type: 'string', default: '0' },
    writers: { type: 'string', default: '8' },
    steps: { type: 'string' },
    'unsafe-no-sync': { type: 'boolean', default: false },
  },
});

const round = Number(options.round);

const store = await open();
if (options.steps === undefined) {
  await Promise.all(Array.from({ length: Number(options.writers) }, (_, writer) => writeOn(store, writer)));
} else {
  for (let step = 0; step < Number(options.steps); step++) {
    writeSync(1, `submit ${step}\n`);
    await create(store, 0, step);
    writeSync(1, `acknowledged ${step}\n`);
  }
  await store.close();
}

async function open(): Promise<Store> {
  if (options.engine === 'lmdb') {
    return openLmdbStore({ path: options.path!, unsafeNoSync: options['unsafe-no-sync'] });
  }
  return openPostgresStore({ url: options.url!, schema: options.schema! });
}

/** Until killed. */
async function writeOn(store: Store, writer: number): Promise<void> {
  for (let turn = 0; ; turn++) {
    const acknowledged = await create(store, writer, turn);
    report(acknowledged);
    if (turn % 2 === 1) await work(store, turn);
  }
}

/** Two keys, a counter, a log and a due entry in one commit: all of it or nothing must be found later. */
async function create(store: Store, writer: number, turn: number): Promise<Acknowledged> {
  const name = `${round}:${writer}:${turn}`;
  const id = idOf(name);
  // Some values are large, so that commits span many pages.
  const value = Buffer.from(name.padEnd(turn % 9 === 0 ? 9000 : 100, '.'));
  const result = await store.commit({
    checks: [{ key: names.left(name), version: null }],
    set: [
      { key: names.left(name), value },
      { key: names.right(name), value },
    ],
    sum: [
      { key: names.commits, delta: 1 },
      { key: names.waiting, delta: 1 },
    ],
    append: [{ log: names.log, value: Buffer.from(name) }],
    schedule: [{ partition: names.queue, id, dueAtMs: turn, value }],
  });
  if (!result.ok) throw new Error(`unexpected conflict at ${name}`);
  return { kind: 'created', name, position: result.positions[0]!, version: result.version };
}

/** Claims a few, finishes some of them, puts others back. */
async function work(store: Store, turn: number): Promise<void> {
  const claimed = await store.claim({ partition: names.queue, dueByMs: 1e6, untilMs: 1e6 + turn, limit: 3 });
  for (const { id, attempts, token } of claimed) report({ kind: 'claimed', id: id.toString(), attempts, token });
  for (const [index, { id, token }] of claimed.entries()) {
    const finish = index < 2;
    const result = await store.commit({
      settle: [finish ? { partition: names.queue, id, token } : { partition: names.queue, id, token, dueAtMs: turn }],
      ...(finish
        ? { set: [{ key: names.done(id.toString()), value: id }], sum: [{ key: names.waiting, delta: -1 }] }
        : {}),
    });
    // Its lease may have run out and somebody else have it by now.
    if (result.ok && finish) report({ kind: 'finished', id: id.toString() });
  }
}

function report(line: Acknowledged): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}
