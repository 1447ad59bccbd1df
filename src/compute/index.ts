/** Where functions run: sandboxes that speak the Lambda Runtime API. */
import { existsSync } from 'node:fs';
import { mkdir, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BlobStore } from '../kernel/blobs/contract.ts';
import type { Clock } from '../kernel/clock/contract.ts';
import { wallNow } from '../kernel/clock/wall.ts';
import type { Random } from '../kernel/random/random.ts';
import type { Compute, PackageInspection, Sandbox, SandboxSpec } from '../platform/compute.ts';
import type { Logger } from '../platform/log.ts';
import { openPackage, PackageError } from './code/package.ts';
import { CodeStore } from './code/store.ts';
import { Runtimes, type Support } from './runtimes/runtimes.ts';
import { ExecutionEnvironment } from './sandboxes/environment.ts';
import type { LaunchPlan } from './sandboxes/launcher.ts';
import { ProcessLauncher } from './sandboxes/process.ts';
import { procAvailable } from './sandboxes/processes.ts';
import { Trees } from './sandboxes/trees.ts';
import { sandboxVariables } from './sandboxes/variables.ts';

export interface ComputeOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly blobs: BlobStore;
  /** Of this cloud alone: unpacked code and the sandboxes' scratch folders lie in it. What an earlier run left there is removed. */
  readonly folder: string;
  /** Where the cloud can be reached; asked for at each start of a sandbox. */
  readonly endpoint: () => string;
  /** Where the bootstraps are; by default `runtimes/` beside this module, in the sources as in the build. */
  readonly runtimesFolder?: string;
}

export function createCompute(options: ComputeOptions): Compute {
  return new ProcessCompute(options);
}

class ProcessCompute implements Compute {
  readonly #options: ComputeOptions;
  readonly #runtimes: Runtimes;
  readonly #code: CodeStore;
  readonly #sandboxes = new Set<Sandbox>();
  readonly #notes = new Set<string>();
  /** The scratch folders of this run: `<folder>/sandboxes/<run>/<sandbox>`. */
  readonly #scratchFolder: string;
  #launcher: Promise<ProcessLauncher> | undefined;
  #closed = false;

  constructor(options: ComputeOptions) {
    this.#options = options;
    this.#runtimes = new Runtimes(options.runtimesFolder ?? bundledRuntimes());
    this.#code = new CodeStore(join(options.folder, 'code'), options.blobs);
    this.#scratchFolder = join(options.folder, 'sandboxes', options.random.hex(12));
  }

  supports(runtime: string): Promise<Support> {
    return this.#runtimes.supports(runtime);
  }

  async provide(): Promise<string | undefined> {
    return undefined;
  }

  async inspect(zip: Uint8Array): Promise<PackageInspection> {
    try {
      const archive = await openPackage(zip);
      archive.close();
      return { ok: true, unzippedBytes: archive.unzippedBytes };
    } catch (error) {
      if (error instanceof PackageError) return { ok: false, message: error.message };
      throw error;
    }
  }

  async start(spec: SandboxSpec): Promise<Sandbox> {
    if (this.#closed) throw new Error('the cloud is stopping: no sandbox is started any more');
    if (spec.runtime !== undefined) await this.#tellOnce(spec.runtime);
    this.#launcher ??= this.#open();
    const launcher = await this.#launcher;
    const id = this.#options.random.hex(16);
    const scratchFolder = join(this.#scratchFolder, id);
    const temporaryFolder = join(scratchFolder, 'tmp');
    const taskRoot = await this.#taskRoot(spec);
    await mkdir(temporaryFolder, { recursive: true });
    const environment = await ExecutionEnvironment.start({
      id,
      spec,
      clock: this.#options.clock,
      sandboxNow: wallNow,
      launcher,
      scratchFolder,
      plan: (runtimeApi) => this.#plan(spec, taskRoot, temporaryFolder, runtimeApi),
      onEnd: (ended) => this.#sandboxes.delete(ended),
    });
    if (environment.alive) this.#sandboxes.add(environment);
    if (this.#closed) await environment.close();
    return environment;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#sandboxes].map((sandbox) => sandbox.close('spindown')));
    await (await this.#launcher)?.close();
    await rm(this.#scratchFolder, { recursive: true, force: true });
  }

  async #open(): Promise<ProcessLauncher> {
    const folder = join(this.#options.folder, 'sandboxes');
    await rm(folder, { recursive: true, force: true });
    await mkdir(this.#scratchFolder, { recursive: true });
    if (!procAvailable) {
      this.#options.log.warn('the memory of functions is not bounded on this system: it has no /proc to watch it by');
    }
    return new ProcessLauncher(`TMPDIR=${this.#scratchFolder}/`, new Trees());
  }

  async #taskRoot(spec: SandboxSpec): Promise<string> {
    if (spec.code.kind === 'image') throw new Error('container images cannot run here yet');
    return realpath(spec.code.directory ?? (await this.#code.root(spec.code.digest)));
  }

  async #plan(spec: SandboxSpec, taskRoot: string, temporaryFolder: string, runtimeApi: string): Promise<LaunchPlan> {
    const [program, credentials] = await Promise.all([
      this.#runtimes.program(spec.runtime!, taskRoot, spec.memoryMb),
      spec.credentials(),
    ]);
    return {
      program: {
        command: program.command,
        hostCommand: program.command,
        args: program.args,
        environment: sandboxVariables({
          spec,
          program,
          credentials,
          runtimeApi,
          taskRoot,
          temporaryFolder,
          endpoint: this.#options.endpoint(),
          hostPath: process.env['PATH'] ?? '',
        }),
      },
      companions: [],
      workingDirectory: taskRoot,
      folders: [],
      temporaryFolder,
      marker: `AWS_LAMBDA_RUNTIME_API=${runtimeApi}`,
    };
  }

  /** That a runtime is not exactly what was asked for is said once. */
  async #tellOnce(runtime: string): Promise<void> {
    const support = await this.#runtimes.supports(runtime);
    if (!support.ok || support.note === undefined || this.#notes.has(runtime)) return;
    this.#notes.add(runtime);
    this.#options.log.info(support.note);
  }
}

/** Beside this module in the sources; in the build, beside it or beside the folder of its chunk. */
function bundledRuntimes(): string {
  for (const place of ['./runtimes', '../runtimes']) {
    const folder = fileURLToPath(new URL(place, import.meta.url));
    if (existsSync(join(folder, 'node', 'bootstrap.cjs'))) return folder;
  }
  throw new Error(`the runtimes' bootstraps are missing beside ${import.meta.url}: build again`);
}
