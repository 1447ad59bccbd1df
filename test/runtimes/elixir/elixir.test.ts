import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { describeClient } from '../support.ts';

describeClient({
  name: 'Elixir and httpc',
  package: fileURLToPath(new URL('function', import.meta.url)),
  layer: fileURLToPath(new URL('../../../examples/custom-runtime/elixir-runtime', import.meta.url)),
  handler: 'act.handle',
  memoryMb: 512,
  failure: { errorType: 'Failure', errorMessage: 'it fails', stackTrace: expect.any(Array) },
  // It writes a crash dump first, if it can, and ends with 1.
  crash: {
    payload: { errorType: 'Runtime.ExitError', errorMessage: expect.stringMatching(/ exit status 1$/) },
    survives: false,
  },
  log: [/^out: hello$/m, /^err: hello$/m],
  missingHandler: {
    handler: 'act.nothing',
    payload: { errorType: 'Runtime.NoSuchHandler', errorMessage: 'Act.nothing/2 is missing' },
  },
});
