import type { ResourceContext, ResourceState, ResourceType } from '../../../platform/resource-type.ts';
import { applyPolicies, iamOf, ignoreMissing, isError, removePolicies, text } from './common.ts';

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-group.html */
export const groupType: ResourceType = {
  typeName: 'AWS::IAM::Group',
  properties: ['GroupName', 'ManagedPolicyArns', 'Path', 'Policies'],
  createOnly: ['GroupName', 'Path'],
  shapes: {
    GroupName: 'string',
    ManagedPolicyArns: ['string'],
    Path: 'string',
    Policies: [{ PolicyName: 'string', PolicyDocument: 'json' }],
  },
  attributeNames: ['Arn'],
  nameProperty: 'GroupName',

  async create(context, properties) {
    const given = text(properties, 'GroupName');
    const name = given ?? context.generatedName({ maxLength: 128 });
    try {
      await iamOf(context)('iam', 'CreateGroup', { GroupName: name, Path: text(properties, 'Path') });
    } catch (error) {
      // Groups have no tags to know one's own by, but a generated name is nobody else's.
      if (given !== undefined || !isError(error, 'EntityAlreadyExistsException')) throw error;
    }
    await context.initiated?.(name);
    await applyPolicies(context, 'group', name, properties);
    return stateOf(context, name);
  },

  async update(context, name, properties, old) {
    await applyPolicies(context, 'group', name, properties, old);
    return stateOf(context, name);
  },

  async delete(context, name, properties) {
    try {
      await removePolicies(context, 'group', name, properties);
      await iamOf(context)('iam', 'DeleteGroup', { GroupName: name });
    } catch (error) {
      ignoreMissing(error);
    }
  },
};

async function stateOf(context: ResourceContext, name: string): Promise<ResourceState> {
  const { Group } = await iamOf(context)('iam', 'GetGroup', { GroupName: name });
  return { physicalId: name, attributes: { Arn: Group.Arn } };
}
