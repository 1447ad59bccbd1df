/** Where functions run: sandboxes that speak the Lambda Runtime API. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, realpath } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BlobStore } from '../kernel/blobs/contract.ts';
import type { Clock } from '../kernel/clock/contract.ts';
import { WallClock, wallNow } from '../kernel/clock/wall.ts';
import { removeTree } from '../kernel/files/remove-tree.ts';
import type { Random } from '../kernel/random/random.ts';
import type { Compute, PackageInspection, Sandbox, SandboxSpec } from '../platform/compute.ts';
import type { Logger } from '../platform/log.ts';
import { openPackage, PackageError } from './code/package.ts';
import { CodeStore } from './code/store.ts';
import { type ImageOverrides, ImageProgramError, imageProgram } from './images/program.ts';
import { ImageStore, type UnpackedImage } from './images/store.ts';
import { Runtimes, type Support } from './runtimes/runtimes.ts';
import { BubblewrapLauncher, findTools, type Tools } from './sandboxes/bubblewrap.ts';
import { ExecutionEnvironment } from './sandboxes/environment.ts';
import { type Folder, LaunchError, type Launcher, type LaunchPlan, type Program } from './sandboxes/launcher.ts';
import { ProcessLauncher } from './sandboxes/process.ts';
import { procAvailable } from './sandboxes/processes.ts';
import { Trees } from './sandboxes/trees.ts';
import { extensionVariables, imageVariables, packageVariables } from './sandboxes/variables.ts';

export interface ComputeOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly blobs: BlobStore;
  /** Of this cloud alone: unpacked code and the sandboxes' scratch folders lie in it. What an earlier run left there is removed. */
  readonly folder: string;
  /** Unpacked container images, kept from run to run. */
  readonly imagesFolder: string;
  /** Where the cloud can be reached; asked for at each start of a sandbox. */
  readonly endpoint: () => string;
  /** Takes connections to the endpoint that come from sandboxes with a network of their own. */
  readonly ingress: (socket: Socket) => void;
  /** Ports of this machine's loopback that sandboxes with a network of their own reach on theirs. */
  readonly reach?: () => readonly number[];
  /** `auto` (default): bubblewrap where it works. */
  readonly sandbox?: SandboxKind;
  /** Where the bootstraps are; by default `runtimes/` beside this module, in the sources as in the build. */
  readonly runtimesFolder?: string;
  /** The folder of what AWS's runtimes bring (runtimes/libraries.ts); it may be shared with other clouds. */
  readonly runtimeLibraries: string;
}

export type SandboxKind = 'auto' | 'process' | 'bubblewrap';

export function createCompute(options: ComputeOptions): Compute {
  return new SandboxCompute(options);
}

class SandboxCompute implements Compute {
  readonly #options: ComputeOptions;
  readonly #runtimes: Runtimes;
  readonly #bootstraps: string;
  readonly #code: CodeStore;
  readonly #images: ImageStore;
  readonly #sandboxes = new Set<Sandbox>();
  readonly #notes = new Set<string>();
  /** The scratch folders of this run: `<folder>/sandboxes/<run>/<sandbox>`. */
  readonly #scratchFolder: string;
  #launcher: Promise<Launcher> | undefined;
  /** Of functions that are debugged: a debugger and its editor know their files by the names that this machine has for them. */
  #debugLauncher: Launcher | undefined;
  #closed = false;

