'use strict';
/**
 * The Node.js runtime: loads the function's handler and serves invocations from the Lambda Runtime API. It runs inside the sandbox, so it
 * stands on nothing but Node itself. Behaviour and texts follow AWS's published client for this API
 * (github.com/aws/aws-lambda-nodejs-runtime-interface-client); the code is our own.
 */
const { RuntimeClient } = require('./client.cjs');
const { describeError, formatError, invalidCallback, nodeJsExit, unhandledRejection } = require('./errors.cjs');
const { loadHandler } = require('./handler.cjs');
const log = require('./log.cjs');

const { env } = process;
const client = new RuntimeClient(env.AWS_LAMBDA_RUNTIME_API);
/** The invocation under way. */
let current;
/** What to do when nothing is left to do: set while a handler may still be waiting for something. */
let onEmptyEventLoop;
let handler;
let dying = false;

log.patchConsole();
process.on('uncaughtException', (error) => die('Uncaught Exception', error, 129));
process.on('unhandledRejection', (reason, promise) => {
  die('Unhandled Promise Rejection', unhandledRejection(reason, promise), 128);
});
process.on('beforeExit', () => {
  const callback = onEmptyEventLoop;
  onEmptyEventLoop = undefined;
  callback?.();
});
loadHandler(env.LAMBDA_TASK_ROOT, env._HANDLER).then(
  (loaded) => {
    const major = Number(/nodejs(\d+)/.exec(env.AWS_EXECUTION_ENV ?? '')?.[1]);
    if (major >= 24 && loaded.length >= 3) return die('Uncaught Exception', invalidCallback(), 129);
    handler = loaded;
    client.next(serve);
  },
  (error) => die('Uncaught Exception', error, 129),
);

function serve(event) {
  const { headers } = event;
  const requestId = headers['lambda-runtime-aws-request-id'];
  const invocation = { requestId, done: false };
  current = invocation;
  log.setRequestId(requestId);
  const traceId = headers['lambda-runtime-trace-id'];
  if (traceId === undefined) delete env._X_AMZN_TRACE_ID;
  else env._X_AMZN_TRACE_ID = traceId;

  let waitsForEmptyEventLoop = true;
  const succeed = (result) => answer(invocation, result);
  const fail = (error) => refuse(invocation, error ?? 'handled');
  const callback = (error, result) => {
    if (invocation.done || invocation.calledBack) return;
    invocation.calledBack = true;
    onEmptyEventLoop = undefined;
    if (error !== undefined && error !== null) refuse(invocation, error);
    else if (waitsForEmptyEventLoop) onEmptyEventLoop = () => answer(invocation, result);
    else answer(invocation, result);
  };
  const context = {
    get callbackWaitsForEmptyEventLoop() {
      return waitsForEmptyEventLoop;
    },
    set callbackWaitsForEmptyEventLoop(value) {
      waitsForEmptyEventLoop = value;
    },
    succeed,
    fail,
    done: (error, result) => (error === undefined || error === null ? succeed(result) : fail(error)),
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parseHeader(headers['lambda-runtime-client-context']),
    identity: parseHeader(headers['lambda-runtime-cognito-identity']),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: requestId,
    getRemainingTimeInMillis: () => Number(headers['lambda-runtime-deadline-ms']) - Date.now(),
  };
  // A handler that leaves nothing behind that could still answer: an async one has failed, one with a callback has forgotten it.
  onEmptyEventLoop = () => {
    if (handler.constructor?.name === 'AsyncFunction') refuse(invocation, nodeJsExit());
    else answer(invocation, null);
  };
  try {
    const result = handler(JSON.parse(event.body), context, callback);
    if (typeof result?.then === 'function') result.then(succeed, fail);
  } catch (error) {
    refuse(invocation, error);
  }
}

function answer(invocation, result) {
  if (invocation.done) return;
  let body;
  try {
    body = JSON.stringify(result === undefined ? null : result) ?? 'null';
  } catch {
    return refuse(invocation, new Error('Unable to stringify response body'));
  }
  finish(invocation);
  client.respond(invocation.requestId, body, serve);
}

function refuse(invocation, error) {
  if (invocation.done) return;
  finish(invocation);
  console.error('Invoke Error', formatError(error));
  const described = describeError(error);
  client.fail(invocation.requestId, described.errorType, JSON.stringify(described), serve);
}

function finish(invocation) {
  invocation.done = true;
  onEmptyEventLoop = undefined;
}

/** What nobody caught ends the process, as on AWS; the caller is told before. */
function die(title, error, exitCode) {
  console.error(title, formatError(error));
  onEmptyEventLoop = undefined;
  // The first cause counts; what comes before the answer is out must not cut it off.
  if (dying) return;
  dying = true;
  const described = describeError(error);
  const body = JSON.stringify(described);
  const exit = () => process.exit(exitCode);
  if (handler === undefined) client.failInit(described.errorType, body, exit);
  else if (current !== undefined && !current.done) {
    current.done = true;
    client.failLast(current.requestId, described.errorType, body, exit);
  } else exit();
}

function parseHeader(text) {
  return text === undefined ? undefined : JSON.parse(text);
}
