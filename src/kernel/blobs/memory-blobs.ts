import { createHash } from 'node:crypto';
import type { BlobStore } from './contract.ts';

/** Blobs in memory, for `--ephemeral` and tests. */
export class MemoryBlobs implements BlobStore {
  readonly #blobs = new Map<string, { bytes: Buffer; storedAt: number }>();

  async put(bytes: Uint8Array): Promise<string> {
    const digest = createHash('sha256').update(bytes).digest('hex');
    this.#blobs.set(digest, { bytes: Buffer.from(bytes), storedAt: Date.now() });
    return digest;
  }

  async get(digest: string): Promise<Buffer | undefined> {
    return this.#blobs.get(digest)?.bytes;
  }

  async has(digest: string): Promise<boolean> {
    return this.#blobs.has(digest);
  }

  async collect(live: ReadonlySet<string>, graceMs: number): Promise<number> {
    const youngest = Date.now() - graceMs;
    let collected = 0;
    for (const [digest, { storedAt }] of this.#blobs) {
      if (live.has(digest) || storedAt > youngest) continue;
      this.#blobs.delete(digest);
      collected++;
    }
    return collected;
  }
}
