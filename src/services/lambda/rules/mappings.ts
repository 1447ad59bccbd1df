import { parseArn } from '../../../platform/arn.ts';
import type {
  CreateEventSourceMappingRequest,
  EventSourceMappingConfiguration,
  UpdateEventSourceMappingRequest,
} from '../../../wire/types/lambda.ts';
import { lambdaLimits } from '../limits.ts';
import type { MappingRecord } from '../state.ts';
import { unbuilt } from './configuration.ts';
import { parsePattern } from './event-pattern.ts';
import { invalidParameter, mappingArn } from './names.ts';

type Settings = CreateEventSourceMappingRequest | UpdateEventSourceMappingRequest;

export interface MappingSettings {
  readonly batchSize: number;
  readonly windowSeconds: number;
  readonly responseTypes: readonly 'ReportBatchItemFailures'[];
  readonly filters: readonly string[];
  readonly maximumConcurrency: number | undefined;
}

/** The kind of source behind an ARN; refuses those that are not built, or not known. */
export function sourceKind(eventSourceArn: string | undefined): 'sqs' {
  const arn = eventSourceArn === undefined ? undefined : parseArn(eventSourceArn);
  switch (arn?.service) {
    case 'sqs':
      return 'sqs';
    case 'dynamodb':
    case 'kinesis':
    case 'kafka':
    case 'mq':
    case 'rds':
      throw unbuilt(`An event source mapping from ${arn.service}`);
    default:
      throw invalidParameter('Unrecognized event source.');
  }
}

/**
 * The settings of a mapping from SQS after a create (`before` undefined) or an update. Wording: LocalStack's recorded AWS responses
 * (test_lambda_integration_sqs.snapshot.json, test_event_source_mapping_exceptions).
 */
export function sqsSettings(input: Settings, queueArn: string, before: MappingSettings | undefined): MappingSettings {
  refuseForSqs(input);
  const settings: MappingSettings = {
    batchSize: input.BatchSize ?? before?.batchSize ?? 10,
    windowSeconds: input.MaximumBatchingWindowInSeconds ?? before?.windowSeconds ?? 0,
    responseTypes: input.FunctionResponseTypes ?? before?.responseTypes ?? [],
    filters: input.FilterCriteria === undefined ? (before?.filters ?? []) : checkedFilters(input.FilterCriteria),
    // An empty ScalingConfig takes the bound away.
    maximumConcurrency:
      input.ScalingConfig === undefined ? before?.maximumConcurrency : input.ScalingConfig.MaximumConcurrency,
  };
  const fifo = queueArn.endsWith('.fifo');
  if (fifo && settings.batchSize > 10) throw invalidParameter('Batch size cannot be greater than 10 for FIFO queues.');
  if (fifo && settings.windowSeconds > 0) throw invalidParameter('Batching window is not supported for FIFO queues.');
  if (settings.batchSize > 10 && settings.windowSeconds === 0)
    throw invalidParameter(
      'Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10',
    );
  return settings;
}

function refuseForSqs(input: Settings): void {
  const { OnFailure, OnSuccess } = input.DestinationConfig ?? {};
  if (OnFailure?.Destination || OnSuccess?.Destination)
    throw invalidParameter('Unsupported DestinationConfig parameter for given event source mapping type.');
  if (input.ProvisionedPollerConfig !== undefined) throw unbuilt('ProvisionedPollerConfig of an event source mapping');
  if (input.KMSKeyArn) throw unbuilt('KMSKeyArn of an event source mapping');
  if ((input.MetricsConfig?.Metrics?.length ?? 0) > 0) throw unbuilt('MetricsConfig of an event source mapping');
  if (input.LoggingConfig !== undefined) throw unbuilt('LoggingConfig of an event source mapping');
  const streamOnly = [
    'MaximumRecordAgeInSeconds',
    'BisectBatchOnFunctionError',
    'MaximumRetryAttempts',
    'ParallelizationFactor',
    'TumblingWindowInSeconds',
    'StartingPosition',
  ] as const;
  for (const member of streamOnly) {
    const value = member in input ? (input as CreateEventSourceMappingRequest)[member] : undefined;
    if (value !== undefined && value !== false && value !== 0)
      throw invalidParameter(`Unsupported ${member} parameter for given event source mapping type.`);
  }
}

function checkedFilters(criteria: NonNullable<Settings['FilterCriteria']>): readonly string[] {
  const patterns = (criteria.Filters ?? []).map((filter) => filter.Pattern ?? '');
  if (patterns.length > lambdaLimits.filters.value)
    throw invalidParameter(
      `FilterCriteria cannot have more than ${lambdaLimits.filters.value} filters. You can request an increase of this quota.`,
    );
  for (const pattern of patterns) {
    if (parsePattern(pattern) === undefined) throw invalidParameter('Invalid filter pattern definition.');
  }
  return patterns;
}

export function describeMapping(mapping: MappingRecord): EventSourceMappingConfiguration {
  return {
    UUID: mapping.uuid,
    BatchSize: mapping.batchSize,
    MaximumBatchingWindowInSeconds: mapping.windowSeconds,
    EventSourceArn: mapping.sourceArn,
    FilterCriteria:
      mapping.filters.length === 0 ? undefined : { Filters: mapping.filters.map((Pattern) => ({ Pattern })) },
    FunctionArn: mapping.functionArn,
    LastModified: mapping.lastModifiedMs,
    State: mapping.state,
    StateTransitionReason: 'USER_INITIATED',
    FunctionResponseTypes: mapping.responseTypes,
    ScalingConfig:
      mapping.maximumConcurrency === undefined ? undefined : { MaximumConcurrency: mapping.maximumConcurrency },
    EventSourceMappingArn: mappingArn(mapping, mapping.uuid),
  };
}
