import type { Clock } from '../clock/contract.ts';
import type { Random } from '../random/random.ts';

/** Which span caused this one: carried along calls, messages and jobs. */
export interface TraceContext {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
}

export interface Span extends TraceContext {
  readonly name: string;
  readonly parentId: string | undefined;
  readonly startMs: number;
  readonly durationMs: number;
  /** The error's code, where there was one. */
  readonly error: string | undefined;
}

export interface ActiveSpan extends TraceContext {
  end(error?: string): void;
}

/** Keeps the latest spans in a ring. */
export class Tracer {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #ring: (Span | undefined)[];
  #next = 0;

  constructor(options: { clock: Clock; random: Random; capacity?: number }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#ring = new Array(options.capacity ?? 4096);
  }

  /** Begins a span under `parent`, or a new trace. */
  start(name: string, parent?: TraceContext): ActiveSpan {
    return new RunningSpan(name, parent, this.#clock, this.#random, (span) => {
      this.#ring[this.#next++ % this.#ring.length] = span;
    });
  }

  /** The latest spans, oldest first; of one trace if asked. */
  recent(traceId?: string): readonly Span[] {
    const spans: Span[] = [];
    for (let index = 0; index < this.#ring.length; index++) {
      const span = this.#ring[(this.#next + index) % this.#ring.length];
      if (span !== undefined && (traceId === undefined || span.traceId === traceId)) spans.push(span);
    }
    return spans;
  }
}

class RunningSpan implements ActiveSpan {
  readonly #name: string;
  readonly #parent: TraceContext | undefined;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #record: (span: Span) => void;
  readonly #startMs: number;
  readonly #startElapsed: number;
  #traceId: string | undefined;
  #spanId: string | undefined;

  constructor(
    name: string,
    parent: TraceContext | undefined,
    clock: Clock,
    random: Random,
    record: (span: Span) => void,
  ) {
    this.#name = name;
    this.#parent = parent;
    this.#clock = clock;
    this.#random = random;
    this.#record = record;
    this.#startMs = clock.now();
    this.#startElapsed = clock.elapsed();
  }

  // Ids are drawn when first asked for: most spans have no children, and hex costs more than the rest of a span.
  get traceId(): string {
    this.#traceId ??= this.#parent?.traceId ?? newTraceId(this.#startMs, this.#random);
    return this.#traceId;
  }

  get spanId(): string {
    this.#spanId ??= this.#random.hex(16);
    return this.#spanId;
  }

  end(error?: string): void {
    // Read back lazily as well: the ring holds the span itself.
    const self = this;
    const durationMs = this.#clock.elapsed() - this.#startElapsed;
    this.#record({
      name: this.#name,
      get traceId() {
        return self.traceId;
      },
      get spanId() {
        return self.spanId;
      },
      parentId: this.#parent?.spanId,
      startMs: this.#startMs,
      durationMs,
      error,
    });
  }
}

/** Begins with the time in seconds, as X-Ray's ids do. */
function newTraceId(nowMs: number, random: Random): string {
  return (
    Math.floor(nowMs / 1000)
      .toString(16)
      .padStart(8, '0') + random.hex(24)
  );
}
