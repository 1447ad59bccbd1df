import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../store/memory/memory-store.ts';
import { ClockKeeper } from './keeper.ts';
import { VirtualClock } from './virtual.ts';
import { WallClock } from './wall.ts';

const second = 1000;

describe('the wall clock', () => {
  it('never runs backwards when it is shifted back', () => {
    const clock = new WallClock({ offsetMs: 60 * second });
    const before = clock.now();
    clock.shift(0);
    expect(clock.now()).toBeGreaterThanOrEqual(before);
  });

  it('fires a timer not before its time, and not at all when cancelled', async () => {
    const clock = new WallClock();
    const dueAtMs = clock.now() + 20;
    let cancelled = false;
    clock
      .at(dueAtMs, () => {
        cancelled = true;
      })
      .cancel();
    const firedAtMs = await new Promise<number>((resolve) => clock.at(dueAtMs, () => resolve(clock.now())));
    expect(firedAtMs).toBeGreaterThanOrEqual(dueAtMs);
    expect(cancelled).toBe(false);
  });

  it('ends a sleep early with the reason of its signal', async () => {
    const stop = new AbortController();
    const sleeping = new WallClock().sleep(60 * second, stop.signal);
    stop.abort(new Error('enough'));
    await expect(sleeping).rejects.toThrow('enough');
  });
});

describe('the virtual clock', () => {
  it('stands still while idle and frozen', async () => {
    const clock = new VirtualClock(0);
    await new Promise((resolve) => setTimeout(resolve, 15));
    expect(clock.now()).toBe(0);
  });

  it('flows at real speed while work is under way, then stands again', async () => {
    const clock = new VirtualClock(0);
    const end = clock.busy();
    await new Promise((resolve) => setTimeout(resolve, 30));
    end();
    end();
    const flowed = clock.now();
    expect(flowed).toBeGreaterThanOrEqual(25);
    await new Promise((resolve) => setTimeout(resolve, 15));
    expect(clock.now()).toBe(flowed);
    expect(clock.status()).toMatchObject({ busy: 0, mode: 'frozen' });
  });

  it('advances from due moment to due moment, in order, each seeing its own time', async () => {
    const clock = new VirtualClock(0);
    const seen: [string, number][] = [];
    clock.at(3600 * second, () => seen.push(['hour', clock.now()]));
    clock.at(60 * second, () => {
      seen.push(['minute', clock.now()]);
      clock.at(clock.now() + second, () => seen.push(['after', clock.now()]));
    });
    clock.at(7200 * second, () => seen.push(['too late', clock.now()]));
    const result = await clock.advance(3600 * second);
    expect(seen).toEqual([
      ['minute', 60 * second],
      ['after', 61 * second],
      ['hour', 3600 * second],
    ]);
    expect(result).toEqual({ nowMs: 3600 * second, steps: 3, reached: true });
    expect(clock.status().nextDueMs).toBe(7200 * second);
  });

  it('waits for work that a due moment began before it goes on', async () => {
    const clock = new VirtualClock(0);
    const order: string[] = [];
    clock.at(second, () => {
      const end = clock.busy();
      setTimeout(() => {
        order.push('worked');
        end();
      }, 30);
    });
    clock.at(10 * second, () => order.push('next'));
    await clock.advance(10 * second);
    expect(order).toEqual(['worked', 'next']);
  });

  it('gives up after the steps it was allowed', async () => {
    const clock = new VirtualClock(0);
    const again = (): void => {
      clock.at(clock.now() + 1, again);
    };
    again();
    expect(await clock.advance(1_000_000, { maxSteps: 50 })).toMatchObject({ steps: 50, reached: false });
  });

  it('refuses to go back', () => {
    const clock = new VirtualClock(5000);
    expect(() => clock.set(4000)).toThrow(RangeError);
    expect(() => clock.advance(-1)).toThrow(RangeError);
  });

  it('flows when resumed, and its timers fire then', async () => {
    const clock = new VirtualClock(0);
    const fired = new Promise<number>((resolve) => clock.at(20, () => resolve(clock.now())));
    clock.resume();
    expect(await fired).toBeGreaterThanOrEqual(20);
    clock.freeze();
    expect(clock.status().mode).toBe('frozen');
  });
});

describe('kept cloud time', () => {
  it('goes on from where an advance left it, on either clock', async () => {
    const store = new MemoryStore();
    const first = await ClockKeeper.open(store, 'virtual');
    await (first.clock as VirtualClock).advance(86_400 * second);
    const reachedMs = first.clock.now();
    await first.close();
    const second_ = await ClockKeeper.open(store, 'virtual');
    expect(second_.clock.now()).toBeGreaterThanOrEqual(reachedMs);
    await second_.close();
    const wall = await ClockKeeper.open(store, 'wall');
    const startedMs = wall.clock.now();
    expect(startedMs).toBeGreaterThanOrEqual(reachedMs);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(wall.clock.now()).toBeGreaterThan(startedMs);
    await wall.close();
  });
});
