import { lambdaLimits } from '../limits.ts';

/** The error of a streamed response that was cut off at its limit, as buffered ones have it. */
export function responseTooLarge(): string {
  return JSON.stringify({
    errorMessage: `Response payload size exceeded maximum allowed payload size (${lambdaLimits.streamedResponseBytes.value} bytes).`,
    errorType: 'Function.ResponseSizeTooLarge',
  });
}
