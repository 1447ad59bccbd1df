import type { Handlers } from '../../../platform/service.ts';
import type { ContinuousBackupsDescription } from '../../../wire/types/dynamodb.ts';
import { copyJob } from '../copies.ts';
import { commitOn, type Environment, type Place, untilCommitted } from '../environment.ts';
import { withHistory, withoutNeedlessHistory } from '../history-life.ts';
import { RuleError } from '../rules/errors.ts';
import { restoreTime, tableGone } from '../rules/restore.ts';
import { encodeRecord, type TableRecord } from '../state.ts';
import type { Table } from '../tables.ts';
import { backupsUnavailable, restoreTable } from './backups.ts';

const dayMs = 86_400_000;

/** DescribeContinuousBackups, UpdateContinuousBackups, RestoreTableToPointInTime. */
export function recoveryOperations(env: Environment): Handlers<'dynamodb'> {
  const { clock } = env.platform;
  return {
    async DescribeContinuousBackups(context, input) {
      const { record } = await requireTable(env, context, input.TableName);
      return { ContinuousBackupsDescription: descriptionOf(record, clock.now()) };
    },

    async UpdateContinuousBackups(context, input) {
      const { PointInTimeRecoveryEnabled: enabled, RecoveryPeriodInDays: given } =
        input.PointInTimeRecoverySpecification;
      if (!enabled && given !== undefined) {
        throw new RuleError(
          'Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery.',
        );
      }
      const days = given ?? env.limits.recoveryDays;
      const changed = await untilCommitted(async () => {
        const table = await requireTable(env, context, input.TableName);
        if (table.record.status === 'CREATING') throw backupsUnavailable(input.TableName);
        const nowMs = clock.now();
        const { record, schedule } = enabled
          ? switchedOn(table.record, days, nowMs)
          : withoutNeedlessHistory(without(table.record), nowMs);
        const result = await commitOn(env, [table], {
          checks: [table.check],
          set: [{ key: table.key, value: encodeRecord(record) }],
          schedule,
        });
        if (!result.ok) return undefined;
        env.tables.forget(table);
        return record;
      });
      return { ContinuousBackupsDescription: descriptionOf(changed, clock.now()) };
    },

    async RestoreTableToPointInTime(context, input) {
      const { SourceTableArn: arn, SourceTableName: name } = input;
      if ((arn === undefined) === (name === undefined)) {
        throw new RuleError('Must provide exactly one of: sourceTableArn, sourceTableName');
      }
      const source = (arn ?? name)!;
      const description = await untilCommitted(async () => {
        const { record, arn: tableArn } = await requireTable(env, context, source);
        const { recovery, history } = record;
        if (recovery === undefined || history === undefined) {
          throw new RuleError(
            `Point in time recovery is not enabled for table '${record.name}'`,
            'PointInTimeRecoveryUnavailableException',
          );
        }
        const nowMs = clock.now();
        const atMs = restoreTime(input, earliestOf(recovery, nowMs), nowMs);
        const restore = { tableArn, restoredAtMs: atMs, isUnderWay: true };
        const from = { table: record.name, id: record.id, atMs, historySinceMs: history.sinceMs };
        return restoreTable(env, context, input.TargetTableName, record, restore, input, (id) =>
          copyJob(context, from, { table: input.TargetTableName, id }, nowMs),
        );
      });
      return { TableDescription: description };
    },
  };
}

type Recovery = NonNullable<TableRecord['recovery']>;

/** One that is on already keeps its history; another length of it is all that may change. */
function switchedOn(before: TableRecord, days: number, nowMs: number): ReturnType<typeof withHistory> {
  const { record, schedule } = withHistory(before, nowMs);
  return { record: { ...record, recovery: { sinceMs: before.recovery?.sinceMs ?? nowMs, days } }, schedule };
}

function without({ recovery: _, ...others }: TableRecord): TableRecord {
  return others;
}

/** AWS: continuous backups are on for every table; point-in-time recovery is a switch. */
function descriptionOf({ recovery }: TableRecord, nowMs: number): ContinuousBackupsDescription {
  return {
    ContinuousBackupsStatus: 'ENABLED',
    PointInTimeRecoveryDescription:
      recovery === undefined
        ? { PointInTimeRecoveryStatus: 'DISABLED' }
        : {
            PointInTimeRecoveryStatus: 'ENABLED',
            RecoveryPeriodInDays: recovery.days,
            // Whole seconds, for that is what many clients send back.
            EarliestRestorableDateTime: Math.ceil(earliestOf(recovery, nowMs) / 1000) * 1000,
            LatestRestorableDateTime: Math.floor(nowMs / 1000) * 1000,
          },
  };
}

function earliestOf({ sinceMs, days }: Recovery, nowMs: number): number {
  return Math.max(sinceMs, nowMs - days * dayMs);
}

async function requireTable(env: Environment, place: Place, nameOrArn: string): Promise<Table> {
  const name = env.tables.nameOf(place, nameOrArn);
  const table = name === undefined ? undefined : await env.tables.read(place, name);
  if (table === undefined) throw tableGone(nameOrArn);
  return table;
}
