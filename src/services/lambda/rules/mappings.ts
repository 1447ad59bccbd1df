import { parseArn } from '../../../platform/arn.ts';
import type {
  CreateEventSourceMappingRequest,
  EventSourceMappingConfiguration,
  UpdateEventSourceMappingRequest,
} from '../../../wire/types/lambda.ts';
import { lambdaLimits } from '../limits.ts';
import type { MappingRecord, ProvisionedPollers, StreamSettings } from '../state.ts';
import { unbuilt } from './configuration.ts';
import { parsePattern } from './event-pattern.ts';
import { invalidParameter, mappingArn } from './names.ts';

type Settings = CreateEventSourceMappingRequest | UpdateEventSourceMappingRequest;
type SettingName = keyof CreateEventSourceMappingRequest;

export type SourceKind = 'sqs' | 'dynamodb' | 'kinesis';

/** The part of a mapping that its user sets. */
export type MappingSettings = Pick<
  MappingRecord,
  | 'batchSize'
  | 'windowSeconds'
  | 'responseTypes'
  | 'filters'
  | 'maximumConcurrency'
  | 'provisionedPollers'
  | 'kmsKeyArn'
  | 'metrics'
  | 'stream'
>;

/** The kind of source behind a request; refuses those that are not built, or not known. */
export function sourceKind({ EventSourceArn, SelfManagedEventSource }: CreateEventSourceMappingRequest): SourceKind {
  if (SelfManagedEventSource !== undefined) throw unbuilt('An event source mapping from self-managed Kafka');
  const arn = EventSourceArn === undefined ? undefined : parseArn(EventSourceArn);
  switch (arn?.service) {
    case 'sqs':
    case 'kinesis':
      return arn.service;
    case 'dynamodb':
      if (/^table\/[^/]+\/stream\/.+/.test(arn.resource)) return 'dynamodb';
      throw invalidParameter('Unrecognized event source.');
    case 'kafka':
    case 'mq':
    case 'rds':
      throw unbuilt(`An event source mapping from ${arn.service}`);
    default:
      throw invalidParameter('Unrecognized event source.');
  }
}

/**
 * The settings of a mapping after a create (`before` undefined) or an update. Wording: LocalStack's recorded AWS responses
 * (test_lambda_api.snapshot.json, TestLambdaEventSourceMappings; test_lambda_integration_sqs.snapshot.json); where none is recorded, on their
 * pattern.
 */
export function mappingSettings(
  kind: SourceKind,
  input: Settings,
  sourceArn: string,
  before: MappingSettings | undefined,
): MappingSettings {
  refuseForeign(kind, input);
  const settings: MappingSettings = {
    batchSize: input.BatchSize ?? before?.batchSize ?? (kind === 'sqs' ? 10 : 100),
    windowSeconds: input.MaximumBatchingWindowInSeconds ?? before?.windowSeconds ?? 0,
    responseTypes: input.FunctionResponseTypes ?? before?.responseTypes ?? [],
    filters: input.FilterCriteria === undefined ? (before?.filters ?? []) : checkedFilters(kind, input.FilterCriteria),
    ...optional('kmsKeyArn', input.KMSKeyArn === undefined ? before?.kmsKeyArn : input.KMSKeyArn || undefined),
    ...optional('metrics', input.MetricsConfig === undefined ? before?.metrics : checkedMetrics(input.MetricsConfig)),
    ...(kind === 'sqs' ? scalingSettings(input, before) : { stream: streamSettings(kind, input, sourceArn, before) }),
  };
  if (kind === 'sqs') checkSqs(settings, sourceArn);
  return settings;
}

function optional<K extends string, V>(name: K, value: V | undefined): { readonly [N in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [N in K]: V });
}

/** An empty ScalingConfig or ProvisionedPollerConfig takes the bound away. */
function scalingSettings(
  input: Settings,
  before: MappingSettings | undefined,
): Pick<MappingSettings, 'maximumConcurrency' | 'provisionedPollers'> {
  const maximumConcurrency =
    input.ScalingConfig === undefined ? before?.maximumConcurrency : input.ScalingConfig.MaximumConcurrency;
  const provisionedPollers =
    input.ProvisionedPollerConfig === undefined
      ? before?.provisionedPollers
      : checkedPollers(input.ProvisionedPollerConfig);
  if (maximumConcurrency !== undefined && provisionedPollers !== undefined)
    throw invalidParameter('MaximumConcurrency and ProvisionedPollerConfig cannot be used together.');
  return {
    ...optional('maximumConcurrency', maximumConcurrency),
    ...optional('provisionedPollers', provisionedPollers),
  };
}

