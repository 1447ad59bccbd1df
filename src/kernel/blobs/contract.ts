import type { Readable } from 'node:stream';

/** Large values, named by the SHA-256 of their content. What refers to a blob stands in the store. */
export interface BlobStore {
  /** Stores the bytes durably; returns their digest (64 hex digits). Storing the same bytes again is cheap. */
  put(bytes: Uint8Array): Promise<string>;
  /** The bytes, or undefined where there is no such blob. */
  get(digest: string): Promise<Buffer | undefined>;
  /**
   * As `put`, without holding the bytes in memory. Where `digest` is given, other content is refused with DigestMismatch and nothing is
   * kept; what the source throws is thrown on.
   */
  putStream(source: AsyncIterable<Uint8Array>, digest?: string): Promise<StoredBlob>;
  /** The bytes as they are read, or undefined where there is no such blob. */
  stream(digest: string): Promise<Readable | undefined>;
  has(digest: string): Promise<boolean>;
  /**
   * Deletes blobs that are not among `live` and were neither stored nor stored again within the grace period: a blob is
   * written before the record that refers to it, so a young one may yet be referred to. Returns how many.
   */
  collect(live: ReadonlySet<string>, graceMs: number): Promise<number>;
}

export interface StoredBlob {
  readonly digest: string;
  readonly sizeBytes: number;
}

/** The content is not what its digest said. */
export class DigestMismatch extends Error {
  override readonly name = 'DigestMismatch';

  constructor(expected: string, actual: string) {
    super(`the content's SHA-256 is ${actual}, not ${expected}`);
  }
}
