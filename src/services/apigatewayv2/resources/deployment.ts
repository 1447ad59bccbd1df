import type { ResourceType } from '../../../platform/resource-type.ts';
import { call, gone, repeatable, text } from './values.ts';

export const deploymentType: ResourceType = {
  typeName: 'AWS::ApiGatewayV2::Deployment',
  properties: ['ApiId', 'Description', 'StageName'],
  required: ['ApiId'],
  createOnly: ['ApiId'],

  async create(context, properties) {
    const Description = text(properties, 'Description');
    const StageName = text(properties, 'StageName');
    const { DeploymentId } = await call(
      context,
      'CreateDeployment',
      repeatable(context, { ApiId: text(properties, 'ApiId')!, Description, StageName }),
    );
    return { physicalId: DeploymentId!, attributes: { DeploymentId } };
  },

  async update(context, DeploymentId, properties, oldProperties) {
    const ApiId = text(properties, 'ApiId')!;
    const StageName = text(properties, 'StageName');
    await call(context, 'UpdateDeployment', {
      ApiId,
      DeploymentId,
      Description: text(properties, 'Description') ?? '',
    });
    if (StageName !== undefined && StageName !== text(oldProperties, 'StageName'))
      await call(context, 'UpdateStage', { ApiId, StageName, DeploymentId });
    return { physicalId: DeploymentId, attributes: { DeploymentId } };
  },

  async delete(context, DeploymentId, properties) {
    await gone(call(context, 'DeleteDeployment', { ApiId: text(properties, 'ApiId')!, DeploymentId }));
  },
};
