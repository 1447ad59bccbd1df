import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { WallClock } from '../../kernel/clock/wall.ts';
import { invocation } from '../test-support.ts';
import type { Delivery } from './delivery.ts';
import { Subscriber } from './subscriber.ts';
import { parseSubscription } from './subscription.ts';
import { closeEnvironments, type Started, startEnvironment, until } from './test-support.ts';

const clock = new WallClock();
afterEach(closeEnvironments);

interface Told {
  readonly time: string;
  readonly type: string;
  readonly record: unknown;
}

/** Everything that the listener has been sent, batch by batch. */
function batches({ folder }: Started): Told[][] {
  const path = join(folder, 'batches');
  return existsSync(path)
    ? readFileSync(path, 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Told[])
    : [];
}

const events = (started: Started): Told[] => batches(started).flat();
const types = (started: Started): string[] => events(started).map(({ type }) => type);
const find = (started: Started, type: string): Told => events(started).find((event) => event.type === type)!;

const subscribe = (path: string, body: object, onEvent = ''): string => `
  const listener = http.createServer((request, response) => {
    let text = '';
    request.on('data', (piece) => (text += piece)).on('end', () => {
      fs.appendFileSync(DIR + '/batches', text + '\\n');
      note(request.method + ' ' + request.url + ' ' + request.headers.host.split(':')[0] + ' ' + request.headers['content-type']);
      response.end('OK');
    });
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  await register('watcher', ['INVOKE', 'SHUTDOWN']);
  const body = JSON.stringify(${JSON.stringify(body)}).replace('PORT', listener.address().port);
  const answer = await side('PUT', '${path}', { 'Content-Type': 'application/json' }, body);
  note(answer.status + ' ' + answer.body);
  console.log('extension line');
  for (;;) {
    const event = await nextEvent();
    ${onEvent}
    if (event.eventType === 'SHUTDOWN') { await sleep(500); process.exit(0); }
  }`;

const telemetryRequest = {
  schemaVersion: '2022-12-13',
  types: ['platform', 'function', 'extension'],
  buffering: { timeoutMs: 25 },
  destination: { protocol: 'HTTP', URI: 'http://sandbox.localdomain:PORT/told?x=1' },
};

const talking = `for (;;) { const { id, body } = await next(); console.log('function line ' + body); await respond(id, body); }`;

