import type { Agenda } from '../kernel/agenda/agenda.ts';
import type { BlobStore } from '../kernel/blobs/contract.ts';
import type { Clock } from '../kernel/clock/contract.ts';
import type { Faults } from '../kernel/faults/faults.ts';
import type { LimitProfile } from '../kernel/limits/limits.ts';
import type { Random } from '../kernel/random/random.ts';
import type { Store } from '../kernel/store/contract.ts';
import type { Tracer } from '../kernel/trace/trace.ts';
import type { Compute } from './compute.ts';
import type { Caller, Input, OperationName, Output, RequestContext, ServiceName } from './context.ts';
import type { Authorizer, Credentials } from './credentials.ts';
import type { Images } from './images.ts';
import type { Logger } from './log.ts';
import type { ResourceType } from './resource-type.ts';
import type { Streams } from './streams.ts';
import type { Surface } from './surface.ts';
import type { TargetHandler, Targets } from './targets.ts';

/** What a service stands on. One per cloud. */
export interface Platform {
  readonly clock: Clock;
  readonly random: Random;
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly agenda: Agenda;
  readonly limits: LimitProfile;
  readonly faults: Faults;
  readonly tracer: Tracer;
  readonly log: Logger;
  readonly bus: Bus;
  readonly targets: Targets;
  readonly streams: Streams;
  readonly images: Images;
  readonly credentials: Credentials;
  /** Where IAM's policies decide in this cloud: for surfaces, whose requests do not come through an operation. */
  readonly authorizer: Authorizer | undefined;
  readonly compute: Compute;
  /** CloudFormation's resource types by name, of all services. */
  readonly resourceTypes: ReadonlyMap<string, ResourceType>;
  /** `http://127.0.0.1:4566`: where a sandbox on this machine reaches the cloud. Known once the listener is up. */
  readonly endpoint: () => string;
  /** A folder for scratch files, emptied at start. */
  readonly scratchFolder: string;
}

/** In-process calls between services; they enter the chain at "admit", so authorisation, limits, faults and traces hold. */
export interface Bus {
  call<S extends ServiceName, O extends OperationName<S>>(
    caller: Caller,
    service: S,
    operation: O,
    input: Input<S, O>,
  ): Promise<Output<S, O>>;
  /** For targets named in data (`aws-sdk:sqs:sendMessage`): unknown names reject as AWS's clients would see it. */
  callByName(caller: Caller, service: string, operation: string, input: unknown): Promise<unknown>;
}

export type Handler<S extends ServiceName, O extends OperationName<S>> = (
  context: RequestContext,
  input: Input<S, O>,
) => Promise<Output<S, O>>;

/** Operations that are not here answer 501. */
export type Handlers<S extends ServiceName> = { readonly [O in OperationName<S>]?: Handler<S, O> };

export interface ServiceDefinition<S extends ServiceName = ServiceName> {
  /** The service's folder, model and signing name's owner: 'sqs', 'dynamodb', … */
  readonly name: S;
  create(platform: Platform): Service<S>;
}

/** A service of one running cloud. */
export interface Service<S extends ServiceName = ServiceName> {
  readonly operations: Handlers<S>;
  /**
   * What an operation touches, for IAM: the action if it is not `<prefix>:<Operation>`, and the resource's ARN. Left out
   * (or undefined): every resource, `*`.
   */
  readonly authorization?: (operation: OperationName<S>, input: unknown, context: Caller) => Authorization | undefined;
  /**
   * The policy that stands on a resource itself, as JSON; undefined where there is none. Left out: resources of this service
   * have no policies, and whoever's they are is not asked.
   */
  readonly resourcePolicy?: (resource: string) => Promise<string | undefined>;
  /** CloudFormation resource types that this service owns. */
  readonly resourceTypes?: readonly ResourceType[];
  /** What this service does with an event delivered to one of its ARNs. */
  readonly target?: TargetHandler;
  /** Ways to reach the service by HTTP beside the AWS API. */
  readonly surfaces?: readonly Surface[];
  /** What the cloud tells of this service beyond AWS's API, for the CLI and the console; throws AwsError. */
  readonly inspect?: (caller: Caller, query: Readonly<Record<string, unknown>>) => Promise<unknown>;
  /** What the cloud does with this service beyond AWS's API, for the CLI; throws AwsError and UserMistake. */
  readonly steer?: (caller: Caller, command: Readonly<Record<string, unknown>>) => Promise<unknown>;
  /** Registers agenda handlers and starts workers; called once, after every service is created. */
  start?(): Promise<void> | void;
  /** Ends what it started; everything durable stays in the store. */
  close?(): Promise<void>;
}

export interface Authorization {
  readonly action?: string;
  readonly resource: string;
}

/** Lets TypeScript check the handlers' types against the models where a service is declared. */
export function defineService<S extends ServiceName>(definition: ServiceDefinition<S>): ServiceDefinition<S> {
  return definition;
}
