import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveInside } from './paths.ts';
import { type TarMember, tar, temporaryFolder, treeOf } from './test-support.ts';
import { RootBuilder } from './unpack.ts';

interface Built {
  readonly root: string;
  readonly tree: Record<string, string>;
  readonly skippedDevices: number;
}

/** Unpacks layers into a folder beside which lies one that must stay as it is. */
async function build(...layers: (readonly TarMember[])[]): Promise<Built> {
  const folder = await temporaryFolder();
  const root = join(folder, 'root');
  await mkdir(root);
  await mkdir(join(folder, 'outside'));
  await writeFile(join(folder, 'outside', 'secret'), 'untouched');
  const builder = new RootBuilder(root, { keepOwners: false, maxEntries: 1000 });
  try {
    for (const layer of layers) await builder.addLayer(Readable.from([tar(layer)], { objectMode: false }));
  } finally {
    expect(await treeOf(join(folder, 'outside'))).toEqual({ secret: 'untouched' });
    expect(Object.keys(await treeOf(folder)).filter((path) => !/^(root|outside)(\/|$)/.test(path))).toEqual([]);
  }
  return { root, tree: await treeOf(root), skippedDevices: builder.skippedDevices };
}

const file = (path: string, content: string): TarMember => ({ path, content });
const link = (path: string, target: string): TarMember => ({ path, type: 'symlink', target });