describe('the Telemetry API', () => {
  it('tells of an environment’s life in AWS’s shapes', async () => {
    const started = await startEnvironment({
      program: talking,
      extensions: { watcher: subscribe('/2022-07-01/telemetry', telemetryRequest) },
    });
    const { sandbox, folder } = started;
    const request = invocation({ n: 1 });
    await sandbox.invoke(request);
    // What has not come by then comes now: between invocations the listener stands still.
    await sandbox.close('spindown');
    expect(readFileSync(join(folder, 'notes'), 'utf8').split('\n').slice(0, 2)).toEqual([
      '200 "OK"',
      'POST /told?x=1 sandbox.localdomain application/json',
    ]);
    const platform = types(started).filter((type) => type.startsWith('platform'));
    expect(platform).toEqual([
      'platform.initStart',
      'platform.telemetrySubscription',
      'platform.initRuntimeDone',
      'platform.extension',
      'platform.initReport',
      'platform.start',
      'platform.runtimeDone',
      'platform.report',
    ]);
    for (const { time } of events(started)) expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const record = (type: string) => find(started, type).record;
    expect(record('platform.initStart')).toEqual({
      initializationType: 'on-demand',
      phase: 'init',
      functionName: 'under-test',
      functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:under-test',
      functionVersion: '$LATEST',
      instanceId: '2026/11/21/[$LATEST]0123456789abcdef0123456789abcdef',
      instanceMaxMemory: 512 * 1024 * 1024,
    });
    const figure = expect.any(Number) as number;
    const tracing = { type: 'X-Amzn-Trace-Id', value: request.traceHeader };
    const init = { initializationType: 'on-demand', phase: 'init', status: 'success' };
    expect(record('platform.telemetrySubscription')).toEqual({
      name: 'watcher',
      state: 'Subscribed',
      types: ['platform', 'function', 'extension'],
    });
    expect(record('platform.initRuntimeDone')).toEqual(init);
    expect(record('platform.extension')).toEqual({ name: 'watcher', state: 'Ready', events: ['INVOKE', 'SHUTDOWN'] });
    expect(record('platform.initReport')).toEqual({ ...init, metrics: { durationMs: figure } });
    expect(record('platform.start')).toEqual({ requestId: request.requestId, version: '$LATEST', tracing });
    const span = (name: string) => ({ name, start: expect.any(String) as string, durationMs: figure });
    expect(record('platform.runtimeDone')).toEqual({
      requestId: request.requestId,
      status: 'success',
      metrics: { durationMs: figure, producedBytes: 7 },
      spans: [span('responseLatency'), span('responseDuration'), span('runtimeOverhead')],
      tracing,
    });
    expect(record('platform.report')).toEqual({
      requestId: request.requestId,
      status: 'success',
      metrics: {
        durationMs: figure,
        billedDurationMs: figure,
        memorySizeMB: 512,
        maxMemoryUsedMB: figure,
        initDurationMs: figure,
      },
      spans: [span('extensionOverhead')],
      tracing,
    });
    expect(record('function')).toBe('function line {"n":1}');
    expect(record('extension')).toBe('extension line');
  });

  it('buffers for as long as it was asked to, holds nobody up, and gives the rest at the end', async () => {
    const started = await startEnvironment({
      program: `process.on('SIGTERM', () => { console.log('last words'); process.exit(0); }); ${talking}`,
      extensions: {
        watcher: subscribe('/2022-07-01/telemetry', {
          ...telemetryRequest,
          types: ['function'],
          buffering: { timeoutMs: 30_000 },
        }),
      },
    });
    for (let n = 0; n < 20; n++) await started.sandbox.invoke(invocation(n));
    expect(batches(started)).toEqual([]);
    await started.sandbox.close('spindown');
    expect(events(started).map(({ record }) => record)).toEqual([
      ...Array.from({ length: 20 }, (_, n) => `function line ${n}`),
      'last words',
    ]);
  });

  it('tells of failures', async () => {
    const started = await startEnvironment({
      program: `const { id } = await next(); await respond(id, '1'); await next(); process.exit(3);`,
      extensions: { watcher: subscribe('/2022-07-01/telemetry', { ...telemetryRequest, types: ['platform'] }) },
    });
    await started.sandbox.invoke(invocation(1));
    await started.sandbox.invoke(invocation(2));
    await until(() => types(started).filter((type) => type === 'platform.report').length === 2);
    const failed = events(started).filter(({ type }) => type === 'platform.runtimeDone' || type === 'platform.report');
    expect(failed.slice(2).map(({ record }) => record)).toMatchObject([
      { status: 'error', errorType: 'Runtime.ExitError' },
      { status: 'error', errorType: 'Runtime.ExitError' },
    ]);
  });

  it('gives JSON logs as objects, and to TCP listeners in lines', async () => {
    const started = await startEnvironment({
      program: `for (;;) { const { id } = await next(); console.log('{"level":"INFO"}'); console.log('plain'); await respond(id, '1'); }`,
      spec: { logging: { format: 'JSON', applicationLevel: 'INFO', systemLevel: 'INFO' } },
      extensions: {
        watcher: `
          const listener = require('node:net').createServer((socket) => socket.on('data', (bytes) => fs.appendFileSync(DIR + '/tcp', bytes)));
          await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
          await register('watcher', ['INVOKE', 'SHUTDOWN']);
          const request = { schemaVersion: '2025-01-29', types: ['function'], buffering: { timeoutMs: 25 } };
          const destination = { protocol: 'TCP', port: listener.address().port };
          await side('PUT', '/2022-07-01/telemetry', {}, JSON.stringify({ ...request, destination }));
          while ((await nextEvent()).eventType !== 'SHUTDOWN');
          await sleep(500);
          process.exit(0);`,
      },
    });
    await started.sandbox.invoke(invocation(1));
    await started.sandbox.invoke(invocation(2));
    await started.sandbox.close('spindown');
    const path = join(started.folder, 'tcp');
    const lines = (): string[] => (existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : []);
    expect(lines().map((line) => (JSON.parse(line) as Told).record)).toEqual([
      { level: 'INFO' },
      'plain',
      { level: 'INFO' },
      'plain',
    ]);
  });

  it('refuses what it cannot do, and all of it after the initialisation', async () => {
    const started = await startEnvironment({
      program: `
        const tell = ({ status, body }) => console.log(status + ' ' + body.trim());
        const telemetry = (body) => side('PUT', '/2022-07-01/telemetry', {}, JSON.stringify(body));
        tell(await telemetry({}));
        await register('inside', []);
        tell(await telemetry({ types: [], schemaVersion: '2022-07-01', destination: { protocol: 'HTTP', URI: 'http://sandbox.localdomain' } }));
        const destination = { protocol: 'TCP', port: 5000 };
        tell(await side('PUT', '/2020-08-15/logs', {}, JSON.stringify({ types: ['platform'], destination, buffering: { maxItems: 1 } })));
        tell(await telemetry({ schemaVersion: '2022-07-01', types: ['platform'], destination }));
        tell(await side('PUT', '/2020-08-15/logs', {}, JSON.stringify({ types: ['platform'], destination })));
        tell(await side('GET', '/2022-07-01/telemetry'));
        nextEvent();
        for (;;) { const { id } = await next(); tell(await telemetry({})); await respond(id, '1'); }`,
    });
    await started.sandbox.invoke(invocation(1));
    await started.sandbox.drained();
    const problem = (status: number, errorType: string, errorMessage: string) =>
      `${status} ${JSON.stringify({ errorMessage, errorType })}`;
    expect(started.output).toEqual([
      problem(403, 'Extension.MissingExtensionIdentifier', 'Missing Lambda-Extension-Identifier header'),
      problem(400, 'ValidationError', 'URI port is not provided; types should not be empty'),
      problem(400, 'Logs.ValidationError', 'buffering.maxItems must be between 1000 and 10000'),
      '200 "OK"',
      problem(400, 'Logs.ValidationError', 'the environment is subscribed to the Telemetry API already'),
      '405 ',
      problem(403, 'Telemetry.SubscriptionClosed', 'Telemetry API subscription is closed already'),
    ]);
  });
});

