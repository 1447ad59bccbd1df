import { AwsError } from '../../../wire/errors.ts';
import type { ThrottleReason } from '../../../wire/types/lambda.ts';
import { lambdaLimits } from '../limits.ts';
import type { AccountRecord, AliasRecord, FunctionRecord } from '../state.ts';
import { conflict, invalidParameter } from './names.ts';

/** What an invocation meets at the door. */
export interface Occupancy {
  readonly reserved: number | undefined;
  /** Of the reservation, what is set aside for environments that are started ahead. */
  readonly provisioned: number;
  /** Executions under way of this function outside of those, all versions together. */
  readonly ofFunction: number;
  /** Executions under way of all functions without a reservation. */
  readonly unreserved: number;
  /** What is left for them; infinite when the account's pool is lifted. */
  readonly unreservedLimit: number;
}

/** Why an invocation is refused; undefined: it may go on. */
export function refusal(occupancy: Occupancy): ThrottleReason | undefined {
  const { reserved, provisioned, ofFunction, unreserved, unreservedLimit } = occupancy;
  if (reserved !== undefined)
    return ofFunction >= reserved - provisioned ? 'ReservedFunctionConcurrentInvocationLimitExceeded' : undefined;
  return unreserved >= unreservedLimit ? 'ConcurrentInvocationLimitExceeded' : undefined;
}

/** The 429 that callers see (message and members from recorded AWS responses: test_reserved_concurrency). */
export function throttled(reason: ThrottleReason, retryAfterMs = 1_000): AwsError {
  return new AwsError('TooManyRequestsException', 'Rate Exceeded.', {
    status: 429,
    fields: { Type: 'User', Reason: reason, retryAfterSeconds: String(Math.ceil(retryAfterMs / 1_000)) },
  });
}

/**
 * A reservation must leave the floor to everyone else, and hold what is provisioned (recorded: test_function_concurrency_limits; the second
 * text: LocalStack's provider, after AWS).
 */
export function checkReservation(
  account: AccountRecord,
  { name, provisioned }: FunctionRecord,
  wanted: number,
  pool: number,
): void {
  const { unreservedFloor } = lambdaLimits;
  if (pool - claimedByOthers(account, name) - wanted < unreservedFloor.value)
    throw invalidParameter(
      `Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [${unreservedFloor.value}].`,
    );
  const total = provisionedTotal(provisioned);
  if (total > wanted)
    throw invalidParameter(
      ` ReservedConcurrentExecutions  ${wanted} should not be lower than function's total provisioned concurrency [${total}].`,
    );
}

/**
 * Provisioned concurrency stays within the function's reservation, or leaves the account its floor (recorded:
 * test_provisioned_concurrency_limits; the first text: LocalStack's provider, after AWS).
 */
export function checkProvisioned(
  account: AccountRecord,
  { name, provisioned, reservedConcurrency }: FunctionRecord,
  qualifier: string,
  wanted: number,
  pool: number,
): void {
  const total = provisionedTotal({ ...provisioned, [qualifier]: { requested: wanted, lastModifiedMs: 0 } });
  if (reservedConcurrency !== undefined) {
    if (total <= reservedConcurrency) return;
    throw invalidParameter(
      'Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function',
    );
  }
  const free = pool - claimedByOthers(account, name);
  if (total > free)
    throw invalidParameter(
      `Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [${free}].`,
    );
  const { unreservedFloor } = lambdaLimits;
  if (free - total < unreservedFloor.value)
    throw invalidParameter(
      `Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [${unreservedFloor.value}].`,
    );
}

/** An alias that is provisioned goes to published versions only that are not provisioned themselves (texts of like refusals). */
export function checkMove({ provisioned = {} }: FunctionRecord, alias: AliasRecord): void {
  if (provisioned[alias.name] === undefined) return;
  if (alias.version === '$LATEST') throw invalidParameter('Invalid alias configuration for Provisioned Concurrency');
  if (provisioned[alias.version] !== undefined)
    throw conflict("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version");
}

/** What is left of the account's pool: a function claims its reservation, or else what is provisioned for it. */
export function unreservedConcurrency(account: AccountRecord, pool: number): number {
  return pool - claimedByOthers(account, undefined);
}

export function provisionedTotal(provisioned: FunctionRecord['provisioned']): number {
  if (provisioned === undefined) return 0;
  return Object.values(provisioned).reduce((sum, { requested }) => sum + requested, 0);
}

function claimedByOthers({ reserved, provisioned = {} }: AccountRecord, name: string | undefined): number {
  let claimed = 0;
  for (const [other, count] of Object.entries(reserved)) if (other !== name) claimed += count;
  for (const [other, count] of Object.entries(provisioned))
    if (other !== name && !(other in reserved)) claimed += count;
  return claimed;
}

/** How many environments each version gets of what an alias is provisioned with: their shares of its invocations. */
export function provisionedShares(alias: AliasRecord, requested: number): ReadonlyMap<string, number> {
  const shares = new Map<string, number>();
  let left = requested;
  for (const [version, weight] of Object.entries(alias.weights ?? {})) {
    const share = Math.min(left, Math.round(requested * weight));
    shares.set(version, share);
    left -= share;
  }
  return shares.set(alias.version, left);
}
