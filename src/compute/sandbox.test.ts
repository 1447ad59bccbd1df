import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VirtualClock } from '../kernel/clock/virtual.ts';
import { WallClock } from '../kernel/clock/wall.ts';
import type { SandboxSpec } from '../platform/compute.ts';
import { type ComputeFixture, type Files, invocation, openCompute } from './test-support.ts';

const clock = new WallClock();
let fixture: ComputeFixture;
beforeAll(async () => {
  fixture = await openCompute();
});
afterAll(() => fixture.close());

async function run(files: Files, spec: Partial<SandboxSpec> = {}, event: unknown = {}) {
  const { sandbox, output, inits } = await fixture.start(files, spec);
  const request = invocation(event);
  const result = await sandbox.invoke(request);
  await sandbox.drained();
  const { alive } = sandbox;
  await sandbox.close('spindown');
  const body = JSON.parse(result.payload.toString() || 'null') as Record<string, unknown>;
  return { result, body, output, inits, alive, requestId: request.requestId };
}

const js = (code: string): Files => ({ 'index.js': code });
const bash = (code: string): Files => ({ bootstrap: `#!/bin/bash\n${code}\n` });
const providedRuntime = { runtime: 'provided.al2023' };
const api = 'http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime';

/** A runtime in bash as the developer guide shows it; `answer` has the event in $EVENT, its id in $ID, and $API. */
const bashRuntime = (answer: string): Files =>
  bash(`API="${api}"
while true; do
  HEADERS="$TMPDIR/headers"
  EVENT=$(curl -sS -LD "$HEADERS" "$API/invocation/next")
  ID=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$HEADERS" | tr -d '[:space:]' | cut -d: -f2)
  ${answer}
done`);

describe('ends of a process', () => {
  it('that exits says its status', async () => {
    const { result, body, requestId, alive } = await run(js('exports.handler = () => process.exit(7);'));
    expect(result).toMatchObject({ outcome: 'error', errorType: 'Runtime.ExitError', fatal: true, timedOut: false });
    expect(body).toEqual({
      errorType: 'Runtime.ExitError',
      errorMessage: `RequestId: ${requestId} Error: Runtime exited with error: exit status 7`,
    });
    expect(alive).toBe(true);
  });

  it('is a reset: what lies in /tmp stays, and the next invocation initialises anew', async () => {
    const code = `const { existsSync, writeFileSync } = require('node:fs');
      const mark = process.env.TMPDIR + '/mark';
      exports.handler = async (event) => {
        if (existsSync(mark)) return 'kept';
        writeFileSync(mark, '');
        if (event.hang) for (;;);
        process.exit(1);
      };`;
    for (const event of [{ hang: false }, { hang: true }]) {
      const { sandbox, inits } = await fixture.start(js(code), { timeoutMs: 1_000 });
      expect(await sandbox.invoke(invocation(event))).toMatchObject({ outcome: 'error', fatal: true });
      const second = await sandbox.invoke(invocation(event));
      expect(second.payload.toString()).toBe('"kept"');
      expect(inits.map(({ phase, status }) => `${phase} ${status}`)).toEqual(['init success', 'invoke success']);
      await sandbox.close('spindown');
      expect(sandbox.alive).toBe(false);
    }
  });

  it('that exits with 0 has given no reason', async () => {
    const { body } = await run(js('exports.handler = () => process.exit(0);'));
    expect(body['errorMessage']).toMatch(/ Error: Runtime exited without providing a reason$/);
  });

  it('that crashes names the signal', async () => {
    const crash = (signal: string) =>
      run(js(`exports.handler = () => { process.kill(process.pid, '${signal}'); for (;;); };`));
    expect((await crash('SIGSEGV')).body['errorMessage']).toMatch(
      /Runtime exited with error: signal: segmentation fault$/,
    );
    expect((await crash('SIGABRT')).body['errorMessage']).toMatch(/Runtime exited with error: signal: aborted$/);
    expect((await crash('SIGKILL')).body['errorMessage']).toMatch(/Runtime exited with error: signal: killed$/);
  });

  it('that hangs is killed at its deadline, whether it waits or spins, and all its children with it', async () => {
    const waiting = await run(js('exports.handler = () => new Promise((r) => setTimeout(r, 60000));'), {
      timeoutMs: 1_000,
    });
    expect(waiting.result).toMatchObject({ errorType: 'Sandbox.Timedout', fatal: true, timedOut: true });
    expect(waiting.body).toEqual({
      errorType: 'Sandbox.Timedout',
      errorMessage: `RequestId: ${waiting.requestId} Error: Task timed out after 1.00 seconds`,
    });
    expect(waiting.result.stats.durationMs).toBeGreaterThanOrEqual(995);
    expect(waiting.result.stats.durationMs).toBeLessThan(2_000);
    const spinning = await run(
      js(`exports.handler = () => {
        console.log(String(require('node:child_process').spawn('/bin/sleep', ['1000']).pid));
        for (;;);
      };`),
      { timeoutMs: 1_000 },
    );
    expect(spinning.result).toMatchObject({ timedOut: true });
    expect(runs(Number(spinning.output[0]!.split('\t')[3]))).toBe(false);
  });

  it('behind an answer costs the next invocation only a new start', async () => {
    const code = `exports.handler = async () => { setTimeout(() => process.exit(1), 0); return process.pid; };`;
    const { sandbox } = await fixture.start(js(code));
    const first = await sandbox.invoke(invocation({}));
    const pid = Number(first.payload.toString());
    while (existsSync(`/proc/${pid}`)) await clock.sleep(5);
    const second = await sandbox.invoke(invocation({}));
    // Handed over before the exit was noticed, it is lost with the process; else a new one has served it.
    if (second.outcome === 'response') expect(second.payload.toString()).not.toBe(first.payload.toString());
    else expect(second.errorType).toBe('Runtime.ExitError');
    await sandbox.close('spindown');
  });
});

