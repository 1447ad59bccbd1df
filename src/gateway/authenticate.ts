import type { Clock } from '../kernel/clock/contract.ts';
import type { Caller, Principal } from '../platform/context.ts';
import type { Credentials } from '../platform/credentials.ts';
import { AwsError } from '../wire/errors.ts';
import type { WireRequest } from '../wire/message.ts';
import type { Protocol } from '../wire/model.ts';
import { parseSignature, type Signature, verify } from '../wire/sigv4.ts';

/** 'off': signatures are read for account and region. 'signed': they must be right. 'enforced': and IAM decides. */
export type AuthMode = 'off' | 'signed' | 'enforced';

export interface AuthenticatorOptions {
  readonly mode: AuthMode;
  readonly clock: Clock;
  readonly credentials: Credentials;
  /** The wall's time: clients sign with their own clocks, also where cloud time is virtual. */
  readonly wallNow: () => number;
}

export const defaultAccount = '000000000000';
export const defaultRegion = 'us-east-1';

/** A caller is good for so long before its key is looked up again. */
const callerLifetimeMs = 1_000;
const maxCachedCallers = 1_000;

interface CachedCaller {
  readonly caller: Caller;
  readonly untilMs: number;
}

/** Turns a request's signature into who calls from where. */
export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #byScope = new Map<string, CachedCaller>();

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /** `mayBeUnsigned`: operations that AWS takes without a signature. */
  async caller(request: WireRequest, mayBeUnsigned: boolean, protocol: Protocol): Promise<Caller> {
    if (this.#options.mode === 'off') {
      const scope = scopeText(request);
      if (scope === undefined) return rootCaller(defaultAccount, defaultRegion);
      const cached = this.#byScope.get(scope);
      if (cached !== undefined && cached.untilMs > this.#options.clock.now()) return cached.caller;
      return this.#remember(scope, await this.#claimed(scope));
    }
    const signature = parseSignature(request);
    if (signature === undefined) {
      if (mayBeUnsigned) return rootCaller(defaultAccount, defaultRegion);
      throw missingToken(protocol);
    }
    return this.#verified(request, signature, protocol);
  }

  /** Who signed a request to a surface, for this service; see SurfaceRequest. */
  async signer(request: WireRequest, service: string): Promise<Caller | undefined> {
    const signature = parseSignature(request);
    if (signature === undefined) return undefined;
    if (signature.service !== service)
      throw new AwsError(
        'InvalidSignatureException',
        `Credential should be scoped to correct service: '${service}'. `,
        {
          status: 403,
        },
      );
    const { mode, credentials } = this.#options;
    if (mode === 'off' && (await credentials.find(signature.accessKeyId)) === undefined)
      return this.#claimed(scopeText(request)!);
    return this.#verified(request, signature, 'restJson');
  }

  async #verified(request: WireRequest, signature: Signature, protocol: Protocol): Promise<Caller> {
    const credential = await this.#options.credentials.find(signature.accessKeyId);
    if (credential === undefined) throw unknownToken(protocol);
    if (credential.sessionToken !== signature.sessionToken) throw unknownToken(protocol);
    if (credential.expiresAtMs !== undefined && credential.expiresAtMs <= this.#options.clock.now()) {
      throw new AwsError(
        protocol === 'query' ? 'ExpiredToken' : 'ExpiredTokenException',
        'The security token included in the request is expired',
        { status: protocol === 'query' ? 403 : 400 },
      );
    }
    const verified = verify(request, credential.secretAccessKey, this.#options.wallNow(), protocol);
    if (!verified.ok) throw verified.error;
    return { account: credential.principal.account, region: signature.region, principal: credential.principal };
  }

  /** Nothing is verified: the access key says who it is, if it is known or looks like an account. */
  async #claimed(scope: string): Promise<Caller> {
    const [accessKeyId = '', , region = ''] = scope.split('/');
    const where = region === '' ? defaultRegion : region;
    if (/^\d{12}$/.test(accessKeyId)) return rootCaller(accessKeyId, where);
    const credential = await this.#options.credentials.find(accessKeyId);
    if (credential === undefined) return rootCaller(defaultAccount, where);
    return { account: credential.principal.account, region: where, principal: credential.principal };
  }

  #remember(scope: string, caller: Caller): Caller {
    if (this.#byScope.size >= maxCachedCallers) this.#byScope.clear();
    this.#byScope.set(scope, { caller, untilMs: this.#options.clock.now() + callerLifetimeMs });
    return caller;
  }
}

function rootCaller(account: string, region: string): Caller {
  const principal: Principal = { kind: 'root', arn: `arn:aws:iam::${account}:root`, account, id: account };
  return { account, region, principal };
}

/** `AKID/20261121/us-east-1/sqs/aws4_request` of a header or a presigned query, without looking at anything else. */
function scopeText(request: WireRequest): string | undefined {
  const header = request.headers['authorization'];
  if (header !== undefined) {
    const start = header.indexOf('Credential=');
    if (start === -1) return undefined;
    const end = header.indexOf(',', start);
    return header.slice(start + 11, end === -1 ? undefined : end).trim();
  }
  const start = request.query.indexOf('X-Amz-Credential=');
  if (start === -1) return undefined;
  const end = request.query.indexOf('&', start);
  try {
    return decodeURIComponent(request.query.slice(start + 17, end === -1 ? undefined : end));
  } catch {
    return undefined;
  }
}

/** The query protocol's code and status (STS, Common Errors), and those that DynamoDB was recorded to answer by the dynalite project. */
function missingToken(protocol: Protocol): AwsError {
  const message = 'Request is missing Authentication Token';
  if (protocol === 'query') return new AwsError('MissingAuthenticationToken', message, { status: 403 });
  return new AwsError('MissingAuthenticationTokenException', message, { status: protocol === 'restJson' ? 403 : 400 });
}

/** https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html; JSON services call it UnrecognizedClientException. */
function unknownToken(protocol: Protocol): AwsError {
  const message = 'The security token included in the request is invalid.';
  if (protocol === 'query') return new AwsError('InvalidClientTokenId', message, { status: 403 });
  return new AwsError('UnrecognizedClientException', message, { status: protocol === 'restJson' ? 403 : 400 });
}
