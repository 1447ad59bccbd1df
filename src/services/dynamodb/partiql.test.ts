import {
  type AttributeValue,
  BatchExecuteStatementCommand,
  DynamoDBClient,
  ExecuteStatementCommand,
  type ExecuteStatementCommandInput,
  ExecuteTransactionCommand,
  GetItemCommand,
  PutItemCommand,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { createTable } from './test-support.ts';

/**
 * PartiQL through the SDK. What is expected was recorded on AWS by paritysuite/dynamodb-conformance (tests/tier2/partiql,
 * tests/tier3/error-messages/partiql*) and by floci (DynamoDbPartiQL*IntegrationTest).
 */
let cloud: TestCloud;
let client: DynamoDBClient;
beforeAll(async () => {
  cloud = await startTestCloud({ services: ['dynamodb'] });
  client = new DynamoDBClient(cloud.clientConfig);
  await createTable(client, { TableName: 'hash' });
  await createTable(client, {
    TableName: 'numbers',
    AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'N' }],
  });
  const throughIndex = (IndexName: string, hash: string, more: object) => ({
    IndexName,
    KeySchema: [{ AttributeName: hash, KeyType: 'HASH' as const }],
    Projection: { ProjectionType: 'KEYS_ONLY' as const },
    ...more,
  });
  await createTable(client, {
    TableName: 'composite',
    AttributeDefinitions: ['pk', 'sk', 'g', 'l'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
    KeySchema: [
      { AttributeName: 'pk', KeyType: 'HASH' },
      { AttributeName: 'sk', KeyType: 'RANGE' },
    ],
    GlobalSecondaryIndexes: [
      throughIndex('all', 'g', { Projection: { ProjectionType: 'ALL' } }),
      throughIndex('some', 'g', { Projection: { ProjectionType: 'INCLUDE', NonKeyAttributes: ['shown'] } }),
    ],
    LocalSecondaryIndexes: [
      {
        IndexName: 'local',
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'l', KeyType: 'RANGE' },
        ],
        Projection: { ProjectionType: 'KEYS_ONLY' },
      },
    ],
  });
});
afterAll(async () => {
  client.destroy();
  await cloud.close();
});

type Item = Record<string, AttributeValue>;

const run = (Statement: string, Parameters?: AttributeValue[], more: Partial<ExecuteStatementCommandInput> = {}) =>
  client.send(new ExecuteStatementCommand({ Statement, ...(Parameters && { Parameters }), ...more }));

const put = (TableName: string, Item: Item) => client.send(new PutItemCommand({ TableName, Item }));

async function stored(TableName: string, ...[pk, sk]: string[]): Promise<Item | undefined> {
  const Key: Item = { pk: { S: pk! }, ...(sk === undefined ? {} : { sk: { S: sk } }) };
  return (await client.send(new GetItemCommand({ TableName, Key }))).Item;
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: Error) => reason,
  );
  return error === undefined ? 'no error' : `${error.name}: ${error.message}`;
}

const notWellFormed = "ValidationException: Statement wasn't well formed, can't be processed: ";

