import { setTimeout as delay } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import {
  CreateTableCommand,
  type CreateTableCommandInput,
  DescribeTableCommand,
  type DynamoDBClient,
  type TableDescription,
} from '@aws-sdk/client-dynamodb';
import type { VirtualClock } from '../../kernel/clock/virtual.ts';

/** Creates a table and waits until it can be used. */
export async function createTable(
  client: DynamoDBClient,
  input: Partial<CreateTableCommandInput> & { readonly TableName: string },
  clock?: VirtualClock,
): Promise<TableDescription> {
  await client.send(
    new CreateTableCommand({
      AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
      BillingMode: 'PAY_PER_REQUEST',
      ...input,
    }),
  );
  return untilActive(client, input.TableName, clock);
}

/** A key of a string and a number. */
export const compositeKey = {
  AttributeDefinitions: [
    { AttributeName: 'pk', AttributeType: 'S' },
    { AttributeName: 'sk', AttributeType: 'N' },
  ],
  KeySchema: [
    { AttributeName: 'pk', KeyType: 'HASH' },
    { AttributeName: 'sk', KeyType: 'RANGE' },
  ],
} satisfies Partial<CreateTableCommandInput>;

/** Until table and indexes are ACTIVE; a virtual clock, which stands still, is moved on. */
export async function untilActive(
  client: DynamoDBClient,
  name: string,
  clock?: VirtualClock,
): Promise<TableDescription> {
  for (let waited = 0; waited < 500; waited++) {
    const { Table } = await client.send(new DescribeTableCommand({ TableName: name }));
    const indexes = Table?.GlobalSecondaryIndexes ?? [];
    if (Table?.TableStatus === 'ACTIVE' && indexes.every(({ IndexStatus }) => IndexStatus === 'ACTIVE')) return Table;
    await (clock === undefined ? delay(20) : clock.advance(50));
  }
  throw new Error(`${name} did not become active`);
}

/** A request as it stands, for what no SDK would send; the answer's checksum is checked on the way. */
export async function rawRequest(
  endpoint: string,
  operation: string,
  body: unknown,
): Promise<{ readonly status: number; readonly type: string; readonly message: string; readonly body: string }> {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `DynamoDB_20120810.${operation}`,
      authorization:
        'AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0',
      'x-amz-date': '20260101T000000Z',
    },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (response.headers.get('x-amz-crc32') !== String(crc32(text))) throw new Error('the checksum is wrong');
  const { __type: type = '', message, Message } = JSON.parse(text) as Record<string, string>;
  return { status: response.status, type: type.replace(/^.*#/, ''), message: message ?? Message ?? '', body: text };
}
