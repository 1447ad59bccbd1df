import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { HttpSyntaxError, parseHeaders } from '../wire/http1.ts';
import type { WireRequest, WireResponse } from '../wire/message.ts';
import { drained } from './drained.ts';

/** What a request in the fast lane is answered with. */
export interface FastLane {
  /** Whether a request is the AWS API's and comes through the door: judged by its head alone. */
  readonly takes: (method: string, path: string, headers: Readonly<Record<string, string | undefined>>) => boolean;
  readonly answer: (request: WireRequest, socket: Socket) => Promise<WireResponse>;
  /** The Date header's value. */
  readonly date: () => string;
}

/** Larger bodies, such as a function's code, are node:http's, which reads them piece by piece. */
const maxBodyBytes = 2 * 1024 * 1024;
const maxHeadBytes = 64 * 1024;
const maxCopiedBytes = 64 * 1024;
const headEnd = Buffer.from('\r\n\r\n');
const empty: Buffer = Buffer.alloc(0);
const requestLine = /^([A-Z]+) (\/[^ ?]*)(?:\?([^ ]*))? HTTP\/1\.1$/;
const reasons: Readonly<Record<number, string>> = {
  200: 'OK',
  202: 'Accepted',
  204: 'No Content',
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  500: 'Internal Server Error',
};

/**
 * Plain calls of the AWS APIs over kept connections, without node:http: it costs several times what an operation does.
 * Whatever is not the plainest (an upgrade, chunks, Expect, a web page's Origin, another host, a surface, the control API) is
 * handed over with its connection, unread, to the node:http server, which answers it and all that follows on it.
 */
export class FastLaneConnections {
  readonly #server: Server;
  readonly #lane: FastLane;
  /** Since which sweep. */
  readonly #idle = new Map<Connection, number>();
  #sweeps = 0;
  readonly #open = new Set<Connection>();
  /** Connections that node:http has now: a server that does not listen itself keeps no list of them. */
  readonly #handedOver = new Set<Socket>();
  #closing = false;

  constructor(server: Server, lane: FastLane) {
    this.#server = server;
    this.#lane = lane;
  }

