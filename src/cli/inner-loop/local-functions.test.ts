import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { holdsAll, isBelow, isInhabited } from './local-functions.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unkai-folder-'));
  for (const name of ['code', 'code/lib', 'code-other', 'empty']) await mkdir(join(folder, name));
  for (const name of ['code/lib/a.js', 'code-other/b.js']) await writeFile(join(folder, name), '');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('runs a folder in place of its package only where that holds the same', async () => {
  const code = join(folder, 'code');
  expect(await holdsAll(code)).toBe(true);
  await symlink('lib/a.js', join(code, 'inside.js'));
  expect(await holdsAll(code)).toBe(true);
  await symlink('../../code-other/b.js', join(code, 'lib/outside.js'));
  expect(await holdsAll(code)).toBe(false);
  await rm(join(code, 'lib/outside.js'));
  // Seen from the sandbox, this place is another.
  await symlink(join(code, 'lib/a.js'), join(code, 'absolute.js'));
  expect(await holdsAll(code)).toBe(false);
});

it('tells what lies in a folder', async () => {
  expect(isBelow(join(folder, 'code/lib/a.js'), join(folder, 'code'))).toBe(true);
  expect(isBelow(join(folder, 'code'), join(folder, 'code'))).toBe(true);
  expect(isBelow(join(folder, 'code-other/b.js'), join(folder, 'code'))).toBe(false);
  expect(await isInhabited(join(folder, 'code'))).toBe(true);
  expect(await isInhabited(join(folder, 'empty'))).toBe(false);
  expect(await isInhabited(join(folder, 'missing'))).toBe(false);
});
