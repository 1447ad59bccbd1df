/** What Linux tells about processes, by way of /proc. Elsewhere there is nothing to read: no memory figures, no strays found. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';

export const procAvailable = existsSync('/proc/self/status');

/** What a process holds now, and the most that it ever held; undefined when it is gone. */
export function memoryOf(pid: number): { readonly residentBytes: number; readonly peakBytes: number } | undefined {
  const text = read(`/proc/${pid}/status`);
  // A process that has ended and not been waited for has no memory lines.
  const residentBytes = kilobytes(text, 'VmRSS:');
  if (residentBytes === undefined) return undefined;
  return { residentBytes, peakBytes: kilobytes(text, 'VmHWM:') ?? residentBytes };
}

/**
 * Memory of the tree with pages that several processes share counted once: dearer to read, so asked for only where the plain sum is
 * over a limit (a forked worker's pages are its parent's).
 */
export function proportionalTreeBytes(pid: number): number {
  let bytes = 0;
  for (const each of [pid, ...descendants(pid)]) {
    bytes += kilobytes(read(`/proc/${each}/smaps_rollup`), 'Pss:') ?? memoryOf(each)?.residentBytes ?? 0;
  }
  return bytes;
}

/** Children, their children and so on. Those whose parent has died belong to init and are not found. */
export function descendants(pid: number): number[] {
  const found: number[] = [];
  const open = [pid];
  for (let parent = open.pop(); parent !== undefined; parent = open.pop()) {
    for (const child of children(parent)) {
      found.push(child);
      open.push(child);
    }
  }
  return found;
}

/** Processes whose environment holds `marker` as a substring, wherever they hang in the process tree. */
export async function processesWithEnvironment(markers: readonly string[]): Promise<number[]> {
  if (!procAvailable) return [];
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    // Those of other users cannot be read, and are not ours.
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
    if (environment !== '' && markers.some((marker) => environment.includes(marker))) found.push(pid);
  }
  return found;
}

/** False where there is no such process any more. A negative pid is a process group. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

/** SIGKILL for the process group of `pid` and for descendants that have left it. */
export function killTree(pid: number): void {
  const strays = descendants(pid);
  for (const target of [-pid, ...strays]) sendSignal(target, 'SIGKILL');
}

function children(pid: number): number[] {
  let threads: string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
  const found: number[] = [];
  for (const thread of threads) {
    const text = read(`/proc/${pid}/task/${thread}/children`);
    if (text === undefined || text === '') continue;
    for (const child of text.trim().split(' ')) found.push(Number(child));
  }
  return found;
}

/** The value in bytes of a line `Name:   123 kB`. */
function kilobytes(text: string | undefined, name: string): number | undefined {
  const start = text?.indexOf(name) ?? -1;
  if (text === undefined || start < 0) return undefined;
  return Number.parseInt(text.slice(start + name.length, start + name.length + 24), 10) * 1024;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
