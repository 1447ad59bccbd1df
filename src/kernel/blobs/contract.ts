/** Large values, named by the SHA-256 of their content. What refers to a blob stands in the store. */
export interface BlobStore {
  /** Stores the bytes durably; returns their digest (64 hex digits). Storing the same bytes again is cheap. */
  put(bytes: Uint8Array): Promise<string>;
  /** The bytes, or undefined where there is no such blob. */
  get(digest: string): Promise<Buffer | undefined>;
  has(digest: string): Promise<boolean>;
  /**
   * Deletes blobs that are not among `live` and were neither stored nor stored again within the grace period: a blob is
   * written before the record that refers to it, so a young one may yet be referred to. Returns how many.
   */
  collect(live: ReadonlySet<string>, graceMs: number): Promise<number>;
}
