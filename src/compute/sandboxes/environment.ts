/** The life of one execution environment: INIT, invocations, failures, reset, end. What isolates it is the launcher's affair. */
import { rm } from 'node:fs/promises';
import type { Clock, Timer } from '../../kernel/clock/contract.ts';
import type { InitReport, Invocation, InvocationResult, Sandbox, SandboxSpec } from '../../platform/compute.ts';
import { initLimitMs, longestInitLimitMs, provisionedInitLimitMs } from '../limits.ts';
import { RuntimeApi, type RuntimeApiListener } from '../runtime-api/server.ts';
import {
  entrypointFailure,
  exitFailure,
  type Failure,
  reportedFailure,
  timeoutFailure,
  tooLargeFailure,
} from './failures.ts';
import { type ExitStatus, LaunchError, type LaunchedProcess, type Launcher, type LaunchPlan } from './launcher.ts';
import { LogLines } from './log-lines.ts';

export interface EnvironmentOptions {
  readonly id: string;
  readonly spec: SandboxSpec;
  readonly clock: Clock;
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
 * `init`: started, has not asked for an event yet. `ready`: waits for one. `running`: has one. `answered`: has answered it and not
 * asked for the next. `down`: no process; the next invocation starts one. `closed`: over.
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

/** How long a runtime may take to exit after it has reported that it cannot start; our choice. */
const initErrorGraceMs = 500;
/** How long the output of a process that has ended is waited for: something else may hold its pipes open. */
const lastWordsMs = 1_000;
/** Turns of the event loop that `drained` spends at most on a function that never stops writing. */
const drainTurns = 16;

export class ExecutionEnvironment implements Sandbox, RuntimeApiListener {
  readonly id: string;
  readonly #options: EnvironmentOptions;
  readonly #spec: SandboxSpec;
  readonly #clock: Clock;
  #api: RuntimeApi | undefined;
  #phase: Phase = 'down';
  #alive = true;
  #process: LaunchedProcess | undefined;
  /** The last process, dead or alive: what it may have left behind is looked for at the end. */
  #lastProcess: LaunchedProcess | undefined;
  #launching: Promise<void> | undefined;
  /** The first process has ended; its last words are being heard. */
  #exiting: Promise<void> | undefined;
  #output: (() => void) | undefined;
  #outputChunks = 0;

  #initPhase: InitReport['phase'] = 'init';
  #initStartedAtMs = 0;
  #initTimer: Timer | undefined;
  /** Why the initialisation under way is bound to fail. */
  #initFailure: { readonly status: 'error' | 'timeout'; readonly failure: FailureFor } | undefined;
  /** To be told with the first invocation. */
  #initMs: number | undefined;

  #pending: Pending | undefined;
  #timer: Timer | undefined;
  #timedOut = false;
  #endBusy: (() => void) | undefined;
  #closing: Promise<void> | undefined;

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
      await environment.close();
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
      else if (this.#phase === 'down') this.#launchInside(this.#pending);
      else if (this.#phase === 'closed')
        this.#fail(exitFailure(invocation.requestId, { code: null, signal: 'SIGKILL' }));
      // Otherwise it is on its way: `onNext` or the end of the process goes on from here.
    });
  }

