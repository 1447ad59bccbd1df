import { GetItemCommand } from '@aws-sdk/client-dynamodb';
import { devicesTable, dynamodb } from './lib-devices.ts';

interface HttpEvent {
  readonly pathParameters?: Readonly<Record<string, string>>;
}

/** GET /devices/{macAddress}: the device's status. */
export async function handler(event: HttpEvent): Promise<{ statusCode: number; body: string }> {
  const macAddress = decodeURIComponent(event.pathParameters?.['macAddress'] ?? '').toLowerCase();
  const { Item: item } = await dynamodb.send(
    new GetItemCommand({ TableName: devicesTable, Key: { macAddress: { S: macAddress } }, ConsistentRead: true }),
  );
  if (item === undefined)
    return { statusCode: 404, body: JSON.stringify({ message: `there is no device ${macAddress}` }) };
  const plain = Object.fromEntries(Object.entries(item).map(([name, value]) => [name, value.S]));
  return { statusCode: 200, body: JSON.stringify(plain) };
}
