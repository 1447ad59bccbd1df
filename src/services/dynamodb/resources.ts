import type { Properties, ResourceContext, ResourceState, ResourceType } from '../../platform/resource-type.ts';
import { AwsError } from '../../wire/errors.ts';
import type { CreateTableInput, TableDescription, UpdateTableInput } from '../../wire/types/dynamodb.ts';
import { applySettings, furtherProperties, same, type TableArns, typed } from './resource-settings.ts';

const pollMs = 100;

/** Properties that CreateTable and UpdateTable take as they are. */
const settings = [
  'BillingMode',
  'ProvisionedThroughput',
  'OnDemandThroughput',
  'WarmThroughput',
  'TableClass',
  'DeletionProtectionEnabled',
];

/** What can be changed only by itself: each with an UpdateTable of its own. */
const alone = ['WarmThroughput', 'TableClass', 'DeletionProtectionEnabled'];

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-dynamodb-table.html */
export const tableType: ResourceType = {
  typeName: 'AWS::DynamoDB::Table',
  properties: [
    'TableName',
    'AttributeDefinitions',
    'KeySchema',
    'GlobalSecondaryIndexes',
    'LocalSecondaryIndexes',
    'SSESpecification',
    'StreamSpecification',
    'Tags',
    ...furtherProperties,
    ...settings,
  ],
  required: ['KeySchema'],
  createOnly: ['TableName', 'KeySchema', 'LocalSecondaryIndexes', 'ImportSourceSpecification'],
  attributeNames: ['Arn', 'StreamArn'],
  nameProperty: 'TableName',

  async create(context, properties) {
    const name =
      properties['TableName'] === undefined
        ? context.generatedName({ maxLength: 255 })
        : String(properties['TableName']);
    const found = await findTable(context, name);
    if (found === undefined) {
      const input = createInput(name, properties, context);
      await context.bus.call(context.caller, 'dynamodb', 'CreateTable', input);
    } else await checkIsOurs(context, found);
    await context.initiated?.(name);
    await settled(context, name);
    await applySettings(context, name, await arnsOf(context, name), properties, {});
    return stateOf(context, name);
  },

  async update(context, physicalId, properties, oldProperties) {
    for (const input of updateInputs(physicalId, properties, oldProperties)) {
      await context.bus.call(context.caller, 'dynamodb', 'UpdateTable', input);
      await settled(context, physicalId);
    }
    await setStream(context, physicalId, properties);
    await applySettings(context, physicalId, await arnsOf(context, physicalId), properties, oldProperties);
    await setTags(context, physicalId, properties, oldProperties);
    return stateOf(context, physicalId);
  },

  async delete(context, physicalId) {
    const { bus, caller } = context;
    for (;;) {
      const table = await findTable(context, physicalId);
      if (table === undefined) return;
      if (table.TableStatus === 'ACTIVE') {
        await unlessGone(bus.call(caller, 'dynamodb', 'DeleteTable', { TableName: physicalId }));
      }
      await context.sleep(pollMs);
    }
  },
};

function createInput(name: string, properties: Properties, context: ResourceContext): CreateTableInput {
  const given: Record<string, unknown> = { BillingMode: 'PROVISIONED' };
  for (const key of ['AttributeDefinitions', 'KeySchema', ...settings]) {
    if (properties[key] !== undefined) given[key] = typed(properties[key], key);
  }
  for (const key of ['GlobalSecondaryIndexes', 'LocalSecondaryIndexes']) {
    if (properties[key] !== undefined) given[key] = withoutInsights(typed(properties[key], key));
  }
  const encryption = encryptionOf(properties);
  const view = viewOf(properties);
  const tags = { ...tagsOf(properties), ...stackTags(context) };
  return {
    ...given,
    TableName: name,
    ...(encryption === undefined ? {} : { SSESpecification: encryption }),
    ...(view === undefined ? {} : { StreamSpecification: { StreamEnabled: true, StreamViewType: view } }),
    Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
  };
}

