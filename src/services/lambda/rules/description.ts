import type { FunctionConfiguration, LastUpdateStatusReasonCode, LoggingConfig } from '../../../wire/types/lambda.ts';
import type { FunctionVersion, Place } from '../state.ts';
import { functionArn } from './names.ts';

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
    CodeSha256: codeSha256(version),
    Version: version.version,
    // There is no EC2 here that could tell which VPC the subnets are of.
    VpcConfig:
      version.vpc === undefined
        ? undefined
        : {
            SubnetIds: version.vpc.subnetIds,
            SecurityGroupIds: version.vpc.securityGroupIds,
            VpcId: '',
            Ipv6AllowedForDualStack: version.vpc.ipv6 ?? false,
          },
    DeadLetterConfig: version.deadLetterArn === undefined ? undefined : { TargetArn: version.deadLetterArn },
    Environment: version.variables === undefined ? undefined : { Variables: version.variables },
    KMSKeyArn: version.kmsKeyArn,
    TracingConfig: { Mode: version.tracing },
    RevisionId: version.revisionId,
    Layers: version.layers?.map(({ arn, zippedBytes }) => ({ Arn: arn, CodeSize: zippedBytes })),
    ...status,
    PackageType: version.image === undefined ? 'Zip' : 'Image',
    ImageConfigResponse: describeImageConfig(version),
    Architectures: [version.architecture],
    EphemeralStorage: { Size: version.ephemeralStorageMb },
    SnapStart: { ApplyOn: version.snapStart, OptimizationStatus: hasSnapshot(version) ? 'On' : 'Off' },
    LoggingConfig: describeLogging(version),
  };
}

/** Of a package in base64; of an image as it stands in its URI (recorded: test_lambda_image_crud). */
export function codeSha256({ image, codeDigest }: FunctionVersion): string {
  return image === undefined ? Buffer.from(codeDigest, 'hex').toString('base64') : codeDigest;
}

/** Whether environments of this version start from a snapshot on AWS: a published version whose snapshot is made. */
export function hasSnapshot({ snapStart, version, state }: FunctionVersion): boolean {
  return snapStart === 'PublishedVersions' && version !== '$LATEST' && state === 'Active';
}

function describeImageConfig({ image }: FunctionVersion): FunctionConfiguration['ImageConfigResponse'] {
  if (image?.config === undefined) return undefined;
  const { entryPoint, command, workingDirectory } = image.config;
  return { ImageConfig: { EntryPoint: entryPoint, Command: command, WorkingDirectory: workingDirectory } };
}

function describeLogging({ jsonLogs, logGroup }: FunctionVersion): LoggingConfig {
  if (jsonLogs === undefined) return { LogFormat: 'Text', LogGroup: logGroup };
  return {
    LogFormat: 'JSON',
    ApplicationLogLevel: jsonLogs.applicationLevel,
    SystemLogLevel: jsonLogs.systemLevel,
    LogGroup: logGroup,
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
        LastUpdateStatusReasonCode: version.image === undefined ? 'InvalidRuntime' : 'InvalidImage',
      };
  }
}

/** As Lambda writes times: `2026-11-21T10:00:00.000+0000`. */
export function timestampText(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('Z', '+0000');
}
