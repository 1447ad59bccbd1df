import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InvocationResult } from '../platform/compute.ts';
import { type ComputeFixture, type Files, invocation, openCompute } from './test-support.ts';

let fixture: ComputeFixture;
beforeAll(async () => {
  fixture = await openCompute();
});
afterAll(() => fixture.close());

interface RunOptions {
  readonly event?: unknown;
  readonly handler?: string;
  readonly runtime?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly more?: object;
}

/** One function, one event; the sandbox is closed afterwards. */
async function run(files: Files, options: RunOptions = {}) {
  const { handler = 'index.handler', runtime = 'nodejs20.x', environment = {} } = options;
  const { sandbox, output, inits } = await fixture.start(files, { handler, runtime, environment });
  const request = invocation(options.event ?? {}, options.more);
  const result = await sandbox.invoke(request);
  await sandbox.drained();
  const { alive } = sandbox;
  await sandbox.close('spindown');
  return { result, output, inits, alive, body: bodyOf(result), requestId: request.requestId };
}

function bodyOf(result: InvocationResult): Record<string, unknown> {
  return JSON.parse(result.payload.toString()) as Record<string, unknown>;
}

const js = (code: string): Files => ({ 'index.js': code });

describe('handlers', () => {
  it('answers from an async CommonJS handler, and tells how long it took to start', async () => {
    const { result, body, inits } = await run(js('exports.handler = async (event) => ({ echo: event.name });'), {
      event: { name: 'Ada' },
    });
    expect(result.outcome).toBe('response');
    expect(body).toEqual({ echo: 'Ada' });
    expect(result.stats.initMs).toBeGreaterThan(5);
    expect(result.stats.maxMemoryMb).toBeGreaterThan(20);
    expect(inits).toMatchObject([{ phase: 'init', status: 'success' }]);
  });

  it('answers from an ES module, by .mjs and by package type, with top-level await', async () => {
    const code = 'const late = await Promise.resolve(7); export const handler = async () => late;';
    expect((await run({ 'index.mjs': code })).body).toBe(7);
    expect((await run({ 'index.js': code, 'package.json': '{"type":"module"}' })).body).toBe(7);
  });

  it('finds handlers in folders, in nested objects, and in packages', async () => {
    const nested = { 'src/api/users.js': 'exports.routes = { list: async () => "listed" };' };
    expect((await run(nested, { handler: 'src/api/users.routes.list' })).body).toBe('listed');
    const dependency = { 'node_modules/hello/index.js': 'exports.handler = async () => "from a package";' };
    expect((await run(dependency, { handler: 'hello.handler' })).body).toBe('from a package');
  });

  it('answers from a callback, waiting for the event loop to empty unless told not to', async () => {
    const code = (more: string) => `exports.handler = (event, context, callback) => {
      ${more}
      setTimeout(() => console.log('later'), 150);
      callback(null, 'called back');
    };`;
    const waited = await run(js(code('')));
    expect(waited.body).toBe('called back');
    expect(waited.result.stats.durationMs).toBeGreaterThan(140);
    const hurried = await run(js(code('context.callbackWaitsForEmptyEventLoop = false;')));
    expect(hurried.body).toBe('called back');
    expect(hurried.result.stats.durationMs).toBeLessThan(140);
  });

  it('answers null where nothing is returned, and where a callback is never called', async () => {
    expect((await run(js('exports.handler = async () => {};'))).body).toBe(null);
    expect((await run(js('exports.handler = () => {};'))).body).toBe(null);
  });

  it('gives the context that AWS gives', async () => {
    const code = `exports.handler = async (event, c) => ({ ...c, left: c.getRemainingTimeInMillis(), trace: process.env._X_AMZN_TRACE_ID });`;
    const { body, requestId } = await run(js(code), {
      more: { clientContext: '{"custom":{"mood":"fröhlich\u2028"}}', cognitoIdentity: '{"cognitoIdentityId":"id"}' },
    });
    expect(body).toMatchObject({
      awsRequestId: requestId,
      callbackWaitsForEmptyEventLoop: true,
      functionName: 'under-test',
      functionVersion: '$LATEST',
      memoryLimitInMB: '256',
      logGroupName: '/aws/lambda/under-test',
      logStreamName: '2026/11/21/[$LATEST]0123456789abcdef0123456789abcdef',
      invokedFunctionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:under-test',
      clientContext: { custom: { mood: 'fröhlich\u2028' } },
      identity: { cognitoIdentityId: 'id' },
      trace: 'Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0',
    });
    expect(body['left']).toBeGreaterThan(2_000);
    expect(body['left']).toBeLessThanOrEqual(3_000);
  });

  it('takes and gives events of megabytes, and every character', async () => {
    const event = { text: 'Ω😀"\\\u0000\n'.repeat(250_000) };
    const { body } = await run(js('exports.handler = async (event) => event;'), { event });
    expect(body['text'] === event.text).toBe(true);
  });

  it('refuses handlers with a callback from Node.js 24 on', async () => {
    const { body } = await run(js('exports.handler = (event, context, callback) => callback(null, 1);'), {
      runtime: 'nodejs24.x',
    });
    expect(body['errorType']).toBe('Runtime.CallbackHandlerDeprecated');
    expect(fixture.notes.filter((note) => note.includes('nodejs24.x runs on'))).toHaveLength(1);
  });

  it('answers with what a handler streams, and with the error in its middle', async () => {
    const streaming = (body: string) =>
      js(`exports.handler = awslambda.streamifyResponse(async (event, stream) => {${body}});`);
    const { result } = await run(streaming(`stream.write('"a'); stream.write('b'); stream.end('c"');`));
    expect(result).toMatchObject({ outcome: 'response', payload: Buffer.from('"abc"') });
    const failed = await run(streaming("stream.write('a'); await null; throw new RangeError('late');"));
    expect(failed).toMatchObject({ alive: true, body: { errorType: 'RangeError', errorMessage: 'late' } });
  });

  it('says once that callbacks are on their way out, unless told not to', async () => {
    const files = js('exports.handler = (event, context, callback) => callback(null, 1);');
    const { output } = await run(files);
    expect(output.map((line) => line.split('\t').slice(1, 3))).toEqual([['undefined', 'WARN']]);
    expect(output[0]).toContain('AWS Lambda plans to remove support for callback-based function handlers');
    const quiet = await run(files, { environment: { AWS_LAMBDA_NODEJS_DISABLE_CALLBACK_WARNING: '1' } });
    expect(quiet).toMatchObject({ body: 1, output: [] });
  });

  it('takes from Node.js 24 on what the handler returns, and gives it no way to call back', async () => {
    const at24 = (code: string) => run(js(`exports.handler = ${code};`), { runtime: 'nodejs24.x' });
    expect((await at24('() => "at once"')).body).toBe('at once');
    const { body } = await at24('async (event, context) => Object.keys(context)');
    expect(body).toContain('xRayTraceId');
    for (const gone of ['succeed', 'fail', 'done', 'callbackWaitsForEmptyEventLoop']) expect(body).not.toContain(gone);
    expect((await at24('async () => { throw new RangeError("r"); }')).body).toMatchObject({ errorType: 'RangeError' });
  });

  it('leaves to Node.js from 24 on what nobody caught, and what never settles', async () => {
    const at24 = (code: string) => run(js(`exports.handler = ${code};`), { runtime: 'nodejs24.x' });
    const rejected = await at24('() => new Promise(() => { Promise.reject(new Error("lost")); })');
    expect(rejected).toMatchObject({ result: { fatal: true }, body: { errorType: 'Runtime.ExitError' } });
    expect(rejected.output.join('\n')).toContain('Error: lost');
    expect((await at24('async () => new Promise(() => {})')).body['errorType']).toBe('Runtime.ExitError');
  });

  it('honours a handler behind a getter, and a default export from Node.js 24 on', async () => {
    const getter = "Object.defineProperty(exports, 'handler', { get: () => async () => 'got', enumerable: true });";
    expect((await run(js(getter))).body).toBe('got');
    const inDefault = { 'index.mjs': 'export default { handler: async () => "default" };' };
    expect((await run(inDefault, { runtime: 'nodejs24.x' })).body).toBe('default');
    expect((await run(inDefault)).body['errorType']).toBe('Runtime.HandlerNotFound');
  });
});

