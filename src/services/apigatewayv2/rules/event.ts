import type { HttpRequest } from '../../../platform/http/request.ts';
import {
  blank,
  clfTime,
  cookiesOf,
  domainPrefix,
  eachHeader,
  encodedBody,
  headerMap,
  joined,
  parseQuery,
} from '../../../platform/http/request.ts';

/** What an event tells beside the request itself. */
export interface EventScope {
  readonly accountId: string;
  readonly apiId: string;
  readonly stage: string;
  /** `GET /pets/{id}` or `$default`. */
  readonly routeKey: string;
  readonly pathParameters: Readonly<Record<string, string>> | undefined;
  readonly stageVariables: Readonly<Record<string, string>> | undefined;
  /** What an authorizer said. */
  readonly authorizer: AuthorizerContext | undefined;
}

export type AuthorizerContext =
  | {
      readonly kind: 'jwt';
      readonly claims: Readonly<Record<string, string>>;
      readonly scopes: readonly string[] | null;
    }
  | { readonly kind: 'lambda'; readonly context: Readonly<Record<string, unknown>>; readonly principalId?: string };

/**
 * The event of payload format 2.0
 * (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html): what is absent is left out.
 */
export function proxyEventV2(request: HttpRequest, scope: EventScope): Record<string, unknown> {
  const headers = headerMap(request);
  const cookie = headers['cookie'];
  delete headers['cookie'];
  const parameters = parseQuery(request.query);
  const body = request.body.length > 0 ? encodedBody(request.body, headers['content-type'], 'text') : undefined;
  return {
    version: '2.0',
    routeKey: scope.routeKey,
    rawPath: request.path,
    rawQueryString: request.query,
    ...(cookie === undefined ? {} : { cookies: cookiesOf(cookie) }),
    headers,
    ...(parameters.length === 0 ? {} : { queryStringParameters: joined(parameters) }),
    requestContext: requestContextV2(request, scope, headers['user-agent']),
    ...(scope.pathParameters === undefined ? {} : { pathParameters: scope.pathParameters }),
    ...(scope.stageVariables === undefined ? {} : { stageVariables: scope.stageVariables }),
    ...(body === undefined ? {} : { body: body.text }),
    isBase64Encoded: body?.isBase64Encoded ?? false,
  };
}

/** The event of payload format 1.0, as HTTP APIs send it: what is absent is null, headers keep the case they came in. */
export function proxyEventV1(request: HttpRequest, scope: EventScope): Record<string, unknown> {
  const headers = blank<string>();
  const multiValueHeaders = blank<string[]>();
  let contentType: string | undefined;
  let userAgent: string | null = null;
  eachHeader(request, (name, lower, value) => {
    headers[name] = value;
    (multiValueHeaders[name] ??= []).push(value);
    if (lower === 'content-type') contentType = value;
    if (lower === 'user-agent') userAgent = value;
  });
  const pairs = parseQuery(request.query);
  const multiple = blank<string[]>();
  for (const [name, value] of pairs) (multiple[name] ??= []).push(value);
  const body = request.body.length > 0 ? encodedBody(request.body, contentType, 'text') : undefined;
  const resource = resourcePath(scope.routeKey);
  return {
    version: '1.0',
    resource,
    path: request.path,
    httpMethod: request.method,
    headers,
    multiValueHeaders,
    queryStringParameters: pairs.length === 0 ? null : Object.fromEntries(pairs),
    multiValueQueryStringParameters: pairs.length === 0 ? null : multiple,
    requestContext: {
      accountId: scope.accountId,
      apiId: scope.apiId,
      ...authorizerV1(scope.authorizer),
      domainName: request.domainName,
      domainPrefix: domainPrefix(request.domainName),
      extendedRequestId: request.requestId,
      httpMethod: request.method,
      identity: {
        accessKey: null,
        accountId: null,
        caller: null,
        cognitoAuthenticationProvider: null,
        cognitoAuthenticationType: null,
        cognitoIdentityId: null,
        cognitoIdentityPoolId: null,
        principalOrgId: null,
        sourceIp: request.sourceIp,
        user: null,
        userAgent,
        userArn: null,
      },
      path: request.path,
      protocol: request.protocol,
      requestId: request.requestId,
      requestTime: clfTime(request.timeMs),
      requestTimeEpoch: request.timeMs,
      resourceId: scope.routeKey,
      resourcePath: resource,
      stage: scope.stage,
    },
    pathParameters: scope.pathParameters ?? null,
    stageVariables: scope.stageVariables ?? null,
    body: body?.text ?? null,
    isBase64Encoded: body?.isBase64Encoded ?? false,
  };
}

export function requestContextV2(
  request: HttpRequest,
  scope: EventScope,
  userAgent: string | undefined,
): Record<string, unknown> {
  const { authorizer } = scope;
  return {
    accountId: scope.accountId,
    apiId: scope.apiId,
    ...(authorizer === undefined
      ? {}
      : {
          authorizer:
            authorizer.kind === 'jwt'
              ? { jwt: { claims: authorizer.claims, scopes: authorizer.scopes } }
              : { lambda: authorizer.context },
        }),
    domainName: request.domainName,
    domainPrefix: domainPrefix(request.domainName),
    http: {
      method: request.method,
      path: request.path,
      protocol: request.protocol,
      sourceIp: request.sourceIp,
      userAgent: userAgent ?? '',
    },
    requestId: request.requestId,
    routeKey: scope.routeKey,
    stage: scope.stage,
    time: clfTime(request.timeMs),
    timeEpoch: request.timeMs,
  };
}

function authorizerV1(authorizer: AuthorizerContext | undefined): Record<string, unknown> {
  if (authorizer === undefined) return {};
  if (authorizer.kind === 'jwt') return { authorizer: { claims: authorizer.claims, scopes: authorizer.scopes } };
  const { context, principalId } = authorizer;
  return { authorizer: principalId === undefined ? context : { ...context, principalId } };
}

/** The path of a route key, `$default` for the default route. */
export function resourcePath(routeKey: string): string {
  const space = routeKey.indexOf(' ');
  return space === -1 ? routeKey : routeKey.slice(space + 1);
}
