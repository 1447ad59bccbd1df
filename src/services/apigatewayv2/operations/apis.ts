import { prefixRange } from '../../../kernel/store/keys.ts';
import type { RequestContext } from '../../../platform/context.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { CreateApiRequest, UpdateApiRequest } from '../../../wire/types/apigatewayv2.ts';
import { type Environment, newId } from '../environment.ts';
import { badRequest, notBuilt } from '../errors.ts';
import { checkCors } from '../rules/cors.ts';
import { integrationOf } from '../rules/integrations.ts';
import { definedOnly, type Imported, importOpenApi } from '../rules/openapi.ts';
import { checkRouteKeyFree, parseRouteKey } from '../rules/route-keys.ts';
import { autoDeployed } from '../rules/stages.ts';
import { type ApiRecord, apiKey, decode, encode, ownedBy, ownerKey, readApi } from '../state.ts';
import { apiShape, checkTags, page } from './shared.ts';

type ApiOperations = Pick<
  Handlers<'apigatewayv2'>,
  | 'CreateApi'
  | 'GetApi'
  | 'GetApis'
  | 'UpdateApi'
  | 'DeleteApi'
  | 'DeleteCorsConfiguration'
  | 'ImportApi'
  | 'ReimportApi'
>;

export function apiOperations(env: Environment): ApiOperations {
  const { store, clock, random } = env.platform;

  /** Stores a new API, or finds what an earlier attempt of the same step stored. */
  async function create(
    context: RequestContext,
    input: object,
    make: (apiId: string) => ApiRecord,
  ): Promise<ApiRecord> {
    const { id, repeatable } = newId(input, 'api', 10, random);
    const before = repeatable ? await readApi(store, id) : undefined;
    if (before !== undefined) return before.record;
    const api = make(id);
    const { ok } = await store.commit({
      checks: [{ key: apiKey(id), version: null }],
      set: [
        { key: apiKey(id), value: encode(api) },
        { key: ownerKey(context.account, context.region, id), value: Buffer.alloc(0) },
      ],
    });
    env.directory.forget(id);
    if (ok) return api;
    if (repeatable) return env.read(context, id);
    throw new AwsError('TooManyRequestsException', 'Please try again.', { status: 429 });
  }

  const emptyApi = (context: RequestContext, apiId: string, name: string): ApiRecord => ({
    apiId,
    account: context.account,
    region: context.region,
    name,
    createdAtMs: clock.now(),
    disableExecuteApiEndpoint: false,
    ipAddressType: 'ipv4',
    tags: {},
    stages: {},
    deployments: {},
    routes: {},
    integrations: {},
    authorizers: {},
  });

  return {
    async CreateApi(context, input) {
      checkApi(input);
      if (!input.Name) throw badRequest('Invalid API name specified');
      if (input.Target === undefined && (input.RouteKey !== undefined || input.CredentialsArn !== undefined))
        throw badRequest('Target must be set where RouteKey or CredentialsArn is');
      const api = await create(context, input, (apiId) => {
        const bare: ApiRecord = {
          ...emptyApi(context, apiId, input.Name),
          ...definedOnly({
            description: input.Description,
            version: input.Version,
            cors: input.CorsConfiguration === undefined ? undefined : checkCors(input.CorsConfiguration),
            disableExecuteApiEndpoint: input.DisableExecuteApiEndpoint ?? false,
            ipAddressType: input.IpAddressType ?? ('ipv4' as const),
            tags: checkTags(input.Tags ?? {}),
          }),
        } as ApiRecord;
        return input.Target === undefined ? bare : quickCreated(env, bare, input, clock.now());
      });
      return apiShape(api, context);
    },

    async GetApi(context, { ApiId }) {
      return apiShape(await env.read(context, ApiId), context);
    },

    async GetApis(context, input) {
      const prefix = ownedBy(context.account, context.region);
      const owned = await store.list(prefixRange(prefix));
      const entries = await store.getMany(owned.map(({ key }) => apiKey(idAfter(key, prefix))));
      const apis = entries.flatMap((entry) => (entry === undefined ? [] : [decode<ApiRecord>(entry.value)]));
      const { Items, ...more } = page(apis, (api) => api.apiId, input);
      return { Items: Items.map((api) => apiShape(api, context)), ...more };
    },

    async UpdateApi(context, input) {
      checkApi(input);
      if (input.Name === '') throw badRequest('Invalid API name specified');
      return env.change(context, input.ApiId, (api) => {
        const cleared = (text: string | undefined, before: string | undefined): string | undefined =>
          text === undefined ? before : text === '' ? undefined : text;
        const { description: _description, version: _version, ...rest } = api;
        let next = {
          ...rest,
          ...definedOnly({
            name: input.Name ?? api.name,
            description: cleared(input.Description, api.description),
            version: cleared(input.Version, api.version),
            disableExecuteApiEndpoint: input.DisableExecuteApiEndpoint ?? api.disableExecuteApiEndpoint,
            ipAddressType: input.IpAddressType ?? api.ipAddressType,
            cors: input.CorsConfiguration === undefined ? api.cors : checkCors(input.CorsConfiguration),
          }),
        } as ApiRecord;
        if (input.Target !== undefined || input.RouteKey !== undefined || input.CredentialsArn !== undefined)
          next = quickUpdated(next, input);
        const deploys =
          input.CorsConfiguration !== undefined || input.Target !== undefined || input.RouteKey !== undefined;
        return { api: next, deploys, result: (after) => apiShape(after, context) };
      });
    },

    async DeleteApi(context, { ApiId }) {
      await env.remove(context, ApiId);
    },

    async DeleteCorsConfiguration(context, { ApiId }) {
      await env.change(context, ApiId, (api) => {
        const { cors, ...rest } = api;
        return cors === undefined
          ? { api, result: () => undefined }
          : { api: rest, deploys: true, result: () => undefined };
      });
    },

    async ImportApi(context, input) {
      const imported = importOpenApi({ body: input.Body, basepath: input.Basepath, newId: env.partId });
      refuseWarnings(imported, input.FailOnWarnings);
      const api = await create(context, input, (apiId) => applied(emptyApi(context, apiId, imported.name), imported));
      return apiShape(api, context);
    },

    async ReimportApi(context, input) {
      return env.change(context, input.ApiId, (api) => {
        const routeIds = new Map(Object.values(api.routes).map(({ RouteKey, RouteId }) => [RouteKey, RouteId]));
        const imported = importOpenApi({ body: input.Body, basepath: input.Basepath, newId: env.partId, routeIds });
        refuseWarnings(imported, input.FailOnWarnings);
        const { cors: _cors, importInfo: _info, warnings: _warnings, ...rest } = api;
        return { api: applied(rest, imported), deploys: true, result: (after) => apiShape(after, context) };
      });
    },
  };
}

