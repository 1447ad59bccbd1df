import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WallClock } from '../kernel/clock/wall.ts';

/** A cloud of nothing but compute, in a process of its own, that can be killed. */
const cloud = `
import { invocation, openCompute } from './test-support.ts';
const fixture = await openCompute({ runtimesFolder: process.argv[2] });
const say = (line) => process.stdout.write(line + '\\n');
const start = async (files, spec) => (await fixture.start(files, { ...spec, onLog: (line) => say(line.split('\\t').at(-1)) })).sandbox;
const node = await start({ 'index.js': \`exports.handler = async () => {
  const { spawn } = require('node:child_process');
  console.log('pid ' + process.pid);
  console.log('pid ' + spawn('sleep', ['1000']).pid);
  spawn('/bin/sh', ['-c', 'setsid sleep 1000 & echo pid $!'], { detached: true, stdio: 'inherit' });
};\` });
await node.invoke(invocation({}));
const spinning = await start({ 'index.js': "exports.handler = () => { console.log('pid ' + process.pid); for (;;); };" }, { timeoutMs: 900_000 });
void spinning.invoke(invocation({}));
await start({ bootstrap: '#!/bin/sh\\necho pid $$\\ntrap "" TERM HUP INT PIPE\\nwhile true; do sleep 1000; done\\n' }, { runtime: 'provided.al2023' });
say('started');
setInterval(() => {}, 1000);
`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unkai-crash-'));
  await build({
    stdin: {
      contents: `void (async () => {${cloud.replace(/^import .*$/m, '')}})();${cloud.match(/^import .*$/m)![0]}`,
      resolveDir: import.meta.dirname,
      loader: 'ts',
    },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    outfile: join(folder, 'cloud.cjs'),
    logLevel: 'error',
    logOverride: { 'empty-import-meta': 'silent' },
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('no sandbox survives a cloud that is killed: not one that spins, not a child, not a daemon, not one that traps signals', async () => {
  const child = spawn(process.execPath, [join(folder, 'cloud.cjs'), join(import.meta.dirname, 'runtimes')], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: folder },
  });
  const pids = await pidsUntilStarted(child, 5);
  expect(pids.every(runs)).toBe(true);
  child.kill('SIGKILL');
  const clock = new WallClock();
  const deadline = clock.now() + 5_000;
  while (pids.some(runs) && clock.now() < deadline) await clock.sleep(20);
  expect(pids.filter(runs)).toEqual([]);
});

async function pidsUntilStarted(child: ChildProcess, count: number): Promise<number[]> {
  let text = '';
  for await (const piece of child.stdout!) {
    text += String(piece);
    const pids = [...text.matchAll(/^pid (\d+)$/gm)].map((match) => Number(match[1]));
    if (pids.length >= count && text.includes('started\n')) return pids;
  }
  throw new Error(`the cloud ended early: ${text}`);
}

function runs(pid: number): boolean {
  try {
    return !execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' })
      .trim()
      .startsWith('Z');
  } catch {
    return false;
  }
}
