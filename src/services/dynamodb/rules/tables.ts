/**
 * Table operations: what AWS refuses of CreateTable, DeleteTable and DescribeTable, beyond the API model.
 * Order and texts: dynalite's validations/createTable.js with their tests, run against AWS; unused
 * definitions: getmoto/moto's AWS-verified test_create_table_with_redundant_attributes; limits: developer guide
 * "Quotas".
 */
import { invalidParameter, RuleError } from './errors.ts';
import type { IndexSchema, KeySchemaElement } from './keys.ts';

export interface ThroughputInput {
  readonly ReadCapacityUnits?: number;
  readonly WriteCapacityUnits?: number;
}

export interface IndexInput extends IndexSchema {
  readonly ProvisionedThroughput?: ThroughputInput;
}

export interface CreateTableInput {
  readonly TableName: string;
  readonly AttributeDefinitions: readonly { readonly AttributeName: string; readonly AttributeType: string }[];
  readonly KeySchema: readonly KeySchemaElement[];
  readonly BillingMode?: string;
  readonly ProvisionedThroughput?: ThroughputInput;
  readonly LocalSecondaryIndexes?: readonly IndexInput[];
  readonly GlobalSecondaryIndexes?: readonly IndexInput[];
  readonly StreamSpecification?: { readonly StreamEnabled?: boolean; readonly StreamViewType?: string };
}

export const MAX_LOCAL_INDEXES = 5;
export const MAX_GLOBAL_INDEXES = 20;
/** Over all indexes of a table, projection by INCLUDE. */
export const MAX_PROJECTED_ATTRIBUTES = 100;
export const MAX_KEY_NAME_BYTES = 255;
const MAX_CAPACITY_UNITS = 1_000_000_000_000;
const TABLE_NAME = /^[a-zA-Z0-9_.-]{3,255}$/;

/** Whether a text is a table's (or an index's) name: 3 to 255 letters, digits, `_`, `-` and `.`. */
export function isTableName(name: string): boolean {
  return TABLE_NAME.test(name);
}

/**
 * The check that the table operations make before that against the API model: TableName is there and has a table name's
 * length. The data operations leave both to the model.
 */
export function checkTableNameParameter(name: string | undefined): void {
  if (name === undefined) {
    throw new RuleError("The parameter 'TableName' is required but was not present in the request");
  }
  if (name.length < 3 || name.length > 255) {
    throw new RuleError('TableName must be at least 3 characters long and at most 255 characters long');
  }
}

/** CreateTable, after the check against the API model. */
export function validateCreateTable(input: CreateTableInput): void {
  const isOnDemand = input.BillingMode === 'PAY_PER_REQUEST';
  checkTableThroughput(input, isOnDemand);
  const definitions = input.AttributeDefinitions.map(({ AttributeName }) => AttributeName);
  if (input.KeySchema.length > definitions.length) {
    throw new RuleError('Invalid KeySchema: Some index key attribute have no definition');
  }
  checkDefined(input.KeySchema, definitions);
  checkKeySchema(input.KeySchema);
  const { LocalSecondaryIndexes: local, GlobalSecondaryIndexes: global } = input;
  if (local === undefined && global === undefined && input.KeySchema.length !== definitions.length) {
    throw invalidParameter(
      'Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions',
    );
  }
  const names = new Set<string>();
  if (local !== undefined) checkLocalIndexes(local, input.KeySchema, definitions, names);
  if (global !== undefined) checkGlobalIndexes(global, isOnDemand, definitions, names);
  checkAllDefinitionsUsed(input, definitions);
  checkProjectedAttributes([...(local ?? []), ...(global ?? [])]);
  checkStream(input);
}

/** CreateTable of a table that is there already; `name` is the table's. */
export function tableExists(name: string): RuleError {
  return new RuleError(`Table already exists: ${name}`, 'ResourceInUseException');
}