describe('writes', () => {
  it('inserts every type of literal', async () => {
    const answer = await run(
      `INSERT INTO "composite" VALUE {'pk':'types','sk':'1','n':-1.50e2,'q':'it''s','b':true,'z':null,'m':{'a':[1,'x']},'ns':<<1,2.5>>,'ss':<<'a','b'>>}`,
    );
    expect(answer.Items).toEqual([]);
    expect(await stored('composite', 'types', '1')).toEqual({
      pk: { S: 'types' },
      sk: { S: '1' },
      n: { N: '-150' },
      q: { S: "it's" },
      b: { BOOL: true },
      z: { NULL: true },
      m: { M: { a: { L: [{ N: '1' }, { S: 'x' }] } } },
      ns: { NS: ['1', '2.5'] },
      ss: { SS: ['a', 'b'] },
    });
    expect(await refusal(run(`INSERT INTO composite VALUE {'pk':'types','sk':'1'}`))).toBe(
      'DuplicateItemException: Duplicate primary key exists in table',
    );
  });

  it('updates with functions, sums and removals, and returns what was asked for', async () => {
    await put('hash', { pk: { S: 'u' }, n: { N: '5' }, l: { L: [{ N: '1' }] }, s: { SS: ['a'] }, gone: { S: 'x' } });
    const where = `WHERE pk = 'u'`;
    await run(`UPDATE "hash" SET n = n - 1, l = list_append(l, [2, ?]) REMOVE gone ${where}`.replace('?', '3'));
    await run(`UPDATE "hash" SET s = set_add(s, ?) SET m = {'k': 'v'} ${where}`, [{ SS: ['b'] }]);
    await run(`FROM "hash" ${where} SET m.j = 7`);
    expect(await stored('hash', 'u')).toEqual({
      pk: { S: 'u' },
      n: { N: '4' },
      l: { L: [{ N: '1' }, { N: '2' }, { N: '3' }] },
      s: { SS: ['a', 'b'] },
      m: { M: { k: { S: 'v' }, j: { N: '7' } } },
    });
    const modified = await run(`UPDATE "hash" SET l[2] = 'y', l[0] = 'x' ${where} RETURNING MODIFIED NEW *`);
    expect(modified.Items).toEqual([{ l: { L: [{ S: 'x' }, { S: 'y' }] } }]);
    const empty = await run(`UPDATE "hash" REMOVE s ${where} RETURNING MODIFIED NEW *`);
    expect(empty.Items).toEqual([]);
    const old = await run(`DELETE FROM "hash" ${where} AND n = 4 RETURNING ALL OLD *`);
    expect(old.Items?.[0]).toMatchObject({ pk: { S: 'u' }, n: { N: '4' } });
    expect((await run(`DELETE FROM "hash" ${where} AND n = 4 RETURNING ALL OLD *`)).Items).toEqual([]);
  });

  it('asks the rest of the WHERE clause as a condition', async () => {
    await put('hash', { pk: { S: 'c' }, name: { S: 'alpha' } });
    const failed = 'ConditionalCheckFailedException: The conditional request failed';
    expect(await refusal(run(`DELETE FROM "hash" WHERE pk='c' AND NOT begins_with("name", 'al')`))).toBe(failed);
    expect(await refusal(run(`UPDATE "hash" SET z=1 WHERE pk='c' AND attribute_not_exists("name")`))).toBe(failed);
    expect(await refusal(run(`UPDATE "hash" SET z=1 WHERE pk='never'`))).toBe(failed);
    const error = await run(`UPDATE "hash" SET z=1 WHERE pk='c' AND "name"='beta'`, undefined, {
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    }).catch((reason: { Item?: Item }) => reason);
    expect((error as { Item?: Item }).Item).toEqual({ pk: { S: 'c' }, name: { S: 'alpha' } });
    await run(`DELETE FROM "hash" WHERE pk='absent' AND "name"='x'`);
    await run(`UPDATE "hash" SET z=1 WHERE (pk='c' AND "name"='alpha')`);
    expect((await stored('hash', 'c'))?.['z']).toEqual({ N: '1' });
  });

  it.each([
    [
      `UPDATE "composite" SET a=1 WHERE pk='x'`,
      'Where clause does not contain a mandatory equality on all key attributes',
    ],
    [
      `UPDATE "composite" SET a=1 WHERE pk IN ['x'] AND sk='1'`,
      'Where clause does not contain a mandatory equality on all key attributes',
    ],
    [`FROM "hash" SET c = 1`, 'Where clause does not contain a mandatory equality on all key attributes'],
    [
      `DELETE FROM "hash" WHERE pk='a' AND pk='b'`,
      'Multiple conditions on same key pk. Only single item Update/Insert/Delete are supported',
    ],
    [
      `DELETE FROM "hash" WHERE pk='a' RETURNING MODIFIED OLD *`,
      'Invalid returning clause: RETURNING MODIFIED OLD *. Only RETURNING ALL OLD * is allowed in DELETE statements.',
    ],
    [`INSERT INTO "hash" VALUE {'pk':'x','s':<<>>}`, 'Empty bags are not supported'],
    [
      `INSERT INTO "hash" VALUE {'pk':'x','s':<<1,'a'>>}`,
      'Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags',
    ],
    [
      `INSERT INTO "hash" VALUE {'pk':'x','s':<<'a','a'>>}`,
      'One or more parameter values were invalid: Input collection [a, a] contains duplicates.',
    ],
    [
      `INSERT INTO "hash" VALUE {'pk':'x','s':<<2, 2.0>>}`,
      'One or more parameter values were invalid: Input collection [2, 2.0] contains duplicates! under root',
    ],
    [
      `INSERT INTO "hash" VALUE {'pk':'x','m':{'x':1e126}}`,
      'Number overflow. Attempting to store a number with magnitude larger than supported range under root.x',
    ],
    [
      `UPDATE "hash" SET a = 1e-131 WHERE pk='x'`,
      'Number underflow. Attempting to store a number with magnitude smaller than supported range under root',
    ],
    [
      `UPDATE "hash" SET n = 'a' + 1 WHERE pk='x' AND nope='x'`,
      'Incorrect operand type for operator or function; operator or function: +, operand type: S',
    ],
    [
      `UPDATE "hash" SET t = set_add(ss, <<'x'>>) WHERE pk='x'`,
      'The first argument to SET_ADD must equal the assignment value at 1:23:7',
    ],
    [
      `UPDATE "hash" SET ss = set_add(ss, 'x') WHERE pk='x'`,
      'The second argument to SET_ADD must be a value with type SET at 1:32:2',
    ],
    [`UPDATE "hash" SET ss = set_delete(ss) WHERE pk='x'`, 'SET_DELETE must have exactly two arguments at 1:24:10'],
    [
      `INSERT INTO "hash" VALUE {'pk':'x','ss': set_add(<<'a'>>, <<'b'>>)}`,
      'Unsupported data type: set_add under key root at 1:42:7',
    ],
    [
      `UPDATE "hash" SET d = ${"{'a':".repeat(32)}1${'}'.repeat(32)} WHERE pk='x'`,
      `Nesting Levels have exceeded supported limits under root${'.a'.repeat(32)}`,
    ],
  ])('refuses %s', async (statement, message) => {
    expect(await refusal(run(statement))).toBe(`ValidationException: ${message}`);
  });
});

