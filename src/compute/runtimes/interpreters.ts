/** The machine's own interpreters: which there are, their versions, and the one nearest to what a runtime asks for. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';

export interface Interpreter {
  /** The real file, not a version manager's stand-in for it. */
  readonly path: string;
  /** Such as `3.11`, `20` or `17`. */
  readonly version: string;
  /** Folders that it needs and that lie outside the system's own. */
  readonly folders: readonly string[];
}

export type Language = 'nodejs' | 'python' | 'ruby' | 'java' | 'dotnet';

/** Which version of which language a managed runtime is. */
export interface ManagedRuntime {
  readonly language: Language;
  readonly version: string;
}

const patterns: Readonly<Record<Language, RegExp>> = {
  nodejs: /^nodejs(\d+)\.x$/,
  python: /^python(3\.\d+)$/,
  ruby: /^ruby([34]\.\d+)$/,
  java: /^java(\d+)(?:\.al2)?$/,
  dotnet: /^dotnet(\d+)$/,
};

export function managedRuntime(runtime: string): ManagedRuntime | undefined {
  for (const [language, pattern] of Object.entries(patterns)) {
    const version = pattern.exec(runtime)?.[1];
    if (version !== undefined) return { language: language as Language, version };
  }
  return undefined;
}

/** What to look for, how to ask it, and how to tell people that it is missing. */
interface Search {
  readonly name: string;
  readonly oldest: string;
  readonly install: string;
  /** Paths that may be interpreters, absolute, the most likely first. */
  candidates(version: string): readonly string[];
  ask(path: string): Promise<Interpreter | undefined>;
}

const searches: Readonly<Record<Language, Search>> = {
  nodejs: {
    name: 'Node.js',
    oldest: '20',
    install: '',
    candidates: () => [process.execPath],
    ask: async (path) => ({ path, version: process.versions.node.split('.')[0]!, folders: outside([prefixOf(path)]) }),
  },
  python: {
    name: 'Python',
    oldest: '3.9',
    install: 'put python$ or python3 on the PATH',
    candidates: (version) => onPath(/^python(3(\.\d+)?)?$/, version),
    ask: askPython,
  },
  ruby: {
    name: 'Ruby',
    oldest: '2.7',
    install: 'put ruby on the PATH (on Debian: apt-get install ruby)',
    candidates: (version) => onPath(/^ruby(\d\.\d+)?$/, version),
    ask: askRuby,
  },
  java: {
    name: 'Java',
    oldest: '8',
    install: 'put java on the PATH or name a JDK in JAVA_HOME (on Debian: apt-get install default-jdk-headless)',
    candidates: javas,
    ask: askJava,
  },
  dotnet: {
    name: '.NET',
    oldest: '6',
    install: 'put dotnet on the PATH',
    candidates: (version) => onPath(/^dotnet$/, version),
    ask: askDotnet,
  },
};

export function languageName(language: Language): string {
  return searches[language].name;
}

/** Why there is none, and what to do. */
export function missing(runtime: string, { language, version }: ManagedRuntime): string {
  const { name, oldest, install } = searches[language];
  return `${runtime} needs ${name} ${oldest} or later: ${install.replace('$', version)}`;
}

export class Interpreters {
  readonly #found = new Map<string, Promise<Interpreter | undefined>>();

  /** The version itself; else the nearest later one; else the latest there is. Looked for once. */
  find({ language, version }: ManagedRuntime): Promise<Interpreter | undefined> {
    const key = `${language} ${version}`;
    let found = this.#found.get(key);
    if (found === undefined) {
      found = nearest(searches[language], version);
      this.#found.set(key, found);
    }
    return found;
  }
}

async function nearest(search: Search, version: string): Promise<Interpreter | undefined> {
  const found: Interpreter[] = [];
  for (const path of search.candidates(version)) {
    const interpreter = await search.ask(path);
    if (interpreter === undefined || compare(interpreter.version, search.oldest) < 0) continue;
    if (interpreter.version === version) return interpreter;
    // Of several of one version the first on the path is meant.
    if (!found.some((other) => other.version === interpreter.version)) found.push(interpreter);
    // They come the nearest first: the rest need not be asked, which takes a version manager's stand-ins long.
    if (versionInName(path) !== undefined) break;
  }
  found.sort((one, other) => compare(one.version, other.version));
  return found.find((interpreter) => compare(interpreter.version, version) > 0) ?? found.at(-1);
}

/** By their numbers: negative where `one` is the earlier version. */
export function compare(one: string, other: string): number {
  const [left, right] = [one, other].map((version) => version.split('.').map(Number)) as [number[], number[]];
  return left[0]! - right[0]! || (left[1] ?? 0) - (right[1] ?? 0);
}

