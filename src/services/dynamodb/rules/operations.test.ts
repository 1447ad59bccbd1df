import { describe, expect, it } from 'vitest';
import { consumedCapacity, indexWriteUnits, readUnits, writeUnits } from './capacity.ts';
import { enveloped } from './envelope.ts';
import { RuleError } from './errors.ts';
import type { TableSchema } from './keys.ts';
import { type QueryInput, resolveQuery, resolveScan, type ScanInput, validateQuery, validateScan } from './reads.ts';
import type { AttributeMap, AttributeValue } from './values.ts';
import {
  checkCondition,
  checkGetItem,
  checkPutItem,
  checkUpdateItem,
  type PutItemInput,
  type UpdateItemInput,
  updateItem,
  validateDeleteItem,
  validateGetItem,
  validatePutItem,
  validateUpdateItem,
} from './writes.ts';

const S = (text: string): AttributeValue => ({ S: text });
const N = (text: string): AttributeValue => ({ N: text });
const table: TableSchema = {
  KeySchema: [
    { AttributeName: 'pk', KeyType: 'HASH' },
    { AttributeName: 'sk', KeyType: 'RANGE' },
  ],
  AttributeDefinitions: ['pk', 'sk', 'g', 'l'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
  GlobalSecondaryIndexes: [
    {
      IndexName: 'gsi',
      KeySchema: [{ AttributeName: 'g', KeyType: 'HASH' }],
      Projection: { ProjectionType: 'KEYS_ONLY' },
    },
  ],
  LocalSecondaryIndexes: [
    {
      IndexName: 'lsi',
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'l', KeyType: 'RANGE' },
      ],
      Projection: { ProjectionType: 'ALL' },
    },
  ],
};
const numbers: TableSchema = {
  KeySchema: table.KeySchema,
  AttributeDefinitions: [
    { AttributeName: 'pk', AttributeType: 'S' },
    { AttributeName: 'sk', AttributeType: 'N' },
  ],
};

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof RuleError) return error.message;
    throw error;
  }
  return 'accepted';
}
const put = (input: PutItemInput) => messageOf(() => checkPutItem(validatePutItem(input), table));
const update = (input: UpdateItemInput) => messageOf(() => checkUpdateItem(validateUpdateItem(input), table));
const query = (input: QueryInput, on = table) => messageOf(() => resolveQuery(validateQuery(input), on));
const scan = (input: ScanInput) => messageOf(() => resolveScan(validateScan(input), table));
const key = { pk: S('a'), sk: S('b') };

