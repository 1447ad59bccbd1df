import type { Properties, ResourceContext, ResourceState, ResourceType } from '../../../platform/resource-type.ts';
import {
  applyPolicies,
  documentText,
  iamOf,
  ignoreMissing,
  isError,
  isOwn,
  removePolicies,
  tagChanges,
  tagsOf,
  text,
} from './common.ts';

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-role.html */
export const roleType: ResourceType = {
  typeName: 'AWS::IAM::Role',
  properties: [
    'AssumeRolePolicyDocument',
    'Description',
    'ManagedPolicyArns',
    'MaxSessionDuration',
    'Path',
    'PermissionsBoundary',
    'Policies',
    'RoleName',
    'Tags',
  ],
  required: ['AssumeRolePolicyDocument'],
  createOnly: ['RoleName', 'Path'],
  shapes: {
    AssumeRolePolicyDocument: 'json',
    Description: 'string',
    ManagedPolicyArns: ['string'],
    MaxSessionDuration: 'integer',
    Path: 'string',
    PermissionsBoundary: 'string',
    Policies: [{ PolicyName: 'string', PolicyDocument: 'json' }],
    RoleName: 'string',
    Tags: [{ Key: 'string', Value: 'string' }],
  },
  attributeNames: ['Arn', 'RoleId'],
  nameProperty: 'RoleName',

  async create(context, properties) {
    const name = text(properties, 'RoleName') ?? context.generatedName({ maxLength: 64 });
    const call = iamOf(context);
    try {
      await call('iam', 'CreateRole', {
        RoleName: name,
        AssumeRolePolicyDocument: documentText(properties['AssumeRolePolicyDocument']),
        Path: text(properties, 'Path'),
        Description: text(properties, 'Description'),
        MaxSessionDuration: duration(properties),
        PermissionsBoundary: text(properties, 'PermissionsBoundary'),
        Tags: tagsOf(context, properties),
      });
    } catch (error) {
      if (!isError(error, 'EntityAlreadyExistsException')) throw error;
      const { Role } = await call('iam', 'GetRole', { RoleName: name });
      if (!isOwn(context, Role.Tags)) throw error;
    }
    await context.initiated?.(name);
    await applyPolicies(context, 'role', name, properties);
    return stateOf(context, name);
  },

  async update(context, name, properties, old) {
    const call = iamOf(context);
    const trust = documentText(properties['AssumeRolePolicyDocument']);
    if (trust !== documentText(old['AssumeRolePolicyDocument']))
      await call('iam', 'UpdateAssumeRolePolicy', { RoleName: name, PolicyDocument: trust });
    await call('iam', 'UpdateRole', {
      RoleName: name,
      Description: text(properties, 'Description') ?? '',
      MaxSessionDuration: duration(properties) ?? 3600,
    });
    const boundary = text(properties, 'PermissionsBoundary');
    if (boundary !== undefined && boundary !== text(old, 'PermissionsBoundary'))
      await call('iam', 'PutRolePermissionsBoundary', { RoleName: name, PermissionsBoundary: boundary });
    if (boundary === undefined && text(old, 'PermissionsBoundary') !== undefined)
      await call('iam', 'DeleteRolePermissionsBoundary', { RoleName: name }).catch(ignoreMissing);
    const { added, removed } = tagChanges(properties, old);
    if (removed.length > 0) await call('iam', 'UntagRole', { RoleName: name, TagKeys: removed });
    if (added.length > 0) await call('iam', 'TagRole', { RoleName: name, Tags: added });
    await applyPolicies(context, 'role', name, properties, old);
    return stateOf(context, name);
  },

  async delete(context, name, properties) {
    try {
      await removePolicies(context, 'role', name, properties);
      await iamOf(context)('iam', 'DeleteRole', { RoleName: name });
    } catch (error) {
      ignoreMissing(error);
    }
  },
};

function duration(properties: Properties): number | undefined {
  const value = properties['MaxSessionDuration'];
  return value === undefined ? undefined : Number(value);
}

async function stateOf(context: ResourceContext, name: string): Promise<ResourceState> {
  const { Role } = await iamOf(context)('iam', 'GetRole', { RoleName: name });
  return { physicalId: name, attributes: { Arn: Role.Arn, RoleId: Role.RoleId } };
}
