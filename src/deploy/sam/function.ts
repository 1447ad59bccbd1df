import { isList, isObject, type Json, type JsonObject, type MutableObject } from '../json.ts';
import { emit, passedOn, type SamContext, type SamResource } from './context.ts';
import { resourceProblem, unsupported } from './errors.ts';
import { connectEvents } from './events.ts';
import { invokeConfig } from './invoke-config.ts';
import { checkKinds, type Kind } from './kinds.ts';
import { assumedBy, deadLetterQueue, Role } from './role.ts';
import { dataHash, getAtt, isIntrinsic, isNoValue, ref, resolveParameters, resource, tagList } from './values.ts';

/** Properties that AWS::Lambda::Function has by the same name and form. */
const passed = (
  'FunctionName Handler Runtime Description MemorySize Timeout VpcConfig Environment KmsKeyArn ReservedConcurrentExecutions Layers ' +
  'FileSystemConfigs ImageConfig PackageType Architectures SnapStart EphemeralStorage CodeSigningConfigArn RuntimeManagementConfig ' +
  'LoggingConfig TenancyConfig RecursiveLoop DurableConfig PublishToLatestPublished'
).split(' ');

const treated = (
  'CodeUri InlineCode ImageUri DeadLetterQueue Role AssumeRolePolicyDocument Policies RolePath PermissionsBoundary Events Tags ' +
  'PropagateTags Tracing EventInvokeConfig AutoPublishAlias AutoPublishCodeSha256 AutoPublishAliasAllProperties VersionDescription ' +
  'ProvisionedConcurrencyConfig FunctionUrlConfig SourceKMSKeyArn VersionDeletionPolicy'
).split(' ');

/** In the published list, and not built: CodeDeploy and capacity providers. */
const refused = ['DeploymentPreference', 'CapacityProviderConfig', 'FunctionScalingConfig'];

const durableRolePolicy = 'arn:aws:iam::aws:policy/service-role/AWSLambdaBasicDurableExecutionRolePolicy';

/** Writes a function: the Lambda function, its role, version and alias, URL, invocation settings and events. */
export function emitFunction(context: SamContext, source: SamResource): void {
  const { logicalId, properties } = source;
  checkProperties(source);
  const before = new Set(context.output.keys());
  const code = codeOf(source);
  const dlq = deadLetterQueue(logicalId, properties['DeadLetterQueue']);
  const tracing = resolveParameters(properties['Tracing'] ?? 'Disabled', context.parameters);
  const tags: readonly JsonObject[] = [
    { Key: 'lambda:createdBy', Value: 'SAM' },
    ...tagList(properties['Tags'] as JsonObject | undefined),
  ];
  const lambda: MutableObject = { Code: code, Tags: tags };
  for (const name of passed) if (properties[name] !== undefined) lambda[name] = properties[name] as Json;
  if (tracing !== 'Disabled') lambda['TracingConfig'] = { Mode: properties['Tracing'] as Json };
  if (dlq) lambda['DeadLetterConfig'] = { TargetArn: dlq.arn };

  const publishing = aliasOf(context, source, lambda, code);
  const name = publishing ? ref(publishing.aliasId) : ref(logicalId);
  const arn = publishing ? ref(publishing.aliasId) : getAtt(logicalId, 'Arn');
  functionUrl(context, source, name);

  const role = new Role(`${logicalId}Role`, [
    properties['DurableConfig'] === undefined ? 'AWSLambdaBasicExecutionRole' : durableRolePolicy,
    ...(tracing === 'Disabled' ? [] : ['AWSXrayWriteOnlyAccess']),
    ...(properties['VpcConfig'] === undefined ? [] : ['AWSLambdaVPCAccessExecutionRole']),
  ]);
  if (dlq) {
    const statement = { Action: dlq.action, Resource: dlq.arn, Effect: 'Allow' };
    role.addDocument('DeadLetterQueuePolicy', { Version: '2012-10-17', Statement: [statement] });
  }
  invokeConfig(context, source, role, publishing);
  role.addPolicies(logicalId, properties['Policies']);

  const roleAttributes = passedOn(source);
  lambda['Role'] = roleOf(context, source, role, roleAttributes);
  emit(context, source, logicalId, resource('AWS::Lambda::Function', lambda, source.attributes));
  connectEvents(context, source, name, arn, role);
  if (properties['Role'] === undefined || lambda['Role'] !== properties['Role']) {
    const own = {
      AssumeRolePolicyDocument: properties['AssumeRolePolicyDocument'] ?? assumedBy('lambda.amazonaws.com'),
      Path: properties['RolePath'],
      PermissionsBoundary: properties['PermissionsBoundary'],
      Tags: tags,
    };
    emit(context, source, role.logicalId, role.resource(own, roleAttributes));
  }
  if (properties['PropagateTags'] === true) propagate(context, source, before);
}

