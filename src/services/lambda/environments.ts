import type { Timer } from '../../kernel/clock/contract.ts';
import type { InitReport, Sandbox, SandboxCode, SandboxSpec } from '../../platform/compute.ts';
import type { Platform } from '../../platform/service.ts';
import { AwsError } from '../../wire/errors.ts';
import { EnvironmentLog } from './environment-log.ts';
import { idleEnvironmentMs } from './limits.ts';
import { LogStream, type LogWriter } from './log-writer.ts';
import { hasSnapshot } from './rules/description.ts';
import { streamName } from './rules/log-lines.ts';
import { functionArn } from './rules/names.ts';
import { initLines, initStartLines } from './rules/platform-log.ts';
import type { FunctionVersion, JsonLogs, Place } from './state.ts';
import type { Piece, Workbench } from './workbench.ts';

const credentialsMs = 6 * 60 * 60_000;
/** A role's session name has 64 characters at most. */
const sessionNameLength = 64;

/** What an environment is started from. */
export interface EnvironmentSource {
  readonly place: Place;
  readonly functionName: string;
  readonly version: FunctionVersion;
}

/** A sandbox with its log, in use by one invocation or waiting for one. */
export interface Environment {
  readonly sandbox: Sandbox;
  readonly log: EnvironmentLog;
  readonly pool: Pool;
  idleSinceMs: number;
  /** Set: it was started ahead, and is kept however long it is idle. */
  readonly provision?: Provision;
}

/** Who has an environment started ahead. */
export interface Provision {
  /** Its initialisation has ended. */
  initialised(environment: Environment, report: InitReport): void;
  /** Whether it is still wanted after an invocation that went well. */
  keeps(environment: Environment): boolean;
  /** It has been ended, or has ended by itself. */
  gone(environment: Environment): void;
}

/** The environments of one version of a function as it is configured now. */
interface Pool {
  environmentId: string;
  /** The latest used is last, and used next. */
  readonly idle: Environment[];
  /** Started ahead, initialised, and not in use. */
  readonly ready: Environment[];
  busy: number;
  retired: boolean;
}

/** Every warm environment of this process. */
export class Environments {
  readonly #platform: Platform;
  readonly #writer: LogWriter;
  readonly #workbench: Workbench;
  readonly #pools = new Map<string, Pool>();
  /** The latest environment of each port that a debugger attaches to. */
  readonly #debugged = new Map<number, Environment>();
  readonly #closing = new Set<Promise<void>>();
  #reaper: Timer | undefined;
  #closed = false;

  constructor(platform: Platform, writer: LogWriter, workbench: Workbench) {
    this.#platform = platform;
    this.#writer = writer;
    this.#workbench = workbench;
  }

  /** A warm environment, if there is one. */
  takeIdle(environmentId: string): Environment | undefined {
    const pool = this.#pools.get(environmentId);
    if (pool === undefined) return undefined;
    for (let found = pool.idle.pop(); found !== undefined; found = pool.idle.pop()) {
      if (found.sandbox.alive) {
        pool.busy++;
        return found;
      }
    }
    return undefined;
  }

  /** One that was started ahead, if one is free. */
  takeReady(environmentId: string): Environment | undefined {
    const pool = this.#pools.get(environmentId);
    if (pool === undefined || pool.ready.length === 0) return undefined;
    for (let found = pool.ready.pop(); found !== undefined; found = pool.ready.pop()) {
      if (found.sandbox.alive) {
        pool.busy++;
        return found;
      }
      found.provision?.gone(found);
    }
    return undefined;
  }

  /** Starts another one, in use. Rejects with AwsError where it cannot. */
  start(source: EnvironmentSource): Promise<Environment> {
    const initializationType = hasSnapshot(source.version) ? 'snap-start' : 'on-demand';
    return this.#start(source, initializationType, undefined);
  }

  /** Starts one ahead; it can be taken when its initialisation has ended well, which `provision` is told. */
  startAhead(source: EnvironmentSource, provision: Provision): Promise<Environment> {
    return this.#start(source, 'provisioned-concurrency', provision);
  }

  /** From now on it can be taken; false: it is ended instead, its version having been replaced. */
  makeReady(environment: Environment): boolean {
    const { pool } = environment;
    if (pool.retired || this.#closed) {
      this.endAhead(environment);
      return false;
    }
    pool.busy--;
    pool.ready.push(environment);
    return true;
  }

  /** Ends one that was started ahead and never became ready. */
  endAhead(environment: Environment): void {
    environment.pool.busy--;
    this.#end(environment, 'spindown');
    this.#forgetEmpty(environment.pool);
  }

  /** Ends one that was started ahead and is not in use, if there is one. */
  endReady(environmentId: string): Environment | undefined {
    const pool = this.#pools.get(environmentId);
    const environment = pool?.ready.shift();
    if (pool === undefined || environment === undefined) return undefined;
    this.#end(environment, 'spindown');
    this.#forgetEmpty(pool);
    return environment;
  }

