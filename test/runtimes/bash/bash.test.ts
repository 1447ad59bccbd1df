import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { describeClient } from '../support.ts';

describeClient({
  name: 'bash and curl',
  package: fileURLToPath(new URL('function', import.meta.url)),
  layer: fileURLToPath(new URL('../../../examples/custom-runtime/bash-runtime', import.meta.url)),
  handler: 'function.act',
  memoryMb: 128,
  failure: { errorType: 'HandlerFailed', errorMessage: 'act ended with 1: it fails' },
  crash: {
    payload: { errorType: 'Runtime.ExitError', errorMessage: expect.stringMatching(/ signal: killed$/) },
    survives: false,
  },
  // A handler runs in a process of its own.
  exit: { payload: { errorType: 'HandlerFailed', errorMessage: 'act ended with 3: ' }, survives: true },
  log: [/^out: hello$/m],
  missingHandler: {
    handler: 'function.nothing',
    payload: { errorType: 'Runtime.NoSuchHandler', errorMessage: 'there is no function nothing in function.sh' },
  },
});
