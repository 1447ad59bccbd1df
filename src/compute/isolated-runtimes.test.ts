/** The managed runtimes inside bubblewrap: interpreter, bootstrap, layers and what the runtime brings are found where AWS has them. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { SandboxSpec } from '../platform/compute.ts';
import { type ComputeFixture, type Files, invocation, openCompute, zip } from './test-support.ts';

let fixture: ComputeFixture;
beforeAll(async () => {
  fixture = await openCompute({ sandbox: 'bubblewrap' });
});
afterAll(() => fixture.close());

async function run(files: Files, layer: Files | undefined, spec: Partial<SandboxSpec>): Promise<unknown> {
  const digest = await fixture.blobs.put(await zip(files));
  const layers = layer === undefined ? [] : [await fixture.blobs.put(await zip(layer))];
  expect(await fixture.compute.provide(spec.runtime!, [digest, ...layers])).toBeUndefined();
  const { sandbox } = await fixture.start(files, {
    memoryMb: 512,
    timeoutMs: 20_000,
    ...spec,
    code: { kind: 'zip', digest, layers },
  });
  const result = await sandbox.invoke(invocation({}));
  await sandbox.close('spindown');
  return JSON.parse(result.payload.toString());
}

it('runs Node.js with layers and the AWS SDK', { timeout: 180_000 }, async () => {
  const code = `const { DynamoDBClient } = require('@aws-sdk/client-dynamodb');
exports.handler = async () => [__filename, require('shared'), typeof DynamoDBClient, process.env.LAMBDA_TASK_ROOT]`;
  const layer = { 'nodejs/node_modules/shared/index.js': 'module.exports = __filename' };
  expect(await run({ 'index.js': code }, layer, { runtime: 'nodejs20.x' })).toEqual([
    '/var/task/index.js',
    '/opt/nodejs/node_modules/shared/index.js',
    'function',
    '/var/task',
  ]);
});

it('runs ES modules with the AWS SDK, with layers and without', { timeout: 180_000 }, async () => {
  const code = `import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
export const handler = async () => [typeof DynamoDBClient, import.meta.resolve('@aws-sdk/client-dynamodb')]`;
  const files = { 'index.mjs': code };
  expect(await run(files, undefined, { runtime: 'nodejs22.x' })).toEqual([
    'function',
    expect.stringMatching(/^file:\/\/\/var\/node_modules\/@aws-sdk\//),
  ]);
  expect(await run(files, { 'a.txt': '' }, { runtime: 'nodejs22.x' })).toEqual([
    'function',
    expect.stringMatching(/^file:\/\/\/var\/lang\/lib\/node_modules\/@aws-sdk\//),
  ]);
});

it('runs Python with layers and boto3', { timeout: 180_000 }, async () => {
  const code = `import boto3, shared, sys
def handler(event, context):
    return [__file__, shared.__file__, boto3.__name__, sys.path[0]]`;
  const layer = { 'python/shared.py': '' };
  expect(await run({ 'app.py': code }, layer, { runtime: 'python3.13', handler: 'app.handler' })).toEqual([
    '/var/task/app.py',
    '/opt/python/shared.py',
    'boto3',
    '/var/task',
  ]);
});

it('runs Python where nothing is prepared', async () => {
  const empty = await mkdtemp(join(tmpdir(), 'unkai-libraries-'));
  const bare = await openCompute({ sandbox: 'bubblewrap', runtimeLibraries: empty });
  const files = { 'app.py': 'def handler(event, context):\n  return "alone"' };
  const { sandbox } = await bare.start(files, { runtime: 'python3.11', handler: 'app.handler' });
  expect((await sandbox.invoke(invocation({}))).payload.toString()).toBe('"alone"');
  await bare.close();
  await rm(empty, { recursive: true, force: true });
});

it('runs Ruby with layers', async () => {
  const code = "require 'shared'\ndef handler(event:, context:)\n  [__FILE__, SHARED]\nend";
  const layer = { 'ruby/lib/shared.rb': 'SHARED = __FILE__' };
  expect(await run({ 'app.rb': code }, layer, { runtime: 'ruby3.4', handler: 'app.handler' })).toEqual([
    '/var/task/app.rb',
    '/opt/ruby/lib/shared.rb',
  ]);
});

it('runs Java with layers', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'unkai-java-'));
  try {
    await writeFile(
      join(folder, 'Shared.java'),
      'public class Shared { public static String name() { return "shared"; } }',
    );
    await writeFile(
      join(folder, 'App.java'),
      'public class App { public static String hello(Object event) { return Shared.name() + System.getenv("LAMBDA_TASK_ROOT"); } }',
    );
    execFileSync('javac', ['Shared.java', 'App.java'], { cwd: folder });
    execFileSync('jar', ['cf', 'shared.jar', 'Shared.class'], { cwd: folder });
    const files = { 'App.class': await readFile(join(folder, 'App.class')) };
    const layer = { 'java/lib/shared.jar': await readFile(join(folder, 'shared.jar')) };
    expect(await run(files, layer, { runtime: 'java17', handler: 'App::hello' })).toBe('shared/var/task');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
