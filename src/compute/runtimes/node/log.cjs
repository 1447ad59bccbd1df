'use strict';
/**
 * The console as Lambda's Node.js runtimes patch it. Text: `<time>\t<request id>\t<level>\t<message>`; JSON (AWS_LAMBDA_LOG_FORMAT): one
 * object for each call. Levels below AWS_LAMBDA_LOG_LEVEL are dropped.
 */
const { format } = require('node:util');
const { formatError, intoError } = require('./errors.cjs');
const { writeAll } = require('./write-all.cjs');

/** Where AWS's client keeps it too, so that libraries find it. */
const requestIdKey = Symbol.for('aws.lambda.runtime.requestId');
const levels = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
const isJson = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';

let beforeTrace;

function setRequestId(id) {
  globalThis[requestIdKey] = id;
}

/** `onTrace` is called before anything is logged that may hold a stack trace. */
function patchConsole(onTrace) {
  beforeTrace = onTrace;
  const writeEntry = isJson ? writeJson : writeText;
  const write = (level, message, more) => {
    if (typeof message === 'object' || more.length > 0) beforeTrace();
    writeEntry(level, message, more);
  };
  // An unknown level, like none, lets everything through.
  const lowest = levels.indexOf(process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase());
  const logger = (level) =>
    levels.indexOf(level) < lowest ? () => {} : (message, ...more) => write(level, message, more);
  console.trace = logger('TRACE');
  console.debug = logger('DEBUG');
  console.info = logger('INFO');
  console.log = console.info;
  console.warn = logger('WARN');
  console.error = logger('ERROR');
  console.fatal = logger('FATAL');
}

/** An error that ended an invocation or the process, as the runtime itself logs it. */
function logError(title, error) {
  beforeTrace();
  if (isJson) console.error(intoError(error));
  else console.error(title, formatError(intoError(error)));
}

function writeText(level, message, more) {
  const text = format(message, ...more);
  writeEvent(`${new Date().toISOString()}\t${globalThis[requestIdKey]}\t${level}\t${text}`);
}

function writeJson(level, message, more) {
  const event = { timestamp: new Date().toISOString(), level, requestId: globalThis[requestIdKey], message };
  if (more.length > 0) {
    event.message = format(message, ...more);
    const error = [message, ...more].find((value) => value instanceof Error);
    if (error !== undefined) Object.assign(event, errorFields(error));
    return writeEvent(JSON.stringify(event));
  }
  let text;
  try {
    text = JSON.stringify(event, (_key, value) =>
      value instanceof Error ? { ...errorFields(value), ...value } : value,
    );
  } catch {
    event.message = format(message);
    text = JSON.stringify(event);
  }
  writeEvent(text);
}

function errorFields(error) {
  return {
    errorType: error.constructor?.name ?? 'UnknownError',
    errorMessage: error.message,
    stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : [],
  };
}

/** A line break within an event is written as NUL, by which the reader knows that the event goes on. */
function writeEvent(event) {
  writeAll(1, Buffer.from(`${event.includes('\n') ? event.replaceAll('\n', '\0') : event}\n`));
}

module.exports = { logError, patchConsole, setRequestId };
