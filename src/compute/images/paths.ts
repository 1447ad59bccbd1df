/** Paths inside an unpacked root: symbolic links are followed as a process in that root would see them, never out of it. */
import { lstat, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** As the kernel bounds it (path_resolution(7)). */
export const maxLinks = 40;

/** The names of which a path is made; empty ones and `.` left out, `..` kept. */
export function pathParts(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

/**
 * Where a path of the root really is on this machine: a path without symbolic links on its way, under `root`, which must be real itself.
 * Undefined where there is nothing, or too many links on the way.
 */
export async function resolveInside(root: string, path: string): Promise<string | undefined> {
  const ahead = pathParts(path).reverse();
  const behind: string[] = [];
  let links = 0;
  for (let part = ahead.pop(); part !== undefined; part = ahead.pop()) {
    if (part === '..') {
      behind.pop();
      continue;
    }
    const place = join(root, ...behind, part);
    const found = await lstat(place).catch(() => undefined);
    if (found === undefined) return undefined;
    if (!found.isSymbolicLink()) {
      behind.push(part);
      continue;
    }
    if (++links > maxLinks) return undefined;
    const target = await readlink(place);
    if (target.startsWith('/')) behind.length = 0;
    ahead.push(...pathParts(target).reverse());
  }
  return join(root, ...behind);
}
