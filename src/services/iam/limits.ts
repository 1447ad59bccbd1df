import type { Limit } from '../../kernel/limits/limits.ts';

const source = 'https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html';

/** IAM's quotas. Sizes count characters without white space, as IAM does. */
export const limits = {
  attachedPerRole: { name: 'PoliciesPerRole', value: 10, unit: 'policies', source, adjustable: true },
  attachedPerUser: { name: 'PoliciesPerUser', value: 10, unit: 'policies', source, adjustable: true },
  attachedPerGroup: { name: 'PoliciesPerGroup', value: 10, unit: 'policies', source, adjustable: true },
  rolesPerAccount: { name: 'RolesPerAccount', value: 1_000, unit: 'roles', source, adjustable: true },
  policiesPerAccount: { name: 'PoliciesPerAccount', value: 1_500, unit: 'policies', source, adjustable: true },
  trustPolicy: { name: 'ACLSizePerRole', value: 2_048, unit: 'characters', source, adjustable: true },
  inlinePerRole: { name: 'InlinePolicySizePerRole', value: 10_240, unit: 'characters', source, adjustable: false },
  inlinePerUser: { name: 'InlinePolicySizePerUser', value: 2_048, unit: 'characters', source, adjustable: false },
  inlinePerGroup: { name: 'InlinePolicySizePerGroup', value: 5_120, unit: 'characters', source, adjustable: false },
  managedPolicy: { name: 'PolicySize', value: 6_144, unit: 'characters', source, adjustable: false },
  versionsPerPolicy: { name: 'VersionsPerPolicy', value: 5, unit: 'versions', source, adjustable: false },
  usersPerAccount: { name: 'UsersPerAccount', value: 5_000, unit: 'users', source, adjustable: false },
  groupsPerAccount: { name: 'GroupsPerAccount', value: 300, unit: 'groups', source, adjustable: true },
  groupsPerUser: { name: 'GroupsPerUser', value: 10, unit: 'groups', source, adjustable: false },
  accessKeysPerUser: { name: 'AccessKeysPerUser', value: 2, unit: 'access keys', source, adjustable: false },
  tagsPerEntity: { name: 'TagsPerEntity', value: 50, unit: 'tags', source, adjustable: false },
} as const satisfies Record<string, Limit>;
