/** Unpacked code on disk: `<folder>/<digest>`, made once per digest, read-only. A cache of the blob store, so it may vanish at any time. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import {
  chmod,
  mkdir,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { BlobStore } from '../../kernel/blobs/contract.ts';
import { removeTree } from '../../kernel/files/remove-tree.ts';
import { mergeTrees } from './merge.ts';
import { openPackage, type Package, PackageError } from './package.ts';

const temporaryPrefix = '.unpacking-';

export class CodeStore {
  readonly #folder: string;
  readonly #blobs: BlobStore;
  readonly #unpacked = new Map<string, Promise<string>>();
  #opened: Promise<void> | undefined;
  #temporary = 0;

  constructor(folder: string, blobs: BlobStore) {
    this.#folder = folder;
    this.#blobs = blobs;
  }

  /** The folder with the code of this digest, unpacked now if it was not. Rejects with PackageError, or where there is no such blob. */
  root(digest: string): Promise<string> {
    if (!/^[0-9a-f]{64}$/.test(digest)) throw new Error(`not a digest of code: ${digest}`);
    return this.#once(digest, () => this.#unpack(digest));
  }

  #once(name: string, unpack: () => Promise<string>): Promise<string> {
    let unpacked = this.#unpacked.get(name);
    if (unpacked === undefined) {
      unpacked = unpack();
      this.#unpacked.set(name, unpacked);
      // A failure is not kept: the blob may come yet.
      unpacked.catch(() => this.#unpacked.delete(name));
    }
    return unpacked;
  }

  /** The folder with the contents of several zips laid over each other, as layers are: of two files of one name the later zip's wins. */
  merged(digests: readonly string[]): Promise<string> {
    if (digests.length === 1) return this.root(digests[0]!);
    const name = createHash('sha256').update(digests.join('\n')).digest('hex');
    return this.#once(name, async () => {
      const roots: string[] = [];
      for (const digest of digests) roots.push(await this.root(digest));
      return this.#fill(name, (aside) => mergeTrees(roots, aside));
    });
  }

  #unpack(digest: string): Promise<string> {
    return this.#fill(digest, async (aside) => {
      const zip = await this.#blobs.get(digest);
      if (zip === undefined) throw new Error(`the code ${digest} is not in the blob store`);
      await unpack(zip, aside);
    });
  }

  async #fill(name: string, fill: (aside: string) => Promise<void>): Promise<string> {
    this.#opened ??= this.#open();
    await this.#opened;
    const root = join(this.#folder, name);
    if (await isFolder(root)) return root;
    const aside = join(this.#folder, `${temporaryPrefix}${name.slice(0, 16)}-${process.pid}-${this.#temporary++}`);
    try {
      await fill(aside);
      await rename(aside, root);
      await chmod(root, 0o555);
    } catch (error) {
      await removeTree(aside);
      // Somebody else was faster: the same bytes.
      if (!(await isFolder(root))) throw error;
    }
    return root;
  }

  /** Whatever a crash may have left half done goes. */
  async #open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const bootFile = join(this.#folder, 'boot');
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
    const lastBoot = await readFile(bootFile, 'utf8').catch(() => undefined);
    for (const name of await readdir(this.#folder)) {
      // Unpacked files are not synced to disk one by one; after a power failure they may be cut short. Since the machine was started
      // anew, they are made anew.
      const stale = name.startsWith(temporaryPrefix) || (boot !== lastBoot && /^[0-9a-f]{64}$/.test(name));
      if (stale) await removeTree(join(this.#folder, name));
    }
    await writeFile(bootFile, boot);
    // Node looks upwards for the package.json that says what a .js file is: here it ends, whatever project the data lies in.
    await writeFile(join(this.#folder, 'package.json'), '{}\n');
  }
}

/**
 * Unpacks into a folder that does not exist yet. Files first, symbolic links last: no file is ever written through a link, and no link
 * may lead out of the folder. Rejects with PackageError.
 */
export async function unpack(zip: Uint8Array, root: string): Promise<void> {
  const archive = await openPackage(zip);
  try {
    await mkdir(root, { recursive: true });
    const folders = new Set<string>([root]);
    for (const item of archive.entries) {
      const path = join(root, item.path);
      const folder = item.kind === 'folder' ? path : dirname(path);
      if (!folders.has(folder)) {
        await mkdir(folder, { recursive: true }).catch(clash);
        folders.add(folder);
      }
      if (item.kind !== 'file') continue;
      const mode = item.executable ? 0o555 : 0o444;
      // `wx`: a name that comes twice in an archive is a trick, or damage.
      await pipeline(await archive.read(item.entry), createWriteStream(path, { flags: 'wx', mode })).catch(clash);
    }
    await unpackLinks(archive, await realpath(root));
    // `root` itself stays writable until it has been renamed into its place.
    await protectFolders(root, folders);
  } finally {
    archive.close();
  }
}

async function unpackLinks(archive: Package, root: string): Promise<void> {
  const links: string[] = [];
  for (const item of archive.entries) {
    if (item.kind !== 'link') continue;
    const path = join(root, item.path);
    const target = await text(await archive.read(item.entry));
    if (target === '' || isAbsolute(target) || !inside(root, resolve(dirname(path), target))) {
      throw new PackageError(`The symbolic link ${item.path} leads out of the package.`);
    }
    await symlink(target, path).catch(clash);
    links.push(path);
  }
  // By way of other links a link may still lead elsewhere than its text says.
  for (const path of links) {
    const real = await realpath(path).catch(() => undefined);
    const dangling = real === undefined && (await readlink(path)).split('/').includes('..');
    if (dangling || (real !== undefined && !inside(root, real))) {
      throw new PackageError(`The symbolic link ${relative(root, path)} leads out of the package.`);
    }
  }
}

async function protectFolders(root: string, folders: ReadonlySet<string>): Promise<void> {
  const all = new Set<string>();
  for (const folder of folders) {
    for (let each = folder; each.length > root.length; each = dirname(each)) all.add(each);
  }
  for (const folder of all) await chmod(folder, 0o555);
}

function inside(root: string, path: string): boolean {
  return path === root || path.startsWith(`${root}/`);
}

function clash(error: NodeJS.ErrnoException): never {
  const names = ['EEXIST', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG', 'ELOOP'];
  if (error.code !== undefined && !names.includes(error.code) && error.syscall !== undefined) throw error;
  throw new PackageError('Could not unzip uploaded file. Please check your file, then try to upload again.');
}

async function text(stream: NodeJS.ReadableStream): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString();
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}
