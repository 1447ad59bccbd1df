import { commitOrLose, type Job, scheduleJob } from '../../kernel/agenda/agenda.ts';
import type { DueWrite } from '../../kernel/store/contract.ts';
import { parseArn } from '../../platform/arn.ts';
import type { Platform } from '../../platform/service.ts';
import { rolePrincipal } from './principals.ts';
import { type DiscardedBatch, discardedRecord } from './rules/stream-batches.ts';
import { decode, encode, type MappingRecord, type Place } from './state.ts';

/** The records of batches given up, on their way to the on-failure destination: jobs of the agenda. */
const discardedJobKind = 'lambda.discarded-batch';

const inlineBytes = 64 * 1024;
const leaseMs = 30_000;
const concurrency = 64;
const firstWaitMs = 1_000;
const longestWaitMs = 300_000;
/** As dead letters: given up after some hours. */
const mostAttempts = 100;

interface DiscardedDelivery extends Place {
  readonly targetArn: string;
  readonly roleArn: string;
  readonly sourceArn: string;
  readonly body: { readonly text: string } | { readonly blob: string };
  /** Of S3: where the record goes. */
  readonly objectKey?: string;
  readonly attempt: number;
}

/** The write that sends the record of a batch, to be part of the commit that gives the batch up. The same batch is sent once. */
export async function discardedJob(
  { clock, blobs, random }: Platform,
  mapping: MappingRecord,
  targetArn: string,
  roleArn: string,
  batch: DiscardedBatch,
): Promise<DueWrite> {
  const nowMs = clock.now();
  const s3 = parseArn(targetArn)?.service === 's3';
  const text = discardedRecord(batch, nowMs, s3);
  const bytes = Buffer.from(text, 'utf8');
  const delivery: DiscardedDelivery = {
    account: mapping.account,
    region: mapping.region,
    targetArn,
    roleArn,
    sourceArn: mapping.functionArn,
    body: bytes.length <= inlineBytes ? { text } : { blob: await blobs.put(bytes) },
    ...(s3 ? { objectKey: objectKey(mapping.uuid, batch.shardId, nowMs, random.uuid()) } : {}),
    attempt: 0,
  };
  const { items, shardId } = batch;
  const key = `${mapping.uuid}/${shardId}/${items[0]!.sequenceNumber}/${items.length}`;
  return scheduleJob(discardedJobKind, key, nowMs, encode(delivery));
}

/** https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html */
function objectKey(uuid: string, shardId: string, nowMs: number, random: string): string {
  const [date, time] = new Date(nowMs).toISOString().slice(0, 19).split('T') as [string, string];
  return `aws/lambda/${uuid}/${shardId}/${date.replaceAll('-', '/')}/${date}T${time.replaceAll(':', '.')}-${random}`;
}

/** Starts sending what is due. */
export function sendDiscardedBatches(platform: Platform): void {
  platform.agenda.handle(discardedJobKind, { concurrency, leaseMs, run: (job) => send(platform, job) });
}

async function send(platform: Platform, job: Job): Promise<void> {
  const { store, clock, targets, log } = platform;
  const delivery = decode<DiscardedDelivery>(job.payload);
  const attempt = delivery.attempt + 1;
  const outcome = await targets.deliver({
    deliveryId: job.key,
    targetArn: delivery.targetArn,
    principal: rolePrincipal(delivery.roleArn, 'lambda-event-source', delivery),
    sourceArn: delivery.sourceArn,
    account: delivery.account,
    region: delivery.region,
    attempt,
    body: await bodyOf(platform, delivery),
    ...(delivery.objectKey === undefined
      ? {}
      : { attributes: { objectKey: { type: 'String' as const, value: delivery.objectKey } } }),
  });
  if (outcome.result === 'retriable' && attempt < mostAttempts) {
    const waitMs = Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(attempt - 1, 20));
    await commitOrLose(store, { settle: [job.again(clock.now() + waitMs, encode({ ...delivery, attempt }))] });
    return;
  }
  if (outcome.result !== 'done')
    log.error('the record of a batch that was given up could not be delivered', {
      batch: job.key,
      target: delivery.targetArn,
      problem: `${outcome.error.code}: ${outcome.error.message}`,
    });
  await commitOrLose(store, { settle: [job.done()] });
}

async function bodyOf({ blobs }: Platform, { body }: DiscardedDelivery): Promise<string> {
  if ('text' in body) return body.text;
  const bytes = await blobs.get(body.blob);
  if (bytes === undefined) throw new Error('the record of a batch that was given up is missing from the blob store');
  return bytes.toString('utf8');
}
