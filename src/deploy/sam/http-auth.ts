import { isList, isObject, type Json, type JsonObject, type MutableObject } from '../json.ts';
import { eventProblem, resourceProblem } from './errors.ts';
import type { Route } from './http-paths.ts';
import { type OutputResource, ref, resource, sub } from './values.ts';

/** The `Auth` of an HTTP API, read. */
export interface Authorizers {
  /** OpenAPI security schemes by the authorizer's name. */
  readonly schemes: ReadonlyMap<string, JsonObject>;
  readonly definitions: ReadonlyMap<string, JsonObject>;
  readonly defaultName: string | undefined;
  /** `security` of a route that says it itself. */
  readonly ofRoute: (functionId: string, route: Route) => readonly Json[] | undefined;
  /** `security` of every other route, if there is a default authorizer. */
  readonly byDefault: () => Json;
}

/**
 * Reads `Auth` (developer guide, "HttpApiAuth"): JWT authorizers, Lambda authorizers, IAM.
 *
 * @throws {SamProblem} naming the API; the texts are aws-sam-translator's (model/apigatewayv2.py, http_api_generator.py).
 */
export function authorizers(logicalId: string, auth: JsonObject | undefined): Authorizers {
  const schemes = new Map<string, JsonObject>();
  const definitions = new Map<string, JsonObject>();
  const known = ['Authorizers', 'DefaultAuthorizer', 'EnableIamAuthorizer'];
  if (Object.keys(auth ?? {}).some((key) => !known.includes(key))) {
    throw resourceProblem(logicalId, "Invalid value for 'Auth' property");
  }
  const iam = auth?.['EnableIamAuthorizer'] === true;
  if (iam) schemes.set('AWS_IAM', iamScheme);
  const declared = auth?.['Authorizers'] ?? {};
  if (!isObject(declared)) throw resourceProblem(logicalId, "Property 'Auth.Authorizers' should be a map.");
  for (const [name, definition] of Object.entries(declared)) {
    if (!isObject(definition)) throw resourceProblem(logicalId, `Property 'Auth.Authorizers.${name}' should be a map.`);
    definitions.set(name, definition);
    schemes.set(name, scheme(logicalId, name, definition));
  }
  const defaultName = auth?.['DefaultAuthorizer'];
  if (defaultName !== undefined && (typeof defaultName !== 'string' || !schemes.has(defaultName))) {
    throw resourceProblem(
      logicalId,
      `Unable to set DefaultAuthorizer because '${String(defaultName)}' was not defined in 'Authorizers'.`,
    );
  }
  const scopes = (name: string): Json =>
    name === 'AWS_IAM' ? [] : (definitions.get(name)?.['AuthorizationScopes'] ?? []);
  return {
    schemes,
    definitions,
    defaultName,
    byDefault: () => [{ [defaultName as string]: scopes(defaultName as string) }],
    ofRoute: (functionId, route) => {
      if (!route.auth) return undefined;
      const name = route.auth['Authorizer'] ?? defaultName;
      const event = `${route.method} ${route.path}`;
      if (name === undefined) {
        throw eventProblem(
          functionId,
          event,
          "'Auth' section requires either an explicit 'Authorizer' set or a 'DefaultAuthorizer' configured on the HttpApi.",
        );
      }
      if (name === 'NONE' && defaultName === undefined) {
        throw eventProblem(
          functionId,
          event,
          `Unable to set Authorizer on API method [${route.method}] for path [${route.path}] because 'NONE' is only a valid ` +
            'value when a DefaultAuthorizer on the API is specified.',
        );
      }
      if (name !== 'NONE' && (typeof name !== 'string' || !schemes.has(name))) {
        throw eventProblem(
          functionId,
          event,
          `Unable to set Authorizer [${String(name)}] on API method [${route.method}] for path [${route.path}] because it ` +
            "wasn't defined in the API's Authorizers.",
        );
      }
      const own = route.auth['AuthorizationScopes'];
      const plain = name === 'NONE' || name === 'AWS_IAM';
      return [{ [name]: plain ? [] : isList(own) && own.length > 0 ? own : scopes(name) }];
    },
  };
}

