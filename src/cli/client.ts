import { request as httpRequest } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { wallNow } from '../kernel/clock/wall.ts';
import { parseWithBytes, stringifyWithBytes } from '../platform/bytes-json.ts';
import type { Input, OperationName, Output, ServiceName } from '../platform/context.ts';
import { sign } from '../wire/sigv4.ts';
import { CliError } from './error.ts';

/** A running cloud, as the CLI sees it: over its control API. */
export interface CloudClient {
  readonly endpoint: string;
  /** JSON in, JSON out; throws CliError with the cloud's own words. */
  control(method: string, path: string, body?: unknown): Promise<unknown>;
  /** Any AWS operation, as the account's root. */
  call<S extends ServiceName, O extends OperationName<S>>(
    service: S,
    operation: O,
    input: Input<S, O>,
  ): Promise<Output<S, O>>;
  /** Stores bytes as a blob; returns the digest. */
  putBlob(bytes: Buffer): Promise<string>;
  /** Which of these blobs the cloud does not have. */
  missingBlobs(digests: readonly string[]): Promise<readonly string[]>;
  /** Stores a blob of any size as it comes. */
  putStream(source: AsyncIterable<Uint8Array>, digest: string): Promise<void>;
}

export interface ClientOptions {
  readonly endpoint: string;
  readonly region: string;
  /** Whose resources are meant where nothing is verified; default: 000000000000, or the environment's access key. */
  readonly account?: string;
}

/** `--endpoint`, else UNKAI_ENDPOINT, else AWS_ENDPOINT_URL, else the default port on loopback. */
export function findEndpoint(option: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
  const text = option ?? env['UNKAI_ENDPOINT'] ?? env['AWS_ENDPOINT_URL'] ?? 'http://127.0.0.1:4566';
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new CliError('BadEndpoint', `'${text}' is not a URL`, 'give one such as http://127.0.0.1:4566');
  }
  if (url.protocol !== 'http:')
    throw new CliError('BadEndpoint', `'${text}' is not an http: URL`, 'give one such as http://127.0.0.1:4566');
  return `${url.protocol}//${url.host}`;
}

/** Whether a cloud answers there, and what it says of itself. */
export async function probe(endpoint: string): Promise<Record<string, unknown> | undefined> {
  try {
    const answer = await send(
      { endpoint, region: 'us-east-1' },
      'GET',
      '/_unkai/status',
      undefined,
      'application/json',
    );
    const body: unknown = JSON.parse(answer.body.toString('utf8'));
    if (typeof body === 'object' && body !== null && (body as { name?: unknown }).name === 'unkai')
      return body as Record<string, unknown>;
    return answer.status === 403 ? { name: 'unkai', locked: true } : undefined;
  } catch {
    return undefined;
  }
}

export function connect(options: ClientOptions): CloudClient {
  const { endpoint } = options;
  const exchange = async (method: string, path: string, body: Body, contentType: string): Promise<unknown> => {
    const answer = await send(options, method, path, body, contentType).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNREFUSED' && error.code !== 'ENOTFOUND') throw error;
      throw new CliError(
        'NoCloud',
        `no cloud answers at ${endpoint}`,
        'start one with: unkai start (or name another with --endpoint)',
      );
    });
    return parseAnswer(answer, endpoint);
  };
  const control = (method: string, path: string, body?: unknown): Promise<unknown> =>
    exchange(
      method,
      `/_unkai/${path}`,
      body === undefined ? undefined : Buffer.from(stringifyWithBytes(body)),
      'application/json',
    );
  return {
    endpoint,
    control,
    call: (service, operation, input) => control('POST', `call/${service}/${operation}`, input) as never,
    putBlob: async (bytes) =>
      ((await exchange('POST', '/_unkai/blobs', bytes, 'application/octet-stream')) as { digest: string }).digest,
    missingBlobs: async (digests) =>
      ((await control('POST', 'blobs/missing', { digests })) as { missing: string[] }).missing,
    putStream: async (source, digest) => {
      await exchange('PUT', `/_unkai/blobs/${digest}`, source, 'application/octet-stream');
    },
  };
}

type Body = Buffer | AsyncIterable<Uint8Array> | undefined;

interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

function parseAnswer(answer: Answer, endpoint: string): unknown {
  let body: unknown;
  try {
    body = parseWithBytes(answer.body.toString('utf8'));
  } catch {
    throw new CliError('NotACloud', `what answers at ${endpoint} is not Unkai`, 'name the right one with --endpoint');
  }
  if (answer.status < 400) return body;
  const error = (body as { error?: { code?: string; message?: string; hint?: string } }).error;
  const message = error?.message ?? (body as { message?: string }).message ?? `the cloud answered ${answer.status}`;
  throw new CliError(error?.code ?? 'Refused', message, error?.hint ?? '');
}

/** Signed always: the signature says account and region, and where the cloud asks for it, that this is its root. */
function send(options: ClientOptions, method: string, path: string, body: Body, contentType: string): Promise<Answer> {
  const url = new URL(options.endpoint);
  const { env } = process;
  const accessKeyId = options.account ?? env['UNKAI_ACCESS_KEY_ID'] ?? env['AWS_ACCESS_KEY_ID'] ?? '000000000000';
  const secretAccessKey = env['UNKAI_SECRET_ACCESS_KEY'] ?? env['AWS_SECRET_ACCESS_KEY'] ?? 'unkai';
  const headers = { host: url.host, 'content-type': contentType };
  const whole = body === undefined || Buffer.isBuffer(body) ? (body ?? Buffer.alloc(0)) : undefined;
  // What comes as a stream is signed by the digest in its path.
  const wire = { method, path, query: '', headers, body: whole ?? Buffer.alloc(0) };
  const all = {
    ...headers,
    ...sign(wire, { accessKeyId, secretAccessKey }, { region: options.region, service: 'unkai', nowMs: wallNow() }),
  };
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        host: url.hostname,
        port: url.port || 80,
        method,
        path,
        headers: { ...all, ...(whole === undefined ? {} : { 'content-length': String(whole.length) }) },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    if (whole !== undefined) request.end(whole);
    // An answer that comes before the end (there is no room for it) counts; the rest is not sent.
    else pipeline(body as AsyncIterable<Uint8Array>, request).catch(reject);
  });
}