  /** Finds those that were started ahead and have ended by themselves while they waited. */
  sweepReady(environmentId: string): void {
    const pool = this.#pools.get(environmentId);
    if (pool === undefined) return;
    const dead = pool.ready.filter(({ sandbox }) => !sandbox.alive);
    for (const environment of dead) {
      pool.ready.splice(pool.ready.indexOf(environment), 1);
      this.#end(environment, 'failure');
      environment.provision?.gone(environment);
    }
    this.#forgetEmpty(pool);
  }

  async #start(
    source: EnvironmentSource,
    initializationType: SandboxSpec['initializationType'],
    provision: Provision | undefined,
  ): Promise<Environment> {
    const piece = this.#workbench.find(source);
    const debugPort = piece?.debugPort;
    if (debugPort !== undefined) await this.endDebugged(debugPort);
    const pool = this.#poolOf(source.version.environmentId);
    pool.busy++;
    let started: Environment | undefined;
    let early: InitReport | undefined;
    const onInit = (report: InitReport): void => {
      if (started === undefined) early = report;
      else provision?.initialised(started, report);
    };
    try {
      const log = this.#newLog(source, initializationType);
      const sandbox = await this.#platform.compute.start(this.#spec(source, piece, log, onInit));
      started = { sandbox, log, pool, idleSinceMs: 0, ...(provision === undefined ? {} : { provision }) };
      if (debugPort !== undefined) this.#debugged.set(debugPort, started);
      // The initialisation may have been faster than the start's own answer.
      if (early !== undefined) provision?.initialised(started, early);
      return started;
    } catch (error) {
      pool.busy--;
      this.#forgetEmpty(pool);
      throw this.#startFailure(source, error);
    }
  }

  /**
   * Gives an environment back after an invocation. One whose processes failed starts them anew at its next invocation, as on AWS, which
   * keeps its /tmp; one that was started ahead, or whose code was replaced, is ended.
   */
  release(environment: Environment, ending?: 'failure' | 'timeout'): void {
    const { pool, sandbox, provision } = environment;
    pool.busy--;
    if (provision !== undefined) {
      this.#releaseAhead(environment, provision, ending);
      return;
    }
    if (sandbox.alive && !pool.retired && !this.#closed) {
      // A debugger is attached to it, or may be.
      environment.idleSinceMs = this.#isDebugged(environment) ? Number.POSITIVE_INFINITY : this.#platform.clock.now();
      pool.idle.push(environment);
      this.#armReaper();
      return;
    }
    this.#end(environment, ending ?? 'spindown');
    this.#forgetEmpty(pool);
  }

  #releaseAhead(environment: Environment, provision: Provision, ending: 'failure' | 'timeout' | undefined): void {
    const { pool, sandbox } = environment;
    if (ending === undefined && sandbox.alive && !pool.retired && !this.#closed && provision.keeps(environment)) {
      pool.ready.push(environment);
      return;
    }
    this.#end(environment, ending ?? 'spindown');
    provision.gone(environment);
    this.#forgetEmpty(pool);
  }

  /** Ends the idle environments at once, and the busy ones after their invocation; those that start from now on are none of them. */
  retire(environmentId: string): void {
    const pool = this.#pools.get(environmentId);
    if (pool === undefined) return;
    pool.retired = true;
    for (const environment of [...pool.idle.splice(0), ...pool.ready.splice(0)]) this.#end(environment, 'spindown');
    this.#pools.delete(environmentId);
  }

  /** From now on they are those of another id, which needs the very same. */
  rename(environmentId: string, now: string): void {
    const pool = this.#pools.get(environmentId);
    if (pool === undefined) return;
    if (this.#pools.has(now)) {
      this.retire(environmentId);
      return;
    }
    this.#pools.delete(environmentId);
    pool.environmentId = now;
    this.#pools.set(now, pool);
  }

  /** Ends the environment that waits for a debugger on this port, or is in its hands: an invocation in it fails. */
  async endDebugged(port: number): Promise<void> {
    const environment = this.#debugged.get(port);
    if (environment === undefined) return;
    this.#debugged.delete(port);
    await environment.sandbox.close('failure');
  }

  /** Idle and busy environments. */
  count(environmentId: string): { readonly idle: number; readonly busy: number } {
    const pool = this.#pools.get(environmentId);
    return { idle: (pool?.idle.length ?? 0) + (pool?.ready.length ?? 0), busy: pool?.busy ?? 0 };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#reaper?.cancel();
    for (const id of [...this.#pools.keys()]) this.retire(id);
    await Promise.all(this.#closing);
  }

  #poolOf(environmentId: string): Pool {
    let pool = this.#pools.get(environmentId);
    if (pool === undefined) {
      pool = { environmentId, idle: [], ready: [], busy: 0, retired: false };
      this.#pools.set(environmentId, pool);
    }
    return pool;
  }

  #forgetEmpty(pool: Pool): void {
    if (pool.idle.length > 0 || pool.ready.length > 0 || pool.busy > 0) return;
    // Another may have taken its place.
    if (this.#pools.get(pool.environmentId) === pool) this.#pools.delete(pool.environmentId);
  }

  #isDebugged(environment: Environment): boolean {
    for (const debugged of this.#debugged.values()) if (debugged === environment) return true;
    return false;
  }

  #end(environment: Environment, reason: 'spindown' | 'failure' | 'timeout'): void {
    const { log } = this.#platform;
    const ended = environment.sandbox
      .close(reason)
      .catch((error) => log.error('a sandbox did not end', { problem: String(error) }))
      .finally(() => this.#closing.delete(ended));
    this.#closing.add(ended);
  }

  /** One timer, for the environment that has been idle longest. */
  #armReaper(): void {
    if (this.#reaper !== undefined || this.#closed) return;
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const { idle } of this.#pools.values()) oldestMs = Math.min(oldestMs, idle[0]?.idleSinceMs ?? oldestMs);
    if (oldestMs === Number.POSITIVE_INFINITY) return;
    this.#reaper = this.#platform.clock.at(oldestMs + idleEnvironmentMs, () => {
      this.#reaper = undefined;
      const before = this.#platform.clock.now() - idleEnvironmentMs;
      for (const pool of [...this.#pools.values()]) {
        const expired = pool.idle.findIndex(({ idleSinceMs }) => idleSinceMs > before);
        const count = expired < 0 ? pool.idle.length : expired;
        for (const environment of pool.idle.splice(0, count)) this.#end(environment, 'spindown');
        this.#forgetEmpty(pool);
      }
      this.#armReaper();
    });
  }

  #newLog(
    { place, functionName, version }: EnvironmentSource,
    initializationType: SandboxSpec['initializationType'],
  ): EnvironmentLog {
    const { clock, random } = this.#platform;
    const name = streamName(clock.now(), version.version, random.hex(32));
    const log = new EnvironmentLog(this.#writer, new LogStream(place, version.logGroup, name), {
      json: version.jsonLogs,
      functionName,
      version: version.version,
      memoryMb: version.memoryMb,
      timeoutMs: version.timeoutSeconds * 1_000,
      initializationType,
    });
    for (const line of initStartLines(log.platform, clock.now())) log.line(line);
    return log;
  }

  #spec(
    { place, functionName, version }: EnvironmentSource,
    piece: Piece | undefined,
    log: EnvironmentLog,
    onInit: (report: InitReport) => void,
  ): SandboxSpec {
    const { clock, credentials } = this.#platform;
    return {
      functionName,
      functionArn: functionArn(place, functionName),
      version: version.version,
      account: place.account,
      region: place.region,
      runtime: version.runtime,
      handler: version.handler ?? '',
      code: codeOf(version, piece?.directory),
      ...(piece?.debugPort === undefined ? {} : { debug: { port: piece.debugPort } }),
      environment: version.variables ?? {},
      credentials: () =>
        credentials.issue({
          roleArn: version.role,
          sessionName: functionName.slice(0, sessionNameLength),
          durationMs: credentialsMs,
        }),
      memoryMb: version.memoryMb,
      ephemeralStorageMb: version.ephemeralStorageMb,
      timeoutMs: version.timeoutSeconds * 1_000,
      architecture: version.architecture,
      network: version.vpc === undefined ? 'internet' : 'none',
      logGroup: version.logGroup,
      logStream: log.stream.name,
      logging: { format: version.jsonLogs === undefined ? 'Text' : 'JSON', ...levelsOf(version) },
      initializationType: log.platform.initializationType,
      onLog: (line) => log.line(line),
      onInit: (report) => {
        for (const line of initLines(log.platform, clock.now(), report)) log.line(line);
        onInit(report);
      },
    };
  }

  #startFailure({ functionName }: EnvironmentSource, error: unknown): AwsError {
    if (error instanceof AwsError) return error;
    const problem = error instanceof Error ? error.message : String(error);
    this.#platform.log.error('a sandbox could not be started', { functionName, problem });
    return new AwsError('ServiceException', `The function's environment could not be started: ${problem}`, {
      status: 500,
      fields: { Type: 'Service' },
    });
  }
}

function codeOf({ image, codeDigest, layers = [] }: FunctionVersion, directory: string | undefined): SandboxCode {
  if (image === undefined) {
    const digests = layers.map(({ digest }) => digest);
    return { kind: 'zip', digest: codeDigest, layers: digests, ...(directory === undefined ? {} : { directory }) };
  }
  return { kind: 'image', digest: codeDigest, ...image.config };
}

function levelsOf({ jsonLogs }: FunctionVersion): JsonLogs {
  return jsonLogs ?? { applicationLevel: 'INFO', systemLevel: 'INFO' };
}
