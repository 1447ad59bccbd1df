import { DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb';

export type DeviceStatus = 'registered' | 'provisioning' | 'provisioned' | 'failed';

export const dynamodb = new DynamoDBClient({});
export const devicesTable = requiredEnv('DEVICES_TABLE');

export function requiredEnv(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`the environment variable ${name} is missing`);
  return value;
}

/** Which registration of which device: a device that is registered anew has a new event. */
export interface Registration {
  readonly eventId: string;
  readonly macAddress: string;
}

/** Records a status; one that comes late changes neither a provisioned device nor a newer registration. */
export async function setStatus({ eventId, macAddress }: Registration, status: DeviceStatus): Promise<void> {
  try {
    await dynamodb.send(
      new UpdateItemCommand({
        TableName: devicesTable,
        Key: { macAddress: { S: macAddress } },
        UpdateExpression: 'SET #status = :status, updatedAt = :now',
        ConditionExpression: 'eventId = :eventId AND #status <> :provisioned',
        ExpressionAttributeNames: { '#status': 'status' },
        ExpressionAttributeValues: {
          ':status': { S: status },
          ':eventId': { S: eventId },
          ':provisioned': { S: 'provisioned' },
          ':now': { S: new Date().toISOString() },
        },
      }),
    );
  } catch (error) {
    if ((error as Error).name !== 'ConditionalCheckFailedException') throw error;
  }
}
