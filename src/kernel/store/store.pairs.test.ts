import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../test/support/postgres.ts';
import type { Store } from './contract.ts';
import { encodeKey } from './keys.ts';
import { openLmdbStore } from './lmdb/lmdb-store.ts';
import { MemoryStore } from './memory/memory-store.ts';
import { openPostgresStore } from './postgres/postgres-store.ts';
import { contentOf, fill } from './suite/snapshots.ts';

const engines = ['memory', 'lmdb', 'postgres'] as const;

describe('a snapshot of any engine', () => {
  let server: PostgresServer;
  let directory: string;
  let stores = 0;
  const open = async (engine: (typeof engines)[number]): Promise<Store> => {
    stores++;
    if (engine === 'memory') return new MemoryStore();
    if (engine === 'lmdb') return openLmdbStore({ path: join(directory, `store-${stores}`) });
    return openPostgresStore({ url: server.url, schema: `pairs_${stores}` });
  };

  beforeAll(async () => {
    server = await startPostgres();
    directory = await mkdtemp(join(tmpdir(), 'unkai-pairs-'));
  });
  afterAll(async () => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });

  for (const from of engines) {
    for (const to of engines) {
      it(`is restored by any: ${from} to ${to}`, async () => {
        const [source, target] = [await open(from), await open(to)];
        await fill(source);
        await target.commit({ set: [{ key: encodeKey('other'), value: Buffer.from('gone') }] });
        await target.restore(source.snapshot());
        const expected = await contentOf(source);
        expect(await contentOf(target)).toEqual(expected);
        // What is restored is a store like any other: it hands on the same.
        const last = await open('memory');
        await last.restore(target.snapshot());
        expect(await contentOf(last)).toEqual(expected);
        await Promise.all([source.close(), target.close()]);
      });
    }
  }
});
