/**
 * One run of a runtime and its extensions: their place, their processes, what they ask for and what they say. An environment has one after
 * another; nothing of the last one can reach the next.
 */
import { basename } from 'node:path';
import type { Readable } from 'node:stream';
import type { Clock } from '../../kernel/clock/contract.ts';
import type { Random } from '../../kernel/random/random.ts';
import type { InitReport, SandboxSpec } from '../../platform/compute.ts';
import { Extensions, type ExtensionsHost, type InvokeEvent } from '../extensions/extensions.ts';
import { PlatformEvents } from '../extensions/platform-events.ts';
import { Telemetry } from '../extensions/telemetry.ts';
import { externalShutdownMs, internalShutdownMs, mostExtensions, runtimeShutdownShare } from '../limits.ts';
import type { RuntimeEvent } from '../runtime-api/connection.ts';
import { RuntimeApi, type RuntimeApiListener } from '../runtime-api/server.ts';
import { type ExitStatus, LaunchError, type LaunchedProcess, type Launcher, type LaunchPlan } from './launcher.ts';
import { LogLines } from './log-lines.ts';

export interface RunOptions {
  readonly spec: SandboxSpec;
  readonly clock: Clock;
  readonly random: Random;
  readonly sandboxNow: () => number;
  readonly launcher: Launcher;
  readonly plan: (runtimeApi: string) => Promise<LaunchPlan>;
  readonly phase: InitReport['phase'];
  readonly listener: RunListener;
}

export interface RunListener extends RuntimeApiListener {
  /** An extension has registered, or waits for its next event. */
  onExtensionProgress(): void;
  onExtensionFailure(errorType: string): void;
  /** The first of the processes has ended, unasked; what it had said has been heard. */
  onEnd(run: Run, end: RunEnd): void;
}

export interface RunEnd {
  readonly by: 'program' | 'extension';
  readonly status: ExitStatus;
}

export type ShutdownReason = 'spindown' | 'failure' | 'timeout';

/** How long the output of a process that has ended is waited for: something else may hold its pipes open. */
const lastWordsMs = 1_000;
/** Turns of the event loop that `drained` spends at most on a function that never stops writing. */
const drainTurns = 16;

export class Run {
  readonly telemetry: Telemetry;
  readonly events: PlatformEvents;
  readonly #options: RunOptions;
  readonly #lines: LogLines[] = [];
  #api: RuntimeApi | undefined;
  #extensions: Extensions | undefined;
  #process: LaunchedProcess | undefined;
  #proceeded = false;
  #killed = false;
  #programEnded = false;
  #companionsLeft = 0;
  #ended = false;
  #heard: Promise<void> | undefined;
  #outputChunks = 0;
  #closing: Promise<void> | undefined;

  constructor(options: RunOptions) {
    const { spec, clock, sandboxNow } = options;
    this.#options = options;
    this.telemetry = new Telemetry({
      dial: (port) => this.#process?.dial(port) ?? Promise.reject(new Error('not started yet')),
      now: sandboxNow,
      logFormat: spec.logging.format,
    });
    this.events = new PlatformEvents(spec, this.telemetry, clock, sandboxNow);
  }

