/** SSESpecification. The setting only: data at rest is as the store keeps it (README). Texts: ack-api-quirks, DDB-TABLE-442. */
import { formatArn } from '../../../platform/arn.ts';
import type { SSESpecification } from '../../../wire/types/dynamodb.ts';
import { invalidParameter } from './errors.ts';

interface Place {
  readonly account: string;
  readonly region: string;
}

/** What of it can be judged without a table. Throws RuleError. */
export function checkEncryption(specification: SSESpecification | undefined): void {
  if (specification === undefined) return;
  const { Enabled, SSEType, KMSMasterKeyId } = specification;
  if (Enabled !== true) {
    if (SSEType !== undefined) throw invalidParameter('SSEType can not be specified if Enabled is false');
    if (KMSMasterKeyId !== undefined) throw invalidParameter('KMSMasterKeyId can not be specified if Enabled is false');
    return;
  }
  if (SSEType === 'AES256') throw invalidParameter('SSEType AES256 is not supported');
  if (KMSMasterKeyId !== undefined && SSEType === undefined) {
    throw invalidParameter('SSEType KMS is required if KMSMasterKeyId is specified');
  }
}

/** The key's ARN; undefined: AWS's own key. */
export function encryptionOf(
  specification: SSESpecification | undefined,
  { account, region }: Place,
): { readonly kmsKey: string } | undefined {
  if (specification?.Enabled !== true) return undefined;
  const given = specification.KMSMasterKeyId ?? 'alias/aws/dynamodb';
  if (given.startsWith('arn:')) return { kmsKey: given };
  const resource = given.startsWith('alias/') ? given : `key/${given}`;
  return { kmsKey: formatArn({ service: 'kms', region, account, resource }) };
}

/** Another setting than the one there is, or it is refused. */
export function changedEncryption(
  before: { readonly kmsKey: string } | undefined,
  specification: SSESpecification,
  place: Place,
): { readonly kmsKey: string } | undefined {
  const after = encryptionOf(specification, place);
  if (after?.kmsKey !== before?.kmsKey) return after;
  if (after === undefined) throw invalidParameter('Table is already encrypted by default');
  throw invalidParameter(
    'Table is already encrypted with given KMSMasterKeyId. Use KMSMasterKeyId parameter if you want to change Master Key',
  );
}
