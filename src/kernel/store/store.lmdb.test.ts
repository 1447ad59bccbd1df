import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storeContract } from './contract.suite.ts';
import { openLmdbStore } from './lmdb/lmdb-store.ts';

storeContract('lmdb', async () => {
  const path = await mkdtemp(join(tmpdir(), 'unkai-lmdb-'));
  const store = await openLmdbStore({ path });
  let current = store;
  return {
    store,
    reopen: async () => {
      await current.close();
      current = await openLmdbStore({ path });
      return current;
    },
    close: async () => {
      await current.close();
      await rm(path, { recursive: true, force: true });
    },
  };
});
