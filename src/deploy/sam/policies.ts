import { isObject, type Json, type JsonObject, type MutableObject, member } from '../json.ts';
import { resourceProblem } from './errors.ts';
import { managedPolicyPath } from './managed-policies.ts';
import { policyTemplateTable } from './policy-templates.ts';
import { isIntrinsic, isNoValue, sub } from './values.ts';

/** An entry of `Policies`, as a role takes it. */
export type Policy =
  | { readonly kind: 'managed'; readonly arn: Json }
  | { readonly kind: 'document'; readonly document: JsonObject }
  /** Fn::If between documents. */
  | { readonly kind: 'conditional'; readonly condition: Json; readonly whenTrue: Json; readonly whenFalse: Json };

interface PolicyTemplate {
  readonly parameters: readonly string[];
  readonly statements: readonly JsonObject[];
}

/**
 * Reads a `Policies` property: managed policies by name or ARN, inline documents, SAM's policy templates, and Fn::If
 * between two of the same sort.
 *
 * @throws {SamProblem} naming the resource and the policy.
 */
export function readPolicies(logicalId: string, policies: Json | undefined): readonly Policy[] {
  if (policies === undefined) return [];
  const list = Array.isArray(policies) ? (policies as readonly Json[]) : [policies];
  return list.map((policy, index) => readPolicy(logicalId, policy, index));
}

/** The policy document of a SAM policy template with its parameters' values put in; undefined if there is no such one. */
export function policyTemplate(name: string, parameters: Json, logicalId: string): JsonObject | undefined {
  const template = policyTemplates().get(name);
  if (!template) return undefined;
  if (!isObject(parameters)) {
    throw resourceProblem(logicalId, `Must specify valid parameter values for policy template '${name}'`);
  }
  const missing = template.parameters.filter((parameter) => member(parameters, parameter) === undefined);
  if (missing.length > 0) {
    throw resourceProblem(
      logicalId,
      `Following required parameters of template '${name}' don't have values: [${missing.map((m) => `'${m}'`).join(', ')}]`,
    );
  }
  return { Statement: putParameters(template.statements, parameters) };
}

function readPolicy(logicalId: string, policy: Json, index: number): Policy {
  if (typeof policy === 'string') return { kind: 'managed', arn: managedArn(policy) };
  if (!isObject(policy))
    throw resourceProblem(logicalId, `Policy at index ${index} in the 'Policies' property is not valid`);
  const choice = member(policy, 'Fn::If');
  if (Array.isArray(choice) && choice.length === 3) return readChoice(logicalId, choice as readonly Json[], index);
  if (isIntrinsic(policy)) return { kind: 'managed', arn: policy };
  if (member(policy, 'Statement') !== undefined) return { kind: 'document', document: policy };
  const [name, parameters] = Object.entries(policy)[0] ?? [];
  const document =
    Object.keys(policy).length === 1 ? policyTemplate(name as string, parameters as Json, logicalId) : undefined;
  if (!document) throw resourceProblem(logicalId, `Policy at index ${index} in the 'Policies' property is not valid`);
  return { kind: 'document', document };
}

function readChoice(logicalId: string, choice: readonly Json[], index: number): Policy {
  const [condition, first, second] = choice as [Json, Json, Json];
  const read = (value: Json): Policy | undefined =>
    isNoValue(value) ? undefined : readPolicy(logicalId, value, index);
  const [whenTrue, whenFalse] = [read(first), read(second)];
  const kind = whenTrue?.kind ?? whenFalse?.kind ?? 'managed';
  if ((whenTrue && whenTrue.kind !== kind) || (whenFalse && whenFalse.kind !== kind)) {
    throw resourceProblem(
      logicalId,
      'Different policy types within the same Fn::If statement is unsupported. Separate different policy types into ' +
        'different Fn::If statements',
    );
  }
  const part = (policy: Policy | undefined, raw: Json): Json =>
    policy?.kind === 'managed' ? policy.arn : policy?.kind === 'document' ? policy.document : raw;
  const [trueValue, falseValue] = [part(whenTrue, first), part(whenFalse, second)];
  if (kind === 'managed') return { kind: 'managed', arn: { 'Fn::If': [condition, trueValue, falseValue] } };
  return { kind: 'conditional', condition, whenTrue: trueValue, whenFalse: falseValue };
}

/** AWS's managed policies by name are brought to their ARN; what is an ARN already stays. */
export function managedArn(name: string): string {
  if (name.startsWith('arn:')) return name;
  const path = managedPolicyPath(name);
  return `arn:aws:iam::aws:policy/${path === undefined ? '' : `${path}/`}${name}`;
}

let parsed: ReadonlyMap<string, PolicyTemplate> | undefined;

function policyTemplates(): ReadonlyMap<string, PolicyTemplate> {
  parsed ??= parseTable(policyTemplateTable);
  return parsed;
}

function parseTable(table: string): ReadonlyMap<string, PolicyTemplate> {
  const templates = new Map<string, PolicyTemplate>();
  // A word of its own starts a clause; what follows, over any number of lines, are its words.
  for (const block of table.trim().split(/\n(?=\S)/)) {
    const [head, ...lines] = block.split('\n') as [string, ...string[]];
    const [, name, list] = /^(\w+)\((.*)\)$/.exec(head) as unknown as [string, string, string];
    const parameters = list === '' ? [] : list.split(', ');
    const statements: MutableObject[] = [];
    const words = lines.join(' ').trim().split(/\s+/);
    for (let at = 0; at < words.length; ) {
      const clause = words[at++] as string;
      const from = at;
      while (at < words.length && !['allow', 'on', 'on-each', 'when'].includes(words[at] as string)) at++;
      addClause(statements, clause, words.slice(from, at), parameters);
    }
    templates.set(name, { parameters, statements });
  }
  return templates;
}

function addClause(
  statements: MutableObject[],
  clause: string,
  words: readonly string[],
  parameters: readonly string[],
): void {
  if (clause === 'allow') {
    const alone = words[0]?.startsWith('=') ? words[0].slice(1) : undefined;
    statements.push({ Action: alone ?? words, Effect: 'Allow' });
    return;
  }
  const statement = statements.at(-1) as MutableObject;
  if (clause === 'when') {
    const [operator, key, value] = words as [string, string, string];
    statement['Condition'] = { [operator]: { [key]: resourceOf(value, parameters) } };
  } else {
    const resources = words.map((word) => resourceOf(word, parameters));
    statement['Resource'] = clause === 'on-each' ? resources : (resources[0] as Json);
  }
}

/** Parameters stay as `{"Ref": "#Name"}` until their values are put in: `#` keeps them apart from the template's own. */
function resourceOf(word: string, parameters: readonly string[]): Json {
  if (word === '*') return word;
  if (word.startsWith('=')) return { Ref: `#${word.slice(1)}` };
  const variables: MutableObject = {};
  for (const [, variable] of word.matchAll(/\$\{(\w+)\}/g) as Iterable<[string, string]>) {
    const parameter = parameters.find((name) => name.toLowerCase() === variable.toLowerCase());
    variables[variable] = { Ref: `#${parameter}` };
  }
  return Object.keys(variables).length === 0 ? sub(word) : sub(word, variables);
}

function putParameters(value: Json, parameters: JsonObject): Json {
  if (Array.isArray(value)) return (value as readonly Json[]).map((item) => putParameters(item, parameters));
  if (!isObject(value)) return value;
  const name = value['Ref'];
  if (typeof name === 'string' && name.startsWith('#')) return parameters[name.slice(1)] as Json;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, putParameters(item, parameters)]));
}
