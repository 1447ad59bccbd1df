/**
 * The Lambda Runtime API of one run of one execution environment, on a listener of its own: AWS_LAMBDA_RUNTIME_API is `host:port` with
 * no room for a name, and a listener costs about 0.1 ms and one descriptor.
 */
import type { Server, Socket } from 'node:net';
import { type BodyTaker, type HttpRequest, HttpSyntaxError, RequestParser } from '../../wire/http1.ts';
import { responseLimitBytes } from '../limits.ts';
import { type Connection, copyUpToBytes, eventHead, flush, type RuntimeEvent } from './connection.ts';
import * as messages from './messages.ts';
import { withoutCause } from './reported-error.ts';
import { StreamedResponse } from './streamed-response.ts';

/** What happens on the Runtime API, told to the environment that owns it. Called synchronously, on the hot path. */
export interface RuntimeApiListener {
  /** The runtime asks for the next event: initialisation is over, or the last invocation is. */
  onNext(): void;
  onResponse(body: Buffer): void;
  /** A response has begun to stream. It ends as one of the others does: answered, too large, failed or truncated. */
  onStream(contentType: string | undefined): StreamedResponse;
  /** A response was refused as too large; the invocation has failed, the runtime goes on. */
  onResponseTooLarge(): void;
  /** The connection of a streaming response has been lost. */
  onTruncated(): void;
  /** `errorType` is the runtime's word for it, if it gave one. */
  onError(errorType: string | undefined, body: Buffer): void;
  onInitError(errorType: string | undefined, body: Buffer): void;
  /** The runtime waits for its restore (SnapStart), and is told at once that it has happened. */
  onRestore(): void;
  onRestoreError(errorType: string | undefined, body: Buffer): void;
}

/** What is asked for on the same address and is not the Runtime API: extensions, telemetry. */
export interface SideApi {
  /**
   * The whole answer; `later` where it comes by `reply`; undefined where the path is unknown here. `reply` says whether the connection was
   * there still; it counts once.
   */
  answer(request: HttpRequest, reply: (answer: Buffer) => boolean): Buffer | 'later' | undefined;
}

export interface RuntimeApiOptions {
  readonly listener: RuntimeApiListener;
  /** Listens already, where the runtime can reach it; it is closed with this. */
  readonly server: Server;
  readonly side?: SideApi;
  /** Whether the paths of SnapStart are there. */
  readonly restores?: boolean;
}

const prefix = '/2018-06-01/runtime/';
const nextPath = `${prefix}invocation/next`;
const initErrorPath = `${prefix}init/error`;
const restoreNextPath = `${prefix}restore/next`;
const restoreErrorPath = `${prefix}restore/error`;
const pingPath = '/2018-06-01/ping';
const errorTypeHeader = 'lambda-runtime-function-error-type';
const responseModeHeader = 'lambda-runtime-function-response-mode';
const invocationPrefix = `${prefix}invocation/`;

export class RuntimeApi {
  #listener: RuntimeApiListener;
  readonly #server: Server;
  readonly #side: SideApi | undefined;
  readonly #restores: boolean;
  readonly #connections = new Set<Connection>();
  /** Connections that wait for an event, the oldest first. */
  readonly #waiting: Connection[] = [];
  #state: messages.RuntimeState = 'Started';
  /** Handed over, and not yet answered. */
  #event: RuntimeEvent | undefined;
  /** Of the event answered last or under way. */
  #requestId: string | undefined;
  #whenQuiet: (() => void)[] = [];

