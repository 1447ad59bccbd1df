import type { Input } from '../../platform/context.ts';
import type { Properties, ResourceContext, ResourceType } from '../../platform/resource-type.ts';
import { AwsError } from '../../wire/errors.ts';
import type {
  CreateAliasRequest,
  CreateEventSourceMappingRequest,
  EventSourceMappingConfiguration,
  PutFunctionEventInvokeConfigRequest,
  UpdateEventSourceMappingRequest,
} from '../../wire/types/lambda.ts';
import { asInput, call, ifMissing, recordOf, stackTags, tagsOf, textOf } from './resource-support.ts';

const pollMs = 50;

/** The first six parts of an ARN and the function's name; the qualifier is the rest. */
function splitQualified(arn: string): { readonly functionName: string; readonly qualifier: string } {
  const at = arn.lastIndexOf(':');
  return { functionName: arn.slice(0, at), qualifier: arn.slice(at + 1) };
}

/** A version is what $LATEST is now: publishing again without a change gives the same one, so an attempt may be repeated. */
export const versionType: ResourceType = {
  typeName: 'AWS::Lambda::Version',
  properties: ['CodeSha256', 'Description', 'FunctionName', 'ProvisionedConcurrencyConfig', 'RuntimePolicy'],
  required: ['FunctionName'],
  createOnly: ['CodeSha256', 'Description', 'FunctionName', 'RuntimePolicy'],
  async create(context, properties) {
    const published = await call(context, 'PublishVersion', {
      FunctionName: textOf(properties['FunctionName'])!,
      CodeSha256: textOf(properties['CodeSha256']),
      Description: textOf(properties['Description']),
    });
    const attributes = { Version: published.Version, FunctionArn: published.FunctionArn };
    await activeVersion(context, published.FunctionArn!);
    const policy = recordOf(properties['RuntimePolicy']);
    if (Object.keys(policy).length > 0)
      await call(context, 'PutRuntimeManagementConfig', {
        ...asInput<Omit<Input<'lambda', 'PutRuntimeManagementConfig'>, 'FunctionName'>>(policy),
        FunctionName: published.FunctionArn!,
      });
    await provision(context, published.FunctionArn!, properties, {});
    return { physicalId: published.FunctionArn!, attributes };
  },
  async update(context, physicalId, properties, before) {
    const { qualifier } = splitQualified(physicalId);
    await provision(context, physicalId, properties, before);
    return { physicalId, attributes: { Version: qualifier, FunctionArn: physicalId } };
  },
  async delete(context, physicalId) {
    const { functionName, qualifier } = splitQualified(physicalId);
    await call(context, 'DeleteFunction', { FunctionName: functionName, Qualifier: qualifier }).catch(
      ifMissing(undefined),
    );
  },
};

export const aliasType: ResourceType = {
  typeName: 'AWS::Lambda::Alias',
  properties: [
    'Description',
    'FunctionName',
    'FunctionVersion',
    'Name',
    'ProvisionedConcurrencyConfig',
    'RoutingConfig',
  ],
  required: ['FunctionName', 'FunctionVersion', 'Name'],
  createOnly: ['FunctionName', 'Name'],
  async create(context, properties) {
    const input = aliasInput(properties);
    const alias = await call(context, 'CreateAlias', input).catch((error: unknown) => {
      if (!(error instanceof AwsError) || error.code !== 'ResourceConflictException') throw error;
      return call(context, 'UpdateAlias', input);
    });
    await provision(context, alias.AliasArn!, properties, {});
    return { physicalId: alias.AliasArn!, attributes: { AliasArn: alias.AliasArn } };
  },
  async update(context, physicalId, properties, before) {
    const input = aliasInput(properties);
    await call(context, 'UpdateAlias', { ...input, RoutingConfig: input.RoutingConfig ?? {} });
    await provision(context, physicalId, properties, before);
    return { physicalId, attributes: { AliasArn: physicalId } };
  },
  async delete(context, physicalId) {
    const { functionName, qualifier } = splitQualified(physicalId);
    await call(context, 'DeleteAlias', { FunctionName: functionName, Name: qualifier }).catch(ifMissing(undefined));
  },
};

