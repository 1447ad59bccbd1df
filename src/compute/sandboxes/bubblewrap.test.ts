import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRandom } from '../../kernel/random/random.ts';
import { BubblewrapLauncher, findTools, type Tools } from './bubblewrap.ts';
import type { Bounds, LaunchedProcess, LaunchPlan } from './launcher.ts';
import { Trees } from './trees.ts';

const bounds: Bounds = { network: 'internet', memoryBytes: 256 << 20, temporaryBytes: 8 << 20, freezes: true };
const runtimesFolder = fileURLToPath(new URL('../runtimes', import.meta.url));

let tools: Tools;
let folder: string;
let endpoint: Server;
let other: Server;
const open: BubblewrapLauncher[] = [];

beforeAll(async () => {
  const found = await findTools();
  if ('missing' in found) throw new Error(found.missing);
  if (found.forwarder === undefined || found.perl === undefined)
    throw new Error('slirp4netns, perl or unshare is missing');
  tools = found;
  folder = await mkdtemp(join(tmpdir(), 'unkai-bwrap-'));
  await mkdir(join(folder, 'task'));
  await writeFile(join(folder, 'task', 'hello.txt'), 'from the package');
  endpoint = await serve('the cloud');
  other = await serve('a service of this machine');
});
afterAll(async () => {
  for (const launcher of open) await launcher.close();
  endpoint?.close();
  other?.close();
  await rm(folder, { recursive: true, force: true });
});

