import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { CreateQueueCommand, GetQueueUrlCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { build, cleanUp, isAlive, startCli, temporaryFolder, unkai, unkaiJson } from './support.ts';

const sqsOf = (endpoint: string): SQSClient =>
  new SQSClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  });

beforeAll(build);
afterAll(cleanUp);

describe('unkai start', () => {
  it('prints one line, keeps its data over a restart, and ends on SIGTERM', async () => {
    const folder = await temporaryFolder();
    const first = await startCli(['--data', 'kept'], { cwd: folder });
    await sqsOf(first.endpoint).send(new CreateQueueCommand({ QueueName: 'stays' }));
    const ended = await first.end('SIGTERM');
    expect(ended.stdout).toMatch(/^ready on http:\/\/127\.0\.0\.1:\d+ in \d+ ms\n$/);
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect((await readdir(join(folder, 'kept'))).filter((name) => name.startsWith('lock.'))).toEqual([]);
    const second = await startCli(['--data', 'kept'], { cwd: folder });
    const { QueueUrl } = await sqsOf(second.endpoint).send(new GetQueueUrlCommand({ QueueName: 'stays' }));
    expect(QueueUrl).toBe(`${second.endpoint}/000000000000/stays`);
    expect(await second.end('SIGINT')).toMatchObject({ code: 0, stderr: '' });
  });

  it('--data is .unkai of the current folder unless it says otherwise', async () => {
    const folder = await temporaryFolder();
    const cloud = await startCli([], { cwd: folder });
    expect(await readdir(folder)).toEqual(['.unkai']);
    await cloud.end('SIGTERM');
  });

  it('--ephemeral leaves nothing behind', async () => {
    const folder = await temporaryFolder();
    const cloud = await startCli(['--ephemeral'], { cwd: folder });
    await sqsOf(cloud.endpoint).send(new CreateQueueCommand({ QueueName: 'goes' }));
    const { data } = await unkaiJson(['status', '--endpoint', cloud.endpoint]);
    expect(data['store']).toEqual({ engine: 'memory', durable: false });
    await cloud.end('SIGTERM');
    expect(await readdir(folder)).toEqual([]);
  });

  it('--json tells where it is as JSON', async () => {
    const folder = await temporaryFolder();
    const { RunningCli } = await import('./support.ts');
    const cloud = new RunningCli(['start', '--port', '0', '--ephemeral', '--json'], { cwd: folder });
    const [line] = await cloud.printed(/^.*\n/);
    const said = JSON.parse(line!) as Record<string, unknown>;
    expect(said).toEqual({
      ready: true,
      endpoint: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      milliseconds: expect.any(Number),
      pid: cloud.pid,
    });
    const stopped = await unkaiJson(['stop', '--endpoint', String(said['endpoint'])]);
    expect(stopped).toEqual({ code: 0, data: { stopped: true, endpoint: said['endpoint'] } });
    expect((await cloud.finished).code).toBe(0);
  });

  it('--auth signed tells the root credentials, and the CLI works with them', async () => {
    const cloud = await startCli(['--ephemeral', '--auth', 'signed']);
    await expect.poll(() => cloud.stderr).toMatch(/AWS_ACCESS_KEY_ID=/);
    const [, id, secret] = /AWS_ACCESS_KEY_ID=(\S+) AWS_SECRET_ACCESS_KEY=(\S+)/.exec(cloud.stderr)!;
    const refused = await unkaiJson(['status', '--endpoint', cloud.endpoint]);
    expect(refused.code).toBe(1);
    const env = { AWS_ACCESS_KEY_ID: id!, AWS_SECRET_ACCESS_KEY: secret! };
    const allowed = await unkaiJson(['status', '--endpoint', cloud.endpoint], { env });
    expect(allowed).toMatchObject({ code: 0, data: { auth: 'signed' } });
    expect((await unkai(['stop', '--endpoint', cloud.endpoint], { env })).code).toBe(0);
  });

  it('stop ends the process, and says when there is none', async () => {
    const cloud = await startCli(['--ephemeral']);
    expect(isAlive(cloud.pid)).toBe(true);
    const stopped = await unkai(['stop'], { env: { UNKAI_ENDPOINT: cloud.endpoint } });
    expect(stopped).toEqual({ code: 0, stdout: `stopped ${cloud.endpoint}\n`, stderr: '' });
    expect(isAlive(cloud.pid)).toBe(false);
    const again = await unkai(['stop'], { env: { AWS_ENDPOINT_URL: cloud.endpoint } });
    expect(again.code).toBe(1);
    expect(again.stderr).toBe(
      `error NoCloud: no cloud answers at ${cloud.endpoint}\nhint  start one with: unkai start (or name another with --endpoint)\n`,
    );
  });
});

