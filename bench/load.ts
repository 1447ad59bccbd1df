import { connect, type Socket } from 'node:net';

export interface Load {
  readonly port: number;
  readonly connections: number;
  readonly durationMs: number;
  /** The whole request, head and body; called for each. */
  readonly request: (connection: number, index: number) => Buffer;
  /** What the next request of this connection needs of the answer's body; left out: bodies are not read. */
  /** Ends before the time is up when it says so. */
  readonly stop?: () => boolean;
  readonly onBody?: (connection: number, body: Buffer) => void;
}

export interface Measured {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly count: number;
}

/** Sends requests over so many kept connections, one at a time on each, and throws at the first answer that is not a 2xx. */
export async function load(options: Load): Promise<Measured> {
  const latencies: number[] = [];
  const startedAt = performance.now();
  const endAt = startedAt + options.durationMs;
  await Promise.all(
    Array.from({ length: options.connections }, (_, connection) => drive(options, connection, endAt, latencies)),
  );
  const tookS = (performance.now() - startedAt) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share: number): number =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? Number.NaN;
  return { perSecond: latencies.length / tookS, p50Ms: at(0.5), p99Ms: at(0.99), count: latencies.length };
}

function drive(options: Load, connection: number, endAt: number, latencies: number[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ port: options.port, host: '127.0.0.1', noDelay: true });
    let index = 0;
    let sentAt = 0;
    let pending: Buffer = Buffer.alloc(0);
    const send = (): void => {
      sentAt = performance.now();
      if (sentAt >= endAt || options.stop?.() === true) {
        socket.end();
        resolve();
        return;
      }
      socket.write(options.request(connection, index++));
    };
    socket.on('connect', send);
    socket.on('error', reject);
    socket.on('close', () => resolve());
    socket.on('data', (chunk) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      const headEnd = pending.indexOf('\r\n\r\n');
      if (headEnd === -1) return;
      const head = pending.toString('latin1', 0, headEnd);
      const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
      if (length === undefined) return reject(new Error(`an answer without content-length: ${head}`));
      const end = headEnd + 4 + Number(length);
      if (pending.length < end) return;
      if (head.charCodeAt(9) !== 0x32)
        return reject(new Error(`${head.split('\r\n')[0]}: ${pending.toString('utf8', headEnd + 4, end)}`));
      options.onBody?.(connection, pending.subarray(headEnd + 4, end));
      pending = pending.subarray(end);
      latencies.push(performance.now() - sentAt);
      send();
    });
  });
}

/** A request as the AWS SDK for JavaScript v3 sends it; the signature is of the right form and length, and not verified. */
export function awsRequest(options: {
  readonly port: number;
  readonly service: string;
  readonly target?: string;
  readonly path?: string;
  readonly contentType?: string;
  readonly body: string;
}): Buffer {
  const head = [
    `POST ${options.path ?? '/'} HTTP/1.1`,
    `host: 127.0.0.1:${options.port}`,
    `content-type: ${options.contentType ?? 'application/x-amz-json-1.0'}`,
    `content-length: ${Buffer.byteLength(options.body)}`,
    ...(options.target === undefined ? [] : [`x-amz-target: ${options.target}`]),
    'x-amz-user-agent: aws-sdk-js/3.1162.0',
    'user-agent: aws-sdk-js/3.1162.0 ua/2.1 os/linux#6.1 lang/js md/nodejs#20.20.2 api/dynamodb#3.1162.0 m/E,e',
    'amz-sdk-invocation-id: 7b7b3a54-4d2b-4a3c-9f0a-5c1f6a1f0c11',
    'amz-sdk-request: attempt=1; max=3',
    'x-amz-date: 20261121T230000Z',
    `x-amz-content-sha256: ${'0'.repeat(64)}`,
    `authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261121/us-east-1/${options.service}/aws4_request, SignedHeaders=amz-sdk-invocation-id;amz-sdk-request;content-length;content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target;x-amz-user-agent, Signature=${'0'.repeat(64)}`,
    'connection: keep-alive',
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${options.body}`);
}