function checkedPollers(config: NonNullable<Settings['ProvisionedPollerConfig']>): ProvisionedPollers | undefined {
  const { MinimumPollers, MaximumPollers, PollerGroupName } = config;
  if (PollerGroupName !== undefined)
    throw invalidParameter('Unsupported PollerGroupName parameter for given event source mapping type.');
  if (MinimumPollers === undefined && MaximumPollers === undefined) return undefined;
  const { sqsPollersAtLeast, sqsPollersByDefault } = lambdaLimits;
  const minimum = MinimumPollers ?? sqsPollersAtLeast.value;
  const maximum = MaximumPollers ?? Math.max(sqsPollersByDefault.value, minimum);
  if (minimum < sqsPollersAtLeast.value || maximum < sqsPollersAtLeast.value)
    throw invalidParameter(`MinimumPollers and MaximumPollers must be at least ${sqsPollersAtLeast.value} for SQS.`);
  if (minimum > maximum) throw invalidParameter('MinimumPollers must be less than or equal to MaximumPollers.');
  return { minimum, maximum };
}

function checkSqs({ batchSize, windowSeconds }: MappingSettings, queueArn: string): void {
  const fifo = queueArn.endsWith('.fifo');
  if (fifo && batchSize > 10) throw invalidParameter('Batch size cannot be greater than 10 for FIFO queues.');
  if (fifo && windowSeconds > 0) throw invalidParameter('Batching window is not supported for FIFO queues.');
  if (batchSize > 10 && windowSeconds === 0)
    throw invalidParameter(
      'Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10',
    );
}

function streamSettings(
  kind: SourceKind,
  input: Settings,
  streamArn: string,
  before: MappingSettings | undefined,
): StreamSettings {
  const start = before?.stream ?? startingPoint(kind, input as CreateEventSourceMappingRequest, streamArn);
  const onFailure = input.DestinationConfig?.OnFailure?.Destination;
  const settings: StreamSettings = {
    startingPosition: start.startingPosition,
    ...optional('startingTimestampMs', start.startingTimestampMs),
    parallelization: input.ParallelizationFactor ?? before?.stream?.parallelization ?? 1,
    bisects: input.BisectBatchOnFunctionError ?? before?.stream?.bisects ?? false,
    retries: input.MaximumRetryAttempts ?? before?.stream?.retries ?? -1,
    recordAgeSeconds: input.MaximumRecordAgeInSeconds ?? before?.stream?.recordAgeSeconds ?? -1,
    tumblingSeconds: input.TumblingWindowInSeconds ?? before?.stream?.tumblingSeconds ?? 0,
    // An empty destination takes it away.
    ...optional(
      'onFailure',
      input.DestinationConfig === undefined ? before?.stream?.onFailure : onFailure || undefined,
    ),
  };
  // Documented (MaximumRecordAgeInSeconds in the API reference); the words are ours.
  if (settings.recordAgeSeconds >= 0 && settings.recordAgeSeconds < 60)
    throw invalidParameter('MaximumRecordAgeInSeconds must be -1, or at least 60.');
  if (settings.tumblingSeconds > 0 && settings.parallelization > 1)
    throw unbuilt('A tumbling window with a ParallelizationFactor above 1');
  return settings;
}

function startingPoint(
  kind: SourceKind,
  { StartingPosition, StartingPositionTimestamp }: CreateEventSourceMappingRequest,
  streamArn: string,
): Pick<StreamSettings, 'startingPosition' | 'startingTimestampMs'> {
  if (StartingPosition === undefined)
    throw invalidParameter(
      "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.",
    );
  if (StartingPosition !== 'AT_TIMESTAMP') {
    if (StartingPositionTimestamp !== undefined)
      throw invalidParameter('StartingPositionTimestamp can only be used with the starting position AT_TIMESTAMP.');
    return { startingPosition: StartingPosition };
  }
  if (kind !== 'kinesis') throw invalidParameter(`Unsupported starting position for arn type: ${streamArn}`);
  if (StartingPositionTimestamp === undefined)
    throw invalidParameter('StartingPositionTimestamp is required with the starting position AT_TIMESTAMP.');
  return { startingPosition: StartingPosition, startingTimestampMs: StartingPositionTimestamp };
}

