/** One list of checks for every Runtime API client: whatever speaks that API must come through it, over real sandboxes. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  AddPermissionCommand,
  CreateFunctionCommand,
  type CreateFunctionCommandInput,
  CreateFunctionUrlConfigCommand,
  InvokeCommand,
  type InvokeCommandOutput,
  InvokeWithResponseStreamCommand,
  LambdaClient,
  PublishLayerVersionCommand,
  type Runtime,
  waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ZipFile } from 'yazl';
import { startTestCloud, type TestCloud } from '../support/cloud.ts';

export interface Client {
  /** Of a folder beside this file. */
  readonly name: string;
  /** Folder of the function's package. */
  readonly package: string;
  /** Folder of a layer that holds the runtime. */
  readonly layer?: string;
  readonly handler: string;
  readonly memoryMb: number;
  /** What the client says of an error with the text `it fails`. */
  readonly failure: object;
  /** When the handler crashes with the text `it crashes`. */
  readonly crash: Ending;
  /** When the handler exits with 3; by default the end of the process. */
  readonly exit?: Ending;
  /** What the log has of an event with the text `hello`. */
  readonly log: readonly RegExp[];
  /** What the client reports at its start of a handler that is not there; left out where the client does not look for one. */
  readonly missingHandler?: { readonly handler: string; readonly payload: object };
  /** Left out where it cannot stream. */
  readonly streams?: {
    /** What an HTTP integration reads (a status and headers) goes before what the function streams. */
    readonly prelude: boolean;
    /** What comes of `one two ` when the function then breaks off, and the client's word for that, if it has one. */
    readonly brokenOff: { readonly text: string; readonly error?: string };
  };
}

interface Ending {
  /** What the caller gets. */
  readonly payload: object;
  /** Whether the runtime's process lives on. */
  readonly survives: boolean;
}

interface Echo {
  /** How many events this environment has seen. */
  readonly count: number;
  /** Tells environments apart. */
  readonly logStream: string;
  readonly requestId: string;
}

const exits: Ending = {
  payload: {
    errorType: 'Runtime.ExitError',
    errorMessage: expect.stringMatching(/^RequestId: \S+ Error: Runtime exited with error: exit status 3$/),
  },
  survives: false,
};

const role = 'arn:aws:iam::000000000000:role/runs';

/** What tools/setup-tests.sh has built of a folder here. */
export function built(name: string): string {
  const cache = fileURLToPath(new URL(`../../node_modules/.cache/runtime-clients/${name}`, import.meta.url));
  if (existsSync(join(cache, 'built'))) return join(cache, 'package');
  throw new Error(`test/runtimes/${name} is not built: run \`sh tools/setup-tests.sh\``);
}

