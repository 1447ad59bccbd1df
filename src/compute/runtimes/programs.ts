/** How each family of runtimes is started: the command line and environment of AWS's own start scripts, over the machine's interpreters. */
import { constants, statSync } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Folder, LaunchError } from '../sandboxes/launcher.ts';
import type { Interpreter, ManagedRuntime } from './interpreters.ts';
import { javaClasses } from './java-classes.ts';
import { nodeLibraries, pythonLibraries } from './libraries.ts';
import { debuggerFor } from './python-debugger.ts';
import type { ProgramRequest, RuntimeProgram } from './runtimes.ts';

/** What a family needs beside the request: the interpreter found, and the folder of what runtimes bring. */
export interface Ground {
  readonly managed: ManagedRuntime;
  readonly interpreter: Interpreter;
  readonly libraries: string;
}

type Start = (request: ProgramRequest, ground: Ground) => Promise<RuntimeProgram> | RuntimeProgram;

export const starts: Readonly<Record<ManagedRuntime['language'], Start>> = { nodejs, python, ruby, java, dotnet };

function nodejs(request: ProgramRequest, ground: Ground): RuntimeProgram {
  const runtimeFolder = join(request.bootstraps.seen, 'node');
  const opt = optOf(request);
  // Above the code, Node finds it by itself, for `import` too. With layers it would go before those, which are searched by NODE_PATH.
  const above = request.optRoot === undefined ? '/var/node_modules' : '/var/lang/lib/node_modules';
  const brought = brings(request, nodeLibraries(ground.libraries), above);
  return {
    ...managedProgram(request, ground, runtimeFolder),
    args: [
      // AWS's own start script gives V8 nine tenths of the memory.
      `--max-old-space-size=${Math.floor(request.memoryMb * 0.9)}`,
      join(runtimeFolder, 'bootstrap.cjs'),
    ],
    environment: {
      ...(request.debug === undefined ? {} : { UNKAI_INSPECT: `127.0.0.1:${request.debug.port}` }),
      // The order of the developer guide: what lies in the package itself is found before any of these.
      NODE_PATH: [
        `${opt}/nodejs/node${ground.managed.version}/node_modules`,
        `${opt}/nodejs/node_modules`,
        ...brought.map(({ seen }) => seen),
        runtimeFolder,
        request.taskRoot.seen,
      ].join(':'),
    },
    folders: brought,
    connectionVariable: 'UNKAI_RUNTIME_API_FD',
  };
}

async function python(request: ProgramRequest, ground: Ground): Promise<RuntimeProgram> {
  const runtimeFolder = join(request.bootstraps.seen, 'python');
  const brought = brings(
    request,
    pythonLibraries(ground.libraries, ground.interpreter),
    '/var/lang/lib/python-packages',
  );
  const debuggerFolder = request.debug === undefined ? undefined : await debuggerFor(ground.interpreter);
  const program = managedProgram(request, ground, runtimeFolder);
  return {
    ...program,
    // -B: code is read-only, so there is no place for compiled files. -s: the user's own packages are not the function's.
    args: [
      '-B',
      '-s',
      ...(debuggerFolder === undefined ? [] : ['-X', 'frozen_modules=off']),
      join(runtimeFolder, 'bootstrap.py'),
      optOf(request),
      brought[0]?.seen ?? '-',
      ...(debuggerFolder === undefined ? [] : [String(request.debug!.port), debuggerFolder]),
    ],
    environment: { PYTHONPATH: runtimeFolder },
    folders: [...brought, ...(debuggerFolder === undefined ? [] : [{ host: debuggerFolder, seen: debuggerFolder }])],
  };
}

function ruby(request: ProgramRequest, ground: Ground): RuntimeProgram {
  if (request.debug !== undefined) throw new LaunchError('NODEBUGGER', 'functions in Ruby cannot be debugged here');
  const runtimeFolder = join(request.bootstraps.seen, 'ruby');
  const opt = optOf(request);
  const task = request.taskRoot.seen;
  // Gems for the version that the function names, and for the one that it gets.
  const versions = [...new Set([ground.managed.version, ground.interpreter.version])].map((version) => `${version}.0`);
  return {
    ...managedProgram(request, ground, runtimeFolder),
    args: [join(runtimeFolder, 'bootstrap.rb')],
    environment: {
      GEM_PATH: [
        ...versions.map((version) => `${task}/vendor/bundle/ruby/${version}`),
        ...versions.map((version) => `${opt}/ruby/gems/${version}`),
      ].join(':'),
      RUBYLIB: [task, runtimeFolder, `${opt}/ruby/lib`].join(':'),
    },
  };
}

async function java(request: ProgramRequest, ground: Ground): Promise<RuntimeProgram> {
  const classes = await javaClasses(join(request.bootstraps.host, 'java'), ground.interpreter, ground.libraries);
  const folder = { host: classes, seen: isIsolated(request) ? '/var/lang/lib/unkai-java' : classes };
  return {
    ...managedProgram(request, ground, join(request.bootstraps.seen, 'java')),
    args: [
      // What AWS's start scripts give: most of the memory to the heap, one thread to collect it, the quick compiler only.
      `-Xmx${Math.floor(request.memoryMb * 0.85)}m`,
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      '-Xshare:auto',
      ...(request.debug === undefined
        ? []
        : [`-agentlib:jdwp=transport=dt_socket,server=y,suspend=y,quiet=y,address=127.0.0.1:${request.debug.port}`]),
      '-cp',
      folder.seen,
      'unkai.runtime.Bootstrap',
      optOf(request),
    ],
    folders: [folder],
  };
}

/**
 * Executables of the function's own, which bring AWS's runtime client (Amazon.Lambda.RuntimeSupport) with them. Class libraries
 * need AWS's bootstrap, of which there is none of ours.
 */
