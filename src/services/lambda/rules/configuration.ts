import { AwsError } from '../../../wire/errors.ts';
import type {
  CreateFunctionRequest,
  ImageConfig,
  UpdateFunctionConfigurationRequest,
} from '../../../wire/types/lambda.ts';
import type { FunctionImage, FunctionLayer, FunctionVersion } from '../state.ts';
import { checkTotalSize } from './layers.ts';
import { invalidParameter } from './names.ts';
import { checkedRuntime, checkSnapStartRuntime } from './runtimes.ts';
import { checkSettings, jsonLogsAfter, type Settings } from './settings.ts';

/** What the code of a function is. */
export type CodePackage =
  | {
      readonly kind: 'zip';
      readonly digest: string;
      readonly zippedBytes: number;
      readonly unzippedBytes: number;
    }
  /** `digest` is the manifest's. */
  | { readonly kind: 'image'; readonly digest: string; readonly uri: string; readonly resolvedUri: string };

/** Ids that the caller draws: rules draw nothing. */
export interface Stamp {
  readonly revisionId: string;
  readonly environmentId: string;
  readonly nowMs: number;
}

type Draft = { -readonly [K in keyof FunctionVersion]: FunctionVersion[K] };

/** $LATEST of a new function, Pending. */
export function newFunctionVersion(
  input: CreateFunctionRequest,
  code: CodePackage,
  layers: readonly FunctionLayer[],
  stamp: Stamp,
): FunctionVersion {
  const base: FunctionVersion = {
    version: '$LATEST',
    revisionId: stamp.revisionId,
    environmentId: stamp.environmentId,
    description: '',
    role: input.Role,
    timeoutSeconds: 3,
    memoryMb: 128,
    ephemeralStorageMb: 512,
    architecture: input.Architectures?.[0] ?? 'x86_64',
    ...codeMembers(code, undefined),
    tracing: 'PassThrough',
    logGroup: `/aws/lambda/${input.FunctionName}`,
    snapStart: 'None',
    state: 'Pending',
    stateReason: 'The function is being created.',
    stateReasonCode: 'Creating',
    update: 'Successful',
    lastModifiedMs: stamp.nowMs,
  };
  return withSettings(base, input, layers);
}

/** Refuses what cannot be together in a new function, before its code is looked at. Wording: public issues that quote AWS. */
export function checkPackageType(input: CreateFunctionRequest): void {
  refuseUnbuilt(input);
  if (input.PackageType === 'Image') {
    if (input.Runtime !== undefined || input.Handler !== undefined || (input.Layers ?? []).length > 0)
      throw invalidParameter(
        "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.",
      );
    if (input.Code.ImageUri === undefined)
      throw invalidParameter('Please provide ImageUri when the intended function PackageType is Image.');
    return;
  }
  if (input.Runtime === undefined || input.Handler === undefined)
    throw invalidParameter(
      'Runtime and Handler are mandatory parameters for functions created with deployment packages.',
    );
  if (input.ImageConfig !== undefined)
    throw invalidParameter("Please don't provide ImageConfig when the intended function PackageType is Zip.");
}

/** $LATEST with new settings, its update in progress. `layers` are those that it has from now on. */
export function reconfigured(
  latest: FunctionVersion,
  input: UpdateFunctionConfigurationRequest,
  layers: readonly FunctionLayer[],
  stamp: Stamp,
): FunctionVersion {
  refuseUnbuilt(input);
  if (latest.image !== undefined) {
    if (input.Runtime !== undefined || input.Handler !== undefined || layers.length > 0)
      throw invalidParameter(
        "Please don't provide Handler or Runtime or Layer when updating a function with packageType Image.",
      );
  } else if (input.ImageConfig !== undefined) {
    throw invalidParameter("Please don't provide ImageConfig when updating a function with packageType Zip.");
  }
  return updating(latest, withSettings(latest, input, layers), stamp);
}

/** $LATEST with other code, its update in progress. */
export function recoded(
  latest: FunctionVersion,
  code: CodePackage,
  architecture: 'x86_64' | 'arm64' | undefined,
  stamp: Stamp,
): FunctionVersion {
  const { image: _, unzippedBytes: __, ...rest } = latest;
  const changed: FunctionVersion = {
    ...rest,
    ...codeMembers(code, latest.image),
    architecture: architecture ?? latest.architecture,
  };
  if (latest.layers !== undefined) checkTotalSize(changed.unzippedBytes ?? 0, latest.layers);
  return updating(latest, changed, stamp);
}

function codeMembers(
  code: CodePackage,
  before: FunctionImage | undefined,
): Pick<FunctionVersion, 'codeDigest' | 'codeBytes' | 'unzippedBytes' | 'image'> {
  if (code.kind === 'zip')
    return { codeDigest: code.digest, codeBytes: code.zippedBytes, unzippedBytes: code.unzippedBytes };
  const config = before?.config === undefined ? {} : { config: before.config };
  return { codeDigest: code.digest, codeBytes: 0, image: { uri: code.uri, resolvedUri: code.resolvedUri, ...config } };
}

