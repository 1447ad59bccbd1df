/** Unpacked layers laid over each other. */
import { chmod, copyFile, link, lstat, mkdir, readdir, readlink, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Makes the folder `target` (which does not exist) of the folders `roots`, the later over the earlier. Files are hard links where the file
 * system has them. What is there is looked at, never followed: nothing is written through a link that an earlier root brought.
 */
export async function mergeTrees(roots: readonly string[], target: string): Promise<void> {
  await mkdir(target);
  for (const root of roots) await layOver(root, target);
  await protect(target);
  // The caller moves it into its place.
  await chmod(target, 0o755);
}

async function layOver(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    const path = join(to, entry.name);
    const there = await lstat(path).catch(() => undefined);
    if (entry.isDirectory()) {
      if (there !== undefined && !there.isDirectory()) await rm(path);
      if (there === undefined || !there.isDirectory()) await mkdir(path);
      await layOver(source, path);
      continue;
    }
    if (there !== undefined) await rm(path, { recursive: true });
    if (entry.isSymbolicLink()) await symlink(await readlink(source), path);
    else await link(source, path).catch(() => copyFile(source, path));
  }
}

async function protect(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await protect(join(folder, entry.name));
  }
  await chmod(folder, 0o555);
}