function serve(answer: string): Promise<Server> {
  const server = createServer((_request, response) => response.end(answer));
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

function launcher(with_: Partial<Tools> = {}, reach: readonly number[] = []): BubblewrapLauncher {
  const made = new BubblewrapLauncher({
    tools: { ...tools, ...with_ },
    random: createRandom(),
    trees: new Trees(),
    folder: join(folder, 'run'),
    marker: `TMPDIR=${folder}/run/`,
    runtimesFolder,
    ingress: (socket) => endpoint.emit('connection', socket),
    endpointPort: () => portOf(endpoint),
    reach: () => reach,
  });
  open.push(made);
  return made;
}

function plan(script: string, more: Partial<LaunchPlan> = {}): LaunchPlan {
  return {
    program: {
      command: '/bin/sh',
      hostCommand: '/bin/sh',
      args: ['-c', script],
      environment: { PATH: '/usr/bin:/bin', SECRET: 'kept from the process list', LD_PRELOAD: '' },
    },
    companions: [],
    workingDirectory: '/var/task',
    folders: [{ host: join(folder, 'task'), seen: '/var/task' }],
    temporaryFolder: '/tmp',
    marker: 'x',
    ...more,
  };
}

async function finished(launched: LaunchedProcess): Promise<{ out: string; err: string; status: unknown }> {
  let out = '';
  let err = '';
  launched.stdout.on('data', (bytes: Buffer) => {
    out += bytes.toString();
  });
  launched.stderr.on('data', (bytes: Buffer) => {
    err += bytes.toString();
  });
  const closed = new Promise((resolve) => launched.stdout.once('close', resolve));
  const status = await launched.exited;
  await closed;
  return { out, err, status };
}

async function run(script: string, more: Partial<Bounds> = {}, using = launcher()): ReturnType<typeof finished> {
  const berth = await using.prepare({ ...bounds, ...more });
  try {
    return await finished(await berth.launch(plan(script)));
  } finally {
    berth.runtimeApi.close();
  }
}

describe.each([
  ['a network of its own', {}],
  ["the machine's network", { forwarder: undefined }],
])('a sandbox with %s', (_name, having) => {
  it('sees its code, its own /tmp and the system, and nothing else of the machine', async () => {
    await writeFile(join(folder, 'private.txt'), 'secret');
    const script = `cat /var/task/hello.txt; echo; id -u; ls /; ls -A /tmp; cat ${folder}/private.txt; ls /root /home; cat /etc/shadow; echo $SECRET`;
    const { out, err, status } = await run(script, {}, launcher(having));
    expect(out).toContain('from the package\n993\n');
    expect(out).toContain('kept from the process list');
    expect(out).not.toContain('secret\n');
    for (const name of [`${folder}/private.txt`, '/root', '/home', '/etc/shadow'])
      expect(err).toMatch(new RegExp(`${name}.*No such`));
    expect(status).toEqual({ code: 0, signal: null });
  });

  it('can write to /tmp as far as its size goes, and nowhere else', async () => {
    const script = `
      for folder in /var/task / /usr /opt /var/runtime; do touch $folder/x 2>/dev/null && echo wrote $folder; done
      head -c 6000000 /dev/zero > /tmp/fits && echo fits
      head -c 6000000 /dev/zero > /tmp/more || echo full`;
    const { out } = await run(script, {}, launcher(having));
    expect(out).toBe('fits\nfull\n');
  });

  it('sees only its own processes, and ends with all of them', async () => {
    const { out, status } = await run(
      'ls -d /proc/[0-9]* | wc -l; sleep 1000 & sh -c "exit 3"; kill -9 $$',
      {},
      launcher(having),
    );
    expect(Number(out)).toBeLessThan(8);
    expect(status).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it('holds 1,024 open files at most', async () => {
    expect((await run('ulimit -n', {}, launcher(having))).out).toBe('1024\n');
  });
});

const get = (port: number, host = '127.0.0.1'): string =>
  `node -e 'require("http").get({host:"${host}",port:${port},timeout:3000},r=>r.pipe(process.stdout)).on("error",e=>console.log(e.code))'`;

describe('a network of its own', () => {
  it('leads to the Runtime API and to the cloud, and to nothing else on this machine', async () => {
    const berth = await launcher().prepare(bounds);
    berth.runtimeApi.on('connection', (socket) =>
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nruntime api'),
    );
    const [, port] = berth.runtimeApiAddress.split(':');
    const script = [portOf(endpoint), Number(port), portOf(other)].map((each) => `${get(each)}; echo`).join('; ');
    const { out } = await finished(await berth.launch(plan(script)));
    expect(out).toBe('the cloud\nruntime api\nECONNREFUSED\n\n');
    berth.runtimeApi.close();
  });

  it('leads to ports of this machine that are named, and to no other', async () => {
    const closed = portOf(other) === 1 ? 2 : 1;
    const script = [portOf(other), closed].map((each) => `${get(each)}; echo`).join('; ');
    expect((await run(script, {}, launcher({}, [portOf(other), closed]))).out).toBe(
      'a service of this machine\nECONNRESET\n\n',
    );
    expect((await run(get(portOf(other)))).out).toBe('ECONNREFUSED\n');
  });

  it('has a way out, but not to the services of this machine', async () => {
    const { out } = await run('cat /proc/net/route; cat /etc/resolv.conf');
    expect(out).toMatch(/^tap0\t00000000\t/m);
    expect(out).toContain('nameserver ');
    const open = await serve('on all addresses');
    const own = Object.values((await import('node:os')).networkInterfaces())
      .flat()
      .find((address) => address?.family === 'IPv4' && !address.internal)?.address;
    const closed: Server = await new Promise((resolve) => {
      const server = createServer((_request, response) => response.end('reached'));
      server.listen(0, '0.0.0.0', () => resolve(server));
    });
    for (const host of ['10.0.2.2', ...(own === undefined ? [] : [own])]) {
      expect((await run(get(portOf(closed), host))).out).toMatch(/^E[A-Z]+\n$/);
    }
    open.close();
    closed.close();
  });

  it('has none in a VPC', async () => {
    const { out } = await run(
      `cat /proc/net/dev | tail -n +3 | cut -d: -f1; ${get(80, '203.0.113.1')}; ${get(portOf(endpoint))}`,
      {
        network: 'none',
      },
    );
    expect(out.replaceAll(' ', '')).toBe('lo\nENETUNREACH\nthecloud');
  });

  it('can be dialled into', async () => {
    const berth = await launcher().prepare(bounds);
    const launched = await berth.launch(
      plan(`node -e 'require("net").createServer(s=>s.end("inside")).listen(8080,()=>console.log("up"))'`),
    );
    await new Promise((resolve) => launched.stdout.once('data', resolve));
    const socket = await launched.dial(8080);
    const said = await new Promise((resolve) => socket.once('data', (bytes) => resolve(bytes.toString())));
    expect(said).toBe('inside');
    await expect(launched.dial(8081)).rejects.toThrow('nothing listens on port 8081');
    launched.kill();
    expect(await launched.exited).toMatchObject({ signal: 'SIGKILL' });
    berth.runtimeApi.close();
  });
});

describe('bounds', () => {
  it('end a program that takes too much memory, at once or by being looked at', async () => {
    const hungry = `node -e 'const kept=[];for(;;)kept.push(Buffer.alloc(8<<20,1))'`;
    for (const network of ['internet', 'host'] as const) {
      const berth = await launcher().prepare({ ...bounds, network, memoryBytes: 128 << 20 });
      const launched = await berth.launch(plan(`exec ${hungry}`));
      launched.work();
      expect((await finished(launched)).status).toMatchObject({ signal: 'SIGKILL', outOfMemory: true });
      expect(launched.peakBytes).toBeGreaterThan(32 << 20);
      berth.runtimeApi.close();
    }
  });

  it('let nothing run while it rests', async () => {
    const berth = await launcher().prepare(bounds);
    const launched = await berth.launch(
      plan('i=0; while :; do i=$((i + 1)); echo $i > /tmp/count; echo $i; sleep 0.01; done'),
    );
    let last = 0;
    launched.stdout.on('data', (bytes: Buffer) => {
      last = Number(bytes.toString().trim().split('\n').at(-1));
    });
    const pass = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
    launched.work();
    await pass(300);
    launched.rest();
    await pass(200);
    const frozen = last;
    expect(frozen).toBeGreaterThan(3);
    await pass(300);
    expect(last).toBe(frozen);
    launched.work();
    await pass(300);
    expect(last).toBeGreaterThan(frozen + 3);
    launched.rest();
    await pass(200);
    launched.kill();
    await launched.exited;
    berth.runtimeApi.close();
  });
});

describe('companions', () => {
  it('start first, are told apart, and end with the program or before it', async () => {
    await writeFile(join(folder, 'task', 'one'), '#!/bin/sh\necho "one ${_HANDLER-unset}"; exit 4\n', { mode: 0o755 });
    await writeFile(join(folder, 'task', 'two'), '#!/bin/sh\necho two; while :; do sleep 0.1; done\n', { mode: 0o755 });
    const berth = await launcher().prepare(bounds);
    const companion = (name: string) => ({
      command: `/var/task/${name}`,
      hostCommand: join(folder, 'task', name),
      args: [],
      environment: {},
    });
    const planned = plan('echo program $_HANDLER; while :; do sleep 0.1; done', {
      companions: [companion('one'), companion('two')],
    });
    const environment = { ...planned.program.environment, _HANDLER: 'seen by the program' };
    const launched = await berth.launch({ ...planned, program: { ...planned.program, environment } });
    const [one, two] = launched.companions;
    const said = (stream: NodeJS.ReadableStream): Promise<string> =>
      new Promise((resolve) => stream.once('data', (bytes) => resolve(String(bytes))));
    const output = said(launched.stdout);
    expect(await Promise.all([said(one!.stdout), said(two!.stdout)])).toEqual(['one unset\n', 'two\n']);
    expect(await one!.exited).toEqual({ code: 4, signal: null });
    launched.proceed();
    expect(await output).toBe('program seen by the program\n');
    launched.endProgram('SIGKILL');
    expect(await launched.exited).toMatchObject({ signal: 'SIGKILL' });
    const alive = await readFile(`/proc/${launched.pid}/stat`, 'utf8');
    expect(alive).toContain('bwrap');
    launched.kill();
    await two!.exited;
    berth.runtimeApi.close();
  });
});
