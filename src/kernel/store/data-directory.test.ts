import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataDirectoryError, type DataDirectoryOptions, openDataDirectory } from './data-directory.ts';

let base: string;

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'unkai-data-'));
});

afterEach(() => rm(base, { recursive: true, force: true }));

async function refusal(path: string, options?: DataDirectoryOptions): Promise<DataDirectoryError> {
  const error = await openDataDirectory(path, options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DataDirectoryError);
  expect((error as DataDirectoryError).hint.length).toBeGreaterThan(10);
  return error as DataDirectoryError;
}

describe('a data directory', () => {
  it('is made with all its folders, and opened again', async () => {
    const path = join(base, 'deep', 'data');
    const directory = await openDataDirectory(path);
    expect(directory.path).toBe(path);
    expect(existsSync(directory.storePath) && existsSync(directory.blobsPath) && existsSync(directory.tmpPath)).toBe(
      true,
    );
    await directory.close();
    await directory.close();
    expect((await readdir(path)).sort()).toEqual(['FORMAT', 'blobs', 'store', 'tmp']);
    await (await openDataDirectory(path)).close();
  });

  it('opens in a few milliseconds', async () => {
    await (await openDataDirectory(base)).close();
    const times: number[] = [];
    for (let turn = 0; turn < 5; turn++) {
      const began = performance.now();
      const directory = await openDataDirectory(base);
      times.push(performance.now() - began);
      await directory.close();
    }
    expect(Math.min(...times)).toBeLessThan(20);
  });

  it('is refused to a second opening in the same process', async () => {
    const directory = await openDataDirectory(base);
    const { code, message } = await refusal(base);
    expect(code).toBe('DataDirectoryInUse');
    expect(message).toContain(`process ${process.pid}`);
    await directory.close();
    await (await openDataDirectory(base)).close();
  });

  it('is refused to a second process by the first one, and free when that is killed', async () => {
    const holder = await startHolder();
    const { code, message, hint } = await refusal(join(base, 'data'));
    expect(code).toBe('DataDirectoryInUse');
    expect(message).toBe(`${join(base, 'data')} is in use by process ${holder.pid}`);
    expect(hint).toContain(`kill ${holder.pid}`);
    await holder.kill();
    const directory = await openDataDirectory(join(base, 'data'));
    expect((await readdir(directory.path)).filter((name) => name.startsWith('lock.'))).toHaveLength(1);
    await directory.close();
  });

  it('is not held by a lock file whose process id somebody else has now', async () => {
    await (await openDataDirectory(base)).close();
    // This very process has the id, and another start time.
    await writeFile(join(base, `lock.${process.pid}.1`), 'anything');
    const directory = await openDataDirectory(base);
    expect(existsSync(join(base, `lock.${process.pid}.1`))).toBe(false);
    await directory.close();
  });

  it('is held by a lock file of a process that cannot be seen, until somebody removes it', async () => {
    const directory = await openDataDirectory(base);
    const [file] = (await readdir(base)).filter((name) => name.startsWith('lock.'));
    const owner = JSON.parse(await readFile(join(base, file!), 'utf8'));
    await directory.close();
    const foreign = join(base, 'lock.4242.4242');
    await writeFile(foreign, JSON.stringify({ ...owner, pidNamespace: 'pid:[1]' }));
    const { code, hint } = await refusal(base);
    expect(code).toBe('DataDirectoryInUse');
    expect(hint).toContain(foreign);
    // After a reboot of the machine nobody holds it.
    await writeFile(foreign, JSON.stringify({ ...owner, pidNamespace: 'pid:[1]', boot: 'another' }));
    await (await openDataDirectory(base)).close();
  });

  it('goes to one at most of several that come at once', async () => {
    for (let round = 0; round < 10; round++) {
      const results = await Promise.allSettled(Array.from({ length: 4 }, () => openDataDirectory(base)));
      const winners = results.filter((result) => result.status === 'fulfilled');
      expect(winners).toHaveLength(1);
      await winners[0]!.value.close();
    }
  });

  it('is refused when newer, with what to do', async () => {
    await (await openDataDirectory(base, { format: 7, migrations: [] })).close();
    const before = await readdir(base);
    const { code, message } = await refusal(base, { format: 6 });
    expect(code).toBe('DataDirectoryNewer');
    expect(message).toContain('format 7; this version of unkai reads up to 6');
    expect(await readdir(base)).toEqual(before);
  });

  it('is brought to the current format by the migrations in order, each once', async () => {
    await (await openDataDirectory(base, { format: 1 })).close();
    const ran: number[] = [];
    const step = (to: number) => ({
      to,
      run: async (directory: string) => {
        ran.push(to);
        await writeFile(join(directory, 'store', `step-${to}`), '');
      },
    });
    const options = { format: 3, migrations: [step(3), step(2)] };
    await (await openDataDirectory(base, options)).close();
    await (await openDataDirectory(base, options)).close();
    expect(ran).toEqual([2, 3]);
    expect((await readdir(join(base, 'store'))).sort()).toEqual(['step-2', 'step-3']);
    const broken = { to: 4, run: () => Promise.reject(new Error('out of order')) };
    expect((await refusal(base, { format: 4, migrations: [broken] })).message).toContain('out of order');
    // It stands where it stood, and goes on from there.
    await (await openDataDirectory(base, { format: 5, migrations: [step(4), step(5)] })).close();
    expect(ran).toEqual([2, 3, 4, 5]);
    expect((await refusal(base, { format: 9, migrations: [step(9)] })).code).toBe('DataDirectoryTooOld');
  });

  it('is not taken from others: a foreign directory is left alone', async () => {
    await writeFile(join(base, 'thesis.txt'), 'mine');
    const { code, message } = await refusal(base);
    expect(code).toBe('DataDirectoryForeign');
    expect(message).toContain('thesis.txt');
    expect(await readdir(base)).toEqual(['thesis.txt']);
    const other = join(base, 'other');
    await mkdir(other);
    await writeFile(join(other, 'FORMAT'), 'something else');
    expect((await refusal(other)).code).toBe('DataDirectoryForeign');
  });

  it('goes on after a crash in the midst of its first opening', async () => {
    await writeFile(join(base, 'FORMAT.new'), 'unk');
    await writeFile(join(base, 'lock.999999999.5'), '');
    await (await openDataDirectory(base)).close();
    expect((await readdir(base)).sort()).toEqual(['FORMAT', 'blobs', 'store', 'tmp']);
  });

  it('is refused when it is none, or lies where none can be', async () => {
    const file = join(base, 'file');
    await writeFile(file, '');
    expect(await refusal(file)).toMatchObject({
      code: 'DataDirectoryUnusable',
      message: `${file} is not a directory`,
    });
    const below = await refusal(join(file, 'below'));
    expect(below.code).toBe('DataDirectoryUnusable');
    expect(below.message).toContain('lies below something that is not a directory');
  });

  it('is refused when this user may not write it', async () => {
    const path = join(base, 'data');
    await mkdir(path);
    await chmod(path, 0o500);
    await chmod(base, 0o755);
    // Root may write everywhere: then the question is asked as somebody else.
    const output = process.getuid?.() === 0 ? await openAs(65534, path) : String(await refusal(path));
    expect(output).toMatch(/may not be read and written by this user/);
  });
});

/** A script that opens the directory given; prints `open`, or the error. */
async function bundleOpener(): Promise<string> {
  const script = join(base, 'opener.mjs');
  await build({
    stdin: {
      contents: `import { openDataDirectory } from './data-directory.ts';
        openDataDirectory(process.argv[2]).then(
          () => { console.log('open'); setInterval(() => {}, 1000); },
          (error) => { console.log(error.code + ': ' + error.message); });`,
      resolveDir: resolve(import.meta.dirname),
    },
    outfile: script,
    bundle: true,
    platform: 'node',
    format: 'esm',
  });
  return script;
}

async function startHolder(): Promise<{ readonly pid: number; kill(): Promise<void> }> {
  const child = spawn(process.execPath, [await bundleOpener(), join(base, 'data')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(child.stdout, 'data');
  expect(String(line)).toBe('open\n');
  const exited = once(child, 'exit');
  return {
    pid: child.pid!,
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function openAs(uid: number, path: string): Promise<string> {
  const script = await bundleOpener();
  const child = spawn(process.execPath, [script, path], { stdio: ['ignore', 'pipe', 'inherit'], uid, gid: uid });
  const [line] = await once(child.stdout, 'data');
  child.kill('SIGKILL');
  return String(line);
}
