import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test } from 'vitest';
import type { Store } from '../../src/kernel/store/contract.ts';
import { openLmdbStore } from '../../src/kernel/store/lmdb/lmdb-store.ts';
import { MemoryStore } from '../../src/kernel/store/memory/memory-store.ts';
import { openPostgresStore } from '../../src/kernel/store/postgres/postgres-store.ts';
import { runFifo } from '../../src/services/sqs/fifo/interleaving.test-support.ts';
import { runStandard } from '../../src/services/sqs/interleaving.test-support.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';

/** Random interleavings on standard, fair and FIFO queues, with the same seeds on every engine. */
const long = process.env['UNKAI_LONG'] === '1';
const seeds = Array.from({ length: long ? 20 : 2 }, (_, index) => 101 + index);
const steps = long ? 400 : 150;

let server: PostgresServer;
let folder: string;
beforeAll(async () => {
  [server, folder] = await Promise.all([startPostgres(), mkdtemp(join(tmpdir(), 'unkai-sqs-'))]);
});
afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

let opened = 0;
const engines: Record<string, () => Promise<Store>> = {
  memory: async () => new MemoryStore(),
  lmdb: () => openLmdbStore({ path: join(folder, `store-${++opened}`) }),
  postgres: () => openPostgresStore({ url: server.url, schema: `sqs_${++opened}`, connections: 8 }),
};

describe.each(Object.keys(engines))('on %s', (engine) => {
  test.each(seeds)(
    'queues lose nothing and break no order (seed %d)',
    async (seed) => {
      for (const run of [runStandard, runFifo]) {
        const store = await engines[engine]!();
        try {
          await run(seed, steps, store);
        } finally {
          await store.close();
        }
      }
    },
    300_000,
  );
});
