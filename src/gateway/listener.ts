import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WireResponse } from '../wire/message.ts';

/** Every request in full, after the door. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => void;
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export interface ListenOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly answer: Answer;
  readonly upgrade: Upgrade;
}

/** A user's mistake at start: the port is taken, the host is none of this machine's. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly code: string;
  readonly hint: string;

  constructor(code: string, message: string, hint: string) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

export interface Listener {
  readonly port: number;
  /** Ends idle connections at once and busy ones after their answer, at the latest after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** AWS keeps idle connections of its SDKs open for longer than the SDKs do; so does this. */
const keepAliveTimeoutMs = 75_000;

export async function listen(options: ListenOptions): Promise<Listener> {
  const server = createServer(
    {
      keepAliveTimeout: keepAliveTimeoutMs,
      // Uploads of code over slow links and long polls end by their own limits.
      requestTimeout: 0,
      maxHeaderSize: 64 * 1024,
    },
    options.answer,
  );
  server.on('upgrade', options.upgrade);
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    else socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explain(error, options)));
    server.listen({ host: options.host, port: options.port, backlog: 1024 }, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: (graceMs) => closeServer(server, graceMs),
  };
}

function closeServer(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
    if (graceMs <= 0) server.closeAllConnections();
    // The event loop's own timer: a listener that closes must not depend on a clock that may stand still.
    else AbortSignal.timeout(graceMs).addEventListener('abort', () => server.closeAllConnections());
  });
}

function explain(error: NodeJS.ErrnoException, { host, port }: ListenOptions): Error {
  switch (error.code) {
    case 'EADDRINUSE':
      return new ListenError(
        'PortInUse',
        `port ${port} on ${host} is in use`,
        `choose another with --port, or see what runs there with: unkai status --endpoint http://${host}:${port}`,
      );
    case 'EACCES':
      return new ListenError(
        'PortForbidden',
        `port ${port} on ${host} may not be opened by this user`,
        'choose one above 1023 with --port',
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new ListenError(
        'HostUnknown',
        `${host} is not an address of this machine`,
        'use 127.0.0.1, or 0.0.0.0 for all addresses, with --host',
      );
    default:
      return error;
  }
}

export class BodyLimitExceeded extends Error {
  override readonly name = 'BodyLimitExceeded';
}

/** The whole body. Past `maxBytes` it rejects, and the rest is thrown away unread. */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let first: Buffer | undefined;
    let rest: Buffer[] | undefined;
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) {
        rest = undefined;
        first = undefined;
        reject(new BodyLimitExceeded());
        return;
      }
      if (first === undefined) first = chunk;
      else if (rest === undefined) rest = [first, chunk];
      else rest.push(chunk);
    });
    request.on('end', () => resolve(rest === undefined ? (first ?? empty) : Buffer.concat(rest, size)));
    request.on('error', reject);
  });
}

const empty = Buffer.alloc(0);

export function respond(response: ServerResponse, answer: WireResponse): void {
  const { body, headers } = answer;
  headers['content-length'] = String(typeof body === 'string' ? Buffer.byteLength(body) : body.length);
  response.writeHead(answer.status, headers);
  response.end(body);
}
