import type { Clock } from '../kernel/clock/contract.ts';
import type { Faults } from '../kernel/faults/faults.ts';
import type { Random } from '../kernel/random/random.ts';
import type { ActiveSpan, TraceContext, Tracer } from '../kernel/trace/trace.ts';
import { AwsError, notImplemented } from '../wire/errors.ts';
import { withoutRawJson } from '../wire/raw-json.ts';
import type { Call, Caller, Input, OperationName, Output, Principal, RequestContext, ServiceName } from './context.ts';
import type { Authorizer } from './credentials.ts';
import type { Logger } from './log.ts';
import type { Bus, Service } from './service.ts';

export interface DispatcherOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly faults: Faults;
  readonly tracer: Tracer;
  readonly log: Logger;
  /** Left out: everything is allowed. */
  readonly authorizer?: Authorizer;
  /** What URLs in answers to calls from inside begin with. */
  readonly endpoint: () => string;
  /** Loads a service that is called before it was registered; undefined where this cloud does not run it. */
  readonly load: (service: ServiceName) => Promise<Service> | undefined;
}

/** A call on its way to an operation. */
export interface Admission {
  readonly service: ServiceName;
  readonly operation: string;
  readonly input: unknown;
  readonly caller: Caller;
  readonly requestId: string;
  readonly origin: string;
  readonly internal: boolean;
  readonly signal: () => AbortSignal;
}

/** Generic fault points, on every operation; the scope is `service.Operation`. */
const faultPoints = [
  { name: 'operation.unavailable', description: 'the operation answers 503 ServiceUnavailable and does nothing' },
  { name: 'operation.throttled', description: 'the operation answers 400 ThrottlingException and does nothing' },
  {
    name: 'operation.lost-answer',
    description: 'the operation is carried out, and its answer is lost (500 InternalFailure)',
  },
] as const;

/** The part of the chain that calls from outside and from inside share: authorise, faults, span, operation. */
export class Dispatcher implements Bus {
  readonly #options: DispatcherOptions;
  readonly #services = new Map<string, Service>();
  readonly #neverAborted = new AbortController().signal;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    for (const point of faultPoints) options.faults.declare(point);
  }

  register(name: ServiceName, service: Service): void {
    this.#services.set(name, service);
  }

  call<S extends ServiceName, O extends OperationName<S>>(
    caller: Caller,
    service: S,
    operation: O,
    input: Input<S, O>,
  ): Promise<Output<S, O>> {
    return this.#fromInside(caller, service, operation, input) as Promise<Output<S, O>>;
  }

  callByName(caller: Caller, service: string, operation: string, input: unknown): Promise<unknown> {
    return this.#fromInside(caller, service as ServiceName, operation, input);
  }

  async #fromInside(caller: Caller, service: ServiceName, operation: string, input: unknown): Promise<unknown> {
    const output = await this.dispatch({
      service,
      operation,
      input,
      caller,
      requestId: this.#options.random.uuid(),
      origin: this.#options.endpoint(),
      internal: true,
      signal: () => this.#neverAborted,
    });
    // Stored text that may go out as it is must be read for callers in here. Only DynamoDB and its streams answer with such.
    return service === 'dynamodb' || service === 'dynamodbstreams' ? withoutRawJson(output) : output;
  }

  /** Carries the call out; rejects with AwsError only. */
  async dispatch(admission: Admission): Promise<unknown> {
    const { service, operation, input, caller } = admission;
    const { authorizer, clock, faults, tracer } = this.#options;
    const found = this.#services.get(service) ?? (await this.#options.load(service));
    const handler = (found?.operations as Record<string, AnyHandler | undefined> | undefined)?.[operation];
    if (found === undefined || handler === undefined) throw notImplemented(service, operation);

    const idle = clock.busy();
    const span = tracer.start(`${service}.${operation}`, caller.trace);
    try {
      if (authorizer !== undefined && caller.principal.kind !== 'service') {
        const touched = found.authorization?.(operation as never, input, caller);
        const action = touched?.action ?? `${actionPrefix(service)}:${operation}`;
        const resource = touched?.resource ?? '*';
        const policy = resource === '*' ? undefined : await policyOn(found, resource);
        const refusal = await authorizer.deny(caller.principal, action, resource, undefined, policy);
        if (refusal !== undefined)
          throw new AwsError(accessDeniedCode(service), refusal, {
            status: service === 'dynamodb' || service === 'dynamodbstreams' || service === 'sqs' ? 400 : 403,
          });
      }
      const point = faults.active ? strikingPoint(faults, `${service}.${operation}`) : undefined;
      if (point === 'operation.unavailable')
        throw new AwsError('ServiceUnavailable', 'Service is unavailable. Please try again.', { status: 503 });
      if (point === 'operation.throttled') throw new AwsError('ThrottlingException', 'Rate exceeded', { status: 400 });
      const context = new OperationContext(admission, span, this, clock, idle);
      const output = await handler(context, input);
      if (point === 'operation.lost-answer')
        throw new AwsError('InternalFailure', 'The answer was lost by a fault that someone asked for.', {
          status: 500,
        });
      span.end();
      return output;
    } catch (error) {
      const answer = error instanceof AwsError ? error : this.#internalFailure(admission, error);
      span.end(answer.code);
      throw answer;
    } finally {
      idle();
    }
  }

  /** A bug: told to whoever runs the cloud, and to the caller only that it was one. */
  #internalFailure({ service, operation, requestId }: Admission, error: unknown): AwsError {
    const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#options.log.error(`${service}.${operation} failed`, { requestId, problem });
    const message = 'The request processing has failed because of an unknown error, exception or failure.';
    return new AwsError('InternalFailure', message, { status: 500 });
  }
}

