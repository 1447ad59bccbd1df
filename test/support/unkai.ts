import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Process {
  readonly child: ChildProcess;
  readonly endpoint: string;
  /** Ends it with the signal and waits until it is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
}

/** Starts a Node program of this repository and waits for its `ready on http://…` line. */
export function startProcess(args: readonly string[]): Promise<Process> {
  const child = spawn(process.execPath, [...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: cleanEnvironment(),
  });
  let out = '';
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${args.join(' ')} ended with ${code}: ${out}${errors}`)));
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      const endpoint = /ready on (http:\/\/\S+)/.exec(out)?.[1];
      if (endpoint === undefined) return;
      child.removeAllListeners('exit');
      resolve({ child, endpoint, end: (signal) => endProcess(child, signal) });
    });
  });
}

/** A command of the CLI with `--json`; what it printed, parsed. */
export function unkai(endpoint: string, ...args: string[]): Promise<unknown> {
  const child = spawn(process.execPath, ['bin/unkai', ...args, '--json', '--endpoint', endpoint], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: cleanEnvironment(),
  });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  return new Promise((resolve, reject) => {
    child.on('exit', (code) => {
      if (code === 0) resolve(JSON.parse(out));
      else reject(new Error(`unkai ${args.join(' ')} ended with ${code}: ${out}`));
    });
  });
}

/** Polls until it holds; fails with what it last saw. */
export async function eventually<T>(
  what: string,
  read: () => Promise<T>,
  holds: (value: T) => boolean,
  patienceMs = 60_000,
): Promise<T> {
  let seen: T | undefined;
  for (const endAt = performance.now() + patienceMs; performance.now() < endAt; ) {
    seen = await read();
    if (holds(seen)) return seen;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what} did not come about in ${patienceMs / 1000} s; last seen: ${JSON.stringify(seen)}`);
}

function endProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill(signal);
  });
}

function cleanEnvironment(): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  return { PATH, HOME };
}
