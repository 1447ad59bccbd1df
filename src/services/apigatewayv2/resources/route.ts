import type { Properties, ResourceType } from '../../../platform/resource-type.ts';
import type { AuthorizationType } from '../../../wire/types/apigatewayv2.ts';
import { definedOnly } from '../rules/openapi.ts';
import { call, flag, gone, list, repeatable, text } from './values.ts';

/** A route. Properties of WebSocket APIs are passed on, and the service says that HTTP APIs have none of them. */
export const routeType: ResourceType = {
  typeName: 'AWS::ApiGatewayV2::Route',
  properties: [
    'ApiId',
    'ApiKeyRequired',
    'AuthorizationScopes',
    'AuthorizationType',
    'AuthorizerId',
    'ModelSelectionExpression',
    'OperationName',
    'RequestModels',
    'RequestParameters',
    'RouteKey',
    'RouteResponseSelectionExpression',
    'Target',
  ],
  required: ['ApiId', 'RouteKey'],
  createOnly: ['ApiId'],

  async create(context, properties) {
    const input = {
      ApiId: text(properties, 'ApiId')!,
      RouteKey: text(properties, 'RouteKey')!,
      ...optional(properties),
    };
    const { RouteId } = await call(context, 'CreateRoute', repeatable(context, input));
    return { physicalId: RouteId!, attributes: { RouteId } };
  },

  async update(context, RouteId, properties) {
    await call(context, 'UpdateRoute', {
      ApiId: text(properties, 'ApiId')!,
      RouteId,
      RouteKey: text(properties, 'RouteKey')!,
      // What the template no longer says is taken away.
      OperationName: '',
      Target: '',
      AuthorizationType: 'NONE',
      ...optional(properties),
    });
    return { physicalId: RouteId, attributes: { RouteId } };
  },

  async delete(context, RouteId, properties) {
    await gone(call(context, 'DeleteRoute', { ApiId: text(properties, 'ApiId')!, RouteId }));
  },
};

interface Optional {
  readonly ApiKeyRequired?: boolean;
  readonly AuthorizationScopes?: string[];
  readonly AuthorizationType?: AuthorizationType;
  readonly AuthorizerId?: string;
  readonly OperationName?: string;
  readonly Target?: string;
}

function optional(properties: Properties): Optional {
  return definedOnly({
    ApiKeyRequired: flag(properties, 'ApiKeyRequired'),
    AuthorizationScopes: list(properties, 'AuthorizationScopes'),
    AuthorizationType: text(properties, 'AuthorizationType'),
    AuthorizerId: text(properties, 'AuthorizerId'),
    ModelSelectionExpression: text(properties, 'ModelSelectionExpression'),
    OperationName: text(properties, 'OperationName'),
    RequestModels: properties['RequestModels'],
    RequestParameters: properties['RequestParameters'],
    RouteResponseSelectionExpression: text(properties, 'RouteResponseSelectionExpression'),
    Target: text(properties, 'Target'),
  }) as Optional;
}
