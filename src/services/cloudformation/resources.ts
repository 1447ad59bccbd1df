import type { ResourceType } from '../../platform/resource-type.ts';
import type { Environment } from './environment.ts';
import { customResource } from './resources/custom-resource.ts';
import { nestedStack } from './resources/nested-stack.ts';

/** The resource types that are CloudFormation's own; those under `Custom::` are made as they are named. */
export function resourceTypes(env: Environment): readonly ResourceType[] {
  return [
    nestedStack(env),
    customResource(env, 'AWS::CloudFormation::CustomResource'),
    waitConditionHandle,
    cdkMetadata,
  ];
}

/** Without a WaitCondition a handle is nothing but an id: templates use it as an empty resource. */
const waitConditionHandle: ResourceType = {
  typeName: 'AWS::CloudFormation::WaitConditionHandle',
  properties: [],
  create: async (context) => ({ physicalId: context.generatedName({ maxLength: 255 }), attributes: {} }),
  update: async (_context, physicalId) => ({ physicalId, attributes: {} }),
  delete: async () => {},
};

/** What the CDK puts into its templates; it does nothing on AWS either. */
const cdkMetadata: ResourceType = {
  typeName: 'AWS::CDK::Metadata',
  properties: ['Analytics'],
  create: async (context) => ({ physicalId: context.generatedName({ maxLength: 255 }), attributes: {} }),
  update: async (_context, physicalId) => ({ physicalId, attributes: {} }),
  delete: async () => {},
};
