import type { Principal } from '../../platform/context.ts';
import { contextOf, evaluateResource, type PolicyDocument, policyOf } from '../../platform/policy.ts';
import type { FunctionEntry } from './directory.ts';
import type { Engine } from './engine.ts';
import { functionArn } from './rules/names.ts';
import type { UrlRecord } from './state.ts';

/** Both are needed: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html (since October 2025). */
const actions = ['lambda:InvokeFunctionUrl', 'lambda:InvokeFunction'];

/** Nobody in particular: only statements for everyone mean it. */
const anonymous: Principal = { kind: 'user', arn: '', account: 'anonymous', id: '' };

/**
 * Whether a request may come through a URL. Without authentication, the function's resource policy must let everyone in. With
 * AWS_IAM, the policy or the signer's own policies, and both for another account's; where this cloud does not enforce IAM, the
 * own policies of principals allow everything.
 */
export async function mayInvokeUrl(
  engine: Engine,
  entry: FunctionEntry,
  url: UrlRecord,
  signer: Principal | undefined,
): Promise<boolean> {
  // Nothing but the policy decides about nobody in particular, and the entry is dropped when it changes.
  const known = signer === undefined ? entry.permitted.get(`url ${url.qualifier} ${url.authType}`) : undefined;
  if (known !== undefined) return known;
  const { clock, authorizer } = engine.platform;
  const resource = functionArn(entry.place, entry.record.name, url.qualifier === '' ? undefined : url.qualifier);
  const record = await engine.directory.policy(entry, url.qualifier);
  const policies: readonly PolicyDocument[] =
    record === undefined ? [] : [policyOf({ Version: '2012-10-17', Id: 'default', Statement: record.statements })];
  const values = new Map([
    ['lambda:functionurlauthtype', [url.authType]],
    ['lambda:invokedviafunctionurl', ['true']],
  ]);
  const principal = signer ?? anonymous;
  const context = signer === undefined ? values : new Map([...contextOf(signer, resource, clock.now()), ...values]);
  const byPolicy = (action: string): boolean =>
    evaluateResource(policies, { action, resource, context }, principal) === 'allow';
  if (signer === undefined) {
    const allowed = url.authType === 'NONE' && actions.every(byPolicy);
    entry.permitted.set(`url ${url.qualifier} ${url.authType}`, allowed);
    return allowed;
  }

  const own = signer.account === entry.place.account;
  for (const action of actions) {
    const refusal = await authorizer?.deny(signer, action, resource, values);
    if (refusal?.includes('with an explicit deny')) return false;
    const granted = byPolicy(action);
    if (own ? refusal !== undefined && !granted : refusal !== undefined || !granted) return false;
  }
  return true;
}
