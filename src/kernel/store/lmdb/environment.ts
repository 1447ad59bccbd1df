import { getLastVersion, type Key as LmdbKey, open, type RootDatabase } from 'lmdb';
import { StoreOpenError } from '../open-error.ts';
import { checkDataFile } from './data-file.ts';
import { decodeMeta, encodeMeta, KeyWriter, keyEncoder, type Meta, valueEncoder } from './layout.ts';

/** A record read: the value is a copy. */
export interface Found {
  readonly value: Buffer;
  readonly version: number;
}

export interface FoundKey extends Found {
  readonly key: Buffer;
}

export interface RangeRequest {
  readonly start: KeyWriter;
  readonly end: KeyWriter;
  readonly limit: number;
  readonly reverse?: boolean;
  /** A read transaction from `beginRead`; without it the latest content. */
  readonly transaction?: ReadTransaction;
}

export type ReadTransaction = ReturnType<RootDatabase<Buffer>['useReadTransaction']>;

const format = 1;
/** Keys of up to 4,026 bytes; the default page size allows 1,978. */
const pageSize = 8192;
const reasonWithinMs = 1000;

/**
 * The environment behind the LMDB engine: what of lmdb-js is used, and how.
 *
 * Without `overlappingSync` a transaction is written, fdatasync'ed, and its meta page written through a descriptor
 * opened with O_DSYNC before its promise resolves; test/crash traces the system calls. All writing happens in lmdb-js's
 * own thread, from instructions that `write` gathers; the main thread only reads.
 */
export class Environment {
  readonly path: string;
  readonly #db: RootDatabase<Buffer, LmdbKey>;
  readonly #key = new KeyWriter();
  #closed = false;

  /** `noSync` exists for the canary of the sync test only. */
  constructor(options: { readonly path: string; readonly noSync?: boolean }) {
    this.path = options.path;
    checkDataFile(options.path, pageSize);
    try {
      this.#db = open<Buffer, LmdbKey>({
        path: options.path,
        noSubdir: false,
        pageSize,
        // Address space, not memory: the map never has to move under a reader.
        mapSize: 2 ** 40,
        encoding: 'binary',
        encoder: valueEncoder,
        keyEncoder,
        // lmdb-js keeps the version beside the value, so no value has to be copied to get one.
        useVersions: true,
        cache: false,
        overlappingSync: false,
        // `write` says itself what belongs together.
        eventTurnBatching: false,
        noMemInit: true,
        ...(options.noSync === true ? { noSync: true } : {}),
      });
    } catch (error) {
      throw new StoreOpenError(
        `the store at ${options.path} cannot be opened: ${(error as Error).message}`,
        'If its files are damaged, restore them from a backup, or name another directory with --data.',
        { cause: error },
      );
    }
  }

  /** The meta record; undefined in a new environment. */
  meta(): Meta | undefined {
    const found = this.get(this.#key.meta());
    if (found === undefined) return undefined;
    const meta = decodeMeta(found.value);
    if (meta.format !== format) {
      throw new StoreOpenError(
        `the store at ${this.path} has format ${meta.format}; this version reads ${format}`,
        'Use the version that wrote it, or name another directory with --data.',
      );
    }
    return meta;
  }

  putMeta(generation: number, ceiling: number): void {
    this.put(this.#key.meta(), encodeMeta({ format, generation, ceiling }), 0);
  }

  /** Makes reads see every finished transaction. */
  refresh(): void {
    this.#db.resetReadTxn();
  }

  get(key: KeyWriter, transaction?: ReadTransaction): Found | undefined {
    const fast =
      transaction === undefined
        ? this.#db.getBinaryFast(asKey(key))
        : (this.#db as unknown as ReadsInTransaction).getBinaryFast(asKey(key), { transaction });
    if (fast === undefined) return undefined;
    const version = getLastVersion();
    // LMDB's shared buffer, its `length` redefined: only `subarray` with an end is to be trusted.
    return { value: valueEncoder.decode(fast), version };
  }

  /** The version only; undefined when absent. */
  version(key: KeyWriter): number | undefined {
    return this.#db.getBinaryFast(asKey(key)) === undefined ? undefined : getLastVersion();
  }

  /** Reads at one point in time; the caller keeps `limit` small enough for one turn. */
  range(request: RangeRequest): FoundKey[] {
    return request.limit <= 0 ? [] : [...this.walk(request)];
  }

  /** The same one by one, to be walked in one turn; leaving the loop early is fine. */
  walk(request: RangeRequest): Iterable<FoundKey> {
    const { start, end, limit, reverse = false, transaction } = request;
    const options = {
      start: asKey(reverse ? end : start),
      end: asKey(reverse ? start : end),
      limit,
      reverse,
      versions: true,
      // In reverse lmdb-js would include the first and leave out the last.
      ...(reverse ? { exclusiveStart: true, inclusiveEnd: true } : {}),
      ...(transaction === undefined ? {} : { transaction }),
    };
    return this.#db.getRange(options) as unknown as Iterable<FoundKey>;
  }

  /** Keys only. */
  keys(start: KeyWriter, end: KeyWriter, limit: number, offset = 0): Buffer[] {
    return [...this.#db.getKeys({ start: asKey(start), end: asKey(end), limit, offset })] as unknown as Buffer[];
  }

  count(start: KeyWriter, end: KeyWriter): number {
    return this.#db.getKeysCount({ start: asKey(start), end: asKey(end) });
  }

  /** A view of one point in time for as long as it takes; `done()` ends it. */
  beginRead(): ReadTransaction {
    this.#db.resetReadTxn();
    return this.#db.useReadTransaction();
  }

  /** Only inside the callback of `write`. `value` must stay as it is until the write is done. */
  put(key: KeyWriter, value: Uint8Array, version: number): void {
    this.#db.put(asKey(key), value as Buffer, version);
  }

  /** Only inside the callback of `write`. */
  remove(key: KeyWriter): void {
    this.#db.remove(asKey(key));
  }

  /** All that `gather` puts and removes becomes one transaction; resolves when it is durable and readable. */
  async write(gather: () => void): Promise<void> {
    try {
      await this.#db.batch(gather);
    } catch (error) {
      throw new Error(`the store at ${this.path} could not write: ${await reasonOf(error)}`, { cause: error });
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#db.close();
  }
}

/** The second parameter that lmdb-js takes and its types leave out. */
interface ReadsInTransaction {
  getBinaryFast(key: LmdbKey, options: { readonly transaction: ReadTransaction }): Buffer | undefined;
}

/** lmdb-js hands keys to `keyEncoder` unseen; its types do not know that. */
function asKey(key: KeyWriter): LmdbKey {
  return key as unknown as LmdbKey;
}

/** lmdb-js rejects with a general error whose `commitError` rejects with the true reason a little later. */
async function reasonOf(error: unknown): Promise<string> {
  const commitError = (error as { readonly commitError?: Promise<unknown> }).commitError;
  if (commitError !== undefined) {
    const later = new Promise<void>((resolve) => setTimeout(resolve, reasonWithinMs).unref());
    try {
      await Promise.race([commitError, later]);
    } catch (reason) {
      return (reason as Error).message;
    }
  }
  return (error as Error).message;
}
