import { mkdir, realpath, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { attachInspector } from './inspector-client.ts';
import { build, cleanUp, RunningCli, startCli, temporaryFolder, unkaiJson, until } from './support.ts';

const template = `
Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Runtime: nodejs20.x, Handler: index.handler, Timeout: 1 } }
Resources:
  Adder:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: adder/ }
  Other:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: other/ }
`;
const adder = (step: number): string =>
  `exports.handler = async (event) => {
  const answer = event.n + ${step};
  return answer;
};
`;

let cloud: Awaited<ReturnType<typeof startCli>>;
let folder: string;
const running: RunningCli[] = [];
beforeAll(async () => {
  await build();
  cloud = await startCli(['--ephemeral']);
  folder = await realpath(await temporaryFolder());
  await writeFile(join(folder, 'template.yaml'), template);
  for (const name of ['adder', 'other']) {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, 'index.js'), adder(1));
  }
}, 60_000);
afterAll(async () => {
  await Promise.all(running.map((each) => each.end('SIGKILL')));
  await cleanUp();
});

function up(...args: string[]): RunningCli {
  const started = new RunningCli(['up', folder, '--stack', 'sums', '--endpoint', cloud.endpoint, ...args]);
  running.push(started);
  return started;
}

const invoke = (name: string, n: number) =>
  unkaiJson<{ payload: string; log: string }>(['invoke', name, '-p', `{"n":${n}}`, '--endpoint', cloud.endpoint]);

it('stops at a breakpoint set by the file that the editor knows, past the function’s own time', {
  timeout: 90_000,
}, async () => {
  const port = await freePort();
  const following = up('--debug', 'Adder', '--debug-port', String(port));
  const [, json] = await following.printed(/^ +(\{.*"attach".*\})$/m);
  expect(JSON.parse(json!)).toMatchObject({
    name: 'Adder',
    type: 'node',
    port,
    localRoot: join(folder, 'adder'),
    remoteRoot: join(folder, 'adder'),
  });
  const source = join(folder, 'adder/index.js');

  // Before anybody has invoked it.
  const debug = await attachInspector(port);
  await debug.send('Runtime.enable');
  await debug.send('Debugger.enable');
  // As editors do: by the file's URL or path, before it is loaded.
  await debug.send('Debugger.setBreakpointByUrl', {
    lineNumber: 2,
    urlRegex: `^(?:${pathToFileURL(source).href}|${source})$`.replaceAll('.', '\\.'),
  });
  await debug.send('Runtime.runIfWaitingForDebugger');
  const answer = invoke('Adder', 41);
  const paused = await debug.event('Debugger.paused');
  const [frame] = paused['callFrames'] as { callFrameId: string; location: { lineNumber: number } }[];
  expect(frame!.location.lineNumber).toBe(2);
  const seen = await debug.send('Debugger.evaluateOnCallFrame', {
    callFrameId: frame!.callFrameId,
    expression: 'answer',
  });
  expect(seen['result']).toMatchObject({ value: 42 });

  // Others wait for it, and are not refused.
  const waiting = invoke('Adder', 1);
  // Longer than the time-out of one second.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  await debug.send('Debugger.resume');
  await debug.event('Debugger.paused');
  await debug.send('Debugger.resume');
  const first = await answer;
  expect(first.data.payload).toBe('42');
  expect(first.data.log).toMatch(/Duration: [2-9]\d{3}\.\d+ ms/);
  expect((await waiting).data.payload).toBe('2');
  debug.close();
  // Without a debugger it just runs.
  expect((await invoke('Adder', 2)).data.payload).toBe('3');

  // Changed code waits for a debugger again.
  await writeFile(source, adder(10));
  await following.printed(/replaced Adder/);
  const again = await attachInspector(port);
  await again.send('Runtime.enable');
  await again.send('Debugger.enable');
  await again.send('Runtime.runIfWaitingForDebugger');
  // Which is not taken away when the package has been uploaded behind it.
  await following.printed(/uploaded Adder/);
  await again.send('Debugger.setBreakpointByUrl', { lineNumber: 2, urlRegex: source.replaceAll('.', '\\.') });
  const changed = invoke('Adder', 2);
  await again.event('Debugger.paused');
  await again.send('Debugger.resume');
  expect((await changed).data.payload).toBe('12');

  // The end of it: no debugger, and nobody hangs.
  expect((await following.end('SIGINT')).code).toBe(0);
  expect((await invoke('Adder', 3)).data.payload).toBe('13');
  again.close();
  await until('the port is free again', () => isFree(port));
});

it('gives each function a port of its own, and passes over those that are taken', { timeout: 60_000 }, async () => {
  const following = up('--debug', 'Adder', '--debug', 'Other', '--json');
  const ports = await until('two ports', async () => {
    const lines = following.stdout.split('\n').filter((line) => line.includes('"debugging"'));
    return lines.length === 2 && lines.map((line) => (JSON.parse(line) as { port: number }).port);
  });
  expect(new Set(ports).size).toBe(2);
  expect(Math.min(...ports)).toBeGreaterThanOrEqual(9229);
  // A function that nobody attaches to ends with `up`, and whoever waits for it is answered.
  const hangs = invoke('Other', 1);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect((await following.end('SIGINT')).code).toBe(0);
  expect((await hangs).data).toMatchObject({ error: { code: 'FunctionError' } });
});

it('says which functions there are', { timeout: 60_000 }, async () => {
  const { code, data } = await unkaiJson<{ error: object }>([
    ...['up', folder, '--stack', 'sums', '--endpoint', cloud.endpoint],
    ...['--debug', 'Nobody'],
  ]).catch((error: Error) => {
    // It prints what it has deployed before.
    const lines = /no JSON: (.*)$/s.exec(error.message)![1]!.trim().split('\n');
    return { code: 1, data: JSON.parse(lines.at(-1)!) as { error: object } };
  });
  expect(code).toBe(1);
  expect(data.error).toMatchObject({ code: 'NoSuchFunction', hint: 'there are: Adder, Other' });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
