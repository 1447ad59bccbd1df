import { createHash } from 'node:crypto';
import { scheduleJob } from '../../kernel/agenda/agenda.ts';
import type { Clock } from '../../kernel/clock/contract.ts';
import type { Random } from '../../kernel/random/random.ts';
import type { Store } from '../../kernel/store/contract.ts';
import { encodeKey } from '../../kernel/store/keys.ts';
import type { Principal } from '../../platform/context.ts';
import type { Credential, TemporaryCredential } from '../../platform/credentials.ts';
import type { SessionIssuer } from '../../platform/sessions.ts';
import { accountOfAccessKey, newAccessKeyId, newSecret, newSessionToken } from './rules/access-keys.ts';
import { entityArn, parseRoleArn } from './rules/arns.ts';
import {
  type AccessKeyRecord,
  keys,
  type RoleRecord,
  read,
  type SessionRecord,
  type UserRecord,
  write,
} from './state.ts';

export interface CredentialsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  /** Whether IAM's policies decide (`--auth enforced`). */
  readonly enforced?: boolean;
}

/** The credentials of a whole cloud: IAM's access keys, STS's sessions, and the root's key. */
export interface CloudCredentials extends SessionIssuer {
  /** The root's access key of an account, made at the first call and the same ever after. */
  rootCredential(account: string): Promise<Credential>;
}

/** Sessions that ended are swept together, so often. */
const sweepEveryMs = 3_600_000;
/** Access keys change: what another process did to one is seen after so long. Sessions never change. */
const accessKeyLifetimeMs = 1_000;
const maxCached = 2_000;
/** The account of callers whose key tells none. */
const defaultAccount = '000000000000';

export const sweepJob = 'iam.ended-sessions';

interface Cached {
  readonly credential: Credential;
  /** By the monotonic clock. */
  readonly untilElapsedMs: number;
}