describe('reads', () => {
  beforeAll(async () => {
    for (const sk of ['1', '2', '3']) {
      for (const pk of ['o', 'p']) await put('composite', { pk: { S: pk }, sk: { S: sk }, n: { N: sk } });
    }
    await put('composite', {
      ...{ pk: { S: 'i' }, sk: { S: '1' }, g: { S: 'y' }, l: { S: 'k1' }, shown: { S: 's' }, hidden: { S: 'h' } },
      doc: { M: { k: { L: [{ S: 'c' }] } } },
    });
  });
  const keys = async (where: string, more: Partial<ExecuteStatementCommandInput> = {}) =>
    (await run(`SELECT pk, sk FROM "composite" WHERE ${where}`, undefined, more)).Items!.map(
      ({ pk, sk }) => `${pk!.S}/${sk!.S}`,
    );

  it.each([
    [`pk = 'o' ORDER BY sk DESC`, ['o/3', 'o/2', 'o/1']],
    [`pk = 'o' ORDER BY sk`, ['o/1', 'o/2', 'o/3']],
    [`pk = 'o' ORDER BY pk ASC`, ['o/3', 'o/2', 'o/1']],
    [`pk IN ['o', 'p'] ORDER BY pk DESC, sk ASC`, ['p/1', 'p/2', 'p/3', 'o/1', 'o/2', 'o/3']],
    [`pk = 'o' AND sk BETWEEN '2' AND '3'`, ['o/2', 'o/3']],
    [`pk = 'o' AND sk > '1' AND '3' > sk`, ['o/2']],
    [`pk = 'o' AND (sk = '1' OR sk = '3')`, ['o/1', 'o/3']],
    [`pk = 'o' AND sk IN ['2', '9']`, ['o/2']],
    [`pk = 'o' AND NOT sk = '1' OR pk = 'o' AND sk = '2'`, ['o/2', 'o/3']],
    [`pk = 'o' OR pk = 'o' AND NOT sk = '1'`, ['o/1', 'o/2', 'o/3']],
    [`pk = 'o' AND begins_with(sk, '2') AND n = 2.0`, ['o/2']],
    [`pk = 'o' AND n > -/* sign */-1 -- and a comment`, ['o/2', 'o/3']],
    [`pk = 'o' AND attribute_exists(nope) = false AND (n BETWEEN 0 AND 1) = true`, ['o/1']],
    [`pk = 'i' AND size(hidden) = 1 AND hidden IS STRING AND nope IS MISSING AND contains(hidden, 'h')`, ['i/1']],
  ])('%s', async (where, expected) => {
    expect(await keys(where)).toEqual(expected);
  });

  it('pages through queries and scans', async () => {
    const pages: string[][] = [];
    let NextToken: string | undefined;
    do {
      const statement = `SELECT pk, sk FROM "composite" WHERE pk IN ['o', 'p'] ORDER BY pk DESC`;
      const page = await run(statement, undefined, { Limit: 2, NextToken });
      pages.push(page.Items!.map(({ pk, sk }) => `${pk!.S}/${sk!.S}`));
      NextToken = page.NextToken;
    } while (NextToken !== undefined);
    expect(pages).toEqual([['p/3', 'p/2'], ['p/1', 'o/3'], ['o/2', 'o/1'], []].slice(0, pages.length));
    expect(pages.flat()).toHaveLength(6);
    const first = await run(`SELECT * FROM "composite"`, undefined, { Limit: 1 });
    expect(first.LastEvaluatedKey).toBeDefined();
    expect(await refusal(run(`SELECT * FROM "hash"`, undefined, { NextToken: first.NextToken! }))).toContain(
      'NextToken',
    );
    expect(
      (await run(`SELECT * FROM "composite" WHERE pk='o' AND sk='1'`, undefined, { Limit: 1 })).NextToken,
    ).toBeUndefined();
  });

  it('reads through indexes as far as they hold what is asked for', async () => {
    const one = async (statement: string) => (await run(statement)).Items![0];
    expect(await one(`SELECT * FROM "composite"."some" WHERE g='y'`)).not.toHaveProperty('hidden');
    expect(await one(`SELECT hidden FROM "composite"."local" WHERE pk='i' AND l='k1'`)).toEqual({ hidden: { S: 'h' } });
    expect(await one(`SELECT sk FROM "composite"."all" WHERE pk='i'`)).toEqual({ sk: { S: '1' } });
    expect(await one(`SELECT sk FROM "composite"."local" WHERE hidden='h'`)).toBeUndefined();
    expect(await one(`SELECT doc.k[0] FROM "composite" WHERE pk='i' AND sk='1'`)).toEqual({ 'k[0]': { S: 'c' } });
  });

  it('counts what it consumes', async () => {
    const consumed = async (statement: string, more = {}) =>
      (await run(statement, undefined, { ReturnConsumedCapacity: 'INDEXES', ...more })).ConsumedCapacity;
    expect(await consumed(`SELECT * FROM "composite" WHERE pk='o'`)).toMatchObject({ CapacityUnits: 0.5 });
    expect(await consumed(`SELECT * FROM "composite" WHERE pk='o'`, { ConsistentRead: true })).toMatchObject({
      CapacityUnits: 1,
    });
    expect(await consumed(`SELECT * FROM "composite"."all" WHERE g='y'`)).toMatchObject({
      GlobalSecondaryIndexes: { all: { CapacityUnits: 0.5 } },
    });
    expect(await consumed(`UPDATE "hash" SET z=1 WHERE pk='c'`)).toMatchObject({ CapacityUnits: 1 });
  });

  const overlapping = 'Overlapping conditions with range keys are not supported in where clause';
  const many = (count: number) => Array.from({ length: count }, (_, index) => `'v${index}'`).join(',');
  it.each([
    [`SELECT * FROM "composite" WHERE pk IN ['o','o']`, overlapping],
    [`SELECT * FROM "composite" WHERE pk='o' AND (sk > '0' OR sk < '5')`, overlapping],
    [`SELECT * FROM "composite" WHERE pk='o' AND x <> '1' OR pk='o' AND sk = '2'`, overlapping],
    [
      `SELECT * FROM "composite" WHERE pk = 1 OR pk = 'o'`,
      "Key attribute's data type should match its data type in table's schema: Key pk",
    ],
    [`SELECT * FROM "composite" WHERE pk IN [${many(51)}]`, 'Too many decomposed read operations for a given query.'],
    [
      `SELECT * FROM "composite" WHERE pk='o' AND x IN [${many(101)}]`,
      'The IN operator is provided with too many operands; number of operands: 101',
    ],
    [`SELECT * FROM "composite" ORDER BY sk`, 'Must have WHERE clause in the statement when using ORDER BY clause.'],
    [
      `SELECT * FROM "composite" WHERE pk='o' ORDER BY n`,
      'Attribute n in ORDER BY clause must be part of the primary key',
    ],
    [
      `SELECT * FROM "composite" WHERE pk > 'a' ORDER BY sk`,
      'Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.',
    ],
    [
      `SELECT * FROM "composite" WHERE pk IN ['o','p'] ORDER BY sk`,
      'Must have hash key in ORDER BY clause when more than one hash key condition specified in WHERE clause.',
    ],
    [
      `SELECT hidden, doc FROM "composite"."some" WHERE g='y'`,
      'One or more parameter values were invalid: Global secondary index some does not project [hidden, doc]',
    ],
    [
      `SELECT pk FROM "composite"."some" WHERE g='y' AND (zz='1' OR aa='2' OR mm='3')`,
      'One or more parameter values were invalid: Secondary index some does not project one or more filter attributes: [zz, aa, mm]',
    ],
    [`SELECT * FROM "composite"."none"`, 'The table does not have the specified index'],
    [
      `SELECT * FROM "hash" WHERE pk='a' AND attribute_exists('ss')`,
      'Operator or function requires a document path; operator or function: attribute_exists',
    ],
    [
      `SELECT * FROM "hash" WHERE pk='a' AND attribute_exists(ss, ns)`,
      'Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2',
    ],
    [`SELECT attribute_exists(ss) FROM "hash" WHERE pk='a'`, 'Unexpected path component at 1:8:16'],
    [`SELECT COUNT(*) FROM "hash"`, 'Unexpected path component at 1:8:5'],
    [`SELECT * FROM "hash" WHERE EXISTS(ss)`, 'Unrecognized function: exists at 1:28:6'],
    [
      `SELECT * FROM "hash" WHERE pk='a' AND n < true`,
      'Incorrect operand type for operator or function; operator or function: <, operand type: BOOL',
    ],
    [`SELECT l[-1] FROM "hash" WHERE pk='a'`, 'List index is not within the allowable range; index: [-1] at 1:11:1'],
    [`SELECT * FROM "hash" LIMIT 5`, 'Unsupported clause: LIMIT at 1:28:1'],
    [`SELECT * FROM "hash" t WHERE pk='x'`, 'Aliasing is not supported'],
    [`DELETE FROM "hash" t WHERE pk='x'`, 'Aliasing is not supported'],
    [`x IS DOUBLE PRECISION`, 'Unsupported operation: IsType'],
    [
      `EXISTS(SELECT * FROM "hash" WHERE pk='a' AND x IS MISSING)`,
      'EXISTS can only be used in ExecuteTransaction write requests.',
    ],
    [`SELECT * FROM "hash" WHERE pk = ?`, "Number of parameters in request and statement don't match."],
    [
      `SELECT * FROM "numbers" WHERE pk = 1e126`,
      'Number overflow. Attempting to store a number with magnitude larger than supported range under root',
    ],
  ])('refuses %s', async (statement, message) => {
    expect(await refusal(run(statement))).toBe(`ValidationException: ${message}`);
  });

  it.each([
    [`SLECT * FROM "hash"`, 'Expected data manipulation'],
    [`UPDATE Payment-hash SET a = 1 WHERE pk = 'x'`, 'Expected data manipulation'],
    [`SELECT * FROM "numbers" WHERE pk = 1 foo`, 'Unexpected token after expression'],
    [`SELECT * FROM "numbers" WHERE pk = 1 e5`, 'Unexpected token after expression'],
    [`SELECT * FROM "numbers" WHERE pk = 1)`, 'Unexpected token after expression'],
    [`INSERT INTO "hash" t VALUE {'pk': 'x'}`, 'Unexpected token after expression'],
    [`SELECT * FROM "hash" ORDER BY pk WHERE pk = 'a'`, 'Unexpected token after expression'],
    [`FROM "hash" SET c = 1 WHERE pk = 'a'`, 'Unexpected token after expression'],
    [`SELECT * FROM "hash" WHERE pk = 1e2147483648`, ''],
    [`SELECT * FROM "hash" WHERE pk = 1.5e-2147483647`, ''],
    [`SELECT * FROM "hash" WHERE pk = 1 # note`, ''],
    [`SELECT * FROM "hash" WHERE pk = 1 /* note`, ''],
    [`SELECT * FROM "never" WHERE`, 'Unexpected term'],
    [`SELECT * FROM "hash" WHERE;`, 'Unexpected term'],
    [`SELECT * FROM "hash" WHERE (`, 'Unexpected term'],
    [`SELECT * FROM "hash" WHERE pk = 'p1' AND`, 'Missing right-hand side expression of infix operator'],
    [`SELECT * FROM "hash" WHERE ORDER BY pk`, 'Unexpected keyword'],
    [`SELECT * FROM "hash" WHERE IS NULL`, 'Unexpected operator'],
    [`SELECT * FROM "hash" WHERE pk = LIKE`, 'Unexpected operator'],
    [`SELECT * FROM "hash" WHERE pk = 'a' AND x IS FOO`, 'Expected type name'],
    [`SELECT * FROM "hash" WHERE pk='a' AND attribute_exists(m.inner)`, 'Invalid path dot component'],
    [`DELETE FROM WHERE pk = 'a'`, 'Expected identifier for simple path'],
    [`INSERT INTO urls (pk) VALUES (?)`, 'Unexpected keyword'],
  ])('cannot read %s', async (statement, detail) => {
    expect(await refusal(run(statement))).toBe(notWellFormed + detail);
  });

  it('checks parameters before the statement', async () => {
    const duplicates =
      'ValidationException: One or more parameter values were invalid: Input collection [a, a] contains duplicates.';
    expect(await refusal(run(`UPDATE "hash" SET WHERE`, [{ SS: ['a', 'a'] }]))).toBe(duplicates);
    const unconvertible = 'ValidationException: The parameter cannot be converted to a numeric value';
    const select = `SELECT * FROM "hash" WHERE pk = 'a' AND n = ?`;
    expect(await refusal(run(select, [{ N: '1e2147483648' }]))).toBe(`${unconvertible}: 1e2147483648`);
    expect(await refusal(run(select, [{ N: '' }]))).toBe(unconvertible);
    expect(await refusal(run(select, [{ N: '1e2147483647' }]))).toContain('Number underflow');
    expect(await refusal(run(`INSERT INTO "hash" VALUE {'pk':'p','m':{'k':?}}`, [{ S: 'v' }]))).toBe(
      'ValidationException: Unsupported data type: Parameter under key root.k at 1:45:1',
    );
  });
});

