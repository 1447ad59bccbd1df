/**
 * A cloud under mixed writes of a table is killed again and again: what was acknowledged is there, transactions are whole, and
 * indexes, counts and its stream agree with the table. UNKAI_LONG=1 does so 100 times; UNKAI_SEED repeats the moments of a run that failed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startCloud } from '../../src/cloud.ts';
import { createRandom } from '../../src/kernel/random/random.ts';
import { serviceCaller } from '../../src/platform/context.ts';
import type { Platform } from '../../src/platform/service.ts';
import { prepareWriter, type Workshop } from './support.ts';
import { findStreamDamage } from './tables-stream.ts';
import { type Call, Expectations, type Reported, table } from './tables-workload.ts';

const rounds = process.env['UNKAI_LONG'] === '1' ? 100 : 5;
const seed = process.env['UNKAI_SEED'] ?? createRandom().hex(8);
/** Acknowledgements after which the writer is well under way. */
const underWay = 20;
const longestMs = 400;

let workshop: Workshop;
beforeAll(async () => {
  workshop = await prepareWriter('tables-writer.ts');
});
afterAll(() => workshop.remove());

it(`keeps tables, indexes and counts together over kill -9 (seed ${seed})`, async () => {
  const random = createRandom(seed);
  const path = join(workshop.directory, 'tables');
  const expectations = new Expectations();
  for (let round = 0; round < rounds; round++) {
    await writeAndKill(
      ['--path', path, '--round', String(round), '--seed', seed],
      random.integer(longestMs),
      expectations,
    );
    const damage = await inCloud(path, async (call, platform) => [
      ...(await expectations.findDamage(call)),
      ...(await findStreamDamage(platform, call)),
    ]);
    expect(damage, `round ${round}, seed ${seed}`).toEqual([]);
  }
  // The crashes came while there was something to lose.
  expect(expectations.acknowledged).toBeGreaterThanOrEqual(rounds * underWay);
  // And damage would be noticed.
  const noticed = await inCloud(path, async (call) => {
    await call('PutItem', { TableName: table.TableName, Item: { pk: { S: 'p0' }, sk: { S: 'never' } } });
    return expectations.findDamage(call);
  });
  expect(noticed).toEqual(['p0 never was never put']);
}, 1_800_000);

async function writeAndKill(parameters: readonly string[], afterMs: number, expectations: Expectations): Promise<void> {
  const writer = spawn(process.execPath, [workshop.script, ...parameters], { stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  writer.stderr.on('data', (text: Buffer) => (errors += text.toString()));
  const lines = createInterface({ input: writer.stdout });
  const closed = once(lines, 'close');
  const before = expectations.acknowledged;
  await new Promise<void>((isReady, failed) => {
    lines.on('line', (line) => {
      // The last line may be cut in the midst: it was not reported then.
      if (!line.endsWith('}')) return;
      expectations.take(JSON.parse(line) as Reported);
      if (expectations.acknowledged - before === underWay) isReady();
    });
    writer.on('exit', () => failed(new Error(`the writer ended by itself: ${errors}`)));
  });
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  writer.kill('SIGKILL');
  if (writer.exitCode === null && writer.signalCode === null) await once(writer, 'exit');
  await closed;
}

async function inCloud<T>(directory: string, run: (call: Call, platform: Platform) => Promise<T>): Promise<T> {
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const cloud = await startCloud({
    log,
    store: { engine: 'lmdb', directory },
    services: ['dynamodb'],
    limits: 'relaxed',
  });
  try {
    await cloud.ready();
    const caller = serviceCaller('test', '000000000000', 'us-east-1');
    const { platform } = cloud;
    return await run((operation, input) => platform.bus.call(caller, 'dynamodb', operation, input), platform);
  } finally {
    await cloud.close();
  }
}
