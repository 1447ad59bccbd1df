/**
 * Resource policies of tables and streams. Texts: ack-api-quirks, finding DDB-TABLE-442, recorded on AWS in October 2026; semantics of
 * revision ids: API reference "PutResourcePolicy", "DeleteResourcePolicy".
 */
import { type PolicyDocument, parsePolicy } from '../../../platform/policy.ts';
import type { PolicyRecord } from '../state.ts';
import { invalidParameter, RuleError } from './errors.ts';

const mostBytes = 20_480;
/** As an expected revision: there must be no policy yet. */
const noPolicy = 'NO_POLICY';

/** The policy of a table's or a stream's ARN as it is to be stored. Throws RuleError. */
export function checkResourcePolicy(text: string, resourceArn: string): void {
  if (Buffer.byteLength(text) > mostBytes) throw invalidParameter(`Maximum policy size of ${mostBytes} bytes exceeded`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw malformed('This policy contains invalid Json');
  }
  const given = (json as { readonly Statement?: unknown } | null)?.Statement;
  const statements = (Array.isArray(given) ? given : [given]) as readonly (
    | Readonly<Record<string, unknown>>
    | undefined
  )[];
  if (statements.length === 0) throw malformed('Could not parse the policy: Statement is empty!');
  for (const statement of statements) {
    if (typeof statement !== 'object' || statement === null) throw malformed('Missing required field Statement');
    for (const [field, other] of [
      ['Effect'],
      ['Principal', 'NotPrincipal'],
      ['Action', 'NotAction'],
      ['Resource', 'NotResource'],
    ] as const) {
      const isThere = statement[field] !== undefined || (other !== undefined && statement[other] !== undefined);
      if (!isThere) throw malformed(`Missing required field ${field}`);
    }
  }
  const sids = statements.flatMap((statement) => (statement?.['Sid'] === undefined ? [] : [statement['Sid']]));
  if (new Set(sids).size !== sids.length) throw malformed('The Statement Ids in the policy are not unique');
  checkNames(parsed(text), resourceArn);
}

function parsed(text: string): PolicyDocument {
  try {
    return parsePolicy(text);
  } catch {
    throw malformed('Syntax errors in policy.');
  }
}

function checkNames({ statements }: PolicyDocument, resourceArn: string): void {
  const actions = statements.flatMap((statement) => statement.actions ?? statement.notActions ?? []);
  const wrong = actions.filter((action) => action !== '*' && !/^dynamodb:[A-Za-z*?]+$/.test(action));
  if (wrong.length > 0) throw malformed(`The following action names are invalid: ${wrong.join(', ')}`);
  for (const resource of statements.flatMap((statement) => statement.resources ?? statement.notResources ?? [])) {
    if (resource === '*' || resource === resourceArn || resource.startsWith(`${resourceArn}/index/`)) continue;
    throw invalidParameter(`Invalid policy document: The relative-id ${resource} is invalid for ARN ${resourceArn}`);
  }
}

function malformed(what: string): RuleError {
  return invalidParameter(`Invalid policy document: ${what}`);
}

/** The policy there is must be the one that the caller expects, if it says which. Throws RuleError. */
export function checkRevision(
  policy: PolicyRecord | undefined,
  expected: string | undefined,
  resourceArn: string,
): void {
  if (expected === undefined || expected === (policy?.revisionId ?? noPolicy)) return;
  throw policyNotFound(resourceArn);
}

export function policyNotFound(resourceArn: string): RuleError {
  return new RuleError(
    `Resource-based policy not found for the provided ResourceArn: ${resourceArn}`,
    'PolicyNotFoundException',
  );
}

type PolicyResource = {
  readonly table: string;
  readonly stream: string | undefined;
  readonly account: string;
  readonly region: string;
};

/** The table or stream that an ARN names. Throws RuleError. */
export function policyResource(resourceArn: string): PolicyResource {
  if (!resourceArn.startsWith('arn:')) throw invalidParameter(`ARNs must start with 'arn:': ${resourceArn}`);
  const [, , service, region, account, ...rest] = resourceArn.split(':');
  const [kind, table, what, label, ...more] = rest.join(':').split('/');
  if (service !== 'dynamodb' || kind !== 'table' || !table || region === undefined || account === undefined) {
    throw invalidParameter(`Provided Arn is not a DynamoDB resource arn: ${resourceArn}`);
  }
  if (what === undefined) return { table, stream: undefined, account, region };
  if (what === 'stream' && label !== undefined && more.length === 0) return { table, stream: label, account, region };
  throw invalidParameter(
    `Invalid resource arn provided, only table or stream is accepted. Provided resource arn: ${resourceArn}`,
  );
}
