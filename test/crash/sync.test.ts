import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeKey } from '../../src/kernel/store/keys.ts';
import { clientConfig } from '../../src/kernel/store/postgres/connection.ts';
import { openPostgresStore } from '../../src/kernel/store/postgres/postgres-store.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import { prepareWriter, type Workshop } from './support.ts';
import { checkTrace } from './trace.ts';

const steps = 25;

describe('LMDB, by its system calls', () => {
  let workshop: Workshop;
  beforeAll(async () => {
    if (spawnSync('strace', ['-V']).error !== undefined) {
      throw new Error('this test needs strace: run tools/setup-tests.sh');
    }
    workshop = await prepareWriter();
  });
  afterAll(() => workshop.remove());

  const trace = (name: string, ...parameters: readonly string[]): string => {
    const output = join(workshop.directory, `${name}.trace`);
    const calls = 'openat,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,msync,sync_file_range';
    const path = join(workshop.directory, name);
    const writer = [workshop.script, '--engine', 'lmdb', '--path', path, '--steps', String(steps), ...parameters];
    execFileSync(
      'strace',
      ['-f', '-y', '-s', '64', '-e', `trace=${calls}`, '-o', output, process.execPath, ...writer],
      {
        stdio: 'pipe',
      },
    );
    return readFileSync(output, 'utf8');
  };

  it('syncs what it wrote between submission and acknowledgement', () => {
    expect(checkTrace(trace('durable'), 'data.mdb')).toEqual({ acknowledged: steps, problems: [] });
  });

  it('is found out when it does not (canary)', () => {
    const { acknowledged, problems } = checkTrace(trace('careless', '--unsafe-no-sync'), 'data.mdb');
    expect(acknowledged).toBe(steps);
    expect(problems).toHaveLength(steps);
    expect(problems[3]).toMatch(/step 3 .* not synced/);
  });
});

describe('PostgreSQL, by its own word', () => {
  const servers: PostgresServer[] = [];
  const clients: pg.Client[] = [];
  const connect = async (config: pg.ClientConfig): Promise<pg.Client> => {
    const client = new pg.Client(config);
    clients.push(client);
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  const start = async (settings: Readonly<Record<string, string>>): Promise<PostgresServer> => {
    const server = await startPostgres({ settings });
    servers.push(server);
    return server;
  };
  afterAll(async () => {
    for (const client of clients) await client.end().catch(() => {});
    for (const server of servers) await server.stop();
  });

  it('has flushed its log when it acknowledges, also where the server would not by itself', async () => {
    // The writer process does not flush either for ten seconds: only a commit that waits does.
    const { url } = await start({ synchronous_commit: 'off', wal_writer_delay: '10s' });
    const store = await openPostgresStore({ url, schema: 'durable' });
    const ours = await connect(clientConfig({ url, schema: 'durable' }));
    expect((await ours.query('SHOW synchronous_commit')).rows).toEqual([{ synchronous_commit: 'on' }]);
    expect((await ours.query('SHOW fsync')).rows).toEqual([{ fsync: 'on' }]);
    const value = randomBytes(valueBytes);
    for (let step = 0; step < steps; step++) {
      const before = await position(ours, 'insert');
      await store.commit({ set: [{ key: encodeKey('step', step), value }] });
      expect((await position(ours, 'flush')) - before).toBeGreaterThan(valueBytes);
    }
    // The canary: the same question after a commit that does not wait.
    const careless = await connect({ connectionString: url });
    await careless.query('CREATE TABLE careless (value bytea)');
    const before = await position(ours, 'insert');
    await careless.query('INSERT INTO careless VALUES ($1)', [value]);
    expect((await position(ours, 'insert')) - before).toBeGreaterThan(valueBytes);
    expect((await position(ours, 'flush')) - before).toBeLessThan(valueBytes);
    await store.close();
  });

  it('is refused with fsync off', async () => {
    const { url } = await start({ fsync: 'off' });
    await expect(openPostgresStore({ url })).rejects.toThrow(/fsync=off: what it acknowledges can be lost/);
  });
});

const valueBytes = 1500;

/** How far, in bytes, the server's log has been written to memory (insert) or brought to disk (flush). */
async function position(client: pg.Client, which: 'insert' | 'flush'): Promise<number> {
  const { rows } = await client.query(`SELECT (pg_current_wal_${which}_lsn() - '0/0')::bigint AS position`);
  return Number(rows[0].position);
}
