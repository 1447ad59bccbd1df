import { execFile } from 'node:child_process';
import { readdir, readFile, readlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/**
 * One process at a time in a directory, by files alone. Whoever wants the directory first announces itself with a file of
 * its own (named after its process id and start time), then looks for others: of two that come at once at least one sees
 * the other. A file whose process is gone is removed by whoever comes next; its name is never that of a living process,
 * so no living lock is ever removed, also when a process id is used again.
 */
export interface DirectoryLock {
  release(): Promise<void>;
}

export interface DirectoryHolder {
  readonly pid: number;
  /** The lock file, relative to the directory. */
  readonly file: string;
  /** False when the holder cannot be seen from here, only its file. */
  readonly certain: boolean;
}

export const lockFilePattern = /^lock\.(\d+)\.(\d+)$/;

const attempts = 5;

/** Takes the lock, or says who has it. */
export async function lockDirectory(directory: string): Promise<DirectoryLock | DirectoryHolder> {
  const self = await describeSelf();
  const file = `lock.${process.pid}.${self.started}`;
  const path = join(directory, file);
  for (let attempt = 1; ; attempt++) {
    try {
      await writeFile(path, `${JSON.stringify(self)}\n`, { flag: 'wx' });
    } catch (error) {
      // This very process has it open already.
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return { pid: process.pid, file, certain: true };
      throw error;
    }
    let released = false;
    const release = async (): Promise<void> => {
      if (released) return;
      released = true;
      await unlink(path).catch(() => {});
    };
    let holder: DirectoryHolder | undefined;
    try {
      holder = await findHolder(directory, file, self);
    } catch (error) {
      await release();
      throw error;
    }
    if (holder === undefined) return { release };
    await release();
    // The other one may have stepped back just as we did.
    if (attempt === attempts) return holder;
    await new Promise((resolve) => setTimeout(resolve, attempt + (process.pid % 16)));
  }
}

interface Owner {
  readonly pid: number;
  /** Start of the process: clock ticks since boot on Linux, seconds since the epoch elsewhere. */
  readonly started: number;
  /** Which run of the kernel, and which view of process ids, the numbers belong to. */
  readonly boot: string;
  readonly pidNamespace: string;
}

async function findHolder(directory: string, ownFile: string, self: Owner): Promise<DirectoryHolder | undefined> {
  for (const file of await readdir(directory)) {
    const match = lockFilePattern.exec(file);
    if (match === null || file === ownFile) continue;
    const path = join(directory, file);
    let owner: Partial<Owner> = {};
    try {
      owner = JSON.parse(await readFile(path, 'utf8')) as Partial<Owner>;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      // Just being written, or cut by a crash: its name says enough.
    }
    const pid = Number(match[1]);
    const rebooted = owner.boot !== undefined && owner.boot !== self.boot;
    const elsewhere = owner.pidNamespace !== undefined && owner.pidNamespace !== self.pidNamespace;
    if (!rebooted && elsewhere) return { pid, file: path, certain: false };
    if (!rebooted && (await startOf(pid)) === Number(match[2])) return { pid, file: path, certain: true };
    await unlink(path).catch(() => {});
  }
  return undefined;
}

async function describeSelf(): Promise<Owner> {
  const [started, boot, pidNamespace] = await Promise.all([
    startOf(process.pid),
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
    readlink('/proc/self/ns/pid').catch(() => ''),
  ]);
  return { pid: process.pid, started: started ?? 0, boot: boot.trim(), pidNamespace };
}

/** Undefined when there is no such process, or only its remains. */
async function startOf(pid: number): Promise<number | undefined> {
  if (process.platform === 'linux') {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
    // The name in parentheses may hold anything; after it come the state (field 3) and the start time (field 22).
    const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields === undefined || fields[0] === 'Z' || fields[0] === 'X' ? undefined : Number(fields[19]);
  }
  try {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)]);
    return Math.floor(new Date(stdout.trim()).getTime() / 1000);
  } catch {
    return undefined;
  }
}
