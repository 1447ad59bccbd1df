import { mkdtemp, readdir, readFile, readlink, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ZipFile } from 'yazl';
import { MemoryBlobs } from '../../kernel/blobs/memory-blobs.ts';
import { removeTree } from '../../kernel/files/remove-tree.ts';
import { finish, zip } from '../test-support.ts';
import { CodeStore } from './store.ts';

let folder: string;
let blobs: MemoryBlobs;
let store: CodeStore;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unkai-merge-'));
  blobs = new MemoryBlobs();
  store = new CodeStore(join(folder, 'code'), blobs);
});
afterEach(() => removeTree(folder));

it('lays later layers over earlier ones, and keeps each as it was', async () => {
  const first = await blobs.put(
    await zip({ 'bin/tool.sh': 'first', 'lib/a.txt': 'a', 'both/x': 'a file under a folder' }),
  );
  const second = await blobs.put(await zip({ 'bin/tool.sh': 'second', 'lib/b.txt': 'b', both: 'a file in its place' }));
  const merged = await store.merged([first, second]);
  expect(await readFile(join(merged, 'bin/tool.sh'), 'utf8')).toBe('second');
  expect((await readdir(join(merged, 'lib'))).sort()).toEqual(['a.txt', 'b.txt']);
  expect(await readFile(join(merged, 'both'), 'utf8')).toBe('a file in its place');
  expect((await stat(join(merged, 'bin/tool.sh'))).mode & 0o777).toBe(0o555);
  expect((await stat(join(merged, 'lib'))).mode & 0o777).toBe(0o555);
  expect(await readFile(join(await store.merged([second, first]), 'bin/tool.sh'), 'utf8')).toBe('first');
  expect(await readFile(join(await store.root(first), 'bin/tool.sh'), 'utf8')).toBe('first');
  expect(await store.merged([first])).toBe(await store.root(first));
  expect(await store.merged([first, second])).toBe(merged);
});

it('writes nothing through a link of an earlier layer', async () => {
  const links = new ZipFile();
  links.addBuffer(Buffer.from('kept'), 'real/file');
  links.addBuffer(Buffer.from('real'), 'door', { mode: 0o120777 });
  links.addBuffer(Buffer.from('real/file'), 'window', { mode: 0o120777 });
  const first = await blobs.put(await finish(links));
  const second = await blobs.put(await zip({ 'door/file': 'beside', window: 'a file' }));
  const merged = await store.merged([first, second]);
  expect(await readFile(join(merged, 'real/file'), 'utf8')).toBe('kept');
  expect(await readFile(join(merged, 'door/file'), 'utf8')).toBe('beside');
  expect(await readFile(join(merged, 'window'), 'utf8')).toBe('a file');
  expect(await readlink(join(await store.root(first), 'door'))).toBe('real');
});
