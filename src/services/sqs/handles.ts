/**
 * Opaque handles. A receipt handle tells which claim of which message it stands for, so that nothing need be stored per
 * receipt; it is base64 of: three bytes 01 (AWS's handles begin with AQEB, too), the queue's id (8), its generation (4),
 * the claim's token (8), the time of the receipt (8), the entry's id.
 */
export interface ReceiptHandle {
  /** In hex. */
  readonly queueId: string;
  readonly generation: number;
  readonly token: number;
  readonly receivedAtMs: number;
  readonly entryId: Buffer;
}

const prefix = 0x010101;
const fixedBytes = 31;

export function encodeReceiptHandle(handle: ReceiptHandle): string {
  const bytes = Buffer.allocUnsafe(fixedBytes + handle.entryId.length);
  bytes.writeUIntBE(prefix, 0, 3);
  bytes.write(handle.queueId, 3, 8, 'hex');
  bytes.writeUInt32BE(handle.generation, 11);
  bytes.writeDoubleBE(handle.token, 15);
  bytes.writeDoubleBE(handle.receivedAtMs, 23);
  bytes.set(handle.entryId, fixedBytes);
  return bytes.toString('base64');
}

/** Undefined for what is no handle of ours. */
export function decodeReceiptHandle(text: string): ReceiptHandle | undefined {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length <= fixedBytes || bytes.length > fixedBytes + 512 || bytes.readUIntBE(0, 3) !== prefix) {
    return undefined;
  }
  const token = bytes.readDoubleBE(15);
  const receivedAtMs = bytes.readDoubleBE(23);
  if (!Number.isSafeInteger(token) || !Number.isSafeInteger(receivedAtMs)) return undefined;
  return {
    queueId: bytes.toString('hex', 3, 11),
    generation: bytes.readUInt32BE(11),
    token,
    receivedAtMs,
    entryId: bytes.subarray(fixedBytes),
  };
}

/** A move task's handle is base64 of JSON, as AWS's is (LocalStack's tests against AWS build one by hand). */
export function encodeTaskHandle(taskId: string, sourceArn: string): string {
  return Buffer.from(JSON.stringify({ taskId, sourceArn }), 'utf8').toString('base64');
}

export function decodeTaskHandle(text: string): { readonly taskId: string; readonly sourceArn: string } | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(text, 'base64').toString('utf8'));
    if (typeof parsed !== 'object' || parsed === null) return undefined;
    const { taskId, sourceArn } = parsed as Record<string, unknown>;
    return typeof taskId === 'string' && typeof sourceArn === 'string' ? { taskId, sourceArn } : undefined;
  } catch {
    return undefined;
  }
}
