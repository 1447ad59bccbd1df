import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { AwsError } from './errors.ts';
import type { WireRequest } from './message.ts';
import type { Protocol } from './model.ts';
import type { Scope, Signature } from './signature.ts';
import {
  ALGORITHM,
  basicDate,
  headerField,
  parseCredential,
  parseSignature,
  presignedParameters,
  splitQuery,
} from './signature.ts';
import { decodePercent } from './uri.ts';

export type { Signature } from './signature.ts';
export { parseSignature } from './signature.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export type Verified =
  | { readonly ok: true; readonly signature: Signature }
  | { readonly ok: false; readonly error: AwsError };

const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';

/**
 * Checks a request's signature against the secret of its access key. The clock may differ by 5 minutes (S3: 15); a presigned request is good
 * from 5 minutes before it was signed until it expires. The error has the code and the words of AWS for the protocol at hand (JSON texts as
 * recorded on DynamoDB by the dynalite project; codes of the query protocol from the Common Errors page of IAM's API reference).
 */
export function verify(request: WireRequest, secretAccessKey: string, nowMs: number, protocol: Protocol): Verified {
  const incomplete = incompleteness(request);
  if (incomplete !== undefined) return failed(protocol, incomplete.kind, incomplete.message);
  const signature = parseSignature(request)!;
  const wrongScope = scopeProblem(signature);
  if (wrongScope !== undefined) return failed(protocol, 'mismatch', wrongScope);
  const expired = clockProblem(signature, nowMs);
  if (expired !== undefined) return failed(protocol, 'mismatch', expired);
  const canonical = canonicalRequest(request, signature, payloadHash(request, signature));
  const expected = Buffer.from(signatureOf(canonical, signature, secretAccessKey));
  const given = Buffer.from(signature.signature);
  const matches = given.length === expected.length && timingSafeEqual(given, expected) && bodyMatches(request);
  return matches ? { ok: true, signature } : failed(protocol, 'mismatch', DOES_NOT_MATCH);
}

/**
 * The headers that sign a request, to be added to it: authorization, x-amz-date and, where they apply, x-amz-security-token and
 * x-amz-content-sha256 (S3). The request must hold its `host` header; all its headers are signed.
 */
export function sign(
  request: WireRequest,
  credentials: Credentials,
  scope: { readonly region: string; readonly service: string; readonly nowMs: number },
): Record<string, string> {
  const signedAt = basicDate(scope.nowMs);
  const added: Record<string, string> = { 'x-amz-date': signedAt };
  if (credentials.sessionToken !== undefined) added['x-amz-security-token'] = credentials.sessionToken;
  const hash = sha256(request.body);
  if (scope.service === 's3') added['x-amz-content-sha256'] = hash;
  const headers = { ...request.headers, ...added };
  const signedHeaders = Object.keys(headers)
    .filter((name) => headers[name] !== undefined && !UNSIGNABLE.has(name))
    .sort();
  const signature: Signature = {
    form: 'header',
    accessKeyId: credentials.accessKeyId,
    date: signedAt.slice(0, 8),
    region: scope.region,
    service: scope.service,
    signedHeaders,
    signature: '',
    signedAt,
    expiresS: undefined,
    sessionToken: credentials.sessionToken,
  };
  const canonical = canonicalRequest({ ...request, headers }, signature, hash);
  const credential = `${credentials.accessKeyId}/${scopeOf(signature)}`;
  const mac = signatureOf(canonical, signature, credentials.secretAccessKey);
  added['authorization'] =
    `${ALGORITHM} Credential=${credential}, SignedHeaders=${signedHeaders.join(';')}, Signature=${mac}`;
  return added;
}

const UNSIGNABLE: ReadonlySet<string> = new Set([
  'authorization',
  'connection',
  'user-agent',
  'expect',
  'transfer-encoding',
]);
const DOES_NOT_MATCH =
  'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.';

type Kind = 'missing' | 'incomplete' | 'mismatch';

