import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { wait } from '../wait.ts';
import { Sources } from './sources.ts';

let folder: string;
let told: string[];
let sources: Sources;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unkai-sources-'));
  for (const name of ['dist/code', 'dist/code/node_modules', 'beside']) {
    await mkdir(join(folder, name), { recursive: true });
  }
  for (const name of ['template.yaml', 'dist/code/a.js', 'beside/b.js']) await write(name, '');
  told = [];
  sources = new Sources(join(folder, 'template.yaml'), [join(folder, 'dist/code')], (paths) => {
    told.push(...paths.map((path) => path.slice(folder.length + 1)));
  });
  await sources.ready;
});
afterEach(async () => {
  await sources.close();
  await rm(folder, { recursive: true, force: true });
});

const write = (name: string, text: string): Promise<void> => writeFile(join(folder, name), text);

it('tells of the template and of what it names, and of nothing beside', async () => {
  await write('beside/b.js', '1');
  await write('dist/code/node_modules/c.js', '1');
  await write('dist/other.js', '1');
  await write('template.yaml', '1');
  await expect.poll(() => told).toContain('template.yaml');
  await write('dist/code/a.js', '1');
  await expect.poll(() => told).toContain('dist/code/a.js');
  await wait(200);
  expect(new Set(told)).toEqual(new Set(['template.yaml', 'dist/code/a.js']));
});

it('tells of each change, however soon it follows another', async () => {
  let text = '';
  for (const gapMs of [10, 20, 30, 35, 40, 45, 50, 60, 80, 100]) {
    text += 'x';
    await write('template.yaml', text);
    await expect.poll(() => told, { interval: 1 }).toContain('template.yaml');
    await wait(gapMs);
    told.length = 0;
    text += 'x';
    await write('template.yaml', text);
    await expect.poll(() => told).toContain('template.yaml');
    await wait(200);
    told.length = 0;
  }
}, 20_000);

it('goes on after a folder was removed and made anew, with the one above it', async () => {
  for (const removed of ['dist/code', 'dist']) {
    await rm(join(folder, removed), { recursive: true });
    await wait(150);
    await mkdir(join(folder, 'dist/code'), { recursive: true });
    await write('dist/code/a.js', 'anew');
    await expect.poll(() => told).toContain('dist/code/a.js');
    await wait(200);
    told.length = 0;
    await write('dist/code/a.js', 'and again');
    await expect.poll(() => told).toContain('dist/code/a.js');
  }
});

it('follows what a changed template names', async () => {
  sources.follow([join(folder, 'dist/code'), join(folder, 'beside')]);
  await wait(200);
  await write('beside/b.js', '2');
  await expect.poll(() => told).toContain('beside/b.js');
});
