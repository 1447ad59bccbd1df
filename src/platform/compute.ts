/** What runs: resolved configuration of one version of a function. */
export interface SandboxSpec {
  readonly functionName: string;
  /** Unqualified. */
  readonly functionArn: string;
  /** `$LATEST` or a number. */
  readonly version: string;
  readonly account: string;
  readonly region: string;
  /** `nodejs20.x`, `python3.12`, `provided.al2023`, …; of an image: undefined. */
  readonly runtime: string | undefined;
  /** Of an image: empty. */
  readonly handler: string;
  readonly code: SandboxCode;
  readonly environment: Readonly<Record<string, string>>;
  readonly credentials: () => Promise<SandboxCredentials>;
  readonly memoryMb: number;
  /** Size of /tmp. */
  readonly ephemeralStorageMb: number;
  readonly timeoutMs: number;
  readonly architecture: 'x86_64' | 'arm64';
  /** What it may reach beside the cloud's own endpoint: `internet`, or, in a VPC (which has no NAT here), `none`. */
  readonly network: 'internet' | 'none';
  readonly logGroup: string;
  readonly logStream: string;
  readonly logging: SandboxLogging;
  readonly initializationType: 'on-demand' | 'provisioned-concurrency' | 'snap-start';
  /** The runtime waits for a debugger on this port of 127.0.0.1; no deadline holds, and nothing is frozen. */
  readonly debug?: { readonly port: number };
  /**
   * One log event of the function's output: a line without its line break, or what a managed runtime's logger wrote in one
   * call, which may hold line breaks. Lines longer than 256 KiB come in pieces.
   */
  readonly onLog: (event: string) => void;
  /** Told each time an initialisation has ended, well or not (the source of INIT_REPORT lines). */
  readonly onInit?: (report: InitReport) => void;
}

export type SandboxCode =
  | {
      readonly kind: 'zip';
      /** Digest of the code's zip in the blob store; unpacked once per digest. */
      readonly digest: string;
      /** Digests of the layers' zips, in the order in which the function names them: of two files of one name the later wins. */
      readonly layers: readonly string[];
      /** A folder that holds the code already, run in place of the digest's (the inner loop of `unkai up`). */
      readonly directory?: string;
    }
  | {
      readonly kind: 'image';
      /** Digest of the image's manifest in the blob store; its layers and configuration lie there under their own digests. */
      readonly digest: string;
      readonly entryPoint?: readonly string[];
      readonly command?: readonly string[];
      readonly workingDirectory?: string;
    };

/** The function's LoggingConfig. Levels hold for the JSON format only. */
export interface SandboxLogging {
  readonly format: 'Text' | 'JSON';
  readonly applicationLevel: 'TRACE' | 'DEBUG' | 'INFO' | 'WARN' | 'ERROR' | 'FATAL';
  readonly systemLevel: 'DEBUG' | 'INFO' | 'WARN';
}

export interface InitReport {
  readonly durationMs: number;
  /** `init`: before the first invocation. `invoke`: again, inside an invocation, after one that failed ("suppressed"). */
  readonly phase: 'init' | 'invoke';
  readonly status: 'success' | 'error' | 'timeout';
  readonly errorType?: string;
}

export interface SandboxCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

/** The deadline is the sandbox's affair: `timeoutMs` after the event was handed over, told in the time that the sandbox sees. */
export interface Invocation {
  readonly requestId: string;
  /** JSON text. */
  readonly payload: Buffer;
  readonly invokedFunctionArn: string;
  readonly traceHeader: string;
  /** JSON text, already base64-decoded. */
  readonly clientContext?: string;
  readonly cognitoIdentity?: string;
  /** Takes the response as it comes, if the function streams it. Left out, a streamed response is collected like any other. */
  readonly sink?: ResponseSink;
}

