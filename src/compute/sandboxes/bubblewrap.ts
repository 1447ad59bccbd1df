/**
 * Sandboxes by bubblewrap: file systems, processes and, where it can be, networks of their own, without any right that an ordinary user
 * lacks. Inside it looks as on Lambda: code at /var/task, layers at /opt, a private /tmp, all else read-only.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { accessSync, constants, existsSync, lstatSync, readlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import { delimiter, join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Random } from '../../kernel/random/random.ts';
import { type ControlGroup, type ControlGroups, openControlGroups } from './cgroups.ts';
import { SandboxEtc } from './etc.ts';
import {
  type Berth,
  type Bounds,
  type ExitStatus,
  LaunchError,
  type LaunchedProcess,
  type Launcher,
  type LaunchPlan,
} from './launcher.ts';
import {
  type Forwarder,
  forwarderOf,
  type NetworkedProcess,
  type PrivateNetwork,
  type PrivateNetworkOptions,
  startInPrivateNetwork,
} from './private-network.ts';
import { dialLoopback, listenOnLoopback, whyNotExecutable } from './process.ts';
import { descendants, killTree, sendSignal } from './processes.ts';
import { Reaper } from './reaper.ts';
import { stdioOf } from './stdio.ts';
import { Supervised, statusOf, supervisedCommand } from './supervised.ts';
import type { Trees } from './trees.ts';

/** The user that functions run as on AWS. */
const userId = '993';
const groupId = '990';
/** Processes and threads of one environment (docs: gettingstarted-limits). */
const mostProcesses = 1_024;
/** Networks kept ready, so that a cold start need not wait for one. */
const spareNetworks = 2;

export interface BubblewrapOptions {
  readonly tools: Tools;
  readonly random: Random;
  readonly trees: Trees;
  /** Of this run alone. */
  readonly folder: string;
  /** In the environment of every process launched here, and of no other. */
  readonly marker: string;
  /** The bootstraps' folder. */
  readonly runtimesFolder: string;
  readonly ingress: (socket: Socket) => void;
  readonly endpointPort: () => number;
  readonly reach: () => readonly number[];
}

/** What is installed. */
export interface Tools {
  readonly bubblewrap: string;
  /** For networks of sandboxes' own; both or neither. */
  readonly perl: string | undefined;
  readonly unshare: string | undefined;
  readonly forwarder: Forwarder | undefined;
}

/** Looks for bubblewrap and tries it; a reason where it cannot run. */
export async function findTools(): Promise<Tools | { readonly missing: string }> {
  if (process.platform !== 'linux') return { missing: 'bubblewrap exists on Linux only' };
  const bubblewrap = onPath('bwrap');
  if (bubblewrap === undefined) return { missing: 'bubblewrap is not installed (Debian: apt-get install bubblewrap)' };
  const trial = [
    '--unshare-user',
    '--unshare-pid',
    '--uid',
    userId,
    '--ro-bind',
    '/',
    '/',
    '--proc',
    '/proc',
    '/bin/true',
  ];
  const problem = await tried(bubblewrap, trial);
  if (problem !== undefined) return { missing: `bubblewrap cannot run here: ${problem}` };
  const unshare = onPath('unshare');
  const perl = onPath('perl');
  const own = process.getuid?.() === 0 ? ['--net', '/bin/true'] : ['--net', '--user', '--map-root-user', '/bin/true'];
  const networks = unshare !== undefined && perl !== undefined && (await tried(unshare, own)) === undefined;
  const forwarder = findForwarder();
  return networks
    ? { bubblewrap, perl, unshare, forwarder }
    : { bubblewrap, perl: undefined, unshare: undefined, forwarder: undefined };
}

/** Both kinds need the tunnel device, which not every machine gives to ordinary users; pasta gives up root's rights, and does not work with them. */
function findForwarder(): Forwarder | undefined {
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
  } catch {
    return undefined;
  }
  const slirp4netns = onPath('slirp4netns');
  if (slirp4netns !== undefined) return forwarderOf('slirp4netns', slirp4netns);
  const pasta = process.getuid?.() === 0 ? undefined : onPath('pasta');
  return pasta === undefined ? undefined : forwarderOf('pasta', pasta);
}

