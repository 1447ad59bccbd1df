/** Writes images for tests: tar archives, OCI layouts and their archives, archives as of `docker save`. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll } from 'vitest';

export interface TarMember {
  readonly path: string;
  readonly content?: string | Buffer;
  /** Default: a file, or a folder where the path ends in a slash. */
  readonly type?: 'file' | 'folder' | 'symlink' | 'hardlink' | 'device' | 'fifo';
  readonly target?: string;
  readonly mode?: number;
  readonly modifiedS?: number;
  readonly uid?: number;
}

const typeFlags = { file: '0', hardlink: '1', symlink: '2', device: '3', folder: '5', fifo: '6' };

/** A pax archive: long names and sizes in extended headers where they do not fit. */
export function tar(members: readonly TarMember[], end = true): Buffer {
  const blocks: Buffer[] = [];
  for (const member of members) {
    const content = Buffer.from(member.content ?? '');
    const type = member.type ?? (member.path.endsWith('/') ? 'folder' : 'file');
    const extended: string[] = [];
    if (Buffer.byteLength(member.path) > 100) extended.push(paxRecord('path', member.path));
    if (Buffer.byteLength(member.target ?? '') > 100) extended.push(paxRecord('linkpath', member.target!));
    if (extended.length > 0) {
      const body = Buffer.from(extended.join(''));
      blocks.push(tarHeader({ path: 'pax', flag: 'x', sizeBytes: body.length }), padded(body));
    }
    blocks.push(tarHeader({ ...member, flag: typeFlags[type], sizeBytes: content.length }), padded(content));
  }
  return Buffer.concat(end ? [...blocks, Buffer.alloc(1024)] : blocks);
}

export function tarHeader(fields: {
  readonly path: string;
  readonly flag: string;
  readonly sizeBytes: number;
  readonly target?: string;
  readonly mode?: number;
  readonly modifiedS?: number;
  readonly uid?: number;
}): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, start: number, length: number): void => {
    block.write(value.toString(8).padStart(length - 1, '0'), start, 'latin1');
  };
  block.write(fields.path.slice(0, 100), 0);
  octal(fields.mode ?? (fields.flag === '5' ? 0o755 : 0o644), 100, 8);
  octal(fields.uid ?? 0, 108, 8);
  octal(0, 116, 8);
  octal(fields.sizeBytes, 124, 12);
  octal(fields.modifiedS ?? 1_700_000_000, 136, 12);
  block.write(fields.flag, 156);
  block.write((fields.target ?? '').slice(0, 100), 157);
  block.write('ustar\x0000', 257, 'latin1');
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

export function paxRecord(name: string, value: string): string {
  const rest = ` ${name}=${value}\n`;
  let length = Buffer.byteLength(rest) + 1;
  while (String(length).length + Buffer.byteLength(rest) !== length) length++;
  return `${length}${rest}`;
}