/** Waits for a version whose snapshot is being made. */
async function activeVersion(context: ResourceContext, FunctionName: string): Promise<void> {
  for (;;) {
    const { State, StateReason } = await call(context, 'GetFunctionConfiguration', { FunctionName });
    if (State === 'Active') return;
    if (State === 'Failed') throw new AwsError('NotStabilized', StateReason ?? 'Failed');
    await context.sleep(pollMs);
  }
}

/** Brings the provisioned concurrency of a version or alias to what the template says, and waits until it is there. */
async function provision(
  context: ResourceContext,
  arn: string,
  properties: Properties,
  before: Properties,
): Promise<void> {
  const { functionName: FunctionName, qualifier: Qualifier } = splitQualified(arn);
  const of = { FunctionName, Qualifier };
  const wanted = recordOf(properties['ProvisionedConcurrencyConfig'])['ProvisionedConcurrentExecutions'];
  if (wanted === undefined) {
    if (before['ProvisionedConcurrencyConfig'] !== undefined)
      await call(context, 'DeleteProvisionedConcurrencyConfig', of);
    return;
  }
  await call(context, 'PutProvisionedConcurrencyConfig', { ...of, ProvisionedConcurrentExecutions: Number(wanted) });
  for (;;) {
    const { Status, StatusReason } = await call(context, 'GetProvisionedConcurrencyConfig', of);
    if (Status === 'READY') return;
    if (Status === 'FAILED') throw new AwsError('NotStabilized', StatusReason ?? 'Provisioned concurrency failed');
    await context.sleep(pollMs);
  }
}

/** In templates the weights are a list of versions with their weight. */
function aliasInput(properties: Properties): CreateAliasRequest {
  const routing = asInput<{ AdditionalVersionWeights?: readonly Readonly<Record<string, unknown>>[] }>(
    recordOf(properties['RoutingConfig']),
  );
  const weights = (routing.AdditionalVersionWeights ?? []).map(
    (one) => [String(one['FunctionVersion']), Number(one['FunctionWeight'])] as const,
  );
  return {
    FunctionName: textOf(properties['FunctionName'])!,
    FunctionVersion: textOf(properties['FunctionVersion'])!,
    Name: textOf(properties['Name'])!,
    Description: textOf(properties['Description']) ?? '',
    ...(weights.length === 0 ? {} : { RoutingConfig: { AdditionalVersionWeights: Object.fromEntries(weights) } }),
  };
}

export const permissionType: ResourceType = {
  typeName: 'AWS::Lambda::Permission',
  properties: [
    'Action',
    'EventSourceToken',
    'FunctionName',
    'FunctionUrlAuthType',
    'InvokedViaFunctionUrl',
    'Principal',
    'PrincipalOrgID',
    'SourceAccount',
    'SourceArn',
  ],
  required: ['Action', 'FunctionName', 'Principal'],
  createOnly: [
    'Action',
    'EventSourceToken',
    'FunctionName',
    'FunctionUrlAuthType',
    'InvokedViaFunctionUrl',
    'Principal',
    'PrincipalOrgID',
    'SourceAccount',
    'SourceArn',
  ],
  async create(context, properties) {
    const StatementId = context.generatedName({ maxLength: 100 });
    const input = asInput<Omit<Parameters<typeof addPermission>[1], 'StatementId'>>(properties);
    await addPermission(context, { ...input, StatementId });
    return { physicalId: StatementId, attributes: { Id: StatementId } };
  },
  async update(_context, physicalId) {
    return { physicalId, attributes: { Id: physicalId } };
  },
  async delete(context, physicalId, properties) {
    const FunctionName = textOf(properties['FunctionName'])!;
    await call(context, 'RemovePermission', { FunctionName, StatementId: physicalId }).catch(ifMissing(undefined));
  },
};

