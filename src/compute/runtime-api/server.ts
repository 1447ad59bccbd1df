/**
 * The Lambda Runtime API of one run of one execution environment, on a listener of its own: AWS_LAMBDA_RUNTIME_API is `host:port` with
 * no room for a name, and a listener costs about 0.1 ms and one descriptor.
 */
import type { Server, Socket } from 'node:net';
import { type HttpRequest, HttpSyntaxError, RequestParser } from '../../wire/http1.ts';
import { responseLimitBytes } from '../limits.ts';
import * as messages from './messages.ts';

/** What happens on the Runtime API, told to the environment that owns it. Called synchronously, on the hot path. */
export interface RuntimeApiListener {
  /** The runtime asks for the next event: initialisation is over, or the last invocation is. */
  onNext(): void;
  onResponse(body: Buffer): void;
  /** A response of `bytes` bytes was refused as too large; the invocation has failed, the runtime goes on. */
  onResponseTooLarge(bytes: number): void;
  /** `errorType` is the runtime's word for it, if it gave one. */
  onError(errorType: string | undefined, body: Buffer): void;
  onInitError(errorType: string | undefined, body: Buffer): void;
}

/** One event on its way to a runtime. */
export interface RuntimeEvent {
  readonly requestId: string;
  readonly payload: Buffer;
  readonly invokedFunctionArn: string;
  /** Epoch milliseconds in the time that the sandbox sees. */
  readonly deadlineMs: number;
  readonly traceHeader: string;
  /** JSON text. */
  readonly clientContext?: string;
  readonly cognitoIdentity?: string;
}

const prefix = '/2018-06-01/runtime/';
const nextPath = `${prefix}invocation/next`;
const initErrorPath = `${prefix}init/error`;
const invocationPrefix = `${prefix}invocation/`;
/** Events up to this size are written together with their head, in one copy. */
const copyUpToBytes = 64 * 1024;

export class RuntimeApi {
  readonly #listener: RuntimeApiListener;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  /** Connections that wait for an event, the oldest first. */
  readonly #waiting: Connection[] = [];
  #state: messages.RuntimeState = 'Started';
  /** Handed over, and not yet answered. */
  #event: RuntimeEvent | undefined;
  /** Of the event answered last or under way. */
  #requestId: string | undefined;
  #whenQuiet: (() => void)[] = [];

  /** `server` listens already, where the runtime can reach it; it is closed with this. */
  constructor(listener: RuntimeApiListener, server: Server) {
    this.#listener = listener;
    this.#server = server;
    server.on('connection', (socket) => this.#accept(socket));
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
   * Resolves when no connection is open: after the runtime's end, when all that it had sent has been heard. Connections that the
   * runtime's children hold open are the caller's to bound.
   */
  quiet(): Promise<void> {
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenQuiet.push(resolve));
  }

  close(): Promise<void> {
    for (const connection of this.#connections) connection.socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #accept(socket: Socket): void {
    const connection: Connection = {
      socket,
      parser: new RequestParser(responseLimitBytes),
      waits: false,
      last: false,
      held: [],
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
      const index = this.#waiting.indexOf(connection);
      if (index >= 0) this.#waiting.splice(index, 1);
      if (this.#connections.size > 0) return;
      for (const resolve of this.#whenQuiet.splice(0)) resolve();
    });
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
    if (path.startsWith(invocationPrefix)) {
      const slash = path.indexOf('/', invocationPrefix.length);
      const action = path.slice(slash + 1);
      if (slash > 0 && (action === 'response' || action === 'error')) {
        if (method !== 'POST') return messages.methodNotAllowed;
        const requestId = path.slice(invocationPrefix.length, slash);
        return action === 'response' ? this.#response(requestId, request) : this.#error(requestId, request);
      }
    }
    return messages.notFound;
  }

  #next(connection: Connection): Buffer | undefined {
    if (this.#state === 'InitError') return messages.invalidTransition(this.#state, 'Ready');
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
    if (request.bodyBytes > responseLimitBytes) {
      this.#listener.onResponseTooLarge(request.bodyBytes);
      return messages.tooLarge;
    }
    // A streamed response that failed in the middle says so behind its body.
    const streamedErrorType = request.trailers['lambda-runtime-function-error-type'];
    if (streamedErrorType !== undefined) {
      const body = Buffer.from(request.trailers['lambda-runtime-function-error-body'] ?? '', 'base64');
      this.#listener.onError(streamedErrorType, body);
    } else {
      this.#listener.onResponse(request.body);
    }
    return messages.accepted;
  }

  #error(requestId: string, request: HttpRequest): Buffer {
    const refusal = this.#refusal(requestId, 'InvocationErrorResponse');
    if (refusal !== undefined) return refusal;
    this.#answered();
    this.#listener.onError(request.headers['lambda-runtime-function-error-type'], request.body);
    return messages.accepted;
  }

  #initError(request: HttpRequest): Buffer {
    if (this.#state !== 'Started') return messages.invalidTransition(this.#state, 'InitError');
    this.#state = 'InitError';
    this.#listener.onInitError(request.headers['lambda-runtime-function-error-type'], request.body);
    return messages.accepted;
  }

  #answered(): void {
    this.#state = 'ResponseSent';
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
    flush(connection);
    if (connection.last) {
      connection.socket.end();
      return;
    }
    // What the client sent behind its request is read now; not in this call, which may come from within a read.
    if (connection.parser.pending) queueMicrotask(() => this.#read(connection));
  }
}

interface Connection {
  readonly socket: Socket;
  readonly parser: RequestParser;
  /** It has asked for an event and has none yet; what it sends meanwhile stays unread in the parser. */
  waits: boolean;
  /** The client wants it closed after this answer. */
  last: boolean;
  /** Answers not yet written. */
  readonly held: Buffer[];
}

function flush(connection: Connection): void {
  const { held, socket } = connection;
  if (held.length === 0) return;
  const bytes = held.length === 1 ? held[0]! : held.length > 2 ? undefined : joinSmall(held);
  if (bytes !== undefined) {
    held.length = 0;
    socket.write(bytes);
    return;
  }
  socket.cork();
  for (const piece of held) socket.write(piece);
  held.length = 0;
  socket.uncork();
}

function joinSmall(pieces: readonly Buffer[]): Buffer | undefined {
  return pieces[0]!.length + pieces[1]!.length <= copyUpToBytes ? Buffer.concat(pieces) : undefined;
}

function eventHead(event: RuntimeEvent): string {
  let head =
    'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n' +
    `Lambda-Runtime-Aws-Request-Id: ${event.requestId}\r\n` +
    `Lambda-Runtime-Deadline-Ms: ${event.deadlineMs}\r\n` +
    `Lambda-Runtime-Invoked-Function-Arn: ${event.invokedFunctionArn}\r\n`;
  if (event.traceHeader !== '') head += `Lambda-Runtime-Trace-Id: ${headerText(event.traceHeader)}\r\n`;
  if (event.clientContext !== undefined)
    head += `Lambda-Runtime-Client-Context: ${headerText(event.clientContext)}\r\n`;
  if (event.cognitoIdentity !== undefined)
    head += `Lambda-Runtime-Cognito-Identity: ${headerText(event.cognitoIdentity)}\r\n`;
  return `${head}Content-Length: ${event.payload.length}\r\n\r\n`;
}

/** JSON may hold line breaks and any character; a header neither. Escaped, it is the same JSON. */
function headerText(text: string): string {
  if (!/[^\x20-\x7e]/.test(text)) return text;
  return text.replace(/[^\x20-\x7e]/g, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x20 ? ' ' : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}
