import type { Properties, ResourceType } from '../../../platform/resource-type.ts';
import type { RouteSettings } from '../../../wire/types/apigatewayv2.ts';
import { managementArn } from '../operations/shared.ts';
import { definedOnly } from '../rules/openapi.ts';
import { call, flag, gone, number, object, patchTo, repeatable, text, texts } from './values.ts';

export const stageType: ResourceType = {
  typeName: 'AWS::ApiGatewayV2::Stage',
  properties: [
    'AccessLogSettings',
    'ApiId',
    'AutoDeploy',
    'ClientCertificateId',
    'DefaultRouteSettings',
    'DeploymentId',
    'Description',
    'RouteSettings',
    'StageName',
    'StageVariables',
    'Tags',
  ],
  required: ['ApiId', 'StageName'],
  createOnly: ['ApiId', 'StageName'],

  async create(context, properties) {
    const StageName = text(properties, 'StageName')!;
    const input = {
      ...settings(properties),
      ApiId: text(properties, 'ApiId')!,
      StageName,
      RouteSettings: routeSettings(properties),
      StageVariables: texts(properties, 'StageVariables'),
      Tags: texts(properties, 'Tags'),
    };
    await call(context, 'CreateStage', repeatable(context, input));
    return { physicalId: StageName, attributes: {} };
  },

  async update(context, StageName, properties, oldProperties) {
    const ApiId = text(properties, 'ApiId')!;
    await call(context, 'UpdateStage', {
      Description: '',
      AutoDeploy: false,
      ...settings(properties),
      ApiId,
      StageName,
      RouteSettings: patchTo(routeSettings(oldProperties), routeSettings(properties), {}),
      StageVariables: patchTo(texts(oldProperties, 'StageVariables'), texts(properties, 'StageVariables'), ''),
    });
    if (properties['AccessLogSettings'] === undefined && oldProperties['AccessLogSettings'] !== undefined)
      await call(context, 'DeleteAccessLogSettings', { ApiId, StageName });
    const tags = texts(properties, 'Tags');
    const removed = Object.keys(texts(oldProperties, 'Tags')).filter((key) => tags[key] === undefined);
    const ResourceArn = managementArn(context.caller.region, `/apis/${ApiId}/stages/${StageName}`);
    if (removed.length > 0) await call(context, 'UntagResource', { ResourceArn, TagKeys: removed });
    if (Object.keys(tags).length > 0) await call(context, 'TagResource', { ResourceArn, Tags: tags });
    return { physicalId: StageName, attributes: {} };
  },

  async delete(context, StageName, properties) {
    await gone(call(context, 'DeleteStage', { ApiId: text(properties, 'ApiId')!, StageName }));
  },
};

interface Settings {
  readonly AccessLogSettings?: { readonly DestinationArn?: string; readonly Format?: string };
  readonly AutoDeploy?: boolean;
  readonly ClientCertificateId?: string;
  readonly DefaultRouteSettings?: RouteSettings;
  readonly DeploymentId?: string;
  readonly Description?: string;
}

function settings(properties: Properties): Settings {
  const accessLog = object(properties, 'AccessLogSettings');
  const defaults = object(properties, 'DefaultRouteSettings');
  return definedOnly({
    AccessLogSettings:
      accessLog === undefined
        ? undefined
        : definedOnly({ DestinationArn: text(accessLog, 'DestinationArn'), Format: text(accessLog, 'Format') }),
    AutoDeploy: flag(properties, 'AutoDeploy'),
    ClientCertificateId: text(properties, 'ClientCertificateId'),
    DefaultRouteSettings: defaults === undefined ? undefined : settingsOf(defaults),
    DeploymentId: text(properties, 'DeploymentId'),
    Description: text(properties, 'Description'),
  }) as Settings;
}

function routeSettings(properties: Properties): Record<string, RouteSettings> {
  const given = object(properties, 'RouteSettings') ?? {};
  return Object.fromEntries(Object.keys(given).map((key) => [key, settingsOf(object(given, key) ?? {})]));
}

function settingsOf(given: Properties): RouteSettings {
  return definedOnly({
    DataTraceEnabled: flag(given, 'DataTraceEnabled'),
    DetailedMetricsEnabled: flag(given, 'DetailedMetricsEnabled'),
    LoggingLevel: text(given, 'LoggingLevel') as RouteSettings['LoggingLevel'],
    ThrottlingBurstLimit: number(given, 'ThrottlingBurstLimit'),
    ThrottlingRateLimit: number(given, 'ThrottlingRateLimit'),
  });
}
