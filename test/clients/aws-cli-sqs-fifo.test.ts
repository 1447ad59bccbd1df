import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AwsCli, type ClientCloud, startClientCloud } from './support.ts';

let cloud: ClientCloud;
let aws: AwsCli;
beforeAll(async () => {
  cloud = await startClientCloud({ services: ['sqs', 'sts', 'iam'] });
  aws = new AwsCli(cloud);
});
afterAll(() => cloud?.close());

describe('aws sqs with FIFO queues', () => {
  it('sends in order, knows duplicates, receives and deletes', async () => {
    const { QueueUrl } = await aws.json<{ QueueUrl: string }>(
      ...['sqs', 'create-queue', '--queue-name', 'orders.fifo'],
      ...['--attributes', 'FifoQueue=true,ContentBasedDeduplication=true'],
    );
    expect(QueueUrl).toBe(`${cloud.endpoint}/000000000000/orders.fifo`);
    const send = (body: string, ...more: string[]) =>
      aws.json<{ MessageId: string; SequenceNumber: string }>(
        ...['sqs', 'send-message', '--queue-url', QueueUrl, '--message-body', body, '--message-group-id', 'g'],
        ...more,
      );
    const sent = [await send('a'), await send('b'), await send('c', '--message-deduplication-id', 'c')];
    expect(sent.map(({ SequenceNumber }) => SequenceNumber)).toEqual(
      sent.map(({ SequenceNumber }) => SequenceNumber).sort(),
    );
    expect((await send('other', '--message-deduplication-id', 'c')).MessageId).toBe(sent[2]!.MessageId);
    const { Messages } = await aws.json<{ Messages: Record<string, unknown>[] }>(
      ...['sqs', 'receive-message', '--queue-url', QueueUrl, '--attribute-names', 'All'],
      ...['--max-number-of-messages', '10', '--receive-request-attempt-id', 'try'],
    );
    expect(Messages.map(({ Body }) => Body)).toEqual(['a', 'b', 'c']);
    expect(Messages[2]!['Attributes']).toMatchObject({ MessageGroupId: 'g', MessageDeduplicationId: 'c' });
    const entries = Messages.map(({ ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle }));
    const deleted = await aws.json<{ Successful: unknown[] }>(
      ...['sqs', 'delete-message-batch', '--queue-url', QueueUrl, '--entries', JSON.stringify(entries)],
    );
    expect(deleted.Successful).toHaveLength(3);
  });

  it('prints the codes of its errors', async () => {
    const url = `${cloud.endpoint}/000000000000/orders.fifo`;
    const message = ['sqs', 'send-message', '--queue-url', url, '--message-body', 'x'];
    expect(await aws.error(...message)).toEqual({
      code: 'MissingParameter',
      message: 'The request must contain the parameter MessageGroupId.',
    });
    expect((await aws.error(...message, '--message-group-id', 'g', '--delay-seconds', '3')).code).toBe(
      'InvalidParameterValue',
    );
    const create = (name: string, attributes: string) =>
      aws.error('sqs', 'create-queue', '--queue-name', name, '--attributes', attributes);
    expect((await create('orders', 'FifoQueue=true')).code).toBe('InvalidParameterValue');
    expect((await create('orders', 'ContentBasedDeduplication=true')).code).toBe('InvalidAttributeName');
    expect((await create('high.fifo', 'FifoQueue=true,FifoThroughputLimit=perMessageGroupId')).code).toBe(
      'InvalidAttributeValue',
    );
  });
});
