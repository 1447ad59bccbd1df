import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Commit, counterBytes, counterValue, type DueEntry, type DueRange, type Store } from '../contract.ts';
import { encodeKey, extendKey, prefixRange } from '../keys.ts';
import { type OpenStore, opener } from './support.ts';

/** Random sequences of everything, against a model that is as plain as can be. */
export function againstTheModel(open: OpenStore): void {
  const next = opener(open);

  describe('against a simple model', () => {
    it('answers as the model does, whatever is done in whatever order', async () => {
      const { store } = await next();
      let run = 0;
      const sequences = fc.array(step, { minLength: 1, maxLength: 40 });
      await fc.assert(
        fc.asyncProperty(sequences, async (steps) => {
          const scenario = new Scenario(store, encodeKey('run', run++));
          for (const one of steps) await scenario.take(one);
          await scenario.compareAll();
        }),
        { numRuns: 40 },
      );
    });

    it('keeps its parts in step when many act at once', async () => {
      const { store } = await next();
      let run = 0;
      const sequences = fc.array(step, { minLength: 10, maxLength: 60 });
      await fc.assert(
        fc.asyncProperty(sequences, async (steps) => {
          const scenario = new Scenario(store, encodeKey('together', run++));
          await Promise.all(steps.map((one) => scenario.act(one)));
          await scenario.agreesWithItself();
        }),
        { numRuns: 15 },
      );
    });
  });
}

/** Names are small numbers, so that they meet often. */
const name = fc.nat(4);
const dueAt = fc.nat(30);
const content = fc.oneof(fc.uint8Array({ maxLength: 6 }), fc.constant(new Uint8Array(1500).fill(7)));
/** Whether a check or a fence holds what is true, or something stale. */
const truth = fc.constantFrom('true', 'true', 'true', 'stale', 'absent');

const write = fc.record({
  checks: fc.array(fc.record({ key: name, truth }), { maxLength: 2 }),
  set: fc.array(fc.record({ key: name, value: content }), { maxLength: 3 }),
  delete: fc.array(name, { maxLength: 1 }),
  sum: fc.array(fc.record({ key: name, delta: fc.integer({ min: -5, max: 5 }) }), { maxLength: 2 }),
  append: fc.array(fc.record({ log: name, value: content }), { maxLength: 3 }),
  trim: fc.array(fc.record({ log: name, before: fc.nat(12) }), { maxLength: 1 }),
  schedule: fc.array(fc.record({ partition: fc.nat(1), id: name, dueAtMs: dueAt, value: content }), { maxLength: 3 }),
  settle: fc.array(
    fc.record({
      partition: fc.nat(1),
      id: name,
      fence: fc.constantFrom('none', 'true', 'stale'),
      dueAtMs: fc.option(dueAt, { nil: undefined }),
      value: fc.option(content, { nil: undefined }),
    }),
    { maxLength: 2 },
  ),
});

type Drawn = typeof write extends fc.Arbitrary<infer T> ? T : never;

type Step =
  | { readonly kind: 'write'; readonly write: Drawn }
  | {
      readonly kind: 'claim';
      readonly partition: number;
      readonly dueByMs: number;
      readonly lease: number;
      readonly limit: number;
    }
  | {
      readonly kind: 'list';
      readonly from: number;
      readonly to: number;
      readonly reverse: boolean;
      readonly limit: number;
    }
  | { readonly kind: 'listDue'; readonly partition: number; readonly range: DueRange };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: write.map((one): Step => ({ kind: 'write', write: one })) },
  {
    weight: 3,
    arbitrary: fc
      .record({ partition: fc.nat(1), dueByMs: dueAt, lease: fc.nat(20), limit: fc.nat(4) })
      .map((one): Step => ({ kind: 'claim', ...one })),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ from: fc.nat(5), to: fc.nat(6), reverse: fc.boolean(), limit: fc.nat(6) })
      .map((one): Step => ({ kind: 'list', ...one })),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ fromMs: dueAt, beforeMs: dueAt, limit: fc.nat(6) })
      .chain((range) => fc.nat(1).map((partition): Step => ({ kind: 'listDue', partition, range }))),
  },
);

interface ModelDue {
  readonly id: number;
  dueAtMs: number;
  attempts: number;
  firstClaimedAtMs: number | undefined;
  token: number | undefined;
  value: Buffer;
}

class Scenario {
  readonly #store: Store;
  readonly #prefix: Buffer;
  readonly #keys = new Map<number, { readonly value: Buffer; readonly version: number }>();
  readonly #logs = new Map<number, { first: number; readonly values: Buffer[] }>();
  readonly #due = [new Map<number, ModelDue>(), new Map<number, ModelDue>()] as const;

  constructor(store: Store, prefix: Buffer) {
    this.#store = store;
    this.#prefix = prefix;
  }

