import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../kernel/clock/virtual.ts';
import { WallClock } from '../../kernel/clock/wall.ts';
import { invocation } from '../test-support.ts';
import { closeEnvironments, echoProgram, type Started, startEnvironment, until } from './test-support.ts';

const clock = new WallClock();
afterEach(closeEnvironments);

const notes = ({ folder }: Started): string[] => {
  const path = join(folder, 'notes');
  return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : [];
};

/** Registers for both events, notes each, and spends `event.work` milliseconds on an invocation. */
const listener = (name: string, onShutdown = 'process.exit(0)'): string => `
  await register('${name}', ['INVOKE', 'SHUTDOWN']);
  note('${name} registered');
  for (;;) {
    const event = await nextEvent();
    note('${name} ' + JSON.stringify(event));
    if (event.eventType === 'SHUTDOWN') { ${onShutdown} }
  }`;

const parse = (line: string): Record<string, unknown> => JSON.parse(line.slice(line.indexOf('{')));

describe('external extensions', () => {
  it('start before the runtime, hear of invocations and of the end, and write to the function’s log', async () => {
    const started = await startEnvironment({
      program: `note('runtime starts'); ${echoProgram}`,
      extensions: { first: `await sleep(100); console.log('hello'); ${listener('first')}`, second: listener('second') },
    });
    const { sandbox, output } = started;
    const invoked = invocation({ n: 1 });
    const calledAtMs = clock.now();
    const result = await sandbox.invoke(invoked);
    expect(result).toMatchObject({ outcome: 'response', payload: Buffer.from('{"n":1}') });
    await sandbox.close('spindown');
    const lines = notes(started);
    expect(lines.slice(0, 3).sort()).toEqual(['first registered', 'runtime starts', 'second registered']);
    expect(lines[2]).toBe('runtime starts');
    const events = lines
      .slice(3)
      .filter((line) => line.startsWith('first'))
      .map(parse);
    expect(events).toMatchObject([
      {
        eventType: 'INVOKE',
        requestId: invoked.requestId,
        invokedFunctionArn: invoked.invokedFunctionArn,
        tracing: { type: 'X-Amzn-Trace-Id', value: invoked.traceHeader },
      },
      { eventType: 'SHUTDOWN', shutdownReason: 'spindown' },
    ]);
    expect(Object.keys(events[0]!)).toEqual(['eventType', 'deadlineMs', 'requestId', 'invokedFunctionArn', 'tracing']);
    expect(events[0]!['deadlineMs']).toBeGreaterThanOrEqual(calledAtMs + 10_000);
    expect(lines.filter((line) => line.startsWith('second'))).toHaveLength(3);
    expect(output).toContain('hello');
  });

  it('hold up the next invocation, not the answer', async () => {
    const started = await startEnvironment({
      program: echoProgram,
      extensions: {
        slow: `await register('slow', ['INVOKE']);
          for (;;) { await nextEvent(); note('begins'); await sleep(400); note('ends'); }`,
      },
    });
    const { sandbox } = started;
    await sandbox.invoke(invocation(1));
    const answeredAtMs = clock.elapsed();
    expect(notes(started)).not.toContain('ends');
    await sandbox.invoke(invocation(2));
    expect(clock.elapsed() - answeredAtMs).toBeGreaterThan(300);
    await until(() => notes(started).length >= 3);
    expect(notes(started).slice(0, 3)).toEqual(['begins', 'ends', 'begins']);
  });

  it('that are not registered for invocations do not hear of them', async () => {
    const started = await startEnvironment({
      program: echoProgram,
      extensions: {
        quiet: `await register('quiet', ['SHUTDOWN']); note((await nextEvent()).eventType); process.exit(0);`,
      },
    });
    for (let n = 0; n < 3; n++) await started.sandbox.invoke(invocation(n));
    expect(notes(started)).toEqual([]);
    await started.sandbox.close('spindown');
    expect(notes(started)).toEqual(['SHUTDOWN']);
  });

  it('belong to the initialisation, and to its limit', async () => {
    const { sandbox, inits } = await startEnvironment({
      program: echoProgram,
      extensions: { slow: `await register('slow', []); await sleep(600); await nextEvent();` },
    });
    const result = await sandbox.invoke(invocation(1));
    expect(inits).toMatchObject([{ phase: 'init', status: 'success' }]);
    expect(inits[0]!.durationMs).toBeGreaterThan(590);
    expect(result.stats.initMs).toBe(inits[0]!.durationMs);
  });

  it('are covered by the function’s time, and told why it ends', async () => {
    const started = await startEnvironment({
      program: echoProgram,
      spec: { timeoutMs: 2_500 },
      extensions: {
        hangs: `await register('hangs', ['INVOKE']); await nextEvent(); await sleep(60_000);`,
        told: listener('told'),
      },
    });
    const { sandbox, inits } = started;
    expect(await sandbox.invoke(invocation(1))).toMatchObject({ outcome: 'response' });
    await until(() => notes(started).some((line) => line.includes('"shutdownReason":"timeout"')));
    // A new run of all of it serves the next invocation.
    expect(await sandbox.invoke(invocation(2))).toMatchObject({ outcome: 'response' });
    expect(inits.map(({ phase, status }) => `${phase} ${status}`)).toEqual(['init success', 'invoke success']);
  });

  it('have two seconds to end, and the runtime is asked to first', async () => {
    const started = await startEnvironment({
      program: `process.on('SIGTERM', () => { note('runtime asked'); process.exit(0); }); ${echoProgram}`,
      extensions: { stays: listener('stays', `await sleep(60_000);`) },
    });
    const { sandbox } = started;
    await sandbox.invoke(invocation(1));
    const closedAtMs = clock.now();
    await sandbox.close('failure');
    const tookMs = clock.now() - closedAtMs;
    expect(tookMs).toBeGreaterThan(1_900);
    expect(tookMs).toBeLessThan(8_000);
    const lines = notes(started);
    const asked = lines.indexOf('runtime asked');
    expect(lines[asked + 1]).toContain('SHUTDOWN');
    const shutdown = parse(lines[asked + 1]!);
    expect(shutdown).toMatchObject({ shutdownReason: 'failure' });
    expect(shutdown['deadlineMs']).toBeGreaterThanOrEqual(closedAtMs + 1_990);
    expect(shutdown['deadlineMs']).toBeLessThan(closedAtMs + 2_200);
  });

  it('that time out in an invocation leave its caller with AWS’s error at once', async () => {
    const started = await startEnvironment({
      program: `const { id } = await next(); await sleep(60_000);`,
      spec: { timeoutMs: 500 },
      extensions: { stays: listener('stays', `await sleep(60_000);`) },
    });
    const result = await started.sandbox.invoke(invocation(1));
    expect(result).toMatchObject({ errorType: 'Sandbox.Timedout', fatal: true, timedOut: true });
    expect(result.stats.durationMs).toBeLessThan(2_400);
    await until(() => notes(started).some((line) => line.includes('"shutdownReason":"timeout"')));
  });
});

