/** Real images, their layers made of Debian's packages, run with the image's root as theirs. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { FileBlobs } from '../../kernel/blobs/file-blobs.ts';
import { importImage } from './import.ts';
import { type ImageOverrides, imageProgram } from './program.ts';
import { ImageStore, type UnpackedImage } from './store.ts';
import { packageLayer, type TarMember, type TestImage, tar, temporaryFolder, writeImage } from './test-support.ts';

async function unpackedImage(tars: readonly Buffer[], config: TestImage['config']): Promise<UnpackedImage> {
  const folder = await temporaryFolder();
  const blobs = new FileBlobs(join(folder, 'blobs'));
  const { digest } = await importImage(await writeImage(join(folder, 'layout'), tars, config), blobs);
  return new ImageStore({ folder: join(folder, 'images'), blobs }).image(digest);
}

let enter: (root: string, scratch: string) => string[];

beforeAll(() => {
  const bubblewrap = (root: string, scratch: string): string[] => {
    const mounts = ['--ro-bind', root, '/', '--proc', '/proc', '--dev', '/dev', '--bind', scratch, '/tmp'];
    return ['bwrap', '--unshare-pid', '--die-with-parent', ...mounts];
  };
  const works = spawnSync('bwrap', ['--ro-bind', '/', '/', '--proc', '/proc', 'true']).status === 0;
  // Inside some containers only root's older means are to be had; there the root is not read-only.
  enter = works ? bubblewrap : (root) => ['chroot', root];
});

/** Runs what the image runs, to its end. */
async function run(image: UnpackedImage, overrides: ImageOverrides, variables: Record<string, string> = {}) {
  const program = await imageProgram(image.root, image.config, overrides, variables);
  const scratch = join(await temporaryFolder(), 'tmp');
  await mkdir(scratch);
  const [command, ...args] = [...enter(image.root, scratch), program.command, ...program.args] as [string, ...string[]];
  const child = spawn(command, args, {
    env: { ...program.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (piece) => {
    stdout += piece;
  });
  child.stderr.on('data', (piece) => {
    stderr += piece;
  });
  const code = await new Promise((done) => child.on('close', done));
  return { code, stdout, stderr };
}

/** A function that speaks the Runtime API, written for a shell with wget: one event, and it is over. */
const bootstrap = `#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
wget -q -S -O /tmp/event $api/next 2>/tmp/headers
id=$(sed -n 's/^ *[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p' /tmp/headers | tr -d '\\r')
wget -q -O /dev/null --post-data "{\\"got\\":$(cat /tmp/event),\\"arguments\\":\\"$*\\"}" $api/$id/response
`;

const busyboxLinks = ['sh', 'wget', 'sed', 'tr', 'cat'].map((applet): TarMember => {
  return { path: `usr/bin/${applet}`, type: 'symlink', target: '/bin/busybox' };
});

describe('images of Debian packages', () => {
  it('a static busybox with a shell script answers an event over the Runtime API', async () => {
    const image = await unpackedImage(
      [
        packageLayer('busybox-static'),
        tar([...busyboxLinks, { path: 'bin/sh', type: 'symlink', target: 'busybox' }]),
        tar([{ path: 'bootstrap', content: bootstrap, mode: 0o755 }]),
      ],
      { Entrypoint: ['/bootstrap'], Cmd: ['app.handler'], Env: ['PATH=/usr/bin:/bin'] },
    );
    let answer = '';
    const server = createServer((request, response) => {
      if (request.url?.endsWith('/next') === true) {
        response.setHeader('Lambda-Runtime-Aws-Request-Id', 'request-1').end('{"n":1}');
        return;
      }
      request.on('data', (piece) => {
        answer += `${request.url}: ${piece}`;
      });
      request.on('end', () => response.writeHead(202).end());
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    try {
      const api = { AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${(server.address() as AddressInfo).port}` };
      expect(await run(image, {}, api)).toEqual({ code: 0, stdout: '', stderr: '' });
    } finally {
      server.close();
    }
    expect(answer).toBe('/2018-06-01/runtime/invocation/request-1/response: {"got":{"n":1},"arguments":"app.handler"}');
  });

  it('a program linked with its own C library runs over layers of several packages, and the image has nothing else', async () => {
    const links = ['bin', 'lib', 'lib64', 'sbin'].map(
      (name): TarMember => ({ path: name, type: 'symlink', target: `usr/${name}` }),
    );
    const image = await unpackedImage(
      [
        tar([{ path: 'usr/lib/' }, { path: 'usr/lib64/' }, { path: 'usr/bin/' }, { path: 'usr/sbin/' }, ...links]),
        packageLayer('libc6'),
        packageLayer('dash'),
        tar([{ path: 'data/hello', content: 'hello from the image\n' }]),
      ],
      { Entrypoint: ['dash', '-c'], Cmd: ['exit 3'], WorkingDir: '/data' },
    );
    expect((await run(image, {})).code).toBe(3);
    const read =
      'while read line; do echo "$line"; done < /data/hello; test -e /etc/passwd && echo "the host is in sight"';
    expect(await run(image, { command: [read] })).toMatchObject({ stdout: 'hello from the image\n' });
    await expect(imageProgram(image.root, image.config, { entryPoint: ['bash'] })).rejects.toMatchObject({
      message: 'exec: "bash": executable file not found in $PATH',
    });
  });

  it('a program whose C library was left out is refused before it starts, as on AWS', async () => {
    const image = await unpackedImage([packageLayer('dash')], { Entrypoint: ['/bin/dash'] });
    await expect(imageProgram(image.root, image.config)).rejects.toMatchObject({
      message: 'fork/exec /bin/dash: no such file or directory',
    });
  });
});
