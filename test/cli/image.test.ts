import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/cli/client.ts';
import { packageTemplate } from '../../src/cli/package.ts';
import { ociLayout, sha256, type TestImage, tar, writeFiles } from '../../src/compute/images/test-support.ts';
import { packagedImageUri } from '../../src/platform/blob-bucket.ts';
import { startTestCloud, type TestCloud } from '../support/cloud.ts';
import { build, type CliCloud, cleanUp, startCli, temporaryFolder, unkai, unkaiJson } from './support.ts';

const image: TestImage = {
  layers: [{ members: [{ path: 'bootstrap', content: '#!/bin/sh\n', mode: 0o755 }] }],
  config: { Entrypoint: ['/bootstrap'] },
  name: 'shop/api:1.2',
};
const [digest] = ociLayout([image]).digests as [string];

describe('unkai image', () => {
  let cloud: CliCloud;
  let folder: string;
  const json = <T = Record<string, unknown>>(...args: string[]) =>
    unkaiJson<T>([...args, '--endpoint', cloud.endpoint], { cwd: folder });

  beforeAll(async () => {
    await build();
    folder = await temporaryFolder();
    cloud = await startCli(['--data', join(folder, 'data')], { cwd: folder });
    await writeFiles(join(folder, 'layout'), ociLayout([image]).files);
    await writeFile(join(folder, 'api.tar'), tar(ociLayout([{ ...image, name: '1.2' }]).files));
    await writeFile(join(folder, 'Nameless.tar.gz'), gzipSync(tar(ociLayout([{ layers: image.layers }]).files)));
  });
  afterAll(cleanUp);

  it('loads, lists and removes images; their names come from the builder, the file, or the user', async () => {
    expect((await json('image', 'load', 'layout')).data).toMatchObject({ name: 'shop/api:1.2', digest });
    expect((await json('image', 'load', 'api.tar')).data).toMatchObject({ name: 'api:1.2', digest });
    expect((await json('image', 'load', 'Nameless.tar.gz')).data).toMatchObject({ name: 'nameless:latest' });
    expect((await json('image', 'load', 'layout', '--name', 'other')).data).toMatchObject({
      name: 'other:latest',
      digest,
    });
    const { data } = await json<{ images: { name: string }[] }>('image', 'list');
    expect(data.images.map(({ name }) => name)).toEqual(['api:1.2', 'nameless:latest', 'other:latest', 'shop/api:1.2']);
    const { stdout } = await unkai(['image', 'list', '--endpoint', cloud.endpoint]);
    expect(stdout).toMatch(new RegExp(`shop/api:1\\.2 +sha256:${digest.slice(0, 12)} +\\d+ B\n`));

    expect((await json('image', 'remove', 'other')).code).toBe(0);
    expect(await json('image', 'remove', 'other')).toMatchObject({ code: 1, data: { error: { code: 'NoSuchImage' } } });
  });

  it('sends no part that the cloud has', async () => {
    const { stderr } = await unkai(['image', 'load', 'layout', '--endpoint', cloud.endpoint], { cwd: folder });
    expect(stderr).not.toContain('storing');
  });

  it('says what is wrong with an image, a name or a platform', async () => {
    const error = async (...args: string[]) => (await json('image', 'load', ...args)).data['error'];
    expect(await error('nothing.tar')).toMatchObject({ code: 'NoSuchImage' });
    expect(await error('layout', '--name', 'NOT A NAME')).toMatchObject({ code: 'BadImageName' });
    expect(await error('layout', '--platform', 'windows/amd64')).toMatchObject({ code: 'BadPlatform' });
    await writeFile(join(folder, 'text.txt'), 'no image'.repeat(200));
    expect(await error('text.txt')).toMatchObject({ code: 'BadImage' });
  });
});

