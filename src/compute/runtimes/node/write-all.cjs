'use strict';
const { writeSync } = require('node:fs');

let pause;

/** Written at once: what was said before a crash or a kill is heard. */
function writeAll(descriptor, bytes) {
  for (let offset = 0; offset < bytes.length; ) {
    try {
      offset += writeSync(descriptor, bytes, offset);
    } catch (error) {
      if (error.code !== 'EAGAIN') return;
      // The function has made its standard output non-blocking, and the pipe is full.
      pause ??= new Int32Array(new SharedArrayBuffer(4));
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

module.exports = { writeAll };
