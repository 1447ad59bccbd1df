import { describe, expect, it } from 'vitest';
import { RuleError } from './errors.ts';
import { type CreateTableInput, checkTableNameParameter, isTableName, validateCreateTable } from './tables.ts';
import { validateUpdateTable } from './update-request.ts';

const define = (...names: string[]) => names.map((AttributeName) => ({ AttributeName, AttributeType: 'S' }));
const schema = (hash: string, range?: string) => [
  { AttributeName: hash, KeyType: 'HASH' },
  ...(range === undefined ? [] : [{ AttributeName: range, KeyType: 'RANGE' }]),
];
const base: CreateTableInput = {
  TableName: 'abc',
  AttributeDefinitions: define('a', 'b'),
  KeySchema: schema('a', 'b'),
  BillingMode: 'PAY_PER_REQUEST',
};
const index = (IndexName: string, KeySchema = schema('a', 'b'), more: object = {}) => ({
  IndexName,
  KeySchema,
  Projection: { ProjectionType: 'ALL' },
  ...more,
});

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof RuleError) return error.message.replace(/^One or more parameter values were invalid: /, '… ');
    throw error;
  }
  return 'accepted';
}

describe('CreateTable', () => {
  // dynalite, test/createTable.js.
  it.each<[Partial<CreateTableInput>, string]>([
    [{}, 'accepted'],
    [
      { BillingMode: 'PROVISIONED' },
      '… ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED',
    ],
    [
      { ProvisionedThroughput: { ReadCapacityUnits: 1, WriteCapacityUnits: 1 } },
      '… Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST',
    ],
    [
      { BillingMode: 'PROVISIONED', ProvisionedThroughput: { ReadCapacityUnits: 1e12 + 1, WriteCapacityUnits: 1 } },
      'Given value 1000000000001 for ReadCapacityUnits is out of bounds',
    ],
    [{ AttributeDefinitions: define('a') }, 'Invalid KeySchema: Some index key attribute have no definition'],
    [
      { AttributeDefinitions: define('b'), KeySchema: schema('a') },
      '… Some index key attributes are not defined in AttributeDefinitions. Keys: [a], AttributeDefinitions: [b]',
    ],
    [
      { KeySchema: schema('a', 'a') },
      'Both the Hash Key and the Range Key element in the KeySchema have the same name',
    ],
    [
      {
        KeySchema: [
          { AttributeName: 'a', KeyType: 'RANGE' },
          { AttributeName: 'b', KeyType: 'HASH' },
        ],
      },
      'Invalid KeySchema: The first KeySchemaElement is not a HASH key type',
    ],
    [
      {
        KeySchema: [
          { AttributeName: 'a', KeyType: 'HASH' },
          { AttributeName: 'b', KeyType: 'HASH' },
        ],
      },
      'Invalid KeySchema: The second KeySchemaElement is not a RANGE key type',
    ],
    [
      { KeySchema: schema('a') },
      '… Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions',
    ],
    [{ LocalSecondaryIndexes: [] }, '… List of LocalSecondaryIndexes is empty'],
    [{ GlobalSecondaryIndexes: [] }, '… List of GlobalSecondaryIndexes is empty'],
    [
      { KeySchema: schema('a'), LocalSecondaryIndexes: [index('lsi')] },
      '… Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex',
    ],
    [
      { LocalSecondaryIndexes: [index('lsi', schema('a'))] },
      '… Index KeySchema does not have a range key for index: lsi',
    ],
    [
      { LocalSecondaryIndexes: [index('lsi', schema('b', 'a'))] },
      '… Index KeySchema does not have the same leading hash key as table KeySchema for index: lsi. index hash key: b, table hash key: a',
    ],
    [{ GlobalSecondaryIndexes: [index('gsi', undefined, { Projection: {} })] }, '… Unknown ProjectionType: null'],
    [
      {
        GlobalSecondaryIndexes: [
          index('gsi', undefined, { Projection: { ProjectionType: 'ALL', NonKeyAttributes: ['x'] } }),
        ],
      },
      '… ProjectionType is ALL, but NonKeyAttributes is specified',
    ],
    [{ GlobalSecondaryIndexes: [index('gsi'), index('gsi')] }, '… Duplicate index name: gsi'],
    [
      { LocalSecondaryIndexes: ['1', '2', '3', '4', '5', '6'].map((n) => index(`lsi${n}`)) },
      '… Number of LocalSecondaryIndexes exceeds per-table limit of 5',
    ],
    [
      { GlobalSecondaryIndexes: Array.from({ length: 21 }, (_, n) => index(`gsi${n}`)) },
      '… GlobalSecondaryIndex count exceeds the per-table limit of 20',
    ],
    [
      {
        GlobalSecondaryIndexes: [
          index('gsi', undefined, { ProvisionedThroughput: { ReadCapacityUnits: 1, WriteCapacityUnits: 1 } }),
        ],
      },
      '… ProvisionedThroughput should not be specified for index: gsi when BillingMode is PAY_PER_REQUEST',
    ],
    [
      {
        AttributeDefinitions: define('id', 'user', 'created_at'),
        KeySchema: schema('id'),
        GlobalSecondaryIndexes: [index('gsi', schema('user'))],
      },
      '… Some AttributeDefinitions are not used. AttributeDefinitions: [created_at, id, user], keys used: [id, user]',
    ],
    [{ LocalSecondaryIndexes: [index('lsi')], GlobalSecondaryIndexes: [index('gsi', schema('b'))] }, 'accepted'],
  ])('%j', (change, message) => {
    expect(messageOf(() => validateCreateTable({ ...base, ...change }))).toBe(message);
  });

  it('checks names before the model does', () => {
    expect(messageOf(() => checkTableNameParameter(undefined))).toBe(
      "The parameter 'TableName' is required but was not present in the request",
    );
    expect(messageOf(() => checkTableNameParameter('ab'))).toBe(
      'TableName must be at least 3 characters long and at most 255 characters long',
    );
    expect(['abc', 'a_b-c.d', 'a'.repeat(255)].every(isTableName)).toBe(true);
    expect(['ab', 'abc;', 'a'.repeat(256), ''].some(isTableName)).toBe(false);
  });
});

