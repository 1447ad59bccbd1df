import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startProcess } from '../support/unkai.ts';

let data: string;
beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), 'unkai-start-'));
});
afterAll(() => rm(data, { recursive: true, force: true }));

function npmStart(...args: string[]): Promise<{ code: number | null; out: string }> {
  const child = spawn(process.execPath, ['tools/start.mjs', '--once', '--vendor-port', '0', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
  }
  return new Promise((resolve) => child.on('exit', (code) => resolve({ code, out })));
}

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

it('shows the whole story, and again on the same data', async () => {
  // The same port for both: a queue's URL names it, and a stack's functions have that URL in their environment.
  const port = String(await freePort());
  const first = await npmStart('--port', port, '--data', data);
  expect(first.out).toContain('registered as event');
  expect(first.out).toMatch(/it failed for \d+ devices, which were tried again/);
  expect(first.out).toMatch(/\d+ messages? went to the dead-letter queue/);
  expect(first.out).toContain('moved back: COMPLETED');
  expect(first.out).toContain('the vendor succeeded once for each of 10 devices');
  expect(first.code).toBe(0);
  const second = await npmStart('--port', port, '--data', data);
  expect(second.out).toContain('every device is provisioned, each exactly once');
  expect(second.code).toBe(0);
}, 240_000);

it('says so beside a cloud that runs already, and leaves that running', async () => {
  const cloud = await startProcess(['bin/unkai', 'start', '--port', '0', '--ephemeral']);
  try {
    const { code, out } = await npmStart('--port', new URL(cloud.endpoint).port);
    expect(out).toContain(`a cloud is running at ${cloud.endpoint} already (process ${cloud.child.pid})`);
    expect(code).toBe(0);
    expect(((await (await fetch(`${cloud.endpoint}/_unkai/status`)).json()) as { pid: number }).pid).toBe(
      cloud.child.pid,
    );
  } finally {
    await cloud.end('SIGTERM');
  }
}, 120_000);
