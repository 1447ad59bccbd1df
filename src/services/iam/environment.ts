import type { Clock } from '../../kernel/clock/contract.ts';
import type { Random } from '../../kernel/random/random.ts';
import type { Check, Store } from '../../kernel/store/contract.ts';
import { entityArn, parsePolicyArn } from './rules/arns.ts';
import { noSuch } from './rules/checks.ts';
import { type EntityKind, keys, type PolicyRecord, type Records, read, type Stored, storedOf, write } from './state.ts';

/** What the operations stand on. */
export interface Environment {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  /** Whether adjustable quotas are lifted. */
  readonly lifted: boolean;
}

/** The role, user or group; throws NoSuchEntity. */
export async function load<K extends EntityKind>(
  store: Store,
  kind: K,
  account: string,
  name: string,
): Promise<Stored<Records[K]>> {
  const found = await read<Records[K]>(store, keys.entity(kind, account, name));
  if (found === undefined) throw noSuch(kind, name);
  return found;
}

/** All roles, users or groups of an account under a path, in order of their names. */
export async function loadAll<K extends EntityKind>(
  store: Store,
  kind: K,
  account: string,
  pathPrefix = '/',
): Promise<Records[K][]> {
  const entries = await store.list(keys.entities(kind, account));
  const records = entries.map((entry) => storedOf<Records[K]>(entry).value);
  return records.filter(({ path }) => path.startsWith(pathPrefix));
}

/** A customer managed policy by its ARN; throws NoSuchEntity, also where account or path do not fit. */
export async function loadPolicy(store: Store, account: string, arn: string): Promise<Stored<PolicyRecord>> {
  const parsed = parsePolicyArn(arn);
  const found =
    parsed.account === account ? await read<PolicyRecord>(store, keys.policy(account, parsed.name)) : undefined;
  if (found === undefined || entityArn('policy', account, found.value.path, found.value.name) !== arn)
    throw noSuch('policy', arn);
  return found;
}

/** A commit may write a record only as it was read. */
export function unchanged(...records: readonly Stored<unknown>[]): Check[] {
  return records.map(({ key, version }) => ({ key, version }));
}

/**
 * What a commit that refers to a managed policy must hold and write: the policy is touched, so that its deletion, which counts
 * references, cannot slip between.
 */
export async function reference(store: Store, account: string, arn: string, missing: () => Error) {
  if (parsePolicyArn(arn).account === 'aws') return { checks: [], set: [] };
  try {
    const policy = await loadPolicy(store, account, arn);
    return { checks: unchanged(policy), set: [write(policy.key, policy.value)] };
  } catch {
    throw missing();
  }
}
