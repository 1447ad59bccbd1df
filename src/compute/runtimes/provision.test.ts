import { mkdtemp, readdir, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WallClock } from '../../kernel/clock/wall.ts';
import { openCompute, zip } from '../test-support.ts';
import { currentState } from './libraries.ts';
import { changeState } from './provision-store.ts';
import { wantedNodeLibraries, wantedPythonLibraries } from './wanted-libraries.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unkai-provision-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('what packages ask for', () => {
  it('is found in every form of import, and not in comments or strings', async () => {
    const code = await zip({
      'index.mjs': `import { S3Client } from '@aws-sdk/client-s3';
import"@aws-sdk/client-sqs";export*from"@aws-sdk/client-sns";
// node_modules/@aws-sdk/client-glue/dist-es/index.js
const name = '@aws-sdk/client-ec2';`,
      'lib/old.cjs': `const { DynamoDB } = __toESM(require("@aws-sdk/client-dynamodb"), 1); import('@smithy/node-http-handler');`,
      'node_modules/@aws-sdk/core/index.js': `require('@aws-sdk/client-iam')`,
      'notes.txt': `require('@aws-sdk/client-kms')`,
    });
    expect(await wantedNodeLibraries([code])).toEqual([
      '@aws-sdk/client-dynamodb',
      '@aws-sdk/client-s3',
      '@aws-sdk/client-sns',
      '@aws-sdk/client-sqs',
      '@smithy/node-http-handler',
    ]);
  });

  it('is not what the package or a layer holds', async () => {
    const code = await zip({ 'index.js': `require('@aws-sdk/client-s3'); require('@aws-sdk/client-sqs')` });
    const layer = await zip({ 'nodejs/node_modules/@aws-sdk/client-s3/package.json': '{}' });
    expect(await wantedNodeLibraries([code, layer])).toEqual(['@aws-sdk/client-sqs']);
    const python = await zip({
      'app.py': 'import os\nif True:\n  from botocore.config import Config\nimport boto3 as b',
    });
    expect(await wantedPythonLibraries([python])).toEqual(['boto3', 'botocore']);
    const bundled = await zip({ 'boto3/__init__.py': '', 'botocore/__init__.py': 'import jmespath' });
    expect(await wantedPythonLibraries([python, bundled])).toEqual([]);
    expect(await wantedPythonLibraries([await zip({ 'app.py': '# import boto3\nx = "import boto3"' })])).toEqual([]);
  });
});

describe('a state of libraries', () => {
  const add = (name: string, order: string[] = []) =>
    changeState({
      home: join(folder, 'home'),
      clock: new WallClock(),
      missing: () => true,
      change: async (partial) => {
        order.push(`${name} begins`);
        await writeFile(join(partial, name), name);
        await new WallClock().sleep(50);
        order.push(`${name} ends`);
      },
    });

  it('grows by copies, one change at a time', async () => {
    const order: string[] = [];
    await Promise.all([add('one', order), add('two', order)]);
    expect(order[1]).toBe(`${order[0]!.split(' ')[0]} ends`);
    const state = currentState(join(folder, 'home'))!;
    expect((await readdir(state)).sort()).toEqual(['one', 'two']);
    await add('three');
    // Who stands on the state before keeps it as it was.
    expect((await readdir(state)).sort()).toEqual(['one', 'two']);
    expect((await readdir(currentState(join(folder, 'home'))!)).sort()).toEqual(['one', 'three', 'two']);
  });

  it('stays what it was when a change fails, and leaves no lock', async () => {
    await add('one');
    const before = await readlink(join(folder, 'home', 'current'));
    const failing = changeState({
      home: join(folder, 'home'),
      clock: new WallClock(),
      missing: () => true,
      change: () => Promise.reject(new Error('no')),
    });
    await expect(failing).rejects.toThrow('no');
    expect(await readlink(join(folder, 'home', 'current'))).toBe(before);
    expect((await readdir(join(folder, 'home'))).sort()).toEqual([before, 'current'].sort());
  });

  it('takes over what a dead process has locked', async () => {
    await add('one');
    const { hostname } = await import('node:os');
    // No process has this id: the largest that Linux gives is smaller.
    await writeFile(join(folder, 'home', 'lock'), `${hostname()} 99999999`);
    await add('two');
    expect((await readdir(currentState(join(folder, 'home'))!)).sort()).toEqual(['one', 'two']);
    await expect(stat(join(folder, 'home', 'lock'))).rejects.toThrow('ENOENT');
  });
});

describe('without a registry', () => {
  const saved = { ...process.env };
  afterEach(() => {
    process.env = { ...saved };
  });

  it('says what is lacking, why, and what to do; and does not try again at once', async () => {
    const port = await closedPort();
    Object.assign(process.env, {
      npm_config_registry: `http://127.0.0.1:${port}/`,
      npm_config_cache: join(folder, 'npm'),
      PIP_INDEX_URL: `http://127.0.0.1:${port}/simple`,
      PIP_CONFIG_FILE: '/dev/null',
      PIP_NO_CACHE_DIR: '1',
    });
    const fixture = await openCompute({ runtimeLibraries: join(folder, 'libraries') });
    try {
      const node = await fixture.blobs.put(await zip({ 'index.js': `require('@aws-sdk/client-s3')` }));
      const note = await fixture.compute.provide('nodejs22.x', [node]);
      expect(note).toMatch(
        /^@aws-sdk\/client-s3: AWS's Node\.js runtimes bring this, and it could not be installed: no package registry can be reached \(ECONNREFUSED\)\. .* unkai runtimes install nodejs$/,
      );
      expect(fixture.notes).toEqual(['installing what Node.js runtimes bring: @aws-sdk/client-s3']);
      expect(await fixture.compute.provide('nodejs22.x', [node])).toBe(note);
      expect(fixture.notes).toHaveLength(1);

      const python = await fixture.blobs.put(await zip({ 'app.py': 'import boto3' }));
      expect(await fixture.compute.provide('python3.12', [python])).toMatch(
        /^boto3: AWS's Python runtimes bring this, and it could not be installed: no package registry can be reached/,
      );
      // What asks for nothing, or is nobody's to bring, is not told anything.
      const plain = await fixture.blobs.put(await zip({ 'index.js': '' }));
      expect(await fixture.compute.provide('nodejs22.x', [plain])).toBeUndefined();
      expect(await fixture.compute.provide('provided.al2023', [node])).toBeUndefined();
    } finally {
      await fixture.close();
    }
  });
});

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