describe('under virtual time', () => {
  it('an end takes the real time that it is given', async () => {
    const virtual = new VirtualClock(1_000_000);
    const started = await startEnvironment({
      program: echoProgram,
      extensions: { stays: listener('stays', `await sleep(60_000);`) },
      clock: virtual,
    });
    await started.sandbox.invoke(invocation(1));
    await until(() => virtual.status().busy === 0);
    const closedAtMs = clock.elapsed();
    await started.sandbox.close('spindown');
    expect(clock.elapsed() - closedAtMs).toBeGreaterThan(1_800);
    expect(notes(started).at(-1)).toContain('SHUTDOWN');
    expect(virtual.status().busy).toBe(0);
  });
});

describe('an extension that fails', () => {
  const failure = async (extension: string, program = echoProgram) => {
    const started = await startEnvironment({ program, extensions: { bad: extension } });
    const request = invocation(1);
    const result = await started.sandbox.invoke(request);
    const body = JSON.parse(result.payload.toString()) as Record<string, unknown>;
    return { ...started, result, body, requestId: request.requestId };
  };

  it('in its initialisation fails that, once and again', async () => {
    const { result, body, inits, requestId } = await failure('process.exit(4);');
    expect(result).toMatchObject({ errorType: 'Extension.Crash', fatal: true });
    expect(body).toEqual({
      errorType: 'Extension.Crash',
      errorMessage: `RequestId: ${requestId} Error: exit status 4`,
    });
    expect(inits).toMatchObject([
      { phase: 'init', status: 'error', errorType: 'Extension.Crash' },
      { phase: 'invoke', status: 'error', errorType: 'Extension.Crash' },
    ]);
  });

  it('and has said so is known by what it reported', async () => {
    const report = (path: string) =>
      `await register('bad', ['INVOKE']);
       const { status } = await side('POST', '/2020-01-01/extension/${path}', { 'Lambda-Extension-Function-Error-Type': 'Extension.Odd' }, '{}');
       process.exit(status === 202 ? 1 : 99);`;
    expect((await failure(report('init/error'))).body['errorType']).toBe('Extension.InitError');
    const { body } = await failure(report('exit/error'));
    expect(body['errorType']).toBe('Extension.ExitError');
    expect(body['errorMessage']).toMatch(/ Error: exit status 1$/);
  });

  it('in the middle of an invocation fails that', async () => {
    const crash = await failure(
      `await register('bad', ['INVOKE']); await nextEvent(); process.kill(process.pid, 'SIGSEGV'); await sleep(9_000);`,
      `for (;;) { await next(); await sleep(60_000); }`,
    );
    expect(crash.body['errorMessage']).toMatch(/ Error: signal: segmentation fault$/);
    const clean = await failure(
      `await register('bad', ['INVOKE']); await nextEvent(); process.exit(0);`,
      `for (;;) { await next(); await sleep(60_000); }`,
    );
    expect(clean.result).toMatchObject({ errorType: 'Extension.Crash', fatal: true });
    expect(clean.body['errorMessage']).toMatch(/ Error: exit code 0$/);
  });

  it('to start says why', async () => {
    const started = await startEnvironment({ program: echoProgram, extensions: { bad: '' }, executable: false });
    const request = invocation(1);
    const unfit = await started.sandbox.invoke(request);
    expect(JSON.parse(unfit.payload.toString())).toEqual({
      errorType: 'Extension.LaunchError',
      errorMessage: `RequestId: ${request.requestId} Error: fork/exec ${started.folder}/bad: permission denied`,
    });
    const many = Object.fromEntries(
      Array.from({ length: 11 }, (_, n) => [`e${n}`, `await register('e${n}', []); await nextEvent();`]),
    );
    const { sandbox } = await startEnvironment({ program: echoProgram, extensions: many });
    const result = await sandbox.invoke(invocation(1));
    expect(result).toMatchObject({ errorType: 'Extension.LaunchError', fatal: true });
  });
});

