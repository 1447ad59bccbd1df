import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LaunchError } from '../sandboxes/launcher.ts';
import type { Interpreter } from './interpreters.ts';

const compiled = new Map<string, Promise<string>>();

/**
 * The folder of the Java bootstrap's classes: `classes/` beside its sources, where the build could compile them; else compiled with the
 * machine's javac at first need, once per state of the sources. Rejects with LaunchError where there is neither.
 */
export function javaClasses(sourceFolder: string, interpreter: Interpreter, cacheFolder: string): Promise<string> {
  const built = join(sourceFolder, 'classes');
  if (existsSync(built)) return Promise.resolve(built);
  const key = `${sourceFolder}\0${cacheFolder}`;
  let folder = compiled.get(key);
  if (folder === undefined) {
    folder = compile(sourceFolder, interpreter, cacheFolder);
    compiled.set(key, folder);
    folder.catch(() => compiled.delete(key));
  }
  return folder;
}

async function compile(sourceFolder: string, interpreter: Interpreter, cacheFolder: string): Promise<string> {
  const names = (await readdir(sourceFolder, { recursive: true })).filter((name) => name.endsWith('.java')).sort();
  const digest = createHash('sha256');
  for (const name of names) digest.update(await readFile(join(sourceFolder, name)));
  const folder = join(cacheFolder, `java-bootstrap-${digest.digest('hex').slice(0, 16)}`);
  if (existsSync(folder)) return folder;
  await mkdir(cacheFolder, { recursive: true });
  const partial = await mkdtemp(join(cacheFolder, '.java-'));
  try {
    const beside = join(dirname(interpreter.path), 'javac');
    const files = names.map((name) => join(sourceFolder, name));
    await run(existsSync(beside) ? beside : 'javac', ['--release', '8', '-Xlint:-options', '-d', partial, ...files]);
    // Another process may have been faster; its classes are the same.
    await rename(partial, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return folder;
}

function run(command: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { timeout: 120_000 }, (error, _, stderr) => {
      if (error === null) return resolve();
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      const problem = missing
        ? 'functions in Java need a JDK here: the runtime is compiled at first use, and there is no javac (on Debian: apt-get install default-jdk-headless)'
        : `the Java runtime could not be compiled: ${stderr.trim() || error.message}`;
      reject(new LaunchError('NOJAVAC', problem));
    });
  });
}
