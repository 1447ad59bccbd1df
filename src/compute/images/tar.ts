/**
 * Reads tar archives as they stream by: ustar, pax and GNU's long names. Sources: POSIX.1-2017, "pax"; GNU tar's manual, "Basic Tar Format".
 * Names are taken as UTF-8. Sparse files are refused: no builder of images writes them.
 */
import { ImageError } from '../../platform/oci.ts';

export type TarKind = 'file' | 'folder' | 'symlink' | 'hardlink' | 'device';

export interface TarEntry {
  /** As written: perhaps absolute, perhaps with `..` in it. */
  readonly path: string;
  readonly kind: TarKind;
  /** Of links: where to. */
  readonly target: string;
  /** All twelve permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly modifiedMs: number;
  readonly sizeBytes: number;
  /** Where the content begins in the archive. */
  readonly offset: number;
  /** The content, once; what is not read is skipped when the next entry is asked for. */
  content(): AsyncGenerator<Buffer>;
}

const blockBytes = 512;
/** Of one extended header: names and attributes. */
const maxExtensionBytes = 1024 * 1024;

/** The entries in order. Throws ImageError for damage, and for an archive that ends inside an entry. */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const reader = new PieceReader(source);
  let common: Attributes = {};
  let own: Attributes = {};
  try {
    for (;;) {
      const block = await reader.take(blockBytes);
      // Some writers leave out the two empty blocks of the end.
      if (block === undefined || block.every((byte) => byte === 0)) {
        if (Object.keys(own).length > 0) throw damaged('it ends behind the header of an extension');
        return;
      }
      const header = parseHeader(block);
      if (header.type === 'x' || header.type === 'g' || header.type === 'L' || header.type === 'K') {
        const bytes = await readExtension(reader, header.sizeBytes);
        if (header.type === 'L') own = { ...own, path: cString(bytes) };
        else if (header.type === 'K') own = { ...own, linkpath: cString(bytes) };
        else if (header.type === 'x') own = { ...own, ...parsePax(bytes) };
        else common = { ...common, ...parsePax(bytes) };
        continue;
      }
      const entry = entryOf(header, { ...common, ...own }, reader);
      own = {};
      const end = entry.offset + entry.sizeBytes;
      yield entry;
      await reader.skipTo(end + padding(entry.sizeBytes));
    }
  } finally {
    await reader.close();
  }
}

interface Header {
  readonly path: string;
  readonly type: string;
  readonly target: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly modifiedMs: number;
  readonly sizeBytes: number;
}

/** Of an extended header, as written. */
type Attributes = Readonly<Record<string, string>>;

