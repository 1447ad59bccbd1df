/** What the Extensions API answers, in the words of AWS's published emulator (internal/lambda/rapi/handler, github.com/aws/aws-lambda-runtime-interface-emulator). */
import { mostExtensions } from '../limits.ts';
import { errorMessage, message } from '../runtime-api/messages.ts';

/** By the names that errors and `platform.extension` show. */
export type ExtensionState =
  | 'Started'
  | 'Registered'
  | 'Ready'
  | 'Running'
  | 'InitError'
  | 'ExitError'
  | 'Exited'
  | 'LaunchError';

export const missingIdentifier = forbidden(
  'Extension.MissingExtensionIdentifier',
  'Missing Lambda-Extension-Identifier header',
);
export const invalidIdentifier = forbidden(
  'Extension.InvalidExtensionIdentifier',
  'Invalid Lambda-Extension-Identifier',
);
export const emptyName = forbidden('Extension.InvalidExtensionName', 'Empty extension name');
export const registrationClosed = forbidden('Extension.RegistrationClosed', 'Extension registration closed already');
export const nameTaken = forbidden('Extension.InvalidExtensionState', 'Extension with this name already registered');
export const tooMany = forbidden('Extension.TooManyExtensions', `Extension limit (${mostExtensions}) reached`);
export const missingErrorType = forbidden('Extension.MissingHeader', 'Lambda-Extension-Function-Error-Type not found');
export const unknownReporter = forbidden('Extension.UnknownExtensionIdentifier', 'Unknown Lambda-Extension-Identifier');

export function unknownExtension(id: string): Buffer {
  return forbidden('Extension.UnknownExtensionIdentifier', `Unknown extension ${id}`);
}

export function invalidRequest(problem: string): Buffer {
  return forbidden('InvalidRequestFormat', problem);
}

export function invalidEvent(event: string, problem: string): Buffer {
  return forbidden('Extension.InvalidEventType', `${event}: ${problem}`);
}

export function invalidTransition(from: ExtensionState, to: ExtensionState, extension: string): Buffer {
  return forbidden(
    'Extension.InvalidExtensionState',
    `State transition from ${from} to ${to} failed for extension ${extension}. Error: State transition is not allowed`,
  );
}

export function forbidden(errorType: string, text: string): Buffer {
  return errorMessage(403, errorType, text);
}

export function registered(id: string, answer: object): Buffer {
  return message(200, JSON.stringify(answer), 'application/json', false, `Lambda-Extension-Identifier: ${id}\r\n`);
}

export function event(id: string, body: object): Buffer {
  return message(200, JSON.stringify(body), 'application/json', false, `Lambda-Extension-Event-Identifier: ${id}\r\n`);
}