  async drained(): Promise<void> {
    if (this.#exiting !== undefined) return this.#exiting;
    // What the function wrote before it answered is in the pipe by now: a poll phase without output means that it has been read.
    for (let turn = 0, seen = -1; turn < drainTurns && seen !== this.#outputChunks; turn++) {
      seen = this.#outputChunks;
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#output?.();
  }

  /**
   * Without extensions nobody is told why an environment ends, and on AWS too it ends at once (0 ms); so far all reasons are
   * the same here.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  // What the runtime says.

  onNext(): void {
    if (this.#exiting !== undefined) return;
    if (this.#phase === 'init') this.#initSucceeded();
    else this.#stopTimer();
    this.#phase = 'ready';
    if (this.#pending !== undefined) this.#handOver(this.#pending);
    else this.#process?.rest();
  }

  onResponse(body: Buffer): void {
    this.#phase = 'answered';
    const stats = this.#stats();
    this.#settle({ outcome: 'response', payload: body, stats });
  }

  onResponseTooLarge(): void {
    this.#phase = 'answered';
    this.#settleFailure(tooLargeFailure(), false);
  }

  onError(errorType: string | undefined, body: Buffer): void {
    this.#phase = 'answered';
    this.#settleFailure(reportedFailure(errorType, body), false);
  }

  onInitError(errorType: string | undefined, body: Buffer): void {
    const failure = reportedFailure(errorType, body);
    this.#initFailure ??= { status: 'error', failure: () => failure };
    // It exits by itself now, when it has written its last words.
    this.#initTimer?.cancel();
    this.#initTimer = this.#clock.at(this.#clock.now() + initErrorGraceMs, () => this.#process?.kill());
  }

  // Starting.

  #launch(phase: InitReport['phase']): Promise<void> {
    this.#launching = this.#launchProcess(phase);
    return this.#launching;
  }

  async #launchProcess(phase: InitReport['phase']): Promise<void> {
    this.#phase = 'init';
    this.#initPhase = phase;
    this.#initFailure = undefined;
    this.#initStartedAtMs = this.#clock.elapsed();
    this.#setBusy();
    if (phase === 'init') {
      const limitMs = initLimit(this.#spec);
      this.#initTimer = this.#clock.at(this.#clock.now() + limitMs, () => {
        this.#initFailure ??= { status: 'timeout', failure: (id) => timeoutFailure(id, limitMs) };
        this.#process?.kill();
      });
    }
    try {
      const launched = await this.#launchInBerth();
      this.#adopt(launched);
      // Its time ran out, or it was closed, while it was being started.
      if (this.#initFailure !== undefined || this.#timedOut || this.#closing !== undefined) launched.kill();
    } catch (error) {
      if (!(error instanceof LaunchError)) throw error;
      this.#initFailure = { status: 'error', failure: (id) => entrypointFailure(id, launchProblem(error)) };
      this.#initFailed();
    }
  }

  /** Each run of the runtime has its own place and its own Runtime API: nothing of the last one can reach it. */
  async #launchInBerth(): Promise<LaunchedProcess> {
    const { launcher, plan } = this.#options;
    const { network, memoryMb, ephemeralStorageMb } = this.#spec;
    const megabyte = 1024 * 1024;
    await this.#api?.close();
    const berth = await launcher.prepare({
      network,
      memoryBytes: memoryMb * megabyte,
      temporaryBytes: ephemeralStorageMb * megabyte,
    });
    this.#api = new RuntimeApi(this, berth.runtimeApi);
    let planned: LaunchPlan;
    try {
      planned = await plan(berth.runtimeApiAddress);
    } catch (error) {
      berth.abandon();
      throw error;
    }
    return berth.launch(planned);
  }

  /** Initialisation inside an invocation ("suppressed"): the function's own time counts from here. */
  #launchInside(pending: Pending): void {
    this.#startTime(pending);
    this.#launch('invoke').catch((error: unknown) => {
      this.#initFailure = { status: 'error', failure: (id) => entrypointFailure(id, String(error)) };
      this.#initFailed();
    });
  }

  #adopt(launched: LaunchedProcess): void {
    this.#process = launched;
    this.#lastProcess = launched;
    this.#exiting = undefined;
    launched.work();
    const lines = [launched.stdout, launched.stderr].map((stream) => {
      const cut = new LogLines(this.#spec.onLog);
      stream.on('data', (bytes: Buffer) => {
        this.#outputChunks++;
        cut.push(bytes);
      });
      stream.on('error', () => stream.destroy());
      return cut;
    });
    this.#output = () => {
      for (const cut of lines) cut.flush();
    };
    void launched.exited.then((status) => {
      this.#exiting = this.#exited(launched, status);
    });
  }

  #initSucceeded(): void {
    this.#initTimer?.cancel();
    const durationMs = this.#clock.elapsed() - this.#initStartedAtMs;
    if (this.#initPhase === 'init') this.#initMs = durationMs;
    this.#rest();
    this.#spec.onInit?.({ durationMs, phase: this.#initPhase, status: 'success' });
  }

  /** No process is left. Before the first invocation that is not the end: the invocation tries again. */
  #initFailed(): void {
    this.#initTimer?.cancel();
    this.#rest();
    const phase = this.#initPhase;
    const { status, failure } = this.#initFailure!;
    const durationMs = this.#clock.elapsed() - this.#initStartedAtMs;
    const pending = this.#pending;
    const { errorType } = failure(pending?.invocation.requestId ?? '');
    this.#spec.onInit?.({ durationMs, phase, status: this.#timedOut ? 'timeout' : status, errorType });
    this.#phase = 'down';
    if (this.#closing !== undefined || phase === 'invoke') {
      if (pending !== undefined) this.#fail(failure(pending.invocation.requestId));
      else this.#end();
    } else if (pending !== undefined) {
      this.#launchInside(pending);
    }
  }

  // Running.

  #handOver(pending: Pending): void {
    this.#phase = 'running';
    this.#setBusy();
    this.#process?.work();
    if (pending.startedAtMs === undefined) this.#startTime(pending);
    const { requestId, payload, invokedFunctionArn, traceHeader, clientContext, cognitoIdentity } = pending.invocation;
    this.#api!.deliver({
      requestId,
      payload,
      invokedFunctionArn,
      traceHeader,
      deadlineMs: pending.deadlineMs,
      ...(clientContext === undefined ? {} : { clientContext }),
      ...(cognitoIdentity === undefined ? {} : { cognitoIdentity }),
    });
  }

  #startTime(pending: Pending): void {
    pending.startedAtMs = this.#clock.elapsed();
    pending.deadlineMs = this.#options.sandboxNow() + this.#spec.timeoutMs;
    this.#timedOut = false;
    // It runs until the runtime asks for its next event: as on AWS, work behind the answer counts too.
    this.#timer = this.#clock.at(this.#clock.now() + this.#spec.timeoutMs, () => {
      this.#timedOut = true;
      this.#process?.kill();
    });
  }

  #stats(): InvocationResult['stats'] {
    const initMs = this.#initMs;
    this.#initMs = undefined;
    const startedAtMs = this.#pending?.startedAtMs;
    const durationMs = startedAtMs === undefined ? 0 : this.#clock.elapsed() - startedAtMs;
    this.#rest();
    return { durationMs, initMs, maxMemoryMb: Math.ceil((this.#lastProcess?.peakBytes ?? 0) / (1024 * 1024)) };
  }

  #settle(result: InvocationResult): void {
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.resolve(result);
  }

  #settleFailure(failure: Failure, fatal: boolean): void {
    const timedOut = fatal && this.#timedOut;
    const stats = this.#stats();
    this.#settle({ outcome: 'error', ...failure, fatal, timedOut, stats });
  }

  /** The invocation under way ends, and the environment with it. */
  #fail(failure: Failure): void {
    const { requestId } = this.#pending!.invocation;
    this.#settleFailure(this.#timedOut ? timeoutFailure(requestId, this.#spec.timeoutMs) : failure, true);
    this.#end();
  }

  // Ending.

  /** The first process has ended: whatever it left behind is killed, what it had said is heard, and then judged. */
  async #exited(launched: LaunchedProcess, status: ExitStatus): Promise<void> {
    launched.kill();
    this.#setBusy();
    const { stdout, stderr } = launched;
    await this.#within(lastWordsMs, Promise.all([streamEnd(stdout), streamEnd(stderr), this.#api!.quiet()]));
    stdout.destroy();
    stderr.destroy();
    this.#output?.();
    this.#output = undefined;
    this.#process = undefined;
    this.#stopTimerIfIdle();
    const pending = this.#pending;
    if (this.#phase === 'init') {
      this.#initFailure ??= { status: 'error', failure: (id) => exitFailure(id, status) };
      this.#initFailed();
    } else if (pending !== undefined && this.#phase === 'running') {
      this.#fail(exitFailure(pending.invocation.requestId, status));
    } else if (pending !== undefined && this.#closing === undefined) {
      // It ended behind its last answer; the new event had not been handed over, so it is none the worse for that.
      this.#rest();
      this.#launchInside(pending);
    } else {
      this.#rest();
      this.#phase = 'down';
      if (pending !== undefined) this.#fail(exitFailure(pending.invocation.requestId, status));
      else this.#end();
    }
  }

  #end(): void {
    if (this.#alive) {
      this.#alive = false;
      this.#options.onEnd(this);
    }
    void this.close();
  }

  async #close(): Promise<void> {
    await this.#launching?.catch(() => {
      // Whoever started it has been told.
    });
    this.#process?.kill();
    await this.#process?.exited;
    await this.#exiting;
    this.#phase = 'closed';
    this.#initTimer?.cancel();
    this.#stopTimer();
    this.#rest();
    if (this.#alive) {
      this.#alive = false;
      this.#options.onEnd(this);
    }
    if (this.#pending !== undefined) {
      this.#fail(exitFailure(this.#pending.invocation.requestId, { code: null, signal: 'SIGKILL' }));
    }
    await this.#lastProcess?.killStrays();
    await this.#api?.close();
    await rm(this.#options.scratchFolder, { recursive: true, force: true });
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

  async #within(limitMs: number, work: Promise<unknown>): Promise<void> {
    const done = new AbortController();
    await Promise.race([
      work,
      this.#clock.sleep(limitMs, done.signal).catch(() => {
        // Aborted: the work was done in time.
      }),
    ]);
    done.abort();
  }
}

function initLimit(spec: SandboxSpec): number {
  if (spec.initializationType === 'on-demand') return initLimitMs;
  return Math.min(Math.max(provisionedInitLimitMs, spec.timeoutMs), longestInitLimitMs);
}

function streamEnd(stream: LaunchedProcess['stdout']): Promise<void> {
  if (stream.closed || stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => stream.once('close', () => resolve()));
}

/** In the words of AWS's supervisor, which sees the package at /var/task. */
function launchProblem(error: LaunchError): string {
  const texts: Readonly<Record<string, string>> = {
    EACCES: 'fork/exec /var/task/bootstrap: permission denied',
    ENOEXEC: 'fork/exec /var/task/bootstrap: exec format error',
    ENOENT: 'fork/exec /var/task/bootstrap: no such file or directory',
  };
  return texts[error.code] ?? error.message;
}
