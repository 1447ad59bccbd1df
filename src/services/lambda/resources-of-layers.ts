import type { ResourceContext, ResourceState, ResourceType } from '../../platform/resource-type.ts';
import { AwsError } from '../../wire/errors.ts';
import type {
  AddLayerVersionPermissionRequest,
  LayerVersionsListItem,
  PublishLayerVersionRequest,
} from '../../wire/types/lambda.ts';
import { asInput, call, ifMissing, recordOf, textOf } from './resource-support.ts';
import { parseLayerVersionArn } from './rules/layers.ts';

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-layerversion.html */
export const layerVersionType: ResourceType = {
  typeName: 'AWS::Lambda::LayerVersion',
  properties: ['CompatibleArchitectures', 'CompatibleRuntimes', 'Content', 'Description', 'LayerName', 'LicenseInfo'],
  required: ['Content'],
  createOnly: ['CompatibleArchitectures', 'CompatibleRuntimes', 'Content', 'Description', 'LayerName', 'LicenseInfo'],
  async create(context, properties) {
    const LayerName = textOf(properties['LayerName']) ?? context.generatedName({ maxLength: 64 });
    const input = { ...asInput<PublishLayerVersionRequest>(properties), LayerName };
    const earlier = context.retried ? await publishedBefore(context, input) : undefined;
    return stateOf(earlier ?? (await call(context, 'PublishLayerVersion', input)));
  },
  async update(_context, physicalId) {
    return { physicalId, attributes: { LayerVersionArn: physicalId } };
  },
  async delete(context, physicalId) {
    const { name, version } = parseLayerVersionArn(physicalId);
    await call(context, 'DeleteLayerVersion', { LayerName: name, VersionNumber: version });
  },
};

/** The newest version, if it is what an interrupted attempt would have published. */
async function publishedBefore(
  context: ResourceContext,
  input: PublishLayerVersionRequest,
): Promise<LayerVersionsListItem | undefined> {
  const { LayerVersions = [] } = await call(context, 'ListLayerVersions', { LayerName: input.LayerName, MaxItems: 1 });
  const [newest] = LayerVersions;
  if (newest === undefined) return undefined;
  const { Content } = await call(context, 'GetLayerVersionByArn', { Arn: newest.LayerVersionArn! });
  const digest = Buffer.from(Content?.CodeSha256 ?? '', 'base64').toString('hex');
  const same = digest === input.Content.S3Key && newest.Description === (input.Description ?? '');
  return same ? newest : undefined;
}

function stateOf({ LayerVersionArn }: LayerVersionsListItem): ResourceState {
  return { physicalId: LayerVersionArn!, attributes: { LayerVersionArn } };
}

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-layerversionpermission.html */
export const layerVersionPermissionType: ResourceType = {
  typeName: 'AWS::Lambda::LayerVersionPermission',
  properties: ['Action', 'LayerVersionArn', 'OrganizationId', 'Principal'],
  required: ['Action', 'LayerVersionArn', 'Principal'],
  createOnly: ['Action', 'LayerVersionArn', 'OrganizationId', 'Principal'],
  async create(context, properties) {
    const arn = textOf(properties['LayerVersionArn'])!;
    const StatementId = context.generatedName({ maxLength: 100 });
    const { LayerVersionArn: _, ...rest } = recordOf(properties);
    const input = { ...asInput<AddLayerVersionPermissionRequest>(rest), ...layerOf(arn), StatementId };
    try {
      await call(context, 'AddLayerVersionPermission', input);
    } catch (error) {
      // The statement's id is this resource's own: where it is there, an earlier attempt added it.
      if (!(error instanceof AwsError) || error.code !== 'ResourceConflictException') throw error;
    }
    const physicalId = `${arn}#${StatementId}`;
    return { physicalId, attributes: { Id: physicalId } };
  },
  async update(_context, physicalId) {
    return { physicalId, attributes: { Id: physicalId } };
  },
  async delete(context, physicalId) {
    const [arn = '', StatementId = ''] = physicalId.split('#');
    await call(context, 'RemoveLayerVersionPermission', { ...layerOf(arn), StatementId }).catch(ifMissing(undefined));
  },
};

function layerOf(arn: string): { readonly LayerName: string; readonly VersionNumber: number } {
  const at = arn.lastIndexOf(':');
  return { LayerName: arn.slice(0, at), VersionNumber: Number(arn.slice(at + 1)) };
}
