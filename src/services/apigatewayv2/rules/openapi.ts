import { parse } from 'yaml';
import { isObject } from '../../../platform/http/response.ts';
import type { Cors } from '../../../wire/types/apigatewayv2.ts';
import { badRequest, notBuilt } from '../errors.ts';
import type { Configuration } from '../state.ts';
import { authorizerOf, routeAuthorization } from './authorizers.ts';
import { checkCors } from './cors.ts';
import { integrationOf } from './integrations.ts';
import { checkRouteKeyFree, parseRouteKey } from './route-keys.ts';

type Json = Record<string, unknown>;

/** What an OpenAPI 3 document says about an HTTP API. */
export interface Imported {
  readonly name: string;
  readonly description: string | undefined;
  readonly version: string | undefined;
  readonly disableExecuteApiEndpoint: boolean | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly configuration: Configuration;
  readonly warnings: readonly string[];
}

export interface ImportOptions {
  /** JSON or YAML. */
  readonly body: string;
  /** `ignore` (default), `prepend` or `split`: what becomes of the servers' base path. */
  readonly basepath: string | undefined;
  readonly newId: () => string;
  /** Ids of routes that are there already, by key: a route keeps its id over an import. */
  readonly routeIds?: ReadonlyMap<string, string>;
}

const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'x-amazon-apigateway-any-method'];

/**
 * Reads a document as ImportApi does
 * (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html and the pages of its extensions).
 */
export function importOpenApi(options: ImportOptions): Imported {
  const document = readDocument(options.body);
  const warnings: string[] = [];
  const info = objectAt(document, 'info');
  const title = info['title'];
  if (typeof title !== 'string' || title === '')
    throw badRequest('Invalid OpenAPI input: attribute info.title is missing');
  const { authorizers, byScheme } = readAuthorizers(document, options.newId, warnings);
  const base = basePath(document, options.basepath ?? 'ignore');
  const routes: Record<string, Configuration['routes'][string]> = {};
  const integrations: Record<string, Configuration['integrations'][string]> = {};
  for (const [path, item] of Object.entries(objectAt(document, 'paths'))) {
    if (!isObject(item)) throw badRequest(`Invalid OpenAPI input: the path '${path}' is not an object`);
    for (const method of methods) {
      const operation = item[method];
      if (operation === undefined) continue;
      if (!isObject(operation)) throw badRequest(`Invalid OpenAPI input: ${method} of '${path}' is not an object`);
      const routeKey = routeKeyOf(method, path, base, operation);
      parseRouteKey(routeKey);
      checkRouteKeyFree(
        routeKey,
        Object.values(routes).map((route) => route.RouteKey),
      );
      const routeId = options.routeIds?.get(routeKey) ?? options.newId();
      const given = integrationAt(document, operation, routeKey);
      let target: string | undefined;
      if (given === undefined) warnings.push(`No integration is defined for the route ${routeKey}`);
      else {
        const integration = readIntegration(given, options.newId());
        integrations[integration.IntegrationId] = integration;
        target = `integrations/${integration.IntegrationId}`;
      }
      const operationId = operation['operationId'];
      routes[routeId] = {
        RouteId: routeId,
        RouteKey: routeKey,
        ApiKeyRequired: false,
        ...(target === undefined ? {} : { Target: target }),
        ...(typeof operationId === 'string' ? { OperationName: operationId } : {}),
        ...routeAuthorization(securityOf(document, operation, byScheme, routeKey), authorizers),
      };
    }
  }
  const cors = readCors(document['x-amazon-apigateway-cors']);
  const { description, version } = info;
  return {
    name: title,
    description: typeof description === 'string' ? description : undefined,
    version: version === undefined ? undefined : String(version),
    disableExecuteApiEndpoint: disabledEndpoint(document),
    tags: readTags(document['tags']),
    configuration: { routes, integrations, authorizers, ...(cors === undefined ? {} : { cors }) },
    warnings,
  };
}

function readDocument(body: string): Json {
  let document: unknown;
  try {
    document = parse(body, { maxAliasCount: 100 });
  } catch (error) {
    throw badRequest(
      `Unable to parse API definition because of a malformed integration or syntax: ${(error as Error).message}`,
    );
  }
  if (!isObject(document)) throw badRequest('Invalid OpenAPI input: the document is not an object');
  if (!/^3\.0(\.|$)/.test(String(document['openapi'] ?? ''))) {
    if (document['swagger'] !== undefined) throw badRequest('Only OpenAPI 3 documents can be imported as HTTP APIs');
    if (!String(document['openapi'] ?? '').startsWith('3.'))
      throw badRequest('Invalid OpenAPI input: attribute openapi is missing or is not 3.0');
  }
  return document;
}

function routeKeyOf(method: string, path: string, base: string, operation: Json): string {
  if (path === '$default' || path === '/$default') return '$default';
  if (operation['isDefaultRoute'] === true && method === 'x-amazon-apigateway-any-method' && path === '/')
    return '$default';
  const verb = method === 'x-amazon-apigateway-any-method' ? 'ANY' : method.toUpperCase();
  return `${verb} ${base === '' ? path : path === '/' ? base : `${base}${path}`}`;
}