function parseHeader(block: Buffer): Header {
  const stored = octal(block, 148, 8);
  let unsigned = 0;
  let signed = 0;
  for (let place = 0; place < blockBytes; place++) {
    const byte = place >= 148 && place < 156 ? 0x20 : block[place]!;
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  if (stored !== unsigned && stored !== signed)
    throw damaged('a header does not match its checksum, or it is no tar archive');
  const name = text(block, 0, 100);
  // GNU's own form ("ustar  ") has other things where ustar has the prefix.
  const prefix = block.toString('latin1', 257, 263) === 'ustar\0' ? text(block, 345, 155) : '';
  const type = block[156] === 0 ? '0' : String.fromCharCode(block[156]!);
  return {
    path: prefix === '' ? name : `${prefix}/${name}`,
    type,
    target: text(block, 157, 100),
    mode: octal(block, 100, 8) & 0o7777,
    uid: octal(block, 108, 8),
    gid: octal(block, 116, 8),
    sizeBytes: octal(block, 124, 12),
    modifiedMs: octal(block, 136, 12) * 1000,
  };
}

const kinds: Readonly<Record<string, TarKind>> = {
  '0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'device',
  '4': 'device',
  '5': 'folder',
  '6': 'device',
};

function entryOf(header: Header, attributes: Attributes, reader: PieceReader): TarEntry {
  const path = attributes['path'] ?? header.path;
  const target = attributes['linkpath'] ?? header.target;
  const sparse = header.type === 'S' || Object.keys(attributes).some((name) => name.startsWith('GNU.sparse.'));
  if (sparse) throw new ImageError('BadImage', `the archive holds a sparse file, ${path}`, 'write it without --sparse');
  const kind = header.type === '0' && path.endsWith('/') ? 'folder' : kinds[header.type];
  if (kind === undefined) throw damaged(`the type '${header.type}' of ${path} is unknown`);
  if (path === '' || path.includes('\0') || target.includes('\0')) throw damaged('an entry has no proper name');
  const sizeBytes = kind === 'file' ? numberOf(attributes['size'], header.sizeBytes) : 0;
  const modified = Number(attributes['mtime']);
  const offset = reader.position;
  return {
    path,
    kind,
    target,
    mode: header.mode,
    uid: numberOf(attributes['uid'], header.uid),
    gid: numberOf(attributes['gid'], header.gid),
    modifiedMs: Number.isFinite(modified) ? Math.round(modified * 1000) : header.modifiedMs,
    sizeBytes,
    offset,
    content: () => reader.pieces(offset + sizeBytes),
  };
}

async function readExtension(reader: PieceReader, sizeBytes: number): Promise<Buffer> {
  if (sizeBytes > maxExtensionBytes) throw damaged(`an extended header of ${sizeBytes} bytes is too long`);
  const bytes = sizeBytes === 0 ? Buffer.alloc(0) : await reader.take(sizeBytes);
  if (bytes === undefined) throw truncated();
  await reader.skipTo(reader.position + padding(sizeBytes));
  return bytes;
}

/** Records of the form `<length> <name>=<value>\n`, the length counting all of it. */
function parsePax(bytes: Buffer): Attributes {
  const attributes: Record<string, string> = {};
  let at = 0;
  while (at < bytes.length && bytes[at] !== 0) {
    const space = bytes.indexOf(0x20, at);
    const length = space === -1 ? Number.NaN : Number(bytes.toString('latin1', at, space));
    const equals = bytes.indexOf(0x3d, space);
    const end = at + length;
    if (
      !Number.isInteger(length) ||
      length < 5 ||
      end > bytes.length ||
      bytes[end - 1] !== 0x0a ||
      equals === -1 ||
      equals >= end
    ) {
      throw damaged('an extended header is not in the form of pax');
    }
    attributes[bytes.toString('utf8', space + 1, equals)] = bytes.toString('utf8', equals + 1, end - 1);
    at = end;
  }
  return attributes;
}

function numberOf(attribute: string | undefined, otherwise: number): number {
  if (attribute === undefined) return otherwise;
  const value = Number(attribute);
  if (!Number.isSafeInteger(value) || value < 0) throw damaged(`'${attribute}' is no number for a header`);
  return value;
}

/** Octal digits, or GNU's base 256 where the first bit is set. */
function octal(block: Buffer, start: number, length: number): number {
  const first = block[start]!;
  if (first === 0x80) {
    let value = 0;
    for (let place = start + 1; place < start + length; place++) value = value * 256 + block[place]!;
    if (!Number.isSafeInteger(value)) throw damaged('a number in a header is too large');
    return value;
  }
  if (first === 0xff) return 0;
  const digits = text(block, start, length).trim();
  if (digits === '') return 0;
  if (!/^[0-7]+$/.test(digits)) throw damaged('a number in a header is not octal, or it is no tar archive');
  return Number.parseInt(digits, 8);
}

function text(block: Buffer, start: number, length: number): string {
  return cString(block.subarray(start, start + length));
}

function cString(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end === -1 ? bytes.length : end);
}

function padding(sizeBytes: number): number {
  return (blockBytes - (sizeBytes % blockBytes)) % blockBytes;
}

function damaged(problem: string): ImageError {
  return new ImageError('BadImage', `an archive is damaged: ${problem}`, 'build or save the image again');
}

function truncated(): ImageError {
  return damaged('it ends too early');
}

/** Takes a stream of pieces apart at other places than where they were cut. */
class PieceReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #piece: Buffer = Buffer.alloc(0);
  /** Of the next byte, in the whole stream. */
  position = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** So many bytes; undefined at the end of the stream. */
  async take(length: number): Promise<Buffer | undefined> {
    if (this.#piece.length >= length) return this.#cut(length);
    const parts: Buffer[] = [];
    let missing = length;
    while (missing > 0) {
      if (this.#piece.length === 0 && !(await this.#more())) {
        if (missing === length) return undefined;
        throw truncated();
      }
      const part = this.#cut(Math.min(missing, this.#piece.length));
      missing -= part.length;
      parts.push(part);
    }
    return Buffer.concat(parts);
  }

  /** The bytes up to a position, as they come. */
  async *pieces(end: number): AsyncGenerator<Buffer> {
    while (this.position < end) {
      if (this.#piece.length === 0 && !(await this.#more())) throw truncated();
      yield this.#cut(Math.min(end - this.position, this.#piece.length));
    }
  }

  async skipTo(position: number): Promise<void> {
    while (this.position < position) {
      if (this.#piece.length === 0 && !(await this.#more())) throw truncated();
      this.#cut(Math.min(position - this.position, this.#piece.length));
    }
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }

  #cut(length: number): Buffer {
    const part = this.#piece.subarray(0, length);
    this.#piece = this.#piece.subarray(length);
    this.position += length;
    return part;
  }

  async #more(): Promise<boolean> {
    for (;;) {
      const next = await this.#source.next();
      if (next.done === true) return false;
      if (next.value.byteLength === 0) continue;
      this.#piece = Buffer.isBuffer(next.value) ? next.value : Buffer.from(next.value);
      return true;
    }
  }
}
