import type { Duplex, Readable } from 'node:stream';
import type { Caller } from './context.ts';

/** An HTTP request to something that people run on the cloud, not to an AWS API: an API's stage, a function URL, a registry. */
export interface SurfaceRequest {
  readonly method: string;
  /** Lower case, without the port. */
  readonly host: string;
  /** Raw, as it came on the request line, without the query string. */
  readonly path: string;
  /** Raw, without the question mark. */
  readonly query: string;
  /** Names in lower case; repeated ones joined by `, ` (cookies by `; `). */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Name, value, name, value, … as they came. */
  readonly rawHeaders: readonly string[];
  readonly sourceIp: string;
  readonly httpVersion: string;
  readonly requestId: string;
  /** `http://host:port` as the client reached the cloud. */
  readonly origin: string;
  /** Aborts when the client goes away or the cloud shuts down. */
  readonly signal: AbortSignal;
  /** The whole body; rejects with BodyTooLarge past `maxBytes`. Read it once, or stream it. */
  body(maxBytes: number): Promise<Buffer>;
  readonly stream: Readable;
  /**
   * Who signed the request (SigV4) for this service, for what demands a signature by itself whatever the cloud's mode is.
   * Undefined: nobody. It is verified wherever the cloud knows the key's secret; an unknown key is taken at its word by a cloud
   * that verifies nothing, and refused by others. `body`: the whole of it. Throws AwsError for a signature that is not right.
   */
  signer(service: string, body: Buffer): Promise<Caller | undefined>;
}

export interface SurfaceResponse {
  readonly status: number;
  /** Pairs, in order; a name may come twice (set-cookie). `date` and the framing headers are added by the listener. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string | Uint8Array | AsyncIterable<Uint8Array>;
}

export interface Surface {
  readonly name: string;
  /** Matches the host (lower case, no port), for addresses such as `abc123.execute-api.localhost`. */
  readonly host?: RegExp;
  /** Matches the beginning of the raw path, for clients that cannot resolve `*.localhost`: `/_aws/execute-api/`. */
  readonly pathPrefix?: string;
  handle(request: SurfaceRequest): Promise<SurfaceResponse>;
  /**
   * Whether a rule (CORS) lets a web page of this foreign origin in. Left out: none does, and the listener refuses the
   * request before `handle`.
   */
  allowsOrigin?(origin: string, request: SurfaceRequest): Promise<boolean>;
  /** Takes over a connection that asks for an upgrade (WebSocket). Left out: 426. */
  upgrade?(request: SurfaceRequest, socket: Duplex, head: Buffer): Promise<void>;
}

export class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge';
}