describe('log lines', () => {
  it('has one event for each call of the console, in the text format', async () => {
    const code = `exports.handler = async () => {
      console.log('plain %d', 1); console.warn('two\\nlines'); console.error(new Error('with stack').message);
      console.debug({ a: 1 }); process.stdout.write('raw, unfinished');
    };`;
    const { output, requestId } = await run(js(code));
    const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t/;
    expect(output.slice(0, 4).every((line) => time.test(line))).toBe(true);
    expect(output.map((line) => line.replace(time, ''))).toEqual([
      `${requestId}\tINFO\tplain 1`,
      `${requestId}\tWARN\ttwo\nlines`,
      `${requestId}\tERROR\twith stack`,
      `${requestId}\tDEBUG\t{ a: 1 }`,
      'raw, unfinished',
    ]);
  });

  it('loses nothing of a huge output, and cuts a huge line', async () => {
    const code = `exports.handler = async () => {
      for (let line = 0; line < 20000; line++) console.log('line ' + line);
      console.log('x'.repeat(700 * 1024));
    };`;
    const { output } = await run(js(code));
    expect(output.filter((line) => line.includes('\tline '))).toHaveLength(20_000);
    const long = output.filter((line) => line.includes('xxx'));
    expect(long.map((line) => line.length)).toEqual([262144, 262144, expect.any(Number)]);
    expect(long.join('').split('\t').at(-1)).toBe('x'.repeat(700 * 1024));
  });

  it('hears what is printed right before the end', async () => {
    const code = `exports.handler = async () => {
      for (let line = 0; line < 3000; line++) console.log('line ' + line);
      process.exit(3);
    };`;
    const { output } = await run(js(code));
    expect(output).toHaveLength(3000);
  });
});