/** Null: the resource could have a policy and has none. */
async function policyOn(service: Service, resource: string): Promise<string | null | undefined> {
  if (service.resourcePolicy === undefined) return undefined;
  return (await service.resourcePolicy(resource)) ?? null;
}

type AnyHandler = (context: RequestContext, input: unknown) => Promise<unknown>;

class OperationContext implements RequestContext {
  readonly account: string;
  readonly region: string;
  readonly principal: Principal;
  readonly requestId: string;
  readonly origin: string;
  readonly internal: boolean;
  readonly trace: TraceContext;
  declare readonly traceHeader?: string;
  readonly #signal: () => AbortSignal;
  readonly #bus: Bus;
  readonly #clock: Clock;
  #endBusy: () => void;

  constructor(admission: Admission, span: ActiveSpan, bus: Bus, clock: Clock, endBusy: () => void) {
    const { caller } = admission;
    this.account = caller.account;
    this.region = caller.region;
    this.principal = caller.principal;
    this.requestId = admission.requestId;
    this.origin = admission.origin;
    this.internal = admission.internal;
    this.trace = span;
    if (caller.traceHeader !== undefined) this.traceHeader = caller.traceHeader;
    this.#signal = admission.signal;
    this.#bus = bus;
    this.#clock = clock;
    this.#endBusy = endBusy;
  }

  get signal(): AbortSignal {
    return this.#signal();
  }

  get call(): Call {
    return (service, operation, input) => this.#bus.call(this, service, operation, input);
  }

  async idle<T>(wait: () => Promise<T>): Promise<T> {
    this.#endBusy();
    try {
      return await wait();
    } finally {
      const end = this.#clock.busy();
      this.#endBusy = end;
      // The dispatcher ends the first piece of work only; this one ends with the operation's next turns.
      setImmediate(end);
    }
  }
}

function strikingPoint(faults: Faults, scope: string): string | undefined {
  return faultPoints.find((point) => faults.strikes(point.name, scope))?.name;
}

/** The prefix of IAM actions where it is not the service's name here. */
function actionPrefix(service: ServiceName): string {
  if (service === 'dynamodbstreams') return 'dynamodb';
  return service === 'apigatewayv2' ? 'apigateway' : service;
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html; the code is each protocol's. */
function accessDeniedCode(service: ServiceName): string {
  return service === 'sqs' || service === 'iam' || service === 'sts' || service === 'cloudformation'
    ? 'AccessDenied'
    : 'AccessDeniedException';
}