  constructor({ listener, server, side, restores = false }: RuntimeApiOptions) {
    this.#listener = listener;
    this.#server = server;
    this.#side = side;
    this.#restores = restores;
    server.on('connection', (socket) => this.#accept(socket));
  }

  /** From here on nobody is told what the runtime says; extensions are still answered. */
  detach(): void {
    this.#listener = deaf;
  }

  /** How many connections wait for an event. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Hands the event to the runtime, which has asked for it (`onNext`). One at a time. */
  deliver(event: RuntimeEvent): void {
    this.#event = event;
    this.#requestId = event.requestId;
    // Where the connection that asked has been lost meanwhile, the next that asks gets it.
    const connection = this.#waiting.shift();
    if (connection !== undefined) this.#send(connection, event);
  }

  /**
   * Resolves when no connection of a runtime is open: after the runtime's end, when all that it had sent has been heard. Connections that
   * the runtime's children hold open are the caller's to bound; those of extensions do not count.
   */
  quiet(): Promise<void> {
    if (this.#isQuiet()) return Promise.resolve();
    return new Promise((resolve) => this.#whenQuiet.push(resolve));
  }

  close(): Promise<void> {
    for (const connection of this.#connections) connection.socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  /** A connection that the runtime was given, in place of one that it opens. */
  adopt(socket: Socket): void {
    this.#accept(socket);
  }

  #accept(socket: Socket): void {
    const connection: Connection = {
      socket,
      parser: new RequestParser(responseLimitBytes, (method, path, headers) =>
        this.#isStream(headers) ? this.#takerFor(connection, method, path, headers) : undefined,
      ),
      waits: false,
      last: false,
      held: [],
      stream: undefined,
      aside: false,
    };
    this.#connections.add(connection);
    socket.on('data', (bytes) => {
      connection.parser.push(bytes);
      this.#read(connection);
    });
    // A runtime that dies takes its sockets with it; what that means is judged by its exit.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#connections.delete(connection);
      this.#truncated(connection);
      const index = this.#waiting.indexOf(connection);
      if (index >= 0) this.#waiting.splice(index, 1);
      this.#tellQuiet();
    });
  }

  #isQuiet(): boolean {
    for (const { aside } of this.#connections) if (!aside) return false;
    return true;
  }

  #tellQuiet(): void {
    if (this.#whenQuiet.length === 0 || !this.#isQuiet()) return;
    for (const resolve of this.#whenQuiet.splice(0)) resolve();
  }

  #read(connection: Connection): void {
    const { socket, parser, held } = connection;
    try {
      while (!connection.waits && !socket.destroyed) {
        const request = parser.next();
        if (request === undefined) {
          if (parser.wantsContinue()) held.push(messages.continueMessage);
          break;
        }
        connection.last = !request.keepAlive;
        const answer = this.#answer(connection, request);
        if (answer === undefined) continue;
        held.push(answer);
        if (!connection.last) continue;
        flush(connection);
        socket.end();
        return;
      }
    } catch (error) {
      if (!(error instanceof HttpSyntaxError)) throw error;
      held.push(messages.malformed(error.status, error.message));
      flush(connection);
      socket.end();
      return;
    }
    // A client that has asked for the next event behind its answer, without waiting for the "202", reads both at once later: one
    // write and one wake-up less per invocation. It is flushed at once if it says anything else.
    const onlyAccepted = held.length === 1 && held[0] === messages.accepted;
    if (held.length > 0 && !(connection.waits && onlyAccepted)) flush(connection);
  }

  /** The answer, or undefined where the connection waits for an event or has been given one. */
  #answer(connection: Connection, request: HttpRequest): Buffer | undefined {
    const { path, method } = request;
    if (path === nextPath) {
      return method === 'GET' ? this.#next(connection) : messages.methodNotAllowed;
    }
    if (path === initErrorPath) {
      return method === 'POST' ? this.#initError(request) : messages.methodNotAllowed;
    }
    if (path === restoreNextPath && this.#restores) {
      return method === 'GET' ? this.#restoreNext() : messages.methodNotAllowed;
    }
    if (path === restoreErrorPath && this.#restores) {
      return method === 'POST' ? this.#restoreError(request) : messages.methodNotAllowed;
    }
    if (path.startsWith(invocationPrefix)) {
      const slash = path.indexOf('/', invocationPrefix.length);
      const action = path.slice(slash + 1);
      if (slash > 0 && (action === 'response' || action === 'error')) {
        if (method !== 'POST') return messages.methodNotAllowed;
        const requestId = path.slice(invocationPrefix.length, slash);
        if (action === 'error') return this.#error(requestId, request);
        return connection.stream === undefined
          ? this.#response(requestId, request)
          : this.#streamed(connection, request);
      }
    }
    if (path === pingPath && method === 'GET') return messages.pong;
    return this.#aside(connection, request);
  }

  #aside(connection: Connection, request: HttpRequest): Buffer | undefined {
    connection.aside = true;
    this.#tellQuiet();
    let waiting = true;
    const answer = this.#side?.answer(request, (reply) => {
      if (!waiting || connection.socket.destroyed) return false;
      waiting = false;
      connection.waits = false;
      connection.held.push(reply);
      this.#flushAndGoOn(connection);
      return true;
    });
    if (answer !== 'later') {
      waiting = false;
      return answer ?? messages.notFound;
    }
    connection.waits = true;
    return undefined;
  }

  #next(connection: Connection): Buffer | undefined {
    const state = this.#state;
    if (state === 'InitError' || state === 'InvocationResponse' || state === 'RuntimeRestoreErrorState') {
      return messages.invalidTransition(state, 'Ready');
    }
    // As on AWS, a runtime that asks again without having answered is given the same event again.
    if (this.#event !== undefined) {
      this.#send(connection, this.#event);
      return undefined;
    }
    const wasReady = this.#state === 'Ready';
    this.#state = 'Ready';
    connection.waits = true;
    this.#waiting.push(connection);
    if (!wasReady) this.#listener.onNext();
    return undefined;
  }

  #response(requestId: string, request: HttpRequest): Buffer {
    const refusal = this.#refusal(requestId, 'InvocationResponse');
    if (refusal !== undefined) return refusal;
    this.#answered();
    const mode = request.headers[responseModeHeader];
    // Without a body: else it would have been given out as it came.
    if (mode === 'streaming') this.#listener.onStream(request.headers['content-type']);
    if (mode !== undefined && mode !== '' && mode !== 'streaming') {
      this.#listener.onError('Runtime.InvalidResponseModeHeader', Buffer.alloc(0));
      return messages.invalidResponseMode;
    }
    if (request.bodyBytes > responseLimitBytes) {
      this.#listener.onResponseTooLarge();
      return messages.tooLarge;
    }
    this.#finished(request, request.body);
    return messages.accepted;
  }

  /**
   * It is the caller's wish that makes a stream of a chunked response without a mode, as aws-lambda-go sends them (AWS's runtime
   * interface emulator, directinvoke.go: SendDirectInvokeResponse).
   */
  #isStream(headers: Readonly<Record<string, string>>): boolean {
    const mode = headers[responseModeHeader];
    if (mode !== undefined) return mode === 'streaming';
    return this.#event?.streamed === true && headers['transfer-encoding'] !== undefined;
  }

  /** Begins a streamed response when its head has come; undefined for what is to be read whole, and then judged. */
  #takerFor(
    connection: Connection,
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
  ): BodyTaker | undefined {
    if (method !== 'POST') return undefined;
    if (!path.startsWith(invocationPrefix) || !path.endsWith('/response')) return undefined;
    const requestId = path.slice(invocationPrefix.length, -'/response'.length);
    if (this.#refusal(requestId, 'InvocationResponse') !== undefined) return undefined;
    this.#state = 'InvocationResponse';
    this.#event = undefined;
    const stream = this.#listener.onStream(headers['content-type']);
    connection.stream = stream;
    return (piece) => this.#takePiece(connection, stream, piece);
  }

  #takePiece(connection: Connection, stream: StreamedResponse, piece: Buffer): void {
    const { socket, parser } = connection;
    if (stream.oversized) return;
    const written = stream.write(piece);
    if (stream.oversized && stream.streams) this.#cutOff(connection);
    if (written === undefined) return;
    parser.paused = true;
    socket.pause();
    void written.then(() => {
      parser.paused = false;
      if (socket.destroyed) return;
      socket.resume();
      this.#read(connection);
    });
  }

  /** A stream that is too long is not waited for: what still comes of it is thrown away. */
  #cutOff(connection: Connection): void {
    this.#answered();
    connection.last = true;
    connection.held.push(messages.streamTooLarge);
    flush(connection);
    connection.socket.end();
    this.#listener.onResponseTooLarge();
  }

  #streamed(connection: Connection, request: HttpRequest): Buffer | undefined {
    const stream = connection.stream!;
    connection.stream = undefined;
    if (stream.oversized && stream.streams) return undefined;
    this.#answered();
    if (stream.oversized) {
      this.#listener.onResponseTooLarge();
      return messages.tooLarge;
    }
    this.#finished(request, stream.body());
    return messages.accepted;
  }

  #finished({ trailers }: HttpRequest, body: Buffer): void {
    // A streamed response that failed in the middle says so behind its body.
    const errorType = trailers[errorTypeHeader];
    if (errorType === undefined || errorType === '') this.#listener.onResponse(body);
    else this.#listener.onError(errorType, Buffer.from(trailers['lambda-runtime-function-error-body'] ?? '', 'base64'));
  }

  #truncated(connection: Connection): void {
    const { stream } = connection;
    connection.stream = undefined;
    if (stream === undefined || (stream.oversized && stream.streams)) return;
    this.#answered();
    this.#listener.onTruncated();
  }

  #error(requestId: string, request: HttpRequest): Buffer {
    const refusal = this.#refusal(requestId, 'InvocationErrorResponse');
    if (refusal !== undefined) return refusal;
    this.#answered();
    this.#listener.onError(request.headers[errorTypeHeader], withoutCause(request));
    return messages.accepted;
  }

  #initError(request: HttpRequest): Buffer {
    if (this.#state !== 'Started') return messages.invalidTransition(this.#state, 'InitError');
    this.#state = 'InitError';
    this.#listener.onInitError(request.headers[errorTypeHeader], request.body);
    return messages.accepted;
  }

  #restoreNext(): Buffer {
    if (this.#state !== 'Started') return messages.invalidTransition(this.#state, 'Ready');
    this.#state = 'Restoring';
    this.#listener.onRestore();
    return messages.restored;
  }

  #restoreError(request: HttpRequest): Buffer {
    if (this.#state !== 'Restoring') return messages.invalidTransition(this.#state, 'RuntimeRestoreErrorState');
    this.#state = 'RuntimeRestoreErrorState';
    this.#listener.onRestoreError(request.headers[errorTypeHeader], request.body);
    return messages.accepted;
  }

  #answered(): void {
    this.#state = 'RuntimeResponseSentState';
    this.#event = undefined;
  }

  #refusal(requestId: string, to: 'InvocationResponse' | 'InvocationErrorResponse'): Buffer | undefined {
    if (requestId !== this.#requestId) return messages.invalidRequestId;
    if (this.#event !== undefined) return undefined;
    return this.#state === 'Ready' ? messages.invalidRequestId : messages.invalidTransition(this.#state, to);
  }

  #send(connection: Connection, event: RuntimeEvent): void {
    connection.waits = false;
    const head = eventHead(event);
    const { held } = connection;
    if (event.payload.length <= copyUpToBytes) {
      const headBytes = Buffer.byteLength(head);
      const bytes = Buffer.allocUnsafe(headBytes + event.payload.length);
      bytes.write(head, 0);
      event.payload.copy(bytes, headBytes);
      held.push(bytes);
    } else {
      held.push(Buffer.from(head), event.payload);
    }
    this.#flushAndGoOn(connection);
  }

  #flushAndGoOn(connection: Connection): void {
    flush(connection);
    if (connection.last) {
      connection.socket.end();
      return;
    }
    // What the client sent behind its request is read now; not in this call, which may come from within a read.
    if (connection.parser.pending) queueMicrotask(() => this.#read(connection));
  }
}

const deaf: RuntimeApiListener = {
  onNext() {},
  onResponse() {},
  onStream: (contentType) => new StreamedResponse(undefined, contentType),
  onResponseTooLarge() {},
  onTruncated() {},
  onError() {},
  onInitError() {},
  onRestore() {},
  onRestoreError() {},
};
