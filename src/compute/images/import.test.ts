import { createWriteStream } from 'node:fs';
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { MemoryBlobs } from '../../kernel/blobs/memory-blobs.ts';
import { type ImportOptions, importImage } from './import.ts';
import { ImageStore } from './store.ts';
import {
  dockerArchive,
  ociLayout,
  sha256,
  type TarMember,
  type TestImage,
  tar,
  temporaryFolder,
  thisArchitecture,
  treeOf,
  writeFiles,
} from './test-support.ts';

const image: TestImage = {
  layers: [
    {
      members: [
        { path: 'a', content: '1' },
        { path: 'b', content: '1' },
      ],
    },
    { members: [{ path: 'b', content: '2' }], gzip: false },
  ],
  config: { Cmd: ['/a'], Env: ['X=1', 'Y=a=b'] },
  name: 'shop/api:1.2',
};

async function archive(files: readonly TarMember[], pack = (bytes: Buffer): Buffer => bytes): Promise<string> {
  const path = join(await temporaryFolder(), 'image.tar');
  await writeFile(path, pack(tar(files)));
  return path;
}

/** Imports it and unpacks it. */
async function load(path: string, options?: ImportOptions) {
  const blobs = new MemoryBlobs();
  const imported = await importImage(path, blobs, options);
  const store = new ImageStore({ folder: await temporaryFolder(), blobs });
  const unpacked = await store.image(imported.digest);
  return { blobs, imported, unpacked, tree: await treeOf(unpacked.root) };
}

const failure = (path: string, options?: ImportOptions): Promise<unknown> =>
  importImage(path, new MemoryBlobs(), options).then(
    () => expect.fail('it was taken'),
    (error: unknown) => error,
  );

