/**
 * As much of HTTP/1.1 (RFC 9112) as a server for arbitrary clients needs, and no more: content-length and chunked bodies, trailers,
 * keep-alive, pipelining, Expect: 100-continue. node:http does the same and more, at a multiple of the price, and the Runtime API is
 * on the path of every invocation (bench/invoke.ts), as the AWS APIs are on that of everything else.
 */

/** A request's head, or what followed it, was not HTTP. The connection is answered with `status` and closed. */
export class HttpSyntaxError extends Error {
  readonly status: 400 | 431 | 505;

  constructor(status: 400 | 431 | 505, message: string) {
    super(message);
    this.status = status;
  }
}

export interface HttpRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** Names in lower case. A name that comes twice has its values joined by a comma. */
  readonly headers: Readonly<Record<string, string>>;
  /** Empty where its pieces were given out as they came. */
  readonly body: Buffer;
  /** Bytes of the body as sent; more than `body` holds when it went over the limit. */
  readonly bodyBytes: number;
  readonly trailers: Readonly<Record<string, string>>;
  readonly keepAlive: boolean;
}

type State = 'head' | 'fixed' | 'chunk-size' | 'chunk-data' | 'chunk-end' | 'trailers';

const maxHeadBytes = 32 * 1024;
const emptyBody = Buffer.alloc(0);
const headEnd = Buffer.from('\r\n\r\n');
const lineEnd = Buffer.from('\r\n');
const none: Readonly<Record<string, string>> = Object.freeze({});

/** Takes a body piece by piece, from within `next`; it may pause the parser. */
export type BodyTaker = (piece: Buffer) => void;
/** Asked when a request's head has come and a body follows. */
export type BodyTakerFor = (
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
) => BodyTaker | undefined;

/**
 * Turns the bytes of one connection into requests. `push` bytes as they come, then call `next` until it gives undefined; a
 * caller that is not done with a request simply does not call `next`.
 */
export class RequestParser {
  readonly #maxBodyBytes: number;
  readonly #takerFor: BodyTakerFor | undefined;
  /** Of the body under way, if it is given out as it comes. */
  #taker: BodyTaker | undefined;
  /** While true, `next` gives nothing: whoever takes the body is not ready for more of it. */
  paused = false;
  #state: State = 'head';
  /** Bytes not yet understood. */
  #bytes: Buffer = emptyBody;
  #method = '';
  #path = '';
  #headers: Readonly<Record<string, string>> = none;
  #keepAlive = true;
  #expectsContinue = false;
  /** Bytes still to come of the body, or of the chunk. */
  #remaining = 0;
  #chunks: Buffer[] = [];
  #keptBytes = 0;
  #bodyBytes = 0;

  /**
   * Of a body, at most `maxBodyBytes` are kept; the rest is read and counted. Where `takerFor` gives a taker, the request's body is
   * given to that as it comes, and nothing of it is kept.
   */
  constructor(maxBodyBytes: number, takerFor?: BodyTakerFor) {
    this.#maxBodyBytes = maxBodyBytes;
    this.#takerFor = takerFor;
  }

  push(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
  }