describe('PutItem', () => {
  const invalid = 'One or more parameter values were invalid: ';
  const empty =
    'One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty';
  // dynalite, test/putItem.js; empty keys and index keys: getmoto/moto's AWS-verified exceptions tests.
  it.each<[AttributeMap, string]>([
    [{ sk: S('b') }, `${invalid}Missing the key pk in the item`],
    [{ pk: S('a') }, `${invalid}Missing the key sk in the item`],
    [{ pk: N('1'), sk: S('b') }, `${invalid}Type mismatch for key pk expected: S actual: N`],
    [{ pk: S(''), sk: S('b') }, `${empty} string value. Key: pk`],
    [
      { pk: S('a'.repeat(2049)), sk: S('b') },
      `${invalid}Size of hashkey has exceeded the maximum size limit of2048 bytes`,
    ],
    [
      { pk: S('a'), sk: S('é'.repeat(513)) },
      `${invalid}Aggregated size of all range keys has exceeded the size limit of 1024 bytes`,
    ],
    [{ ...key, g: N('1') }, `${invalid}Type mismatch for Index Key g Expected: S Actual: N IndexName: gsi`],
    [{ ...key, l: { NULL: true } }, `${invalid}Type mismatch for Index Key l Expected: S Actual: NULL IndexName: lsi`],
    [
      { ...key, g: S('') },
      'One or more parameter values are not valid. A value specified for a secondary index key is not supported. ' +
        'The AttributeValue for a key attribute cannot contain an empty string value. IndexName: gsi, IndexKey: g',
    ],
    [{ pk: S('a'.repeat(2048)), sk: S('b'.repeat(1024)) }, 'accepted'],
    [{ ...key, x: S('') }, 'accepted'],
  ])('%j', (Item, message) => {
    expect(put({ Item })).toBe(message);
  });

  it('checks parameters in the order of AWS', () => {
    const names = { '#a': 'a' };
    expect(put({ Item: {}, Expected: {}, ConditionExpression: '' })).toBe(
      'Can not use both expression and non-expression parameters in the same request: ' +
        'Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}',
    );
    expect(put({ Item: { a: {} }, ExpressionAttributeNames: names })).toBe(
      'ExpressionAttributeNames can only be specified when using expressions',
    );
    expect(put({ Item: { a: {} }, ExpressionAttributeValues: {} })).toBe(
      'ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null',
    );
    expect(put({ Item: { a: {} }, ReturnValues: 'ALL_NEW' })).toMatch(/^Supplied AttributeValue is empty/);
    expect(put({ Item: {}, ReturnValues: 'ALL_NEW', ConditionExpression: '' })).toBe(
      'ReturnValues can only be ALL_OLD or NONE',
    );
    expect(put({ Item: { a: S('x'.repeat(409_600)) }, Expected: { a: {} } })).toBe(
      'Item size has exceeded the maximum allowed size',
    );
    expect(put({ Item: {}, Expected: { a: {} } })).toBe(
      `${invalid}Value must be provided when Exists is null for Attribute: a`,
    );
    expect(put({ Item: {}, ConditionExpression: '', ExpressionAttributeNames: {} })).toBe(
      'ExpressionAttributeNames must not be empty',
    );
    expect(put({ Item: {}, ConditionExpression: 'a = b', ExpressionAttributeNames: names })).toBe(
      'Value provided in ExpressionAttributeNames unused in expressions: keys: {#a}',
    );
  });

  it('evaluates its condition and can return the item that failed it', () => {
    const { condition } = validatePutItem({ Item: key, ConditionExpression: 'attribute_not_exists(pk)' });
    expect(() => checkCondition(condition, undefined)).not.toThrow();
    const failure = (returnValues?: string) => {
      try {
        checkCondition(condition, key, returnValues);
      } catch (error) {
        return error as RuleError;
      }
      return undefined;
    };
    expect(failure()).toMatchObject({
      code: 'ConditionalCheckFailedException',
      message: 'The conditional request failed',
      fields: undefined,
    });
    expect(failure('ALL_OLD')?.fields).toEqual({ Item: key });
  });

  it('can be reported in the newer form', () => {
    const item = { a: { SS: [] } };
    expect(messageOf(() => enveloped(() => validatePutItem({ Item: item })))).toBe(
      '1 validation error detected: One or more parameter values were invalid: An string set  may not be empty',
    );
    expect(enveloped(() => 1)).toBe(1);
  });
});

