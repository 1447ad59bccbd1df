import { request as httpRequest } from 'node:http';
import {
  CreateFunctionCommand,
  InvokeCommand,
  InvokeWithResponseStreamCommand,
  type InvokeWithResponseStreamCommandInput,
  LambdaClient,
  PutFunctionConcurrencyCommand,
  waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { WallClock } from '../../kernel/clock/wall.ts';
import { serviceCaller } from '../../platform/context.ts';
import { Crash, FakeCompute, type FakeFunction, FakeLogs } from './fake-compute.test-support.ts';
import { lambdaLimits } from './limits.ts';
import { ResponseStream } from './response-stream.ts';
import { zipFiles } from './rules/package.ts';

const account = '000000000000';
const zip = zipFiles({ 'index.js': '' });

let test: TestCloud;
let client: LambdaClient;
let compute: FakeCompute;

beforeAll(async () => {
  // The pace of a response has tests of its own, without a cloud.
  test = await startTestCloud({ services: ['lambda'], limits: 'relaxed' });
  compute = FakeCompute.into(test.cloud.platform);
  FakeLogs.into(test.cloud.platform);
  client = new LambdaClient(test.clientConfig);
});
afterAll(() => test.close());

async function create(name: string, run: FakeFunction): Promise<void> {
  compute.functions.set(name, run);
  await client.send(
    new CreateFunctionCommand({
      FunctionName: name,
      Runtime: 'nodejs20.x',
      Handler: 'index.handler',
      Role: `arn:aws:iam::${account}:role/worker`,
      Code: { ZipFile: zip },
    }),
  );
  await waitUntilFunctionActiveV2({ client, maxWaitTime: 10, minDelay: 0.01, maxDelay: 0.05 }, { FunctionName: name });
}

async function stream(name: string, more: Partial<InvokeWithResponseStreamCommandInput> = {}) {
  const answer = await client.send(new InvokeWithResponseStreamCommand({ FunctionName: name, ...more }));
  const chunks: string[] = [];
  let complete: unknown;
  for await (const event of answer.EventStream ?? []) {
    if (event.PayloadChunk) chunks.push(Buffer.from(event.PayloadChunk.Payload ?? []).toString('utf8'));
    if (event.InvokeComplete) complete = event.InvokeComplete;
  }
  return { answer, chunks, complete: complete as Record<string, string | undefined> | undefined };
}

describe('InvokeWithResponseStream', () => {
  it('sends each piece as it comes, then how it ended', async () => {
    const gates = new Map<string, () => void>();
    await create('counter', async (event, { stream: begin, log }) => {
      const write = begin('text/plain');
      log('counting');
      await write('one');
      await new Promise<void>((resolve) => gates.set('second', resolve));
      await write(`two of ${JSON.stringify(event)}`);
    });
    const answer = await client.send(
      new InvokeWithResponseStreamCommand({ FunctionName: 'counter', Payload: '{"a":1}', LogType: 'Tail' }),
    );
    expect(answer).toMatchObject({
      StatusCode: 200,
      ExecutedVersion: '$LATEST',
      ResponseStreamContentType: 'application/vnd.amazon.eventstream',
    });
    const seen: string[] = [];
    for await (const { PayloadChunk, InvokeComplete } of answer.EventStream!) {
      if (PayloadChunk) seen.push(Buffer.from(PayloadChunk.Payload!).toString('utf8'));
      // The function waits for the reader to have had its first piece: nothing was held back.
      if (seen.length === 1) gates.get('second')!();
      if (InvokeComplete) {
        expect(InvokeComplete.ErrorCode).toBeUndefined();
        expect(Buffer.from(InvokeComplete.LogResult!, 'base64').toString('utf8')).toContain('counting');
      }
    }
    expect(seen).toEqual(['one', 'two of {"a":1}']);
  });

  it('gives the whole response of a function that does not stream in one piece', async () => {
    await create('whole', () => ({ hello: 'world' }));
    const { chunks, complete } = await stream('whole');
    expect(chunks).toEqual(['{"hello":"world"}']);
    expect(complete).toEqual({});
  });

  it('tells a failure at the end, of a function that streams and of one that does not', async () => {
    await create('thrower', () => {
      throw new Error('no luck');
    });
    const failed = await stream('thrower');
    expect(failed.answer.StatusCode).toBe(200);
    expect(failed.chunks).toEqual([]);
    expect(failed.complete).toEqual({
      ErrorCode: 'Unhandled',
      ErrorDetails: '{"errorType":"Error","errorMessage":"no luck"}',
    });
    await create('breaker', async (_event, { stream: begin }) => {
      await begin()('a part');
      throw new Crash();
    });
    const broken = await stream('breaker');
    expect(broken.chunks).toEqual(['a part']);
    expect(broken.complete).toMatchObject({ ErrorCode: 'Unhandled' });
    expect(JSON.parse(broken.complete!['ErrorDetails']!)).toMatchObject({ errorType: 'Runtime.ExitError' });
  });

  it('answers refusals as any operation, and a dry run with nothing', async () => {
    await create('refuser', () => 1);
    const dry = await stream('refuser', { InvocationType: 'DryRun' });
    expect(dry.answer.$metadata.httpStatusCode).toBe(204);
    await expect(stream('nobody')).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    await expect(stream('refuser', { Payload: 'not JSON' })).rejects.toMatchObject({
      name: 'InvalidRequestContentException',
    });
    await expect(stream('refuser', { TenantId: 'one' })).rejects.toMatchObject({ name: 'NotImplemented' });
    await expect(stream('refuser', { Payload: `"${'x'.repeat(6_291_456)}"` })).rejects.toMatchObject({
      name: 'RequestTooLargeException',
    });
    await client.send(new PutFunctionConcurrencyCommand({ FunctionName: 'refuser', ReservedConcurrentExecutions: 0 }));
    await expect(stream('refuser')).rejects.toMatchObject({
      name: 'TooManyRequestsException',
      Reason: 'ReservedFunctionConcurrentInvocationLimitExceeded',
    });
  });

  it('is collected by Invoke', async () => {
    await create('collected', async (_event, { stream: begin }) => {
      const write = begin();
      await write('"a');
      await write('b"');
    });
    const { Payload } = await client.send(new InvokeCommand({ FunctionName: 'collected' }));
    expect(Buffer.from(Payload!).toString('utf8')).toBe('"ab"');
  });

  it('works on the bus', async () => {
    await create('bussed', async (_event, { stream: begin }) => {
      const write = begin();
      await write('x');
      await write('y');
    });
    const { bus } = test.cloud.platform;
    const caller = serviceCaller('lambda', account, 'us-east-1');
    const { EventStream } = await bus.call(caller, 'lambda', 'InvokeWithResponseStream', { FunctionName: 'bussed' });
    const events: unknown[] = [];
    for await (const event of EventStream!) events.push(event);
    expect(events).toEqual([
      { PayloadChunk: { Payload: Buffer.from('x') } },
      { PayloadChunk: { Payload: Buffer.from('y') } },
      { InvokeComplete: { LogResult: undefined } },
    ]);
  });

  it('does not cut a function off whose reader leaves, and writes no faster than it is read', async () => {
    const pieces = 1_280;
    let written = 0;
    let ended: (count: number) => void = () => {};
    const over = new Promise<number>((resolve) => {
      ended = resolve;
    });
    const piece = 'p'.repeat(64 * 1024);
    await create('endless', async (_event, { stream: begin }) => {
      const write = begin();
      for (; written < pieces; written++) await write(piece);
      ended(written);
    });
    const { hostname, port } = new URL(test.endpoint);
    const path = '/2021-11-15/functions/endless/response-streaming-invocations';
    const headers = { 'content-type': 'application/json', connection: 'close' };
    await new Promise<void>((resolve, reject) => {
      const sent = httpRequest({ hostname, port, path, method: 'POST', headers }, (response) => {
        expect(response.headers['transfer-encoding']).toBe('chunked');
        response.once('data', () => {
          // It is not read on: what is written meanwhile fills buffers and no more.
          response.pause();
          setTimeout(() => {
            expect(written).toBeLessThan(pieces);
            response.destroy();
            resolve();
          }, 300);
        });
      });
      sent.on('error', reject);
      sent.end('{}');
    });
    expect(await over).toBe(pieces);
  });
});

describe('the pace of a response', () => {
  const { streamedBurstBytes, streamedBytesPerSecond, streamedResponseBytes } = lambdaLimits;

  async function paced(limits: 'aws' | 'relaxed', bytes: number) {
    const clock = new WallClock();
    const stream = new ResponseStream(clock, limits);
    stream.begin(undefined);
    const startedMs = clock.elapsed();
    let read = 0;
    const reading = (async () => {
      for await (const piece of stream) read += piece.length;
    })();
    const piece = Buffer.alloc(1024 * 1024);
    for (let sent = 0; sent < bytes; sent += piece.length)
      await stream.write(bytes - sent < piece.length ? piece.subarray(0, bytes - sent) : piece);
    stream.end();
    await reading;
    return { tookMs: clock.elapsed() - startedMs, read, stream };
  }

  it('is held to 2 MB/s after 6 MB, unless limits are relaxed', async () => {
    const bytes = streamedBurstBytes.value + streamedBytesPerSecond.value / 2;
    const held = await paced('aws', bytes);
    expect(held.read).toBe(bytes);
    expect(held.tookMs).toBeGreaterThan(450);
    const free = await paced('relaxed', bytes);
    expect(free.read).toBe(bytes);
    expect(free.tookMs).toBeLessThan(held.tookMs);
  });

  it('ends at 200 MB', async () => {
    const { read, stream } = await paced('relaxed', streamedResponseBytes.value + 5);
    expect(read).toBe(streamedResponseBytes.value);
    expect(stream.tooLarge).toBe(true);
  });
});