/** One index comes or goes with each UpdateTable. */
function updateInputs(name: string, properties: Properties, old: Properties): readonly UpdateTableInput[] {
  const inputs: UpdateTableInput[] = [];
  const changed: Record<string, unknown> = {};
  const byThemselves: UpdateTableInput[] = [];
  for (const key of settings) {
    if (same(properties[key], old[key])) continue;
    const value = typed(properties[key] ?? initialValues[key], key);
    if (!alone.includes(key)) changed[key] = value;
    // What is kept warm never cools down.
    else if (value !== undefined) byThemselves.push({ TableName: name, [key]: value });
  }
  if (!same(encryptionOf(properties), encryptionOf(old))) {
    byThemselves.push({ TableName: name, SSESpecification: encryptionOf(properties) ?? { Enabled: false } });
  }
  const before = indexesOf(old);
  const after = indexesOf(properties);
  const isOnDemand = properties['BillingMode'] === 'PAY_PER_REQUEST';
  const updates = [...after].flatMap(([index, definition]) => {
    const was = before.get(index);
    if (was === undefined) return [];
    const given = ['ProvisionedThroughput', 'OnDemandThroughput', 'WarmThroughput'].filter(
      (key) => definition[key] !== undefined && !same(definition[key], was[key]),
    );
    const kept = given.filter((key) => key !== 'ProvisionedThroughput' || !isOnDemand);
    if (kept.length === 0) return [];
    return [{ Update: { IndexName: index, ...Object.fromEntries(kept.map((key) => [key, definition[key]])) } }];
  });
  if (updates.length > 0) changed['GlobalSecondaryIndexUpdates'] = updates;
  if (changed['BillingMode'] === 'PROVISIONED' && changed['ProvisionedThroughput'] === undefined) {
    changed['ProvisionedThroughput'] = typed(properties['ProvisionedThroughput']);
  }
  if (changed['ProvisionedThroughput'] === undefined) delete changed['ProvisionedThroughput'];
  const { OnDemandThroughput: maximum, GlobalSecondaryIndexUpdates: indexUpdates, ...rest } = changed;
  if (maximum !== undefined && isOnDemand) rest['OnDemandThroughput'] = maximum;
  // A maximum goes with the billing mode alone.
  const isSplit = rest['OnDemandThroughput'] !== undefined && indexUpdates !== undefined;
  const first = indexUpdates === undefined || isSplit ? rest : { ...rest, GlobalSecondaryIndexUpdates: indexUpdates };
  if (Object.keys(first).length > 0) inputs.push({ ...first, TableName: name });
  if (isSplit) inputs.push({ GlobalSecondaryIndexUpdates: indexUpdates, TableName: name } as UpdateTableInput);
  inputs.push(...byThemselves);
  for (const index of before.keys()) {
    if (after.has(index) && same(shapeOf(after.get(index)!), shapeOf(before.get(index)!))) continue;
    inputs.push({ TableName: name, GlobalSecondaryIndexUpdates: [{ Delete: { IndexName: index } }] });
  }
  for (const [index, definition] of after) {
    const was = before.get(index);
    if (was !== undefined && same(shapeOf(definition), shapeOf(was))) continue;
    const AttributeDefinitions = typed(properties['AttributeDefinitions']);
    const create = withoutInsights({ ...definition, IndexName: index });
    inputs.push({
      TableName: name,
      AttributeDefinitions,
      GlobalSecondaryIndexUpdates: [{ Create: create }],
    } as unknown as UpdateTableInput);
  }
  return inputs;
}

/** What a removed property goes back to. */
const initialValues: Readonly<Record<string, unknown>> = {
  BillingMode: 'PROVISIONED',
  TableClass: 'STANDARD',
  DeletionProtectionEnabled: false,
  OnDemandThroughput: { MaxReadRequestUnits: -1, MaxWriteRequestUnits: -1 },
};

function indexesOf(properties: Properties): ReadonlyMap<string, Record<string, unknown>> {
  const list = (typed(properties['GlobalSecondaryIndexes']) ?? []) as readonly Record<string, unknown>[];
  return new Map(list.map((index) => [String(index['IndexName']), index]));
}

/** What of an index cannot change: another one takes its place. */
function shapeOf({ KeySchema, Projection }: Record<string, unknown>): unknown {
  return { KeySchema, Projection };
}

/** A stream that is to show something else is closed, and another one opened. */
async function setStream(context: ResourceContext, name: string, properties: Properties): Promise<void> {
  const wanted = viewOf(properties);
  const { StreamSpecification: now } = await describe(context, name);
  if (now?.StreamViewType === wanted) return;
  const update = async (StreamSpecification: UpdateTableInput['StreamSpecification']) => {
    const input = { TableName: name, StreamSpecification };
    await context.bus.call(context.caller, 'dynamodb', 'UpdateTable', input);
    await settled(context, name);
  };
  if (now !== undefined) await update({ StreamEnabled: false });
  if (wanted !== undefined) await update({ StreamEnabled: true, StreamViewType: wanted });
}

function viewOf(properties: Properties): StreamViewType | undefined {
  const given = properties['StreamSpecification'] as Properties | undefined;
  return given?.['StreamViewType'] as StreamViewType | undefined;
}

type StreamViewType = NonNullable<NonNullable<CreateTableInput['StreamSpecification']>['StreamViewType']>;

