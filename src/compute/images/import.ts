/**
 * Takes in an image that a builder has saved: an OCI layout (a folder or its archive), or what `docker save` writes. Sources: the OCI
 * image specification, "Image Layout"; Docker's "Image Specification v1.2", "Combined Image JSON + Filesystem Changeset Format".
 */
import { createHash } from 'node:crypto';
import { DigestMismatch } from '../../kernel/blobs/contract.ts';
import {
  type Descriptor,
  type ImageConfig,
  ImageError,
  type ImageManifest,
  type ImagePlatform,
  imageSizeBytes,
  layerCompression,
  ociManifestType,
  parseImageConfig,
  parseManifest,
} from '../../platform/oci.ts';
import { decompressor, isGzip } from './compression.ts';
import { openSavedFiles, readSaved, type SavedFiles } from './files.ts';

/** Where an image's parts go: a blob store, or a cloud's over its control API. */
export interface BlobSink {
  has(digest: string): Promise<boolean>;
  /** Refuses content that is not the digest's. */
  putStream(source: AsyncIterable<Uint8Array>, digest: string): Promise<unknown>;
}

export interface ImportOptions {
  /** Of several images in one file, the one of this name or tag. */
  readonly name?: string;
  /** Of several builds of one image; default: Linux on this machine's processor. */
  readonly architecture?: 'x86_64' | 'arm64';
  /** Called for each part that is not there yet, before it is stored. */
  readonly onPart?: (digest: string, sizeBytes: number) => void;
}

export interface ImportedImage {
  /** Of the manifest, 64 hex digits. */
  readonly digest: string;
  /** Manifest, configuration and layers, as stored. */
  readonly sizeBytes: number;
  readonly config: ImageConfig;
  /** Under which the builder saved it, such as `shop/api:1.2`, if it said so. */
  readonly names: readonly string[];
}

/** Reads an image from `path` and stores its parts. Everything is checked against its digest. Throws ImageError. */
export async function importImage(path: string, blobs: BlobSink, options: ImportOptions = {}): Promise<ImportedImage> {
  const files = await openSavedFiles(path);
  try {
    const saved = await findImage(files, options);
    const { manifest, config } = saved;
    for (const layer of manifest.layers) decompressor(layerCompression(layer.mediaType))?.destroy();
    for (const part of [manifest.config, ...manifest.layers]) await storePart(files, blobs, saved, part, options);
    const digest = sha256(saved.bytes);
    if (!(await blobs.has(digest))) await blobs.putStream(once(saved.bytes), digest);
    return { digest, sizeBytes: imageSizeBytes(saved.bytes.length, manifest), config, names: saved.names };
  } catch (error) {
    if (error instanceof DigestMismatch) throw bad(`it is damaged: ${error.message}`);
    throw error;
  } finally {
    await files.close();
  }
}

interface SavedImage {
  readonly bytes: Buffer;
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
  readonly names: readonly string[];
  /** The file that holds the part of this digest. */
  readonly fileOf: (digest: string) => string;
}

async function storePart(
  files: SavedFiles,
  blobs: BlobSink,
  image: SavedImage,
  part: Descriptor,
  options: ImportOptions,
): Promise<void> {
  if (await blobs.has(part.digest)) return;
  const file = image.fileOf(part.digest);
  const sizeBytes = await files.sizeBytes(file);
  if (sizeBytes === undefined) throw bad(`sha256:${part.digest} is not in it`);
  if (sizeBytes !== part.sizeBytes)
    throw bad(`sha256:${part.digest} has ${sizeBytes} bytes, and should have ${part.sizeBytes}`);
  options.onPart?.(part.digest, sizeBytes);
  await blobs.putStream(await files.open(file), part.digest);
}

async function findImage(files: SavedFiles, options: ImportOptions): Promise<SavedImage> {
  if ((await files.sizeBytes('index.json')) !== undefined) return findInLayout(files, options);
  if ((await files.sizeBytes('manifest.json')) !== undefined) return findInDockerArchive(files, options);
  throw new ImageError(
    'NotAnImage',
    'this is no container image: it has neither index.json (an OCI layout) nor manifest.json (docker save)',
    'save one with: docker save IMAGE -o image.tar, or build an OCI archive: docker buildx build --output type=oci,dest=image.tar .',
  );
}

