/** Container images by name. The images themselves, manifests as layers, lie in the blob store under their digests. */
import type { BlobStore } from '../kernel/blobs/contract.ts';
import type { Clock } from '../kernel/clock/contract.ts';
import type { Store } from '../kernel/store/contract.ts';
import { encodeKey, extendKey, prefixRange } from '../kernel/store/keys.ts';
import { blobBucket } from './blob-bucket.ts';
import { hexDigest, ImageError, imageSizeBytes, parseImageReference, parseManifest } from './oci.ts';

export interface ImageSource {
  /**
   * The image that a URI names: `ACCOUNT.dkr.ecr.REGION.amazonaws.com/repo:tag`, `…/repo@sha256:…`, `repo:tag`, or what packaging wrote.
   * Undefined where there is none.
   */
  resolve(imageUri: string): Promise<ResolvedImage | undefined>;
}

export interface ResolvedImage {
  /** Of the image's manifest, 64 hex digits. */
  readonly digest: string;
  /** Manifest, configuration and layers, as stored. */
  readonly sizeBytes: number;
}

export interface LocalImage extends ResolvedImage {
  /** `repo:tag`, with the registry in front where the image was loaded under one. */
  readonly name: string;
  readonly loadedAtMs: number;
}

/** The images of one cloud: those of registered sources (a registry service), and those loaded by hand under names of their own. */
export class Images implements ImageSource {
  readonly #store: Store;
  readonly #blobs: BlobStore;
  readonly #clock: Clock;
  readonly #sources: ImageSource[] = [];

  constructor(options: { readonly store: Store; readonly blobs: BlobStore; readonly clock: Clock }) {
    this.#store = options.store;
    this.#blobs = options.blobs;
    this.#clock = options.clock;
  }

  /** Asked before the local names. */
  register(source: ImageSource): void {
    this.#sources.push(source);
  }

  async resolve(imageUri: string): Promise<ResolvedImage | undefined> {
    for (const source of this.#sources) {
      const found = await source.resolve(imageUri);
      if (found !== undefined) return found;
    }
    const reference = parseImageReference(imageUri);
    if (reference === undefined) return undefined;
    const { registry, repository, digest } = reference;
    if (digest === undefined) {
      const tagged = `${repository}:${reference.tag ?? 'latest'}`;
      const names = registry === undefined ? [tagged] : [`${registry}/${tagged}`, tagged];
      for (const name of names) {
        const found = await this.#named(name);
        if (found !== undefined) return resolved(found);
      }
      return undefined;
    }
    if (repository === blobBucket) {
      return this.#stored(digest).catch((error: unknown) => {
        if (error instanceof ImageError) return undefined;
        throw error;
      });
    }
    const named = (await this.list()).find((image) => {
      const other = parseImageReference(image.name);
      const sameRegistry = other?.registry === undefined || other.registry === registry;
      return image.digest === digest && other?.repository === repository && sameRegistry;
    });
    return named === undefined ? undefined : resolved(named);
  }

  /** In the order of their names. */
  async list(): Promise<LocalImage[]> {
    const entries = await this.#store.list(prefixRange(namesPrefix));
    return entries.map(({ value }) => JSON.parse(value.toString()) as LocalImage);
  }

  /**
   * Names an image all of whose parts are in the blob store; a name that was taken now means this one. Throws ImageError for a name or an
   * image that cannot be used, with `IncompleteImage` where parts are missing.
   */
  async put(name: string, digest: string): Promise<LocalImage> {
    const full = fullName(name);
    const image = await this.#stored(hexDigest(`sha256:${digest}`));
    if (image === undefined)
      throw new ImageError('NoSuchImage', `there is no image sha256:${digest} in the blob store`);
    const record: LocalImage = { name: full, ...image, loadedAtMs: this.#clock.now() };
    await this.#store.commit({ set: [{ key: keyOf(full), value: Buffer.from(JSON.stringify(record)) }] });
    return record;
  }

  /** False where there was no such name. The image's parts stay in the blob store. */
  async remove(name: string): Promise<boolean> {
    const full = fullName(name);
    if ((await this.#named(full)) === undefined) return false;
    await this.#store.commit({ delete: [keyOf(full)] });
    return true;
  }

  async #named(name: string): Promise<LocalImage | undefined> {
    const entry = await this.#store.get(keyOf(name));
    return entry === undefined ? undefined : (JSON.parse(entry.value.toString()) as LocalImage);
  }

  async #stored(digest: string): Promise<ResolvedImage | undefined> {
    const bytes = await this.#blobs.get(digest);
    if (bytes === undefined) return undefined;
    const manifest = parseManifest(bytes);
    if (manifest.kind === 'index')
      throw new ImageError('BadImage', `sha256:${digest} is an index of images, not an image`);
    for (const part of [manifest.config, ...manifest.layers]) {
      if (await this.#blobs.has(part.digest)) continue;
      throw new ImageError(
        'IncompleteImage',
        `of the image sha256:${digest}, sha256:${part.digest} is missing`,
        'load it again',
      );
    }
    return { digest, sizeBytes: imageSizeBytes(bytes.length, manifest) };
  }
}

const namesPrefix = encodeKey('images', 'name');

function keyOf(name: string): Buffer {
  return extendKey(namesPrefix, name);
}

function resolved({ digest, sizeBytes }: LocalImage): ResolvedImage {
  return { digest, sizeBytes };
}

function fullName(name: string): string {
  const reference = parseImageReference(name);
  if (reference === undefined || reference.digest !== undefined || reference.repository === blobBucket) {
    throw new ImageError('BadImageName', `'${name}' cannot name an image`, 'write it like shop/api:1.2, in lower case');
  }
  const { registry, repository, tag = 'latest' } = reference;
  return `${registry === undefined ? '' : `${registry}/`}${repository}:${tag}`;
}
