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
  readonly #core: TracerCore;
  readonly #ring: (Span | undefined)[];
  #next = 0;

  constructor(options: { clock: Clock; random: Random; capacity?: number }) {
    this.#ring = new Array(options.capacity ?? 4096);
    this.#core = {
      clock: options.clock,
      random: options.random,
      record: (span) => {
        this.#ring[this.#next++ % this.#ring.length] = span;
      },
    };
  }

  /** Begins a span under `parent`, or a new trace. */
  start(name: string, parent?: TraceContext): ActiveSpan {
    return new RunningSpan(name, parent, this.#core);
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

/** Under way and, once ended, the record of itself: an operation makes this one object and no more. */
class RunningSpan implements ActiveSpan, Span {
  readonly name: string;
  readonly startMs: number;
  durationMs = 0;
  error: string | undefined = undefined;
  readonly #parent: TraceContext | undefined;
  readonly #tracer: TracerCore;
  readonly #startElapsed: number;
  #traceId: string | undefined;
  #spanId: string | undefined;

  constructor(name: string, parent: TraceContext | undefined, tracer: TracerCore) {
    this.name = name;
    this.#parent = parent;
    this.#tracer = tracer;
    this.startMs = tracer.clock.now();
    this.#startElapsed = tracer.clock.elapsed();
  }

  // Ids are drawn when first asked for: most spans have no children, and hex costs more than the rest of a span.
  get traceId(): string {
    this.#traceId ??= this.#parent?.traceId ?? newTraceId(this.startMs, this.#tracer.random);
    return this.#traceId;
  }

  get spanId(): string {
    this.#spanId ??= this.#tracer.random.hex(16);
    return this.#spanId;
  }

  get parentId(): string | undefined {
    return this.#parent?.spanId;
  }

  end(error?: string): void {
    this.durationMs = this.#tracer.clock.elapsed() - this.#startElapsed;
    this.error = error;
    this.#tracer.record(this);
  }

  /** Accessors are no properties of their own: without this, JSON would leave the ids out. */
  toJSON(): Span {
    const { name, traceId, spanId, parentId, startMs, durationMs, error } = this;
    return { name, traceId, spanId, parentId, startMs, durationMs, error };
  }
}

interface TracerCore {
  readonly clock: Clock;
  readonly random: Random;
  readonly record: (span: Span) => void;
}

/** Begins with the time in seconds, as X-Ray's ids do. */
function newTraceId(nowMs: number, random: Random): string {
  return (
    Math.floor(nowMs / 1000)
      .toString(16)
      .padStart(8, '0') + random.hex(24)
  );
}