describe('errors of the handler', () => {
  it('gives type, message and trace of what it throws, logs it, and goes on', async () => {
    const code = `class Refused extends Error { constructor(m) { super(m); this.name = 'Refused'; this.code = 42; } }
      let count = 0;
      exports.handler = async () => { count++; if (count === 1) throw new Refused('no\\nway'); return count; };`;
    const { sandbox, output } = await fixture.start(js(code));
    const first = await sandbox.invoke(invocation({}));
    expect(first).toMatchObject({ outcome: 'error', errorType: 'Refused', fatal: false, timedOut: false });
    const body = bodyOf(first);
    expect(body).toMatchObject({ errorType: 'Refused', errorMessage: 'no\nway' });
    expect((body['trace'] as string[])[0]).toBe('Refused: no');
    await sandbox.drained();
    const [, , level, text, json] = output[0]!.split('\t');
    expect([level, text]).toEqual(['ERROR', 'Invoke Error ']);
    expect(JSON.parse(json!)).toMatchObject({ errorType: 'Refused', errorMessage: 'no\nway', code: 42 });
    const second = await sandbox.invoke(invocation({}));
    expect(bodyOf(second)).toBe(2);
    expect(second.stats.initMs).toBeUndefined();
    await sandbox.close('spindown');
  });

  it('takes what is not an Error, a rejected promise, a callback with an error, and a throw before any promise', async () => {
    const thrown = async (code: string) => (await run(js(`exports.handler = ${code};`))).body;
    expect(await thrown("async () => { throw 'text'; }")).toEqual({
      errorType: 'string',
      errorMessage: 'text',
      trace: [],
    });
    expect(await thrown("() => Promise.reject(new TypeError('t'))")).toMatchObject({ errorType: 'TypeError' });
    expect(await thrown("(e, c, cb) => cb(new RangeError('r'))")).toMatchObject({ errorType: 'RangeError' });
    expect(await thrown("(e, c, cb) => { throw new Error('early'); }")).toMatchObject({ errorMessage: 'early' });
    expect(await thrown('async () => { throw undefined; }')).toMatchObject({ errorMessage: 'handled' });
  });

  it('reports an answer that is not JSON', async () => {
    const { body } = await run(js('exports.handler = async () => { const a = {}; a.a = a; return a; };'));
    expect(body).toMatchObject({ errorType: 'Error', errorMessage: 'Unable to stringify response body' });
  });

  it('ends at an unhandled rejection and at an uncaught exception, with the cause', async () => {
    const rejected = await run(
      js("exports.handler = () => new Promise(() => { Promise.reject(new Error('lost')); });"),
    );
    expect(rejected.body).toMatchObject({
      errorType: 'Runtime.UnhandledPromiseRejection',
      errorMessage: 'Error: lost',
    });
    expect((rejected.body['trace'] as string[])[0]).toBe('Runtime.UnhandledPromiseRejection: Error: lost');
    expect(rejected.output[0]).toContain('ERROR\tUnhandled Promise Rejection \t{"errorType":"Runtime.Unhandled');
    const uncaught = await run(
      js("exports.handler = (e, c, cb) => { setTimeout(() => { throw new Error('up'); }, 5); };"),
    );
    expect(uncaught.body).toMatchObject({ errorType: 'Error', errorMessage: 'up' });
    expect(uncaught.output.at(-1)).toContain('ERROR\tUncaught Exception \t{');
  });

  it('reports an async handler whose promise never settles', async () => {
    const { body, alive } = await run(js('exports.handler = async () => new Promise(() => {});'));
    expect(body['errorType']).toBe('Runtime.NodeJsExit');
    expect(alive).toBe(true);
  });
});

