import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import pg from 'pg';

/**
 * A PostgreSQL server of the tests' own: a fresh cluster in a temporary directory, on a free port of loopback, stopped by
 * its process id. It runs with the server's own defaults for durability.
 */
export interface PostgresServer {
  readonly url: string;
  /** Kills the server and all its processes with SIGKILL, as a crash would. */
  crash(): Promise<void>;
  /** Starts it again on the same data and port. */
  start(): Promise<void>;
  /** Process ids of the server, the postmaster first. */
  pids(): readonly number[];
  stop(): Promise<void>;
}

export interface PostgresServerOptions {
  /** Settings for the command line, as `fsync: 'off'`. */
  readonly settings?: Readonly<Record<string, string>>;
}

const startWithinMs = 30_000;

export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const bin = findBinaries();
  const user = ownerOfCluster();
  const directory = mkdtempSync(join(tmpdir(), 'unkai-postgres-'));
  if (user !== undefined) chownSync(directory, user.uid, user.gid);
  const data = join(directory, 'data');
  const spawnOptions = { cwd: directory, ...(user ?? {}) };
  const init = ['--pgdata', data, '--username', 'unkai', '--auth', 'trust', '--encoding', 'UTF8', '--no-sync'];
  execFileSync(join(bin, 'initdb'), [...init, '--no-locale'], { ...spawnOptions, stdio: 'pipe' });
  const port = await freePort();
  const url = `postgres://unkai@127.0.0.1:${port}/postgres`;
  const settings = Object.entries(options.settings ?? {}).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const fixed = ['-D', data, '-h', '127.0.0.1', '-p', String(port), '-k', '', '-c', 'max_connections=100'];
  let server: ChildProcess | undefined;
  let output = '';

  const start = async (): Promise<void> => {
    const child = spawn(join(bin, 'postgres'), [...fixed, ...settings], {
      ...spawnOptions,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    server = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (text: Buffer) => (output = (output + text.toString()).slice(-20_000)));
    }
    for (let waited = 0; ; waited += 20) {
      if (child.exitCode !== null) throw new Error(`PostgreSQL did not start:\n${output}`);
      if (await answers(url)) return;
      if (waited > startWithinMs) throw new Error(`PostgreSQL did not answer in time:\n${output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const child = server;
    server = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  };
  const pids = (): readonly number[] => (server?.pid === undefined ? [] : [server.pid, ...childrenOf(server.pid)]);
  // Whatever happens to the test run, the server does not outlive it.
  const atExit = (): void => void server?.kill('SIGQUIT');
  process.on('exit', atExit);
  await start();
  return {
    url,
    start,
    pids,
    async crash() {
      const all = pids();
      const ended = server === undefined ? undefined : once(server, 'exit');
      // The postmaster first: it must not see a child die and begin to recover.
      for (const pid of all) killQuietly(pid);
      await ended;
      server = undefined;
      while (all.some(isRunning)) await new Promise((resolve) => setTimeout(resolve, 5));
    },
    async stop() {
      process.off('exit', atExit);
      await end('SIGINT');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function findBinaries(): string {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const places = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(delimiter),
  ];
  const found = places.find((place) => existsSync(join(place, 'initdb')) && existsSync(join(place, 'postgres')));
  if (found !== undefined) return found;
  throw new Error('these tests need PostgreSQL (initdb and postgres): run tools/setup-tests.sh');
}

/** PostgreSQL refuses to run as root: then as the system user that Debian made for it, or as nobody. */
function ownerOfCluster(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const found = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody');
  if (found === undefined)
    throw new Error('PostgreSQL refuses to run as root, and there is no user postgres or nobody');
  return { uid: Number(found[2]), gid: Number(found[3]) };
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 });
  client.on('error', () => {});
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const fields = statOf(Number(name));
    return fields !== undefined && Number(fields[1]) === parent ? [Number(name)] : [];
  });
}

function isRunning(pid: number): boolean {
  const fields = statOf(pid);
  return fields !== undefined && fields[0] !== 'Z';
}

/** State and parent's id, the first fields after the name. */
function statOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
