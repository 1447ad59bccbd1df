/**
 * What compute alone adds to an invocation: a plain node:http front over it, against F2 (bench/floors/hop.ts), interleaved. Run it
 * bundled, with the floor beside it:
 *   npx esbuild bench/invoke.ts bench/floors/hop.ts --bundle --platform=node --format=esm --packages=external --outdir=node_modules/.cache/invoke --out-extension:.js=.mjs
 *   node node_modules/.cache/invoke/invoke.mjs [--rounds 5] [--ms 1500] [--log] [--python] [--cold]
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { invocation, openCompute } from '../src/compute/test-support.ts';
import { createRandom } from '../src/kernel/random/random.ts';
import type { Sandbox } from '../src/platform/compute.ts';
import { load } from './load.ts';
import { startServer, timeProcess } from './processes.ts';
import { median } from './report.ts';

const { values: options } = parseArgs({
  options: {
    serve: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    ms: { type: 'string', default: '1500' },
    log: { type: 'boolean', default: false },
    python: { type: 'boolean', default: false },
    cold: { type: 'boolean', default: false },
  },
});
const root = fileURLToPath(new URL('../../..', import.meta.url));
const event = JSON.stringify({ hello: 'world', list: [1, 2, 3] });

if (options.serve !== undefined) await serve(Number(options.serve));
else if (options.cold) await coldStarts();
else await compare();

/** As many sandboxes as connections; each request takes a free one, and waits where there is none. */
async function serve(sandboxes: number): Promise<void> {
  const fixture = await openCompute({ runtimesFolder: join(root, 'src/compute/runtimes') });
  const log = options.log ? "console.log('a line');" : '';
  const node = { 'index.mjs': `export const handler = async (event) => { ${log} return { ok: true, event }; };\n` };
  const python = { 'index.py': 'def handler(event, context):\n  return {"ok": True, "event": event}\n' };
  const spec = { timeoutMs: 30_000, runtime: options.python ? 'python3.11' : 'nodejs20.x' };
  const idle: Sandbox[] = [];
  for (let index = 0; index < sandboxes; index++) {
    const { sandbox } = await fixture.start(options.python ? python : node, { ...spec, onLog: () => {} });
    idle.push(sandbox);
  }
  const waiting: ((sandbox: Sandbox) => void)[] = [];
  const take = (): Sandbox | Promise<Sandbox> => idle.pop() ?? new Promise((resolve) => waiting.push(resolve));
  const random = createRandom();
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', async () => {
      const sandbox = await take();
      const payload = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
      const result = await sandbox.invoke(invocation(null, { requestId: random.uuid(), payload }));
      const next = waiting.shift();
      if (next === undefined) idle.push(sandbox);
      else next(sandbox);
      const status = result.outcome === 'response' ? 200 : 500;
      response
        .writeHead(status, { 'content-type': 'application/json', 'content-length': String(result.payload.length) })
        .end(result.payload);
    });
  });
  server.listen(0, '127.0.0.1', () => {
    process.stdout.write(`ready on http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
  });
  process.on('SIGTERM', async () => {
    await fixture.close();
    process.exit(0);
  });
}

async function compare(): Promise<void> {
  const self = fileURLToPath(import.meta.url);
  const floor = fileURLToPath(new URL('./floors/hop.mjs', import.meta.url));
  const flags = [...(options.log ? ['--log'] : []), ...(options.python ? ['--python'] : [])];
  for (const connections of [1, 8]) {
    const servers = {
      F2: await startServer([floor, JSON.stringify({ sandboxes: connections })]),
      compute: await startServer([self, '--serve', String(connections), ...flags]),
    };
    const measured = {
      F2: { p50: [] as number[], rate: [] as number[] },
      compute: { p50: [] as number[], rate: [] as number[] },
    };
    for (let round = 0; round <= Number(options.rounds); round++) {
      for (const name of ['F2', 'compute'] as const) {
        const { port } = servers[name];
        const head = `POST / HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-length: ${event.length}\r\n\r\n`;
        const request = Buffer.from(head + event);
        const { p50Ms, perSecond } = await load({
          port,
          connections,
          durationMs: Number(options.ms),
          request: () => request,
        });
        if (round === 0) continue;
        measured[name].p50.push(p50Ms);
        measured[name].rate.push(perSecond);
      }
    }
    await Promise.all([servers.F2.stop(), servers.compute.stop()]);
    const { F2, compute } = measured;
    process.stdout.write(
      `${connections} connection(s): p50 ${median(compute.p50).toFixed(3)} ms, F2 ${median(F2.p50).toFixed(3)} ms, ratio ` +
        `${(median(compute.p50) / median(F2.p50)).toFixed(2)}; ${Math.round(median(compute.rate))}/s, F2 ` +
        `${Math.round(median(F2.rate))}/s, ratio ${(median(compute.rate) / median(F2.rate)).toFixed(2)}\n`,
    );
  }
}

/** From asking for a sandbox to its first answer, against a Node process that does nothing. */
async function coldStarts(): Promise<void> {
  const fixture = await openCompute({ runtimesFolder: join(root, 'src/compute/runtimes') });
  const floor: number[] = [];
  const cold: number[] = [];
  for (let round = 0; round <= Number(options.rounds) * 4; round++) {
    const bare = await timeProcess(['-e', '0']);
    const startedAt = performance.now();
    const { sandbox } = await fixture.start({ 'index.js': 'exports.handler = async (event) => event;\n' });
    await sandbox.invoke(invocation({}));
    const took = performance.now() - startedAt;
    await sandbox.close('spindown');
    if (round === 0) continue;
    floor.push(bare);
    cold.push(took);
  }
  await fixture.close();
  const ratio = (median(cold) / median(floor)).toFixed(2);
  process.stdout.write(
    `cold start ${median(cold).toFixed(1)} ms, node -e 0 ${median(floor).toFixed(1)} ms, ratio ${ratio}\n`,
  );
}