function incompleteness(request: WireRequest): { readonly kind: Kind; readonly message: string } | undefined {
  const { authorization } = request.headers;
  const presigned = request.query.includes('X-Amz-Algorithm=') || request.query.includes('X-Amz-Credential=');
  if (authorization !== undefined && presigned) {
    const message = "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.";
    return { kind: 'mismatch', message };
  }
  if (authorization !== undefined) return headerIncompleteness(authorization, request.headers);
  if (!presigned) return { kind: 'missing', message: 'Request is missing Authentication Token' };
  const parameters = presignedParameters(request.query);
  const missing = PRESIGNED.filter((name) => !parameters.get(name));
  if (missing.length > 0) {
    const each = missing.map((name) => `AWS query-string parameters must include '${name}'. `).join('');
    return { kind: 'incomplete', message: `${each}Re-examine the query-string parameters.` };
  }
  return credentialProblem(parameters.get('X-Amz-Credential')!);
}

const PRESIGNED = ['X-Amz-Algorithm', 'X-Amz-Credential', 'X-Amz-Signature', 'X-Amz-SignedHeaders', 'X-Amz-Date'];

function headerIncompleteness(
  authorization: string,
  headers: WireRequest['headers'],
): { readonly kind: Kind; readonly message: string } | undefined {
  if (!authorization.startsWith('AWS4-'))
    return { kind: 'missing', message: 'Request is missing Authentication Token' };
  const [algorithm = ''] = authorization.split(' ');
  if (algorithm !== ALGORITHM) {
    return { kind: 'incomplete', message: `Unsupported AWS 'algorithm': '${algorithm}' (only ${ALGORITHM} for now). ` };
  }
  let message = ['Credential', 'Signature', 'SignedHeaders']
    .filter((name) => !headerField(authorization, `${name}=`))
    .map((name) => `Authorization header requires '${name}' parameter. `)
    .join('');
  if (headers['x-amz-date'] === undefined && headers['date'] === undefined) {
    message += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
  }
  if (message !== '') return { kind: 'incomplete', message: `${message}Authorization=${authorization}` };
  return credentialProblem(headerField(authorization, 'Credential=')!);
}

function credentialProblem(credential: string): { readonly kind: Kind; readonly message: string } | undefined {
  if (parseCredential(credential) !== undefined && credential.endsWith('/aws4_request')) return undefined;
  if (parseCredential(credential) !== undefined) {
    const message = `Credential should be scoped with a valid terminator: 'aws4_request', not '${credential.split('/').at(-1)}'. `;
    return { kind: 'mismatch', message };
  }
  const message = `Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '${credential}'`;
  return { kind: 'incomplete', message };
}

function scopeProblem(signature: Signature): string | undefined {
  if (!signature.signedHeaders.includes('host')) {
    return "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.";
  }
  if (signature.signedAt.slice(0, 8) === signature.date) return undefined;
  return `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${signature.date}' != '${signature.signedAt.slice(0, 8)}', from '${signature.signedAt}'.`;
}

const MINUTE_MS = 60_000;
/** https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html: seven days at most. */
const MAX_EXPIRES_S = 604_800;

function clockProblem(signature: Signature, nowMs: number): string | undefined {
  const signedMs = parseBasicDate(signature.signedAt);
  if (signedMs === undefined) {
    return `Date must be in ISO-8601 'basic format'. Got '${signature.signedAt}'. See http://en.wikipedia.org/wiki/ISO_8601`;
  }
  const skewMinutes = signature.service === 's3' ? 15 : 5;
  const skewMs = skewMinutes * MINUTE_MS;
  const now = basicDate(nowMs);
  if (signedMs > nowMs + skewMs) {
    const latest = basicDate(nowMs + skewMs);
    return `Signature not yet current: ${signature.signedAt} is still later than ${latest} (${now} + ${skewMinutes} min.)`;
  }
  if (signature.form === 'header' && signedMs < nowMs - skewMs) {
    const earliest = basicDate(nowMs - skewMs);
    return `Signature expired: ${signature.signedAt} is now earlier than ${earliest} (${now} - ${skewMinutes} min.)`;
  }
  if (signature.form === 'header') return undefined;
  const expiresS = Number.isNaN(signature.expiresS) ? skewMs / 1000 : signature.expiresS!;
  if (!(expiresS >= 0 && expiresS <= MAX_EXPIRES_S))
    return 'X-Amz-Expires must be less than a week (in seconds) and not negative';
  const endMs = signedMs + expiresS * 1000;
  if (nowMs <= endMs) return undefined;
  return `Signature expired: ${basicDate(endMs)} is now earlier than ${now} (${now} - 0 min.)`;
}