function basePath(document: Json, mode: string): string {
  if (mode === 'ignore') return '';
  if (mode !== 'prepend' && mode !== 'split') throw badRequest('Invalid basepath: it must be ignore, prepend or split');
  const servers = document['servers'];
  const server = Array.isArray(servers) ? servers[0] : undefined;
  if (!isObject(server) || typeof server['url'] !== 'string') return '';
  const variables = isObject(server['variables']) ? server['variables'] : {};
  const url = server['url'].replace(/\{(\w+)\}/g, (_, name: string) => {
    const variable = variables[name];
    return isObject(variable) ? String(variable['default'] ?? '') : '';
  });
  const path = URL.canParse(url) ? new URL(url).pathname : url;
  const parts = path.split('/').filter((part) => part !== '');
  const kept = mode === 'split' ? parts.slice(1) : parts;
  return kept.length === 0 ? '' : `/${kept.join('/')}`;
}

function integrationAt(document: Json, operation: Json, routeKey: string): Json | undefined {
  const given = operation['x-amazon-apigateway-integration'];
  if (given === undefined) return undefined;
  if (!isObject(given)) throw badRequest(`Invalid OpenAPI input: the integration of ${routeKey} is not an object`);
  const reference = given['$ref'];
  if (reference === undefined) return given;
  const name = /^#\/components\/x-amazon-apigateway-integrations\/(.+)$/.exec(String(reference))?.[1];
  const shared = objectAt(objectAt(document, 'components'), 'x-amazon-apigateway-integrations');
  const found = name === undefined ? undefined : shared[name];
  if (!isObject(found))
    throw badRequest(`Unable to resolve the reference ${String(reference)} of the route ${routeKey}`);
  return found;
}

function readIntegration(given: Json, id: string): Configuration['integrations'][string] {
  const text = (name: string): string | undefined => (given[name] === undefined ? undefined : String(given[name]));
  const type = (text('type') ?? '').toUpperCase();
  const timeout = given['timeoutInMillis'];
  const requestParameters = given['requestParameters'];
  const responseParameters = given['responseParameters'];
  return integrationOf(id, {
    IntegrationType: type as 'AWS_PROXY',
    IntegrationUri: text('uri'),
    IntegrationMethod: methodOf(text('httpMethod')),
    PayloadFormatVersion: versionText(given['payloadFormatVersion']) ?? '1.0',
    Description: text('description'),
    CredentialsArn: text('credentials'),
    ConnectionType: text('connectionType') as 'INTERNET' | undefined,
    ConnectionId: text('connectionId'),
    IntegrationSubtype: text('integrationSubtype'),
    ...(timeout === undefined ? {} : { TimeoutInMillis: Number(timeout) }),
    ...(isObject(requestParameters) ? { RequestParameters: requestParameters as Record<string, string> } : {}),
    ...(isObject(responseParameters)
      ? { ResponseParameters: responseParameters as Record<string, Record<string, string>> }
      : {}),
  });
}

function methodOf(text: string | undefined): string | undefined {
  return text?.toLowerCase() === 'x-amazon-apigateway-any-method' ? 'ANY' : text?.toUpperCase();
}

/** YAML reads 2.0 as a number. */
function versionText(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  return typeof value === 'number' ? value.toFixed(1) : String(value);
}

interface Scheme {
  readonly type: 'JWT' | 'CUSTOM' | 'AWS_IAM';
  readonly authorizerId: string | undefined;
}

function readAuthorizers(
  document: Json,
  newId: () => string,
  warnings: string[],
): { authorizers: Record<string, Configuration['authorizers'][string]>; byScheme: Map<string, Scheme> } {
  const authorizers: Record<string, Configuration['authorizers'][string]> = {};
  const byScheme = new Map<string, Scheme>();
  const schemes = objectAt(objectAt(document, 'components'), 'securitySchemes');
  for (const [name, scheme] of Object.entries(schemes)) {
    if (!isObject(scheme)) throw badRequest(`Invalid OpenAPI input: the security scheme '${name}' is not an object`);
    if (String(scheme['x-amazon-apigateway-authtype'] ?? '').toLowerCase() === 'awssigv4') {
      byScheme.set(name, { type: 'AWS_IAM', authorizerId: undefined });
      continue;
    }
    const given = scheme['x-amazon-apigateway-authorizer'];
    if (!isObject(given)) {
      warnings.push(`The security scheme ${name} has no x-amazon-apigateway-authorizer and is ignored`);
      continue;
    }
    const authorizerId = newId();
    const type = String(given['type'] ?? '').toLowerCase();
    if (type !== 'jwt' && type !== 'request')
      throw badRequest(`Invalid authorizer type ${type} of the security scheme ${name}`);
    authorizers[authorizerId] = readAuthorizer(authorizerId, name, type, given);
    byScheme.set(name, { type: type === 'jwt' ? 'JWT' : 'CUSTOM', authorizerId });
  }
  return { authorizers, byScheme };
}

