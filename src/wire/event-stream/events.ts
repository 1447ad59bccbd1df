import { AwsError } from '../errors.ts';
import type { ServiceModel, Shape } from '../model.ts';
import { memberOf, shapeOf } from '../model.ts';
import type { JsonWriters } from '../protocols/json-write.ts';
import { encodeMessage, type Header, type HeaderValue } from './message.ts';

/** Writes one event of a stream: an object whose one member names the event. */
export type EventWriter = (event: Readonly<Record<string, unknown>>) => Buffer;

/**
 * The compiled writer of an event stream's events, by the model's `eventpayload` and `eventheader`, with a JSON body for what is
 * neither. Header names and order are those that AWS sends (https://smithy.io/2.0/aws/amazon-eventstream.html).
 */
export function eventWriter(model: ServiceModel, streamShape: string, writers: JsonWriters): EventWriter {
  const kinds = new Map<string, (event: Readonly<Record<string, unknown>>) => Buffer>();
  for (const [name, ref] of Object.entries(shapeOf(model, streamShape).members ?? {}))
    kinds.set(name, compileEvent(model, name, memberOf(ref).shape, writers));
  return (event) => {
    for (const name in event) {
      const value = event[name];
      if (value === undefined) continue;
      const write = kinds.get(name);
      if (write === undefined) throw new Error(`${streamShape} has no event ${name}`);
      return write(value as Readonly<Record<string, unknown>>);
    }
    throw new Error(`an event of ${streamShape} without a member`);
  };
}

/** The last message of a stream that failed: an exception of the model, or else an error with its code. */
export function failureMessage(error: unknown, model: ServiceModel, streamShape: string): Buffer {
  if (!(error instanceof AwsError))
    return errorMessage(
      'InternalFailure',
      'The request processing has failed because of an unknown error, exception or failure.',
    );
  const members = Object.entries(shapeOf(model, streamShape).members ?? {});
  const modelled = members.find(([name, ref]) => name === error.code || memberOf(ref).shape === error.code);
  if (modelled === undefined) return errorMessage(error.code, error.message);
  const headers = [text(':exception-type', modelled[0]), jsonType, text(':message-type', 'exception')];
  return encodeMessage(headers, Buffer.from(JSON.stringify({ message: error.message })));
}

function errorMessage(code: string, message: string): Buffer {
  const headers = [
    text(':message-type', 'error'),
    text(':error-code', code),
    text(':error-message', message.slice(0, 4_096)),
  ];
  return encodeMessage(headers, nothing);
}

function compileEvent(
  model: ServiceModel,
  name: string,
  shapeName: string,
  writers: JsonWriters,
): (event: Readonly<Record<string, unknown>>) => Buffer {
  const shape = shapeOf(model, shapeName);
  const members = Object.entries(shape.members ?? {}).map(([member, ref]) => ({ member, ...memberOf(ref) }));
  const inHeaders = members.filter(({ eventheader }) => eventheader === true);
  const payload = members.find(({ eventpayload }) => eventpayload === true);
  const start = text(':event-type', name);
  const end = text(':message-type', 'event');
  const { type, write } =
    payload === undefined
      ? jsonBody(writers, shapeName, new Set(inHeaders.map(({ member }) => member)))
      : payloadBody(model, writers, payload.member, payload.shape);
  const contentType = text(':content-type', type);
  return (event) => {
    const headers: Header[] = [start, contentType, end];
    for (const { member, shape: headerShape } of inHeaders) {
      const value = event[member];
      if (value !== undefined && value !== null)
        headers.push([member, headerValue(shapeOf(model, headerShape), value)]);
    }
    return encodeMessage(headers, write(event));
  };
}

interface Body {
  readonly type: string;
  readonly write: (event: Readonly<Record<string, unknown>>) => Uint8Array;
}

function jsonBody(writers: JsonWriters, shapeName: string, left: ReadonlySet<string>): Body {
  const write = writers.shape(shapeName, left);
  return { type: 'application/json', write: (event) => Buffer.from(write(event), 'utf8') };
}

function payloadBody(model: ServiceModel, writers: JsonWriters, member: string, shapeName: string): Body {
  const { type } = shapeOf(model, shapeName);
  if (type === 'blob')
    return { type: 'application/octet-stream', write: (event) => (event[member] as Uint8Array | undefined) ?? nothing };
  if (type === 'string')
    return { type: 'text/plain', write: (event) => Buffer.from(String(event[member] ?? ''), 'utf8') };
  const write = writers.shape(shapeName);
  return {
    type: 'application/json',
    write: (event) => (event[member] === undefined ? nothing : Buffer.from(write(event[member]), 'utf8')),
  };
}

function headerValue(shape: Shape, value: unknown): HeaderValue {
  switch (shape.type) {
    case 'boolean':
      return { type: 'boolean', value: value as boolean };
    case 'integer':
      return { type: 'integer', value: value as number };
    case 'long':
      return { type: 'long', value: BigInt(value as number) };
    case 'blob':
      return { type: 'bytes', value: value as Uint8Array };
    case 'timestamp':
      return { type: 'timestamp', value: value as number };
    default:
      return { type: 'string', value: String(value) };
  }
}

function text(name: string, value: string): Header {
  return [name, { type: 'string', value }];
}

const nothing = Buffer.alloc(0);
const jsonType = text(':content-type', 'application/json');
