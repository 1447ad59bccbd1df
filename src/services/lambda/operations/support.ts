import type { Check } from '../../../kernel/store/contract.ts';
import type { AwsError } from '../../../wire/errors.ts';
import type { Engine } from '../engine.ts';
import type { Stamp } from '../rules/configuration.ts';
import {
  conflict,
  functionArn,
  functionNotFound,
  invalidParameter,
  isVersionNumber,
  notFound,
  parseFunctionName,
} from '../rules/names.ts';
import {
  type AliasRecord,
  encode,
  type FunctionRecord,
  type FunctionVersion,
  keys,
  type Place,
  read,
  type Stored,
  unchanged,
} from '../state.ts';

/** Fresh ids and the time, for rules that draw nothing. */
export function newStamp({ platform: { random, clock } }: Engine): Stamp {
  return { revisionId: random.uuid(), environmentId: random.uuid(), nowMs: clock.now() };
}

/** An account and a region, and nothing else of a context. */
export function placeOf({ account, region }: Place): Place {
  return { account, region };
}

export async function storedFunction(
  engine: Engine,
  place: Place,
  name: string,
  qualifier?: string,
): Promise<Stored<FunctionRecord>> {
  const stored = await read<FunctionRecord>(engine.platform.store, keys.function(place, name));
  if (stored === undefined) throw functionNotFound(place, name, qualifier);
  return stored;
}

/** The write that stamps a function when something that belongs to it is written, with the check that it is as it was read. */
export function stamped(
  stored: Stored<FunctionRecord>,
  record: FunctionRecord = stored.record,
): { readonly check: Check; readonly set: { readonly key: Buffer; readonly value: Buffer } } {
  return { check: unchanged(stored.key, stored), set: { key: stored.key, value: encode(record) } };
}

/** The name of a function that a call takes without a qualifier. */
export function unqualifiedName(text: string, place: Place): string {
  const { name, qualifier } = parseFunctionName(text, undefined, place);
  if (qualifier === undefined || qualifier === '$LATEST') return name;
  throw invalidParameter(
    'This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.',
  );
}

/** The version behind a qualifier: $LATEST, a number, or an alias's. */
export async function qualifiedVersion(
  engine: Engine,
  place: Place,
  stored: Stored<FunctionRecord>,
  qualifier: string | undefined,
): Promise<FunctionVersion> {
  const { name, latest } = stored.record;
  if (qualifier === undefined || qualifier === '$LATEST') return latest;
  const { store } = engine.platform;
  const number = isVersionNumber(qualifier)
    ? qualifier
    : (await read<AliasRecord>(store, keys.alias(place, name, qualifier)))?.record.version;
  if (number === '$LATEST') return latest;
  const version =
    number === undefined ? undefined : await read<FunctionVersion>(store, keys.version(place, name, number));
  if (version === undefined) throw functionNotFound(place, name, qualifier);
  return version.record;
}

/** Refuses a change while the function is being made or changed. */
export function refuseWhileChanging(place: Place, record: FunctionRecord): void {
  const { latest, name } = record;
  if (latest.state === 'Pending')
    throw conflict(
      `The operation cannot be performed at this time. The function is currently in the following state: ${latest.state}`,
    );
  if (latest.update === 'InProgress')
    throw conflict(
      `The operation cannot be performed at this time. An update is in progress for resource: ${functionArn(place, name)}`,
    );
}

export function aliasNotFound(place: Place, name: string, alias: string): AwsError {
  return notFound(`Cannot find alias arn: ${functionArn(place, name, alias)}`);
}

/** A page of a list; the marker is the offset's text, in base64. */
export function paged<T>(
  items: readonly T[],
  marker: string | undefined,
  maxItems: number | undefined,
  mostItems = 50,
): { readonly page: readonly T[]; readonly next: string | undefined } {
  const start = marker === undefined || marker === '' ? 0 : Number(Buffer.from(marker, 'base64').toString('utf8'));
  if (!Number.isInteger(start) || start < 0)
    throw invalidParameter('Invalid marker: the value is not one that was returned.');
  const size = Math.min(maxItems ?? 50, mostItems);
  const end = start + size;
  return {
    page: items.slice(start, end),
    next: end < items.length ? Buffer.from(String(end)).toString('base64') : undefined,
  };
}
