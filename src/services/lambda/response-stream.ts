import type { Clock } from '../../kernel/clock/contract.ts';
import type { LimitProfile } from '../../kernel/limits/limits.ts';
import type { ResponseSink } from '../../platform/compute.ts';
import { lambdaLimits } from './limits.ts';

/**
 * What a function streams, on its way from the sandbox to a reader: no faster than the reader takes it, nor than AWS lets it
 * (https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html: 6 MB at once, then 2 MB/s). A reader that
 * leaves does not cut the function off: the rest is thrown away.
 */
export class ResponseStream implements ResponseSink, AsyncIterable<Buffer> {
  /** Resolves when the function has begun to answer in pieces; never where it does not. */
  readonly begun: Promise<void>;
  /** The runtime's content type, once begun. */
  contentType: string | undefined;
  /** The response was longer than a streamed one may be, and is cut off there. */
  tooLarge = false;
  readonly #clock: Clock;
  readonly #limits: LimitProfile;
  readonly #pieces: Buffer[] = [];
  #began: () => void = () => {};
  #hasBegun = false;
  #left = false;
  #ended = false;
  #bytes = 0;
  /** Cloud time at which what was sent beyond the burst is within the rate. */
  #paidAtMs = 0;
  #lastWrite: Promise<void> = Promise.resolve();
  #wakeReader: () => void = () => {};
  #wakeWriter: () => void = () => {};

  constructor(clock: Clock, limits: LimitProfile) {
    this.#clock = clock;
    this.#limits = limits;
    this.begun = new Promise((resolve) => {
      this.#began = resolve;
    });
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  begin(contentType: string | undefined): void {
    this.contentType = contentType;
    this.#hasBegun = true;
    this.#began();
  }

  write(piece: Buffer): Promise<void> {
    this.#lastWrite = this.#lastWrite.then(() => this.#write(piece));
    return this.#lastWrite;
  }

  /** The execution is over: the reader's pieces end after those that are there. */
  end(): void {
    this.#ended = true;
    this.#wakeReader();
  }

  /** The reader leaves when the signal says so. */
  leaveWith(signal: AbortSignal): void {
    if (signal.aborted) this.leave();
    else signal.addEventListener('abort', () => this.leave(), { once: true });
  }

  /** Nobody reads any more. */
  leave(): void {
    this.#left = true;
    this.#pieces.length = 0;
    this.#wakeReader();
    this.#wakeWriter();
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer, undefined> {
    return {
      next: async () => {
        for (;;) {
          const piece = this.#pieces.shift();
          if (piece !== undefined) return { done: false, value: piece };
          this.#wakeWriter();
          if (this.#ended || this.#left) return { done: true, value: undefined };
          await new Promise<void>((resolve) => {
            this.#wakeReader = resolve;
          });
        }
      },
      return: async () => {
        this.leave();
        return { done: true, value: undefined };
      },
    };
  }

  async #write(piece: Buffer): Promise<void> {
    const room = lambdaLimits.streamedResponseBytes.value - this.#bytes;
    if (piece.length > room) this.tooLarge = true;
    const kept = piece.length > room ? piece.subarray(0, room) : piece;
    if (this.#left || kept.length === 0) return;
    const before = this.#bytes;
    this.#bytes += kept.length;
    this.#pieces.push(kept);
    this.#wakeReader();
    const taken = new Promise<void>((resolve) => {
      this.#wakeWriter = resolve;
    });
    const waitMs = this.#paceMs(before);
    if (waitMs > 0) await this.#clock.sleep(waitMs);
    if (!this.#left) await taken;
  }

  /** How long the next piece must wait, given how much had been sent before the last one. */
  #paceMs(before: number): number {
    if (this.#limits !== 'aws') return 0;
    const free = lambdaLimits.streamedBurstBytes.value;
    const beyond = this.#bytes - Math.max(before, free);
    if (beyond <= 0) return 0;
    const now = this.#clock.now();
    this.#paidAtMs = Math.max(now, this.#paidAtMs) + (beyond / lambdaLimits.streamedBytesPerSecond.value) * 1_000;
    return Math.ceil(this.#paidAtMs - now);
  }
}
