/**
 * The snapshot format that every engine writes and restores: a magic line, then records of a kind byte and fields,
 * each field a 32-bit length and its bytes, and an end record that carries the count, so that a cut file is noticed.
 */
export type PortableRecord =
  | { readonly kind: 'key'; readonly key: Buffer; readonly value: Buffer }
  | {
      readonly kind: 'due';
      readonly partition: Buffer;
      readonly id: Buffer;
      readonly value: Buffer;
      readonly dueAtMs: number;
      readonly attempts: number;
      readonly firstClaimedAtMs: number | undefined;
    }
  | { readonly kind: 'log'; readonly log: Buffer; readonly position: number; readonly value: Buffer }
  /** The position that the next append to a log gets: a trimmed log must not start over. */
  | { readonly kind: 'position'; readonly log: Buffer; readonly next: number };

const magic = Buffer.from('unkai-snapshot-1\n');
const kinds = ['end', 'key', 'due', 'log', 'position'] as const;
const flushBytes = 64 * 1024;

export class SnapshotError extends Error {
  override readonly name = 'SnapshotError';
}

export async function* writePortable(
  records: AsyncIterable<PortableRecord> | Iterable<PortableRecord>,
): AsyncIterable<Buffer> {
  let parts: Buffer[] = [magic];
  let size = magic.length;
  let count = 0;
  for await (const record of records) {
    const bytes = encodeRecord(kinds.indexOf(record.kind), fieldsOf(record));
    parts.push(bytes);
    size += bytes.length;
    count++;
    if (size >= flushBytes) {
      yield Buffer.concat(parts);
      parts = [];
      size = 0;
    }
  }
  parts.push(encodeRecord(0, [number(count)]));
  yield Buffer.concat(parts);
}

export async function* readPortable(source: AsyncIterable<Uint8Array>): AsyncIterable<PortableRecord> {
  let buffer: Buffer = Buffer.alloc(0);
  let started = false;
  let ended = false;
  let count = 0;
  for await (const chunk of source) {
    buffer = buffer.length === 0 ? Buffer.from(chunk) : Buffer.concat([buffer, chunk]);
    if (!started) {
      if (buffer.length < magic.length) continue;
      if (!buffer.subarray(0, magic.length).equals(magic)) throw new SnapshotError('this is not a snapshot of a store');
      buffer = buffer.subarray(magic.length);
      started = true;
    }
    let offset = 0;
    for (;;) {
      const record = decodeRecord(buffer, offset);
      if (record === undefined) break;
      offset = record.next;
      if (ended) throw new SnapshotError('the snapshot goes on after its end');
      if (record.kind === 'end') {
        ended = true;
        if (readNumber(record.fields[0]!) !== count) throw new SnapshotError('the snapshot lacks records');
        continue;
      }
      count++;
      yield toRecord(record.kind, record.fields);
    }
    buffer = buffer.subarray(offset);
  }
  if (!ended) throw new SnapshotError('the snapshot is cut short');
}

function fieldsOf(record: PortableRecord): Buffer[] {
  switch (record.kind) {
    case 'key':
      return [record.key, record.value];
    case 'due':
      return [
        record.partition,
        record.id,
        record.value,
        number(record.dueAtMs),
        number(record.attempts),
        record.firstClaimedAtMs === undefined ? Buffer.alloc(0) : number(record.firstClaimedAtMs),
      ];
    case 'log':
      return [record.log, number(record.position), record.value];
    case 'position':
      return [record.log, number(record.next)];
  }
}

function toRecord(kind: PortableRecord['kind'], fields: readonly Buffer[]): PortableRecord {
  const field = (index: number): Buffer => {
    const bytes = fields[index];
    if (bytes === undefined) throw new SnapshotError('a record of the snapshot lacks a field');
    return bytes;
  };
  switch (kind) {
    case 'key':
      return { kind, key: field(0), value: field(1) };
    case 'due':
      return {
        kind,
        partition: field(0),
        id: field(1),
        value: field(2),
        dueAtMs: readNumber(field(3)),
        attempts: readNumber(field(4)),
        firstClaimedAtMs: field(5).length === 0 ? undefined : readNumber(field(5)),
      };
    case 'log':
      return { kind, log: field(0), position: readNumber(field(1)), value: field(2) };
    case 'position':
      return { kind, log: field(0), next: readNumber(field(1)) };
  }
}

function encodeRecord(kind: number, fields: readonly Buffer[]): Buffer {
  const size = fields.reduce((sum, field) => sum + 4 + field.length, 2);
  const out = Buffer.allocUnsafe(size);
  out[0] = kind;
  out[1] = fields.length;
  let offset = 2;
  for (const field of fields) {
    out.writeUInt32BE(field.length, offset);
    field.copy(out, offset + 4);
    offset += 4 + field.length;
  }
  return out;
}

function decodeRecord(
  buffer: Buffer,
  start: number,
): { kind: (typeof kinds)[number]; fields: Buffer[]; next: number } | undefined {
  if (buffer.length < start + 2) return undefined;
  const kind = kinds[buffer[start]!];
  if (kind === undefined) throw new SnapshotError('the snapshot holds an unknown kind of record');
  const fields: Buffer[] = [];
  let offset = start + 2;
  for (let left = buffer[start + 1]!; left > 0; left--) {
    if (buffer.length < offset + 4) return undefined;
    const length = buffer.readUInt32BE(offset);
    if (buffer.length < offset + 4 + length) return undefined;
    fields.push(Buffer.from(buffer.subarray(offset + 4, offset + 4 + length)));
    offset += 4 + length;
  }
  return { kind, fields, next: offset };
}

function number(value: number): Buffer {
  const out = Buffer.allocUnsafe(8);
  out.writeDoubleBE(value);
  return out;
}

function readNumber(bytes: Buffer): number {
  if (bytes.length !== 8) throw new SnapshotError('a number in the snapshot has the wrong size');
  return bytes.readDoubleBE();
}
