import type { Properties, ResourceContext, ResourceState, ResourceType } from '../../platform/resource-type.ts';
import { AwsError } from '../../wire/errors.ts';
import type { CreateTableInput, TableDescription, UpdateTableInput } from '../../wire/types/dynamodb.ts';

const pollMs = 100;

/** Properties that CreateTable and UpdateTable take as they are. */
const settings = [
  'BillingMode',
  'ProvisionedThroughput',
  'OnDemandThroughput',
  'TableClass',
  'DeletionProtectionEnabled',
];

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
    'TimeToLiveSpecification',
    'Tags',
    // DynamoDB itself says what of these is not built.
    'StreamSpecification',
    'PointInTimeRecoverySpecification',
    ...settings,
  ],
  required: ['KeySchema'],
  createOnly: ['TableName', 'KeySchema', 'LocalSecondaryIndexes'],

  async create(context, properties) {
    const name =
      properties['TableName'] === undefined
        ? context.generatedName({ maxLength: 255 })
        : String(properties['TableName']);
    refuseUnbuilt(properties);
    const found = await findTable(context, name);
    if (found === undefined) {
      const input = createInput(name, properties, context);
      await context.bus.call(context.caller, 'dynamodb', 'CreateTable', input);
    } else await checkIsOurs(context, found);
    await settled(context, name);
    await setTimeToLive(context, name, properties, {});
    return stateOf(context, name);
  },

  async update(context, physicalId, properties, oldProperties) {
    refuseUnbuilt(properties);
    for (const input of updateInputs(physicalId, properties, oldProperties)) {
      await context.bus.call(context.caller, 'dynamodb', 'UpdateTable', input);
      await settled(context, physicalId);
    }
    await setTimeToLive(context, physicalId, properties, oldProperties);
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
    if (properties[key] !== undefined) given[key] = typed(properties[key], key);
  }
  const encryption = encryptionOf(properties);
  const tags = { ...tagsOf(properties), ...stackTags(context) };
  return {
    ...given,
    TableName: name,
    ...(encryption === undefined ? {} : { SSESpecification: encryption }),
    Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
  };
}

/** One index comes or goes with each UpdateTable. */
function updateInputs(name: string, properties: Properties, old: Properties): readonly UpdateTableInput[] {
  const inputs: UpdateTableInput[] = [];
  const changed: Record<string, unknown> = {};
  for (const key of settings) {
    if (!same(properties[key], old[key])) changed[key] = typed(properties[key] ?? initialValues[key], key);
  }
  if (!same(encryptionOf(properties), encryptionOf(old))) {
    changed['SSESpecification'] = encryptionOf(properties) ?? { Enabled: false };
  }
  const before = indexesOf(old);
  const after = indexesOf(properties);
  const updates = [...after].flatMap(([index, { ProvisionedThroughput, OnDemandThroughput }]) => {
    const was = before.get(index);
    if (was === undefined) return [];
    const isSame =
      same(ProvisionedThroughput, was['ProvisionedThroughput']) && same(OnDemandThroughput, was['OnDemandThroughput']);
    return isSame ? [] : [{ Update: { IndexName: index, ProvisionedThroughput, OnDemandThroughput } }];
  });
  if (updates.length > 0) changed['GlobalSecondaryIndexUpdates'] = updates;
  if (changed['BillingMode'] === 'PROVISIONED' && changed['ProvisionedThroughput'] === undefined) {
    changed['ProvisionedThroughput'] = typed(properties['ProvisionedThroughput']);
  }
  if (changed['ProvisionedThroughput'] === undefined) delete changed['ProvisionedThroughput'];
  if (Object.keys(changed).length > 0) inputs.push({ ...changed, TableName: name });
  for (const index of before.keys()) {
    if (after.has(index) && same(shapeOf(after.get(index)!), shapeOf(before.get(index)!))) continue;
    inputs.push({ TableName: name, GlobalSecondaryIndexUpdates: [{ Delete: { IndexName: index } }] });
  }
  for (const [index, definition] of after) {
    const was = before.get(index);
    if (was !== undefined && same(shapeOf(definition), shapeOf(was))) continue;
    const AttributeDefinitions = typed(properties['AttributeDefinitions']);
    const create = { ...definition, IndexName: index };
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

async function setTimeToLive(
  context: ResourceContext,
  name: string,
  properties: Properties,
  old: Properties,
): Promise<void> {
  const { bus, caller } = context;
  const wanted = ttlOf(properties);
  const { TimeToLiveDescription: now } = await bus.call(caller, 'dynamodb', 'DescribeTimeToLive', { TableName: name });
  const current = now?.TimeToLiveStatus === 'DISABLED' ? undefined : now?.AttributeName;
  if (current === wanted || (wanted === undefined && ttlOf(old) === undefined)) return;
  const update = (AttributeName: string, Enabled: boolean) =>
    bus.call(caller, 'dynamodb', 'UpdateTimeToLive', {
      TableName: name,
      TimeToLiveSpecification: { AttributeName, Enabled },
    });
  if (current !== undefined) await update(current, false);
  if (wanted !== undefined) await update(wanted, true);
}

function ttlOf(properties: Properties): string | undefined {
  const { Enabled, AttributeName } = (properties['TimeToLiveSpecification'] ?? {}) as Record<string, unknown>;
  return String(Enabled) === 'true' ? String(AttributeName) : undefined;
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
  const { TableArn } = await describe(context, name);
  return { physicalId: name, attributes: { Arn: TableArn } };
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

function refuseUnbuilt(properties: Properties): void {
  const { PointInTimeRecoveryEnabled } = (properties['PointInTimeRecoverySpecification'] ?? {}) as Properties;
  if (String(PointInTimeRecoveryEnabled ?? false) === 'true') throw unbuilt('PointInTimeRecoverySpecification');
  if (properties['StreamSpecification'] !== undefined) throw unbuilt('StreamSpecification');
}

function unbuilt(property: string): AwsError {
  const message = `${property} of AWS::DynamoDB::Table is not built in Unkai. See src/services/dynamodb/README.md.`;
  return new AwsError('NotImplemented', message, { status: 501, fault: 'Receiver' });
}

function encryptionOf(properties: Properties): CreateTableInput['SSESpecification'] {
  const given = properties['SSESpecification'] as Properties | undefined;
  if (given === undefined) return undefined;
  const { SSEEnabled, SSEType, KMSMasterKeyId } = given;
  return {
    Enabled: String(SSEEnabled) === 'true',
    ...(SSEType === undefined ? {} : { SSEType: SSEType as 'KMS' }),
    ...(KMSMasterKeyId === undefined ? {} : { KMSMasterKeyId: String(KMSMasterKeyId) }),
  };
}

const numbers = new Set(['ReadCapacityUnits', 'WriteCapacityUnits', 'MaxReadRequestUnits', 'MaxWriteRequestUnits']);

/** Templates may write numbers and booleans as text. */
function typed<T>(value: T, name?: string): T {
  if (Array.isArray(value)) return value.map((each) => typed(each)) as T;
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, typed(each, key)])) as T;
  }
  if (typeof value !== 'string') return value;
  if (name !== undefined && numbers.has(name)) return Number(value) as T;
  return (name === 'DeletionProtectionEnabled' ? value === 'true' : value) as T;
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(typed(one)) === JSON.stringify(typed(other));
}
