import type { Clock } from '../../kernel/clock/contract.ts';
import type { Store } from '../../kernel/store/contract.ts';
import { encodeKey } from '../../kernel/store/keys.ts';
import type { Principal } from '../../platform/context.ts';
import type { Authorizer } from '../../platform/credentials.ts';
import {
  type PolicyDocument,
  type PolicySource,
  type PrincipalPolicies,
  parsePolicy,
  createAuthorizer as platformAuthorizer,
} from '../../platform/policy.ts';
import { parsePolicyArn, parseRoleArn } from './rules/arns.ts';
import { awsManagedDocument } from './rules/aws-managed.ts';
import {
  type EntityRecord,
  type GroupRecord,
  keys,
  type PolicyRecord,
  type RoleRecord,
  read,
  type SessionRecord,
  type Tag,
  type UserRecord,
} from './state.ts';

export interface AuthorizerOptions {
  readonly store: Store;
  readonly clock: Clock;
}

/** The authorizer of a cloud that enforces IAM: policies from the store, AWS's precedence and words. */
export function createAuthorizer({ store, clock }: AuthorizerOptions): Authorizer {
  return platformAuthorizer({ source: createPolicySource({ store, clock }), clock });
}

/** What another process changed is seen after so long; AWS's own IAM takes seconds. */
const lifetimeMs = 1_000;
const maxCached = 1_000;

interface Cached {
  readonly policies: PrincipalPolicies | undefined;
  readonly untilElapsedMs: number;
}

/** The policies of users, roles and sessions, read from IAM's records. */
function createPolicySource({ store, clock }: AuthorizerOptions): PolicySource {
  const cache = new Map<string, Cached>();
  const documents = new Map<string, PolicyDocument>();
  let watching = false;

  const parse = (text: string): PolicyDocument => {
    const known = documents.get(text);
    if (known !== undefined) return known;
    if (documents.size >= maxCached) documents.clear();
    const parsed = parsePolicy(text);
    documents.set(text, parsed);
    return parsed;
  };

  const managed = async (account: string, arns: readonly string[]): Promise<PolicyDocument[]> => {
    const found = await Promise.all(arns.map((arn) => documentOf(store, account, arn)));
    return found.flatMap((text) => (text === undefined ? [] : [parse(text)]));
  };

  const ofEntity = async (account: string, entity: EntityRecord): Promise<PolicyDocument[]> => [
    ...Object.values(entity.inline).map(parse),
    ...(await managed(account, entity.attached)),
  ];

  const ofUser = async (principal: Principal): Promise<PrincipalPolicies | undefined> => {
    const { account } = principal;
    const name = principal.arn.slice(principal.arn.lastIndexOf('/') + 1);
    const user = (await read<UserRecord>(store, keys.entity('user', account, name)))?.value;
    // A user of the same name made later is another one.
    if (user === undefined || user.id !== principal.id) return undefined;
    const groups = await store.getMany(user.groups.map((group) => keys.entity('group', account, group)));
    const ofGroups = await Promise.all(
      groups.map(async (entry) =>
        entry === undefined ? [] : ofEntity(account, JSON.parse(entry.value.toString('utf8')) as GroupRecord),
      ),
    );
    return {
      identity: [...(await ofEntity(account, user)), ...ofGroups.flat()],
      ...(user.boundary === undefined ? {} : { boundary: await managed(account, [user.boundary]) }),
      tags: tagMap(user.tags),
    };
  };

  const ofRole = async (principal: Principal): Promise<PrincipalPolicies | undefined> => {
    const arn = parseRoleArn(principal.roleArn ?? '');
    if (arn === undefined) return undefined;
    const role = (await read<RoleRecord>(store, keys.entity('role', arn.account, arn.name)))?.value;
    // Sessions that STS gave carry the role's id: a role of the same name made later is another one.
    if (role === undefined || (principal.id.startsWith('AROA') && role.id !== principal.id.split(':')[0]))
      return undefined;
    return {
      identity: await ofEntity(arn.account, role),
      ...(role.boundary === undefined ? {} : { boundary: await managed(arn.account, [role.boundary]) }),
      tags: tagMap(role.tags),
    };
  };

  const withSession = async (principal: Principal, policies: PrincipalPolicies): Promise<PrincipalPolicies> => {
    if (principal.accessKeyId?.startsWith('ASIA') !== true) return policies;
    const session = (await read<SessionRecord>(store, keys.session(principal.accessKeyId)))?.value;
    if (session === undefined) return policies;
    const limited = session.policies && [
      ...session.policies.documents.map(parse),
      ...(await managed(principal.account, session.policies.arns)),
    ];
    return {
      ...policies,
      ...(limited === undefined ? {} : { session: limited }),
      tags: { ...policies.tags, ...session.tags },
    };
  };

  return {
    async policiesOf(principal) {
      const name = `${principal.arn} ${principal.id} ${principal.accessKeyId ?? ''}`;
      const cached = cache.get(name);
      if (cached !== undefined && cached.untilElapsedMs > clock.elapsed()) return cached.policies;
      if (!watching) {
        watching = true;
        store.watch(encodeKey('iam'), () => cache.clear());
      }
      const own = principal.kind === 'user' ? await ofUser(principal) : await ofRole(principal);
      const policies = own === undefined ? undefined : await withSession(principal, own);
      if (cache.size >= maxCached) cache.clear();
      cache.set(name, { policies, untilElapsedMs: clock.elapsed() + lifetimeMs });
      return policies;
    },

    /**
     * A role's trust policy may itself let a principal of the account assume it. Only its Allows count here: STS judges the whole
     * with what the request says (external id, session name).
     */
    async resourcePolicies(action, resource) {
      const arn = action === 'sts:AssumeRole' ? parseRoleArn(resource) : undefined;
      if (arn === undefined) return undefined;
      const role = (await read<RoleRecord>(store, keys.entity('role', arn.account, arn.name)))?.value;
      if (role === undefined) return undefined;
      const trust = parse(role.trust);
      return [{ ...trust, statements: trust.statements.filter(({ effect }) => effect === 'Allow') }];
    },
  };
}

/** The default version's text of a managed policy; undefined where it is gone, or AWS's and not known here. */
async function documentOf(store: Store, account: string, arn: string): Promise<string | undefined> {
  const { account: owner, name } = parsePolicyArn(arn);
  if (owner === 'aws') return awsManagedDocument(arn);
  const policy = (await read<PolicyRecord>(store, keys.policy(account, name)))?.value;
  return policy?.versions.find(({ id }) => id === policy.defaultVersion)?.document;
}

function tagMap(tags: readonly Tag[]): Record<string, string> {
  return Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value]));
}