describe('virtual time', () => {
  it('flows while a sandbox works, and stands when it has answered', async () => {
    const virtual = new VirtualClock(1_000_000);
    const other = await openCompute({ clock: virtual });
    const hanging = 'exports.handler = (e) => new Promise((r) => setTimeout(() => r(Date.now()), e.ms));';
    const { sandbox } = await other.start(js(hanging), { timeoutMs: 1_000 });
    const served = await sandbox.invoke(invocation({ ms: 100 }));
    // The function's own clock is the machine's.
    expect(Number(served.payload.toString())).toBeGreaterThan(1_600_000_000_000);
    const settledMs = virtual.now();
    expect(settledMs).toBeGreaterThanOrEqual(1_000_100);
    await clock.sleep(100);
    expect(virtual.now()).toBe(settledMs);
    expect(virtual.status()).toMatchObject({ busy: 0, nextDueMs: undefined });
    await virtual.advance(3_600_000);
    expect(sandbox.alive).toBe(true);
    expect(await sandbox.invoke(invocation({ ms: 60_000 }))).toMatchObject({ timedOut: true });
    expect(virtual.now()).toBeLessThan(settledMs + 3_600_000 + 3_000);
    await other.close();
  });
});

describe('memory', () => {
  it('beyond the bound is a kill', async () => {
    const { result, body, requestId } = await run(
      js(`exports.handler = () => {
        const kept = [];
        for (;;) { kept.push(Buffer.alloc(4 * 1024 * 1024, 1)); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2); }
      };`),
      { memoryMb: 128, timeoutMs: 20_000 },
    );
    // What REPORT lines say; to the caller it is an exit.
    expect(result).toMatchObject({ errorType: 'Runtime.OutOfMemory', fatal: true, timedOut: false });
    expect(body).toEqual({
      errorType: 'Runtime.ExitError',
      errorMessage: `RequestId: ${requestId} Error: Runtime exited with error: signal: killed`,
    });
    expect(result.stats.maxMemoryMb).toBeGreaterThan(128);
  });

  it('counts children too', async () => {
    const grow = 'a = bytearray(120 * 1024 * 1024)\\nimport time\\ntime.sleep(20)';
    const { body } = await run(
      js(`exports.handler = () => new Promise(() => {
        for (let n = 0; n < 2; n++) require('node:child_process').spawn('python3', ['-c', "${grow}"]).on('exit', console.log);
      });`),
      { memoryMb: 192, timeoutMs: 10_000 },
    );
    expect(body['errorMessage']).toMatch(/signal: killed$/);
  });
});

