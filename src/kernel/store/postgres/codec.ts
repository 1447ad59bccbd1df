import { createHash } from 'node:crypto';
import type { CustomTypesConfig } from 'pg';
import type { Commit, Key } from '../contract.ts';

/**
 * How commits travel to PostgreSQL: arrays in PostgreSQL's binary form, which pg passes on as they are when a parameter
 * is a Buffer. Hexadecimal text, pg's own way, doubles the bytes and costs both sides more than the commit itself.
 */

const oids = { bytea: 17, int8: 20, int4: 23, int8Array: 1016 } as const;

/**
 * Rows come as text: pg 8 decodes every column as UTF-8 before a parser sees it, which binary form does not survive.
 * (`bytea_output = hex` is set per connection.)
 */
export const rowTypes = {
  getTypeParser: (oid: number) => {
    switch (oid) {
      case oids.bytea:
        return (text: string) => Buffer.from(text.slice(2), 'hex');
      case oids.int8:
      case oids.int4:
        return Number;
      case oids.int8Array:
        return (text: string) => text.slice(1, -1).split(',').map(Number);
      default:
        return (text: string) => text;
    }
  },
} as unknown as CustomTypesConfig;

/** Null for an empty array, which the functions take for "nothing of this kind". */
export function byteaArray(values: readonly (Uint8Array | null)[]): Buffer | null {
  if (values.length === 0) return null;
  let size = 20;
  let nulls = false;
  for (const value of values) {
    size += 4 + (value?.length ?? 0);
    if (value === null) nulls = true;
  }
  const out = Buffer.allocUnsafe(size);
  let at = writeArrayHead(out, oids.bytea, values.length, nulls);
  for (const value of values) {
    at = out.writeInt32BE(value === null ? -1 : value.length, at);
    if (value === null) continue;
    out.set(value, at);
    at += value.length;
  }
  return out;
}

export function int8Array(values: readonly (number | null)[]): Buffer | null {
  if (values.length === 0) return null;
  const out = Buffer.allocUnsafe(20 + values.length * 12);
  let at = writeArrayHead(out, oids.int8, values.length, values.includes(null));
  for (const value of values) {
    at = out.writeInt32BE(value === null ? -1 : 8, at);
    if (value !== null) at = out.writeBigInt64BE(BigInt(value), at);
  }
  return out.subarray(0, at);
}

export function int4Array(values: readonly number[]): Buffer {
  const out = Buffer.allocUnsafe(20 + values.length * 8);
  let at = writeArrayHead(out, oids.int4, values.length, false);
  for (const value of values) {
    at = out.writeInt32BE(4, at);
    at = out.writeInt32BE(value, at);
  }
  return out;
}

function writeArrayHead(out: Buffer, oid: number, length: number, nulls: boolean): number {
  out.writeInt32BE(1, 0);
  out.writeInt32BE(nulls ? 1 : 0, 4);
  out.writeInt32BE(oid, 8);
  out.writeInt32BE(length, 12);
  out.writeInt32BE(1, 16);
  return 20;
}

const longPartition = 1024;

/**
 * What stands for a partition in the tables: itself, or, since partition, due time and id must fit into 2,704 bytes of an
 * index, the beginning of a long one and its hash. No short partition has the length of those.
 */
export function partitionKey(partition: Key): Key {
  if (partition.length <= longPartition) return partition;
  const hash = createHash('sha256').update(partition).digest();
  return Buffer.concat([partition.subarray(0, longPartition - 16), hash]);
}

/** Times: whole milliseconds from 0 to 2^53 − 1. */
export function wholeMs(ms: number): number {
  if (Number.isNaN(ms)) throw new RangeError('a time must be a number');
  return Math.min(Math.max(0, Math.trunc(ms)), Number.MAX_SAFE_INTEGER);
}

/** Above this many names a commit locks out all others instead of each name: PostgreSQL's lock table is small. */
const mostLocks = 256;

/** The parameters of `write_commit` after the first, and which fence of theirs is which settlement of the commit. */
export interface EncodedCommit {
  readonly parameters: readonly unknown[];
  readonly fences: readonly number[];
  /** Per append, which log of the sent ones (from 0), and how far from its first position. */
  readonly appends: readonly { readonly log: number; readonly offset: number }[];
}

