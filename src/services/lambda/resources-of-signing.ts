import type { Properties, ResourceContext, ResourceType } from '../../platform/resource-type.ts';
import type { CodeSigningConfig, CreateCodeSigningConfigRequest } from '../../wire/types/lambda.ts';
import { asInput, call, ifMissing, stackTags, tagsOf } from './resource-support.ts';

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-codesigningconfig.html */
export const codeSigningConfigType: ResourceType = {
  typeName: 'AWS::Lambda::CodeSigningConfig',
  properties: ['AllowedPublishers', 'CodeSigningPolicies', 'Description', 'Tags'],
  required: ['AllowedPublishers'],
  async create(context, properties) {
    const earlier = context.retried ? await madeBefore(context) : undefined;
    if (earlier !== undefined) return stateOf(earlier);
    const { CodeSigningConfig } = await call(context, 'CreateCodeSigningConfig', {
      ...inputOf(properties),
      Tags: { ...tagsOf(properties['Tags']), ...stackTags(context) },
    });
    return stateOf(CodeSigningConfig!);
  },
  async update(context, physicalId, properties) {
    const { AllowedPublishers, CodeSigningPolicies, Description } = inputOf(properties);
    const { CodeSigningConfig } = await call(context, 'UpdateCodeSigningConfig', {
      CodeSigningConfigArn: physicalId,
      AllowedPublishers,
      CodeSigningPolicies: CodeSigningPolicies ?? { UntrustedArtifactOnDeployment: 'Warn' },
      Description: Description ?? '',
    });
    await retag(context, physicalId, tagsOf(properties['Tags']));
    return stateOf(CodeSigningConfig!);
  },
  async delete(context, physicalId) {
    await call(context, 'DeleteCodeSigningConfig', { CodeSigningConfigArn: physicalId }).catch(ifMissing({}));
  },
};

function inputOf({ Tags: _, ...others }: Properties): CreateCodeSigningConfigRequest {
  return asInput<CreateCodeSigningConfigRequest>(others);
}

async function retag(context: ResourceContext, Resource: string, tags: Readonly<Record<string, string>>) {
  const { Tags: present = {} } = await call(context, 'ListTags', { Resource });
  const wanted = { ...tags, ...stackTags(context) };
  const gone = Object.keys(present).filter((key) => !(key in wanted));
  if (gone.length > 0) await call(context, 'UntagResource', { Resource, TagKeys: gone });
  await call(context, 'TagResource', { Resource, Tags: wanted });
}

/** The configuration that carries this resource's tags was made by an interrupted attempt. */
async function madeBefore(context: ResourceContext): Promise<CodeSigningConfig | undefined> {
  for (let Marker: string | undefined; ; ) {
    const { CodeSigningConfigs = [], NextMarker } = await call(context, 'ListCodeSigningConfigs', { Marker });
    for (const config of CodeSigningConfigs) {
      const { Tags = {} } = await call(context, 'ListTags', { Resource: config.CodeSigningConfigArn });
      if (Object.entries(stackTags(context)).every(([key, value]) => Tags[key] === value)) return config;
    }
    if (NextMarker === undefined) return undefined;
    Marker = NextMarker;
  }
}

function stateOf({ CodeSigningConfigArn, CodeSigningConfigId }: CodeSigningConfig) {
  return { physicalId: CodeSigningConfigArn, attributes: { CodeSigningConfigArn, CodeSigningConfigId } };
}
