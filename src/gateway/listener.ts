import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createNetServer, type Server as NetServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Timer } from '../kernel/clock/contract.ts';
import { WallClock } from '../kernel/clock/wall.ts';
import type { WireResponse } from '../wire/message.ts';
import { drained } from './drained.ts';
import { type FastLane, FastLaneConnections } from './fast-lane.ts';

/** Every request in full, after the door. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => void;
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export interface ListenOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly answer: Answer;
  readonly upgrade: Upgrade;
  readonly fastLane: FastLane;
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
  /** Takes a connection that was accepted elsewhere, as if it had come in here. */
  accept(socket: Socket): void;
  /** Ends idle connections at once and busy ones after their answer, at the latest after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** AWS keeps idle connections of its SDKs open for longer than the SDKs do; so does this. */
const keepAliveTimeoutMs = 75_000;
const sweepsPerTimeout = 5;

export async function listen(options: ListenOptions): Promise<Listener> {
  const http = createServer(
    {
      keepAliveTimeout: keepAliveTimeoutMs,
      // Uploads of code over slow links and long polls end by their own limits.
      requestTimeout: 0,
      maxHeaderSize: 64 * 1024,
    },
    options.answer,
  );
  const answering = new Map<Socket, ServerResponse>();
  http.prependListener('request', ({ socket }, response) => {
    answering.set(socket, response);
    response.once('close', () => answering.delete(socket));
  });
  http.on('upgrade', options.upgrade);
  http.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    else socket.destroy();
  });
  // Every connection begins in the fast lane; node:http gets those that are not for it.
  const lane = new FastLaneConnections(http, options.fastLane);
  const server = createNetServer({ noDelay: true }, (socket) => lane.accept(socket));
  const clock = new WallClock();
  let sweeping: Timer | undefined;
  const sweepLater = (): void => {
    sweeping = clock.at(clock.now() + keepAliveTimeoutMs / sweepsPerTimeout, () => {
      lane.sweep(sweepsPerTimeout);
      sweepLater();
    });
  };
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explain(error, options)));
    server.listen({ host: options.host, port: options.port, backlog: 1024 }, resolve);
  });
  sweepLater();
  return {
    port: (server.address() as AddressInfo).port,
    accept: (socket) => lane.accept(socket),
    close: (graceMs) => {
      sweeping?.cancel();
      for (const response of answering.values()) response.shouldKeepAlive = false;
      lane.closeIdle(new Set(answering.keys()));
      return closeServer(server, lane, graceMs);
    },
  };
}

function closeServer(server: NetServer, lane: FastLaneConnections, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    if (graceMs <= 0) lane.closeAll();
    // The event loop's own timer: a listener that closes must not depend on a clock that may stand still.
    else AbortSignal.timeout(graceMs).addEventListener('abort', () => lane.closeAll());
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

/** Sends the answer; of one that streams, when all of it is sent or the client has left. */
export async function respondWhole(response: ServerResponse, answer: WireResponse): Promise<void> {
  if (answer.stream === undefined) return respond(response, answer);
  response.writeHead(answer.status, answer.headers);
  await writePieces(response, answer.stream);
}

/** Writes as fast as the client reads, and ends the response. A client that leaves ends the pieces. */
export async function writePieces(response: ServerResponse, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  response.flushHeaders();
  for await (const piece of pieces) {
    if (response.destroyed) return;
    if (!response.write(piece)) await drained(response);
  }
  response.end();
}

export function respond(response: ServerResponse, answer: WireResponse): void {
  const { body, headers } = answer;
  headers['content-length'] = String(typeof body === 'string' ? Buffer.byteLength(body) : body.length);
  response.writeHead(answer.status, headers);
  response.end(body);
}
