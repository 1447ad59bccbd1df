import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { createRandom } from '../../kernel/random/random.ts';
import { serviceCaller } from '../../platform/context.ts';
import { AwsError } from '../../wire/errors.ts';
import { type Call, createModelTable, type Item, plain, TableName, World } from './test-model.ts';

/**
 * Random operations against a table with a local and two global indexes, held against a map in memory: 50,000 a run. The
 * seed stands in each test's name.
 */
const share = 24_000;

describe.each([
  ['memory', 1, share],
  ['memory', 2, share],
  ['lmdb', 3, 2_000],
] as const)('DynamoDB on %s, seed %i, as a simple model', (engine, seed, operations) => {
  let cloud: TestCloud;
  let call: Call;

  beforeAll(async () => {
    cloud = await startTestCloud({ engine, services: ['dynamodb'], limits: 'relaxed' });
    const { bus } = cloud.cloud.platform;
    const caller = serviceCaller('test', '000000000000', 'us-east-1');
    call = (operation, input) => bus.call(caller, 'dynamodb', operation, input);
    await createModelTable(call);
  });
  afterAll(() => cloud.close());

  it(`agrees over ${operations} operations`, { timeout: 120_000 }, async () => {
    const world = new World(createRandom(seed), call);
    for (let step = 0; step < operations; step++) await world.step();
    await world.checkWhole();
  });

  it('agrees after increments from all sides', async () => {
    const Key = { pk: { S: 'counter' }, sk: { N: '0' } };
    const increment = (): Promise<unknown> =>
      call('UpdateItem', {
        TableName,
        Key,
        UpdateExpression: 'ADD n :one',
        ExpressionAttributeValues: { ':one': { N: '1' } },
      });
    await Promise.all(Array.from({ length: 200 }, increment));
    const got = await call('GetItem', { TableName, Key, ConsistentRead: true });
    expect(plain(got.Item)).toMatchObject({ n: { N: '200' } });
  });

  it('lets one of many create an item', async () => {
    const create = async (by: number): Promise<boolean> => {
      try {
        await call('PutItem', {
          TableName,
          Item: { pk: { S: 'lock' }, sk: { N: '0' }, by: { N: String(by) } },
          ConditionExpression: 'attribute_not_exists(pk)',
        });
        return true;
      } catch (error) {
        if (error instanceof AwsError && error.code === 'ConditionalCheckFailedException') return false;
        throw error;
      }
    };
    const outcomes = await Promise.all(Array.from({ length: 50 }, (_, by) => create(by)));
    expect(outcomes.filter(Boolean)).toHaveLength(1);
    const got = await call('GetItem', { TableName, Key: { pk: { S: 'lock' }, sk: { N: '0' } } });
    expect(plain(got.Item)?.['by']).toEqual({ N: String(outcomes.indexOf(true)) });
  });

  it('keeps transfers whole', async () => {
    const accounts = ['a', 'b', 'c', 'd'].map((name) => ({ pk: { S: `account-${name}` }, sk: { N: '0' } }));
    for (const account of accounts) await call('PutItem', { TableName, Item: { ...account, n: { N: '100' } } });
    const random = createRandom(seed);
    const change = (Key: Item, sign: '+' | '-') => ({
      Update: {
        TableName,
        Key,
        UpdateExpression: `SET n = n ${sign} :amount`,
        ConditionExpression: sign === '-' ? 'n >= :amount' : 'attribute_exists(n)',
        ExpressionAttributeValues: { ':amount': { N: '30' } },
      },
    });
    const transfer = async (): Promise<void> => {
      const from = random.integer(accounts.length);
      const to = (from + 1 + random.integer(accounts.length - 1)) % accounts.length;
      const TransactItems = [change(accounts[from]!, '-'), change(accounts[to]!, '+')];
      await call('TransactWriteItems', { TransactItems }).catch((error: unknown) => {
        if (!(error instanceof AwsError) || error.code !== 'TransactionCanceledException') throw error;
      });
    };
    await Promise.all(Array.from({ length: 100 }, transfer));
    const { Responses } = await call('TransactGetItems', {
      TransactItems: accounts.map((Key) => ({ Get: { TableName, Key } })),
    });
    const amounts = Responses!.map(({ Item }) => Number(plain(Item)!['n']!.N));
    expect(amounts.reduce((sum, amount) => sum + amount, 0)).toBe(400);
    expect(Math.min(...amounts)).toBeGreaterThanOrEqual(0);
  });
});
