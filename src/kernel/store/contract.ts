/**
 * The store: an ordered, transactional key space. Three engines (memory, LMDB, PostgreSQL) pass one suite over this
 * contract (`contract.suite.ts`). Keys are encoded tuples (`keys.ts`); engines see plain bytes, ordered bytewise.
 *
 * Four spaces live side by side and are written by one atomic commit: plain keys, counters among them, due entries in
 * partitions, and logs. The same bytes may name a key, a partition and a log without touching each other.
 */

/** An encoded tuple: at most `maxKeyBytes` bytes. */
export type Key = Buffer;

export const maxKeyBytes = 2400;

/** Grows with every write of a key and is never used twice for the same key, also not after a delete or a restart. */
export type Version = number;

export interface Entry {
  readonly key: Key;
  readonly value: Buffer;
  readonly version: Version;
}

/** From `start` (inclusive) to `end` (exclusive), bytewise. */
export interface KeyRange {
  readonly start: Key;
  readonly end: Key;
}

export interface ListOptions {
  /** Entries at most; default: no bound. */
  readonly limit?: number;
  /** Stops after the entry that brings the sum of value bytes to this or more. */
  readonly maxBytes?: number;
  readonly reverse?: boolean;
}

/** The key must still be at this version; `null`: the key must be absent. */
export interface Check {
  readonly key: Key;
  readonly version: Version | null;
}

export interface Commit {
  /** All are judged before any write of this commit. */
  readonly checks?: readonly Check[];
  readonly set?: readonly { readonly key: Key; readonly value: Uint8Array }[];
  readonly delete?: readonly Key[];
  /** Adds to a counter (absent counts as 0) without conflict; read it with `counterValue`. Whole numbers only. */
  readonly sum?: readonly { readonly key: Key; readonly delta: number }[];
  /** Appends to logs; positions are given in commit order. */
  readonly append?: readonly { readonly log: Key; readonly value: Uint8Array }[];
  /** Drops the entries of a log before a position. */
  readonly trim?: readonly { readonly log: Key; readonly before: number }[];
  /** Adds due entries; an entry with the same partition and id is replaced and starts anew. */
  readonly schedule?: readonly DueWrite[];
  /** Removes or moves due entries. */
  readonly settle?: readonly Settlement[];
}

export interface DueWrite {
  readonly partition: Key;
  /** Unique in the partition; breaks ties of `dueAtMs` bytewise. At most 512 bytes. */
  readonly id: Buffer;
  readonly dueAtMs: number;
  readonly value: Uint8Array;
}

export interface Settlement {
  readonly partition: Key;
  readonly id: Buffer;
  /**
   * The fence: the commit fails unless the entry's latest claim gave this token. Left out: whoever holds it, and an
   * absent entry is no conflict.
   */
  readonly token?: number;
  /** Moves the entry to this time and keeps its attempts; left out: removes it. */
  readonly dueAtMs?: number;
  /** With `dueAtMs`: replaces the value. */
  readonly value?: Uint8Array;
}

/**
 * A failed commit has written nothing, and is answered only when the commit it lost against is readable: to read again
 * and try again makes progress.
 */
export type CommitResult =
  | {
      readonly ok: true;
      /** The version of every key this commit set. */
      readonly version: Version;
      /** One position per append, in order. */
      readonly positions: readonly number[];
    }
  | {
      readonly ok: false;
      /** Which check, or which settlement's fence, failed. */
      readonly conflict: { readonly check: number } | { readonly settle: number };
    };

export interface DueEntry {
  readonly id: Buffer;
  readonly value: Buffer;
  readonly dueAtMs: number;
  /** How often the entry has been claimed. */
  readonly attempts: number;
  /** When it was claimed first; undefined before that. */
  readonly firstClaimedAtMs: number | undefined;
  /** The fencing token of the latest claim; undefined before the first. */
  readonly token: number | undefined;
}

/** `attempts` counts this claim; `dueAtMs` is the new due time. */
export interface ClaimedEntry extends DueEntry {
  readonly token: number;
  readonly firstClaimedAtMs: number;
  /** The due time before this claim. */
  readonly wasDueAtMs: number;
}

export interface ClaimRequest {
  readonly partition: Key;
  /** Claims entries with `dueAtMs` at or before this, earliest first. */
  readonly dueByMs: number;
  /** Their new due time: the lease's or the visibility timeout's end. */
  readonly untilMs: number;
  readonly limit: number;
}

export interface DueRange {
  /** Only entries due at or after this. */
  readonly fromMs?: number;
  /** Only entries due before this. */
  readonly beforeMs?: number;
  readonly limit?: number;
  /** Only entries after this one (for paging). */
  readonly after?: { readonly dueAtMs: number; readonly id: Buffer };
}

export interface LogEntry {
  readonly position: number;
  readonly value: Buffer;
}

export interface Store {
  /** 'memory' | 'lmdb' | 'postgres' */
  readonly engine: string;
  /** True when an answered commit is on disk. */
  readonly durable: boolean;
  /** True when other processes may write to it too: what is remembered of it must then be asked anew. */
  readonly shared: boolean;

  get(key: Key): Promise<Entry | undefined>;
  /** In the order of the keys given. */
  getMany(keys: readonly Key[]): Promise<readonly (Entry | undefined)[]>;
  /**
   * In key order. Up to 1,000 entries are read at one point in time; a longer list yields to the event loop every few
   * milliseconds and may see commits made meanwhile, but never misses a key that was there all along.
   */
  list(range: KeyRange, options?: ListOptions): Promise<readonly Entry[]>;
  count(range: KeyRange): Promise<number>;

  /** Wholly or not at all; resolves when the outcome is durable (on engines that are). Reads see only what is committed. */
  commit(commit: Commit): Promise<CommitResult>;

  /** Each due entry goes to one caller only. Durable when it resolves. */
  claim(request: ClaimRequest): Promise<readonly ClaimedEntry[]>;
  due(partition: Key, id: Buffer): Promise<DueEntry | undefined>;
  /** In order of due time and id. */
  listDue(partition: Key, range?: DueRange): Promise<readonly DueEntry[]>;
  countDue(partition: Key, range?: DueRange): Promise<number>;
  /** The earliest due time in the partition. */
  nextDue(partition: Key): Promise<number | undefined>;

  /** Entries at or after `from`, oldest first. A reader that saw position n never finds an earlier one later. */
  readLog(log: Key, from: number, limit: number): Promise<readonly LogEntry[]>;
  /** The position that the next append gets; the first position of a log is 1. */
  nextPosition(log: Key): Promise<number>;

  /**
   * Calls back some time after keys, partitions or logs that begin with these bytes changed. A coalesced hint, never to be
   * trusted: polling is the truth. Returns the function that ends the watch.
   */
  watch(prefix: Key, onChange: () => void): () => void;

  /** The whole content at one point in time, in a form that every engine restores. */
  snapshot(): AsyncIterable<Buffer>;
  /** Replaces the whole content. */
  restore(source: AsyncIterable<Uint8Array>): Promise<void>;

  /**
   * Of a store that several processes share: what to add to this machine's wall clock, in milliseconds, to get the store's,
   * which is the clock of all of them.
   */
  clockOffsetMs?(): Promise<number>;

  /** Waits for commits under way. */
  close(): Promise<void>;
}

/** Counters are 64-bit signed integers, big-endian. */
export function counterValue(value: Uint8Array | undefined): number {
  if (value === undefined) return 0;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  return Number(view.getBigInt64(0));
}

export function counterBytes(value: number): Buffer {
  const out = Buffer.allocUnsafe(8);
  out.writeBigInt64BE(BigInt(value));
  return out;
}