  /** The next whole request, or undefined until more bytes have come. Throws HttpSyntaxError; then the connection is lost. */
  next(): HttpRequest | undefined {
    for (;;) {
      if (this.paused) return undefined;
      switch (this.#state) {
        case 'head': {
          const request = this.#head();
          if (request === 'more') return undefined;
          if (request !== 'body') return request;
          break;
        }
        case 'fixed':
          if (!this.#take() || this.paused) return undefined;
          return this.#finish(none);
        case 'chunk-size': {
          const line = this.#line();
          if (line === undefined) return undefined;
          this.#remaining = chunkSize(line);
          this.#state = this.#remaining === 0 ? 'trailers' : 'chunk-data';
          break;
        }
        case 'chunk-data':
          if (!this.#take()) return undefined;
          this.#state = 'chunk-end';
          break;
        case 'chunk-end': {
          const line = this.#line();
          if (line === undefined) return undefined;
          if (line !== '') throw new HttpSyntaxError(400, 'a chunk is longer than its size');
          this.#state = 'chunk-size';
          break;
        }
        case 'trailers': {
          const trailers = this.#trailers();
          if (trailers === undefined) return undefined;
          return this.#finish(trailers);
        }
      }
    }
  }

  /** Bytes have come that are not understood yet. */
  get pending(): boolean {
    return this.#bytes.length > 0;
  }

  /** True when the client waits for "100 Continue" before it sends the body; asked once per request. */
  wantsContinue(): boolean {
    const wants = this.#expectsContinue && this.#state !== 'head' && this.#bytes.length === 0 && !this.paused;
    if (wants) this.#expectsContinue = false;
    return wants;
  }

  #head(): HttpRequest | 'more' | 'body' {
    // RFC 9112 2.2: empty lines before a request are skipped.
    while (this.#bytes.length >= 2 && this.#bytes[0] === 13 && this.#bytes[1] === 10)
      this.#bytes = this.#bytes.subarray(2);
    const end = this.#bytes.indexOf(headEnd);
    if (end < 0 ? this.#bytes.length > maxHeadBytes : end > maxHeadBytes) {
      throw new HttpSyntaxError(431, 'the request head is too long');
    }
    if (end < 0) return 'more';
    const head = this.#bytes.toString('latin1', 0, end);
    this.#bytes = this.#bytes.subarray(end + 4);
    const firstEnd = head.indexOf('\r\n');
    const line = firstEnd < 0 ? head : head.slice(0, firstEnd);
    const match = requestLine.exec(line);
    if (match === null) throw new HttpSyntaxError(400, 'the request line is malformed');
    this.#method = match[1]!;
    this.#path = pathOf(match[2]!);
    this.#headers = firstEnd < 0 ? none : parseHeaders(head, firstEnd + 2);
    if (match[3] !== '1' && match[3] !== '0')
      throw new HttpSyntaxError(505, 'only HTTP/1.1 and HTTP/1.0 are spoken here');
    const connection = this.#headers['connection']?.toLowerCase();
    this.#keepAlive =
      match[3] === '1' ? connection === undefined || !connection.includes('close') : connection === 'keep-alive';
    this.#expectsContinue = this.#headers['expect']?.toLowerCase() === '100-continue';
    return this.#startBody();
  }

  #startBody(): HttpRequest | 'body' {
    this.#chunks = [];
    this.#keptBytes = 0;
    this.#bodyBytes = 0;
    const encoding = this.#headers['transfer-encoding'];
    const length = this.#headers['content-length'];
    if (encoding !== undefined) {
      if (length !== undefined || encoding.toLowerCase() !== 'chunked') {
        throw new HttpSyntaxError(400, 'the length of the body is ambiguous');
      }
      this.#state = 'chunk-size';
      this.#taker = this.#takerFor?.(this.#method, this.#path, this.#headers);
      return 'body';
    }
    if (length === undefined || length === '0') return this.#finish(none);
    if (!/^\d{1,15}$/.test(length)) throw new HttpSyntaxError(400, 'Content-Length is not a number');
    this.#remaining = Number(length);
    this.#state = 'fixed';
    this.#taker = this.#takerFor?.(this.#method, this.#path, this.#headers);
    return 'body';
  }

  /** Moves what has come of the body aside; true when nothing more is to come. */
  #take(): boolean {
    const count = Math.min(this.#remaining, this.#bytes.length);
    if (count > 0) {
      const piece = this.#bytes.subarray(0, count);
      this.#bodyBytes += count;
      this.#remaining -= count;
      this.#bytes = this.#bytes.subarray(count);
      if (this.#taker === undefined) this.#keep(piece);
      else this.#taker(piece);
    }
    return this.#remaining === 0;
  }

  #keep(piece: Buffer): void {
    const room = this.#maxBodyBytes - this.#keptBytes;
    if (room <= 0) return;
    const kept = piece.length > room ? piece.subarray(0, room) : piece;
    this.#chunks.push(kept);
    this.#keptBytes += kept.length;
  }

  #line(): string | undefined {
    const end = this.#bytes.indexOf(lineEnd);
    if (end < 0) {
      if (this.#bytes.length > maxHeadBytes) throw new HttpSyntaxError(400, 'a line of the body is too long');
      return undefined;
    }
    const line = this.#bytes.toString('latin1', 0, end);
    this.#bytes = this.#bytes.subarray(end + 2);
    return line;
  }

  #trailers(): Readonly<Record<string, string>> | undefined {
    if (this.#bytes.length >= 2 && this.#bytes[0] === 13 && this.#bytes[1] === 10) {
      this.#bytes = this.#bytes.subarray(2);
      return none;
    }
    const end = this.#bytes.indexOf(headEnd);
    if (end < 0) {
      if (this.#bytes.length > maxTrailerBytes) throw new HttpSyntaxError(431, 'the trailers are too long');
      return undefined;
    }
    const trailers = parseHeaders(this.#bytes.toString('latin1', 0, end), 0);
    this.#bytes = this.#bytes.subarray(end + 4);
    return trailers;
  }

  #finish(trailers: Readonly<Record<string, string>>): HttpRequest {
    const body =
      this.#chunks.length === 0
        ? emptyBody
        : this.#chunks.length === 1
          ? this.#chunks[0]!
          : Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#taker = undefined;
    this.#state = 'head';
    this.#expectsContinue = false;
    return {
      method: this.#method,
      path: this.#path,
      headers: this.#headers,
      body,
      bodyBytes: this.#bodyBytes,
      trailers,
      keepAlive: this.#keepAlive,
    };
  }
}

/** Larger than a head: a streamed response's error comes base64-coded in a trailer. */
const maxTrailerBytes = 1024 * 1024;
const requestLine = /^([!#$%&'*+.^_`|~A-Za-z0-9-]+) (\S+) HTTP\/1\.(\d)$/;
const token = /^[!#$%&'*+.^_`|~a-z0-9-]+$/;
const space = 32;
const mostKnownNames = 1000;
/** Clients send the same dozen names with every request: as they write them, to what they are in lower case. */
const knownNames = new Map<string, string>();

/** Origin form or absolute form, without the query. */
function pathOf(target: string): string {
  let path = target;
  if (path.charCodeAt(0) !== 47) {
    const absolute = /^https?:\/\/[^/?]*(\/[^?]*)?/i.exec(path);
    if (absolute === null) throw new HttpSyntaxError(400, 'the request target is malformed');
    return absolute[1] ?? '/';
  }
  const query = path.indexOf('?');
  if (query >= 0) path = path.slice(0, query);
  return path;
}

/** The header lines of a head or a trailer section, from an offset on; names in lower case, values of a repeated one joined by a comma. */
export function parseHeaders(head: string, from: number): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  let start = from;
  while (start < head.length) {
    let end = head.indexOf('\r\n', start);
    if (end < 0) end = head.length;
    const colon = head.indexOf(':', start);
    if (colon < 0 || colon > end) throw new HttpSyntaxError(400, 'a header line is malformed');
    const name = headerName(head.slice(start, colon));
    const value = head.slice(head.charCodeAt(colon + 1) === space ? colon + 2 : colon + 1, end).trim();
    const earlier = headers[name];
    headers[name] = earlier === undefined ? value : `${earlier}, ${value}`;
    start = end + 2;
  }
  return headers;
}

function headerName(written: string): string {
  const known = knownNames.get(written);
  if (known !== undefined) return known;
  const name = written.toLowerCase();
  // Setting this one would change the object itself.
  if (!token.test(name) || name === '__proto__') throw new HttpSyntaxError(400, 'a header name is malformed');
  if (knownNames.size < mostKnownNames) knownNames.set(written, name);
  return name;
}

function chunkSize(line: string): number {
  const match = /^([0-9a-f]{1,12})[ \t]*(;.*)?$/i.exec(line);
  if (match === null) throw new HttpSyntaxError(400, 'a chunk size is malformed');
  return Number.parseInt(match[1]!, 16);
}
