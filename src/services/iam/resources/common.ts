import type { Call } from '../../../platform/context.ts';
import type { Properties, ResourceContext } from '../../../platform/resource-type.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { EntityKind, Tag } from '../state.ts';

/** Calls IAM as the stack's caller. */
export function iamOf({ bus, caller }: ResourceContext): Call {
  return (service, operation, input) => bus.call(caller, service, operation, input);
}

/** A policy document in a template is an object, or text that holds one. */
export function documentText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

export function text(properties: Properties, name: string): string | undefined {
  const value = properties[name];
  return value === undefined || value === null ? undefined : String(value);
}

export function textList(properties: Properties, name: string): string[] {
  const value = properties[name];
  if (value === undefined || value === null) return [];
  return (Array.isArray(value) ? (value as unknown[]) : [value]).map(String);
}

export interface InlinePolicy {
  readonly PolicyName: string;
  readonly PolicyDocument: string;
}

export function inlinePolicies(properties: Properties): InlinePolicy[] {
  const list = (properties['Policies'] ?? []) as readonly Properties[];
  return list.map((one) => ({
    PolicyName: String(one['PolicyName']),
    PolicyDocument: documentText(one['PolicyDocument']),
  }));
}

export function templateTags(properties: Properties): Tag[] {
  const list = (properties['Tags'] ?? []) as readonly Properties[];
  return list.map((one) => ({ Key: String(one['Key']), Value: String(one['Value']) }));
}

/** CloudFormation marks what it makes; by these marks an attempt after a crash knows its own. */
function marksOf({ stackId, stackName, logicalId }: ResourceContext): Record<string, string> {
  return {
    'aws:cloudformation:stack-name': stackName,
    'aws:cloudformation:logical-id': logicalId,
    'aws:cloudformation:stack-id': stackId,
  };
}

/** The tags of a new entity: the stack's own, over them the template's, and the marks. */
export function tagsOf(context: ResourceContext, properties: Properties): Tag[] {
  const given = Object.fromEntries(templateTags(properties).map(({ Key, Value }) => [Key, Value]));
  return Object.entries({ ...context.tags, ...given, ...marksOf(context) }).map(([Key, Value]) => ({ Key, Value }));
}

export function isOwn(context: ResourceContext, tags: readonly Tag[] | undefined): boolean {
  return Object.entries(marksOf(context)).every(([key, value]) =>
    (tags ?? []).some((tag) => tag.Key === key && tag.Value === value),
  );
}

export function isError(error: unknown, code: string): boolean {
  return error instanceof AwsError && error.code === code;
}

export function ignoreMissing(error: unknown): void {
  if (!isError(error, 'NoSuchEntityException')) throw error;
}

/** The operations on an entity's policies, whatever kind of entity it is. */
export function policyCalls(context: ResourceContext, kind: EntityKind, name: string) {
  const call = iamOf(context);
  switch (kind) {
    case 'role': {
      const of = { RoleName: name };
      return {
        attach: (PolicyArn: string) => call('iam', 'AttachRolePolicy', { ...of, PolicyArn }),
        detach: (PolicyArn: string) => call('iam', 'DetachRolePolicy', { ...of, PolicyArn }),
        put: (policy: InlinePolicy) => call('iam', 'PutRolePolicy', { ...of, ...policy }),
        remove: (PolicyName: string) => call('iam', 'DeleteRolePolicy', { ...of, PolicyName }),
        attached: async () => (await call('iam', 'ListAttachedRolePolicies', of)).AttachedPolicies ?? [],
        inline: async () => (await call('iam', 'ListRolePolicies', of)).PolicyNames,
      };
    }
    case 'user': {
      const of = { UserName: name };
      return {
        attach: (PolicyArn: string) => call('iam', 'AttachUserPolicy', { ...of, PolicyArn }),
        detach: (PolicyArn: string) => call('iam', 'DetachUserPolicy', { ...of, PolicyArn }),
        put: (policy: InlinePolicy) => call('iam', 'PutUserPolicy', { ...of, ...policy }),
        remove: (PolicyName: string) => call('iam', 'DeleteUserPolicy', { ...of, PolicyName }),
        attached: async () => (await call('iam', 'ListAttachedUserPolicies', of)).AttachedPolicies ?? [],
        inline: async () => (await call('iam', 'ListUserPolicies', of)).PolicyNames,
      };
    }
    case 'group': {
      const of = { GroupName: name };
      return {
        attach: (PolicyArn: string) => call('iam', 'AttachGroupPolicy', { ...of, PolicyArn }),
        detach: (PolicyArn: string) => call('iam', 'DetachGroupPolicy', { ...of, PolicyArn }),
        put: (policy: InlinePolicy) => call('iam', 'PutGroupPolicy', { ...of, ...policy }),
        remove: (PolicyName: string) => call('iam', 'DeleteGroupPolicy', { ...of, PolicyName }),
        attached: async () => (await call('iam', 'ListAttachedGroupPolicies', of)).AttachedPolicies ?? [],
        inline: async () => (await call('iam', 'ListGroupPolicies', of)).PolicyNames,
      };
    }
  }
}

/** Gives an entity the managed and inline policies of its properties, and takes those that only the old ones had. */
export async function applyPolicies(
  context: ResourceContext,
  kind: EntityKind,
  name: string,
  properties: Properties,
  old: Properties = {},
): Promise<void> {
  const calls = policyCalls(context, kind, name);
  const arns = textList(properties, 'ManagedPolicyArns');
  const policies = inlinePolicies(properties);
  for (const arn of textList(old, 'ManagedPolicyArns'))
    if (!arns.includes(arn)) await calls.detach(arn).catch(ignoreMissing);
  for (const { PolicyName } of inlinePolicies(old))
    if (!policies.some((policy) => policy.PolicyName === PolicyName))
      await calls.remove(PolicyName).catch(ignoreMissing);
  for (const arn of arns) await calls.attach(arn);
  for (const policy of policies) await calls.put(policy);
}

/** Takes the policies that the template gave: what others added afterwards makes the deletion fail, as on AWS. */
export async function removePolicies(
  context: ResourceContext,
  kind: EntityKind,
  name: string,
  properties: Properties,
): Promise<void> {
  const calls = policyCalls(context, kind, name);
  for (const arn of textList(properties, 'ManagedPolicyArns')) await calls.detach(arn).catch(ignoreMissing);
  for (const { PolicyName } of inlinePolicies(properties)) await calls.remove(PolicyName).catch(ignoreMissing);
}

/** What TagRole and UntagRole must be told to come from old tags to new ones. */
export function tagChanges(properties: Properties, old: Properties): { added: Tag[]; removed: string[] } {
  const wanted = templateTags(properties);
  const before = templateTags(old);
  return {
    added: wanted.filter(({ Key, Value }) => !before.some((tag) => tag.Key === Key && tag.Value === Value)),
    removed: before.map(({ Key }) => Key).filter((key) => !wanted.some((tag) => tag.Key === key)),
  };
}
