import type { Json, JsonObject } from './json.ts';

/** What the stack engine must know of a CloudFormation resource type; a service declares its own in `resources.ts`. */
export interface ResourceType {
  /** `AWS::SQS::Queue` */
  readonly typeName: string;
  /** Properties whose change needs a new physical resource ("Update requires: Replacement"): names, or dotted paths. */
  readonly createOnly: readonly string[];
  readonly requiredProperties?: readonly string[];
  /**
   * The properties' types. Values are brought to them before the type sees them, as CloudFormation does ("30" for an
   * integer becomes 30), and a property that is not listed is refused. Absent: anything goes, as it is.
   */
  readonly properties?: PropertyShapes;
  /** What Fn::GetAtt may name. Absent: whatever `create` returned (custom resources, nested stacks). */
  readonly attributeNames?: readonly string[];
  /** The property that gives the physical name (`QueueName`): who sets it cannot have the resource replaced under it. */
  readonly nameProperty?: string;
  /** Of types that keep data, where the template says nothing: e.g. Snapshot for a database. */
  readonly defaultDeletionPolicy?: 'Delete' | 'Retain' | 'Snapshot';
  /**
   * Makes the resource. Called again with the same `ctx.clientToken` and `ctx.generatedName` after a crash, with
   * `ctx.retried` set: it must then find and adopt what its first call made.
   *
   * @throws {ResourceFailure} with the physical id if something has been made that a rollback must delete.
   */
  create(ctx: ResourceContext, logicalId: string, properties: JsonObject): Promise<ResourceResult>;
  /** Changes it in place; absent where every change is a replacement. Repeatable like `create`. */
  update?(
    ctx: ResourceContext,
    physicalId: string,
    oldProperties: JsonObject,
    newProperties: JsonObject,
  ): Promise<ResourceResult>;
  /** Takes it away. A resource that is already gone is a success. */
  delete(ctx: ResourceContext, physicalId: string, properties: JsonObject): Promise<void>;
  /** Keeps a copy before the deletion; present on the types that allow DeletionPolicy: Snapshot. */
  snapshot?(ctx: ResourceContext, physicalId: string, properties: JsonObject): Promise<void>;
}

export interface ResourceResult {
  /** What Ref gives. */
  readonly physicalId: string;
  /** What Fn::GetAtt gives, nested objects for dotted names or the dotted name itself. */
  readonly attributes: Record<string, unknown>;
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

/** Where and for whom a resource is made. */
export interface ResourceContext {
  readonly account: string;
  readonly region: string;
  readonly partition: string;
  readonly stackName: string;
  readonly stackId: string;
  readonly logicalId: string;
  /** The stack's tags and the three `aws:cloudformation:` ones. */
  readonly tags: Readonly<Record<string, string>>;
  /** A UUID that is the same each time this very step is tried. */
  readonly clientToken: string;
  /** This step had begun before and its end was not recorded. */
  readonly retried: boolean;
  /** A name of CloudFormation's form for this resource, the same each time this step is tried. */
  generatedName(rules: NameRules): string;
  /** Tells the physical id as soon as it is known, before `create` returns: it becomes an event, and survives a crash. */
  initiated(physicalId: string): Promise<void>;
  /** Calls an AWS operation on the bus, in the stack's account and region, under its role. */
  call(service: string, operation: string, input: unknown): Promise<unknown>;
  /** Ends when the process stops; what was not finished is tried again after the restart. */
  readonly signal: AbortSignal;
}

export interface NameRules {
  readonly maxLength: number;
  readonly lowerCase?: boolean;
  /** Ends the name, counted in the length: `.fifo`. */
  readonly suffix?: string;
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
  readonly handlerErrorCode: HandlerErrorCode;
  /** Of what has been made all the same, and must go in a rollback. */
  readonly physicalId: string | undefined;

  constructor(message: string, handlerErrorCode: HandlerErrorCode = 'GeneralServiceException', physicalId?: string) {
    super(message);
    this.handlerErrorCode = handlerErrorCode;
    this.physicalId = physicalId;
  }
}

/** A physical resource of a stack, as the stack keeps it. */
export interface LiveResource {
  readonly logicalId: string;
  readonly type: string;
  /** Empty for a resource whose creation failed before it had one. */
  readonly physicalId: string;
  /** As evaluated; dynamic references ({{resolve:…}}) still unresolved, so that no secret is kept. */
  readonly properties: JsonObject;
  readonly attributes: JsonObject;
  /** Logical ids that must outlive this one. */
  readonly dependsOn: readonly string[];
  readonly deletionPolicy: 'Delete' | 'Retain' | 'RetainExceptOnCreate' | 'Snapshot';
  readonly updateReplacePolicy: 'Delete' | 'Retain' | 'RetainExceptOnCreate' | 'Snapshot';
  readonly metadata?: Json;
  readonly status: string;
  readonly statusReason?: string;
}
