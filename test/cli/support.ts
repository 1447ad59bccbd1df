import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const entry = join(root, 'bin/unkai');

export interface Finished {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Which Node runs the CLI; default: the one that runs the tests. */
  readonly node?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** Builds dist/ when a source is newer than it; files of tests that come at once wait for the first. */
export async function build(): Promise<void> {
  const lock = join(root, 'node_modules/.unkai-test-build');
  for (;;) {
    try {
      await mkdir(lock);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      // A build takes a few seconds: a lock this old is one that a killed run has left.
      if (Date.now() - (modified(lock) ?? Date.now()) > 60_000) await rmdir(lock).catch(() => {});
      await pause(100);
    }
  }
  try {
    const built = modified(join(root, 'dist/cli.js')) ?? 0;
    if (newest(join(root, 'src')) < built && newest(join(root, 'models')) < built) return;
    const finished = await end(
      spawn(process.execPath, [join(root, 'tools/build.mjs')], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] }),
    );
    if (finished.code !== 0) throw new Error(`the build failed: ${finished.stderr}`);
  } finally {
    await rmdir(lock);
  }
}

/** Runs one command of the CLI to its end, as a user does whose output goes into a pipe. */
export async function unkai(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const child = spawnCli(args, options);
  child.stdin!.end(options.input ?? '');
  return end(child);
}

/** Like `unkai`, and parses the JSON that `--json` prints. */
export async function unkaiJson<T = Record<string, unknown>>(
  args: readonly string[],
  options: RunOptions = {},
): Promise<{ readonly code: number | null; readonly data: T }> {
  const { code, stdout, stderr } = await unkai([...args, '--json'], options);
  try {
    return { code, data: JSON.parse(stdout) as T };
  } catch (error) {
    throw new Error(`unkai ${args.join(' ')} --json ended with ${code} and printed no JSON: ${stdout}${stderr}`, {
      cause: error,
    });
  }
}

/** A command that goes on until it is told to stop: a cloud, or logs that are followed. */
export class RunningCli {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  stdout = '';
  stderr = '';

  constructor(args: readonly string[], options: RunOptions = {}) {
    this.child = spawnCli(args, options);
    this.child.stdout!.on('data', (chunk: string) => {
      this.stdout += chunk;
    });
    this.child.stderr!.on('data', (chunk: string) => {
      this.stderr += chunk;
    });
    this.finished = end(this.child);
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** Waits until standard output matches; fails when the command ends before it does. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    let code: number | null | undefined;
    void this.finished.then((finished) => {
      code = finished.code;
    });
    for (let waitedMs = 0; waitedMs < 30_000; waitedMs += 20) {
      const match = pattern.exec(this.stdout);
      if (match !== null) return match;
      if (code !== undefined) throw new Error(`it ended with ${code}: ${this.stdout}${this.stderr}`);
      await pause(20);
    }
    throw new Error(`${pattern} was not printed: ${this.stdout}${this.stderr}`);
  }

  async end(signal: NodeJS.Signals): Promise<Finished> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    return this.finished;
  }
}

export interface CliCloud extends RunningCli {
  readonly endpoint: string;
}

const readyLine = /^ready on (http:\/\/127\.0\.0\.1:\d+) in (\d+) ms\n/;

/** `unkai start --port 0 …`, up to its line that it is ready. */
export async function startCli(args: readonly string[], options: RunOptions = {}): Promise<CliCloud> {
  const running = new RunningCli(['start', '--port', '0', ...args], options);
  started.add(running);
  void running.finished.then(() => started.delete(running));
  const [, endpoint] = await running.printed(readyLine);
  return Object.assign(running, { endpoint: endpoint! });
}

const started = new Set<RunningCli>();
const folders: string[] = [];

/** For afterAll: whatever a failed test has left running or lying about. */
export async function cleanUp(): Promise<void> {
  await Promise.all([...started].map((running) => running.end('SIGKILL')));
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })));
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'unkai-cli-'));
  folders.push(folder);
  return folder;
}

/** Asks again and again until the answer is one; fails after 20 s. */
export async function until<T>(what: string, ask: () => Promise<T | undefined | false>): Promise<T> {
  for (let waitedMs = 0; waitedMs < 20_000; waitedMs += 50) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    await pause(50);
  }
  throw new Error(`waited in vain: ${what}`);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

/** Nothing of the caller's environment but the path, so that no variable of this machine decides a test. */
function spawnCli(args: readonly string[], options: RunOptions): ChildProcess {
  const node = options.node ?? process.execPath;
  const child = spawn(node, [entry, ...args], {
    cwd: options.cwd ?? tmpdir(),
    env: {
      PATH: `${dirname(node)}:/usr/local/bin:/usr/bin:/bin`,
      HOME: tmpdir(),
      ...options.env,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdout!.setEncoding('utf8');
  child.stderr!.setEncoding('utf8');
  return child;
}

function end(child: ChildProcess): Promise<Finished> {
  let stdout = '';
  let stderr = '';
  child.stdout!.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr!.on('data', (chunk) => {
    stderr += chunk;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

function modified(path: string): number | undefined {
  return existsSync(path) ? statSync(path).mtimeMs : undefined;
}

function newest(folder: string): number {
  let latest = 0;
  for (const file of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (file.isFile()) latest = Math.max(latest, modified(join(file.parentPath, file.name)) ?? 0);
  }
  return latest;
}
