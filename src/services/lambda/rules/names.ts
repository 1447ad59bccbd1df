import { formatArn } from '../../../platform/arn.ts';
import { AwsError } from '../../../wire/errors.ts';
import { lambdaLimits } from '../limits.ts';
import type { Place } from '../state.ts';

/** A function as a request names it. */
export interface FunctionReference {
  readonly name: string;
  /** A version, `$LATEST` or an alias; undefined where the request names none. */
  readonly qualifier: string | undefined;
}

/**
 * Reads a name, a partial ARN (`123456789012:function:name`) or a full ARN, each with or without a qualifier. Coarse form has been checked
 * by the model's pattern. Wording: LocalStack's recorded AWS responses (test_lambda_api.snapshot.json: test_function_arns,
 * test_ops_with_arn_qualifier_mismatch, test_get_function_wrong_region).
 */
export function parseFunctionName(text: string, qualifier: string | undefined, place: Place): FunctionReference {
  // The plain name is what hot paths see.
  if (!text.includes(':')) return { name: checkedName(text), qualifier: nonEmpty(qualifier) };
  const match = namePattern.exec(text);
  if (match === null) throw invalidName(text);
  const { region, account, name, inner } = match.groups as Record<string, string | undefined>;
  if (region !== undefined && region !== place.region)
    throw new AwsError(
      'ResourceNotFoundException',
      `Functions from '${region}' are not reachable in this region ('${place.region}')`,
      { fields: { Type: 'User' } },
    );
  if (account !== undefined && account !== place.account)
    throw new AwsError('AccessDeniedException', '', { status: 403 });
  const asked = nonEmpty(qualifier);
  if (inner !== undefined && asked !== undefined && inner !== asked)
    throw invalidParameter('The derived qualifier from the function name does not match the specified qualifier.');
  return { name: checkedName(name!), qualifier: inner ?? asked };
}

const namePattern =
  /^(?:arn:aws[a-zA-Z-]*:lambda:(?<region>[a-z]{2}(?:-[a-z]+)+-\d):)?(?:(?<account>\d{12}):)?(?:function:)?(?<name>[a-zA-Z0-9-_]+)(?::(?<inner>\$LATEST|[a-zA-Z0-9-_]+))?$/;

function checkedName(name: string): string {
  if (name.length <= lambdaLimits.nameCharacters.value) return name;
  throw invalidParameter(
    `1 validation error detected: Value '${name}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64`,
  );
}

function nonEmpty(qualifier: string | undefined): string | undefined {
  return qualifier === '' ? undefined : qualifier;
}

function invalidName(text: string): AwsError {
  return new AwsError(
    'ValidationException',
    `1 validation error detected: Value '${text}' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?`,
    { status: 400 },
  );
}

/** The ARN of a function, or of a version or alias of it. */
export function functionArn(place: Place, name: string, qualifier?: string): string {
  const suffix = qualifier === undefined ? '' : `:${qualifier}`;
  return formatArn({ service: 'lambda', ...place, resource: `function:${name}${suffix}` });
}

export function mappingArn(place: Place, uuid: string): string {
  return formatArn({ service: 'lambda', ...place, resource: `event-source-mapping:${uuid}` });
}

export function isVersionNumber(qualifier: string): boolean {
  return /^\d+$/.test(qualifier);
}

export function invalidParameter(message: string): AwsError {
  return new AwsError('InvalidParameterValueException', message, { fields: { Type: 'User' } });
}

export function notFound(message: string): AwsError {
  return new AwsError('ResourceNotFoundException', message, { fields: { Type: 'User' } });
}

export function conflict(message: string): AwsError {
  return new AwsError('ResourceConflictException', message, { fields: { Type: 'User' } });
}

/** `which` names the call that gives the latest revision: GetFunction/GetAlias, GetPolicy. */
export function revisionMismatch(which: string): AwsError {
  return new AwsError(
    'PreconditionFailedException',
    `The Revision Id provided does not match the latest Revision Id. Call the ${which} API to retrieve the latest Revision Id`,
    { fields: { Type: 'User' } },
  );
}

export function functionNotFound(place: Place, name: string, qualifier?: string): AwsError {
  return notFound(`Function not found: ${functionArn(place, name, qualifier)}`);
}
