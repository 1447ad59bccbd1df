import type { HttpRequest } from '../../../platform/http/request.ts';
import { isObject } from '../../../platform/http/response.ts';
import { matchesAction, matchesResource } from '../../../platform/policy.ts';
import { type AuthorizerContext, type EventScope, proxyEventV1, proxyEventV2 } from './event.ts';

/**
 * The event of a Lambda authorizer of an HTTP API
 * (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html). No body in it.
 */
export function authorizerEvent(
  request: HttpRequest,
  scope: EventScope,
  options: { readonly version: '1.0' | '2.0'; readonly routeArn: string; readonly identity: readonly string[] },
): Record<string, unknown> {
  const bodiless = { ...request, body: Buffer.alloc(0) };
  const { version, routeArn, identity } = options;
  if (version === '1.0') {
    const {
      body: _body,
      isBase64Encoded: _encoded,
      multiValueHeaders: _headers,
      multiValueQueryStringParameters: _query,
      ...event
    } = proxyEventV1(bodiless, scope);
    const source = identity.length === 0 ? null : identity.join(',');
    return {
      ...event,
      type: 'REQUEST',
      methodArn: routeArn,
      identitySource: source,
      authorizationToken: source,
      pathParameters: event['pathParameters'] ?? {},
      queryStringParameters: event['queryStringParameters'] ?? {},
      stageVariables: event['stageVariables'] ?? {},
    };
  }
  const { isBase64Encoded: _encoded, ...event } = proxyEventV2(bodiless, scope);
  return { ...event, type: 'REQUEST', routeArn, identitySource: identity.length === 0 ? null : identity };
}

export type Verdict =
  | { readonly verdict: 'allow'; readonly context: AuthorizerContext }
  | { readonly verdict: 'deny' }
  /** The function answered something that is neither form: the client sees a 500. */
  | { readonly verdict: 'malformed' };

/** Judges an authorizer's answer, JSON text, for the route that was asked for. */
export function judge(payload: string, simple: boolean, routeArn: string): Verdict {
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch {
    return { verdict: 'malformed' };
  }
  if (!isObject(value)) return { verdict: 'malformed' };
  const context = isObject(value['context']) ? value['context'] : {};
  if (simple) {
    if (typeof value['isAuthorized'] !== 'boolean') return { verdict: 'malformed' };
    return value['isAuthorized'] ? { verdict: 'allow', context: { kind: 'lambda', context } } : { verdict: 'deny' };
  }
  const { principalId, policyDocument } = value;
  if (typeof principalId !== 'string' || !isObject(policyDocument)) return { verdict: 'malformed' };
  const allowed = policyAllows(policyDocument, routeArn);
  if (allowed === undefined) return { verdict: 'malformed' };
  return allowed ? { verdict: 'allow', context: { kind: 'lambda', context, principalId } } : { verdict: 'deny' };
}

/** An explicit deny wins, then an allow, else nothing is allowed. Undefined: not a policy. */
function policyAllows(document: Record<string, unknown>, resource: string): boolean | undefined {
  const given = document['Statement'];
  const statements = Array.isArray(given) ? given : [given];
  let allowed = false;
  for (const statement of statements) {
    if (!isObject(statement)) return undefined;
    const effect = statement['Effect'];
    if (effect !== 'Allow' && effect !== 'Deny') return undefined;
    const applies =
      matches(statement['Action'], (pattern) => matchesAction(pattern, 'execute-api:Invoke')) &&
      matches(statement['Resource'], (pattern) => matchesResource(pattern, resource));
    if (!applies) continue;
    if (effect === 'Deny') return false;
    allowed = true;
  }
  return allowed;
}

function matches(patterns: unknown, test: (pattern: string) => boolean): boolean {
  const list = Array.isArray(patterns) ? patterns : [patterns];
  return list.some((pattern) => typeof pattern === 'string' && test(pattern));
}
