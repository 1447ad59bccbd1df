import { TokenBucket } from '../../../kernel/limits/limits.ts';
import { parseArn, partitionOf } from '../../../platform/arn.ts';
import type { Principal } from '../../../platform/context.ts';
import type { Cors, RouteSettings } from '../../../wire/types/apigatewayv2.ts';
import { apiGatewayLimits } from '../limits.ts';
import { functionArnOf, withStageVariables } from '../rules/integrations.ts';
import { compileRequestMappings, compileResponseMappings, type Mapping } from '../rules/mapping.ts';
import { parseRouteKey } from '../rules/route-keys.ts';
import { compileRouter, type Router } from '../rules/router.ts';
import type { ApiRecord, AuthorizerRecord, Configuration, IntegrationRecord, StageRecord } from '../state.ts';

/** A stage with everything worked out that requests do not change. */
export interface CompiledStage {
  readonly api: ApiRecord;
  readonly name: string;
  readonly cors: Cors | undefined;
  readonly variables: Readonly<Record<string, string>> | undefined;
  readonly router: Router<CompiledRoute>;
  readonly accessLog: { readonly logGroup: string; readonly format: string } | undefined;
}

export interface CompiledRoute {
  readonly key: string;
  readonly authorizer: CompiledAuthorizer | undefined;
  readonly scopes: readonly string[];
  readonly integration: CompiledIntegration | undefined;
  /** Undefined: only the account's rate holds. */
  readonly throttle: TokenBucket | undefined;
}

export interface CompiledIntegration {
  readonly record: IntegrationRecord;
  readonly timeoutMs: number;
  readonly requestMappings: readonly Mapping[];
  readonly responseMappings: ReadonlyMap<number, readonly Mapping[]>;
  /** Of a Lambda proxy. */
  readonly target: FunctionTarget | undefined;
  /** Of an HTTP proxy, stage variables filled in. */
  readonly uri: string;
}

export interface CompiledAuthorizer {
  readonly record: AuthorizerRecord;
  readonly target: FunctionTarget | undefined;
  /** Results by identity; gone with this compilation, that is at any change of the API. */
  readonly results: Map<string, { readonly payload: string; readonly untilMs: number }>;
}

/** A function to call and as whom: API Gateway for a source ARN, which the function's policy is asked about, or a role. */
export interface FunctionTarget {
  readonly functionArn: string;
  readonly account: string;
  readonly region: string;
  readonly rolePrincipal: Principal | undefined;
  /** API Gateway's principals by source ARN. */
  readonly principals: Map<string, Principal>;
}

export function compileStage(
  api: ApiRecord,
  stage: StageRecord,
  configuration: Configuration,
  nowMs: number,
): CompiledStage {
  const variables = Object.keys(stage.StageVariables ?? {}).length === 0 ? undefined : stage.StageVariables;
  const integrations = new Map<string, CompiledIntegration>();
  const authorizers = new Map<string, CompiledAuthorizer>();
  const routes = Object.values(configuration.routes).map(
    (route): { key: ReturnType<typeof parseRouteKey>; route: CompiledRoute } => {
      const integrationId = route.Target?.slice('integrations/'.length);
      return {
        key: parseRouteKey(route.RouteKey),
        route: {
          key: route.RouteKey,
          authorizer: cached(authorizers, route.AuthorizerId, (id) =>
            compileAuthorizer(api, configuration.authorizers[id], variables),
          ),
          scopes: route.AuthorizationScopes ?? [],
          integration: cached(integrations, integrationId, (id) =>
            compileIntegration(api, configuration.integrations[id], variables),
          ),
          throttle: throttleOf(stage.DefaultRouteSettings, stage.RouteSettings?.[route.RouteKey], nowMs),
        },
      };
    },
  );
  const log = stage.AccessLogSettings;
  return {
    api,
    name: stage.StageName,
    cors: configuration.cors,
    variables,
    router: compileRouter(routes),
    accessLog:
      log?.DestinationArn && log.Format
        ? { logGroup: log.DestinationArn.replace(/:\*$/, '').split(':log-group:')[1]!, format: log.Format }
        : undefined,
  };
}

function cached<T>(made: Map<string, T>, id: string | undefined, make: (id: string) => T | undefined): T | undefined {
  if (id === undefined) return undefined;
  const before = made.get(id);
  if (before !== undefined) return before;
  const value = make(id);
  if (value !== undefined) made.set(id, value);
  return value;
}

function compileIntegration(
  api: ApiRecord,
  record: IntegrationRecord | undefined,
  variables: Readonly<Record<string, string>> | undefined,
): CompiledIntegration | undefined {
  if (record === undefined) return undefined;
  const uri = withStageVariables(record.IntegrationUri, variables);
  return {
    record,
    timeoutMs: record.TimeoutInMillis,
    requestMappings: compileRequestMappings(record.RequestParameters),
    responseMappings: compileResponseMappings(record.ResponseParameters),
    target: record.IntegrationType === 'AWS_PROXY' ? functionTarget(api, uri, record.CredentialsArn) : undefined,
    uri,
  };
}

function compileAuthorizer(
  api: ApiRecord,
  record: AuthorizerRecord | undefined,
  variables: Readonly<Record<string, string>> | undefined,
): CompiledAuthorizer | undefined {
  if (record === undefined) return undefined;
  const uri = withStageVariables(record.AuthorizerUri ?? '', variables);
  const target =
    record.AuthorizerType === 'REQUEST' ? functionTarget(api, uri, record.AuthorizerCredentialsArn) : undefined;
  return { record, target, results: new Map() };
}

function functionTarget(api: ApiRecord, uri: string, roleArn: string | undefined): FunctionTarget {
  const functionArn = functionArnOf(uri);
  const arn = parseArn(functionArn);
  const account = arn?.account ?? api.account;
  const region = arn?.region ?? api.region;
  return {
    functionArn,
    account,
    region,
    rolePrincipal: roleArn?.includes(':role/') ? roleSession(roleArn, api.region) : undefined,
    principals: new Map(),
  };
}

/** CredentialsArn: API Gateway calls in a session of that role, and the function's own policy is not asked. */
function roleSession(roleArn: string, region: string): Principal {
  const account = parseArn(roleArn)?.account ?? '';
  const roleName = roleArn.slice(roleArn.lastIndexOf('/') + 1);
  const session = 'BackplaneAssumeRoleSession';
  return {
    kind: 'assumed-role',
    arn: `arn:${partitionOf(region)}:sts::${account}:assumed-role/${roleName}/${session}`,
    account,
    id: `${roleName}:${session}`,
    roleArn,
  };
}

/** A route's own settings go before the stage's; what neither says is the account's. */
function throttleOf(
  ofStage: RouteSettings | undefined,
  ofRoute: RouteSettings | undefined,
  nowMs: number,
): TokenBucket | undefined {
  const rate = ofRoute?.ThrottlingRateLimit ?? ofStage?.ThrottlingRateLimit;
  const burst = ofRoute?.ThrottlingBurstLimit ?? ofStage?.ThrottlingBurstLimit;
  if (rate === undefined && burst === undefined) return undefined;
  return new TokenBucket(
    burst ?? apiGatewayLimits.requestBurst.value,
    rate ?? apiGatewayLimits.requestRate.value,
    nowMs,
  );
}
