import type { CreateAuthorizerRequest } from '../../../wire/types/apigatewayv2.ts';
import { badRequest, notBuilt } from '../errors.ts';
import { apiGatewayLimits } from '../limits.ts';
import type { AuthorizerRecord, RouteRecord } from '../state.ts';
import { functionArnOf } from './integrations.ts';

export type AuthorizerInput = Omit<CreateAuthorizerRequest, 'ApiId' | 'IdentitySource'> &
  Partial<Pick<CreateAuthorizerRequest, 'IdentitySource'>>;

/** Checks an authorizer of an HTTP API. Words: recorded in cdk-preflight (pf-apigwv2-*). */
export function authorizerOf(id: string, input: AuthorizerInput): AuthorizerRecord {
  if (input.Name === undefined || input.Name === '') throw badRequest('Name is a required field in an Authorizer');
  return input.AuthorizerType === 'JWT' ? jwtAuthorizer(id, input) : requestAuthorizer(id, input);
}

function jwtAuthorizer(id: string, input: AuthorizerInput): AuthorizerRecord {
  const { JwtConfiguration: jwt, IdentitySource: source = [] } = input;
  for (const name of [
    'AuthorizerUri',
    'AuthorizerCredentialsArn',
    'AuthorizerPayloadFormatVersion',
    'AuthorizerResultTtlInSeconds',
    'EnableSimpleResponses',
    'IdentityValidationExpression',
  ] as const) {
    if (input[name] !== undefined) throw badRequest(`${name} is not supported for JWT authorizers`);
  }
  if (jwt === undefined) throw badRequest('JwtConfiguration must not be null for JWT Authorizer');
  const { Issuer: issuer, Audience: audience = [] } = jwt;
  if (issuer === undefined || !isIssuer(issuer))
    throw badRequest(`Invalid issuer: ${issuer ?? ''}. Issuer must have a valid URL`);
  if (audience.length === 0) throw badRequest('Audience must be set for JWT Authorizer');
  if (source.length !== 1) throw badRequest('JWT Authorizer must have exactly one identity source');
  checkIdentitySource(source[0]!);
  if (!/^\$request\.(header|querystring)\./.test(source[0]!))
    throw badRequest(`Invalid identity source expression: ${source[0]}`);
  return {
    AuthorizerId: id,
    AuthorizerType: 'JWT',
    Name: input.Name,
    IdentitySource: source,
    JwtConfiguration: { Issuer: issuer, Audience: audience },
  };
}

/** AWS asks for https; an identity provider on this machine is reached without. */
function isIssuer(issuer: string): boolean {
  if (!URL.canParse(issuer)) return false;
  const { protocol, hostname } = new URL(issuer);
  const local =
    hostname === 'localhost' || hostname.endsWith('.localhost') || hostname === '127.0.0.1' || hostname === '[::1]';
  return protocol === 'https:' || (protocol === 'http:' && local);
}

function requestAuthorizer(id: string, input: AuthorizerInput): AuthorizerRecord {
  const { AuthorizerUri: uri, AuthorizerPayloadFormatVersion: version, IdentitySource: sources = [] } = input;
  if (input.JwtConfiguration !== undefined) throw badRequest('JwtConfiguration is only supported for JWT authorizers');
  if (input.IdentityValidationExpression !== undefined)
    throw badRequest('IdentityValidationExpression is not supported for HTTP APIs');
  if (uri === undefined || uri === '') throw badRequest('AuthorizerUri is a required field in an Authorizer');
  if (!/:function:/.test(functionArnOf(uri)))
    throw badRequest(
      `Invalid Authorizer URI: ${uri}. Authorizer URI should be a valid API Gateway ARN that represents a Lambda function invocation.`,
    );
  if (version === undefined)
    throw badRequest('AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizer');
  if (version !== '1.0' && version !== '2.0')
    throw badRequest(`AuthorizerPayloadFormatVersion ${version} is not supported`);
  if (version !== '2.0' && input.EnableSimpleResponses === true)
    throw badRequest('EnableSimpleResponses can only be set for AuthorizerPayloadFormatVersion "2.0".');
  const ttl = input.AuthorizerResultTtlInSeconds ?? 0;
  const most = apiGatewayLimits.authorizerTtlSeconds.value;
  if (ttl < 0 || ttl > most)
    throw badRequest(`Authorizer result TTL outside allowable range. TTL must be between 0 and ${most} seconds.`);
  if (ttl > 0 && sources.length === 0)
    throw badRequest('Identity source must be set if authorizer caching is enabled (TTL is greater than 0)');
  for (const source of sources) checkIdentitySource(source);
  return {
    AuthorizerId: id,
    AuthorizerType: 'REQUEST',
    Name: input.Name,
    AuthorizerUri: uri,
    AuthorizerPayloadFormatVersion: version,
    AuthorizerResultTtlInSeconds: ttl,
    EnableSimpleResponses: input.EnableSimpleResponses ?? false,
    ...(sources.length === 0 ? {} : { IdentitySource: sources }),
    ...(input.AuthorizerCredentialsArn ? { AuthorizerCredentialsArn: input.AuthorizerCredentialsArn } : {}),
  };
}

function checkIdentitySource(source: string): void {
  if (!/^\$(request\.(header|querystring)\.[^ ]+|context\.[^ ]+|stageVariables\.[^ ]+)$/.test(source)) {
    throw badRequest(
      `Invalid identity source expression: ${source}. The source must be a request header, request querystring, stage variable or context parameter`,
    );
  }
}

/** What a route says about authorization, checked against the API's authorizers. */
export interface RouteAuthorization {
  readonly AuthorizationType?: string | undefined;
  readonly AuthorizerId?: string | undefined;
  readonly AuthorizationScopes?: readonly string[] | undefined;
}

export function routeAuthorization(
  given: RouteAuthorization,
  authorizers: Readonly<Record<string, AuthorizerRecord>>,
): Pick<RouteRecord, 'AuthorizationType' | 'AuthorizerId' | 'AuthorizationScopes'> {
  const type = given.AuthorizationType ?? 'NONE';
  const scopes = given.AuthorizationScopes ?? [];
  if (scopes.length > 0 && type !== 'JWT')
    throw badRequest('Authorization Scopes are only valid for COGNITO_USER_POOLS and JWT authorization type');
  switch (type) {
    case 'NONE':
      return { AuthorizationType: 'NONE' };
    case 'AWS_IAM':
      throw notBuilt('AuthorizationType AWS_IAM');
    case 'JWT':
    case 'CUSTOM': {
      const authorizer = given.AuthorizerId === undefined ? undefined : authorizers[given.AuthorizerId];
      const fitting = type === 'JWT' ? 'JWT' : 'REQUEST';
      if (authorizer?.AuthorizerType !== fitting)
        throw badRequest(
          `Setting the authorization type to ${type} requires a valid ${type === 'JWT' ? 'JWT ' : ''}authorizer.`,
        );
      return {
        AuthorizationType: type,
        AuthorizerId: authorizer.AuthorizerId,
        ...(scopes.length === 0 ? {} : { AuthorizationScopes: scopes }),
      };
    }
    default:
      throw badRequest(`Invalid authorization type ${type}`);
  }
}
