import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type SqsWorld, startSqsWorld } from './world.test-support.ts';

let world: SqsWorld;
beforeAll(async () => {
  world = await startSqsWorld({ clock: 'virtual' });
});
afterAll(() => world.close());

/** The older protocol: a form in, XML out; the queue may stand in the path. */
async function call(url: string, parameters: Record<string, string>): Promise<{ status: number; text: string }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ Version: '2012-11-05', ...parameters }).toString(),
  });
  expect(response.headers.get('content-type')).toMatch(/^text\/xml/);
  return { status: response.status, text: await response.text() };
}

const textOf = (xml: string, tag: string): string | undefined => new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(xml)?.[1];

test('a message goes through the older protocol and both see the same queue', async () => {
  const created = await call(world.cloud.endpoint, {
    Action: 'CreateQueue',
    QueueName: 'older',
    'Attribute.1.Name': 'VisibilityTimeout',
    'Attribute.1.Value': '40',
    'Tag.1.Key': 'k',
    'Tag.1.Value': 'v',
  });
  expect(created.status).toBe(200);
  const url = textOf(created.text, 'QueueUrl')!;
  expect(url).toBe(`${world.cloud.endpoint}/000000000000/older`);
  expect(created.text).toContain('<CreateQueueResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/">');

  const sent = await call(url, {
    Action: 'SendMessage',
    MessageBody: 'a <b> & "c"\r\n',
    'MessageAttribute.1.Name': 'kind',
    'MessageAttribute.1.Value.DataType': 'String',
    'MessageAttribute.1.Value.StringValue': 'x',
  });
  expect(textOf(sent.text, 'MD5OfMessageBody')).toBe(createHash('md5').update('a <b> & "c"\r\n').digest('hex'));
  expect(await world.counts(url)).toEqual([1, 0, 0]);

  const received = await call(url, {
    Action: 'ReceiveMessage',
    'AttributeName.1': 'All',
    'MessageAttributeName.1': 'kind',
    MaxNumberOfMessages: '10',
  });
  expect(received.text).toMatch(/<Body>a &lt;b&gt; &amp; (&quot;|")c(&quot;|")(&#xD;|&#13;)/);
  expect(received.text).toContain('<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>');
  expect(received.text).toMatch(/<MessageAttribute><Name>kind<\/Name><Value>.*<StringValue>x<\/StringValue>/);
  const ReceiptHandle = textOf(received.text, 'ReceiptHandle')!;

  const attributes = await call(url, { Action: 'GetQueueAttributes', 'AttributeName.1': 'VisibilityTimeout' });
  expect(attributes.text).toContain('<Attribute><Name>VisibilityTimeout</Name><Value>40</Value></Attribute>');
  expect((await call(url, { Action: 'ChangeMessageVisibility', ReceiptHandle, VisibilityTimeout: '60' })).status).toBe(
    200,
  );
  const removed = await call(url, {
    Action: 'DeleteMessageBatch',
    'DeleteMessageBatchRequestEntry.1.Id': 'one',
    'DeleteMessageBatchRequestEntry.1.ReceiptHandle': ReceiptHandle,
    'DeleteMessageBatchRequestEntry.2.Id': 'two',
    'DeleteMessageBatchRequestEntry.2.ReceiptHandle': 'bad',
  });
  expect(removed.text).toContain('<DeleteMessageBatchResultEntry><Id>one</Id></DeleteMessageBatchResultEntry>');
  expect(removed.text).toMatch(/<BatchResultErrorEntry>.*<Code>ReceiptHandleIsInvalid<\/Code>/);
  expect(await world.counts(url)).toEqual([0, 0, 0]);

  const batch = await call(url, {
    Action: 'SendMessageBatch',
    'SendMessageBatchRequestEntry.1.Id': 'a',
    'SendMessageBatchRequestEntry.1.MessageBody': 'm1',
    'SendMessageBatchRequestEntry.2.Id': 'b',
    'SendMessageBatchRequestEntry.2.MessageBody': 'm2',
    'SendMessageBatchRequestEntry.2.DelaySeconds': '10',
  });
  expect(batch.text.match(/<SendMessageBatchResultEntry>/g)).toHaveLength(2);
  expect(await world.counts(url)).toEqual([1, 0, 1]);
  expect((await call(url, { Action: 'ListQueueTags' })).text).toContain('<Tag><Key>k</Key><Value>v</Value></Tag>');
  expect((await call(world.cloud.endpoint, { Action: 'ListQueues', QueueNamePrefix: 'old' })).text).toContain(
    `<QueueUrl>${url}</QueueUrl>`,
  );
});

test.each([
  [{ Action: 'GetQueueUrl', QueueName: 'nowhere' }, 400, 'AWS.SimpleQueueService.NonExistentQueue'],
  [{ Action: 'CreateQueue', QueueName: 'a b' }, 400, 'InvalidParameterValue'],
  [{ Action: 'CreateQueue' }, 400, 'MissingParameter'],
  [{ Action: 'ReceiveMessage', QueueUrl: 'errors', MaxNumberOfMessages: '11' }, 400, 'InvalidParameterValue'],
  [{ Action: 'DeleteMessage', QueueUrl: 'errors', ReceiptHandle: 'x' }, 404, 'ReceiptHandleIsInvalid'],
  [
    { Action: 'SetQueueAttributes', QueueUrl: 'errors', 'Attribute.1.Name': 'No', 'Attribute.1.Value': '1' },
    400,
    'InvalidAttributeName',
  ],
  [
    { Action: 'CreateQueue', QueueName: 'errors', 'Attribute.1.Name': 'DelaySeconds', 'Attribute.1.Value': '1' },
    400,
    'QueueAlreadyExists',
  ],
])('errors carry the older codes: %j', async (parameters, status, code) => {
  await world.queue({}, 'errors');
  const answer = await call(world.cloud.endpoint, parameters as Record<string, string>);
  expect(textOf(answer.text, 'Code')).toBe(code);
  expect(answer.status).toBe(status);
  expect(textOf(answer.text, 'Type')).toBe('Sender');
});

test('a FIFO queue in the older protocol: sequences, system attributes, and its errors by their older codes', async () => {
  const created = await call(world.cloud.endpoint, {
    Action: 'CreateQueue',
    QueueName: 'older.fifo',
    'Attribute.1.Name': 'FifoQueue',
    'Attribute.1.Value': 'true',
  });
  const url = textOf(created.text, 'QueueUrl')!;
  const parameters = { Action: 'SendMessage', MessageBody: 'x', MessageGroupId: 'g', MessageDeduplicationId: 'd' };
  const sent = await call(url, parameters);
  expect(textOf(sent.text, 'SequenceNumber')).toMatch(/^\d{20}$/);
  const received = await call(url, { Action: 'ReceiveMessage', 'MessageSystemAttributeName.1': 'All' });
  for (const [name, value] of [
    ['MessageGroupId', 'g'],
    ['MessageDeduplicationId', 'd'],
    ['SequenceNumber', textOf(sent.text, 'SequenceNumber')],
  ]) {
    expect(received.text).toContain(`<Attribute><Name>${name}</Name><Value>${value}</Value></Attribute>`);
  }
  const { MessageGroupId: _, ...without } = parameters;
  const missing = await call(url, without);
  expect([missing.status, textOf(missing.text, 'Code')]).toEqual([400, 'MissingParameter']);
  const batch = await call(url, {
    Action: 'SendMessageBatch',
    'SendMessageBatchRequestEntry.1.Id': 'a',
    'SendMessageBatchRequestEntry.1.MessageBody': 'x',
    'SendMessageBatchRequestEntry.1.MessageDeduplicationId': 'e',
  });
  expect([batch.status, textOf(batch.text, 'Code')]).toEqual([400, 'InvalidParameterValue']);
});
