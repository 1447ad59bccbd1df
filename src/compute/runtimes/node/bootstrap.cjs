'use strict';
/**
 * The Node.js runtime: loads the function's handler and serves invocations from the Lambda Runtime API. It runs inside the sandbox, so it
 * stands on nothing but Node itself, and loads as little of that as it can. Behaviour and texts follow AWS's published client for this API
 * (github.com/aws/aws-lambda-nodejs-runtime-interface-client): version 3 up to nodejs22.x, version 4 from nodejs24.x on. The code is our own.
 */
const { fstatSync } = require('node:fs');
const { RuntimeClient } = require('./client.cjs');
const { describeError, invalidCallback, nodeJsExit, unhandledRejection } = require('./errors.cjs');
const { loadHandler } = require('./handler.cjs');
const log = require('./log.cjs');
const { showOriginalPositions } = require('./modules.cjs');

const { env } = process;
const major = Number(/nodejs(\d+)/.exec(env.AWS_EXECUTION_ENV ?? '')?.[1] ?? 0);
/** Version 4 of AWS's client: no callbacks, nothing waits for the event loop, and what nobody caught is left to Node. */
const isVersion4 = major >= 24;
const client = new RuntimeClient(env.AWS_LAMBDA_RUNTIME_API, takeDescriptor(), isAwaited());
/** The invocation under way. */
let current;
/** What to do when nothing is left to do: set while a handler may still be waiting for something. */
let onEmptyEventLoop;
let handler;
let isFirst = true;
let dying = false;

log.patchConsole(showOriginalPositions);
if (!isVersion4) {
  process.on('uncaughtException', (error) => die('Uncaught Exception', error, 129));
  process.on('unhandledRejection', (reason, promise) => {
    die('Unhandled Promise Rejection', unhandledRejection(reason, promise), 128);
  });
  process.on('beforeExit', () => {
    const callback = onEmptyEventLoop;
    onEmptyEventLoop = undefined;
    callback?.();
  });
}
awaitDebugger();
loadHandler(env.LAMBDA_TASK_ROOT, env._HANDLER, isVersion4).then(begin).catch(failToStart);

/** An open connection to the Runtime API, where the sandbox hands one down. */
function takeDescriptor() {
  const text = env.UNKAI_RUNTIME_API_FD;
  if (text === undefined) return undefined;
  delete env.UNKAI_RUNTIME_API_FD;
  const descriptor = Number(text);
  try {
    return fstatSync(descriptor).isSocket() ? descriptor : undefined;
  } catch {
    // Whoever started this program in the sandbox's place (a wrapper script) has closed it: the address is still there.
    return undefined;
  }
}

/** Whether there is an event for it already: then nothing else is to be done until it is here. */
function isAwaited() {
  return env.AWS_LAMBDA_INITIALIZATION_TYPE === 'on-demand' && env.UNKAI_INSPECT === undefined;
}

/** UNKAI_INSPECT=host:port opens Node's inspector there; nothing of the function is loaded before a debugger has attached. */
function awaitDebugger() {
  const address = env.UNKAI_INSPECT;
  if (address === undefined) return;
  delete env.UNKAI_INSPECT;
  const colon = address.lastIndexOf(':');
  require('node:inspector').open(Number(address.slice(colon + 1)), address.slice(0, colon), true);
}

function begin(loaded) {
  const takesCallback = loaded.handler.length >= 3 && !loaded.streaming;
  if (takesCallback && isVersion4) throw invalidCallback();
  if (takesCallback && loaded.handler.length === 3) warnOfCallback(loaded.handler);
  // What the module has left behind comes first, and what it fails with is still a failed start.
  setImmediate(() => {
    handler = loaded.handler;
    client.next(loaded.streaming ? streamServer(loaded) : isVersion4 ? serveValue : serve);
  });
}