describe('initialisation', () => {
  it('that exits is tried again within the invocation, and its failure is then the answer', async () => {
    const { result, body, inits, requestId } = await run(bash('echo starting; exit 3'), providedRuntime);
    expect(result).toMatchObject({ errorType: 'Runtime.ExitError', fatal: true });
    expect(body['errorMessage']).toBe(`RequestId: ${requestId} Error: Runtime exited with error: exit status 3`);
    expect(inits).toMatchObject([
      { phase: 'init', status: 'error', errorType: 'Runtime.ExitError' },
      { phase: 'invoke', status: 'error', errorType: 'Runtime.ExitError' },
    ]);
  });

  it('that succeeds the second time serves the invocation, in the function’s own time', async () => {
    const code = `const { existsSync, writeFileSync } = require('node:fs');
      const mark = process.env.TMPDIR + '/mark';
      if (!existsSync(mark)) { writeFileSync(mark, ''); process.exit(1); }
      exports.handler = async () => 'served';`;
    const { result, body, inits } = await run(js(code));
    expect(body).toBe('served');
    expect(result.stats.initMs).toBeUndefined();
    expect(inits).toMatchObject([
      { phase: 'init', status: 'error' },
      { phase: 'invoke', status: 'success' },
    ]);
    expect(result.stats.durationMs).toBeGreaterThanOrEqual(inits[1]!.durationMs);
  });

  it('that outlasts ten seconds is stopped, and then the function’s timeout bounds it', async () => {
    const { result, inits } = await run(js('for (;;);'), { timeoutMs: 1_000 });
    expect(inits).toMatchObject([
      { phase: 'init', status: 'timeout' },
      { phase: 'invoke', status: 'timeout' },
    ]);
    expect(inits[0]!.durationMs).toBeGreaterThanOrEqual(9_990);
    expect(inits[0]!.durationMs).toBeLessThan(12_000);
    expect(result).toMatchObject({ errorType: 'Sandbox.Timedout', timedOut: true, fatal: true });
  });
});

describe('custom runtimes', () => {
  it('in bash with curl serve one event after another', async () => {
    const files = bashRuntime(
      `echo "got $EVENT"; curl -sS "$API/invocation/$ID/response" -d "{\\"seen\\":$EVENT}" >/dev/null`,
    );
    const { sandbox, output } = await fixture.start(files, providedRuntime);
    for (let n = 1; n <= 3; n++) {
      const result = await sandbox.invoke(invocation({ n }));
      expect(JSON.parse(result.payload.toString())).toEqual({ seen: { n } });
    }
    await sandbox.drained();
    expect(output).toEqual(['got {"n":1}', 'got {"n":2}', 'got {"n":3}']);
    await sandbox.close('spindown');
  });

  it('may report an error, with a type of their own, and garbage goes through as it is', async () => {
    const post = (body: string) => bashRuntime(`curl -sS "$API/invocation/$ID/${body} >/dev/null`);
    const failed = await run(
      post(`error" -H 'Lambda-Runtime-Function-Error-Type: Function.Odd' -d '{"errorMessage":"m","errorType":"Odd"}'`),
      providedRuntime,
    );
    expect(failed.result).toMatchObject({ outcome: 'error', errorType: 'Odd', fatal: false });
    expect(failed.body).toEqual({ errorMessage: 'm', errorType: 'Odd' });
    const bare = await run(post(`error" -H 'Lambda-Runtime-Function-Error-Type: Function.Odd' -d ''`), providedRuntime);
    expect(bare.body).toEqual({ errorMessage: '', errorType: 'Function.Odd' });
    const { sandbox } = await fixture.start(post(`response" --data-binary 'not { json'`), providedRuntime);
    expect((await sandbox.invoke(invocation({}))).payload.toString()).toBe('not { json');
    await sandbox.close('spindown');
  });

  it('that answer twice, or for another event, are refused and harmless', async () => {
    const answer = `for body in first second; do
        curl -sS "$API/invocation/$ID/response" -d "$body" -o "$TMPDIR/answer" -w '%{http_code} '; cat "$TMPDIR/answer"
      done
      curl -sS "$API/invocation/another-id/response" -d x -w '%{http_code}\\n'
      curl -sS "$API/init/error" -d x -w '%{http_code}\\n'
      curl -sS "$API/nothing" -w '%{http_code}\\n'`;
    const { sandbox, output } = await fixture.start(bashRuntime(answer), providedRuntime);
    const first = await sandbox.invoke(invocation({}));
    expect(first.payload.toString()).toBe('first');
    const second = await sandbox.invoke(invocation({}));
    expect(second.payload.toString()).toBe('first');
    expect(output.slice(0, 8)).toEqual([
      '202 {"status":"OK"}',
      '403 {"errorMessage":"State transition from RuntimeResponseSentState to InvocationResponse failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}',
      '{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}',
      '400',
      '{"errorMessage":"State transition from RuntimeResponseSentState to InitError failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}',
      '403',
      '404 page not found',
      '404',
    ]);
    await sandbox.close('spindown');
  });

  it('that answer too much are refused, and go on', async () => {
    const answer = `SIZE=$(echo "$EVENT" | tr -dc 0-9)
      head -c "$SIZE" /dev/zero | tr '\\0' x > "$TMPDIR/body"
      curl -sS "$API/invocation/$ID/response" --data-binary "@$TMPDIR/body" -o /dev/null -w '%{http_code}\\n'`;
    const { sandbox, output } = await fixture.start(bashRuntime(answer), { ...providedRuntime, timeoutMs: 10_000 });
    const fitting = await sandbox.invoke(invocation({ n: 6_291_556 }));
    expect(fitting.payload.length).toBe(6_291_556);
    const over = await sandbox.invoke(invocation({ n: 6_291_557 }));
    expect(over).toMatchObject({ errorType: 'Function.ResponseSizeTooLarge', fatal: false });
    expect(JSON.parse(over.payload.toString())).toEqual({
      errorType: 'Function.ResponseSizeTooLarge',
      errorMessage: 'Response payload size exceeded maximum allowed payload size (6291556 bytes).',
    });
    expect((await sandbox.invoke(invocation({ n: 3 }))).payload.toString()).toBe('xxx');
    expect(output.slice(0, 2)).toEqual(['202', '413']);
    await sandbox.close('spindown');
  });

  it('that cannot be started say why', async () => {
    const problem = async (files: Files) => {
      const { result, body, requestId } = await run(files, providedRuntime);
      expect(result).toMatchObject({ errorType: 'Runtime.InvalidEntrypoint', fatal: true });
      return String(body['errorMessage']).replace(`RequestId: ${requestId} Error: `, '');
    };
    expect(await problem({ 'index.js': '' })).toBe(
      "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
    );
    expect(await problem({ bootstrap: 'no interpreter line' })).toBe(
      'fork/exec /var/task/bootstrap: exec format error',
    );
    expect(await problem({ bootstrap: '#!/no/such/shell\n' })).toBe(
      'fork/exec /var/task/bootstrap: no such file or directory',
    );
  });
});

