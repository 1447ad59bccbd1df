/** Unpacked images on disk: `<folder>/<digest>/rootfs`, made once per digest. A cache of the blob store, so it may vanish at any time. */
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, realpath, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { BlobStore } from '../../kernel/blobs/contract.ts';
import { removeTree } from '../../kernel/files/remove-tree.ts';
import {
  type Descriptor,
  type ImageConfig,
  ImageError,
  type ImageManifest,
  layerCompression,
  parseImageConfig,
  parseManifest,
} from '../../platform/oci.ts';
import { decompressor } from './compression.ts';
import { RootBuilder } from './unpack.ts';

export interface UnpackedImage {
  readonly digest: string;
  /** The folder that is the image's `/`, a real path. To be used read-only: other sandboxes share it. */
  readonly root: string;
  readonly config: ImageConfig;
}

export interface ImageStoreOptions {
  /** Of this store alone; it need not exist. */
  readonly folder: string;
  readonly blobs: BlobStore;
  /** Told what of an image could not be kept as it was. */
  readonly onNote?: (note: string) => void;
  readonly maxBytes?: number;
}

/** Lambda's limit: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, "10 GB (maximum uncompressed image size)". */
const maxImageBytes = 10 * 1024 ** 3;
/** Ours: as many files as a file system of that size has by default. */
const maxImageEntries = 1_000_000;

const temporaryPrefix = '.unpacking-';

/** What must be there to be mounted over, since nothing can be made in a root that is read-only. Container engines make the same. */
const mountPoints: readonly { readonly path: string; readonly kind: 'folder' | 'file'; readonly mode: number }[] = [
  ...['/dev', '/proc', '/sys'].map((path) => ({
    path,
    kind: 'folder' as const,
    mode: 0o755,
  })),
  { path: '/tmp', kind: 'folder', mode: 0o1777 },
  ...['/etc/resolv.conf', '/etc/hosts', '/etc/hostname'].map((path) => ({ path, kind: 'file' as const, mode: 0o644 })),
];

export class ImageStore {
  readonly #options: ImageStoreOptions;
  readonly #images = new Map<string, Promise<UnpackedImage>>();
  #opened: Promise<void> | undefined;
  #temporary = 0;

  constructor(options: ImageStoreOptions) {
    this.#options = options;
  }

