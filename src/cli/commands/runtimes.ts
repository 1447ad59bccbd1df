import { resolve } from 'node:path';
import { librariesFolder } from '../../compute/runtimes/libraries.ts';
import {
  installRuntimes,
  type LibraryLanguage,
  libraryLanguages,
  listRuntimes,
  ProvisionError,
} from '../../compute/runtimes/provision.ts';
import { WallClock } from '../../kernel/clock/wall.ts';
import { CliError } from '../error.ts';
import type { Terminal } from '../terminal.ts';

export interface RuntimesOptions {
  readonly data: string;
  readonly ephemeral?: boolean;
  readonly all?: boolean;
}

/** Prepares what AWS's runtimes bring, for clouds that keep their data there (or, ephemeral, for those that keep none). */
export async function install(terminal: Terminal, names: readonly string[], options: RuntimesOptions): Promise<void> {
  const languages = names.map(languageOf);
  const libraries = folderOf(options);
  try {
    await installRuntimes(languages.length > 0 ? languages : libraryLanguages, {
      libraries,
      clock: new WallClock(),
      progress: (line) => terminal.progress(line),
      all: options.all === true,
    });
  } catch (error) {
    if (!(error instanceof ProvisionError)) throw error;
    throw new CliError(
      'NotInstalled',
      `nothing could be installed: ${error.message}`,
      'npm and pip are used as they are configured here; try again when they reach their registry',
    );
  }
  await list(terminal, options);
}

/** Which interpreters run functions here, and what is prepared for them. */
export async function list(terminal: Terminal, options: RuntimesOptions): Promise<void> {
  const folder = folderOf(options);
  const runtimes = await listRuntimes(folder);
  terminal.data({ folder, runtimes });
  terminal.table(
    ['LANGUAGE', 'VERSION', 'INTERPRETER', 'LIBRARIES'],
    runtimes.map(({ language, interpreter, libraries }) => [
      language,
      interpreter?.version ?? '-',
      interpreter?.path ?? 'none on this machine',
      libraries.length === 0 ? '-' : String(libraries.length),
    ]),
  );
  for (const { libraries } of runtimes) for (const library of libraries) terminal.line(`  ${library}`);
  terminal.line(`libraries are in ${folder}`);
}

/** A language, or a runtime's name such as python3.12. */
function languageOf(name: string): LibraryLanguage {
  const language = libraryLanguages.find((candidate) => name.startsWith(candidate));
  if (language !== undefined) return language;
  throw new CliError('NoSuchRuntime', `runtimes of '${name}' bring nothing here`, 'they are: nodejs, python');
}

function folderOf({ data, ephemeral }: RuntimesOptions): string {
  return librariesFolder(ephemeral === true ? undefined : resolve(data));
}
