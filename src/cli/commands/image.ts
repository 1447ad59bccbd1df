import { basename, resolve } from 'node:path';
import type { LocalImage } from '../../platform/images.ts';
import { parseImageReference } from '../../platform/oci.ts';
import type { CloudClient } from '../client.ts';
import { CliError } from '../error.ts';
import { uploadImage } from '../images.ts';
import type { Terminal } from '../terminal.ts';

export interface ImageLoadOptions {
  readonly name?: string;
  /** Of several images in the file. */
  readonly image?: string;
  readonly platform?: string;
}

export async function imageLoad(
  terminal: Terminal,
  client: CloudClient,
  path: string,
  options: ImageLoadOptions,
): Promise<void> {
  const architecture = architectureOf(options.platform);
  const image = await uploadImage(client, path, {
    ...(options.image === undefined ? {} : { name: options.image }),
    ...(architecture === undefined ? {} : { architecture }),
    onPart: (digest, sizeBytes) =>
      terminal.progress(`storing sha256:${digest.slice(0, 12)} (${formatBytes(sizeBytes)})`),
  });
  const name = options.name ?? nameFrom(image.names, path);
  const loaded = (await client.control('PUT', 'images', { name, digest: image.digest })) as LocalImage;
  terminal.data(loaded);
  terminal.line(`${terminal.paint.green('loaded')} ${loaded.name}`);
  terminal.line(`  sha256:${loaded.digest}  ${formatBytes(loaded.sizeBytes)}`);
}

export async function imageList(terminal: Terminal, client: CloudClient): Promise<void> {
  const { images } = (await client.control('GET', 'images')) as { images: LocalImage[] };
  terminal.data({ images });
  if (images.length === 0) terminal.line('no images: load one with: unkai image load FILE');
  else {
    terminal.table(
      ['NAME', 'DIGEST', 'SIZE'],
      images.map(({ name, digest, sizeBytes }) => [name, `sha256:${digest.slice(0, 12)}`, formatBytes(sizeBytes)]),
    );
  }
}

export async function imageRemove(terminal: Terminal, client: CloudClient, name: string): Promise<void> {
  await client.control('DELETE', 'images', { name });
  terminal.data({ removed: name });
  terminal.line(`removed ${name}`);
}

function architectureOf(platform: string | undefined): 'x86_64' | 'arm64' | undefined {
  switch (platform) {
    case undefined:
      return undefined;
    case 'linux/amd64':
    case 'linux/x86_64':
      return 'x86_64';
    case 'linux/arm64':
      return 'arm64';
    default:
      throw new CliError('BadPlatform', `no '${platform}' runs here`, 'it is linux/amd64 or linux/arm64');
  }
}

/** The builder's name without Docker Hub's own prefix; a tag alone, or nothing, and the file's name is taken. */
function nameFrom(names: readonly string[], path: string): string {
  const base = basename(resolve(path))
    .replace(/\.(tar|oci|tgz|tar\.gz)$/, '')
    .toLowerCase();
  for (const name of names) {
    const plain = name.replace(/^docker\.io\/(?:library\/)?/, '');
    if (/[:/]/.test(plain) && parseImageReference(plain) !== undefined) return plain;
  }
  const [tag] = names.filter((name) => /^[\w][\w.-]*$/.test(name));
  const name = tag === undefined ? base : `${base}:${tag}`;
  if (parseImageReference(name) !== undefined) return name;
  throw new CliError(
    'NoImageName',
    'neither the image nor its file has a name to go by',
    'give one with --name REPO:TAG',
  );
}

function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const [unit, size] = bytes < 1024 ** 2 ? ['KiB', 1024] : bytes < 1024 ** 3 ? ['MiB', 1024 ** 2] : ['GiB', 1024 ** 3];
  return `${(bytes / size).toFixed(1)} ${unit}`;
}
