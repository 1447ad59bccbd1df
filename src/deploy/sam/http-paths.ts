import { isList, isObject, type Json, type JsonObject, type MutableObject, member } from '../json.ts';
import type { Authorizers } from './http-auth.ts';
import { checkKinds } from './kinds.ts';
import { isIntrinsic, when } from './values.ts';

/** ANY, in an OpenAPI document for API Gateway. */
export const anyMethod = 'x-amazon-apigateway-any-method';

const integrationKey = 'x-amazon-apigateway-integration';

/** A route of an API, as an event declares it. */
export interface Route {
  readonly apiId: string;
  readonly path: string;
  /** In lower case; `x-amazon-apigateway-any-method` for ANY. */
  readonly method: string;
  readonly auth: JsonObject | undefined;
  readonly timeoutInMillis: Json | undefined;
  readonly payloadFormatVersion: Json | undefined;
  readonly routeSettings: Json | undefined;
}

/** A route with the function that it leads to. */
export interface BoundRoute {
  readonly route: Route;
  readonly functionId: string;
  /** Of the function. */
  readonly condition: Json | undefined;
  /** The Lambda proxy's address. */
  readonly uri: Json;
}

/**
 * Adds routes to the `paths` of an OpenAPI document, which may have some already, behind Fn::If too. Where the document
 * says already where a route leads, that stands; timeouts, authorizers and parameters of the event are added.
 */
export function addPaths(given: JsonObject, routes: readonly BoundRoute[], authorizing: Authorizers): MutableObject {
  const paths = structuredClone(given) as MutableObject;
  for (const bound of routes) {
    const { path } = bound.route;
    if (!isObject(member(paths, path))) paths[path] = {};
    addRoute(contents(paths[path]), bound, authorizing);
  }
  if (authorizing.defaultName !== undefined) {
    for (const item of Object.values(paths).flatMap(contents)) secureByDefault(item, authorizing);
  }
  return paths;
}

function addRoute(items: readonly MutableObject[], bound: BoundRoute, authorizing: Authorizers): void {
  const { route, condition, uri } = bound;
  const leads = items.every((item) => {
    const definitions = contents(member(item, route.method));
    return definitions.length > 0 && definitions.every((definition) => definition[integrationKey] !== undefined);
  });
  for (const item of items) {
    if (!leads) {
      const written = member(item, route.method);
      const definition: MutableObject = isObject(written) && !isIntrinsic(written) ? { ...written } : {};
      const integration = {
        type: 'aws_proxy',
        httpMethod: 'POST',
        payloadFormatVersion: '2.0',
        uri: when(condition, uri),
      };
      definition[integrationKey] = integration;
      if (route.path === '$default' && route.method === anyMethod) definition['isDefaultRoute'] = true;
      definition['responses'] ??= {};
      item[route.method] = when(condition, definition);
    }
    for (const definition of contents(member(item, route.method))) addSettings(definition, bound, authorizing);
  }
}

function addSettings(definition: MutableObject, { route, functionId }: BoundRoute, authorizing: Authorizers): void {
  if (definition[integrationKey] === undefined) return;
  checkKinds(route.apiId, definition, {
    [integrationKey]: 'map',
    parameters: 'list of maps',
    security: 'list of maps',
  });
  const integration = definition[integrationKey] as MutableObject;
  const security = authorizing.ofRoute(functionId, route);
  if (security) definition['security'] = [...((definition['security'] ?? []) as readonly Json[]), ...security];
  if (route.timeoutInMillis !== undefined) integration['timeoutInMillis'] = route.timeoutInMillis;
  if (route.payloadFormatVersion !== undefined) integration['payloadFormatVersion'] = route.payloadFormatVersion;
  const names = [...route.path.matchAll(/\{(.*?)\}/g)].map((match) => match[1] as string);
  if (names.length === 0) return;
  const parameters = [...((definition['parameters'] ?? []) as readonly JsonObject[])];
  for (const name of names) {
    const at = parameters.findIndex((parameter) => parameter['name'] === name);
    const parameter = { ...parameters[at], name, in: 'path', required: true };
    if (at === -1) parameters.push(parameter);
    else parameters[at] = parameter;
  }
  definition['parameters'] = parameters;
}

function secureByDefault(item: MutableObject, authorizing: Authorizers): void {
  for (const [name, value] of Object.entries(item)) {
    if (name === 'options' || name === 'parameters') continue;
    for (const definition of contents(value)) {
      const secured = isList(definition['security']) && definition['security'].length > 0;
      if (definition[integrationKey] !== undefined && !secured) definition['security'] = authorizing.byDefault();
    }
  }
}

/** The objects that a value may be: itself, or those in the branches of an Fn::If. */
function contents(value: Json | undefined): readonly MutableObject[] {
  if (!isObject(value)) return [];
  const choice = member(value, 'Fn::If');
  if (isList(choice)) return choice.slice(1).flatMap(contents);
  return isIntrinsic(value) ? [] : [value as MutableObject];
}
