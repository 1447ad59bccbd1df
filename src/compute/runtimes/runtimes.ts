/**
 * Which program runs which runtime. A managed runtime is a small bootstrap of ours over the machine's own interpreter, the nearest
 * version there is; `provided*` is the package's own `bootstrap`.
 */
import { execFile } from 'node:child_process';
import { constants, existsSync } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { LaunchError } from '../sandboxes/launcher.ts';

/** How to start a function's process; paths are absolute. */
export interface RuntimeProgram {
  readonly command: string;
  readonly args: readonly string[];
  /** LAMBDA_RUNTIME_DIR. */
  readonly runtimeFolder: string;
  /** Goes before everything else in PATH, so that a function's scripts find the interpreter that runs it. */
  readonly binFolder: string | undefined;
  /** AWS_EXECUTION_ENV; managed runtimes have it, `provided*` has not. */
  readonly executionEnvironment: string | undefined;
  /** Environment that this family of runtimes brings; a function's own variables go before it. */
  readonly environment: Readonly<Record<string, string>>;
}

export type Support = { readonly ok: true; readonly note?: string } | { readonly ok: false; readonly reason: string };

interface Interpreter {
  readonly path: string;
  /** Such as `3.11`, or `20`. */
  readonly version: string;
}

export class Runtimes {
  readonly #folder: string;
  readonly #pythons = new Map<string, Promise<Interpreter | undefined>>();

  /** `folder` holds the bootstraps: node/bootstrap.cjs and python/bootstrap.py. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async supports(runtime: string): Promise<Support> {
    if (isProvided(runtime)) return { ok: true };
    const node = nodeMajor(runtime);
    if (node !== undefined) {
      const own = process.versions.node.split('.')[0]!;
      return node === own
        ? { ok: true }
        : { ok: true, note: `${runtime} runs on this machine's Node.js ${process.versions.node}` };
    }
    const python = pythonVersion(runtime);
    if (python !== undefined) {
      const found = await this.#python(python);
      if (found === undefined) {
        return {
          ok: false,
          reason: `${runtime} needs Python 3.9 or later: put python${python} or python3 on the PATH`,
        };
      }
      return found.version === python
        ? { ok: true }
        : { ok: true, note: `${runtime} runs on this machine's Python ${found.version}` };
    }
    return { ok: false, reason: `functions of ${runtime} cannot run here yet; nodejs*, python3.* and provided.* can` };
  }

  /** Rejects with LaunchError where there is nothing to start. */
  async program(runtime: string, taskRoot: string, memoryMb: number): Promise<RuntimeProgram> {
    if (isProvided(runtime)) return provided(taskRoot, this.#folder);
    if (nodeMajor(runtime) !== undefined) return this.#node(runtime, taskRoot, memoryMb);
    const version = pythonVersion(runtime);
    const python = version === undefined ? undefined : await this.#python(version);
    if (python === undefined) {
      const support = await this.supports(runtime);
      throw new LaunchError('UNSUPPORTED', support.ok ? runtime : support.reason);
    }
    const runtimeFolder = join(this.#folder, 'python');
    return {
      command: python.path,
      // -B: code is read-only, so there is no place for compiled files. -s: the user's own packages are not the function's.
      args: ['-B', '-s', join(runtimeFolder, 'bootstrap.py')],
      runtimeFolder,
      binFolder: dirname(python.path),
      executionEnvironment: `AWS_Lambda_${runtime}`,
      environment: { PYTHONPATH: runtimeFolder },
    };
  }

  #node(runtime: string, taskRoot: string, memoryMb: number): RuntimeProgram {
    const runtimeFolder = join(this.#folder, 'node');
    return {
      command: process.execPath,
      // AWS's own start script gives V8 nine tenths of the memory.
      args: [`--max-old-space-size=${Math.floor(memoryMb * 0.9)}`, join(runtimeFolder, 'bootstrap.cjs')],
      runtimeFolder,
      binFolder: dirname(process.execPath),
      executionEnvironment: `AWS_Lambda_${runtime}`,
      environment: {
        NODE_PATH: [
          `/opt/nodejs/node${nodeMajor(runtime)}/node_modules`,
          '/opt/nodejs/node_modules',
          join(runtimeFolder, 'node_modules'),
          runtimeFolder,
          taskRoot,
        ].join(':'),
      },
    };
  }

  #python(version: string): Promise<Interpreter | undefined> {
    let found = this.#pythons.get(version);
    if (found === undefined) {
      found = findPython(version);
      this.#pythons.set(version, found);
    }
    return found;
  }
}

function isProvided(runtime: string): boolean {
  return runtime === 'provided' || runtime.startsWith('provided.');
}

function nodeMajor(runtime: string): string | undefined {
  return /^nodejs(\d+)\.x$/.exec(runtime)?.[1];
}

function pythonVersion(runtime: string): string | undefined {
  return /^python(3\.\d+)$/.exec(runtime)?.[1];
}

async function provided(taskRoot: string, runtimesFolder: string): Promise<RuntimeProgram> {
  for (const command of [join(taskRoot, 'bootstrap'), '/opt/bootstrap']) {
    const found = await stat(command).catch(() => undefined);
    if (found === undefined || !found.isFile()) continue;
    // For root, access() says yes to every file; the mode says what everybody else would hear.
    const executable =
      (found.mode & 0o111) !== 0 &&
      (await access(command, constants.X_OK).then(
        () => true,
        () => false,
      ));
    if (!executable) throw new LaunchError('EACCES', 'permission denied');
    return {
      command,
      args: [],
      runtimeFolder: runtimesFolder,
      binFolder: undefined,
      executionEnvironment: undefined,
      environment: {},
    };
  }
  throw new LaunchError('NOBOOTSTRAP', "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]");
}

/** pythonX.Y itself, else the machine's python3 if it is 3.9 or later. */
async function findPython(version: string): Promise<Interpreter | undefined> {
  for (const name of [`python${version}`, 'python3']) {
    for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
      if (folder === '' || !existsSync(join(folder, name))) continue;
      const found = await askPython(join(folder, name));
      if (found !== undefined && isRecent(found.version)) return found;
    }
  }
  return undefined;
}

/** Asks the interpreter itself: what is on the PATH may be a version manager's stand-in, slow to start or with nothing behind it. */
function askPython(path: string): Promise<Interpreter | undefined> {
  const question = 'import sys; print("%d.%d" % sys.version_info[:2]); print(sys.executable)';
  return new Promise((resolve) => {
    execFile(path, ['-c', question], { timeout: 10_000 }, (error, stdout) => {
      const [version, executable] = stdout.split('\n');
      resolve(error !== null || !version || !executable ? undefined : { path: executable, version });
    });
  });
}

function isRecent(version: string): boolean {
  const [major, minor] = version.split('.').map(Number) as [number, number];
  return major === 3 && minor >= 9;
}