export function describeClient(client: Client): void {
  let cloud: TestCloud;
  let lambda: LambdaClient;
  let layers: string[];
  let code: Uint8Array;

  beforeAll(async () => {
    cloud = await startTestCloud({ services: ['lambda', 'logs', 'iam', 'sts'] });
    lambda = new LambdaClient({ ...cloud.clientConfig, maxAttempts: 1 });
    code = await zipped(client.package);
    layers = client.layer === undefined ? [] : [await publish(lambda, client.layer)];
    await create('client', {});
  }, 120_000);
  afterAll(() => cloud?.close());

  const create = async (name: string, settings: Partial<CreateFunctionCommandInput>): Promise<void> => {
    await lambda.send(
      new CreateFunctionCommand({
        FunctionName: name,
        Runtime: 'provided.al2023' as Runtime,
        Handler: client.handler,
        Role: role,
        Code: { ZipFile: code },
        Layers: layers,
        MemorySize: client.memoryMb,
        Timeout: 30,
        ...settings,
      }),
    );
    await waitUntilFunctionActiveV2(
      { client: lambda, maxWaitTime: 20, minDelay: 0.05, maxDelay: 0.2 },
      { FunctionName: name },
    );
  };
  const invoke = (event: object, functionName = 'client', clientContext?: object): Promise<InvokeCommandOutput> =>
    lambda.send(
      new InvokeCommand({
        FunctionName: functionName,
        Payload: JSON.stringify(event),
        LogType: 'Tail',
        ...(clientContext && { ClientContext: Buffer.from(JSON.stringify(clientContext)).toString('base64') }),
      }),
    );
  const echo = async (): Promise<Echo> => answerOf(await invoke({ action: 'echo' })) as Echo;
  const stream = async (event: object) => {
    const answer = await lambda.send(
      new InvokeWithResponseStreamCommand({ FunctionName: 'client', Payload: JSON.stringify(event) }),
    );
    const pieces: { readonly text: string; readonly atMs: number }[] = [];
    for await (const { PayloadChunk, InvokeComplete } of answer.EventStream!) {
      if (PayloadChunk !== undefined) {
        pieces.push({ text: Buffer.from(PayloadChunk.Payload!).toString(), atMs: performance.now() });
      }
      if (InvokeComplete !== undefined) return { pieces, complete: InvokeComplete };
    }
    throw new Error('the stream ended without its last event');
  };
  /** What the function streamed, without what the client sends before it. */
  const streamed = (pieces: readonly { readonly text: string }[]): string => {
    const text = pieces.map((piece) => piece.text).join('');
    if (client.streams?.prelude !== true) return text;
    const [prelude, ...rest] = text.split('\0'.repeat(8));
    expect(JSON.parse(prelude!)).toMatchObject({ statusCode: 200 });
    return rest.join('');
  };

  describe(`the client ${client.name}`, () => {
    it('gets the event and its context', async () => {
      const startedAtMs = Date.now();
      const event = { action: 'echo', text: 'ünï ✓', nested: { list: [1, null, 'x'] } };
      const answer = await invoke(event, 'client', { custom: { colour: 'blue' } });
      const echoed = answerOf(answer) as Record<string, unknown>;
      expect(echoed).toMatchObject({
        event,
        count: 1,
        requestId: answer.$metadata.requestId,
        functionArn: 'arn:aws:lambda:us-east-1:000000000000:function:client',
        clientContext: { colour: 'blue' },
        functionName: 'client',
        functionVersion: '$LATEST',
        memoryMb: client.memoryMb,
        logGroup: '/aws/lambda/client',
        traceId: expect.stringMatching(/^Root=1-[0-9a-f]{8}-[0-9a-f]{24};/),
      });
      // Thirty seconds after the event was handed over. Some clients tell only what remains, so that it is a sum of two looks at clocks.
      const handedOverAtMs = Number(echoed['deadlineMs']) - 30_000;
      expect(handedOverAtMs).toBeGreaterThanOrEqual(startedAtMs - 1_000);
      expect(handedOverAtMs).toBeLessThanOrEqual(Date.now() + 1_000);
    });

    it('serves one event after another in one environment', async () => {
      const first = await echo();
      for (let number = 1; number <= 10; number++) {
        const next = await echo();
        expect(next).toMatchObject({ count: first.count + number, logStream: first.logStream });
        expect(next.requestId).not.toBe(first.requestId);
      }
    });

    it("tells the caller of the function's error in its own words, and goes on", async () => {
      const before = await echo();
      const answer = await invoke({ action: 'fail', text: 'it fails' });
      expect(answer.FunctionError).toBe('Unhandled');
      expect(parsed(answer)).toMatchObject(client.failure);
      expect(await echo()).toMatchObject({ logStream: before.logStream, count: before.count + 2 });
    });

    it('takes and gives five megabytes', async () => {
      const answer = answerOf(await invoke({ action: 'large', bytes: 5_000_000 }));
      expect(answer === 'x'.repeat(5_000_000)).toBe(true);
      const text = 'x'.repeat(5_000_000);
      expect(answerOf(await invoke({ action: 'measure', text }))).toEqual({ characters: 5_000_000 });
    });

    it('logs', async () => {
      const answer = await invoke({ action: 'log', text: 'hello' });
      expect(answerOf(answer)).toBeNull();
      const tail = Buffer.from(answer.LogResult!, 'base64').toString();
      expect(tail).toMatch(/^START RequestId: /);
      for (const line of client.log) expect(tail).toMatch(line);
      expect(tail).toContain(`END RequestId: ${answer.$metadata.requestId}`);
    });

    it.each([
      ['crashes', { action: 'crash', text: 'it crashes' }, client.crash],
      ['exits', { action: 'exit' }, client.exit ?? exits],
    ])('%s, and the next event is served', async (_what, event, { payload, survives }) => {
      const before = await echo();
      const answer = await invoke(event);
      expect(answer.FunctionError).toBe('Unhandled');
      expect(parsed(answer)).toMatchObject(payload);
      expect((await echo()).count).toBe(survives ? before.count + 2 : 1);
    });

    it('runs three at once, each in an environment of its own', async () => {
      const sleeping = [1, 2, 3].map(() => invoke({ action: 'sleep', ms: 1_500 }));
      const answers = (await Promise.all(sleeping)).map((answer) => answerOf(answer) as Echo);
      expect(new Set(answers.map(({ logStream }) => logStream)).size).toBe(3);
    });

    if (client.missingHandler !== undefined) {
      const { handler, payload } = client.missingHandler;
      it('reports a handler that is not there', async () => {
        await create('misnamed', { Handler: handler });
        const answer = await invoke({ action: 'echo' }, 'misnamed');
        expect(answer.FunctionError).toBe('Unhandled');
        expect(parsed(answer)).toMatchObject(payload);
      });
    }

    if (client.streams !== undefined) {
      const { brokenOff } = client.streams;
      const event = { action: 'stream', times: 1 };

      it('streams its response, piece by piece', async () => {
        const { pieces, complete } = await stream({ ...event, pieces: ['one ', 'two ', 'three'], pauseMs: 400 });
        expect(streamed(pieces)).toBe('one two three');
        expect(pieces.at(-1)!.atMs - pieces[0]!.atMs).toBeGreaterThan(200);
        expect(complete.ErrorCode).toBeUndefined();
      });

      it('streams more than a response may have otherwise', async () => {
        const piece = 'x'.repeat(1_000_000);
        const { pieces } = await stream({ ...event, pieces: [piece], times: 7, pauseMs: 0 });
        expect(streamed(pieces) === piece.repeat(7)).toBe(true);
      });

      it('breaks off in the middle of its response', async () => {
        const { pieces, complete } = await stream({
          ...event,
          pieces: ['one ', 'two '],
          pauseMs: 100,
          breaksOff: true,
        });
        expect(streamed(pieces)).toBe(brokenOff.text);
        expect(complete.ErrorCode).toBe(brokenOff.error === undefined ? undefined : 'Unhandled');
        expect(complete.ErrorDetails ?? '').toContain(brokenOff.error ?? '');
      });

      it("streams the answer of the function's URL", async () => {
        const everyone = { FunctionName: 'client', Principal: '*' };
        const open = { Action: 'lambda:InvokeFunctionUrl', FunctionUrlAuthType: 'NONE', StatementId: 'url' } as const;
        const invoke = { Action: 'lambda:InvokeFunction', InvokedViaFunctionUrl: true, StatementId: 'invoke' };
        for (const statement of [open, invoke]) {
          await lambda.send(new AddPermissionCommand({ ...everyone, ...statement }));
        }
        const { FunctionUrl } = await lambda.send(
          new CreateFunctionUrlConfigCommand({
            FunctionName: 'client',
            AuthType: 'NONE',
            InvokeMode: 'RESPONSE_STREAM',
          }),
        );
        const urlId = new URL(FunctionUrl!).hostname.split('.')[0];
        const answer = await fetch(`${cloud.endpoint}/_aws/lambda-url/${urlId}/some/path?a=b`, {
          method: 'PUT',
          headers: { 'x-sent': 'sent', 'content-type': 'text/plain' },
          body: 'the body',
        });
        expect(answer.status).toBe(201);
        expect(answer.headers.get('x-seen')).toBe('sent');
        expect(answer.headers.getSetCookie()).toEqual(['colour=blue']);
        const atMs: number[] = [];
        const decoder = new TextDecoder();
        let text = '';
        for await (const piece of answer.body!) {
          atMs.push(performance.now());
          text += decoder.decode(piece, { stream: true });
        }
        expect(text).toBe('PUT /some/path?a=b\nthe body');
        expect(atMs.at(-1)! - atMs[0]!).toBeGreaterThan(100);
      });

      it('gives a streamed response whole to Invoke', async () => {
        const answer = await invoke({ ...event, pieces: ['"one ', 'two"'], pauseMs: 50 });
        expect(answer.FunctionError).toBeUndefined();
        expect(streamed([{ text: Buffer.from(answer.Payload!).toString() }])).toBe('"one two"');
      });
    }
  });
}

/** Of an invocation that went well. */
function answerOf(answer: InvokeCommandOutput): unknown {
  if (answer.FunctionError === undefined) return parsed(answer);
  const log = Buffer.from(answer.LogResult ?? '', 'base64').toString();
  throw new Error(`${answer.FunctionError}: ${Buffer.from(answer.Payload!).toString()}\n${log}`);
}

function parsed(answer: InvokeCommandOutput): unknown {
  return JSON.parse(Buffer.from(answer.Payload!).toString());
}

async function publish(lambda: LambdaClient, folder: string): Promise<string> {
  const { LayerVersionArn } = await lambda.send(
    new PublishLayerVersionCommand({ LayerName: 'runtime', Content: { ZipFile: await zipped(folder) } }),
  );
  return LayerVersionArn!;
}

async function zipped(folder: string): Promise<Buffer> {
  const zip = new ZipFile();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile()) continue;
    zip.addFile(path, path.slice(folder.length + 1), { mode: statSync(path).mode, compressionLevel: 1 });
  }
  zip.end();
  const pieces: Buffer[] = [];
  for await (const piece of zip.outputStream) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
