import type { TraceContext } from '../../../kernel/trace/trace.ts';
import type { Principal } from '../../../platform/context.ts';
import type { Platform } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { FunctionTarget } from './compiled.ts';
import { timedOut, within } from './deadline.ts';

export type FunctionOutcome =
  | { readonly outcome: 'answer'; readonly payload: string }
  /** The function or its runtime failed. */
  | { readonly outcome: 'failed'; readonly reason: string }
  | { readonly outcome: 'timeout' }
  | { readonly outcome: 'throttled' }
  | { readonly outcome: 'too-large' };

/** Who asks: whose API, under which ARN, in which trace. */
export interface Asking {
  readonly account: string;
  readonly sourceArn: string;
  readonly trace: TraceContext;
}

const maxPrincipals = 1_000;

/** Invokes a function and waits for it, at most so long. Never rejects but for bugs. */
export async function callFunction(
  platform: Platform,
  target: FunctionTarget,
  asking: Asking,
  event: Record<string, unknown>,
  timeoutMs: number,
): Promise<FunctionOutcome> {
  const { account, region, functionArn } = target;
  const caller = { account, region, principal: principalOf(target, asking), trace: asking.trace };
  const call = platform.bus.call(caller, 'lambda', 'Invoke', {
    FunctionName: functionArn,
    InvocationType: 'RequestResponse',
    Payload: Buffer.from(JSON.stringify(event), 'utf8'),
  });
  try {
    const answer = await within(platform.clock, timeoutMs, call);
    if (answer === timedOut) return { outcome: 'timeout' };
    const payload = Buffer.from(answer.Payload ?? []).toString('utf8');
    if (answer.FunctionError !== undefined) return { outcome: 'failed', reason: payload };
    return { outcome: 'answer', payload };
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    if (error.code === 'TooManyRequestsException') return { outcome: 'throttled' };
    if (error.code === 'RequestTooLargeException') return { outcome: 'too-large' };
    return { outcome: 'failed', reason: `${error.code}: ${error.message}` };
  }
}

/**
 * API Gateway itself, on behalf of the source ARN: a service's principal carries it as its id, and the function's resource
 * policy is asked whether it lets that in.
 */
function principalOf(target: FunctionTarget, { account, sourceArn }: Asking): Principal {
  if (target.rolePrincipal !== undefined) return target.rolePrincipal;
  let principal = target.principals.get(sourceArn);
  if (principal === undefined) {
    principal = { kind: 'service', arn: 'apigateway.amazonaws.com', account, id: sourceArn };
    if (target.principals.size >= maxPrincipals) target.principals.clear();
    target.principals.set(sourceArn, principal);
  }
  return principal;
}
