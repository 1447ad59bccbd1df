import { crc32 } from 'node:zlib';

/** The media type of a body that is a sequence of messages. */
export const eventStreamType = 'application/vnd.amazon.eventstream';

/** A header's value with its type on the wire; times are epoch milliseconds. */
export type HeaderValue =
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'byte' | 'short' | 'integer' | 'timestamp'; readonly value: number }
  | { readonly type: 'long'; readonly value: bigint }
  | { readonly type: 'bytes'; readonly value: Uint8Array }
  | { readonly type: 'string' | 'uuid'; readonly value: string };

export type Header = readonly [name: string, value: HeaderValue];

export interface Message {
  readonly headers: readonly Header[];
  readonly payload: Buffer;
}

/** Bytes that are no message: a checksum or a length that does not fit, an unknown header type. */
export class EventStreamError extends Error {
  override readonly name = 'EventStreamError';
}

/** https://smithy.io/2.0/aws/amazon-eventstream.html: lengths and the prelude's checksum, headers, payload, checksum of all. */
const preludeBytes = 12;
const checksumBytes = 4;
/** Past these a client refuses a message. */
const maxHeadersBytes = 128 * 1024;
const maxPayloadBytes = 24 * 1024 * 1024;

/** The message as it goes over the wire. Throws EventStreamError for headers or a payload that no message can carry. */
export function encodeMessage(headers: readonly Header[], payload: Uint8Array): Buffer {
  const head = Buffer.concat(headers.map(encodeHeader));
  if (head.length > maxHeadersBytes) throw new EventStreamError(`headers of ${head.length} bytes are too long`);
  if (payload.length > maxPayloadBytes) throw new EventStreamError(`a payload of ${payload.length} bytes is too long`);
  const total = preludeBytes + head.length + payload.length + checksumBytes;
  const bytes = Buffer.allocUnsafe(total);
  bytes.writeUInt32BE(total, 0);
  bytes.writeUInt32BE(head.length, 4);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 8)), 8);
  bytes.set(head, preludeBytes);
  bytes.set(payload, preludeBytes + head.length);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, total - checksumBytes)), total - checksumBytes);
  return bytes;
}

/** The messages of a body, in order, however it is cut into pieces. Throws EventStreamError for damage, and where the end is missing. */
export async function* decodeMessages(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Message, void> {
  let parts: Uint8Array[] = [];
  let have = 0;
  let needed = preludeBytes;
  for await (const piece of pieces) {
    parts.push(piece);
    have += piece.length;
    if (have < needed) continue;
    let rest = Buffer.concat(parts);
    for (;;) {
      const total = messageBytes(rest);
      needed = total ?? preludeBytes;
      if (total === undefined || rest.length < total) break;
      yield decodeMessage(rest.subarray(0, total));
      rest = rest.subarray(total);
    }
    parts = [rest];
    have = rest.length;
  }
  if (have > 0) throw new EventStreamError(`the stream ends ${have} bytes into a message`);
}

/** The length of the message that begins here, judged by its prelude; undefined: not all of the prelude is there. */
function messageBytes(bytes: Buffer): number | undefined {
  if (bytes.length < preludeBytes) return undefined;
  if (crc32(bytes.subarray(0, 8)) !== bytes.readUInt32BE(8))
    throw new EventStreamError('the checksum of the prelude does not fit');
  const total = bytes.readUInt32BE(0);
  const headersBytes = bytes.readUInt32BE(4);
  const payloadBytes = total - headersBytes - preludeBytes - checksumBytes;
  if (payloadBytes < 0 || payloadBytes > maxPayloadBytes || headersBytes > maxHeadersBytes)
    throw new EventStreamError(`a message of ${total} bytes with ${headersBytes} of headers cannot be`);
  return total;
}

/** One whole message. */
function decodeMessage(bytes: Buffer): Message {
  const end = bytes.length - checksumBytes;
  if (crc32(bytes.subarray(0, end)) !== bytes.readUInt32BE(end))
    throw new EventStreamError('the checksum of the message does not fit');
  const headersEnd = preludeBytes + bytes.readUInt32BE(4);
  return {
    headers: decodeHeaders(bytes.subarray(preludeBytes, headersEnd)),
    payload: bytes.subarray(headersEnd, end),
  };
}

function encodeHeader([name, value]: Header): Buffer {
  const key = Buffer.from(name, 'utf8');
  if (key.length === 0 || key.length > 255) throw new EventStreamError(`a header cannot be named '${name}'`);
  return Buffer.concat([Buffer.from([key.length]), key, encodeValue(name, value)]);
}

function encodeValue(name: string, header: HeaderValue): Buffer {
  switch (header.type) {
    case 'boolean':
      return Buffer.from([header.value ? 0 : 1]);
    case 'byte':
      return fixed(2, 1, (bytes) => bytes.writeInt8(header.value, 1));
    case 'short':
      return fixed(3, 2, (bytes) => bytes.writeInt16BE(header.value, 1));
    case 'integer':
      return fixed(4, 4, (bytes) => bytes.writeInt32BE(header.value, 1));
    case 'long':
      return fixed(5, 8, (bytes) => bytes.writeBigInt64BE(header.value, 1));
    case 'bytes':
      return variable(name, 6, Buffer.from(header.value));
    case 'string':
      return variable(name, 7, Buffer.from(header.value, 'utf8'));
    case 'timestamp':
      return fixed(8, 8, (bytes) => bytes.writeBigInt64BE(BigInt(header.value), 1));
    case 'uuid':
      return fixed(9, 16, (bytes) => bytes.write(header.value.replaceAll('-', ''), 1, 'hex'));
  }
}

function fixed(type: number, bytes: number, write: (into: Buffer) => void): Buffer {
  const value = Buffer.alloc(1 + bytes);
  value[0] = type;
  write(value);
  return value;
}

function variable(name: string, type: number, value: Buffer): Buffer {
  if (value.length > 0x7fff) throw new EventStreamError(`the header ${name} has ${value.length} bytes, 32767 at most`);
  const head = Buffer.from([type, value.length >> 8, value.length & 0xff]);
  return Buffer.concat([head, value]);
}

function decodeHeaders(bytes: Buffer): Header[] {
  const headers: Header[] = [];
  let at = 0;
  const take = (count: number): Buffer => {
    if (at + count > bytes.length) throw new EventStreamError('the headers end too early');
    at += count;
    return bytes.subarray(at - count, at);
  };
  while (at < bytes.length) {
    const name = take(take(1)[0]!).toString('utf8');
    headers.push([name, decodeValue(name, take)]);
  }
  return headers;
}

function decodeValue(name: string, take: (count: number) => Buffer): HeaderValue {
  const type = take(1)[0]!;
  switch (type) {
    case 0:
    case 1:
      return { type: 'boolean', value: type === 0 };
    case 2:
      return { type: 'byte', value: take(1).readInt8() };
    case 3:
      return { type: 'short', value: take(2).readInt16BE() };
    case 4:
      return { type: 'integer', value: take(4).readInt32BE() };
    case 5:
      return { type: 'long', value: take(8).readBigInt64BE() };
    case 6:
      return { type: 'bytes', value: take(take(2).readUInt16BE()) };
    case 7:
      return { type: 'string', value: take(take(2).readUInt16BE()).toString('utf8') };
    case 8:
      return { type: 'timestamp', value: Number(take(8).readBigInt64BE()) };
    case 9: {
      const hex = take(16).toString('hex');
      return { type: 'uuid', value: hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5') };
    }
    default:
      throw new EventStreamError(`the header ${name} has the unknown type ${type}`);
  }
}