/** A table operation on a table that is not there. */
export function tableNotFound(name: string): RuleError {
  return new RuleError(`Requested resource not found: Table: ${name} not found`, 'ResourceNotFoundException');
}

/** A data operation on a table that is not there, or not yet, or no more. */
export function resourceNotFound(): RuleError {
  return new RuleError('Requested resource not found', 'ResourceNotFoundException');
}

function checkTableThroughput(input: CreateTableInput, isOnDemand: boolean): void {
  const throughput = input.ProvisionedThroughput;
  if (isOnDemand) {
    if (throughput === undefined) return;
    throw invalidParameter(
      'Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST',
    );
  }
  if (!throughput?.ReadCapacityUnits || !throughput.WriteCapacityUnits) {
    throw invalidParameter(
      'ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED',
    );
  }
  checkBounds(throughput);
}

/** Units of a table or an index. */
export function checkBounds(throughput: ThroughputInput | undefined): void {
  for (const name of ['ReadCapacityUnits', 'WriteCapacityUnits'] as const) {
    const units = throughput?.[name] ?? 0;
    if (units > MAX_CAPACITY_UNITS) throw new RuleError(`Given value ${units} for ${name} is out of bounds`);
  }
}

/** Every key attribute is defined. */
export function checkDefined(keySchema: readonly KeySchemaElement[], definitions: readonly string[]): void {
  const keys = keySchema.map(({ AttributeName }) => AttributeName);
  if (keys.every((key) => definitions.includes(key))) return;
  throw invalidParameter(
    'Some index key attributes are not defined in AttributeDefinitions. ' +
      `Keys: [${keys.join(', ')}], AttributeDefinitions: [${definitions.join(', ')}]`,
  );
}

function checkKeySchema(keySchema: readonly KeySchemaElement[]): void {
  const [hash, range] = keySchema;
  if (hash?.AttributeName === range?.AttributeName) {
    throw new RuleError('Both the Hash Key and the Range Key element in the KeySchema have the same name');
  }
  if (hash?.KeyType !== 'HASH') {
    throw new RuleError('Invalid KeySchema: The first KeySchemaElement is not a HASH key type');
  }
  if (range !== undefined && range.KeyType !== 'RANGE') {
    throw new RuleError('Invalid KeySchema: The second KeySchemaElement is not a RANGE key type');
  }
  for (const { AttributeName: name } of keySchema) {
    if (Buffer.byteLength(name) > MAX_KEY_NAME_BYTES) {
      throw new RuleError(
        `1 validation error detected: Value '${name}' at 'keySchema.1.member.attributeName' failed to satisfy ` +
          `constraint: Member must have length less than or equal to ${MAX_KEY_NAME_BYTES}`,
      );
    }
  }
}

function checkLocalIndexes(
  indexes: readonly IndexInput[],
  tableKeySchema: readonly KeySchemaElement[],
  definitions: readonly string[],
  names: Set<string>,
): void {
  if (indexes.length === 0) throw invalidParameter('List of LocalSecondaryIndexes is empty');
  if (tableKeySchema.length !== 2) {
    throw invalidParameter(
      'Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex',
    );
  }
  const tableHash = tableKeySchema[0]!.AttributeName;
  for (const index of indexes) {
    checkDefined(index.KeySchema, definitions);
    checkKeySchema(index.KeySchema);
    if (index.KeySchema.length !== 2) {
      throw invalidParameter(`Index KeySchema does not have a range key for index: ${index.IndexName}`);
    }
    const hash = index.KeySchema[0]!.AttributeName;
    if (hash !== tableHash) {
      throw invalidParameter(
        'Index KeySchema does not have the same leading hash key as table KeySchema for index: ' +
          `${index.IndexName}. index hash key: ${hash}, table hash key: ${tableHash}`,
      );
    }
    checkProjection(index);
    checkUnique(index, names);
  }
  if (indexes.length > MAX_LOCAL_INDEXES) {
    throw invalidParameter(`Number of LocalSecondaryIndexes exceeds per-table limit of ${MAX_LOCAL_INDEXES}`);
  }
}

