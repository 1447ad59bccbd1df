import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Booted, type BootOptions } from './node-bootstrap-support.ts';

const started: Booted[] = [];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unkai-modules-'));
});
afterEach(async () => {
  for (const booted of started.splice(0)) await booted.close();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function boot(options: BootOptions): Promise<Booted> {
  const booted = await Booted.start(options);
  started.push(booted);
  return booted;
}

/** The answer, or the error, of one invocation or of the start. */
async function answer(options: BootOptions): Promise<unknown> {
  const booted = await boot(options);
  const first = await booted.give('id', {});
  const request = first.method === 'POST' ? first : await booted.request();
  return JSON.parse(request.body.toString());
}

describe('ES modules', () => {
  it.each(['address', 'descriptor'] as const)(
    'may await at their top level, and import each other (%s)',
    async (channel) => {
      const files = {
        'src/package.json': '{"type":"module"}',
        'src/index.js':
          "import { late } from './late.js'; export const handler = async () => [late, import.meta.url.slice(-12)];",
        'src/late.js': 'export const late = await new Promise((resolve) => setTimeout(() => resolve(7), 20));',
      };
      expect(await answer({ files, handler: 'src/index.handler', channel })).toEqual([7, 'src/index.js']);
    },
  );

  it('are loaded once, and without a warning', async () => {
    const files = {
      'index.mjs': `globalThis.count = (globalThis.count ?? 0) + 1; export default 1;
        export const handler = async () => [globalThis.count, (await import(import.meta.url)).handler === handler];`,
    };
    const booted = await boot({ files });
    await booted.give('id', {});
    expect((await booted.request()).body.toString()).toBe('[1,true]');
    expect(booted.output).toBe('');
  });

  it('that throw, or are wrong, fail the start', async () => {
    const thrown = { 'index.mjs': "throw new RangeError('at load'); export const handler = 1;" };
    expect(await answer({ files: thrown })).toMatchObject({ errorType: 'RangeError', errorMessage: 'at load' });
    const late = { 'index.mjs': "await null; throw new RangeError('late'); export const handler = 1;" };
    expect(await answer({ files: late })).toMatchObject({ errorType: 'RangeError', errorMessage: 'late' });
    const absent = { 'index.mjs': "import 'absent-package'; export const handler = 1;" };
    expect(await answer({ files: absent })).toMatchObject({
      errorType: 'Error',
      errorMessage: expect.stringMatching(/^Cannot find package 'absent-package' imported from /),
    });
  });
});

describe('NODE_PATH', () => {
  const packages = () => join(folder, 'layer/nodejs/node_modules');
  const environment = () => ({ NODE_PATH: `/nowhere:${packages()}` });
  beforeAll(async () => {
    await mkdir(join(packages(), 'esm-only/lib'), { recursive: true });
    await writeFile(
      join(packages(), 'esm-only/package.json'),
      '{"name":"esm-only","type":"module","exports":{".":"./lib/main.js"}}',
    );
    await writeFile(join(packages(), 'esm-only/lib/main.js'), "export const name = 'from the layer';");
    await mkdir(join(packages(), '@scope/cjs'), { recursive: true });
    await writeFile(join(packages(), '@scope/cjs/index.js'), "exports.name = 'scoped';");
  });

  it('is searched by require and by import', async () => {
    const cjs = { 'index.js': "exports.handler = async () => require('@scope/cjs').name;" };
    expect(await answer({ files: cjs, environment: environment() })).toBe('scoped');
    const code = (imports: string) => ({
      'index.mjs': `${imports} export const handler = async () => [name, late.name];`,
    });
    const files = code("import { name } from 'esm-only'; const late = await import('@scope/cjs');");
    expect(await answer({ files, environment: environment() })).toEqual(['from the layer', 'scoped']);
    const only = { 'index.mjs': "import { name } from 'esm-only'; export const handler = async () => name;" };
    expect(await answer({ files: only, environment: environment() })).toBe('from the layer');
    const preloaded = { ...environment(), NODE_OPTIONS: '--import=data:text/javascript,' };
    expect(await answer({ files: only, environment: preloaded })).toBe('from the layer');
    const absent = code("import { name } from 'absent-package'; const late = {};");
    expect(await answer({ files: absent, environment: environment() })).toMatchObject({
      errorMessage: expect.stringContaining("Cannot find package 'absent-package' imported from "),
    });
  });

  it('is searched for what a CommonJS handler imports', async () => {
    const files = { 'index.js': "exports.handler = async () => (await import('esm-only')).name;" };
    expect(await answer({ files, environment: environment() })).toBe('from the layer');
  });

  it('needs no hooks where a folder above the module leads to the same packages', async () => {
    const hooks = "process.moduleLoadList.includes('NativeModule internal/modules/esm/hooks')";
    const files = {
      'task/index.mjs': `import { name } from 'esm-only'; export const handler = async () => [name, ${hooks}];`,
    };
    const inside = await mkdtemp(join(folder, 'root-'));
    await mkdir(join(inside, 'task'));
    await writeFile(join(inside, 'task/index.mjs'), files['task/index.mjs']);
    await symlink(packages(), join(inside, 'node_modules'));
    const task = join(inside, 'task');
    const linked = { ...environment(), LAMBDA_TASK_ROOT: task };
    expect(await answer({ files: {}, environment: linked })).toEqual(['from the layer', false]);
    expect(await answer({ files, handler: 'task/index.handler', environment: environment() })).toEqual([
      'from the layer',
      true,
    ]);
  });
});

describe('source maps', () => {
  const source = [
    'interface Event { readonly name: string }',
    '',
    'function refuse(event: Event): never {',
    '  throw new RangeError(`no ${event.name}`);',
    '}',
    '',
    'export async function handler(event: Event): Promise<void> {',
    '  const known = new Error("known");',
    '  console.error(known);',
    '  refuse(event);',
    '}',
  ].join('\n');

  async function bundle(options: { sourcemap: 'linked' | 'inline' | false; format: 'cjs' | 'esm' }) {
    await writeFile(join(folder, 'handler.ts'), source);
    const { outputFiles } = await build({
      entryPoints: { index: join(folder, 'handler.ts') },
      outdir: join(folder, 'out'),
      bundle: true,
      minify: true,
      platform: 'node',
      write: false,
      sourcesContent: false,
      outExtension: { '.js': options.format === 'esm' ? '.mjs' : '.js' },
      ...options,
    });
    return Object.fromEntries(outputFiles.map(({ path, text }) => [path.slice(path.lastIndexOf('/') + 1), text]));
  }

  it.each([
    ['linked', 'cjs'],
    ['linked', 'esm'],
    ['inline', 'cjs'],
    ['inline', 'esm'],
  ] as const)('show the original positions, in answers and in the log (%s, %s)', async (sourcemap, format) => {
    const booted = await boot({ files: await bundle({ sourcemap, format }) });
    await booted.give('id', { name: 'Ada' });
    const { trace } = JSON.parse((await booted.request()).body.toString()) as { trace: string[] };
    expect(trace[0]).toBe('RangeError: no Ada');
    expect(trace[1]).toMatch(/handler\.ts:4:9\)?$/);
    expect(trace[2]).toMatch(/handler\.ts:10:3\)?$/);
    await booted.until(() => /ERROR\tError: known\0 {4}at .*handler\.ts:8:17/.test(booted.output));
  });

  it('change nothing where there is none, and nothing for the functions of others', async () => {
    const plain = await boot({ files: await bundle({ sourcemap: false, format: 'cjs' }) });
    await plain.give('id', { name: 'Ada' });
    const { trace } = JSON.parse((await plain.request()).body.toString()) as { trace: string[] };
    expect(trace[1]).toMatch(/index\.js:1:\d+\)$/);
    const files = { 'index.js': 'exports.handler = async () => Error.prepareStackTrace?.name ?? "none";' };
    expect(await answer({ files })).toMatch(/^(none|ErrorPrepareStackTrace)$/);
    const lost = {
      'index.js': "exports.handler = async () => { throw new Error('x'); };\n//# sourceMappingURL=gone.js.map",
    };
    const { trace: unmapped } = (await answer({ files: lost })) as { trace: string[] };
    expect(unmapped[1]).toMatch(/index\.js:1:\d+\)$/);
  });

  it('show where code failed to load', async () => {
    await writeFile(join(folder, 'broken.ts'), '\n\nthrow new RangeError("at load");\nexport const handler = 1;');
    const options = {
      entryPoints: { index: join(folder, 'broken.ts') },
      outdir: join(folder, 'out'),
      write: false,
    } as const;
    const { outputFiles } = await build({
      ...options,
      format: 'cjs',
      minify: true,
      sourcemap: 'linked',
      sourcesContent: false,
    });
    const files = Object.fromEntries(
      outputFiles.map(({ path, text }) => [path.slice(path.lastIndexOf('/') + 1), text]),
    );
    const { trace } = (await answer({ files })) as { trace: string[] };
    expect(trace[1]).toMatch(/broken\.ts:3:7/);
  });
});

