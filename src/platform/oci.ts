/**
 * Container images as they are written down: names, manifests, indexes, configurations. Sources: the OCI image specification
 * (github.com/opencontainers/image-spec, 1.1) and its predecessor, Docker's image manifest version 2, schema 2.
 */

/** An image that cannot be taken: the user's mistake. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
  /** Stable: `BadImage`, `NoSuchImage`, `ImageTooLarge`, … */
  readonly code: string;
  readonly hint: string;

  constructor(code: string, message: string, hint = '') {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

export interface Descriptor {
  readonly mediaType: string;
  /** 64 hex digits, without `sha256:`. */
  readonly digest: string;
  readonly sizeBytes: number;
  readonly platform?: ImagePlatform;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface ImagePlatform {
  readonly os: string;
  /** As Go names them: `amd64`, `arm64`. */
  readonly architecture: string;
}

export interface ImageManifest {
  readonly kind: 'manifest';
  readonly config: Descriptor;
  /** From the bottom up. */
  readonly layers: readonly Descriptor[];
}

export interface ImageIndex {
  readonly kind: 'index';
  readonly manifests: readonly Descriptor[];
}

export interface ImageConfig extends ImagePlatform {
  /** sha256 of each layer's tar, uncompressed, in hex; from the bottom up. */
  readonly diffIds: readonly string[];
  readonly entryPoint: readonly string[];
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Empty: not said. */
  readonly workingDirectory: string;
  /** `user`, `uid`, `user:group` …; empty: not said. */
  readonly user: string;
}

export const ociManifestType = 'application/vnd.oci.image.manifest.v1+json';
const indexTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];
const manifestTypes = [ociManifestType, 'application/vnd.docker.distribution.manifest.v2+json'];

export type LayerCompression = 'none' | 'gzip' | 'zstd';

const layerTypes: Readonly<Record<string, LayerCompression>> = {
  'application/vnd.oci.image.layer.v1.tar': 'none',
  'application/vnd.oci.image.layer.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd': 'zstd',
  'application/vnd.oci.image.layer.nondistributable.v1.tar': 'none',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd': 'zstd',
  'application/vnd.docker.image.rootfs.diff.tar': 'none',
  'application/vnd.docker.image.rootfs.diff.tar.gzip': 'gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd': 'zstd',
  'application/vnd.docker.image.rootfs.foreign.diff.tar': 'none',
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip': 'gzip',
};

/** How a layer is packed. Throws ImageError for what is no layer of a file system. */
export function layerCompression(mediaType: string): LayerCompression {
  const compression = Object.hasOwn(layerTypes, mediaType) ? layerTypes[mediaType] : undefined;
  if (compression === undefined) throw bad(`it has a layer of the type '${mediaType}', which is no file system layer`);
  return compression;
}

/** A manifest or an index. Throws ImageError. */
export function parseManifest(bytes: Uint8Array): ImageManifest | ImageIndex {
  const document = parseObject(bytes, 'manifest');
  if (document['schemaVersion'] !== 2)
    throw bad('its manifest is of a schema other than 2', 'save it again with a newer tool');
  const mediaType = document['mediaType'];
  if (indexTypes.includes(mediaType as string) || (mediaType === undefined && Array.isArray(document['manifests']))) {
    return { kind: 'index', manifests: descriptors(document['manifests']) };
  }
  if (mediaType !== undefined && !manifestTypes.includes(mediaType as string)) {
    throw bad(`it is a document of the type '${String(mediaType)}', which is no image`);
  }
  const layers = descriptors(document['layers']);
  if (layers.length > maxLayers) throw bad(`it has ${layers.length} layers; ${maxLayers} are the most`);
  return { kind: 'manifest', config: descriptor(document['config']), layers };
}

/** As Docker's storage drivers bound it. */
const maxLayers = 127;

/** What is stored of an image: its manifest, configuration and layers. */
export function imageSizeBytes(manifestBytes: number, manifest: ImageManifest): number {
  return manifest.layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, manifestBytes + manifest.config.sizeBytes);
}

