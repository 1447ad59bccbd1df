import { chmod, lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Removes a folder even where its folders are read-only, as unpacked code is: to an ordinary user a plain `rm` is refused there. */
export async function removeTree(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (found.isDirectory()) {
    // Somebody else may be removing it, too: a cloud that closes takes its scratch folder with it.
    await chmod(path, 0o755).catch(() => {});
    for (const entry of await readdir(path, { withFileTypes: true }).catch(() => [])) {
      if (entry.isDirectory()) await removeTree(join(path, entry.name));
    }
  }
  await rm(path, { recursive: true, force: true });
}