describe('what a function sees', () => {
  it('has exactly Lambda’s environment, and nothing of the cloud’s', async () => {
    process.env['LEAKED_SECRET'] = 'x';
    const code = `exports.handler = async () => ({ env: process.env, cwd: process.cwd() });`;
    const { body } = await run(js(code), {
      environment: { TABLE: 'devices', TZ: 'Europe/Berlin', AWS_REGION: 'mars' },
    });
    delete process.env['LEAKED_SECRET'];
    const { env, cwd } = body as { env: Record<string, string>; cwd: string };
    const root = env['LAMBDA_TASK_ROOT']!;
    expect(cwd).toBe(root);
    expect(root.startsWith(join(fixture.folder, 'code'))).toBe(true);
    expect(env['TMPDIR']!.startsWith(join(fixture.folder, 'sandboxes'))).toBe(true);
    const runtimeFolder = env['LAMBDA_RUNTIME_DIR']!;
    expect(existsSync(join(runtimeFolder, 'bootstrap.cjs'))).toBe(true);
    expect(env).toEqual({
      LANG: 'en_US.UTF-8',
      TZ: 'Europe/Berlin',
      TABLE: 'devices',
      PATH: expect.stringMatching(/^(?!.*node_modules).*\/usr\/bin/),
      LD_LIBRARY_PATH: `${root}:${root}/lib:/opt/lib`,
      // Where the SDK lies, if it has been prepared, is the runtimes' own affair.
      NODE_PATH: expect.stringMatching(
        new RegExp(`^/opt/nodejs/node20/node_modules:/opt/nodejs/node_modules:(?:[^:]+:)?${runtimeFolder}:${root}$`),
      ),
      AWS_XRAY_CONTEXT_MISSING: 'LOG_ERROR',
      AWS_XRAY_DAEMON_ADDRESS: '127.0.0.1:2000',
      AWS_ENDPOINT_URL: 'http://127.0.0.1:4566',
      TMPDIR: env['TMPDIR'],
      _HANDLER: 'index.handler',
      _X_AMZN_TRACE_ID: 'Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0',
      AWS_REGION: 'eu-west-1',
      AWS_DEFAULT_REGION: 'eu-west-1',
      AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs20.x',
      AWS_LAMBDA_FUNCTION_NAME: 'under-test',
      AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '256',
      AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
      AWS_LAMBDA_LOG_FORMAT: 'Text',
      AWS_LAMBDA_LOG_GROUP_NAME: '/aws/lambda/under-test',
      AWS_LAMBDA_LOG_STREAM_NAME: '2026/11/21/[$LATEST]0123456789abcdef0123456789abcdef',
      AWS_ACCESS_KEY_ID: 'ASIATEST',
      AWS_SECRET_ACCESS_KEY: 'secret',
      AWS_SESSION_TOKEN: 'token',
      AWS_LAMBDA_RUNTIME_API: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      LAMBDA_TASK_ROOT: root,
      LAMBDA_RUNTIME_DIR: runtimeFolder,
    });
  });

  it('has no AWS_EXECUTION_ENV in a custom runtime', async () => {
    const files = bashRuntime(
      `env | sort > "$TMPDIR/env"; curl -sS "$API/invocation/$ID/response" --data-binary "@$TMPDIR/env" >/dev/null`,
    );
    const { sandbox } = await fixture.start(files, providedRuntime);
    const text = (await sandbox.invoke(invocation({}))).payload.toString();
    expect(text).toContain('\nAWS_LAMBDA_FUNCTION_NAME=under-test\n');
    expect(text).not.toContain('AWS_EXECUTION_ENV');
    await sandbox.close('spindown');
  });

  it('is a scratch folder of its own, gone with the sandbox, and code that is read-only and shared', async () => {
    const code = `const fs = require('node:fs');
      exports.handler = async () => { fs.writeFileSync(process.env.TMPDIR + '/f', 'x'); return [process.env.TMPDIR, process.cwd()]; };`;
    const a = await fixture.start(js(code));
    const b = await fixture.start(js(code));
    const [tmpA, root] = JSON.parse((await a.sandbox.invoke(invocation({}))).payload.toString()) as [string, string];
    const [tmpB, rootB] = JSON.parse((await b.sandbox.invoke(invocation({}))).payload.toString()) as [string, string];
    expect(tmpA).not.toBe(tmpB);
    expect(rootB).toBe(root);
    expect(readFileSync(join(tmpA, 'f'), 'utf8')).toBe('x');
    expect(statSync(join(root, 'index.js')).mode & 0o222).toBe(0);
    expect(statSync(root).mode & 0o222).toBe(0);
    await Promise.all([a.sandbox.close('spindown'), b.sandbox.close('spindown')]);
    expect(existsSync(tmpA)).toBe(false);
  });

  it('may be a folder of the user’s own, in place of a package', async () => {
    const { sandbox } = await fixture.start(js(''), {
      code: { kind: 'zip', digest: '', layers: [], directory: join(import.meta.dirname, 'code', 'fixture') },
    });
    expect((await sandbox.invoke(invocation({}))).payload.toString()).toBe('"from a folder"');
    await sandbox.close('spindown');
  });
});

