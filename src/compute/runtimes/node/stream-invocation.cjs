'use strict';
/** One invocation of a handler that streams its response: (event, responseStream, context). */
const { logError } = require('./log.cjs');
const { ResponseStream } = require('./streaming.cjs');

/**
 * `runtime.waits`: up to nodejs22.x the next event is asked for when the event loop is empty, unless the context says otherwise; from
 * nodejs24.x on, when the response has ended. A handler that is done while its stream is open waits for it until the time-out.
 */
async function serveStream(runtime, invocation, { event, context, onLoopEmpty, next }) {
  const { client, handler } = runtime;
  const stream = new ResponseStream(client, invocation.requestId, runtime.highWaterMark);
  let waits = runtime.waits;
  let over = false;
  invocation.fail = (error) => stream.fail(error);
  const proceed = () => {
    if (over) return;
    over = true;
    onLoopEmpty(undefined);
    next();
  };
  // Its response has ended, its handler never does.
  if (runtime.waits) onLoopEmpty(proceed);
  stream.answered.then(() => client.hold(false));
  if (runtime.waits) {
    Object.defineProperty(context, 'callbackWaitsForEmptyEventLoop', {
      get: () => waits,
      set: (value) => {
        waits = value;
      },
      enumerable: true,
    });
  }
  try {
    const result = handler(JSON.parse(event.body), stream, context);
    if (typeof result?.then !== 'function') throw notAsync(runtime.waits);
    if ((await result) !== undefined) console.warn('Streaming handlers ignore return values.');
    if (stream.destroyed && !stream.writableFinished) throw notFinished(runtime.waits);
    await stream.answered;
    if (!stream.writableFinished) throw notFinished(runtime.waits);
  } catch (error) {
    logError('Invoke Error', error);
    await stream.fail(error);
  }
  if (over || invocation.done) return;
  invocation.done = true;
  if (waits) onLoopEmpty(proceed);
  else proceed();
}

/** AWS's older client gives these two as bare texts, the newer one as errors. */
function notAsync(isText) {
  const text = 'Streaming does not support non-async handlers.';
  return isText ? text : new Error(text);
}

function notFinished(isText) {
  const text = 'Response stream is not finished.';
  return isText ? text : new Error(text);
}

module.exports = { serveStream };
