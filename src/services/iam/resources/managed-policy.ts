import type { ResourceContext, ResourceState, ResourceType } from '../../../platform/resource-type.ts';
import { documentText, iamOf, ignoreMissing, isError, isOwn, policyCalls, tagsOf, text } from './common.ts';
import { entitiesOf } from './policy.ts';

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-managedpolicy.html */
export const managedPolicyType: ResourceType = {
  typeName: 'AWS::IAM::ManagedPolicy',
  properties: ['Description', 'Groups', 'ManagedPolicyName', 'Path', 'PolicyDocument', 'Roles', 'Users'],
  required: ['PolicyDocument'],
  createOnly: ['Description', 'ManagedPolicyName', 'Path'],
  shapes: {
    Description: 'string',
    Groups: ['string'],
    ManagedPolicyName: 'string',
    Path: 'string',
    PolicyDocument: 'json',
    Roles: ['string'],
    Users: ['string'],
  },
  attributeNames: [
    'AttachmentCount',
    'DefaultVersionId',
    'IsAttachable',
    'PermissionsBoundaryUsageCount',
    'PolicyArn',
    'PolicyId',
  ],
  nameProperty: 'ManagedPolicyName',

  async create(context, properties) {
    const name = text(properties, 'ManagedPolicyName') ?? context.generatedName({ maxLength: 128 });
    const call = iamOf(context);
    const path = text(properties, 'Path') ?? '/';
    const arn = `arn:aws:iam::${context.caller.account}:policy${path}${name}`;
    try {
      await call('iam', 'CreatePolicy', {
        PolicyName: name,
        Path: path,
        Description: text(properties, 'Description'),
        PolicyDocument: documentText(properties['PolicyDocument']),
        Tags: tagsOf(context, properties),
      });
    } catch (error) {
      if (!isError(error, 'EntityAlreadyExistsException')) throw error;
      const { Policy } = await call('iam', 'GetPolicy', { PolicyArn: arn });
      if (!isOwn(context, Policy?.Tags)) throw error;
    }
    await context.initiated?.(arn);
    for (const { kind, name: entity } of entitiesOf(properties)) await policyCalls(context, kind, entity).attach(arn);
    return stateOf(context, arn);
  },

  async update(context, arn, properties, old) {
    const call = iamOf(context);
    const document = documentText(properties['PolicyDocument']);
    if (document !== documentText(old['PolicyDocument'])) {
      const { Versions = [] } = await call('iam', 'ListPolicyVersions', { PolicyArn: arn });
      // The oldest that is not in force makes room.
      const spare = Versions.filter((version) => version.IsDefaultVersion !== true).at(-1)?.VersionId;
      if (Versions.length >= 5 && spare !== undefined)
        await call('iam', 'DeletePolicyVersion', { PolicyArn: arn, VersionId: spare });
      await call('iam', 'CreatePolicyVersion', { PolicyArn: arn, PolicyDocument: document, SetAsDefault: true });
    }
    const wanted = entitiesOf(properties);
    for (const { kind, name } of entitiesOf(old))
      if (!wanted.some((one) => one.kind === kind && one.name === name))
        await policyCalls(context, kind, name).detach(arn).catch(ignoreMissing);
    for (const { kind, name } of wanted) await policyCalls(context, kind, name).attach(arn);
    return stateOf(context, arn);
  },

  async delete(context, arn, properties) {
    const call = iamOf(context);
    try {
      for (const { kind, name } of entitiesOf(properties))
        await policyCalls(context, kind, name).detach(arn).catch(ignoreMissing);
      const { Versions = [] } = await call('iam', 'ListPolicyVersions', { PolicyArn: arn });
      for (const { VersionId, IsDefaultVersion } of Versions)
        if (VersionId !== undefined && IsDefaultVersion !== true)
          await call('iam', 'DeletePolicyVersion', { PolicyArn: arn, VersionId }).catch(ignoreMissing);
      await call('iam', 'DeletePolicy', { PolicyArn: arn });
    } catch (error) {
      ignoreMissing(error);
    }
  },
};

async function stateOf(context: ResourceContext, arn: string): Promise<ResourceState> {
  const { Policy = {} } = await iamOf(context)('iam', 'GetPolicy', { PolicyArn: arn });
  const { PolicyId, AttachmentCount, DefaultVersionId, IsAttachable, PermissionsBoundaryUsageCount } = Policy;
  const attributes = {
    PolicyArn: arn,
    PolicyId,
    AttachmentCount,
    DefaultVersionId,
    IsAttachable,
    PermissionsBoundaryUsageCount,
  };
  return { physicalId: arn, attributes };
}
