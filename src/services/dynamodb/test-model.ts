import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Random } from '../../kernel/random/random.ts';
import type { Input, OperationName, Output } from '../../platform/context.ts';
import type { AwsError } from '../../wire/errors.ts';
import { RawJson } from '../../wire/raw-json.ts';
import type { AttributeValue } from '../../wire/types/dynamodb.ts';

/**
 * What the randomised tests hold DynamoDB against: a map in memory that knows nothing of hashes, entries or pages, and a table
 * with a local and two global indexes.
 */
export type Item = Record<string, AttributeValue>;

export const TableName = 'model';

export type Call = <O extends OperationName<'dynamodb'>>(
  operation: O,
  input: Input<'dynamodb', O>,
) => Promise<Output<'dynamodb', O>>;

/** Creates the table and waits until it can be used. */
export async function createModelTable(call: Call): Promise<void> {
  await call('CreateTable', table);
  for (let waited = 0; waited < 200; waited++) {
    const { Table } = await call('DescribeTable', { TableName });
    if (Table?.TableStatus === 'ACTIVE') return;
    await delay(20);
  }
  throw new Error('the table did not become active');
}

const table: Input<'dynamodb', 'CreateTable'> = {
  TableName,
  BillingMode: 'PAY_PER_REQUEST',
  AttributeDefinitions: [
    { AttributeName: 'pk', AttributeType: 'S' },
    { AttributeName: 'sk', AttributeType: 'N' },
    { AttributeName: 'l', AttributeType: 'S' },
    { AttributeName: 'g', AttributeType: 'S' },
    { AttributeName: 'b', AttributeType: 'B' },
  ],
  KeySchema: [
    { AttributeName: 'pk', KeyType: 'HASH' },
    { AttributeName: 'sk', KeyType: 'RANGE' },
  ],
  LocalSecondaryIndexes: [
    {
      IndexName: 'local',
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'l', KeyType: 'RANGE' },
      ],
      Projection: { ProjectionType: 'INCLUDE', NonKeyAttributes: ['n'] },
    },
  ],
  GlobalSecondaryIndexes: [
    {
      IndexName: 'global',
      KeySchema: [
        { AttributeName: 'g', KeyType: 'HASH' },
        { AttributeName: 'b', KeyType: 'RANGE' },
      ],
      Projection: { ProjectionType: 'ALL' },
    },
    {
      IndexName: 'keys',
      KeySchema: [{ AttributeName: 'l', KeyType: 'HASH' }],
      Projection: { ProjectionType: 'KEYS_ONLY' },
    },
  ],
};

interface Index {
  readonly name: string | undefined;
  readonly hash: string;
  readonly range: string | undefined;
  /** Undefined: all. */
  readonly holds: readonly string[] | undefined;
}

const indexes: readonly Index[] = [
  { name: undefined, hash: 'pk', range: 'sk', holds: undefined },
  { name: 'local', hash: 'pk', range: 'l', holds: ['pk', 'sk', 'l', 'n'] },
  { name: 'global', hash: 'g', range: 'b', holds: undefined },
  { name: 'keys', hash: 'l', range: undefined, holds: ['pk', 'sk', 'l'] },
];

export class World {
  readonly #random: Random;
  readonly #call: Call;
  readonly #items = new Map<string, Item>();

  constructor(random: Random, call: Call) {
    this.#random = random;
    this.#call = call;
  }

  async step(): Promise<void> {
    const steps = [
      () => this.#put(),
      () => this.#put(),
      () => this.#update(),
      () => this.#update(),
      () => this.#remove(),
      () => this.#get(),
      () => this.#query(),
      () => this.#query(),
      () => this.#scan(),
      () => this.#batch(),
      () => this.#transact(),
      () => this.#partiqlWrite(),
      () => this.#partiqlRead(),
    ];
    await this.#pick(steps)();
  }

