import type { Handlers } from '../../../platform/service.ts';
import { type Environment, newId } from '../environment.ts';
import { conflict, partNotFound, tooMany } from '../errors.ts';
import { apiGatewayLimits } from '../limits.ts';
import { type AuthorizerInput, authorizerOf } from '../rules/authorizers.ts';
import type { ApiRecord, AuthorizerRecord } from '../state.ts';
import { merged, page, sorted, without } from './shared.ts';

type AuthorizerOperations = Pick<
  Handlers<'apigatewayv2'>,
  | 'CreateAuthorizer'
  | 'GetAuthorizer'
  | 'GetAuthorizers'
  | 'UpdateAuthorizer'
  | 'DeleteAuthorizer'
  | 'ResetAuthorizersCache'
>;

export function authorizerOperations(env: Environment): AuthorizerOperations {
  const { random, limits } = env.platform;
  return {
    async CreateAuthorizer(context, input) {
      const { id, repeatable } = newId(input, 'authorizer', 6, random);
      return env.change(context, input.ApiId, (api) => {
        const before = api.authorizers[id];
        if (repeatable && before !== undefined) return { api, result: () => before };
        if (limits === 'aws' && Object.keys(api.authorizers).length >= apiGatewayLimits.authorizers.value)
          throw tooMany('Authorizer');
        const made = authorizerOf(id, input);
        return { api: { ...api, authorizers: { ...api.authorizers, [id]: made } }, deploys: true, result: () => made };
      });
    },

    async GetAuthorizer(context, { ApiId, AuthorizerId }) {
      return found(await env.read(context, ApiId), AuthorizerId);
    },

    async GetAuthorizers(context, input) {
      const api = await env.read(context, input.ApiId);
      return page(sorted(api.authorizers), (authorizer) => authorizer.AuthorizerId, input);
    },

    async UpdateAuthorizer(context, input) {
      const { ApiId, AuthorizerId, JwtConfiguration, ...patch } = input;
      return env.change(context, ApiId, (api) => {
        const before = found(api, AuthorizerId);
        const jwt =
          JwtConfiguration === undefined
            ? before.JwtConfiguration
            : merged(before.JwtConfiguration ?? {}, JwtConfiguration);
        const next = {
          ...merged(before, patch),
          ...(jwt === undefined ? {} : { JwtConfiguration: jwt }),
        } as AuthorizerInput;
        const made = authorizerOf(AuthorizerId, next);
        const authorizers = { ...api.authorizers, [AuthorizerId]: made };
        return { api: { ...api, authorizers }, deploys: true, result: () => made };
      });
    },

    async DeleteAuthorizer(context, { ApiId, AuthorizerId }) {
      await env.change(context, ApiId, (api) => {
        found(api, AuthorizerId);
        const user = Object.values(api.routes).find((route) => route.AuthorizerId === AuthorizerId);
        if (user !== undefined)
          throw conflict(`Cannot delete Authorizer '${AuthorizerId}': the Route with key ${user.RouteKey} uses it`);
        return {
          api: { ...api, authorizers: without(api.authorizers, AuthorizerId) },
          deploys: true,
          result: () => undefined,
        };
      });
    },

    async ResetAuthorizersCache(context, { ApiId, StageName }) {
      await env.change(context, ApiId, (api) => {
        const stage = api.stages[StageName];
        if (stage === undefined) throw partNotFound('Stage', StageName);
        const next = { ...stage, cacheGeneration: (stage.cacheGeneration ?? 0) + 1 };
        return { api: { ...api, stages: { ...api.stages, [StageName]: next } }, result: () => undefined };
      });
    },
  };
}

function found(api: ApiRecord, id: string): AuthorizerRecord {
  const authorizer = api.authorizers[id];
  if (authorizer === undefined) throw partNotFound('Authorizer', id);
  return authorizer;
}
