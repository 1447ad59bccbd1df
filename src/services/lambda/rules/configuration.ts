import { AwsError } from '../../../wire/errors.ts';
import type {
  CreateFunctionRequest,
  FunctionConfiguration,
  LastUpdateStatusReasonCode,
  Runtime,
  UpdateFunctionConfigurationRequest,
} from '../../../wire/types/lambda.ts';
import { lambdaLimits } from '../limits.ts';
import type { FunctionVersion, Place } from '../state.ts';
import { functionArn, invalidParameter } from './names.ts';

type Settings = CreateFunctionRequest | UpdateFunctionConfigurationRequest;

/** What the code of a function is. */
export interface CodePackage {
  readonly digest: string;
  readonly zippedBytes: number;
}

/** Ids that the caller draws: rules draw nothing. */
export interface Stamp {
  readonly revisionId: string;
  readonly environmentId: string;
  readonly nowMs: number;
}

/** $LATEST of a new function, Pending. */
export function newFunctionVersion(input: CreateFunctionRequest, code: CodePackage, stamp: Stamp): FunctionVersion {
  refuseUnbuilt(input);
  if (input.Runtime === undefined || input.Handler === undefined)
    throw invalidParameter(
      'Runtime and Handler are mandatory parameters for functions created with deployment packages.',
    );
  checkSettings(input);
  const base: FunctionVersion = {
    version: '$LATEST',
    revisionId: stamp.revisionId,
    environmentId: stamp.environmentId,
    description: '',
    role: input.Role,
    runtime: input.Runtime,
    handler: input.Handler,
    timeoutSeconds: 3,
    memoryMb: 128,
    ephemeralStorageMb: 512,
    architecture: input.Architectures?.[0] ?? 'x86_64',
    codeDigest: code.digest,
    codeBytes: code.zippedBytes,
    tracing: 'PassThrough',
    logGroup: `/aws/lambda/${input.FunctionName}`,
    snapStart: 'None',
    state: 'Pending',
    stateReason: 'The function is being created.',
    stateReasonCode: 'Creating',
    update: 'Successful',
    lastModifiedMs: stamp.nowMs,
  };
  return withSettings(base, input);
}

/** $LATEST with new settings, its update in progress. */
export function reconfigured(
  latest: FunctionVersion,
  input: UpdateFunctionConfigurationRequest,
  stamp: Stamp,
): FunctionVersion {
  refuseUnbuilt(input);
  checkSettings(input);
  return updating(latest, withSettings(latest, input), stamp);
}

/** $LATEST with other code, its update in progress. */
export function recoded(
  latest: FunctionVersion,
  code: CodePackage,
  architecture: 'x86_64' | 'arm64' | undefined,
  stamp: Stamp,
): FunctionVersion {
  const changed: FunctionVersion = {
    ...latest,
    codeDigest: code.digest,
    codeBytes: code.zippedBytes,
    architecture: architecture ?? latest.architecture,
  };
  return updating(latest, changed, stamp);
}

function updating(before: FunctionVersion, after: FunctionVersion, stamp: Stamp): FunctionVersion {
  // An update that changes nothing keeps the warm environments, and no new version is published of it.
  const same = JSON.stringify(before) === JSON.stringify(after);
  return {
    ...after,
    revisionId: stamp.revisionId,
    environmentId: same ? before.environmentId : stamp.environmentId,
    lastModifiedMs: stamp.nowMs,
    update: 'InProgress',
  };
}

/** A published version of $LATEST as it is. */
export function publishedVersion(
  latest: FunctionVersion,
  version: number,
  description: string | undefined,
  stamp: Stamp,
): FunctionVersion {
  return {
    ...latest,
    version: String(version),
    revisionId: stamp.revisionId,
    environmentId: stamp.environmentId,
    publishedFrom: latest.environmentId,
    description: description ?? latest.description,
    update: 'Successful',
    lastModifiedMs: stamp.nowMs,
  };
}

