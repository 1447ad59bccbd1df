import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { type BlobStore, DigestMismatch, type StoredBlob } from './contract.ts';

/** Blobs in memory, for `--ephemeral` and tests. */
export class MemoryBlobs implements BlobStore {
  readonly #blobs = new Map<string, { bytes: Buffer; storedAt: number }>();

  async put(bytes: Uint8Array): Promise<string> {
    const digest = createHash('sha256').update(bytes).digest('hex');
    this.#blobs.set(digest, { bytes: Buffer.from(bytes), storedAt: Date.now() });
    return digest;
  }

  async putStream(source: AsyncIterable<Uint8Array>, expected?: string): Promise<StoredBlob> {
    const pieces: Uint8Array[] = [];
    for await (const piece of source) pieces.push(piece);
    const bytes = Buffer.concat(pieces);
    const digest = createHash('sha256').update(bytes).digest('hex');
    if (expected !== undefined && digest !== expected) throw new DigestMismatch(expected, digest);
    return { digest: await this.put(bytes), sizeBytes: bytes.length };
  }

  async stream(digest: string): Promise<Readable | undefined> {
    const bytes = this.#blobs.get(digest)?.bytes;
    return bytes === undefined ? undefined : Readable.from([bytes], { objectMode: false });
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
