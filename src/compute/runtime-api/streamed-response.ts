import type { ResponseSink } from '../../platform/compute.ts';
import { responseLimitBytes, streamedResponseLimitBytes } from '../limits.ts';

/** A response that comes in pieces: given on as it comes where somebody takes it so, and collected otherwise. */
export class StreamedResponse {
  readonly #limitBytes: number;
  readonly #pieces: Buffer[] = [];
  #sink: ResponseSink | undefined;
  #sinkFailed = false;
  #bytes = 0;
  #oversized = false;

  constructor(sink: ResponseSink | undefined, contentType: string | undefined) {
    this.#limitBytes = sink === undefined ? responseLimitBytes : streamedResponseLimitBytes;
    this.#sink = sink;
    this.#give((to) => to.begin(contentType));
  }

  /** Bytes accepted so far; at most the limit. */
  get bytes(): number {
    return this.#bytes;
  }

  /** More came than a response may have: 6 MB collected, 200 MB streamed. What was beyond it is not given on. */
  get oversized(): boolean {
    return this.#oversized;
  }

  /** A caller takes it as a stream. */
  get streams(): boolean {
    return this.#sink !== undefined || this.#sinkFailed;
  }

  /** Resolves, where a promise is returned, when the next piece may come; never rejects. */
  write(piece: Buffer): Promise<void> | undefined {
    const room = this.#limitBytes - this.#bytes;
    const fitting = piece.length > room ? piece.subarray(0, room) : piece;
    this.#oversized ||= piece.length > room;
    this.#bytes += fitting.length;
    if (fitting.length === 0 || this.#sinkFailed) return undefined;
    if (this.#sink === undefined) {
      this.#pieces.push(fitting);
      return undefined;
    }
    return this.#give((sink) => sink.write(fitting))?.catch(() => this.#fail());
  }

  /** What was collected; empty where it was given on. */
  body(): Buffer {
    return this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
  }

  /** A sink that throws has lost its caller; as on AWS, the function is not told and may go on. */
  #give<T>(use: (sink: ResponseSink) => T): T | undefined {
    if (this.#sink === undefined) return undefined;
    try {
      return use(this.#sink);
    } catch {
      this.#fail();
      return undefined;
    }
  }

  #fail(): void {
    this.#sink = undefined;
    this.#sinkFailed = true;
  }
}
