/**
 * Throughput settings of tables and indexes: what they become, how often they may go down, and what they are kept warm for.
 * Texts: dynalite's actions/updateTable.js, run against AWS; ack-api-quirks, finding DDB-TABLE-442; limits: developer guide "Quotas".
 */
import type { OnDemandThroughput, WarmThroughput } from '../../../wire/types/dynamodb.ts';
import type { TableRecord, Throughput } from '../state.ts';
import { invalidParameter, RuleError } from './errors.ts';

export interface UnitsInput {
  readonly ReadCapacityUnits: number;
  readonly WriteCapacityUnits: number;
}

export interface WarmUnits {
  readonly readUnits: number;
  readonly writeUnits: number;
}

export const unprovisioned: Throughput = { readUnits: 0, writeUnits: 0, decreases: 0 };

/** What a new on-demand table, or index, can take. */
const onDemandAtFirst: WarmUnits = { readUnits: 12_000, writeUnits: 4_000 };

const dayMs = 86_400_000;
const hourMs = 3_600_000;
/** On a day; after those one an hour. */
const freeDecreases = 4;

export interface Decreasing {
  /** Whether decreases are counted against the limit. */
  readonly isLimited: boolean;
}

/** The setting after an update. Throws RuleError. */
export function changedThroughput(
  before: Throughput,
  after: UnitsInput | undefined,
  nowMs: number,
  { isLimited }: Decreasing,
): Throughput {
  if (after === undefined) return before;
  const { ReadCapacityUnits: readUnits, WriteCapacityUnits: writeUnits } = after;
  const increases = readUnits > before.readUnits || writeUnits > before.writeUnits;
  const decreases = readUnits < before.readUnits || writeUnits < before.writeUnits;
  const isSameDay =
    before.decreasedAtMs !== undefined && Math.floor(before.decreasedAtMs / dayMs) === Math.floor(nowMs / dayMs);
  const today = isSameDay ? before.decreases : 0;
  if (decreases && isLimited && today >= freeDecreases && nowMs < before.decreasedAtMs! + hourMs) {
    throw tooManyDecreases(today, before.decreasedAtMs!);
  }
  return {
    ...before,
    readUnits,
    writeUnits,
    ...(increases ? { increasedAtMs: nowMs } : {}),
    ...(decreases ? { decreasedAtMs: nowMs, decreases: today + 1 } : {}),
  };
}

/** An update to what there is already is refused; `of` is `table` or `index <name>`. */
export function checkWillChange(before: Throughput, after: UnitsInput, of: string): void {
  const { ReadCapacityUnits: readUnits, WriteCapacityUnits: writeUnits } = after;
  if (readUnits !== before.readUnits || writeUnits !== before.writeUnits) return;
  const what = of.split(' ')[0]!;
  throw new RuleError(
    `The provisioned throughput for the ${of} will not change. The requested value equals the current value. ` +
      `Current ReadCapacityUnits provisioned for the ${what}: ${before.readUnits}. Requested ReadCapacityUnits: ${readUnits}. ` +
      `Current WriteCapacityUnits provisioned for the ${what}: ${before.writeUnits}. Requested WriteCapacityUnits: ${writeUnits}. ` +
      'Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.',
  );
}

/** Maxima of on-demand tables: at least one, or -1 for none. */
export function checkOnDemandBounds(given: OnDemandThroughput | undefined, index?: string): void {
  for (const name of ['MaxReadRequestUnits', 'MaxWriteRequestUnits'] as const) {
    const units = given?.[name];
    if (units === undefined || units === -1 || units >= 1) continue;
    const of = index === undefined ? 'table' : `index : ${index}`;
    throw invalidParameter(`Requested ${name} for OnDemandThroughput for ${of} is outside of valid range`);
  }
}

