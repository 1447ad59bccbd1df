import { mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ZipFile } from 'yazl';
import { MemoryBlobs } from '../../kernel/blobs/memory-blobs.ts';
import { removeTree } from '../../kernel/files/remove-tree.ts';
import { finish, zip } from '../test-support.ts';
import { openPackage } from './package.ts';
import { CodeStore } from './store.ts';

let folder: string;
let blobs: MemoryBlobs;
let store: CodeStore;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unkai-code-'));
  blobs = new MemoryBlobs();
  store = new CodeStore(join(folder, 'code'), blobs);
});
afterEach(async () => {
  await removeTree(folder);
});

const unreadable = 'Could not unzip uploaded file. Please check your file, then try to upload again.';
const root = async (bytes: Buffer) => store.root(await blobs.put(bytes));

describe('unpacking', () => {
  it('keeps contents and executable bits, and lets nobody write', async () => {
    const path = await root(await zip({ 'a/b/c.txt': 'deep', bootstrap: '#!/bin/sh\n', 'empty.txt': '' }));
    expect(await readFile(join(path, 'a/b/c.txt'), 'utf8')).toBe('deep');
    expect((await stat(join(path, 'bootstrap'))).mode & 0o777).toBe(0o555);
    expect((await stat(join(path, 'a/b/c.txt'))).mode & 0o777).toBe(0o444);
    for (const each of ['', 'a', 'a/b']) expect((await stat(join(path, each))).mode & 0o777).toBe(0o555);
  });

  it('happens once per digest, whoever asks, and again for whoever comes later', async () => {
    const digest = await blobs.put(await zip({ 'index.js': '1' }));
    const paths = await Promise.all([
      store.root(digest),
      store.root(digest),
      new CodeStore(join(folder, 'code'), blobs).root(digest),
    ]);
    expect(new Set(paths)).toEqual(new Set([join(folder, 'code', digest)]));
    expect((await readdir(join(folder, 'code'))).sort()).toEqual([digest, 'boot', 'package.json'].sort());
  });

  it('begins anew after a start of the machine, since what was not synced may be cut short', async () => {
    const digest = await blobs.put(await zip({ 'index.js': 'whole' }));
    await store.root(digest);
    await removeTree(join(folder, 'code', digest));
    await writeFile(join(folder, 'code', 'boot'), 'another');
    const again = new CodeStore(join(folder, 'code'), blobs);
    expect(await readFile(join(await again.root(digest), 'index.js'), 'utf8')).toBe('whole');
    await rm(join(folder, 'code', 'boot'));
  });

  it('keeps links within the package', async () => {
    const archive = new ZipFile();
    archive.addBuffer(Buffer.from('library'), 'lib/libx.so.1');
    archive.addBuffer(Buffer.from('libx.so.1'), 'lib/libx.so', { mode: 0o120777 });
    archive.addBuffer(Buffer.from('../lib'), 'bin/lib', { mode: 0o120777 });
    const path = await root(await finish(archive));
    expect(await readlink(join(path, 'lib/libx.so'))).toBe('libx.so.1');
    expect(await readFile(join(path, 'bin/lib/libx.so'), 'utf8')).toBe('library');
  });

  it.each([
    ['an absolute target', { link: '/etc' }],
    ['a target above', { link: '../outside' }],
    ['a target above, in a folder', { 'a/b/link': '../../../outside' }],
    ['a way out by another link', { 'x/up': '..', out: 'x/up/../outside' }],
  ])('refuses links with %s', async (_name, links) => {
    const archive = new ZipFile();
    archive.addBuffer(Buffer.from('x'), 'x/file');
    for (const [name, target] of Object.entries(links))
      archive.addBuffer(Buffer.from(target), name, { mode: 0o120777 });
    await expect(root(await finish(archive))).rejects.toThrow(/^The symbolic link .* leads out of the package\.$/);
    expect((await readdir(join(folder, 'code'))).sort()).toEqual(['boot', 'package.json']);
  });

  it('writes nothing through a link', async () => {
    const archive = new ZipFile();
    archive.addBuffer(Buffer.from('..'), 'door', { mode: 0o120777 });
    archive.addBuffer(Buffer.from('evil'), 'door/evil');
    await expect(root(await finish(archive))).rejects.toThrow();
    expect(await readdir(folder)).toEqual(['code']);
  });

  it.each(['../evil', 'a/../../evil', '/evil', 'a\\..\\..\\evil'])('refuses the name %s', async (name) => {
    const harmless = 'x'.repeat(name.length);
    const bytes = await zip({ [harmless]: 'evil' });
    // The writer refuses such names too: the name is put in behind its back, as long as the harmless one.
    for (let at = bytes.indexOf(harmless); at >= 0; at = bytes.indexOf(harmless)) bytes.write(name, at);
    const outcome = await root(bytes).then(
      async (path) => readdir(path, { recursive: true }),
      (error: Error) => error.message,
    );
    if (name.includes('\\')) expect([unreadable, ['a\\..\\..\\evil']]).toContainEqual(outcome);
    else expect(outcome).toBe(unreadable);
    expect(await readdir(folder)).toEqual(['code']);
  });

  it('refuses a name that comes twice, a file that is a folder too, and damage', async () => {
    const twice = await zip({ 'a.txt': '1', 'b.txt': '2' });
    for (let at = twice.indexOf('b.txt'); at >= 0; at = twice.indexOf('b.txt')) twice.write('a.txt', at);
    await expect(root(twice)).rejects.toThrow(unreadable);
    await expect(root(await zip({ a: '1', 'a/b': '2' }))).rejects.toThrow(unreadable);
    const damaged = await zip({ 'a.txt': 'some text that is long enough to be compressed '.repeat(20) });
    damaged.fill(0xff, 40, 60);
    await expect(root(damaged)).rejects.toThrow(unreadable);
    await expect(root(Buffer.from('no zip'))).rejects.toThrow(unreadable);
  });
});

describe('judging', () => {
  it('adds up the sizes, and refuses 250 MB and more by what the archive states', async () => {
    expect((await openPackage(await zip({ a: 'four', b: 'five!' }))).unzippedBytes).toBe(9);
    const bytes = await zip({ a: '1', b: '2' });
    // The uncompressed size stands 24 bytes into each entry of the central directory.
    const signature = Buffer.from('PK\x01\x02', 'latin1');
    for (let at = bytes.indexOf(signature); at >= 0; at = bytes.indexOf(signature, at + 1)) {
      bytes.writeUInt32LE(131_072_000, at + 24);
    }
    await expect(openPackage(bytes)).rejects.toThrow('Unzipped size must be smaller than 262144000 bytes');
  });
});
