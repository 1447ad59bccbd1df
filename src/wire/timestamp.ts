import type { TimestampFormat } from './model.ts';

/** Epoch milliseconds as the wire's text; seconds keep their milliseconds as a fraction. */
export function formatTimestamp(epochMs: number, format: TimestampFormat): string {
  if (format === 'unixTimestamp') return String(epochMs / 1000);
  if (format === 'rfc822') return new Date(epochMs).toUTCString();
  const text = new Date(epochMs).toISOString();
  return text.endsWith('.000Z') ? `${text.slice(0, -5)}Z` : text;
}

/** Epoch milliseconds of a timestamp in any of the wire's formats, or undefined where it is none of them. */
export function parseTimestamp(value: string | number): number | undefined {
  const seconds = typeof value === 'number' ? value : NUMBER.test(value) ? Number(value) : undefined;
  const epochMs = seconds === undefined ? parseDate(String(value)) : Math.round(seconds * 1000);
  return Number.isFinite(epochMs) && Math.abs(epochMs) <= MAX_EPOCH_MS ? epochMs : undefined;
}

const NUMBER = /^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/;
const ISO_8601 = /^\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)?)?$/;
const RFC_822 = /^([A-Za-z]{3}, ?)?\d{1,2} [A-Za-z]{3} \d{4} \d\d:\d\d:\d\d GMT$/;
/** The range of an ECMAScript time value. */
const MAX_EPOCH_MS = 8.64e15;

function parseDate(text: string): number {
  if (RFC_822.test(text)) return Date.parse(text);
  if (!ISO_8601.test(text)) return Number.NaN;
  // Without a zone AWS takes UTC, where ECMAScript would take the machine's.
  const zoned = /([Zz]|[+-]\d\d:?\d\d)$/.test(text.slice(10)) || text.length === 10;
  return Date.parse(zoned ? text : `${text}Z`);
}