const kinds: { readonly [property: string]: Kind } = {
  Environment: 'map',
  Events: 'map',
  Tags: 'map',
  DeadLetterQueue: 'map',
  EventInvokeConfig: 'map',
  FunctionUrlConfig: 'map',
  AssumeRolePolicyDocument: 'map',
  SnapStart: 'map',
  ProvisionedConcurrencyConfig: 'map',
  TenancyConfig: 'map',
  DurableConfig: 'map',
  Layers: 'list',
  Architectures: 'list',
  Role: 'string',
  PermissionsBoundary: 'string',
  PropagateTags: 'boolean',
  AutoPublishAliasAllProperties: 'boolean',
};

function checkProperties(source: SamResource): void {
  const { logicalId, properties } = source;
  for (const name of Object.keys(properties)) {
    if (refused.includes(name)) throw unsupported(logicalId, `Property '${name}'`);
    if (!passed.includes(name) && !treated.includes(name)) {
      throw resourceProblem(logicalId, `property ${name} not defined for resource of type ${source.type}`);
    }
  }
  checkKinds(logicalId, properties, kinds);
  checkTenancy(source);
  const image = properties['PackageType'] === 'Image';
  if (!image && (properties['Runtime'] === undefined || properties['Handler'] === undefined)) {
    throw resourceProblem(logicalId, 'Runtime and Handler needs to be present when PackageType is of type `Zip`');
  }
  if (image && ['Handler', 'Runtime', 'Layers'].some((name) => properties[name] !== undefined)) {
    throw resourceProblem(logicalId, 'Runtime, Handler, Layers cannot be present when PackageType is of type `Image`');
  }
  if (!image && (properties['ImageUri'] !== undefined || properties['ImageConfig'] !== undefined)) {
    throw resourceProblem(logicalId, 'ImageUri or ImageConfig cannot be present when PackageType is of type `Zip`');
  }
}

/** Tenant isolation (developer guide, "TenancyConfig") excludes what has no tenant. */
function checkTenancy({ logicalId, properties }: SamResource): void {
  if (properties['TenancyConfig'] === undefined) return;
  const excluded = [
    ['ProvisionedConcurrencyConfig', 'Provisioned concurrency'],
    ['FunctionUrlConfig', 'Function URL'],
    ['SnapStart', 'SnapStart'],
  ] as const;
  const found = excluded.find(([name]) => properties[name] !== undefined)?.[1];
  if (found !== undefined) {
    throw resourceProblem(logicalId, `${found} is not supported for functions enabled with tenancy configuration.`);
  }
  for (const event of Object.values((properties['Events'] ?? {}) as JsonObject)) {
    const type = isObject(event) ? event['Type'] : undefined;
    if (type === 'Api' || type === 'HttpApi') continue;
    throw resourceProblem(
      logicalId,
      `Event source '${String(type)}' is not supported for functions enabled with tenancy configuration. Only Api and HttpApi ` +
        'event sources are supported.',
    );
  }
}

function codeOf(source: SamResource): JsonObject {
  const { logicalId, properties } = source;
  if (properties['PackageType'] === 'Image') {
    if (properties['ImageUri'] === undefined) throw resourceProblem(logicalId, "'ImageUri' must be set.");
    return { ImageUri: properties['ImageUri'] };
  }
  const kms = properties['SourceKMSKeyArn'];
  const encrypted = kms === undefined ? {} : { SourceKMSKeyArn: kms };
  if (properties['InlineCode'] !== undefined) return { ZipFile: properties['InlineCode'], ...encrypted };
  if (properties['CodeUri'] === undefined)
    throw resourceProblem(logicalId, "Only one of 'InlineCode' or 'CodeUri' can be set.");
  return { ...s3Code(logicalId, 'CodeUri', properties['CodeUri']), ...encrypted };
}

