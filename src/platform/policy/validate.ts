import { parseArn } from '../arn.ts';
import { type PolicyDocument, PolicySyntaxError, policyOf, type Statement } from './document.ts';

/** 'identity': of a user, group, role, or a session. 'trust': who may assume a role. */
export type PolicyUse = 'identity' | 'trust';

/**
 * What is wrong with a policy's text, in the words of AWS's MalformedPolicyDocument, or undefined. The order of the checks and the
 * texts are those that clients report and that the moto project observed; 'This policy contains invalid Json' is in LocalStack's
 * recorded answers (test_create_role_with_malformed_assume_role_policy_document, 2025-03-06).
 */
export function policyProblem(text: string, use: PolicyUse): string | undefined {
  let policy: PolicyDocument;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return use === 'trust' ? 'This policy contains invalid Json' : 'Syntax errors in policy.';
  }
  const missing = missingField(json);
  if (missing !== undefined) return `Missing required field ${missing}`;
  try {
    policy = policyOf(json);
  } catch (error) {
    if (error instanceof PolicySyntaxError) return 'Syntax errors in policy.';
    throw error;
  }
  const sids = policy.statements.flatMap(({ sid }) => (sid === undefined || sid === '' ? [] : [sid]));
  if (sids.some((sid) => !/^[a-zA-Z0-9]+$/.test(sid)) && use === 'identity')
    return 'Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*';
  if (new Set(sids).size !== sids.length) return 'Statement IDs (SID) in a single policy must be unique.';
  for (const statement of policy.statements) {
    const problem = use === 'trust' ? trustProblem(statement) : identityProblem(statement);
    if (problem !== undefined) return problem;
  }
  return use === 'identity' && policy.version !== '2012-10-17' && usesVariables(policy)
    ? 'Policy document must be version 2012-10-17 or greater.'
    : undefined;
}

function missingField(json: unknown): string | undefined {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return undefined;
  const statement = (json as { Statement?: unknown }).Statement;
  const list = Array.isArray(statement) ? (statement as unknown[]) : [statement];
  for (const one of list) {
    if (typeof one === 'object' && one !== null && !Array.isArray(one) && !('Effect' in one)) return 'Effect';
  }
  return undefined;
}

function identityProblem(statement: Statement): string | undefined {
  if (statement.principals !== undefined || statement.notPrincipals !== undefined)
    return 'Policy document should not specify a principal.';
  const actions = statement.actions ?? statement.notActions ?? [];
  if (actions.length === 0) return 'Policy statement must contain actions.';
  for (const action of actions) {
    const problem = actionProblem(action);
    if (problem !== undefined) return problem;
  }
  const resources = statement.resources ?? statement.notResources ?? [];
  if (resources.length === 0) return 'Policy statement must contain resources.';
  for (const resource of resources) {
    const problem = resourceProblem(resource);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function actionProblem(action: string): string | undefined {
  if (action === '*') return undefined;
  const parts = action.split(':');
  if (parts.length === 1) return 'Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.';
  if (parts.length > 2) return 'Actions/Condition can contain only one colon.';
  const vendor = parts[0]!;
  if (vendor !== '*' && /[^a-zA-Z0-9\-.]/.test(vendor)) return `Vendor ${vendor} is not valid`;
  return undefined;
}

function resourceProblem(resource: string): string | undefined {
  if (resource === '*') return undefined;
  if (!resource.startsWith('arn:')) return `Resource ${resource} must be in ARN format or "*".`;
  const [, partition, vendor] = resource.split(':');
  // Fewer parts than an ARN has is what the older parser refuses.
  if (partition === undefined || vendor === undefined) return 'The policy failed legacy parsing';
  if (!['aws', 'aws-cn', 'aws-us-gov', '*'].includes(partition) && !partition.includes('$'))
    return `Partition "${partition}" is not valid for resource "${resource}".`;
  return undefined;
}

const trustActions = new Set([
  'sts:assumerole',
  'sts:assumerolewithsaml',
  'sts:assumerolewithwebidentity',
  'sts:tagsession',
  'sts:setsourceidentity',
  'sts:setcontext',
  'sts:*',
]);

function trustProblem(statement: Statement): string | undefined {
  if (statement.resources !== undefined) return 'Has prohibited field Resource';
  if (statement.notResources !== undefined) return 'Has prohibited field NotResource';
  const { principals, notPrincipals } = statement;
  if (notPrincipals !== undefined) return 'AssumeRolepolicy contained disallowed field NotPrincipal';
  if (principals === undefined) return 'Missing required field Principal';
  const actions = statement.actions ?? statement.notActions ?? [];
  if (actions.length === 0) return 'Missing required field Action';
  if (actions.some((action) => !trustActions.has(action.toLowerCase())))
    return 'AssumeRole policy may only specify STS AssumeRole actions.';
  const named = [...principals.aws, ...principals.service, ...principals.federated, ...principals.canonicalUser];
  if (named.length === 0 && !principals.everyone) return 'Missing required field Principal cannot be empty!';
  const strange = principals.aws.find((one) => !isPrincipal(one));
  if (strange !== undefined) return `Invalid principal in policy: "AWS":"${strange}"`;
  const unknown = principals.service.find((one) => !/^[a-z0-9.-]+\.(?:amazonaws|amazon|aws)\.?[a-z.]*$/.test(one));
  if (unknown !== undefined) return `Invalid principal in policy: "SERVICE":"${unknown}"`;
  return undefined;
}

/** An account, an ARN of a user, role, session or account, or the id that is left of one that was deleted. */
function isPrincipal(text: string): boolean {
  if (/^\d{12}$/.test(text) || /^A(?:ID|RO)A[A-Z0-9]{12,}$/.test(text)) return true;
  const arn = parseArn(text);
  if (arn === undefined || !/^\d{12}$/.test(arn.account) || text.includes('*')) return false;
  if (arn.service === 'iam') return arn.resource === 'root' || /^(?:user|role)\/./.test(arn.resource);
  return arn.service === 'sts' && /^(?:assumed-role|federated-user)\/./.test(arn.resource);
}

function usesVariables(policy: PolicyDocument): boolean {
  return policy.statements.some((statement) =>
    [...(statement.resources ?? []), ...(statement.notResources ?? [])].some((one) => one.includes('${')),
  );
}
