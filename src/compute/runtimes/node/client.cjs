'use strict';
/**
 * The Runtime API over one keep-alive connection. An answer and the request for the next event travel together, so that an invocation
 * costs one packet in and one out.
 */
const net = require('node:net');

const prefix = '/2018-06-01/runtime/';
const separator = Buffer.from('\r\n\r\n');

class RuntimeClient {
  constructor(address) {
    const colon = address.lastIndexOf(':');
    this.host = address;
    /** What to do with the answers to come, in order. */
    this.expected = [];
    this.chunks = [];
    this.have = 0;
    this.need = 0;
    this.message = undefined;
    this.socket = net.connect({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)), noDelay: true });
    // Code that leaves nothing to wait for ends while it is loaded, and is not kept waiting by this.
    this.socket.unref();
    this.socket.on('data', (chunk) => this.read(chunk));
    // Without the Runtime API there is nothing to live for.
    this.socket.on('error', () => process.exit(1));
    this.socket.on('close', () => process.exit(1));
  }

  next(onEvent) {
    this.send(this.getNext(), [onEvent]);
  }

  respond(requestId, body, onEvent) {
    const post = this.post(`invocation/${requestId}/response`, '', body);
    this.send(post + this.getNext(), [ignore, onEvent]);
  }

  fail(requestId, errorType, body, onEvent) {
    const post = this.post(`invocation/${requestId}/error`, errorHeader(errorType), body);
    this.send(post + this.getNext(), [ignore, onEvent]);
  }

  failLast(requestId, errorType, body, onSent) {
    this.send(this.post(`invocation/${requestId}/error`, errorHeader(errorType), body), [onSent]);
  }

  failInit(errorType, body, onSent) {
    this.send(this.post('init/error', errorHeader(errorType), body), [onSent]);
  }

  getNext() {
    return `GET ${prefix}invocation/next HTTP/1.1\r\nHost: ${this.host}\r\n\r\n`;
  }

  post(path, header, body) {
    const length = Buffer.byteLength(body);
    const head = `POST ${prefix}${path} HTTP/1.1\r\nHost: ${this.host}\r\nContent-Type: application/json\r\n`;
    return `${head}${header}Content-Length: ${length}\r\n\r\n${body}`;
  }

  send(text, callbacks) {
    for (const callback of callbacks) this.expected.push(callback);
    // While an answer is awaited, the connection keeps the process alive; while a handler works, it does not.
    this.socket.ref();
    this.socket.write(text);
  }

  read(chunk) {
    this.chunks.push(chunk);
    this.have += chunk.length;
    while (this.have > 0 && this.have >= this.need) {
      if (this.chunks.length > 1) this.chunks = [Buffer.concat(this.chunks)];
      const bytes = this.chunks[0];
      if (this.message === undefined) {
        const end = bytes.indexOf(separator);
        if (end < 0) return;
        this.message = parseHead(bytes.toString('utf8', 0, end));
        this.message.start = end + 4;
        this.need = this.message.start + Number(this.message.headers['content-length'] ?? 0);
        if (this.have < this.need) return;
      }
      const { message, need } = this;
      message.body = bytes.toString('utf8', message.start, need);
      this.message = undefined;
      this.need = 0;
      this.have -= need;
      this.chunks = this.have > 0 ? [bytes.subarray(need)] : [];
      const callback = this.expected.shift();
      if (this.expected.length === 0) this.socket.unref();
      callback?.(message);
    }
  }
}

function ignore() {
  // Accepted or refused: either way the next event comes.
}

/** Error types become a header, so they are reduced to what a header can hold. */
function errorHeader(errorType) {
  return `Lambda-Runtime-Function-Error-Type: ${String(errorType).replace(/[^\x21-\x7e]/g, '_')}\r\n`;
}

function parseHead(head) {
  const headers = {};
  let start = head.indexOf('\r\n') + 2;
  while (start > 1) {
    const end = head.indexOf('\r\n', start);
    const line = end < 0 ? head.slice(start) : head.slice(start, end);
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    start = end < 0 ? 0 : end + 2;
  }
  return { status: Number(head.slice(9, 12)), headers };
}

module.exports = { RuntimeClient };
