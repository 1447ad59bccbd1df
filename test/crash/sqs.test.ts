import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createRandom } from '../../src/kernel/random/random.ts';
import { openLmdbStore } from '../../src/kernel/store/lmdb/lmdb-store.ts';
import { createSimulation } from '../../src/services/sqs/simulation.test-support.ts';
import { findDamage, type Report } from './sqs-workload.ts';

/** UNKAI_LONG=1 runs the long form; UNKAI_SEED repeats the moments of a run that failed. */
const rounds = process.env['UNKAI_LONG'] === '1' ? 100 : 8;
const seed = process.env['UNKAI_SEED'] ?? createRandom().hex(8);
const roundsPerStore = 10;
const longestMs = 400;
/** Cloud time never runs backwards: each life begins where no earlier one got to. */
const lifeMs = 60 * 60 * 1000;

let directory: string;
let script: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'unkai-sqs-crash-'));
  script = join(directory, 'writer.mjs');
  symlinkSync(resolve(import.meta.dirname, '../../node_modules'), join(directory, 'node_modules'));
  await build({
    entryPoints: [join(import.meta.dirname, 'sqs-writer.ts')],
    outfile: script,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'error',
  });
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it(`after kill -9 queues have all that was acknowledged, and nothing by halves (seed ${seed})`, async () => {
  const random = createRandom(Number.parseInt(seed.slice(0, 8), 16));
  let reports: Report[] = [];
  let acknowledged = 0;
  for (let round = 0; round < rounds; round++) {
    const path = join(directory, `store-${Math.floor(round / roundsPerStore)}`);
    if (round % roundsPerStore === 0) reports = [];
    const startMs = 1_750_000_000_000 + round * lifeMs;
    const parameters = ['--path', path, '--round', String(round), '--start', String(startMs)];
    const said = await writeAndKill(parameters, random.integer(longestMs));
    acknowledged += said.filter(({ kind }) => kind === 'sent' || kind === 'deleted').length;
    reports.push(...said);
    const store = await openLmdbStore({ path });
    const world = createSimulation(1, {}, store, startMs + lifeMs / 2);
    expect(await findDamage(world, reports), `round ${round}, seed ${seed}`).toEqual([]);
    await world.close();
    await store.close();
  }
  // Else it would have shown nothing.
  expect(acknowledged).toBeGreaterThan(rounds * 10);
}, 1_800_000);

/** Runs the writer, lets it get under way, and kills it. Answers what it said, whole lines only. */
async function writeAndKill(parameters: readonly string[], afterMs: number): Promise<Report[]> {
  const writer: ChildProcess = spawn(process.execPath, [script, ...parameters], { stdio: ['ignore', 'pipe', 'pipe'] });
  const said: Report[] = [];
  let errors = '';
  writer.stderr!.on('data', (text: Buffer) => (errors += text.toString()));
  const lines = createInterface({ input: writer.stdout! });
  const closed = once(lines, 'close');
  let killed = false;
  await new Promise<void>((isReady, failed) => {
    lines.on('line', (line) => {
      try {
        said.push(JSON.parse(line) as Report);
      } catch {
        // The last line may be cut in the midst: it was not said then.
      }
      if (said.length === 20) isReady();
    });
    writer.on('exit', () => {
      if (!killed) failed(new Error(`the writer ended by itself: ${errors}`));
    });
  });
  await new Promise((resolvePause) => setTimeout(resolvePause, afterMs));
  killed = true;
  writer.kill('SIGKILL');
  if (writer.exitCode === null && writer.signalCode === null) await once(writer, 'exit');
  await closed;
  return said;
}