function withSettings(base: FunctionVersion, input: Settings): FunctionVersion {
  const next = { ...base } as { -readonly [K in keyof FunctionVersion]: FunctionVersion[K] };
  if (input.Description !== undefined) next.description = input.Description;
  if (input.Role !== undefined) next.role = input.Role;
  if (input.Runtime !== undefined) next.runtime = input.Runtime;
  if (input.Handler !== undefined) next.handler = input.Handler;
  if (input.Timeout !== undefined) next.timeoutSeconds = input.Timeout;
  if (input.MemorySize !== undefined) next.memoryMb = input.MemorySize;
  if (input.EphemeralStorage !== undefined) next.ephemeralStorageMb = input.EphemeralStorage.Size;
  if (input.Environment !== undefined) next.variables = { ...input.Environment.Variables };
  if (input.TracingConfig?.Mode !== undefined) next.tracing = input.TracingConfig.Mode;
  if (input.SnapStart?.ApplyOn !== undefined) next.snapStart = input.SnapStart.ApplyOn;
  if (input.LoggingConfig?.LogGroup !== undefined) next.logGroup = input.LoggingConfig.LogGroup;
  if (input.DeadLetterConfig !== undefined) {
    delete next.deadLetterArn;
    if (input.DeadLetterConfig.TargetArn) next.deadLetterArn = input.DeadLetterConfig.TargetArn;
  }
  if (input.KMSKeyArn !== undefined) {
    delete next.kmsKeyArn;
    if (input.KMSKeyArn !== '') next.kmsKeyArn = input.KMSKeyArn;
  }
  if (input.VpcConfig !== undefined) {
    delete next.vpc;
    const { SubnetIds = [], SecurityGroupIds = [] } = input.VpcConfig;
    if (SubnetIds.length > 0) next.vpc = { subnetIds: SubnetIds, securityGroupIds: SecurityGroupIds };
  }
  return next;
}

/**
 * The service's own checks, beyond the model's. Wording: LocalStack's recorded AWS responses (test_lambda_api.snapshot.json:
 * test_create_lambda_exceptions, test_large_environment_*, test_create_deprecated_function_runtime_*).
 */
function checkSettings(input: Settings): void {
  atMost('timeout', input.Timeout, lambdaLimits.timeoutSeconds.value);
  atMost('memorySize', input.MemorySize, lambdaLimits.memoryMb.value);
  if (input.Runtime !== undefined && deprecatedRuntimes.has(input.Runtime))
    throw invalidParameter(
      `The runtime parameter of ${input.Runtime} is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions.`,
    );
  checkVariables(input.Environment?.Variables);
  const deadLetters = input.DeadLetterConfig?.TargetArn;
  if (deadLetters && !/^arn:aws[a-z-]*:(sqs|sns):/.test(deadLetters))
    throw invalidParameter(
      `The provided dead letter target ARN is not of a supported type. Only SNS topics and SQS queues are supported: ${deadLetters}`,
    );
}

function atMost(member: string, value: number | undefined, most: number): void {
  if (value === undefined || value <= most) return;
  throw new AwsError(
    'ValidationException',
    `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: Member must have value less than or equal to ${most}`,
    { status: 400 },
  );
}

function checkVariables(variables: Readonly<Record<string, string>> | undefined): void {
  if (variables === undefined) return;
  const reserved = Object.keys(variables).filter((name) => reservedVariables.has(name));
  if (reserved.length > 0)
    throw invalidParameter(
      `Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: ${reserved.join(', ')}`,
    );
  const measured = JSON.stringify(variables);
  if (Buffer.byteLength(measured) > lambdaLimits.environmentBytes.value)
    throw invalidParameter(
      `Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: ${measured}`,
    );
}

/** https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime */
const reservedVariables = new Set([
  '_HANDLER',
  '_X_AMZN_TRACE_ID',
  'AWS_ACCESS_KEY',
  'AWS_ACCESS_KEY_ID',
  'AWS_DEFAULT_REGION',
  'AWS_EXECUTION_ENV',
  'AWS_LAMBDA_FUNCTION_MEMORY_SIZE',
  'AWS_LAMBDA_FUNCTION_NAME',
  'AWS_LAMBDA_FUNCTION_VERSION',
  'AWS_LAMBDA_INITIALIZATION_TYPE',
  'AWS_LAMBDA_LOG_GROUP_NAME',
  'AWS_LAMBDA_LOG_STREAM_NAME',
  'AWS_LAMBDA_RUNTIME_API',
  'AWS_REGION',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SECRET_KEY',
  'AWS_SESSION_TOKEN',
  'LAMBDA_RUNTIME_DIR',
  'LAMBDA_TASK_ROOT',
]);

/**
 * Of the runtimes in the model, those that AWS refuses for new functions (the rest is what its refusal of an unknown runtime lists).
 * go1.x is accepted here although AWS retired it: its packages bring their own bootstrap.
 */
const deprecatedRuntimes: ReadonlySet<Runtime> = new Set<Runtime>([
  'nodejs',
  'nodejs4.3',
  'nodejs4.3-edge',
  'nodejs6.10',
  'nodejs8.10',
  'nodejs10.x',
  'nodejs12.x',
  'nodejs14.x',
  'java8',
  'python2.7',
  'python3.6',
  'python3.7',
  'dotnetcore1.0',
  'dotnetcore2.0',
  'dotnetcore2.1',
  'dotnetcore3.1',
  'ruby2.5',
  'ruby2.7',
  'provided',
]);

