import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AwsCli, type ClientCloud, startClientCloud } from './support.ts';

let cloud: ClientCloud;
let aws: AwsCli;

beforeAll(async () => {
  cloud = await startClientCloud({ services: ['dynamodb', 'sts', 'iam'] });
  aws = new AwsCli(cloud);
});
afterAll(() => cloud?.close());

const file = async (name: string, content: string | Buffer): Promise<string> => {
  await writeFile(join(cloud.folder, name), content);
  return join(cloud.folder, name);
};

describe('aws dynamodb', () => {
  const key = (device: string, at: number) => JSON.stringify({ device: { S: device }, at: { N: String(at) } });

  it('makes a table and waits for it', async () => {
    const { TableDescription } = await aws.json<{ TableDescription: Record<string, unknown> }>(
      ...['dynamodb', 'create-table', '--table-name', 'readings', '--billing-mode', 'PAY_PER_REQUEST'],
      ...['--attribute-definitions', 'AttributeName=device,AttributeType=S', 'AttributeName=at,AttributeType=N'],
      ...['--key-schema', 'AttributeName=device,KeyType=HASH', 'AttributeName=at,KeyType=RANGE'],
    );
    expect(TableDescription).toMatchObject({
      TableArn: 'arn:aws:dynamodb:us-east-1:000000000000:table/readings',
      BillingModeSummary: { BillingMode: 'PAY_PER_REQUEST' },
    });
    await aws.text('dynamodb', 'wait', 'table-exists', '--table-name', 'readings');
    expect(
      await aws.text(
        ...['dynamodb', 'describe-table', '--table-name', 'readings'],
        ...['--query', 'Table.TableStatus', '--output', 'text'],
      ),
    ).toBe('ACTIVE');
  });

  it('writes and reads an item of every type, bytes and 38 digits included', async () => {
    const item = {
      device: { S: 'a' },
      at: { N: '1' },
      exact: { N: '12345678901234567890123456789012345678' },
      raw: { B: 'bytes\u0000\n' },
      flags: { M: { on: { BOOL: true }, off: { NULL: true } } },
      list: { L: [{ S: 'x' }, { N: '-0.5' }] },
      words: { SS: ['p', 'q'] },
    };
    const path = await file('item.json', JSON.stringify(item));
    await aws.text('dynamodb', 'put-item', '--table-name', 'readings', '--item', `file://${path}`);
    const found = await aws.json<{ Item: Record<string, unknown> }>(
      ...['dynamodb', 'get-item', '--table-name', 'readings', '--key', key('a', 1), '--consistent-read'],
    );
    expect(found.Item).toEqual({ ...item, raw: { B: Buffer.from(item.raw.B).toString('base64') } });
    expect(await aws.text('dynamodb', 'get-item', '--table-name', 'readings', '--key', key('a', 99))).toBe('');
  });

  it('updates under a condition, and prints the refusal', async () => {
    const update = (expected: string) => [
      ...['dynamodb', 'update-item', '--table-name', 'readings', '--key', key('a', 1)],
      ...['--update-expression', 'SET #s = :new REMOVE flags ADD hits :one'],
      ...['--condition-expression', 'attribute_not_exists(#s) OR #s = :old'],
      ...['--expression-attribute-names', '{"#s":"state"}'],
      ...['--expression-attribute-values', `{":new":{"S":"done"},":old":{"S":"${expected}"},":one":{"N":"1"}}`],
      ...['--return-values', 'UPDATED_NEW'],
    ];
    expect((await aws.json<{ Attributes: unknown }>(...update('open'))).Attributes).toEqual({
      state: { S: 'done' },
      hits: { N: '1' },
    });
    expect(await aws.error(...update('open'))).toEqual({
      code: 'ConditionalCheckFailedException',
      message: 'The conditional request failed',
    });
    expect(
      await aws.error(
        ...['dynamodb', 'update-item', '--table-name', 'readings', '--key', key('a', 1)],
        ...['--update-expression', 'SET a = :missing'],
      ),
    ).toMatchObject({
      code: 'ValidationException',
      message: expect.stringMatching(
        /Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute value: :missing$/,
      ),
    });
    expect((await aws.error('dynamodb', 'scan', '--table-name', 'nowhere')).code).toBe('ResourceNotFoundException');
  });

  it('queries and scans by pages', async () => {
    const requests = Array.from({ length: 12 }, (_, at) => ({
      PutRequest: { Item: { device: { S: 'b' }, at: { N: String(at) }, even: { BOOL: at % 2 === 0 } } },
    }));
    const path = await file('batch.json', JSON.stringify({ readings: requests }));
    const written = await aws.json<{ UnprocessedItems: unknown }>(
      ...['dynamodb', 'batch-write-item', '--request-items', `file://${path}`],
    );
    expect(written.UnprocessedItems).toEqual({});
    const query = [
      ...['dynamodb', 'query', '--table-name', 'readings', '--no-scan-index-forward'],
      ...['--key-condition-expression', 'device = :d AND #at BETWEEN :from AND :to'],
      ...['--expression-attribute-names', '{"#at":"at"}', '--filter-expression', 'even = :yes'],
      ...['--expression-attribute-values', '{":d":{"S":"b"},":from":{"N":"2"},":to":{"N":"9"},":yes":{"BOOL":true}}'],
    ];
    const whole = await aws.json<{ Items: { at: { N: string } }[]; Count: number; ScannedCount: number }>(
      ...query,
      ...['--page-size', '3'],
    );
    expect(whole.Items.map(({ at }) => at.N)).toEqual(['8', '6', '4', '2']);
    expect(whole).toMatchObject({ Count: 4, ScannedCount: 8 });
    const some = await aws.json<{ Items: { at: { N: string } }[]; NextToken: string }>(...query, '--max-items', '1');
    expect(some.Items.map(({ at }) => at.N)).toEqual(['8']);
    const rest = await aws.json<{ Items: { at: { N: string } }[] }>(...query, '--starting-token', some.NextToken);
    expect(rest.Items.map(({ at }) => at.N)).toEqual(['6', '4', '2']);
    expect(
      (await aws.json<{ Count: number }>('dynamodb', 'scan', '--table-name', 'readings', '--page-size', '4')).Count,
    ).toBe(13);
  });

  it('runs PartiQL', async () => {
    const statement = (text: string) =>
      aws.json<{ Items: unknown[] }>('dynamodb', 'execute-statement', '--statement', text);
    await statement(`INSERT INTO "readings" VALUE {'device': 'p', 'at': 1, 'text': 'it''s'}`);
    expect((await statement(`SELECT text FROM "readings" WHERE device = 'p' AND "at" = 1`)).Items).toEqual([
      { text: { S: "it's" } },
    ]);
    const updated = await statement(
      `UPDATE "readings" SET text = 'new' WHERE device = 'p' AND "at" = 1 RETURNING MODIFIED OLD *`,
    );
    expect(updated.Items).toEqual([{ text: { S: "it's" } }]);
    await statement(`DELETE FROM "readings" WHERE device = 'p' AND "at" = 1`);
  });

  it('deletes the table and waits until it is gone', async () => {
    await aws.json('dynamodb', 'delete-table', '--table-name', 'readings');
    await aws.text('dynamodb', 'wait', 'table-not-exists', '--table-name', 'readings');
    expect((await aws.json<{ TableNames: string[] }>('dynamodb', 'list-tables')).TableNames).toEqual([]);
  });
});