describe('batches', () => {
  it('runs each statement by itself', async () => {
    await put('hash', { pk: { S: 'b1' }, data: { S: 'one' } });
    const { Responses, ConsumedCapacity } = await client.send(
      new BatchExecuteStatementCommand({
        ReturnConsumedCapacity: 'TOTAL',
        Statements: [
          { Statement: `SELECT * FROM "hash" WHERE pk='b1'`, ConsistentRead: true },
          { Statement: `SELECT * FROM "hash" WHERE pk='b2'` },
          { Statement: `SLECT` },
          { Statement: `SELECT * FROM "hash" WHERE data='one'` },
          { Statement: `SELECT * FROM "composite"."all" WHERE g='x'` },
          { Statement: `SELECT * FROM "never" WHERE pk='x'` },
          { Statement: `INSERT INTO "hash" VALUE {'pk':'b1'}` },
          {
            Statement: `UPDATE "hash" SET a=1 WHERE pk='b1' AND data='two'`,
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
          },
          { Statement: `UPDATE "hash" SET data='new' WHERE pk='b1' RETURNING MODIFIED NEW *` },
        ],
      }),
    );
    const primary = 'Select statements within BatchExecuteStatement must specify the primary key in the where clause.';
    expect(Responses).toEqual([
      { TableName: 'hash', Item: { pk: { S: 'b1' }, data: { S: 'one' } } },
      { TableName: 'hash' },
      { Error: { Code: 'ValidationError', Message: `${notWellFormed.slice(21)}Expected data manipulation` } },
      { Error: { Code: 'ValidationError', Message: primary } },
      { Error: { Code: 'ValidationError', Message: primary } },
      { Error: { Code: 'ResourceNotFound', Message: 'Requested resource not found' } },
      { TableName: 'hash', Error: { Code: 'DuplicateItem', Message: 'Duplicate primary key exists in table' } },
      { TableName: 'hash', Error: { Code: 'ConditionalCheckFailed', Message: 'The conditional request failed' } },
      { TableName: 'hash', Item: { data: { S: 'new' } } },
    ]);
    expect(ConsumedCapacity).toEqual([{ TableName: 'hash', CapacityUnits: 2.5 }]);
  });
});

