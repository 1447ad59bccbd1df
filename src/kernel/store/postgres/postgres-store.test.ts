import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../../test/support/postgres.ts';
import { counterValue } from '../contract.ts';
import { encodeKey, extendKey } from '../keys.ts';
import { byteaArray, int8Array, partitionKey } from './codec.ts';
import { migrate, migrations } from './migrations.ts';
import { openPostgresStore, type PostgresStore, StoreOpenError } from './postgres-store.ts';

let server: PostgresServer;
const opened: PostgresStore[] = [];
const open = async (schema: string): Promise<PostgresStore> => {
  const store = await openPostgresStore({ url: server.url, schema, connections: 6 });
  opened.push(store);
  return store;
};

beforeAll(async () => {
  server = await startPostgres();
});

afterAll(async () => {
  await Promise.all(opened.map((store) => store.close()));
  await server.stop();
});

describe('several processes on one PostgreSQL', () => {
  it('open a new schema at once', async () => {
    const stores = await Promise.all(Array.from({ length: 4 }, () => open('together')));
    const key = encodeKey('n');
    await Promise.all(stores.map((store) => store.commit({ sum: [{ key, delta: 1 }] })));
    expect(counterValue((await stores[0]!.get(key))?.value)).toBe(4);
  });

  it('keep checked increments exact and claims apart', async () => {
    const stores = await Promise.all([open('shared'), open('shared')]);
    const key = encodeKey('counter');
    const queue = encodeKey('queue');
    await stores[0]!.commit({
      schedule: Array.from({ length: 100 }, (_, index) => ({
        partition: queue,
        id: Buffer.from([index]),
        dueAtMs: 1,
        value: Buffer.alloc(0),
      })),
    });
    const claimed: number[] = [];
    await Promise.all(
      stores.flatMap((store) =>
        Array.from({ length: 4 }, async () => {
          for (let turn = 0; turn < 15; ) {
            const found = await store.get(key);
            const value = Buffer.from(String(Number(found?.value.toString() ?? 0) + 1));
            const checks = [{ key, version: found?.version ?? null }];
            if ((await store.commit({ checks, set: [{ key, value }] })).ok) turn++;
          }
          const mine = await store.claim({ partition: queue, dueByMs: 5, untilMs: 100, limit: 12 });
          claimed.push(...mine.map(({ id }) => id[0]!));
        }),
      ),
    );
    expect((await stores[1]!.get(key))?.value.toString()).toBe(String(2 * 4 * 15));
    expect(new Set(claimed).size).toBe(claimed.length);
  });

  it('hear of changes that the other one made', async () => {
    const [ours, theirs] = [await open('watched'), await open('watched')];
    const prefix = encodeKey('w');
    const others: string[] = [];
    theirs.watch(encodeKey('x'), () => others.push('x'));
    const heard = new Promise<void>((resolve) => theirs.watch(prefix, resolve));
    let calling = true;
    const writing = (async () => {
      // The first may come before the connection listens: a watch is a hint.
      for (let turn = 0; calling; turn++) {
        await ours.commit({ set: [{ key: extendKey(prefix, turn), value: Buffer.alloc(0) }] });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    await heard;
    calling = false;
    await writing;
    expect(others).toEqual([]);
  });

  it('agree on the time', async () => {
    const store = await open('clock');
    // Server and test run on one machine.
    expect(Math.abs(await store.clockOffsetMs())).toBeLessThan(1000);
  });
});

describe('opening a PostgreSQL store', () => {
  const refusal = async (url: string, schema?: string): Promise<StoreOpenError> => {
    const error = await openPostgresStore({ url, ...(schema === undefined ? {} : { schema }) }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(StoreOpenError);
    expect((error as StoreOpenError).hint).not.toBe('');
    expect(String(error)).not.toContain('secret');
    return error as StoreOpenError;
  };

  it('says why it cannot', async () => {
    expect((await refusal('postgres://unkai:secret@127.0.0.1:1/postgres')).message).toMatch(
      /no PostgreSQL server answers at 127\.0\.0\.1:1\/postgres/,
    );
    expect((await refusal('postgres://unkai:secret@nowhere.invalid/postgres')).message).toMatch(/is not known/);
    expect((await refusal(server.url.replace('/postgres', '/nothing'))).message).toMatch(/no such database/);
    expect((await refusal(server.url.replace('unkai@', 'nobody:secret@'))).message).toMatch(/refused the user/);
    expect((await refusal('not a url')).message).toMatch(/cannot be used|no PostgreSQL server|not known/);
    expect((await refusal(server.url, 'Robert"; DROP')).message).toMatch(/cannot be the name of a schema/);
  });

  it('refuses a newer schema and leaves it alone', async () => {
    await open('newer');
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    await client.query('INSERT INTO newer.migration (step) VALUES ($1)', [migrations.length + 1]);
    expect((await refusal(server.url, 'newer')).message).toMatch(/newer version/);
    await client.end();
  });

  it('takes the steps that are missing, and keeps what is there', async () => {
    const store = await open('older');
    const key = encodeKey('kept');
    await store.commit({ set: [{ key, value: Buffer.from('kept') }] });
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    const more = [...migrations, 'CREATE TABLE $SCHEMA.added (number integer)', 'INSERT INTO $SCHEMA.added VALUES (7)'];
    await migrate(client, 'older', more);
    await migrate(client, 'older', more);
    expect((await client.query('SELECT number FROM older.added')).rows).toEqual([{ number: 7 }]);
    expect((await store.get(key))?.value.toString()).toBe('kept');
    // A step that fails leaves nothing of itself.
    await expect(
      migrate(client, 'older', [...more, 'CREATE TABLE $SCHEMA.half (); SELECT nonsense']),
    ).rejects.toThrow();
    expect((await client.query("SELECT to_regclass('older.half') AS half")).rows).toEqual([{ half: null }]);
    await client.end();
  });

  it('outlasts a restart of the server', async () => {
    const store = await open('restarted');
    const key = encodeKey('k');
    await store.commit({ set: [{ key, value: Buffer.from('1') }] });
    await server.crash();
    await expect(store.get(key)).rejects.toThrow();
    await server.start();
    expect((await store.get(key))?.value.toString()).toBe('1');
    expect(await store.commit({ set: [{ key, value: Buffer.from('2') }] })).toMatchObject({ ok: true });
  });
});

describe('parameters', () => {
  it('are null when there is nothing, and carry nulls', () => {
    expect(byteaArray([])).toBeNull();
    expect(int8Array([])).toBeNull();
    expect(byteaArray([null, Buffer.from('x')])!.toString('hex')).toBe(
      '0000000100000001000000110000000200000001ffffffff0000000178',
    );
    expect(int8Array([null, -2])!.toString('hex')).toBe(
      '0000000100000001000000140000000200000001ffffffff00000008fffffffffffffffe',
    );
  });

  it('shorten long partitions so that none is taken for another', () => {
    const long = Buffer.alloc(2000, 1);
    expect(partitionKey(long.subarray(0, 1024))).toHaveLength(1024);
    expect(partitionKey(long)).toHaveLength(1040);
    expect(partitionKey(long).equals(partitionKey(long.subarray(1)))).toBe(false);
  });
});
