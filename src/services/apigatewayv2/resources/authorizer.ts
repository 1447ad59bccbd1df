import type { Properties, ResourceType } from '../../../platform/resource-type.ts';
import type { CreateAuthorizerRequest } from '../../../wire/types/apigatewayv2.ts';
import { definedOnly } from '../rules/openapi.ts';
import { call, flag, gone, list, number, object, repeatable, text } from './values.ts';

export const authorizerType: ResourceType = {
  typeName: 'AWS::ApiGatewayV2::Authorizer',
  properties: [
    'ApiId',
    'AuthorizerCredentialsArn',
    'AuthorizerPayloadFormatVersion',
    'AuthorizerResultTtlInSeconds',
    'AuthorizerType',
    'AuthorizerUri',
    'EnableSimpleResponses',
    'IdentitySource',
    'IdentityValidationExpression',
    'JwtConfiguration',
    'Name',
  ],
  required: ['ApiId', 'AuthorizerType', 'Name'],
  createOnly: ['ApiId', 'AuthorizerType'],

  async create(context, properties) {
    const { AuthorizerId } = await call(context, 'CreateAuthorizer', repeatable(context, inputOf(properties)));
    return { physicalId: AuthorizerId!, attributes: { AuthorizerId } };
  },

  async update(context, AuthorizerId, properties) {
    const input = inputOf(properties);
    const defaults =
      input.AuthorizerType === 'REQUEST'
        ? { AuthorizerCredentialsArn: '', AuthorizerResultTtlInSeconds: 0, EnableSimpleResponses: false }
        : {};
    await call(context, 'UpdateAuthorizer', { ...defaults, ...input, AuthorizerId });
    return { physicalId: AuthorizerId, attributes: { AuthorizerId } };
  },

  async delete(context, AuthorizerId, properties) {
    await gone(call(context, 'DeleteAuthorizer', { ApiId: text(properties, 'ApiId')!, AuthorizerId }));
  },
};

function inputOf(properties: Properties): CreateAuthorizerRequest {
  const jwt = object(properties, 'JwtConfiguration');
  return definedOnly({
    ApiId: text(properties, 'ApiId')!,
    AuthorizerCredentialsArn: text(properties, 'AuthorizerCredentialsArn'),
    AuthorizerPayloadFormatVersion: text(properties, 'AuthorizerPayloadFormatVersion'),
    AuthorizerResultTtlInSeconds: number(properties, 'AuthorizerResultTtlInSeconds'),
    AuthorizerType: text(properties, 'AuthorizerType') as CreateAuthorizerRequest['AuthorizerType'],
    AuthorizerUri: text(properties, 'AuthorizerUri'),
    EnableSimpleResponses: flag(properties, 'EnableSimpleResponses'),
    IdentitySource: list(properties, 'IdentitySource') ?? [],
    IdentityValidationExpression: text(properties, 'IdentityValidationExpression'),
    JwtConfiguration:
      jwt === undefined ? undefined : definedOnly({ Audience: list(jwt, 'Audience'), Issuer: text(jwt, 'Issuer') }),
    Name: text(properties, 'Name')!,
  });
}
