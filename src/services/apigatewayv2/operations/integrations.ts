import type { Handlers } from '../../../platform/service.ts';
import { type Environment, newId } from '../environment.ts';
import { conflict, partNotFound, tooMany } from '../errors.ts';
import { apiGatewayLimits } from '../limits.ts';
import { type IntegrationInput, integrationOf } from '../rules/integrations.ts';
import { patched } from '../rules/stages.ts';
import type { ApiRecord, IntegrationRecord } from '../state.ts';
import { merged, page, sorted, without } from './shared.ts';

type IntegrationOperations = Pick<
  Handlers<'apigatewayv2'>,
  'CreateIntegration' | 'GetIntegration' | 'GetIntegrations' | 'UpdateIntegration' | 'DeleteIntegration'
>;

export function integrationOperations(env: Environment): IntegrationOperations {
  const { random, limits } = env.platform;
  return {
    async CreateIntegration(context, input) {
      const { id, repeatable } = newId(input, 'integration', 7, random);
      return env.change(context, input.ApiId, (api) => {
        const before = api.integrations[id];
        if (repeatable && before !== undefined) return { api, result: () => before };
        if (limits === 'aws' && Object.keys(api.integrations).length >= apiGatewayLimits.integrations.value)
          throw tooMany('Integration');
        const made = integrationOf(id, input);
        return {
          api: { ...api, integrations: { ...api.integrations, [id]: made } },
          deploys: true,
          result: () => made,
        };
      });
    },

    async GetIntegration(context, { ApiId, IntegrationId }) {
      return found(await env.read(context, ApiId), IntegrationId);
    },

    async GetIntegrations(context, input) {
      const api = await env.read(context, input.ApiId);
      return page(sorted(api.integrations), (integration) => integration.IntegrationId, input);
    },

    async UpdateIntegration(context, input) {
      const { ApiId, IntegrationId, RequestParameters, ResponseParameters, ...patch } = input;
      return env.change(context, ApiId, (api) => {
        const { ApiGatewayManaged, IntegrationMethod, ...before } = found(api, IntegrationId);
        const type = patch.IntegrationType ?? before.IntegrationType;
        const next: IntegrationInput = {
          ...merged({ ...before, ...(type === 'HTTP_PROXY' ? { IntegrationMethod } : {}) }, patch),
          RequestParameters: patched(before.RequestParameters, RequestParameters),
          ResponseParameters: patched(before.ResponseParameters, ResponseParameters),
        };
        const made = integrationOf(IntegrationId, next, ApiGatewayManaged === true);
        const integrations = { ...api.integrations, [IntegrationId]: made };
        return { api: { ...api, integrations }, deploys: true, result: () => made };
      });
    },

    async DeleteIntegration(context, { ApiId, IntegrationId }) {
      await env.change(context, ApiId, (api) => {
        found(api, IntegrationId);
        const user = Object.values(api.routes).find((route) => route.Target === `integrations/${IntegrationId}`);
        if (user !== undefined)
          throw conflict(`Cannot delete Integration '${IntegrationId}': the Route with key ${user.RouteKey} uses it`);
        const integrations = without(api.integrations, IntegrationId);
        return { api: { ...api, integrations }, deploys: true, result: () => undefined };
      });
    },
  };
}

function found(api: ApiRecord, id: string): IntegrationRecord {
  const integration = api.integrations[id];
  if (integration === undefined) throw partNotFound('Integration', id);
  return integration;
}
