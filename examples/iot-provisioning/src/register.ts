import { randomUUID } from 'node:crypto';
import { PutItemCommand } from '@aws-sdk/client-dynamodb';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { devicesTable, dynamodb, requiredEnv } from './lib-devices.ts';

interface HttpEvent {
  readonly body?: string;
  readonly isBase64Encoded?: boolean;
}

interface Registration {
  readonly macAddress: string;
  readonly customerId: string;
}

const sqs = new SQSClient({});
const queueUrl = requiredEnv('QUEUE_URL');

/** POST /devices: writes the device down, queues its provisioning and answers at once. */
export async function handler(event: HttpEvent): Promise<{ statusCode: number; body: string }> {
  const registration = parse(event);
  if (typeof registration === 'string') return { statusCode: 400, body: JSON.stringify({ message: registration }) };
  const { macAddress, customerId } = registration;
  const eventId = randomUUID();
  await dynamodb.send(
    new PutItemCommand({
      TableName: devicesTable,
      Item: {
        macAddress: { S: macAddress },
        customerId: { S: customerId },
        eventId: { S: eventId },
        status: { S: 'registered' },
        updatedAt: { S: new Date().toISOString() },
      },
    }),
  );
  await sqs.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: JSON.stringify({ eventId, macAddress }) }));
  return { statusCode: 202, body: JSON.stringify({ eventId }) };
}

/** The registration, or what is wrong with it. */
function parse(event: HttpEvent): Registration | string {
  const text =
    event.isBase64Encoded === true ? Buffer.from(event.body ?? '', 'base64').toString('utf8') : (event.body ?? '');
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return 'the body is not JSON';
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return 'the body must be a JSON object';
  const { macAddress, customerId } = body as Record<string, unknown>;
  if (typeof macAddress !== 'string') return 'macAddress is missing';
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(macAddress))
    return `macAddress '${macAddress}' is not of the form 02:00:5e:10:00:01`;
  if (typeof customerId !== 'string' || customerId === '') return 'customerId is missing';
  return { macAddress: macAddress.toLowerCase(), customerId };
}