/** Maxima of requests are on-demand tables' alone. */
export function checkOnDemandMode(given: OnDemandThroughput | undefined, isOnDemand: boolean, index?: string): void {
  if (given === undefined || isOnDemand) return;
  const name = given.MaxReadRequestUnits !== undefined ? 'MaxReadRequestUnits' : 'MaxWriteRequestUnits';
  const of = index === undefined ? '' : ` for index : ${index}`;
  throw invalidParameter(
    `${name} for OnDemandThroughput${of} cannot be specified when the table BillingMode is PROVISIONED`,
  );
}

/** Throughput that is kept ready never goes down. `isNew`: a table or index being created. Throws RuleError. */
export function warmed(
  given: WarmThroughput | undefined,
  now: WarmUnits,
  { isOnDemand, isNew, index }: { readonly isOnDemand: boolean; readonly isNew: boolean; readonly index?: string },
): WarmUnits | undefined {
  if (given === undefined) return undefined;
  const after = {
    readUnits: given.ReadUnitsPerSecond ?? now.readUnits,
    writeUnits: given.WriteUnitsPerSecond ?? now.writeUnits,
  };
  const of = index === undefined ? 'table' : `index ${index}`;
  for (const [name, unit, capacity] of [
    ['ReadUnitsPerSecond', 'readUnits', 'ReadCapacityUnits'],
    ['WriteUnitsPerSecond', 'writeUnits', 'WriteCapacityUnits'],
  ] as const) {
    if (after[unit] >= now[unit]) continue;
    const lower = `Requested ${name} for WarmThroughput for ${of} is lower than`;
    if (!isNew) {
      throw invalidParameter(`${lower} current WarmThroughput, decreasing WarmThroughput is not supported`);
    }
    throw invalidParameter(
      isOnDemand ? `${lower} initial throughput for OnDemand` : `${lower} ${capacity} of ProvisionedThroughput`,
    );
  }
  return after;
}

/** What a table or index is ready for: what was asked for, and at least what its mode gives. */
export function warmUnits(
  { billingMode }: Pick<TableRecord, 'billingMode'>,
  { throughput, warm }: { readonly throughput: Throughput; readonly warm?: WarmUnits },
): WarmUnits {
  const base = billingMode === 'PAY_PER_REQUEST' ? onDemandAtFirst : throughput;
  return {
    readUnits: Math.max(base.readUnits, warm?.readUnits ?? 0),
    writeUnits: Math.max(base.writeUnits, warm?.writeUnits ?? 0),
  };
}

/** `Tuesday, November 3, 2026 at 9:00:00 AM UTC` */
function dateText(epochMs: number): string {
  return new Date(epochMs).toLocaleString('en-US', { dateStyle: 'full', timeStyle: 'long', timeZone: 'UTC' });
}

function tooManyDecreases(today: number, lastAtMs: number): RuleError {
  return new RuleError(
    'Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the first ' +
      `${freeDecreases} decreases, each subsequent decrease in the same UTC day can be performed at most once every 3600 ` +
      `seconds. Number of decreases today: ${today}. Last decrease at ${dateText(lastAtMs)}. ` +
      `Next decrease can be made at ${dateText(lastAtMs + hourMs)}`,
    'LimitExceededException',
  );
}

const mostSwitches = 4;

/** When a table became on-demand, now included: four times in 24 hours at most. Throws RuleError. */
export function switchedToOnDemand(
  before: readonly number[],
  nowMs: number,
  { isLimited }: Decreasing,
): readonly number[] {
  const recent = before.filter((atMs) => atMs > nowMs - dayMs);
  if (isLimited && recent.length >= mostSwitches) {
    throw new RuleError(
      `Subscriber limit exceeded: Update to PayPerRequest mode are limited to ${mostSwitches} times in 1 day(s). ` +
        `Last update at ${dateText(recent.at(-1)!)}. Next update can be made at ${dateText(recent[0]! + dayMs)}`,
      'LimitExceededException',
    );
  }
  return [...recent, nowMs];
}
