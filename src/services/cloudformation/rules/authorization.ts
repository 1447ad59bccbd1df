import { parseArn } from '../../../platform/arn.ts';
import type { Caller } from '../../../platform/context.ts';
import type { Authorization } from '../../../platform/service.ts';
import { isArn } from './names.ts';

/**
 * The stack that an operation touches; what lists touches everything.
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudformation.html
 */
export function authorization(
  operation: string,
  input: unknown,
  { account, region }: Caller,
): Authorization | undefined {
  const { StackName, ChangeSetName } = input as { readonly StackName?: string; readonly ChangeSetName?: string };
  if (operation === 'ValidateTemplate' || operation.startsWith('ListExports')) return undefined;
  const name = StackName ?? ChangeSetName;
  if (name === undefined) return undefined;
  if (isArn(name)) return parseArn(name) === undefined ? undefined : { resource: name };
  return { resource: `arn:aws:cloudformation:${region}:${account}:stack/${name}/*` };
}
