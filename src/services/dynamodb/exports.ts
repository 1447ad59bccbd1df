import { hash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { type Job, scheduleJob } from '../../kernel/agenda/agenda.ts';
import type { DueWrite } from '../../kernel/store/contract.ts';
import { nextKey, prefixRange } from '../../kernel/store/keys.ts';
import type { Caller } from '../../platform/context.ts';
import { AwsError } from '../../wire/errors.ts';
import type { Environment } from './environment.ts';
import { decodeExport, type ExportRecord, encodeExport, exportKey, itemsOfBackup } from './state-backups.ts';
import { jsonOf, sizeOf } from './stored-item.ts';

/**
 * Exports to S3: items copied as of a moment (copies.ts) go out as AWS lays them out, files of gzipped lines and two manifests
 * (developer guide, "DynamoDB table export output format"), by the bus and in the name of whoever asked.
 */
export const exportKind = 'dynamodb.export';

const compressed = promisify(gzip);
const chunk = 500;
const fileBytes = 8 * 1024 * 1024;

export interface ExportPayload {
  readonly id: string;
  readonly caller: Pick<Caller, 'account' | 'region' | 'principal'>;
}

export function exportJob(payload: ExportPayload, dueAtMs: number): DueWrite {
  return scheduleJob(exportKind, payload.id, dueAtMs, Buffer.from(JSON.stringify(payload)));
}

/** Writes the files of an export whose items have been copied. */
export async function runExport(env: Environment, job: Job): Promise<void> {
  const { store, clock } = env.platform;
  const { id, caller } = JSON.parse(job.payload.toString('utf8')) as ExportPayload;
  const key = exportKey(caller.account, caller.region, id);
  const entry = await store.get(key);
  if (entry === undefined) return void (await store.commit({ settle: [job.done()] }));
  const record = decodeExport(entry.value);
  const outcome = await writeFiles(env, record, caller, job.signal).catch((error: unknown) => {
    if (!(error instanceof AwsError)) throw error;
    return { status: 'FAILED' as const, failure: { code: error.code, message: error.message } };
  });
  if (outcome === undefined) return;
  await removeCopies(env, id);
  const value = encodeExport({ ...record, ...outcome, endedAtMs: clock.now() });
  await store.commit({ set: [{ key, value }], settle: [job.done()] });
}

/** Undefined: interrupted. */
async function writeFiles(
  env: Environment,
  record: ExportRecord,
  caller: Caller,
  signal: AbortSignal,
): Promise<Partial<ExportRecord> | undefined> {
  const { platform } = env;
  const { id, input } = record;
  const folder = `${input.prefix === undefined ? '' : `${input.prefix}/`}AWSDynamoDB/${id}`;
  const put = async (name: string, body: Buffer): Promise<string> => {
    const answer = await platform.bus.callByName(caller, 's3', 'PutObject', {
      Bucket: input.bucket,
      Key: `${folder}/${name}`,
      Body: body,
      ...(input.bucketOwner === undefined ? {} : { ExpectedBucketOwner: input.bucketOwner }),
      ...(input.encryption === undefined
        ? {}
        : { ServerSideEncryption: input.encryption === 'KMS' ? 'aws:kms' : 'AES256' }),
      ...(input.kmsKey === undefined ? {} : { SSEKMSKeyId: input.kmsKey }),
    });
    return String((answer as { readonly ETag?: string }).ETag ?? '').replaceAll('"', '');
  };
  const putWithSum = async (name: string, body: Buffer): Promise<void> => {
    await put(name, body);
    await put(name.replace(/\.json$/, '.md5'), Buffer.from(hash('md5', body, 'base64')));
  };
  await put('_started', Buffer.alloc(0));
  const files: string[] = [];
  let [count, bytes] = [0, 0];
  for await (const lines of linesOf(env, id)) {
    if (signal.aborted) return undefined;
    const body = await compressed(lines.text);
    // The same names when it is done again.
    const name = `data/${hash('md5', `${id} ${files.length}`).slice(0, 26)}.json.gz`;
    const etag = await put(name, body);
    const md5Checksum = hash('md5', body, 'base64');
    files.push(JSON.stringify({ itemCount: lines.count, md5Checksum, etag, dataFileS3Key: `${folder}/${name}` }));
    count += lines.count;
    bytes += lines.bytes;
  }
  await putWithSum('manifest-files.json', Buffer.from(files.map((line) => `${line}\n`).join('')));
  const summary = {
    version: '2020-06-30',
    exportArn: record.arn,
    startTime: new Date(record.startedAtMs).toISOString(),
    endTime: new Date(platform.clock.now()).toISOString(),
    tableArn: record.tableArn,
    tableId: record.tableId,
    exportTime: new Date(record.atMs).toISOString(),
    s3Bucket: input.bucket,
    s3Prefix: input.prefix ?? null,
    s3SseAlgorithm: input.encryption ?? 'AES256',
    s3SseKmsKeyId: input.kmsKey ?? null,
    manifestFilesS3Key: `${folder}/manifest-files.json`,
    billedSizeBytes: bytes,
    itemCount: count,
    outputFormat: 'DYNAMODB_JSON',
  };
  await putWithSum('manifest-summary.json', Buffer.from(JSON.stringify(summary)));
  return { status: 'COMPLETED', count, bytes, manifest: `${folder}/manifest-summary.json` };
}

/** The items as lines, a file's worth at a time. */
async function* linesOf(
  { platform: { store } }: Environment,
  id: string,
): AsyncGenerator<{ readonly text: string; readonly count: number; readonly bytes: number }> {
  const { start, end } = prefixRange(itemsOfBackup(id));
  let lines: string[] = [];
  let [length, bytes] = [0, 0];
  for (let from = start; ; ) {
    const entries = await store.list({ start: from, end }, { limit: chunk, maxBytes: fileBytes });
    for (const { value } of entries) {
      const line = `{"Item":${jsonOf(value)}}\n`;
      lines.push(line);
      length += line.length;
      bytes += sizeOf(value);
    }
    if (lines.length > 0 && (length >= fileBytes || entries.length === 0)) {
      yield { text: lines.join(''), count: lines.length, bytes };
      lines = [];
      [length, bytes] = [0, 0];
    }
    if (entries.length === 0) return;
    from = nextKey(entries.at(-1)!.key);
  }
}

async function removeCopies({ platform: { store } }: Environment, id: string): Promise<void> {
  for (;;) {
    const entries = await store.list(prefixRange(itemsOfBackup(id)), { limit: chunk });
    if (entries.length === 0) return;
    await store.commit({ delete: entries.map(({ key }) => key) });
  }
}
