/**
 * Where what runtimes bring lies on this machine. Each language's libraries are a folder of their own, replaced as a whole when something
 * is added: `<libraries>/nodejs20/current` leads to the state that holds now.
 */
import { readlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Interpreter } from './interpreters.ts';

/** With the data of a durable cloud; else in the user's cache folder, where a build server may keep it. */
export function librariesFolder(dataDirectory: string | undefined): string {
  if (dataDirectory !== undefined) return join(dataDirectory, 'runtimes');
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'unkai', 'runtimes');
}

/** The folder of one language's libraries: they stand on the version that runs them, not on the one that functions name. */
export function nodeHome(libraries: string): string {
  return join(libraries, `nodejs${process.versions.node.split('.')[0]}`);
}

export function pythonHome(libraries: string, { version }: Interpreter): string {
  return join(libraries, `python${version}`);
}

/** A node_modules folder; undefined: nothing is prepared. */
export function nodeLibraries(libraries: string): string | undefined {
  const state = currentState(nodeHome(libraries));
  return state === undefined ? undefined : join(state, 'node_modules');
}

/** A folder for Python's path; undefined: nothing is prepared. */
export function pythonLibraries(libraries: string, interpreter: Interpreter): string | undefined {
  return currentState(pythonHome(libraries, interpreter));
}

/** The folder that holds now: who starts with it keeps it, whatever is added later. */
export function currentState(home: string): string | undefined {
  try {
    return join(home, readlinkSync(join(home, 'current')));
  } catch {
    return undefined;
  }
}
