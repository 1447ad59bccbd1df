import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import type { Input, OperationName, Output } from '../../platform/context.ts';
import { serviceCaller } from '../../platform/context.ts';
import type { AwsError } from '../../wire/errors.ts';
import { createModelTable, TableName } from './test-model.ts';

/** What collides with a transaction under way: in process, so that requests are surely there at the same time. */
let cloud: TestCloud;
const caller = serviceCaller('test', '000000000000', 'us-east-1');
const call = <O extends OperationName<'dynamodb'>>(operation: O, input: Input<'dynamodb', O>) =>
  cloud.cloud.platform.bus.call(caller, 'dynamodb', operation, input) as Promise<Output<'dynamodb', O>>;

beforeAll(async () => {
  cloud = await startTestCloud({ engine: 'lmdb', services: ['dynamodb'] });
  await createModelTable(call);
});
afterAll(() => cloud.close());

const keyOf = (pk: string) => ({ pk: { S: pk }, sk: { N: '0' } });
const put = (pk: string) => ({ Put: { TableName, Item: keyOf(pk) } });
const refusal = (promise: Promise<unknown>): Promise<AwsError> =>
  promise.then(
    () => {
      throw new Error('it was not refused');
    },
    (error: AwsError) => error,
  );

/** Begins a transaction and waits until it has its items in its hands. */
async function begin(token: string, ...names: string[]): Promise<{ readonly done: Promise<unknown> }> {
  const done = call('TransactWriteItems', { TransactItems: names.map(put), ClientRequestToken: token });
  // It has read its token, and not yet been written to disk.
  await new Promise((resolve) => setImmediate(resolve));
  return { done };
}

it('writes, transactions and reads of its items conflict with a transaction under way', async () => {
  const first = await begin('one', 'a', 'b');
  const conflict = { code: 'TransactionConflictException', message: 'Transaction is ongoing for the item' };
  const [written, transacted, read] = await Promise.all([
    refusal(call('PutItem', { TableName, Item: keyOf('a') })),
    refusal(call('TransactWriteItems', { TransactItems: [put('c'), put('b')] })),
    refusal(call('TransactGetItems', { TransactItems: [{ Get: { TableName, Key: keyOf('a') } }] })),
  ]);
  expect(written).toMatchObject(conflict);
  expect(transacted).toMatchObject({
    code: 'TransactionCanceledException',
    fields: { CancellationReasons: [{ Code: 'None' }, { Code: 'TransactionConflict', Message: conflict.message }] },
  });
  expect(read.message).toContain('[TransactionConflict]');
  await first.done;
  await call('PutItem', { TableName, Item: keyOf('a') });
});

it('a token in use is in progress, or used otherwise', async () => {
  const first = await begin('two', 'd', 'e');
  const [again, other] = await Promise.all([
    refusal(call('TransactWriteItems', { TransactItems: [put('d'), put('e')], ClientRequestToken: 'two' })),
    refusal(call('TransactWriteItems', { TransactItems: [put('f')], ClientRequestToken: 'two' })),
  ]);
  expect(again.code).toBe('TransactionInProgressException');
  expect(other.code).toBe('IdempotentParameterMismatchException');
  await first.done;
  await call('TransactWriteItems', { TransactItems: [put('d'), put('e')], ClientRequestToken: 'two' });
});

it('refuses empty keys as a whole, and wrong ones by cancelling', async () => {
  const empty = await refusal(call('TransactWriteItems', { TransactItems: [put('g'), put('')] }));
  expect(empty).toMatchObject({
    code: 'ValidationException',
    message:
      'One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk',
  });
  const wrong = { Put: { TableName, Item: { pk: { N: '5' }, sk: { N: '0' } } } };
  expect((await refusal(call('TransactWriteItems', { TransactItems: [put('g'), wrong] }))).message).toContain(
    '[None, ValidationError]',
  );
  const batch = call('BatchWriteItem', {
    RequestItems: { [TableName]: [{ PutRequest: { Item: { pk: { N: '5' } } } }] },
  });
  expect((await refusal(batch)).message).toBe('The provided key element does not match the schema');
});
