import type { Clock } from '../../kernel/clock/contract.ts';
import { parseArn } from '../arn.ts';
import type { Principal } from '../context.ts';
import type { Authorizer } from '../credentials.ts';
import { type PolicyDocument, parsePolicy, policyOf } from './document.ts';
import { type Decision, decide, decideForeign, type PolicySet } from './evaluate.ts';
import type { ContextValues } from './match.ts';

/** A principal's policies as they stand, and what conditions can ask about it. */
export interface PrincipalPolicies extends PolicySet {
  /** The user's or the role's tags, and over them the session's. */
  readonly tags?: Readonly<Record<string, string>>;
}

/** Finds policies; IAM's store stands behind it. */
export interface PolicySource {
  /** Undefined: there is no such user or role (any more). */
  policiesOf(principal: Principal): Promise<PrincipalPolicies | undefined>;
  /** Policies of the resource itself that may allow what the principal's own do not. */
  resourcePolicies?(action: string, resource: string): Promise<readonly PolicyDocument[] | undefined>;
}

export interface AuthorizerOptions {
  readonly source: PolicySource;
  readonly clock: Clock;
}

/** Decides by IAM's policies. The root of an account may do anything in it, and services act for themselves. */
export function createAuthorizer({ source, clock }: AuthorizerOptions): Authorizer {
  return {
    async deny(principal, action, resource, values, resourcePolicy) {
      if (principal.kind === 'service' || forEveryone.has(action)) return undefined;
      const owner = resourcePolicy === undefined ? undefined : parseArn(resource)?.account;
      const foreign = owner !== undefined && owner !== '' && owner !== principal.account;
      if (principal.kind === 'root' && !foreign) return undefined;
      const own = principal.kind === 'root' ? { identity: [everything] } : await source.policiesOf(principal);
      const ofResource = resourcePolicy ? readable(resourcePolicy) : await source.resourcePolicies?.(action, resource);
      const policies = { ...(own ?? { identity: [] }), ...(ofResource === undefined ? {} : { resource: ofResource }) };
      const known = contextOf(principal, resource, clock.now(), own?.tags);
      const context = values === undefined ? known : new Map([...known, ...values]);
      const request = { action, resource, context };
      const decision = foreign ? decideForeign(policies, request, principal) : decide(policies, request, principal);
      return decision.allowed ? undefined : refusal(principal, action, resource, decision);
    },
  };
}

/** A service may have taken a document that no policy looks like: it allows nothing. */
function readable(text: string): readonly PolicyDocument[] {
  try {
    return [parsePolicy(text)];
  } catch {
    return [];
  }
}

/** What the root of an account may do, as far as its own account is asked. */
const everything: PolicyDocument = policyOf({
  Version: '2012-10-17',
  Statement: { Effect: 'Allow', Action: '*', Resource: '*' },
});

/** "No permissions are required to perform this operation", says the API reference of each. */
const forEveryone = new Set(['sts:GetCallerIdentity', 'sts:GetSessionToken']);

/** AWS's words: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html */
function refusal(
  principal: Principal,
  action: string,
  resource: string,
  { by, explicit }: Decision & { allowed: false },
): string {
  const what = `User: ${principal.arn} is not authorized to perform: ${action} on resource: ${resource}`;
  if (explicit) return `${what} with an explicit deny in ${by === 'identity-based policy' ? 'an' : 'a'} ${by}`;
  return `${what} because no ${by} allows the ${action} action`;
}

/**
 * The condition keys that are known of every request.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
 */
export function contextOf(
  principal: Principal,
  resource: string,
  nowMs: number,
  tags: Readonly<Record<string, string>> = {},
): ContextValues {
  const context = new Map<string, readonly string[]>();
  const set = (key: string, value: string): void => void context.set(key.toLowerCase(), [value]);
  set('aws:CurrentTime', new Date(nowMs).toISOString());
  set('aws:EpochTime', String(Math.floor(nowMs / 1000)));
  set('aws:SecureTransport', 'false');
  if (principal.kind === 'service') {
    set('aws:PrincipalIsAWSService', 'true');
    set('aws:PrincipalServiceName', principal.arn);
  } else {
    set('aws:PrincipalIsAWSService', 'false');
    set('aws:PrincipalAccount', principal.account);
    // A session is asked for by its role's ARN.
    set('aws:PrincipalArn', principal.roleArn ?? principal.arn);
    set('aws:PrincipalType', principalTypes[principal.kind]);
    set('aws:userid', principal.id);
    if (principal.kind === 'user') set('aws:username', principal.arn.slice(principal.arn.lastIndexOf('/') + 1));
  }
  for (const [key, value] of Object.entries(tags)) set(`aws:PrincipalTag/${key}`, value);
  const arn = parseArn(resource);
  if (arn !== undefined && arn.account !== '') set('aws:ResourceAccount', arn.account);
  if (arn !== undefined && arn.region !== '') set('aws:RequestedRegion', arn.region);
  return context;
}

const principalTypes = { root: 'Account', user: 'User', 'assumed-role': 'AssumedRole' } as const;
