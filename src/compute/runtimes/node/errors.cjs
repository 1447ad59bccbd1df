'use strict';
/** Errors as Lambda's Node.js runtimes report and log them. */
const { types } = require('node:util');

class RuntimeError extends Error {
  constructor(kind, message) {
    super(message);
    this.name = `Runtime.${kind}`;
  }
}

/** The error's own stack goes with it, under the new name. */
function wrap(kind, error) {
  const wrapped = new RuntimeError(kind, String(error));
  wrapped.stack = error.stack;
  return wrapped;
}

function unhandledRejection(reason, promise) {
  const error = new RuntimeError('UnhandledPromiseRejection', String(reason));
  error.reason = reason;
  error.promise = promise;
  return error;
}

function nodeJsExit() {
  return new RuntimeError(
    'NodeJsExit',
    'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes',
  );
}

function invalidCallback() {
  return new RuntimeError(
    'CallbackHandlerDeprecated',
    'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use a supported handler signature to use Node.js 24 or later. For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.',
  );
}

/** The payload that the caller gets. */
function describeError(error) {
  try {
    if (looksLikeError(error)) {
      return {
        errorType: withoutDelete(error.name),
        errorMessage: withoutDelete(error.message),
        trace: withoutDelete(error.stack).split('\n'),
      };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage:
        'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
      trace: [],
    };
  }
}

/** AWS's client writes this one control character so, everywhere in an error. */
function withoutDelete(text) {
  return text.replaceAll('\x7f', '%7F');
}

/** What is thrown need not be an error; the log shows it as one. */
function intoError(value) {
  return value instanceof Error ? value : new Error(value);
}

/** The text that goes to the log. */
function formatError(error) {
  try {
    return `\t${JSON.stringify(error, (_key, value) => (value instanceof Error ? withEnumerableFields(value) : value))}`;
  } catch {
    return `\t${JSON.stringify(describeError(error))}`;
  }
}

function withEnumerableFields(error) {
  return {
    errorType: error.name,
    errorMessage: error.message,
    code: error.code,
    ...error,
    ...(typeof error.stack === 'string' ? { stack: error.stack.split('\n') } : {}),
  };
}

function looksLikeError(value) {
  return types.isNativeError(value) || (isText(value?.name) && isText(value.message) && isText(value.stack));
}

function isText(value) {
  return typeof value === 'string' && value !== '';
}

module.exports = {
  RuntimeError,
  describeError,
  formatError,
  intoError,
  invalidCallback,
  nodeJsExit,
  unhandledRejection,
  wrap,
};
