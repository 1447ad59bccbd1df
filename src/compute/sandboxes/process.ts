/** Sandboxes as plain processes of the machine: they share its files and its network, and are told apart by their process group. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { endianness } from 'node:os';
import { type ExitStatus, LaunchError, type LaunchedProcess, type Launcher, type LaunchPlan } from './launcher.ts';
import { descendants, processesWithEnvironment } from './processes.ts';
import { Reaper } from './reaper.ts';

export class ProcessLauncher implements Launcher {
  readonly #reaper: Reaper;
  readonly #strayMarkers: string[] = [];
  #strayHunt: Promise<void> | undefined;

  /** `marker` stands in the environment of every process launched here, and of no other. */
  constructor(marker: string) {
    this.#reaper = new Reaper(marker);
  }

  launch(plan: LaunchPlan): Promise<LaunchedProcess> {
    const unfit = whyNotExecutable(plan.command);
    if (unfit !== undefined) return Promise.reject(new LaunchError('ENOEXEC', unfit));
    return new Promise((resolve, reject) => {
      const child = spawn(plan.command, plan.args, {
        cwd: plan.workingDirectory,
        env: plan.environment,
        stdio: ['ignore', 'pipe', 'pipe'],
        // A session of its own: signals to the cloud's terminal do not reach it, and one kill ends the group.
        detached: true,
      });
      const pid = child.pid;
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
        stdout: child.stdout,
        stderr: child.stderr,
        exited,
        kill: () => killTree(pid),
        killStrays: () => this.#killStrays(plan.marker),
      });
    });
  }

  /** One look at all processes serves all the sandboxes that end at about the same time. */
  #killStrays(marker: string): Promise<void> {
    this.#strayMarkers.push(`${marker}\0`);
    this.#strayHunt ??= Promise.resolve().then(async () => {
      // Yields once more, so that whatever else ends in this turn of the event loop joins in.
      await new Promise((resolve) => setImmediate(resolve));
      this.#strayHunt = undefined;
      for (const pid of await processesWithEnvironment(this.#strayMarkers.splice(0))) kill(pid);
    });
    return this.#strayHunt;
  }

  close(): Promise<void> {
    return this.#reaper.close();
  }
}

/** SIGKILL for the process group of `pid` and for descendants that have left it. */
export function killTree(pid: number): void {
  const strays = descendants(pid);
  for (const target of [-pid, ...strays]) kill(target);
}

function kill(target: number): void {
  try {
    process.kill(target, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

/** e_machine of ELF headers, by Node's names of architectures. */
const elfMachines: Readonly<Record<string, number>> = { x64: 0x3e, arm64: 0xb7 };

/**
 * What the C library's exec would hand to a shell, or a shell would read as its own, is an error on AWS ("exec format error"): a file
 * that is neither a script with an interpreter line nor a binary of this machine.
 */
function whyNotExecutable(path: string): string | undefined {
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
