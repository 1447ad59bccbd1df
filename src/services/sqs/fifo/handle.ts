/** The part of a receipt handle that names a message of a group: the group's name, then eight bytes of sequence. */
export function encodeEntryId(group: string, sequence: number): Buffer {
  const bytes = Buffer.allocUnsafe(group.length + 8);
  bytes.write(group, 0, 'latin1');
  bytes.writeDoubleBE(sequence, group.length);
  return bytes;
}

/** Undefined for what is no such name. */
export function decodeEntryId(bytes: Buffer): { readonly group: string; readonly sequence: number } | undefined {
  if (bytes.length < 9) return undefined;
  const sequence = bytes.readDoubleBE(bytes.length - 8);
  if (!Number.isSafeInteger(sequence)) return undefined;
  return { group: bytes.toString('latin1', 0, bytes.length - 8), sequence };
}