describe('layers', () => {
  it('lie over each other: later files replace earlier ones of any kind', async () => {
    const { tree } = await build(
      [file('a', '1'), { path: 'd/' }, file('d/x', '1'), link('l', 'a'), file('was-file', '1')],
      [
        file('a', '2'),
        file('d', 'now a file'),
        file('l', 'no link any more'),
        { path: 'was-file/' },
        file('was-file/x', '2'),
      ],
    );
    expect(tree).toEqual({
      a: '2',
      d: 'now a file',
      l: 'no link any more',
      'was-file': '/',
      'was-file/x': '2',
    });
  });

  it('hide files of lower layers by whiteouts, and no file of their own, in any order', async () => {
    const lower = [file('d/keep', '1'), file('d/gone', '1'), file('whole/x', '1'), file('both', '1')];
    const { tree } = await build(lower, [
      file('d/.wh.gone', ''),
      file('.wh.whole', ''),
      file('both', '2'),
      file('.wh.both', ''),
      file('absent/.wh.nothing', ''),
    ]);
    expect(tree).toEqual({ d: '/', 'd/keep': '1', both: '2' });
  });

  it('hide what a folder held by an opaque mark, wherever the mark stands', async () => {
    const lower = [file('d/old', '1'), file('d/sub/old', '1'), file('d/same', '1')];
    const upper = [file('d/new', '2'), file('d/sub/new', '2'), file('d/same', '2')];
    const mark = file('d/.wh..wh..opq', '');
    const expected = { d: '/', 'd/new': '2', 'd/sub': '/', 'd/sub/new': '2', 'd/same': '2' };
    expect((await build(lower, [mark, ...upper])).tree).toEqual(expected);
    expect((await build(lower, [...upper, mark])).tree).toEqual(expected);
  });

  it('behave as a model of files in maps does', async () => {
    const names = fc.constantFrom('a', 'b', 'c');
    const path = fc.oneof(
      names,
      fc.tuple(fc.constantFrom('d', 'e'), names).map((parts) => parts.join('/')),
    );
    const change = fc.record({ path, content: fc.constantFrom('1', '2', undefined) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uniqueArray(change, { selector: (each) => each.path, maxLength: 5 }), { maxLength: 4 }),
        async (layers) => {
          const model: Record<string, string> = {};
          const written = layers.map((changes) =>
            changes.map(({ path: at, content }): TarMember => {
              if (content !== undefined) {
                model[at] = content;
                return file(at, content);
              }
              delete model[at];
              return file(at.replace(/([^/]+)$/, '.wh.$1'), '');
            }),
          );
          const { tree } = await build(...written);
          expect(Object.fromEntries(Object.entries(tree).filter(([, content]) => content !== '/'))).toEqual(model);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("follow the image's own links to folders, as Debian's merged /usr needs it", async () => {
    const { tree } = await build(
      [{ path: 'usr/lib/' }, link('lib', 'usr/lib'), link('abs', '/usr/lib')],
      [file('lib/x', '1'), file('abs/y', '2')],
    );
    expect(tree).toMatchObject({ lib: '-> usr/lib', 'usr/lib/x': '1', 'usr/lib/y': '2' });
  });

  it('keep hard links, modes and times, and leave out setuid bits and devices', async () => {
    const { root, tree, skippedDevices } = await build([
      { path: 'bin/tool', content: 'x', mode: 0o4755, modifiedS: 1_600_000_000 },
      { path: 'bin/other', type: 'hardlink', target: 'bin/tool' },
      { path: 'secret', content: 'x', mode: 0o000 },
      { path: 'dev/null', type: 'device' },
      { path: 'pipe', type: 'fifo' },
    ]);
    const tool = await stat(join(root, 'bin/tool'));
    expect(tool.mode & 0o7777).toBe(0o755);
    expect(tool.mtimeMs).toBe(1_600_000_000_000);
    expect((await stat(join(root, 'bin/other'))).ino).toBe(tool.ino);
    expect((await stat(join(root, 'secret'))).mode & 0o7777).toBe(0o400);
    expect(tree).not.toHaveProperty('dev/null');
    expect(skippedDevices).toBe(2);
  });

  it('replace one name of a hard link without touching the other', async () => {
    const { tree } = await build([file('a', 'old'), { path: 'b', type: 'hardlink', target: 'a' }], [file('a', 'new')]);
    expect(tree).toEqual({ a: 'new', b: 'old' });
  });
});

describe('no layer leads out of its root', () => {
  it.each<readonly [string, readonly TarMember[]]>([
    ['a path with ..', [file('a/../../outside/evil', 'x')]],
    ['a hard link out', [{ path: 'h', type: 'hardlink', target: '../outside/secret' }]],
    ['a hard link to a folder', [{ path: 'd/' }, { path: 'h', type: 'hardlink', target: 'd' }]],
    ['a hard link to nothing', [{ path: 'h', type: 'hardlink', target: 'nothing' }]],
    ['a whiteout of ..', [file('d/.wh...', '')]],
    ['a whiteout of nothing', [file('d/.wh.', '')]],
    ['a file used as a folder', [file('f', 'x'), file('f/x', 'x')]],
    ['a link to itself used as a folder', [link('l', 'l'), file('l/x', 'x')]],
    ['a name that is too long', [file('x'.repeat(300), 'x')]],
  ])('%s is refused', async (_name, members) => {
    await expect(build(members)).rejects.toMatchObject({ name: 'ImageError', code: 'BadImage' });
  });

  it.each<readonly [string, readonly TarMember[], string]>([
    ['an absolute path', [file('/outside/evil', 'x')], 'outside/evil'],
    ['a link up and out', [link('l', '../../outside'), file('l/evil', 'x')], 'outside/evil'],
    ['an absolute link', [link('l', '/outside'), file('l/evil', 'x')], 'outside/evil'],
    [
      'links over links',
      [{ path: 'd/' }, link('d/up', '..'), link('l', 'd/up/../../outside'), file('l/evil', 'x')],
      'outside/evil',
    ],
  ])('%s stays inside', async (_name, members, place) => {
    expect((await build(members)).tree).toMatchObject({ [place]: 'x' });
  });

  it('a file never goes through a link in its own place', async () => {
    const { tree } = await build([link('l', '../outside/secret')], [file('l', 'mine')]);
    expect(tree).toEqual({ l: 'mine' });
  });

  it('holds for whatever links and files there are', async () => {
    const names = fc.constantFrom('a', 'b', 'c');
    const path = fc.array(names, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
    const target = fc.array(fc.constantFrom('..', 'a', 'b', 'outside', 'secret'), { minLength: 1, maxLength: 4 });
    const member = fc.oneof(
      path.map((at) => file(at, 'x')),
      path.map((at): TarMember => ({ path: `${at}/` })),
      path.map((at) => file(at.replace(/([^/]+)$/, '.wh.$1'), '')),
      fc
        .tuple(path, target, fc.boolean())
        .map(([at, to, absolute]) => link(at, `${absolute ? '/' : ''}${to.join('/')}`)),
      fc.tuple(path, path).map(([at, to]): TarMember => ({ path: at, type: 'hardlink', target: to })),
    );
    const layer = fc.array(member, { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.array(layer, { maxLength: 3 }), async (layers) => {
        // `build` itself looks at what lies outside.
        await build(...layers).catch((error: unknown) => expect(error).toMatchObject({ name: 'ImageError' }));
      }),
      { numRuns: 100 },
    );
  });
});

describe('looking up paths', () => {
  it('follows links as a process in that root sees them', async () => {
    const { root } = await build([
      file('usr/bin/tool', 'x'),
      link('bin', 'usr/bin'),
      link('abs', '/bin/tool'),
      link('up', '../../../../../usr'),
      link('loop', 'loop'),
    ]);
    const tool = join(root, 'usr/bin/tool');
    for (const path of ['/bin/tool', 'abs', '/up/bin/tool', '/../../bin/./tool']) {
      expect(await resolveInside(root, path)).toBe(tool);
    }
    expect(await resolveInside(root, '/')).toBe(root);
    for (const path of ['/loop', '/nothing', '/bin/tool/x']) expect(await resolveInside(root, path)).toBeUndefined();
    expect(await readFile(tool, 'utf8')).toBe('x');
  });
});
