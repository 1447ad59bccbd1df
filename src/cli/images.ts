import { type ImportedImage, type ImportOptions, importImage } from '../compute/images/import.ts';
import type { CloudClient } from './client.ts';

/** Loads an image (an OCI layout or archive, or what `docker save` wrote) into the cloud's blob store; what is there is not sent again. */
export function uploadImage(client: CloudClient, path: string, options: ImportOptions = {}): Promise<ImportedImage> {
  const sink = {
    has: async (digest: string) => (await client.missingBlobs([digest])).length === 0,
    putStream: (source: AsyncIterable<Uint8Array>, digest: string) => client.putStream(source, digest),
  };
  return importImage(path, sink, options);
}