describe('GetItem, UpdateItem, DeleteItem', () => {
  const mismatch = 'The provided key element does not match the schema';
  it('want exactly the key', () => {
    const get = (Key: AttributeMap) => messageOf(() => checkGetItem(validateGetItem({ Key }), table));
    expect(get(key)).toBe('accepted');
    for (const Key of [{ pk: S('a') }, { ...key, x: S('c') }, { pk: S('a'), sk: N('1') }, { pk: S('a'), x: S('b') }]) {
      expect(get(Key)).toBe(mismatch);
    }
    expect(get({ pk: S(''), sk: S('b') })).toMatch(/cannot contain an empty string value. Key: pk$/);
    expect(messageOf(() => checkGetItem(validateGetItem({ Key: key, ProjectionExpression: 'pk.a' }), table))).toBe(
      "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk",
    );
    expect(messageOf(() => validateGetItem({ Key: key, AttributesToGet: ['a', 'a'] }))).toBe(
      'One or more parameter values were invalid: Duplicate value in attribute name: a',
    );
  });

  it('project', () => {
    const item = { ...key, a: S('x') };
    expect(validateGetItem({ Key: key, AttributesToGet: ['a', 'z'] }).project?.(item)).toEqual({ a: S('x') });
    expect(validateGetItem({ Key: key }).project).toBeUndefined();
  });

  it('do not let updates touch keys', () => {
    const values = { ':v': S('x') };
    const invalid = 'One or more parameter values were invalid: ';
    expect(update({ Key: key, UpdateExpression: 'SET sk = :v', ExpressionAttributeValues: values })).toBe(
      `${invalid}Cannot update attribute sk. This attribute is part of the key`,
    );
    expect(update({ Key: key, UpdateExpression: 'REMOVE pk.a' })).toBe(
      `${invalid}Cannot update attribute pk. This attribute is part of the key`,
    );
    expect(update({ Key: key, AttributeUpdates: { pk: { Value: S('a') } } })).toBe(
      `${invalid}Cannot update attribute pk. This attribute is part of the key`,
    );
    expect(update({ Key: key, UpdateExpression: 'SET g = g + :v', ExpressionAttributeValues: { ':v': N('1') } })).toBe(
      `${invalid}Type mismatch for Index Key g Expected: S Actual: N IndexName: gsi`,
    );
    expect(update({ Key: key, UpdateExpression: 'SET g.a = :v', ExpressionAttributeValues: values })).toBe(
      "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: g",
    );
    const copying = validateUpdateItem({ Key: key, UpdateExpression: 'SET g = a' });
    expect(messageOf(() => updateItem(copying, { ...key, a: N('1') }, table))).toBe(
      `${invalid}The update expression attempted to update the secondary index key to unsupported type`,
    );
    expect(messageOf(() => updateItem(copying, { ...key, a: S('') }, table))).toMatch(
      /^One or more parameter values are not valid/,
    );
    expect(updateItem(copying, { ...key, a: S('x') }, table).item).toEqual({ ...key, a: S('x'), g: S('x') });
  });

  it('refuse unfit ReturnValues', () => {
    expect(messageOf(() => validateDeleteItem({ Key: key, ReturnValues: 'UPDATED_OLD' }))).toBe(
      'ReturnValues can only be ALL_OLD or NONE',
    );
  });
});

