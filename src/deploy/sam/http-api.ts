import { isList, isObject, type Json, type JsonObject, type MutableObject } from '../json.ts';
import { emit, passedOn, type SamContext, type SamResource } from './context.ts';
import { eventProblem, resourceProblem, SamProblem, unsupported } from './errors.ts';
import { type Authorizers, authorizerPermissions, authorizers } from './http-auth.ts';
import { addPaths, anyMethod, type BoundRoute, type Route } from './http-paths.ts';
import { checkKinds } from './kinds.ts';
import { idWithName, isIntrinsic, ref, referredId, resolveParameters, resource, when } from './values.ts';

/** The API that HttpApi events without ApiId make. */
export const implicitHttpApi = 'ServerlessHttpApi';

/** One API under construction. */
interface Draft {
  readonly source: SamResource;
  /** The transform writes the definition itself; else the user does, and only what is missing is added. */
  readonly managed: boolean;
  readonly routes: BoundRoute[];
}

const known: ReadonlySet<string> = new Set(
  (
    'Name StageName Tags PropagateTags DefinitionBody DefinitionUri StageVariables CorsConfiguration AccessLogSettings ' +
    'DefaultRouteSettings Auth RouteSettings FailOnWarnings Description DisableExecuteApiEndpoint Domain'
  ).split(' '),
);

/** The AWS::Serverless::HttpApi resources of a template, their routes gathered from functions' events. */
export class HttpApis {
  readonly #drafts = new Map<string, Draft>();

  constructor(input: ReadonlyMap<string, SamResource>, globals: JsonObject) {
    for (const source of input.values()) if (source.type === 'AWS::Serverless::HttpApi') this.#add(source);
    if (!this.#drafts.has(implicitHttpApi)) {
      const type = 'AWS::Serverless::HttpApi';
      this.#add({ logicalId: implicitHttpApi, type, properties: globals, attributes: {} });
    }
  }

  #add(source: SamResource): void {
    const managed =
      source.properties['DefinitionBody'] === undefined && source.properties['DefinitionUri'] === undefined;
    this.#drafts.set(source.logicalId, { source, managed, routes: [] });
  }

  /** Reads an HttpApi event. @throws {SamProblem} naming the function and the event. */
  route(functionId: string, eventId: string, properties: JsonObject): Route {
    const given = properties['ApiId'];
    const apiId = given === undefined ? implicitHttpApi : typeof given === 'string' ? given : referredId(given);
    if (apiId === undefined || !this.#drafts.has(apiId)) {
      throw eventProblem(
        functionId,
        eventId,
        "ApiId must be a valid reference to an 'AWS::Serverless::HttpApi' resource in same template.",
      );
    }
    const hasRoute = properties['Path'] !== undefined || properties['Method'] !== undefined;
    const path = hasRoute ? properties['Path'] : '$default';
    const method = hasRoute ? properties['Method'] : anyMethod;
    for (const [name, value] of [
      ['Path', path],
      ['Method', method],
    ] as const) {
      if (typeof value !== 'string' || value === '')
        throw eventProblem(functionId, eventId, `Property '${name}' should be a string.`);
    }
    const auth = properties['Auth'];
    if (auth !== undefined && !isObject(auth))
      throw eventProblem(functionId, eventId, "Property 'Auth' should be a map.");
    return {
      apiId,
      path: path as string,
      method: normalMethod(method as string),
      auth,
      timeoutInMillis: properties['TimeoutInMillis'],
      payloadFormatVersion: properties['PayloadFormatVersion'],
      routeSettings: properties['RouteSettings'],
    };
  }

  /**
   * Adds a function's route.
   *
   * @returns whether the function needs a permission of its own for it: not where its `$default` route covers all.
   */
  addRoute(functionId: string, eventId: string, route: Route, target: Json, condition: Json | undefined): boolean {
    const draft = this.#drafts.get(route.apiId) as Draft;
    const covered =
      route.path !== '$default' &&
      draft.routes.some(
        (other) => other.route.path === '$default' && other.functionId === functionId && isGetAtt(target),
      );
    if (draft.routes.some((other) => other.route.path === route.path && other.route.method === route.method)) {
      throw eventProblem(
        functionId,
        eventId,
        `API method '${route.method}' defined multiple times for path '${route.path}'.`,
      );
    }
    draft.routes.push({ route, functionId, condition, uri: integrationUri(target) });
    return !covered;
  }

  /** Writes every API that is declared or has a route. */
  emitAll(context: SamContext): void {
    for (const draft of this.#drafts.values()) {
      const implicit = draft.source.logicalId === implicitHttpApi && !context.input.has(implicitHttpApi);
      if (implicit && draft.routes.length === 0) continue;
      try {
        emitApi(context, draft, implicit);
      } catch (error) {
        if (!(error instanceof SamProblem)) throw error;
        context.problems.push(error);
      }
    }
  }
}

