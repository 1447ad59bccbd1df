/** What telemetry is told of an environment's life, in the order and with the members of AWS's (docs: telemetry-schema-reference). */
import type { Clock } from '../../kernel/clock/contract.ts';
import type { InitReport, Invocation, InvocationStats, SandboxSpec } from '../../platform/compute.ts';
import type { ExtensionStatus } from './extensions.ts';
import type { Telemetry } from './telemetry.ts';

export interface Outcome {
  readonly status: 'success' | 'error' | 'failure' | 'timeout';
  readonly errorType?: string;
}

interface Span {
  readonly name: string;
  readonly start: string;
  readonly durationMs: number;
}

/** Of the monotonic clock. */
interface Marks {
  readonly invocation: Invocation;
  readonly startedAtMs: number;
  /** What the sandbox's clock said then. */
  readonly startedAtEpochMs: number;
  firstByteAtMs?: number;
  answeredAtMs?: number;
  runtimeDoneAtMs?: number;
  producedBytes: number;
  stats?: InvocationStats;
}

/** Of one run of an environment. Does nothing for an invocation that nobody listens to. */
export class PlatformEvents {
  readonly #spec: SandboxSpec;
  readonly #telemetry: Telemetry;
  readonly #clock: Clock;
  readonly #sandboxNow: () => number;
  #marks: Marks | undefined;

  constructor(spec: SandboxSpec, telemetry: Telemetry, clock: Clock, sandboxNow: () => number) {
    this.#spec = spec;
    this.#telemetry = telemetry;
    this.#clock = clock;
    this.#sandboxNow = sandboxNow;
  }

  initStart(phase: InitReport['phase']): void {
    const { initializationType, functionName, functionArn, version, logStream, memoryMb } = this.#spec;
    this.#telemetry.platform('platform.initStart', {
      initializationType,
      phase,
      functionName,
      functionArn,
      functionVersion: version,
      instanceId: logStream,
      instanceMaxMemory: memoryMb * 1024 * 1024,
    });
  }

  initDone({ phase, status, errorType, durationMs }: InitReport, extensions: readonly ExtensionStatus[]): void {
    if (!this.#telemetry.active) return;
    const { initializationType } = this.#spec;
    const outcome = { status, ...(errorType === undefined ? {} : { errorType }) };
    this.#telemetry.platform('platform.initRuntimeDone', { initializationType, phase, ...outcome });
    for (const { name, state, events, errorType: why } of extensions) {
      this.#telemetry.platform('platform.extension', {
        name,
        state,
        events,
        ...(why === undefined ? {} : { errorType: why }),
      });
    }
    const metrics = { durationMs: rounded(durationMs) };
    this.#telemetry.platform('platform.initReport', { initializationType, phase, metrics, ...outcome });
  }

  restored(durationMs: number, outcome: Outcome): void {
    if (!this.#telemetry.active) return;
    this.#telemetry.platform('platform.restoreRuntimeDone', outcome);
    this.#telemetry.platform('platform.restoreReport', { ...outcome, metrics: { durationMs: rounded(durationMs) } });
  }

  restoreStart(): void {
    const { functionName, version, logStream } = this.#spec;
    this.#telemetry.platform('platform.restoreStart', {
      functionName,
      functionVersion: version,
      instanceId: logStream,
      instanceMaxMemory: this.#spec.memoryMb * 1024 * 1024,
    });
  }

  started(invocation: Invocation): void {
    this.#marks = undefined;
    if (!this.#telemetry.active) return;
    this.#marks = {
      invocation,
      startedAtMs: this.#clock.elapsed(),
      startedAtEpochMs: this.#sandboxNow(),
      producedBytes: 0,
    };
    const { requestId } = invocation;
    this.#telemetry.platform('platform.start', { requestId, version: this.#spec.version, ...tracing(invocation) });
  }

  streamBegan(): void {
    if (this.#marks !== undefined) this.#marks.firstByteAtMs = this.#clock.elapsed();
  }

  answered(producedBytes: number, stats: InvocationStats): void {
    const marks = this.#marks;
    if (marks === undefined) return;
    marks.answeredAtMs = this.#clock.elapsed();
    marks.firstByteAtMs ??= marks.answeredAtMs;
    marks.producedBytes = producedBytes;
    marks.stats = stats;
  }

  /** The runtime has asked for the next event. */
  runtimeDone(outcome: Outcome = { status: 'success' }): void {
    const marks = this.#marks;
    if (marks === undefined || marks.runtimeDoneAtMs !== undefined) return;
    marks.runtimeDoneAtMs = this.#clock.elapsed();
    const { invocation, startedAtMs, producedBytes, runtimeDoneAtMs } = marks;
    const spans = this.#spans(marks);
    this.#telemetry.platform('platform.runtimeDone', {
      requestId: invocation.requestId,
      ...outcome,
      metrics: { durationMs: rounded(runtimeDoneAtMs - startedAtMs), producedBytes },
      ...(spans.length === 0 ? {} : { spans }),
      ...tracing(invocation),
    });
  }

  /** The invocation is over, for the extensions too. */
  over(stats: InvocationStats | undefined, outcome: Outcome = { status: 'success' }): void {
    const marks = this.#marks;
    if (marks === undefined) return;
    this.runtimeDone(outcome);
    this.#marks = undefined;
    const { invocation, startedAtMs, runtimeDoneAtMs = startedAtMs } = marks;
    const { requestId } = invocation;
    const nowMs = this.#clock.elapsed();
    const { initMs, maxMemoryMb = 0 } = stats ?? marks.stats ?? {};
    const durationMs = nowMs - startedAtMs;
    this.#telemetry.platform('platform.end', { requestId });
    this.#telemetry.platform('platform.report', {
      requestId,
      ...outcome,
      metrics: {
        durationMs: rounded(durationMs),
        billedDurationMs: Math.ceil(durationMs + (initMs ?? 0)),
        memorySizeMB: this.#spec.memoryMb,
        maxMemoryUsedMB: maxMemoryMb,
        ...(initMs === undefined ? {} : { initDurationMs: rounded(initMs) }),
      },
      spans: [this.#span(marks, 'extensionOverhead', runtimeDoneAtMs, nowMs)],
      ...tracing(invocation),
    });
  }

  /** The run has failed; `payload` is the error's JSON. */
  fault(payload: Buffer, errorType: string): void {
    if (!this.#telemetry.active) return;
    const { errorMessage } = JSON.parse(payload.toString()) as { readonly errorMessage: string };
    this.#telemetry.platform('platform.fault', `${errorMessage}\n${errorType}\n`);
  }

  #spans(marks: Marks): Span[] {
    const { startedAtMs, firstByteAtMs, answeredAtMs, runtimeDoneAtMs = 0 } = marks;
    if (firstByteAtMs === undefined) return [];
    const spans = [this.#span(marks, 'responseLatency', startedAtMs, firstByteAtMs)];
    if (answeredAtMs !== undefined) {
      spans.push(
        this.#span(marks, 'responseDuration', firstByteAtMs, answeredAtMs),
        this.#span(marks, 'runtimeOverhead', answeredAtMs, runtimeDoneAtMs),
      );
    }
    return spans;
  }

  #span({ startedAtMs, startedAtEpochMs }: Marks, name: string, fromMs: number, toMs: number): Span {
    const start = new Date(startedAtEpochMs + fromMs - startedAtMs).toISOString();
    return { name, start, durationMs: rounded(toMs - fromMs) };
  }
}

function tracing({ traceHeader }: Invocation): object {
  return traceHeader === '' ? {} : { tracing: { type: 'X-Amzn-Trace-Id', value: traceHeader } };
}

function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