/** What is in the model and would change how a function runs, but is not built: refused loudly. */
function refuseUnbuilt(input: Settings): void {
  const asked: Record<string, boolean> = {
    Layers: (input.Layers?.length ?? 0) > 0,
    FileSystemConfigs: (input.FileSystemConfigs?.length ?? 0) > 0,
    ImageConfig: input.ImageConfig !== undefined && Object.values(input.ImageConfig).some(Boolean),
    DurableConfig: input.DurableConfig !== undefined,
    'LoggingConfig.LogFormat JSON': input.LoggingConfig?.LogFormat === 'JSON',
    CapacityProviderConfig: 'CapacityProviderConfig' in input && input.CapacityProviderConfig !== undefined,
    CodeSigningConfigArn: 'CodeSigningConfigArn' in input && Boolean(input.CodeSigningConfigArn),
    TenancyConfig: 'TenancyConfig' in input && input.TenancyConfig !== undefined,
    PublishTo: 'PublishTo' in input && input.PublishTo !== undefined,
    'PackageType Image': 'PackageType' in input && input.PackageType === 'Image',
  };
  const found = Object.keys(asked).find((name) => asked[name]);
  if (found !== undefined) throw unbuilt(found);
}

/** Status 501, for a parameter that is known and not built. */
export function unbuilt(what: string): AwsError {
  return new AwsError(
    'NotImplemented',
    `${what} of Lambda functions is not built in Unkai. See the fidelity table in src/services/lambda/README.md.`,
    { status: 501, fault: 'Receiver' },
  );
}

/** How much of a configuration a call shows. */
export type Detail = 'full' | 'created' | 'listed';

/** The configuration as the API shows it; `qualifier` is put into the ARN. */
export function describeVersion(
  place: Place,
  name: string,
  version: FunctionVersion,
  detail: Detail,
  qualifier?: string,
): FunctionConfiguration {
  const status: FunctionConfiguration =
    detail === 'listed'
      ? {}
      : {
          State: version.state,
          StateReason: version.stateReason,
          StateReasonCode: version.stateReasonCode,
          ...(detail === 'created' ? {} : describeUpdate(version)),
        };
  return {
    FunctionName: name,
    FunctionArn: functionArn(place, name, qualifier),
    Runtime: version.runtime,
    Role: version.role,
    Handler: version.handler,
    CodeSize: version.codeBytes,
    Description: version.description,
    Timeout: version.timeoutSeconds,
    MemorySize: version.memoryMb,
    LastModified: timestampText(version.lastModifiedMs),
    CodeSha256: Buffer.from(version.codeDigest, 'hex').toString('base64'),
    Version: version.version,
    VpcConfig:
      version.vpc === undefined
        ? undefined
        : {
            SubnetIds: version.vpc.subnetIds,
            SecurityGroupIds: version.vpc.securityGroupIds,
            VpcId: '',
            Ipv6AllowedForDualStack: false,
          },
    DeadLetterConfig: version.deadLetterArn === undefined ? undefined : { TargetArn: version.deadLetterArn },
    Environment: version.variables === undefined ? undefined : { Variables: version.variables },
    KMSKeyArn: version.kmsKeyArn,
    TracingConfig: { Mode: version.tracing },
    RevisionId: version.revisionId,
    ...status,
    PackageType: 'Zip',
    Architectures: [version.architecture],
    EphemeralStorage: { Size: version.ephemeralStorageMb },
    SnapStart: {
      ApplyOn: version.snapStart,
      OptimizationStatus: version.snapStart === 'PublishedVersions' && version.version !== '$LATEST' ? 'On' : 'Off',
    },
    LoggingConfig: { LogFormat: 'Text', LogGroup: version.logGroup },
  };
}

function describeUpdate(version: FunctionVersion): FunctionConfiguration {
  switch (version.update) {
    case 'Successful':
      return version.state === 'Active' ? { LastUpdateStatus: 'Successful' } : {};
    case 'InProgress':
      return {
        LastUpdateStatus: 'InProgress',
        LastUpdateStatusReason: 'The function is being created.',
        // AWS sends this code (recorded: test_function_lifecycle), though its model does not list it here.
        LastUpdateStatusReasonCode: 'Creating' as LastUpdateStatusReasonCode,
      };
    case 'Failed':
      return {
        LastUpdateStatus: 'Failed',
        LastUpdateStatusReason: version.updateReason,
        LastUpdateStatusReasonCode: 'InvalidRuntime',
      };
  }
}

/** As Lambda writes times: `2026-11-21T10:00:00.000+0000`. */
export function timestampText(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('Z', '+0000');
}
