import { built, describeClient } from '../support.ts';

describeClient({
  name: 'lambda_runtime (Rust)',
  package: built('rust'),
  handler: 'bootstrap',
  memoryMb: 128,
  failure: { errorType: 'Failure', errorMessage: 'it fails' },
  // lambda_runtime catches panics, and goes on.
  crash: { payload: { errorMessage: 'Lambda panicked: it crashes' }, survives: true },
  log: [/^out: hello$/m, /^err: hello$/m],
  streams: {
    prelude: true,
    // It writes its trailers into the body, as on AWS, where nobody reads them.
    brokenOff: {
      text: [
        'one two Lambda-Runtime-Function-Error-Type: Runtime.StreamError',
        'Lambda-Runtime-Function-Error-Body: dXNlciBib2R5IHdyaXRlIGFib3J0ZWQ=',
        '',
      ].join('\r\n'),
    },
  },
});
