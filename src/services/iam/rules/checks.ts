import { type PolicyUse, policyProblem } from '../../../platform/policy.ts';
import { AwsError } from '../../../wire/errors.ts';
import { limits } from '../limits.ts';
import type { EntityKind, EntityRecord, Tag } from '../state.ts';

/** IAM's words for what is not there: the API answers of public bug reports, and LocalStack's recordings for users and policies. */
export function noSuch(kind: EntityKind | 'policy', name: string): AwsError {
  const message =
    kind === 'policy' ? `Policy ${name} was not found.` : `The ${kind} with name ${name} cannot be found.`;
  return new AwsError('NoSuchEntityException', message);
}

export function alreadyExists(kind: EntityKind, name: string): AwsError {
  const what = kind === 'role' ? 'Role' : kind === 'user' ? 'User' : 'Group';
  return new AwsError('EntityAlreadyExistsException', `${what} with name ${name} already exists.`);
}

export function overQuota(quota: { readonly name: string; readonly value: number }): AwsError {
  return new AwsError('LimitExceededException', `Cannot exceed quota for ${quota.name}: ${quota.value}`);
}

export function deleteConflict(reason: string): AwsError {
  return new AwsError('DeleteConflictException', reason);
}

/** Throws MalformedPolicyDocument. */
export function checkDocument(text: string, use: PolicyUse): void {
  const problem = policyProblem(text, use);
  if (problem !== undefined) throw new AwsError('MalformedPolicyDocumentException', problem);
}

/** What IAM counts of a document: everything but white space. */
export function documentSize(text: string): number {
  return text.replace(/\s/g, '').length;
}

export function checkManagedSize(text: string): void {
  const { value } = limits.managedPolicy;
  if (documentSize(text) > value)
    throw new AwsError('LimitExceededException', `Cannot exceed quota for PolicySize: ${value}`);
}

export function checkTrustSize(text: string, lifted: boolean): void {
  const { name, value } = limits.trustPolicy;
  // A quota increase can raise it to twice that, and not further.
  if (documentSize(text) > (lifted ? value * 2 : value)) throw overQuota({ name, value });
}

const inlineQuota = { role: limits.inlinePerRole, user: limits.inlinePerUser, group: limits.inlinePerGroup } as const;

/** The sum of an entity's inline policies is bounded. */
export function checkInlineSize(kind: EntityKind, entity: EntityRecord, inline: EntityRecord['inline']): void {
  const { value } = inlineQuota[kind];
  const total = Object.values(inline).reduce((sum, text) => sum + documentSize(text), 0);
  if (total > value)
    throw new AwsError(
      'LimitExceededException',
      `Maximum policy size of ${value} bytes exceeded for ${kind} ${entity.name}`,
    );
}

/** Applies TagRole and the like. Keys are unique without regard to case; `aws:` belongs to AWS. */
export function withTags(present: readonly Tag[], added: readonly Tag[], internal: boolean): Tag[] {
  const folded = added.map(({ Key }) => Key.toLowerCase());
  if (new Set(folded).size !== folded.length)
    throw new AwsError(
      'InvalidInputException',
      'Duplicate tag keys found. Please note that Tag keys are case insensitive.',
    );
  if (!internal && folded.some((key) => key.startsWith('aws:')))
    throw new AwsError('InvalidInputException', 'System tags cannot be added/updated/deleted by requester.');
  const kept = present.filter(({ Key }) => !folded.includes(Key.toLowerCase()));
  const tags = [...kept, ...added.map(({ Key, Value }) => ({ Key, Value }))];
  if (tags.filter(({ Key }) => !Key.toLowerCase().startsWith('aws:')).length > limits.tagsPerEntity.value)
    throw new AwsError(
      'LimitExceededException',
      `Cannot exceed quota for TagsPerEntity: ${limits.tagsPerEntity.value}`,
    );
  return tags;
}

export function withoutTags(present: readonly Tag[], removed: readonly string[]): Tag[] {
  const folded = new Set(removed.map((key) => key.toLowerCase()));
  return present.filter(({ Key }) => !folded.has(Key.toLowerCase()));
}

export interface PageRequest {
  readonly Marker?: string | undefined;
  readonly MaxItems?: number | undefined;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly IsTruncated: boolean;
  readonly Marker?: string;
}

const defaultPage = 100;

/** Cuts a page out of items in order of their names; the marker is the last name of the page before. */
export function pageOf<T>(items: readonly T[], nameOf: (item: T) => string, request: PageRequest): Page<T> {
  const size = request.MaxItems ?? defaultPage;
  const after = request.Marker === undefined ? undefined : markerName(request.Marker);
  const rest = after === undefined ? items : items.filter((item) => nameOf(item) > after);
  const page = rest.slice(0, size);
  const last = page.at(-1);
  if (rest.length <= size || last === undefined) return { items: page, IsTruncated: false };
  return { items: page, IsTruncated: true, Marker: Buffer.from(`after:${nameOf(last)}`, 'utf8').toString('base64') };
}

function markerName(marker: string): string {
  const text = Buffer.from(marker, 'base64').toString('utf8');
  if (!text.startsWith('after:')) throw new AwsError('ValidationError', `Invalid Marker.`);
  return text.slice('after:'.length);
}
