import { DynamoDBClient, PutItemCommand, ScanCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import {
  CreateEventSourceMappingCommand,
  CreateFunctionCommand,
  LambdaClient,
  waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestCloud, type TestCloud } from '../../../test/support/cloud.ts';
import { createTable } from '../dynamodb/test-support.ts';
import { zipFiles } from '../lambda/rules/package.ts';

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud({
    services: ['dynamodb', 'dynamodbstreams', 'lambda', 'logs', 'iam', 'sts', 'sqs'],
    sandbox: 'process',
  });
});
afterAll(() => cloud.close());

/** Writes down what it was told, through the API that every client has. */
const code = `
const http = require('node:http');
const put = (Item) => new Promise((resolve, reject) => {
  const url = new URL(process.env.AWS_ENDPOINT_URL);
  const headers = {
    'content-type': 'application/x-amz-json-1.0',
    'x-amz-target': 'DynamoDB_20120810.PutItem',
    authorization: 'AWS4-HMAC-SHA256 Credential=' + process.env.AWS_ACCESS_KEY_ID +
      '/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0',
    'x-amz-date': '20260101T000000Z',
  };
  const request = http.request({ host: url.hostname, port: url.port, method: 'POST', headers }, (response) => {
    response.resume();
    response.on('end', () => response.statusCode === 200 ? resolve() : reject(new Error(String(response.statusCode))));
  });
  request.on('error', reject);
  request.end(JSON.stringify({ TableName: 'seen', Item }));
});
exports.handler = async ({ Records }) => {
  for (const record of Records) {
    const { eventID, eventName, dynamodb, eventSourceARN } = record;
    await put({
      pk: { S: eventID },
      what: { S: eventName + ' ' + dynamodb.Keys.pk.S + ' ' + (dynamodb.NewImage.n?.N ?? '-') },
      arn: { S: eventSourceARN },
      event: { S: JSON.stringify(record) },
    });
  }
};`;

it('tells a real function of every change, each once', async () => {
  const client = new DynamoDBClient(cloud.clientConfig);
  const lambda = new LambdaClient(cloud.clientConfig);
  await createTable(client, { TableName: 'seen' });
  const { LatestStreamArn: arn } = await createTable(client, {
    TableName: 'source',
    StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_AND_OLD_IMAGES' },
  });
  await lambda.send(
    new CreateFunctionCommand({
      FunctionName: 'watcher',
      Runtime: 'nodejs20.x',
      Handler: 'index.handler',
      Role: 'arn:aws:iam::000000000000:role/watcher',
      Code: { ZipFile: zipFiles({ 'index.js': code }) },
      Timeout: 20,
    }),
  );
  await waitUntilFunctionActiveV2(
    { client: lambda, maxWaitTime: 20, minDelay: 0.1, maxDelay: 0.2 },
    { FunctionName: 'watcher' },
  );
  const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
  for (const key of keys) await client.send(new PutItemCommand({ TableName: 'source', Item: { pk: { S: key } } }));
  await lambda.send(
    new CreateEventSourceMappingCommand({
      EventSourceArn: arn!,
      FunctionName: 'watcher',
      StartingPosition: 'TRIM_HORIZON',
      BatchSize: 10,
    }),
  );
  for (const key of keys)
    await client.send(
      new UpdateItemCommand({
        TableName: 'source',
        Key: { pk: { S: key } },
        UpdateExpression: 'SET n = :n',
        ExpressionAttributeValues: { ':n': { N: '1' } },
      }),
    );
  const seen = async () => (await client.send(new ScanCommand({ TableName: 'seen' }))).Items ?? [];
  const expected = keys.flatMap((key) => [`INSERT ${key} -`, `MODIFY ${key} 1`]).sort();
  await expect
    .poll(async () => (await seen()).map(({ what }) => what!.S).sort(), { timeout: 30_000, interval: 200 })
    .toEqual(expected);
  const modified = (await seen()).find(({ what }) => what!.S === 'MODIFY a 1')!;
  expect(modified['arn']).toEqual({ S: arn });
  expect(JSON.parse(modified['event']!.S!)).toMatchObject({
    eventVersion: '1.1',
    eventSource: 'aws:dynamodb',
    awsRegion: 'us-east-1',
    dynamodb: {
      ApproximateCreationDateTime: expect.any(Number),
      Keys: { pk: { S: 'a' } },
      OldImage: { pk: { S: 'a' } },
      NewImage: { pk: { S: 'a' }, n: { N: '1' } },
      SequenceNumber: expect.stringMatching(/^\d+$/),
      SizeBytes: 12,
      StreamViewType: 'NEW_AND_OLD_IMAGES',
    },
  });
  client.destroy();
  lambda.destroy();
}, 60_000);
