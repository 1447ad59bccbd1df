/** A request as the listener hands it over: nothing decoded yet, the body read whole. */
export interface WireRequest {
  readonly method: string;
  /** Raw, as it came on the request line, without the query string. */
  readonly path: string;
  /** Raw, without the question mark; empty when there is none. */
  readonly query: string;
  /** Names in lower case; repeated headers joined by a comma. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
}

/** A response for the listener to write; it adds `content-length` and `date` itself. */
export interface WireResponse {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer | string;
  /**
   * What follows piece by piece, sent in chunks instead of with a length; `body` is empty then. What it throws at the end of its
   * pieces is for the log, not for the client.
   */
  readonly stream?: AsyncIterable<Buffer>;
}
