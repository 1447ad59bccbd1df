import { AwsError } from '../../../wire/errors.ts';
import type { ThrottleReason } from '../../../wire/types/lambda.ts';
import { lambdaLimits } from '../limits.ts';
import { invalidParameter } from './names.ts';

/** What an invocation meets at the door. */
export interface Occupancy {
  readonly reserved: number | undefined;
  /** Executions under way of this function, all versions together. */
  readonly ofFunction: number;
  /** Executions under way of all functions without a reservation. */
  readonly unreserved: number;
  /** What is left for them; infinite when the account's pool is lifted. */
  readonly unreservedLimit: number;
}

/** Why an invocation is refused; undefined: it may go on. */
export function refusal(occupancy: Occupancy): ThrottleReason | undefined {
  const { reserved, ofFunction, unreserved, unreservedLimit } = occupancy;
  if (reserved !== undefined)
    return ofFunction >= reserved ? 'ReservedFunctionConcurrentInvocationLimitExceeded' : undefined;
  return unreserved >= unreservedLimit ? 'ConcurrentInvocationLimitExceeded' : undefined;
}

/** The 429 that callers see (message and members from recorded AWS responses: test_reserved_concurrency). */
export function throttled(reason: ThrottleReason, retryAfterMs = 1_000): AwsError {
  return new AwsError('TooManyRequestsException', 'Rate Exceeded.', {
    status: 429,
    fields: { Type: 'User', Reason: reason, retryAfterSeconds: String(Math.ceil(retryAfterMs / 1_000)) },
  });
}

/** A reservation must leave the floor to everyone else (test_function_concurrency_limits). */
export function checkReservation(
  reservations: Readonly<Record<string, number>>,
  name: string,
  wanted: number,
  pool: number,
): void {
  const others = reservedTotal(reservations) - (reservations[name] ?? 0);
  if (pool - others - wanted >= lambdaLimits.unreservedFloor.value) return;
  throw invalidParameter(
    `Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [${lambdaLimits.unreservedFloor.value}].`,
  );
}

export function reservedTotal(reservations: Readonly<Record<string, number>>): number {
  return Object.values(reservations).reduce((sum, value) => sum + value, 0);
}
