import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AwsCli, type ClientCloud, startClientCloud } from './support.ts';

let cloud: ClientCloud;
let aws: AwsCli;

beforeAll(async () => {
  cloud = await startClientCloud({ services: ['sqs', 'sts', 'iam'] });
  aws = new AwsCli(cloud);
});
afterAll(() => cloud?.close());

describe('aws sqs', () => {
  it('makes a queue, sends, receives and deletes a message', async () => {
    const { QueueUrl } = await aws.json<{ QueueUrl: string }>('sqs', 'create-queue', '--queue-name', 'orders');
    expect(QueueUrl).toBe(`${cloud.endpoint}/000000000000/orders`);
    const attributes = JSON.stringify({
      kind: { DataType: 'String', StringValue: 'new' },
      // What goes in is taken as it is and what comes out is base64: so version 1 of the CLI does.
      raw: { DataType: 'Binary', BinaryValue: 'b\u0000\n' },
    });
    const sent = await aws.json<{ MessageId: string; MD5OfMessageBody: string }>(
      ...['sqs', 'send-message', '--queue-url', QueueUrl, '--message-body', 'grüße'],
      ...['--message-attributes', attributes],
    );
    expect(sent.MD5OfMessageBody).toBe(createHash('md5').update('grüße').digest('hex'));
    const { Messages } = await aws.json<{ Messages: Record<string, unknown>[] }>(
      ...['sqs', 'receive-message', '--queue-url', QueueUrl, '--wait-time-seconds', '1'],
      ...['--message-attribute-names', 'All', '--attribute-names', 'All'],
    );
    expect(Messages).toHaveLength(1);
    expect(Messages[0]).toMatchObject({
      MessageId: sent.MessageId,
      Body: 'grüße',
      Attributes: { ApproximateReceiveCount: '1' },
      MessageAttributes: {
        kind: { DataType: 'String', StringValue: 'new' },
        raw: { DataType: 'Binary', BinaryValue: Buffer.from('b\u0000\n').toString('base64') },
      },
    });
    const handle = Messages[0]!['ReceiptHandle'] as string;
    await aws.text('sqs', 'delete-message', '--queue-url', QueueUrl, '--receipt-handle', handle);
    const { Attributes } = await aws.json<{ Attributes: Record<string, string> }>(
      ...['sqs', 'get-queue-attributes', '--queue-url', QueueUrl, '--attribute-names', 'All'],
    );
    expect(Attributes).toMatchObject({
      QueueArn: 'arn:aws:sqs:us-east-1:000000000000:orders',
      ApproximateNumberOfMessages: '0',
      ApproximateNumberOfMessagesNotVisible: '0',
      VisibilityTimeout: '30',
    });
  });

  it('prints the codes of its errors', async () => {
    expect(await aws.error('sqs', 'get-queue-url', '--queue-name', 'nowhere')).toEqual({
      code: 'AWS.SimpleQueueService.NonExistentQueue',
      message: 'The specified queue does not exist.',
    });
    const url = `${cloud.endpoint}/000000000000/orders`;
    expect((await aws.error('sqs', 'delete-message', '--queue-url', url, '--receipt-handle', 'nonsense')).code).toBe(
      'ReceiptHandleIsInvalid',
    );
    expect(
      (await aws.error('sqs', 'create-queue', '--queue-name', 'orders', '--attributes', 'VisibilityTimeout=31')).code,
    ).toBe('QueueAlreadyExists');
    expect(
      (await aws.error('sqs', 'set-queue-attributes', '--queue-url', url, '--attributes', 'VisibilityTimeout=43201'))
        .code,
    ).toBe('InvalidAttributeValue');
  });

  it('sends a batch of which one part fails, and pages through queues', async () => {
    for (const name of ['page-a', 'page-b', 'page-c']) await aws.json('sqs', 'create-queue', '--queue-name', name);
    const url = `${cloud.endpoint}/000000000000/page-a`;
    const entries = JSON.stringify([
      { Id: 'good', MessageBody: 'one' },
      { Id: 'bad', MessageBody: 'two', DelaySeconds: 901 },
    ]);
    const answer = await aws.json<{ Successful: { Id: string }[]; Failed: Record<string, unknown>[] }>(
      ...['sqs', 'send-message-batch', '--queue-url', url, '--entries', entries],
    );
    expect(answer.Successful.map(({ Id }) => Id)).toEqual(['good']);
    expect(answer.Failed).toMatchObject([{ Id: 'bad', SenderFault: true, Code: 'InvalidParameterValue' }]);
    const pages = await aws.json<{ QueueUrls: string[] }>(
      ...['sqs', 'list-queues', '--queue-name-prefix', 'page-', '--page-size', '1'],
    );
    expect(pages.QueueUrls.map((queue) => queue.slice(-6))).toEqual(['page-a', 'page-b', 'page-c']);
    const first = await aws.json<{ QueueUrls: string[]; NextToken: string }>(
      ...['sqs', 'list-queues', '--queue-name-prefix', 'page-', '--max-items', '2'],
    );
    expect(first.QueueUrls).toHaveLength(2);
    const rest = await aws.json<{ QueueUrls: string[] }>(
      ...['sqs', 'list-queues', '--queue-name-prefix', 'page-', '--starting-token', first.NextToken],
    );
    expect(rest.QueueUrls.map((queue) => queue.slice(-6))).toEqual(['page-c']);
  });

  it('keeps regions and accounts apart', async () => {
    const other = new AwsCli(cloud, { AWS_ACCESS_KEY_ID: '123456789012' });
    const { QueueUrl } = await other.json<{ QueueUrl: string }>('sqs', 'create-queue', '--queue-name', 'orders');
    expect(QueueUrl).toBe(`${cloud.endpoint}/123456789012/orders`);
    expect((await aws.error('sqs', 'get-queue-url', '--queue-name', 'orders', '--region', 'eu-west-1')).code).toBe(
      'AWS.SimpleQueueService.NonExistentQueue',
    );
  });
});
