import { expect } from 'vitest';
import { built, describeClient } from '../support.ts';

describeClient({
  name: 'github.com/aws/aws-lambda-go',
  package: built('go'),
  handler: 'bootstrap',
  memoryMb: 128,
  failure: { errorType: 'Failure', errorMessage: 'it fails' },
  // A panic is told to the caller, and ends the process.
  crash: {
    payload: {
      errorType: 'string',
      errorMessage: 'it crashes',
      stackTrace: expect.arrayContaining([expect.objectContaining({ label: 'handle' })]),
    },
    survives: false,
  },
  log: [/^out: hello$/m, /^err: hello$/m],
  streams: { prelude: false, brokenOff: { text: 'one two ', error: 'broken off' } },
});
