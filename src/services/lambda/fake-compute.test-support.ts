import type {
  Compute,
  Invocation,
  InvocationResult,
  InvocationStats,
  PackageInspection,
  Sandbox,
  SandboxSpec,
} from '../../platform/compute.ts';
import type { Dispatcher } from '../../platform/dispatcher.ts';
import type { Handlers, Platform, Service } from '../../platform/service.ts';
import { AwsError } from '../../wire/errors.ts';

/** What a fake function does with an event. A throw is the function's error; `crash` ends its sandbox. */
export type FakeFunction = (event: unknown, call: FakeCall) => unknown | Promise<unknown>;

export interface FakeCall {
  readonly spec: SandboxSpec;
  readonly invocation: Invocation;
  readonly sandboxId: string;
  log(line: string): void;
  /** Streams the response: what the function returns is no part of it then. Pieces resolve when the next may come. */
  stream(contentType?: string): (piece: string | Buffer) => Promise<void>;
}

export class Crash extends Error {}

/** Functions in this process, by name, behind the contract of real sandboxes. */
export class FakeCompute implements Compute {
  readonly functions = new Map<string, FakeFunction>();
  readonly sandboxes: FakeSandbox[] = [];
  readonly invocations: { readonly functionName: string; readonly requestId: string; readonly event: unknown }[] = [];
  unsupported: string | undefined;
  /** The digests of what was asked to be provided for. */
  readonly provided: (readonly string[])[] = [];
  /** Sandboxes whose initialisation fails, by function. */
  readonly brokenAtInit = new Set<string>();

  /** Puts itself into a cloud in place of the real one. */
  static into(platform: Platform): FakeCompute {
    const fake = new FakeCompute();
    Object.assign(platform, { compute: fake });
    return fake;
  }

  async start(spec: SandboxSpec): Promise<Sandbox> {
    const sandbox = new FakeSandbox(this, spec, `sandbox-${this.sandboxes.length}`);
    this.sandboxes.push(sandbox);
    const broken = this.brokenAtInit.has(spec.functionName);
    setImmediate(() => {
      if (sandbox.alive)
        spec.onInit?.({
          durationMs: 20.25,
          phase: 'init',
          status: broken ? 'error' : 'success',
          ...(broken ? { errorType: 'Runtime.ExitError' } : {}),
        });
    });
    return sandbox;
  }

  async supports(): ReturnType<Compute['supports']> {
    return this.unsupported === undefined ? { ok: true } : { ok: false, reason: this.unsupported };
  }

  async provide(_runtime: string, digests: readonly string[]): Promise<undefined> {
    this.provided.push(digests);
  }

  async inspect(zip: Uint8Array): Promise<PackageInspection> {
    if (zip[0] === 0x50 && zip[1] === 0x4b) {
      // A file named by a number of bytes stands for as many.
      const bytes = /unpacked-(\d+)/.exec(Buffer.from(zip).toString('latin1'))?.[1];
      return { ok: true, unzippedBytes: bytes === undefined ? zip.byteLength : Number(bytes) };
    }
    return { ok: false, message: 'Could not unzip uploaded file. Please check your file, then try to upload again.' };
  }

  alive(): number {
    return this.sandboxes.filter((sandbox) => sandbox.alive).length;
  }

  async close(): Promise<void> {}
}

class FakeSandbox implements Sandbox {
  readonly id: string;
  readonly spec: SandboxSpec;
  readonly #compute: FakeCompute;
  #first = true;
  alive = true;
  closedFor: string | undefined;

  constructor(compute: FakeCompute, spec: SandboxSpec, id: string) {
    this.#compute = compute;
    this.spec = spec;
    this.id = id;
  }

  async invoke(invocation: Invocation): Promise<InvocationResult> {
    const { functionName } = this.spec;
    const stats: InvocationStats = { durationMs: 1.5, initMs: this.#first ? 20.25 : undefined, maxMemoryMb: 36 };
    this.#first = false;
    const event: unknown = JSON.parse(invocation.payload.toString('utf8'));
    this.#compute.invocations.push({ functionName, requestId: invocation.requestId, event });
    const run = this.#compute.functions.get(functionName) ?? ((echoed: unknown) => echoed);
    try {
      const log = (line: string): void => this.spec.onLog(line);
      let streamed: Buffer[] | undefined;
      const stream = (contentType?: string) => {
        streamed = [];
        invocation.sink?.begin(contentType);
        return async (piece: string | Buffer): Promise<void> => {
          const bytes = Buffer.from(piece);
          if (invocation.sink === undefined) streamed!.push(bytes);
          else await invocation.sink.write(bytes);
        };
      };
      const answer = await run(event, { spec: this.spec, invocation, sandboxId: this.id, log, stream });
      if (streamed !== undefined) return { outcome: 'response', payload: Buffer.concat(streamed), stats };
      return { outcome: 'response', payload: Buffer.from(JSON.stringify(answer ?? null)), stats };
    } catch (error) {
      const fatal = error instanceof Crash;
      if (fatal) this.alive = false;
      const errorType = fatal ? 'Runtime.ExitError' : 'Error';
      const errorMessage = fatal
        ? `RequestId: ${invocation.requestId} Error: Runtime exited with error: exit status 1`
        : (error as Error).message;
      const payload = Buffer.from(JSON.stringify({ errorType, errorMessage }));
      return { outcome: 'error', errorType, payload, fatal, timedOut: false, stats };
    }
  }

  async drained(): Promise<void> {}

  async close(reason: string): Promise<void> {
    this.alive = false;
    this.closedFor = reason;
  }
}

/** A CloudWatch Logs that only remembers, where the real one is not part of the cloud: lines by stream. */
export class FakeLogs {
  readonly lines = new Map<string, string[]>();
  readonly groups = new Set<string>();

  static into(platform: Platform): FakeLogs {
    const fake = new FakeLogs();
    (platform.bus as Dispatcher).register('logs', { operations: fake.#operations() } as Service);
    return fake;
  }

  all(group: string): string[] {
    return [...this.lines].filter(([name]) => name.startsWith(`${group}\n`)).flatMap(([, lines]) => lines);
  }

  #operations(): Handlers<'logs'> {
    return {
      CreateLogGroup: async (_context, { logGroupName }) => void this.groups.add(logGroupName),
      CreateLogStream: async (_context, { logGroupName, logStreamName }) => {
        if (!this.groups.has(logGroupName)) throw new AwsError('ResourceNotFoundException', 'no such group');
        this.lines.set(`${logGroupName}\n${logStreamName}`, []);
      },
      PutLogEvents: async (_context, { logGroupName, logStreamName, logEvents }) => {
        const lines = this.lines.get(`${logGroupName}\n${logStreamName}`);
        if (lines === undefined) throw new AwsError('ResourceNotFoundException', 'no such stream');
        lines.push(...logEvents.map(({ message }) => message));
        return {};
      },
    };
  }
}
