import { apiType } from './resources/api.ts';
import { authorizerType } from './resources/authorizer.ts';
import { deploymentType } from './resources/deployment.ts';
import { integrationType } from './resources/integration.ts';
import { routeType } from './resources/route.ts';
import { stageType } from './resources/stage.ts';

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/AWS_ApiGatewayV2.html */
export const resourceTypes = [apiType, routeType, integrationType, stageType, deploymentType, authorizerType];