/** Where a streamed response goes. What it throws is its own affair: the function is not told. */
export interface ResponseSink {
  /** Once, before any piece. `contentType` is the runtime's, such as `application/vnd.awslambda.http-integration-response`. */
  begin(contentType: string | undefined): void;
  /** In order. The next piece is read from the function when the promise, if one is returned, has resolved. */
  write(piece: Buffer): Promise<void> | undefined;
}

export type InvocationResult =
  /** `payload` is empty where the response went into the sink, which knows that it began. */
  | { readonly outcome: 'response'; readonly payload: Buffer; readonly stats: InvocationStats }
  /**
   * The function or its runtime failed. `payload` is the error JSON. When `fatal` its processes are gone: they crashed, timed out, exited,
   * or failed to start; another invocation starts them anew, with what lies in /tmp. What a sink had been given before stays given.
   */
  | {
      readonly outcome: 'error';
      readonly errorType: string;
      readonly payload: Buffer;
      readonly fatal: boolean;
      readonly timedOut: boolean;
      readonly stats: InvocationStats;
    };

export interface InvocationStats {
  /** From handing the event over until the answer came; with an initialisation inside the invocation, from its start. */
  readonly durationMs: number;
  /** Set on a sandbox's first invocation. */
  readonly initMs: number | undefined;
  /** The most that the sandbox's processes have held so far (0 where the system does not tell). */
  readonly maxMemoryMb: number;
}

/** One execution environment. It serves one invocation at a time. */
export interface Sandbox {
  readonly id: string;
  /** Never rejects: whatever goes wrong is an outcome. A second call before the first has been answered is a caller's bug. */
  invoke(invocation: Invocation): Promise<InvocationResult>;
  /** Resolves when all that the function wrote before its last answer has been given to `onLog`; costs no more than a turn or two. */
  drained(): Promise<void>;
  /** False once it has been closed. */
  readonly alive: boolean;
  /** Ends the process tree; resolves when it is gone. */
  close(reason: 'spindown' | 'failure' | 'timeout'): Promise<void>;
}

export interface Compute {
  /**
   * Starts an environment. Resolves when the process has been started; initialisation goes on by itself, and its failure is
   * the first invocation's.
   */
  start(spec: SandboxSpec): Promise<Sandbox>;
  /** Whether functions of this runtime can run here; if not, why and what to do. */
  supports(
    runtime: string,
  ): Promise<{ readonly ok: true; readonly note?: string } | { readonly ok: false; readonly reason: string }>;
  /**
   * Brings what a managed runtime brings on AWS and these packages ask for (the AWS SDK, boto3), once, from a package registry. Resolves
   * with a note where that could not be had: the function then runs with what its package holds.
   */
  provide(runtime: string, digests: readonly string[]): Promise<string | undefined>;
  /** Judges a package before it is accepted, without keeping anything of it. */
  inspect(zip: Uint8Array): Promise<PackageInspection>;
  close(): Promise<void>;
}

export type PackageInspection =
  | { readonly ok: true; readonly unzippedBytes: number }
  /** `message` is in AWS's words. */
  | { readonly ok: false; readonly message: string };

/** Starts no compute until the first sandbox is asked for: a cloud that runs no function pays nothing. */
export class LazyCompute implements Compute {
  readonly #load: () => Promise<Compute>;
  #compute: Promise<Compute> | undefined;

  constructor(load: () => Promise<Compute>) {
    this.#load = load;
  }

  async start(spec: SandboxSpec): Promise<Sandbox> {
    return (await this.#loaded()).start(spec);
  }

  async supports(runtime: string): ReturnType<Compute['supports']> {
    return (await this.#loaded()).supports(runtime);
  }

  async provide(runtime: string, digests: readonly string[]): Promise<string | undefined> {
    return (await this.#loaded()).provide(runtime, digests);
  }

  async inspect(zip: Uint8Array): Promise<PackageInspection> {
    return (await this.#loaded()).inspect(zip);
  }

  async close(): Promise<void> {
    await (await this.#compute)?.close();
  }

  #loaded(): Promise<Compute> {
    this.#compute ??= this.#load();
    return this.#compute;
  }
}