/** Contributor Insights stand beside their index in a template, and have an operation of their own. */
function withoutInsights<T>(value: T): T {
  if (Array.isArray(value)) return value.map(withoutInsights) as T;
  if (typeof value !== 'object' || value === null) return value;
  const { ContributorInsightsSpecification: _, ...others } = value as Record<string, unknown>;
  return others as T;
}

async function setTags(context: ResourceContext, name: string, properties: Properties, old: Properties): Promise<void> {
  const { bus, caller } = context;
  const wanted = tagsOf(properties);
  const before = tagsOf(old);
  if (same(wanted, before)) return;
  const ResourceArn = (await describe(context, name)).TableArn!;
  const gone = Object.keys(before).filter((key) => wanted[key] === undefined);
  if (gone.length > 0) await bus.call(caller, 'dynamodb', 'UntagResource', { ResourceArn, TagKeys: gone });
  const Tags = Object.entries(wanted).map(([Key, Value]) => ({ Key, Value }));
  if (Tags.length > 0) await bus.call(caller, 'dynamodb', 'TagResource', { ResourceArn, Tags });
}

function tagsOf(properties: Properties): Readonly<Record<string, string>> {
  const tags = (properties['Tags'] ?? []) as readonly { readonly Key: unknown; readonly Value: unknown }[];
  return Object.fromEntries(tags.map(({ Key, Value }) => [String(Key), String(Value)]));
}

function stackTags(context: ResourceContext): Readonly<Record<string, string>> {
  return {
    'aws:cloudformation:stack-name': context.stackName,
    'aws:cloudformation:stack-id': context.stackId,
    'aws:cloudformation:logical-id': context.logicalId,
  };
}

/** An earlier attempt at this step may have made the table; one of someone else is not ours to take. */
async function checkIsOurs(context: ResourceContext, table: TableDescription): Promise<void> {
  const { bus, caller } = context;
  const tags: Record<string, string> = {};
  for (let token: string | undefined; ; ) {
    const page = await bus.call(caller, 'dynamodb', 'ListTagsOfResource', {
      ResourceArn: table.TableArn!,
      ...(token === undefined ? {} : { NextToken: token }),
    });
    for (const { Key, Value } of page.Tags ?? []) tags[Key] = Value;
    token = page.NextToken;
    if (token === undefined) break;
  }
  const isOurs =
    tags['aws:cloudformation:stack-id'] === context.stackId &&
    tags['aws:cloudformation:logical-id'] === context.logicalId;
  if (!isOurs)
    throw new AwsError(
      'AlreadyExists',
      `Resource of type 'AWS::DynamoDB::Table' with identifier '${table.TableName}' already exists.`,
    );
}

/** Waits until nothing of the table is on its way. */
async function settled(context: ResourceContext, name: string): Promise<void> {
  for (;;) {
    const { TableStatus, GlobalSecondaryIndexes = [] } = await describe(context, name);
    if (TableStatus === 'ACTIVE' && GlobalSecondaryIndexes.every(({ IndexStatus }) => IndexStatus === 'ACTIVE')) return;
    await context.sleep(pollMs);
  }
}

async function stateOf(context: ResourceContext, name: string): Promise<ResourceState> {
  const { table, stream } = await arnsOf(context, name);
  return { physicalId: name, attributes: { Arn: table, ...(stream === undefined ? {} : { StreamArn: stream }) } };
}

async function arnsOf(context: ResourceContext, name: string): Promise<TableArns> {
  const { TableArn, LatestStreamArn, StreamSpecification } = await describe(context, name);
  return { table: TableArn!, stream: StreamSpecification === undefined ? undefined : LatestStreamArn };
}

async function describe(context: ResourceContext, name: string): Promise<TableDescription> {
  const { Table } = await context.bus.call(context.caller, 'dynamodb', 'DescribeTable', { TableName: name });
  return Table!;
}

async function findTable(context: ResourceContext, name: string): Promise<TableDescription | undefined> {
  return unlessGone(describe(context, name));
}

async function unlessGone<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof AwsError && error.code === 'ResourceNotFoundException') return undefined;
    throw error;
  }
}

function encryptionOf(properties: Properties): CreateTableInput['SSESpecification'] {
  const given = properties['SSESpecification'] as Properties | undefined;
  if (given === undefined) return undefined;
  const { SSEEnabled, SSEType, KMSMasterKeyId } = given;
  return {
    Enabled: String(SSEEnabled) === 'true',
    ...(SSEType === undefined && KMSMasterKeyId === undefined ? {} : { SSEType: (SSEType ?? 'KMS') as 'KMS' }),
    ...(KMSMasterKeyId === undefined ? {} : { KMSMasterKeyId: String(KMSMasterKeyId) }),
  };
}
