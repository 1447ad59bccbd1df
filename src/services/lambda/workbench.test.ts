import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateAliasCommand,
  InvokeCommand,
  LambdaClient,
  PublishVersionCommand,
  PutFunctionConcurrencyCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { FakeCompute, FakeLogs } from './fake-compute.test-support.ts';
import { createFunction, failure, waiting } from './functions.test-support.ts';
import { zipFiles } from './rules/package.ts';

let test: TestCloud;
let client: LambdaClient;
let compute: FakeCompute;
let folder: string;
let key: string;
let held: Server | undefined;

beforeAll(async () => {
  test = await startTestCloud({ services: ['lambda'] });
  compute = FakeCompute.into(test.cloud.platform);
  FakeLogs.into(test.cloud.platform);
  client = new LambdaClient(test.clientConfig);
  folder = await mkdtemp(join(tmpdir(), 'unkai-bench-'));
});
afterAll(async () => {
  await test.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  const { body } = await control('steer', {});
  key = await readFile(body['keyFile'] as string, 'utf8');
});
afterEach(() => held?.close());

async function control(verb: 'steer' | 'inspect', command: object) {
  const answer = await fetch(`${test.endpoint}/_unkai/${verb}/lambda`, {
    method: 'POST',
    body: JSON.stringify(command),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

const steer = (functionName: string, command: object) =>
  control('steer', { key, functionName, pid: process.pid, ...command });

/** The code of the mistake, with its status. */
async function mistake(functionName: string, command: object): Promise<string> {
  const { status, body } = await steer(functionName, command);
  const { code, hint } = body['error'] as { code: string; hint: string };
  expect(hint).not.toBe('');
  return `${status} ${code}`;
}

const invoke = async (FunctionName: string, Qualifier?: string) => {
  const { Payload, ExecutedVersion } = await client.send(
    new InvokeCommand({ FunctionName, ...(Qualifier === undefined ? {} : { Qualifier }) }),
  );
  return { answer: JSON.parse(Buffer.from(Payload!).toString()), version: ExecutedVersion };
};

/** Functions that answer where their code lies. */
function tellsFolder(name: string): void {
  compute.functions.set(name, (_event, { spec }) =>
    spec.code.kind === 'zip' ? (spec.code.directory ?? 'deployed') : 'image',
  );
}

async function serves(functionName: string): Promise<unknown> {
  return (await control('inspect', { functionName })).body['serves'];
}

describe('a folder in place of the deployed code', () => {
  it('runs from the next invocation on, is started afresh when it is refreshed, and goes again', async () => {
    await createFunction(client, 'folder');
    tellsFolder('folder');
    const before = await serves('folder');
    expect((await invoke('folder')).answer).toBe('deployed');
    expect((await steer('folder', { directory: folder })).body).toEqual({ functionName: 'folder', directory: folder });
    expect((await invoke('folder')).answer).toBe(folder);
    const started = compute.sandboxes.length;
    await invoke('folder');
    expect(compute.sandboxes.length).toBe(started);
    const inFolder = await serves('folder');
    await steer('folder', { refresh: true });
    expect((await invoke('folder')).answer).toBe(folder);
    expect(compute.sandboxes.length).toBe(started + 1);
    const refreshed = await serves('folder');
    await steer('folder', { directory: null });
    expect((await invoke('folder')).answer).toBe('deployed');
    expect(new Set([before, inFolder, refreshed, await serves('folder')]).size).toBe(4);
  });

  it('does not join new environments to those that still run the old code', async () => {
    await createFunction(client, 'busy');
    let release: () => void = () => {};
    let isFirst = true;
    compute.functions.set('busy', async (_event, { sandboxId }) => {
      if (isFirst) {
        isFirst = false;
        await new Promise<void>((resolve) => {
          release = resolve;
        });
      }
      return sandboxId;
    });
    await steer('busy', { directory: folder });
    const old = invoke('busy');
    await expect.poll(() => isFirst).toBe(false);
    await steer('busy', { refresh: true });
    const fresh = (await invoke('busy')).answer;
    release();
    expect((await old).answer).not.toBe(fresh);
    // The new one is kept warm, the old one not.
    expect((await invoke('busy')).answer).toBe(fresh);
  });

  it('needs no new environment when its package is uploaded behind it, but for a new configuration', async () => {
    await createFunction(client, 'uploaded');
    compute.functions.set('uploaded', (_event, { sandboxId }) => sandboxId);
    await steer('uploaded', { directory: folder });
    const first = (await invoke('uploaded')).answer;
    const before = await serves('uploaded');
    const updated = () => waitUntilFunctionUpdatedV2({ client, ...waiting }, { FunctionName: 'uploaded' });
    const ZipFile = zipFiles({ 'index.js': 'exports.handler = async () => "other";' });
    await client.send(new UpdateFunctionCodeCommand({ FunctionName: 'uploaded', ZipFile }));
    await updated();
    expect((await invoke('uploaded')).answer).toBe(first);
    expect(await serves('uploaded')).toBe(before);
    await client.send(new UpdateFunctionConfigurationCommand({ FunctionName: 'uploaded', MemorySize: 256 }));
    await updated();
    expect((await invoke('uploaded')).answer).not.toBe(first);
    expect(await serves('uploaded')).not.toBe(before);
  });

  it('is what aliases serve, and versions named by their number do not', async () => {
    await createFunction(client, 'aliased');
    tellsFolder('aliased');
    await client.send(new PublishVersionCommand({ FunctionName: 'aliased' }));
    await client.send(new CreateAliasCommand({ FunctionName: 'aliased', Name: 'live', FunctionVersion: '1' }));
    expect(await invoke('aliased', 'live')).toEqual({ answer: 'deployed', version: '1' });
    await steer('aliased', { directory: folder });
    expect(await invoke('aliased', 'live')).toEqual({ answer: folder, version: '$LATEST' });
    expect(await invoke('aliased', '1')).toEqual({ answer: 'deployed', version: '1' });
    expect((await failure(invoke('aliased', 'other'))).code).toBe('ResourceNotFoundException');
  });

  it('goes with the process of whoever put it there', async () => {
    await createFunction(client, 'left');
    tellsFolder('left');
    const author = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    await steer('left', { directory: folder, pid: author.pid });
    expect((await invoke('left')).answer).toBe(folder);
    const ended = new Promise((resolve) => author.once('exit', resolve));
    author.kill('SIGKILL');
    await ended;
    expect((await invoke('left')).answer).toBe('deployed');
  });
});

describe('a function that is debugged', () => {
  it('runs in one environment, started before it is invoked, whoever waits for it', async () => {
    await createFunction(client, 'debugged');
    await client.send(new PutFunctionConcurrencyCommand({ FunctionName: 'debugged', ReservedConcurrentExecutions: 1 }));
    let running = 0;
    let most = 0;
    compute.functions.set('debugged', async (_event, { sandboxId }) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 20));
      running--;
      return sandboxId;
    });
    const debugPort = await freePort();
    const before = compute.sandboxes.length;
    await steer('debugged', { directory: folder, debugPort });
    await expect.poll(() => compute.sandboxes.length).toBe(before + 1);
    const { spec } = compute.sandboxes[before] as unknown as { spec: { debug: object; code: object } };
    expect(spec).toMatchObject({ debug: { port: debugPort }, code: { directory: folder } });
    const answers = await Promise.all(Array.from({ length: 5 }, () => invoke('debugged')));
    expect(new Set(answers.map(({ answer }) => answer)).size).toBe(1);
    expect(most).toBe(1);
    expect(compute.sandboxes.length).toBe(before + 1);

    // A change of the code opens it anew, by itself; the port is free by then.
    await steer('debugged', { refresh: true });
    await expect.poll(() => compute.sandboxes.length).toBe(before + 2);
    expect(compute.sandboxes[before]!.alive).toBe(false);
  });

  it('runs what it is configured to be when its turn comes', async () => {
    await createFunction(client, 'waits', { Environment: { Variables: { WORD: 'old' } } });
    let release: () => void = () => {};
    const isHeld = new Promise<void>((resolve) => {
      release = resolve;
    });
    let first = true;
    compute.functions.set('waits', async (_event, { spec }) => {
      const isFirst = first;
      first = false;
      if (isFirst) await isHeld;
      return spec.environment['WORD'];
    });
    await steer('waits', { debugPort: await freePort() });
    const one = invoke('waits');
    await expect.poll(() => first).toBe(false);
    const two = invoke('waits');
    await client.send(
      new UpdateFunctionConfigurationCommand({ FunctionName: 'waits', Environment: { Variables: { WORD: 'new' } } }),
    );
    await waitUntilFunctionUpdatedV2({ client, ...waiting }, { FunctionName: 'waits' });
    release();
    expect((await one).answer).toBe('old');
    expect((await two).answer).toBe('new');
  });

  it('is let go, with what hangs in it, when nobody debugs it any more', async () => {
    await createFunction(client, 'let-go');
    const debugPort = await freePort();
    const before = compute.sandboxes.length;
    await steer('let-go', { debugPort });
    await expect.poll(() => compute.sandboxes.length).toBe(before + 1);
    await steer('let-go', { debugPort: null });
    await expect.poll(() => compute.sandboxes[before]!.alive).toBe(false);
    expect((await invoke('let-go')).answer).toEqual({});
    const { spec } = compute.sandboxes.at(-1)! as unknown as { spec: object };
    expect(spec).not.toHaveProperty('debug');
  });
});

