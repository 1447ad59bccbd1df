/** The files of an image as saved: in a folder, or in a tar archive, which may be packed with gzip. */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, open, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { ImageError } from '../../platform/oci.ts';
import { isGzip } from './compression.ts';
import { pathParts } from './paths.ts';
import { readTar } from './tar.ts';

export interface SavedFiles {
  /** Undefined where there is no such file. */
  sizeBytes(path: string): Promise<number | undefined>;
  /** Throws ImageError where there is no such file. */
  open(path: string): Promise<AsyncIterable<Buffer>>;
  close(): Promise<void>;
}

/** Throws ImageError where there is nothing, or something that is no archive. */
export async function openSavedFiles(path: string): Promise<SavedFiles> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined)
    throw new ImageError('NoSuchImage', `there is no ${path}`, 'name an image archive, or the folder of an OCI layout');
  return found.isDirectory() ? folderFiles(await realpath(path)) : archiveFiles(path);
}

/** Small documents only. Throws ImageError. */
export async function readSaved(files: SavedFiles, path: string): Promise<Buffer> {
  const sizeBytes = await files.sizeBytes(path);
  if (sizeBytes === undefined) throw absent(path);
  if (sizeBytes > maxDocumentBytes)
    throw new ImageError('BadImage', `${path} of the image has ${sizeBytes} bytes, too many for a document`);
  const pieces: Buffer[] = [];
  for await (const piece of await files.open(path)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** As registries bound manifests (github.com/opencontainers/distribution-spec: 4 MiB). */
const maxDocumentBytes = 4 * 1024 * 1024;
const pieceBytes = 256 * 1024;

function folderFiles(root: string): SavedFiles {
  const place = async (path: string): Promise<string | undefined> => {
    const real = await realpath(join(root, ...pathParts(path))).catch(() => undefined);
    return real?.startsWith(`${root}/`) === true ? real : undefined;
  };
  return {
    sizeBytes: async (path) => {
      const real = await place(path);
      const found = real === undefined ? undefined : await stat(real);
      return found?.isFile() === true ? found.size : undefined;
    },
    open: async (path) => {
      const real = await place(path);
      if (real === undefined) throw absent(path);
      return createReadStream(real, { highWaterMark: pieceBytes });
    },
    close: async () => {},
  };
}

async function archiveFiles(path: string): Promise<SavedFiles> {
  if (!(await beginsWithGzip(path))) return plainArchive(path, async () => {});
  // Its members are read in an order of their own, some of them twice.
  const folder = await mkdtemp(join(tmpdir(), 'unkai-image-'));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const plain = join(folder, 'image.tar');
    await pipeline(createReadStream(path), createGunzip({ chunkSize: pieceBytes }), createWriteStream(plain));
    return await plainArchive(plain, remove);
  } catch (error) {
    await remove();
    const { code, message } = error as NodeJS.ErrnoException;
    throw code?.startsWith('Z_') === true ? new ImageError('BadImage', `${path} is damaged: ${message}`) : error;
  }
}

async function plainArchive(path: string, close: () => Promise<void>): Promise<SavedFiles> {
  const members = new Map<
    string,
    { readonly offset: number; readonly sizeBytes: number } | { readonly link: string }
  >();
  for await (const entry of readTar(createReadStream(path, { highWaterMark: pieceBytes }))) {
    const parts = pathParts(entry.path);
    if (entry.kind === 'file') members.set(parts.join('/'), { offset: entry.offset, sizeBytes: entry.sizeBytes });
    else if (entry.kind === 'hardlink') members.set(parts.join('/'), { link: pathParts(entry.target).join('/') });
    // Older `docker save` writes layers that are the same as links to each other.
    else if (entry.kind === 'symlink')
      members.set(parts.join('/'), { link: relativeTo(parts.slice(0, -1), entry.target) });
  }
  const find = (name: string) => {
    let member = members.get(pathParts(name).join('/'));
    if (member !== undefined && 'link' in member) member = members.get(member.link);
    return member === undefined || 'link' in member ? undefined : member;
  };
  return {
    sizeBytes: async (name) => find(name)?.sizeBytes,
    open: async (name) => {
      const member = find(name);
      if (member === undefined) throw absent(name);
      if (member.sizeBytes === 0) return nothing();
      const { offset, sizeBytes } = member;
      return createReadStream(path, { start: offset, end: offset + sizeBytes - 1, highWaterMark: pieceBytes });
    },
    close,
  };
}

function relativeTo(folder: readonly string[], target: string): string {
  const parts = target.startsWith('/') ? [] : [...folder];
  for (const part of pathParts(target)) {
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return parts.join('/');
}

async function beginsWithGzip(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const { buffer } = await file.read(Buffer.alloc(2), 0, 2, 0);
    return isGzip(buffer);
  } finally {
    await file.close();
  }
}

async function* nothing(): AsyncGenerator<Buffer> {}

function absent(path: string): ImageError {
  return new ImageError('BadImage', `the image has no ${path}`, 'save it again');
}
