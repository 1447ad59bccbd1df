import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import { type Environment, load, unchanged } from '../environment.ts';
import { checkDocument, checkInlineSize, type PageRequest, pageOf } from '../rules/checks.ts';
import { encodedDocument } from '../rules/shapes.ts';
import { type EntityKind, transact, write } from '../state.ts';

/** Inline policies: the same for roles, users and groups. */
export function inlineOperations({ store }: Environment) {
  return {
    PutRolePolicy: ({ account }, input) => put('role', account, input.RoleName, input),
    PutUserPolicy: ({ account }, input) => put('user', account, input.UserName, input),
    PutGroupPolicy: ({ account }, input) => put('group', account, input.GroupName, input),

    GetRolePolicy: async ({ account }, { RoleName, PolicyName }) => ({
      RoleName,
      PolicyName,
      PolicyDocument: await get('role', account, RoleName, PolicyName),
    }),
    GetUserPolicy: async ({ account }, { UserName, PolicyName }) => ({
      UserName,
      PolicyName,
      PolicyDocument: await get('user', account, UserName, PolicyName),
    }),
    GetGroupPolicy: async ({ account }, { GroupName, PolicyName }) => ({
      GroupName,
      PolicyName,
      PolicyDocument: await get('group', account, GroupName, PolicyName),
    }),

    DeleteRolePolicy: ({ account }, input) => remove('role', account, input.RoleName, input.PolicyName),
    DeleteUserPolicy: ({ account }, input) => remove('user', account, input.UserName, input.PolicyName),
    DeleteGroupPolicy: ({ account }, input) => remove('group', account, input.GroupName, input.PolicyName),

    ListRolePolicies: ({ account }, input) => list('role', account, input.RoleName, input),
    ListUserPolicies: ({ account }, input) => list('user', account, input.UserName, input),
    ListGroupPolicies: ({ account }, input) => list('group', account, input.GroupName, input),
  } satisfies Handlers<'iam'>;

  function put(
    kind: EntityKind,
    account: string,
    name: string,
    { PolicyName, PolicyDocument }: { readonly PolicyName: string; readonly PolicyDocument: string },
  ): Promise<void> {
    return transact(store, async () => {
      const entity = await load(store, kind, account, name);
      checkDocument(PolicyDocument, 'identity');
      const inline = { ...entity.value.inline, [PolicyName]: PolicyDocument };
      checkInlineSize(kind, entity.value, inline);
      return {
        answer: undefined,
        commit: { checks: unchanged(entity), set: [write(entity.key, { ...entity.value, inline })] },
      };
    });
  }

  async function get(kind: EntityKind, account: string, name: string, policyName: string): Promise<string> {
    const entity = await load(store, kind, account, name);
    const document = Object.hasOwn(entity.value.inline, policyName) ? entity.value.inline[policyName] : undefined;
    if (document === undefined) throw missing(kind, policyName);
    return encodedDocument(document);
  }

  function remove(kind: EntityKind, account: string, name: string, policyName: string): Promise<void> {
    return transact(store, async () => {
      const entity = await load(store, kind, account, name);
      if (!Object.hasOwn(entity.value.inline, policyName)) throw missing(kind, policyName);
      const inline = Object.fromEntries(Object.entries(entity.value.inline).filter(([one]) => one !== policyName));
      return {
        answer: undefined,
        commit: { checks: unchanged(entity), set: [write(entity.key, { ...entity.value, inline })] },
      };
    });
  }

  async function list(kind: EntityKind, account: string, name: string, request: PageRequest) {
    const entity = await load(store, kind, account, name);
    const { items, ...page } = pageOf(Object.keys(entity.value.inline).sort(), (one) => one, request);
    return { PolicyNames: items, ...page };
  }
}

function missing(kind: EntityKind, policyName: string): AwsError {
  return new AwsError('NoSuchEntityException', `The ${kind} policy with name ${policyName} cannot be found.`);
}
