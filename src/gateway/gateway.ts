import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { httpDate } from '../kernel/clock/wall.ts';
import type { Random } from '../kernel/random/random.ts';
import type { Caller, ServiceName } from '../platform/context.ts';
import type { Dispatcher } from '../platform/dispatcher.ts';
import type { Logger } from '../platform/log.ts';
import type { Surface } from '../platform/surface.ts';
import { codecFor, encodeError } from '../wire/codec.ts';
import { AwsError } from '../wire/errors.ts';
import type { WireRequest, WireResponse } from '../wire/message.ts';
import { loadModel, type Protocol } from '../wire/model.ts';
import { hintOf, identify } from '../wire/route.ts';
import { type DoorPolicy, hostAllowed, hostName, originIsLocal } from './admission.ts';
import type { Authenticator } from './authenticate.ts';
import { answerControl, type Controlled, controlPrefix, takeUpload, uploadOf } from './control.ts';
import type { FastLane } from './fast-lane.ts';
import { BodyLimitExceeded, readBody, respond, respondWhole } from './listener.ts';
import { respondFromSurface, surfaceFor, surfaceMatches, surfaceRequest } from './surfaces.ts';

/** The largest request any AWS API here takes is Lambda's CreateFunction (facts: below 70,167,211 bytes). */
const maxApiBodyBytes = 70_167_210;

/** Where clients reach the AWS APIs; other names may be a surface's. */
const plainHosts = new Set(['127.0.0.1', 'localhost', '::1']);

export interface GatewayOptions {
  readonly door: DoorPolicy;
  readonly authenticator: Authenticator;
  readonly dispatcher: Dispatcher;
  readonly random: Random;
  readonly log: Logger;
  readonly controlled: Controlled;
  readonly surfaces: () => Promise<readonly Surface[]>;
  /** Those that are there already. */
  readonly loadedSurfaces: () => readonly Surface[];
  readonly shutdown: AbortSignal;
}

/**
 * The way of a request, top to bottom:
 *
 * 1. the door: a foreign Host or Origin is refused
 * 2. surfaces: what people run on the cloud (an API's stage, a function URL)
 * 3. control: the cloud itself
 * 4. the AWS API: identify → authenticate → decode → admit (platform/dispatcher: authorise, faults, span) → operation → encode
 */
