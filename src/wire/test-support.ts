import { Readable } from 'node:stream';
import { codecFor, encodeError } from './codec.ts';
import type { WireRequest } from './message.ts';
import type { Identified } from './route.ts';
import { hintOf, identify } from './route.ts';

/** What the stock SDK hands its request handler; the part of it that the wire needs. */
interface SdkRequest {
  readonly method: string;
  readonly path: string;
  readonly query?: Record<string, string | string[] | null>;
  readonly headers: Record<string, string>;
  readonly body?: unknown;
}

export interface Exchange {
  readonly identified: Identified;
  readonly input: unknown;
  readonly request: WireRequest;
}

export const REQUEST_ID = '7f6d2c1e-0000-4000-8000-000000000001';

/** The SDK's client settings that answer every call by `answer` through our wire layer, in process. `seen` collects what was decoded. */
export function wired(answer: (exchange: Exchange) => unknown, seen: Exchange[] = []) {
  const handle = async (sdkRequest: unknown) => {
    const request = await wireRequest(sdkRequest as SdkRequest);
    const response = respond(request, answer, seen);
    const body = Readable.from([Buffer.from(response.body)]);
    const headers = Object.fromEntries(
      Object.entries(response.headers).map(([name, value]) => [name.toLowerCase(), value]),
    );
    return { response: { statusCode: response.status, headers, body } };
  };
  return {
    region: 'eu-central-1',
    endpoint: 'http://127.0.0.1:4566',
    credentials: { accessKeyId: '123456789012', secretAccessKey: 'secret' },
    maxAttempts: 1,
    requestHandler: { handle, updateHttpClientConfig: () => {}, httpHandlerConfigs: () => ({}) },
  };
}

function respond(request: WireRequest, answer: (exchange: Exchange) => unknown, seen: Exchange[]) {
  let identified: Identified | undefined;
  try {
    identified = identify(request);
    const codec = codecFor(identified.service, identified.operation, identified.protocol);
    const exchange = { identified, input: codec.decode(request), request };
    seen.push(exchange);
    return codec.encode(answer(exchange), REQUEST_ID);
  } catch (error) {
    return encodeError(error, { ...(identified ?? hintOf(request)), requestId: REQUEST_ID });
  }
}

async function wireRequest(request: SdkRequest): Promise<WireRequest> {
  const query = Object.entries(request.query ?? {}).flatMap(([name, value]) => {
    const values = Array.isArray(value) ? value : [value];
    return values.map((one) => (one === null ? encodeRfc3986(name) : `${encodeRfc3986(name)}=${encodeRfc3986(one)}`));
  });
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  return {
    method: request.method,
    path: request.path,
    query: query.join('&'),
    headers,
    body: await bytesOf(request.body),
  };
}

/** A request by hand, for what no SDK would send. */
export function rawRequest(parts: Partial<Omit<WireRequest, 'body'>> & { readonly body?: string }): WireRequest {
  const { method = 'POST', path = '/', query = '', headers = {}, body = '' } = parts;
  return { method, path, query, headers: { host: '127.0.0.1:4566', ...headers }, body: Buffer.from(body) };
}

function encodeRfc3986(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
}

async function bytesOf(body: unknown): Promise<Buffer> {
  if (body === undefined || body === null) return Buffer.alloc(0);
  if (typeof body === 'string') return Buffer.from(body);
  if (body instanceof Uint8Array) return Buffer.from(body);
  const chunks: Buffer[] = [];
  for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}
