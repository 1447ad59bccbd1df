import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../support/unkai.ts';

const template = (answer: string): string => `
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs20.x
      Handler: index.handler
      CodeUri: code/
      Environment: { Variables: { FROM_TEMPLATE: ${answer} } }
      Events:
        Get: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: / } }
`;
const code = (answer: string): string =>
  `export const handler = async () => '${answer} ' + process.env.FROM_TEMPLATE;\n`;

let folder: string;
let child: ChildProcess;
let out = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unkai-up-'));
  await mkdir(join(folder, 'code'));
  await writeFile(join(folder, 'template.yaml'), template('one'));
  await writeFile(join(folder, 'code/index.mjs'), code('first'));
  child = spawn(process.execPath, ['bin/unkai', 'up', folder, '--stack', 'app', '--port', '0', '--ephemeral'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
  }
});
afterAll(async () => {
  child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

it('starts, deploys and follows code and template, until it is interrupted', async () => {
  await eventually(
    'the watch',
    async () => out,
    (text) => text.includes('watching'),
  );
  const api = /http:\/\/127\.0\.0\.1:\d+\/_aws\/execute-api\/\w+/.exec(out)![0];
  const answer = async (): Promise<string> => (await fetch(`${api}/`)).text();
  expect(await answer()).toBe('first one');

  await writeFile(join(folder, 'code/index.mjs'), code('second'));
  await eventually('the new code', answer, (text) => text === 'second one');
  // The line comes after the new code answers: it is printed once Lambda has said that the update is done.
  const replaced = await eventually(
    'the line that says so',
    async () => /replaced Hello in (\d+) ms/.exec(out),
    (line) => line !== null,
  );
  expect(Number(replaced![1])).toBeLessThan(1000);

  await writeFile(join(folder, 'template.yaml'), template('two'));
  await eventually('the new template', answer, (text) => text === 'second two');

  await writeFile(join(folder, 'template.yaml'), 'Resources: { Hello: { Type: AWS::No::Such } }');
  await eventually(
    'the refusal',
    async () => out,
    (text) => text.includes('error') && text.includes('AWS::No::Such'),
  );
  expect(await answer()).toBe('second two');

  await writeFile(join(folder, 'template.yaml'), template('three'));
  await eventually('the mended template', answer, (text) => text === 'second three');

  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill('SIGINT');
  expect(await ended).toBe(0);
}, 120_000);
