import type { Timer } from '../../kernel/clock/contract.ts';
import type { Sandbox, SandboxSpec } from '../../platform/compute.ts';
import type { Platform } from '../../platform/service.ts';
import { AwsError } from '../../wire/errors.ts';
import { idleEnvironmentMs } from './limits.ts';
import { LogStream, type LogWriter } from './log-writer.ts';
import { initLine, streamName } from './rules/log-lines.ts';
import { functionArn } from './rules/names.ts';
import type { FunctionVersion, Place } from './state.ts';

const credentialsMs = 6 * 60 * 60_000;
/** A role's session name has 64 characters at most. */
const sessionNameLength = 64;

/** What an environment is started from. */
export interface EnvironmentSource {
  readonly place: Place;
  readonly functionName: string;
  readonly version: FunctionVersion;
}

/** The lines of one environment; those of the invocation under way are kept as well when its caller asked for the tail. */
export class EnvironmentLog {
  readonly #writer: LogWriter;
  readonly stream: LogStream;
  #tail: string[] | undefined;
  #closing: readonly string[] | undefined;

  constructor(writer: LogWriter, stream: LogStream) {
    this.#writer = writer;
    this.stream = stream;
  }

  begin(startLine: string, withTail: boolean): void {
    this.#writeClosing();
    this.#tail = withTail ? [] : undefined;
    this.line(startLine);
  }

  line(line: string): void {
    this.#tail?.push(line);
    this.#writer.write(this.stream, line);
  }

  /** The lines that close an invocation; they are written when what the function printed last has come out of its pipe. */
  end(lines: readonly string[], drained: Promise<void>): Promise<void> {
    this.#closing = lines;
    return drained.then(() => {
      if (this.#closing === lines) this.#writeClosing();
    });
  }

  /** The last 4 KB of the lines since `begin`, in base64. */
  tail(): string {
    const text = Buffer.from(`${(this.#tail ?? []).join('\n')}\n`, 'utf8');
    this.#tail = undefined;
    return text.subarray(Math.max(0, text.length - tailBytes)).toString('base64');
  }

  #writeClosing(): void {
    const lines = this.#closing;
    this.#closing = undefined;
    for (const line of lines ?? []) this.line(line);
  }
}

const tailBytes = 4_096;

/** A sandbox with its log, in use by one invocation or waiting for one. */
export interface Environment {
  readonly sandbox: Sandbox;
  readonly log: EnvironmentLog;
  readonly pool: Pool;
  idleSinceMs: number;
}

/** The environments of one version of a function as it is configured now. */
interface Pool {
  readonly environmentId: string;
  /** The latest used is last, and used next. */
  readonly idle: Environment[];
  busy: number;
  retired: boolean;
}

/** Every warm environment of this process. */
export class Environments {
  readonly #platform: Platform;
  readonly #writer: LogWriter;
  readonly #pools = new Map<string, Pool>();
  readonly #closing = new Set<Promise<void>>();
  #reaper: Timer | undefined;
  #closed = false;

  constructor(platform: Platform, writer: LogWriter) {
    this.#platform = platform;
    this.#writer = writer;
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

  /** Starts another one. Rejects with AwsError where it cannot. */
  async start(source: EnvironmentSource): Promise<Environment> {
    const pool = this.#poolOf(source.version.environmentId);
    pool.busy++;
    try {
      const log = this.#newLog(source);
      const sandbox = await this.#platform.compute.start(this.#spec(source, log));
      return { sandbox, log, pool, idleSinceMs: 0 };
    } catch (error) {
      pool.busy--;
      this.#forgetEmpty(pool);
      throw this.#startFailure(source, error);
    }
  }

  /** Gives an environment back after an invocation; one that failed, or whose code was replaced, is ended. */
  release(environment: Environment, ending?: 'failure' | 'timeout'): void {
    const { pool, sandbox } = environment;
    pool.busy--;
    if (ending === undefined && sandbox.alive && !pool.retired && !this.#closed) {
      environment.idleSinceMs = this.#platform.clock.now();
      pool.idle.push(environment);
      this.#armReaper();
      return;
    }
    this.#end(environment, ending ?? 'spindown');
    this.#forgetEmpty(pool);
  }

  /** Ends the idle environments at once, and the busy ones after their invocation. */
  retire(environmentId: string): void {
    const pool = this.#pools.get(environmentId);
    if (pool === undefined) return;
    pool.retired = true;
    for (const environment of pool.idle.splice(0)) this.#end(environment, 'spindown');
    this.#forgetEmpty(pool);
  }

  /** Idle and busy environments. */
  count(environmentId: string): { readonly idle: number; readonly busy: number } {
    const pool = this.#pools.get(environmentId);
    return { idle: pool?.idle.length ?? 0, busy: pool?.busy ?? 0 };
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
      pool = { environmentId, idle: [], busy: 0, retired: false };
      this.#pools.set(environmentId, pool);
    }
    return pool;
  }

  #forgetEmpty(pool: Pool): void {
    if (pool.idle.length === 0 && pool.busy === 0) this.#pools.delete(pool.environmentId);
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

  #newLog({ place, version }: EnvironmentSource): EnvironmentLog {
    const { clock, random } = this.#platform;
    const name = streamName(clock.now(), version.version, random.hex(32));
    return new EnvironmentLog(this.#writer, new LogStream(place, version.logGroup, name));
  }

  #spec({ place, functionName, version }: EnvironmentSource, log: EnvironmentLog): SandboxSpec {
    const { credentials } = this.#platform;
    return {
      functionName,
      functionArn: functionArn(place, functionName),
      version: version.version,
      account: place.account,
      region: place.region,
      runtime: version.runtime,
      handler: version.handler,
      code: { kind: 'zip', digest: version.codeDigest, layers: [] },
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
      logging: { format: 'Text', applicationLevel: 'INFO', systemLevel: 'INFO' },
      initializationType: 'on-demand',
      onLog: (line) => log.line(line),
      onInit: (report) => {
        const line = initLine(report);
        if (line !== undefined) log.line(line);
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
