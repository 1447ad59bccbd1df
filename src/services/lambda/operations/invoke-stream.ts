import { isUtf8 } from 'node:buffer';
import type { Handlers } from '../../../platform/service.ts';
import type {
  InvokeWithResponseStreamCompleteEvent,
  InvokeWithResponseStreamResponseEvent,
} from '../../../wire/types/lambda.ts';
import type { Engine } from '../engine.ts';
import type { Executed } from '../invoker.ts';
import { ResponseStream } from '../response-stream.ts';
import { unbuilt } from '../rules/configuration.ts';
import { parseFunctionName } from '../rules/names.ts';
import { checkPayload, clientContextText } from '../rules/payload.ts';
import { responseTooLarge } from '../rules/streamed.ts';
import { checkSize, payloadOf } from './invoke.ts';
import { placeOf } from './support.ts';

/** https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html */
export function invokeStreamOperations(engine: Engine): Pick<Handlers<'lambda'>, 'InvokeWithResponseStream'> {
  const { clock, limits } = engine.platform;
  return {
    async InvokeWithResponseStream(context, input) {
      if (input.TenantId !== undefined) throw unbuilt('TenantId');
      const { name, qualifier } = parseFunctionName(input.FunctionName, input.Qualifier, context);
      const payload = payloadOf(input.Payload);
      checkSize(payload, 'RequestResponse');
      const resolved = await engine.invoker.resolve(placeOf(context), name, qualifier);
      if (context.principal.kind === 'service') await engine.invoker.authorize(resolved, context.principal);
      if (input.InvocationType === 'DryRun') return { StatusCode: 204 };
      checkPayload(payload, isUtf8(payload));
      const clientContext = clientContextText(input.ClientContext);

      await engine.invoker.admitRate(resolved.entry);
      const stream = new ResponseStream(clock, limits);
      if (!context.internal) stream.leaveWith(context.signal);
      // The function runs on after this answer has begun, and after a reader has left.
      const idle = clock.busy();
      const done = engine.invoker
        .execute(resolved, {
          requestId: context.requestId,
          payload,
          traceHeader: engine.invoker.traceHeader(context.trace, context.traceHeader),
          withTail: input.LogType === 'Tail',
          ...(clientContext === undefined ? {} : { clientContext }),
          sink: stream,
        })
        .finally(() => {
          idle();
          stream.end();
        });
      // A refusal is an answer of its own; what goes wrong later is told at the stream's end, or to nobody.
      await Promise.race([stream.begun, done]);
      done.catch(() => {});
      return {
        StatusCode: 200,
        ExecutedVersion: resolved.version.version,
        EventStream: eventsOf(stream, done),
      };
    },
  };
}

async function* eventsOf(
  stream: ResponseStream,
  done: Promise<Executed>,
): AsyncGenerator<InvokeWithResponseStreamResponseEvent, void> {
  for await (const Payload of stream) yield { PayloadChunk: { Payload } };
  const executed = await done;
  // A response that the function gave whole is one piece.
  if (!stream.hasBegun && executed.functionError === undefined) yield { PayloadChunk: { Payload: executed.payload } };
  yield { InvokeComplete: completion(stream, executed) };
}

function completion(
  stream: ResponseStream,
  { functionError, payload, tail }: Executed,
): InvokeWithResponseStreamCompleteEvent {
  if (functionError !== undefined)
    return { ErrorCode: functionError, ErrorDetails: payload.toString('utf8'), LogResult: tail };
  if (stream.tooLarge) return { ErrorCode: 'Unhandled', ErrorDetails: responseTooLarge(), LogResult: tail };
  return { LogResult: tail };
}
