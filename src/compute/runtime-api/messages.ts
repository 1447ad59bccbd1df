/** What the Runtime API answers, in the words of AWS's published Runtime Interface Emulator (github.com/aws/aws-lambda-runtime-interface-emulator). */
import { responseLimitBytes, streamedResponseLimitBytes } from '../limits.ts';

/** The states of AWS's state machine for a runtime, by the names that its errors show (`Ready` is also its `Running`). */
export type RuntimeState =
  | 'Started'
  | 'InitError'
  | 'Ready'
  | 'InvocationResponse'
  | 'RuntimeResponseSentState'
  | 'Restoring'
  | 'RuntimeRestoreErrorState';

export type RuntimeTransition =
  | 'InitError'
  | 'Ready'
  | 'InvocationResponse'
  | 'InvocationErrorResponse'
  | 'RuntimeRestoreErrorState';

const reasons: Readonly<Record<number, string>> = {
  200: 'OK',
  202: 'Accepted',
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  413: 'Request Entity Too Large',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  505: 'HTTP Version Not Supported',
};

export const accepted = message(202, '{"status":"OK"}\n');
export const continueMessage = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n');
export const invalidRequestId = errorMessage(400, 'InvalidRequestID', 'Invalid request ID');
export const tooLarge = errorMessage(
  413,
  'RequestEntityTooLarge',
  `Exceeded maximum allowed payload size (${responseLimitBytes} bytes).`,
);
export const streamTooLarge = errorMessage(
  413,
  'RequestEntityTooLarge',
  `Exceeded maximum allowed payload size (${streamedResponseLimitBytes} bytes).`,
  true,
);
export const invalidResponseMode = errorMessage(400, 'InvalidFunctionResponseMode', 'Invalid function response mode');
export const pong = message(200, 'pong', 'text/plain; charset=utf-8');
/** What a runtime that asked for the restore is told: nothing, when it has happened. */
export const restored = message(200, '');
export const notFound = message(404, '404 page not found\n', 'text/plain; charset=utf-8');
export const methodNotAllowed = message(405, '', 'text/plain; charset=utf-8');

export function invalidTransition(from: RuntimeState, to: RuntimeTransition): Buffer {
  return errorMessage(
    403,
    'InvalidStateTransition',
    `State transition from ${from} to ${to} failed for runtime. Error: State transition is not allowed`,
  );
}

export function malformed(status: number, problem: string): Buffer {
  return errorMessage(status, 'InvalidRequest', problem, true);
}

/** JSON in AWS's order of members. */
export function errorMessage(status: number, errorType: string, text: string, close = false): Buffer {
  return message(status, `${JSON.stringify({ errorMessage: text, errorType })}\n`, 'application/json', close);
}

export function message(status: number, body: string, type = 'application/json', close = false, more = ''): Buffer {
  return Buffer.from(
    `HTTP/1.1 ${status} ${reasons[status] ?? ''}\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
      `${more}${close ? 'Connection: close\r\n' : ''}\r\n${body}`,
  );
}
