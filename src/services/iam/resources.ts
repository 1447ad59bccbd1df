import type { Store } from '../../kernel/store/contract.ts';
import type { ResourceType } from '../../platform/resource-type.ts';
import { accessKeyType } from './resources/access-key.ts';
import { groupType } from './resources/group.ts';
import { managedPolicyType } from './resources/managed-policy.ts';
import { policyType } from './resources/policy.ts';
import { roleType } from './resources/role.ts';
import { userType } from './resources/user.ts';

export function createResourceTypes(store: Store): readonly ResourceType[] {
  return [roleType, policyType, managedPolicyType, userType, groupType, accessKeyType(store)];
}
