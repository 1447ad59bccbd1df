import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { startCloud } from '../../src/cloud.ts';
import { createRandom } from '../../src/kernel/random/random.ts';
import { serviceCaller } from '../../src/platform/context.ts';
import { accounts, type Call, type Item, keyOf, table, type Write, writers } from './tables-workload.ts';

/**
 * The process that is killed: a cloud on LMDB under mixed writes of a table. Before each write it says what the item is to become,
 * and after it that it was acknowledged, as lines of JSON on its standard output.
 */
const { values: options } = parseArgs({
  options: { path: { type: 'string' }, round: { type: 'string', default: '0' }, seed: { type: 'string', default: '' } },
});

const quiet = { info: () => {}, warn: () => {}, error: () => {} };
const cloud = await startCloud({
  log: quiet,
  store: { engine: 'lmdb', directory: options.path! },
  services: ['dynamodb'],
  limits: 'relaxed',
});
await cloud.ready();
const caller = serviceCaller('test', '000000000000', 'us-east-1');
const call: Call = (operation, input) => cloud.platform.bus.call(caller, 'dynamodb', operation, input);
if (options.round === '0') await prepare();
await Promise.all([...Array.from({ length: writers }, (_, writer) => writeOn(writer)), transfer()]);

async function prepare(): Promise<void> {
  await call('CreateTable', table);
  for (;;) {
    const { Table } = await call('DescribeTable', { TableName: table.TableName });
    if (Table?.TableStatus === 'ACTIVE') break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  for (const Key of accounts) await call('PutItem', { TableName: table.TableName, Item: { ...Key, n: { N: '100' } } });
}

/** Until killed. Each writer has items of its own, so that it knows what they are. */
async function writeOn(writer: number): Promise<void> {
  const random = createRandom(`${options.seed} ${options.round} ${writer}`);
  const { TableName } = table;
  for (let turn = 0; ; turn++) {
    const names = [random.integer(10), 10 + random.integer(10), 20 + random.integer(10)];
    const items = names.map((number): Item => {
      const n = { N: String(turn) };
      const big = random.integer(9) === 0 ? { big: { S: 'x'.repeat(9_000) } } : {};
      const g = random.integer(3) === 0 ? {} : { g: { S: `g${random.integer(4)}` } };
      return { ...keyOf(writer, number), ...g, l: { S: `l${random.integer(5)}` }, n, ...big };
    });
    const [one, two, three] = items as [Item, Item, Item];
    const key = keyOf(writer, names[0]!);
    switch (random.integer(5)) {
      case 0:
        await report(writer, [[key, one]], () => call('PutItem', { TableName, Item: one }));
        break;
      case 1:
        await report(writer, [[key, undefined]], () => call('DeleteItem', { TableName, Key: key }));
        break;
      case 2:
        await report(
          writer,
          [[key, { ...key, l: one['l']!, n: one['n']! }]],
          async () => {
            await call('DeleteItem', { TableName, Key: key });
            const values = { ':l': one['l']!, ':n': one['n']! };
            const UpdateExpression = 'SET l = :l, n = :n';
            await call('UpdateItem', { TableName, Key: key, UpdateExpression, ExpressionAttributeValues: values });
          },
          true,
        );
        break;
      case 3:
        await report(
          writer,
          [
            [keyOf(writer, names[0]!), one],
            [keyOf(writer, names[1]!), two],
            [keyOf(writer, names[2]!), undefined],
          ],
          () =>
            call('TransactWriteItems', {
              TransactItems: [
                { Put: { TableName, Item: one } },
                { Put: { TableName, Item: two } },
                { Delete: { TableName, Key: keyOf(writer, names[2]!) } },
              ],
            }),
        );
        break;
      default:
        await report(
          writer,
          [
            [keyOf(writer, names[1]!), two],
            [keyOf(writer, names[2]!), three],
          ],
          () =>
            call('BatchWriteItem', {
              RequestItems: { [TableName]: [two, three].map((Item) => ({ PutRequest: { Item } })) },
            }),
        );
    }
  }
}

/** Moves amounts between accounts; the sum stays. */
async function transfer(): Promise<void> {
  const random = createRandom(`${options.seed} ${options.round} transfer`);
  for (;;) {
    const from = random.integer(accounts.length);
    const to = (from + 1) % accounts.length;
    const change = (Key: Item, sign: '+' | '-') => ({
      Update: {
        TableName: table.TableName,
        Key,
        UpdateExpression: `SET n = n ${sign} :n`,
        ExpressionAttributeValues: { ':n': { N: '7' } },
      },
    });
    await call('TransactWriteItems', { TransactItems: [change(accounts[from]!, '-'), change(accounts[to]!, '+')] });
  }
}

/** `inSteps`: the item may be found gone as well. */
async function report(
  writer: number,
  changes: readonly (readonly [Item, Item | undefined])[],
  run: () => Promise<unknown>,
  inSteps = false,
): Promise<void> {
  const write: Write = { writer, changes: changes.map(([key, item]) => ({ key, ...(item && { item }) })), inSteps };
  writeSync(1, `${JSON.stringify({ kind: 'begun', ...write })}\n`);
  await run();
  writeSync(1, `${JSON.stringify({ kind: 'done', writer })}\n`);
}