describe('internal extensions', () => {
  const program = `
    const answer = await register('inside', ['INVOKE'], { 'Lambda-Extension-Accept-Feature': 'accountId' });
    console.log(answer.status + ' ' + answer.body);
    (async () => { for (;;) { const event = await nextEvent(); note(event.eventType); await sleep(150); note('done'); } })();
    ${echoProgram}`;

  it('register from the runtime, and are waited for', async () => {
    const started = await startEnvironment({ program });
    const { sandbox, output } = started;
    await sandbox.invoke(invocation(1));
    expect(JSON.parse(output[0]!.slice(4))).toEqual({
      accountId: '123456789012',
      functionName: 'under-test',
      functionVersion: '$LATEST',
      handler: 'index.handler',
    });
    await sandbox.invoke(invocation(2));
    await until(() => notes(started).length >= 3);
    expect(notes(started).slice(0, 3)).toEqual(['INVOKE', 'done', 'INVOKE']);
  });

  it('give the runtime a moment to end', async () => {
    const started = await startEnvironment({
      program: `process.on('SIGTERM', async () => { await sleep(5); note('asked'); process.exit(0); });
        await register('inside', []); nextEvent(); ${echoProgram}`,
    });
    await started.sandbox.invoke(invocation(1));
    await started.sandbox.close('spindown');
    expect(notes(started)).toEqual(['asked']);
  });
});

