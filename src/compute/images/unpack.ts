/**
 * Lays the layers of an image over each other into one folder. Source of the rules: the OCI image specification, "Image Layer Filesystem
 * Changeset"; where it is silent, as containerd does it: folders on the way to an entry are followed through the image's own symbolic
 * links, inside the root, and an entry's own place is replaced, never written through.
 */
import type { Stats } from 'node:fs';
import { chmod, lchown, link, lstat, mkdir, open, readdir, readlink, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ImageError } from '../../platform/oci.ts';
import { maxLinks, pathParts } from './paths.ts';
import { readTar, type TarEntry } from './tar.ts';

export interface UnpackOptions {
  /** The owners of the archive are given to the files; only root may. */
  readonly keepOwners: boolean;
  readonly maxEntries: number;
}

const maxBufferedBytes = 256 * 1024;
/** Node has four threads for the file system, and others need them, too. */
const maxFilesAtOnce = 8;

const whiteout = '.wh.';
const opaque = '.wh..wh..opq';
/** What the union file system that this format comes from kept for itself. */
const reserved = '.wh..wh.';

/** One root in the making. Its folder exists and is empty, its path is free of symbolic links, and nobody else writes to it meanwhile. */
export class RootBuilder {
  readonly #root: string;
  readonly #options: UnpackOptions;
  /** Real folders by the path that was asked for. */
  readonly #folders = new Map<string, string>();
  /** What the layer under way has made: whiteouts mean the layers below only. */
  #made = new Set<string>();
  /** Files under way, by their places. */
  readonly #writing = new Map<string, Promise<unknown>>();
  #problem: { readonly error: unknown } | undefined;
  #layers = 0;
  #entries = 0;
  /** Device nodes and pipes are left out; so many. */
  skippedDevices = 0;

  constructor(root: string, options: UnpackOptions) {
    this.#root = root;
    this.#options = options;
  }

  /** Throws ImageError. The stream is read to its end. */
  async addLayer(tar: AsyncIterable<Uint8Array>): Promise<void> {
    this.#made = new Set();
    this.#layers++;
    try {
      await this.#addEntries(tar).finally(() => Promise.all(this.#writing.values()));
      this.#throwProblem();
    } catch (error) {
      throw (error as NodeJS.ErrnoException).code === 'ENAMETOOLONG' ? bad('a name in it is too long') : error;
    }
  }

