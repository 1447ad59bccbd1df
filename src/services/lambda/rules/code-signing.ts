import { formatArn } from '../../../platform/arn.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { CodeSigningConfig } from '../../../wire/types/lambda.ts';
import type { CodeSigningRecord, Place } from '../state.ts';
import { timestampText } from './description.ts';
import { notFound } from './names.ts';

export function codeSigningArn(place: Place, id: string): string {
  return formatArn({ service: 'lambda', ...place, resource: `code-signing-config:${id}` });
}

/** The last part of a configuration's ARN. */
export function codeSigningId(arn: string): string {
  return arn.slice(arn.lastIndexOf(':') + 1);
}

/** Wording: LocalStack's recorded AWS responses (TestCodeSigningConfig). */
export function codeSigningMissing(arn: string): AwsError {
  return notFound(`The Lambda code signing configuration ${arn} can not be found.`);
}

/** What functions are told that name one which is not there. */
export function codeSigningUnknown(arn: string): AwsError {
  return new AwsError(
    'CodeSigningConfigNotFoundException',
    `The code signing configuration cannot be found. Check that the provided configuration is not deleted: ${arn}.`,
    { status: 404, fields: { Type: 'User' } },
  );
}

/**
 * What AWS answers to an unsigned package where the policy is Enforce. There is no AWS Signer here: every package is unsigned.
 * https://docs.aws.amazon.com/lambda/latest/dg/configuration-codesigning.html; the text is quoted in public issues.
 */
export function refuseUnsigned({ policy }: CodeSigningRecord): void {
  if (policy === 'Warn') return;
  throw new AwsError(
    'CodeVerificationFailedException',
    'Lambda cannot deploy the function. The function or layer might be signed using a signature that the client is not configured to accept. Check the provided signature for unsigned.',
    { fields: { Type: 'User' } },
  );
}

export function describeCodeSigning(place: Place, record: CodeSigningRecord): CodeSigningConfig {
  return {
    CodeSigningConfigId: record.id,
    CodeSigningConfigArn: codeSigningArn(place, record.id),
    Description: record.description,
    AllowedPublishers: { SigningProfileVersionArns: record.publishers },
    CodeSigningPolicies: { UntrustedArtifactOnDeployment: record.policy },
    LastModified: timestampText(record.lastModifiedMs),
  };
}
