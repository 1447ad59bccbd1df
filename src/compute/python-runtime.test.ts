import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SandboxSpec } from '../platform/compute.ts';
import { type ComputeFixture, type Files, invocation, openCompute, zip } from './test-support.ts';

let fixture: ComputeFixture;
beforeAll(async () => {
  fixture = await openCompute();
});
afterAll(() => fixture.close());

async function run(
  files: Files,
  options: { event?: unknown; handler?: string; more?: object; spec?: Partial<SandboxSpec> } = {},
) {
  const { handler = 'app.handler' } = options;
  const { sandbox, output, inits } = await fixture.start(files, { handler, runtime: 'python3.11', ...options.spec });
  const request = invocation(options.event ?? {}, options.more);
  const result = await sandbox.invoke(request);
  await sandbox.drained();
  const { alive } = sandbox;
  await sandbox.close('spindown');
  const body = JSON.parse(result.payload.toString()) as Record<string, unknown>;
  return { result, output, inits, alive, body, requestId: request.requestId };
}

const py = (code: string): Files => ({ 'app.py': code });

describe('the machine’s Python', () => {
  it('is found, and a version that is not there is said', async () => {
    expect((await fixture.compute.supports('python3.11')).ok).toBe(true);
    const other = await fixture.compute.supports('python3.42');
    expect(other).toMatchObject({
      ok: true,
      note: expect.stringMatching(/^python3\.42 runs on this machine's Python 3\.\d+$/),
    });
  });
});

describe('handlers', () => {
  it('answers, with the context that AWS gives', async () => {
    const code = `
import os, sys
def handler(event, context):
    return {
        "echo": event["name"], "left": context.get_remaining_time_in_millis(), "id": context.aws_request_id,
        "name": context.function_name, "version": context.function_version, "memory": context.memory_limit_in_mb,
        "arn": context.invoked_function_arn, "group": context.log_group_name, "stream": context.log_stream_name,
        "client": context.client_context.client.app_title, "custom": context.client_context.custom,
        "identity": context.identity.cognito_identity_id, "trace": os.environ["_X_AMZN_TRACE_ID"],
        "path": sys.path[0] == os.environ["LAMBDA_TASK_ROOT"] == os.getcwd(),
    }
`;
    const { body, requestId, result } = await run(py(code), {
      event: { name: 'Ada 😀' },
      more: {
        clientContext: '{"client":{"app_title":"Größe"},"custom":{"a":1}}',
        cognitoIdentity: '{"cognitoIdentityId":"id"}',
      },
    });
    expect(body).toEqual({
      echo: 'Ada 😀',
      left: expect.any(Number),
      id: requestId,
      name: 'under-test',
      version: '$LATEST',
      memory: '256',
      arn: 'arn:aws:lambda:eu-west-1:123456789012:function:under-test',
      group: '/aws/lambda/under-test',
      stream: '2026/11/21/[$LATEST]0123456789abcdef0123456789abcdef',
      client: 'Größe',
      custom: { a: 1 },
      identity: 'id',
      trace: 'Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0',
      path: true,
    });
    expect(body['left']).toBeGreaterThan(2_000);
    expect(result.stats.maxMemoryMb).toBeGreaterThan(5);
  });

  it('finds handlers in folders and packages, and writes decimals as numbers', async () => {
    const files = {
      'src/__init__.py': '',
      'src/api.py': 'from decimal import Decimal\ndef list(e, c):\n  return Decimal("1.5")',
    };
    expect((await run(files, { handler: 'src/api.list' })).body).toBe(1.5);
    expect((await run(files, { handler: 'src.api.list' })).body).toBe(1.5);
  });

  it('takes and gives events of megabytes', async () => {
    const event = { text: 'Ω😀"\\\u0000\n'.repeat(200_000) };
    const { body } = await run(py('def handler(e, c):\n  return e'), { event });
    expect(body['text'] === event.text).toBe(true);
  });
});

describe('output', () => {
  it('has one event for each line printed and for each record logged', async () => {
    const code = `
import logging, sys
log = logging.getLogger()
log.setLevel("INFO")
def handler(event, context):
    print("one"); print("two\\nthree")
    log.info("a record\\nof two lines")
    logging.getLogger("x").warning("named %d", 1)
    print("to stderr", file=sys.stderr)
    print("unfinished", end="")
`;
    const { output, requestId } = await run(py(code));
    const stdout = output.filter((line) => line !== 'to stderr');
    expect(output).toContain('to stderr');
    expect(stdout.map((line) => line.replace(/\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t/, '\tTIME\t'))).toEqual([
      'one',
      'two',
      'three',
      `[INFO]\tTIME\t${requestId}\ta record\nof two lines`,
      `[WARNING]\tTIME\t${requestId}\tnamed 1`,
      'unfinished',
    ]);
  });
});

describe('errors', () => {
  it('gives type, message and stack of what the handler raises, logs it, and goes on', async () => {
    const code = `
count = 0
class Refused(Exception):
    pass
def deeper():
    raise Refused("no way")
def handler(event, context):
    global count
    count += 1
    if count == 1:
        deeper()
    return count
`;
    const { sandbox, output } = await fixture.start(py(code), { runtime: 'python3.11', handler: 'app.handler' });
    const request = invocation({});
    const first = await sandbox.invoke(request);
    expect(first).toMatchObject({ outcome: 'error', errorType: 'Refused', fatal: false });
    const body = JSON.parse(first.payload.toString()) as { stackTrace: string[] };
    expect(body).toMatchObject({ errorMessage: 'no way', errorType: 'Refused', requestId: request.requestId });
    expect(body.stackTrace).toHaveLength(2);
    expect(body.stackTrace[1]).toMatch(/^ {2}File ".*app\.py", line 6, in deeper\n {4}raise Refused\("no way"\)\n$/);
    await sandbox.drained();
    expect(output[0]).toMatch(/^\[ERROR\] Refused: no way\nTraceback \(most recent call last\):\n\u00a0\u00a0File "/);
    expect((await sandbox.invoke(invocation({}))).payload.toString()).toBe('2');
    await sandbox.close('spindown');
  });

  it('reports an answer that is not JSON', async () => {
    const { body, alive } = await run(py('def handler(e, c):\n  return {1, 2}'));
    expect(body).toMatchObject({
      errorType: 'Runtime.MarshalError',
      errorMessage: 'Unable to marshal response: Object of type set is not JSON serializable',
      stackTrace: [],
    });
    expect(alive).toBe(true);
  });

  it('takes sys.exit for the end of the runtime', async () => {
    const left = await run(py('import sys\ndef handler(e, c):\n  print("leaving")\n  sys.exit(4)'));
    expect(left.body).toEqual({
      errorType: 'Runtime.ExitError',
      errorMessage: `RequestId: ${left.requestId} Error: Runtime exited with error: exit status 4`,
    });
    expect(left.output).toEqual(['leaving']);
    const silent = await run(py('import sys\ndef handler(e, c):\n  sys.exit()'));
    expect(silent.body['errorMessage']).toBe(
      `RequestId: ${silent.requestId} Error: Runtime exited without providing a reason`,
    );
    expect(silent.result).toMatchObject({ fatal: true });
  });

  const failing: [string, Files, string, string, RegExp][] = [
    [
      'a missing file',
      { 'other.py': '' },
      'app.handler',
      'Runtime.ImportModuleError',
      /^Unable to import module 'app': No module named 'app'$/,
    ],
    [
      'a missing module',
      py('import absent_package'),
      'app.handler',
      'Runtime.ImportModuleError',
      /^Unable to import module 'app': No module named 'absent_package'$/,
    ],
    [
      'a syntax error',
      py('def handler(:\n'),
      'app.handler',
      'Runtime.UserCodeSyntaxError',
      /^Syntax error in module 'app': /,
    ],
    [
      'a missing handler',
      py('x = 1'),
      'app.handler',
      'Runtime.HandlerNotFound',
      /^Handler 'handler' missing on module 'app'$/,
    ],
    [
      'a handler without a dot',
      py(''),
      'app',
      'Runtime.MalformedHandlerName',
      /^Bad handler 'app': not enough values to unpack/,
    ],
    [
      'a built-in module',
      py(''),
      'sys.exit',
      'Runtime.BuiltInModuleConflict',
      /^Cannot use built-in module sys as a handler module$/,
    ],
    ['code that raises', py('raise ValueError("at load")'), 'app.handler', 'ValueError', /^at load$/],
  ];
  it.each(failing)('does not start with %s', async (_name, files, handler, errorType, message) => {
    const { result, body, inits, output } = await run(files, { handler });
    expect(result).toMatchObject({ outcome: 'error', errorType, fatal: true, timedOut: false });
    expect(body['errorType']).toBe(errorType);
    expect(body['errorMessage']).toMatch(message);
    expect(inits.map(({ phase, status }) => `${phase} ${status}`)).toEqual(['init error', 'invoke error']);
    expect(output.filter((line) => line.startsWith(`[ERROR] ${errorType}: `))).toHaveLength(2);
  });
});

describe('where modules are looked for', () => {
  it('is the package, then layers; the machine’s own packages are not there', async () => {
    const files = py(`import both, shared, special, sys
def handler(event, context):
    return [both.whose, shared.whose, special.whose, [path for path in sys.path if "-packages" in path]]`);
    const layer: Files = {
      'python/both.py': 'whose = "layer"',
      'python/shared.py': 'whose = "layer"',
      'python/lib/python3.11/site-packages/special.py': 'whose = "layer of a version"',
    };
    const code: SandboxSpec['code'] = {
      kind: 'zip',
      digest: await fixture.blobs.put(await zip({ ...files, 'both.py': 'whose = "package"' })),
      layers: [await fixture.blobs.put(await zip(layer))],
    };
    const { body } = await run(files, { spec: { code } });
    const version = 'lib/python3.11/site-packages';
    expect(body).toEqual(['package', 'layer', 'layer of a version', [expect.stringContaining(version)]]);
  });
});

describe('JSON logs', () => {
  const asJson = (applicationLevel: SandboxSpec['logging']['applicationLevel']): Partial<SandboxSpec> => ({
    logging: { format: 'JSON', applicationLevel, systemLevel: 'INFO' },
  });
  const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);

  it('makes a document of each record from the function’s level on', async () => {
    const code = `
import logging
log = logging.getLogger("shop")
def handler(event, context):
    log.debug("quiet")
    log.info("größer\\n%s", "als", extra={"order": 7})
    try:
        {}["x"]
    except KeyError:
        log.exception("failed")
    print("plain")`;
    const { output, requestId } = await run(py(code), { spec: asJson('INFO') });
    expect(output).toHaveLength(3);
    const [info, error] = output.slice(0, 2).map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(info).toEqual({ timestamp, level: 'INFO', message: 'größer\nals', logger: 'shop', requestId, order: 7 });
    expect(error).toEqual({
      timestamp,
      level: 'ERROR',
      message: 'failed',
      logger: 'shop',
      stackTrace: [expect.stringMatching(/app\.py", line 8, in handler/)],
      errorType: 'KeyError',
      errorMessage: "'x'",
      requestId,
      location: expect.stringMatching(/app\.py:handler:10$/),
    });
    expect(output[2]).toBe('plain');
    const detailed = await run(py(code), { spec: asJson('TRACE') });
    expect(JSON.parse(detailed.output[0]!)).toMatchObject({ level: 'DEBUG', message: 'quiet' });
  });

  it('makes one of what a handler raises', async () => {
    const { output, body } = await run(py('def handler(e, c):\n  raise ValueError("no")'), { spec: asJson('INFO') });
    expect(output.map((line) => JSON.parse(line) as object)).toEqual([{ timestamp, log_level: 'ERROR', ...body }]);
  });
});
