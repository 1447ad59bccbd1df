import type { Handlers } from '../../../platform/service.ts';
import type { CreateRouteRequest, UpdateRouteRequest } from '../../../wire/types/apigatewayv2.ts';
import { type Environment, newId } from '../environment.ts';
import { badRequest, partNotFound, tooMany } from '../errors.ts';
import { apiGatewayLimits } from '../limits.ts';
import { routeAuthorization } from '../rules/authorizers.ts';
import { checkRouteKeyFree, parseRouteKey } from '../rules/route-keys.ts';
import type { ApiRecord, RouteRecord } from '../state.ts';
import { page, sorted, without } from './shared.ts';

type RouteOperations = Pick<
  Handlers<'apigatewayv2'>,
  'CreateRoute' | 'GetRoute' | 'GetRoutes' | 'UpdateRoute' | 'DeleteRoute'
>;

export function routeOperations(env: Environment): RouteOperations {
  const { random, limits } = env.platform;
  return {
    async CreateRoute(context, input) {
      const { id, repeatable } = newId(input, 'route', 7, random);
      return env.change(context, input.ApiId, (api) => {
        const before = api.routes[id];
        if (repeatable && before !== undefined) return { api, result: () => before };
        if (limits === 'aws' && Object.keys(api.routes).length >= apiGatewayLimits.routes.value) throw tooMany('Route');
        const route = routeOf(id, input, api);
        return { api: { ...api, routes: { ...api.routes, [id]: route } }, deploys: true, result: () => route };
      });
    },

    async GetRoute(context, { ApiId, RouteId }) {
      return found(await env.read(context, ApiId), RouteId);
    },

    async GetRoutes(context, input) {
      const api = await env.read(context, input.ApiId);
      return page(sorted(api.routes), (route) => route.RouteId, input);
    },

    async UpdateRoute(context, input) {
      return env.change(context, input.ApiId, (api) => {
        const before = found(api, input.RouteId);
        const others = without(api.routes, input.RouteId);
        const route = routeOf(input.RouteId, patchedRoute(before, input), { ...api, routes: others });
        const kept = before.ApiGatewayManaged === true ? { ...route, ApiGatewayManaged: true } : route;
        return { api: { ...api, routes: { ...others, [input.RouteId]: kept } }, deploys: true, result: () => kept };
      });
    },

    async DeleteRoute(context, { ApiId, RouteId }) {
      await env.change(context, ApiId, (api) => {
        const { RouteKey } = found(api, RouteId);
        // Settings of a stage for a route that is gone would keep the stage from ever being updated.
        const stages = Object.fromEntries(
          Object.entries(api.stages).map(([name, stage]) => [
            name,
            { ...stage, RouteSettings: without(stage.RouteSettings ?? {}, RouteKey) },
          ]),
        );
        return {
          api: { ...api, stages, routes: without(api.routes, RouteId) },
          deploys: true,
          result: () => undefined,
        };
      });
    },
  };
}

function found(api: ApiRecord, routeId: string): RouteRecord {
  const route = api.routes[routeId];
  if (route === undefined) throw partNotFound('Route', routeId);
  return route;
}

/** A new authorization type without an authorizer, and NONE, drop the authorizer and the scopes of before. */
function patchedRoute(before: RouteRecord, input: UpdateRouteRequest): Omit<CreateRouteRequest, 'ApiId'> {
  const type = input.AuthorizationType ?? before.AuthorizationType;
  return {
    ...input,
    RouteKey: input.RouteKey ?? before.RouteKey,
    Target: input.Target ?? before.Target,
    OperationName: input.OperationName ?? before.OperationName,
    AuthorizationType: type,
    AuthorizerId: type === 'NONE' ? undefined : (input.AuthorizerId ?? before.AuthorizerId),
    AuthorizationScopes:
      type === 'JWT' ? (input.AuthorizationScopes ?? before.AuthorizationScopes) : input.AuthorizationScopes,
  };
}

/** Checks a route against the API it joins. Words: recorded in cdk-preflight (pf-apigwv2-route-*). */
function routeOf(id: string, input: Omit<CreateRouteRequest, 'ApiId'>, api: ApiRecord): RouteRecord {
  if (input.ApiKeyRequired === true) throw badRequest('ApiKeyRequired is not currently supported for HTTP APIs.');
  for (const name of [
    'ModelSelectionExpression',
    'RequestModels',
    'RequestParameters',
    'RouteResponseSelectionExpression',
  ] as const) {
    if (input[name] !== undefined) throw badRequest(`${name} is not currently supported for HTTP APIs.`);
  }
  parseRouteKey(input.RouteKey);
  checkRouteKeyFree(
    input.RouteKey,
    Object.values(api.routes).map((route) => route.RouteKey),
  );
  const target = input.Target || undefined;
  if (target !== undefined) checkTarget(target, api);
  return {
    RouteId: id,
    RouteKey: input.RouteKey,
    ApiKeyRequired: false,
    ...(target === undefined ? {} : { Target: target }),
    ...(input.OperationName ? { OperationName: input.OperationName } : {}),
    ...routeAuthorization(input, api.authorizers),
  };
}

function checkTarget(target: string, api: ApiRecord): void {
  const match = /^integrations\/([^/]+)$/.exec(target);
  if (match === null)
    throw badRequest(
      'Unexpected or malformed target in route. Correct format should be integrations/<integration_id>.',
    );
  if (api.integrations[match[1]!] === undefined) throw partNotFound('Integration', match[1]!);
}
