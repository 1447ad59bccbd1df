import { isList, isObject, type Json, type JsonObject, mapObject, member } from '../json.ts';
import { samError } from './errors.ts';
import { isIntrinsic } from './values.ts';

/** What `Globals` may set, by section (developer guide, "Globals section of the AWS SAM template"). */
const supported: { readonly [section: string]: string } = {
  Function:
    'Handler Runtime CodeUri DeadLetterQueue Description MemorySize Timeout VpcConfig Environment Tags PropagateTags Tracing ' +
    'KmsKeyArn AutoPublishAlias AutoPublishAliasAllProperties Layers DeploymentPreference RolePath PermissionsBoundary ' +
    'ReservedConcurrentExecutions ProvisionedConcurrencyConfig AssumeRolePolicyDocument EventInvokeConfig FileSystemConfigs ' +
    'CodeSigningConfigArn Architectures SnapStart EphemeralStorage FunctionUrlConfig RuntimeManagementConfig LoggingConfig ' +
    'RecursiveLoop SourceKMSKeyArn TenancyConfig DurableConfig CapacityProviderConfig FunctionScalingConfig ' +
    'PublishToLatestPublished VersionDeletionPolicy',
  HttpApi:
    'Auth AccessLogSettings StageVariables Tags CorsConfiguration DefaultRouteSettings Domain RouteSettings FailOnWarnings PropagateTags',
  Api:
    'Auth Name DefinitionUri CacheClusterEnabled CacheClusterSize MergeDefinitions Variables EndpointConfiguration MethodSettings ' +
    'BinaryMediaTypes MinimumCompressionSize Cors GatewayResponses AccessLogSetting CanarySetting TracingEnabled OpenApiVersion ' +
    'Domain AlwaysDeploy PropagateTags SecurityPolicy EndpointAccessMode',
  SimpleTable: 'SSESpecification',
  StateMachine: 'PropagateTags',
  LayerVersion: 'PublishLambdaVersion',
};

/**
 * Puts the `Globals` of a template into its resources and takes the section away. What a resource sets itself wins;
 * objects are merged member by member, lists are joined, the global items first; a function such as Fn::If counts as a
 * single value.
 *
 * @returns the resources, by logical id, with their properties merged.
 */
export function applyGlobals(globals: Json | undefined, resources: JsonObject): JsonObject {
  if (globals === undefined) return resources;
  if (!isObject(globals)) throw samError(["'Globals' section is invalid. It must be a non-empty dictionary"]);
  for (const [section, properties] of Object.entries(globals)) checkSection(section, properties);
  return mapObject(resources, (resource, logicalId) => {
    if (!isObject(resource)) return resource;
    const type = member(resource, 'Type');
    const section =
      typeof type === 'string' && type.startsWith('AWS::Serverless::') ? type.slice('AWS::Serverless::'.length) : '';
    const common = member(globals, section);
    if (!isObject(common)) return resource;
    return {
      ...resource,
      Properties: merge(
        ignoring(common, member(resource, 'IgnoreGlobals'), logicalId),
        member(resource, 'Properties') ?? {},
      ),
    };
  });
}

function checkSection(section: string, properties: Json): void {
  const known = Object.hasOwn(supported, section) ? supported[section]?.split(' ') : undefined;
  // Texts: aws-sam-translator, plugins/globals/globals.py.
  if (!known) {
    throw samError([
      `'Globals' section is invalid. '${section}' is not supported. Must be one of the following values - ` +
        `[${Object.keys(supported)
          .sort()
          .map((name) => `'${name}'`)
          .join(', ')}]`,
    ]);
  }
  if (!isObject(properties)) throw samError([`'Globals' section is invalid. Value of ${section} must be a dictionary`]);
  const unknown = Object.keys(properties).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw samError([
      `'Globals' section is invalid. '${unknown}' is not a supported property of '${section}'. Must be one of the following ` +
        `values - [${known.map((name) => `'${name}'`).join(', ')}]`,
    ]);
  }
}

function ignoring(common: JsonObject, ignored: Json | undefined, logicalId: string): JsonObject {
  if (ignored === undefined) return common;
  if (ignored === '*') return {};
  const wrong = isList(ignored)
    ? ignored.find((name) => typeof name !== 'string' || !Object.hasOwn(common, name))
    : ignored;
  if (wrong !== undefined) {
    const item = isList(ignored) ? ` on item '${String(wrong)}'` : '';
    throw samError([`Resource ${logicalId} has invalid resource attribute 'IgnoreGlobals'${item}.`]);
  }
  return mapObject(common, (value, key) => ((ignored as readonly Json[]).includes(key) ? undefined : value));
}

function merge(common: Json, own: Json): Json {
  if (isList(common) && isList(own)) return [...common, ...own];
  if (!isObject(common) || !isObject(own)) return own;
  if (isIntrinsic(common) || isIntrinsic(own)) return own;
  const merged: { [key: string]: Json } = { ...common };
  for (const [key, value] of Object.entries(own)) {
    merged[key] = Object.hasOwn(common, key) ? merge(common[key] as Json, value) : value;
  }
  return merged;
}
