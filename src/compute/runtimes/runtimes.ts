/**
 * Which program runs which runtime. A managed runtime is a small bootstrap of ours over the machine's own interpreter, the nearest
 * version there is; `provided*` is the package's own `bootstrap`, `go1.x` the program that the handler names.
 */
import { type Folder, LaunchError } from '../sandboxes/launcher.ts';
import { Interpreters, languageName, managedRuntime, missing } from './interpreters.ts';
import { go, provided, starts, wrapped } from './programs.ts';
import { Provisioner, type ProvisionOptions } from './provision.ts';
import { wantedNodeLibraries, wantedPythonLibraries } from './wanted-libraries.ts';

/** What is to be run, and where it lies: on this machine (`host`), and as its own process sees it (`seen`). */
export interface ProgramRequest {
  readonly runtime: string;
  readonly handler: string;
  readonly taskRoot: Folder;
  /** The layers, laid over each other; undefined: there are none. */
  readonly optRoot: Folder | undefined;
  /** The bootstraps: node/bootstrap.cjs and the others. */
  readonly bootstraps: Folder;
  readonly memoryMb: number;
  readonly debug: { readonly port: number } | undefined;
  /** AWS_LAMBDA_EXEC_WRAPPER of the function's environment. */
  readonly execWrapper: string | undefined;
}

/** How to start a function's process. Paths are absolute, and as seen inside unless they say otherwise. */
export interface RuntimeProgram {
  readonly command: string;
  /** The same file on this machine. */
  readonly hostCommand: string;
  readonly args: readonly string[];
  /** LAMBDA_RUNTIME_DIR. */
  readonly runtimeFolder: string;
  /** Goes before everything else in PATH, so that a function's scripts find the interpreter that runs it. */
  readonly binFolder: string | undefined;
  /** AWS_EXECUTION_ENV; managed runtimes have it, `provided*` has not. */
  readonly executionEnvironment: string | undefined;
  /** Environment that this family of runtimes brings; a function's own variables go before it. */
  readonly environment: Readonly<Record<string, string>>;
  /** See Program.connectionVariable. */
  readonly connectionVariable?: string;
  /** Folders of this machine that the interpreter needs where they are: those outside the system's own. */
  readonly readOnly: readonly string[];
  /** What the runtime brings, beside the bootstraps: folders to be seen inside, read-only. */
  readonly folders: readonly Folder[];
}

export type Support = { readonly ok: true; readonly note?: string } | { readonly ok: false; readonly reason: string };

export class Runtimes {
  readonly #interpreters = new Interpreters();
  readonly #libraries: string;
  readonly #provisioner: Provisioner;

  constructor(options: ProvisionOptions) {
    this.#libraries = options.libraries;
    this.#provisioner = new Provisioner(options);
  }

  async supports(runtime: string): Promise<Support> {
    if (isOsOnly(runtime) || runtime === 'go1.x') return { ok: true };
    const managed = managedRuntime(runtime);
    if (managed === undefined) return { ok: false, reason: `there is no runtime ${runtime} here` };
    const found = await this.#interpreters.find(managed);
    if (found === undefined) return { ok: false, reason: missing(runtime, managed) };
    const mismatch = found.version !== managed.version;
    // Nobody has run it yet on a machine that has .NET.
    const unverified = managed.language === 'dotnet' ? ', which is not verified' : '';
    if (!mismatch && unverified === '') return { ok: true };
    const name = languageName(managed.language);
    return { ok: true, note: `${runtime} runs on this machine's ${name} ${found.version}${unverified}` };
  }

  /**
   * Brings what AWS's runtime brings and these packages ask for: a function's code and its layers, read only if the runtime brings
   * anything. Resolves with a note where that could not be had.
   */
  async provide(runtime: string, zips: () => Promise<readonly Uint8Array[]>): Promise<string | undefined> {
    const managed = managedRuntime(runtime);
    if (managed?.language !== 'nodejs' && managed?.language !== 'python') return undefined;
    const interpreter = await this.#interpreters.find(managed);
    if (interpreter === undefined) return undefined;
    const { language } = managed;
    const packages = await zips();
    const wanted = await (language === 'nodejs' ? wantedNodeLibraries(packages) : wantedPythonLibraries(packages));
    return this.#provisioner.provide(language, wanted, interpreter);
  }

  /** Rejects with LaunchError where there is nothing to start. */
  async program(request: ProgramRequest): Promise<RuntimeProgram> {
    const { runtime } = request;
    if (isOsOnly(runtime)) return provided(request);
    if (runtime === 'go1.x') return go(request);
    const managed = managedRuntime(runtime);
    const interpreter = managed === undefined ? undefined : await this.#interpreters.find(managed);
    if (managed === undefined || interpreter === undefined) {
      const support = await this.supports(runtime);
      throw new LaunchError('UNSUPPORTED', support.ok ? runtime : support.reason);
    }
    const ground = { managed, interpreter, libraries: this.#libraries };
    return wrapped(await starts[managed.language](request, ground), request);
  }
}

function isOsOnly(runtime: string): boolean {
  return runtime === 'provided' || runtime.startsWith('provided.');
}
