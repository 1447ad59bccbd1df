import { DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb';

export type DeviceStatus = 'registered' | 'provisioning' | 'provisioned' | 'failed';

export const dynamodb = new DynamoDBClient({});
export const devicesTable = requiredEnv('DEVICES_TABLE');

export function requiredEnv(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`the environment variable ${name} is missing`);
  return value;
}

/** Records a device's status; a device that is provisioned stays so, whatever comes late. */
export async function setStatus(macAddress: string, status: DeviceStatus): Promise<void> {
  try {
    await dynamodb.send(
      new UpdateItemCommand({
        TableName: devicesTable,
        Key: { macAddress: { S: macAddress } },
        UpdateExpression: 'SET #status = :status, updatedAt = :now',
        ConditionExpression: 'attribute_exists(macAddress) AND #status <> :provisioned',
        ExpressionAttributeNames: { '#status': 'status' },
        ExpressionAttributeValues: {
          ':status': { S: status },
          ':provisioned': { S: 'provisioned' },
          ':now': { S: new Date().toISOString() },
        },
      }),
    );
  } catch (error) {
    if ((error as Error).name !== 'ConditionalCheckFailedException') throw error;
  }
}