describe('the Logs API', () => {
  it('tells the older story', async () => {
    const started = await startEnvironment({
      program: talking,
      extensions: {
        watcher: subscribe('/2020-08-15/logs', {
          schemaVersion: '2021-03-18',
          types: ['platform', 'function'],
          buffering: { timeoutMs: 25 },
          destination: { protocol: 'HTTP', URI: 'http://sandbox:PORT', method: 'PUT' },
        }),
      },
    });
    const request = invocation(1);
    const { requestId } = request;
    await started.sandbox.invoke(request);
    await started.sandbox.close('spindown');
    const told = events(started).filter(({ type }) => type.startsWith('platform'));
    expect(told.map(({ type, record }) => ({ type, record }))).toEqual([
      {
        type: 'platform.logsSubscription',
        record: { name: 'watcher', state: 'Subscribed', types: ['platform', 'function'] },
      },
      { type: 'platform.extension', record: { name: 'watcher', state: 'Ready', events: ['INVOKE', 'SHUTDOWN'] } },
      { type: 'platform.start', record: { requestId, version: '$LATEST' } },
      { type: 'platform.runtimeDone', record: { requestId, status: 'success' } },
      { type: 'platform.end', record: { requestId } },
      { type: 'platform.report', record: { requestId, metrics: expect.any(Object) as object } },
    ]);
    expect(readFileSync(join(started.folder, 'notes'), 'utf8')).toContain('PUT / sandbox.localdomain application/json');
  });
});

