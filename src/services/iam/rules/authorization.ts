import type { Caller } from '../../../platform/context.ts';
import type { Authorization } from '../../../platform/service.ts';
import { entityArn } from './arns.ts';

/**
 * What an IAM operation touches. The entity's path is not known before it is read, so the ARN is that of the path `/` or the one
 * that the request names. https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
 */
export function touchedResource(
  operation: string,
  input: unknown,
  { account, principal }: Caller,
): Authorization | undefined {
  const from = (input ?? {}) as Readonly<Record<string, unknown>>;
  const text = (name: string): string | undefined => (typeof from[name] === 'string' ? from[name] : undefined);
  const path = text('Path') ?? '/';
  const role = text('RoleName');
  if (role !== undefined) return { resource: entityArn('role', account, path, role) };
  const group = text('GroupName');
  if (group !== undefined) return { resource: entityArn('group', account, path, group) };
  const user = text('UserName');
  if (user !== undefined) return { resource: entityArn('user', account, path, user) };
  const arn = text('PolicyArn');
  if (arn !== undefined) return { resource: arn };
  const policy = text('PolicyName');
  if (policy !== undefined) return { resource: entityArn('policy', account, path, policy) };
  return onOneself.has(operation) && principal.kind === 'user' ? { resource: principal.arn } : undefined;
}

/** Without a name these mean the user that calls. */
const onOneself = new Set(['GetUser', 'CreateAccessKey', 'ListAccessKeys', 'UpdateAccessKey', 'DeleteAccessKey']);