function updating(before: FunctionVersion, after: FunctionVersion, stamp: Stamp): FunctionVersion {
  // An update that changes nothing keeps the warm environments, and no new version is published of it.
  const same = sameMembers(before, after);
  return {
    ...after,
    revisionId: stamp.revisionId,
    environmentId: same ? before.environmentId : stamp.environmentId,
    lastModifiedMs: stamp.nowMs,
    update: 'InProgress',
  };
}

function sameMembers(one: FunctionVersion, other: FunctionVersion): boolean {
  const text = (version: FunctionVersion): string =>
    JSON.stringify(Object.entries(version).sort(([left], [right]) => (left < right ? -1 : 1)));
  return text(one) === text(other);
}

/** A published version of $LATEST as it is. One with SnapStart is Pending while its snapshot is made. */
export function publishedVersion(
  latest: FunctionVersion,
  version: number,
  description: string | undefined,
  stamp: Stamp,
): FunctionVersion {
  const pending: Partial<FunctionVersion> =
    latest.snapStart === 'PublishedVersions'
      ? { state: 'Pending', stateReason: 'The function is being created.', stateReasonCode: 'Creating' }
      : {};
  return {
    ...latest,
    version: String(version),
    revisionId: stamp.revisionId,
    environmentId: stamp.environmentId,
    publishedFrom: latest.environmentId,
    description: description ?? latest.description,
    update: 'Successful',
    lastModifiedMs: stamp.nowMs,
    ...pending,
  };
}

function withSettings(base: FunctionVersion, input: Settings, layers: readonly FunctionLayer[]): FunctionVersion {
  checkSettings(input);
  const next: Draft = { ...base };
  if (input.Description !== undefined) next.description = input.Description;
  if (input.Role !== undefined) next.role = input.Role;
  if (input.Runtime !== undefined) next.runtime = checkedRuntime(input.Runtime);
  if (input.Handler !== undefined) next.handler = input.Handler;
  if (input.Timeout !== undefined) next.timeoutSeconds = input.Timeout;
  if (input.MemorySize !== undefined) next.memoryMb = input.MemorySize;
  if (input.EphemeralStorage !== undefined) next.ephemeralStorageMb = input.EphemeralStorage.Size;
  if (input.Environment !== undefined) next.variables = { ...input.Environment.Variables };
  if (input.TracingConfig?.Mode !== undefined) next.tracing = input.TracingConfig.Mode;
  if (input.SnapStart?.ApplyOn !== undefined) next.snapStart = input.SnapStart.ApplyOn;
  setLogging(next, input);
  setLayers(next, layers);
  if (input.ImageConfig !== undefined && next.image !== undefined)
    next.image = withImageConfig(next.image, input.ImageConfig);
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
    const { SubnetIds = [], SecurityGroupIds = [], Ipv6AllowedForDualStack } = input.VpcConfig;
    const ipv6 = Ipv6AllowedForDualStack === true ? { ipv6: true as const } : {};
    if (SubnetIds.length > 0) next.vpc = { subnetIds: SubnetIds, securityGroupIds: SecurityGroupIds, ...ipv6 };
  }
  checkSnapStart(next);
  return next;
}

function setLogging(next: Draft, { LoggingConfig: change }: Settings): void {
  if (change === undefined) return;
  if (change.LogGroup !== undefined) next.logGroup = change.LogGroup;
  const levels = jsonLogsAfter(next.jsonLogs, change);
  delete next.jsonLogs;
  if (levels !== undefined) next.jsonLogs = levels;
}

function setLayers(next: Draft, layers: readonly FunctionLayer[]): void {
  delete next.layers;
  if (layers.length === 0) return;
  checkTotalSize(next.unzippedBytes ?? 0, layers);
  next.layers = layers;
}

/** An empty configuration takes away what was set before; what it does not name is the image's own again. */
function withImageConfig({ uri, resolvedUri }: FunctionImage, given: ImageConfig): FunctionImage {
  const { EntryPoint = [], Command = [], WorkingDirectory = '' } = given;
  const config = {
    ...(EntryPoint.length === 0 ? {} : { entryPoint: EntryPoint }),
    ...(Command.length === 0 ? {} : { command: Command }),
    ...(WorkingDirectory === '' ? {} : { workingDirectory: WorkingDirectory }),
  };
  return Object.keys(config).length === 0 ? { uri, resolvedUri } : { uri, resolvedUri, config };
}

/** https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html: no more than 512 MB of /tmp (in words of our own). */
function checkSnapStart(version: Draft): void {
  if (version.snapStart === 'None') return;
  checkSnapStartRuntime(version.runtime);
  if (version.ephemeralStorageMb > 512)
    throw invalidParameter('SnapStart is not supported for functions with EphemeralStorage greater than 512 MB.');
}

/** What is in the model and would change how a function runs, but is not built: refused loudly. */
function refuseUnbuilt(input: Settings): void {
  const asked: Record<string, boolean> = {
    FileSystemConfigs: (input.FileSystemConfigs?.length ?? 0) > 0,
    DurableConfig: input.DurableConfig !== undefined,
    CapacityProviderConfig: 'CapacityProviderConfig' in input && input.CapacityProviderConfig !== undefined,
    TenancyConfig: 'TenancyConfig' in input && input.TenancyConfig !== undefined,
    PublishTo: 'PublishTo' in input && input.PublishTo !== undefined,
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
