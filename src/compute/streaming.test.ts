import { writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { WallClock } from '../kernel/clock/wall.ts';
import type { ResponseSink } from '../platform/compute.ts';
import { closeEnvironments, startEnvironment, until } from './extensions/test-support.ts';
import { invocation, openCompute } from './test-support.ts';

const clock = new WallClock();
afterEach(closeEnvironments);

/** A runtime that streams: `code` has the event in `event`, and `stream(headers)` to begin, which gives the request. */
const streaming = (code: string): string => `
  for (;;) {
    const { id, body } = await next();
    const event = JSON.parse(body);
    let answer;
    const stream = (headers = {}) => {
      const request = open('POST', runtime + 'invocation/' + id + '/response', {
        'Lambda-Runtime-Function-Response-Mode': 'streaming',
        'Transfer-Encoding': 'chunked',
        Trailer: 'Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body',
        ...headers,
      });
      answer = answerOf(request);
      return request;
    };
    ${code}
    if (answer !== undefined) console.log('answered ' + (await answer.then(({ status, body }) => status + ' ' + body.trim(), String)));
  }`;

function collector(write?: (piece: Buffer) => Promise<void> | undefined) {
  const began: (string | undefined)[] = [];
  const pieces: Buffer[] = [];
  const sink: ResponseSink = {
    begin: (contentType) => began.push(contentType),
    write(piece) {
      pieces.push(Buffer.from(piece));
      return write?.(piece);
    },
  };
  return { began, sink, pieces, text: () => Buffer.concat(pieces).toString() };
}

describe('a streamed response', () => {
  it('goes to its caller as it comes, while the function still runs', async () => {
    const { sandbox, output, folder } = await startEnvironment({
      program: streaming(`
        const request = stream({ 'Content-Type': 'application/vnd.awslambda.http-integration-response' });
        request.write('first ');
        while (!fs.existsSync(DIR + '/go')) await sleep(5);
        request.end('second');`),
    });
    const { began, sink, text } = collector();
    const invoked = sandbox.invoke(invocation({}, { sink }));
    await until(() => text() === 'first ');
    expect(began).toEqual(['application/vnd.awslambda.http-integration-response']);
    await writeFile(`${folder}/go`, '');
    expect(await invoked).toMatchObject({ outcome: 'response', payload: Buffer.alloc(0) });
    expect(text()).toBe('first second');
    await until(() => output.includes('answered 202 {"status":"OK"}'));
  });

  it('is one by its caller, where a chunked response names no mode', async () => {
    const program = streaming(`
      const request = open('POST', runtime + 'invocation/' + id + '/response', { 'Transfer-Encoding': 'chunked' });
      answer = answerOf(request);
      request.write('first ');
      while (event.waits && !fs.existsSync(DIR + '/go')) await sleep(5);
      request.end('second');`);
    const { sandbox, folder } = await startEnvironment({ program });
    const whole = await sandbox.invoke(invocation({ waits: false }));
    expect(whole).toMatchObject({ outcome: 'response', payload: Buffer.from('first second') });

    const { sink, text } = collector();
    const invoked = sandbox.invoke(invocation({ waits: true }, { sink }));
    await until(() => text() === 'first ');
    await writeFile(`${folder}/go`, '');
    expect(await invoked).toMatchObject({ outcome: 'response', payload: Buffer.alloc(0) });
    expect(text()).toBe('first second');
  });

  it('is read no faster than its caller takes it', async () => {
    const { sandbox, output } = await startEnvironment({
      program: streaming(`
        const request = stream();
        const started = Date.now();
        for (let n = 0; n < 64; n++) if (!request.write(Buffer.alloc(1024 * 1024, n))) await new Promise((r) => request.once('drain', r));
        console.log('blocked ' + (Date.now() - started));
        request.end();`),
      spec: { timeoutMs: 30_000 },
    });
    let waiting = 0;
    let most = 0;
    let bytes = 0;
    let free: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      free = resolve;
    });
    const { sink } = collector();
    const invoked = sandbox.invoke(
      invocation(
        {},
        {
          sink: {
            ...sink,
            async write(piece) {
              most = Math.max(most, ++waiting);
              bytes += piece.length;
              await held;
              waiting--;
            },
          },
        },
      ),
    );
    await until(() => waiting === 1);
    // The kernel's buffers and ours hold a few megabytes; the rest waits in the function.
    await until(() => output.length === 0 && bytes > 0);
    await clock.sleep(300);
    expect(bytes).toBeLessThan(1024 * 1024);
    expect(output).toEqual([]);
    free();
    expect(await invoked).toMatchObject({ outcome: 'response' });
    expect(most).toBe(1);
    expect(bytes).toBe(64 * 1024 * 1024);
    await until(() => output.length === 2);
    expect(Number(output[0]!.split(' ')[1])).toBeGreaterThan(250);
  });

  it('is collected where nobody takes it so, up to 6 MB', async () => {
    const { sandbox, output } = await startEnvironment({
      program: streaming(
        `const request = stream(); for (const size of event) request.write(Buffer.alloc(size, 120)); request.end();`,
      ),
    });
    const fitting = await sandbox.invoke(invocation([3, 4, 6_291_549]));
    expect(fitting.payload.length).toBe(6_291_556);
    const over = await sandbox.invoke(invocation([6_291_556, 1]));
    expect(over).toMatchObject({ errorType: 'Function.ResponseSizeTooLarge', fatal: false });
    expect((await sandbox.invoke(invocation([2]))).payload.toString()).toBe('xx');
    await until(() => output.length === 3);
    expect(output.map((line) => line.split(' ')[1])).toEqual(['202', '413', '202']);
  });

  it('of more than 200 MB is cut off there', async () => {
    const { sandbox } = await startEnvironment({
      program: streaming(`
        const request = stream();
        request.on('error', () => {});
        const piece = Buffer.alloc(1024 * 1024);
        for (let n = 0; n < event.megabytes && !request.destroyed; n++) {
          if (!request.write(piece)) await Promise.race([new Promise((r) => request.once('drain', r)), answer.catch(() => {})]);
        }
        request.end();`),
      spec: { timeoutMs: 60_000 },
    });
    let bytes = 0;
    const sink: ResponseSink = {
      begin() {},
      write(piece) {
        bytes += piece.length;
        return undefined;
      },
    };
    expect(await sandbox.invoke(invocation({ megabytes: 200 }, { sink }))).toMatchObject({ outcome: 'response' });
    expect(bytes).toBe(209_715_200);
    bytes = 0;
    const over = await sandbox.invoke(invocation({ megabytes: 201 }, { sink }));
    expect(over).toMatchObject({ outcome: 'error', errorType: 'Function.ResponseSizeTooLarge', fatal: false });
    expect(bytes).toBe(209_715_200);
    expect(await sandbox.invoke(invocation({ megabytes: 1 }, { sink }))).toMatchObject({ outcome: 'response' });
  }, 60_000);

  it('that fails in the middle says so behind it', async () => {
    const { sandbox } = await startEnvironment({
      program: streaming(`
        const request = stream();
        request.write('half');
        request.addTrailers({
          'Lambda-Runtime-Function-Error-Type': 'Unhandled',
          'Lambda-Runtime-Function-Error-Body': Buffer.from('{"errorMessage":"boom","errorType":"Error"}').toString('base64'),
        });
        request.end();`),
    });
    const { sink, text } = collector();
    const result = await sandbox.invoke(invocation({}, { sink }));
    expect(result).toMatchObject({ outcome: 'error', errorType: 'Error', fatal: false });
    expect(JSON.parse(result.payload.toString())).toEqual({ errorMessage: 'boom', errorType: 'Error' });
    expect(text()).toBe('half');
  });

  it('breaks off with its runtime, its connection or its time', async () => {
    const { sandbox } = await startEnvironment({
      program: streaming(`
        const request = stream();
        request.on('error', () => {});
        await new Promise((resolve) => request.write('half', resolve));
        await sleep(50);
        if (event === 'exit') process.exit(3);
        if (event === 'break') { request.destroy(); answer.catch(() => {}); answer = undefined; }
        if (event === 'hang') await sleep(60_000);
        if (event === 'well') request.end();`),
      spec: { timeoutMs: 2_500 },
    });
    const outcome = async (event: string) => {
      const { sink, text } = collector();
      const result = await sandbox.invoke(invocation(event, { sink }));
      expect(text()).toBe('half');
      return result;
    };
    expect(await outcome('break')).toMatchObject({ errorType: 'Runtime.TruncatedResponse', fatal: false });
    expect(await outcome('exit')).toMatchObject({ errorType: 'Runtime.ExitError', fatal: true, timedOut: false });
    expect(await outcome('hang')).toMatchObject({ errorType: 'Sandbox.Timedout', fatal: true, timedOut: true });
    expect(await outcome('well')).toMatchObject({ outcome: 'response' });
  });

  it('whose caller has gone is read to its end, and the function is told nothing', async () => {
    const { sandbox, output } = await startEnvironment({
      program: streaming(
        `const request = stream(); for (let n = 0; n < 5; n++) { request.write('x'); await sleep(20); } request.end();`,
      ),
    });
    for (const fail of [
      () => Promise.reject(new Error('gone')),
      () => {
        throw new Error('gone');
      },
    ]) {
      const { sink, pieces } = collector(fail);
      expect(await sandbox.invoke(invocation({}, { sink }))).toMatchObject({ outcome: 'response' });
      expect(pieces).toHaveLength(1);
    }
    await until(() => output.length === 2);
    expect(new Set(output)).toEqual(new Set(['answered 202 {"status":"OK"}']));
  });

  it('in a mode that there is not is an error', async () => {
    const { sandbox, output } = await startEnvironment({
      program: streaming(`stream({ 'Lambda-Runtime-Function-Response-Mode': 'dripping' }).end('x');`),
    });
    expect(await sandbox.invoke(invocation({}))).toMatchObject({ errorType: 'Runtime.InvalidResponseModeHeader' });
    await until(() => output.length === 1);
    expect(output[0]).toBe(
      'answered 400 {"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}',
    );
  });

  it('works from bash and curl', async () => {
    const fixture = await openCompute();
    const bootstrap = `#!/bin/bash
API="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  curl -sS -LD "$TMPDIR/headers" "$API/invocation/next" -o "$TMPDIR/event"
  ID=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$TMPDIR/headers" | tr -d '[:space:]' | cut -d: -f2)
  (echo one; sleep 0.2; cat "$TMPDIR/event") | curl -sS -X POST -T - "$API/invocation/$ID/response" \\
    -H 'Lambda-Runtime-Function-Response-Mode: streaming' -H 'Transfer-Encoding: chunked' -H 'Content-Type: text/plain' >/dev/null
done
`;
    const { sandbox } = await fixture.start({ bootstrap }, { runtime: 'provided.al2023' });
    const { sink, began, text, pieces } = collector();
    expect(await sandbox.invoke(invocation({ n: 1 }, { sink }))).toMatchObject({ outcome: 'response' });
    expect([began, text()]).toEqual([['text/plain'], 'one\n{"n":1}']);
    expect(pieces.length).toBeGreaterThan(1);
    await fixture.close();
  });
});
