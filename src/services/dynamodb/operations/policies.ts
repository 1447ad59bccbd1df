import type { Handlers } from '../../../platform/service.ts';
import { commitOn, type Environment, type Place, untilCommitted } from '../environment.ts';
import { RuleError } from '../rules/errors.ts';
import { checkResourcePolicy, checkRevision, policyNotFound, policyResource } from '../rules/resource-policy.ts';
import { encodeRecord, type PolicyRecord } from '../state.ts';
import { decodeStream, encodeStream, streamKey } from '../state-streams.ts';

/** PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy: of tables and of streams. */
export function policyOperations(env: Environment): Handlers<'dynamodb'> {
  const { clock } = env.platform;
  return {
    async PutResourcePolicy(context, input) {
      const { ResourceArn: arn, Policy: document, ExpectedRevisionId: expected } = input;
      const place = ownResource(context, arn);
      checkResourcePolicy(document, arn);
      return changePolicy(env, place, arn, (policy) => {
        checkRevision(policy, expected, arn);
        // The same text again is no new revision.
        if (policy?.document === document) return policy;
        const revisionId = String(Math.max(clock.now(), Number(policy?.revisionId ?? 0) + 1));
        return { document, revisionId };
      });
    },

    async GetResourcePolicy(context, input) {
      const { ResourceArn: arn } = input;
      const holder = await holderOf(env, ownResource(context, arn), arn);
      if (holder.policy === undefined) throw policyNotFound(arn);
      return { Policy: holder.policy.document, RevisionId: holder.policy.revisionId };
    },

    async DeleteResourcePolicy(context, input) {
      const { ResourceArn: arn, ExpectedRevisionId: expected } = input;
      const place = ownResource(context, arn);
      let gone: string | undefined;
      await changePolicy(env, place, arn, (policy) => {
        if (policy === undefined && expected !== undefined) throw policyNotFound(arn);
        checkRevision(policy, expected, arn);
        gone = policy?.revisionId;
        return undefined;
      });
      return { RevisionId: gone };
    },
  };
}

/** The policy that stands on a table, which is its indexes' too, or on a stream: what authorisation asks for. */
export async function resourcePolicyOn(env: Environment, resource: string): Promise<string | undefined> {
  const arn = resource.replace(/\/index\/[^/]*$/, '');
  if (!/^arn:[^:]*:dynamodb:[^:]*:[^:]*:table\/[^/*]+(\/stream\/[^/*]+)?$/.test(arn)) return undefined;
  const holder = await findHolder(env, policyResource(arn));
  return holder?.policy?.document;
}

type Resource = ReturnType<typeof policyResource>;

function ownResource(place: Place, arn: string): Resource {
  const resource = policyResource(arn);
  if (resource.account !== place.account) {
    throw new RuleError('This action is only supported by accounts that match the resource owner’s account.');
  }
  if (resource.region !== place.region) {
    throw new RuleError(`One or more parameter values were invalid: Invalid resource Arn: ${arn}`);
  }
  return resource;
}

/** What carries a policy, and how it is written back with another. */
interface Holder {
  readonly policy: PolicyRecord | undefined;
  /** False: it changed meanwhile. */
  put(policy: PolicyRecord | undefined): Promise<boolean>;
}

async function findHolder(
  env: Environment,
  { account, region, table: name, stream }: Resource,
): Promise<Holder | undefined> {
  const { store } = env.platform;
  if (stream === undefined) {
    const table = await env.tables.read({ account, region }, name);
    if (table === undefined) return undefined;
    const { policy, ...others } = table.record;
    return {
      policy,
      async put(next) {
        const value = encodeRecord({ ...others, ...(next === undefined ? {} : { policy: next }) });
        const result = await commitOn(env, [table], { checks: [table.check], set: [{ key: table.key, value }] });
        if (result.ok) env.tables.forget(table);
        return result.ok;
      },
    };
  }
  const key = streamKey(account, region, name, stream);
  const entry = await store.get(key);
  if (entry === undefined) return undefined;
  const { policy, ...others } = decodeStream(entry.value);
  return {
    policy,
    async put(next) {
      const value = encodeStream({ ...others, ...(next === undefined ? {} : { policy: next }) });
      return (await store.commit({ checks: [{ key, version: entry.version }], set: [{ key, value }] })).ok;
    },
  };
}

async function holderOf(env: Environment, resource: Resource, arn: string): Promise<Holder> {
  const holder = await findHolder(env, resource);
  if (holder !== undefined) return holder;
  const what = resource.stream === undefined ? `Table: ${resource.table}` : `Stream: ${arn}`;
  throw new RuleError(`Requested resource not found: ${what} not found`, 'ResourceNotFoundException');
}

async function changePolicy(
  env: Environment,
  resource: Resource,
  arn: string,
  change: (policy: PolicyRecord | undefined) => PolicyRecord | undefined,
): Promise<{ readonly RevisionId: string | undefined }> {
  return untilCommitted(async () => {
    const holder = await holderOf(env, resource, arn);
    const next = change(holder.policy);
    const isDone = next === holder.policy || (await holder.put(next));
    return isDone ? { RevisionId: next?.revisionId } : undefined;
  });
}
