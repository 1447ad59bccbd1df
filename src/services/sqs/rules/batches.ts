import { AwsError } from '../../../wire/errors.ts';
import type { SqsLimits } from '../limits.ts';

/** What holds for every batch, in the order in which AWS looks (the words from LocalStack's snapshots and moto's tests). */
export function checkBatch(
  kind: 'SendMessage' | 'DeleteMessage' | 'ChangeMessageVisibility',
  entries: readonly { readonly Id: string }[],
  limits: Pick<SqsLimits, 'batchEntries'>,
): void {
  if (entries.length === 0) {
    throw new AwsError('EmptyBatchRequest', `There should be at least one ${kind}BatchRequestEntry in the request.`);
  }
  if (entries.length > limits.batchEntries) {
    throw new AwsError(
      'TooManyEntriesInBatchRequest',
      `Maximum number of entries per request are ${limits.batchEntries}. You have sent ${entries.length}.`,
    );
  }
  const seen = new Set<string>();
  for (const { Id: id } of entries) {
    if (!/^[A-Za-z0-9_-]{1,80}$/.test(id)) {
      throw new AwsError(
        'InvalidBatchEntryId',
        'A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.',
      );
    }
    if (seen.has(id)) throw new AwsError('BatchEntryIdsNotDistinct', `Id ${id} repeated.`);
    seen.add(id);
  }
}

export function checkBatchBytes(totalBytes: number, limits: Pick<SqsLimits, 'batchBytes'>): void {
  if (totalBytes <= limits.batchBytes) return;
  throw new AwsError(
    'BatchRequestTooLong',
    `Batch requests cannot be longer than ${limits.batchBytes} bytes. You have sent ${totalBytes} bytes.`,
  );
}

/** The entries by what `name` says of each, in the order of the first ones. */
export function groupBy<T>(entries: readonly T[], name: (entry: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const entry of entries) {
    const group = groups.get(name(entry));
    if (group === undefined) groups.set(name(entry), [entry]);
    else group.push(entry);
  }
  return groups;
}

/** What a batch answers: lists that would be empty are left out (LocalStack's snapshots of AWS), although the model requires them. */
export function batchResult<S, F>(
  Successful: readonly S[],
  Failed: readonly F[],
): { readonly Successful: readonly S[]; readonly Failed: readonly F[] } {
  return {
    ...(Successful.length === 0 ? {} : { Successful }),
    ...(Failed.length === 0 ? {} : { Failed }),
  } as { readonly Successful: readonly S[]; readonly Failed: readonly F[] };
}