describe('importing images', () => {
  it.each([
    ['an OCI layout', async () => writeFiles(await temporaryFolder(), ociLayout([image]).files)],
    ['an OCI archive', () => archive(ociLayout([image]).files)],
    ['an OCI archive packed with gzip', () => archive(ociLayout([image]).files, gzipSync)],
  ])('takes %s', async (_name, make) => {
    const { imported, tree, unpacked } = await load(await make());
    expect(imported.digest).toBe(ociLayout([image]).digests[0]);
    expect(imported.names).toEqual(['shop/api:1.2']);
    expect(imported.config).toMatchObject({ command: ['/a'], environment: { X: '1', Y: 'a=b' } });
    expect(unpacked.config).toEqual(imported.config);
    expect(tree).toMatchObject({ a: '1', b: '2', proc: '/', tmp: '/' });
  });

  it('takes what docker save wrote, under a digest that stays the same', async () => {
    const path = await archive(dockerArchive(image));
    const first = await load(path);
    expect(first.tree).toMatchObject({ a: '1', b: '2' });
    expect(first.imported.names).toEqual(['shop/api:1.2']);
    expect((await load(await archive(dockerArchive(image), gzipSync))).imported.digest).toBe(first.imported.digest);
  });

  it('takes layers that are links to each other, as older versions of docker save wrote them', async () => {
    const twice = { ...image, layers: [image.layers[1]!, image.layers[1]!] };
    const files = dockerArchive(twice).map(
      (member): TarMember =>
        member.path === 'layer1/layer.tar'
          ? { path: member.path, type: 'symlink', target: '../layer0/layer.tar' }
          : member,
    );
    expect((await load(await archive(files))).tree).toMatchObject({ b: '2' });
  });

  it('counts what is stored, and does not store a part again', async () => {
    const path = await archive(ociLayout([image]).files);
    const blobs = new MemoryBlobs();
    const parts: string[] = [];
    const options = { onPart: (digest: string) => parts.push(digest) };
    const { sizeBytes } = await importImage(path, blobs, options);
    const stored = ociLayout([image]).files.filter(({ path: file }) => file.startsWith('blobs/'));
    expect(sizeBytes).toBe(stored.reduce((sum, { content }) => sum + content!.length, 0));
    expect(parts).toHaveLength(3);
    await importImage(path, blobs, options);
    expect(parts).toHaveLength(3);
  });

  it('picks the platform, also from an index below the index', async () => {
    const other = thisArchitecture === 'amd64' ? 'arm64' : 'amd64';
    const layout = ociLayout([image, { ...image, architecture: other, config: { Cmd: ['/other'] } }]);
    const inner = Buffer.from(layout.files.find(({ path }) => path === 'index.json')!.content!);
    const index = {
      schemaVersion: 2,
      manifests: [
        {
          mediaType: 'application/vnd.oci.image.index.v1+json',
          digest: `sha256:${sha256(inner)}`,
          size: inner.length,
          annotations: {
            'io.containerd.image.name': 'docker.io/library/api:2',
            'org.opencontainers.image.ref.name': '2',
          },
        },
      ],
    };
    const path = await archive([
      ...layout.files.filter((each) => each.path !== 'index.json'),
      { path: `blobs/sha256/${sha256(inner)}`, content: inner },
      { path: 'index.json', content: JSON.stringify(index) },
    ]);
    expect((await load(path)).imported).toMatchObject({ digest: layout.digests[0] });
    expect((await load(path)).imported.names).toContain('docker.io/library/api:2');
    const asked = other === 'arm64' ? 'arm64' : 'x86_64';
    expect((await load(path, { architecture: asked })).imported.digest).toBe(layout.digests[1]);
  });

  it('says so when there are several images or platforms to choose from, or none that fits', async () => {
    const second = { ...image, name: 'shop/web:1', config: { Cmd: ['/b'] } };
    const path = await archive(ociLayout([image, second]).files);
    expect(await failure(path)).toMatchObject({
      code: 'SeveralImages',
      message: expect.stringContaining('shop/web:1'),
    });
    expect((await load(path, { name: 'shop/web:1' })).imported.config.command).toEqual(['/b']);
    expect(await failure(path, { name: 'shop/none:1' })).toMatchObject({ code: 'NoSuchImage' });
    const foreign = await archive(ociLayout([{ ...image, architecture: 'riscv64' }]).files);
    expect(await failure(foreign)).toMatchObject({
      code: 'WrongPlatform',
      message: expect.stringContaining('linux/riscv64'),
    });
    const foreignSaved = await archive(dockerArchive({ ...image, architecture: 'riscv64' }));
    expect(await failure(foreignSaved)).toMatchObject({ code: 'WrongPlatform' });
  });

  it('refuses what is no image', async () => {
    expect(await failure(await archive([{ path: 'x', content: 'x' }]))).toMatchObject({ code: 'NotAnImage' });
    expect(await failure(join(await temporaryFolder(), 'nothing'))).toMatchObject({ code: 'NoSuchImage' });
    const text = join(await temporaryFolder(), 'text');
    await writeFile(text, 'no archive'.repeat(100));
    expect(await failure(text)).toMatchObject({ code: 'BadImage' });
    for (const content of ['{', '[]', '{"schemaVersion":1}', '{"schemaVersion":2,"manifests":[{}]}']) {
      expect(await failure(await archive([{ path: 'index.json', content }]))).toMatchObject({ code: 'BadImage' });
    }
    for (const content of ['{', '{}', '[{}]', '[{"Config":"x","Layers":[]}]']) {
      expect(await failure(await archive([{ path: 'manifest.json', content }]))).toMatchObject({ code: 'BadImage' });
    }
  });

  it('refuses any part whose content is not what its digest says, or that is missing', async () => {
    const { files } = ociLayout([image]);
    for (const damaged of files.filter(({ path }) => path.startsWith('blobs/'))) {
      const content = Buffer.from(damaged.content!);
      content[content.length - 1]! ^= 1;
      const changed = files.map((each) => (each === damaged ? { ...each, content } : each));
      expect(await failure(await archive(changed)), damaged.path).toMatchObject({ code: 'BadImage' });
      expect(await failure(await archive(files.filter((each) => each !== damaged)))).toMatchObject({
        name: 'ImageError',
      });
    }
    for (const damaged of dockerArchive(image).filter(({ path }) => path !== 'manifest.json')) {
      const content = Buffer.concat([Buffer.from(damaged.content!), Buffer.from(' ')]);
      const changed = dockerArchive(image).map((each) => (each.path === damaged.path ? { ...each, content } : each));
      expect(await failure(await archive(changed)), damaged.path).toMatchObject({ code: 'BadImage' });
    }
  });

  it('refuses archives cut short anywhere', async () => {
    const bytes = tar(ociLayout([image]).files, false);
    const packed = gzipSync(bytes);
    for (const share of [0.1, 0.3, 0.5, 0.7, 0.9]) {
      const path = join(await temporaryFolder(), 'cut.tar');
      await writeFile(path, bytes.subarray(0, Math.floor(bytes.length * share)));
      expect(await failure(path)).toMatchObject({ name: 'ImageError' });
      await writeFile(path, packed.subarray(0, Math.floor(packed.length * share)));
      expect(await failure(path)).toMatchObject({ name: 'ImageError' });
    }
  });

  it('reads no file outside of a layout by way of a link', async () => {
    const folder = await temporaryFolder();
    const { files } = ociLayout([image]);
    const { symlink } = await import('node:fs/promises');
    await writeFiles(
      folder,
      files.filter(({ path }) => path !== 'index.json'),
    );
    const elsewhere = join(await temporaryFolder(), 'index.json');
    await writeFile(elsewhere, files.at(-1)!.content!);
    await symlink(elsewhere, join(folder, 'index.json'));
    expect(await failure(folder)).toMatchObject({ code: 'NotAnImage' });
  });

  it('takes a file of hundreds of megabytes without holding it in memory', async () => {
    const path = join(await temporaryFolder(), 'large.tar');
    const file = createWriteStream(path);
    await new Promise<void>((done) => file.end(tar(ociLayout([image]).files, false), () => done()));
    const zeros = Buffer.alloc(1024 * 1024);
    const header = tar([{ path: 'padding' }], false);
    header.write((300 * 1024 * 1024).toString(8).padStart(11, '0'), 124, 'latin1');
    header.fill(0x20, 148, 156);
    header.write(
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
      'latin1',
    );
    await appendFile(path, header);
    for (let written = 0; written < 300; written++) await appendFile(path, zeros);
    const before = process.memoryUsage.rss();
    await importImage(path, new MemoryBlobs());
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * 1024 * 1024);
  });
});
