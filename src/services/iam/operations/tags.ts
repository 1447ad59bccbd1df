import type { Handlers } from '../../../platform/service.ts';
import { type Environment, load, loadPolicy, unchanged } from '../environment.ts';
import { type PageRequest, pageOf, withoutTags, withTags } from '../rules/checks.ts';
import { type Stored, type Tag, transact, write } from '../state.ts';

interface Tagged {
  readonly tags: readonly Tag[];
}

/** Tags of roles, users and customer managed policies. */
export function tagOperations({ store }: Environment) {
  const role = (account: string, name: string) => () => load(store, 'role', account, name);
  const user = (account: string, name: string) => () => load(store, 'user', account, name);
  const policy = (account: string, arn: string) => () => loadPolicy(store, account, arn);
  return {
    TagRole: ({ account, internal }, input) => tag(role(account, input.RoleName), input.Tags, internal),
    TagUser: ({ account, internal }, input) => tag(user(account, input.UserName), input.Tags, internal),
    TagPolicy: ({ account, internal }, input) => tag(policy(account, input.PolicyArn), input.Tags, internal),
    UntagRole: ({ account }, input) => untag(role(account, input.RoleName), input.TagKeys),
    UntagUser: ({ account }, input) => untag(user(account, input.UserName), input.TagKeys),
    UntagPolicy: ({ account }, input) => untag(policy(account, input.PolicyArn), input.TagKeys),
    ListRoleTags: ({ account }, input) => list(role(account, input.RoleName), input),
    ListUserTags: ({ account }, input) => list(user(account, input.UserName), input),
    ListPolicyTags: ({ account }, input) => list(policy(account, input.PolicyArn), input),
  } satisfies Handlers<'iam'>;

  type Find = () => Promise<Stored<Tagged>>;

  function tag(find: Find, added: readonly Tag[], internal: boolean): Promise<void> {
    return change(find, (tags) => withTags(tags, added, internal));
  }

  function untag(find: Find, removed: readonly string[]): Promise<void> {
    return change(find, (tags) => withoutTags(tags, removed));
  }

  function change(find: Find, next: (tags: readonly Tag[]) => Tag[]): Promise<void> {
    return transact(store, async () => {
      const entity = await find();
      const changed = { ...entity.value, tags: next(entity.value.tags) };
      return { answer: undefined, commit: { checks: unchanged(entity), set: [write(entity.key, changed)] } };
    });
  }

  async function list(find: Find, request: PageRequest) {
    const { tags } = (await find()).value;
    const sorted = [...tags].sort((left, right) => (left.Key < right.Key ? -1 : 1));
    const { items, ...page } = pageOf(sorted, ({ Key }) => Key, request);
    return { Tags: items, ...page };
  }
}
