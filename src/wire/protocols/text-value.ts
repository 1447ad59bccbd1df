import { fromBase64, toBase64 } from '../base64.ts';
import type { AwsError } from '../errors.ts';
import type { Shape, TimestampFormat } from '../model.ts';
import { formatTimestamp, parseTimestamp } from '../timestamp.ts';

/** Reads a scalar that travels as text: form parameters, query strings, headers, labels. */
export type TextReader = (text: string) => unknown;

/** The reader of a scalar shape; what cannot be read throws the error that `refuse` makes from the type that was expected. */
export function textReader(shape: Shape, refuse: (text: string, type: string) => AwsError): TextReader {
  switch (shape.type) {
    case 'boolean':
      return (text) => {
        const lower = text.toLowerCase();
        if (lower !== 'true' && lower !== 'false') throw refuse(text, 'Boolean');
        return lower === 'true';
      };
    case 'integer':
    case 'long':
      return (text) => {
        if (!/^[+-]?\d+$/.test(text)) throw refuse(text, shape.type === 'long' ? 'Long' : 'Integer');
        return Number(text);
      };
    case 'float':
    case 'double':
    case 'bigdecimal':
      return (text) => {
        if (text.trim() === '' || Number.isNaN(Number(text))) throw refuse(text, 'Double');
        return Number(text);
      };
    case 'blob':
      return (text) => {
        const bytes = fromBase64(text);
        if (bytes === undefined) throw refuse(text, 'Blob');
        return bytes;
      };
    case 'timestamp':
      return (text) => {
        const epochMs = parseTimestamp(text);
        if (epochMs === undefined) throw refuse(text, 'Date');
        return epochMs;
      };
    default:
      return (text) => text;
  }
}

/** The text of a scalar; timestamps in `format`. */
export function textWriter(shape: Shape, format: TimestampFormat): (value: unknown) => string {
  if (shape.type === 'blob') return (value) => toBase64(value as Uint8Array);
  if (shape.type === 'timestamp') {
    const own = shape.timestampFormat ?? format;
    return (value) => formatTimestamp(value as number, own);
  }
  return String;
}
