'use strict';
/**
 * The Runtime API over one keep-alive connection. An answer and the request for the next event travel together, so that an invocation
 * costs one packet in and one out.
 *
 * Where the sandbox hands the connection down, open, as a file descriptor, the first event comes through plain reads and writes: Node's
 * `net` takes longer to load than a small function takes to run, so it is loaded behind the first answer.
 */
const fs = require('node:fs');
const { writeAll } = require('./write-all.cjs');

const prefix = '/2018-06-01/runtime/';
const separator = Buffer.from('\r\n\r\n');
const readBytes = 64 * 1024;

class RuntimeClient {
  /**
   * `address` is host:port; `descriptor` an open connection to it, if there is one. `blocks`: an event is sure to come, so that the
   * process may stand still for it, which is quicker than to be woken.
   */
  constructor(address, descriptor, blocks) {
    this.host = address;
    this.descriptor = descriptor;
    this.blocks = blocks;
    /** What to do with the answers to come, in order. */
    this.expected = [];
    this.chunks = [];
    this.have = 0;
    this.need = 0;
    this.message = undefined;
    /** Keeps the process alive though no answer is awaited. */
    this.held = false;
    /** A plain read of the descriptor is under way. */
    this.reads = false;
    this.socket = undefined;
    if (descriptor === undefined) this.connect();
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

  /** Without asking for another event. */
  failAlone(requestId, errorType, body, onAnswer) {
    this.send(this.post(`invocation/${requestId}/error`, errorHeader(errorType), body), [onAnswer]);
  }

  failInit(errorType, body, onAnswer) {
    this.send(this.post('init/error', errorHeader(errorType), body), [onAnswer]);
  }

  /** Begins an answer whose body follows in pieces, by `write`. */
  beginResponse(requestId, headers, onAnswer) {
    const head = `POST ${prefix}invocation/${requestId}/response HTTP/1.1\r\nHost: ${this.host}\r\n${headers}\r\n`;
    this.send(head, [onAnswer]);
  }

  /** The callback comes when the pieces have been taken, which may wait for whoever reads them. */
  write(pieces, callback) {
    const { socket } = this;
    socket.cork();
    for (let index = 0; index < pieces.length - 1; index++) socket.write(pieces[index]);
    socket.write(pieces[pieces.length - 1], callback);
    socket.uncork();
  }

  /** Whether the process stays alive for the connection's sake while no answer is awaited. */
  hold(held) {
    this.held = held;
    this.connect();
    if (held) this.socket.ref();
    else if (this.expected.length === 0) this.socket.unref();
  }

  connect() {
    if (this.socket !== undefined) return;
    const net = require('node:net');
    const colon = this.host.lastIndexOf(':');
    this.socket =
      this.descriptor === undefined
        ? net.connect({ host: this.host.slice(0, colon), port: Number(this.host.slice(colon + 1)), noDelay: true })
        : new net.Socket({ fd: this.descriptor, readable: true, writable: true });
    // Code that leaves nothing to wait for ends while it is loaded, and is not kept waiting by this.
    if (this.expected.length === 0) this.socket.unref();
    this.socket.on('data', (chunk) => this.read(chunk));
    // Without the Runtime API there is nothing to live for.
    this.socket.on('error', () => process.exit(1));
    this.socket.on('close', () => process.exit(1));
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
    if (this.socket === undefined) {
      writeAll(this.descriptor, Buffer.from(text));
      if (callbacks.length === 1) this.readDescriptor();
      else setImmediate(() => this.connect());
      return;
    }
    // While an answer is awaited, the connection keeps the process alive; while a handler works, it does not.
    this.socket.ref();
    this.socket.write(text);
  }

  /** Reads until what is awaited has come. */
  readDescriptor() {
    if (this.reads) return;
    this.reads = true;
    const buffer = Buffer.allocUnsafeSlow(readBytes);
    const take = (error, length) => {
      this.reads = false;
      // A descriptor that does not block is not for plain reads.
      if (error?.code === 'EAGAIN') return this.connect();
      if (error || length === 0) process.exit(1);
      this.read(buffer.subarray(0, length));
      if (this.socket === undefined && this.expected.length === 1) this.readDescriptor();
    };
    if (!this.blocks) return fs.read(this.descriptor, buffer, 0, readBytes, null, take);
    let length;
    try {
      length = fs.readSync(this.descriptor, buffer);
    } catch (error) {
      return take(error);
    }
    take(undefined, length);
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
      if (this.expected.length === 0 && !this.held) this.socket?.unref();
      callback?.(message);
    }
  }
}

function ignore() {
  // Accepted or refused: either way the next event comes.
}

/** Error types become a header, so they are reduced to what a header can hold. */
function errorHeader(errorType) {
  return `Lambda-Runtime-Function-Error-Type: ${headerText(errorType)}\r\n`;
}

function headerText(text) {
  return String(text).replace(/[^\x21-\x7e]/g, '_');
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

module.exports = { RuntimeClient, headerText };
