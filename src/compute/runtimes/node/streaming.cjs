'use strict';
/** Streamed responses: what handlers wrapped in awslambda.streamifyResponse() write to. Loaded for those only. */
const { Writable } = require('node:stream');
const { headerText } = require('./client.cjs');
const { describeError, RuntimeError } = require('./errors.cjs');

const lastChunk = Buffer.from('0\r\n\r\n');
const lineBreak = Buffer.from('\r\n');

/**
 * A chunked request whose head goes out with the first byte. What fails before that is an ordinary error of the invocation; what
 * fails later is told in trailers.
 */
class ResponseStream extends Writable {
  #client;
  #requestId;
  #contentType = 'application/octet-stream';
  #begun = false;
  #over = false;
  #answered;
  #whenAnswered;

  constructor(client, requestId, highWaterMark) {
    super({ decodeStrings: true, ...(highWaterMark === undefined ? {} : { highWaterMark }) });
    this.#client = client;
    this.#requestId = requestId;
    this.#whenAnswered = new Promise((resolve) => {
      this.#answered = resolve;
    });
    // What breaks the stream is the handler's to hear of; unheard, it is no reason to end the process.
    this.on('error', () => {});
    client.hold(true);
  }

  /** Resolves when the Runtime API has answered: after the end, or before it where it refuses the response. */
  get answered() {
    return this.#whenAnswered;
  }

  setContentType(contentType) {
    if (this.#begun || this.writtenTo) {
      throw new RuntimeError('InvalidStreamingOperation', 'Cannot set content-type, too late.');
    }
    this.#contentType = contentType;
  }

  /** As AWS's client does it: what is neither text nor bytes is sent as JSON, and a prelude goes before the first write (not `end`). */
  write(chunk, encoding, callback) {
    const isData = typeof chunk === 'string' || chunk instanceof Uint8Array || chunk === null || chunk === undefined;
    const data = isData ? chunk : JSON.stringify(chunk);
    if (!this.writtenTo) {
      this.writtenTo = true;
      if (typeof this._onBeforeFirstWrite === 'function') this._onBeforeFirstWrite((piece) => super.write(piece));
    }
    return super.write(data, encoding, callback);
  }

  _write(chunk, _encoding, callback) {
    this.#sendChunks([chunk], callback);
  }

  _writev(entries, callback) {
    this.#sendChunks(
      entries.map((entry) => entry.chunk),
      callback,
    );
  }

  _final(callback) {
    if (this.#over) return callback();
    this.#over = true;
    this.#begin();
    this.#client.write([lastChunk], callback);
  }

  /** Ends the invocation with an error, wherever the stream is. Resolves when the Runtime API knows. */
  fail(error) {
    if (this.#over) return this.#whenAnswered;
    this.#over = true;
    const description = describeError(error);
    const body = JSON.stringify(description);
    if (this.#begun) {
      const trailers =
        `Lambda-Runtime-Function-Error-Type: ${headerText(description.errorType)}\r\n` +
        `Lambda-Runtime-Function-Error-Body: ${Buffer.from(body).toString('base64')}\r\n`;
      this.#client.write([Buffer.from(`0\r\n${trailers}\r\n`)]);
    } else {
      this.#client.failAlone(this.#requestId, description.errorType, body, () => this.#answered());
    }
    this.destroy();
    return this.#whenAnswered;
  }

  #begin() {
    if (this.#begun) return;
    this.#begun = true;
    const headers =
      'Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n' +
      `Content-Type: ${String(this.#contentType).replace(/[\r\n]+/g, ' ')}\r\n` +
      'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n';
    this.#client.beginResponse(this.#requestId, headers, () => this.#answered());
  }

  #sendChunks(chunks, callback) {
    const pieces = [];
    for (const chunk of chunks) {
      // An empty chunk would be the last one.
      if (chunk.length > 0) pieces.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, lineBreak);
    }
    if (pieces.length === 0 || this.#over) return callback();
    this.#begin();
    this.#client.write(pieces, callback);
  }
}

module.exports = { ResponseStream };
