import { AwsError } from '../../wire/errors.ts';

/**
 * AWS's words. Where no public recording of AWS's answer was found the wording is ours, in AWS's manner (README, "Deviations").
 */
export function badRequest(message: string): AwsError {
  return new AwsError('BadRequestException', message, { status: 400 });
}

export function conflict(message: string): AwsError {
  return new AwsError('ConflictException', message, { status: 409 });
}

export function apiNotFound(account: string, apiId: string): AwsError {
  return notFound(`Invalid API identifier specified ${account}:${apiId}`);
}

/** `kind` is AWS's noun: Route, Integration, Stage, Deployment, Authorizer. */
export function partNotFound(kind: string, id: string): AwsError {
  return notFound(
    kind === 'Stage' ? 'Invalid stage identifier specified' : `Invalid ${kind} identifier specified ${id}`,
  );
}

export function notFound(message: string): AwsError {
  return new AwsError('NotFoundException', message, { status: 404 });
}

/** Recorded: `Maximum number of Authorizers for this API has been reached. …` (429, LimitExceeded in the body's words). */
export function tooMany(kind: string): AwsError {
  const message = `Maximum number of ${kind}s for this API has been reached. Please contact AWS if you need additional ${kind}s.`;
  return new AwsError('TooManyRequestsException', message, { status: 429 });
}

/** A parameter or a value that AWS takes and this cloud does not carry out. */
export function notBuilt(what: string): AwsError {
  const message = `${what} is not built in Unkai. See the fidelity table in src/services/apigatewayv2/README.md.`;
  return new AwsError('NotImplemented', message, { status: 501, fault: 'Receiver' });
}
