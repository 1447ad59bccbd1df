import { parseArn } from '../../platform/arn.ts';
import type { Principal } from '../../platform/context.ts';
import { contextOf, evaluateResource, parsePolicy, policyProblem, type Verdict } from '../../platform/policy.ts';
import { AwsError } from '../../wire/errors.ts';
import type { PolicyDescriptorType, Tag } from '../../wire/types/sts.ts';
import { limits } from './limits.ts';

export interface RoleArn {
  readonly account: string;
  readonly path: string;
  readonly name: string;
}

/** Throws ValidationError in the words that LocalStack recorded (test_sts_invalid_parameters, 2025-07-21). */
export function parseRoleArn(text: string): RoleArn {
  const arn = parseArn(text);
  const match = /^role(\/(?:.*\/)?)([^/]+)$/.exec(arn?.resource ?? '');
  if (arn === undefined || match === null || arn.service !== 'iam' || !/^\d{12}$/.test(arn.account))
    throw new AwsError('ValidationError', `${text} is invalid`);
  return { account: arn.account, path: match[1]!, name: match[2]! };
}

export function notAuthorizedToAssume(principal: Principal, roleArn: string): AwsError {
  const message = `User: ${principal.arn} is not authorized to perform: sts:AssumeRole on resource: ${roleArn}`;
  return new AwsError('AccessDenied', message, { status: 403 });
}

/** How long a role's session may last; throws where the request asks for more. */
export function roleSessionSeconds(asked: number | undefined, maxSessionSeconds: number, chained: boolean): number {
  const seconds = asked ?? limits.defaultRoleSession.value;
  if (chained && seconds > limits.chainedRoleSession.value)
    throw new AwsError(
      'ValidationError',
      'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining',
    );
  if (seconds > maxSessionSeconds)
    throw new AwsError(
      'ValidationError',
      'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.',
    );
  return seconds;
}

export interface SessionPolicies {
  readonly documents: readonly string[];
  readonly arns: readonly string[];
  /** Percent of what AWS packs them into at most. */
  readonly packedPercent: number;
}

/**
 * Checks session policies and how much room they and the tags take. AWS packs them in a way of its own; here the plain characters
 * count, so a request that just fits on AWS may be refused here.
 */
export function sessionPolicies(
  policy: string | undefined,
  arns: readonly PolicyDescriptorType[] | undefined,
  tags: readonly Tag[] | undefined,
): SessionPolicies {
  const problem = policy === undefined ? undefined : policyProblem(policy, 'identity');
  if (problem !== undefined) throw new AwsError('MalformedPolicyDocumentException', problem);
  const named = (arns ?? []).flatMap(({ arn }) => (arn === undefined ? [] : [arn]));
  if (named.length > limits.sessionPolicyArns.value)
    throw new AwsError('LimitExceeded', `Cannot exceed quota for PolicyArns: ${limits.sessionPolicyArns.value}`);
  for (const arn of named)
    if (parseArn(arn)?.service !== 'iam') throw new AwsError('ValidationError', `ARN ${arn} is not valid.`);
  const characters = (policy?.replace(/\s/g, '').length ?? 0) + named.join('').length;
  const ofTags = (tags ?? []).reduce((sum, { Key, Value }) => sum + Key.length + Value.length, 0);
  const packedPercent = Math.ceil(((characters + ofTags) / (limits.sessionPolicy.value * 2)) * 100);
  if ((policy?.length ?? 0) > limits.sessionPolicy.value || packedPercent > 100) {
    const percent = Math.max(packedPercent, Math.ceil(((policy?.length ?? 0) / limits.sessionPolicy.value) * 100));
    throw new AwsError(
      'PackedPolicyTooLargeException',
      `Packed policy consumes ${percent}% of allotted space, please use smaller policy.`,
    );
  }
  return { documents: policy === undefined ? [] : [policy], arns: named, packedPercent };
}

/** Session tags and those that the calling session hands on; the words are LocalStack's recordings (2025-04-10). */
export function sessionTags(
  tags: readonly Tag[],
  transitiveKeys: readonly string[],
  inherited: Readonly<Record<string, string>>,
): { tags: Record<string, string>; transitive: string[] } {
  const folded = tags.map(({ Key }) => Key.toLowerCase());
  if (new Set(folded).size !== folded.length)
    throw invalid('Duplicate tag keys found. Please note that Tag keys are case insensitive.');
  if (transitiveKeys.some((key) => !folded.includes(key.toLowerCase())))
    throw invalid('The specified transitive tag key must be included in the requested tags.');
  if (Object.keys(inherited).some((key) => folded.includes(key.toLowerCase())))
    throw invalid(
      "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
    );
  return {
    tags: { ...inherited, ...Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value])) },
    transitive: [...Object.keys(inherited), ...transitiveKeys],
  };
}

function invalid(message: string): AwsError {
  return new AwsError('InvalidParameterValue', message);
}

export interface TrustRequest {
  readonly roleArn: string;
  readonly sessionName: string;
  readonly externalId?: string | undefined;
  readonly sourceIdentity?: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly nowMs: number;
}

/** What a role's trust policy says to a caller: 'named' by its ARN, or only through its 'account'. */
export function trustVerdict(
  trust: string,
  principal: Principal,
  request: TrustRequest,
  allowed: 'named' | 'account',
): Verdict {
  const context = new Map(contextOf(principal, request.roleArn, request.nowMs));
  context.set('sts:rolesessionname', [request.sessionName]);
  if (request.externalId !== undefined) context.set('sts:externalid', [request.externalId]);
  if (request.sourceIdentity !== undefined) context.set('sts:sourceidentity', [request.sourceIdentity]);
  const keys = Object.keys(request.tags);
  if (keys.length > 0) context.set('aws:tagkeys', keys);
  for (const [key, value] of Object.entries(request.tags)) context.set(`aws:requesttag/${key}`.toLowerCase(), [value]);
  const asked = { action: 'sts:AssumeRole', resource: request.roleArn, context };
  const policies = [parsePolicy(trust)];
  const verdict = evaluateResource(policies, asked, principal, allowed);
  if (verdict !== 'allow' || keys.length === 0) return verdict;
  return evaluateResource(policies, { ...asked, action: 'sts:TagSession' }, principal, allowed);
}
