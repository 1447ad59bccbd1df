import { afterEach, describe, expect, it } from 'vitest';
import { Booted, type BootOptions } from './node-bootstrap-support.ts';

const started: Booted[] = [];
afterEach(async () => {
  for (const booted of started.splice(0)) await booted.close();
});

async function boot(options: Omit<BootOptions, 'files'> & { readonly code: string }): Promise<Booted> {
  const booted = await Booted.start({ ...options, files: { 'index.js': options.code } });
  started.push(booted);
  return booted;
}

const echo = 'exports.handler = async (event) => event;';
const provisioned = { AWS_LAMBDA_INITIALIZATION_TYPE: 'provisioned-concurrency' };

describe.each([
  ['by address', { channel: 'address' }],
  ['handed down', { channel: 'descriptor' }],
  ['handed down, with no event in sight', { channel: 'descriptor', environment: provisioned }],
] as const)('the connection to the Runtime API, %s', (_name, options) => {
  it('carries events and answers of any size, one after the other', async () => {
    const booted = await boot({ ...options, code: echo });
    for (const size of [1, 3_000_000, 10, 70_000]) {
      const text = 'ü'.repeat(size);
      await booted.give(`id-${size}`, { text });
      const answer = await booted.request();
      expect(answer.path).toBe(`/2018-06-01/runtime/invocation/id-${size}/response`);
      expect(answer.body.toString() === JSON.stringify({ text })).toBe(true);
    }
    expect(booted.output).toBe('');
  });

  it('carries errors, of the handler, of the process and of the start', async () => {
    const failing = await boot({ ...options, code: "exports.handler = async () => { throw new RangeError('r'); };" });
    for (const id of ['id-1', 'id-2']) {
      await failing.give(id, {});
      expect((await failing.request()).headers['lambda-runtime-function-error-type']).toBe('RangeError');
    }
    const crash = "exports.handler = () => new Promise(() => setTimeout(() => { throw new TypeError('t'); }));";
    const crashing = await boot({ ...options, code: crash });
    await crashing.give('id', {});
    expect((await crashing.request()).path).toBe('/2018-06-01/runtime/invocation/id/error');
    expect(await crashing.exited).toBe(129);
    const broken = await boot({ ...options, code: "throw new TypeError('at load');" });
    expect((await broken.request()).path).toBe('/2018-06-01/runtime/init/error');
    expect(await broken.exited).toBe(129);
  });

  it('is not what keeps a handler alive that has nothing left to wait for', async () => {
    const booted = await boot({ ...options, code: 'exports.handler = async () => new Promise(() => {});' });
    for (const id of ['id-1', 'id-2']) {
      await booted.give(id, {});
      expect((await booted.request()).headers['lambda-runtime-function-error-type']).toBe('Runtime.NodeJsExit');
    }
  });

  it('takes the process with it', async () => {
    const booted = await boot({ ...options, code: echo });
    await booted.give('id', {});
    await booted.request();
    booted.disconnect();
    expect(await booted.exited).toBe(1);
  });
});

describe('a connection that was to be handed down', () => {
  it('is made by address where it is not there, and never seen by the function', async () => {
    const code = 'exports.handler = async () => process.env.UNKAI_RUNTIME_API_FD ?? "hidden";';
    const booted = await boot({ code, environment: { UNKAI_RUNTIME_API_FD: '9' } });
    await booted.give('id', {});
    expect((await booted.request()).body.toString()).toBe('"hidden"');
  });

  it('comes after what the module has left to do', async () => {
    const code = `let ready = false; process.nextTick(() => Promise.resolve().then(() => { ready = true; }));
      exports.handler = async () => ready;`;
    const booted = await boot({ code, channel: 'descriptor' });
    await booted.give('id', {});
    expect((await booted.request()).body.toString()).toBe('true');
  });
});
