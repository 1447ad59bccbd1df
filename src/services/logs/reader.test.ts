import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemoryStore } from '../../kernel/store/memory/memory-store.ts';
import { eventsBefore, groupEvents, type PlacedEvent, streamEvents } from './reader.ts';
import { comparePositions, type Position } from './rules/position.ts';
import { chunkSpanMs, keys, write } from './state.ts';

const times = fc.array(fc.integer({ min: 0, max: 4 * chunkSpanMs }), { minLength: 1, maxLength: 12 });
const batches = fc.array(fc.tuple(fc.constantFrom('s1', 's2', 's3'), times), { maxLength: 25 });

/** Chunks as PutLogEvents would write them, and the events in the order that readers promise. */
async function filled(input: readonly [string, number[]][]): Promise<{ store: MemoryStore; events: PlacedEvent[] }> {
  const store = new MemoryStore();
  const events: PlacedEvent[] = [];
  let number = 1;
  for (const [streamId, unordered] of input) {
    const ordered = [...unordered].sort((left, right) => left - right);
    while (ordered.length > 0) {
      const firstMs = ordered[0]!;
      const chunk = ordered.splice(0, ordered.filter((time) => time - firstMs < chunkSpanMs).length);
      const ref = { firstMs, streamId, number: number++ };
      const messages = chunk.map((timeMs, index): [number, string] => [timeMs, `${ref.number}.${index}`]);
      await store.commit({
        set: [
          write(keys.chunk('g', ref), { stream: streamId, ingestedMs: 0, events: messages }),
          { key: keys.of('g', ref), value: Buffer.alloc(0) },
        ],
      });
      for (const [index, [timeMs, message]] of messages.entries())
        events.push({
          position: { timeMs, streamId, number: ref.number, index },
          stream: streamId,
          message,
          ingestedMs: 0,
        });
    }
  }
  events.sort((left, right) => comparePositions(left.position, right.position));
  return { store, events };
}

const everything = { fromMs: 0, untilMs: Number.MAX_SAFE_INTEGER };

async function all(source: AsyncIterable<PlacedEvent>): Promise<string[]> {
  const found: string[] = [];
  for await (const event of source) found.push(event.message);
  return found;
}

test('readers give every event once, in order, in any window and from any position', async () => {
  await fc.assert(
    fc.asyncProperty(
      batches,
      fc.integer({ min: 0, max: 4 * chunkSpanMs }),
      fc.integer({ min: 0, max: 4 * chunkSpanMs }),
      fc.nat(300),
      async (input, fromMs, untilMs, at) => {
        const { store, events } = await filled(input);
        const names = (wanted: (event: PlacedEvent) => boolean): string[] =>
          events.filter(wanted).map(({ message }) => message);
        expect(await all(groupEvents(store, 'g', everything))).toEqual(names(() => true));
        const window = { fromMs, untilMs };
        const inside = ({ position }: PlacedEvent): boolean => position.timeMs >= fromMs && position.timeMs < untilMs;
        expect(await all(groupEvents(store, 'g', window))).toEqual(names(inside));
        const two = ['s1', 's3'];
        expect(await all(streamEvents(store, 'g', two, window))).toEqual(
          names((event) => inside(event) && two.includes(event.stream)),
        );
        const from: Position | undefined = events[at % Math.max(1, events.length)]?.position;
        if (from === undefined) return;
        expect(await all(groupEvents(store, 'g', everything, from))).toEqual(
          names(({ position }) => comparePositions(position, from) >= 0),
        );
        const limit = 1 + (at % 9);
        const before = await eventsBefore(store, 'g', 's2', everything, { ...from, streamId: 's2' }, limit);
        const expected = events.filter(
          ({ position, stream }) => stream === 's2' && comparePositions(position, { ...from, streamId: 's2' }) < 0,
        );
        expect(before.map(({ message }) => message)).toEqual(expected.slice(-limit).map(({ message }) => message));
      },
    ),
    { numRuns: 200 },
  );
});

test('the tail of a long stream is read without the rest of it', async () => {
  const { store } = await filled(Array.from({ length: 400 }, (_, index) => ['s1', [index * 100_000]]));
  let loaded = 0;
  const counting = new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...values: unknown[]) => {
        if (name === 'getMany') loaded += (values[0] as unknown[]).length;
        return (value as (...values: unknown[]) => unknown).apply(target, values);
      };
    },
  });
  const tail = await eventsBefore(counting, 'g', 's1', everything, undefined, 5);
  expect(tail.map(({ position }) => position.timeMs)).toEqual(
    [395, 396, 397, 398, 399].map((index) => index * 100_000),
  );
  expect(loaded).toBeLessThan(20);
});