const layoutFile = (digest: string): string => `blobs/sha256/${digest}`;

async function findInLayout(files: SavedFiles, options: ImportOptions): Promise<SavedImage> {
  const index = parseManifest(await readSaved(files, 'index.json'));
  if (index.kind !== 'index') throw bad('its index.json is no index');
  const candidates = await manifestsOf(files, index.manifests, [], 0);
  const named = candidates.filter(({ names }) => options.name === undefined || matches(names, options.name));
  if (named.length === 0)
    throw noneNamed(
      options.name,
      candidates.flatMap(({ names }) => names),
    );
  const wanted = wantedPlatform(options);
  const fitting = named.filter(({ config }) => config.os === wanted.os && config.architecture === wanted.architecture);
  const images = new Map(fitting.map((each) => [sha256(each.bytes), each]));
  const [image] = images.values();
  if (image === undefined) throw wrongPlatform(wanted, named);
  if (images.size > 1) throw severalImages([...images.values()].flatMap(({ names }) => names));
  return image;
}

/** Indexes may hold indexes: one image for many platforms, below one layout of many images. */
async function manifestsOf(
  files: SavedFiles,
  descriptors: readonly Descriptor[],
  namesAbove: readonly string[],
  depth: number,
): Promise<SavedImage[]> {
  if (depth > maxIndexDepth) throw bad('its indexes refer to each other too deeply');
  const found: SavedImage[] = [];
  for (const descriptor of descriptors) {
    // Attestations stand among the platforms, of no platform themselves.
    if (descriptor.platform?.os === 'unknown' || descriptor.annotations['vnd.docker.reference.type'] !== undefined)
      continue;
    const file = layoutFile(descriptor.digest);
    // A layout may hold some of an index's images only.
    if ((await files.sizeBytes(file)) === undefined && depth > 0) continue;
    const bytes = await readChecked(files, descriptor);
    const names = [...namesAbove, ...namesIn(descriptor)];
    const document = parseManifest(bytes);
    if (document.kind === 'index') found.push(...(await manifestsOf(files, document.manifests, names, depth + 1)));
    else {
      const config = parseImageConfig(await readChecked(files, document.config));
      found.push({ bytes, manifest: document, config, names, fileOf: layoutFile });
    }
  }
  return found;
}

const maxIndexDepth = 4;

async function readChecked(files: SavedFiles, { digest, sizeBytes }: Descriptor): Promise<Buffer> {
  const bytes = await readSaved(files, layoutFile(digest));
  const actual = sha256(bytes);
  if (actual !== digest) throw bad(`it is damaged: the content of sha256:${digest} has the digest sha256:${actual}`);
  if (bytes.length !== sizeBytes) throw bad(`sha256:${digest} has ${bytes.length} bytes, and should have ${sizeBytes}`);
  return bytes;
}

/** containerd writes the whole name, the specification asks for the tag. */
function namesIn({ annotations }: Descriptor): string[] {
  const name = annotations['io.containerd.image.name'] ?? annotations['org.opencontainers.image.ref.name'];
  return name === undefined ? [] : [name];
}

interface DockerEntry {
  readonly config: string;
  readonly layers: readonly string[];
  readonly names: readonly string[];
}