describe('transactions', () => {
  const transact = (statements: string[], more = {}) =>
    client.send(
      new ExecuteTransactionCommand({ TransactStatements: statements.map((Statement) => ({ Statement })), ...more }),
    );

  it('writes all or nothing, once for a token', async () => {
    await put('hash', { pk: { S: 't1' }, n: { N: '0' } });
    const done = await transact([`INSERT INTO "hash" VALUE {'pk':'t2'}`, `UPDATE "hash" SET n = n + 1 WHERE pk='t1'`]);
    expect(done.Responses).toEqual([]);
    const failed = transact([`INSERT INTO "hash" VALUE {'pk':'t3'}`, `INSERT INTO "hash" VALUE {'pk':'t2'}`]);
    expect(await refusal(failed)).toContain('[None, DuplicateItem]');
    expect(await stored('hash', 't3')).toBeUndefined();
    const more = { ClientRequestToken: 'token-1', ReturnConsumedCapacity: 'TOTAL' };
    const first = await transact([`UPDATE "hash" SET n = n + 1 WHERE pk='t1'`], more);
    const again = await transact([`UPDATE "hash" SET n = n + 1 WHERE pk='t1'`], more);
    expect(first.ConsumedCapacity).toMatchObject([{ WriteCapacityUnits: 2 }]);
    expect(again.ConsumedCapacity).toMatchObject([{ ReadCapacityUnits: 2 }]);
    expect((await stored('hash', 't1'))?.['n']).toEqual({ N: '2' });
  });

  it('checks with EXISTS, and reads by key', async () => {
    await put('hash', { pk: { S: 'e1' }, a: { S: 'x' } });
    const touch = `UPDATE "hash" SET touched = 1 WHERE pk='t2'`;
    await transact([`EXISTS(SELECT * FROM "hash" WHERE pk='e1' AND b IS MISSING)`, touch]);
    const failed = transact([`EXISTS(SELECT * FROM "hash" WHERE pk='e1' AND a IS MISSING)`, touch]);
    expect(await refusal(failed)).toContain('[ConditionalCheckFailed, None]');
    const read = await transact([`SELECT a FROM "hash" WHERE pk='e1'`, `SELECT * FROM "hash" WHERE pk='nothing'`]);
    expect(read.Responses).toEqual([{ Item: { a: { S: 'x' } } }, {}]);
  });

  const validation = 'ValidationException: Validation failed in TransactStatements[0]: ';
  const key = `pk='o' AND sk='1'`;
  it.each([
    [
      [`SELECT * FROM "composite" WHERE pk='o'`],
      `${validation}Select statements within ExecuteTransaction must specify the primary key in the where clause.`,
    ],
    [
      [`SELECT * FROM "composite" WHERE ${key} AND flag='x'`],
      `${validation}Select statements within ExecuteTransaction must specify the primary key in the where clause.`,
    ],
    [
      [`SELECT * FROM "composite"."all" WHERE g='x'`],
      `${validation}Reads on indices are not supported within transactions.`,
    ],
    [
      [`UPDATE "composite" SET a=1 WHERE ${key} RETURNING ALL NEW *`],
      `${validation}RETURNING clause is not supported in ExecuteTransaction.`,
    ],
    [
      [`EXISTS(SELECT * FROM "composite" WHERE ${key})`, `UPDATE "composite" SET a=1 WHERE ${key}`],
      `${validation}EXISTS() must contain a single item read with additional condition`,
    ],
    [[`SELECT * FROM "composite" WHERE`], `${validation}${notWellFormed.slice(21)}Unexpected term`],
    [
      [`SELECT * FROM "composite" WHERE ${key}`, `UPDATE "composite" SET a=1 WHERE ${key}`],
      'ValidationException: ExecuteTransaction API does not support both read and write operations in the same request.',
    ],
    [
      [`SELECT * FROM "composite" WHERE ${key}`, `SELECT pk FROM "composite" WHERE ${key}`],
      'ValidationException: Transaction request cannot include multiple operations on one item',
    ],
    [
      [`UPDATE "composite" SET a=1 WHERE pk='o'`, `UPDATE "composite" SET a=1 WHERE ${key}`],
      'TransactionCanceledException: Transaction cancelled, please refer cancellation reasons for specific reasons [ValidationError, None]',
    ],
    [
      [`SELECT * FROM "composite" WHERE pk='o' AND sk=1`],
      'TransactionCanceledException: Transaction cancelled, please refer cancellation reasons for specific reasons [ValidationError]',
    ],
    [
      [`UPDATE "never" SET a=1 WHERE ${key}`, `DELETE FROM "composite" WHERE ${key}`],
      'TransactionCanceledException: Transaction cancelled, please refer cancellation reasons for specific reasons [ResourceNotFound, None]',
    ],
  ])('refuses %s', async (statements, message) => {
    expect(await refusal(transact(statements))).toBe(message);
  });
});
