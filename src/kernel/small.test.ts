import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type BlobStore, DigestMismatch } from './blobs/contract.ts';
import { FileBlobs } from './blobs/file-blobs.ts';
import { MemoryBlobs } from './blobs/memory-blobs.ts';
import { VirtualClock } from './clock/virtual.ts';
import { FaultError, Faults } from './faults/faults.ts';
import { Gauge, TokenBucket } from './limits/limits.ts';
import { createRandom } from './random/random.ts';
import { Tracer } from './trace/trace.ts';

describe('limits', () => {
  it('refills a bucket continuously up to its capacity', () => {
    const bucket = new TokenBucket(10, 5, 0);
    expect(bucket.take(10, 0)).toBe(true);
    expect(bucket.take(1, 100)).toBe(false);
    expect(bucket.waitMs(1, 100)).toBe(100);
    expect(bucket.take(1, 200)).toBe(true);
    expect(bucket.take(11, 1_000_000)).toBe(false);
    expect(bucket.waitMs(11, 1_000_000)).toBe(Number.POSITIVE_INFINITY);
    expect(bucket.take(10, 1_000_000)).toBe(true);
  });

  it('goes into debt for what was used without asking', () => {
    const bucket = new TokenBucket(10, 10, 0);
    bucket.charge(30, 0);
    expect(bucket.waitMs(1, 0)).toBe(2100);
  });

  it('lets so many in at once', () => {
    const gauge = new Gauge();
    const leave = gauge.enter(1);
    expect(gauge.enter(1)).toBeUndefined();
    leave?.();
    leave?.();
    expect(gauge.current).toBe(0);
    expect(gauge.enter(1)).toBeDefined();
    expect(gauge.peak).toBe(1);
  });
});

describe('faults', () => {
  const strikes = (seed: number): boolean[] => {
    const faults = new Faults();
    faults.declare({ name: 'p', description: 'd' });
    faults.set({ point: 'p', scope: '*', rate: 0.3, seed });
    return Array.from({ length: 200 }, () => faults.strikes('p', 'anything'));
  };

  it('strikes at the rate asked for, the same way for the same seed', () => {
    const hits = strikes(7).filter(Boolean).length;
    expect(hits).toBeGreaterThan(35);
    expect(hits).toBeLessThan(85);
    expect(strikes(7)).toEqual(strikes(7));
    expect(strikes(7)).not.toEqual(strikes(8));
  });

  it('strikes nowhere unless asked to, in its scope only, and so often at most', () => {
    const faults = new Faults();
    faults.declare({ name: 'p', description: 'd' });
    expect(faults.strikes('p', 'a')).toBe(false);
    faults.set({ point: 'p', scope: 'a', rate: 1, seed: 1, times: 2 });
    expect([
      faults.strikes('p', 'b'),
      faults.strikes('p', 'a'),
      faults.strikes('p', 'a'),
      faults.strikes('p', 'a'),
    ]).toEqual([false, true, true, false]);
    expect(faults.rules()).toMatchObject([{ chances: 2, faults: 2 }]);
    faults.clear();
    expect(faults.active).toBe(false);
  });

  it('refuses unknown points and rates that are none', () => {
    const faults = new Faults();
    expect(() => faults.set({ point: 'q', scope: '*', rate: 1, seed: 1 })).toThrow(FaultError);
    faults.declare({ name: 'q', description: 'd' });
    expect(() => faults.set({ point: 'q', scope: '*', rate: 1.5, seed: 1 })).toThrow(/0 to 1/);
  });
});

