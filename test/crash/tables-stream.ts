import type { Platform } from '../../src/platform/service.ts';
import { type Call, type Item, table } from './tables-workload.ts';

/** A stream, replayed from its beginning, leads to the items that are there; every record to the next one of its item. */
export async function findStreamDamage({ streams }: Platform, call: Call): Promise<readonly string[]> {
  const damage: string[] = [];
  const { Table } = await call('DescribeTable', { TableName: table.TableName });
  const streamArn = Table!.LatestStreamArn!;
  const stream = await streams.tables!.describe(streamArn);
  const replayed = new Map<string, string>();
  for (const { shardId } of stream!.shards) {
    let position: number | undefined = await streams.tables!.locate(streamArn, shardId, { at: 'TRIM_HORIZON' });
    for (;;) {
      const page = await streams.tables!.read(streamArn, shardId, position, { records: 1_000, bytes: 1024 * 1024 });
      for (const { eventName, keys, newImage, oldImage, sequenceNumber } of page.records) {
        if (replayed.get(keys.json) !== oldImage?.json)
          damage.push(`${eventName} ${sequenceNumber} follows something else`);
        if (newImage === undefined) replayed.delete(keys.json);
        else replayed.set(keys.json, newImage.json);
      }
      if (page.records.length === 0 || page.next === undefined) break;
      position = page.next;
    }
  }
  const items: Item[] = [];
  let ExclusiveStartKey: Item | undefined;
  do {
    const page = await call('Scan', { TableName: table.TableName, ExclusiveStartKey });
    items.push(...((page.Items ?? []) as Item[]));
    ExclusiveStartKey = page.LastEvaluatedKey as Item | undefined;
  } while (ExclusiveStartKey !== undefined);
  const text = (all: readonly string[]): string => [...all].sort().join('\n');
  if (text([...replayed.values()]) !== text(items.map((item) => JSON.stringify(item)))) {
    damage.push(`the stream leads to ${replayed.size} items, the table has ${items.length}`);
  }
  return damage;
}
