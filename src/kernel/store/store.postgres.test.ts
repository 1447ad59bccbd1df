import { afterAll, beforeAll } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../test/support/postgres.ts';
import { storeContract } from './contract.suite.ts';
import { openPostgresStore } from './postgres/postgres-store.ts';

let server: PostgresServer;
let schemas = 0;

beforeAll(async () => {
  server = await startPostgres();
});

afterAll(() => server.stop());

storeContract('postgres', async () => {
  const schema = `contract_${++schemas}`;
  const open = () => openPostgresStore({ url: server.url, schema, connections: 8 });
  const store = await open();
  let current = store;
  return {
    store,
    reopen: async () => {
      await current.close();
      current = await open();
      return current;
    },
    close: () => current.close(),
  };
});
