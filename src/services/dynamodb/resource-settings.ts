import type { Properties, ResourceContext } from '../../platform/resource-type.ts';
import { AwsError } from '../../wire/errors.ts';

/** Properties of a table's resource that operations other than CreateTable and UpdateTable take. */
export const furtherProperties: readonly string[] = [
  'TimeToLiveSpecification',
  'PointInTimeRecoverySpecification',
  'ContributorInsightsSpecification',
  'ResourcePolicy',
  'KinesisStreamSpecification',
  'ImportSourceSpecification',
];

export interface TableArns {
  readonly table: string;
  readonly stream: string | undefined;
}

/** Brings these settings to what the properties say; repeatable. `old`: what they said before. */
export async function applySettings(
  context: ResourceContext,
  name: string,
  arns: TableArns,
  properties: Properties,
  old: Properties,
): Promise<void> {
  refuseImport(properties);
  await setTimeToLive(context, name, properties, old);
  await setRecovery(context, name, properties);
  await setInsights(context, name, undefined, properties, old);
  for (const index of listOf(properties['GlobalSecondaryIndexes'])) {
    const was = listOf(old['GlobalSecondaryIndexes']).find((one) => one['IndexName'] === index['IndexName']) ?? {};
    await setInsights(context, name, String(index['IndexName']), index, was);
  }
  await setPolicy(context, arns.table, properties['ResourcePolicy']);
  const stream = properties['StreamSpecification'] as Properties | undefined;
  if (arns.stream !== undefined) await setPolicy(context, arns.stream, stream?.['ResourcePolicy']);
  await setDestination(context, name, properties, old);
}

function refuseImport(properties: Properties): void {
  if (properties['ImportSourceSpecification'] === undefined) return;
  const message =
    'ImportSourceSpecification of AWS::DynamoDB::Table is not built in Unkai. See src/services/dynamodb/README.md.';
  throw new AwsError('NotImplemented', message, { status: 501, fault: 'Receiver' });
}

/** Another attribute than before is refused by DynamoDB, as on AWS: it is to be switched off first. */
async function setTimeToLive(
  { bus, caller }: ResourceContext,
  name: string,
  properties: Properties,
  old: Properties,
): Promise<void> {
  const wanted = ttlOf(properties);
  const { TimeToLiveDescription: now } = await bus.call(caller, 'dynamodb', 'DescribeTimeToLive', { TableName: name });
  const current = now?.TimeToLiveStatus === 'DISABLED' ? undefined : now?.AttributeName;
  if (current === wanted || (wanted === undefined && ttlOf(old) === undefined)) return;
  await bus.call(caller, 'dynamodb', 'UpdateTimeToLive', {
    TableName: name,
    TimeToLiveSpecification: { AttributeName: (wanted ?? current)!, Enabled: wanted !== undefined },
  });
}

function ttlOf(properties: Properties): string | undefined {
  const { Enabled, AttributeName } = (properties['TimeToLiveSpecification'] ?? {}) as Properties;
  return isTrue(Enabled) ? String(AttributeName) : undefined;
}

async function setRecovery({ bus, caller }: ResourceContext, name: string, properties: Properties): Promise<void> {
  const { PointInTimeRecoveryEnabled, RecoveryPeriodInDays } = (properties['PointInTimeRecoverySpecification'] ??
    {}) as Properties;
  const enabled = isTrue(PointInTimeRecoveryEnabled);
  const days = RecoveryPeriodInDays === undefined ? undefined : Number(RecoveryPeriodInDays);
  const described = await bus.call(caller, 'dynamodb', 'DescribeContinuousBackups', { TableName: name });
  const now = described.ContinuousBackupsDescription?.PointInTimeRecoveryDescription;
  const isEnabled = now?.PointInTimeRecoveryStatus === 'ENABLED';
  if (enabled === isEnabled && (!enabled || days === undefined || days === now?.RecoveryPeriodInDays)) return;
  await bus.call(caller, 'dynamodb', 'UpdateContinuousBackups', {
    TableName: name,
    PointInTimeRecoverySpecification: {
      PointInTimeRecoveryEnabled: enabled,
      ...(enabled && days !== undefined ? { RecoveryPeriodInDays: days } : {}),
    },
  });
}

async function setInsights(
  { bus, caller }: ResourceContext,
  name: string,
  index: string | undefined,
  properties: Properties,
  old: Properties,
): Promise<void> {
  const [wanted, before] = [properties, old].map(
    (one) => (one['ContributorInsightsSpecification'] ?? {}) as Properties,
  ) as [Properties, Properties];
  if (same(wanted, before)) return;
  const mode = wanted['Mode'] as 'THROTTLED_KEYS' | undefined;
  await bus.call(caller, 'dynamodb', 'UpdateContributorInsights', {
    TableName: name,
    ...(index === undefined ? {} : { IndexName: index }),
    ContributorInsightsAction: isTrue(wanted['Enabled']) ? 'ENABLE' : 'DISABLE',
    ...(mode === undefined ? {} : { ContributorInsightsMode: mode }),
  });
}

async function setPolicy({ bus, caller }: ResourceContext, arn: string, given: unknown): Promise<void> {
  const { PolicyDocument: document } = (given ?? {}) as Properties;
  if (document === undefined) {
    await bus.call(caller, 'dynamodb', 'DeleteResourcePolicy', { ResourceArn: arn });
    return;
  }
  const Policy = typeof document === 'string' ? document : JSON.stringify(document);
  await bus.call(caller, 'dynamodb', 'PutResourcePolicy', { ResourceArn: arn, Policy });
}

async function setDestination(
  { bus, caller }: ResourceContext,
  name: string,
  properties: Properties,
  old: Properties,
): Promise<void> {
  const [wanted, before] = [properties, old].map((one) => (one['KinesisStreamSpecification'] ?? {}) as Properties) as [
    Properties,
    Properties,
  ];
  if (same(wanted, before)) return;
  for (const [operation, { StreamArn }] of [
    ['DisableKinesisStreamingDestination', before],
    ['EnableKinesisStreamingDestination', wanted],
  ] as const) {
    if (StreamArn === undefined) continue;
    await bus.call(caller, 'dynamodb', operation, { TableName: name, StreamArn: String(StreamArn) });
  }
}

function listOf(value: unknown): readonly Properties[] {
  return (value ?? []) as readonly Properties[];
}

function isTrue(value: unknown): boolean {
  return String(value) === 'true';
}

const numbers = new Set([
  'ReadCapacityUnits',
  'WriteCapacityUnits',
  'MaxReadRequestUnits',
  'MaxWriteRequestUnits',
  'ReadUnitsPerSecond',
  'WriteUnitsPerSecond',
]);

/** Templates may write numbers and booleans as text. */
export function typed<T>(value: T, name?: string): T {
  if (Array.isArray(value)) return value.map((each) => typed(each)) as T;
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, typed(each, key)])) as T;
  }
  if (typeof value !== 'string') return value;
  if (name !== undefined && numbers.has(name)) return Number(value) as T;
  return (name === 'DeletionProtectionEnabled' ? value === 'true' : value) as T;
}

export function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(typed(one)) === JSON.stringify(typed(other));
}
