import { type LiveResource, ResourceFailure, type ResourceType } from './contract.ts';
import type { JournalEntry, Phase, RunState, StackEvent, StackOutput } from './engineState.ts';
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
  const name = type.nameProperty === undefined ? undefined : member(wanted.properties, type.nameProperty);
  if (name === undefined || !jsonEquals(name, member(before.properties, type.nameProperty as string))) return;
  throw new TemplateError(
    'CloudFormation cannot update a stack when a custom-named resource requires replacing. ' +
      `Rename ${String(name)} and update the stack again.`,
  );
}

/** Form of a provider's failure: https://github.com/aws-solutions/amazon-marketing-cloud-uploader-from-aws/issues/167 */
export function reasonOf(error: unknown, token: string): string {
  if (error instanceof TemplateError) return error.message;
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ResourceFailure && message.startsWith('Property validation failure:')) return message;
  const code = error instanceof ResourceFailure ? error.handlerErrorCode : 'GeneralServiceException';
  return `Resource handler returned message: "${message}" (RequestToken: ${token}, HandlerErrorCode: ${code})`;
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
