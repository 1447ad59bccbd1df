import { isUtf8 } from 'node:buffer';
import type { RequestContext } from '../../../platform/context.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { InvocationRequest, InvocationResponse } from '../../../wire/types/lambda.ts';
import type { Engine } from '../engine.ts';
import type { Resolved } from '../invoker.ts';
import { lambdaLimits } from '../limits.ts';
import { unbuilt } from '../rules/configuration.ts';
import { parseFunctionName } from '../rules/names.ts';
import { checkPayload, clientContextText } from '../rules/payload.ts';

type InvokeOperations = 'Invoke' | 'InvokeAsync';

export function invokeOperations(engine: Engine): Pick<Handlers<'lambda'>, InvokeOperations> {
  return {
    async Invoke(context, input) {
      refuseUnbuilt(input);
      const { name, qualifier } = parseFunctionName(input.FunctionName, input.Qualifier, context);
      const payload = payloadOf(input.Payload);
      const type = input.InvocationType ?? 'RequestResponse';
      checkSize(payload, type);
      const resolved = await engine.invoker.resolve(placeOf(context), name, qualifier);
      if (context.principal.kind === 'service') await engine.invoker.authorize(resolved, context.principal);
      if (type === 'DryRun') return { StatusCode: 204 };
      checkPayload(payload, isUtf8(payload));
      const clientContext = clientContextText(input.ClientContext);
      if (type === 'Event') return acceptEvent(engine, context, resolved, payload, clientContext);

      await engine.invoker.admitRate(resolved.entry);
      const withTail = input.LogType === 'Tail';
      const done = await engine.invoker.execute(resolved, {
        requestId: context.requestId,
        payload,
        traceHeader: engine.invoker.traceHeader(context.trace, context.traceHeader),
        withTail,
        ...(clientContext === undefined ? {} : { clientContext }),
      });
      return {
        StatusCode: 200,
        FunctionError: done.functionError,
        LogResult: done.tail,
        Payload: done.payload,
        ExecutedVersion: done.version,
      };
    },

    async InvokeAsync(context, input) {
      const { name, qualifier } = parseFunctionName(input.FunctionName, undefined, context);
      const payload = payloadOf(input.InvokeArgs);
      if (payload.length > lambdaLimits.legacyAsyncRequestBytes.value)
        throw tooLarge(payload.length, 'Event', lambdaLimits.legacyAsyncRequestBytes.value);
      checkPayload(payload, isUtf8(payload));
      const resolved = await engine.invoker.resolve(placeOf(context), name, qualifier);
      if (context.principal.kind === 'service') await engine.invoker.authorize(resolved, context.principal);
      await acceptEvent(engine, context, resolved, payload, undefined);
      return { Status: 202 };
    },
  };
}

/** An event is accepted when it is stored; how it fares never reaches the caller. */
async function acceptEvent(
  engine: Engine,
  context: RequestContext,
  { entry, qualifier }: Resolved,
  payload: Buffer,
  clientContext: string | undefined,
): Promise<InvocationResponse> {
  await engine.queue.accept(
    {
      ...placeOf(context),
      requestId: context.requestId,
      functionName: entry.record.name,
      ...(qualifier === undefined ? {} : { qualifier }),
      traceHeader: engine.invoker.traceHeader(context.trace, context.traceHeader),
      ...(clientContext === undefined ? {} : { clientContext }),
    },
    payload,
  );
  return { StatusCode: 202 };
}

function refuseUnbuilt(input: InvocationRequest): void {
  if (input.DurableExecutionName !== undefined) throw unbuilt('DurableExecutionName');
  if (input.TenantId !== undefined) throw unbuilt('TenantId');
}

/** No payload is an empty object to the function. */
export function payloadOf(bytes: Uint8Array | undefined): Buffer {
  if (bytes === undefined || bytes.byteLength === 0) return emptyPayload;
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const emptyPayload = Buffer.from('{}');

export function checkSize(payload: Buffer, type: 'RequestResponse' | 'Event' | 'DryRun'): void {
  if (type === 'Event') {
    if (payload.length <= lambdaLimits.asyncRequestBytes.value) return;
    throw tooLarge(payload.length, type, lambdaLimits.asyncRequestBytes.value);
  }
  if (payload.length <= lambdaLimits.syncRequestBytes.value) return;
  throw tooLarge(payload.length, type, lambdaLimits.syncRequestBytes.value);
}

/** Wording as clients report it in public issues. */
function tooLarge(bytes: number, type: string, most: number): AwsError {
  return new AwsError(
    'RequestTooLargeException',
    `${bytes} byte payload is too large for the ${type} invocation type (limit ${most} bytes)`,
    { status: 413, fields: { Type: 'User' } },
  );
}

function placeOf({ account, region }: RequestContext): { readonly account: string; readonly region: string } {
  return { account, region };
}
