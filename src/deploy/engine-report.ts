import { type HandlerErrorCode, ResourceFailure, type ResourceType } from '../platform/resource-type.ts';
import { AwsError } from '../wire/errors.ts';
import type { LiveResource } from './contract.ts';
import type { JournalEntry, Phase, RunState, StackEvent, StackOutput } from './engine-state.ts';
import { TemplateError } from './errors.ts';
import type { Evaluator, PseudoParameters } from './intrinsics.ts';
import { isScalar, jsonEquals, member } from './json.ts';
import type { Template } from './template.ts';

/** A change of the stack's own status, with its event. */
export function stackEntry(pseudo: PseudoParameters, status: string, phase: Phase, reason?: string): JournalEntry {
  const { stackName, stackId } = pseudo;
  const because = reason === undefined ? {} : { reason };
  return {
    change: { kind: 'stack', status, phase, ...because },
    events: [{ logicalId: stackName, physicalId: stackId, type: 'AWS::CloudFormation::Stack', status, ...because }],
  };
}

export function event(resource: LiveResource, status: string, reason?: string): StackEvent {
  const { logicalId, physicalId, type, properties } = resource;
  return { logicalId, physicalId, type, status, properties, ...(reason !== undefined && { reason }) };
}

/** Text: https://github.com/convox/rack/issues/2941 */
export function refuseCustomName(type: ResourceType, before: LiveResource, wanted: LiveResource): void {
  const property = type.nameProperty ?? nameProperties.get(type.typeName);
  const name = property === undefined ? undefined : member(wanted.properties, property);
  if (name === undefined || !jsonEquals(name, member(before.properties, property as string))) return;
  throw new TemplateError(
    'CloudFormation cannot update a stack when a custom-named resource requires replacing. ' +
      `Rename ${String(name)} and update the stack again.`,
  );
}

/** The properties that name a resource, of types that do not declare their own. */
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

/** Form of a provider's failure: https://github.com/aws-solutions/amazon-marketing-cloud-uploader-from-aws/issues/167 */
export function reasonOf(error: unknown, token: string): string {
  if (error instanceof TemplateError) return error.message;
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ResourceFailure && error.handlerErrorCode === null) return message;
  const code =
    error instanceof ResourceFailure
      ? error.handlerErrorCode
      : error instanceof AwsError
        ? handlerErrorCode(error.code)
        : 'InternalFailure';
  return `Resource handler returned message: "${message}" (RequestToken: ${token}, HandlerErrorCode: ${code})`;
}

/** The resource provider contract's code that comes nearest to a service's error. */
function handlerErrorCode(code: string): HandlerErrorCode {
  if (/AlreadyExists|ResourceInUse|ResourceConflict|Duplicate/.test(code)) return 'AlreadyExists';
  if (/NotFound|NoSuch|NonExistent|DoesNotExist/.test(code)) return 'NotFound';
  if (/AccessDenied|Unauthorized|Forbidden/.test(code)) return 'AccessDenied';
  if (/Throttl|TooManyRequests/.test(code)) return 'Throttling';
  if (/LimitExceeded/.test(code)) return 'ServiceLimitExceeded';
  if (/Validation|Invalid|BadRequest|Malformed/.test(code)) return 'InvalidRequest';
  return 'GeneralServiceException';
}

/** The stack's outputs, or what is wrong with them. */
export function outputsOf(template: Template, evaluator: Evaluator): readonly StackOutput[] | string {
  try {
    return [...template.outputs]
      .filter(([, output]) => output.condition === undefined || evaluator.condition(output.condition))
      .map(([key, output]) => {
        const value = evaluator.value(output.value);
        if (!isScalar(value)) {
          throw new TemplateError(
            `Template format error: The Value field of every Outputs member must evaluate to a String.`,
          );
        }
        const exportName = output.exportName === undefined ? undefined : evaluator.value(output.exportName);
        return {
          key,
          value: String(value),
          ...(output.description !== undefined && { description: output.description }),
          ...(isScalar(exportName) && { exportName: String(exportName) }),
        };
      });
  } catch (error) {
    if (error instanceof TemplateError) return error.message;
    throw error;
  }
}

/** "The following resource(s) failed to create: [A, B]. The following resource(s) failed to update: [C]. ", or undefined. */
export function failureText(failures: RunState['failures']): string | undefined {
  const texts = (['create', 'update', 'delete'] as const).flatMap((action) => {
    const names = [...failures].filter(([, failure]) => failure.action === action).map(([key]) => key.split(' ')[0]);
    return names.length === 0 ? [] : [`The following resource(s) failed to ${action}: [${names.join(', ')}]. `];
  });
  return texts.length === 0 ? undefined : texts.join('');
}
