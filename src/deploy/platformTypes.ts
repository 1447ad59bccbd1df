import type { Caller } from '../platform/context.ts';
import type { ResourceType as PlatformType, ResourceState } from '../platform/resource-type.ts';
import type { Bus } from '../platform/service.ts';
import { AwsError } from '../wire/errors.ts';
import {
  type HandlerErrorCode,
  type ResourceContext,
  ResourceFailure,
  type ResourceResult,
  type ResourceType,
} from './contract.ts';

/** Under whose name the resources of a stack are made, and how handlers wait. */
export interface PlatformSurroundings {
  readonly caller: Caller;
  readonly bus: Bus;
  readonly sleep: (delayMs: number) => Promise<void>;
}

/** A resource type that a service has registered, as the stack engine takes it. */
export function fromPlatform(type: PlatformType, surroundings: PlatformSurroundings): ResourceType {
  const contextOf = (ctx: ResourceContext) => ({
    ...surroundings,
    stackName: ctx.stackName,
    stackId: ctx.stackId,
    logicalId: ctx.logicalId,
    clientToken: ctx.clientToken,
    generatedName: ctx.generatedName,
  });
  const nameProperty = nameProperties.get(type.typeName);
  return {
    typeName: type.typeName,
    createOnly: type.createOnly ?? [],
    ...(type.required && { requiredProperties: type.required }),
    properties: Object.fromEntries(type.properties.map((name) => [name, 'json'] as const)),
    ...(nameProperty !== undefined && { nameProperty }),
    create: (ctx, _logicalId, properties) =>
      failing(async () => resultOf(await type.create(contextOf(ctx), properties))),
    update: (ctx, physicalId, oldProperties, newProperties) =>
      failing(async () => resultOf(await type.update(contextOf(ctx), physicalId, newProperties, oldProperties))),
    delete: (ctx, physicalId, properties) => failing(() => type.delete(contextOf(ctx), physicalId, properties)),
  };
}

/** The property that names a resource: a resource named by its template cannot be replaced beside itself. */
const nameProperties: ReadonlyMap<string, string> = new Map([
  ['AWS::ApiGatewayV2::Stage', 'StageName'],
  ['AWS::DynamoDB::Table', 'TableName'],
  ['AWS::IAM::ManagedPolicy', 'ManagedPolicyName'],
  ['AWS::IAM::Role', 'RoleName'],
  ['AWS::Lambda::Alias', 'Name'],
  ['AWS::Lambda::Function', 'FunctionName'],
  ['AWS::Logs::LogGroup', 'LogGroupName'],
  ['AWS::SQS::Queue', 'QueueName'],
]);

function resultOf({ physicalId, attributes }: ResourceState): ResourceResult {
  return { physicalId, attributes: { ...attributes } };
}

async function failing<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    throw new ResourceFailure(error.message, handlerErrorCode(error.code));
  }
}

/** The resource provider contract's code that comes nearest to a service's error. */
function handlerErrorCode(code: string): HandlerErrorCode {
  if (/AlreadyExists|EntityAlreadyExists|ResourceInUse|ResourceConflict/.test(code)) return 'AlreadyExists';
  if (/NotFound|NoSuchEntity|NonExistent|DoesNotExist/.test(code)) return 'NotFound';
  if (/AccessDenied|Unauthorized/.test(code)) return 'AccessDenied';
  if (/Throttl|TooManyRequests/.test(code)) return 'Throttling';
  if (/LimitExceeded/.test(code)) return 'ServiceLimitExceeded';
  if (/Validation|Invalid|BadRequest|Malformed/.test(code)) return 'InvalidRequest';
  return 'GeneralServiceException';
}