describe('functions that cannot start', () => {
  const failing: [string, Files, string, string, RegExp][] = [
    [
      'a missing file',
      { 'other.js': '' },
      'index.handler',
      'Runtime.ImportModuleError',
      /^Error: Cannot find module 'index'/,
    ],
    [
      'a missing module',
      js("require('absent-package');"),
      'index.handler',
      'Runtime.ImportModuleError',
      /^Error: Cannot find module 'absent-package'/,
    ],
    [
      'a syntax error',
      js('exports.handler = async ( => 1;'),
      'index.handler',
      'Runtime.UserCodeSyntaxError',
      /^SyntaxError: /,
    ],
    [
      'a syntax error in a module',
      { 'index.mjs': 'export const handler = ;' },
      'index.handler',
      'Runtime.UserCodeSyntaxError',
      /^SyntaxError: /,
    ],
    [
      'a missing handler',
      js('exports.other = 1;'),
      'index.handler',
      'Runtime.HandlerNotFound',
      /^index\.handler is undefined or not exported$/,
    ],
    [
      'a handler that is no function',
      js('exports.handler = 5;'),
      'index.handler',
      'Runtime.HandlerNotFound',
      /^index\.handler is not a function$/,
    ],
    ['a handler without a dot', js(''), 'index', 'Runtime.MalformedHandlerName', /^Bad handler$/],
    [
      'a handler that climbs',
      js(''),
      '../index.handler',
      'Runtime.MalformedHandlerName',
      /is not a valid handler name/,
    ],
    ['code that throws', js("throw new TypeError('at load');"), 'index.handler', 'TypeError', /^at load$/],
  ];
  it.each(failing)('%s', async (_name, files, handler, errorType, message) => {
    const { result, body, alive, inits, output } = await run(files, { handler });
    expect(result).toMatchObject({ outcome: 'error', errorType, fatal: true, timedOut: false });
    expect(body['errorType']).toBe(errorType);
    expect(body['errorMessage']).toMatch(message);
    // The environment is reset, and stays.
    expect(alive).toBe(true);
    // As on AWS: once at the start, and once more inside the invocation.
    expect(inits.map(({ phase, status }) => `${phase} ${status}`)).toEqual(['init error', 'invoke error']);
    expect(output.filter((line) => line.includes('\tundefined\tERROR\tUncaught Exception \t{'))).toHaveLength(2);
  });
});