const ofOtherSources: readonly SettingName[] = [
  'Topics',
  'Queues',
  'SourceAccessConfigurations',
  'AmazonManagedKafkaEventSourceConfig',
  'SelfManagedKafkaEventSourceConfig',
  'DocumentDBEventSourceConfig',
  'LoggingConfig',
];

const ofStreams: readonly SettingName[] = [
  'MaximumRecordAgeInSeconds',
  'BisectBatchOnFunctionError',
  'MaximumRetryAttempts',
  'ParallelizationFactor',
  'TumblingWindowInSeconds',
  'StartingPosition',
  'StartingPositionTimestamp',
];

const ofQueues: readonly SettingName[] = ['ScalingConfig', 'ProvisionedPollerConfig'];

/** Refuses what the kind of source does not have. Zero, false and what is empty are as good as left out. */
function refuseForeign(kind: SourceKind, input: Settings): void {
  const { OnFailure, OnSuccess } = input.DestinationConfig ?? {};
  if (OnSuccess?.Destination || (kind === 'sqs' && OnFailure?.Destination)) throw unsupported('DestinationConfig');
  const given: CreateEventSourceMappingRequest = input as CreateEventSourceMappingRequest;
  for (const name of [...ofOtherSources, ...(kind === 'sqs' ? ofStreams : ofQueues)])
    if (!isEmpty(given[name])) throw unsupported(name);
}

function unsupported(name: string): Error {
  return invalidParameter(`Unsupported ${name} parameter for given event source mapping type.`);
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === false || value === 0) return true;
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

function checkedMetrics(config: NonNullable<Settings['MetricsConfig']>): MappingRecord['metrics'] {
  const metrics = config.Metrics ?? [];
  if (metrics.length === 0) return undefined;
  if (metrics.some((metric) => metric !== 'EventCount')) throw unsupported('MetricsConfig');
  return ['EventCount'];
}

/** Data of Kinesis is filtered as JSON only; a body of SQS also as plain text. */
function checkedFilters(kind: SourceKind, criteria: NonNullable<Settings['FilterCriteria']>): readonly string[] {
  const patterns = (criteria.Filters ?? []).map((filter) => filter.Pattern ?? '');
  if (patterns.length > lambdaLimits.filters.value)
    throw invalidParameter(
      `FilterCriteria cannot have more than ${lambdaLimits.filters.value} filters. You can request an increase of this quota.`,
    );
  for (const text of patterns) {
    const pattern = parsePattern(text);
    if (pattern === undefined || (kind === 'kinesis' && Array.isArray(pattern['data'])))
      throw invalidParameter('Invalid filter pattern definition.');
  }
  return patterns;
}

/** `result`: of a stream's mapping, what its latest batch came to. Members and words as recorded on AWS. */
export function describeMapping(mapping: MappingRecord, result?: string): EventSourceMappingConfiguration {
  const { stream, provisionedPollers: provisioned } = mapping;
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
    StateTransitionReason: stream === undefined ? 'USER_INITIATED' : 'User action',
    FunctionResponseTypes: mapping.responseTypes,
    KMSKeyArn: mapping.kmsKeyArn,
    MetricsConfig: mapping.metrics === undefined ? undefined : { Metrics: mapping.metrics },
    ScalingConfig:
      mapping.maximumConcurrency === undefined ? undefined : { MaximumConcurrency: mapping.maximumConcurrency },
    ProvisionedPollerConfig:
      provisioned === undefined
        ? undefined
        : { MinimumPollers: provisioned.minimum, MaximumPollers: provisioned.maximum },
    EventSourceMappingArn: mappingArn(mapping, mapping.uuid),
    ...(stream === undefined ? {} : describedStream(stream, result)),
  };
}

function describedStream(stream: StreamSettings, result: string | undefined): EventSourceMappingConfiguration {
  return {
    StartingPosition: stream.startingPosition,
    StartingPositionTimestamp: stream.startingTimestampMs,
    LastProcessingResult: result ?? 'No records processed',
    DestinationConfig: { OnFailure: { Destination: stream.onFailure } },
    ParallelizationFactor: stream.parallelization,
    BisectBatchOnFunctionError: stream.bisects,
    MaximumRetryAttempts: stream.retries,
    MaximumRecordAgeInSeconds: stream.recordAgeSeconds,
    TumblingWindowInSeconds: stream.tumblingSeconds,
  };
}
