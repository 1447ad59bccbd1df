/** Reading a function's package: a zip from a stranger. */
import { type Entry, fromBuffer, type ZipFile } from 'yauzl';
import { unzippedLimitBytes } from '../limits.ts';

/** The package is not acceptable; the message is in AWS's words where AWS has any. */
export class PackageError extends Error {}

export type PackageEntry =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'file'; readonly path: string; readonly executable: boolean; readonly entry: Entry }
  | { readonly kind: 'link'; readonly path: string; readonly entry: Entry };

export interface Package {
  /** In the order of the archive. */
  readonly entries: readonly PackageEntry[];
  readonly unzippedBytes: number;
  /** The content of a file; checked against its stated size. */
  read(entry: Entry): Promise<NodeJS.ReadableStream>;
  close(): void;
}

const unreadable = 'Could not unzip uploaded file. Please check your file, then try to upload again.';
const typeMask = 0o170000;
const linkType = 0o120000;
const folderType = 0o040000;

/** Opens the archive and judges its directory: sizes, names, kinds. Rejects with PackageError. */
export async function openPackage(zip: Uint8Array): Promise<Package> {
  const bytes = Buffer.from(zip.buffer, zip.byteOffset, zip.byteLength);
  const file = await openZip(bytes);
  try {
    const entries: PackageEntry[] = [];
    let unzippedBytes = 0;
    for await (const entry of entriesOf(file)) {
      unzippedBytes += entry.uncompressedSize;
      // Source: recorded answers of CreateFunction.
      if (unzippedBytes >= unzippedLimitBytes) {
        throw new PackageError(`Unzipped size must be smaller than ${unzippedLimitBytes} bytes`);
      }
      entries.push(classify(entry));
    }
    return { entries, unzippedBytes, read: (entry) => openEntry(file, entry), close: () => file.close() };
  } catch (error) {
    file.close();
    throw error;
  }
}

function openZip(bytes: Buffer): Promise<ZipFile> {
  return new Promise((resolve, reject) => {
    const options = { lazyEntries: true, autoClose: false, strictFileNames: false, validateEntrySizes: true };
    fromBuffer(bytes, options, (error, file) => {
      if (error) reject(new PackageError(unreadable));
      else resolve(file);
    });
  });
}

async function* entriesOf(file: ZipFile): AsyncGenerator<Entry> {
  for (;;) {
    const entry = await new Promise<Entry | undefined>((resolve, reject) => {
      const onEntry = (found: Entry): void => settle(() => resolve(found));
      const onEnd = (): void => settle(() => resolve(undefined));
      // A name that leads out of the folder ("..", an absolute path) is refused by the reader itself.
      const onError = (): void => settle(() => reject(new PackageError(unreadable)));
      const settle = (then: () => void): void => {
        file.off('entry', onEntry);
        file.off('end', onEnd);
        file.off('error', onError);
        then();
      };
      file.on('entry', onEntry);
      file.on('end', onEnd);
      file.on('error', onError);
      file.readEntry();
    });
    if (entry === undefined) return;
    yield entry;
  }
}

function classify(entry: Entry): PackageEntry {
  const path = safePath(entry.fileName);
  if ((entry.generalPurposeBitFlag & 1) !== 0) throw new PackageError(unreadable);
  const mode = entry.externalFileAttributes >>> 16;
  const type = mode & typeMask;
  if (entry.fileName.endsWith('/') || type === folderType) return { kind: 'folder', path };
  if (type === linkType) return { kind: 'link', path, entry };
  // Archives made without Unix modes (mode 0) run nothing by themselves.
  return { kind: 'file', path, executable: (mode & 0o111) !== 0, entry };
}

/** Relative, without `.` and `..`. */
function safePath(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.length === 0 || parts.includes('..') || name.startsWith('/') || name.includes('\0')) {
    throw new PackageError(unreadable);
  }
  return parts.join('/');
}

function openEntry(file: ZipFile, entry: Entry): Promise<NodeJS.ReadableStream> {
  return new Promise((resolve, reject) => {
    file.openReadStream(entry, (error, stream) => {
      if (error) reject(new PackageError(unreadable));
      else resolve(stream);
    });
  });
}