describe('Query', () => {
  const by = (KeyConditionExpression: string, ExpressionAttributeValues: AttributeMap): QueryInput => ({
    KeyConditionExpression,
    ExpressionAttributeValues,
  });
  const p = { ':p': S('a') };
  const kce = 'Invalid KeyConditionExpression: ';
  const form = `${kce}Invalid condition in KeyConditionExpression: `;

  // dynalite, test/query.js; paritysuite/dynamodb-conformance, queryKeyConditionOperands.test.ts.
  it.each<[string, string]>([
    ['pk = :v OR sk = :v', `${kce}Invalid operator used in KeyConditionExpression: OR`],
    ['NOT pk = :v', `${kce}Invalid operator used in KeyConditionExpression: NOT`],
    ['pk in (:v)', `${kce}Invalid operator used in KeyConditionExpression: IN`],
    ['pk <> :v', `${kce}Invalid operator used in KeyConditionExpression: <>`],
    ['pk = :v AND attribute_exists(sk)', `${kce}Invalid operator used in KeyConditionExpression: attribute_exists`],
    ['contains(pk, :v)', `${kce}Invalid operator used in KeyConditionExpression: contains`],
    [':v between sk and pk', `${form}BETWEEN operator must have the key attribute as its first operand`],
    ['begins_with(:v, sk)', `${form}begins_with operator must have the key attribute as its first operand`],
    ['size(pk) > :v', `${kce}KeyConditionExpressions cannot contain nested operations`],
    ['pk = sk AND sk = :v', `${form}Multiple attribute names used in one condition`],
    ['pk.a = :v', `${kce}KeyConditionExpressions cannot have conditions on nested attributes`],
    [':v = :v', `${form}No key attribute specified`],
    ['pk = :v AND sk > :v AND sk < :v', `${kce}KeyConditionExpressions must only contain one condition per key`],
    ['sk = :v', 'Query condition missed key schema element: pk'],
    ['pk = :v AND a = :v', 'Query condition missed key schema element: sk'],
    [
      'pk = :v AND sk = :v AND a = :v',
      'The number of query conditions (3) exceeds the number of key attributes defined in the schema (2)',
    ],
    ['pk > :v', 'Query key condition not supported'],
    ['pk = :v AND begins_with(sk, :v)', 'accepted'],
    ['(:v = pk) AND (:v >= sk)', 'accepted'],
  ])('%s', (expression, message) => {
    expect(query(by(expression, { ':v': S('a') }))).toBe(message);
  });

  it('checks types against the schema and empty values', () => {
    const schema = 'One or more parameter values were invalid: Condition parameter type does not match schema type';
    const operand = (operator: string, type: string) =>
      `${kce}Incorrect operand type for operator or function; operator or function: ${operator}, operand type: ${type}`;
    expect(query(by('pk = :p AND begins_with(sk, :v)', { ...p, ':v': S('a') }), numbers)).toBe(schema);
    expect(query(by('pk = :p AND begins_with(sk, :v)', { ...p, ':v': N('1') }), numbers)).toBe(
      operand('begins_with', 'N'),
    );
    expect(query(by('pk = :p AND :v >= sk', { ...p, ':v': { BOOL: true } }), numbers)).toBe(operand('>=', 'BOOL'));
    expect(query(by('pk = :p AND sk = :v', { ...p, ':v': { BOOL: true } }), numbers)).toBe(schema);
    expect(query(by('pk = :p', { ':p': S('') }))).toMatch(/cannot contain an empty string value. Key: pk$/);
  });

  it('resolves ranges, flipped ones too', () => {
    const range = (expression: string) =>
      resolveQuery(validateQuery(by(expression, { ...p, ':v': S('b') })), table).range;
    expect(range('pk = :p AND :v < sk')).toEqual({ hash: S('a'), range: { operator: 'GT', values: [S('b')] } });
    expect(range('sk between :p and :v and pk = :p')).toEqual({
      hash: S('a'),
      range: { operator: 'BETWEEN', values: [S('a'), S('b')] },
    });
  });

  it('resolves indexes', () => {
    expect(query({ ...by('pk = :p', p), IndexName: 'none' })).toBe('The table does not have the specified index: none');
    expect(query({ ...by('g = :p', p), IndexName: 'gsi', ConsistentRead: true })).toBe(
      'Consistent reads are not supported on global secondary indexes',
    );
    expect(query({ ...by('g = :p', p), IndexName: 'gsi', Select: 'ALL_ATTRIBUTES' })).toBe(
      'One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary ' +
        'index gsi because its projection type is not ALL',
    );
    expect(resolveQuery(validateQuery({ ...by('g = :p', p), IndexName: 'gsi' }), table)).toMatchObject({
      isGlobal: true,
      startKeyNames: ['pk', 'sk', 'g'],
      range: { hash: S('a'), range: undefined },
    });
  });

  it('checks filters, projections, Select and what is missing', () => {
    expect(query({ ...by('pk = :p', p), FilterExpression: 'sk > :p' })).toBe(
      'Filter Expression can only contain non-primary key attributes: Primary key attribute: sk',
    );
    expect(query({})).toBe(
      'Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.',
    );
    expect(query({ ...by('pk = :p', p), Select: 'SPECIFIC_ATTRIBUTES' })).toMatch(/^Must specify the AttributesToGet/);
    expect(query({ ...by('pk = :p', p), Select: 'COUNT', ProjectionExpression: 'a' })).toBe(
      'Cannot specify the ProjectionExpression when choosing to get only the Count',
    );
    expect(query({ KeyConditions: {}, FilterExpression: 'a = b', AttributesToGet: ['a'] })).toBe(
      'Can not use both expression and non-expression parameters in the same request: ' +
        'Non-expression parameters: {AttributesToGet} Expression parameters: {FilterExpression}',
    );
  });

  it('checks the starting key', () => {
    const start = (ExclusiveStartKey: AttributeMap, expression = 'pk = :p') =>
      query({ ...by(expression, p), ExclusiveStartKey });
    expect(start(key)).toBe('accepted');
    expect(start({ pk: S('a') })).toBe('The provided starting key is invalid');
    expect(start({ pk: S('a'), sk: N('1') })).toBe('The provided key element does not match the schema');
    expect(start({ pk: S('z'), sk: S('b') })).toBe(
      'The provided starting key is outside query boundaries based on provided conditions',
    );
    expect(start(key, 'pk = :p AND sk > :p')).toBe('accepted');
    expect(start(key, 'pk = :p AND sk < :p')).toBe('The provided starting key does not match the range key predicate');
    expect(start({ pk: {}, sk: S('a') })).toMatch(
      /^The provided starting key is invalid: Supplied AttributeValue is empty/,
    );
  });

  it('takes KeyConditions', () => {
    const legacy = (ComparisonOperator: string, AttributeValueList: AttributeValue[]) =>
      query({ KeyConditions: { pk: { ComparisonOperator, AttributeValueList } } });
    expect(legacy('EQ', [S('a')])).toBe('accepted');
    expect(legacy('NE', [S('a')])).toBe('Attempted conditional constraint is not an indexable operation');
    expect(legacy('EQ', [])).toBe(
      'One or more parameter values were invalid: Invalid number of argument(s) for the EQ ComparisonOperator',
    );
    expect(legacy('BETWEEN', [S('b'), S('a')])).toBe(
      'The BETWEEN condition was provided a range where the lower bound is greater than the upper bound',
    );
    expect(query({ KeyConditions: {} })).toBe('Conditions can be of length 1 or 2 only');
  });
});