function dotnet(request: ProgramRequest, ground: Ground): RuntimeProgram {
  if (request.handler.includes('::')) {
    throw new LaunchError(
      'NOBOOTSTRAP',
      `the handler ${request.handler} names a class library: only executable assemblies run here (Amazon.Lambda.RuntimeSupport)`,
    );
  }
  if (request.debug !== undefined) throw new LaunchError('NODEBUGGER', 'functions in .NET cannot be debugged here');
  const assembly = join(request.taskRoot.seen, request.handler.replace(/(\.dll)?$/, '.dll'));
  return {
    ...managedProgram(request, ground, request.bootstraps.seen),
    args: ['exec', assembly],
    environment: { DOTNET_ROOT: dirname(ground.interpreter.path) },
  };
}

/** The program that the handler names, speaking the Runtime API as those of `provided` do. */
export async function go({ taskRoot, bootstraps, runtime, handler }: ProgramRequest): Promise<RuntimeProgram> {
  const hostCommand = join(taskRoot.host, handler);
  const found = await stat(hostCommand).catch(() => undefined);
  if (found === undefined || !found.isFile()) {
    throw new LaunchError('NOPROGRAM', `fork/exec /var/task/${handler}: no such file or directory`);
  }
  if (!(await isExecutable(hostCommand, found.mode))) {
    throw new LaunchError('NOPROGRAM', `fork/exec /var/task/${handler}: permission denied`);
  }
  const program = ownProgram(join(taskRoot.seen, handler), hostCommand, bootstraps);
  return { ...program, executionEnvironment: `AWS_Lambda_${runtime}` };
}

/** The `bootstrap` of the package, else of a layer. */
export async function provided({ taskRoot, optRoot, bootstraps }: ProgramRequest): Promise<RuntimeProgram> {
  for (const folder of [taskRoot, optRoot]) {
    if (folder === undefined) continue;
    const hostCommand = join(folder.host, 'bootstrap');
    const found = await stat(hostCommand).catch(() => undefined);
    if (found === undefined || !found.isFile()) continue;
    if (!(await isExecutable(hostCommand, found.mode))) throw new LaunchError('EACCES', 'permission denied');
    return ownProgram(join(folder.seen, 'bootstrap'), hostCommand, bootstraps);
  }
  throw new LaunchError('NOBOOTSTRAP', "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]");
}

/**
 * A managed runtime under the script that AWS_LAMBDA_EXEC_WRAPPER names, which gets the runtime's command line as its arguments. The
 * complaints and exit codes are those of the start scripts of AWS's base images.
 */
export function wrapped(program: RuntimeProgram, request: ProgramRequest): RuntimeProgram {
  const wrapper = request.execWrapper;
  if (wrapper === undefined || wrapper === '') return program;
  const place = places(request).find(({ named }) => wrapper.startsWith(`${named}/`));
  const below = (folder: string, named: string): string => join(folder, wrapper.slice(named.length));
  const hostCommand = place === undefined ? wrapper : below(place.host, place.named);
  const found = statSync(hostCommand, { throwIfNoEntry: false });
  if (found?.isFile() !== true) return complaint(program, `${wrapper}: does not exist`, 127);
  if ((found.mode & 0o111) === 0) return complaint(program, `${wrapper}: is not an executable`, 126);
  const command = place === undefined ? wrapper : below(place.seen, place.named);
  return { ...program, command, hostCommand, args: [program.command, ...program.args] };
}

/** The names that a function's configuration uses for its folders, wherever they lie. */
function places(request: ProgramRequest): (Folder & { readonly named: string })[] {
  return [
    { ...request.taskRoot, named: '/var/task' },
    ...(request.optRoot === undefined ? [] : [{ ...request.optRoot, named: '/opt' }]),
    { ...request.taskRoot, named: request.taskRoot.seen },
  ];
}

function complaint(program: RuntimeProgram, text: string, exitCode: number): RuntimeProgram {
  const script = 'echo "$1"; exit "$2"';
  return { ...program, command: '/bin/sh', hostCommand: '/bin/sh', args: ['-c', script, 'sh', text, String(exitCode)] };
}

function managedProgram(request: ProgramRequest, { interpreter }: Ground, runtimeFolder: string) {
  return {
    command: interpreter.path,
    hostCommand: interpreter.path,
    runtimeFolder,
    binFolder: dirname(interpreter.path),
    executionEnvironment: `AWS_Lambda_${request.runtime}`,
    environment: {},
    readOnly: interpreter.folders,
    folders: [] as readonly Folder[],
  };
}

function ownProgram(command: string, hostCommand: string, bootstraps: Folder): RuntimeProgram {
  return {
    command,
    hostCommand,
    args: [],
    runtimeFolder: bootstraps.seen,
    binFolder: undefined,
    executionEnvironment: undefined,
    environment: {},
    readOnly: [],
    folders: [],
  };
}

/** What the runtime brings, where it has been prepared. */
function brings(request: ProgramRequest, host: string | undefined, seen: string): Folder[] {
  return host === undefined ? [] : [{ host, seen: isIsolated(request) ? seen : host }];
}

/** Whether the function's process sees folders at AWS's names in place of the machine's. */
function isIsolated({ bootstraps }: ProgramRequest): boolean {
  return bootstraps.seen !== bootstraps.host;
}

function optOf({ optRoot }: ProgramRequest): string {
  return optRoot?.seen ?? '/opt';
}

/** For root, access() says yes to every file; the mode says what everybody else would hear. */
async function isExecutable(path: string, mode: number): Promise<boolean> {
  return (
    (mode & 0o111) !== 0 &&
    (await access(path, constants.X_OK).then(
      () => true,
      () => false,
    ))
  );
}
