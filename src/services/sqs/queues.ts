import type { Clock } from '../../kernel/clock/contract.ts';
import type { Check, Entry, Key, Store, Version } from '../../kernel/store/contract.ts';
import { counterValue } from '../../kernel/store/contract.ts';
import { formatArn } from '../../platform/arn.ts';
import { AwsError } from '../../wire/errors.ts';
import { missingParameter, queueDoesNotExist } from './errors.ts';
import { configOf, type QueueConfig } from './rules/attributes.ts';
import { allowsSource } from './rules/redrive.ts';
import { parseQueueUrl } from './rules/urls.ts';
import { allQueues, counterShards, countersOf, decodeRecord, messagesOf, type QueueRecord, queueKey } from './state.ts';

/** One version of a queue, with everything that calls need of it worked out. */
export interface Queue {
  readonly record: QueueRecord;
  readonly version: Version;
  readonly key: Key;
  readonly arn: string;
  readonly config: QueueConfig;
  /** The partition of its messages. */
  readonly partition: Key;
  readonly counters: readonly Key[];
  /** For commits that must fail if the queue was changed, purged or deleted meanwhile. */
  readonly check: Check;
}

interface Cached {
  readonly queue: Queue;
  /** Until when (monotonic) it may be used without asking the store. */
  readonly trustedUntil: number;
}

const mostCached = 10_000;
/** How old what another process may have changed can be. AWS gives itself a minute for attributes. */
const sharedTrustMs = 1000;

/**
 * Queues by name. Every commit that depends on a queue carries its version as a check, so an old copy cannot do harm; a
 * claim cannot carry one, so copies are dropped whenever a queue changes, and are used for a second at most where other
 * processes share the store.
 */
export class Queues {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #trustMs: number;
  readonly #cached = new Map<string, Cached>();
  #nextShard = 0;
  #unwatch: (() => void) | undefined;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#trustMs = store.shared ? sharedTrustMs : Number.POSITIVE_INFINITY;
  }

  start(): void {
    this.#unwatch = this.#store.watch(allQueues, () => this.#cached.clear());
  }

  close(): void {
    this.#unwatch?.();
  }

  /** The queue that a URL names for a caller. Throws QueueDoesNotExist, InvalidAddress or the missing parameter. */
  async require(
    caller: { readonly account: string; readonly region: string },
    url: string | undefined,
  ): Promise<Queue> {
    if (url === undefined || url === '') throw missingParameter('QueueUrl');
    const address = parseQueueUrl(url);
    if (address === undefined)
      throw new AwsError('InvalidAddress', `The address ${url} is not valid for this endpoint.`);
    const { account = caller.account, region = caller.region, name } = address;
    const queue = this.#fromCache(account, region, name) ?? (await this.read(account, region, name));
    if (queue === undefined) throw queueDoesNotExist();
    return queue;
  }

  /** The queue, possibly from the cache; undefined if there is none. */
  async find(account: string, region: string, name: string): Promise<Queue | undefined> {
    return this.#fromCache(account, region, name) ?? this.read(account, region, name);
  }

  /** The queue as it stands in the store now. */
  async read(account: string, region: string, name: string): Promise<Queue | undefined> {
    const key = queueKey(account, region, name);
    const entry = await this.#store.get(key);
    const cacheKey = `${name}\n${account}\n${region}`;
    if (entry === undefined) {
      this.#cached.delete(cacheKey);
      return undefined;
    }
    const queue = queueOf(entry);
    if (this.#cached.size >= mostCached) this.#cached.clear();
    this.#cached.set(cacheKey, { queue, trustedUntil: this.#clock.elapsed() + this.#trustMs });
    return queue;
  }

  /** To be called after every commit that changed the queue, and after one that lost against such a change. */
  forget(queue: { readonly record: Pick<QueueRecord, 'name' | 'account' | 'region'> }): void {
    const { name, account, region } = queue.record;
    this.#cached.delete(`${name}\n${account}\n${region}`);
  }

  /**
   * The counter to add to. Any will do: taking turns keeps rows of a shared database cool, while the embedded store adds up
   * what one batch of commits counts, and wants it on one key.
   */
  counter(queue: Queue): Key {
    if (this.#store.shared) this.#nextShard = (this.#nextShard + 1) % counterShards;
    return queue.counters[this.#nextShard]!;
  }

  /** Messages in the queue, in whatever state. */
  async total(queue: Queue): Promise<number> {
    const shards = await this.#store.getMany(queue.counters);
    return shards.reduce((sum, shard) => sum + counterValue(shard?.value), 0);
  }

  #fromCache(account: string, region: string, name: string): Queue | undefined {
    const cached = this.#cached.get(`${name}\n${account}\n${region}`);
    if (cached === undefined) return undefined;
    return cached.trustedUntil === Number.POSITIVE_INFINITY || this.#clock.elapsed() < cached.trustedUntil
      ? cached.queue
      : undefined;
  }
}

/** Whether a dead-letter queue's redrive allow policy, as it is now, lets in the messages of a source. */
export function takesLettersOf(deadLetters: Queue, source: Queue): boolean {
  return allowsSource(deadLetters.record.attributes['RedriveAllowPolicy'], source.arn);
}

export function queueOf(entry: Entry): Queue {
  const record = decodeRecord<QueueRecord>(entry.value);
  const { id, generation, account, region, name } = record;
  return {
    record,
    version: entry.version,
    key: entry.key,
    arn: formatArn({ service: 'sqs', region, account, resource: name }),
    config: configOf(record),
    partition: messagesOf(id, generation),
    counters: countersOf(id, generation),
    check: { key: entry.key, version: entry.version },
  };
}
