/**
 * The Extensions API (2020-01-01) of one run of one execution environment: who is registered, for what, and who is waiting. States, their
 * order and refusals are those of AWS's published emulator (internal/lambda/core/externalagent_states.go and its neighbours).
 */
import type { HttpRequest } from '../../wire/http1.ts';
import { mostExtensions } from '../limits.ts';
import { accepted, methodNotAllowed } from '../runtime-api/messages.ts';
import type { SideApi } from '../runtime-api/server.ts';
import type { ExtensionState } from './messages.ts';
import * as messages from './messages.ts';

export interface ExtensionsHost {
  readonly functionName: string;
  readonly functionVersion: string;
  readonly handler: string;
  readonly account: string;
  /** An identifier: a UUID. */
  readonly newId: () => string;
  /** One has registered, or waits for its next event. */
  readonly onProgress: () => void;
  /** One has reported that it fails. It is expected to exit, which is when the environment fails. */
  readonly onReportedFailure: (errorType: 'Extension.InitError' | 'Extension.ExitError') => void;
  /** What is asked for with an extension's identifier beside the Extensions API: telemetry. `name` is the extension's. */
  readonly answer: (request: HttpRequest, name: string) => Buffer | undefined;
}

export interface InvokeEvent {
  readonly requestId: string;
  readonly deadlineMs: number;
  readonly invokedFunctionArn: string;
  readonly traceHeader: string;
}

/** What `platform.extension` tells. */
export interface ExtensionStatus {
  readonly name: string;
  readonly state: ExtensionState;
  readonly events: readonly string[];
  readonly errorType: string | undefined;
}

type EventType = 'INVOKE' | 'SHUTDOWN';

interface Extension {
  readonly id: string;
  readonly name: string;
  readonly external: boolean;
  state: ExtensionState;
  events: readonly EventType[];
  errorType: string | undefined;
  /** Where it waits for its next event. */
  reply: ((answer: Buffer) => boolean) | undefined;
  /** An event that its connection was lost for: given to it when it asks again. */
  undelivered: Buffer | undefined;
}

