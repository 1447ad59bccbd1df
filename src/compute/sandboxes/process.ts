/** Sandboxes as plain processes of the machine: they share its files and its network, and are told apart by their process group. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { endianness } from 'node:os';
import { PassThrough, type Readable } from 'node:stream';
import {
  type Berth,
  type Bounds,
  type ExitStatus,
  LaunchError,
  type LaunchedProcess,
  type Launcher,
  type LaunchPlan,
  type Program,
} from './launcher.ts';
import { killTree, sendSignal } from './processes.ts';
import { Reaper } from './reaper.ts';
import { stdioOf } from './stdio.ts';
import { StrayHunt } from './strays.ts';
import type { ProcessTree, Trees } from './trees.ts';

export class ProcessLauncher implements Launcher {
  readonly ownFiles = false;
  readonly #reaper: Reaper;
  readonly #trees: Trees;
  readonly #strays = new StrayHunt();

  /** `marker` stands in the environment of every process launched here, and of no other. */
  constructor(marker: string, trees: Trees) {
    this.#reaper = new Reaper(marker);
    this.#trees = trees;
  }

  async prepare(bounds: Bounds): Promise<Berth> {
    const { server, address } = await listenOnLoopback();
    return {
      runtimeApi: server,
      runtimeApiAddress: address,
      launch: (plan) => this.#launch(plan, bounds),
      abandon: () => server.close(),
    };
  }

  close(): Promise<void> {
    return this.#reaper.close();
  }

  async #launch(plan: LaunchPlan, bounds: Bounds): Promise<LaunchedProcess> {
    if (plan.root !== undefined) throw new LaunchError('UNSUPPORTED', 'container images need bubblewrap');
    const companions: Started[] = [];
    for (const companion of plan.companions) {
      try {
        companions.push(await this.#start(companion, plan));
      } catch (error) {
        for (const { pid } of companions) killTree(pid);
        if (error instanceof LaunchError) throw new LaunchError(error.code, error.message, companion.command);
        throw error;
      }
    }
    if (companions.length > 0) return this.#launched(plan, companions, this.#startLater(plan), bounds);
    const started = await this.#start(plan.program, plan);
    return this.#launched(plan, companions, { ...started, roots: [started.pid] }, bounds);
  }

  /** The program comes when the companions are ready; until then its output and its end are promises. */
  #startLater(plan: LaunchPlan): ProgramRun {
    const output = { stdout: new PassThrough(), stderr: new PassThrough() };
    const exited = deferred<ExitStatus>();
    const roots: number[] = [];
    let state: 'waits' | 'started' | 'given up' = 'waits';
    const giveUp = (status: ExitStatus, lastWords = ''): void => {
      output.stderr.end(lastWords);
      output.stdout.end();
      exited.resolve(status);
    };
    return {
      output,
      exited: exited.promise,
      roots,
      proceed: () => {
        if (state !== 'waits') return;
        state = 'started';
        const { connectionVariable: _, ...program } = plan.program;
        this.#start(program, plan).then(
          (started) => {
            roots.push(started.pid);
            started.output.stdout.pipe(output.stdout);
            started.output.stderr.pipe(output.stderr);
            void started.exited.then(exited.resolve);
            if (state === 'given up') killTree(started.pid);
          },
          (error: Error) => giveUp({ code: 127, signal: null }, `${error.message}\n`),
        );
      },
      giveUp: () => {
        if (state === 'waits') giveUp({ code: null, signal: 'SIGKILL' });
        state = 'given up';
      },
    };
  }

  #launched(
    plan: LaunchPlan,
    companions: readonly Started[],
    program: ProgramRun,
    { memoryBytes, freezes }: Bounds,
  ): LaunchedProcess {
    let outOfMemory = false;
    const kill = (): void => {
      program.giveUp?.();
      for (const pid of [...companions.map(({ pid: each }) => each), ...program.roots]) killTree(pid);
    };
    const pids = [...companions.map(({ pid }) => pid), ...program.roots];
    const tree: ProcessTree = this.#trees.tree({
      roots: pids,
      memoryBytes,
      freezes,
      onExceeded() {
        outOfMemory = true;
        kill();
      },
    });
    const withCause = (status: ExitStatus): ExitStatus => (outOfMemory ? { ...status, outOfMemory } : status);
    const all = [program.exited, ...companions.map(({ exited }) => exited)];
    void Promise.all(all).then(() => tree.end());
    return {
      pid: pids[0]!,
      ...program.output,
      connection: program.connection,
      exited: program.exited.then((status) => {
        if (companions.length === 0) tree.end();
        return withCause(status);
      }),
      companions: companions.map(({ output, exited }) => ({ ...output, exited: exited.then(withCause) })),
      proceed: () => program.proceed?.(),
      endProgram(signal) {
        if (signal === 'SIGKILL') {
          program.giveUp?.();
          for (const pid of program.roots) killTree(pid);
        } else {
          for (const pid of program.roots) sendSignal(pid, signal);
        }
      },
      dial: dialLoopback,
      work: () => {
        // The program joins the companions' tree when it has been started.
        for (const pid of program.roots) if (!pids.includes(pid)) pids.push(pid);
        tree.work();
      },
      rest: () => tree.rest(),
      get peakBytes() {
        return tree.peakBytes;
      },
      kill,
      killStrays: () => this.#strays.kill(plan.marker),
    };
  }

  #start(
    { command, args, environment, connectionVariable }: Program,
    { workingDirectory }: LaunchPlan,
  ): Promise<Started> {
    const unfit = whyNotExecutable(command);
    if (unfit !== undefined) return Promise.reject(new LaunchError('ENOEXEC', unfit));
    return new Promise((resolve, reject) => {
      const connects = connectionVariable !== undefined;
      const child = spawn(command, args, {
        cwd: workingDirectory,
        env: connects ? { ...environment, [connectionVariable]: '3' } : environment,
        stdio: connects ? ['ignore', 'pipe', 'pipe', 'pipe'] : ['ignore', 'pipe', 'pipe'],
        // A session of its own: signals to the cloud's terminal do not reach it, and one kill ends the group.
        detached: true,
      });
      const { pid } = child;
      child.once('error', (error: NodeJS.ErrnoException) => {
        if (pid === undefined) reject(new LaunchError(error.code ?? 'UNKNOWN', error.message));
      });
      if (pid === undefined) return;
      this.#reaper.watch(pid);
      const exited = new Promise<ExitStatus>((ended) => {
        child.once('exit', (code, signal) => {
          this.#reaper.forget(pid);
          ended({ code, signal });
        });
      });
      resolve({
        pid,
        output: { stdout: child.stdout!, stderr: child.stderr! },
        exited,
        connection: connects ? stdioOf(child, 3) : undefined,
      });
    });
  }
}

