import type { TraceContext } from '../kernel/trace/trace.ts';
import type { ServiceName, Services } from '../wire/types/index.ts';

/** Who makes a call. */
export interface Principal {
  /** 'root' of an account, an IAM user, a role's session, or an AWS service on its own behalf. */
  readonly kind: 'root' | 'user' | 'assumed-role' | 'service';
  /** `arn:aws:iam::…:root`, `…:user/name`, `arn:aws:sts::…:assumed-role/role/session`; for a service `lambda.amazonaws.com`. */
  readonly arn: string;
  readonly account: string;
  /** The unique id that IAM gives (AIDA…, AROA…:session); the account id for root. */
  readonly id: string;
  readonly accessKeyId?: string;
  /** The role behind an assumed-role session. */
  readonly roleArn?: string;
}

/** On whose behalf and where a call is made: what in-process calls carry along, and HTTP requests are turned into. */
export interface Caller {
  readonly account: string;
  readonly region: string;
  readonly principal: Principal;
  /** The span that caused the call. */
  readonly trace?: TraceContext;
  /** X-Amzn-Trace-Id of the HTTP request that the call began as: it carries the lineage by which loops of functions are found. */
  readonly traceHeader?: string;
}

/** What a handler gets beside its input. */
export interface RequestContext extends Caller {
  readonly trace: TraceContext;
  readonly requestId: string;
  /** `http://host:port` as the client reached the cloud, without a final slash: what URLs in answers begin with. */
  readonly origin: string;
  /** True when the call came from inside the cloud over the bus. */
  readonly internal: boolean;
  /** Aborts when the client has gone away or the cloud shuts down. */
  readonly signal: AbortSignal;
  /** Calls another service as this caller, under this request's span. */
  readonly call: Call;
  /**
   * Lets virtual time pass while the handler only waits for something to happen (a long poll): a waiting request is no
   * work. Wrap the wait itself, nothing else.
   */
  idle<T>(wait: () => Promise<T>): Promise<T>;
}

export type { ServiceName };
export type OperationName<S extends ServiceName> = keyof Services[S] & string;
export type Input<S extends ServiceName, O extends OperationName<S>> = Services[S][O] extends {
  input: infer I;
}
  ? I
  : never;
export type Output<S extends ServiceName, O extends OperationName<S>> = Services[S][O] extends {
  output: infer R;
}
  ? R
  : never;

/** A call on the bus: typed from the models, in process; rejects with AwsError as a client would see it. */
export type Call = <S extends ServiceName, O extends OperationName<S>>(
  service: S,
  operation: O,
  input: Input<S, O>,
) => Promise<Output<S, O>>;

/** The caller that a service is when it acts by itself (delivers, polls, writes logs) for something in an account. */
export function serviceCaller(service: string, account: string, region: string, trace?: TraceContext): Caller {
  const arn = `${service}.amazonaws.com`;
  return {
    account,
    region,
    principal: { kind: 'service', arn, account, id: arn },
    ...(trace === undefined ? {} : { trace }),
  };
}