/** The last part of an owner's key: ids hold no byte that is escaped. */
function idAfter(key: Buffer, prefix: Buffer): string {
  return key.subarray(prefix.length + 1, -1).toString('utf8');
}

function checkApi(input: Partial<CreateApiRequest> | UpdateApiRequest): void {
  if ('ProtocolType' in input && input.ProtocolType !== 'HTTP') {
    if (input.ProtocolType === 'WEBSOCKET') throw notBuilt('ProtocolType WEBSOCKET');
    throw badRequest('Invalid protocol specified. Must be one of [HTTP, WEBSOCKET]');
  }
  const selection = input.RouteSelectionExpression;
  if (
    selection !== undefined &&
    !/^\$(?:request\.method \$request\.path|\{request\.method\} \$\{request\.path\})$/.test(selection)
  ) {
    throw badRequest(`Route selection expression is currently limited to "\${request.method} \${request.path}"`);
  }
  if (
    input.ApiKeySelectionExpression !== undefined &&
    !/^\$\{?request\.header\.x-api-key\}?$/.test(input.ApiKeySelectionExpression)
  )
    throw badRequest('ApiKeySelectionExpression is only supported for WEBSOCKET protocolType');
  if (input.DisableSchemaValidation === true)
    throw badRequest('DisableSchemaValidation is only supported for WEBSOCKET protocolType');
}