function emitApi(context: SamContext, draft: Draft, implicit: boolean): void {
  const { source } = draft;
  const { logicalId, properties } = source;
  const unknown = Object.keys(properties).find((name) => !known.has(name));
  if (unknown !== undefined)
    throw resourceProblem(logicalId, `property ${unknown} not defined for resource of type ${source.type}`);
  if (properties['Domain'] !== undefined) throw unsupported(logicalId, "Property 'Domain'");
  checkKinds(logicalId, properties, {
    Tags: 'map',
    StageVariables: 'map',
    Auth: 'map',
    RouteSettings: 'map',
    DefaultRouteSettings: 'map',
    AccessLogSettings: 'map',
    DefinitionBody: 'map',
    FailOnWarnings: 'boolean',
    DisableExecuteApiEndpoint: 'boolean',
  });
  if (properties['DefinitionBody'] !== undefined && properties['DefinitionUri'] !== undefined) {
    throw resourceProblem(logicalId, "Specify either 'DefinitionUri' or 'DefinitionBody' property and not both.");
  }
  const inlineOnly = settings.find(
    (name) => properties['DefinitionUri'] !== undefined && properties[name] !== undefined,
  );
  if (inlineOnly !== undefined) {
    const name = inlineOnly === 'CorsConfiguration' ? 'Cors' : inlineOnly;
    throw resourceProblem(
      logicalId,
      `${name} works only with inline OpenApi specified in the 'DefinitionBody' property.`,
    );
  }
  const attributes = implicit ? withCondition(context, draft) : source.attributes;
  const owned: SamResource = { ...source, attributes };
  const auth = properties['Auth'];
  const authorizing = authorizers(logicalId, isObject(auth) ? auth : undefined);
  const body = properties['DefinitionUri'] === undefined ? definition(context, draft, authorizing) : undefined;
  const tags =
    body === undefined ? undefined : { ...(properties['Tags'] as JsonObject | undefined), 'httpapi:createdBy': 'SAM' };
  const api = resource(
    'AWS::ApiGatewayV2::Api',
    {
      Body: body,
      BodyS3Location: s3Location(logicalId, properties['DefinitionUri']),
      FailOnWarnings: properties['FailOnWarnings'],
    },
    attributes,
  );
  emit(context, owned, logicalId, api);
  for (const [id, permission] of authorizerPermissions(logicalId, authorizing)) {
    emit(context, owned, id, { ...permission, ...passedOn(owned) });
  }
  const stageName = properties['StageName'] ?? '$default';
  const stageId =
    stageName === '$default'
      ? `${logicalId}ApiGatewayDefaultStage`
      : typeof stageName === 'string' && /^[A-Za-z0-9]+$/.test(stageName)
        ? `${logicalId}${stageName}Stage`
        : idWithName(`${logicalId}Stage`, typeof stageName === 'string' ? stageName : '');
  emit(
    context,
    owned,
    stageId,
    resource(
      'AWS::ApiGatewayV2::Stage',
      {
        ApiId: ref(logicalId),
        StageName: stageName,
        StageVariables: properties['StageVariables'],
        AccessLogSettings: properties['AccessLogSettings'],
        DefaultRouteSettings: properties['DefaultRouteSettings'],
        RouteSettings: routeSettings(draft),
        Tags: tags,
        AutoDeploy: true,
      },
      passedOn(owned),
    ),
  );
  context.referable.set(`${logicalId}.Stage`, stageId);
}

/** What the transform writes into the OpenAPI document. */
const settings = ['CorsConfiguration', 'Auth', 'Tags', 'Description', 'Name', 'DisableExecuteApiEndpoint'];

