import { isObject } from '../../../platform/http/response.ts';
import type { Properties, ResourceType } from '../../../platform/resource-type.ts';
import type { CreateIntegrationRequest } from '../../../wire/types/apigatewayv2.ts';
import { badRequest } from '../errors.ts';
import { definedOnly } from '../rules/openapi.ts';
import { call, gone, number, object, patchTo, repeatable, text, texts } from './values.ts';

export const integrationType: ResourceType = {
  typeName: 'AWS::ApiGatewayV2::Integration',
  properties: [
    'ApiId',
    'ConnectionId',
    'ConnectionType',
    'ContentHandlingStrategy',
    'CredentialsArn',
    'Description',
    'IntegrationMethod',
    'IntegrationSubtype',
    'IntegrationType',
    'IntegrationUri',
    'PassthroughBehavior',
    'PayloadFormatVersion',
    'RequestParameters',
    'RequestTemplates',
    'ResponseParameters',
    'TemplateSelectionExpression',
    'TimeoutInMillis',
    'TlsConfig',
  ],
  required: ['ApiId', 'IntegrationType'],
  createOnly: ['ApiId'],

  async create(context, properties) {
    const { IntegrationId } = await call(context, 'CreateIntegration', repeatable(context, inputOf(properties)));
    return { physicalId: IntegrationId!, attributes: { IntegrationId } };
  },

  async update(context, IntegrationId, properties, oldProperties) {
    const input = inputOf(properties);
    const before = inputOf(oldProperties);
    await call(context, 'UpdateIntegration', {
      CredentialsArn: '',
      Description: '',
      TimeoutInMillis: 30_000,
      ...input,
      IntegrationId,
      RequestParameters: patchTo(before.RequestParameters ?? {}, input.RequestParameters ?? {}, ''),
      ResponseParameters: patchTo(before.ResponseParameters ?? {}, input.ResponseParameters ?? {}, {}),
    });
    return { physicalId: IntegrationId, attributes: { IntegrationId } };
  },

  async delete(context, IntegrationId, properties) {
    await gone(call(context, 'DeleteIntegration', { ApiId: text(properties, 'ApiId')!, IntegrationId }));
  },
};

function inputOf(properties: Properties): CreateIntegrationRequest {
  return definedOnly({
    ApiId: text(properties, 'ApiId')!,
    ConnectionId: text(properties, 'ConnectionId'),
    ConnectionType: text(properties, 'ConnectionType') as CreateIntegrationRequest['ConnectionType'],
    ContentHandlingStrategy: text(
      properties,
      'ContentHandlingStrategy',
    ) as CreateIntegrationRequest['ContentHandlingStrategy'],
    CredentialsArn: text(properties, 'CredentialsArn'),
    Description: text(properties, 'Description'),
    IntegrationMethod: text(properties, 'IntegrationMethod'),
    IntegrationSubtype: text(properties, 'IntegrationSubtype'),
    IntegrationType: text(properties, 'IntegrationType') as CreateIntegrationRequest['IntegrationType'],
    IntegrationUri: text(properties, 'IntegrationUri'),
    PassthroughBehavior: text(properties, 'PassthroughBehavior') as CreateIntegrationRequest['PassthroughBehavior'],
    PayloadFormatVersion: text(properties, 'PayloadFormatVersion'),
    RequestParameters:
      properties['RequestParameters'] === undefined ? undefined : texts(properties, 'RequestParameters'),
    RequestTemplates: properties['RequestTemplates'] === undefined ? undefined : texts(properties, 'RequestTemplates'),
    ResponseParameters: responseParameters(properties),
    TemplateSelectionExpression: text(properties, 'TemplateSelectionExpression'),
    TimeoutInMillis: number(properties, 'TimeoutInMillis'),
    TlsConfig: object(properties, 'TlsConfig') as CreateIntegrationRequest['TlsConfig'],
  });
}

/** CloudFormation writes them as lists of Source and Destination. */
function responseParameters(properties: Properties): Record<string, Record<string, string>> | undefined {
  const given = object(properties, 'ResponseParameters');
  if (given === undefined) return undefined;
  return Object.fromEntries(
    Object.entries(given).map(([status, value]) => {
      const entries = isObject(value) ? value['ResponseParameters'] : undefined;
      if (!Array.isArray(entries))
        throw badRequest(`ResponseParameters.${status} must hold a list named ResponseParameters`);
      return [
        status,
        Object.fromEntries(
          entries.map((entry: unknown) => {
            if (!isObject(entry)) throw badRequest(`ResponseParameters.${status} must hold objects`);
            return [String(entry['Destination']), String(entry['Source'])];
          }),
        ),
      ];
    }),
  );
}