/**
 * Files of the PATH whose names match: those of the version asked for, then those without a version in their name, then the others, the
 * nearest first.
 */
function onPath(pattern: RegExp, version: string): string[] {
  const folders = new Set(
    (process.env['PATH'] ?? '')
      .split(delimiter)
      .filter((folder) => folder !== '')
      .map(realPath),
  );
  const found = [...folders].flatMap((folder) => {
    try {
      return readdirSync(folder)
        .filter((file) => pattern.test(file))
        .map((file) => join(folder, file));
    } catch {
      // Not there, or not for us to read.
      return [];
    }
  });
  const rank = (path: string): number => {
    const named = versionInName(path);
    if (named === undefined) return 1;
    const distance = compare(named, version);
    if (distance === 0) return 0;
    return distance > 0 ? 1 + distance : 1_000 - distance;
  };
  return found.sort((one, other) => rank(one) - rank(other));
}

function versionInName(path: string): string | undefined {
  return /\d+\.\d+$/.exec(basename(path))?.[0];
}

function javas(version: string): string[] {
  const homes = [process.env['JAVA_HOME'], ...javaHomes('/usr/lib/jvm')].filter((home) => home !== undefined);
  return [
    ...homes.map((home) => join(home, 'bin', 'java')).filter((path) => existsSync(path)),
    ...onPath(/^java$/, version),
  ];
}

function javaHomes(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

/** Asks the interpreter itself: what is on the PATH may be a version manager's stand-in, slow to start or with nothing behind it. */
async function askPython(path: string): Promise<Interpreter | undefined> {
  const question =
    'import sys; print("%d.%d" % sys.version_info[:2]); print(getattr(sys, "_base_executable", "") or sys.executable); ' +
    'print(sys.base_prefix); print(sys.base_exec_prefix)';
  const [version, executable, ...prefixes] = await linesOf(path, ['-c', question]);
  return version && executable ? { path: executable, version, folders: outside(prefixes) } : undefined;
}

async function askRuby(path: string): Promise<Interpreter | undefined> {
  const question = "require 'rbconfig'; puts RUBY_VERSION[/^\\d+\\.\\d+/], RbConfig.ruby, RbConfig::CONFIG['prefix']";
  const [version, executable, ...prefixes] = await linesOf(path, ['--disable-gems', '-e', question]);
  return version && executable ? { path: executable, version, folders: outside(prefixes) } : undefined;
}

async function askJava(path: string): Promise<Interpreter | undefined> {
  const installed = await readFile(join(dirname(dirname(realPath(path))), 'release'), 'utf8').catch(() => '');
  const told = /^JAVA_VERSION="(?:1\.)?(\d+)/m.exec(installed)?.[1];
  if (told !== undefined) {
    const real = realPath(path);
    return { path: real, version: told, folders: outside([dirname(dirname(real))]) };
  }
  const lines = await linesOf(path, ['-XshowSettings:properties', '-version']);
  const property = (name: string): string | undefined =>
    lines.map((line) => line.trim().split(' = ')).find(([key]) => key === name)?.[1];
  const home = property('java.home');
  // Before 9 it was called 1.8.
  const version = property('java.specification.version')?.replace(/^1\./, '');
  return home && version ? { path: join(home, 'bin', 'java'), version, folders: outside([home]) } : undefined;
}

async function askDotnet(path: string): Promise<Interpreter | undefined> {
  const runtimes = (await linesOf(path, ['--list-runtimes'])).map(
    (line) => /^Microsoft\.NETCore\.App (\d+)/.exec(line)?.[1],
  );
  const version = runtimes.filter((major) => major !== undefined).sort((one, other) => compare(other, one))[0];
  if (version === undefined) return undefined;
  const real = realPath(path);
  return { path: real, version, folders: outside([dirname(real)]) };
}

/** What a program says, on both outputs; nothing where it cannot be run. */
function linesOf(path: string, args: readonly string[]): Promise<string[]> {
  return new Promise((resolve) => {
    execFile(path, args, { timeout: 20_000 }, (error, stdout, stderr) => {
      resolve(error === null ? `${stdout}\n${stderr}`.split('\n').filter((line) => line !== '') : []);
    });
  });
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function prefixOf(path: string): string {
  const folder = dirname(path);
  return basename(folder) === 'bin' ? dirname(folder) : folder;
}

const systemFolders = ['/usr', '/lib', '/lib32', '/lib64', '/bin', '/sbin', '/etc'];

/** Those of the folders that a sandbox would not see by itself. A home folder or the root is never one of them. */
function outside(folders: readonly string[]): string[] {
  return [...new Set(folders.map(realPath))].filter(
    (folder) =>
      folder !== '/' &&
      folder !== homedir() &&
      !systemFolders.some((system) => folder === system || folder.startsWith(`${system}/`)),
  );
}
