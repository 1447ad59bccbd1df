import { isObject } from '../../../platform/http/response.ts';
import type { Properties, ResourceContext, ResourceState, ResourceType } from '../../../platform/resource-type.ts';
import type { Cors } from '../../../wire/types/apigatewayv2.ts';
import { badRequest, notBuilt } from '../errors.ts';
import { managementArn } from '../operations/shared.ts';
import { definedOnly } from '../rules/openapi.ts';
import { call, flag, gone, list, number, object, repeatable, text, texts } from './values.ts';

/** An HTTP API, also one whose routes come from an OpenAPI document (Body), as SAM's AWS::Serverless::HttpApi makes it. */
export const apiType: ResourceType = {
  typeName: 'AWS::ApiGatewayV2::Api',
  properties: [
    'ApiKeySelectionExpression',
    'BasePath',
    'Body',
    'CorsConfiguration',
    'CredentialsArn',
    'Description',
    'DisableExecuteApiEndpoint',
    'DisableSchemaValidation',
    'FailOnWarnings',
    'IpAddressType',
    'Name',
    'ProtocolType',
    'RouteKey',
    'RouteSelectionExpression',
    'Tags',
    'Target',
    'Version',
    // Known to say why not: S3 is not built.
    'BodyS3Location',
  ],
  createOnly: ['ProtocolType'],

  async create(context, properties) {
    refuseS3(properties);
    if (properties['Body'] === undefined) return stateOf(context, await createPlain(context, properties));
    const { ApiId } = await call(context, 'ImportApi', repeatable(context, importInput(properties)));
    await override(context, ApiId!, properties);
    return stateOf(context, ApiId!);
  },

  async update(context, ApiId, properties, oldProperties) {
    refuseS3(properties);
    if (properties['Body'] !== undefined) {
      await call(context, 'ReimportApi', { ApiId, ...importInput(properties) });
      await override(context, ApiId, properties);
    } else {
      const input = { ...settings(properties), ...quickCreate(properties) };
      await call(context, 'UpdateApi', {
        ApiId,
        ...cleared(settings(oldProperties), settings(properties)),
        ...input,
      });
      if (properties['CorsConfiguration'] === undefined && oldProperties['CorsConfiguration'] !== undefined)
        await call(context, 'DeleteCorsConfiguration', { ApiId });
    }
    const tags = allTags(properties);
    const removed = Object.keys(allTags(oldProperties)).filter((key) => tags[key] === undefined);
    const ResourceArn = managementArn(context.caller.region, `/apis/${ApiId}`);
    if (removed.length > 0) await call(context, 'UntagResource', { ResourceArn, TagKeys: removed });
    if (Object.keys(tags).length > 0) await call(context, 'TagResource', { ResourceArn, Tags: tags });
    return stateOf(context, ApiId);
  },

  async delete(context, ApiId) {
    await gone(call(context, 'DeleteApi', { ApiId }));
  },
};

async function createPlain(context: ResourceContext, properties: Properties): Promise<string> {
  const Name = text(properties, 'Name');
  if (Name === undefined) throw badRequest('Invalid API name specified');
  const ProtocolType = text(properties, 'ProtocolType') ?? '';
  const input = {
    ...settings(properties),
    ...quickCreate(properties),
    Name,
    ProtocolType: ProtocolType as 'HTTP',
    Tags: texts(properties, 'Tags'),
  };
  return (await call(context, 'CreateApi', repeatable(context, input))).ApiId!;
}

async function stateOf(context: ResourceContext, ApiId: string): Promise<ResourceState> {
  const { ApiEndpoint } = await call(context, 'GetApi', { ApiId });
  return { physicalId: ApiId, attributes: { ApiId, ApiEndpoint } };
}

function importInput(properties: Properties): { Body: string; Basepath?: string; FailOnWarnings?: boolean } {
  const body = properties['Body'];
  return definedOnly({
    Body: typeof body === 'string' ? body : JSON.stringify(body),
    Basepath: text(properties, 'BasePath'),
    FailOnWarnings: flag(properties, 'FailOnWarnings'),
  }) as ReturnType<typeof importInput>;
}

/** What the template says beside a document goes before what the document says. */
async function override(context: ResourceContext, ApiId: string, properties: Properties): Promise<void> {
  const input = settings(properties);
  if (Object.keys(input).length > 0) await call(context, 'UpdateApi', { ApiId, ...input });
  const Tags = texts(properties, 'Tags');
  if (Object.keys(Tags).length > 0)
    await call(context, 'TagResource', { ResourceArn: managementArn(context.caller.region, `/apis/${ApiId}`), Tags });
}

function settings(properties: Properties): {
  readonly Name?: string;
  readonly Description?: string;
  readonly Version?: string;
  readonly CorsConfiguration?: Cors;
  readonly DisableExecuteApiEndpoint?: boolean;
} {
  const cors = object(properties, 'CorsConfiguration');
  return definedOnly({
    Name: text(properties, 'Name'),
    Description: text(properties, 'Description'),
    Version: text(properties, 'Version'),
    CorsConfiguration: cors === undefined ? undefined : corsOf(cors),
    DisableExecuteApiEndpoint: flag(properties, 'DisableExecuteApiEndpoint'),
    DisableSchemaValidation: flag(properties, 'DisableSchemaValidation'),
    ApiKeySelectionExpression: text(properties, 'ApiKeySelectionExpression'),
    RouteSelectionExpression: text(properties, 'RouteSelectionExpression'),
    IpAddressType: text(properties, 'IpAddressType'),
  }) as ReturnType<typeof settings>;
}

function quickCreate(properties: Properties): { Target?: string; RouteKey?: string; CredentialsArn?: string } {
  return definedOnly({
    Target: text(properties, 'Target'),
    RouteKey: text(properties, 'RouteKey'),
    CredentialsArn: text(properties, 'CredentialsArn'),
  }) as ReturnType<typeof quickCreate>;
}

function corsOf(cors: Properties): Cors {
  return definedOnly({
    AllowCredentials: flag(cors, 'AllowCredentials'),
    AllowHeaders: list(cors, 'AllowHeaders'),
    AllowMethods: list(cors, 'AllowMethods'),
    AllowOrigins: list(cors, 'AllowOrigins'),
    ExposeHeaders: list(cors, 'ExposeHeaders'),
    MaxAge: number(cors, 'MaxAge'),
  });
}

/** Settings that the template no longer says go back to their defaults. */
function cleared(
  before: object,
  after: object,
): { Description?: string; Version?: string; DisableExecuteApiEndpoint?: boolean } {
  const removed = (name: string): boolean => Object.hasOwn(before, name) && !Object.hasOwn(after, name);
  return {
    ...(removed('Description') ? { Description: '' } : {}),
    ...(removed('Version') ? { Version: '' } : {}),
    ...(removed('DisableExecuteApiEndpoint') ? { DisableExecuteApiEndpoint: false } : {}),
  };
}

/** Those of the property, and those that a document's `tags` carry. */
function allTags(properties: Properties): Record<string, string> {
  const body = properties['Body'];
  const given = isObject(body) && Array.isArray(body['tags']) ? body['tags'] : [];
  const fromBody = given.flatMap((tag: unknown): [string, string][] =>
    isObject(tag) && tag['x-amazon-apigateway-tag-value'] !== undefined
      ? [[String(tag['name']), String(tag['x-amazon-apigateway-tag-value'])]]
      : [],
  );
  return { ...Object.fromEntries(fromBody), ...texts(properties, 'Tags') };
}

function refuseS3(properties: Properties): void {
  if (properties['BodyS3Location'] !== undefined) throw notBuilt('BodyS3Location');
}