  /** On the store and on the model; both must answer alike. */
  async take(one: Step): Promise<void> {
    switch (one.kind) {
      case 'write':
        return this.#write(one.write);
      case 'claim':
        return this.#claim(one);
      case 'list': {
        const listed = await this.#store.list(
          { start: this.#key(one.from), end: this.#key(one.to) },
          { reverse: one.reverse, limit: one.limit },
        );
        const numbers = [...this.#keys.keys()].filter((key) => key >= one.from && key < one.to).sort((a, b) => a - b);
        if (one.reverse) numbers.reverse();
        const expected = numbers.slice(0, one.limit).map((key) => ({ key: this.#key(key), ...this.#keys.get(key)! }));
        expect(listed).toEqual(expected);
        return;
      }
      case 'listDue': {
        const listed = await this.#store.listDue(this.#partition(one.partition), one.range);
        const { fromMs = 0, beforeMs = Number.POSITIVE_INFINITY, limit } = one.range;
        const expected = this.#ordered(one.partition).filter((due) => due.dueAtMs >= fromMs && due.dueAtMs < beforeMs);
        expect(listed).toEqual(expected.slice(0, limit).map(publicDue));
        expect(await this.#store.countDue(this.#partition(one.partition), { fromMs, beforeMs })).toBe(expected.length);
      }
    }
  }

  /** On the store alone, beside others; what is asked is made of what is there now. */
  async act(one: Step): Promise<void> {
    if (one.kind === 'claim') {
      const { partition, dueByMs, lease, limit } = one;
      const untilMs = dueByMs + lease;
      const claimed = await this.#store.claim({ partition: this.#partition(partition), dueByMs, untilMs, limit });
      expect(new Set(claimed.map(({ id }) => id.toString())).size).toBe(claimed.length);
      return;
    }
    if (one.kind !== 'write') return;
    const { checks, settle, set, sum, ...rest } = one.write;
    // Each commit that succeeds counts itself, so that the counter tells how many there were.
    const result = await this.#store.commit({
      ...this.#commit({
        checks: [],
        settle: settle.map((each) => ({ ...each, fence: 'none' })),
        set: [],
        sum: [],
        ...rest,
      }),
      sum: [{ key: extendKey(this.#prefix, 'commits'), delta: 1 }],
      append: [{ log: extendKey(this.#prefix, 'commits'), value: Buffer.alloc(0) }],
    });
    expect(result.ok).toBe(true);
  }

  async agreesWithItself(): Promise<void> {
    const store = this.#store;
    const commits = extendKey(this.#prefix, 'commits');
    expect(await store.nextPosition(commits)).toBe(counterValue((await store.get(commits))?.value) + 1);
    for (const partition of [0, 1]) {
      const key = this.#partition(partition);
      const listed = await store.listDue(key);
      expect(await store.countDue(key)).toBe(listed.length);
      expect(await store.nextDue(key)).toBe(listed[0]?.dueAtMs);
      for (const entry of listed) expect(await store.due(key, entry.id)).toEqual(entry);
      for (let id = 0; id < 5; id++) {
        const found = await store.due(key, Buffer.from([id]));
        expect(found !== undefined).toBe(listed.some((entry) => entry.id.equals(Buffer.from([id]))));
      }
    }
  }

  async compareAll(): Promise<void> {
    const store = this.#store;
    const listed = await store.list(prefixRange(extendKey(this.#prefix, 'key')));
    const keys = [...this.#keys].sort(([a], [b]) => a - b).map(([key, found]) => ({ key: this.#key(key), ...found }));
    expect(listed).toEqual(keys);
    for (let number = 0; number < 5; number++) {
      const { first = 1, values = [] } = this.#logs.get(number) ?? {};
      expect(await store.nextPosition(this.#log(number))).toBe(values.length + 1);
      const entries = values.map((value, index) => ({ position: index + 1, value })).slice(first - 1);
      expect(await store.readLog(this.#log(number), 1, 1000)).toEqual(entries);
    }
    for (const partition of [0, 1]) {
      const expected = this.#ordered(partition).map(publicDue);
      expect(await store.listDue(this.#partition(partition))).toEqual(expected);
      expect(await store.nextDue(this.#partition(partition))).toBe(expected[0]?.dueAtMs);
    }
  }

  async #write(drawn: Drawn): Promise<void> {
    const commit = this.#commit(drawn);
    const conflict = this.#conflict(commit, drawn);
    const result = await this.#store.commit(commit);
    if (conflict !== undefined) {
      expect(result).toEqual({ ok: false, conflict });
      return;
    }
    expect(result.ok).toBe(true);
    if (!result.ok) return;
    const { version } = result;
    for (const { key, value } of drawn.set) this.#keys.set(key, { value: Buffer.from(value), version });
    for (const key of drawn.delete) this.#keys.delete(key);
    for (const { key, delta } of commit.sum ?? []) {
      const number = drawn.sum.find((one) => this.#counter(one.key).equals(key))!.key + 100;
      const old = counterValue(this.#keys.get(number)?.value);
      this.#keys.set(number, { value: counterBytes(old + delta), version });
    }
    const positions = drawn.append.map(({ log, value }) => {
      const { values } = this.#modelLog(log);
      return values.push(Buffer.from(value));
    });
    expect(result.positions).toEqual(positions);
    for (const { log, before } of drawn.trim) {
      const found = this.#modelLog(log);
      found.first = Math.min(Math.max(found.first, before), found.values.length + 1);
    }
    for (const { partition, id, dueAtMs, value } of drawn.schedule) {
      const fresh = { attempts: 0, firstClaimedAtMs: undefined, token: undefined };
      this.#due[partition]!.set(id, { id, dueAtMs, value: Buffer.from(value), ...fresh });
    }
    for (const { partition, id, dueAtMs, value } of drawn.settle) {
      const found = this.#due[partition]!.get(id);
      if (found === undefined) continue;
      if (dueAtMs === undefined) this.#due[partition]!.delete(id);
      else Object.assign(found, { dueAtMs, ...(value === undefined ? {} : { value: Buffer.from(value) }) });
    }
  }

  async #claim(one: Extract<Step, { kind: 'claim' }>): Promise<void> {
    const { partition, dueByMs, limit } = one;
    const untilMs = dueByMs + one.lease;
    const claimed = await this.#store.claim({ partition: this.#partition(partition), dueByMs, untilMs, limit });
    const expected = this.#ordered(partition)
      .filter((due) => due.dueAtMs <= dueByMs)
      .slice(0, limit);
    expect(claimed.map(({ id }) => id[0])).toEqual(expected.map(({ id }) => id));
    for (const [index, due] of expected.entries()) {
      const wasDueAtMs = due.dueAtMs;
      due.dueAtMs = untilMs;
      due.attempts++;
      due.firstClaimedAtMs ??= dueByMs;
      due.token = claimed[index]!.token;
      expect(claimed[index]).toEqual({ ...publicDue(due), wasDueAtMs });
    }
  }

  #commit(drawn: Drawn): Commit {
    return {
      checks: drawn.checks.map(({ key, truth }) => {
        const version = this.#keys.get(key)?.version ?? null;
        return { key: this.#key(key), version: truth === 'true' ? version : truth === 'stale' ? 999_999_999 : null };
      }),
      set: drawn.set.map(({ key, value }) => ({ key: this.#key(key), value })),
      delete: drawn.delete.map((key) => this.#key(key)),
      sum: drawn.sum.map(({ key, delta }) => ({ key: this.#counter(key), delta })),
      append: drawn.append.map(({ log, value }) => ({ log: this.#log(log), value })),
      trim: drawn.trim.map(({ log, before }) => ({ log: this.#log(log), before })),
      schedule: drawn.schedule.map(({ partition, id, dueAtMs, value }) => ({
        partition: this.#partition(partition),
        id: Buffer.from([id]),
        dueAtMs,
        value,
      })),
      settle: drawn.settle.map(({ partition, id, fence, dueAtMs, value }) => {
        const token = this.#due[partition]!.get(id)?.token;
        return {
          partition: this.#partition(partition),
          id: Buffer.from([id]),
          ...(fence === 'none' ? {} : { token: fence === 'true' && token !== undefined ? token : 888_888_888 }),
          ...(dueAtMs === undefined ? {} : { dueAtMs }),
          ...(value === undefined ? {} : { value }),
        };
      }),
    };
  }

  #conflict(commit: Commit, drawn: Drawn): unknown {
    const check = commit.checks!.findIndex(
      ({ version }, index) => (this.#keys.get(drawn.checks[index]!.key)?.version ?? null) !== version,
    );
    if (check >= 0) return { check };
    const settle = commit.settle!.findIndex(({ token }, index) => {
      const { partition, id } = drawn.settle[index]!;
      return token !== undefined && this.#due[partition]!.get(id)?.token !== token;
    });
    return settle >= 0 ? { settle } : undefined;
  }

  #ordered(partition: number): ModelDue[] {
    return [...this.#due[partition]!.values()].sort((a, b) => a.dueAtMs - b.dueAtMs || a.id - b.id);
  }

  #modelLog(log: number): { first: number; readonly values: Buffer[] } {
    let found = this.#logs.get(log);
    if (found === undefined) this.#logs.set(log, (found = { first: 1, values: [] }));
    return found;
  }

  #key(number: number): Buffer {
    return extendKey(this.#prefix, 'key', number);
  }

  /** Counters are keys of their own, beside those that hold anything. */
  #counter(number: number): Buffer {
    return this.#key(number + 100);
  }

  #log(number: number): Buffer {
    return extendKey(this.#prefix, 'log', number);
  }

  #partition(number: number): Buffer {
    return extendKey(this.#prefix, 'partition', number);
  }
}

function publicDue({ id, ...due }: ModelDue): DueEntry {
  return { id: Buffer.from([id]), ...due };
}