export class Gateway {
  readonly #options: GatewayOptions;

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  readonly answer = (request: IncomingMessage, response: ServerResponse): void => {
    const signal = new RequestSignal(request.socket, this.#options.shutdown);
    const answered = this.#answer(request, response, signal).finally(() => signal.done());
    answered.catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') {
        this.#options.log.error('a request could not be answered', {
          problem: String((error as Error).stack ?? error),
        });
      }
      if (response.headersSent) response.destroy();
      else
        respond(response, {
          status: 500,
          headers: { 'content-type': 'application/json' },
          body: '{"message":"Internal failure"}',
        });
    });
  };

  /** The plain calls of the AWS APIs: most of what comes. See fast-lane.ts for where the others go. */
  readonly fastLane: FastLane = {
    takes: (method, path, headers) => {
      if (method === 'OPTIONS' || headers['origin'] !== undefined || path.startsWith('/_')) return false;
      const host = hostName(headers['host'] ?? '');
      return (
        plainHosts.has(host) && this.#options.loadedSurfaces().every((surface) => !surfaceMatches(surface, host, path))
      );
    },
    answer: async (wire, socket) => {
      const signal = new RequestSignal(socket, this.#options.shutdown);
      const origin = `http://${wire.headers['host']}`;
      const answer = await this.#answerApi(wire, this.#options.random.uuid(), origin, signal.get);
      if (answer.stream !== undefined) return { ...answer, stream: endingWith(answer.stream, () => signal.done()) };
      signal.done();
      return answer;
    },
    date: httpDate,
  };

  readonly upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    this.#upgrade(request, socket, head).catch((error: unknown) => {
      this.#options.log.error('an upgrade failed', { problem: String((error as Error).stack ?? error) });
      socket.destroy();
    });
  };

  readonly #signer = (request: WireRequest, service: string): Promise<Caller | undefined> =>
    this.#options.authenticator.signer(request, service);

  async #answer(request: IncomingMessage, response: ServerResponse, signal: RequestSignal): Promise<void> {
    const url = request.url ?? '/';
    const mark = url.indexOf('?');
    const path = mark === -1 ? url : url.slice(0, mark);
    const query = mark === -1 ? '' : url.slice(mark + 1);
    const host = hostName(request.headers.host ?? 'localhost');
    const requestId = this.#options.random.uuid();

    if (!hostAllowed(host, this.#options.door))
      return respond(response, refused(`Requests for the host '${host}' are not served here.`, requestId));
    const { origin } = request.headers;
    const foreignPage = origin !== undefined && !originIsLocal(origin, this.#options.door);

    const surfaces = await this.#options.surfaces();
    const surface = surfaces.length === 0 ? undefined : surfaceFor(surfaces, host, path);
    if (surface !== undefined) {
      const asked = surfaceRequest({
        request,
        host,
        path,
        query,
        requestId,
        signal: signal.get,
        signer: this.#signer,
      });
      if (foreignPage && !(await surface.allowsOrigin?.(origin, asked))) {
        return respond(
          response,
          refused(`Web pages of ${origin} may not use this address: no CORS rule allows them.`, requestId),
        );
      }
      return respondFromSurface(response, await surface.handle(asked));
    }
    if (foreignPage) return respond(response, refused(`Web pages of ${origin} may not use this cloud.`, requestId));

    const upload = uploadOf(request.method ?? '', path);
    if (upload !== undefined) {
      const headers = request.headers as Record<string, string | undefined>;
      // Signed as if it were empty: the path has its digest.
      const unread = { method: 'PUT', path, query, headers, body: Buffer.alloc(0) };
      const answer = await this.#answerControl(unread, requestId, () =>
        takeUpload(upload, request, this.#options.controlled.blobs),
      );
      if (!request.complete) response.setHeader('connection', 'close');
      return respond(response, answer);
    }
    const wire = await this.#read(request, response, path, query, requestId);
    if (wire === undefined) return;
    if (path.startsWith(controlPrefix)) return respond(response, await this.#answerControl(wire, requestId));
    if (origin !== undefined && request.method === 'OPTIONS') return respond(response, preflight(origin));
    const answer = await this.#answerApi(wire, requestId, `http://${request.headers.host ?? host}`, signal.get);
    if (origin !== undefined) {
      answer.headers['access-control-allow-origin'] = origin;
      answer.headers['access-control-expose-headers'] = '*';
    }
    await respondWhole(response, answer);
  }

  async #answerControl(
    wire: WireRequest,
    requestId: string,
    act = (caller: Caller) => answerControl(wire, caller, this.#options.controlled),
  ): Promise<WireResponse> {
    try {
      const caller = await this.#options.authenticator.caller(wire, false, 'restJson');
      if (caller.principal.kind !== 'root') {
        throw new AwsError('AccessDeniedException', 'The control API is for the root of an account only.', {
          status: 403,
        });
      }
      return await act(caller);
    } catch (error) {
      return encodeError(error, { service: undefined, protocol: 'restJson', requestId });
    }
  }

  async #answerApi(
    wire: WireRequest,
    requestId: string,
    origin: string,
    signal: () => AbortSignal,
  ): Promise<WireResponse> {
    let service: string | undefined;
    let operation: string | undefined;
    let protocol: Protocol | undefined;
    try {
      const target = identify(wire);
      service = target.service;
      operation = target.operation;
      protocol = target.protocol;
      const unsigned = loadModel(service).operations[operation]?.unsigned === true;
      const signer = await this.#options.authenticator.caller(wire, unsigned, protocol);
      const traceHeader = wire.headers['x-amzn-trace-id'];
      const caller = traceHeader === undefined ? signer : { ...signer, traceHeader };
      const codec = codecFor(service, operation, protocol);
      const input = codec.decode(wire);
      const admission = {
        service: service as ServiceName,
        operation,
        input,
        caller,
        requestId,
        origin,
        internal: false,
        signal,
      };
      const answer = codec.encode(await this.#options.dispatcher.dispatch(admission), requestId);
      if (answer.stream === undefined) return answer;
      const logged = (error: unknown): void => this.#logFailure(error, service, operation, requestId);
      return { ...answer, stream: withoutThrow(answer.stream, logged) };
    } catch (error) {
      if (!(error instanceof AwsError)) this.#logFailure(error, service, operation, requestId);
      const hint = protocol === undefined ? hintOf(wire) : { service, protocol };
      return encodeError(error, { ...hint, requestId, ...(operation === undefined ? {} : { operation }) });
    }
  }

  #logFailure(error: unknown, service: string | undefined, operation: string | undefined, requestId: string): void {
    const problem = String((error as Error).stack ?? error);
    this.#options.log.error('an internal failure was answered', { service, operation, requestId, problem });
  }

  /** The request with its whole body; a body that is too large is answered here. */
  async #read(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    query: string,
    requestId: string,
  ): Promise<WireRequest | undefined> {
    const headers = request.headers as Record<string, string | undefined>;
    try {
      return { method: request.method ?? 'GET', path, query, headers, body: await readBody(request, maxApiBodyBytes) };
    } catch (error) {
      if (!(error instanceof BodyLimitExceeded)) throw error;
      const wire = { method: request.method ?? 'GET', path, query, headers, body: Buffer.alloc(0) };
      const tooLarge = new AwsError(
        'RequestEntityTooLargeException',
        `Request must be smaller than ${maxApiBodyBytes + 1} bytes`,
        { status: 413 },
      );
      const answer = encodeError(tooLarge, { ...hintOf(wire), requestId });
      response.setHeader('connection', 'close');
      respond(response, answer);
      return undefined;
    }
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const url = request.url ?? '/';
    const mark = url.indexOf('?');
    const path = mark === -1 ? url : url.slice(0, mark);
    const host = hostName(request.headers.host ?? 'localhost');
    const surface = hostAllowed(host, this.#options.door)
      ? surfaceFor(await this.#options.surfaces(), host, path)
      : undefined;
    if (surface?.upgrade === undefined) {
      socket.end('HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    const query = mark === -1 ? '' : url.slice(mark + 1);
    const requestId = this.#options.random.uuid();
    const asked = surfaceRequest({
      request,
      host,
      path,
      query,
      requestId,
      signal: new RequestSignal(socket, this.#options.shutdown).get,
      signer: this.#signer,
    });
    const { origin } = request.headers;
    if (
      origin !== undefined &&
      !originIsLocal(origin, this.#options.door) &&
      !(await surface.allowsOrigin?.(origin, asked))
    ) {
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    await surface.upgrade(asked, socket, head);
  }
}

/** The pieces; what is thrown at their end is logged, and the client's stream ends as its last message says. */
async function* withoutThrow(
  pieces: AsyncIterable<Buffer>,
  logged: (error: unknown) => void,
): AsyncGenerator<Buffer, void> {
  try {
    yield* pieces;
  } catch (error) {
    logged(error);
  }
}

async function* endingWith(pieces: AsyncIterable<Buffer>, atEnd: () => void): AsyncGenerator<Buffer, void> {
  try {
    yield* pieces;
  } finally {
    atEnd();
  }
}

/** Aborts when the client goes away or the cloud shuts down. Made when first asked for: most operations never look. */
class RequestSignal {
  readonly #socket: Duplex;
  readonly #shutdown: AbortSignal;
  #gone: AbortController | undefined;

  constructor(socket: Duplex, shutdown: AbortSignal) {
    this.#socket = socket;
    this.#shutdown = shutdown;
  }

  readonly get = (): AbortSignal => {
    if (this.#gone !== undefined) return this.#gone.signal;
    this.#gone = new AbortController();
    if (this.#socket.destroyed) this.#leave();
    else if (this.#shutdown.aborted) this.#stop();
    else {
      this.#socket.once('close', this.#leave);
      this.#shutdown.addEventListener('abort', this.#stop, { once: true });
    }
    return this.#gone.signal;
  };

  /** A kept connection outlives the request by many others. */
  done(): void {
    if (this.#gone === undefined) return;
    this.#socket.off('close', this.#leave);
    this.#shutdown.removeEventListener('abort', this.#stop);
  }

  readonly #leave = (): void => this.#gone?.abort(new Error('the client has gone away'));
  readonly #stop = (): void => this.#gone?.abort(this.#shutdown.reason);
}

function refused(message: string, requestId: string): WireResponse {
  const headers = {
    'content-type': 'application/json',
    'x-amzn-requestid': requestId,
    'x-amzn-errortype': 'AccessDeniedException',
  };
  return { status: 403, headers, body: JSON.stringify({ __type: 'AccessDeniedException', message }) };
}

/** Pages of this machine itself (a development server on another port) may use the AWS APIs as the SDK in a browser does. */
function preflight(origin: string): WireResponse {
  return {
    status: 204,
    headers: {
      'access-control-allow-origin': origin,
      'access-control-allow-methods': 'GET, POST, PUT, DELETE, PATCH, HEAD',
      'access-control-allow-headers':
        '*, Authorization, Content-Type, X-Amz-Date, X-Amz-Security-Token, X-Amz-Target, X-Amz-User-Agent, X-Amz-Content-Sha256, Amz-Sdk-Invocation-Id, Amz-Sdk-Request',
      'access-control-max-age': '600',
    },
    body: '',
  };
}