interface Output {
  readonly stdout: Readable;
  readonly stderr: Readable;
}

interface ProgramRun {
  readonly output: Output;
  readonly connection?: Socket | undefined;
  readonly exited: Promise<ExitStatus>;
  /** Its first process; none before it has been started. */
  readonly roots: readonly number[];
  readonly proceed?: () => void;
  /** It is not to be started any more. */
  readonly giveUp?: () => void;
}

interface Started {
  readonly pid: number;
  readonly output: Output;
  readonly exited: Promise<ExitStatus>;
  readonly connection: Socket | undefined;
}

/** A server on a free port of this machine's loopback. */
export function listenOnLoopback(): Promise<{ readonly server: Server; readonly address: string }> {
  const server = createServer({ noDelay: true });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      server.removeListener('error', reject);
      const address = server.address();
      if (address === null || typeof address === 'string') throw new Error('the Runtime API is not listening');
      resolve({ server, address: `${address.address}:${address.port}` });
    });
  });
}

/** A connection to a port of this machine's loopback. */
export function dialLoopback(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true }, () => {
      socket.removeListener('error', reject);
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

function deferred<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** e_machine of ELF headers, by Node's names of architectures. */
const elfMachines: Readonly<Record<string, number>> = { x64: 0x3e, arm64: 0xb7 };

/**
 * What the C library's exec would hand to a shell, or a shell would read as its own, is an error on AWS ("exec format error"): a file
 * that is neither a script with an interpreter line nor a binary of this machine.
 */
export function whyNotExecutable(path: string): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const head = Buffer.alloc(20);
  let length: number;
  try {
    const file = openSync(path, 'r');
    length = readSync(file, head, 0, head.length, 0);
    closeSync(file);
  } catch {
    // Absent or unreadable: exec says so itself.
    return undefined;
  }
  if (head[0] === 0x23 && head[1] === 0x21) return undefined;
  if (length < 20 || head.readUInt32BE(0) !== 0x7f454c46) return 'exec format error';
  const machine = endianness() === 'LE' ? head.readUInt16LE(18) : head.readUInt16BE(18);
  const expected = elfMachines[process.arch];
  return expected === undefined || machine === expected ? undefined : 'exec format error';
}