function readAuthorizer(id: string, name: string, type: string, given: Json): Configuration['authorizers'][string] {
  const text = (key: string): string | undefined => (given[key] === undefined ? undefined : String(given[key]));
  const identitySource = sources(given['identitySource']);
  if (type === 'jwt') {
    const jwt = isObject(given['jwtConfiguration']) ? given['jwtConfiguration'] : undefined;
    const audience = jwt?.['audience'];
    return authorizerOf(id, {
      Name: name,
      AuthorizerType: 'JWT',
      IdentitySource: identitySource,
      JwtConfiguration:
        jwt === undefined
          ? undefined
          : {
              Issuer: jwt['issuer'] === undefined ? undefined : String(jwt['issuer']),
              Audience: Array.isArray(audience)
                ? audience.map(String)
                : audience === undefined
                  ? []
                  : [String(audience)],
            },
    });
  }
  const ttl = given['authorizerResultTtlInSeconds'];
  return authorizerOf(id, {
    Name: name,
    AuthorizerType: 'REQUEST',
    IdentitySource: identitySource,
    AuthorizerUri: text('authorizerUri'),
    AuthorizerPayloadFormatVersion: versionText(given['authorizerPayloadFormatVersion']),
    AuthorizerCredentialsArn: text('authorizerCredentials'),
    EnableSimpleResponses: given['enableSimpleResponses'] === true,
    ...(ttl === undefined ? {} : { AuthorizerResultTtlInSeconds: Number(ttl) }),
  });
}

function sources(value: unknown): string[] {
  if (value === undefined) return [];
  return Array.isArray(value)
    ? value.map(String)
    : String(value)
        .split(',')
        .map((source) => source.trim());
}

function securityOf(
  document: Json,
  operation: Json,
  byScheme: ReadonlyMap<string, Scheme>,
  routeKey: string,
): { AuthorizationType?: string; AuthorizerId?: string; AuthorizationScopes?: readonly string[] } {
  const security = operation['security'] ?? document['security'];
  const requirement: unknown = Array.isArray(security) ? security[0] : undefined;
  if (!isObject(requirement)) return {};
  if (Array.isArray(security) && security.length > 1)
    throw notBuilt(`More than one security requirement on ${routeKey}`);
  const [name, scopes] = Object.entries(requirement)[0] ?? [];
  if (name === undefined || name === 'NONE') return {};
  const scheme = byScheme.get(name);
  if (scheme === undefined) throw badRequest(`Unable to find the authorizer ${name} that the route ${routeKey} names`);
  if (scheme.authorizerId === undefined) return { AuthorizationType: 'AWS_IAM' };
  const list = Array.isArray(scopes) ? scopes.map(String) : [];
  return {
    AuthorizationType: scheme.type,
    AuthorizerId: scheme.authorizerId,
    ...(scheme.type === 'JWT' && list.length > 0 ? { AuthorizationScopes: list } : {}),
  };
}

function readCors(given: unknown): Cors | undefined {
  if (given === undefined) return undefined;
  // `x-amazon-apigateway-cors: true` is SAM's short form; the service takes objects.
  if (!isObject(given)) throw badRequest('Invalid x-amazon-apigateway-cors: it should be an object');
  const list = (name: string): readonly string[] | undefined => {
    const value = given[name];
    if (value === undefined) return undefined;
    return Array.isArray(value) ? value.map(String) : [String(value)];
  };
  const maxAge = given['maxAge'];
  const credentials = given['allowCredentials'];
  return checkCors({
    ...definedOnly({
      AllowOrigins: list('allowOrigins'),
      AllowMethods: list('allowMethods'),
      AllowHeaders: list('allowHeaders'),
      ExposeHeaders: list('exposeHeaders'),
    }),
    ...(maxAge === undefined ? {} : { MaxAge: Number(maxAge) }),
    ...(credentials === undefined ? {} : { AllowCredentials: credentials === true || credentials === 'true' }),
  });
}

function readTags(given: unknown): Record<string, string> {
  const tags: Record<string, string> = {};
  for (const tag of Array.isArray(given) ? given : []) {
    if (!isObject(tag) || tag['x-amazon-apigateway-tag-value'] === undefined) continue;
    tags[String(tag['name'])] = String(tag['x-amazon-apigateway-tag-value']);
  }
  return tags;
}

function disabledEndpoint(document: Json): boolean | undefined {
  for (const server of Array.isArray(document['servers']) ? document['servers'] : []) {
    const endpoint = isObject(server) ? server['x-amazon-apigateway-endpoint-configuration'] : undefined;
    if (isObject(endpoint) && endpoint['disableExecuteApiEndpoint'] !== undefined) {
      return endpoint['disableExecuteApiEndpoint'] === true || endpoint['disableExecuteApiEndpoint'] === 'true';
    }
  }
  return undefined;
}

function objectAt(parent: Json, name: string): Json {
  const value = parent[name];
  return isObject(value) ? value : {};
}

/** Without the members that are undefined. */
export function definedOnly<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T;
}
