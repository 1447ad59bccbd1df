import { parseArn } from '../../../platform/arn.ts';
import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { ExportDescription, ExportTableToPointInTimeInput } from '../../../wire/types/dynamodb.ts';
import { copyJob } from '../copies.ts';
import { type Environment, notBuilt, type Place } from '../environment.ts';
import { RuleError } from '../rules/errors.ts';
import { backupIdOf, tableGone } from '../rules/restore.ts';
import { decodeExport, type ExportRecord, encodeExport, exportKey, exportsOf } from '../state-backups.ts';

const dayMs = 86_400_000;
/** How long a ClientToken stands for one export (API reference, "ExportTableToPointInTime"). */
const tokenLifeMs = 8 * 3_600_000;

/** ExportTableToPointInTime, DescribeExport, ListExports: to S3, by the bus. */
export function exportOperations(env: Environment): Handlers<'dynamodb'> {
  const { store, clock, bus, random } = env.platform;
  return {
    async ExportTableToPointInTime(context, input) {
      const name = env.tables.nameOf(context, input.TableArn);
      const table = name === undefined ? undefined : await env.tables.read(context, name);
      if (table === undefined) throw tableGone(input.TableArn);
      const { record, arn } = table;
      if (record.recovery === undefined || record.history === undefined) {
        throw new RuleError(
          `Point in time recovery is not enabled for table '${record.name}'`,
          'PointInTimeRecoveryUnavailableException',
        );
      }
      if (input.ExportFormat === 'ION') throw notBuilt('An export in Amazon Ion');
      if (input.ExportType === 'INCREMENTAL_EXPORT') throw notBuilt('An incremental export');
      const nowMs = clock.now();
      const atMs = input.ExportTime ?? nowMs;
      if (atMs < Math.max(record.recovery.sinceMs, nowMs - record.recovery.days * dayMs) || atMs > nowMs) {
        throw new RuleError(
          'The specified ExportTime is outside of the point in time recovery window.',
          'InvalidExportTimeException',
        );
      }
      const known = await exportWithToken(env, context, input, nowMs);
      if (known !== undefined) return { ExportDescription: descriptionOf(known) };
      // Without S3 there is nowhere to export to: that is said now, and not when the copy has been made.
      await bus.callByName(context, 's3', 'HeadBucket', { Bucket: input.S3Bucket }).catch((error: unknown) => {
        if (error instanceof AwsError && error.status === 501) throw error;
      });
      const id = backupIdOf(nowMs, random.hex(8));
      const made: ExportRecord = {
        id,
        arn: `${arn}/export/${id}`,
        tableArn: arn,
        tableId: record.tableId,
        status: 'IN_PROGRESS',
        startedAtMs: nowMs,
        atMs,
        input: {
          bucket: input.S3Bucket,
          ...(input.S3Prefix === undefined ? {} : { prefix: input.S3Prefix.replace(/\/$/, '') }),
          ...(input.S3BucketOwner === undefined ? {} : { bucketOwner: input.S3BucketOwner }),
          ...(input.S3SseAlgorithm === undefined ? {} : { encryption: input.S3SseAlgorithm }),
          ...(input.S3SseKmsKeyId === undefined ? {} : { kmsKey: input.S3SseKmsKeyId }),
          ...(input.ClientToken === undefined ? {} : { clientToken: input.ClientToken }),
        },
      };
      const { account, region, principal } = context;
      const from = { table: record.name, id: record.id, atMs, historySinceMs: record.history.sinceMs };
      const job = copyJob(record, from, { backup: id, exportedBy: { account, region, principal } }, nowMs);
      await store.commit({
        set: [{ key: exportKey(account, region, id), value: encodeExport(made) }, ...job.set],
        schedule: job.schedule,
      });
      return { ExportDescription: descriptionOf(made) };
    },

    async DescribeExport(context, { ExportArn: arn }) {
      const [kind, , what, id, ...more] = parseArn(arn)?.resource.split('/') ?? [];
      if (kind !== 'table' || what !== 'export' || id === undefined || more.length > 0) {
        throw new RuleError('Invalid Export ARN');
      }
      const entry = await store.get(exportKey(context.account, context.region, id));
      const record = entry && decodeExport(entry.value);
      if (record?.arn !== arn) throw new RuleError(`Export not found: ${arn}`, 'ExportNotFoundException');
      return { ExportDescription: descriptionOf(record) };
    },

    async ListExports(context, { TableArn, MaxResults, NextToken }) {
      const all = await allExports(env, context);
      const found = all.filter(
        (one) => (TableArn === undefined || one.tableArn === TableArn) && one.id > (NextToken ?? ''),
      );
      const page = found.slice(0, MaxResults ?? env.limits.exportsPage);
      return {
        ExportSummaries: page.map(({ arn, status }) => ({
          ExportArn: arn,
          ExportStatus: status,
          ExportType: 'FULL_EXPORT' as const,
        })),
        NextToken: page.length < found.length ? page.at(-1)!.id : undefined,
      };
    },
  };
}

async function allExports(
  { platform: { store } }: Environment,
  { account, region }: Place,
): Promise<readonly ExportRecord[]> {
  return (await store.list(exportsOf(account, region))).map(({ value }) => decodeExport(value));
}

async function exportWithToken(
  env: Environment,
  place: Place,
  { ClientToken: token, TableArn, S3Bucket }: ExportTableToPointInTimeInput,
  nowMs: number,
): Promise<ExportRecord | undefined> {
  if (token === undefined) return undefined;
  const all = await allExports(env, place);
  const known = all.find(({ input, startedAtMs }) => input.clientToken === token && startedAtMs > nowMs - tokenLifeMs);
  if (known === undefined || (known.tableArn === TableArn && known.input.bucket === S3Bucket)) return known;
  throw new RuleError('The request uses a ClientToken of an export with other parameters.', 'ExportConflictException');
}

function descriptionOf(record: ExportRecord): ExportDescription {
  const { input } = record;
  return {
    ExportArn: record.arn,
    ExportStatus: record.status,
    StartTime: record.startedAtMs,
    EndTime: record.endedAtMs,
    ExportManifest: record.manifest,
    TableArn: record.tableArn,
    TableId: record.tableId,
    ExportTime: record.atMs,
    ClientToken: input.clientToken,
    S3Bucket: input.bucket,
    S3BucketOwner: input.bucketOwner,
    S3Prefix: input.prefix,
    S3SseAlgorithm: input.encryption,
    S3SseKmsKeyId: input.kmsKey,
    FailureCode: record.failure?.code,
    FailureMessage: record.failure?.message,
    ExportFormat: 'DYNAMODB_JSON',
    BilledSizeBytes: record.bytes,
    ItemCount: record.count,
    ExportType: 'FULL_EXPORT',
  };
}
