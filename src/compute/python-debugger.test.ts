/** A function that waits for a debugger, and a client of the Debug Adapter Protocol that sets a breakpoint in it. */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { WallClock } from '../kernel/clock/wall.ts';
import { type ComputeFixture, invocation, openCompute } from './test-support.ts';

const debugpy = fileURLToPath(new URL('../../node_modules/.cache/debugpy', import.meta.url));
const saved = process.env['PYTHONPATH'];
let fixture: ComputeFixture;
beforeAll(async () => {
  fixture = await openCompute();
});
afterEach(() => {
  if (saved === undefined) delete process.env['PYTHONPATH'];
  else process.env['PYTHONPATH'] = saved;
});
afterAll(() => fixture.close());

const files = { 'app.py': 'def handler(event, context):\n    answer = event["n"] + 1\n    return answer\n' };

it('stops at a breakpoint, past the function’s own time', { timeout: 90_000 }, async () => {
  process.env['PYTHONPATH'] = debugpy;
  const port = await freePort();
  const taskFolder = await mkdtemp(join(fixture.folder, 'task-'));
  await writeFile(join(taskFolder, 'app.py'), files['app.py']);
  const { sandbox } = await fixture.start(files, {
    code: { kind: 'zip', digest: 'in the folder', layers: [], directory: taskFolder },
    runtime: 'python3.11',
    handler: 'app.handler',
    timeoutMs: 1_000,
    debug: { port },
  });
  const answer = sandbox.invoke(invocation({ n: 41 }));
  const client = await attach(port);
  await client.ask('initialize', { adapterID: 'test', pathFormat: 'path' });
  const attached = client.ask('attach', { justMyCode: true });
  await client.event('initialized');
  await client.ask('setBreakpoints', { source: { path: join(taskFolder, 'app.py') }, breakpoints: [{ line: 3 }] });
  await client.ask('configurationDone', {});
  await attached;
  const stopped = await client.event('stopped');
  expect(stopped).toMatchObject({ reason: 'breakpoint' });
  const { threadId } = stopped as { threadId: number };
  const { stackFrames } = (await client.ask('stackTrace', { threadId })) as {
    stackFrames: { id: number; line: number }[];
  };
  expect(stackFrames[0]!.line).toBe(3);
  const seen = await client.ask('evaluate', { expression: 'answer', frameId: stackFrames[0]!.id });
  expect(seen).toMatchObject({ result: '42' });
  // Longer than the function's time-out.
  await new WallClock().sleep(1_500);
  await client.ask('continue', { threadId });
  expect((await answer).payload.toString()).toBe('42');
  client.close();
  await sandbox.close('spindown');
});

it('says what is missing where there is no debugpy', async () => {
  const { sandbox } = await fixture.start(files, {
    runtime: 'python3.11',
    handler: 'app.handler',
    debug: { port: await freePort() },
  });
  const result = await sandbox.invoke(invocation({ n: 1 }));
  expect(result.payload.toString()).toMatch(/debugging needs debugpy: .*python.* -m pip install debugpy/);
  await sandbox.close('spindown');
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Client {
  ask(command: string, args: object): Promise<object>;
  /** The body of the next event of that name, come or to come. */
  event(name: string): Promise<object>;
  close(): void;
}

async function attach(port: number): Promise<Client> {
  const socket = await connected(port);
  const waiting = new Map<string, (body: object) => void>();
  const come = new Map<string, object>();
  const settle = (key: string, body: object): void => {
    const resolve = waiting.get(key);
    waiting.delete(key);
    if (resolve === undefined) come.set(key, body);
    else resolve(body);
  };
  const when = (key: string): Promise<object> => {
    const body = come.get(key);
    come.delete(key);
    return body === undefined ? new Promise((resolve) => waiting.set(key, resolve)) : Promise.resolve(body);
  };
  let buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    buffer = Buffer.concat([buffer, chunk]);
    for (;;) {
      const head = /^Content-Length: (\d+)\r\n\r\n/.exec(buffer.toString('latin1'));
      if (head === null) return;
      const end = head[0].length + Number(head[1]);
      if (buffer.length < end) return;
      const message = JSON.parse(buffer.subarray(head[0].length, end).toString()) as {
        type: string;
        event?: string;
        request_seq?: number;
        body?: object;
      };
      buffer = buffer.subarray(end);
      if (message.type === 'event') settle(`event ${message.event}`, message.body ?? {});
      if (message.type === 'response') settle(`answer ${message.request_seq}`, message.body ?? message);
    }
  });
  let seq = 0;
  return {
    ask(command, args) {
      const body = JSON.stringify({ seq: ++seq, type: 'request', command, arguments: args });
      socket.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
      return when(`answer ${seq}`);
    },
    event: (name) => when(`event ${name}`),
    close: () => socket.destroy(),
  };
}

/** It takes a while until somebody listens. */
async function connected(port: number): Promise<Socket> {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const open = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    if (open) return socket;
    await new WallClock().sleep(50);
  }
}
