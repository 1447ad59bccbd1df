import { defineService, type Service } from '../../platform/service.ts';
import type { Environment } from './environment.ts';
import { changeSetOperations } from './operations/change-sets.ts';
import { describeOperations } from './operations/describe.ts';
import { exportOperations } from './operations/exports.ts';
import { recoveryOperations } from './operations/recovery.ts';
import { stackOperations } from './operations/stacks.ts';
import { templateOperations } from './operations/templates.ts';
import { resourceTypes } from './resources.ts';
import { responseSurface } from './response-surface.ts';
import { authorization } from './rules/authorization.ts';
import { startWork } from './work.ts';

/** AWS CloudFormation: stacks and change sets over the resource types that the services register. */
export const cloudformation = defineService({
  name: 'cloudformation',
  create(platform): Service<'cloudformation'> {
    const env: Environment = { platform };
    return {
      operations: {
        ...stackOperations(env),
        ...recoveryOperations(env),
        ...describeOperations(env),
        ...templateOperations(env),
        ...changeSetOperations(env),
        ...exportOperations(env),
      },
      authorization,
      resourceTypes: resourceTypes(env),
      surfaces: [responseSurface(env)],
      start: () => startWork(env),
    };
  },
});
