import type { TraceContext } from '../../../kernel/trace/trace.ts';
import { type HttpRequest, headerMap, joined, parseQuery } from '../../../platform/http/request.ts';
import type { Platform } from '../../../platform/service.ts';
import { apiGatewayLimits } from '../limits.ts';
import type { AuthorizerContext, EventScope } from '../rules/event.ts';
import { authorizerEvent, judge } from '../rules/lambda-authorizer.ts';
import { contextValue } from '../rules/mapping.ts';
import type { CompiledAuthorizer, CompiledRoute } from './compiled.ts';
import { callFunction } from './functions.ts';
import type { JwtVerifier } from './jwt.ts';

export type Authorization =
  | { readonly allowed: true; readonly context: AuthorizerContext | undefined }
  | { readonly allowed: false; readonly status: 401 | 403 | 500; readonly challenge?: string };

export interface AuthorizeOptions {
  readonly platform: Platform;
  readonly jwt: JwtVerifier;
  readonly request: HttpRequest;
  readonly scope: EventScope;
  /** `arn:aws:execute-api:region:account`, of the API. */
  readonly arnPrefix: string;
  /** The path without the stage. */
  readonly routedPath: string;
  readonly trace: TraceContext;
}

const maxResults = 10_000;

/** Asks the route's authorizer, if it has one. */
export async function authorize(route: CompiledRoute, options: AuthorizeOptions): Promise<Authorization> {
  const { authorizer } = route;
  if (authorizer === undefined) return { allowed: true, context: undefined };
  const identity = identityOf(authorizer, options);
  if (authorizer.record.AuthorizerType === 'JWT') return byToken(authorizer, route.scopes, identity?.[0], options);
  // A missing identity source is refused without a call.
  if (identity === undefined) return { allowed: false, status: 401 };
  return byFunction(authorizer, identity, options);
}

async function byToken(
  authorizer: CompiledAuthorizer,
  scopes: readonly string[],
  token: string | undefined,
  { jwt }: AuthorizeOptions,
): Promise<Authorization> {
  if (token === undefined) return { allowed: false, status: 401, challenge: 'Bearer' };
  const { Issuer: issuer = '', Audience: audience = [] } = authorizer.record.JwtConfiguration ?? {};
  const verdict = await jwt.judge(token, { issuer, audience, scopes });
  switch (verdict.verdict) {
    case 'allow':
      return { allowed: true, context: { kind: 'jwt', claims: verdict.claims, scopes: verdict.scopes } };
    case 'forbidden':
      return {
        allowed: false,
        status: 403,
        challenge: `Bearer scope="${scopes.join(' ')}" error="insufficient_scope" error_description="the token does not have the required scopes"`,
      };
    case 'unauthorized':
      return {
        allowed: false,
        status: 401,
        challenge: `Bearer scope="${scopes.join(' ')}" error="invalid_token" error_description="${verdict.reason.replace(/[^ -~]|["\\]/g, '')}"`,
      };
  }
}

async function byFunction(
  authorizer: CompiledAuthorizer,
  identity: readonly string[],
  options: AuthorizeOptions,
): Promise<Authorization> {
  const { platform, request, scope, arnPrefix, trace } = options;
  const { record, target, results } = authorizer;
  const routeArn = `${arnPrefix}:${scope.apiId}/${scope.stage}/${request.method}${options.routedPath}`;
  const ttlMs = (record.AuthorizerResultTtlInSeconds ?? 0) * 1000;
  const cacheKey = identity.join('\0');
  const nowMs = platform.clock.now();
  const known = ttlMs > 0 ? results.get(cacheKey) : undefined;
  let payload = known !== undefined && known.untilMs > nowMs ? known.payload : undefined;
  if (payload === undefined) {
    const version = record.AuthorizerPayloadFormatVersion === '1.0' ? '1.0' : '2.0';
    const event = authorizerEvent(request, scope, { version, routeArn, identity });
    const sourceArn = `${arnPrefix}:${scope.apiId}/authorizers/${record.AuthorizerId}`;
    const asking = { account: scope.accountId, sourceArn, trace };
    const answer = await callFunction(platform, target!, asking, event, apiGatewayLimits.authorizerTimeoutMs.value);
    if (answer.outcome !== 'answer') return { allowed: false, status: 500 };
    payload = answer.payload;
    if (Buffer.byteLength(payload) > apiGatewayLimits.authorizerResultBytes.value)
      return { allowed: false, status: 500 };
  }
  const verdict = judge(payload, record.EnableSimpleResponses === true, routeArn);
  if (verdict.verdict === 'malformed') return { allowed: false, status: 500 };
  if (ttlMs > 0 && payload !== known?.payload) {
    if (results.size >= maxResults) results.clear();
    results.set(cacheKey, { payload, untilMs: nowMs + ttlMs });
  }
  return verdict.verdict === 'allow' ? { allowed: true, context: verdict.context } : { allowed: false, status: 403 };
}

/** The values of the identity sources, in order; undefined where one is missing or empty. */
function identityOf(authorizer: CompiledAuthorizer, { request, scope }: AuthorizeOptions): string[] | undefined {
  const values: string[] = [];
  for (const source of authorizer.record.IdentitySource ?? []) {
    const value = sourceValue(source, request, scope);
    if (value === undefined || value === '') return undefined;
    values.push(value);
  }
  return values;
}

function sourceValue(source: string, request: HttpRequest, scope: EventScope): string | undefined {
  if (source.startsWith('$request.header.')) return headerMap(request)[source.slice(16).toLowerCase()];
  if (source.startsWith('$request.querystring.')) return joined(parseQuery(request.query))[source.slice(21)];
  if (source.startsWith('$stageVariables.')) return scope.stageVariables?.[source.slice(16)];
  return contextValue(source.slice(9), request, scope);
}
