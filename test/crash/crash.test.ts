import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRandom, type Random } from '../../src/kernel/random/random.ts';
import type { Store } from '../../src/kernel/store/contract.ts';
import { openLmdbStore } from '../../src/kernel/store/lmdb/lmdb-store.ts';
import { openPostgresStore } from '../../src/kernel/store/postgres/postgres-store.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import { prepareWriter, type Workshop, writeAndKill } from './support.ts';
import { findDamage } from './verify.ts';
import { type Acknowledged, names } from './workload.ts';

/** UNKAI_LONG=1 runs the long form; UNKAI_SEED repeats the moments of a run that failed. */
const rounds = process.env['UNKAI_LONG'] === '1' ? 200 : 20;
const seed = process.env['UNKAI_SEED'] ?? createRandom().hex(8);
/** A store is used for so many crashes before the next begins, so that checking it stays quick. */
const roundsPerStore = 10;
const longestMs = 120;

let workshop: Workshop;

beforeAll(async () => {
  workshop = await prepareWriter();
});

afterAll(() => workshop.remove());

describe(`after kill -9 (seed ${seed})`, () => {
  it('LMDB has all that was acknowledged, and nothing by halves', async () => {
    await crashAgainAndAgain(async (number, random) => {
      const path = join(workshop.directory, `lmdb-${number}`);
      return {
        parameters: ['--engine', 'lmdb', '--path', path],
        kill: (writer) => killAfter(writer, random),
        open: () => openLmdbStore({ path }),
      };
    });
  }, 1_800_000);

  describe('on PostgreSQL', () => {
    let server: PostgresServer;
    beforeAll(async () => {
      server = await startPostgres();
    });
    afterAll(() => server.stop());

    it('has all that was acknowledged, and nothing by halves, whether the server falls too or not', async () => {
      await crashAgainAndAgain(async (number, random) => {
        const schema = `crash_${number}`;
        return {
          parameters: ['--engine', 'postgres', '--url', server.url, '--schema', schema],
          kill: async (writer) => {
            const both = random.integer(2) === 0;
            await new Promise((resolve) => setTimeout(resolve, random.integer(longestMs)));
            if (both) await server.crash();
            writer.kill('SIGKILL');
            if (both) await server.start();
            await sessionsEnded(server.url);
          },
          open: () => openPostgresStore({ url: server.url, schema }),
        };
      });
    }, 1_800_000);
  });

  it('would notice a write that is missing, and one done by halves', async () => {
    const path = join(workshop.directory, 'canary');
    const acknowledged = await writeAndKill(workshop, ['--engine', 'lmdb', '--path', path], (writer) =>
      killAfter(writer, createRandom(seed), 100),
    );
    const store = await openLmdbStore({ path });
    expect(await findDamage(store, acknowledged)).toEqual([]);
    const created = acknowledged.filter((one) => one.kind === 'created');
    const victim = created[created.length >> 1]!;
    const key = names.left(victim.name);
    const { value } = (await store.get(key))!;
    await store.commit({ delete: [key] });
    expect(await findDamage(store, acknowledged)).toContain(`${victim.name}: the left key is lost`);
    // Written again it is there, but not as it was.
    await store.commit({ set: [{ key, value }] });
    expect(await findDamage(store, acknowledged)).toEqual([`${victim.name}: the left key is lost`]);
    await store.commit({ sum: [{ key: names.waiting, delta: 1 }] });
    expect((await findDamage(store, [])).join()).toMatch(/entries are due and/);
    await store.close();
  }, 60_000);
});

interface Subject {
  readonly parameters: readonly string[];
  readonly kill: (writer: ChildProcess) => Promise<void>;
  readonly open: () => Promise<Store>;
}

async function crashAgainAndAgain(prepare: (number: number, random: Random) => Promise<Subject>): Promise<void> {
  const random = createRandom(seed);
  let total = 0;
  for (let first = 0; first < rounds; first += roundsPerStore) {
    const subject = await prepare(first, random);
    const acknowledged: Acknowledged[] = [];
    for (let round = first; round < first + roundsPerStore; round++) {
      const parameters = [...subject.parameters, '--round', String(round)];
      acknowledged.push(...(await writeAndKill(workshop, parameters, subject.kill)));
      const store = await subject.open();
      try {
        expect(await findDamage(store, acknowledged), `round ${round}, seed ${seed}`).toEqual([]);
      } finally {
        await store.close();
      }
    }
    total += acknowledged.length;
  }
  // The crashes came while there was something to lose.
  expect(total).toBeGreaterThanOrEqual(rounds * 10);
}

/** What the killed writer had sent is still carried out by the server: until its sessions end. */
async function sessionsEnded(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const text = "SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name LIKE 'unkai %'";
  while ((await client.query(text)).rows[0].count > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await client.end();
}

async function killAfter(writer: ChildProcess, random: Random, leastMs = 0): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, leastMs + random.integer(longestMs)));
  writer.kill('SIGKILL');
}