const units = { ReadCapacityUnits: 1, WriteCapacityUnits: 1 };
const create = { Create: { ...index('gsi'), IndexName: 'gsi' } };

describe('UpdateTable', () => {
  // dynalite, test/updateTable.js; ack-api-quirks, finding DDB-TABLE-442.
  it.each<[object, string]>([
    [
      {},
      'At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, ' +
        'SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, ReplicaTransitRoleArn, MultiRegionConsistency, ' +
        'DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is required',
    ],
    [{ BillingMode: 'PROVISIONED' }, '… ProvisionedThroughput must be specified when BillingMode is PROVISIONED'],
    [
      { GlobalSecondaryIndexUpdates: [{}] },
      '… One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null',
    ],
    [
      { GlobalSecondaryIndexUpdates: [{ ...create, Delete: { IndexName: 'gsi' } }] },
      '… Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object',
    ],
    [
      { GlobalSecondaryIndexUpdates: [{ Delete: { IndexName: 'abc' } }, { Delete: { IndexName: 'abc' } }] },
      '… Only one global secondary index update per index is allowed simultaneously. Index: abc',
    ],
    [{ BillingMode: 'PAY_PER_REQUEST' }, 'accepted'],
    [{ BillingMode: 'PAY_PER_REQUEST', OnDemandThroughput: { MaxReadRequestUnits: 5 } }, 'accepted'],
    [
      { SSESpecification: { Enabled: true }, DeletionProtectionEnabled: true },
      '… Server-Side Encryption modification must be the only operation in the request',
    ],
    [
      { TableClass: 'STANDARD', ProvisionedThroughput: units },
      '… TableClass modification must be the only operation in the request',
    ],
    [
      { DeletionProtectionEnabled: true, BillingMode: 'PAY_PER_REQUEST' },
      '… DeletionProtection modification must be the only operation in the request',
    ],
    [
      { WarmThroughput: { ReadUnitsPerSecond: 1 }, BillingMode: 'PAY_PER_REQUEST' },
      '… WarmThroughput must be the only operation in the request',
    ],
    [
      { WarmThroughput: { ReadUnitsPerSecond: 1 }, GlobalSecondaryIndexUpdates: [create] },
      '… Create global secondary index cannot be specified when updating WarmThroughput',
    ],
    [
      { OnDemandThroughput: { MaxReadRequestUnits: 5 }, StreamSpecification: { StreamEnabled: false } },
      '… OnDemandThroughput can only be combined with BillingMode in an UpdateTable request',
    ],
    [
      { StreamSpecification: { StreamEnabled: false }, ProvisionedThroughput: units },
      '… You cannot modify stream status while updating table IOPS',
    ],
    [
      { GlobalSecondaryIndexUpdates: [create], ProvisionedThroughput: units },
      '… You cannot create or delete index while updating table IOPS',
    ],
    [
      { GlobalSecondaryIndexUpdates: [create], StreamSpecification: { StreamEnabled: false } },
      '… You cannot create or delete index while changing stream status',
    ],
    [{ StreamSpecification: { StreamEnabled: true } }, '… If stream is being enabled then UpdateViewType is required'],
    [
      { StreamSpecification: { StreamEnabled: false, StreamViewType: 'NEW_IMAGE' } },
      '… If stream is being disabled, then UpdateViewType must not be specified',
    ],
    [{ SSESpecification: { Enabled: false, SSEType: 'KMS' } }, '… SSEType can not be specified if Enabled is false'],
    [
      { SSESpecification: { Enabled: true, KMSMasterKeyId: 'x' } },
      '… SSEType KMS is required if KMSMasterKeyId is specified',
    ],
    [
      { OnDemandThroughput: { MaxWriteRequestUnits: 0 } },
      '… Requested MaxWriteRequestUnits for OnDemandThroughput for table is outside of valid range',
    ],
  ])('%j', (input, message) => {
    expect(messageOf(() => validateUpdateTable({ TableName: 'abc', ...input }))).toBe(message);
  });
});