  async checkWhole(): Promise<void> {
    for (const index of indexes) {
      const found = await this.#pages('Scan', { TableName, IndexName: index.name });
      const expected = this.#indexed(index).map((item) => viewOf(item, index));
      expect(sorted(found)).toEqual(sorted(expected));
    }
    const { Table } = await this.#call('DescribeTable', { TableName });
    expect(Table!.ItemCount).toBe(this.#items.size);
    const described = [...Table!.LocalSecondaryIndexes!, ...Table!.GlobalSecondaryIndexes!];
    for (const { IndexName, ItemCount } of described) {
      const index = indexes.find(({ name }) => name === IndexName)!;
      expect(ItemCount).toBe(this.#indexed(index).length);
    }
  }

  async #put(): Promise<void> {
    const item = this.#item();
    const old = this.#items.get(nameOf(item));
    const isGuarded = this.#chance(0.3);
    const put = this.#call('PutItem', {
      TableName,
      Item: item,
      ReturnValues: 'ALL_OLD',
      ...(isGuarded ? { ConditionExpression: 'attribute_not_exists(pk)' } : {}),
    });
    if (isGuarded && old !== undefined) return expectFailedCondition(put);
    expect(plain((await put).Attributes)).toEqual(old);
    this.#items.set(nameOf(item), item);
  }

  async #update(): Promise<void> {
    const key = this.#key();
    const old = this.#items.get(nameOf(key));
    const l = this.#text();
    const isGuarded = this.#chance(0.3);
    const isRemoval = this.#chance(0.3);
    const update = this.#call('UpdateItem', {
      TableName,
      Key: key,
      UpdateExpression: isRemoval ? 'REMOVE l, g ADD n :n' : 'SET l = :l ADD n :n',
      ConditionExpression: isGuarded ? 'n < :most' : undefined,
      ExpressionAttributeValues: {
        ':n': { N: '3' },
        ...(isRemoval ? {} : { ':l': { S: l } }),
        ...(isGuarded ? { ':most': { N: '50' } } : {}),
      },
      ReturnValues: 'ALL_NEW',
    });
    const n = old?.['n']?.N;
    if (isGuarded && !(n !== undefined && Number(n) < 50)) return expectFailedCondition(update);
    const next: Item = { ...(old ?? key), n: { N: String(Number(n ?? 0) + 3) } };
    if (isRemoval) {
      delete next['l'];
      delete next['g'];
    } else next['l'] = { S: l };
    expect(plain((await update).Attributes)).toEqual(next);
    this.#items.set(nameOf(key), next);
  }

  async #remove(): Promise<void> {
    const key = this.#key();
    const gone = await this.#call('DeleteItem', { TableName, Key: key, ReturnValues: 'ALL_OLD' });
    expect(plain(gone.Attributes)).toEqual(this.#items.get(nameOf(key)));
    this.#items.delete(nameOf(key));
  }

  async #get(): Promise<void> {
    const key = this.#key();
    const got = await this.#call('GetItem', { TableName, Key: key });
    expect(plain(got.Item)).toEqual(this.#items.get(nameOf(key)));
  }

  async #query(): Promise<void> {
    const index = this.#pick(indexes);
    const hash = this.#valueOf(index.hash);
    const condition = index.range === undefined ? always : this.#condition(index.range);
    const isBackward = this.#chance(0.5);
    const minimum = this.#integer(60);
    const isFiltered = this.#chance(0.3) && index.holds === undefined;
    const found = await this.#pages('Query', {
      TableName,
      IndexName: index.name,
      KeyConditionExpression: `#h = :h${condition.text}`,
      ExpressionAttributeNames: { '#h': index.hash, ...(condition.text === '' ? {} : { '#r': index.range! }) },
      ExpressionAttributeValues: {
        ':h': hash,
        ...condition.values,
        ...(isFiltered ? { ':minimum': { N: String(minimum) } } : {}),
      },
      FilterExpression: isFiltered ? 'n >= :minimum' : undefined,
      ScanIndexForward: !isBackward,
      Limit: this.#chance(0.5) ? 1 + this.#integer(5) : undefined,
    });
    const expected = this.#indexed(index)
      .filter((item) => JSON.stringify(item[index.hash]) === JSON.stringify(hash))
      .filter((item) => index.range === undefined || condition.holds(item[index.range]!))
      .filter((item) => !isFiltered || Number(item['n']?.N ?? Number.NaN) >= minimum);
    expect(sorted(found)).toEqual(sorted(expected.map((item) => viewOf(item, index))));
    if (index.range === undefined) return;
    for (let position = 1; position < found.length; position++) {
      const order = compare(found[position - 1]![index.range]!, found[position]![index.range]!);
      expect(isBackward ? -order : order).toBeLessThanOrEqual(0);
    }
  }

  async #scan(): Promise<void> {
    const index = this.#pick(indexes);
    const total = 1 + this.#integer(4);
    const found: Item[] = [];
    const Limit = this.#chance(0.5) ? 5 + this.#integer(50) : undefined;
    for (let segment = 0; segment < total; segment++) {
      const input = { TableName, IndexName: index.name, Segment: segment, TotalSegments: total, Limit };
      found.push(...(await this.#pages('Scan', input)));
    }
    expect(sorted(found)).toEqual(sorted(this.#indexed(index).map((item) => viewOf(item, index))));
  }

  async #batch(): Promise<void> {
    const writes = new Map<string, Item | undefined>();
    const keys = new Map<string, Item>();
    for (let count = this.#integer(8); count >= 0; count--) {
      const item = this.#item();
      keys.set(nameOf(item), { pk: item['pk']!, sk: item['sk']! });
      writes.set(nameOf(item), this.#chance(0.6) ? item : undefined);
    }
    const requests = [...writes].map(([name, item]) =>
      item === undefined ? { DeleteRequest: { Key: keys.get(name)! } } : { PutRequest: { Item: item } },
    );
    await this.#call('BatchWriteItem', { RequestItems: { [TableName]: requests } });
    for (const [name, item] of writes) {
      if (item === undefined) this.#items.delete(name);
      else this.#items.set(name, item);
    }
    const { Responses } = await this.#call('BatchGetItem', {
      RequestItems: { [TableName]: { Keys: [...keys.values()] } },
    });
    const expected = [...keys.keys()].map((name) => this.#items.get(name)).filter((item) => item !== undefined);
    const found = Responses![TableName]! as readonly (Item | RawJson)[];
    expect(sorted(found.map((item) => plain(item)!))).toEqual(sorted(expected));
  }

  /** Puts, updates, deletions and checks in one, of which one may fail its condition. */
  async #transact(): Promise<void> {
    const items = new Map<string, Item>();
    for (let count = this.#integer(4); count >= 0; count--) {
      const item = this.#item();
      items.set(nameOf(item), item);
    }
    const guarded = this.#pick([...items.keys()]);
    const after = new Map<string, Item | undefined>();
    const TransactItems = [...items].map(([name, item]) => {
      const old = this.#items.get(name);
      const Key = { pk: item['pk']!, sk: item['sk']! };
      const condition =
        name === guarded
          ? {
              ConditionExpression: 'attribute_not_exists(n) OR n < :n',
              ExpressionAttributeValues: { ':n': { N: '40' } },
            }
          : {};
      const kind = this.#integer(4);
      if (kind === 0) {
        after.set(name, undefined);
        return { Delete: { TableName, Key, ...condition } };
      }
      if (kind === 1 && name === guarded) {
        return {
          ConditionCheck: { TableName, Key, ...condition, ConditionExpression: condition.ConditionExpression! },
        };
      }
      if (kind === 2) {
        after.set(name, { ...(old ?? Key), l: { S: 'moved' } });
        const values = { ...condition.ExpressionAttributeValues, ':l': { S: 'moved' } };
        return {
          Update: { TableName, Key, UpdateExpression: 'SET l = :l', ...condition, ExpressionAttributeValues: values },
        };
      }
      after.set(name, item);
      return { Put: { TableName, Item: item, ...condition } };
    });
    const n = this.#items.get(guarded)?.['n']?.N;
    const mayFail = n !== undefined && Number(n) >= 40;
    const done = this.#call('TransactWriteItems', { TransactItems });
    if (mayFail) {
      const codes = [...items.keys()].map((name) => (name === guarded ? 'ConditionalCheckFailed' : 'None'));
      const error = await done.then(
        () => undefined,
        (reason: unknown) => reason as AwsError,
      );
      expect(error?.message).toContain(`[${codes.join(', ')}]`);
    } else {
      await done;
      for (const [name, item] of after) this.#become(name, item);
    }
    const { Responses } = await this.#call('TransactGetItems', {
      TransactItems: [...items.values()].map((item) => ({
        Get: { TableName, Key: { pk: item['pk']!, sk: item['sk']! } },
      })),
    });
    expect(Responses!.map((response) => plain(response.Item))).toEqual(
      [...items.keys()].map((name) => this.#items.get(name)),
    );
  }

  #become(name: string, item: Item | undefined): void {
    if (item === undefined) this.#items.delete(name);
    else this.#items.set(name, item);
  }

  async #partiqlWrite(): Promise<void> {
    const item = this.#item();
    const name = nameOf(item);
    const old = this.#items.get(name);
    const where = `WHERE pk = ${literal(item['pk']!)} AND sk = ${literal(item['sk']!)}`;
    const kind = this.#integer(3);
    if (kind === 0) {
      const Parameters: AttributeValue[] = [];
      const members = Object.entries(item).map(([attribute, value]) => {
        if (value.B === undefined && this.#chance(0.7)) return `'${attribute}': ${literal(value)}`;
        Parameters.push(value);
        return `'${attribute}': ?`;
      });
      const done = this.#execute(`INSERT INTO "${TableName}" VALUE {${members.join(', ')}}`, Parameters);
      if (old !== undefined) {
        await expect(done).rejects.toMatchObject({ code: 'DuplicateItemException' });
        return;
      }
      await done;
      this.#items.set(name, item);
    } else if (kind === 1) {
      const minimum = this.#integer(60);
      const l = { S: this.#text() };
      const done = this.#execute(
        `UPDATE "${TableName}" SET l = ${literal(l)} REMOVE g ${where} AND n >= ${minimum} RETURNING ALL NEW *`,
      );
      if (old === undefined || !(Number(old['n']?.N ?? Number.NaN) >= minimum)) return expectFailedCondition(done);
      const next: Item = { ...old, l };
      delete next['g'];
      expect((await done).Items!.map((row) => plain(row))).toEqual([next]);
      this.#items.set(name, next);
    } else {
      const gone = await this.#execute(`DELETE FROM "${TableName}" ${where} RETURNING ALL OLD *`);
      expect(gone.Items!.map((row) => plain(row))).toEqual(old === undefined ? [] : [old]);
      this.#items.delete(name);
    }
  }

  async #partiqlRead(): Promise<void> {
    const index = this.#pick(indexes);
    const hashes = [...new Map([this.#valueOf(index.hash), this.#valueOf(index.hash)].map((v) => [v.S, v])).values()];
    const [one] = [this.#valueOf('sk')];
    const minimum = this.#integer(80);
    const isKeyed = this.#chance(0.7);
    const onSort = isKeyed && index.range === 'sk' && this.#chance(0.5);
    const isFiltered = index.holds === undefined && this.#chance(0.5);
    const terms = [
      ...(isKeyed ? [`${index.hash} IN [${hashes.map(literal).join(', ')}]`] : [`${index.hash} <> 'none'`]),
      ...(onSort ? [`${literal(one!)} < sk`] : []),
      ...(isFiltered ? [`NOT (n < ${minimum} OR n IS MISSING)`] : []),
    ];
    const from = index.name === undefined ? `"${TableName}"` : `"${TableName}"."${index.name}"`;
    const found: Item[] = [];
    let NextToken: string | undefined;
    const Limit = this.#chance(0.5) ? 1 + this.#integer(7) : undefined;
    do {
      const page = await this.#call('ExecuteStatement', {
        Statement: `SELECT * FROM ${from} WHERE ${terms.join(' AND ')}`,
        Limit,
        NextToken,
      });
      found.push(...page.Items!.map((item) => plain(item)!));
      NextToken = page.NextToken;
    } while (NextToken !== undefined);
    const expected = this.#indexed(index)
      .filter((item) => !isKeyed || hashes.some(({ S }) => item[index.hash]!.S === S))
      .filter((item) => !onSort || compare(item['sk']!, one!) > 0)
      .filter((item) => !isFiltered || Number(item['n']?.N ?? Number.NaN) >= minimum);
    expect(sorted(found)).toEqual(sorted(expected.map((item) => viewOf(item, index))));
  }

  #execute(Statement: string, Parameters: readonly AttributeValue[] = []) {
    return this.#call('ExecuteStatement', { Statement, ...(Parameters.length > 0 && { Parameters }) });
  }

  async #pages(operation: 'Query' | 'Scan', input: Input<'dynamodb', 'Query'>): Promise<Item[]> {
    const found: Item[] = [];
    let ExclusiveStartKey: Item | undefined;
    do {
      const page = await this.#call(operation, { ...input, ExclusiveStartKey });
      const items = page.Items!.map((item) => plain(item)!);
      expect(page.Count).toBe(items.length);
      if (input.Limit !== undefined) expect(page.ScannedCount).toBeLessThanOrEqual(input.Limit);
      found.push(...items);
      ExclusiveStartKey = page.LastEvaluatedKey as Item | undefined;
    } while (ExclusiveStartKey !== undefined);
    return found;
  }

  #indexed({ hash, range }: Index): readonly Item[] {
    return [...this.#items.values()].filter((item) => item[hash] && (range === undefined || item[range]));
  }

  /** A condition on a sort key, in DynamoDB's words and in this model's. */
  #condition(range: string): Condition {
    const [one, two] = [this.#valueOf(range), this.#valueOf(range)];
    const values = { ':a': one };
    const cases: readonly Condition[] = [
      always,
      { text: ' AND #r = :a', values, holds: (value) => compare(value, one) === 0 },
      { text: ' AND #r < :a', values, holds: (value) => compare(value, one) < 0 },
      { text: ' AND #r <= :a', values, holds: (value) => compare(value, one) <= 0 },
      { text: ' AND #r > :a', values, holds: (value) => compare(value, one) > 0 },
      { text: ' AND #r >= :a', values, holds: (value) => compare(value, one) >= 0 },
      {
        text: ' AND #r BETWEEN :a AND :b',
        values: compare(one, two) <= 0 ? { ':a': one, ':b': two } : { ':a': two, ':b': one },
        holds: (value) => compare(value, one) * compare(value, two) <= 0,
      },
      ...(range === 'sk'
        ? []
        : [
            {
              text: ' AND begins_with(#r, :a)',
              values,
              holds: (value: AttributeValue) => bytesOf(value).subarray(0, bytesOf(one).length).equals(bytesOf(one)),
            },
          ]),
    ];
    return this.#pick(cases);
  }

  #item(): Item {
    return {
      ...this.#key(),
      ...(this.#chance(0.7) ? { l: this.#valueOf('l') } : {}),
      ...(this.#chance(0.7) ? { g: this.#valueOf('g') } : {}),
      ...(this.#chance(0.7) ? { b: this.#valueOf('b') } : {}),
      ...(this.#chance(0.8) ? { n: { N: String(this.#integer(80)) } } : {}),
      ...(this.#chance(0.3) ? { big: { S: 'x'.repeat(this.#integer(500)) } } : {}),
    };
  }

  #key(): Item {
    return { pk: this.#valueOf('pk'), sk: this.#valueOf('sk') };
  }

  #valueOf(name: string): AttributeValue {
    if (name === 'sk') return { N: this.#pick(numbers) };
    if (name === 'b') return { B: this.#pick(binaries).toString('base64') };
    return { S: name === 'l' ? this.#text() : `${name}${this.#integer(3)}` };
  }

  #text(): string {
    return this.#pick(texts);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#integer(from.length)]!;
  }

  #integer(bound: number): number {
    return this.#random.integer(bound);
  }

  #chance(share: number): boolean {
    return this.#random.float() < share;
  }
}

interface Condition {
  readonly text: string;
  readonly values: Item;
  readonly holds: (value: AttributeValue) => boolean;
}

const always: Condition = { text: '', values: {}, holds: () => true };

// In canonical form, so that what is put is what comes back; what sorts surprisingly is among them.
const numbers = [
  '0',
  '-1',
  '1',
  '9',
  '10',
  '-10',
  '99.5',
  '100',
  '-0.001',
  '12345678901234567890.5',
  '-123456789012345',
];
const texts = ["it's", 'a', 'ab', 'abc', 'b', 'B', 'é', '\u{ffee}', '\u{1f600}', 'a\0', 'a\0b', ' '];
const binaries = [[0], [0, 0], [0, 255], [1], [255], [255, 255], [255, 0], [128, 1]].map((bytes) => Buffer.from(bytes));

/** A value in PartiQL's words. */
function literal({ S, N }: AttributeValue): string {
  return S === undefined ? N! : `'${S.replaceAll("'", "''")}'`;
}

function compare(a: AttributeValue, b: AttributeValue): number {
  if (a.N !== undefined && b.N !== undefined) return Math.sign(Number(a.N) - Number(b.N));
  return Buffer.compare(bytesOf(a), bytesOf(b));
}

function bytesOf(value: AttributeValue): Buffer {
  return value.S === undefined ? Buffer.from(value.B!, 'base64') : Buffer.from(value.S, 'utf8');
}

function viewOf(item: Item, { holds }: Index): Item {
  if (holds === undefined) return item;
  return Object.fromEntries(Object.entries(item).filter(([name]) => holds.includes(name)));
}

function nameOf(item: Item): string {
  return `${item['pk']!.S} ${item['sk']!.N}`;
}

function sorted(items: readonly Item[]): readonly Item[] {
  return items.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

export function plain(item: Readonly<Record<string, AttributeValue>> | RawJson | undefined): Item | undefined {
  return item instanceof RawJson ? (JSON.parse(item.json) as Item) : item;
}

async function expectFailedCondition(call: Promise<unknown>): Promise<void> {
  await expect(call).rejects.toMatchObject({ code: 'ConditionalCheckFailedException' });
}
