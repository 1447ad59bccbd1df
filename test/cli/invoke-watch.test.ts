import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UpdateFunctionConfigurationCommand } from '@aws-sdk/client-lambda';
import { build as bundle } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { zipFiles } from '../../src/services/lambda/rules/package.ts';
import { createFunction } from './functions.ts';
import { build, cleanUp, pause, RunningCli, startCli, temporaryFolder, unkai, unkaiJson, until } from './support.ts';

let cloud: Awaited<ReturnType<typeof startCli>>;
const running: RunningCli[] = [];
beforeAll(async () => {
  await build();
  cloud = await startCli(['--ephemeral']);
}, 60_000);
afterAll(async () => {
  await Promise.all(running.map((each) => each.end('SIGKILL')));
  await cleanUp();
});

function run(...args: string[]): RunningCli {
  const started = new RunningCli([...args, '--endpoint', cloud.endpoint]);
  running.push(started);
  return started;
}

it('invokes again when the configuration or the event changes, and not otherwise', { timeout: 60_000 }, async () => {
  const zip = zipFiles({
    'index.js': `exports.handler = async (event) => {
      if (event.fail) throw new Error('as asked');
      return (process.env.WORD ?? 'nothing') + ' ' + event.name;
    };`,
  });
  const lambda = await createFunction(cloud.endpoint, 'greeter', zip);
  const event = join(await temporaryFolder(), 'event.json');
  await writeFile(event, '{"name":"one"}');
  const watching = run('invoke', 'greeter', '--watch', '--event', event, '--json');
  const documents = () =>
    watching.stdout
      .split('\n')
      .filter((line) => line !== '')
      .map(
        (line) =>
          JSON.parse(line) as { why: string; payload?: string; error?: { code: string }; functionError?: string },
      );
  const nth = (count: number) => until(`${count} answers`, async () => documents().length >= count && documents());
  expect((await nth(1))[0]).toMatchObject({ why: 'first', payload: '"nothing one"' });
  await writeFile(event, '{"name":"two"}');
  expect((await nth(2))[1]).toMatchObject({ why: 'changed event', payload: '"nothing two"' });
  await lambda.send(
    new UpdateFunctionConfigurationCommand({ FunctionName: 'greeter', Environment: { Variables: { WORD: 'Hello' } } }),
  );
  expect((await nth(3))[2]).toMatchObject({ why: 'changed function', payload: '"Hello two"' });
  // What goes wrong is shown, and the next change may mend it.
  await writeFile(event, '{"name":');
  expect((await nth(4))[3]).toMatchObject({ error: { code: 'BadPayload' } });
  await writeFile(event, '{"fail":true}');
  expect((await nth(5))[4]).toMatchObject({ functionError: 'Unhandled' });
  await writeFile(event, '{"name":"three"}');
  expect((await nth(6))[5]).toMatchObject({ payload: '"Hello three"' });
  await pause(1_000);
  expect(documents().length).toBe(6);
  await watching.end('SIGINT');
});

it('follows a TypeScript bundle that `unkai up` follows, and shows errors where the source has them', {
  timeout: 60_000,
}, async () => {
  const folder = await temporaryFolder();
  const source = (text: string): string =>
    `interface Event { readonly name: string }\n\n// A comment that no bundle keeps.\nexport async function handler(event: Event): Promise<string> {\n${text}\n}\n`;
  await mkdir(join(folder, 'dist'));
  const compile = async (text: string): Promise<void> => {
    await writeFile(join(folder, 'hello.ts'), source(text));
    await bundle({
      entryPoints: [join(folder, 'hello.ts')],
      outfile: join(folder, 'dist/index.mjs'),
      bundle: true,
      format: 'esm',
      platform: 'node',
      minify: true,
      sourcemap: 'linked',
    });
  };
  await compile('  return `Hello ${event.name}`;');
  await writeFile(
    join(folder, 'template.yaml'),
    `Transform: AWS::Serverless-2016-10-31
Resources:
  Typed:
    Type: AWS::Serverless::Function
    Properties: { Runtime: nodejs20.x, Handler: index.handler, CodeUri: dist }
`,
  );
  const up = run('up', folder, '--stack', 'typed');
  await until('the watch', async () => up.stderr.includes('watching'));
  const watching = run('invoke', 'Typed', '--watch', '--payload', '{"name":"you"}');
  await watching.printed(/── \d\d:\d\d:\d\d first ─+\n"Hello you"\n/);
  await compile('  throw new Error(`no ${event.name}`);');
  await watching.printed(/changed function ─+\n.*"trace":\[.*hello\.ts:5:9.*\nfailed \(Unhandled\)\n/);
  // The upload behind it brings nothing new, and causes no further invocation.
  await up.printed(/uploaded Typed/);
  await pause(700);
  expect(watching.stdout.match(/──+ \d\d:/g)?.length).toBe(2);
  const { stdout } = await unkai(['logs', 'Typed', '--endpoint', cloud.endpoint]);
  expect(stdout).toMatch(/hello\.ts:5:9/);
  await watching.end('SIGINT');
  await up.end('SIGINT');
  const { data } = await unkaiJson<{ payload: string }>(['invoke', 'Typed', '--endpoint', cloud.endpoint]);
  expect(data).toMatchObject({ error: { code: 'FunctionError' } });
});
