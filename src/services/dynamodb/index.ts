import { defineService, type Service } from '../../platform/service.ts';
import { authorization } from './authorization.ts';
import { createEnvironment, withAwsErrors } from './environment.ts';
import { batchOperations } from './operations/batches.ts';
import { itemOperations } from './operations/items.ts';
import { readOperations } from './operations/reads.ts';
import { settingsOperations } from './operations/settings.ts';
import { tableOperations } from './operations/tables.ts';
import { transactionOperations } from './operations/transactions.ts';
import { tableType } from './resources.ts';
import { startWork } from './work.ts';

/** Amazon DynamoDB. */
export const dynamodb = defineService({
  name: 'dynamodb',
  create(platform): Service<'dynamodb'> {
    const env = createEnvironment(platform);
    return {
      operations: withAwsErrors({
        ...itemOperations(env),
        ...readOperations(env),
        ...batchOperations(env),
        ...transactionOperations(env),
        ...tableOperations(env),
        ...settingsOperations(env),
      }),
      authorization,
      resourceTypes: [tableType],
      start() {
        env.tables.start();
        startWork(env);
      },
      async close() {
        env.tables.close();
      },
    };
  },
});
