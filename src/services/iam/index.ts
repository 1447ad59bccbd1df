import { defineService } from '../../platform/service.ts';
import type { Environment } from './environment.ts';
import { accessKeyOperations } from './operations/access-keys.ts';
import { attachmentOperations } from './operations/attachments.ts';
import { groupOperations } from './operations/groups.ts';
import { inlineOperations } from './operations/inline.ts';
import { policyOperations } from './operations/policies.ts';
import { roleOperations } from './operations/roles.ts';
import { tagOperations } from './operations/tags.ts';
import { userOperations } from './operations/users.ts';
import { createResourceTypes } from './resources.ts';
import { touchedResource } from './rules/authorization.ts';
import { startWork } from './work.ts';

/** Identity and Access Management: roles, users, groups and their policies. Global: the region does not matter. */
export const iam = defineService({
  name: 'iam',
  create: (platform) => {
    const { store, clock, random, limits } = platform;
    const environment: Environment = { store, clock, random, lifted: limits === 'relaxed' };
    return {
      operations: {
        ...roleOperations(environment),
        ...userOperations(environment),
        ...groupOperations(environment),
        ...inlineOperations(environment),
        ...attachmentOperations(environment),
        ...policyOperations(environment),
        ...accessKeyOperations(environment),
        ...tagOperations(environment),
      },
      authorization: touchedResource,
      resourceTypes: createResourceTypes(store),
      start: () => startWork(platform),
    };
  },
});
