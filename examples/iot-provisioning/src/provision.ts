import {
  ConditionalCheckFailedException,
  DeleteItemCommand,
  PutItemCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { ChangeMessageVisibilityCommand, SQSClient } from '@aws-sdk/client-sqs';
import { dynamodb, type Registration, requiredEnv, setStatus } from './lib-devices.ts';

interface SqsRecord {
  readonly messageId: string;
  readonly receiptHandle: string;
  readonly body: string;
  readonly attributes: { readonly ApproximateReceiveCount: string };
}

interface BatchResponse {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
}

const locksTable = requiredEnv('LOCKS_TABLE');
const vendorUrl = requiredEnv('VENDOR_URL');
const queueUrl = requiredEnv('QUEUE_URL');
const maxReceiveCount = Number(requiredEnv('MAX_RECEIVE_COUNT'));
const retryDelayS = Number(requiredEnv('RETRY_DELAY_SECONDS'));
/** Longer than a call of the vendor may take, so that a lock is never taken over from somebody who still works. */
const leaseS = 30;
const vendorTimeoutMs = 5_000;
const lockLifetimeS = 14 * 86_400;
const sqs = new SQSClient({});

/**
 * Provisions the devices of a batch at the vendor. SQS delivers at least once: the lock makes that one call that
 * succeeds. What fails is reported by item and comes again, at last to the dead-letter queue.
 */
export async function handler(event: { readonly Records: readonly SqsRecord[] }): Promise<BatchResponse> {
  const outcomes = await Promise.all(
    event.Records.map(async (record) => ({ record, isDone: await provision(record) })),
  );
  const failed = outcomes.filter(({ isDone }) => !isDone);
  return { batchItemFailures: failed.map(({ record }) => ({ itemIdentifier: record.messageId })) };
}

async function provision(record: SqsRecord): Promise<boolean> {
  const registration = JSON.parse(record.body) as Registration;
  const { eventId, macAddress } = registration;
  const attempt = Number(record.attributes.ApproximateReceiveCount);
  const lock = await takeLock(eventId);
  if (lock === 'done') {
    // Whoever finished may have been cut off before it could say so.
    await setStatus(registration, 'provisioned');
    console.log(`${macAddress}: delivered again after it was provisioned, skipped`);
    return true;
  }
  if (lock === 'held') {
    console.log(`${macAddress}: somebody else is at it`);
    return false;
  }
  await setStatus(registration, 'provisioning');
  try {
    await callVendor(eventId, macAddress);
  } catch (error) {
    console.log(`${macAddress}: attempt ${attempt} of ${maxReceiveCount} failed: ${(error as Error).message}`);
    await releaseLock(eventId);
    const isLast = attempt >= maxReceiveCount;
    if (isLast) await setStatus(registration, 'failed');
    // The last one need not wait: the next receive moves it to the dead-letter queue.
    await reappearIn(record, isLast ? 0 : Math.min(900, retryDelayS * 2 ** (attempt - 1)));
    return false;
  }
  await finishLock(eventId);
  await setStatus(registration, 'provisioned');
  console.log(`${macAddress}: provisioned at attempt ${attempt}`);
  return true;
}

async function callVendor(eventId: string, macAddress: string): Promise<void> {
  const response = await fetch(`${vendorUrl}/provision`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': eventId },
    body: JSON.stringify({ macAddress }),
    signal: AbortSignal.timeout(vendorTimeoutMs),
  });
  if (!response.ok) throw new Error(`the vendor answered ${response.status}`);
}

/** A conditional write keyed by the event: only one caller gets past it, until the lease ends or the work is done. */
async function takeLock(eventId: string): Promise<'taken' | 'held' | 'done'> {
  const nowS = Math.floor(Date.now() / 1000);
  try {
    await dynamodb.send(
      new PutItemCommand({
        TableName: locksTable,
        Item: {
          eventId: { S: eventId },
          state: { S: 'running' },
          leaseUntil: { N: String(nowS + leaseS) },
          expiresAt: { N: String(nowS + lockLifetimeS) },
        },
        ConditionExpression: 'attribute_not_exists(eventId) OR (#state = :running AND leaseUntil < :now)',
        ExpressionAttributeNames: { '#state': 'state' },
        ExpressionAttributeValues: { ':running': { S: 'running' }, ':now': { N: String(nowS) } },
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      }),
    );
    return 'taken';
  } catch (error) {
    if (!(error instanceof ConditionalCheckFailedException)) throw error;
    return error.Item?.['state']?.S === 'done' ? 'done' : 'held';
  }
}

async function finishLock(eventId: string): Promise<void> {
  await dynamodb.send(
    new UpdateItemCommand({
      TableName: locksTable,
      Key: { eventId: { S: eventId } },
      UpdateExpression: 'SET #state = :done REMOVE leaseUntil',
      ExpressionAttributeNames: { '#state': 'state' },
      ExpressionAttributeValues: { ':done': { S: 'done' } },
    }),
  );
}

async function releaseLock(eventId: string): Promise<void> {
  await dynamodb.send(new DeleteItemCommand({ TableName: locksTable, Key: { eventId: { S: eventId } } }));
}

/** Brings the message back sooner than the queue's visibility timeout would. */
async function reappearIn(record: SqsRecord, delayS: number): Promise<void> {
  await sqs.send(
    new ChangeMessageVisibilityCommand({
      QueueUrl: queueUrl,
      ReceiptHandle: record.receiptHandle,
      VisibilityTimeout: delayS,
    }),
  );
}