describe('Scan', () => {
  it('checks segments and starting keys', () => {
    expect(scan({})).toBe('accepted');
    expect(scan({ Segment: 0 })).toMatch(/^The TotalSegments parameter is required/);
    expect(scan({ TotalSegments: 4 })).toMatch(/^The Segment parameter is required/);
    expect(scan({ Segment: 5, TotalSegments: 5 })).toBe(
      'The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 5 is not less than TotalSegments: 5',
    );
    expect(scan({ ExclusiveStartKey: { pk: S('a') } })).toBe(
      'The provided starting key is invalid: The provided key element does not match the schema',
    );
  });
});

describe('legacy parameters', () => {
  it('filter as their expressions do', () => {
    const holds = (filter: NonNullable<ScanInput['ScanFilter']>, item: AttributeMap, ConditionalOperator?: string) =>
      validateScan({ ScanFilter: filter, ...(ConditionalOperator && { ConditionalOperator }) }).filter?.(item);
    const one = (ComparisonOperator: string, ...AttributeValueList: AttributeValue[]) => ({
      a: { ComparisonOperator, AttributeValueList },
    });
    const item = { a: S('hello'), b: N('5') };
    expect(holds(one('EQ', S('hello')), item)).toBe(true);
    expect(holds(one('NE', S('hello')), item)).toBe(false);
    expect(holds(one('NULL'), item)).toBe(false);
    expect(holds(one('NOT_NULL'), item)).toBe(true);
    expect(holds(one('CONTAINS', S('ell')), item)).toBe(true);
    expect(holds(one('NOT_CONTAINS', S('ell')), item)).toBe(false);
    expect(holds(one('BEGINS_WITH', S('he')), item)).toBe(true);
    expect(holds(one('IN', S('x'), S('hello')), item)).toBe(true);
    expect(holds(one('BETWEEN', S('a'), S('z')), item)).toBe(true);
    const both = { ...one('EQ', S('no')), b: { ComparisonOperator: 'GT', AttributeValueList: [N('4')] } };
    expect(holds(both, item)).toBe(false);
    expect(holds(both, item, 'OR')).toBe(true);
  });

  it('update as their expressions do', () => {
    const run = (AttributeUpdates: NonNullable<UpdateItemInput['AttributeUpdates']>, old?: AttributeMap) =>
      updateItem(validateUpdateItem({ Key: key, AttributeUpdates }), old && { ...key, ...old }, table).item;
    expect(run({ a: { Value: S('x') } })).toEqual({ ...key, a: S('x') });
    expect(run({ a: { Action: 'DELETE' } }, { a: S('x') })).toEqual(key);
    expect(run({ a: { Action: 'ADD', Value: N('2') } }, { a: N('1') })).toEqual({ ...key, a: N('3') });
    expect(run({ a: { Action: 'ADD', Value: { L: [S('y')] } } }, { a: { L: [S('x')] } })).toEqual({
      ...key,
      a: { L: [S('x'), S('y')] },
    });
    expect(run({ a: { Action: 'DELETE' } })).toBeUndefined();
    expect(run({})).toEqual(key);
    expect(messageOf(() => run({ a: { Action: 'ADD', Value: N('2') } }, { a: S('1') }))).toBe(
      'Type mismatch for attribute to update',
    );
    expect(messageOf(() => run({ a: { Action: 'ADD', Value: S('2') } }))).toBe(
      'One or more parameter values were invalid: ADD action is not supported for the type S',
    );
    expect(messageOf(() => run({ a: {} }))).toBe(
      'One or more parameter values were invalid: Only DELETE action is allowed when no attribute value is specified',
    );
  });

  // dynalite, test/putItem.js.
  const expected = (entry: object) =>
    put({ Item: {}, Expected: { a: entry } }).replace(/^One or more parameter values were invalid: /, '');
  it.each<[object, string]>([
    [{ Exists: true }, 'Value must be provided when Exists is true for Attribute: a'],
    [{ Exists: false, Value: S('a') }, 'Value cannot be used when Exists is false for Attribute: a'],
    [
      { ComparisonOperator: 'LT' },
      'Value or AttributeValueList must be used with ComparisonOperator: LT for Attribute: a',
    ],
    [
      { Exists: true, ComparisonOperator: 'LT' },
      'Exists and ComparisonOperator cannot be used together for Attribute: a',
    ],
    [
      { Value: S('a'), AttributeValueList: [] },
      'Value and AttributeValueList cannot be used together for Attribute: a',
    ],
    [
      { AttributeValueList: [S('a')] },
      'AttributeValueList can only be used with a ComparisonOperator for Attribute: a',
    ],
    [
      { ComparisonOperator: 'IN', AttributeValueList: [] },
      'Invalid number of argument(s) for the IN ComparisonOperator',
    ],
    [{ ComparisonOperator: 'LT', Value: { L: [] } }, 'ComparisonOperator LT is not valid for L AttributeValue type'],
    [
      { ComparisonOperator: 'IN', AttributeValueList: [S('a'), N('1')] },
      'AttributeValues inside AttributeValueList must be of same type',
    ],
  ])('Expected %j', (entry, message) => {
    expect(expected(entry)).toBe(message);
  });
});

