import { expect } from 'vitest';
import { built, describeClient } from '../support.ts';

describeClient({
  name: 'awslambdaric (Python)',
  package: built('python'),
  handler: 'app.handler',
  memoryMb: 256,
  failure: {
    errorType: 'Failure',
    errorMessage: 'it fails',
    requestId: expect.any(String),
    stackTrace: expect.any(Array),
  },
  crash: {
    payload: { errorType: 'Runtime.ExitError', errorMessage: expect.stringMatching(/ signal: aborted/) },
    survives: false,
  },
  log: [/^out: hello$/m, /^err: hello$/m, /^logger: hello$/m],
  missingHandler: {
    handler: 'app.nothing',
    payload: { errorType: 'Runtime.HandlerNotFound', errorMessage: "Handler 'nothing' missing on module 'app'" },
  },
});
