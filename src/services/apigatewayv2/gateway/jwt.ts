import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { Clock } from '../../../kernel/clock/contract.ts';
import { isObject } from '../../../platform/http/response.ts';
import { apiGatewayLimits } from '../limits.ts';

export type JwtVerdict =
  | {
      readonly verdict: 'allow';
      readonly claims: Readonly<Record<string, string>>;
      readonly scopes: readonly string[] | null;
    }
  /** 401; the words go into `www-authenticate`. */
  | { readonly verdict: 'unauthorized'; readonly reason: string }
  /** 403: the token is good and lacks the route's scopes. */
  | { readonly verdict: 'forbidden' };

export interface JwtRules {
  readonly issuer: string;
  readonly audience: readonly string[];
  /** One of them must be in the token; none: any token will do. */
  readonly scopes: readonly string[];
}

/** API Gateway supports RSA-based algorithms only. */
const algorithms: Readonly<Record<string, string>> = { RS256: 'sha256', RS384: 'sha384', RS512: 'sha512' };

interface KeySet {
  readonly keys: ReadonlyMap<string, KeyObject>;
  readonly readAt: number;
}

/** Least time between two looks at an issuer's keys because of a key id that is not known. */
const refreshMs = 30_000;

/**
 * Validates tokens against their issuer's published keys
 * (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html).
 */
export class JwtVerifier {
  readonly #clock: Clock;
  readonly #keySets = new Map<string, KeySet | Promise<KeySet>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `header` is the identity source's value; a `Bearer ` in front is optional. */
  async judge(header: string, rules: JwtRules): Promise<JwtVerdict> {
    const token = header.replace(/^bearer /i, '').trim();
    const parts = token.split('.');
    if (parts.length !== 3) return unauthorized('the token is not a signed JWT');
    const head = decodePart(parts[0]!);
    const claims = decodePart(parts[1]!);
    if (head === undefined || claims === undefined) return unauthorized('the token cannot be decoded');
    const { kid, alg } = head;
    const hash = typeof alg === 'string' && Object.hasOwn(algorithms, alg) ? algorithms[alg] : undefined;
    if (hash === undefined) return unauthorized(`signing method ${String(alg)} is invalid`);
    const problem = claimsProblem(claims, rules, Math.floor(this.#clock.now() / 1000));
    if (problem !== undefined) return unauthorized(problem);
    const key = await this.#key(rules.issuer, typeof kid === 'string' ? kid : '');
    if (key === undefined) return unauthorized('the token was signed by an unknown key');
    const signed = Buffer.from(`${parts[0]}.${parts[1]}`, 'latin1');
    if (!verify(hash, signed, key, Buffer.from(parts[2]!, 'base64url')))
      return unauthorized('the signature is invalid');
    const scopes = scopesOf(claims);
    if (rules.scopes.length > 0 && !rules.scopes.some((scope) => scopes.includes(scope)))
      return { verdict: 'forbidden' };
    return { verdict: 'allow', claims: claimTexts(claims), scopes: rules.scopes.length > 0 ? rules.scopes : null };
  }

  async #key(issuer: string, kid: string): Promise<KeyObject | undefined> {
    let known = await this.#keySets.get(issuer);
    const now = this.#clock.elapsed();
    if (known !== undefined && now - known.readAt > apiGatewayLimits.keySetCachedMs.value) known = undefined;
    const key = known?.keys.get(kid);
    if (key !== undefined) return key;
    if (known !== undefined && now - known.readAt < refreshMs) return undefined;
    const reading = this.#read(issuer);
    this.#keySets.set(issuer, reading);
    try {
      const fresh = await reading;
      this.#keySets.set(issuer, fresh);
      return fresh.keys.get(kid);
    } catch {
      // The issuer cannot be reached: no token of it is believed, and the next request tries again.
      if (this.#keySets.get(issuer) === reading) this.#keySets.delete(issuer);
      return undefined;
    }
  }

  async #read(issuer: string): Promise<KeySet> {
    const configuration = await this.#fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
    const address = configuration['jwks_uri'];
    if (typeof address !== 'string') throw new Error('the issuer names no jwks_uri');
    const { keys: given } = await this.#fetch(address);
    const keys = new Map<string, KeyObject>();
    for (const key of Array.isArray(given) ? given : []) {
      if (!isObject(key) || key['kty'] !== 'RSA' || typeof key['kid'] !== 'string') continue;
      keys.set(key['kid'], createPublicKey({ key: key as { kty: string }, format: 'jwk' }));
    }
    return { keys, readAt: this.#clock.elapsed() };
  }

  async #fetch(url: string): Promise<Record<string, unknown>> {
    const giveUp = new AbortController();
    const timer = this.#clock.at(this.#clock.now() + apiGatewayLimits.keySetTimeoutMs.value, () => giveUp.abort());
    try {
      const response = await fetch(url, { signal: giveUp.signal, redirect: 'error' });
      if (!response.ok || response.body === null) throw new Error(`${url} answered ${response.status}`);
      const chunks: Uint8Array[] = [];
      let size = 0;
      for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
        size += chunk.length;
        if (size > apiGatewayLimits.keySetBytes.value) throw new Error(`${url} answered more than 150,000 bytes`);
        chunks.push(chunk);
      }
      const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      if (!isObject(value)) throw new Error(`${url} did not answer an object`);
      return value;
    } finally {
      timer.cancel();
    }
  }
}

function unauthorized(reason: string): JwtVerdict {
  return { verdict: 'unauthorized', reason };
}

function decodePart(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function claimsProblem(claims: Record<string, unknown>, rules: JwtRules, nowSeconds: number): string | undefined {
  if (claims['iss'] !== rules.issuer) return 'invalid issuer';
  const { aud, client_id: clientId, exp, nbf, iat } = claims;
  const audiences = aud === undefined || aud === null ? [clientId] : Array.isArray(aud) ? aud : [aud];
  if (!audiences.some((audience) => rules.audience.includes(String(audience))))
    return 'token does not have a valid audience';
  if (typeof exp !== 'number' || exp <= nowSeconds) return 'the token has expired';
  if (nbf !== undefined && (typeof nbf !== 'number' || nbf > nowSeconds)) return 'the token is not valid yet';
  if (iat !== undefined && (typeof iat !== 'number' || iat > nowSeconds)) return 'the token was issued in the future';
  return undefined;
}

function scopesOf(claims: Record<string, unknown>): string[] {
  const given = claims['scope'] ?? claims['scp'];
  if (Array.isArray(given)) return given.map(String);
  return typeof given === 'string' ? given.split(' ').filter((scope) => scope !== '') : [];
}

/** Claims reach functions as text: lists as `[a b]`, as AWS writes them. */
function claimTexts(claims: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(claims).map(([name, value]) => [
      name,
      Array.isArray(value) ? `[${value.join(' ')}]` : typeof value === 'object' ? JSON.stringify(value) : String(value),
    ]),
  );
}
