import type { ResourceContext, ResourceState, ResourceType } from '../../../platform/resource-type.ts';
import {
  applyPolicies,
  iamOf,
  ignoreMissing,
  isError,
  isOwn,
  removePolicies,
  tagChanges,
  tagsOf,
  text,
  textList,
} from './common.ts';

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-user.html */
export const userType: ResourceType = {
  typeName: 'AWS::IAM::User',
  properties: ['Groups', 'ManagedPolicyArns', 'Path', 'PermissionsBoundary', 'Policies', 'Tags', 'UserName'],
  createOnly: ['UserName'],
  shapes: {
    Groups: ['string'],
    ManagedPolicyArns: ['string'],
    Path: 'string',
    PermissionsBoundary: 'string',
    Policies: [{ PolicyName: 'string', PolicyDocument: 'json' }],
    Tags: [{ Key: 'string', Value: 'string' }],
    UserName: 'string',
  },
  attributeNames: ['Arn'],
  nameProperty: 'UserName',

  async create(context, properties) {
    const name = text(properties, 'UserName') ?? context.generatedName({ maxLength: 64 });
    const call = iamOf(context);
    try {
      await call('iam', 'CreateUser', {
        UserName: name,
        Path: text(properties, 'Path'),
        PermissionsBoundary: text(properties, 'PermissionsBoundary'),
        Tags: tagsOf(context, properties),
      });
    } catch (error) {
      if (!isError(error, 'EntityAlreadyExistsException')) throw error;
      const { User } = await call('iam', 'GetUser', { UserName: name });
      if (!isOwn(context, User.Tags)) throw error;
    }
    await context.initiated?.(name);
    for (const group of textList(properties, 'Groups'))
      await call('iam', 'AddUserToGroup', { UserName: name, GroupName: group });
    await applyPolicies(context, 'user', name, properties);
    return stateOf(context, name);
  },

  async update(context, name, properties, old) {
    const call = iamOf(context);
    const path = text(properties, 'Path') ?? '/';
    if (path !== (text(old, 'Path') ?? '/')) await call('iam', 'UpdateUser', { UserName: name, NewPath: path });
    const boundary = text(properties, 'PermissionsBoundary');
    if (boundary !== undefined && boundary !== text(old, 'PermissionsBoundary'))
      await call('iam', 'PutUserPermissionsBoundary', { UserName: name, PermissionsBoundary: boundary });
    if (boundary === undefined && text(old, 'PermissionsBoundary') !== undefined)
      await call('iam', 'DeleteUserPermissionsBoundary', { UserName: name }).catch(ignoreMissing);
    const groups = textList(properties, 'Groups');
    const before = textList(old, 'Groups');
    for (const group of before)
      if (!groups.includes(group))
        await call('iam', 'RemoveUserFromGroup', { UserName: name, GroupName: group }).catch(ignoreMissing);
    for (const group of groups) await call('iam', 'AddUserToGroup', { UserName: name, GroupName: group });
    const { added, removed } = tagChanges(properties, old);
    if (removed.length > 0) await call('iam', 'UntagUser', { UserName: name, TagKeys: removed });
    if (added.length > 0) await call('iam', 'TagUser', { UserName: name, Tags: added });
    await applyPolicies(context, 'user', name, properties, old);
    return stateOf(context, name);
  },

  async delete(context, name, properties) {
    const call = iamOf(context);
    try {
      for (const group of textList(properties, 'Groups'))
        await call('iam', 'RemoveUserFromGroup', { UserName: name, GroupName: group }).catch(ignoreMissing);
      await removePolicies(context, 'user', name, properties);
      await call('iam', 'DeleteUser', { UserName: name });
    } catch (error) {
      ignoreMissing(error);
    }
  },
};

async function stateOf(context: ResourceContext, name: string): Promise<ResourceState> {
  const { User } = await iamOf(context)('iam', 'GetUser', { UserName: name });
  return { physicalId: name, attributes: { Arn: User.Arn } };
}