/** Leave for API Gateway to call the Lambda authorizers that ask for it. */
export function authorizerPermissions(
  logicalId: string,
  { definitions }: Authorizers,
): readonly (readonly [string, OutputResource])[] {
  return [...definitions]
    .filter(
      ([, definition]) =>
        definition['FunctionArn'] !== undefined && definition['EnableFunctionDefaultPermissions'] === true,
    )
    .map(([name, definition]) => [
      `${logicalId}${name}AuthorizerPermission`,
      resource('AWS::Lambda::Permission', {
        Action: 'lambda:InvokeFunction',
        FunctionName: definition['FunctionArn'] as Json,
        Principal: 'apigateway.amazonaws.com',
        SourceArn: sub(
          `arn:\${AWS::Partition}:execute-api:\${AWS::Region}:\${AWS::AccountId}:\${__ApiId__}/authorizers/*`,
          {
            __ApiId__: ref(logicalId),
          },
        ),
      }),
    ]);
}

const iamScheme: JsonObject = {
  type: 'apiKey',
  name: 'Authorization',
  in: 'header',
  'x-amazon-apigateway-authtype': 'awsSigv4',
};

const forJwt = ['AuthorizationScopes', 'JwtConfiguration', 'IdentitySource'];
const forLambda = [
  'FunctionArn',
  'FunctionInvokeRole',
  'Identity',
  'AuthorizerPayloadFormatVersion',
  'EnableSimpleResponses',
  'EnableFunctionDefaultPermissions',
];

function scheme(logicalId: string, name: string, definition: JsonObject): JsonObject {
  const jwt = definition['JwtConfiguration'];
  const allowed = jwt === undefined ? forLambda : forJwt;
  for (const key of Object.keys(definition)) {
    if (allowed.includes(key)) continue;
    const other = jwt === undefined ? 'OAuth2 Authorizer' : 'Lambda Authorizer';
    throw resourceProblem(
      logicalId,
      forJwt.includes(key) || forLambda.includes(key)
        ? `${key} is only supported for ${other}.`
        : `Property '${key}' of authorizer '${name}' is not supported here.`,
    );
  }
  return jwt === undefined ? lambdaScheme(logicalId, name, definition) : jwtScheme(logicalId, name, definition, jwt);
}

function jwtScheme(logicalId: string, name: string, definition: JsonObject, jwt: Json): JsonObject {
  if (!isObject(jwt)) throw resourceProblem(logicalId, "Property 'JwtConfiguration' should be a map.");
  const identitySource = definition['IdentitySource'];
  if (identitySource === undefined)
    throw resourceProblem(logicalId, `${name} OAuth2 Authorizer must define 'IdentitySource'.`);
  const jwtConfiguration = Object.fromEntries(Object.entries(jwt).map(([key, value]) => [key.toLowerCase(), value]));
  return { type: 'oauth2', 'x-amazon-apigateway-authorizer': { jwtConfiguration, identitySource, type: 'jwt' } };
}

function lambdaScheme(logicalId: string, name: string, definition: JsonObject): JsonObject {
  for (const needed of ['FunctionArn', 'AuthorizerPayloadFormatVersion']) {
    if (definition[needed] === undefined)
      throw resourceProblem(logicalId, `${name} Lambda Authorizer must define '${needed}'.`);
  }
  const authorizer: MutableObject = {
    type: 'request',
    authorizerUri: sub(
      `arn:aws:apigateway:\${AWS::Region}:lambda:path/2015-03-31/functions/\${__FunctionArn__}/invocations`,
      {
        __FunctionArn__: definition['FunctionArn'] as Json,
      },
    ),
    authorizerPayloadFormatVersion: definition['AuthorizerPayloadFormatVersion'] as Json,
  };
  const role = definition['FunctionInvokeRole'];
  if (role !== undefined && role !== 'NONE') authorizer['authorizerCredentials'] = role;
  const identity = definition['Identity'];
  if (isObject(identity)) {
    if (identity['ReauthorizeEvery'] !== undefined)
      authorizer['authorizerResultTtlInSeconds'] = identity['ReauthorizeEvery'];
    const sources = [
      ['$request.header.', 'Headers'],
      ['$request.querystring.', 'QueryStrings'],
      ['$stageVariables.', 'StageVariables'],
      ['$context.', 'Context'],
    ] as const;
    authorizer['identitySource'] = sources.flatMap(([prefix, key]) => {
      const values = identity[key];
      if (values === undefined) return [];
      if (!isList(values) || !values.every((value) => typeof value === 'string')) {
        throw resourceProblem(logicalId, `Property 'Authorizers.${name}.Identity.${key}' should be a list of strings.`);
      }
      return values.map((value) => prefix + value);
    });
  }
  if (definition['EnableSimpleResponses'] === true) authorizer['enableSimpleResponses'] = true;
  return { type: 'apiKey', name: 'Unused', in: 'header', 'x-amazon-apigateway-authorizer': authorizer };
}