/** The statement's id is this resource's own: where it is there, an earlier attempt added it. */
async function addPermission(
  context: ResourceContext,
  input: Parameters<typeof call<'AddPermission'>>[2],
): Promise<void> {
  try {
    await call(context, 'AddPermission', input);
  } catch (error) {
    if (!(error instanceof AwsError) || error.code !== 'ResourceConflictException') throw error;
  }
}

/** What left the template goes back to its default. */
const defaults = {
  Enabled: true,
  MaximumBatchingWindowInSeconds: 0,
  FunctionResponseTypes: [],
  FilterCriteria: {},
  MetricsConfig: {},
};
const defaultsOfQueues = { ...defaults, BatchSize: 10, ScalingConfig: {}, ProvisionedPollerConfig: {} };
const defaultsOfStreams = {
  ...defaults,
  BatchSize: 100,
  BisectBatchOnFunctionError: false,
  DestinationConfig: {},
  MaximumRecordAgeInSeconds: -1,
  MaximumRetryAttempts: -1,
  ParallelizationFactor: 1,
  TumblingWindowInSeconds: 0,
};

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-eventsourcemapping.html */
export const mappingType: ResourceType = {
  typeName: 'AWS::Lambda::EventSourceMapping',
  properties: [
    'AmazonManagedKafkaEventSourceConfig',
    'BatchSize',
    'BisectBatchOnFunctionError',
    'DestinationConfig',
    'DocumentDBEventSourceConfig',
    'Enabled',
    'EventSourceArn',
    'FilterCriteria',
    'FunctionName',
    'FunctionResponseTypes',
    'KmsKeyArn',
    'LoggingConfig',
    'MaximumBatchingWindowInSeconds',
    'MaximumRecordAgeInSeconds',
    'MaximumRetryAttempts',
    'MetricsConfig',
    'ParallelizationFactor',
    'ProvisionedPollerConfig',
    'Queues',
    'ScalingConfig',
    'SelfManagedEventSource',
    'SelfManagedKafkaEventSourceConfig',
    'SourceAccessConfigurations',
    'StartingPosition',
    'StartingPositionTimestamp',
    'Tags',
    'Topics',
    'TumblingWindowInSeconds',
  ],
  required: ['FunctionName'],
  createOnly: ['EventSourceArn', 'SelfManagedEventSource', 'StartingPosition', 'StartingPositionTimestamp'],
  async create(context, properties) {
    const { KmsKeyArn, StartingPositionTimestamp, Tags, ...others } = properties;
    const input = asInput<CreateEventSourceMappingRequest>({
      ...others,
      KMSKeyArn: KmsKeyArn,
      // Seconds in a template.
      StartingPositionTimestamp:
        StartingPositionTimestamp === undefined ? undefined : Number(StartingPositionTimestamp) * 1_000,
    });
    const tags = { ...tagsOf(Tags), ...stackTags(context) };
    const created = await call(context, 'CreateEventSourceMapping', { ...input, Tags: tags }).catch((error: unknown) =>
      ownMapping(context, properties, error),
    );
    return mappingState(await lastingMapping(context, created.UUID!, created));
  },
  async update(context, physicalId, properties, before) {
    const {
      KmsKeyArn,
      Tags,
      EventSourceArn: _,
      StartingPosition: __,
      StartingPositionTimestamp: ___,
      ...others
    } = properties;
    const input = asInput<UpdateEventSourceMappingRequest>({
      ...(properties['StartingPosition'] === undefined ? defaultsOfQueues : defaultsOfStreams),
      ...others,
      KMSKeyArn: KmsKeyArn ?? '',
    });
    await lastingMapping(context, physicalId, undefined);
    const changed = await call(context, 'UpdateEventSourceMapping', { ...input, UUID: physicalId });
    if (JSON.stringify(Tags) !== JSON.stringify(before['Tags'])) await retagMapping(context, changed, tagsOf(Tags));
    return mappingState(await lastingMapping(context, physicalId, changed));
  },
  async delete(context, physicalId) {
    await lastingMapping(context, physicalId, undefined).catch(ifMissing(undefined));
    await call(context, 'DeleteEventSourceMapping', { UUID: physicalId }).catch(ifMissing(undefined));
    // Gone when it is not found: until then its poller may be at work on the function and the queue.
    for (;;) {
      const left = await call(context, 'GetEventSourceMapping', { UUID: physicalId }).catch(ifMissing(undefined));
      if (left === undefined) return;
      await context.sleep(pollMs);
    }
  },
};

