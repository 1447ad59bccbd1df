'use strict';
/** The console in Lambda's text format: `<time>\t<request id>\t<level>\t<message>`, one event for each call. */
const { writeSync } = require('node:fs');
const { format } = require('node:util');

let requestId = 'undefined';
const pause = new Int32Array(new SharedArrayBuffer(4));

function setRequestId(id) {
  requestId = id;
}

function patchConsole() {
  console.log = (...args) => write('INFO', args);
  console.info = (...args) => write('INFO', args);
  console.debug = (...args) => write('DEBUG', args);
  console.warn = (...args) => write('WARN', args);
  console.error = (...args) => write('ERROR', args);
  console.fatal = (...args) => write('FATAL', args);
  console.trace = (...args) => {
    const trace = { name: 'Trace', message: format(...args) };
    Error.captureStackTrace(trace, console.trace);
    write('TRACE', [trace.stack]);
  };
}

function write(level, args) {
  const message = format(...args);
  const line = `${new Date().toISOString()}\t${requestId}\t${level}\t${message}`;
  // A line break within a message is written as NUL, by which the reader knows that the event goes on.
  writeAll(Buffer.from(`${line.includes('\n') ? line.replaceAll('\n', '\0') : line}\n`));
}

/** Written at once: what was said before a crash or a kill is heard. */
function writeAll(bytes) {
  for (let offset = 0; offset < bytes.length; ) {
    try {
      offset += writeSync(1, bytes, offset);
    } catch (error) {
      if (error.code !== 'EAGAIN') return;
      // The function has made its standard output non-blocking, and the pipe is full.
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

module.exports = { patchConsole, setRequestId };
