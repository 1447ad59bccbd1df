import type { Caller } from '../../platform/context.ts';
import { type Authorization, defineService, type Service } from '../../platform/service.ts';
import { createEnvironment } from './environment.ts';
import { createExecuteApi } from './gateway/surface.ts';
import { apiOperations } from './operations/apis.ts';
import { authorizerOperations } from './operations/authorizers.ts';
import { integrationOperations } from './operations/integrations.ts';
import { routeOperations } from './operations/routes.ts';
import { managementArn } from './operations/shared.ts';
import { stageOperations } from './operations/stages.ts';
import { tagOperations } from './operations/tags.ts';
import { resourceTypes } from './resources.ts';

/** API Gateway's HTTP APIs: their management, and what their clients reach (execute-api). */
export const apigatewayv2 = defineService({
  name: 'apigatewayv2',
  create(platform): Service<'apigatewayv2'> {
    const env = createEnvironment(platform);
    const executeApi = createExecuteApi(platform, env.directory);
    return {
      operations: {
        ...apiOperations(env),
        ...routeOperations(env),
        ...integrationOperations(env),
        ...authorizerOperations(env),
        ...stageOperations(env),
        ...tagOperations(env),
      },
      authorization,
      resourceTypes,
      surfaces: [executeApi.surface],
      close: () => executeApi.close(),
    };
  },
});

const verbs: readonly (readonly [prefix: string, action: string])[] = [
  ['Create', 'apigateway:POST'],
  ['Get', 'apigateway:GET'],
  ['Update', 'apigateway:PATCH'],
  ['Delete', 'apigateway:DELETE'],
  ['Reset', 'apigateway:DELETE'],
  ['Import', 'apigateway:PUT'],
  ['Reimport', 'apigateway:PUT'],
  ['Tag', 'apigateway:POST'],
  ['Untag', 'apigateway:DELETE'],
];

const collections: readonly (readonly [member: string, collection: string])[] = [
  ['RouteId', 'routes'],
  ['IntegrationId', 'integrations'],
  ['AuthorizerId', 'authorizers'],
  ['DeploymentId', 'deployments'],
  ['StageName', 'stages'],
];

/** API Gateway's actions are the HTTP methods, its resources the paths of its API (service authorization reference). */
function authorization(operation: string, input: unknown, caller: Caller): Authorization | undefined {
  const action = verbs.find(([prefix]) => operation.startsWith(prefix))?.[1];
  if (action === undefined) return undefined;
  const given = input as Readonly<Record<string, unknown>>;
  const tagged = given['ResourceArn'];
  if (typeof tagged === 'string') return { action, resource: tagged };
  return { action, resource: managementArn(caller.region, managementPath(operation, given)) };
}

function managementPath(operation: string, given: Readonly<Record<string, unknown>>): string {
  const apiId = given['ApiId'];
  if (typeof apiId !== 'string') return '/apis';
  const noun = operation.replace(/^[A-Z][a-z]+/, '');
  const made = collections.find(
    ([, collection]) => `${noun.toLowerCase()}s` === collection || noun.toLowerCase() === collection,
  );
  const member = operation.startsWith('Create')
    ? undefined
    : collections.find(([name]) => typeof given[name] === 'string');
  if (member !== undefined) return `/apis/${apiId}/${member[1]}/${given[member[0]] as string}`;
  return made === undefined ? `/apis/${apiId}` : `/apis/${apiId}/${made[1]}`;
}
