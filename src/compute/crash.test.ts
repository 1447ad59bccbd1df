import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WallClock } from '../kernel/clock/wall.ts';
import { createRandom } from '../kernel/random/random.ts';
import { processesWithEnvironment } from './sandboxes/processes.ts';

/** A cloud of nothing but compute, in a process of its own, that can be killed. Everything in its sandboxes bears the mark. */
const cloud = `
import { invocation, openCompute } from './test-support.ts';
const [runtimesFolder, sandbox, mark] = process.argv.slice(2);
const fixture = await openCompute({ runtimesFolder, sandbox });
const say = (line) => process.stdout.write(line + '\\n');
const environment = { MARK: mark };
const start = async (files, spec) => (await fixture.start(files, { ...spec, environment, onLog: say })).sandbox;
const node = await start({ 'index.js': \`exports.handler = async () => {
  const { spawn } = require('node:child_process');
  spawn('sleep', ['1000']);
  spawn('/bin/sh', ['-c', 'setsid sleep 1000 &'], { detached: true, stdio: 'inherit' });
};\` });
await node.invoke(invocation({}));
const spinning = await start({ 'index.js': "exports.handler = () => { for (;;); };" }, { timeoutMs: 900_000 });
void spinning.invoke(invocation({}));
const trap = '#!/bin/sh\\ntrap "" TERM HUP INT PIPE\\necho trapped\\nwhile true; do sleep 1000; done\\n';
const stubborn = await start({ bootstrap: trap }, { runtime: 'provided.al2023' });
void stubborn.invoke(invocation({}));
setInterval(() => {}, 1000);
`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unkai-crash-'));
  await build({
    stdin: {
      contents: cloud,
      resolveDir: import.meta.dirname,
      loader: 'ts',
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
    outfile: join(folder, 'cloud.mjs'),
    logLevel: 'error',
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it.each(['process', 'bubblewrap'])(
  'no sandbox (%s) survives a cloud that is killed: not one that spins, not a child, not a daemon, not one that traps signals',
  async (kind) => {
    const mark = `unkai-crash-${kind}-${createRandom().hex(12)}`;
    const child = spawn(
      process.execPath,
      [join(folder, 'cloud.mjs'), join(import.meta.dirname, 'runtimes'), kind, mark],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, TMPDIR: folder },
      },
    );
    await untilTrapped(child);
    // Two Node functions, two sleeps, the stubborn shell and its sleep.
    await eventually(async () => (await marked(mark)).length >= 6);
    child.kill('SIGKILL');
    await eventually(async () => (await marked(mark)).length === 0);
  },
);

function marked(mark: string): Promise<number[]> {
  return processesWithEnvironment([`MARK=${mark}\0`]);
}

async function untilTrapped(child: ChildProcess): Promise<void> {
  let text = '';
  for await (const piece of child.stdout!) {
    text += String(piece);
    if (text.includes('trapped')) return;
  }
  throw new Error(`the cloud ended early: ${text}`);
}

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const clock = new WallClock();
  for (const deadline = clock.now() + 10_000; clock.now() < deadline; await clock.sleep(20)) if (await holds()) return;
  expect(await holds()).toBe(true);
}
