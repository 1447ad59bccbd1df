import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { ImageConfig } from '../../platform/oci.ts';
import { type ImageOverrides, imageProgram } from './program.ts';
import { type TarMember, tar, temporaryFolder } from './test-support.ts';
import { RootBuilder } from './unpack.ts';

const script = (path: string, interpreter = '/bin/sh'): TarMember => ({
  path,
  content: `#!${interpreter}\n`,
  mode: 0o755,
});

async function rootOf(members: readonly TarMember[]): Promise<string> {
  const root = await temporaryFolder();
  const builder = new RootBuilder(root, { keepOwners: false, maxEntries: 100 });
  await builder.addLayer(Readable.from([tar(members)], { objectMode: false }));
  return root;
}

const standard: readonly TarMember[] = [
  script('usr/bin/sh'),
  { path: 'bin', type: 'symlink', target: 'usr/bin' },
  script('usr/bin/tool'),
  { path: 'usr/local/bin/tool', content: 'not executable' },
  { path: 'app/' },
  script('app/run'),
  { path: 'app/plain', content: 'x' },
  { path: 'app/raw', content: 'x', mode: 0o755 },
  script('app/needs-bash', '/bin/bash -e'),
];

function config(fields: Partial<ImageConfig> = {}): ImageConfig {
  return {
    os: 'linux',
    architecture: 'amd64',
    diffIds: [],
    entryPoint: ['tool', 'first'],
    command: ['second'],
    environment: { IMAGE: '1', BOTH: 'image' },
    workingDirectory: '/app',
    user: '',
    ...fields,
  };
}

describe("an image's program", () => {
  it('is entry point and command, found in the PATH of the image', async () => {
    const root = await rootOf(standard);
    const program = await imageProgram(root, config({ user: 'app:app' }), {}, { BOTH: 'function' });
    expect(program).toEqual({
      command: '/usr/bin/tool',
      hostCommand: join(root, 'usr/bin/tool'),
      args: ['first', 'second'],
      workingDirectory: '/app',
      environment: { PATH: expect.stringContaining('/usr/bin'), IMAGE: '1', BOTH: 'function' },
      user: 'app:app',
    });
  });

  it.each<readonly [ImageOverrides, Partial<ImageConfig>, readonly [string, readonly string[], string]]>([
    [{ command: ['x', 'y'] }, {}, ['/usr/bin/tool', ['first', 'x', 'y'], '/app']],
    [{ entryPoint: ['/app/run'] }, {}, ['/app/run', ['second'], '/app']],
    [{ entryPoint: ['/app/run'], command: [] }, {}, ['/app/run', [], '/app']],
    [{ entryPoint: ['./run'], workingDirectory: '/app' }, { workingDirectory: '' }, ['/app/run', ['second'], '/app']],
    [{}, { entryPoint: [], command: ['bin/tool'], workingDirectory: '' }, ['/bin/tool', [], '/']],
    [{}, { workingDirectory: 'app' }, ['/usr/bin/tool', ['first', 'second'], '/app']],
    [{}, { environment: { PATH: '/nothing:/app' }, entryPoint: ['run'] }, ['/app/run', ['second'], '/app']],
  ])('with %j over %j', async (overrides, fields, [command, args, workingDirectory]) => {
    const root = await rootOf(standard);
    expect(await imageProgram(root, config(fields), overrides)).toMatchObject({ command, args, workingDirectory });
  });

  it.each<readonly [ImageOverrides, string]>([
    [{ entryPoint: ['/nothing'] }, 'fork/exec /nothing: no such file or directory'],
    [{ entryPoint: ['app.handler'] }, 'exec: "app.handler": executable file not found in $PATH'],
    [{ entryPoint: [], command: [] }, 'exec: "": executable file not found in $PATH'],
    [{ entryPoint: ['/app/plain'] }, 'fork/exec /app/plain: permission denied'],
    [{ entryPoint: ['/app'] }, 'fork/exec /app: permission denied'],
    [{ entryPoint: ['/app/raw'] }, 'fork/exec /app/raw: exec format error'],
    [{ entryPoint: ['/app/needs-bash'] }, 'fork/exec /app/needs-bash: no such file or directory'],
  ])('fails as on AWS with %j', async (overrides, message) => {
    const root = await rootOf(standard);
    await expect(imageProgram(root, config(), overrides)).rejects.toMatchObject({
      errorType: 'Runtime.InvalidEntrypoint',
      message,
    });
  });

  it('fails without its working directory, and writes the line that Lambda logs', async () => {
    const root = await rootOf(standard);
    const failing = imageProgram(root, config(), { workingDirectory: '/nothing' });
    await expect(failing).rejects.toMatchObject({
      errorType: 'Runtime.InvalidWorkingDir',
      message: 'chdir /nothing: no such file or directory',
      logLine:
        'IMAGE\tLaunch error: chdir /nothing: no such file or directory\tEntrypoint: [tool,first]\tCmd: [second]\tWorkingDir: [/nothing]',
    });
    await expect(imageProgram(root, config(), { workingDirectory: '/app/run' })).rejects.toMatchObject({
      message: 'chdir /app/run: not a directory',
    });
  });

  it('never is a file outside of the root', async () => {
    const root = await rootOf([...standard, { path: 'app/out', type: 'symlink', target: process.execPath }]);
    await expect(imageProgram(root, config(), { entryPoint: ['/app/out'] })).rejects.toMatchObject({
      message: 'fork/exec /app/out: no such file or directory',
    });
    await expect(imageProgram(root, config(), { workingDirectory: '/../../../../tmp' })).rejects.toMatchObject({
      errorType: 'Runtime.InvalidWorkingDir',
    });
  });

  it('needs the dynamic linker that it was built for', async () => {
    const root = await rootOf(standard);
    await copyFile(process.execPath, join(root, 'app/node'));
    const failing = imageProgram(root, config(), { entryPoint: ['/app/node'] });
    await expect(failing).rejects.toMatchObject({ message: 'fork/exec /app/node: no such file or directory' });
  });
});