describe('a debugger', () => {
  it('is waited for before anything of the function is loaded', async () => {
    const files = {
      'index.js': "console.log('loaded'); exports.handler = async () => process.env.UNKAI_INSPECT ?? 'hidden';",
    };
    const booted = await boot({ files, environment: { UNKAI_INSPECT: '127.0.0.1:0' } });
    await booted.until(() => /ws:\/\/127\.0\.0\.1:\d+\/\S+/.test(booted.output));
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(booted.output).not.toContain('loaded');
    const [, port, path] = /ws:\/\/127\.0\.0\.1:(\d+)(\/\S+)/.exec(booted.output)!;
    const debuggerSocket = connect(Number(port), '127.0.0.1');
    debuggerSocket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
    await new Promise((resolve) => debuggerSocket.once('data', resolve));
    // A masked text frame (RFC 6455) whose mask is zero.
    const message = Buffer.from('{"id":1,"method":"Runtime.runIfWaitingForDebugger"}');
    debuggerSocket.write(Buffer.concat([Buffer.from([0x81, 0x80 | message.length, 0, 0, 0, 0]), message]));
    await booted.give('id', {});
    expect((await booted.request()).body.toString()).toBe('"hidden"');
    await booted.until(() => booted.output.includes('loaded'));
    debuggerSocket.destroy();
  });
});
