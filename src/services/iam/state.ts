import type { Commit, Entry, Key, KeyRange, Store } from '../../kernel/store/contract.ts';
import { encodeKey, prefixRange } from '../../kernel/store/keys.ts';
import { AwsError } from '../../wire/errors.ts';

/**
 * IAM is global: nothing here is keyed by region. Names are unique without regard to case, so keys hold them in lower case.
 *
 * | key | value |
 * | iam, role, account, name | RoleRecord, with its policies |
 * | iam, user, account, name | UserRecord, with its policies, groups and the ids of its access keys |
 * | iam, group, account, name | GroupRecord, with its policies |
 * | iam, member, account, group, user | empty: who is in a group |
 * | iam, policy, account, name | PolicyRecord: a customer managed policy with its versions |
 * | iam, attached, account, policy ARN, role·user·group, name | the name: where a managed policy is attached |
 * | iam, bounds, account, policy ARN, role·user, name | the name: whose permissions boundary it is |
 * | iam, access-key, key id | AccessKeyRecord; key ids are unique over all accounts |
 * | iam, root-key, account | the id of the root's access key |
 * | iam, session, key id | SessionRecord: temporary credentials |
 * | iam, session-end, end, key id | empty: sessions by their end, for the sweeper |
 */
export interface Tag {
  readonly Key: string;
  readonly Value: string;
}

/** What roles, users and groups have in common. */
export interface EntityRecord {
  readonly name: string;
  readonly path: string;
  readonly id: string;
  readonly createdMs: number;
  /** Inline policies: document by name. */
  readonly inline: Readonly<Record<string, string>>;
  /** ARNs of attached managed policies, in the order of attaching. */
  readonly attached: readonly string[];
}

export interface RoleRecord extends EntityRecord {
  readonly trust: string;
  readonly description?: string;
  readonly maxSessionSeconds: number;
  readonly boundary?: string;
  readonly tags: readonly Tag[];
}

export interface UserRecord extends EntityRecord {
  readonly boundary?: string;
  readonly tags: readonly Tag[];
  /** Names of groups. */
  readonly groups: readonly string[];
  readonly accessKeyIds: readonly string[];
}

export type GroupRecord = EntityRecord;

export interface PolicyVersionRecord {
  readonly id: string;
  readonly document: string;
  readonly createdMs: number;
}

export interface PolicyRecord {
  readonly name: string;
  readonly path: string;
  readonly id: string;
  readonly description?: string;
  readonly createdMs: number;
  readonly updatedMs: number;
  readonly versions: readonly PolicyVersionRecord[];
  readonly defaultVersion: string;
  /** The number of the next version; numbers are never used twice. */
  readonly nextVersion: number;
  readonly tags: readonly Tag[];
}

export interface AccessKeyRecord {
  readonly accessKeyId: string;
  readonly secret: string;
  readonly account: string;
  /** Left out: the account's root. */
  readonly userName?: string;
  readonly status: 'Active' | 'Inactive';
  readonly createdMs: number;
}

export interface SessionRecord {
  readonly accessKeyId: string;
  readonly secret: string;
  readonly token: string;
  readonly expiresAtMs: number;
  readonly principal: SessionPrincipal;
  readonly policies?: { readonly documents: readonly string[]; readonly arns: readonly string[] };
  readonly tags?: Readonly<Record<string, string>>;
  readonly transitiveTagKeys?: readonly string[];
}

export interface SessionPrincipal {
  readonly kind: 'root' | 'user' | 'assumed-role' | 'service';
  readonly arn: string;
  readonly account: string;
  readonly id: string;
  readonly roleArn?: string;
}

/** A record as it was read; its version goes into the commit's checks. */
export interface Stored<T> {
  readonly key: Key;
  readonly value: T;
  readonly version: number;
}

export type EntityKind = 'role' | 'user' | 'group';

export interface Records {
  readonly role: RoleRecord;
  readonly user: UserRecord;
  readonly group: GroupRecord;
}

export const keys = {
  entity: (kind: EntityKind, account: string, name: string): Key => encodeKey('iam', kind, account, name.toLowerCase()),
  entities: (kind: EntityKind, account: string): KeyRange => prefixRange(encodeKey('iam', kind, account)),
  member: (account: string, group: string, user: string): Key =>
    encodeKey('iam', 'member', account, group.toLowerCase(), user.toLowerCase()),
  members: (account: string, group: string): KeyRange =>
    prefixRange(encodeKey('iam', 'member', account, group.toLowerCase())),
  policy: (account: string, name: string): Key => encodeKey('iam', 'policy', account, name.toLowerCase()),
  policies: (account: string): KeyRange => prefixRange(encodeKey('iam', 'policy', account)),
  attachment: (account: string, arn: string, kind: EntityKind, name: string): Key =>
    encodeKey('iam', 'attached', account, arn, kind, name.toLowerCase()),
  attachments: (account: string, arn: string): KeyRange => prefixRange(encodeKey('iam', 'attached', account, arn)),
  boundary: (account: string, arn: string, kind: EntityKind, name: string): Key =>
    encodeKey('iam', 'bounds', account, arn, kind, name.toLowerCase()),
  boundaries: (account: string, arn: string): KeyRange => prefixRange(encodeKey('iam', 'bounds', account, arn)),
  accessKey: (id: string): Key => encodeKey('iam', 'access-key', id),
  rootKey: (account: string): Key => encodeKey('iam', 'root-key', account),
  session: (id: string): Key => encodeKey('iam', 'session', id),
  sessionEnd: (endMs: number, id: string): Key => encodeKey('iam', 'session-end', endMs, id),
  sessionsEndedBy: (nowMs: number): KeyRange => ({
    start: prefixRange(encodeKey('iam', 'session-end')).start,
    end: encodeKey('iam', 'session-end', nowMs + 1),
  }),
};

export async function read<T>(store: Store, key: Key): Promise<Stored<T> | undefined> {
  const entry = await store.get(key);
  return entry === undefined ? undefined : storedOf<T>(entry);
}

export function storedOf<T>({ key, value, version }: Entry): Stored<T> {
  return { key, value: JSON.parse(value.toString('utf8')) as T, version };
}

export function write(key: Key, value: unknown): { readonly key: Key; readonly value: Uint8Array } {
  return { key, value: Buffer.from(JSON.stringify(value), 'utf8') };
}

/** What an operation decided: its answer, and what it writes (nothing: only the answer). */
export interface Outcome<T> {
  readonly answer: T;
  readonly commit?: Commit;
}

const maxAttempts = 50;

/** Runs an operation as a transaction: it reads and decides anew when another commit was faster. */
export async function transact<T>(store: Store, decide: () => Promise<Outcome<T>>): Promise<T> {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const { answer, commit } = await decide();
    if (commit === undefined || (await store.commit(commit)).ok) return answer;
  }
  throw new AwsError(
    'ServiceFailureException',
    'The request failed because others changed the same entity. Try again.',
    {
      status: 500,
    },
  );
}