function parseBasicDate(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
function canonicalRequest(request: WireRequest, signature: Signature, hash: string): string {
  const path = signature.service === 's3' ? request.path || '/' : canonicalPath(request.path);
  const headers = signature.signedHeaders.map((name) => `${name}:${canonicalHeader(request.headers[name] ?? '')}\n`);
  return [
    request.method,
    path,
    canonicalQuery(request.query),
    headers.join(''),
    signature.signedHeaders.join(';'),
    hash,
  ].join('\n');
}

/** Each segment, as it was sent, is encoded once more; `.` and `..` are resolved. S3 does neither. */
function canonicalPath(path: string): string {
  const kept: string[] = [];
  const segments = path.split('/');
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(encodeRfc3986(segment));
  }
  const trailing = kept.length > 0 && /\/(\.\.?)?$/.test(path) ? '/' : '';
  return `/${kept.join('/')}${trailing}`;
}

function canonicalQuery(query: string): string {
  const parameters = splitQuery(query)
    .map(([name, value]) => [reencode(name), reencode(value)] as const)
    .filter(([name]) => name !== 'X-Amz-Signature');
  parameters.sort(([aName, aValue], [bName, bValue]) => compare(aName, bName) || compare(aValue, bValue));
  return parameters.map(([name, value]) => `${name}=${value}`).join('&');
}

function reencode(text: string): string {
  return encodeRfc3986(decodePercent(text.replaceAll('+', ' ')));
}

function encodeRfc3986(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function canonicalHeader(value: string): string {
  return value.trim().replace(/ {2,}/g, ' ');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function payloadHash(request: WireRequest, signature: Signature): string {
  const given = request.headers['x-amz-content-sha256'];
  if (given !== undefined) return given;
  return signature.form === 'presigned' && signature.service === 's3' ? UNSIGNED_PAYLOAD : sha256(request.body);
}

/** The digest that was signed must be the body's, unless the sender says that the body is not signed or is signed in chunks. */
function bodyMatches(request: WireRequest): boolean {
  const given = request.headers['x-amz-content-sha256'];
  if (given === undefined || given === UNSIGNED_PAYLOAD || given.startsWith('STREAMING-')) return true;
  return given === sha256(request.body);
}

function signatureOf(canonical: string, signature: Signature, secretAccessKey: string): string {
  const text = [ALGORITHM, signature.signedAt, scopeOf(signature), sha256(canonical)].join('\n');
  return createHmac('sha256', signingKey(signature, secretAccessKey)).update(text).digest('hex');
}

function scopeOf({ date, region, service }: Scope): string {
  return `${date}/${region}/${service}/aws4_request`;
}

const signingKeys = new Map<string, Buffer>();
const MAX_SIGNING_KEYS = 256;

/** Derived once a day, region and service; it takes four HMACs. */
function signingKey({ date, region, service }: Scope, secretAccessKey: string): Buffer {
  const name = JSON.stringify([secretAccessKey, date, region, service]);
  const known = signingKeys.get(name);
  if (known !== undefined) return known;
  let key = Buffer.from(`AWS4${secretAccessKey}`);
  for (const part of [date, region, service, 'aws4_request']) key = createHmac('sha256', key).update(part).digest();
  if (signingKeys.size >= MAX_SIGNING_KEYS) signingKeys.clear();
  signingKeys.set(name, key);
  return key;
}

function sha256(data: Buffer | string): string {
  return createHash('sha256').update(data).digest('hex');
}

function failed(protocol: Protocol, kind: Kind, message: string): Verified {
  const [code, status] = (
    protocol === 'query' || protocol === 'ec2Query' || protocol === 'restXml' ? OLD_CODES : CODES
  )[kind];
  // REST-JSON services refuse with 403, as Lambda does.
  return { ok: false, error: new AwsError(code, message, { status: protocol === 'restJson' ? 403 : status }) };
}

type Codes = Readonly<Record<Kind, readonly [code: string, status: number]>>;

const CODES: Codes = {
  missing: ['MissingAuthenticationTokenException', 400],
  incomplete: ['IncompleteSignatureException', 400],
  mismatch: ['InvalidSignatureException', 400],
};

const OLD_CODES: Codes = {
  missing: ['MissingAuthenticationToken', 403],
  incomplete: ['IncompleteSignature', 400],
  mismatch: ['SignatureDoesNotMatch', 403],
};
