import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { Policy } from '../../../wire/types/iam.ts';
import { type Environment, loadPolicy, unchanged } from '../environment.ts';
import { limits } from '../limits.ts';
import { newEntityId } from '../rules/access-keys.ts';
import { entityArn, parsePolicyArn } from '../rules/arns.ts';
import { awsManagedArns, awsManagedDocument } from '../rules/aws-managed.ts';
import {
  checkDocument,
  checkManagedSize,
  deleteConflict,
  noSuch,
  overQuota,
  pageOf,
  withTags,
} from '../rules/checks.ts';
import { type PolicyUse, policyShape, versionShape } from '../rules/shapes.ts';
import { keys, type PolicyRecord, storedOf, transact, write } from '../state.ts';
import { wholeSecond } from './roles.ts';

/** Managed policies and their versions. */
export function policyOperations({ store, clock, random, lifted }: Environment) {
  return {
    CreatePolicy: ({ account, internal }, input) =>
      transact(store, async () => {
        checkDocument(input.PolicyDocument, 'identity');
        checkManagedSize(input.PolicyDocument);
        const key = keys.policy(account, input.PolicyName);
        if ((await store.get(key)) !== undefined)
          throw new AwsError(
            'EntityAlreadyExistsException',
            `A policy called ${input.PolicyName} already exists. Duplicate names are not allowed.`,
          );
        if (!lifted && (await store.count(keys.policies(account))) >= limits.policiesPerAccount.value)
          throw overQuota(limits.policiesPerAccount);
        const nowMs = wholeSecond(clock.now());
        const policy: PolicyRecord = {
          name: input.PolicyName,
          path: input.Path ?? '/',
          id: newEntityId('ANPA', random),
          ...(input.Description === undefined ? {} : { description: input.Description }),
          createdMs: nowMs,
          updatedMs: nowMs,
          versions: [{ id: 'v1', document: input.PolicyDocument, createdMs: nowMs }],
          defaultVersion: 'v1',
          nextVersion: 2,
          tags: withTags([], input.Tags ?? [], internal),
        };
        const shape = policyShape(account, policy, { attachments: 0, boundaries: 0 });
        return {
          answer: { Policy: policy.tags.length === 0 ? shape : { ...shape, Tags: policy.tags } },
          commit: { checks: [{ key, version: null }], set: [write(key, policy)] },
        };
      }),

    GetPolicy: async ({ account }, { PolicyArn }) => {
      if (parsePolicyArn(PolicyArn).account === 'aws') return { Policy: await awsPolicy(account, PolicyArn) };
      const { value } = await loadPolicy(store, account, PolicyArn);
      const shape = policyShape(account, value, await useOf(account, PolicyArn));
      const described = value.description === undefined ? {} : { Description: value.description };
      return { Policy: { ...shape, ...described, Tags: value.tags } };
    },

    ListPolicies: async ({ account }, input) => {
      const path = input.PathPrefix ?? '/';
      const own = input.Scope === 'AWS' ? [] : await store.list(keys.policies(account));
      const policies: Policy[] = [];
      for (const entry of own) {
        const { value } = storedOf<PolicyRecord>(entry);
        const arn = entityArn('policy', account, value.path, value.name);
        policies.push(policyShape(account, value, await useOf(account, arn)));
      }
      if (input.Scope !== 'Local') for (const arn of awsManagedArns()) policies.push(await awsPolicy(account, arn));
      const wanted = policies.filter((policy) => {
        const { attachments, boundaries } = {
          attachments: policy.AttachmentCount ?? 0,
          boundaries: policy.PermissionsBoundaryUsageCount ?? 0,
        };
        if (!(policy.Path ?? '/').startsWith(path)) return false;
        if (input.PolicyUsageFilter === 'PermissionsBoundary' && boundaries === 0) return false;
        return input.OnlyAttached !== true || attachments > 0;
      });
      wanted.sort((left, right) => ((left.Arn ?? '') < (right.Arn ?? '') ? -1 : 1));
      const { items, ...page } = pageOf(wanted, ({ Arn = '' }) => Arn, input);
      return { Policies: items, ...page };
    },

    DeletePolicy: ({ account }, { PolicyArn }) =>
      transact(store, async () => {
        const policy = await loadPolicy(store, account, PolicyArn);
        const { attachments, boundaries } = await useOf(account, PolicyArn);
        if (attachments + boundaries > 0) throw deleteConflict('Cannot delete a policy attached to entities.');
        if (policy.value.versions.length > 1)
          throw deleteConflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
          );
        return { answer: undefined, commit: { checks: unchanged(policy), delete: [policy.key] } };
      }),

    CreatePolicyVersion: ({ account }, input) =>
      transact(store, async () => {
        const policy = await loadPolicy(store, account, input.PolicyArn);
        checkDocument(input.PolicyDocument, 'identity');
        checkManagedSize(input.PolicyDocument);
        const { versions, nextVersion, defaultVersion } = policy.value;
        if (versions.length >= limits.versionsPerPolicy.value)
          throw new AwsError(
            'LimitExceededException',
            'A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.',
          );
        const nowMs = wholeSecond(clock.now());
        const version = { id: `v${nextVersion}`, document: input.PolicyDocument, createdMs: nowMs };
        const isDefault = input.SetAsDefault === true;
        const changed: PolicyRecord = {
          ...policy.value,
          updatedMs: nowMs,
          versions: [...versions, version],
          nextVersion: nextVersion + 1,
          defaultVersion: isDefault ? version.id : defaultVersion,
        };
        return {
          answer: { PolicyVersion: versionShape(version, isDefault, false) },
          commit: { checks: unchanged(policy), set: [write(policy.key, changed)] },
        };
      }),

    GetPolicyVersion: async ({ account }, { PolicyArn, VersionId }) => {
      if (parsePolicyArn(PolicyArn).account === 'aws') {
        const document = awsManagedDocument(PolicyArn);
        if (document === undefined) throw noSuch('policy', PolicyArn);
        if (VersionId !== 'v1') throw noVersion(PolicyArn, VersionId);
        return { PolicyVersion: versionShape({ id: 'v1', document, createdMs: awsCreatedMs }, true, true) };
      }
      const { value } = await loadPolicy(store, account, PolicyArn);
      const version = value.versions.find(({ id }) => id === VersionId);
      if (version === undefined) throw noVersion(PolicyArn, VersionId);
      return { PolicyVersion: versionShape(version, version.id === value.defaultVersion, true) };
    },

    ListPolicyVersions: async ({ account }, input) => {
      if (parsePolicyArn(input.PolicyArn).account === 'aws') {
        const document = awsManagedDocument(input.PolicyArn);
        if (document === undefined) throw noSuch('policy', input.PolicyArn);
        const version = versionShape({ id: 'v1', document, createdMs: awsCreatedMs }, true, false);
        return { Versions: [version], IsTruncated: false };
      }
      const { value } = await loadPolicy(store, account, input.PolicyArn);
      const newestFirst = [...value.versions].reverse();
      // Numbers grow; what pages by name needs them to sort that way, newest first.
      const rank = (id: string): string => String(1_000_000 - Number(id.slice(1))).padStart(7, '0');
      const { items, ...page } = pageOf(newestFirst, ({ id }) => rank(id), input);
      return {
        Versions: items.map((version) => versionShape(version, version.id === value.defaultVersion, false)),
        ...page,
      };
    },

    SetDefaultPolicyVersion: ({ account }, { PolicyArn, VersionId }) =>
      transact(store, async () => {
        const policy = await loadPolicy(store, account, PolicyArn);
        if (!policy.value.versions.some(({ id }) => id === VersionId)) throw noVersion(PolicyArn, VersionId);
        const changed = { ...policy.value, defaultVersion: VersionId, updatedMs: wholeSecond(clock.now()) };
        return { answer: undefined, commit: { checks: unchanged(policy), set: [write(policy.key, changed)] } };
      }),

    DeletePolicyVersion: ({ account }, { PolicyArn, VersionId }) =>
      transact(store, async () => {
        const policy = await loadPolicy(store, account, PolicyArn);
        const versions = policy.value.versions.filter(({ id }) => id !== VersionId);
        if (versions.length === policy.value.versions.length) throw noVersion(PolicyArn, VersionId);
        if (policy.value.defaultVersion === VersionId)
          throw deleteConflict('Cannot delete the default version of a policy.');
        const changed = { ...policy.value, versions, updatedMs: wholeSecond(clock.now()) };
        return { answer: undefined, commit: { checks: unchanged(policy), set: [write(policy.key, changed)] } };
      }),
  } satisfies Handlers<'iam'>;

  async function useOf(account: string, arn: string): Promise<PolicyUse> {
    const [attachments, boundaries] = await Promise.all([
      store.count(keys.attachments(account, arn)),
      store.count(keys.boundaries(account, arn)),
    ]);
    return { attachments, boundaries };
  }

  async function awsPolicy(account: string, arn: string): Promise<Policy> {
    if (awsManagedDocument(arn) === undefined) throw noSuch('policy', arn);
    const { name, path } = parsePolicyArn(arn);
    const use = await useOf(account, arn);
    return {
      PolicyName: name,
      Arn: arn,
      Path: path,
      DefaultVersionId: 'v1',
      AttachmentCount: use.attachments,
      PermissionsBoundaryUsageCount: use.boundaries,
      IsAttachable: true,
      CreateDate: awsCreatedMs,
      UpdateDate: awsCreatedMs,
    };
  }
}

/** 2015-02-06, when AWS brought out its managed policies; the true dates of later ones are not kept. */
const awsCreatedMs = 1_423_242_000_000;

function noVersion(arn: string, version: string): AwsError {
  return new AwsError('NoSuchEntityException', `Policy ${arn} version ${version} does not exist or is not attachable.`);
}