describe('the end', () => {
  it('leaves no process behind, not even a daemon in a session of its own', async () => {
    const other = await openCompute();
    const code = `const { spawn } = require('node:child_process');
      exports.handler = async () => {
        const daemon = spawn('/bin/sh', ['-c', '(setsid sleep 1000 & echo $!) ; sleep 1000'], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
        const pid = await new Promise((resolve) => daemon.stdout.once('data', (text) => resolve(Number(text))));
        return [process.pid, daemon.pid, pid];
      };`;
    const { sandbox } = await other.start(js(code));
    const pids = JSON.parse((await sandbox.invoke(invocation({}))).payload.toString()) as number[];
    expect(pids.map(runs)).toEqual([true, true, true]);
    await other.close();
    await clock.sleep(50);
    expect(pids.map(runs)).toEqual([false, false, false]);
    expect(existsSync(other.folder)).toBe(false);
  });

  it('answers an invocation that is under way, and one that comes late', async () => {
    const { sandbox } = await fixture.start(js('exports.handler = () => new Promise((r) => setTimeout(r, 60000));'));
    const running = sandbox.invoke(invocation({}));
    await clock.sleep(200);
    await sandbox.close('failure');
    expect(await running).toMatchObject({ outcome: 'error', errorType: 'Runtime.ExitError', fatal: true });
    expect(sandbox.alive).toBe(false);
    expect(await sandbox.invoke(invocation({}))).toMatchObject({ outcome: 'error', errorType: 'Runtime.ExitError' });
    expect(readdirSync(join(fixture.folder, 'sandboxes'))).toHaveLength(1);
  });
});

function runs(pid: number): boolean {
  try {
    return !execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' })
      .trim()
      .startsWith('Z');
  } catch {
    return false;
  }
}
