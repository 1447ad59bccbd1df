import { expect } from 'vitest';
import { built, describeClient } from '../support.ts';

describeClient({
  name: 'aws-lambda-java-runtime-interface-client',
  package: built('java'),
  handler: 'Handler::handleRequest',
  memoryMb: 512,
  failure: { errorType: 'Handler$Failure', errorMessage: 'it fails', stackTrace: expect.any(Array) },
  // An error of the virtual machine is told to the caller, and ends the process.
  crash: { payload: { errorType: 'java.lang.StackOverflowError', errorMessage: 'it crashes' }, survives: false },
  log: [/^out: hello$/m, /^err: hello$/m, /^logger: hello$/m],
  missingHandler: {
    handler: 'Nothing::handleRequest',
    payload: { errorType: 'java.lang.ClassNotFoundException', errorMessage: 'Class not found: Nothing' },
  },
});
