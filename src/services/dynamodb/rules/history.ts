/** What an item was before a change: 8 bytes of time, 2 of length, the suffix of its key, its stored form (nothing: it was not there). */
export interface PastItem {
  readonly atMs: number;
  readonly suffix: Buffer;
  readonly value: Buffer | undefined;
}

const headBytes = 10;

export function encodePast({ atMs, suffix, value }: PastItem): Buffer {
  const out = Buffer.allocUnsafe(headBytes + suffix.length + (value?.length ?? 0));
  out.writeDoubleBE(atMs, 0);
  out.writeUInt16BE(suffix.length, 8);
  suffix.copy(out, headBytes);
  value?.copy(out, headBytes + suffix.length);
  return out;
}

export function decodePast(bytes: Buffer): PastItem {
  const end = headBytes + bytes.readUInt16BE(8);
  return {
    atMs: timeOfPast(bytes),
    suffix: bytes.subarray(headBytes, end),
    value: bytes.length === end ? undefined : bytes.subarray(end),
  };
}

export function timeOfPast(bytes: Buffer): number {
  return bytes.readDoubleBE(0);
}