describe('images in a cloud', () => {
  let cloud: TestCloud;
  const client = () => connect({ endpoint: cloud.endpoint, region: 'us-east-1' });

  beforeAll(async () => {
    cloud = await startTestCloud({ engine: 'lmdb' });
  });
  afterAll(() => cloud.close());

  it('are found by every form of their names, also after a restart', async () => {
    const { platform } = cloud.cloud;
    for (const { path, content } of ociLayout([image]).files) {
      if (path.startsWith('blobs/')) await platform.blobs.put(Buffer.from(content!));
    }
    const put = await client().control('PUT', 'images', { name: 'shop/api:1.2', digest });
    const { sizeBytes } = put as { sizeBytes: number };
    cloud = await cloud.restart();
    const { images } = cloud.cloud.platform;
    const registry = '123456789012.dkr.ecr.eu-central-1.amazonaws.com';
    for (const uri of [
      'shop/api:1.2',
      `${registry}/shop/api:1.2`,
      `${registry}/shop/api@sha256:${digest}`,
      `${registry}/shop/api:1.2@sha256:${digest}`,
      packagedImageUri(digest),
    ]) {
      expect(await images.resolve(uri), uri).toEqual({ digest, sizeBytes });
    }
    for (const uri of [
      'shop/api',
      'shop/api:1.3',
      `shop/web@sha256:${digest}`,
      packagedImageUri(sha256(Buffer.alloc(0))),
      'Not a name',
      '',
    ]) {
      expect(await images.resolve(uri), uri).toBeUndefined();
    }
    await client().control('PUT', 'images', { name: `${registry}/shop/web`, digest });
    expect(await images.resolve(`${registry}/shop/web:latest`)).toBeDefined();
    expect(await images.resolve('shop/web')).toBeUndefined();
  });

  it('come from registered sources first', async () => {
    const { images } = cloud.cloud.platform;
    const found = { digest: 'f'.repeat(64), sizeBytes: 1 };
    images.register({ resolve: async (uri) => (uri === 'mine:1' ? found : undefined) });
    expect(await images.resolve('mine:1')).toEqual(found);
  });

  it('are named only when all their parts are there', async () => {
    const { blobs } = cloud.cloud.platform;
    const other = ociLayout([{ ...image, config: { Cmd: ['/other'] } }]);
    const manifest = other.files.find(({ path }) => path.endsWith(other.digests[0]!))!;
    await blobs.put(Buffer.from(manifest.content!));
    const put = (name: string, of: string) => client().control('PUT', 'images', { name, digest: of });
    await expect(put('a:1', other.digests[0]!)).rejects.toMatchObject({ code: 'IncompleteImage' });
    await expect(put('a:1', 'e'.repeat(64))).rejects.toMatchObject({ code: 'NoSuchImage' });
    await expect(put('a:1', '../x')).rejects.toMatchObject({ code: 'BadImage' });
    await expect(put('unkai-blobs:1', digest)).rejects.toMatchObject({ code: 'BadImageName' });
  });

  it('come as blobs of any size, checked as they come', async () => {
    const piece = randomBytes(1024 * 1024);
    const large = Buffer.concat(Array.from({ length: 90 }, () => piece));
    const source = async function* (bytes: Buffer): AsyncGenerator<Buffer> {
      for (let at = 0; at < bytes.length; at += 300_000) yield bytes.subarray(at, at + 300_000);
    };
    await client().putStream(source(large), sha256(large));
    expect(await client().missingBlobs([sha256(large), 'd'.repeat(64)])).toEqual(['d'.repeat(64)]);
    expect((await cloud.cloud.platform.blobs.get(sha256(large)))?.equals(large)).toBe(true);
    await expect(client().putStream(source(piece), 'd'.repeat(64))).rejects.toMatchObject({ code: 'BadDigest' });
    expect(await client().missingBlobs(['d'.repeat(64)])).toEqual(['d'.repeat(64)]);
  });

  it('a broken upload leaves nothing, and the cloud goes on', async () => {
    const broken = async function* (): AsyncGenerator<Buffer> {
      yield randomBytes(100_000);
      throw new Error('the disk is gone');
    };
    await expect(client().putStream(broken(), 'c'.repeat(64))).rejects.toThrow('the disk is gone');
    expect(await client().missingBlobs(['c'.repeat(64)])).toEqual(['c'.repeat(64)]);
  });

  it('are packaged with a template that names a file or a folder', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'app'));
    await writeFiles(join(folder, 'app', 'layout'), ociLayout([image]).files);
    await writeFile(join(folder, 'app', 'image.tar'), tar(ociLayout([image]).files));
    const resource = (Type: string, Properties: object) => ({
      Type,
      Properties: { PackageType: 'Image', ...Properties },
    });
    const template = {
      Resources: {
        Archive: resource('AWS::Serverless::Function', { ImageUri: 'image.tar' }),
        Folder: resource('AWS::Lambda::Function', { Code: { ImageUri: './layout' } }),
        Named: resource('AWS::Serverless::Function', { ImageUri: 'shop/api:1.2' }),
        Referred: resource('AWS::Serverless::Function', { ImageUri: { Ref: 'Image' } }),
      },
    };
    await writeFile(join(folder, 'app', 'template.json'), JSON.stringify(template));
    const packaged = await packageTemplate(join(folder, 'app', 'template.json'), client());
    const uri = packagedImageUri(digest);
    expect(packaged.template).toMatchObject({
      Resources: {
        Archive: { Properties: { ImageUri: uri } },
        Folder: { Properties: { Code: { ImageUri: uri } } },
        Named: { Properties: { ImageUri: 'shop/api:1.2' } },
        Referred: { Properties: { ImageUri: { Ref: 'Image' } } },
      },
    });
    expect(packaged.code.map(({ logicalId, kind }) => [logicalId, kind])).toEqual([
      ['Archive', 'image'],
      ['Folder', 'image'],
    ]);
    expect(await cloud.cloud.platform.images.resolve(uri)).toMatchObject({ digest });

    template.Resources.Archive.Properties = Object.assign(template.Resources.Archive.Properties, {
      Architectures: [process.arch === 'arm64' ? 'x86_64' : 'arm64'],
    });
    await writeFile(join(folder, 'app', 'template.json'), JSON.stringify(template));
    const wrong = packageTemplate(join(folder, 'app', 'template.json'), client());
    await expect(wrong).rejects.toMatchObject({ code: 'WrongPlatform' });
  });

  it('may be loaded by the root only where signatures count', async () => {
    const signed = await startTestCloud({ auth: 'signed' });
    try {
      const put = connect({ endpoint: signed.endpoint, region: 'us-east-1' }).putStream(
        (async function* () {
          yield Buffer.from('x');
        })(),
        sha256(Buffer.from('x')),
      );
      await expect(put).rejects.toMatchObject({ code: 'Refused' });
      expect(await signed.cloud.platform.blobs.has(sha256(Buffer.from('x')))).toBe(false);
    } finally {
      await signed.close();
    }
  });
});
