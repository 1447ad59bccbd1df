import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { MemoryBlobs } from '../../kernel/blobs/memory-blobs.ts';
import { importImage } from './import.ts';
import { ImageStore } from './store.ts';
import { ociLayout, sha256, type TestImage, tar, temporaryFolder, treeOf, writeFiles } from './test-support.ts';

async function imported(image: TestImage): Promise<{ blobs: MemoryBlobs; digest: string }> {
  const blobs = new MemoryBlobs();
  const folder = await writeFiles(await temporaryFolder(), ociLayout([image]).files);
  return { blobs, digest: (await importImage(folder, blobs)).digest };
}

const small: TestImage = { layers: [{ members: [{ path: 'a', content: '1' }] }] };

/** An image whose one layer has other bytes than its configuration says, or another type. */
async function forged(
  layer: Buffer,
  mediaType: string,
  diffId: string,
): Promise<{ blobs: MemoryBlobs; digest: string }> {
  const blobs = new MemoryBlobs();
  const put = async (bytes: Buffer) => ({ digest: `sha256:${await blobs.put(bytes)}`, size: bytes.length });
  const config = { os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [`sha256:${diffId}`] } };
  const manifest = {
    schemaVersion: 2,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      ...(await put(Buffer.from(JSON.stringify(config)))),
    },
    layers: [{ mediaType, ...(await put(layer)) }],
  };
  return { blobs, digest: await blobs.put(Buffer.from(JSON.stringify(manifest))) };
}

const plainLayer = 'application/vnd.oci.image.layer.v1.tar';

describe('unpacked images', () => {
  it('are made once, also when asked for twice at the same time, and found again by another store', async () => {
    const { blobs, digest } = await imported(small);
    const folder = await temporaryFolder();
    const store = new ImageStore({ folder, blobs });
    const [first, second] = await Promise.all([store.image(digest), store.image(digest)]);
    expect(second).toBe(first);
    await writeFile(join(first.root, 'mark'), 'seen');
    const again = await new ImageStore({ folder, blobs }).image(digest);
    expect(again.root).toBe(first.root);
    expect(await treeOf(again.root)).toMatchObject({ a: '1', mark: 'seen' });
  });

  it('are made anew after a crash in the middle, and after the machine has been started anew', async () => {
    const { blobs, digest } = await imported(small);
    const folder = await temporaryFolder();
    await mkdir(join(folder, '.unpacking-1-0', 'rootfs'), { recursive: true });
    const { root } = await new ImageStore({ folder, blobs }).image(digest);
    expect(await readdir(folder)).toEqual(expect.not.arrayContaining(['.unpacking-1-0']));
    await writeFile(join(root, 'a'), 'cut short');
    await writeFile(join(folder, 'boot'), 'an earlier one');
    const again = await new ImageStore({ folder, blobs }).image(digest);
    expect(await treeOf(again.root)).toMatchObject({ a: '1' });
  });

  it('leave nothing behind where they fail, and are tried again', async () => {
    const { blobs, digest } = await imported(small);
    const folder = await temporaryFolder();
    const store = new ImageStore({ folder, blobs: new MemoryBlobs() });
    await expect(store.image(digest)).rejects.toMatchObject({ code: 'IncompleteImage' });
    const partly = new MemoryBlobs();
    const retried = new ImageStore({ folder, blobs: partly });
    const manifest = (await blobs.get(digest))!;
    const { config, layers } = JSON.parse(manifest.toString()) as {
      config: { digest: string };
      layers: { digest: string }[];
    };
    await partly.put(manifest);
    await partly.put((await blobs.get(config.digest.slice(7)))!);
    await expect(retried.image(digest)).rejects.toMatchObject({ code: 'IncompleteImage' });
    expect(await readdir(folder)).toEqual(['boot']);
    await partly.put((await blobs.get(layers[0]!.digest.slice(7)))!);
    expect(await treeOf((await retried.image(digest)).root)).toMatchObject({ a: '1' });
  });

  it('have a limit of size', async () => {
    const { blobs, digest } = await imported({
      layers: [{ members: [{ path: 'a', content: Buffer.alloc(100_000) }] }],
    });
    const folder = await temporaryFolder();
    const store = new ImageStore({ folder, blobs, maxBytes: 50_000 });
    await expect(store.image(digest)).rejects.toMatchObject({ code: 'ImageTooLarge' });
    expect(await readdir(folder)).toEqual(['boot']);
  });

  it('are refused where a layer unpacks to something else than its configuration says, or does not unpack', async () => {
    const layer = tar([{ path: 'a', content: '1' }]);
    const cases = [
      await forged(layer, plainLayer, '0'.repeat(64)),
      await forged(layer, `${plainLayer}+gzip`, sha256(layer)),
      await forged(zlib.gzipSync(layer).subarray(0, 40), `${plainLayer}+gzip`, sha256(layer)),
      await forged(layer.subarray(0, 600), plainLayer, sha256(layer.subarray(0, 600))),
      await forged(layer, 'application/vnd.cncf.helm.chart.content.v1.tar', sha256(layer)),
    ];
    for (const { blobs, digest } of cases) {
      const store = new ImageStore({ folder: await temporaryFolder(), blobs });
      await expect(store.image(digest)).rejects.toMatchObject({ code: 'BadImage' });
    }
  });

  it('unpack zstd where Node can, and say what to do where it cannot', async () => {
    const layer = tar([{ path: 'a', content: '1' }]);
    const compress = (zlib as { zstdCompressSync?: (bytes: Buffer) => Buffer }).zstdCompressSync;
    const { blobs, digest } = await forged(compress?.(layer) ?? layer, `${plainLayer}+zstd`, sha256(layer));
    const unpacked = new ImageStore({ folder: await temporaryFolder(), blobs }).image(digest);
    if (compress !== undefined) expect(await treeOf((await unpacked).root)).toMatchObject({ a: '1' });
    else {
      await expect(unpacked).rejects.toMatchObject({ code: 'ZstdUnsupported', hint: expect.stringContaining('gzip') });
    }
  });

  it('have the places that are mounted over, also where the image leads elsewhere by links', async () => {
    const { blobs, digest } = await imported({
      layers: [{ members: [{ path: 'tmp', type: 'symlink', target: '/var/tmp' }, { path: 'proc/' }] }],
    });
    const { root } = await new ImageStore({ folder: await temporaryFolder(), blobs }).image(digest);
    expect(await treeOf(root)).toMatchObject({ tmp: '/', proc: '/', dev: '/', 'etc/resolv.conf': '' });
  });
});
