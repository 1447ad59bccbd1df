import type { Limit, LimitProfile } from '../../kernel/limits/limits.ts';

const quotas = 'https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html';
const scaling = 'https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html';
const sqsScaling = 'https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html';
const streaming = 'https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html';
const asyncErrors = 'https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html';

export const lambdaLimits = {
  accountConcurrency: quota('AccountConcurrency', 1_000, 'executions', quotas, true),
  unreservedFloor: quota('UnreservedConcurrencyFloor', 100, 'executions', quotas, false),
  /** New environments of one function: this many at once, refilled over ten seconds. */
  scalingBurst: quota('FunctionScalingBurst', 1_000, 'environments', scaling, false),
  scalingPerSecond: quota('FunctionScalingRate', 100, 'environments/s', scaling, false),
  /** Requests per second, as a multiple of the concurrency. */
  requestRateFactor: quota('RequestRateFactor', 10, 'requests/s per execution', scaling, false),
  codeStorageBytes: quota('CodeStorage', 75 * 1024 ** 3, 'bytes', quotas, true),
  zippedBytes: quota('ZippedPackage', 52_428_800, 'bytes', quotas, false),
  unzippedBytes: quota('UnzippedPackage', 262_144_000, 'bytes', quotas, false),
  layersPerFunction: quota('LayersPerFunction', 5, 'layers', quotas, false),
  inlineCodeBytes: quota('InlineTemplateCode', 4 * 1024 * 1024, 'bytes', quotas, false),
  environmentBytes: quota('EnvironmentVariables', 4_096, 'bytes', quotas, false),
  nameCharacters: quota('FunctionName', 64, 'characters', quotas, false),
  timeoutSeconds: quota('Timeout', 900, 's', quotas, false),
  memoryMb: quota('Memory', 10_240, 'MB', quotas, false),
  ephemeralStorageMb: quota('EphemeralStorage', 10_240, 'MB', quotas, false),
  policyBytes: quota('ResourcePolicy', 20_480, 'bytes', quotas, false),
  tags: quota('Tags', 50, 'tags', quotas, false),
  syncRequestBytes: quota('SyncRequestPayload', 6_291_456, 'bytes', quotas, false),
  syncResponseBytes: quota('SyncResponsePayload', 6_291_556, 'bytes', quotas, false),
  streamedResponseBytes: quota('StreamedResponsePayload', 209_715_200, 'bytes', streaming, false),
  /** What a streamed response sends at full speed, and its rate after that. */
  streamedBurstBytes: quota('StreamedResponseBurst', 6_291_456, 'bytes', streaming, false),
  streamedBytesPerSecond: quota('StreamedResponseRate', 2_097_152, 'bytes/s', streaming, false),
  asyncRequestBytes: quota('AsyncRequestPayload', 1_048_576, 'bytes', quotas, false),
  legacyAsyncRequestBytes: quota('InvokeAsyncPayload', 262_144, 'bytes', quotas, false),
  clientContextBytes: quota('ClientContext', 3_583, 'bytes', 'Invoke in the API reference', false),
  asyncRetries: quota('AsyncRetries', 2, 'attempts', asyncErrors, false),
  asyncEventAgeSeconds: quota('AsyncEventAge', 21_600, 's', asyncErrors, false),
  filters: quota('EventSourceFilters', 5, 'filters', quotas, true),
  sqsBatchesAtStart: quota('SqsConcurrentBatchesAtStart', 5, 'batches', sqsScaling, false),
  sqsBatchesPerMinute: quota('SqsConcurrentBatchesRamp', 300, 'batches/min', sqsScaling, false),
  sqsBatches: quota('SqsConcurrentBatches', 1_250, 'batches', sqsScaling, false),
  sqsPollerBatches: quota('SqsBatchesPerProvisionedPoller', 10, 'batches', sqsScaling, false),
  sqsPollersAtLeast: quota('SqsProvisionedPollersAtLeast', 2, 'pollers', sqsScaling, false),
  sqsPollersByDefault: quota('SqsProvisionedPollersByDefault', 200, 'pollers', sqsScaling, false),
  sqsPollerRamp: quota('SqsProvisionedRamp', 1_000, 'batches/min', sqsScaling, false),
} as const satisfies Record<string, Limit>;

/** How long an environment is kept warm without work: AWS does not say; minutes to hours have been observed. */
export const idleEnvironmentMs = 10 * 60_000;

/** The value that holds under a profile: adjustable ones are lifted when relaxed. */
export function effective(limit: Limit, profile: LimitProfile): number {
  return profile === 'relaxed' && limit.adjustable ? Number.POSITIVE_INFINITY : limit.value;
}

function quota(name: string, value: number, unit: string, source: string, adjustable: boolean): Limit {
  return { name, value, unit, source, adjustable };
}