export function encodeCommit(commit: Commit): EncodedCommit {
  const locks = new Set<number>();
  const sets = new Map<string, { readonly key: Key; readonly value: Uint8Array }>();
  for (const { key, value } of commit.set ?? []) sets.set(nameOf(locks, 1, key), { key, value });
  const deletes = new Map<string, Key>();
  for (const key of commit.delete ?? []) {
    const name = nameOf(locks, 1, key);
    sets.delete(name);
    deletes.set(name, key);
  }
  const sums = new Map<string, { readonly key: Key; delta: number }>();
  for (const { key, delta } of commit.sum ?? []) {
    const name = nameOf(locks, 1, key);
    const found = sums.get(name);
    if (found === undefined) sums.set(name, { key, delta });
    else found.delta += delta;
  }
  const checks = commit.checks ?? [];
  for (const { key } of checks) locks.add(lockOf(1, key));

  const logs = new Map<string, { readonly log: Key; readonly number: number; count: number }>();
  const appends = (commit.append ?? []).map(({ log }) => {
    const name = nameOf(locks, 2, log);
    let found = logs.get(name);
    if (found === undefined) logs.set(name, (found = { log, number: logs.size, count: 0 }));
    return { log: found.number, offset: found.count++ };
  });
  const trims = new Map<string, { readonly log: Key; readonly before: number }>();
  for (const { log, before } of commit.trim ?? []) {
    const name = nameOf(locks, 2, log);
    trims.set(name, { log, before: Math.max(before, trims.get(name)?.before ?? 0) });
  }

  const scheduled = new Map<string, NonNullable<Commit['schedule']>[number]>();
  for (const one of commit.schedule ?? []) scheduled.set(dueName(locks, one), one);
  const { removes, moves } = mergeSettlements(commit.settle ?? [], locks);
  const fences = (commit.settle ?? []).flatMap((one, index) => (one.token === undefined ? [] : [index]));
  const fenced = fences.map((index) => commit.settle![index]!);

  const alone = locks.size > mostLocks;
  const sumList = [...sums.values()];
  const logList = [...logs.values()];
  const trimList = [...trims.values()];
  const dueList = [...scheduled.values()];
  const setList = [...sets.values()];
  const parameters = [
    int4Array(alone ? [] : [...locks].sort((a, b) => a - b)),
    alone,
    byteaArray(checks.map(({ key }) => key)),
    int8Array(checks.map(({ version }) => version)),
    byteaArray(fenced.map(({ partition }) => partitionKey(partition))),
    byteaArray(fenced.map(({ id }) => id)),
    int8Array(fenced.map(({ token }) => token!)),
    byteaArray(setList.map(({ key }) => key)),
    byteaArray(setList.map(({ value }) => value)),
    byteaArray([...deletes.values()]),
    byteaArray(sumList.map(({ key }) => key)),
    int8Array(sumList.map(({ delta }) => delta)),
    byteaArray(logList.map(({ log }) => log)),
    int8Array(logList.map(({ count }) => count)),
    int8Array(appends.map(({ log }) => log + 1)),
    int8Array(appends.map(({ offset }) => offset)),
    byteaArray((commit.append ?? []).map(({ value }) => value)),
    byteaArray(trimList.map(({ log }) => log)),
    int8Array(trimList.map(({ before }) => wholeMs(before))),
    byteaArray(dueList.map(({ partition }) => partitionKey(partition))),
    byteaArray(dueList.map(({ id }) => id)),
    int8Array(dueList.map(({ dueAtMs }) => wholeMs(dueAtMs))),
    byteaArray(dueList.map(({ partition }) => (partition.length > longPartition ? partition : null))),
    byteaArray(dueList.map(({ value }) => value)),
    byteaArray(removes.map(({ partition }) => partitionKey(partition))),
    byteaArray(removes.map(({ id }) => id)),
    byteaArray(moves.map(({ partition }) => partitionKey(partition))),
    byteaArray(moves.map(({ id }) => id)),
    int8Array(moves.map(({ dueAtMs }) => wholeMs(dueAtMs!))),
    byteaArray(moves.map(({ value }) => value ?? null)),
  ];
  return { parameters, fences, appends };
}

type Settlement = NonNullable<Commit['settle']>[number];

/** One outcome per entry: once removed, it stays removed; else the last move, with the last value given. */
function mergeSettlements(settle: readonly Settlement[], locks: Set<number>) {
  const merged = new Map<string, Settlement>();
  for (const one of settle) {
    const name = dueName(locks, one);
    const earlier = merged.get(name);
    if (earlier === undefined) merged.set(name, one);
    else if (earlier.dueAtMs === undefined) continue;
    else if (one.dueAtMs === undefined) merged.set(name, one);
    else merged.set(name, { ...one, ...optionalValue(one.value ?? earlier.value) });
  }
  const all = [...merged.values()];
  return {
    removes: all.filter(({ dueAtMs }) => dueAtMs === undefined),
    moves: all.filter(({ dueAtMs }) => dueAtMs !== undefined),
  };
}

function optionalValue(value: Uint8Array | undefined): { readonly value?: Uint8Array } {
  return value === undefined ? {} : { value };
}

function nameOf(locks: Set<number>, kind: number, key: Key): string {
  locks.add(lockOf(kind, key));
  return key.toString('latin1');
}

function dueName(locks: Set<number>, { partition, id }: { readonly partition: Key; readonly id: Buffer }): string {
  locks.add(lockOf(3, partition, id));
  return `${partition.length}:${partition.toString('latin1')}${id.toString('latin1')}`;
}

/** FNV-1a over kind and bytes, 31 bits, never 0: that is the gate. */
function lockOf(kind: number, key: Uint8Array, id?: Uint8Array): number {
  let hash = 0x811c9dc5 ^ kind;
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key[index]!, 0x01000193);
  if (id !== undefined) for (let index = 0; index < id.length; index++) hash = Math.imul(hash ^ id[index]!, 0x01000193);
  return (hash >>> 1) | 1;
}