export class BubblewrapLauncher implements Launcher {
  readonly ownFiles = true;
  readonly #options: BubblewrapOptions;
  readonly #reaper: Reaper;
  readonly #groups: ControlGroups | undefined;
  readonly #network: PrivateNetworkOptions | undefined;
  readonly #spares = new Map<PrivateNetwork, Promise<Place>[]>();
  readonly #systemFolders = systemFolders();
  readonly #etc: SandboxEtc;
  #closed = false;

  constructor(options: BubblewrapOptions) {
    this.#options = options;
    this.#reaper = new Reaper(options.marker);
    this.#groups = openControlGroups();
    const { perl, unshare, forwarder } = options.tools;
    if (perl !== undefined && unshare !== undefined) {
      const script = join(options.runtimesFolder, 'berth', 'berth.pl');
      const { ingress, endpointPort, reach } = options;
      this.#network = { script, perl, unshare, forwarder, ingress, endpointPort, reach };
    }
    this.#etc = new SandboxEtc(options.folder, userId, groupId);
    // Most functions will ask for this one; the first is not to wait for it.
    void this.#etc.with(options.tools.forwarder?.nameServer ?? 'host').catch(() => {});
  }

  async prepare(bounds: Bounds): Promise<Berth> {
    if (bounds.network === 'none' && this.#network === undefined) {
      throw new LaunchError(
        'NETWORK',
        'a function in a VPC needs a network of its own: unshare (util-linux) and perl are missing',
      );
    }
    const isOpen =
      bounds.network === 'host' || (bounds.network === 'internet' && this.#network?.forwarder === undefined);
    if (isOpen) {
      const { server, address } = await listenOnLoopback();
      return {
        runtimeApi: server,
        runtimeApiAddress: address,
        launch: (plan) => this.#launchOnHostNetwork(plan, bounds),
        abandon: () => server.close(),
      };
    }
    const place = await this.#takeNetworked(bounds.network === 'none' ? 'none' : 'internet');
    const { process: networked } = place;
    return {
      runtimeApi: networked.runtimeApi,
      runtimeApiAddress: networked.runtimeApiAddress,
      launch: (plan) => this.#launchInNetwork(plan, bounds, place),
      abandon: () => abandon(place),
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    const spares = [...this.#spares.values()].flat();
    this.#spares.clear();
    for (const found of await Promise.allSettled(spares)) if (found.status === 'fulfilled') abandon(found.value);
    await this.#reaper.close();
    this.#groups?.close();
  }

  async #takeNetworked(network: PrivateNetwork): Promise<Place> {
    const spares = this.#spares.get(network) ?? [];
    this.#spares.set(network, spares);
    const taken = (await this.#takeSpare(spares)) ?? this.#newPlace(network);
    // The next one is made while this one starts what it is for.
    setImmediate(() => {
      while (!this.#closed && spares.length < spareNetworks) {
        const spare = this.#newPlace(network);
        spare.catch(() => spares.splice(spares.indexOf(spare), 1));
        spares.push(spare);
      }
    });
    return taken;
  }

  /** One that leads to the ports that are to be reached now. */
  async #takeSpare(spares: Promise<Place>[]): Promise<Place | undefined> {
    const reach = this.#options.reach().join();
    for (let spare = spares.shift(); spare !== undefined; spare = spares.shift()) {
      const place = await spare.catch(() => undefined);
      if (place?.reach === reach) return place;
      if (place !== undefined) abandon(place);
    }
    return undefined;
  }

  async #newPlace(network: PrivateNetwork): Promise<Place> {
    const reach = this.#options.reach().join();
    const started = await startInPrivateNetwork(network, this.#network!);
    this.#watch(started.pid, started.child);
    return { process: started, group: this.#newGroup(started.pid, started.child), reach };
  }

  #watch(pid: number, child: ChildProcess): void {
    this.#reaper.watch(pid);
    child.once('exit', () => this.#reaper.forget(pid));
  }

  /** It goes with its process, whatever becomes of that; why the process ended is asked of it before. */
  #newGroup(pid: number, child: ChildProcess): ControlGroup | undefined {
    const group = this.#groups?.create(this.#options.random.hex(12));
    if (group === undefined) return undefined;
    group.add(pid);
    child.once('exit', () => setImmediate(() => this.#removeGroup(group)));
    return group;
  }

  async #launchInNetwork(plan: LaunchPlan, bounds: Bounds, place: Place): Promise<LaunchedProcess> {
    const { process: networked, group } = place;
    const unfit = whyNotLaunchable(plan);
    if (unfit !== undefined) {
      sendSignal(-networked.pid, 'SIGKILL');
      throw unfit;
    }
    const etc = await this.#etc.with(bounds.network === 'internet' ? this.#network!.forwarder!.nameServer : 'none');
    const { command, options } = this.#commandLine(plan, bounds, etc);
    networked.become(command, options, true);
    return this.#launched(plan, bounds, networked.child, group, networked.dial);
  }

  async #launchOnHostNetwork(plan: LaunchPlan, bounds: Bounds): Promise<LaunchedProcess> {
    const unfit = whyNotLaunchable(plan);
    if (unfit !== undefined) throw unfit;
    const { command, options } = this.#commandLine(plan, bounds, await this.#etc.with('host'));
    const child = spawn('/bin/sh', ['-c', 'ulimit -n 1024 2>/dev/null; exec "$@"', 'sh', ...command], {
      stdio: ['ignore', 'pipe', 'pipe', 'ignore', 'pipe', 'pipe'],
      env: { PATH: '/usr/bin:/bin' },
      detached: true,
    });
    const { pid } = child;
    if (pid === undefined) {
      return new Promise((_resolve, reject) =>
        child.once('error', (error: NodeJS.ErrnoException) => reject(new LaunchError(error.code ?? '', error.message))),
      );
    }
    const group = this.#newGroup(pid, child);
    this.#watch(pid, child);
    const planned = stdioOf(child, 4);
    planned.on('error', () => {
      // It has ended meanwhile, which its exit tells.
    });
    planned.end(options.map((word) => `${word}\0`).join(''));
    return this.#launched(plan, bounds, child, group, dialLoopback);
  }

  /** What is seen by everybody in the process list, and what only bubblewrap reads: the environment holds secrets. */
  #commandLine(
    plan: LaunchPlan,
    bounds: Bounds,
    etc: string,
  ): { readonly command: readonly string[]; readonly options: readonly string[] } {
    const { program, companions, workingDirectory, folders, root } = plan;
    const options = [
      ...['--unshare-user', '--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
      ...['--uid', userId, '--gid', groupId, '--hostname', 'sandbox', '--die-with-parent'],
      ...(root === undefined ? this.#systemFolders : ['--ro-bind', root, '/']),
      ...['--proc', '/proc', '--dev', '/dev', '--size', String(bounds.temporaryBytes), '--tmpfs', '/tmp'],
      ...(root === undefined ? ['--ro-bind', etc, '/etc'] : imageEtcOf(root, etc)),
      ...folders.flatMap(({ host, seen }) => ['--ro-bind', host, seen]),
      ...(root === undefined ? ['--remount-ro', '/'] : []),
      ...['--chdir', workingDirectory, '--clearenv'],
      ...Object.entries(environmentOf(plan)).flatMap(([name, value]) => ['--setenv', name, value]),
    ];
    const inside =
      companions.length === 0 ? [program.command, ...program.args] : supervisedCommand(companions, program);
    return { command: [this.#options.tools.bubblewrap, '--args', '4', '--', ...inside], options };
  }

  #launched(
    plan: LaunchPlan,
    bounds: Bounds,
    child: ChildProcess,
    group: ControlGroup | undefined,
    dial: (port: number) => Promise<Socket>,
  ): LaunchedProcess {
    const pid = child.pid!;
    const gate = stdioOf(child, 5);
    const supervised = plan.companions.length > 0 ? new Supervised(gate, plan.companions.length) : undefined;
    const connects = supervised === undefined && plan.program.connectionVariable !== undefined;
    if (supervised === undefined && !connects) gate.destroy();
    // Pages of /tmp count to whoever wrote them: the bound that holds at once has room for them, the watched one is the function's.
    group?.bound({ memoryBytes: bounds.memoryBytes + bounds.temporaryBytes, processes: mostProcesses });
    let outOfMemory = false;
    const kill = (): void => killTree(pid);
    const tree = this.#options.trees.tree({
      roots: [pid],
      keeper: pid,
      memoryBytes: bounds.memoryBytes,
      freezes: bounds.freezes,
      onExceeded() {
        outOfMemory = true;
        kill();
      },
    });
    const withCause = (status: ExitStatus): ExitStatus =>
      outOfMemory || group?.ranOutOfMemory() ? { ...status, outOfMemory: true } : status;
    const ended = new Promise<ExitStatus>((resolve) => {
      child.once('exit', (code, signal) => {
        tree.end();
        const status = withCause(statusOf(code, signal));
        supervised?.end(status);
        if (!connects) gate.destroy();
        resolve(status);
      });
    });
    return {
      pid,
      stdout: child.stdout as Readable,
      stderr: child.stderr as Readable,
      exited: supervised === undefined ? ended : supervised.exited.then(withCause),
      connection: connects ? gate : undefined,
      companions: supervised?.companions ?? [],
      proceed: () => supervised?.proceed(),
      endProgram(signal) {
        if (supervised !== undefined) supervised.endProgram(signal);
        else if (signal === 'SIGKILL') kill();
        else for (const each of descendants(pid)) sendSignal(each, signal);
      },
      dial,
      work: () => tree.work(),
      rest: () => tree.rest(),
      get peakBytes() {
        return tree.peakBytes;
      },
      kill,
      // Nothing outlives the first process of a process namespace.
      killStrays: async () => {},
    };
  }

  /** Its last processes may still be on their way out. */
  #removeGroup(group: ControlGroup, tries = 20): void {
    if (group.remove() || tries === 0) return;
    setImmediate(() => this.#removeGroup(group, tries - 1));
  }
}

/** Descriptor 5 is the program's, unless a supervisor needs it. */
function environmentOf({ program, companions }: LaunchPlan): Readonly<Record<string, string>> {
  const { environment, connectionVariable } = program;
  if (connectionVariable === undefined || companions.length > 0) return environment;
  return { ...environment, [connectionVariable]: '5' };
}

function abandon({ process: networked }: Place): void {
  sendSignal(-networked.pid, 'SIGKILL');
  networked.runtimeApi.close();
}

interface Place {
  /** The ports of this machine that it leads to, with commas. */
  readonly reach: string;
  readonly process: NetworkedProcess;
  readonly group: ControlGroup | undefined;
}

function whyNotLaunchable({ program }: LaunchPlan): LaunchError | undefined {
  const unfit = whyNotExecutable(program.hostCommand);
  return unfit === undefined ? undefined : new LaunchError('ENOEXEC', unfit);
}

/** The machine's programs and libraries, as they lie there. */
function systemFolders(): readonly string[] {
  const options = ['--ro-bind', '/usr', '/usr'];
  for (const name of ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/nix', '/gnu']) {
    if (!existsSync(name)) continue;
    if (lstatSync(name).isSymbolicLink()) options.push('--symlink', readlinkSync(name), name);
    else options.push('--ro-bind', name, name);
  }
  return options;
}

/** An image brings its own /etc; what only the sandbox knows is laid over it where there is a place for it. */
function imageEtcOf(root: string, etc: string): string[] {
  const over = ['hosts', 'resolv.conf'].filter((name) => existsSync(join(root, 'etc', name)));
  return over.flatMap((name) => ['--ro-bind', join(etc, name), `/etc/${name}`]);
}

function onPath(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Undefined when it succeeded, else what it said. */
function tried(command: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: 10_000 }, (error, _stdout, stderr) => {
      resolve(error === null ? undefined : stderr.trim() || error.message);
    });
  });
}
