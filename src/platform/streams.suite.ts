import { describe, expect, it } from 'vitest';
import { type Caller, serviceCaller } from './context.ts';
import type { StreamPage, StreamPosition, StreamReader } from './streams.ts';

/** A stream of one open shard, and what a producer does to it. */
export interface StreamFixture {
  readonly reader: StreamReader;
  readonly streamArn: string;
  readonly shardId: string;
  /** Who may read; left out: a service. */
  readonly caller?: Caller;
  put(partitionKey: string): Promise<void> | void;
  /** Closes the shard and opens others behind it; returns their ids. */
  replaceShard(): Promise<readonly string[]> | readonly string[];
}

/** The sentences of `streams.ts`, for one reader. Each test opens a stream of its own. */
export function streamReaderContract(name: string, open: () => Promise<StreamFixture>): void {
  describe(`stream reader contract: ${name}`, () => {
    it('knows no stream that is not there', async () => {
      const { reader, streamArn, caller = anyone } = await open();
      expect(await reader.shards(`${streamArn}-missing`, caller)).toBeUndefined();
    });

    it('reads on from the place that it gave, in order and without gaps', async () => {
      const fixture = await open();
      for (const key of ['a', 'b', 'c']) await fixture.put(key);
      const first = await read(fixture, { at: 'TRIM_HORIZON' }, 2);
      expect(keysOf(first)).toEqual(['a', 'b']);
      expect(first.ended).toBe(false);
      const second = await read(fixture, kept(first.next), 10);
      expect(keysOf(second)).toEqual(['c']);
      const empty = await read(fixture, kept(second.next), 10);
      expect(empty.records).toEqual([]);
      await fixture.put('d');
      expect(keysOf(await read(fixture, kept(empty.next), 10))).toEqual(['d']);
    });

    it('reads again from behind any record', async () => {
      const fixture = await open();
      for (const key of ['a', 'b', 'c']) await fixture.put(key);
      const { records } = await read(fixture, { at: 'TRIM_HORIZON' }, 10);
      const numbers = records.map(({ sequenceNumber }) => BigInt(sequenceNumber));
      expect(numbers).toEqual([...numbers].sort((a, b) => (a < b ? -1 : 1)));
      const { sequenceNumber } = records[0]!;
      expect(keysOf(await read(fixture, { at: 'AFTER', sequenceNumber }, 10))).toEqual(['b', 'c']);
    });

    it('gives a lasting place for what comes later', async () => {
      const fixture = await open();
      await fixture.put('before');
      const latest = await read(fixture, { at: 'LATEST' }, 10);
      expect(latest.records).toEqual([]);
      await fixture.put('after');
      expect(keysOf(await read(fixture, kept(latest.next), 10))).toEqual(['after']);
    });

    it('ends a shard that is closed when it has been read, and names it as the parent of those behind', async () => {
      const fixture = await open();
      await fixture.put('a');
      const children = await fixture.replaceShard();
      const { reader, streamArn, shardId, caller = anyone } = fixture;
      const shards = (await reader.shards(streamArn, caller))!;
      expect(shards.find((one) => one.shardId === shardId)?.closed).toBe(true);
      for (const child of children) {
        const place = shards.findIndex((one) => one.shardId === child);
        expect(shards[place]?.parentShardIds).toContain(shardId);
        expect(place).toBeGreaterThan(shards.findIndex((one) => one.shardId === shardId));
      }
      let page = await read(fixture, { at: 'TRIM_HORIZON' }, 10);
      expect(keysOf(page)).toEqual(['a']);
      if (!page.ended) page = await read(fixture, page.next, 10);
      expect(page.ended).toBe(true);
    });

    it('says when more may have come, until it is told not to', async () => {
      const fixture = await open();
      let hints = 0;
      const end = fixture.reader.watch(fixture.streamArn, () => hints++);
      await fixture.put('a');
      await expect.poll(() => hints).toBeGreaterThan(0);
      end();
      const before = hints;
      await fixture.put('b');
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(hints).toBe(before);
    });
  });
}

const anyone = serviceCaller('lambda', '000000000000', 'us-east-1');

function read(
  { reader, streamArn, shardId, caller = anyone }: StreamFixture,
  position: StreamPosition,
  limit: number,
): Promise<StreamPage> {
  return reader.read(streamArn, shardId, position, limit, caller);
}

/** As a checkpoint keeps it. */
function kept(position: StreamPosition): StreamPosition {
  return JSON.parse(JSON.stringify(position)) as StreamPosition;
}

function keysOf(page: StreamPage): string[] {
  return page.records.map(({ partitionKey }) => partitionKey);
}
