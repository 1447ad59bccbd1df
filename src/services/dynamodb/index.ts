import { defineService, type Service } from '../../platform/service.ts';
import { authorization } from './authorization.ts';
import { createEnvironment, withAwsErrors } from './environment.ts';
import { backupOperations } from './operations/backups.ts';
import { batchOperations } from './operations/batches.ts';
import { exportOperations } from './operations/exports.ts';
import { itemOperations } from './operations/items.ts';
import { partiqlOperations } from './operations/partiql.ts';
import { policyOperations, resourcePolicyOn } from './operations/policies.ts';
import { readOperations } from './operations/reads.ts';
import { recoveryOperations } from './operations/recovery.ts';
import { settingsOperations } from './operations/settings.ts';
import { surroundingOperations } from './operations/surroundings.ts';
import { tableOperations } from './operations/tables.ts';
import { transactionOperations } from './operations/transactions.ts';
import { globalTableType } from './resource-global-table.ts';
import { tableType } from './resources.ts';
import { createStreamReader } from './stream-reader.ts';
import { createTableStreams } from './streams.ts';
import { startWork } from './work.ts';

/** Amazon DynamoDB. */
export const dynamodb = defineService({
  name: 'dynamodb',
  create(platform): Service<'dynamodb'> {
    const env = createEnvironment(platform);
    platform.streams.tables = createTableStreams(env);
    platform.streams.register('dynamodb', createStreamReader(env));
    return {
      operations: withAwsErrors({
        ...itemOperations(env),
        ...readOperations(env),
        ...batchOperations(env),
        ...transactionOperations(env),
        ...partiqlOperations(env),
        ...tableOperations(env),
        ...settingsOperations(env),
        ...backupOperations(env),
        ...recoveryOperations(env),
        ...exportOperations(env),
        ...policyOperations(env),
        ...surroundingOperations(env),
      }),
      authorization,
      resourcePolicy: (resource) => resourcePolicyOn(env, resource),
      resourceTypes: [tableType, globalTableType],
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