describe('capacity', () => {
  it('counts units', () => {
    expect(readUnits(0, 'eventual')).toBe(0.5);
    expect(readUnits(4096, 'strong')).toBe(1);
    expect(readUnits(4097, 'strong')).toBe(2);
    expect(readUnits(4097, 'eventual')).toBe(1);
    expect(readUnits(1, 'transactional')).toBe(2);
    expect(writeUnits(undefined, undefined)).toBe(1);
    expect(writeUnits(3000, 100)).toBe(3);
    expect(writeUnits(undefined, 1025, true)).toBe(4);
    expect(indexWriteUnits(100, 100, 'none')).toBe(0);
    expect(indexWriteUnits(1500, 100, 'key')).toBe(3);
    expect(indexWriteUnits(1500, 100, 'content')).toBe(2);
    expect(indexWriteUnits(undefined, 100, 'key')).toBe(1);
  });

  it('reports what is asked for', () => {
    const indexes = [
      { name: 'gsi', isGlobal: true, units: 2 },
      { name: 'lsi', isGlobal: false, units: 0 },
    ];
    expect(consumedCapacity('NONE', 't', 1, indexes)).toBeUndefined();
    expect(consumedCapacity('TOTAL', 't', 1, indexes)).toEqual({ TableName: 't', CapacityUnits: 3 });
    expect(consumedCapacity('INDEXES', 't', 1, indexes)).toEqual({
      TableName: 't',
      CapacityUnits: 3,
      Table: { CapacityUnits: 1 },
      GlobalSecondaryIndexes: { gsi: { CapacityUnits: 2 } },
    });
  });
});