/** Throws ImageError. */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const document = parseObject(bytes, 'configuration');
  const { os, architecture } = document;
  if (typeof os !== 'string' || typeof architecture !== 'string') throw bad('its configuration names no platform');
  const root = document['rootfs'];
  const diffIds = isObject(root) ? root['diff_ids'] : undefined;
  if (!Array.isArray(diffIds)) throw bad("its configuration lists no layers' digests (rootfs.diff_ids)");
  const config = isObject(document['config']) ? document['config'] : {};
  const environment: Record<string, string> = {};
  for (const pair of strings(config['Env'])) {
    const equals = pair.indexOf('=');
    if (equals > 0) environment[pair.slice(0, equals)] = pair.slice(equals + 1);
  }
  return {
    os,
    architecture,
    diffIds: diffIds.map(hexDigest),
    entryPoint: strings(config['Entrypoint']),
    command: strings(config['Cmd']),
    environment,
    workingDirectory: typeof config['WorkingDir'] === 'string' ? config['WorkingDir'] : '',
    user: typeof config['User'] === 'string' ? config['User'] : '',
  };
}

/** `sha256:…` to the hex digits alone. Throws ImageError. */
export function hexDigest(digest: unknown): string {
  const hex = typeof digest === 'string' ? /^sha256:([0-9a-f]{64})$/.exec(digest)?.[1] : undefined;
  if (hex === undefined) throw bad(`'${String(digest)}' is no digest of the form sha256:…`);
  return hex;
}

/** What names an image: `[registry/]repository[:tag][@sha256:…]`. */
export interface ImageReference {
  /** A host, perhaps with a port; undefined where none is named. */
  readonly registry: string | undefined;
  readonly repository: string;
  readonly tag: string | undefined;
  /** Hex digits alone. */
  readonly digest: string | undefined;
}

/** Undefined for what is no name. Grammar: github.com/distribution/reference. */
export function parseImageReference(text: string): ImageReference | undefined {
  const match = /^([^@]+?)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@sha256:([0-9a-f]{64}))?$/.exec(text);
  if (match === null || text.length > 1024) return undefined;
  const name = match[1]!;
  const slash = name.indexOf('/');
  const first = name.slice(0, slash);
  const hasRegistry = slash > 0 && (/[.:]/.test(first) || first === 'localhost');
  const registry = hasRegistry ? first : undefined;
  const repository = hasRegistry ? name.slice(slash + 1) : name;
  if (registry !== undefined && !/^[A-Za-z0-9.-]+(?::\d+)?$/.test(registry)) return undefined;
  const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
  if (!new RegExp(`^${component}(?:/${component})*$`).test(repository)) return undefined;
  return { registry, repository, tag: match[2], digest: match[3] };
}

function descriptors(value: unknown): Descriptor[] {
  if (!Array.isArray(value)) throw bad('its manifest lists nothing');
  return value.map(descriptor);
}

function descriptor(value: unknown): Descriptor {
  if (!isObject(value)) throw bad('its manifest holds a descriptor that is none');
  const { mediaType, digest, size, platform, annotations } = value;
  if (typeof mediaType !== 'string' || !Number.isSafeInteger(size) || (size as number) < 0) {
    throw bad('its manifest holds a descriptor without type or size');
  }
  const texts: Record<string, string> = {};
  for (const [name, text] of Object.entries(isObject(annotations) ? annotations : {})) {
    if (typeof text === 'string') texts[name] = text;
  }
  const described = { mediaType, digest: hexDigest(digest), sizeBytes: size as number, annotations: texts };
  if (!isObject(platform)) return described;
  const { os, architecture } = platform;
  return { ...described, platform: { os: String(os), architecture: String(architecture) } };
}

function parseObject(bytes: Uint8Array, what: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    throw bad(`its ${what} is not JSON`);
  }
  if (!isObject(value)) throw bad(`its ${what} is not a JSON object`);
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}

function bad(problem: string, hint = 'build or save the image again'): ImageError {
  return new ImageError('BadImage', `this image cannot be used: ${problem}`, hint);
}
