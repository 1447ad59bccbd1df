import type { Limit, LimitProfile } from '../../kernel/limits/limits.ts';

const queueQuotas = 'https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html';
const messageQuotas = 'https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html';
const apiReference = 'https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/';

interface SqsLimit extends Limit {
  /** The value under the relaxed profile, where it is another. */
  readonly relaxed?: number;
}

/** AWS's quotas. What shapes the API (sizes, counts) holds in both profiles; rates, waits and raisable quotas do not. */
export const sqsLimits = {
  messageBytes: fixed('message size', 1_048_576, 'bytes', messageQuotas),
  batchBytes: fixed('total size of a batch', 1_048_576, 'bytes', messageQuotas),
  batchEntries: fixed('entries in a batch', 10, 'entries', messageQuotas),
  messageAttributes: fixed('attributes of a message', 10, 'attributes', messageQuotas),
  delayMs: fixed('delay', 900_000, 'ms', messageQuotas),
  visibilityMs: fixed('visibility timeout, from the receipt', 43_200_000, 'ms', messageQuotas),
  receiveMessages: fixed('messages in a receive', 10, 'messages', `${apiReference}API_ReceiveMessage.html`),
  waitMs: fixed('wait of a receive', 20_000, 'ms', `${apiReference}API_ReceiveMessage.html`),
  queueTags: fixed('tags of a queue', 50, 'tags', queueQuotas),
  permissionActions: fixed('actions in a permission', 7, 'actions', `${apiReference}API_AddPermission.html`),
  redriveSources: fixed('queues in a redrive allow policy', 10, 'queues', `${apiReference}API_SetQueueAttributes.html`),
  listPage: fixed('results of a list', 1000, 'queues', `${apiReference}API_ListQueues.html`),
  moveTasksListed: fixed('move tasks listed', 10, 'tasks', `${apiReference}API_ListMessageMoveTasks.html`),
  inFlightMessages: {
    ...fixed('messages in flight in a standard queue', 120_000, 'messages', queueQuotas),
    adjustable: true,
    relaxed: Number.POSITIVE_INFINITY,
  },
  fifoInFlightMessages: {
    ...fixed('messages in flight in a FIFO queue', 120_000, 'messages', queueQuotas),
    relaxed: Number.POSITIVE_INFINITY,
  },
  deduplicationMs: fixed('deduplication interval', 300_000, 'ms', `${apiReference}API_SendMessage.html`),
  receiveAttemptMs: fixed('time for a retried receive', 300_000, 'ms', `${apiReference}API_ReceiveMessage.html`),
  fifoCalls: {
    ...fixed('calls of an action on a FIFO queue, or on a group of one', 300, 'calls/s', messageQuotas),
    relaxed: Number.POSITIVE_INFINITY,
  },
  activeMoveTasks: {
    ...fixed('active move tasks of an account', 100, 'tasks', `${apiReference}API_StartMessageMoveTask.html`),
    adjustable: true,
    relaxed: Number.POSITIVE_INFINITY,
  },
  moveTaskMs: {
    ...fixed('run of a move task', 129_600_000, 'ms', `${apiReference}API_StartMessageMoveTask.html`),
    relaxed: Number.POSITIVE_INFINITY,
  },
  moveRate: {
    ...fixed('messages moved by a task', 500, 'messages/s', `${apiReference}API_StartMessageMoveTask.html`),
    relaxed: Number.POSITIVE_INFINITY,
  },
  purgeIntervalMs: { ...fixed('time between purges', 60_000, 'ms', `${apiReference}API_PurgeQueue.html`), relaxed: 0 },
  recreateWaitMs: {
    ...fixed('time before a deleted name is free', 60_000, 'ms', `${apiReference}API_CreateQueue.html`),
    relaxed: 0,
  },
} satisfies Record<string, SqsLimit>;

/**
 * Calls of an action per second on a FIFO queue with high throughput, by region; batches count as one call.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
 */
export function highThroughputCalls(region: string): number {
  return highThroughput[region] ?? 2_400;
}

const highThroughput: Readonly<Record<string, number>> = {
  'us-east-1': 70_000,
  'us-west-2': 70_000,
  'eu-west-1': 70_000,
  'us-east-2': 19_000,
  'eu-central-1': 19_000,
  'ap-south-1': 9_000,
  'ap-southeast-1': 9_000,
  'ap-southeast-2': 9_000,
  'ap-northeast-1': 9_000,
  'eu-west-2': 4_500,
  'sa-east-1': 4_500,
};

/** The figures that hold for a running cloud. */
export type SqsLimits = { readonly [K in keyof typeof sqsLimits]: number };

export function limitsOf(profile: LimitProfile): SqsLimits {
  const entries = Object.entries(sqsLimits as Record<string, SqsLimit>);
  return Object.fromEntries(
    entries.map(([name, limit]) => [name, profile === 'relaxed' ? (limit.relaxed ?? limit.value) : limit.value]),
  ) as SqsLimits;
}

function fixed(name: string, value: number, unit: string, source: string): SqsLimit {
  return { name, value, unit, source, adjustable: false };
}