  /**
   * The image of this manifest digest, unpacked now if it was not: as long as that takes, a gigabyte some ten seconds. Rejects with
   * ImageError for an image that cannot be used or is not (wholly) in the blob store.
   */
  image(digest: string): Promise<UnpackedImage> {
    let image = this.#images.get(digest);
    if (image === undefined) {
      image = this.#image(digest);
      this.#images.set(digest, image);
      // A failure is not kept: a missing blob may come yet.
      image.catch(() => this.#images.delete(digest));
    }
    return image;
  }

  async #image(digest: string): Promise<UnpackedImage> {
    if (!/^[0-9a-f]{64}$/.test(digest)) throw new ImageError('BadImage', `'${digest}' is no digest of an image`);
    const { manifest, config } = await readImage(this.#options.blobs, digest);
    this.#opened ??= this.#open();
    await this.#opened;
    const folder = join(this.#options.folder, digest);
    if (!(await isFolder(folder))) await this.#unpack(manifest, config, folder);
    return { digest, root: await realpath(join(folder, 'rootfs')), config };
  }

  async #unpack(manifest: ImageManifest, config: ImageConfig, folder: string): Promise<void> {
    const aside = join(this.#options.folder, `${temporaryPrefix}${process.pid}-${this.#temporary++}`);
    try {
      const root = join(aside, 'rootfs');
      await mkdir(root, { recursive: true });
      // Who runs in it may be another user than who unpacks it.
      await chmod(root, 0o755);
      const builder = new RootBuilder(await realpath(root), {
        keepOwners: process.getuid?.() === 0,
        maxEntries: maxImageEntries,
      });
      const budget = { bytesLeft: this.#options.maxBytes ?? maxImageBytes };
      for (const [place, layer] of manifest.layers.entries()) {
        await this.#addLayer(builder, layer, config.diffIds[place]!, budget);
      }
      for (const { path, kind, mode } of mountPoints) await builder.ensure(path, kind, mode);
      if (builder.skippedDevices > 0) {
        this.#options.onNote?.(`${builder.skippedDevices} device nodes and pipes of an image were left out`);
      }
      await rename(aside, folder);
    } catch (error) {
      await removeTree(aside);
      // Somebody else was faster: the same bytes.
      if (!(await isFolder(folder))) throw error;
    }
  }

  async #addLayer(
    builder: RootBuilder,
    layer: Descriptor,
    diffId: string,
    budget: { bytesLeft: number },
  ): Promise<void> {
    const packed = await this.#options.blobs.stream(layer.digest);
    if (packed === undefined) throw missing(layer.digest);
    const unpacker = decompressor(layerCompression(layer.mediaType));
    const hash = createHash('sha256');
    const measured = async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const piece of source) {
        budget.bytesLeft -= piece.length;
        if (budget.bytesLeft < 0) throw new ImageError('ImageTooLarge', 'the image is larger than 10 GB unpacked');
        hash.update(piece);
        yield piece;
      }
    };
    const add = async (source: AsyncIterable<Buffer>): Promise<void> => {
      const pieces = measured(source);
      await builder.addLayer(keepOpen(pieces));
      // What follows the archive's end is part of the layer's digest.
      for await (const _rest of pieces) {
      }
    };
    await (unpacker === undefined ? pipeline(packed, add) : pipeline(packed, unpacker, add)).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code?.startsWith('Z_') !== true && error.code?.startsWith('ZSTD_') !== true) throw error;
        throw new ImageError(
          'BadImage',
          `the layer sha256:${layer.digest} is damaged: ${error.message}`,
          'load the image again',
        );
      },
    );
    const actual = hash.digest('hex');
    if (actual !== diffId) {
      throw new ImageError(
        'BadImage',
        `the layer sha256:${layer.digest} unpacks to sha256:${actual}, not to sha256:${diffId}`,
      );
    }
  }

  /** Whatever a crash may have left half done goes. */
  async #open(): Promise<void> {
    const { folder } = this.#options;
    await mkdir(folder, { recursive: true });
    const bootFile = join(folder, 'boot');
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
    const lastBoot = await readFile(bootFile, 'utf8').catch(() => undefined);
    for (const name of await readdir(folder)) {
      // Unpacked files are not synced to disk one by one; after a power failure they may be cut short. Since the machine was started
      // anew, they are made anew.
      const stale = name.startsWith(temporaryPrefix) || (boot !== lastBoot && /^[0-9a-f]{64}$/.test(name));
      if (stale) await removeTree(join(folder, name));
    }
    await writeFile(bootFile, boot);
  }
}

/** An image's manifest and configuration from the blob store. Throws ImageError. */
async function readImage(blobs: BlobStore, digest: string): Promise<{ manifest: ImageManifest; config: ImageConfig }> {
  const bytes = await blobs.get(digest);
  if (bytes === undefined) throw missing(digest);
  const manifest = parseManifest(bytes);
  if (manifest.kind === 'index')
    throw new ImageError('BadImage', `sha256:${digest} is an index of images, not an image`);
  const configBytes = await blobs.get(manifest.config.digest);
  if (configBytes === undefined) throw missing(manifest.config.digest);
  const config = parseImageConfig(configBytes);
  if (config.diffIds.length !== manifest.layers.length) {
    throw new ImageError(
      'BadImage',
      `the image has ${manifest.layers.length} layers, its configuration ${config.diffIds.length}`,
    );
  }
  return { manifest, config };
}

/** Reading on after the reader has had enough: leaving its loop early must not end the source. */
function keepOpen(source: AsyncGenerator<Buffer>): AsyncIterable<Buffer> {
  return { [Symbol.asyncIterator]: () => ({ next: () => source.next() }) };
}

function missing(digest: string): ImageError {
  return new ImageError('IncompleteImage', `sha256:${digest} is not in the blob store`, 'load the image again');
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}
