import type { SurfaceResponse } from '../../platform/surface.ts';
import type { Engine } from './engine.ts';
import type { Executed, Execution, Resolved } from './invoker.ts';
import { ResponseStream } from './response-stream.ts';
import { badGateway, maxPreludeBytes, preludeAnswer, preludeEnd, preludeType } from './rules/function-url.ts';

/**
 * What a URL in the mode RESPONSE_STREAM answers: with a prelude, its status, headers and cookies; else 200; then the pieces as
 * they come. A function that does not stream has its whole response sent as it is, unread (recorded:
 * test_lambda_url_echo_invoke[RESPONSE_STREAM]). Throws AwsError where the function was not started.
 */
export async function streamedAnswer(
  { platform, invoker }: Engine,
  resolved: Resolved,
  execution: Execution,
  signal: AbortSignal,
): Promise<SurfaceResponse> {
  const stream = new ResponseStream(platform.clock, platform.limits);
  stream.leaveWith(signal);
  // The function runs on after the answer has begun, and after a client has left.
  const idle = platform.clock.busy();
  const done = invoker.execute(resolved, { ...execution, sink: stream }).finally(() => {
    idle();
    stream.end();
  });
  await Promise.race([stream.begun, done]);
  done.catch(() => {});
  if (!stream.hasBegun) {
    const { functionError, payload } = await done;
    if (functionError !== undefined) return badGateway;
    return { status: 200, headers: [['content-type', 'application/json']], body: payload };
  }
  const pieces = stream[Symbol.asyncIterator]();
  if (stream.contentType !== preludeType) {
    const contentType = stream.contentType ?? 'application/octet-stream';
    return { status: 200, headers: [['content-type', contentType]], body: rest(undefined, pieces, stream, done) };
  }
  const { prelude, first } = await splitPrelude(pieces);
  const head = prelude === undefined ? undefined : preludeAnswer(prelude);
  if (head !== undefined) return { ...head, body: rest(first, pieces, stream, done) };
  stream.leave();
  return badGateway;
}

/** Reads up to the NULs; no prelude where they do not come. */
async function splitPrelude(
  pieces: AsyncIterator<Buffer>,
): Promise<{ readonly prelude: Buffer | undefined; readonly first: Buffer | undefined }> {
  let head: Buffer = Buffer.alloc(0);
  for (;;) {
    const { done, value } = await pieces.next();
    if (done === true) return { prelude: undefined, first: undefined };
    head = Buffer.concat([head, value]);
    const end = head.indexOf(preludeEnd);
    if (end !== -1) return { prelude: head.subarray(0, end), first: head.subarray(end + preludeEnd.length) };
    if (head.length > maxPreludeBytes) return { prelude: undefined, first: undefined };
  }
}

/** The pieces from here on; a response that does not come to its end breaks the connection off, so that no client takes it for whole. */
async function* rest(
  first: Buffer | undefined,
  pieces: AsyncIterator<Buffer>,
  stream: ResponseStream,
  done: Promise<Executed>,
): AsyncGenerator<Buffer, void> {
  try {
    if (first !== undefined && first.length > 0) yield first;
    for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) yield next.value;
  } finally {
    stream.leave();
  }
  const executed = await done.catch(() => undefined);
  if (executed === undefined || executed.functionError !== undefined || stream.tooLarge) throw new BrokenOff();
}

/** Told to the client as a lost connection, and to nobody else: it is the function's failure. */
class BrokenOff extends Error {
  readonly code = 'ECONNRESET';
}