describe('randomness', () => {
  it('repeats itself from a seed, and does not without one', () => {
    const draw = (seed?: number): string => {
      const random = createRandom(seed);
      return [
        random.uuid(),
        random.hex(9),
        random.text(5),
        random.integer(1000),
        random.float(),
        random.bytes(3).toString('hex'),
      ].join(' ');
    };
    expect(draw(1)).toBe(draw(1));
    expect(draw(1)).not.toBe(draw(2));
    expect(draw()).not.toBe(draw());
    expect(createRandom(3).uuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('spreads evenly', () => {
    const random = createRandom(5);
    const buckets = new Array<number>(10).fill(0);
    for (let index = 0; index < 10_000; index++) buckets[random.integer(10)]!++;
    for (const count of buckets) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});

describe('spans', () => {
  it('keeps who caused whom, latest last, in a ring', () => {
    const tracer = new Tracer({ clock: new VirtualClock(0), random: createRandom(1), capacity: 2 });
    const parent = tracer.start('parent');
    const child = tracer.start('child', parent);
    child.end('Broken');
    parent.end();
    expect(tracer.recent(parent.traceId)).toMatchObject([
      { name: 'child', parentId: parent.spanId, error: 'Broken' },
      { name: 'parent', parentId: undefined },
    ]);
    tracer.start('other').end();
    expect(tracer.recent().map(({ name }) => name)).toEqual(['parent', 'other']);
  });
});

describe.each(['files', 'memory'])('blobs in %s', (kind) => {
  const withBlobs = async (run: (blobs: BlobStore, folder: string) => Promise<void>): Promise<void> => {
    const folder = await mkdtemp(join(tmpdir(), 'unkai-blobs-'));
    await run(kind === 'files' ? new FileBlobs(folder) : new MemoryBlobs(), folder);
    await rm(folder, { recursive: true });
  };

  it('gives back what was put, named by its content', async () => {
    await withBlobs(async (blobs) => {
      const digest = await blobs.put(Buffer.from('hello'));
      expect(digest).toBe('2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824');
      expect(await blobs.put(Buffer.from('hello'))).toBe(digest);
      expect((await blobs.get(digest))?.toString()).toBe('hello');
      expect(await blobs.get('0'.repeat(64))).toBeUndefined();
    });
  });

  it('takes and gives streams, and keeps nothing of one that breaks or is not what its digest says', async () => {
    await withBlobs(async (blobs, folder) => {
      const pieces = async function* (fails: boolean): AsyncGenerator<Buffer> {
        yield Buffer.from('hel');
        if (fails) throw new Error('broken');
        yield Buffer.from('lo');
      };
      const digest = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';
      await expect(blobs.putStream(pieces(true), digest)).rejects.toThrow('broken');
      await expect(blobs.putStream(pieces(false), '0'.repeat(64))).rejects.toThrow(DigestMismatch);
      expect(await blobs.stream(digest)).toBeUndefined();
      if (kind === 'files') expect(await readdir(folder, { recursive: true })).toEqual(['incoming']);
      expect(await blobs.putStream(pieces(false))).toEqual({ digest, sizeBytes: 5 });
      expect(await blobs.putStream(pieces(false), digest)).toEqual({ digest, sizeBytes: 5 });
      const read: Buffer[] = [];
      for await (const piece of (await blobs.stream(digest))!) read.push(piece as Buffer);
      expect(Buffer.concat(read).toString()).toBe('hello');
    });
  });

  it('collects what nobody refers to once it is old, and spares what was put again', async () => {
    await withBlobs(async (blobs, folder) => {
      const live = await blobs.put(Buffer.from('live'));
      const dead = await blobs.put(Buffer.from('dead'));
      expect(await blobs.collect(new Set([live]), 60_000)).toBe(0);
      if (kind === 'files') {
        const old = new Date(0);
        for (const name of await readdir(folder, { recursive: true })) await utimes(join(folder, name), old, old);
        const again = await blobs.put(Buffer.from('dead'));
        expect(await blobs.collect(new Set([live]), 60_000)).toBe(0);
        expect(await blobs.has(again)).toBe(true);
      }
      expect(await blobs.collect(new Set([live]), -1000)).toBe(1);
      expect(await blobs.has(dead)).toBe(false);
      expect(await blobs.has(live)).toBe(true);
    });
  });
});
