import { afterEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../clock/virtual.ts';
import { encodeKey } from '../store/keys.ts';
import { MemoryStore } from '../store/memory/memory-store.ts';
import { Agenda, cancelJob, commitOrLose, type Job, scheduleJob } from './agenda.ts';

const minute = 60_000;
const agendas: Agenda[] = [];
afterEach(async () => {
  await Promise.all(agendas.splice(0).map((agenda) => agenda.close()));
});

function setUp(): { store: MemoryStore; clock: VirtualClock; agenda: Agenda; errors: unknown[] } {
  const store = new MemoryStore();
  const clock = new VirtualClock(0);
  const errors: unknown[] = [];
  const agenda = new Agenda({ store, clock, onError: (error) => errors.push(error) });
  agendas.push(agenda);
  return { store, clock, agenda, errors };
}

describe('the agenda', () => {
  it('runs a job when it is due, once, with what it was given', async () => {
    const { store, clock, agenda } = setUp();
    const ran: [string, string, number][] = [];
    agenda.handle('mail', {
      concurrency: 2,
      leaseMs: minute,
      run: async (job) => {
        ran.push([job.key, job.payload.toString(), clock.now()]);
        await store.commit({ settle: [job.done()] });
      },
    });
    agenda.start();
    await agenda.schedule('mail', 'late', 2 * minute, Buffer.from('b'));
    await agenda.schedule('mail', 'soon', minute, Buffer.from('a'));
    await clock.advance(minute / 2);
    expect(ran).toEqual([]);
    await clock.advance(10 * minute);
    expect(ran.map(([key, payload]) => [key, payload])).toEqual([
      ['soon', 'a'],
      ['late', 'b'],
    ]);
    // Looking for work takes a little time of its own, during which the clock flows.
    for (const [index, [, , at]] of ran.entries()) {
      expect(at).toBeGreaterThanOrEqual((index + 1) * minute);
      expect(at).toBeLessThan((index + 1) * minute + 5000);
    }
    expect(await agenda.list('mail')).toEqual([]);
  });

  it('ends a job in the same commit as its effects, and not when the commit fails', async () => {
    const { store, clock, agenda } = setUp();
    const key = encodeKey('effect');
    let runs = 0;
    agenda.handle('work', {
      concurrency: 1,
      leaseMs: minute,
      run: async (job) => {
        runs++;
        // The first run loses against somebody who took the key.
        if (runs === 1) await store.commit({ set: [{ key, value: Buffer.from('other') }] });
        await commitOrLose(store, {
          checks: runs === 1 ? [{ key, version: null }] : [],
          set: [{ key, value: Buffer.from('done') }],
          settle: [job.done()],
        });
      },
    });
    agenda.start();
    await agenda.schedule('work', 'one', 0);
    await clock.advance(minute);
    expect(runs).toBe(2);
    expect((await store.get(key))?.value.toString()).toBe('done');
    expect(await agenda.list('work')).toEqual([]);
  });

  it('tries again with growing pauses when a handler throws', async () => {
    const { store, clock, agenda, errors } = setUp();
    const at: number[] = [];
    agenda.handle('flaky', {
      concurrency: 1,
      leaseMs: minute,
      run: async (job) => {
        at.push(clock.now());
        if (job.attempt < 4) throw new Error(`attempt ${job.attempt}`);
        await store.commit({ settle: [job.done()] });
      },
    });
    agenda.start();
    await agenda.schedule('flaky', 'x', 1000);
    await clock.advance(minute);
    expect(errors).toHaveLength(3);
    const pauses = at.slice(1).map((time, index) => Math.round((time - at[index]!) / 1000));
    expect(pauses).toEqual([1, 2, 4]);
  });

  it('lets a handler put its job off with a new payload', async () => {
    const { store, clock, agenda } = setUp();
    const seen: string[] = [];
    agenda.handle('step', {
      concurrency: 1,
      leaseMs: minute,
      run: async (job) => {
        seen.push(job.payload.toString());
        const settlement =
          seen.length < 3 ? job.again(clock.now() + minute, Buffer.from(`${seen.length}`)) : job.done();
        await store.commit({ settle: [settlement] });
      },
    });
    agenda.start();
    await agenda.schedule('step', 'x', 0, Buffer.from('0'));
    await clock.advance(10 * minute);
    expect(seen).toEqual(['0', '1', '2']);
  });

  it('gives the job of a worker that died to another when the lease ends, and fences the first', async () => {
    const { store, clock } = setUp();
    const options = { store, clock, onError: () => {} };
    const dead = new Agenda(options);
    agendas.push(dead);
    let hung: Job | undefined;
    let release: () => void = () => {};
    dead.handle('lease', {
      concurrency: 1,
      leaseMs: minute,
      run: (job) => {
        hung = job;
        return new Promise((resolve) => {
          release = resolve;
        });
      },
    });
    // A process that was killed renews nothing; a claim by hand has the same effect.
    await store.commit({ schedule: [scheduleJob('lease', 'x', 0)] });
    const [claimed] = await store.claim({
      partition: encodeKey('agenda', 'lease'),
      dueByMs: 0,
      untilMs: minute,
      limit: 1,
    });
    const alive = new Agenda(options);
    agendas.push(alive);
    let ranAt = -1;
    alive.handle('lease', {
      concurrency: 1,
      leaseMs: minute,
      run: async (job) => {
        ranAt = clock.now();
        await store.commit({ settle: [job.done()] });
      },
    });
    alive.start();
    await clock.advance(2 * minute);
    expect(ranAt).toBeGreaterThanOrEqual(minute);
    const late = await store.commit({
      settle: [{ partition: encodeKey('agenda', 'lease'), id: claimed!.id, token: claimed!.token }],
    });
    expect(late.ok).toBe(false);
    expect(hung).toBeUndefined();
    release();
  });

  it('takes a job back', async () => {
    const { store, clock, agenda } = setUp();
    let ran = false;
    agenda.handle('cancelled', {
      concurrency: 1,
      leaseMs: minute,
      run: async () => {
        ran = true;
      },
    });
    agenda.start();
    await agenda.schedule('cancelled', 'x', minute);
    await store.commit({ settle: [cancelJob('cancelled', 'x')] });
    await clock.advance(2 * minute);
    expect(ran).toBe(false);
  });

  it('never runs more side by side than it was allowed', async () => {
    const { store, clock, agenda } = setUp();
    let running = 0;
    let peak = 0;
    let done = 0;
    agenda.handle('narrow', {
      concurrency: 3,
      leaseMs: minute,
      run: async (job) => {
        peak = Math.max(peak, ++running);
        await new Promise((resolve) => setTimeout(resolve, 2));
        running--;
        done++;
        await store.commit({ settle: [job.done()] });
      },
    });
    for (let index = 0; index < 20; index++) await agenda.schedule('narrow', `${index}`, 0);
    agenda.start();
    await clock.advance(minute);
    expect(done).toBe(20);
    expect(peak).toBe(3);
  });
});
