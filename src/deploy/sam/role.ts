import { isObject, type Json, type JsonObject, jsonEquals } from '../json.ts';
import { resourceProblem } from './errors.ts';
import { managedArn, readPolicies } from './policies.ts';
import { isNoValue, type OutputResource, resource } from './values.ts';

/** The execution role that SAM makes for a function that names none. */
export class Role {
  readonly logicalId: string;
  readonly #managed: Json[] = [];
  readonly #policies: JsonObject[] = [];

  constructor(logicalId: string, managed: readonly string[]) {
    this.logicalId = logicalId;
    for (const name of managed) this.addManaged(managedArn(name));
  }

  addManaged(arn: Json): void {
    if (!this.#managed.some((other) => jsonEquals(other, arn))) this.#managed.push(arn);
  }

  /** Adds an inline policy, unless the role has one of the same content. */
  addDocument(name: string, document: JsonObject): void {
    if (this.#policies.some((policy) => jsonEquals(policy['PolicyDocument'], document))) return;
    this.#policies.push({ PolicyName: name, PolicyDocument: document });
  }

  /** Adds the entries of a `Policies` property: each keeps its place in the names of the inline policies. */
  addPolicies(owner: string, policies: Json | undefined): void {
    for (const [index, policy] of readPolicies(owner, policies).entries()) {
      const PolicyName = `${this.logicalId}Policy${index}`;
      if (policy.kind === 'managed') this.addManaged(policy.arn);
      else if (policy.kind === 'document') this.#policies.push({ PolicyName, PolicyDocument: policy.document });
      else {
        const named = (value: Json): Json => (isNoValue(value) ? value : { PolicyName, PolicyDocument: value });
        this.#policies.push({ 'Fn::If': [policy.condition, named(policy.whenTrue), named(policy.whenFalse)] });
      }
    }
  }

  resource(properties: { readonly [key: string]: Json | undefined }, attributes: JsonObject): OutputResource {
    return resource(
      'AWS::IAM::Role',
      {
        ...properties,
        ManagedPolicyArns: this.#managed,
        Policies: this.#policies.length > 0 ? this.#policies : undefined,
      },
      attributes,
    );
  }
}

/** A trust policy for a service. */
export function assumedBy(service: string): JsonObject {
  return {
    Version: '2012-10-17',
    Statement: [{ Action: ['sts:AssumeRole'], Effect: 'Allow', Principal: { Service: [service] } }],
  };
}

/** `{Type, TargetArn}` of a function's DeadLetterQueue, checked. */
export function deadLetterQueue(
  logicalId: string,
  value: Json | undefined,
): { readonly arn: Json; readonly action: string } | undefined {
  if (value === undefined) return undefined;
  const type = isObject(value) ? value['Type'] : undefined;
  const arn = isObject(value) ? value['TargetArn'] : undefined;
  if (type === undefined || arn === undefined) {
    throw resourceProblem(logicalId, "'DeadLetterQueue' requires Type and TargetArn properties to be specified.");
  }
  if (type !== 'SQS' && type !== 'SNS')
    throw resourceProblem(logicalId, "'DeadLetterQueue' requires Type of ['SQS', 'SNS']");
  return { arn, action: type === 'SQS' ? 'sqs:SendMessage' : 'sns:Publish' };
}
