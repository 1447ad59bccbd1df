import { defineService } from '../../platform/service.ts';
import { stsOperations } from './operations.ts';

/** The Security Token Service: temporary credentials for roles and users. */
export const sts = defineService({
  name: 'sts',
  create: (platform) => ({
    operations: stsOperations(platform),
    authorization: (operation, input) => {
      if (operation !== 'AssumeRole') return undefined;
      return { resource: (input as { readonly RoleArn?: string }).RoleArn ?? '*' };
    },
  }),
});