/** A mapping of the same pair that carries this resource's tags was made by an earlier attempt. */
async function ownMapping(
  context: ResourceContext,
  properties: Properties,
  error: unknown,
): Promise<EventSourceMappingConfiguration> {
  if (!(error instanceof AwsError) || error.code !== 'ResourceConflictException') throw error;
  const { EventSourceMappings = [] } = await call(context, 'ListEventSourceMappings', {
    EventSourceArn: textOf(properties['EventSourceArn']),
    FunctionName: textOf(properties['FunctionName']),
  });
  for (const mapping of EventSourceMappings) {
    const { Tags = {} } = await call(context, 'ListTags', { Resource: mapping.EventSourceMappingArn! });
    if (Object.entries(stackTags(context)).every(([key, value]) => Tags[key] === value)) return mapping;
  }
  throw error;
}

async function retagMapping(
  context: ResourceContext,
  { EventSourceMappingArn }: EventSourceMappingConfiguration,
  tags: Readonly<Record<string, string>>,
): Promise<void> {
  const Resource = EventSourceMappingArn!;
  const { Tags: present = {} } = await call(context, 'ListTags', { Resource });
  const wanted = { ...tags, ...stackTags(context) };
  const gone = Object.keys(present).filter((key) => !(key in wanted));
  if (gone.length > 0) await call(context, 'UntagResource', { Resource, TagKeys: gone });
  await call(context, 'TagResource', { Resource, Tags: wanted });
}

/** Waits until a mapping is enabled or disabled. */
async function lastingMapping(
  context: ResourceContext,
  UUID: string,
  known: EventSourceMappingConfiguration | undefined,
): Promise<EventSourceMappingConfiguration> {
  let mapping = known;
  while (mapping?.State !== 'Enabled' && mapping?.State !== 'Disabled') {
    if (mapping !== undefined) await context.sleep(pollMs);
    mapping = await call(context, 'GetEventSourceMapping', { UUID });
    if (mapping.State === 'Deleting') return mapping;
  }
  return mapping;
}

function mappingState(mapping: EventSourceMappingConfiguration) {
  const { UUID, EventSourceMappingArn } = mapping;
  return { physicalId: UUID!, attributes: { Id: UUID, EventSourceMappingArn } };
}

export const eventInvokeConfigType: ResourceType = {
  typeName: 'AWS::Lambda::EventInvokeConfig',
  properties: ['DestinationConfig', 'FunctionName', 'MaximumEventAgeInSeconds', 'MaximumRetryAttempts', 'Qualifier'],
  required: ['FunctionName', 'Qualifier'],
  createOnly: ['FunctionName', 'Qualifier'],
  async create(context, properties) {
    await call(context, 'PutFunctionEventInvokeConfig', asInput<PutFunctionEventInvokeConfigRequest>(properties));
    const physicalId = context.generatedName({ maxLength: 128 });
    return { physicalId, attributes: {} };
  },
  async update(context, physicalId, properties) {
    await call(context, 'PutFunctionEventInvokeConfig', asInput<PutFunctionEventInvokeConfigRequest>(properties));
    return { physicalId, attributes: {} };
  },
  async delete(context, _physicalId, properties) {
    await call(context, 'DeleteFunctionEventInvokeConfig', {
      FunctionName: textOf(properties['FunctionName'])!,
      Qualifier: textOf(properties['Qualifier']),
    }).catch(ifMissing(undefined));
  },
};
