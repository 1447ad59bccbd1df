/** One extension's telemetry: buffered, sent in order, and given up where it comes faster than it is taken. */
import type { Clock, Timer } from '../../kernel/clock/contract.ts';
import type { Delivery } from './delivery.ts';
import type { Buffering } from './subscription.ts';

export interface SubscriberOptions {
  readonly buffering: Buffering;
  readonly delivery: Delivery;
  /** Real time: the listener is a real process. */
  readonly clock: Clock;
  /** What is to be told of events that were given up. */
  readonly onDropped: (records: number, bytes: number) => void;
}

/** Waits between attempts; our choice ("with backoff", docs: telemetry-api). */
const firstRetryMs = 50;
const longestRetryMs = 1_000;

/**
 * Holds at most twice `maxBytes` and `maxItems`: a batch under way, and the one that fills behind it ("expect payloads as large as
 * 2 * maxBytes"). What comes beyond that is dropped and counted.
 */
export class Subscriber {
  readonly #options: SubscriberOptions;
  #events: string[] = [];
  #bytes = 0;
  #timer: Timer | undefined;
  #sending: Promise<void> | undefined;
  #dropped = { records: 0, bytes: 0 };
  #closed = false;
  readonly #ended = new AbortController();

  constructor(options: SubscriberOptions) {
    this.#options = options;
  }

  /** `event`: JSON text. */
  push(event: string): void {
    if (this.#closed) return;
    const { maxItems, maxBytes, timeoutMs } = this.#options.buffering;
    const bytes = Buffer.byteLength(event);
    if (this.#sending !== undefined && (this.#events.length >= maxItems || this.#bytes + bytes > maxBytes)) {
      this.#dropped.records++;
      this.#dropped.bytes += bytes;
      return;
    }
    this.#events.push(event);
    this.#bytes += bytes;
    if (this.#sending !== undefined) return;
    if (this.#events.length >= maxItems || this.#bytes >= maxBytes) this.#send();
    else this.#timer ??= this.#options.clock.at(this.#options.clock.now() + timeoutMs, () => this.#send());
  }

  /** Sends what there is now; resolves when it has been taken, or given up because this was closed. */
  async flush(): Promise<void> {
    while (!this.#closed && (this.#events.length > 0 || this.#sending !== undefined)) {
      this.#send();
      await this.#sending;
    }
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#options.delivery.close();
    this.#ended.abort();
  }

  #send(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#sending !== undefined || this.#events.length === 0 || this.#closed) return;
    const events = this.#events;
    this.#events = [];
    this.#bytes = 0;
    this.#sending = this.#deliver(events).then(() => {
      this.#sending = undefined;
      this.#tellDropped();
      this.#goOn();
    });
  }

  /** Until it is taken, or nobody is left to take it. */
  async #deliver(events: readonly string[]): Promise<void> {
    const { delivery, clock } = this.#options;
    for (let waitMs = firstRetryMs; !this.#closed; waitMs = Math.min(waitMs * 2, longestRetryMs)) {
      try {
        return await delivery.send(events);
      } catch {
        await clock.sleep(waitMs, this.#ended.signal).catch(() => {
          // Closed meanwhile.
        });
      }
    }
  }

  /** Only now is there somebody to hear it. */
  #tellDropped(): void {
    const { records, bytes } = this.#dropped;
    if (records === 0 || this.#closed) return;
    this.#dropped = { records: 0, bytes: 0 };
    this.#options.onDropped(records, bytes);
  }

  /** What filled up while the last batch was under way. */
  #goOn(): void {
    const { maxItems, maxBytes, timeoutMs } = this.#options.buffering;
    if (this.#events.length >= maxItems || this.#bytes >= maxBytes * 0.9) this.#send();
    else if (this.#events.length > 0) {
      this.#timer ??= this.#options.clock.at(this.#options.clock.now() + timeoutMs, () => this.#send());
    }
  }
}
