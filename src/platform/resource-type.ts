import type { Caller } from './context.ts';
import type { Bus } from './service.ts';

/** What a CloudFormation resource type's handlers get: where and for whom they act, and the bus. */
export interface ResourceContext {
  readonly caller: Caller;
  readonly bus: Bus;
  readonly stackName: string;
  readonly stackId: string;
  readonly logicalId: string;
  /** The same for every attempt at this step of this stack operation: use it where an API takes a client token. */
  readonly clientToken: string;
  /**
   * The name CloudFormation gives when the template names none: `stack-logicalId-RANDOM`, cut to `maxLength`, the random part
   * the same for every attempt. `lowerCase` for types that need it.
   */
  generatedName(options: NameRules): string;
  /** Waits between polls, in cloud time; rejects when the process stops. Keep waits short and let them grow. */
  sleep(delayMs: number): Promise<void>;
  /** The stack's tags and the three `aws:cloudformation:` ones. The engine always gives them. */
  readonly tags?: Readonly<Record<string, string>>;
  /** This step had begun before and its end was not recorded: create must find what it may have made. */
  readonly retried?: boolean;
  /** Tells the physical id as soon as it is known, before `create` returns: it becomes an event, and survives a crash. */
  initiated?(physicalId: string): Promise<void>;
  /** Ends when the process stops; what was not finished is tried again after the restart. */
  readonly signal?: AbortSignal;
}

export interface NameRules {
  readonly maxLength: number;
  readonly lowerCase?: boolean;
  /** Ends the name, counted in the length: `.fifo`. */
  readonly suffix?: string;
}

export type Properties = Readonly<Record<string, unknown>>;

export interface ResourceState {
  /** What Ref gives. */
  readonly physicalId: string;
  /** What Fn::GetAtt gives, by attribute name; nested as `Outputs.Name`. */
  readonly attributes: Properties;
}

/**
 * A CloudFormation resource type. Handlers are called again after a crash: create must find what an earlier attempt made
 * (names and tokens are the same), delete must accept that it is gone. They throw AwsError or ResourceFailure, whose
 * message becomes part of the resource's status reason.
 */
export interface ResourceType {
  /** `AWS::SQS::Queue` */
  readonly typeName: string;
  /** Every property that is known and honoured; another one fails the resource with AWS's "extraneous key" message. */
  readonly properties: readonly string[];
  readonly required?: readonly string[];
  /** Properties whose change means a replacement: names, or dotted paths. */
  readonly createOnly?: readonly string[];
  /** Takes any property beside those listed (custom resources). */
  readonly openProperties?: boolean;
  /** Types of properties: values are brought to them before a handler sees them, as CloudFormation does ("30" becomes 30). */
  readonly shapes?: PropertyShapes;
  /** What Fn::GetAtt may name. Left out: whatever a handler returned (custom resources, nested stacks). */
  readonly attributeNames?: readonly string[];
  /** The property that gives the physical name (`QueueName`): who sets it cannot have the resource replaced under it. */
  readonly nameProperty?: string;
  /** Of types that keep data, where the template says nothing: e.g. Snapshot for a database. */
  readonly defaultDeletionPolicy?: 'Delete' | 'Retain' | 'Snapshot';
  /** @throws {ResourceFailure} with the physical id if something has been made that a rollback must delete. */
  create(context: ResourceContext, properties: Properties): Promise<ResourceState>;
  /** Changes it in place; never called where every property is among `createOnly`. Repeatable like `create`. */
  update(
    context: ResourceContext,
    physicalId: string,
    properties: Properties,
    oldProperties: Properties,
  ): Promise<ResourceState>;
  delete(context: ResourceContext, physicalId: string, properties: Properties): Promise<void>;
  /** Keeps a copy before the deletion; present on the types that allow DeletionPolicy: Snapshot. */
  snapshot?(context: ResourceContext, physicalId: string, properties: Properties): Promise<void>;
}

/** How one property is typed. A list of one shape is a list of it; an object is an object with these members. */
export type PropertyShape =
  | 'string'
  | 'integer'
  | 'number'
  | 'boolean'
  /** Left as it is: policy documents, free maps. */
  | 'json'
  /** A map from any name to text: environment variables. */
  | 'stringMap'
  | readonly [PropertyShape]
  | PropertyShapes;

export interface PropertyShapes {
  readonly [property: string]: PropertyShape;
}

/** The codes of the resource provider contract that AWS puts into status reasons ("HandlerErrorCode: AlreadyExists"). */
export type HandlerErrorCode =
  | 'NotUpdatable'
  | 'InvalidRequest'
  | 'AccessDenied'
  | 'AlreadyExists'
  | 'NotFound'
  | 'ResourceConflict'
  | 'Throttling'
  | 'ServiceLimitExceeded'
  | 'NotStabilized'
  | 'GeneralServiceException'
  | 'InternalFailure';

/** A resource could not be made, changed or deleted. */
export class ResourceFailure extends Error {
  override readonly name = 'ResourceFailure';
  /** Null: the message is the whole reason, and is shown without a handler's frame around it. */
  readonly handlerErrorCode: HandlerErrorCode | null;
  /** Of what has been made all the same, and must go in a rollback. */
  readonly physicalId: string | undefined;

  constructor(
    message: string,
    handlerErrorCode: HandlerErrorCode | null = 'GeneralServiceException',
    physicalId?: string,
  ) {
    super(message);
    this.handlerErrorCode = handlerErrorCode;
    this.physicalId = physicalId;
  }
}
