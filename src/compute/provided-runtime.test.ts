/** Runtimes that bring their own program, and the script that may stand before those that do not. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SandboxSpec } from '../platform/compute.ts';
import { type ComputeFixture, type Files, invocation, openCompute, zip } from './test-support.ts';

let fixture: ComputeFixture;
beforeAll(async () => {
  fixture = await openCompute();
});
afterAll(() => fixture.close());

async function run(files: Files, spec: Partial<SandboxSpec>, layer?: Files) {
  const code: SandboxSpec['code'] | undefined =
    layer === undefined
      ? undefined
      : {
          kind: 'zip',
          digest: await fixture.blobs.put(await zip(files)),
          layers: [await fixture.blobs.put(await zip(layer))],
        };
  const { sandbox, output } = await fixture.start(files, { ...spec, ...(code === undefined ? {} : { code }) });
  const result = await sandbox.invoke(invocation({ n: 1 }));
  await sandbox.drained();
  await sandbox.close('spindown');
  return { result, output, text: result.payload.toString() };
}

/** A runtime in a shell: one event, one answer with `$answer`. */
const shell = (answer: string): string => `#!/bin/bash
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime
while true; do
  id=$(curl -sS -D - -o /dev/null "$api/invocation/next" | tr -d '\\r' | sed -n 's/^lambda-runtime-aws-request-id: //Ip')
  curl -sS -o /dev/null -d "${answer}" "$api/invocation/$id/response"
done
`;

describe('provided', () => {
  it('runs the bootstrap of the package, else that of a layer', async () => {
    const spec = { runtime: 'provided.al2023', handler: 'x' };
    const layer = { bootstrap: shell('\\"layer $_HANDLER\\"') };
    expect((await run({ 'a.txt': '' }, spec, layer)).text).toBe('"layer x"');
    expect((await run({ bootstrap: shell('\\"package\\"') }, spec, layer)).text).toBe('"package"');
    expect((await run({ 'a.txt': '' }, spec)).text).toContain(
      "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
    );
  });
});

describe('go1.x', () => {
  it('runs the program that the handler names', async () => {
    const { text } = await run(
      { 'main.sh': shell('\\"$AWS_EXECUTION_ENV\\"') },
      { runtime: 'go1.x', handler: 'main.sh' },
    );
    expect(text).toBe('"AWS_Lambda_go1.x"');
  });

  it('says which program is not there', async () => {
    const { result, text } = await run({ 'a.txt': '' }, { runtime: 'go1.x', handler: 'main' });
    expect(result).toMatchObject({ outcome: 'error', errorType: 'Runtime.InvalidEntrypoint', fatal: true });
    expect(text).toContain('fork/exec /var/task/main: no such file or directory');
  });
});

describe('AWS_LAMBDA_EXEC_WRAPPER', () => {
  const files: Files = {
    'index.js': 'exports.handler = async () => [process.env.WRAPPED, process.argv0]',
    'app.py': 'import os\ndef handler(e, c):\n  return os.environ["WRAPPED"]',
    'wrapper.sh': '#!/bin/sh\nexport WRAPPED="$# arguments, first ${1##*/}"\nexec "$@"\n',
    'plain.txt': '',
  };

  it('stands before managed runtimes, in the package or in a layer', async () => {
    const node = await run(files, { environment: { AWS_LAMBDA_EXEC_WRAPPER: '/var/task/wrapper.sh' } });
    expect(JSON.parse(node.text)[0]).toMatch(/^\d+ arguments, first node$/);
    const environment = { AWS_LAMBDA_EXEC_WRAPPER: '/opt/tools/wrapper.sh' };
    const layer = { 'tools/wrapper.sh': '#!/bin/sh\nexport WRAPPED=layer\nexec "$@"\n' };
    const python = await run(files, { runtime: 'python3.11', handler: 'app.handler', environment }, layer);
    expect(python.text).toBe('"layer"');
  });

  it.each([
    ['/opt/none', 127, '/opt/none: does not exist'],
    ['/var/task/plain.txt', 126, '/var/task/plain.txt: is not an executable'],
  ])('complains of %s as AWS’s start scripts do', async (wrapper, exitCode, complaint) => {
    const { result, output, text } = await run(files, { environment: { AWS_LAMBDA_EXEC_WRAPPER: wrapper } });
    expect(result).toMatchObject({ outcome: 'error', errorType: 'Runtime.ExitError', fatal: true });
    expect(text).toContain(`exit status ${exitCode}`);
    expect(output).toContain(complaint);
  });

  it('has no meaning for provided runtimes', async () => {
    const { text } = await run(
      { bootstrap: shell('\\"unwrapped\\"') },
      { runtime: 'provided.al2', environment: { AWS_LAMBDA_EXEC_WRAPPER: '/opt/none' } },
    );
    expect(text).toBe('"unwrapped"');
  });
});