  async #addEntries(tar: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const entry of readTar(tar)) {
      if (++this.#entries > this.#options.maxEntries) {
        throw new ImageError('ImageTooLarge', `the image has more than ${this.#options.maxEntries} files`);
      }
      await this.#add(entry);
    }
  }

  /**
   * A folder or an empty file that must be there to mount something over it, made where it is missing. A symbolic link gives way: who mounts
   * would follow it outside of the root.
   */
  async ensure(path: string, kind: 'folder' | 'file', mode: number): Promise<void> {
    const parts = pathParts(path);
    const name = parts.pop()!;
    const place = join(await this.#folder(parts), name);
    const found = await lstat(place).catch(absent);
    if (found?.isSymbolicLink() === true) await this.#remove(place);
    else if (found !== undefined) return;
    if (kind === 'folder') await mkdir(place);
    else await (await open(place, 'wx', mode)).close();
    await chmod(place, mode);
  }

  async #add(entry: TarEntry): Promise<void> {
    const parts = pathParts(entry.path);
    if (parts.includes('..')) throw bad(`${entry.path} leads out of the image`);
    const name = parts.pop();
    // The root itself.
    if (name === undefined) return;
    if (name.startsWith(whiteout)) await this.#settle();
    if (name === opaque) {
      const folder = await this.#existingFolder(parts);
      if (folder !== undefined) await this.#removeLower(folder, true);
      return;
    }
    if ([...parts, name].some((part) => part.startsWith(reserved))) return;
    if (name.startsWith(whiteout)) {
      const hidden = name.slice(whiteout.length);
      if (hidden === '' || hidden === '.' || hidden === '..') throw bad(`${entry.path} hides no file`);
      const folder = await this.#existingFolder(parts);
      if (folder !== undefined) await this.#removeLower(join(folder, hidden), false);
      return;
    }
    if (entry.kind === 'device') {
      this.skippedDevices++;
      return;
    }
    const place = join(await this.#folder(parts), name);
    switch (entry.kind) {
      case 'folder':
        await this.#addFolder(place, entry);
        break;
      case 'file':
        await this.#addFile(place, entry);
        break;
      case 'symlink':
        if (entry.target === '') throw bad(`${entry.path} is a link to nowhere`);
        await this.#makeRoom(place);
        await symlink(entry.target, place);
        await this.#own(place, entry);
        break;
      case 'hardlink':
        await this.#addHardLink(place, entry);
        break;
    }
    this.#made.add(place);
  }

  async #addFolder(place: string, entry: TarEntry): Promise<void> {
    if ((await this.#existing(place))?.isDirectory() !== true) {
      await this.#makeRoom(place);
      await mkdir(place);
    }
    await this.#own(place, entry);
    // Whoever unpacks must be able to add to it, and to remove it one day.
    await chmod(place, (entry.mode & 0o1777) | 0o700);
  }

  /** Small files are written beside each other, since each takes several calls to the system. */
  async #addFile(place: string, entry: TarEntry): Promise<void> {
    await this.#makeRoom(place);
    if (entry.sizeBytes > maxBufferedBytes) return this.#writeFile(place, entry, entry.content());
    const pieces: Buffer[] = [];
    for await (const piece of entry.content()) pieces.push(piece);
    while (this.#writing.size >= maxFilesAtOnce) await Promise.race(this.#writing.values());
    const writing = this.#writeFile(place, entry, pieces).then(
      () => this.#writing.delete(place),
      (error: unknown) => {
        this.#problem ??= { error };
        this.#writing.delete(place);
      },
    );
    this.#writing.set(place, writing);
    this.#throwProblem();
  }

  async #writeFile(place: string, entry: TarEntry, content: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> {
    // Without setuid and setgid: inside a sandbox nobody becomes somebody else, and on the machine itself nobody shall.
    const mode = (entry.mode & 0o777) | 0o400;
    // `wx`: never through a link, never into a file that other names share.
    const file = await open(place, 'wx', mode | 0o200);
    try {
      for await (const piece of content) await file.writeFile(piece);
      if (this.#options.keepOwners && (entry.uid !== 0 || entry.gid !== 0)) await file.chown(entry.uid, entry.gid);
      if (((mode | 0o200) & ~process.umask()) !== mode) await file.chmod(mode);
      // Interpreters compare the times of sources with those of what they compiled.
      const modified = entry.modifiedMs / 1000;
      await file.utimes(modified, modified);
    } finally {
      await file.close();
    }
  }

  /** What comes next may depend on the files under way. */
  async #settle(): Promise<void> {
    await Promise.all(this.#writing.values());
    this.#throwProblem();
  }

  /** Of a file that was written beside others. */
  #throwProblem(): void {
    if (this.#problem !== undefined) throw this.#problem.error;
  }

  async #addHardLink(place: string, entry: TarEntry): Promise<void> {
    await this.#settle();
    const parts = pathParts(entry.target);
    const name = parts.pop();
    if (name === undefined || parts.includes('..') || name === '..')
      throw bad(`${entry.path} links to ${entry.target}`);
    const folder = await this.#existingFolder(parts);
    const original = folder === undefined ? undefined : join(folder, name);
    const found = original === undefined ? undefined : await lstat(original).catch(absent);
    if (original === undefined || found === undefined || found.isDirectory()) {
      throw bad(`${entry.path} is a link to ${entry.target}, which is no file of the image`);
    }
    if (original === place) return;
    await this.#makeRoom(place);
    // A folder that made room may have held the original.
    await link(original, place).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOENT' ? bad(`${entry.path} replaces ${entry.target}, and is a link to it`) : error;
    });
  }

  async #makeRoom(place: string): Promise<void> {
    if ((await this.#existing(place)) === undefined) return;
    // Files may be on their way into a folder that goes.
    await this.#settle();
    await this.#remove(place);
  }

  /** What is at a place. In the bottom layer nothing is but what it has made itself. */
  async #existing(place: string): Promise<Stats | undefined> {
    if (this.#layers === 1 && !this.#made.has(place)) return undefined;
    if (this.#writing.has(place)) await this.#settle();
    return lstat(place).catch(absent);
  }

  async #remove(place: string): Promise<void> {
    await rm(place, { recursive: true, force: true });
    // It may have been on the way to other places.
    this.#folders.clear();
  }

  /** Removes what layers below this one have put there, and keeps what this one has. */
  async #removeLower(place: string, contentOnly: boolean): Promise<void> {
    const found = await lstat(place).catch(absent);
    if (found === undefined) return;
    if (found.isDirectory()) {
      for (const name of await readdir(place)) await this.#removeLower(join(place, name), false);
      if (contentOnly || (await readdir(place)).length > 0) return;
    }
    if (!this.#made.has(place)) await this.#remove(place);
  }

  async #own(place: string, { uid, gid }: TarEntry): Promise<void> {
    if (this.#options.keepOwners) await lchown(place, uid, gid);
  }

  /** The real folder of a path, made where it is missing. */
  async #folder(parts: readonly string[]): Promise<string> {
    const path = parts.join('/');
    const known = this.#folders.get(path);
    if (known !== undefined) return known;
    const folder = await this.#walk(parts, true);
    this.#folders.set(path, folder!);
    return folder!;
  }

  async #existingFolder(parts: readonly string[]): Promise<string | undefined> {
    return this.#folders.get(parts.join('/')) ?? (await this.#walk(parts, false));
  }

  async #walk(parts: readonly string[], make: boolean): Promise<string | undefined> {
    const ahead = [...parts].reverse();
    let behind = this.#root;
    let links = 0;
    for (let part = ahead.pop(); part !== undefined; part = ahead.pop()) {
      if (part === '..') {
        if (behind !== this.#root) behind = dirname(behind);
        continue;
      }
      const place = join(behind, part);
      if (this.#writing.has(place)) await this.#settle();
      const found = await lstat(place).catch(absent);
      if (found === undefined) {
        if (!make) return undefined;
        await mkdir(place);
        await chmod(place, 0o755);
        this.#made.add(place);
        behind = place;
      } else if (found.isDirectory()) behind = place;
      else if (found.isSymbolicLink() && ++links <= maxLinks) {
        const target = await readlink(place);
        if (target.startsWith('/')) behind = this.#root;
        ahead.push(...pathParts(target).reverse());
      } else if (make) throw bad(`/${parts.join('/')} should be a folder, and is something else`);
      else return undefined;
    }
    return behind;
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
  throw error;
}

function bad(problem: string): ImageError {
  return new ImageError('BadImage', `this image cannot be unpacked: ${problem}`, 'build the image again');
}
