import { load } from './load.ts';
import { type Running, startServer } from './processes.ts';
import { median, type Result, result } from './report.ts';
import { zipOf } from './zip.ts';

interface Options {
  readonly root: string;
  readonly floor: string;
  readonly startCloud: () => Promise<Running>;
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly roundMs: number;
}

const event = JSON.stringify({ hello: 'world', list: [1, 2, 3] });

/** Warm invocations of a trivial Node function against a bare hop to a Node process. */
export async function invocations({ floor, startCloud, rounds, warmUpMs, roundMs }: Options): Promise<Result[]> {
  const cloud = await startCloud();
  await createFunction(cloud.port, 'bench');
  const request = (port: number): Buffer => invokeRequest(port, 'bench');
  const measured: Record<string, { p50: number[]; rate: number[] }> = {};
  for (const connections of [1, 8]) {
    const bare = await startServer([floor, JSON.stringify({ sandboxes: connections })]);
    for (let round = 0; round <= rounds; round++) {
      for (const [name, port] of [
        ['floor', bare.port],
        ['subject', cloud.port],
      ] as const) {
        const key = `${name} ${connections}`;
        measured[key] ??= { p50: [], rate: [] };
        const { p50Ms, perSecond } = await load({
          port,
          connections,
          durationMs: round === 0 ? warmUpMs : roundMs,
          request: () => request(port),
        });
        if (round === 0) continue;
        measured[key].p50.push(p50Ms);
        measured[key].rate.push(perSecond);
      }
    }
    await bare.stop();
  }
  await cloud.stop();
  const p50 = (name: string): number => median(measured[name]!.p50);
  const rate = (name: string): number => median(measured[name]!.rate);
  return [
    result(
      'warm Invoke p50, 1 connection',
      `${p50('subject 1').toFixed(2)} ms`,
      `F2: ${p50('floor 1').toFixed(2)} ms`,
      p50('subject 1') / p50('floor 1'),
      '<= 1.6',
    ),
    result(
      'warm Invoke, 8 connections',
      `${Math.round(rate('subject 8'))}/s`,
      `F2: ${Math.round(rate('floor 8'))}/s`,
      rate('subject 8') / rate('floor 8'),
      '>= 0.7',
    ),
  ];
}

export function invokeRequest(port: number, name: string): Buffer {
  const head = [
    `POST /2015-03-31/functions/${name}/invocations HTTP/1.1`,
    `host: 127.0.0.1:${port}`,
    'content-type: application/octet-stream',
    `content-length: ${event.length}`,
    `authorization: ${lambdaHeaders.authorization}`,
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${event}`);
}

/** What a request to the Lambda API needs beside its body; the signature is of the right form and not verified. */
export const lambdaHeaders = {
  authorization: `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261121/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`,
};

/** A trivial Node function that is ready to be invoked. */
export async function createFunction(port: number, name: string): Promise<void> {
  const code = zipOf('index.mjs', 'export const handler = async (event) => ({ ok: true, event });\n');
  const answer = await fetch(`http://127.0.0.1:${port}/2015-03-31/functions`, {
    method: 'POST',
    headers: lambdaHeaders,
    body: JSON.stringify({
      FunctionName: name,
      Runtime: 'nodejs20.x',
      Handler: 'index.handler',
      Role: 'arn:aws:iam::000000000000:role/bench',
      Code: { ZipFile: code.toString('base64') },
      MemorySize: 256,
      Timeout: 30,
    }),
  });
  if (!answer.ok) throw new Error(`CreateFunction answered ${answer.status}: ${await answer.text()}`);
  for (;;) {
    const configuration = await fetch(`http://127.0.0.1:${port}/2015-03-31/functions/${name}/configuration`, {
      headers: lambdaHeaders,
    });
    const { State } = (await configuration.json()) as { State?: string };
    if (State === 'Active') return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