function streamServer({ highWaterMark }) {
  const { serveStream } = require('./stream-invocation.cjs');
  const runtime = { client, handler, highWaterMark, waits: !isVersion4 };
  const serveNext = (event) => {
    const onLoopEmpty = (callback) => {
      onEmptyEventLoop = callback;
    };
    serveStream(runtime, start(event), {
      event,
      context: createContext(event),
      onLoopEmpty,
      next: () => client.next(serveNext),
    });
  };
  return serveNext;
}

function warnOfCallback(fn) {
  if (isAsync(fn) || env.AWS_LAMBDA_NODEJS_DISABLE_CALLBACK_WARNING !== undefined) return;
  console.warn(
    'AWS Lambda plans to remove support for callback-based function handlers starting with Node.js 24. You will need to update this function to use an async handler to use Node.js 24 or later. For more information and to provide feedback on this change, see https://github.com/aws/aws-lambda-nodejs-runtime-interface-client/issues/137. To disable this warning, set the AWS_LAMBDA_NODEJS_DISABLE_CALLBACK_WARNING environment variable.',
  );
}

function isAsync(fn) {
  return fn.constructor?.name === 'AsyncFunction';
}

/** `fail`, once the handler has begun to stream, ends the stream with the error. */
function start({ headers }) {
  const requestId = headers['lambda-runtime-aws-request-id'];
  current = { requestId, done: false, fail: undefined };
  log.setRequestId(requestId);
  const traceId = headers['lambda-runtime-trace-id'];
  if (traceId === undefined) delete env._X_AMZN_TRACE_ID;
  else env._X_AMZN_TRACE_ID = traceId;
  return current;
}

/** What the context of every kind of handler has. */
function createContext({ headers }) {
  const deadlineMs = Number(headers['lambda-runtime-deadline-ms']);
  const context = {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parseHeader(headers['lambda-runtime-client-context']),
    identity: parseHeader(headers['lambda-runtime-cognito-identity']),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    getRemainingTimeInMillis: () => deadlineMs - Date.now(),
  };
  if (isVersion4) context.xRayTraceId = headers['lambda-runtime-trace-id'];
  return context;
}

/** Up to nodejs22.x: a promise, a callback or the context's own methods answer. */
function serve(event) {
  const invocation = start(event);
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
  // A handler that leaves nothing behind that could still answer: an async one has failed, one with a callback has forgotten it.
  onEmptyEventLoop = () => {
    if (isAsync(handler)) refuse(invocation, nodeJsExit());
    else answer(invocation, null);
  };
  try {
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
    };
    const result = handler(JSON.parse(event.body), Object.assign(context, createContext(event)), callback);
    if (typeof result?.then === 'function') result.then(succeed, fail);
  } catch (error) {
    refuse(invocation, error);
  }
}

/** From nodejs24.x on: what the handler returns, now or later, is the answer. */
async function serveValue(event) {
  const invocation = start(event);
  try {
    answer(invocation, await handler(JSON.parse(event.body), createContext(event)));
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
  client.respond(invocation.requestId, body, isVersion4 ? serveValue : serve);
  if (isFirst) setImmediate(showOriginalPositions);
  isFirst = false;
}

function refuse(invocation, error) {
  if (invocation.done) return;
  finish(invocation);
  log.logError('Invoke Error', error);
  const described = describeError(error);
  client.fail(invocation.requestId, described.errorType, JSON.stringify(described), isVersion4 ? serveValue : serve);
}

function finish(invocation) {
  invocation.done = true;
  onEmptyEventLoop = undefined;
}

/** Version 4 leaves the end to Node, which prints the error and exits with 1. */
function failToStart(error) {
  if (!isVersion4) return die('Uncaught Exception', error, 129);
  log.logError('Init Error', error);
  const described = describeError(error);
  client.failInit(described.errorType, JSON.stringify(described), () => {
    throw error;
  });
}

/** What nobody caught ends the process, as on AWS; the caller is told before. */
function die(title, error, exitCode) {
  log.logError(title, error);
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
    if (current.fail !== undefined) current.fail(error).then(exit);
    else client.failAlone(current.requestId, described.errorType, body, exit);
  } else exit();
}

function parseHeader(text) {
  return text === undefined ? undefined : JSON.parse(text);
}
