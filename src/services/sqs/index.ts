import { formatArn } from '../../platform/arn.ts';
import type { Caller } from '../../platform/context.ts';
import { type Authorization, defineService, type Service } from '../../platform/service.ts';
import { createEnvironment } from './environment.ts';
import { declareFaults } from './faults.ts';
import { inspectQueue } from './inspect.ts';
import { moveTaskOperations } from './operations/move-tasks.ts';
import { queueOperations } from './operations/queues.ts';
import { receiveOperations } from './operations/receive.ts';
import { sendOperations } from './operations/send.ts';
import { settleOperations } from './operations/settle.ts';
import { queuePolicyType, queueType } from './resources.ts';
import { queueArn } from './rules/redrive.ts';
import { parseQueueUrl } from './rules/urls.ts';
import { queueTarget } from './target.ts';
import { startWork } from './work.ts';

/** Amazon SQS. */
export const sqs = defineService({
  name: 'sqs',
  create(platform): Service<'sqs'> {
    const env = createEnvironment(platform);
    declareFaults(platform.faults);
    return {
      operations: {
        ...queueOperations(env),
        ...sendOperations(env),
        ...receiveOperations(env),
        ...settleOperations(env),
        ...moveTaskOperations(env),
      },
      authorization,
      resourcePolicy: async (resource) => {
        const arn = queueArn(resource);
        const queue = arn === undefined ? undefined : await env.queues.find(arn.account, arn.region, arn.resource);
        return queue?.record.attributes['Policy'];
      },
      resourceTypes: [queueType(env), queuePolicyType],
      target: queueTarget(platform),
      inspect: (caller, query) => inspectQueue(env, caller, query),
      start() {
        env.queues.start();
        startWork(env);
      },
      async close() {
        env.rooms.close();
        env.queues.close();
      },
    };
  },
});

/** Batches are allowed by the permission for the single action (IAM's service authorization reference for SQS). */
const actionOf: Readonly<Record<string, string>> = {
  SendMessageBatch: 'sqs:SendMessage',
  DeleteMessageBatch: 'sqs:DeleteMessage',
  ChangeMessageVisibilityBatch: 'sqs:ChangeMessageVisibility',
};

function authorization(operation: string, input: unknown, caller: Caller): Authorization | undefined {
  const { QueueUrl, QueueName, SourceArn } = input as Partial<Record<'QueueUrl' | 'QueueName' | 'SourceArn', string>>;
  const address = QueueUrl === undefined ? undefined : parseQueueUrl(QueueUrl);
  const name = address?.name ?? QueueName;
  const resource =
    name === undefined
      ? SourceArn
      : formatArn({
          service: 'sqs',
          region: address?.region ?? caller.region,
          account: address?.account ?? caller.account,
          resource: name,
        });
  if (resource === undefined) return undefined;
  const action = actionOf[operation];
  return action === undefined ? { resource } : { action, resource };
}