export function padded(content: Buffer): Buffer {
  return Buffer.concat([content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

export interface TestLayer {
  readonly members: readonly TarMember[];
  readonly gzip?: boolean;
}

export interface TestImage {
  readonly layers: readonly TestLayer[];
  readonly config?: Readonly<Record<string, unknown>>;
  readonly architecture?: string;
  readonly name?: string;
}

/** The files of an OCI layout that holds these images. */
export function ociLayout(images: readonly TestImage[]): { digests: string[]; files: TarMember[] } {
  const files: TarMember[] = [{ path: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' }];
  const put = (content: Buffer): { digest: string; size: number } => {
    const digest = sha256(content);
    files.push({ path: `blobs/sha256/${digest}`, content });
    return { digest: `sha256:${digest}`, size: content.length };
  };
  const manifests = images.map((image) => {
    const tars = image.layers.map(({ members }) => tar(members));
    const layers = image.layers.map(({ gzip }, place) => ({
      mediaType: `application/vnd.oci.image.layer.v1.tar${gzip === false ? '' : '+gzip'}`,
      ...put(gzip === false ? tars[place]! : gzipSync(tars[place]!, { level: 1 })),
    }));
    const config = put(Buffer.from(JSON.stringify(imageConfig(image, tars))));
    const manifest = put(
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
          layers,
        }),
      ),
    );
    return {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      ...manifest,
      platform: { os: 'linux', architecture: image.architecture ?? thisArchitecture },
      ...(image.name === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': image.name } }),
    };
  });
  files.push({ path: 'index.json', content: JSON.stringify({ schemaVersion: 2, manifests }) });
  return { digests: manifests.map(({ digest }) => digest.slice(7)), files };
}

export const thisArchitecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

export function imageConfig(image: TestImage, tars: readonly Buffer[]): object {
  return {
    os: 'linux',
    architecture: image.architecture ?? thisArchitecture,
    config: image.config ?? {},
    rootfs: { type: 'layers', diff_ids: tars.map((each) => `sha256:${sha256(each)}`) },
  };
}

/** The files of what `docker save` wrote before version 25. */
export function dockerArchive(image: TestImage): TarMember[] {
  const tars = image.layers.map(({ members }) => tar(members));
  const config = JSON.stringify(imageConfig(image, tars));
  const configFile = `${sha256(Buffer.from(config))}.json`;
  const layers = tars.map((content, place) => ({ path: `layer${place}/layer.tar`, content }));
  const manifest = [
    {
      Config: configFile,
      RepoTags: image.name === undefined ? null : [image.name],
      Layers: layers.map(({ path }) => path),
    },
  ];
  return [
    ...layers,
    { path: configFile, content: config },
    { path: 'manifest.json', content: JSON.stringify(manifest) },
  ];
}

export async function writeFiles(folder: string, files: readonly TarMember[]): Promise<string> {
  for (const { path, content } of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content ?? '');
  }
  return folder;
}

const folders: string[] = [];

afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** Removed after the tests of the file. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'unkai-images-'));
  folders.push(folder);
  return folder;
}

/** What lies in a folder, as `path` → content, `-> target` of links, or `/` of folders. */
export async function treeOf(root: string): Promise<Record<string, string>> {
  const tree: Record<string, string> = {};
  for (const entry of await readdir(root, { withFileTypes: true, recursive: true })) {
    const place = join(entry.parentPath, entry.name);
    const path = place.slice(root.length + 1);
    if (entry.isSymbolicLink()) tree[path] = `-> ${await readlink(place)}`;
    else if (entry.isDirectory()) tree[path] = '/';
    else tree[path] = (await readFile(place)).toString();
  }
  return tree;
}

export function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

const packages = fileURLToPath(new URL('../../../node_modules/.cache/debian/', import.meta.url));

/** The files of a Debian package that tools/setup-tests.sh has fetched, as it has them: a layer. */
export function packageLayer(name: string): Buffer {
  const path = join(packages, `${name}.deb`);
  if (!existsSync(path)) throw new Error(`${path} is missing: run tools/setup-tests.sh`);
  const { status, stdout, stderr } = spawnSync('dpkg-deb', ['--fsys-tarfile', path], { maxBuffer: 256 * 1024 * 1024 });
  if (status !== 0) throw new Error(`dpkg-deb: ${stderr}`);
  return stdout;
}

/** An OCI layout with one image whose layers are these tars; returns its folder. */
export async function writeImage(
  folder: string,
  tars: readonly Buffer[],
  config: TestImage['config'],
): Promise<string> {
  const blob = (content: Buffer) => ({
    file: { path: `blobs/sha256/${sha256(content)}`, content },
    descriptor: { digest: `sha256:${sha256(content)}`, size: content.length },
  });
  const packed = tars.map((each) => blob(gzipSync(each, { level: 1 })));
  const settings = blob(Buffer.from(JSON.stringify(imageConfig({ layers: [], config: config! }, tars))));
  const manifest = blob(
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        config: { mediaType: 'application/vnd.docker.container.image.v1+json', ...settings.descriptor },
        layers: packed.map(({ descriptor }) => ({
          mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
          ...descriptor,
        })),
      }),
    ),
  );
  const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';
  const index = JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType, ...manifest.descriptor }] });
  const files: TarMember[] = [manifest, settings, ...packed].map(({ file }) => file);
  return writeFiles(folder, [...files, { path: 'index.json', content: index }]);
}
