import { isUtf8 } from 'node:buffer';
import type { TraceContext } from '../../kernel/trace/trace.ts';

/** What rules see of an HTTP request to something that people run here: an API's stage, a function URL. */
export interface HttpRequest {
  readonly method: string;
  /** With the stage's name in front where the stage has one; decoded. */
  readonly path: string;
  /** Set where a parameter mapping overwrites the path: what an HTTP backend is asked for. */
  readonly mappedPath?: string;
  /** Raw, without the question mark. */
  readonly query: string;
  /** Name, value, name, value, … as they came. */
  readonly rawHeaders: readonly string[];
  readonly sourceIp: string;
  readonly protocol: string;
  /** Empty where there is none. */
  readonly body: Buffer;
  readonly domainName: string;
  /** The port that the client used. */
  readonly port: string;
  readonly requestId: string;
  readonly timeMs: number;
  /** `Root=1-…` */
  readonly traceHeader: string;
}

/** Headers that API Gateway sets itself, whatever the client sent. */
const forwarded: ReadonlySet<string> = new Set([
  'x-forwarded-for',
  'x-forwarded-port',
  'x-forwarded-proto',
  'x-amzn-trace-id',
]);

/** Never handed on: they belong to the connection. */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Calls back with every header as the integration sees it: as sent, without those of the connection, with API Gateway's own
 * (names in their usual case; events of format 2.0 lower it).
 */
export function eachHeader(request: HttpRequest, take: (name: string, lower: string, value: string) => void): void {
  const { rawHeaders } = request;
  let hasLength = false;
  let forwardedFor = '';
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!;
    const lower = name.toLowerCase();
    const value = rawHeaders[index + 1]!;
    if (lower === 'x-forwarded-for') forwardedFor = value;
    if (forwarded.has(lower) || hopByHop.has(lower)) continue;
    if (lower === 'content-length') hasLength = true;
    take(name, lower, value);
  }
  if (!hasLength) take('Content-Length', 'content-length', String(request.body.length));
  take('X-Amzn-Trace-Id', 'x-amzn-trace-id', request.traceHeader);
  const from = forwardedFor === '' ? request.sourceIp : `${forwardedFor}, ${request.sourceIp}`;
  take('X-Forwarded-For', 'x-forwarded-for', from);
  take('X-Forwarded-Port', 'x-forwarded-port', request.port);
  take('X-Forwarded-Proto', 'x-forwarded-proto', 'http');
}

/** Lower-case names; values of a repeated one joined by commas. Cookies are kept (`cookie`), joined by semicolons. */
export function headerMap(request: HttpRequest): Record<string, string> {
  const headers = blank<string>();
  eachHeader(request, (_name, lower, value) => {
    const before = headers[lower];
    headers[lower] = before === undefined ? value : `${before}${lower === 'cookie' ? '; ' : ','}${value}`;
  });
  return headers;
}

/** A map for names that clients choose: nothing is inherited, so no name means anything special. */
export function blank<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>;
}

/** Decoded names and values in order. What is not well-formed percent-encoding stays as it is. */
export function parseQuery(query: string): [string, string][] {
  if (query === '') return [];
  const pairs: [string, string][] = [];
  for (const part of query.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    pairs.push(
      equals === -1
        ? [decodeQuery(part), '']
        : [decodeQuery(part.slice(0, equals)), decodeQuery(part.slice(equals + 1))],
    );
  }
  return pairs;
}

function decodeQuery(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  return decodePercent(spaced) ?? spaced;
}

/** Undefined where the encoding is malformed. */
export function decodePercent(text: string): string | undefined {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Repeated names joined by commas. */
export function joined(pairs: readonly (readonly [string, string])[]): Record<string, string> {
  const map = blank<string>();
  for (const [name, value] of pairs) {
    const before = map[name];
    map[name] = before === undefined ? value : `${before},${value}`;
  }
  return map;
}

export function cookiesOf(header: string): string[] {
  return header
    .split(';')
    .map((cookie) => cookie.trim())
    .filter((cookie) => cookie !== '');
}

/** Text goes as it is, everything else in base64; the content type tells, and `untyped` where there is none. */
export function encodedBody(
  body: Buffer,
  contentType: string | undefined,
  untyped: 'text' | 'binary',
): { readonly text: string; readonly isBase64Encoded: boolean } {
  const asText = contentType === undefined ? untyped === 'text' : isText(contentType);
  return asText && isUtf8(body)
    ? { text: body.toString('utf8'), isBase64Encoded: false }
    : { text: body.toString('base64'), isBase64Encoded: true };
}

function isText(contentType: string): boolean {
  const type = contentType.split(';', 1)[0]!.trim().toLowerCase();
  return (
    type.startsWith('text/') ||
    type.endsWith('+json') ||
    type.endsWith('+xml') ||
    type === 'application/json' ||
    type === 'application/xml' ||
    type === 'application/javascript'
  );
}

/** The first label of a host name. */
export function domainPrefix(domainName: string): string {
  const dot = domainName.indexOf('.');
  return dot === -1 ? domainName : domainName.slice(0, dot);
}

/** `21/Nov/2026:23:00:00 +0000` */
export function clfTime(epochMs: number): string {
  const date = new Date(epochMs);
  const two = (value: number): string => (value < 10 ? `0${value}` : String(value));
  return `${two(date.getUTCDate())}/${months[date.getUTCMonth()]}/${date.getUTCFullYear()}:${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} +0000`;
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

/** A client's trace goes on. */
export function traceParent(header: string | undefined): TraceContext | undefined {
  const root = header === undefined ? null : /Root=1-([0-9a-f]{8})-([0-9a-f]{24})/.exec(header);
  if (root === null) return undefined;
  const parent = /Parent=([0-9a-f]{16})/.exec(header!);
  return { traceId: `${root[1]}${root[2]}`, spanId: parent?.[1] ?? '0000000000000000' };
}

/** `Root=1-5759e988-bd862e3fe1be46a994272793`: what `X-Amzn-Trace-Id` says to a function's HTTP event. */
export function traceRoot({ traceId }: TraceContext): string {
  return `Root=1-${traceId.slice(0, 8)}-${traceId.slice(8)}`;
}

/** The port of a Host header. */
export function portOf(authority: string): string {
  const colon = authority.lastIndexOf(':');
  return colon > authority.lastIndexOf(']') && colon !== -1 ? authority.slice(colon + 1) : '80';
}
