import type { Transform } from 'node:stream';
import * as zlib from 'node:zlib';
import { createGunzip } from 'node:zlib';
import { ImageError, type LayerCompression } from '../../platform/oci.ts';

const pieceBytes = 256 * 1024;

/**
 * What unpacks a layer; undefined where there is nothing to unpack. Zstandard came to Node with 22.15 (zlib.createZstdDecompress); on older
 * ones this throws ImageError.
 */
export function decompressor(compression: LayerCompression): Transform | undefined {
  switch (compression) {
    case 'none':
      return undefined;
    case 'gzip':
      return createGunzip({ chunkSize: pieceBytes });
    case 'zstd': {
      const create = (zlib as { createZstdDecompress?: (options: object) => Transform }).createZstdDecompress;
      if (create !== undefined) return create({ chunkSize: pieceBytes });
      throw new ImageError(
        'ZstdUnsupported',
        `a layer is packed with zstd, which Node ${process.versions.node} cannot unpack`,
        'build the image with gzip layers (compression=gzip), or run the cloud on Node 22.15 or newer',
      );
    }
  }
}

/** Whether a file begins like a gzip stream. */
export function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}