/** `s3://bucket/key?versionId=v` or `{Bucket, Key, Version}` as Lambda's S3Bucket, S3Key, S3ObjectVersion. */
export function s3Code(logicalId: string, property: string, uri: Json): JsonObject {
  if (isObject(uri)) {
    const { Bucket, Key, Version } = uri;
    if (Bucket === undefined || Key === undefined) {
      throw resourceProblem(logicalId, `'${property}' requires Bucket and Key properties to be specified.`);
    }
    return { S3Bucket: Bucket, S3Key: Key, ...(Version !== undefined && { S3ObjectVersion: Version }) };
  }
  const match = /^s3:\/\/([^/?]+)\/([^?]+)(?:\?(?:.*&)?versionId=([^&]+))?$/.exec(String(uri));
  // Neither a dynamic reference nor a placeholder that some tool has not put in is a place in S3.
  if (!match || /\{\{resolve:|\[TOKEN\./.test(String(uri))) {
    throw resourceProblem(
      logicalId,
      `'${property}' is not a valid S3 Uri of the form 's3://bucket/key' with optional versionId query parameter.`,
    );
  }
  const [, S3Bucket, S3Key, S3ObjectVersion] = match as unknown as [string, string, string, string | undefined];
  return { S3Bucket, S3Key, ...(S3ObjectVersion !== undefined && { S3ObjectVersion }) };
}

/** What AutoPublishAlias made. */
export interface Publishing {
  readonly aliasId: string;
  readonly aliasName: string;
}

/** AutoPublishAlias: a version whose logical id changes with the code and configuration, and an alias that points to it. */
function aliasOf(
  context: SamContext,
  source: SamResource,
  lambda: MutableObject,
  code: JsonObject,
): Publishing | undefined {
  const { logicalId, properties } = source;
  if (properties['AutoPublishAlias'] === undefined) {
    if (properties['ProvisionedConcurrencyConfig'] !== undefined) {
      throw resourceProblem(
        logicalId,
        'To set ProvisionedConcurrencyConfig AutoPublishALias must be defined on the function',
      );
    }
    return undefined;
  }
  const aliasName = resolveParameters(properties['AutoPublishAlias'], context.parameters);
  if (typeof aliasName !== 'string') {
    throw resourceProblem(logicalId, "'AutoPublishAlias' must be a string or a Ref to a template parameter");
  }
  if (!/^(?!^[0-9]+$)[a-zA-Z0-9\-_]+$/.test(aliasName)) {
    throw resourceProblem(
      logicalId,
      `AutoPublishAlias name ('${aliasName}') must contain only alphanumeric characters, hyphens, or underscores matching ` +
        '(?!^[0-9]+$)([a-zA-Z0-9-_]+) pattern.',
    );
  }
  if (properties['AutoPublishAliasAllProperties'] === true) {
    throw unsupported(logicalId, "Property 'AutoPublishAliasAllProperties'");
  }
  const sha = codeSha(context, source);
  if (sha !== undefined) describeWith(context, lambda, sha);
  // Parameters are put into the published code itself, as in the original.
  lambda['Code'] = resolveParameters(code, context.parameters);
  const data: MutableObject = { ...(lambda['Code'] as JsonObject) };
  if (isObject(properties['Environment'])) Object.assign(data, properties['Environment']);
  if (properties['MemorySize'] !== undefined) data['MemorySize'] = properties['MemorySize'];
  const snapStart = properties['SnapStart'];
  if (isObject(snapStart) && (snapStart['ApplyOn'] ?? 'None') !== 'None') data['SnapStart'] = snapStart;
  const versionId = `${logicalId}Version${sha === undefined ? dataHash(data) : sha.slice(0, 10)}`;
  const policy = properties['VersionDeletionPolicy'] ?? 'Retain';
  emit(
    context,
    source,
    versionId,
    resource(
      'AWS::Lambda::Version',
      { FunctionName: ref(logicalId), Description: properties['VersionDescription'] },
      { DeletionPolicy: policy, ...passedOn(source) },
    ),
  );
  const aliasId = `${logicalId}Alias${aliasName.replaceAll('-', 'D').replaceAll('_', 'U')}`;
  emit(
    context,
    source,
    aliasId,
    resource(
      'AWS::Lambda::Alias',
      {
        Name: aliasName,
        FunctionName: ref(logicalId),
        FunctionVersion: getAtt(versionId, 'Version'),
        ProvisionedConcurrencyConfig: properties['ProvisionedConcurrencyConfig'],
      },
      passedOn(source),
    ),
  );
  context.referable.set(`${logicalId}.Version`, versionId).set(`${logicalId}.Alias`, aliasId);
  return { aliasId, aliasName };
}

function codeSha(context: SamContext, source: SamResource): string | undefined {
  const given = source.properties['AutoPublishCodeSha256'];
  if (given === undefined) return undefined;
  const sha = resolveParameters(given, context.parameters);
  if (typeof sha !== 'string') throw resourceProblem(source.logicalId, 'AutoPublishCodeSha256 must be a string');
  return sha;
}

/** Lambda publishes no new version of unchanged code; the hash in the description makes it one. */
function describeWith(context: SamContext, lambda: MutableObject, sha: string): void {
  const description = resolveParameters(lambda['Description'] ?? '', context.parameters);
  if (typeof description === 'string') lambda['Description'] = description === '' ? sha : `${description} ${sha}`;
  else lambda['Description'] = { 'Fn::Join': [' ', [description, sha]] };
}

function functionUrl(context: SamContext, source: SamResource, name: Json): void {
  const { logicalId, properties } = source;
  const config = properties['FunctionUrlConfig'];
  if (config === undefined) return;
  const authType = isObject(config) ? config['AuthType'] : undefined;
  if (!isObject(config) || (!isIntrinsic(authType) && authType !== 'AWS_IAM' && authType !== 'NONE')) {
    throw resourceProblem(
      logicalId,
      'AuthType is required to configure function property `FunctionUrlConfig`. Please provide either AWS_IAM or NONE.',
    );
  }
  const { AuthType, Cors, InvokeMode, ...others } = config;
  const corsKeys = ['AllowOrigins', 'AllowMethods', 'AllowCredentials', 'AllowHeaders', 'ExposeHeaders', 'MaxAge'];
  const wrong = isIntrinsic(Cors)
    ? undefined
    : Object.keys((Cors ?? {}) as JsonObject).find((key) => !corsKeys.includes(key));
  if (wrong !== undefined) throw resourceProblem(logicalId, `${wrong} is not a valid property for configuring Cors.`);
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) throw unsupported(logicalId, `Property 'FunctionUrlConfig.${unknown}'`);
  const url = { AuthType, Cors, InvokeMode, TargetFunctionArn: name };
  emit(context, source, `${logicalId}Url`, resource('AWS::Lambda::Url', url, passedOn(source)));
  if (authType !== 'NONE') return;
  const common = { FunctionName: name, Principal: '*' };
  const open = { ...common, Action: 'lambda:InvokeFunctionUrl', FunctionUrlAuthType: 'NONE' };
  const invoke = { ...common, Action: 'lambda:InvokeFunction', InvokedViaFunctionUrl: true };
  emit(
    context,
    source,
    `${logicalId}UrlPublicPermissions`,
    resource('AWS::Lambda::Permission', open, passedOn(source)),
  );
  emit(
    context,
    source,
    `${logicalId}URLInvokeAllowPublicAccess`,
    resource('AWS::Lambda::Permission', invoke, passedOn(source)),
  );
}

/** The Role property: the one given, the one made, or either by a condition. */
function roleOf(context: SamContext, source: SamResource, role: Role, attributes: JsonObject): Json {
  const given = source.properties['Role'];
  const made = getAtt(role.logicalId, 'Arn');
  if (given === undefined) return made;
  const choice = isObject(given) ? given['Fn::If'] : undefined;
  if (choice === undefined) return given;
  if (!isList(choice) || choice.length !== 3) {
    throw resourceProblem(source.logicalId, "Malformed 'Role' property: Fn::If requires 3 arguments.");
  }
  const [condition, whenTrue, whenFalse] = choice as [string, Json, Json];
  if (isNoValue(whenTrue) && isNoValue(whenFalse)) return made;
  if (isNoValue(whenTrue)) {
    (attributes as MutableObject)['Condition'] = condition;
    return { 'Fn::If': [condition, made, whenFalse] };
  }
  if (isNoValue(whenFalse)) {
    (attributes as MutableObject)['Condition'] = `NOT${condition}`;
    context.conditions[`NOT${condition}`] = { 'Fn::Not': [{ Condition: condition }] };
    return { 'Fn::If': [condition, whenTrue, made] };
  }
  return given;
}

/** PropagateTags: the function's tags on every resource made for it that has tags, in the place of those it had. */
function propagate(context: SamContext, source: SamResource, before: ReadonlySet<string>): void {
  const tags = source.properties['Tags'];
  if (!isObject(tags) || Object.keys(tags).length === 0) return;
  for (const [logicalId, made] of context.output) {
    if (before.has(logicalId) || !taggable.has(made.Type)) continue;
    context.output.set(logicalId, { ...made, Properties: { ...made.Properties, Tags: tagList(tags) } });
  }
}

const taggable: ReadonlySet<string> = new Set([
  'AWS::Lambda::Function',
  'AWS::IAM::Role',
  'AWS::SQS::Queue',
  'AWS::SNS::Topic',
]);
