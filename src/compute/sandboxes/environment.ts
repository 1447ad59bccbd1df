/** The life of one execution environment: INIT, invocations, failures, resets, end. What runs in it is a `Run`, what isolates it the launcher's affair. */
import { rm } from 'node:fs/promises';
import type { Clock, Timer } from '../../kernel/clock/contract.ts';
import type { Random } from '../../kernel/random/random.ts';
import type {
  InitReport,
  Invocation,
  InvocationResult,
  InvocationStats,
  Sandbox,
  SandboxSpec,
} from '../../platform/compute.ts';
import {
  externalShutdownMs,
  initLimitMs,
  longestInitLimitMs,
  provisionedInitLimitMs,
  restoreLimitMs,
} from '../limits.ts';
import { StreamedResponse } from '../runtime-api/streamed-response.ts';
import {
  entrypointFailure,
  exitFailure,
  extensionFailure,
  type Failure,
  launchFailure,
  reportedFailure,
  timeoutFailure,
  tooLargeFailure,
  truncatedFailure,
} from './failures.ts';
import { LaunchError, type Launcher, type LaunchPlan } from './launcher.ts';
import { Run, type RunEnd, type RunListener, type ShutdownReason } from './run.ts';

export interface EnvironmentOptions {
  readonly id: string;
  readonly spec: SandboxSpec;
  readonly clock: Clock;
  readonly random: Random;
  /** What the clock says that the function's process sees (epoch milliseconds). */
  readonly sandboxNow: () => number;
  readonly launcher: Launcher;
  /** What to start, once the address of the Runtime API is known. Asked again for each start: credentials age. */
  readonly plan: (runtimeApi: string) => Promise<LaunchPlan>;
  /** Removed at the end. */
  readonly scratchFolder: string;
  /** Called once, when the environment is no longer alive. */
  readonly onEnd: (environment: Sandbox) => void;
}

/**
 * `init`: started; the runtime or an extension has not asked for an event yet. `ready`: they wait for one. `running`: the runtime has
 * one. `answered`: it has answered it, and it or an extension has not asked for the next. `down`: no process; the next invocation starts
 * one. `closed`: over.
 */
type Phase = 'init' | 'ready' | 'running' | 'answered' | 'down' | 'closed';

interface Pending {
  readonly invocation: Invocation;
  readonly resolve: (result: InvocationResult) => void;
  /** Of the monotonic clock; set when the function's time begins to count. */
  startedAtMs: number | undefined;
  deadlineMs: number;
}

type FailureFor = (requestId: string) => Failure;

interface Cause {
  readonly status: 'error' | 'timeout';
  readonly failure: FailureFor;
}

/** How long a runtime may take to exit after it has reported that it cannot start; our choice. */
const initErrorGraceMs = 500;
/** How long a broken stream waits to be explained by the exit of its runtime, which closes its connections first; our choice. */
const truncationGraceMs = 100;
/** The deadline that a function under a debugger is told of, and which is not kept. */
const debugTimeoutMs = 24 * 3_600_000;

export class ExecutionEnvironment implements Sandbox, RunListener {
  readonly id: string;
  readonly #options: EnvironmentOptions;
  readonly #spec: SandboxSpec;
  readonly #clock: Clock;
  #phase: Phase = 'down';
  #alive = true;
  /** The run under way; in the phase `down`, the last one. */
  #run: Run | undefined;
  #launching: Promise<void> | undefined;
  /** The end of the last run: the next one waits for it. */
  #ending: Promise<void> | undefined;
  /** The runtime has asked for its next event; extensions may be at work still. */
  #runtimeWaits = false;

  #initPhase: InitReport['phase'] = 'init';
  #initStartedAtMs = 0;
  #initTimer: Timer | undefined;
  /** Why the initialisation under way is bound to fail. */
  #initFailure: Cause | undefined;
  /** To be told with the first invocation. */
  #initMs: number | undefined;
  #restoredAtMs: number | undefined;
  /** What an extension has said to be wrong; its exit follows. */
  #reportedType: string | undefined;