describe('a subscriber', () => {
  const buffering = { maxItems: 1_000, maxBytes: 262_144, timeoutMs: 25 };

  it('tries again until it is heard, and drops what comes faster than it is taken', async () => {
    const sent: string[][] = [];
    let refusals = 2;
    let free: (() => void) | undefined;
    const delivery: Delivery = {
      async send(batch) {
        if (refusals-- > 0) throw new Error('nobody listens');
        sent.push([...batch]);
        if (sent.length === 1) await new Promise<void>((resolve) => (free = resolve));
      },
      close() {},
    };
    const dropped: number[][] = [];
    const subscriber = new Subscriber({
      buffering,
      delivery,
      clock,
      onDropped: (records, bytes) => dropped.push([records, bytes]),
    });
    subscriber.push('1');
    await until(() => free !== undefined);
    for (let n = 0; n < 1_005; n++) subscriber.push('22');
    expect(dropped).toEqual([]);
    free!();
    await subscriber.flush();
    expect(sent.map((batch) => batch.length)).toEqual([1, 1_000]);
    expect(dropped).toEqual([[5, 10]]);
    subscriber.close();
  });

  it('sends a full batch at once', async () => {
    const sent: number[] = [];
    const delivery: Delivery = { send: async (batch) => void sent.push(batch.length), close() {} };
    const slow = { ...buffering, timeoutMs: 30_000 };
    const subscriber = new Subscriber({ buffering: slow, delivery, clock, onDropped: () => {} });
    for (let n = 0; n < 1_000; n++) subscriber.push('1');
    await until(() => sent.length === 1);
    subscriber.push('x'.repeat(262_144));
    await until(() => sent.length === 2);
    expect(sent).toEqual([1_000, 1]);
    subscriber.close();
  });
});

describe('a subscription', () => {
  const parse = (body: object, api: 'telemetry' | 'logs' = 'telemetry') =>
    parseSubscription(api, Buffer.from(JSON.stringify(body)));
  const valid = {
    schemaVersion: '2022-07-01',
    types: ['function'],
    destination: { protocol: 'HTTP', URI: 'http://sandbox.localdomain:8080' },
  };

  it('has AWS’s defaults', () => {
    expect(parse(valid)).toEqual({
      api: 'telemetry',
      schemaVersion: '2022-07-01',
      streams: ['function'],
      buffering: { maxItems: 10_000, maxBytes: 262_144, timeoutMs: 1_000 },
      destination: { protocol: 'HTTP', port: 8080, path: '/', method: 'POST' },
    });
    expect(parse({ ...valid, schemaVersion: undefined }, 'logs')).toMatchObject({ schemaVersion: '2020-08-15' });
  });

  it.each([
    [{ schemaVersion: undefined }, /schemaVersion is not provided/],
    [{ schemaVersion: '2020-08-15' }, /schemaVersion must be one of/],
    [{ types: ['other'] }, /types are not valid: other/],
    [{ destination: undefined }, /destination is not provided/],
    [{ destination: { protocol: 'UDP' } }, /unknown protocol: UDP/],
    [{ destination: { protocol: 'TCP' } }, /port is not provided/],
    [{ destination: { protocol: 'HTTP', URI: 'http://example.com:80' } }, /URI host must be sandbox\.localdomain/],
    [{ destination: { protocol: 'HTTP', URI: 'https://sandbox.localdomain:80' } }, /URI is not valid/],
    [{ destination: { protocol: 'HTTP', URI: 'http://sandbox.localdomain:9001' } }, /port 9001 is not valid/],
    [{ buffering: { timeoutMs: 24 } }, /buffering\.timeoutMs must be between 25 and 30000/],
    [{ buffering: { maxBytes: 1_048_577 } }, /buffering\.maxBytes must be between 262144 and 1048576/],
  ])('with %j is refused', (change, problem) => {
    expect(parse({ ...valid, ...change })).toMatch(problem);
  });
});