  accept(socket: Socket): void {
    const connection = new Connection(socket, this.#server, this.#lane, (isIdle) => {
      if (isIdle) this.#idle.set(connection, this.#sweeps);
      else this.#idle.delete(connection);
      if (this.#closing && isIdle) socket.end();
    });
    this.#open.add(connection);
    this.#idle.set(connection, this.#sweeps);
    connection.onGone = (isHandedOver) => {
      this.#open.delete(connection);
      this.#idle.delete(connection);
      if (!isHandedOver) return;
      this.#handedOver.add(socket);
      socket.once('close', () => this.#handedOver.delete(socket));
    };
  }

  /** Ends connections that were idle at this many calls before: cheaper than a timer for each, set anew with every request. */
  sweep(calls: number): void {
    this.#sweeps++;
    for (const [connection, since] of this.#idle) if (this.#sweeps - since > calls) connection.socket.destroy();
  }

  /** Ends idle connections at once, and busy ones after their answer; `answering`: those on which node:http is at work. */
  closeIdle(answering: ReadonlySet<Socket>): void {
    this.#closing = true;
    for (const connection of this.#idle.keys()) connection.socket.destroy();
    for (const socket of this.#handedOver) if (!answering.has(socket)) socket.destroy();
  }

  closeAll(): void {
    for (const connection of this.#open) connection.socket.destroy();
    for (const socket of this.#handedOver) socket.destroy();
  }
}

class Connection {
  readonly socket: Socket;
  onGone: (isHandedOver: boolean) => void = () => {};
  readonly #server: Server;
  readonly #lane: FastLane;
  readonly #onIdle: (isIdle: boolean) => void;
  #bytes: Buffer = empty;
  #busy = false;
  /** Set while the body of a request in this lane is still coming. */
  #head:
    | { method: string; path: string; query: string; headers: Record<string, string | undefined>; bodyBytes: number }
    | undefined;

  constructor(socket: Socket, server: Server, lane: FastLane, onIdle: (isIdle: boolean) => void) {
    this.socket = socket;
    this.#server = server;
    this.#lane = lane;
    this.#onIdle = onIdle;
    socket.setNoDelay(true);
    socket.on('data', this.#onData);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
  }

  readonly #onError = (): void => {
    this.socket.destroy();
  };

  readonly #onClose = (): void => {
    this.onGone(false);
  };

  readonly #onData = (chunk: Buffer): void => {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    // One request at a time: what a client pipelines waits.
    if (!this.#busy) this.#read();
  };

  #read(): void {
    if (this.#head === undefined && !this.#readHead()) return;
    const head = this.#head!;
    if (this.#bytes.length < head.bodyBytes) return;
    const body = head.bodyBytes === 0 ? empty : this.#bytes.subarray(0, head.bodyBytes);
    this.#bytes = this.#bytes.length === head.bodyBytes ? empty : this.#bytes.subarray(head.bodyBytes);
    this.#head = undefined;
    this.#busy = true;
    this.#onIdle(false);
    const { method, path, query, headers } = head;
    const keepAlive = headers['connection']?.toLowerCase() !== 'close';
    this.#lane.answer({ method, path, query, headers, body }, this.socket).then(
      (answer) => {
        if (answer.stream === undefined) this.#write(answer, keepAlive);
        else this.#writePieces(answer, answer.stream, keepAlive).catch(() => this.socket.destroy());
      },
      () => this.socket.destroy(),
    );
  }

  /** True when a head is there and belongs here; otherwise more bytes are awaited, or the connection was handed over. */
  #readHead(): boolean {
    const end = this.#bytes.indexOf(headEnd);
    if (end === -1) {
      if (this.#bytes.length > maxHeadBytes) this.#handOver();
      return false;
    }
    const head = this.#bytes.toString('latin1', 0, end);
    const lineEnd = head.indexOf('\r\n');
    const match = lineEnd === -1 ? null : requestLine.exec(head.slice(0, lineEnd));
    const headers = match === null ? undefined : readHeaders(head, lineEnd + 2);
    if (match === null || headers === undefined || !isPlain(headers)) return this.#handOver();
    const [, method, path, query = ''] = match as unknown as [string, string, string, string | undefined];
    if (!this.#lane.takes(method, path, headers)) return this.#handOver();
    this.#bytes = this.#bytes.subarray(end + 4);
    this.#head = { method, path, query, headers, bodyBytes: Number(headers['content-length'] ?? 0) };
    return true;
  }

  #handOver(): false {
    const { socket } = this;
    socket.off('data', this.#onData);
    socket.off('error', this.#onError);
    socket.off('close', this.#onClose);
    this.onGone(true);
    const bytes = this.#bytes;
    this.#bytes = empty;
    // Paused and given back what was read of it, the socket is as node:http would have accepted it.
    socket.pause();
    if (bytes.length > 0) socket.unshift(bytes);
    this.#server.emit('connection', socket);
    socket.resume();
    return false;
  }

  #write(answer: WireResponse, keepAlive: boolean): void {
    const { socket } = this;
    const { body } = answer;
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    const head = this.#headOf(answer, `content-length: ${length}`, keepAlive);
    // One write is one system call; a copy of a small body costs less than a second.
    if (typeof body === 'string') socket.write(head + body, length === body.length ? 'latin1' : 'utf8');
    else if (length <= maxCopiedBytes) {
      const whole = Buffer.allocUnsafe(head.length + length);
      whole.write(head, 0, 'latin1');
      body.copy(whole, head.length);
      socket.write(whole);
    } else {
      socket.cork();
      socket.write(head, 'latin1');
      socket.write(body);
      socket.uncork();
    }
    this.#next(keepAlive);
  }

  /** In chunks, as fast as the client reads. One that leaves ends the pieces. */
  async #writePieces(answer: WireResponse, pieces: AsyncIterable<Buffer>, keepAlive: boolean): Promise<void> {
    const { socket } = this;
    socket.write(this.#headOf(answer, 'transfer-encoding: chunked', keepAlive), 'latin1');
    for await (const piece of pieces) {
      if (socket.destroyed) return;
      if (piece.length === 0) continue;
      socket.cork();
      socket.write(`${piece.length.toString(16)}\r\n`, 'latin1');
      socket.write(piece);
      const mayGoOn = socket.write('\r\n', 'latin1');
      socket.uncork();
      if (!mayGoOn) await drained(socket);
    }
    if (socket.destroyed) return;
    socket.write('0\r\n\r\n', 'latin1');
    this.#next(keepAlive);
  }

  #headOf(answer: WireResponse, framing: string, keepAlive: boolean): string {
    let head = `HTTP/1.1 ${answer.status} ${reasons[answer.status] ?? ''}\r\n`;
    for (const name in answer.headers) head += `${name}: ${answer.headers[name]}\r\n`;
    return `${head}${framing}\r\ndate: ${this.#lane.date()}\r\n${keepAlive ? '' : 'connection: close\r\n'}\r\n`;
  }

  #next(keepAlive: boolean): void {
    if (!keepAlive) this.socket.end();
    this.#busy = false;
    this.#onIdle(true);
    if (this.#bytes.length > 0) this.#read();
  }
}

/** Undefined where node:http shall say what is wrong with them. */
function readHeaders(head: string, from: number): Record<string, string | undefined> | undefined {
  try {
    return parseHeaders(head, from);
  } catch (error) {
    if (error instanceof HttpSyntaxError) return undefined;
    throw error;
  }
}

function isPlain(headers: Readonly<Record<string, string | undefined>>): boolean {
  const length = headers['content-length'];
  return (
    headers['transfer-encoding'] === undefined &&
    headers['expect'] === undefined &&
    headers['upgrade'] === undefined &&
    (length === undefined || (/^\d{1,8}$/.test(length) && Number(length) <= maxBodyBytes))
  );
}
