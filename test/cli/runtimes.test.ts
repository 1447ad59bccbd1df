import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { build, unkai, unkaiJson } from './support.ts';

let data: string;
beforeAll(async () => {
  await build();
  data = await mkdtemp(join(tmpdir(), 'unkai-runtimes-'));
});
afterAll(() => rm(data, { recursive: true, force: true }));

interface Listing {
  readonly folder: string;
  readonly runtimes: readonly {
    readonly language: string;
    readonly interpreter?: { readonly path: string; readonly version: string };
    readonly libraries: readonly string[];
  }[];
}

describe('unkai runtimes', () => {
  it('lists the machine’s interpreters without a cloud', async () => {
    const { data: listing } = await unkaiJson<Listing>(['runtimes', 'list', '--data', data]);
    expect(listing.folder).toBe(join(data, 'runtimes'));
    expect(listing.runtimes.map(({ language }) => language)).toEqual(['nodejs', 'python', 'ruby', 'java', 'dotnet']);
    expect(listing.runtimes[0]).toEqual({
      language: 'nodejs',
      interpreter: { path: process.execPath, version: process.versions.node.split('.')[0] },
      libraries: [],
    });
    expect(listing.runtimes[1]!.interpreter!.version).toMatch(/^3\.\d+$/);
  });

  it('installs boto3 into the data folder, once', { timeout: 180_000 }, async () => {
    const first = await unkai(['runtimes', 'install', 'python3.12', '--data', data]);
    expect(first).toMatchObject({ code: 0 });
    expect(first.stderr).toMatch(/installing what Python runtimes bring: boto3, for Python 3\.\d+/);
    expect(first.stdout).toMatch(/^ {2}boto3 1\.\d+\.\d+$/m);
    const again = await unkai(['runtimes', 'install', 'python', '--data', data]);
    expect(again).toMatchObject({ code: 0, stdout: first.stdout });
    expect(again.stderr).not.toContain('installing');
  });

  it('says what to do where there is no registry, and which languages it knows', async () => {
    const env = { npm_config_registry: 'http://127.0.0.1:1/', npm_config_cache: join(data, 'npm') };
    const failed = await unkai(['runtimes', 'install', 'nodejs', '--data', data], { env });
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(/NotInstalled.*no package registry can be reached \(ECONNREFUSED\)/);
    expect(failed.stderr).toContain('hint');
    const wrong = await unkai(['runtimes', 'install', 'perl', '--data', data]);
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain("NoSuchRuntime: runtimes of 'perl' bring nothing here");
  });
});