/** The OpenAPI document: the user's, or one made of the routes. */
function definition(context: SamContext, draft: Draft, authorizing: Authorizers): JsonObject {
  const { logicalId, properties } = draft.source;
  const given = properties['DefinitionBody'];
  const valid =
    given === undefined ||
    (isObject(given) && isObject(given['paths']) && /^\s*["']?3/.test(String(given['openapi'] ?? '')));
  const wanting = settings.find((name) => properties[name] !== undefined);
  if (!valid) {
    if (!isObject(given)) throw resourceProblem(logicalId, "Property 'DefinitionBody' should be a map.");
    if (wanting === undefined && draft.routes.length === 0) return given;
    throw resourceProblem(
      logicalId,
      `Unable to add ${wanting ?? 'routes'} because 'DefinitionBody' does not contain a valid OpenApi definition.`,
    );
  }
  const base = (given ?? {
    openapi: '3.0.1',
    info: { version: '1.0', title: ref('AWS::StackName') },
    paths: {},
  }) as JsonObject;
  checkKinds(logicalId, base, { tags: 'list of maps', components: 'map', info: 'map', servers: 'list of maps' });
  const document: MutableObject = structuredClone(base) as MutableObject;
  document['paths'] = paths(context, draft, authorizing, base['paths'] as JsonObject);
  const cors = corsOf(logicalId, resolveParameters(properties['CorsConfiguration'] ?? false, context.parameters));
  if (cors)
    document['x-amazon-apigateway-cors'] = { ...(base['x-amazon-apigateway-cors'] as JsonObject | undefined), ...cors };
  if (authorizing.schemes.size > 0) {
    const components = (base['components'] ?? {}) as JsonObject;
    const schemes = (components['securitySchemes'] ?? {}) as JsonObject;
    document['components'] = {
      ...components,
      securitySchemes: { ...schemes, ...Object.fromEntries(authorizing.schemes) },
    };
  }
  const tags: JsonObject = { ...(properties['Tags'] as JsonObject | undefined), 'httpapi:createdBy': 'SAM' };
  const own = (base['tags'] ?? []) as readonly JsonObject[];
  const value = 'x-amazon-apigateway-tag-value';
  document['tags'] = [
    ...own.map((tag) =>
      Object.hasOwn(tags, String(tag['name'])) ? { ...tag, [value]: tags[String(tag['name'])] as Json } : tag,
    ),
    ...Object.keys(tags)
      .filter((name) => !own.some((tag) => tag['name'] === name))
      .map((name) => ({ name, [value]: tags[name] as Json })),
  ];
  const info: MutableObject = { ...(base['info'] as JsonObject | undefined) };
  if (properties['Name'] !== undefined) info['title'] = properties['Name'];
  if (properties['Description'] !== undefined) info['description'] = properties['Description'];
  if (Object.keys(info).length > 0) document['info'] = info;
  if (properties['DisableExecuteApiEndpoint'] !== undefined) {
    const endpoint = { disableExecuteApiEndpoint: properties['DisableExecuteApiEndpoint'] };
    const servers = (base['servers'] ?? [{}]) as readonly JsonObject[];
    document['servers'] = servers.map((server) => ({
      ...server,
      'x-amazon-apigateway-endpoint-configuration': {
        ...(server['x-amazon-apigateway-endpoint-configuration'] as JsonObject | undefined),
        ...endpoint,
      },
    }));
  }
  if (properties['FailOnWarnings'] === true) renameDefaultPath(document);
  return document;
}

/** The routes and what the document had; a path of which every method has a condition gets one itself. */
function paths(context: SamContext, draft: Draft, authorizing: Authorizers, given: JsonObject): JsonObject {
  const result = addPaths(given, draft.routes, authorizing);
  if (!draft.managed) return result;
  for (const [path, item] of Object.entries(result)) {
    const conditions = new Set(
      draft.routes.filter(({ route }) => route.path === path).map(({ condition }) => condition as string | undefined),
    );
    if (conditions.has(undefined) || conditions.size === 0) continue;
    const name = `${draft.source.logicalId}${path.replace(/\//g, 'SLASH').replace(/\{/g, 'OB').replace(/\}/g, 'CB')}PathCondition`;
    result[path] = when(oneOf(context, [...conditions] as string[], name), item);
  }
  return result;
}

/** The implicit API exists where one of its routes does: if all have conditions, under one of them. */
function withCondition(context: SamContext, draft: Draft): JsonObject {
  const functions = draft.routes.map(({ functionId }) => context.input.get(functionId) as SamResource);
  const attributes: MutableObject = {};
  const conditions = new Set(draft.routes.map(({ condition }) => condition as string | undefined));
  if (!conditions.has(undefined))
    attributes['Condition'] = oneOf(context, [...conditions] as string[], 'ServerlessHttpApiCondition');
  for (const [name, order] of [
    ['DeletionPolicy', ['Retain', 'Delete']],
    ['UpdateReplacePolicy', ['Retain', 'Snapshot', 'Delete']],
  ] as const) {
    const policy = order.find((value) => functions.some((f) => f.attributes[name] === value));
    if (policy !== undefined) attributes[name] = policy;
  }
  return attributes;
}

/** A condition that holds where one of these does; two or more need a condition of their own. */
function oneOf(context: SamContext, conditions: readonly string[], name: string): string {
  if (conditions.length === 1) return conditions[0] as string;
  if (conditions.length > 10)
    throw resourceProblem(implicitHttpApi, 'More than 10 different conditions on its routes are not supported here.');
  context.conditions[name] = { 'Fn::Or': [...conditions].sort().map((condition) => ({ Condition: condition })) };
  return name;
}

function routeSettings(draft: Draft): Json | undefined {
  const settings: MutableObject = { ...(draft.source.properties['RouteSettings'] as JsonObject | undefined) };
  for (const { route, condition } of draft.routes) {
    if (route.routeSettings === undefined) continue;
    const key = route.method === anyMethod ? route.path : `${route.method.toUpperCase()} ${route.path}`;
    const own = when(condition, route.routeSettings);
    settings[key] = { ...(settings[key] as JsonObject | undefined), ...(own as JsonObject) };
  }
  return Object.keys(settings).length === 0 ? undefined : settings;
}

const corsKeys = ['AllowOrigins', 'AllowHeaders', 'AllowMethods', 'ExposeHeaders', 'MaxAge', 'AllowCredentials'];

function corsOf(logicalId: string, value: Json): JsonObject | undefined {
  if (value === false) return undefined;
  if (value === true) return { allowOrigins: ['*'] };
  if (isIntrinsic(value))
    return JSON.parse(corsKeys.reduce((text, key) => text.replaceAll(key, lowerFirst(key)), JSON.stringify(value)));
  if (!isObject(value)) throw resourceProblem(logicalId, "Invalid value for 'Cors' property.");
  const unknown = Object.keys(value).find((key) => !corsKeys.includes(key));
  if (unknown !== undefined) throw resourceProblem(logicalId, `Invalid key '${unknown}' for 'Cors' property.`);
  const origins = value['AllowOrigins'];
  if (value['AllowCredentials'] === true && isList(origins) && origins.length === 1 && origins[0] === '*') {
    throw resourceProblem(
      logicalId,
      "Unable to add Cors configuration because 'AllowCredentials' can not be true when 'AllowOrigin' is \"'*'\" or not set.",
    );
  }
  const result: MutableObject = {};
  for (const key of corsKeys) {
    const item = value[key];
    if (item !== undefined && (key !== 'AllowCredentials' || item === true)) result[lowerFirst(key)] = item;
  }
  return result;
}

function renameDefaultPath(document: MutableObject): void {
  const { $default: fallback, ...others } = document['paths'] as JsonObject;
  if (fallback !== undefined) document['paths'] = { ...others, '/$default': fallback };
}

function s3Location(logicalId: string, uri: Json | undefined): JsonObject | undefined {
  if (uri === undefined) return undefined;
  if (isObject(uri)) {
    if (uri['Bucket'] === undefined || uri['Key'] === undefined) {
      throw resourceProblem(logicalId, "'DefinitionUri' requires Bucket and Key properties to be specified.");
    }
    return uri;
  }
  const match = /^s3:\/\/([^/?]+)\/([^?]+)(?:\?versionId=([^&]+))?$/.exec(String(uri));
  if (!match) {
    throw resourceProblem(
      logicalId,
      "'DefinitionUri' is not a valid S3 Uri of the form 's3://bucket/key' with optional versionId query parameter.",
    );
  }
  const [, Bucket, Key, Version] = match as unknown as [string, string, string, string | undefined];
  return { Bucket, Key, ...(Version !== undefined && { Version }) };
}

/** The Lambda proxy's address in an OpenAPI document; the function is a GetAtt of its ARN, or the Ref of an alias. */
function integrationUri(target: Json): JsonObject {
  const [id, attribute] = isGetAtt(target)
    ? ((target as JsonObject)['Fn::GetAtt'] as readonly string[])
    : [(target as JsonObject)['Ref'] as string];
  const name = attribute === undefined ? id : `${id}.${attribute}`;
  return {
    'Fn::Sub':
      `arn:\${AWS::Partition}:apigateway:\${AWS::Region}:lambda:path/2015-03-31/functions/` + `\${${name}}/invocations`,
  };
}

function isGetAtt(target: Json): boolean {
  return isObject(target) && target['Fn::GetAtt'] !== undefined;
}

function normalMethod(name: string): string {
  const lower = name.toLowerCase();
  return lower === 'any' ? anyMethod : lower;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
