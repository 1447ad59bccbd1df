import { mkdir, open, readdir, readFile, rename, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type DirectoryLock, lockDirectory, lockFilePattern } from './directory-lock.ts';

export type DataDirectoryErrorCode =
  | 'DataDirectoryInUse'
  | 'DataDirectoryNewer'
  | 'DataDirectoryTooOld'
  | 'DataDirectoryForeign'
  | 'DataDirectoryUnusable';

/** A user's mistake or misfortune: `message` says what is wrong, `hint` what to do about it. */
export class DataDirectoryError extends Error {
  override readonly name = 'DataDirectoryError';
  readonly code: DataDirectoryErrorCode;
  readonly hint: string;

  constructor(code: DataDirectoryErrorCode, message: string, hint: string) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

/** Turns the data of format `to - 1` into format `to`. A crash in the midst of it runs it again. */
export interface Migration {
  readonly to: number;
  readonly run: (directory: string) => Promise<void>;
}

export interface DataDirectoryOptions {
  /** The format that this version reads and writes. */
  readonly format?: number;
  readonly migrations?: readonly Migration[];
}

/** The directory is this process's own until `close`. */
export interface DataDirectory {
  /** Absolute. */
  readonly path: string;
  readonly storePath: string;
  readonly blobsPath: string;
  readonly tmpPath: string;
  close(): Promise<void>;
}

const currentFormat = 1;
const currentMigrations: readonly Migration[] = [];
const product = 'unkai';
const formatFile = 'FORMAT';
const unfinishedFormatFile = 'FORMAT.new';

/**
 * Creates the directory if need be, takes it for this process, and brings older data to the current format. Throws
 * DataDirectoryError and has then changed nothing but what migrations before a failing one did.
 */
export async function openDataDirectory(path: string, options: DataDirectoryOptions = {}): Promise<DataDirectory> {
  const { format = currentFormat, migrations = currentMigrations } = options;
  const directory = resolve(path);
  await makeDirectory(directory);
  // Before the lock: a directory of somebody else's does not even get a lock file of ours.
  await checkFormat(directory, format);
  const lock = await takeLock(directory);
  try {
    await bringToFormat(directory, format, migrations);
    const parts = { storePath: 'store', blobsPath: 'blobs', tmpPath: 'tmp' };
    const paths = { storePath: '', blobsPath: '', tmpPath: '' };
    for (const [name, folder] of Object.entries(parts) as [keyof typeof parts, string][]) {
      paths[name] = join(directory, folder);
      await mkdir(paths[name], { recursive: true });
    }
    return { path: directory, ...paths, close: () => lock.release() };
  } catch (error) {
    await lock.release();
    throw error instanceof DataDirectoryError ? error : unusable(directory, error);
  }
}

async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true });
  } catch (error) {
    const existing = await stat(directory).catch(() => undefined);
    if (existing === undefined || existing.isDirectory()) throw unusable(directory, error);
    throw new DataDirectoryError(
      'DataDirectoryUnusable',
      `${directory} is not a directory`,
      'Name a directory with --data, or remove the file that is in its place.',
    );
  }
}

async function takeLock(directory: string): Promise<DirectoryLock> {
  const taken = await lockDirectory(directory).catch((error: unknown) => {
    throw unusable(directory, error);
  });
  if ('release' in taken) return taken;
  const { pid, file, certain } = taken;
  throw new DataDirectoryError(
    'DataDirectoryInUse',
    `${directory} is in use by process ${pid}`,
    certain
      ? `Stop that process first (kill ${pid}), or name another directory with --data.`
      : `That process cannot be seen from here, perhaps it runs in another container. If it is gone, remove ${file}.`,
  );
}

/** Returns the format of the data in the directory; undefined where there is none yet. */
async function checkFormat(directory: string, format: number): Promise<number | undefined> {
  const found = await readFormat(directory);
  if (found === undefined) {
    const strangers = (await list(directory)).filter(
      (name) => !lockFilePattern.test(name) && name !== unfinishedFormatFile,
    );
    if (strangers.length === 0) return undefined;
    throw new DataDirectoryError(
      'DataDirectoryForeign',
      `${directory} holds other files (${strangers[0]}${strangers.length > 1 ? ', …' : ''}) and no data of ${product}`,
      'Name an empty or new directory with --data.',
    );
  }
  if (found > format) {
    throw new DataDirectoryError(
      'DataDirectoryNewer',
      `${directory} has data of format ${found}; this version of ${product} reads up to ${format}`,
      `Run the newer version of ${product} that wrote it, or name another directory with --data.`,
    );
  }
  return found;
}

async function bringToFormat(directory: string, format: number, migrations: readonly Migration[]): Promise<void> {
  // Again, now that nobody else can change it.
  const found = await checkFormat(directory, format);
  if (found === undefined) return writeFormat(directory, format);
  for (let to = found + 1; to <= format; to++) {
    const migration = migrations.find((one) => one.to === to);
    if (migration === undefined) {
      throw new DataDirectoryError(
        'DataDirectoryTooOld',
        `${directory} has data of format ${found}, which this version of ${product} cannot bring to format ${format}`,
        `Open it once with a version of ${product} in between, or name another directory with --data.`,
      );
    }
  }
  for (let to = found + 1; to <= format; to++) {
    await migrations.find((one) => one.to === to)!.run(directory);
    await writeFormat(directory, to);
  }
}

async function readFormat(directory: string): Promise<number | undefined> {
  let text: string;
  try {
    text = await readFile(join(directory, formatFile), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(directory, error);
  }
  const match = /^unkai data, format (\d{1,9})\n$/.exec(text);
  if (match !== null) return Number(match[1]);
  throw new DataDirectoryError(
    'DataDirectoryForeign',
    `the file ${formatFile} in ${directory} was not written by ${product}, or is damaged`,
    'Name another directory with --data, or bring the file back from a backup.',
  );
}

/** Wholly or not at all, and on disk before it counts. */
async function writeFormat(directory: string, format: number): Promise<void> {
  const unfinished = join(directory, unfinishedFormatFile);
  const file = await open(unfinished, 'w');
  try {
    await file.writeFile(`unkai data, format ${format}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(unfinished, join(directory, formatFile));
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function list(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    throw unusable(directory, error);
  }
}

function unusable(directory: string, error: unknown): DataDirectoryError {
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Readonly<Record<string, readonly [string, string]>> = {
    EACCES: ['may not be read and written by this user', 'Give this user the rights, or name another with --data.'],
    EPERM: ['may not be read and written by this user', 'Give this user the rights, or name another with --data.'],
    EROFS: ['is on a file system that is mounted read-only', 'Name a directory that can be written with --data.'],
    ENOSPC: ['is on a disk that is full', 'Free some space, or name a directory on another disk with --data.'],
    ENOTDIR: ['lies below something that is not a directory', 'Name another directory with --data.'],
  };
  const [reason, hint] = reasons[code ?? ''] ?? [`cannot be used: ${message}`, 'Name another directory with --data.'];
  return new DataDirectoryError('DataDirectoryUnusable', `${directory} ${reason}`, hint);
}
