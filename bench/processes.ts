import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The same for every floor and subject: nothing of the caller's environment that could slow one of them. */
const environment = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' };

const started = new Set<ChildProcess>();

/** Ends whatever a benchmark that failed has left running. */
export function stopAll(): void {
  for (const child of started) child.kill('SIGKILL');
}

export interface Running {
  readonly port: number;
  readonly pid: number;
  /** From the spawn until the line that says it is ready. */
  readonly readyMs: number;
  stop(): Promise<void>;
}

/** Starts a server that says `ready on http://host:port…` (or what `pattern` matches) on its standard output. */
export function startServer(args: readonly string[], pattern = /ready on http:\/\/[^\s:]+:(\d+)/): Promise<Running> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, args, { env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  started.add(child);
  return new Promise((resolve, reject) => {
    let text = '';
    child.on('exit', (code) => reject(new Error(`${args.join(' ')} ended with ${code}: ${text}`)));
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const match = pattern.exec(text);
      if (match === null) return;
      resolve({
        port: Number(match[1]),
        pid: child.pid!,
        readyMs: performance.now() - startedAt,
        stop: () => stop(child),
      });
    });
  });
}

/** Wall time of a process from its spawn to its exit. */
export function timeProcess(args: readonly string[]): Promise<number> {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { env: environment, stdio: 'ignore' });
    child.on('error', reject);
    child.on('exit', () => resolve(performance.now() - startedAt));
  });
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.removeAllListeners('exit');
    child.on('exit', () => {
      started.delete(child);
      resolve();
    });
    child.kill('SIGTERM');
  });
}

/** Anonymous memory of a process in MiB: mapped pages of a store do not count, the kernel takes them back at will. */
export function anonymousMiB(pid: number): number {
  const match = /RssAnon:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? Number.NaN) / 1024;
}