  constructor(options: ComputeOptions) {
    this.#options = options;
    this.#bootstraps = options.runtimesFolder ?? bundledRuntimes();
    this.#runtimes = new Runtimes({
      libraries: options.runtimeLibraries,
      // Other programs are waited for, whatever cloud time is.
      clock: new WallClock(),
      progress: (line) => options.log.info(line),
    });
    this.#code = new CodeStore(join(options.folder, 'code'), options.blobs);
    this.#images = new ImageStore({
      folder: options.imagesFolder,
      blobs: options.blobs,
      onNote: (note) => options.log.info(note),
    });
    this.#scratchFolder = join(options.folder, 'sandboxes', options.random.hex(12));
  }

  async supports(runtime: string): Promise<Support> {
    const support = await this.#runtimes.supports(runtime);
    // Whoever asked says it; a start does not say it again.
    if (support.ok && support.note !== undefined) this.#notes.add(runtime);
    return support;
  }

  provide(runtime: string, digests: readonly string[]): Promise<string | undefined> {
    return this.#runtimes.provide(runtime, async () => {
      const zips = await Promise.all(digests.map((digest) => this.#options.blobs.get(digest)));
      return zips.filter((zip) => zip !== undefined);
    });
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
    const launcher = await this.#launcherFor(spec);
    const id = this.#options.random.hex(16);
    const scratchFolder = join(this.#scratchFolder, id);
    const temporaryFolder = join(scratchFolder, 'tmp');
    const place = await this.#place(spec, launcher);
    // A sandbox with files of its own has its own /tmp.
    if (!launcher.ownFiles) await mkdir(temporaryFolder, { recursive: true });
    const environment = await ExecutionEnvironment.start({
      id,
      spec,
      clock: this.#options.clock,
      random: this.#options.random,
      sandboxNow: wallNow,
      launcher,
      scratchFolder,
      plan: (runtimeApi) => this.#plan(spec, place, temporaryFolder, runtimeApi, launcher),
      onEnd: (ended) => this.#sandboxes.delete(ended),
    });
    if (environment.alive) this.#sandboxes.add(environment);
    if (this.#closed) await environment.close('spindown');
    return environment;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#sandboxes].map((sandbox) => sandbox.close('spindown')));
    await (await this.#launcher)?.close();
    await this.#debugLauncher?.close();
    await removeTree(this.#scratchFolder);
  }

  async #launcherFor({ debug }: SandboxSpec): Promise<Launcher> {
    this.#launcher ??= this.#open();
    const launcher = await this.#launcher;
    if (debug === undefined || !launcher.ownFiles) return launcher;
    this.#debugLauncher ??= new ProcessLauncher(this.#marker, new Trees());
    return this.#debugLauncher;
  }

  /** Stands in the environment of every process of this run. */
  get #marker(): string {
    return `TMPDIR=${this.#scratchFolder}/`;
  }

  async #open(): Promise<Launcher> {
    const folder = join(this.#options.folder, 'sandboxes');
    await removeTree(folder);
    await mkdir(this.#scratchFolder, { recursive: true });
    const trees = new Trees();
    const { sandbox = 'auto', log } = this.#options;
    const tools = sandbox === 'process' ? { missing: 'asked for' } : await findTools();
    if (!('missing' in tools)) return this.#openBubblewrap(tools, trees);
    if (sandbox === 'bubblewrap') throw new Error(tools.missing);
    if (sandbox === 'auto')
      log.info(`functions run as plain processes, without files and network of their own: ${tools.missing}`);
    if (!procAvailable)
      log.warn('the memory of functions is not bounded on this system: it has no /proc to watch it by');
    return new ProcessLauncher(this.#marker, trees);
  }

  #openBubblewrap(tools: Tools, trees: Trees): Launcher {
    const { random, log, ingress, endpoint } = this.#options;
    if (tools.forwarder === undefined) {
      log.info(
        "functions outside a VPC use this machine's network: install slirp4netns or passt to give each a network of its own",
      );
    }
    return new BubblewrapLauncher({
      tools,
      random,
      trees,
      folder: this.#scratchFolder,
      marker: this.#marker,
      runtimesFolder: this.#bootstraps,
      ingress,
      endpointPort: () => Number(new URL(endpoint()).port),
      reach: this.#options.reach ?? (() => []),
    });
  }

  /** What a function consists of, unpacked, and where its sandbox will find it. */
  async #place({ code }: SandboxSpec, { ownFiles }: Launcher): Promise<Place> {
    if (code.kind === 'image') return { kind: 'image', image: await this.#images.image(code.digest), overrides: code };
    const [task, opt] = await Promise.all([
      code.directory ?? this.#code.root(code.digest),
      code.layers.length === 0 ? undefined : this.#code.merged(code.layers),
    ]);
    const at = async (host: string, own: string): Promise<Folder> => {
      const real = await realpath(host);
      return { host: real, seen: ownFiles ? own : real };
    };
    return {
      kind: 'zip',
      taskRoot: await at(task, '/var/task'),
      optRoot: opt === undefined ? undefined : await at(opt, '/opt'),
      bootstraps: await at(this.#bootstraps, '/var/runtime'),
    };
  }

  async #plan(
    spec: SandboxSpec,
    place: Place,
    temporaryFolder: string,
    runtimeApi: string,
    { ownFiles }: Launcher,
  ): Promise<LaunchPlan> {
    const given = { spec, credentials: await spec.credentials(), runtimeApi, endpoint: this.#options.endpoint() };
    const marker = `AWS_LAMBDA_RUNTIME_API=${runtimeApi}`;
    if (place.kind === 'image') return { ...(await imagePlan(place, given)), temporaryFolder, marker };
    const { taskRoot, optRoot, bootstraps } = place;
    const [program, extensions] = await Promise.all([
      this.#runtimes.program({
        runtime: spec.runtime!,
        handler: spec.handler,
        taskRoot,
        optRoot,
        bootstraps,
        memoryMb: spec.memoryMb,
        debug: spec.debug,
        execWrapper: spec.environment['AWS_LAMBDA_EXEC_WRAPPER'],
      }),
      optRoot === undefined ? [] : externalExtensions(optRoot),
    ]);
    const environment = packageVariables({
      ...given,
      program,
      taskRoot: taskRoot.seen,
      optRoot: optRoot?.seen ?? '/opt',
      temporaryFolder: ownFiles ? undefined : temporaryFolder,
      hostPath: ownFiles ? '' : (process.env['PATH'] ?? ''),
    });
    return {
      program: {
        command: program.command,
        hostCommand: program.hostCommand,
        args: program.args,
        environment,
        ...(program.connectionVariable === undefined ? {} : { connectionVariable: program.connectionVariable }),
      },
      companions: companionsOf(extensions, environment),
      workingDirectory: taskRoot.seen,
      folders: [
        taskRoot,
        ...(optRoot === undefined ? [] : [optRoot]),
        bootstraps,
        ...program.folders,
        ...program.readOnly.map((folder) => ({ host: folder, seen: folder })),
      ],
      temporaryFolder,
      marker,
    };
  }

  /** That a runtime is not exactly what was asked for is said once. */
  async #tellOnce(runtime: string): Promise<void> {
    const support = await this.#runtimes.supports(runtime);
    if (!support.ok || support.note === undefined || this.#notes.has(runtime)) return;
    this.#notes.add(runtime);
    this.#options.log.warn(support.note);
  }
}

/** Where what a function consists of lies. */
type Place =
  | {
      readonly kind: 'zip';
      readonly taskRoot: Folder;
      readonly optRoot: Folder | undefined;
      readonly bootstraps: Folder;
    }
  | ImagePlace;

interface ImagePlace {
  readonly kind: 'image';
  readonly image: UnpackedImage;
  readonly overrides: ImageOverrides;
}

async function imagePlan(
  { image, overrides }: ImagePlace,
  given: Parameters<typeof imageVariables>[0],
): Promise<Omit<LaunchPlan, 'temporaryFolder' | 'marker'>> {
  const { root, config } = image;
  const program = await imageProgram(root, config, overrides, given.spec.environment).catch((error: unknown) => {
    if (!(error instanceof ImageProgramError)) throw error;
    given.spec.onLog(error.logLine);
    throw new LaunchError(error.errorType, error.message);
  });
  const environment = imageVariables(given, program.environment);
  const extensions = await externalExtensions({ host: join(root, 'opt'), seen: '/opt' });
  return {
    program: { command: program.command, hostCommand: program.hostCommand, args: program.args, environment },
    companions: companionsOf(extensions, environment),
    workingDirectory: program.workingDirectory,
    folders: [],
    root,
  };
}

/** The programs of `/opt/extensions`, in the order of their names. */
async function externalExtensions(optRoot: Folder): Promise<readonly Folder[]> {
  const entries = await readdir(join(optRoot.host, 'extensions'), { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map(({ name }) => ({
      host: join(optRoot.host, 'extensions', name),
      seen: join(optRoot.seen, 'extensions', name),
    }))
    .sort((one, other) => (one.seen < other.seen ? -1 : 1));
}

function companionsOf(extensions: readonly Folder[], environment: Readonly<Record<string, string>>): Program[] {
  const variables = extensionVariables(environment);
  return extensions.map(({ host, seen }) => ({ command: seen, hostCommand: host, args: [], environment: variables }));
}

/** Beside this module in the sources; in the build, beside it or beside the folder of its chunk. */
function bundledRuntimes(): string {
  for (const place of ['./runtimes', '../runtimes']) {
    const folder = fileURLToPath(new URL(place, import.meta.url));
    if (existsSync(join(folder, 'node', 'bootstrap.cjs'))) return folder;
  }
  throw new Error(`the runtimes' bootstraps are missing beside ${import.meta.url}: build again`);
}
