import type { Principal } from '../context.ts';
import { conditionsHold } from './conditions.ts';
import type { PolicyDocument, PrincipalPattern, Statement } from './document.ts';
import { type ContextValues, matchesAction, matchesResource } from './match.ts';

/** What is asked of policies. */
export interface AccessRequest {
  /** `sqs:SendMessage` */
  readonly action: string;
  /** An ARN, or `*` for what has none. */
  readonly resource: string;
  readonly context: ContextValues;
}

/** What a set of policies says to a request; one Deny outweighs every Allow. */
export type Verdict = 'allow' | 'explicit-deny' | 'implicit-deny';

/** What a principal's own policies say. */
export function evaluateIdentity(policies: readonly PolicyDocument[], request: AccessRequest): Verdict {
  return verdictOf(policies, (statement, version) => applies(statement, version, request));
}

/**
 * What the policies of a resource, or a role's trust policy, say to this principal. An Allow for the whole account only lets the
 * account's own policies decide: 'named' leaves it out, 'account' counts it.
 */
export function evaluateResource(
  policies: readonly PolicyDocument[],
  request: AccessRequest,
  principal: Principal,
  allowed: 'named' | 'account' = 'account',
): Verdict {
  return verdictOf(policies, (statement, version) => {
    const wide = statement.effect === 'Deny' || allowed === 'account';
    return meansPrincipal(statement, principal, wide) && applies(statement, version, request);
  });
}

/** All that has a say in a request. What is left out does not exist; an empty list exists and allows nothing. */
export interface PolicySet {
  readonly identity: readonly PolicyDocument[];
  readonly boundary?: readonly PolicyDocument[];
  readonly session?: readonly PolicyDocument[];
  readonly resource?: readonly PolicyDocument[];
}

export type PolicyKind = 'identity-based policy' | 'permissions boundary' | 'session policy' | 'resource-based policy';

export type Decision =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly explicit: boolean; readonly by: PolicyKind };

/**
 * AWS's precedence where principal and resource are of one account: an explicit Deny anywhere ends it; a resource policy that names the principal allows by
 * itself, except where a boundary or a session policy limits an assumed role; else the identity's policies, its boundary and its
 * session policy must all allow.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
 */
export function decide(policies: PolicySet, request: AccessRequest, principal: Principal): Decision {
  const identity = evaluateIdentity(policies.identity, request);
  const boundary = policies.boundary && evaluateIdentity(policies.boundary, request);
  const session = policies.session && evaluateIdentity(policies.session, request);
  const resource = policies.resource && evaluateResource(policies.resource, request, principal, 'named');

  if (identity === 'explicit-deny') return { allowed: false, explicit: true, by: 'identity-based policy' };
  if (resource === 'explicit-deny') return { allowed: false, explicit: true, by: 'resource-based policy' };
  if (boundary === 'explicit-deny') return { allowed: false, explicit: true, by: 'permissions boundary' };
  if (session === 'explicit-deny') return { allowed: false, explicit: true, by: 'session policy' };

  if (resource === 'allow' && grantsByItself(policies.resource!, request, principal)) return { allowed: true };
  const granted = identity === 'allow' || resource === 'allow';
  if (!granted) return { allowed: false, explicit: false, by: 'identity-based policy' };
  if (boundary === 'implicit-deny') return { allowed: false, explicit: false, by: 'permissions boundary' };
  if (session === 'implicit-deny') return { allowed: false, explicit: false, by: 'session policy' };
  return { allowed: true };
}

/**
 * The same where the resource is of another account: its policy must allow the principal or its account, and the principal's
 * own policies must allow, too.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html
 */
export function decideForeign(policies: PolicySet, request: AccessRequest, principal: Principal): Decision {
  const resource = evaluateResource(policies.resource ?? [], request, principal);
  if (resource === 'explicit-deny') return { allowed: false, explicit: true, by: 'resource-based policy' };
  const { resource: _, ...own } = policies;
  const decision = decide(own, request, principal);
  if (!decision.allowed || resource === 'allow') return decision;
  return { allowed: false, explicit: false, by: 'resource-based policy' };
}

/**
 * A resource policy that names the user or the very session grants without the boundary and the session policy; one that names
 * the role or the account is still limited by them.
 */
function grantsByItself(policies: readonly PolicyDocument[], request: AccessRequest, principal: Principal): boolean {
  return (
    verdictOf(
      policies,
      (statement, version) =>
        statement.principals?.aws.includes(principal.arn) === true && applies(statement, version, request),
    ) === 'allow'
  );
}

function verdictOf(
  policies: readonly PolicyDocument[],
  fits: (statement: Statement, version: PolicyDocument['version']) => boolean,
): Verdict {
  let verdict: Verdict = 'implicit-deny';
  for (const { statements, version } of policies) {
    for (const statement of statements) {
      if (statement.effect === 'Allow' && verdict === 'allow') continue;
      if (!fits(statement, version)) continue;
      if (statement.effect === 'Deny') return 'explicit-deny';
      verdict = 'allow';
    }
  }
  return verdict;
}

/** Variables are plain text in policies of the old version. */
function applies(statement: Statement, version: PolicyDocument['version'], request: AccessRequest): boolean {
  const variables = version === '2012-10-17' ? request.context : undefined;
  const { actions, notActions, resources, notResources, conditions } = statement;
  if (actions !== undefined && !actions.some((one) => matchesAction(one, request.action))) return false;
  if (notActions?.some((one) => matchesAction(one, request.action))) return false;
  if (actions === undefined && notActions === undefined) return false;
  const fits = (pattern: string): boolean => matchesResource(pattern, request.resource, variables);
  if (resources !== undefined && !resources.some(fits)) return false;
  if (notResources?.some(fits)) return false;
  return conditionsHold(conditions, request.context, variables);
}

function meansPrincipal(statement: Statement, principal: Principal, byAccount: boolean): boolean {
  if (statement.notPrincipals !== undefined) return !fitsPrincipal(statement.notPrincipals, principal, true);
  return statement.principals !== undefined && fitsPrincipal(statement.principals, principal, byAccount);
}

/**
 * Whether a Principal element means this caller: by its ARN or id, a session also by its role's ARN, and with `byAccount` by its
 * account. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
 */
function fitsPrincipal(pattern: PrincipalPattern, principal: Principal, byAccount: boolean): boolean {
  if (pattern.everyone) return true;
  if (principal.kind === 'service') return pattern.service.includes(principal.arn);
  return pattern.aws.some((one) => {
    if (one === principal.arn || one === principal.roleArn || one === principal.id) return true;
    return (byAccount || principal.kind === 'root') && (one === principal.account || one === rootOf(principal));
  });
}

function rootOf({ arn, account }: Principal): string {
  return `arn:${arn.split(':')[1]}:iam::${account}:root`;
}
