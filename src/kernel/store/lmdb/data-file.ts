import { closeSync, fstatSync, openSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { StoreOpenError } from '../open-error.ts';

/**
 * Looks at the head of LMDB's file before lmdb-js does: given a file that is none of its own, lmdb-js 3.5 does not fail but
 * takes the whole process down. The file begins with two meta pages of the same form (`MDB_meta` in LMDB's mdb.c; all
 * numbers in the machine's order, which is little-endian wherever lmdb-js has a build).
 */
export function checkDataFile(directory: string, pageSize: number): void {
  const path = join(directory, 'data.mdb');
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    // Not there: LMDB makes it. Anything else LMDB reports itself.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw damaged(path, `it cannot be read (${(error as Error).message})`);
  }
  let size: number;
  const head = Buffer.alloc(pageSize * 2);
  let read: number;
  try {
    size = fstatSync(file).size;
    read = readSync(file, head, 0, head.length, 0);
  } finally {
    closeSync(file);
  }
  if (size === 0) return;
  const problem = read < head.length ? 'it is cut short' : problemOf(head, pageSize, size);
  if (problem === undefined) return;
  if (size > head.length) throw damaged(path, problem);
  // Two pages hold no data yet: a crash in the midst of the creation left it, and nothing is lost with it.
  rmSync(path);
}

const metaAt = 24;
const magic = 0xbeefc0de;
const dataVersion = 2;
const noPage = 2n ** 64n - 1n;

function problemOf(head: Buffer, pageSize: number, size: number): string | undefined {
  for (const page of [0, 1]) {
    const meta = head.subarray(page * pageSize + metaAt, (page + 1) * pageSize);
    if (meta.readUInt32LE(0) !== magic) return 'it is no file of LMDB, or is damaged';
    if (meta.readUInt16LE(4) !== dataVersion) return `it has LMDB's format ${meta.readUInt16LE(4)}`;
    if (meta.readUInt32LE(24) !== pageSize) return `it has pages of ${meta.readUInt32LE(24)} bytes`;
    // The roots of the two trees; reading beyond the end of the file would end the process.
    for (const root of [meta.readBigUInt64LE(64), meta.readBigUInt64LE(112)]) {
      if (root !== noPage && root >= BigInt(Math.floor(size / pageSize))) return 'its end is missing';
    }
  }
  return undefined;
}

function damaged(path: string, problem: string): StoreOpenError {
  return new StoreOpenError(
    `the store's file ${path} cannot be used: ${problem}`,
    'Restore it from a backup or a snapshot, or name another directory with --data.',
  );
}