it('refuses what cannot be, and says what to do', async () => {
  await createFunction(client, 'refused');
  await createFunction(client, 'rubies', { Runtime: 'ruby3.3' });
  const debugPort = await freePort();
  await createFunction(client, 'holder');
  await steer('holder', { debugPort });
  held = createServer();
  const heldPort = await new Promise<number>((resolve) => {
    held!.listen(0, '127.0.0.1', () => resolve((held!.address() as { port: number }).port));
  });
  expect(await mistake('refused', { key: 'guessed', directory: folder })).toBe('403 WrongKey');
  expect(await mistake('refused', { directory: join(folder, 'missing') })).toBe('400 NoSuchFolder');
  expect(await mistake('refused', { directory: 'src' })).toBe('400 NoSuchFolder');
  expect(await mistake('missing', { directory: folder })).toBe('404 NoSuchFunction');
  expect(await mistake('rubies', { debugPort: await freePort() })).toBe('400 CannotDebug');
  expect(await mistake('refused', { debugPort })).toBe('409 PortInUse');
  expect(await mistake('refused', { debugPort: heldPort })).toBe('409 PortInUse');
  expect(await mistake('refused', { debugPort: 'next' })).toBe('400 BadCommand');
  expect(await mistake('refused', { directory: 7 })).toBe('400 BadCommand');
  expect(await mistake('refused', { directory: folder, pid: -1 })).toBe('400 BadCommand');
  expect(await mistake('refused', {})).toBe('400 BadCommand');
  // What is gone is no mistake to take away.
  expect((await steer('missing', { directory: null, debugPort: null })).status).toBe(200);
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
