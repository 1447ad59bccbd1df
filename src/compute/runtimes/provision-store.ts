/** Adding to the libraries of a language: one process at a time, and visible only when whole. */
import { existsSync } from 'node:fs';
import { cp, link, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import type { Clock } from '../../kernel/clock/contract.ts';
import { currentState } from './libraries.ts';

const askEveryMs = 200;
const longestChangeMs = 30 * 60 * 1000;
/** States that were replaced are kept so long for sandboxes that still stand on them. */
const keepReplacedMs = 24 * 60 * 60 * 1000;

/**
 * Replaces the state of `home` by a copy that `change` has worked on. `missing` is asked again once it is this process's turn: another
 * may have brought the same. A state that fails to be made leaves nothing behind.
 */
export async function changeState(options: {
  readonly home: string;
  readonly clock: Clock;
  readonly missing: () => boolean;
  readonly change: (folder: string) => Promise<void>;
}): Promise<void> {
  const { home, missing, change } = options;
  await mkdir(home, { recursive: true });
  const unlock = await lock(join(home, 'lock'), options.clock);
  try {
    if (!missing()) return;
    const partial = await mkdtemp(join(home, '.partial-'));
    try {
      const current = currentState(home);
      if (current !== undefined) await cp(current, partial, { recursive: true, verbatimSymlinks: true });
      await change(partial);
      const name = `state-${basename(partial).slice('.partial-'.length)}`;
      await rename(partial, join(home, name));
      await rm(join(home, '.current'), { force: true });
      await symlink(name, join(home, '.current'));
      await rename(join(home, '.current'), join(home, 'current'));
      await removeOld(home, name, options.clock);
    } finally {
      await rm(partial, { recursive: true, force: true });
    }
  } finally {
    await unlock();
  }
}

/** Holds a file that names its owner; what a dead process of this machine has left is taken over. */
async function lock(path: string, clock: Clock): Promise<() => Promise<void>> {
  const owner = `${hostname()} ${process.pid}`;
  for (;;) {
    try {
      await writeFile(path, owner, { flag: 'wx' });
      return () => rm(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = await readFile(path, 'utf8').catch(() => undefined);
    if (holder === undefined) continue;
    if (await isLeft(path, holder, clock)) await removeLeft(path, holder);
    else await clock.sleep(askEveryMs);
  }
}

async function isLeft(path: string, holder: string, clock: Clock): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  // Nothing takes this long; the process has been followed by another of its number.
  if (found !== undefined && clock.now() - found.mtimeMs > longestChangeMs) return true;
  const [host, pid] = holder.split(' ');
  if (host !== hostname() || pid === undefined) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

let removals = 0;

/** Moves it away first: another may have taken it over in the meantime, whose lock it is then. */
async function removeLeft(path: string, holder: string): Promise<void> {
  const aside = `${path}-${process.pid}-${++removals}`;
  const moved = await rename(path, aside).then(
    () => true,
    () => false,
  );
  if (!moved) return;
  if ((await readFile(aside, 'utf8')) !== holder) await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
}

async function removeOld(home: string, current: string, clock: Clock): Promise<void> {
  for (const name of await readdir(home)) {
    if (name === current || !/^(state|\.partial)-/.test(name)) continue;
    const folder = join(home, name);
    const { mtimeMs } = await stat(folder);
    if (clock.now() - mtimeMs > keepReplacedMs) await rm(folder, { recursive: true, force: true });
  }
}

/** Whether a folder of that name lies in what is prepared. */
export function holds(folder: string | undefined, name: string): boolean {
  return folder !== undefined && existsSync(join(folder, name));
}
