import type { Input, OperationName, Output } from '../../src/platform/context.ts';
import { RawJson } from '../../src/wire/raw-json.ts';
import type { AttributeValue } from '../../src/wire/types/dynamodb.ts';

/** What the writer of tables writes, and what must be found after it was killed. */
export type Item = Record<string, AttributeValue>;

export type Call = <O extends OperationName<'dynamodb'>>(
  operation: O,
  input: Input<'dynamodb', O>,
) => Promise<Output<'dynamodb', O>>;

export interface Write {
  readonly writer: number;
  /** What items become; no item: gone. */
  readonly changes: readonly { readonly key: Item; readonly item?: Item }[];
  readonly inSteps: boolean;
}

export type Reported = ({ readonly kind: 'begun' } & Write) | { readonly kind: 'done'; readonly writer: number };

export const writers = 6;

export const table = {
  TableName: 'crash',
  BillingMode: 'PAY_PER_REQUEST',
  StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_AND_OLD_IMAGES' },
  AttributeDefinitions: ['pk', 'sk', 'g', 'l'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' as const })),
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
      Projection: { ProjectionType: 'ALL' },
    },
  ],
  GlobalSecondaryIndexes: [
    {
      IndexName: 'global',
      KeySchema: [
        { AttributeName: 'g', KeyType: 'HASH' },
        { AttributeName: 'l', KeyType: 'RANGE' },
      ],
      Projection: { ProjectionType: 'ALL' },
    },
  ],
} satisfies Input<'dynamodb', 'CreateTable'>;

export const accounts: readonly Item[] = ['a', 'b', 'c'].map((sk) => ({ pk: { S: 'accounts' }, sk: { S: sk } }));

export function keyOf(writer: number, number: number): Item {
  return { pk: { S: `p${number % 4}` }, sk: { S: `${writer}-${number}` } };
}

/** What is known of a table across its crashes: what items were at last acknowledged to be, and what may have become of them. */
export class Expectations {
  readonly #known = new Map<string, Item | undefined>();
  #underWay = new Map<number, Write>();
  acknowledged = 0;

  take(reported: Reported): void {
    if (reported.kind === 'begun') {
      this.#underWay.set(reported.writer, reported);
      return;
    }
    const write = this.#underWay.get(reported.writer);
    if (write === undefined) return;
    this.#underWay.delete(reported.writer);
    this.acknowledged++;
    for (const { key, item } of write.changes) this.#known.set(nameOf(key), item);
  }

  /** Compares with what a restarted cloud has; the writes that were cut off are settled by what is found. */
  async findDamage(call: Call): Promise<readonly string[]> {
    const damage: string[] = [];
    const items = await scan(call, undefined);
    const found = new Map(items.map((item) => [nameOf(item), item]));
    for (const { changes, inSteps } of this.#underWay.values()) {
      const isDone = changes.map(({ key, item }) => same(found.get(nameOf(key)), item));
      const isUndone = changes.map(({ key }) => same(found.get(nameOf(key)), this.#known.get(nameOf(key))));
      const isGone = inSteps && changes.every(({ key }) => !found.has(nameOf(key)));
      if (!isDone.every(Boolean) && !isUndone.every(Boolean) && !isGone)
        damage.push(`half a write: ${JSON.stringify(changes)}`);
      for (const { key } of changes) this.#known.set(nameOf(key), found.get(nameOf(key)));
    }
    this.#underWay = new Map();
    for (const [name, item] of this.#known) {
      if (!same(found.get(name), item))
        damage.push(`${name} is ${JSON.stringify(found.get(name))}, not ${JSON.stringify(item)}`);
    }
    for (const [name, item] of found) {
      if (item['pk']!.S !== 'accounts' && this.#known.get(name) === undefined) damage.push(`${name} was never put`);
    }
    const sum = items.filter(({ pk }) => pk!.S === 'accounts').reduce((total, { n }) => total + Number(n!.N), 0);
    if (sum !== 100 * accounts.length) damage.push(`the accounts hold ${sum}`);
    damage.push(...(await this.#findDisagreement(call, items)));
    return damage;
  }

  async #findDisagreement(call: Call, items: readonly Item[]): Promise<readonly string[]> {
    const damage: string[] = [];
    const { Table } = await call('DescribeTable', { TableName: table.TableName });
    if (Table!.ItemCount !== items.length) damage.push(`ItemCount is ${Table!.ItemCount}, items are ${items.length}`);
    const described = [...Table!.LocalSecondaryIndexes!, ...Table!.GlobalSecondaryIndexes!];
    for (const { IndexName, ItemCount } of described) {
      const expected = items.filter(
        (item) => item['l'] !== undefined && (IndexName === 'local' || item['g'] !== undefined),
      );
      const entries = await scan(call, IndexName);
      if (entries.length !== ItemCount) damage.push(`${IndexName} counts ${ItemCount}, has ${entries.length}`);
      const text = (all: readonly Item[]): string =>
        all
          .map((item) => JSON.stringify(sortedMembers(item)))
          .sort()
          .join('\n');
      if (text(entries) !== text(expected)) damage.push(`${IndexName} disagrees with its table`);
    }
    return damage;
  }
}

async function scan(call: Call, IndexName: string | undefined): Promise<readonly Item[]> {
  const items: Item[] = [];
  let ExclusiveStartKey: Item | undefined;
  do {
    const page = await call('Scan', {
      TableName: table.TableName,
      IndexName,
      ExclusiveStartKey,
      ConsistentRead: IndexName !== 'global',
    });
    for (const item of page.Items ?? [])
      items.push(item instanceof RawJson ? (JSON.parse(item.json) as Item) : (item as Item));
    ExclusiveStartKey = page.LastEvaluatedKey as Item | undefined;
  } while (ExclusiveStartKey !== undefined);
  return items;
}

function nameOf({ pk, sk }: Item): string {
  return `${pk!.S} ${sk!.S}`;
}

function same(a: Item | undefined, b: Item | undefined): boolean {
  return JSON.stringify(a && sortedMembers(a)) === JSON.stringify(b && sortedMembers(b));
}

function sortedMembers(item: Item): readonly unknown[] {
  return Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1));
}
