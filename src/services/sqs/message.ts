import { hash } from 'node:crypto';

/**
 * A message as it is stored: the value of a due entry. Times and counts of receives are the entry's own.
 *
 * | offset | bytes |
 * | 0   | 1: the format, 1 |
 * | 1   | 8: when it was sent, epoch milliseconds as a double |
 * | 9   | 36: the message id |
 * | 45  | 32: the MD5 of the body in hex |
 * | 77  | 2: length of the sender's id, 4: length of the extras |
 * | 83  | the sender's id, the extras (JSON, absent when there are none), the body, all UTF-8 |
 */
export interface StoredMessage {
  readonly messageId: string;
  readonly sentAtMs: number;
  readonly bodyMd5: string;
  readonly senderId: string;
  readonly extras: MessageExtras;
  /** UTF-8. */
  readonly body: Buffer;
}

/** What most messages do not have. */
export interface MessageExtras {
  readonly attributes?: Readonly<Record<string, StoredAttribute>>;
  readonly traceHeader?: string;
  readonly groupId?: string;
  /** Of messages of FIFO queues. */
  readonly deduplicationId?: string;
  /** Where a message in a dead-letter queue came from. */
  readonly deadLetterSourceArn?: string;
  /** Receives before the message was moved here; the entry's attempts come on top. */
  readonly receivedBefore?: number;
  readonly firstReceivedAtMs?: number;
  /** A fault delivered this message twice already, or it is the second copy. */
  readonly duplicated?: true;
}

/** Data type, transport ('s' string, 'b' binary) and value (base64 where binary). */
export type StoredAttribute = readonly [dataType: string, transport: 's' | 'b', value: string];

const format = 1;
const idOffset = 9;
const md5Offset = 45;
const lengthsOffset = 77;
const headerBytes = 83;

export interface NewMessage {
  readonly messageId: string;
  readonly sentAtMs: number;
  readonly senderId: string;
  readonly body: string;
  /** In UTF-8. */
  readonly bodyBytes: number;
  readonly extras: MessageExtras | undefined;
}

/** The stored form and the MD5 of the body. */
export function encodeMessage(message: NewMessage): { readonly value: Buffer; readonly bodyMd5: string } {
  const { body, bodyBytes, senderId } = message;
  const extras = message.extras === undefined ? '' : JSON.stringify(message.extras);
  const senderBytes = Buffer.byteLength(senderId);
  const extrasBytes = extras === '' ? 0 : Buffer.byteLength(extras);
  const bodyOffset = headerBytes + senderBytes + extrasBytes;
  const value = Buffer.allocUnsafe(bodyOffset + bodyBytes);
  value[0] = format;
  value.writeDoubleBE(message.sentAtMs, 1);
  value.write(message.messageId, idOffset, 36, 'latin1');
  value.writeUInt16BE(senderBytes, lengthsOffset);
  value.writeUInt32BE(extrasBytes, lengthsOffset + 2);
  value.write(senderId, headerBytes, senderBytes, 'utf8');
  if (extrasBytes > 0) value.write(extras, headerBytes + senderBytes, extrasBytes, 'utf8');
  value.write(body, bodyOffset, bodyBytes, 'utf8');
  const bodyMd5 = hash('md5', value.subarray(bodyOffset), 'hex');
  value.write(bodyMd5, md5Offset, 32, 'latin1');
  return { value, bodyMd5 };
}

const noExtras: MessageExtras = Object.freeze({});

/** Throws for a format of a later release. */
export function decodeMessage(value: Buffer): StoredMessage {
  if (value[0] !== format) throw new Error(`a stored message has the unknown format ${value[0]}`);
  const senderBytes = value.readUInt16BE(lengthsOffset);
  const extrasBytes = value.readUInt32BE(lengthsOffset + 2);
  const extrasOffset = headerBytes + senderBytes;
  const bodyOffset = extrasOffset + extrasBytes;
  return {
    messageId: value.toString('latin1', idOffset, md5Offset),
    sentAtMs: value.readDoubleBE(1),
    bodyMd5: value.toString('latin1', md5Offset, lengthsOffset),
    senderId: value.toString('utf8', headerBytes, extrasOffset),
    extras:
      extrasBytes === 0 ? noExtras : (JSON.parse(value.toString('utf8', extrasOffset, bodyOffset)) as MessageExtras),
    body: value.subarray(bodyOffset),
  };
}

/** When a stored message was sent, without decoding the rest. */
export function sentAtOf(value: Buffer): number {
  return value.readDoubleBE(1);
}

/** The same message with other extras, and with another id and time where given. */
export function withExtras(
  message: StoredMessage,
  extras: MessageExtras,
  renewed?: { readonly messageId: string; readonly sentAtMs: number },
): Buffer {
  const text = Buffer.from(JSON.stringify(extras), 'utf8');
  const sender = Buffer.from(message.senderId, 'utf8');
  const header = Buffer.allocUnsafe(headerBytes);
  header[0] = format;
  header.writeDoubleBE(renewed?.sentAtMs ?? message.sentAtMs, 1);
  header.write(renewed?.messageId ?? message.messageId, idOffset, 36, 'latin1');
  header.write(message.bodyMd5, md5Offset, 32, 'latin1');
  header.writeUInt16BE(sender.length, lengthsOffset);
  header.writeUInt32BE(text.length, lengthsOffset + 2);
  return Buffer.concat([header, sender, text, message.body]);
}

/** What a moved message keeps: it is a new one, and its history stays behind. */
export function carriedExtras({ attributes, traceHeader, groupId, deduplicationId }: MessageExtras): MessageExtras {
  return {
    ...(attributes === undefined ? {} : { attributes }),
    ...(traceHeader === undefined ? {} : { traceHeader }),
    ...(groupId === undefined ? {} : { groupId }),
    ...(deduplicationId === undefined ? {} : { deduplicationId }),
  };
}
