/**
 * The bucket that stands for the blob store where AWS expects code or a template in S3: a key in it is a blob's digest. What
 * packages code for this cloud names it, and it is no bucket of the S3 service.
 */
export const blobBucket = 'unkai-blobs';

/** The digest in a URL of the blob bucket (`https://unkai-blobs.s3.amazonaws.com/<digest>`), if it is one. */
export function blobOfUrl(url: string): string | undefined {
  return new RegExp(`^https?://${blobBucket}\\.s3(?:[.-][a-z0-9-]+)?\\.amazonaws\\.com/([0-9a-f]{64})$`).exec(url)?.[1];
}

/** What packaging writes as ImageUri: the container image of this digest in the blob store, by whatever name. */
export function packagedImageUri(digest: string): string {
  return `${blobBucket}@sha256:${digest}`;
}
