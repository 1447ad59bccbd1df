import { TemplateError } from '../../../deploy/errors.ts';
import { AwsError } from '../../../wire/errors.ts';

/** Most of what CloudFormation refuses is a ValidationError. */
export function invalid(message: string): AwsError {
  return new AwsError('ValidationError', message);
}

/** Text of DescribeStacks, GetTemplate, ListStackResources and others (LocalStack's recordings, test_cloudformation_stack_name_creation and others). */
export function noStackWithId(name: string): AwsError {
  return invalid(`Stack with id ${name} does not exist`);
}

/** Text of UpdateStack, DescribeStackEvents, CreateChangeSet and others (same recordings). */
export function noStack(name: string): AwsError {
  return invalid(`Stack [${name}] does not exist`);
}

export function noChangeSet(name: string): AwsError {
  return new AwsError('ChangeSetNotFoundException', `ChangeSet [${name}] does not exist`);
}

/** Losing against others so often means that something is wrong; the client may try again. */
export function tooContended(): AwsError {
  return new AwsError('ServiceUnavailable', 'The request lost against too many others. Please try again.', {
    status: 503,
  });
}

/** Runs what judges a template; the user's mistakes become ValidationErrors. */
export async function judged<T>(judge: () => T | Promise<T>): Promise<T> {
  try {
    return await judge();
  } catch (error) {
    throw error instanceof TemplateError ? invalid(error.message) : error;
  }
}
