import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type BlobStore, DigestMismatch, type StoredBlob } from './contract.ts';

let temporary = 0;
const readPieceBytes = 256 * 1024;

/** Blobs as files `<folder>/ab/cdef…`, each written aside, synced and renamed. Ages are the file system's. */
export class FileBlobs implements BlobStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async put(bytes: Uint8Array): Promise<string> {
    const digest = createHash('sha256').update(bytes).digest('hex');
    const path = this.#path(digest);
    if ((await this.has(digest)) && (await touch(path))) return digest;
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

  async putStream(source: AsyncIterable<Uint8Array>, expected?: string): Promise<StoredBlob> {
    // Among the blobs' folders, so that a collection takes what a crash has left here, once it is old.
    const incoming = join(this.#folder, 'incoming');
    await mkdir(incoming, { recursive: true });
    const aside = join(incoming, `${process.pid}.${temporary++}`);
    const hash = createHash('sha256');
    let sizeBytes = 0;
    const hashed = async function* (): AsyncGenerator<Uint8Array> {
      for await (const piece of source) {
        hash.update(piece);
        sizeBytes += piece.byteLength;
        yield piece;
      }
    };
    try {
      // `flush`: synced before it is closed.
      await pipeline(hashed, createWriteStream(aside, { flags: 'w', flush: true }));
      const digest = hash.digest('hex');
      if (expected !== undefined && digest !== expected) throw new DigestMismatch(expected, digest);
      const path = this.#path(digest);
      const folder = join(this.#folder, digest.slice(0, 2));
      if (!((await this.has(digest)) && (await touch(path)))) {
        await mkdir(folder, { recursive: true });
        await rename(aside, path);
        await syncFolder(folder);
      }
      return { digest, sizeBytes };
    } finally {
      await rm(aside, { force: true });
    }
  }

  async stream(digest: string): Promise<Readable | undefined> {
    const file = await open(this.#path(digest), 'r').catch(absent);
    return file?.createReadStream({ highWaterMark: readPieceBytes });
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

/** Young again, so that a collection under way leaves it; false if it was collected just now. */
async function touch(path: string): Promise<boolean> {
  const now = new Date();
  return utimes(path, now, now).then(
    () => true,
    () => false,
  );
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