function checkGlobalIndexes(
  indexes: readonly IndexInput[],
  isOnDemand: boolean,
  definitions: readonly string[],
  names: Set<string>,
): void {
  if (indexes.length === 0) throw invalidParameter('List of GlobalSecondaryIndexes is empty');
  for (const index of indexes) {
    checkDefined(index.KeySchema, definitions);
    checkGlobalIndex(index, isOnDemand);
    checkUnique(index, names);
  }
  if (indexes.length > MAX_GLOBAL_INDEXES) {
    throw invalidParameter(`GlobalSecondaryIndex count exceeds the per-table limit of ${MAX_GLOBAL_INDEXES}`);
  }
}

/** A global index's key schema, projection and throughput. */
export function checkGlobalIndex(index: IndexInput, isOnDemand: boolean): void {
  checkKeySchema(index.KeySchema);
  checkProjection(index);
  if (isOnDemand && index.ProvisionedThroughput !== undefined) {
    throw invalidParameter(
      `ProvisionedThroughput should not be specified for index: ${index.IndexName} ` +
        'when BillingMode is PAY_PER_REQUEST',
    );
  }
  if (!isOnDemand && index.ProvisionedThroughput === undefined) {
    throw invalidParameter(`ProvisionedThroughput is not specified for index: ${index.IndexName}`);
  }
  checkBounds(index.ProvisionedThroughput);
}

function checkProjection(index: IndexInput): void {
  const type = index.Projection?.ProjectionType;
  const attributes = index.Projection?.NonKeyAttributes;
  if (type === undefined) throw invalidParameter('Unknown ProjectionType: null');
  if (attributes !== undefined && type !== 'INCLUDE') {
    throw invalidParameter(`ProjectionType is ${type}, but NonKeyAttributes is specified`);
  }
  if (attributes === undefined && type === 'INCLUDE') {
    throw invalidParameter('ProjectionType is INCLUDE, but NonKeyAttributes is not specified');
  }
}

function checkUnique(index: IndexInput, names: Set<string>): void {
  if (names.has(index.IndexName)) throw invalidParameter(`Duplicate index name: ${index.IndexName}`);
  names.add(index.IndexName);
}

function checkAllDefinitionsUsed(input: CreateTableInput, definitions: readonly string[]): void {
  const schemas = [
    input.KeySchema,
    ...[...(input.LocalSecondaryIndexes ?? []), ...(input.GlobalSecondaryIndexes ?? [])].map(
      (index) => index.KeySchema,
    ),
  ];
  const used = new Set(schemas.flat().map(({ AttributeName }) => AttributeName));
  if (definitions.every((name) => used.has(name))) return;
  throw invalidParameter(
    'Some AttributeDefinitions are not used. ' +
      `AttributeDefinitions: [${definitions.toSorted().join(', ')}], keys used: [${[...used].sort().join(', ')}]`,
  );
}

function checkProjectedAttributes(indexes: readonly IndexInput[]): void {
  const count = indexes.reduce((sum, index) => sum + (index.Projection?.NonKeyAttributes?.length ?? 0), 0);
  if (count > MAX_PROJECTED_ATTRIBUTES) {
    throw invalidParameter(
      `Number of attributes projected into all indexes exceeds the per-table limit of ${MAX_PROJECTED_ATTRIBUTES}`,
    );
  }
}

/** Texts: ack-api-quirks, finding DDB-TABLE-442, recorded on AWS in October 2026. */
function checkStream(input: CreateTableInput): void {
  const stream = input.StreamSpecification;
  if (stream?.StreamEnabled === true && stream.StreamViewType === undefined) {
    throw invalidParameter('Table is being created with a stream enabled, UpdateViewType is required');
  }
  if (stream?.StreamEnabled === false && stream.StreamViewType !== undefined) {
    throw invalidParameter('Table is being created with a stream disabled, UpdateViewType should not be specified');
  }
}