  #pending: Pending | undefined;
  #stream: StreamedResponse | undefined;
  #timer: Timer | undefined;
  #timedOut = false;
  #endBusy: (() => void) | undefined;
  #closing: Promise<void> | undefined;
  /** Nothing is to begin any more. */
  #shut = false;
  /** Called when the invocation that has been answered is over. */
  #whenOver: (() => void) | undefined;

  private constructor(options: EnvironmentOptions) {
    this.id = options.id;
    this.#options = options;
    this.#spec = options.spec;
    this.#clock = options.clock;
  }

  /** Resolves when the process has been started, or could not be: that is then the first invocation's failure. */
  static async start(options: EnvironmentOptions): Promise<ExecutionEnvironment> {
    const environment = new ExecutionEnvironment(options);
    await environment.#launch('init').catch(async (error: unknown) => {
      environment.#initTimer?.cancel();
      await environment.close('failure');
      throw error;
    });
    return environment;
  }

  get alive(): boolean {
    return this.#alive;
  }

  invoke(invocation: Invocation): Promise<InvocationResult> {
    if (this.#pending !== undefined) throw new Error(`sandbox ${this.id} serves one invocation at a time`);
    return new Promise((resolve) => {
      this.#pending = { invocation, resolve, startedAtMs: undefined, deadlineMs: 0 };
      if (this.#phase === 'ready') this.#handOver(this.#pending);
      else if (this.#phase === 'down') this.#launchInside();
      else if (this.#phase === 'closed') this.#fail(killed);
      // Otherwise it is on its way: `#advance` or the end of the process goes on from here.
    });
  }

  async drained(): Promise<void> {
    await this.#run?.drained();
  }

  /** With extensions, `reason` is what they are told; what they do then is waited for. */
  close(reason: ShutdownReason): Promise<void> {
    this.#closing ??= this.#close(reason);
    return this.#closing;
  }

  // What the runtime and the extensions say.

  onNext(): void {
    const run = this.#run;
    if (run === undefined || run.ended) return;
    if (this.#phase === 'init') run.closeRegistration();
    else run.events.runtimeDone();
    this.#runtimeWaits = true;
    this.#advance();
  }

  onExtensionProgress(): void {
    this.#advance();
  }

  onExtensionFailure(errorType: string): void {
    this.#reportedType ??= errorType;
  }

  onStream(contentType: string | undefined): StreamedResponse {
    this.#run?.events.streamBegan();
    this.#stream = new StreamedResponse(this.#pending?.invocation.sink, contentType);
    return this.#stream;
  }

  onResponse(body: Buffer): void {
    this.#phase = 'answered';
    const stats = this.#stats();
    this.#run?.events.answered(this.#stream?.bytes ?? body.length, stats);
    this.#settle({ outcome: 'response', payload: body, stats });
  }

  onResponseTooLarge(): void {
    this.#answeredBadly(tooLargeFailure(this.#stream?.streams));
  }

  onTruncated(): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    // A runtime that dies loses its connections first; then its exit is what is to be told.
    this.#clock.at(this.#clock.now() + truncationGraceMs, () => {
      if (this.#pending !== pending || this.#phase !== 'running' || this.#run?.ended) return;
      this.#answeredBadly(truncatedFailure(pending.invocation.requestId));
      this.#advance();
    });
  }

  onError(errorType: string | undefined, body: Buffer): void {
    this.#answeredBadly(reportedFailure(errorType, body));
  }

  onInitError(errorType: string | undefined, body: Buffer): void {
    const failure = reportedFailure(errorType, body);
    this.#initFailure ??= { status: 'error', failure: () => failure };
    // It exits by itself now, when it has written its last words.
    this.#armInitTimer(initErrorGraceMs, () => this.#stop('failure'));
  }

  /** There is no snapshot: the runtime goes on at once, with the time that its hooks have. */
  onRestore(): void {
    this.#restoredAtMs = this.#clock.elapsed();
    this.#run?.events.restoreStart();
    if (this.#spec.debug === undefined) this.#limitInit(restoreLimitMs);
  }

  onRestoreError(errorType: string | undefined, body: Buffer): void {
    this.onInitError(errorType, body);
  }

  /** A process has ended, and its last words have been heard: now it is judged. */
  onEnd(run: Run, { by, status }: RunEnd): void {
    if (run !== this.#run || this.#shut || this.#phase === 'down') return;
    this.#setBusy();
    this.#stopTimerIfIdle();
    const reported = this.#reportedType;
    const failure: FailureFor = (requestId) =>
      by === 'program' ? exitFailure(requestId, status, reported) : extensionFailure(requestId, status, reported);
    this.#broken({ status: 'error', failure }, this.#timedOut ? 'timeout' : 'failure');
  }

  // Starting.

  #launch(phase: InitReport['phase']): Promise<void> {
    this.#launching = this.#launchProcesses(phase);
    return this.#launching;
  }

  async #launchProcesses(phase: InitReport['phase']): Promise<void> {
    this.#phase = 'init';
    this.#initPhase = phase;
    this.#initFailure = undefined;
    this.#reportedType = undefined;
    this.#restoredAtMs = undefined;
    this.#runtimeWaits = false;
    this.#timedOut = false;
    this.#setBusy();
    this.#run = undefined;
    // The last run may take its time: nobody's counts meanwhile.
    await this.#ending;
    if (this.#shut) {
      this.#phase = 'down';
      return;
    }
    this.#initStartedAtMs = this.#clock.elapsed();
    if (phase === 'invoke' && this.#pending !== undefined) this.#startTime(this.#pending);
    const { clock, random, sandboxNow, launcher, plan } = this.#options;
    const run = new Run({ spec: this.#spec, clock, random, sandboxNow, launcher, plan, phase, listener: this });
    this.#run = run;
    if (phase === 'init' && this.#spec.debug === undefined) this.#limitInit(initLimit(this.#spec));
    try {
      await run.start();
      // Its time ran out, or it was closed, while it was being started.
      if (this.#initFailure !== undefined || this.#timedOut || this.#shut) run.kill();
    } catch (error) {
      if (!(error instanceof LaunchError)) throw error;
      this.#initFailure = { status: 'error', failure: (id) => launchFailure(id, error) };
      this.#initFailed('failure');
    }
  }

  /** Initialisation inside an invocation ("suppressed"): the function's own time covers it. */
  #launchInside(): void {
    this.#launch('invoke').catch((error: unknown) => {
      this.#initFailure = { status: 'error', failure: (id) => entrypointFailure(id, String(error)) };
      this.#initFailed('failure');
    });
  }

  #limitInit(limitMs: number): void {
    this.#armInitTimer(limitMs, () => {
      this.#initFailure ??= { status: 'timeout', failure: (id) => timeoutFailure(id, limitMs) };
      this.#stop('failure');
    });
  }

  #armInitTimer(delayMs: number, callback: () => void): void {
    this.#initTimer?.cancel();
    this.#initTimer = this.#clock.at(this.#clock.now() + delayMs, callback);
  }

  #initSucceeded(): void {
    this.#initTimer?.cancel();
    const durationMs = this.#clock.elapsed() - this.#initStartedAtMs;
    if (this.#initPhase === 'init') this.#initMs = durationMs;
    this.#rest();
    const report: InitReport = { durationMs, phase: this.#initPhase, status: 'success' };
    const run = this.#run!;
    if (this.#restoredAtMs !== undefined) {
      run.events.restored(this.#clock.elapsed() - this.#restoredAtMs, { status: 'success' });
    }
    run.events.initDone(report, run.extensionStatuses);
    run.telemetry.closeSubscriptions();
    this.#spec.onInit?.(report);
  }

  /** Before the first invocation that is not the end: the invocation tries again. */
  #initFailed(reason: ShutdownReason): void {
    this.#initTimer?.cancel();
    this.#rest();
    const phase = this.#initPhase;
    const { status, failure } = this.#initFailure!;
    const durationMs = this.#clock.elapsed() - this.#initStartedAtMs;
    const pending = this.#pending;
    const { errorType } = failure(pending?.invocation.requestId ?? '');
    const report: InitReport = { durationMs, phase, status: this.#timedOut ? 'timeout' : status, errorType };
    this.#run?.events.initDone(report, this.#run.extensionStatuses);
    this.#spec.onInit?.(report);
    if (pending === undefined || this.#shut) {
      this.#reset(reason);
    } else if (phase === 'invoke') {
      this.#fail(failure, reason);
    } else {
      this.#reset(reason);
      this.#launchInside();
    }
  }

  // Running.

  /** Goes on when the runtime and every extension wait for their next event. */
  #advance(): void {
    const run = this.#run;
    if (!this.#runtimeWaits || run === undefined || run.ended || !run.extensionsReady) return;
    if (this.#phase === 'init') {
      this.#initSucceeded();
    } else if (this.#phase === 'answered') {
      this.#stopTimer();
      run.events.over(undefined);
    } else {
      return;
    }
    this.#phase = 'ready';
    this.#whenOver?.();
    if (this.#pending !== undefined) this.#handOver(this.#pending);
    else if (this.#spec.debug === undefined) run.rest();
  }

  #handOver(pending: Pending): void {
    const run = this.#run!;
    this.#phase = 'running';
    this.#runtimeWaits = false;
    this.#stream = undefined;
    this.#setBusy();
    run.work();
    if (pending.startedAtMs === undefined) this.#startTime(pending);
    run.events.started(pending.invocation);
    const { requestId, payload, invokedFunctionArn, traceHeader, clientContext, cognitoIdentity, sink } =
      pending.invocation;
    run.deliver({
      requestId,
      payload,
      invokedFunctionArn,
      traceHeader,
      deadlineMs: pending.deadlineMs,
      ...(clientContext === undefined ? {} : { clientContext }),
      ...(cognitoIdentity === undefined ? {} : { cognitoIdentity }),
      ...(sink === undefined ? {} : { streamed: true }),
    });
  }

  #startTime(pending: Pending): void {
    const { debug, timeoutMs } = this.#spec;
    pending.startedAtMs = this.#clock.elapsed();
    pending.deadlineMs = this.#options.sandboxNow() + (debug === undefined ? timeoutMs : debugTimeoutMs);
    this.#timedOut = false;
    if (debug !== undefined) return;
    // It runs until the runtime and the extensions ask for their next event: as on AWS, work behind the answer counts too.
    this.#timer = this.#clock.at(this.#clock.now() + timeoutMs, () => {
      this.#timedOut = true;
      this.#stop('timeout');
    });
  }

  #stats(): InvocationStats {
    const initMs = this.#initMs;
    this.#initMs = undefined;
    const startedAtMs = this.#pending?.startedAtMs;
    const durationMs = startedAtMs === undefined ? 0 : this.#clock.elapsed() - startedAtMs;
    this.#rest();
    return { durationMs, initMs, maxMemoryMb: Math.ceil((this.#run?.peakBytes ?? 0) / (1024 * 1024)) };
  }

  #settle(result: InvocationResult): void {
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.resolve(result);
  }

  /** The invocation has failed, and the runtime goes on. */
  #answeredBadly(failure: Failure): void {
    this.#phase = 'answered';
    const stats = this.#stats();
    this.#run?.events.answered(this.#stream?.bytes ?? failure.payload.length, stats);
    this.#settle({ outcome: 'error', ...failure, fatal: false, timedOut: false, stats });
  }

  /** The invocation under way has failed with its run: the environment starts afresh for the next. */
  #fail(failure: FailureFor, reason: ShutdownReason = 'failure'): void {
    const { requestId } = this.#pending!.invocation;
    const timedOut = this.#timedOut;
    const { errorType, payload } = timedOut ? timeoutFailure(requestId, this.#spec.timeoutMs) : failure(requestId);
    const stats = this.#stats();
    if (!timedOut) this.#run?.events.fault(payload, errorType);
    this.#run?.events.over(stats, timedOut ? { status: 'timeout' } : { status: 'error', errorType });
    this.#reset(reason);
    this.#settle({ outcome: 'error', errorType, payload, fatal: true, timedOut, stats });
  }

  // Ending.

  /** Whatever is under way has had its time. */
  #stop(reason: ShutdownReason): void {
    const run = this.#run;
    if (run === undefined || this.#shut || this.#phase === 'down') return;
    if (!run.hasExtensions) run.kill();
    else this.#broken({ status: 'error', failure: killed }, reason);
  }

  /** The run is over before its time. */
  #broken(cause: Cause, reason: ShutdownReason): void {
    const pending = this.#pending;
    if (this.#phase === 'init') {
      this.#initFailure ??= cause;
      this.#initFailed(reason);
    } else if (pending !== undefined && this.#phase === 'running') {
      this.#fail(cause.failure, reason);
    } else {
      // It ended behind its last answer; a new event had not been handed over, so it is none the worse for that.
      const { errorType } = cause.failure('');
      this.#run?.events.over(undefined, this.#timedOut ? { status: 'timeout' } : { status: 'error', errorType });
      this.#rest();
      this.#reset(reason);
      if (pending !== undefined) this.#launchInside();
    }
  }

  /** As on AWS: the processes end, what lies in /tmp stays, and the next invocation initialises anew. */
  #reset(reason: ShutdownReason): void {
    this.#stopTimer();
    const run = this.#run;
    this.#phase = 'down';
    this.#whenOver?.();
    if (run === undefined) return;
    // Time flows while it ends, if it is given any.
    const endBusy = this.#clock.busy();
    this.#ending = run.close(reason).finally(endBusy);
  }

  async #close(reason: ShutdownReason): Promise<void> {
    if (reason === 'spindown' && this.#phase === 'answered' && this.#run?.hasExtensions) await this.#invocationOver();
    this.#shut = true;
    await this.#launching?.catch(() => {
      // Whoever started it has been told.
    });
    this.#initTimer?.cancel();
    if (this.#phase !== 'down') this.#reset(reason);
    await this.#ending;
    this.#phase = 'closed';
    this.#stopTimer();
    this.#rest();
    if (this.#pending !== undefined) this.#failClosed(this.#pending);
    if (this.#alive) {
      this.#alive = false;
      this.#options.onEnd(this);
    }
    await rm(this.#options.scratchFolder, { recursive: true, force: true });
  }

  /** What extensions do behind the answer belongs to the invocation; it is waited for, though not for as long as the function's time. */
  async #invocationOver(): Promise<void> {
    const endBusy = this.#clock.busy();
    const given = this.#clock.at(this.#clock.now() + externalShutdownMs, () => this.#whenOver?.());
    await new Promise<void>((resolve) => {
      this.#whenOver = resolve;
    });
    given.cancel();
    endBusy();
  }

  #failClosed({ invocation }: Pending): void {
    this.#settle({
      outcome: 'error',
      ...killed(invocation.requestId),
      fatal: true,
      timedOut: false,
      stats: this.#stats(),
    });
  }

  // Time.

  #setBusy(): void {
    this.#endBusy ??= this.#clock.busy();
  }

  /** Nothing is under way that the cloud waits for: virtual time may jump. */
  #rest(): void {
    this.#endBusy?.();
    this.#endBusy = undefined;
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Of an invocation that was answered before the end; one that is pending still needs its time. */
  #stopTimerIfIdle(): void {
    if (this.#pending?.startedAtMs === undefined) this.#stopTimer();
  }
}

const killed: FailureFor = (requestId) => exitFailure(requestId, { code: null, signal: 'SIGKILL' });

function initLimit(spec: SandboxSpec): number {
  if (spec.initializationType === 'on-demand') return initLimitMs;
  return Math.min(Math.max(provisionedInitLimitMs, spec.timeoutMs), longestInitLimitMs);
}
