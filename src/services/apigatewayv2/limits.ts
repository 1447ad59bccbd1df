import type { Limit } from '../../kernel/limits/limits.ts';

const quotas = 'https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html';
const accountQuotas = 'https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html';

/** AWS's quotas of HTTP APIs. What shapes a request holds in both profiles; rates and raisable counts do not. */
export const apiGatewayLimits = {
  requestRate: raisable('requests of an account in a region', 10_000, 'requests/s', accountQuotas),
  requestBurst: raisable('burst of requests of an account in a region', 5_000, 'requests', accountQuotas),
  routes: raisable('routes of an API', 300, 'routes', quotas),
  integrations: raisable('integrations of an API', 300, 'integrations', quotas),
  stages: raisable('stages of an API', 10, 'stages', quotas),
  authorizers: raisable('authorizers of an API', 10, 'authorizers', quotas),
  payloadBytes: fixed('request or response body', 10 * 1024 * 1024, 'bytes', quotas),
  headerBytes: fixed('request line and headers', 10_240, 'bytes', quotas),
  integrationTimeoutMs: fixed('longest integration timeout', 30_000, 'ms', quotas),
  leastIntegrationTimeoutMs: fixed('shortest integration timeout', 50, 'ms', quotas),
  authorizerTimeoutMs: fixed('wait for a Lambda authorizer', 10_000, 'ms', quotas),
  authorizerResultBytes: fixed('result of an authorizer', 8 * 1024, 'bytes', quotas),
  authorizerTtlSeconds: fixed('longest caching of an authorizer result', 3_600, 's', quotas),
  keySetTimeoutMs: fixed("wait for an issuer's keys", 1_500, 'ms', quotas),
  keySetBytes: fixed("answer of an issuer's endpoints", 150_000, 'bytes', quotas),
  /** API Gateway can cache a public key for two hours (developer guide, "Control access to HTTP APIs with JWT authorizers"). */
  keySetCachedMs: fixed("caching of an issuer's keys", 7_200_000, 'ms', quotas),
  tags: fixed('tags of an API or a stage', 50, 'tags', accountQuotas),
} satisfies Record<string, Limit>;

function raisable(name: string, value: number, unit: string, source: string): Limit {
  return { name, value, unit, source, adjustable: true };
}

function fixed(name: string, value: number, unit: string, source: string): Limit {
  return { name, value, unit, source, adjustable: false };
}
