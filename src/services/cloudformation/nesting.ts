import type { RequestContext } from '../../platform/context.ts';
import { type Environment, findStack } from './environment.ts';
import { invalid } from './rules/errors.ts';
import type { StackRecord, StackSetup } from './state.ts';

/** The tag by which AWS::CloudFormation::Stack tells a stack whose part it is; nobody outside may set it. */
export const parentTag = 'aws:cloudformation:stack-id';

/** @throws ValidationError for tags that only AWS may set. */
export async function parentOf(
  env: Environment,
  context: Pick<RequestContext, 'internal' | 'account' | 'region'>,
  tags: StackSetup['tags'],
): Promise<Pick<StackRecord, 'parentArn' | 'rootArn'>> {
  if (!context.internal && tags.some(({ Key }) => Key.startsWith('aws:')))
    throw invalid('aws: prefixed tag key names are not allowed for external use.');
  const parentArn = tags.find(({ Key }) => Key === parentTag)?.Value;
  if (parentArn === undefined) return {};
  const parent = await findStack(env, context, parentArn);
  return { parentArn, rootArn: parent?.record.rootArn ?? parentArn };
}
