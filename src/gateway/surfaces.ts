import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../platform/context.ts';
import { BodyTooLarge, type Surface, type SurfaceRequest, type SurfaceResponse } from '../platform/surface.ts';
import type { WireRequest } from '../wire/message.ts';
import { BodyLimitExceeded, readBody, writePieces } from './listener.ts';

/** Which surface a request is for, if any: by host first, then by the path's beginning. */
export function surfaceFor(surfaces: readonly Surface[], host: string, path: string): Surface | undefined {
  return surfaces.find((surface) => surfaceMatches(surface, host, path));
}

export function surfaceMatches(surface: Surface, host: string, path: string): boolean {
  return surface.host?.test(host) === true || (surface.pathPrefix !== undefined && path.startsWith(surface.pathPrefix));
}

export interface SurfaceRequestOptions {
  readonly request: IncomingMessage;
  readonly host: string;
  readonly path: string;
  readonly query: string;
  readonly requestId: string;
  readonly signal: () => AbortSignal;
  readonly signer: (request: WireRequest, service: string) => Promise<Caller | undefined>;
}

export function surfaceRequest(options: SurfaceRequestOptions): SurfaceRequest {
  const { request } = options;
  return {
    method: request.method ?? 'GET',
    host: options.host,
    path: options.path,
    query: options.query,
    headers: request.headers as Record<string, string | undefined>,
    rawHeaders: request.rawHeaders,
    sourceIp: request.socket.remoteAddress?.replace(/^::ffff:/, '') ?? '127.0.0.1',
    httpVersion: request.httpVersion,
    requestId: options.requestId,
    origin: `http://${request.headers.host ?? options.host}`,
    get signal() {
      return options.signal();
    },
    body: async (maxBytes) => {
      try {
        return await readBody(request, maxBytes);
      } catch (error) {
        throw error instanceof BodyLimitExceeded ? new BodyTooLarge(`the body has more than ${maxBytes} bytes`) : error;
      }
    },
    stream: request,
    signer: (service, body) => {
      const { path, query } = options;
      const headers = request.headers as Record<string, string | undefined>;
      return options.signer({ method: request.method ?? 'GET', path, query, headers, body }, service);
    },
  };
}

export async function respondFromSurface(response: ServerResponse, answer: SurfaceResponse): Promise<void> {
  const headers: string[] = [];
  for (const [name, value] of answer.headers) headers.push(name, value);
  const { body } = answer;
  if (typeof body === 'string' || body instanceof Uint8Array) {
    if (!answer.headers.some(([name]) => name.toLowerCase() === 'content-length')) {
      headers.push('content-length', String(typeof body === 'string' ? Buffer.byteLength(body) : body.length));
    }
    response.writeHead(answer.status, headers);
    response.end(body);
    return;
  }
  response.writeHead(answer.status, headers);
  await writePieces(response, body);
}
