import type { Properties, ResourceContext, ResourceState, ResourceType } from '../../platform/resource-type.ts';
import { notBuilt } from './environment.ts';
import { tableType } from './resources.ts';

/**
 * A table with one replica, where the stack is. More of them need other regions to be replicated to.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-dynamodb-globaltable.html
 */
export const globalTableType: ResourceType = {
  typeName: 'AWS::DynamoDB::GlobalTable',
  properties: [
    'AttributeDefinitions',
    'BillingMode',
    'GlobalSecondaryIndexes',
    'GlobalTableSourceArn',
    'GlobalTableSettingsReplicationMode',
    'GlobalTableWitnesses',
    'KeySchema',
    'LocalSecondaryIndexes',
    'MultiRegionConsistency',
    'ReadOnDemandThroughputSettings',
    'ReadProvisionedThroughputSettings',
    'Replicas',
    'SSESpecification',
    'StreamSpecification',
    'TableName',
    'TimeToLiveSpecification',
    'WarmThroughput',
    'WriteOnDemandThroughputSettings',
    'WriteProvisionedThroughputSettings',
  ],
  required: ['KeySchema', 'AttributeDefinitions', 'Replicas'],
  createOnly: ['TableName', 'KeySchema', 'LocalSecondaryIndexes'],
  attributeNames: ['Arn', 'StreamArn', 'TableId'],
  nameProperty: 'TableName',

  async create(context, properties) {
    return withTableId(context, await tableType.create(context, tableProperties(context, properties)));
  },
  async update(context, physicalId, properties, oldProperties) {
    const after = tableProperties(context, properties);
    return withTableId(
      context,
      await tableType.update(context, physicalId, after, tableProperties(context, oldProperties)),
    );
  },
  delete: (context, physicalId, properties) => tableType.delete(context, physicalId, properties),
};

async function withTableId({ bus, caller }: ResourceContext, state: ResourceState): Promise<ResourceState> {
  const { Table } = await bus.call(caller, 'dynamodb', 'DescribeTable', { TableName: state.physicalId });
  return { ...state, attributes: { ...state.attributes, TableId: Table!.TableId } };
}

/** What comes of the only replica's settings and the table's own. */
function tableProperties({ caller }: ResourceContext, properties: Properties): Properties {
  const replicas = properties['Replicas'] as readonly Properties[];
  const [replica, ...others] = replicas;
  if (replica === undefined || others.length > 0 || replica['Region'] !== caller.region) {
    throw notBuilt('AWS::DynamoDB::GlobalTable with a replica in another region');
  }
  for (const name of [
    'GlobalTableSourceArn',
    'GlobalTableSettingsReplicationMode',
    'GlobalTableWitnesses',
    'MultiRegionConsistency',
    'ReadProvisionedThroughputSettings',
    'WriteProvisionedThroughputSettings',
  ]) {
    if (properties[name] !== undefined) throw notBuilt(`${name} of AWS::DynamoDB::GlobalTable`);
  }
  if (properties['BillingMode'] !== 'PAY_PER_REQUEST') {
    throw notBuilt('AWS::DynamoDB::GlobalTable with provisioned throughput, which needs auto scaling,');
  }
  const ofReplica = new Map(
    ((replica['GlobalSecondaryIndexes'] ?? []) as readonly Properties[]).map((index) => [index['IndexName'], index]),
  );
  const indexes = properties['GlobalSecondaryIndexes'] as readonly Properties[] | undefined;
  const { SSEEnabled, SSEType } = (properties['SSESpecification'] ?? {}) as Properties;
  const { KMSMasterKeyId } = (replica['SSESpecification'] ?? {}) as Properties;
  const { ResourcePolicy: streamPolicy } = (replica['ReplicaStreamSpecification'] ?? {}) as Properties;
  const stream = properties['StreamSpecification'] as Properties | undefined;
  return defined({
    TableName: properties['TableName'],
    AttributeDefinitions: properties['AttributeDefinitions'],
    KeySchema: properties['KeySchema'],
    LocalSecondaryIndexes: properties['LocalSecondaryIndexes'],
    BillingMode: 'PAY_PER_REQUEST',
    TimeToLiveSpecification: properties['TimeToLiveSpecification'],
    WarmThroughput: properties['WarmThroughput'],
    OnDemandThroughput: maximaOf(properties, replica),
    GlobalSecondaryIndexes: indexes?.map(
      ({ WriteOnDemandThroughputSettings, WriteProvisionedThroughputSettings, ...index }) =>
        defined({
          ...index,
          OnDemandThroughput: maximaOf({ WriteOnDemandThroughputSettings }, ofReplica.get(index['IndexName']) ?? {}),
          ContributorInsightsSpecification: ofReplica.get(index['IndexName'])?.['ContributorInsightsSpecification'],
        }),
    ),
    SSESpecification: SSEEnabled === undefined ? undefined : defined({ SSEEnabled, SSEType, KMSMasterKeyId }),
    StreamSpecification: stream && defined({ ...stream, ResourcePolicy: streamPolicy }),
    ContributorInsightsSpecification: replica['ContributorInsightsSpecification'],
    DeletionProtectionEnabled: replica['DeletionProtectionEnabled'],
    KinesisStreamSpecification: replica['KinesisStreamSpecification'],
    PointInTimeRecoverySpecification: replica['PointInTimeRecoverySpecification'],
    ResourcePolicy: replica['ResourcePolicy'],
    TableClass: replica['TableClass'],
    Tags: replica['Tags'],
  });
}

function maximaOf(table: Properties, replica: Properties): Properties | undefined {
  const { MaxWriteRequestUnits } = (table['WriteOnDemandThroughputSettings'] ?? {}) as Properties;
  const read = (replica['ReadOnDemandThroughputSettings'] ??
    table['ReadOnDemandThroughputSettings'] ??
    {}) as Properties;
  const maxima = defined({ MaxReadRequestUnits: read['MaxReadRequestUnits'], MaxWriteRequestUnits });
  return Object.keys(maxima).length === 0 ? undefined : maxima;
}

function defined(properties: Properties): Properties {
  return Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined));
}