/** Creates no state and reads nothing until it is asked. */
export function createCredentials({ store, clock, random, enforced = false }: CredentialsOptions): CloudCredentials {
  const cache = new Map<string, Cached>();
  // A user's keys are gone at once where this process took them; the hint may be lost, hence also the short lifetime.
  let watching = false;
  const watch = (): void => {
    if (watching) return;
    watching = true;
    const forget = (): void => cache.clear();
    store.watch(encodeKey('iam', 'access-key'), forget);
    store.watch(encodeKey('iam', 'user'), forget);
  };

  const remember = (credential: Credential): Credential => {
    if (cache.size >= maxCached) cache.delete(cache.keys().next().value!);
    const lifetimeMs = credential.expiresAtMs === undefined ? accessKeyLifetimeMs : Number.POSITIVE_INFINITY;
    cache.set(credential.accessKeyId, { credential, untilElapsedMs: clock.elapsed() + lifetimeMs });
    return credential;
  };

  const find = async (accessKeyId: string): Promise<Credential | undefined> => {
    const cached = cache.get(accessKeyId);
    if (cached !== undefined && cached.untilElapsedMs > clock.elapsed()) return cached.credential;
    cache.delete(accessKeyId);
    // What is not a key of ours is not looked for: in auth off mode clients sign with anything.
    if (accountOfAccessKey(accessKeyId) === undefined) return undefined;
    watch();
    const found = accessKeyId.startsWith('ASIA') ? await findSession(accessKeyId) : await findAccessKey(accessKeyId);
    return found === undefined ? undefined : remember(found);
  };

  const findSession = async (accessKeyId: string): Promise<Credential | undefined> => {
    const session = await read<SessionRecord>(store, keys.session(accessKeyId));
    return session === undefined ? undefined : sessionCredential(session.value);
  };

  const findAccessKey = async (accessKeyId: string): Promise<Credential | undefined> => {
    const found = await read<AccessKeyRecord>(store, keys.accessKey(accessKeyId));
    if (found === undefined || found.value.status !== 'Active') return undefined;
    const { account, secret, userName } = found.value;
    if (userName === undefined) return rootCredentialOf(account, accessKeyId, secret);
    const user = await read<UserRecord>(store, keys.entity('user', account, userName));
    if (user === undefined) return undefined;
    const { path, name, id } = user.value;
    const arn = entityArn('user', account, path, name);
    const principal: Principal = { kind: 'user', arn, account, id, accessKeyId };
    return { accessKeyId, secretAccessKey: secret, principal };
  };

  const issueSession: CloudCredentials['issueSession'] = async (request) => {
    const { credential, kept } = newSession(request);
    await kept;
    return credential;
  };

  const newSession = (
    request: Parameters<CloudCredentials['issueSession']>[0],
  ): { readonly credential: TemporaryCredential; readonly kept: Promise<unknown> } => {
    const { kind, arn, account, id, roleArn } = request.principal;
    const expiresAtMs = clock.now() + request.durationMs;
    const session: SessionRecord = {
      accessKeyId: newAccessKeyId('ASIA', account, random),
      secret: newSecret(random),
      token: newSessionToken(random),
      expiresAtMs,
      principal: { kind, arn, account, id, ...(roleArn === undefined ? {} : { roleArn }) },
      ...(request.policies === undefined ? {} : { policies: request.policies }),
      ...(request.tags === undefined ? {} : { tags: request.tags }),
      ...(request.transitiveTagKeys === undefined ? {} : { transitiveTagKeys: request.transitiveTagKeys }),
    };
    const sweepAtMs = (Math.floor(expiresAtMs / sweepEveryMs) + 1) * sweepEveryMs;
    const kept = store.commit({
      set: [
        write(keys.session(session.accessKeyId), session),
        { key: keys.sessionEnd(expiresAtMs, session.accessKeyId), value: Buffer.alloc(0) },
      ],
      schedule: [scheduleJob(sweepJob, String(sweepAtMs), sweepAtMs)],
    });
    const credential = sessionCredential(session);
    remember(credential);
    return { credential, kept };
  };

  const rootCredential = async (account: string): Promise<Credential> => {
    for (;;) {
      const pointer = await store.get(keys.rootKey(account));
      const accessKeyId = pointer?.value.toString('utf8') ?? newAccessKeyId('AKIA', account, random);
      const known = await read<AccessKeyRecord>(store, keys.accessKey(accessKeyId));
      if (known !== undefined) return rootCredentialOf(account, accessKeyId, known.value.secret);
      const record: AccessKeyRecord = {
        accessKeyId,
        secret: newSecret(random),
        account,
        status: 'Active',
        createdMs: clock.now(),
      };
      const written = await store.commit({
        checks: [{ key: keys.rootKey(account), version: pointer?.version ?? null }],
        set: [
          { key: keys.rootKey(account), value: Buffer.from(accessKeyId, 'utf8') },
          write(keys.accessKey(accessKeyId), record),
        ],
      });
      if (written.ok) return rootCredentialOf(account, accessKeyId, record.secret);
    }
  };

  return {
    enforced,
    find,
    issueSession,
    rootCredential,
    root: () => rootCredential(defaultAccount),
    async issue({ roleArn, sessionName, durationMs }) {
      const { account, name } = parseRoleArn(roleArn) ?? {
        account: defaultAccount,
        name: roleArn.slice(roleArn.lastIndexOf('/') + 1),
      };
      const role = await read<RoleRecord>(store, keys.entity('role', account, name));
      const id = `${role?.value.id ?? idOfUnknownRole(roleArn)}:${sessionName}`;
      const arn = `arn:aws:sts::${account}:assumed-role/${name}/${sessionName}`;
      const principal = { kind: 'assumed-role', arn, account, id, roleArn } as const;
      const { credential, kept } = newSession({ principal, durationMs });
      // What runs with them dies with this process, and is slower to start than the commit: nobody waits for it.
      kept.catch(() => cache.delete(credential.accessKeyId));
      return credential;
    },
    async transitiveTags(accessKeyId) {
      const session = await read<SessionRecord>(store, keys.session(accessKeyId));
      const { tags = {}, transitiveTagKeys = [] } = session?.value ?? {};
      return Object.fromEntries(
        transitiveTagKeys.flatMap((key) => (tags[key] === undefined ? [] : [[key, tags[key]]])),
      );
    },
  };
}

function sessionCredential({ accessKeyId, secret, token, expiresAtMs, principal }: SessionRecord): TemporaryCredential {
  return {
    accessKeyId,
    secretAccessKey: secret,
    sessionToken: token,
    expiresAtMs,
    principal: { ...principal, accessKeyId },
  };
}

function rootCredentialOf(account: string, accessKeyId: string, secretAccessKey: string): Credential {
  const arn = `arn:aws:iam::${account}:root`;
  return { accessKeyId, secretAccessKey, principal: { kind: 'root', arn, account, id: account, accessKeyId } };
}

/** A service may run something under a role that is not (or no longer) in IAM; its sessions still need an id, always the same. */
function idOfUnknownRole(roleArn: string): string {
  const digest = createHash('sha256').update(roleArn).digest('hex').toUpperCase();
  return `AROA${digest.replace(/[0189]/g, 'Z').slice(0, 17)}`;
}
