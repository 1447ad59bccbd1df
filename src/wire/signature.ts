import type { WireRequest } from './message.ts';
import { decodePercent } from './uri.ts';

/** What a request's signature says, before anything of it is believed. */
export interface Signature {
  readonly form: 'header' | 'presigned';
  readonly accessKeyId: string;
  /** The scope's day, YYYYMMDD. */
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** When it was signed, YYYYMMDDTHHMMSSZ; empty when the request does not tell. */
  readonly signedAt: string;
  /** How long a presigned request is good, in seconds. */
  readonly expiresS: number | undefined;
  readonly sessionToken: string | undefined;
}

/** The one algorithm that is spoken here. */
export const ALGORITHM = 'AWS4-HMAC-SHA256';

/** The signature of a request in its header or its query string; undefined where there is none or it cannot be read. */
export function parseSignature(request: WireRequest): Signature | undefined {
  const authorization = request.headers['authorization'];
  if (authorization !== undefined) return parseHeader(authorization, request.headers);
  return request.query.includes('X-Amz-Credential=') ? parsePresigned(request.query) : undefined;
}

/** Epoch milliseconds as YYYYMMDDTHHMMSSZ. */
export function basicDate(epochMs: number): string {
  return new Date(epochMs).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

function parseHeader(authorization: string, headers: WireRequest['headers']): Signature | undefined {
  if (!authorization.startsWith(ALGORITHM)) return undefined;
  const scope = parseCredential(headerField(authorization, 'Credential='));
  if (scope === undefined) return undefined;
  const { accessKeyId, date, region, service } = scope;
  return {
    form: 'header',
    accessKeyId,
    date,
    region,
    service,
    signedHeaders: (headerField(authorization, 'SignedHeaders=') ?? '').toLowerCase().split(';'),
    signature: headerField(authorization, 'Signature=') ?? '',
    signedAt: signedAtOf(headers),
    expiresS: undefined,
    sessionToken: headers['x-amz-security-token'],
  };
}

/** The text after `start` up to the next comma. Every request passes here, so nothing is split that is not needed. */
export function headerField(authorization: string, start: string): string | undefined {
  let at = authorization.indexOf(start, ALGORITHM.length);
  // `Signature=` must not be found as the end of another name.
  while (at > 0 && !SEPARATORS.has(authorization[at - 1]!)) at = authorization.indexOf(start, at + 1);
  if (at < 0) return undefined;
  const end = authorization.indexOf(',', at);
  return authorization.slice(at + start.length, end < 0 ? undefined : end).trim();
}

const SEPARATORS: ReadonlySet<string> = new Set([' ', ',', '\t']);

function parsePresigned(query: string): Signature | undefined {
  const parameters = presignedParameters(query);
  const scope = parseCredential(parameters.get('X-Amz-Credential'));
  if (scope === undefined) return undefined;
  return {
    form: 'presigned',
    ...scope,
    signedHeaders: (parameters.get('X-Amz-SignedHeaders') ?? '').toLowerCase().split(';'),
    signature: parameters.get('X-Amz-Signature') ?? '',
    signedAt: parameters.get('X-Amz-Date') ?? '',
    expiresS: Number(parameters.get('X-Amz-Expires') ?? Number.NaN),
    sessionToken: parameters.get('X-Amz-Security-Token'),
  };
}

/** The parameters of a presigned request's query string, decoded. */
export function presignedParameters(query: string): Map<string, string> {
  return new Map(splitQuery(query).map(([name, value]) => [decodePercent(name), decodePercent(value)]));
}

export type Scope = Pick<Signature, 'accessKeyId' | 'date' | 'region' | 'service'>;

const scopes = new Map<string, Scope>();
const MAX_SCOPES = 1024;

/** The access key may hold slashes of its own; the scope is the last four pieces. One client sends the same all day. */
export function parseCredential(credential: string | undefined): Scope | undefined {
  if (credential === undefined) return undefined;
  const known = scopes.get(credential);
  if (known !== undefined) return known;
  const pieces = credential.split('/');
  if (pieces.length < 5) return undefined;
  const [date, region, service] = pieces.slice(-4) as [string, string, string, string];
  const scope = { accessKeyId: pieces.slice(0, -4).join('/'), date, region, service };
  if (scopes.size >= MAX_SCOPES) scopes.clear();
  scopes.set(credential, scope);
  return scope;
}

/** The header x-amz-date, or else date, as YYYYMMDDTHHMMSSZ. */
function signedAtOf(headers: WireRequest['headers']): string {
  const given = headers['x-amz-date'];
  if (given !== undefined) return given;
  const date = headers['date'];
  const epochMs = date === undefined ? Number.NaN : Date.parse(date);
  return Number.isNaN(epochMs) ? (date ?? '') : basicDate(epochMs);
}

/** The raw names and values of a query string. */
export function splitQuery(query: string): [name: string, value: string][] {
  const parts = query.split('&').filter((part) => part !== '');
  return parts.map((part) => {
    const at = part.indexOf('=');
    return at < 0 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)];
  });
}
