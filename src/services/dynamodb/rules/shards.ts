/**
 * Shards of streams: how many, which of them an item's records go to, their names and sequence numbers, and who follows whom.
 *
 * A table on AWS has a shard per partition; partitions split and never merge. A new on-demand table has four; a provisioned one as many
 * as its units need at 3,000 read and 1,000 write units each (developer guide, "Partitions and data distribution", "On-demand capacity
 * mode": 4,000 write units at the start). Shards are closed after some four hours, and go on in children.
 */
import type { Throughput } from '../state.ts';

const onDemandShards = 4;
const mostShards = 64;
const readUnitsOfPartition = 3_000;
const writeUnitsOfPartition = 1_000;

/** How many shards are opened: a power of two, never fewer than `before`. */
export function shardCount(
  billingMode: 'PROVISIONED' | 'PAY_PER_REQUEST',
  { readUnits, writeUnits }: Pick<Throughput, 'readUnits' | 'writeUnits'>,
  before = 1,
): number {
  const partitions =
    billingMode === 'PAY_PER_REQUEST'
      ? onDemandShards
      : Math.ceil(readUnits / readUnitsOfPartition + writeUnits / writeUnitsOfPartition);
  let count = before;
  while (count < partitions && count < mostShards) count *= 2;
  return count;
}

/** The shard of an item, by the first byte of its partition key's hash. */
export function shardOf(hashByte: number, shards: number): number {
  return (hashByte * shards) >> 8;
}

/** Whom a shard follows: the one that had its share of the hashes before. */
export function parentOf(shard: number, shards: number, shardsBefore: number): number {
  return Math.floor((shard * shardsBefore) / shards);
}

/** `shardId-00000001414562045508-2bac9cd2`, as AWS's look: a time and eight hex digits. */
export function shardIdOf(openedAtMs: number, shard: number): string {
  const hex = (Math.imul(shard + 1, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0');
  return `shardId-${String(openedAtMs).padStart(20, '0')}-${hex}`;
}

const openedDigits = 13;
const shardDigits = 3;
const positionDigits = 12;

/** 28 digits; they grow within a shard, and from a shard to its children. */
export function sequenceNumberOf(openedAtMs: number, shard: number, position: number): string {
  return (
    String(openedAtMs).padStart(openedDigits, '0') +
    String(shard).padStart(shardDigits, '0') +
    String(position).padStart(positionDigits, '0')
  );
}

/** The position that a sequence number of this shard stands for; undefined: it is of another. */
export function positionOf(sequenceNumber: string, openedAtMs: number, shard: number): number | undefined {
  const prefix = sequenceNumberOf(openedAtMs, shard, 0).slice(0, -positionDigits);
  if (!sequenceNumber.startsWith(prefix) || sequenceNumber.length !== prefix.length + positionDigits) return undefined;
  const position = Number(sequenceNumber.slice(prefix.length));
  return Number.isSafeInteger(position) ? position : undefined;
}
