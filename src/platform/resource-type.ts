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
  generatedName(options: {
    readonly maxLength: number;
    readonly lowerCase?: boolean;
    readonly suffix?: string;
  }): string;
  /** Waits between polls, in cloud time. */
  sleep(delayMs: number): Promise<void>;
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
 * (names and tokens are the same), delete must accept that it is gone. They throw AwsError, whose message becomes the
 * resource's status reason.
 */
export interface ResourceType {
  /** `AWS::SQS::Queue` */
  readonly typeName: string;
  /** Every property that is known and honoured; another one fails the resource with AWS's "extraneous key" message. */
  readonly properties: readonly string[];
  readonly required?: readonly string[];
  /** Properties whose change means a replacement. */
  readonly createOnly?: readonly string[];
  create(context: ResourceContext, properties: Properties): Promise<ResourceState>;
  update(
    context: ResourceContext,
    physicalId: string,
    properties: Properties,
    oldProperties: Properties,
  ): Promise<ResourceState>;
  delete(context: ResourceContext, physicalId: string, properties: Properties): Promise<void>;
}
