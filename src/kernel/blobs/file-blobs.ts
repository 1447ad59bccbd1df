import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobStore } from './contract.ts';

let temporary = 0;

/** Blobs as files `<folder>/ab/cdef…`, each written aside, synced and renamed. Ages are the file system's. */
export class FileBlobs implements BlobStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async put(bytes: Uint8Array): Promise<string> {
    const digest = createHash('sha256').update(bytes).digest('hex');
    const path = this.#path(digest);
    if (await this.has(digest)) {
      const now = new Date();
      // Young again, so that a collection under way leaves it; if it was collected just now, it is written below.
      const touched = await utimes(path, now, now).then(
        () => true,
        () => false,
      );
      if (touched) return digest;
    }
    const folder = join(this.#folder, digest.slice(0, 2));
    await mkdir(folder, { recursive: true });
    const aside = join(folder, `.${digest.slice(2)}.${process.pid}.${temporary++}`);
    const file = await open(aside, 'wx');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
    await syncFolder(folder);
    return digest;
  }

  async get(digest: string): Promise<Buffer | undefined> {
    return readFile(this.#path(digest)).catch(absent);
  }

  async has(digest: string): Promise<boolean> {
    return (await stat(this.#path(digest)).catch(absent)) !== undefined;
  }

  async collect(live: ReadonlySet<string>, graceMs: number): Promise<number> {
    const youngest = Date.now() - graceMs;
    let collected = 0;
    for (const folder of (await readdir(this.#folder).catch(absent)) ?? []) {
      for (const name of (await readdir(join(this.#folder, folder)).catch(absent)) ?? []) {
        if (live.has(folder + name)) continue;
        const path = join(this.#folder, folder, name);
        const found = await stat(path).catch(absent);
        if (found === undefined || found.mtimeMs > youngest) continue;
        await rm(path, { force: true });
        collected++;
      }
    }
    return collected;
  }

  #path(digest: string): string {
    return join(this.#folder, digest.slice(0, 2), digest.slice(2));
  }
}

/** A rename is durable when its folder is synced. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
  throw error;
}