/** "Quick create": a route to the target, and a `$default` stage that deploys by itself. */
function quickCreated(env: Environment, api: ApiRecord, input: CreateApiRequest, nowMs: number): ApiRecord {
  const target = input.Target!;
  const integration = integrationOf(env.partId(), quickIntegration(target, input.CredentialsArn), true);
  const routeKey = input.RouteKey ?? '$default';
  parseRouteKey(routeKey);
  const routeId = env.partId();
  const made: ApiRecord = {
    ...api,
    integrations: { [integration.IntegrationId]: integration },
    routes: {
      [routeId]: {
        ApiGatewayManaged: true,
        ApiKeyRequired: false,
        AuthorizationType: 'NONE',
        RouteId: routeId,
        RouteKey: routeKey,
        Target: `integrations/${integration.IntegrationId}`,
      },
    },
    stages: {
      $default: {
        ApiGatewayManaged: true,
        AutoDeploy: true,
        CreatedDate: nowMs,
        DefaultRouteSettings: { DetailedMetricsEnabled: false },
        LastUpdatedDate: nowMs,
        RouteSettings: {},
        StageName: '$default',
        StageVariables: {},
        Tags: {},
      },
    },
  };
  return autoDeployed(made, env.partId(), nowMs);
}

function quickIntegration(target: string, credentials: string | undefined): Parameters<typeof integrationOf>[1] {
  const common = credentials === undefined ? {} : { CredentialsArn: credentials };
  return target.startsWith('arn:')
    ? { ...common, IntegrationType: 'AWS_PROXY', IntegrationUri: target, PayloadFormatVersion: '2.0' }
    : {
        ...common,
        IntegrationType: 'HTTP_PROXY',
        IntegrationUri: target,
        IntegrationMethod: 'ANY',
        PayloadFormatVersion: '1.0',
      };
}

/** UpdateApi's Target, RouteKey and CredentialsArn change what quick create made. */
function quickUpdated(api: ApiRecord, input: UpdateApiRequest): ApiRecord {
  const route = Object.values(api.routes).find((each) => each.ApiGatewayManaged === true);
  const integrationId = route?.Target?.slice('integrations/'.length);
  const integration = integrationId === undefined ? undefined : api.integrations[integrationId];
  if (route === undefined || integration === undefined)
    throw badRequest('Target, RouteKey and CredentialsArn can only be updated on an API that quick create made');
  const target = input.Target ?? integration.IntegrationUri;
  const credentials = input.CredentialsArn ?? integration.CredentialsArn;
  const replaced = integrationOf(integration.IntegrationId, quickIntegration(target, credentials || undefined), true);
  const routeKey = input.RouteKey ?? route.RouteKey;
  parseRouteKey(routeKey);
  const others = Object.values(api.routes).filter((each) => each !== route);
  checkRouteKeyFree(
    routeKey,
    others.map((each) => each.RouteKey),
  );
  return {
    ...api,
    integrations: { ...api.integrations, [replaced.IntegrationId]: replaced },
    routes: { ...api.routes, [route.RouteId]: { ...route, RouteKey: routeKey } },
  };
}

function applied(api: ApiRecord, imported: Imported): ApiRecord {
  const { warnings } = imported;
  return {
    ...api,
    ...imported.configuration,
    ...definedOnly({
      name: imported.name,
      description: imported.description,
      version: imported.version,
      disableExecuteApiEndpoint: imported.disableExecuteApiEndpoint,
      tags: checkTags({ ...api.tags, ...imported.tags }),
      warnings: warnings.length === 0 ? undefined : warnings,
    }),
  } as ApiRecord;
}

function refuseWarnings(imported: Imported, failOnWarnings: boolean | undefined): void {
  if (failOnWarnings === true && imported.warnings.length > 0)
    throw badRequest(`Warnings found during import:\n\t${imported.warnings.join('\n\t')}`);
}