  /** Resolves when the processes have been started. Rejects with LaunchError where they cannot be. */
  async start(): Promise<void> {
    const { launcher, plan, spec, listener, phase } = this.#options;
    const megabyte = 1024 * 1024;
    const berth = await launcher.prepare({
      // A debugger has to reach it.
      network: spec.debug === undefined ? spec.network : 'host',
      memoryBytes: spec.memoryMb * megabyte,
      temporaryBytes: spec.ephemeralStorageMb * megabyte,
      freezes: spec.debug === undefined,
    });
    let planned: LaunchPlan;
    try {
      planned = await plan(berth.runtimeApiAddress);
      if (planned.companions.length > mostExtensions) {
        throw new LaunchError(
          'ErrTooManyExtensions',
          'ErrTooManyExtensions',
          planned.companions[mostExtensions]!.command,
        );
      }
    } catch (error) {
      berth.abandon();
      throw error;
    }
    const names = planned.companions.map(({ command }) => basename(command));
    const extensions = new Extensions(this.#host(), names);
    this.#extensions = extensions;
    this.#api = new RuntimeApi({
      listener,
      server: berth.runtimeApi,
      side: extensions,
      restores: spec.initializationType === 'snap-start',
    });
    this.events.initStart(phase);
    this.#adopt(await berth.launch(planned));
  }

  /** A process of it has ended by itself. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Internal ones, which live in the runtime, count too. */
  get hasExtensions(): boolean {
    return this.#extensions !== undefined && this.#extensions.count > 0;
  }

  /** Every extension waits for its next event. */
  get extensionsReady(): boolean {
    return this.#extensions === undefined || this.#extensions.count === 0 || this.#extensions.allReady;
  }

  get extensionStatuses(): ReturnType<Extensions['statuses']> {
    return this.#extensions?.statuses() ?? [];
  }

  get peakBytes(): number {
    return this.#process?.peakBytes ?? 0;
  }

  /** The runtime has asked for its first event. */
  closeRegistration(): void {
    this.#extensions?.closeRegistration();
  }

  deliver(event: RuntimeEvent): void {
    if (this.hasExtensions) this.#extensions!.invoke(event satisfies InvokeEvent);
    this.#api!.deliver(event);
  }

  work(): void {
    this.#process?.work();
  }

  rest(): void {
    this.#process?.rest();
  }

  /** All of it, at once; `onEnd` tells when it has happened. */
  kill(): void {
    this.#killed = true;
    this.#process?.kill();
  }

  /** Resolves when what was written before now has been given to the log. */
  async drained(): Promise<void> {
    if (this.#ended) return this.#heard;
    // What the function wrote before it answered is in the pipe by now: a poll phase without output means that it has been read.
    for (let turn = 0, seen = -1; turn < drainTurns && seen !== this.#outputChunks; turn++) {
      seen = this.#outputChunks;
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#flushLines();
  }

  /** Ends it: with extensions, as gently as AWS does, for half a second or two; else at once. Resolves when nothing is left of it. */
  close(reason: ShutdownReason): Promise<void> {
    this.#api?.detach();
    this.#closing ??= this.#close(reason);
    return this.#closing;
  }

  #adopt(launched: LaunchedProcess): void {
    this.#process = launched;
    if (launched.connection !== undefined) this.#api!.adopt(launched.connection);
    this.#companionsLeft = launched.companions.length;
    launched.work();
    this.#listen(launched.stdout, 'function');
    this.#listen(launched.stderr, 'function');
    void launched.exited.then((status) => {
      this.#programEnded = true;
      this.#onExit({ by: 'program', status }, [launched.stdout, launched.stderr]);
    });
    for (const { stdout, stderr, exited } of launched.companions) {
      this.#listen(stdout, 'extension');
      this.#listen(stderr, 'extension');
      void exited.then((status) => {
        this.#companionsLeft--;
        this.#onExit({ by: 'extension', status }, [stdout, stderr]);
      });
    }
    if (this.#killed) launched.kill();
    this.#proceed();
  }

  #listen(stream: Readable, from: 'function' | 'extension'): void {
    const { onLog } = this.#options.spec;
    const lines = new LogLines((text) => {
      onLog(text);
      this.telemetry.line(from, text);
    });
    stream.on('data', (bytes: Buffer) => {
      this.#outputChunks++;
      lines.push(bytes);
    });
    stream.on('error', () => stream.destroy());
    this.#lines.push(lines);
  }

  #flushLines(): void {
    for (const lines of this.#lines) lines.flush();
  }

  /** The program starts when all external extensions have registered. */
  #proceed(): void {
    if (this.#proceeded || this.#process === undefined || this.#process.companions.length === 0) return;
    if (!this.#extensions!.allRegistered) return;
    this.#proceeded = true;
    this.#process.proceed();
    this.#process.work();
  }

  #host(): ExtensionsHost {
    const { spec, random, listener } = this.#options;
    return {
      functionName: spec.functionName,
      functionVersion: spec.version,
      handler: spec.handler,
      account: spec.account,
      newId: () => random.uuid(),
      onProgress: () => {
        if (this.#closing !== undefined) return;
        this.#proceed();
        listener.onExtensionProgress();
      },
      onReportedFailure: (errorType) => {
        if (this.#closing === undefined) listener.onExtensionFailure(errorType);
      },
      answer: (request, name) => this.telemetry.answer(request, name),
    };
  }

  #onExit(end: RunEnd, output: readonly Readable[]): void {
    if (this.#ended || this.#closing !== undefined) return;
    this.#ended = true;
    this.#heard = this.#hear(end, output);
    void this.#heard.then(() => this.#options.listener.onEnd(this, end));
  }

  /** Whatever the process left behind is killed, and what it had said is heard. */
  async #hear({ by }: RunEnd, output: readonly Readable[]): Promise<void> {
    const launched = this.#process!;
    const endBusy = this.#options.clock.busy();
    if (this.#companionsLeft === 0) launched.kill();
    else if (by === 'program') launched.endProgram('SIGKILL');
    const quiet = by === 'program' ? this.#api!.quiet() : Promise.resolve();
    await this.#within(lastWordsMs, Promise.all([...output.map(streamEnd), quiet]));
    for (const stream of output) stream.destroy();
    this.#flushLines();
    endBusy();
  }

  async #close(reason: ShutdownReason): Promise<void> {
    await this.#heard;
    const launched = this.#process;
    if (launched !== undefined) {
      if (this.hasExtensions && !this.#killed) await this.#shutdown(launched, reason);
      launched.kill();
      await Promise.all([launched.exited, ...launched.companions.map(({ exited }) => exited)]);
      const outputs = [launched, ...launched.companions].flatMap(({ stdout, stderr }) => [stdout, stderr]);
      await this.#within(lastWordsMs, Promise.all(outputs.map(streamEnd)));
      for (const stream of outputs) stream.destroy();
      this.#flushLines();
    }
    this.telemetry.close();
    await launched?.killStrays();
    await this.#api?.close();
  }

  /** As AWS's emulator does it (internal/lambda/rapid/shutdown.go): SIGTERM and SIGKILL for the runtime, then SHUTDOWN for the extensions. */
  async #shutdown(launched: LaunchedProcess, reason: ShutdownReason): Promise<void> {
    if (this.#programEnded && this.#companionsLeft === 0) return;
    const { clock, sandboxNow } = this.#options;
    const extensions = this.#extensions!;
    const limitMs = extensions.hasExternal ? externalShutdownMs : internalShutdownMs;
    const deadlineMs = sandboxNow() + limitMs;
    const startedAtMs = clock.elapsed();
    const leftMs = (): number => Math.max(0, limitMs - (clock.elapsed() - startedAtMs));
    launched.work();
    if (!this.#programEnded) {
      launched.endProgram('SIGTERM');
      await this.#within(limitMs * runtimeShutdownShare, launched.exited);
      launched.endProgram('SIGKILL');
    }
    if (this.#companionsLeft === 0) return;
    await this.drained();
    // What is buffered comes before the word that it is over; a listener that does not take it leaves half of the time for that.
    await this.#within(leftMs() / 2, this.telemetry.flush());
    const told = extensions.shutdown(reason, deadlineMs);
    const names = extensions.statuses().map(({ name }) => name);
    const exits = launched.companions.filter((_, index) => told.includes(names[index]!)).map(({ exited }) => exited);
    await this.#within(leftMs(), Promise.all(exits));
  }

  async #within(limitMs: number, work: Promise<unknown>): Promise<void> {
    const done = new AbortController();
    await Promise.race([
      work,
      this.#options.clock.sleep(limitMs, done.signal).catch(() => {
        // Aborted: the work was done in time.
      }),
    ]);
    done.abort();
  }
}

function streamEnd(stream: Readable): Promise<void> {
  if (stream.closed || stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => stream.once('close', () => resolve()));
}