/** Images of `docker save` before version 25, and of other tools, have no manifest of their own: one is written, always the same. */
async function findInDockerArchive(files: SavedFiles, options: ImportOptions): Promise<SavedImage> {
  const entries = dockerEntries(await readSaved(files, 'manifest.json'));
  const named = entries.filter(({ names }) => options.name === undefined || matches(names, options.name));
  const [entry] = named;
  if (entry === undefined)
    throw noneNamed(
      options.name,
      entries.flatMap(({ names }) => names),
    );
  if (named.length > 1) throw severalImages(named.flatMap(({ names }) => names));
  const configBytes = await readSaved(files, entry.config);
  const config = parseImageConfig(configBytes);
  const configDigest = sha256(configBytes);
  const told = /([0-9a-f]{64})(?:\.json)?$/.exec(entry.config)?.[1];
  if (told !== undefined && told !== configDigest)
    throw bad(`it is damaged: the content of ${entry.config} has the digest sha256:${configDigest}`);
  const wanted = wantedPlatform(options);
  const fileOf = new Map([[configDigest, entry.config]]);
  const layers: object[] = [];
  for (const [place, file] of entry.layers.entries()) {
    const { digest, sizeBytes, gzip } = await examine(files, file);
    if (!gzip && digest !== config.diffIds[place]) {
      throw bad(
        `it is damaged: the layer ${file} has the digest sha256:${digest}, not sha256:${config.diffIds[place]}`,
      );
    }
    fileOf.set(digest, file);
    const mediaType = `application/vnd.oci.image.layer.v1.tar${gzip ? '+gzip' : ''}`;
    layers.push({ mediaType, digest: `sha256:${digest}`, size: sizeBytes });
  }
  const document = {
    schemaVersion: 2,
    mediaType: ociManifestType,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: `sha256:${configDigest}`,
      size: configBytes.length,
    },
    layers,
  };
  const bytes = Buffer.from(JSON.stringify(document));
  const image: SavedImage = {
    bytes,
    manifest: parseManifest(bytes) as ImageManifest,
    config,
    names: entry.names,
    fileOf: (digest) => fileOf.get(digest)!,
  };
  if (config.os !== wanted.os || config.architecture !== wanted.architecture) throw wrongPlatform(wanted, [image]);
  return image;
}

function dockerEntries(bytes: Buffer): DockerEntry[] {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw bad('its manifest.json is not JSON');
  }
  if (!Array.isArray(value)) throw bad('its manifest.json is no list');
  return value.map((each: unknown) => {
    const { Config, Layers, RepoTags } = (each ?? {}) as { Config?: unknown; Layers?: unknown; RepoTags?: unknown };
    const areTexts = (list: unknown): list is string[] =>
      Array.isArray(list) && list.every((text) => typeof text === 'string');
    if (typeof Config !== 'string' || !areTexts(Layers))
      throw bad('its manifest.json names no configuration or no layers');
    return { config: Config, layers: Layers, names: areTexts(RepoTags) ? RepoTags : [] };
  });
}

async function examine(files: SavedFiles, file: string): Promise<{ digest: string; sizeBytes: number; gzip: boolean }> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  let head = Buffer.alloc(0);
  for await (const piece of await files.open(file)) {
    if (head.length < 2) head = Buffer.concat([head, piece.subarray(0, 2)]);
    sizeBytes += piece.length;
    hash.update(piece);
  }
  return { digest: hash.digest('hex'), sizeBytes, gzip: isGzip(head) };
}

function wantedPlatform({ architecture }: ImportOptions): ImagePlatform {
  const arm = architecture === undefined ? process.arch === 'arm64' : architecture === 'arm64';
  return { os: 'linux', architecture: arm ? 'arm64' : 'amd64' };
}

/** `api:1.2` is also `docker.io/library/api:1.2`, and a layout may say the tag only. */
function matches(names: readonly string[], wanted: string): boolean {
  return names.some((name) => name === wanted || name.endsWith(`/${wanted}`) || name.endsWith(`:${wanted}`));
}

function noneNamed(wanted: string | undefined, names: readonly string[]): ImageError {
  const held = names.length === 0 ? 'none that has a name' : names.join(', ');
  return new ImageError(
    'NoSuchImage',
    `it holds no image${wanted === undefined ? '' : ` '${wanted}'`}`,
    `it holds ${held}`,
  );
}

function severalImages(names: readonly string[]): ImageError {
  return new ImageError(
    'SeveralImages',
    `it holds several images: ${names.join(', ')}`,
    'say which with --image, or save just one',
  );
}

function wrongPlatform(wanted: ImagePlatform, images: readonly SavedImage[]): ImageError {
  const held = [...new Set(images.map(({ config }) => `${config.os}/${config.architecture}`))].join(', ');
  return new ImageError(
    'WrongPlatform',
    `it is built for ${held}, not for ${wanted.os}/${wanted.architecture}`,
    `build it with: --platform ${wanted.os}/${wanted.architecture}`,
  );
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function bad(problem: string): ImageError {
  return new ImageError('BadImage', `this image cannot be used: ${problem}`, 'build or save it again');
}
