/** A policy as it is evaluated: every "one or many" is a list, effects and element names are checked. */
export interface PolicyDocument {
  readonly version: '2012-10-17' | '2008-10-17';
  readonly id?: string;
  readonly statements: readonly Statement[];
}

export interface Statement {
  readonly sid?: string;
  readonly effect: 'Allow' | 'Deny';
  readonly actions?: readonly string[];
  readonly notActions?: readonly string[];
  readonly resources?: readonly string[];
  readonly notResources?: readonly string[];
  readonly principals?: PrincipalPattern;
  readonly notPrincipals?: PrincipalPattern;
  readonly conditions: readonly Condition[];
}

/** Whom a resource policy or a trust policy means. */
export interface PrincipalPattern {
  /** `"Principal": "*"`, or a `"*"` under AWS. */
  readonly everyone: boolean;
  /** Account ids and ARNs. */
  readonly aws: readonly string[];
  readonly service: readonly string[];
  readonly federated: readonly string[];
  readonly canonicalUser: readonly string[];
}

/** One key of one operator: `"StringEquals": { "aws:username": ["a", "b"] }`. */
export interface Condition {
  readonly operator: string;
  readonly key: string;
  readonly values: readonly string[];
}

/** The text is not a policy. The message says what is wrong, without AWS's words. */
export class PolicySyntaxError extends Error {
  override readonly name = 'PolicySyntaxError';
}

/** Parses a policy's JSON text. Throws PolicySyntaxError. */
export function parsePolicy(text: string): PolicyDocument {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new PolicySyntaxError('not JSON');
  }
  return policyOf(json);
}

/** The policy in a value that JSON gave. Throws PolicySyntaxError. */
export function policyOf(json: unknown): PolicyDocument {
  const root = record(json, 'a policy');
  onlyKeys(root, ['Version', 'Id', 'Statement']);
  const version = root['Version'] ?? '2008-10-17';
  if (version !== '2012-10-17' && version !== '2008-10-17') throw new PolicySyntaxError('unknown Version');
  const id = root['Id'];
  if (id !== undefined && typeof id !== 'string') throw new PolicySyntaxError('Id is not a string');
  const statement = root['Statement'];
  if (statement === undefined) throw new PolicySyntaxError('no Statement');
  const list = Array.isArray(statement) ? (statement as unknown[]) : [statement];
  if (list.length === 0) throw new PolicySyntaxError('no Statement');
  return { version, ...(id === undefined ? {} : { id }), statements: list.map(statementOf) };
}

const statementKeys = [
  'Sid',
  'Effect',
  'Action',
  'NotAction',
  'Resource',
  'NotResource',
  'Principal',
  'NotPrincipal',
  'Condition',
];

function statementOf(json: unknown): Statement {
  const from = record(json, 'a statement');
  onlyKeys(from, statementKeys);
  for (const element of ['Action', 'Resource', 'Principal']) {
    if (from[element] !== undefined && from[`Not${element}`] !== undefined)
      throw new PolicySyntaxError(`${element} and Not${element}`);
  }
  const effect = from['Effect'];
  if (effect !== 'Allow' && effect !== 'Deny') throw new PolicySyntaxError('Effect is neither Allow nor Deny');
  const sid = from['Sid'];
  if (sid !== undefined && typeof sid !== 'string') throw new PolicySyntaxError('Sid is not a string');
  return {
    ...(sid === undefined ? {} : { sid }),
    effect,
    ...optional('actions', strings(from['Action'])),
    ...optional('notActions', strings(from['NotAction'])),
    ...optional('resources', strings(from['Resource'])),
    ...optional('notResources', strings(from['NotResource'])),
    ...optional('principals', principalOf(from['Principal'])),
    ...optional('notPrincipals', principalOf(from['NotPrincipal'])),
    conditions: conditionsOf(from['Condition']),
  };
}

function principalOf(json: unknown): PrincipalPattern | undefined {
  if (json === undefined) return undefined;
  const nobody = { everyone: false, aws: [], service: [], federated: [], canonicalUser: [] };
  if (json === '*') return { ...nobody, everyone: true };
  const from = record(json, 'Principal');
  onlyKeys(from, ['AWS', 'Service', 'Federated', 'CanonicalUser']);
  const aws = strings(from['AWS']) ?? [];
  return {
    everyone: aws.includes('*'),
    aws: aws.filter((one) => one !== '*'),
    service: strings(from['Service']) ?? [],
    federated: strings(from['Federated']) ?? [],
    canonicalUser: strings(from['CanonicalUser']) ?? [],
  };
}

const operators = new Set([
  'StringEquals',
  'StringNotEquals',
  'StringEqualsIgnoreCase',
  'StringNotEqualsIgnoreCase',
  'StringLike',
  'StringNotLike',
  'NumericEquals',
  'NumericNotEquals',
  'NumericLessThan',
  'NumericLessThanEquals',
  'NumericGreaterThan',
  'NumericGreaterThanEquals',
  'DateEquals',
  'DateNotEquals',
  'DateLessThan',
  'DateLessThanEquals',
  'DateGreaterThan',
  'DateGreaterThanEquals',
  'Bool',
  'BinaryEquals',
  'IpAddress',
  'NotIpAddress',
  'ArnEquals',
  'ArnLike',
  'ArnNotEquals',
  'ArnNotLike',
  'Null',
]);

function conditionsOf(json: unknown): Condition[] {
  if (json === undefined) return [];
  const conditions: Condition[] = [];
  for (const [operator, keys] of Object.entries(record(json, 'Condition'))) {
    const tested = record(keys, operator);
    const base = operator.replace(/^For(?:All|Any)Values?:/, '').replace(/IfExists$/, '');
    if (!operators.has(base) || (base === 'Null' && base !== operator))
      throw new PolicySyntaxError(`unknown operator ${operator}`);
    for (const [key, value] of Object.entries(tested)) conditions.push({ operator, key, values: scalars(value) });
  }
  return conditions;
}

function record(json: unknown, what: string): Record<string, unknown> {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new PolicySyntaxError(`${what} is not an object`);
  return json as Record<string, unknown>;
}

function onlyKeys(from: Record<string, unknown>, known: readonly string[]): void {
  for (const key of Object.keys(from)) if (!known.includes(key)) throw new PolicySyntaxError(`unknown element ${key}`);
}

function strings(json: unknown): string[] | undefined {
  if (json === undefined) return undefined;
  const list = Array.isArray(json) ? (json as unknown[]) : [json];
  if (!list.every((one) => typeof one === 'string')) throw new PolicySyntaxError('not a string or a list of strings');
  return list as string[];
}

/** Numbers and booleans are accepted where text is meant, as AWS does. */
function scalars(json: unknown): string[] {
  const list = Array.isArray(json) ? (json as unknown[]) : [json];
  return list.map((one) => {
    if (typeof one !== 'string' && typeof one !== 'number' && typeof one !== 'boolean')
      throw new PolicySyntaxError('not a value that a condition can test');
    return String(one);
  });
}

function optional<K extends string, V>(name: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [name]: value }) as { [P in K]?: V };
}