describe('unkai start refuses', () => {
  it('a port in use', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    const folder = await temporaryFolder();
    const args = ['start', '--port', String(port), '--data', 'd'];
    const text = await unkai(args, { cwd: folder });
    expect(text.code).toBe(1);
    expect(text.stdout).toBe('');
    expect(text.stderr).toMatch(new RegExp(`^error PortInUse: .*${port}.*\nhint  \\S.*\n$`));
    const { code, data } = await unkaiJson<{ error: Record<string, string> }>(args, { cwd: folder });
    expect(code).toBe(1);
    expect(data.error).toMatchObject({ code: 'PortInUse', hint: expect.stringMatching(/--port/) });
    server.close();
  });

  it('a data directory that another process has open', async () => {
    const folder = await temporaryFolder();
    const cloud = await startCli(['--data', 'd'], { cwd: folder });
    const args = ['start', '--port', '0', '--data', 'd'];
    const { code, data } = await unkaiJson<{ error: Record<string, string> }>(args, { cwd: folder });
    expect(code).toBe(1);
    expect(data.error).toEqual({
      code: 'DataDirectoryInUse',
      message: `${join(folder, 'd')} is in use by process ${cloud.pid}`,
      hint: expect.stringContaining(`kill ${cloud.pid}`),
    });
    // The one that has it is none the worse.
    expect((await unkai(['status', '--endpoint', cloud.endpoint])).code).toBe(0);
    await cloud.end('SIGTERM');
  });

  it('newer, foreign and unusable data directories, and leaves them as they are', async () => {
    const folder = await temporaryFolder();
    const start = async (data: string) =>
      (await unkaiJson<{ error: Record<string, string> }>(['start', '--port', '0', '--data', data], { cwd: folder }))
        .data.error;

    const cloud = await startCli(['--data', 'newer'], { cwd: folder });
    await cloud.end('SIGTERM');
    await writeFile(join(folder, 'newer/FORMAT'), 'unkai data, format 999\n');
    const before = await readdir(join(folder, 'newer'));
    expect(await start('newer')).toMatchObject({
      code: 'DataDirectoryNewer',
      message: expect.stringContaining('format 999'),
      hint: expect.stringMatching(/newer version/),
    });
    expect(await readdir(join(folder, 'newer'))).toEqual(before);
    expect(await readFile(join(folder, 'newer/FORMAT'), 'utf8')).toBe('unkai data, format 999\n');

    await mkdir(join(folder, 'foreign'));
    await writeFile(join(folder, 'foreign/thesis.txt'), 'important');
    expect(await start('foreign')).toMatchObject({ code: 'DataDirectoryForeign' });
    expect(await readdir(join(folder, 'foreign'))).toEqual(['thesis.txt']);

    await writeFile(join(folder, 'file'), 'important');
    expect(await start('file')).toMatchObject({
      code: 'DataDirectoryUnusable',
      message: `${join(folder, 'file')} is not a directory`,
    });
    // Whoever runs the tests as root may read everything; what nobody can make is a folder below a file.
    expect(await start('file/below')).toMatchObject({ code: 'DataDirectoryUnusable' });
    expect(await readFile(join(folder, 'file'), 'utf8')).toBe('important');
  });

  it.each([
    [['--port', '70000'], 'BadPort'],
    [['--port', 'many'], 'BadPort'],
    [['--clock', 'sand'], 'BadOption'],
    [['--limits', 'none'], 'BadOption'],
    [['--auth', 'maybe'], 'BadOption'],
    [['--store', 'mysql://x'], 'BadStore'],
    [['--store', 'postgresql://x', '--ephemeral'], 'BadStore'],
  ])('%j', async (args, expected) => {
    const folder = await temporaryFolder();
    const { code, data } = await unkaiJson<{ error: Record<string, string> }>(['start', ...args], { cwd: folder });
    expect(code).toBe(1);
    expect(data.error['code']).toBe(expected);
    expect(data.error['hint']).not.toBe('');
    expect(await readdir(folder)).toEqual([]);
  });

  it('a host that is not this machine’s, and a database that does not answer', async () => {
    const folder = await temporaryFolder();
    const host = await unkaiJson<{ error: Record<string, string> }>(
      ['start', '--port', '0', '--host', '203.0.113.7', '--ephemeral'],
      { cwd: folder },
    );
    expect(host.code).toBe(1);
    expect(host.data.error['code']).not.toBe('Internal');
    expect(host.data.error['hint']).not.toBe('');
    const store = await unkaiJson<{ error: Record<string, string> }>(
      ['start', '--port', '0', '--data', 'd', '--store', 'postgresql://nobody@127.0.0.1:1/none'],
      { cwd: folder },
    );
    expect(store.code).toBe(1);
    expect(store.data.error['code']).not.toBe('Internal');
    expect(store.data.error['hint']).not.toBe('');
  });
});