const prefix = '/2020-01-01/extension/';
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export class Extensions implements SideApi {
  readonly #host: ExtensionsHost;
  readonly #extensions: Extension[];
  #open = true;

  /** `external`: the names of the executables that have been, or will be, started. */
  constructor(host: ExtensionsHost, external: readonly string[]) {
    this.#host = host;
    this.#extensions = external.map((name) => this.#new(name, true));
  }

  /** Registered, or to be. */
  get count(): number {
    return this.#extensions.length;
  }

  get hasExternal(): boolean {
    return this.#extensions.some(({ external }) => external);
  }

  /** The program may start. */
  get allRegistered(): boolean {
    return this.#extensions.every(({ state }) => state !== 'Started');
  }

  /** All wait for an event: the initialisation, or the invocation, is over as far as they are concerned. */
  get allReady(): boolean {
    return this.#extensions.every(({ state }) => state === 'Ready');
  }

  statuses(): readonly ExtensionStatus[] {
    return this.#extensions.map(({ name, state, events, errorType }) => ({ name, state, events, errorType }));
  }

  /** From here on none can register any more: the runtime has asked for its first event. */
  closeRegistration(): void {
    this.#open = false;
  }

  /** Tells those that are registered for it. */
  invoke({ requestId, deadlineMs, invokedFunctionArn, traceHeader }: InvokeEvent): void {
    const tracing = traceHeader === '' ? {} : { tracing: { type: 'X-Amzn-Trace-Id', value: traceHeader } };
    this.#release(
      this.#extensions.filter(({ events }) => events.includes('INVOKE')),
      { eventType: 'INVOKE', deadlineMs, requestId, invokedFunctionArn, ...tracing },
    );
  }

  /** Tells those that are registered for it; gives the names of the external ones, which have until the deadline to exit. */
  shutdown(shutdownReason: string, deadlineMs: number): readonly string[] {
    const told = this.#extensions.filter(({ external, events }) => external && events.includes('SHUTDOWN'));
    this.#release(told, { eventType: 'SHUTDOWN', deadlineMs, shutdownReason });
    return told.map(({ name }) => name);
  }

  answer(request: HttpRequest, reply: (answer: Buffer) => boolean): Buffer | 'later' | undefined {
    const { path, method } = request;
    if (!path.startsWith(prefix)) return this.#beside(request);
    switch (path.slice(prefix.length)) {
      case 'register':
        return method === 'POST' ? this.#register(request) : methodNotAllowed;
      case 'event/next':
        return method === 'GET' ? this.#next(request, reply) : methodNotAllowed;
      case 'init/error':
        return method === 'POST' ? this.#fail(request, 'InitError') : methodNotAllowed;
      case 'exit/error':
        return method === 'POST' ? this.#fail(request, 'ExitError') : methodNotAllowed;
      default:
        return undefined;
    }
  }

  #register({ headers, body }: HttpRequest): Buffer {
    const name = headers['lambda-extension-name'] ?? '';
    if (name === '') return messages.emptyName;
    const events = registeredEvents(body);
    if (typeof events === 'string') return messages.invalidRequest(events);
    const external = this.#extensions.find((each) => each.external && each.name === name);
    for (const event of events) {
      if (event !== 'INVOKE' && event !== 'SHUTDOWN') return messages.invalidEvent(event, 'ErrorInvalidEventType');
      if (event === 'SHUTDOWN' && external === undefined) {
        return messages.invalidEvent(event, 'ShutdownEventNotSupportedForInternalExtension');
      }
    }
    const refusal = external === undefined ? this.#refusal(name) : undefined;
    if (refusal !== undefined) return refusal;
    if (external !== undefined && external.state !== 'Started') {
      return messages.invalidTransition(external.state, 'Registered', name);
    }
    const extension = external ?? this.#new(name, false);
    if (external === undefined) this.#extensions.push(extension);
    extension.state = 'Registered';
    extension.events = events as readonly EventType[];
    this.#host.onProgress();
    const features = (headers['lambda-extension-accept-feature'] ?? '').split(',').map((feature) => feature.trim());
    const { account, functionName, functionVersion, handler } = this.#host;
    return messages.registered(extension.id, {
      ...(features.includes('accountId') ? { accountId: account } : {}),
      functionName,
      functionVersion,
      handler,
    });
  }

  #refusal(internalName: string): Buffer | undefined {
    if (!this.#open) return messages.registrationClosed;
    if (this.#extensions.length >= mostExtensions) return messages.tooMany;
    return this.#extensions.some(({ name }) => name === internalName) ? messages.nameTaken : undefined;
  }

  #next(request: HttpRequest, reply: (answer: Buffer) => boolean): Buffer | 'later' {
    const extension = this.#identified(request);
    if (extension === undefined || Buffer.isBuffer(extension)) {
      return extension ?? messages.unknownExtension(request.headers['lambda-extension-identifier']!);
    }
    const { undelivered } = extension;
    if (undelivered !== undefined) {
      extension.undelivered = undefined;
      return undelivered;
    }
    if (extension.state !== 'Registered' && extension.state !== 'Running' && extension.state !== 'Ready') {
      return messages.invalidTransition(extension.state, 'Ready', extension.id);
    }
    // One that asks again while it waits has lost its connection, or gives it up.
    const wasReady = extension.state === 'Ready';
    extension.state = 'Ready';
    extension.reply = reply;
    // Not in this call: what comes of it may be the event for this very connection.
    if (!wasReady) queueMicrotask(() => this.#host.onProgress());
    return 'later';
  }

  #fail(request: HttpRequest, to: 'InitError' | 'ExitError'): Buffer {
    const extension = this.#identified(request);
    if (Buffer.isBuffer(extension)) return extension;
    const errorType = request.headers['lambda-extension-function-error-type'] ?? '';
    if (errorType === '') return messages.missingErrorType;
    if (extension === undefined) return messages.unknownReporter;
    const { state } = extension;
    if (state === to) return accepted;
    const allowed = to === 'InitError' ? ['Registered'] : ['Registered', 'Ready', 'Running'];
    if (!allowed.includes(state)) return messages.invalidTransition(state, to, extension.id);
    extension.state = to;
    extension.errorType = errorType;
    this.#host.onReportedFailure(`Extension.${to}`);
    return accepted;
  }

  #beside(request: HttpRequest): Buffer | undefined {
    if (!request.path.startsWith('/2022-07-01/') && !request.path.startsWith('/2020-08-15/')) return undefined;
    const extension = this.#identified(request);
    if (Buffer.isBuffer(extension)) return extension;
    if (extension === undefined) {
      return messages.unknownExtension(request.headers['lambda-extension-identifier']!);
    }
    return this.#host.answer(request, extension.name);
  }

  #identified({ headers }: HttpRequest): Extension | Buffer | undefined {
    const id = headers['lambda-extension-identifier'] ?? '';
    if (id === '') return messages.missingIdentifier;
    if (!uuid.test(id)) return messages.invalidIdentifier;
    return this.#extensions.find((extension) => extension.id === id.toLowerCase());
  }

  #release(extensions: readonly Extension[], body: object): void {
    for (const extension of extensions) {
      const answer = messages.event(this.#host.newId(), body);
      const { reply } = extension;
      extension.reply = undefined;
      if (extension.state === 'Ready') extension.state = 'Running';
      if (reply?.(answer) !== true) extension.undelivered = answer;
    }
  }

  #new(name: string, external: boolean): Extension {
    return {
      id: this.#host.newId(),
      name,
      external,
      state: 'Started',
      events: [],
      errorType: undefined,
      reply: undefined,
      undelivered: undefined,
    };
  }
}

/** The events asked for, or what is wrong with the request. */
function registeredEvents(body: Buffer): readonly string[] | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString());
  } catch {
    return body.length === 0 ? 'unexpected end of JSON input' : 'invalid JSON';
  }
  if (typeof parsed !== 'object' || parsed === null) return 'invalid JSON';
  const { events, configurationKeys } = parsed as Readonly<Record<string, unknown>>;
  if (Array.isArray(configurationKeys) && configurationKeys.length > 0) {
    return 'configurationKeys are deprecated; use environment variables instead';
  }
  if (events === undefined || events === null) return [];
  if (!Array.isArray(events) || events.some((event) => typeof event !== 'string'))
    return 'events is not a list of strings';
  return [...new Set(events as string[])];
}