describe('the Extensions API', () => {
  it('refuses in AWS’s words', async () => {
    const { output } = await startEnvironment({
      program: `
        const tell = ({ status, body }) => console.log(status + ' ' + body.trim());
        const path = '/2020-01-01/extension/';
        tell(await register('', ['INVOKE']));
        tell(await register('inside', ['SHUTDOWN']));
        tell(await register('inside', ['OTHER']));
        tell(await call('POST', path + 'register', { 'Lambda-Extension-Name': 'x' }, '{"configurationKeys":["a"]}'));
        tell(await call('GET', path + 'event/next'));
        tell(await call('GET', path + 'event/next', { 'Lambda-Extension-Identifier': 'x' }));
        const unknown = '00000000-0000-4000-8000-000000000000';
        tell(await call('GET', path + 'event/next', { 'Lambda-Extension-Identifier': unknown }));
        tell(await register('outside', []));
        await register('inside', []);
        tell(await side('POST', path + 'init/error'));
        tell(await side('POST', path + 'exit/error', { 'Lambda-Extension-Function-Error-Type': 'A.B' }, '{}'));
        tell(await side('GET', path + 'event/next'));
        tell(await register('inside', []));
        tell(await call('DELETE', path + 'register'));
        tell(await call('GET', path + 'other'));
        for (let n = 0; n < 9; n++) {
          const answer = await register('n' + n, []);
          if (answer.status !== 200) tell(answer);
        }
        console.log('end');
        await sleep(60_000);`,
      extensions: { outside: `await register('outside', ['INVOKE']); for (;;) await nextEvent();` },
    });
    await until(() => output.at(-1) === 'end');
    const refusal = (errorType: string, errorMessage: string) => `403 ${JSON.stringify({ errorMessage, errorType })}`;
    const transition = (from: string, to: string, extension: string) =>
      `State transition from ${from} to ${to} failed for extension ${extension}. Error: State transition is not allowed`;
    const id = /extension ([0-9a-f-]{36})\. /.exec(output[10]!)?.[1] ?? 'none';
    const registered = output[7]!.includes('from Ready') ? 'Ready' : 'Registered';
    expect(output).toEqual([
      refusal('Extension.InvalidExtensionName', 'Empty extension name'),
      refusal('Extension.InvalidEventType', 'SHUTDOWN: ShutdownEventNotSupportedForInternalExtension'),
      refusal('Extension.InvalidEventType', 'OTHER: ErrorInvalidEventType'),
      refusal('InvalidRequestFormat', 'configurationKeys are deprecated; use environment variables instead'),
      refusal('Extension.MissingExtensionIdentifier', 'Missing Lambda-Extension-Identifier header'),
      refusal('Extension.InvalidExtensionIdentifier', 'Invalid Lambda-Extension-Identifier'),
      refusal('Extension.UnknownExtensionIdentifier', 'Unknown extension 00000000-0000-4000-8000-000000000000'),
      refusal('Extension.InvalidExtensionState', transition(registered, 'Registered', 'outside')),
      refusal('Extension.MissingHeader', 'Lambda-Extension-Function-Error-Type not found'),
      '202 {"status":"OK"}',
      refusal('Extension.InvalidExtensionState', transition('ExitError', 'Ready', id)),
      refusal('Extension.InvalidExtensionState', 'Extension with this name already registered'),
      '405 ',
      '404 404 page not found',
      refusal('Extension.TooManyExtensions', 'Extension limit (10) reached'),
      'end',
    ]);
  });

  it('takes no more registrations after the initialisation', async () => {
    const { sandbox, output } = await startEnvironment({
      program: `for (;;) { const { id } = await next(); const { status, body } = await register('late', []); console.log(status + ' ' + body.trim()); await respond(id, 'x'); }`,
    });
    await sandbox.invoke(invocation(1));
    await sandbox.drained();
    expect(output).toEqual([
      '403 {"errorMessage":"Extension registration closed already","errorType":"Extension.RegistrationClosed"}',
    ]);
  });
});
