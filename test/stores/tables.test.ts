/** DynamoDB's random operations (src/services/dynamodb/test-model.ts) with the store on PostgreSQL. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, it } from 'vitest';
import { createRandom } from '../../src/kernel/random/random.ts';
import { serviceCaller } from '../../src/platform/context.ts';
import { type Call, createModelTable, World } from '../../src/services/dynamodb/test-model.ts';
import { startTestCloud, type TestCloud } from '../support/cloud.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';

const operations = process.env['UNKAI_LONG'] === '1' ? 20_000 : 1_000;

let server: PostgresServer;
let folder: string;
let cloud: TestCloud;
beforeAll(async () => {
  server = await startPostgres();
  folder = await mkdtemp(join(tmpdir(), 'unkai-postgres-'));
  cloud = await startTestCloud({
    store: { engine: 'postgres', url: server.url, directory: folder },
    services: ['dynamodb'],
    limits: 'relaxed',
  });
});
afterAll(async () => {
  await cloud.close();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

it(`agrees with a simple model over ${operations} operations`, async () => {
  const caller = serviceCaller('test', '000000000000', 'us-east-1');
  const call: Call = (operation, input) => cloud.cloud.platform.bus.call(caller, 'dynamodb', operation, input);
  await createModelTable(call);
  const world = new World(createRandom(4), call);
  for (let step = 0; step < operations; step++) await world.step();
  await world.checkWhole();
}, 600_000);
