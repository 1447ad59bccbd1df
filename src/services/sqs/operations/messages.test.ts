import { createHash } from 'node:crypto';
import {
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectError, type SqsWorld, startSqsWorld } from '../world.test-support.ts';

let world: SqsWorld;
beforeAll(async () => {
  world = await startSqsWorld({ clock: 'virtual' });
});
afterAll(() => world.close());

const advance = (seconds: number) => world.cloud.clock.advance(seconds * 1000);
const sendWith = (QueueUrl: string, MessageAttributes: Record<string, MessageAttributeValue>) =>
  world.client.send(new SendMessageCommand({ QueueUrl, MessageBody: 'body', MessageAttributes }));
const remove = (QueueUrl: string, ReceiptHandle: string) =>
  world.client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
const hide = (QueueUrl: string, ReceiptHandle: string, VisibilityTimeout: number) =>
  world.client.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout }));

describe('SendMessage and ReceiveMessage', () => {
  test('carry a body, its digest and its attributes', async () => {
    const url = await world.queue();
    const body = 'ünï\t"<&>" 雲海 😀';
    const sent = await world.client.send(
      new SendMessageCommand({
        QueueUrl: url,
        MessageBody: body,
        MessageAttributes: {
          text: { DataType: 'String', StringValue: 'väl' },
          number: { DataType: 'Number.int', StringValue: '42' },
          bytes: { DataType: 'Binary', BinaryValue: Buffer.from([0, 1, 255]) },
        },
        MessageSystemAttributes: {
          AWSTraceHeader: { DataType: 'String', StringValue: 'Root=1-5759e988-bd862e3fe1be46a994272793' },
        },
      }),
    );
    expect(sent.MD5OfMessageBody).toBe(createHash('md5').update(body).digest('hex'));
    expect(sent.MD5OfMessageSystemAttributes).toMatch(/^[0-9a-f]{32}$/);
    const [message] = await world.receive(url, {
      MessageSystemAttributeNames: ['All'],
      MessageAttributeNames: ['All'],
    });
    expect(message).toMatchObject({
      MessageId: sent.MessageId,
      Body: body,
      MD5OfBody: sent.MD5OfMessageBody,
      MD5OfMessageAttributes: sent.MD5OfMessageAttributes,
      MessageAttributes: {
        text: { DataType: 'String', StringValue: 'väl' },
        number: { DataType: 'Number.int', StringValue: '42' },
        bytes: { DataType: 'Binary', BinaryValue: new Uint8Array([0, 1, 255]) },
      },
    });
    expect(message!.Attributes).toEqual({
      SenderId: '000000000000',
      SentTimestamp: expect.stringMatching(/^\d{13}$/),
      ApproximateReceiveCount: '1',
      ApproximateFirstReceiveTimestamp: expect.stringMatching(/^\d{13}$/),
      AWSTraceHeader: 'Root=1-5759e988-bd862e3fe1be46a994272793',
    });
  });

  test('the digests are those that AWS was seen to give', async () => {
    // From LocalStack's snapshots of AWS: test_receive_message_message_attribute_names_filters.
    const url = await world.queue({ VisibilityTimeout: '0' });
    const sent = await world.client.send(
      new SendMessageCommand({
        QueueUrl: url,
        MessageBody: 'msg',
        MessageAttributes: {
          'Help.Me': { DataType: 'String', StringValue: 'Me' },
          Hello: { DataType: 'String', StringValue: 'There' },
          General: { DataType: 'String', StringValue: 'Kenobi' },
        },
      }),
    );
    expect(sent.MD5OfMessageAttributes).toBe('4c360f3fdafd970e05fae2f149d997f5');
    const cases: [string[], string[], string | undefined][] = [
      [[], [], undefined],
      [['All'], ['General', 'Hello', 'Help.Me'], '4c360f3fdafd970e05fae2f149d997f5'],
      [['.*'], ['General', 'Hello', 'Help.Me'], '4c360f3fdafd970e05fae2f149d997f5'],
      [['*'], ['General', 'Hello', 'Help.Me'], '4c360f3fdafd970e05fae2f149d997f5'],
      [['Foo', 'Help'], [], undefined],
      [['Hello', 'General'], ['General', 'Hello'], 'fca026605781cb4126a1e9044df24232'],
      [['Foo', 'Hello'], ['Hello'], 'a311262e065454b75da111d535b8dacd'],
      [['Hel.*'], ['Hello', 'Help.Me'], '83fee93c1bcd8b9a5a923ffacdc636c7'],
      [['AWS.'], [], undefined],
      [['..foo'], [], undefined],
    ];
    for (const [MessageAttributeNames, names, digest] of cases) {
      const [message] = await world.receive(url, { MessageAttributeNames });
      expect(Object.keys(message!.MessageAttributes ?? {}).sort(), MessageAttributeNames.join()).toEqual(names);
      expect(message!.MD5OfMessageAttributes).toBe(digest);
    }
  });

  test('give only the system attributes asked for, by either parameter', async () => {
    const url = await world.queue({ VisibilityTimeout: '0' });
    await world.send(url, 'x');
    const names = async (options: object) =>
      Object.keys((await world.receive(url, options))[0]!.Attributes ?? {}).sort();
    expect(await names({})).toEqual([]);
    expect(await names({ AttributeNames: ['SenderId', 'SequenceNumber'] })).toEqual(['SenderId']);
    expect(await names({ AttributeNames: ['SenderId'], MessageSystemAttributeNames: ['SentTimestamp'] })).toEqual([
      'SenderId',
      'SentTimestamp',
    ]);
    expect(await names({ AttributeNames: ['VisibilityTimeout'] })).toEqual([]);
    await expectError(world.receive(url, { AttributeNames: ['Nonsense' as 'All'] }), 'InvalidAttributeName');
  });

  test('keep the order of sending', async () => {
    const url = await world.queue();
    for (let index = 0; index < 25; index++) await world.send(url, String(index));
    const bodies: (string | undefined)[] = [];
    for (let round = 0; round < 3; round++) bodies.push(...(await world.receive(url)).map(({ Body }) => Body));
    expect(bodies).toEqual(Array.from({ length: 25 }, (_, index) => String(index)));
  });

  test('a message group marks a tenant of a standard queue', async () => {
    const url = await world.queue();
    const send = (MessageGroupId: string) =>
      world.client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'x', MessageGroupId }));
    await send('tenant-1');
    const [message] = await world.receive(url, { MessageSystemAttributeNames: ['All'] });
    expect(message!.Attributes!['MessageGroupId']).toBe('tenant-1');
    for (const bad of ['', 'a'.repeat(129), 'group 123']) {
      await expectError(
        send(bad),
        'InvalidParameterValue',
        `Value ${bad} for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.`,
      );
    }
  });

  test.each([
    ['\u0000', 'InvalidMessageContents', /^Invalid characters found/],
    ['ok\u000bno', 'InvalidMessageContents', /^Invalid characters found/],
    ['\uffff', 'InvalidMessageContents', /^Invalid characters found/],
    ['', 'MissingParameter', 'The request must contain the parameter MessageBody.'],
  ])('refuse the body %j', async (body, code, message) => {
    await expectError(world.send(await world.queue({}, 'bodies'), body), code, message);
  });

  test('take a message of 1 MiB and not one of a byte more; attributes count', async () => {
    const url = await world.queue();
    await world.send(url, 'a'.repeat(1_048_576));
    await expectError(
      world.send(url, 'a'.repeat(1_048_577)),
      'InvalidParameterValue',
      'One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.',
    );
    await world.client.send(
      new SetQueueAttributesCommand({ QueueUrl: url, Attributes: { MaximumMessageSize: '1024' } }),
    );
    const withAttribute = (bytes: number) =>
      world.client.send(
        new SendMessageCommand({
          QueueUrl: url,
          MessageBody: 'ä'.repeat(bytes / 2),
          MessageAttributes: { name: { DataType: 'String', StringValue: 'value' } },
        }),
      );
    // 4 for the name, 6 for the type, 5 for the value.
    await withAttribute(1008);
    await expectError(withAttribute(1010), 'InvalidParameterValue', /must be shorter than 1024 bytes\.$/);
  });

  test.each<[string, Record<string, MessageAttributeValue>, RegExp]>([
    [
      'an empty value',
      { ErrorDetails: { DataType: 'String', StringValue: '' } },
      /^Message \(user\) attribute 'ErrorDetails' must contain a non-empty value of type 'String'\.$/,
    ],
    [
      'a text that is no number',
      { n: { DataType: 'Number', StringValue: 'x' } },
      /^Can't cast the value of message \(user\) attribute 'n' to a number\.$/,
    ],
    ['an unknown type', { n: { DataType: 'Object', StringValue: 'x' } }, /prefixed/],
    ['a long type', { n: { DataType: `Number.${'L'.repeat(256)}`, StringValue: '1' } }, /types must be shorter/],
    ['a reserved name', { 'aWs.x': { DataType: 'String', StringValue: 'x' } }, /reserved/],
    ['a dot in front', { '.x': { DataType: 'String', StringValue: 'x' } }, /'\.'/],
    ['a dot at the end', { 'x.': { DataType: 'String', StringValue: 'x' } }, /'\.'/],
    ['a bad character', { 'x!': { DataType: 'String', StringValue: 'x' } }, /can only contain/],
    ['a long name', { ['L'.repeat(257)]: { DataType: 'String', StringValue: 'x' } }, /names must be shorter/],
    [
      'eleven attributes',
      Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`a${i}`, { DataType: 'String', StringValue: 'x' }])),
      /\[11\] exceeds the allowed maximum \[10\]/,
    ],
  ])('refuse attributes with %s', async (_, attributes, message) => {
    await expectError(sendWith(await world.queue({}, 'bodies'), attributes), 'InvalidParameterValue', message);
  });

  test('refuse parameters out of range, and those of FIFO queues', async () => {
    const url = await world.queue();
    await expectError(
      world.send(url, 'x', 901),
      'InvalidParameterValue',
      'Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.',
    );
    for (const MaxNumberOfMessages of [0, 11]) {
      const words = `Value ${MaxNumberOfMessages} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.`;
      await expectError(world.receive(url, { MaxNumberOfMessages }), 'InvalidParameterValue', words);
    }
    for (const WaitTimeSeconds of [-1, 21]) {
      const words = `Value ${WaitTimeSeconds} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.`;
      await expectError(world.receive(url, { WaitTimeSeconds }), 'InvalidParameterValue', words);
    }
    await expectError(world.receive(url, { VisibilityTimeout: 43201 }), 'InvalidParameterValue', /VisibilityTimeout/);
    await expectError(
      world.receive(url, { ReceiveRequestAttemptId: 'a' }),
      'InvalidParameterValue',
      'Value a for parameter ReceiveRequestAttemptId is invalid. Reason: The request include parameter that is not valid for this queue type.',
    );
    const fifo = new SendMessageCommand({ QueueUrl: url, MessageBody: 'x', MessageDeduplicationId: 'd' });
    await expectError(world.client.send(fifo), 'InvalidParameterValue', /MessageDeduplicationId is invalid/);
  });
});

describe('delay, visibility and retention', () => {
  test("a delayed message appears when its delay is over, its own before the queue's", async () => {
    const url = await world.queue({ DelaySeconds: '30' });
    await world.send(url, 'queue');
    await world.send(url, 'own', 10);
    await world.send(url, 'none', 0);
    const bodies = async () => (await world.receive(url)).map(({ Body }) => Body);
    expect(await world.counts(url)).toEqual([1, 0, 2]);
    expect(await bodies()).toEqual(['none']);
    expect(await world.counts(url)).toEqual([0, 1, 2]);
    await advance(9);
    expect(await bodies()).toEqual([]);
    await advance(1);
    expect(await bodies()).toEqual(['own']);
    await advance(20);
    expect(await bodies()).toContain('queue');
  });

  test('a received message comes back after the visibility timeout, counted', async () => {
    const url = await world.queue({ VisibilityTimeout: '20' });
    await world.send(url, 'x');
    const receive = () => world.receive(url, { MessageSystemAttributeNames: ['All'] });
    const [first] = await receive();
    expect(await receive()).toEqual([]);
    expect(await world.counts(url)).toEqual([0, 1, 0]);
    await advance(19);
    expect(await receive()).toEqual([]);
    await advance(1);
    const [second] = await receive();
    expect(second!.MessageId).toBe(first!.MessageId);
    expect(second!.ReceiptHandle).not.toBe(first!.ReceiptHandle);
    expect(second!.Attributes).toMatchObject({
      ApproximateReceiveCount: '2',
      ApproximateFirstReceiveTimestamp: first!.Attributes!['ApproximateFirstReceiveTimestamp'],
      SentTimestamp: first!.Attributes!['SentTimestamp'],
    });
    // The receive's own timeout is good for this receive only.
    await advance(20);
    expect(await world.receive(url, { VisibilityTimeout: 1 })).toHaveLength(1);
    await advance(1);
    expect(await receive()).toHaveLength(1);
    await advance(10);
    expect(await receive()).toEqual([]);
  });

  test('ChangeMessageVisibility counts from the call, ends at zero, and at twelve hours from the receipt', async () => {
    const url = await world.queue();
    await world.send(url, 'x');
    const [message] = await world.receive(url);
    const handle = message!.ReceiptHandle!;
    await advance(25);
    await hide(url, handle, 60);
    await advance(59);
    expect(await world.receive(url)).toEqual([]);
    await expectError(
      hide(url, handle, 43_199),
      'InvalidParameterValue',
      'Value 43199 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]',
    );
    await expectError(hide(url, handle, 43_201), 'InvalidParameterValue');
    await hide(url, handle, 43_000);
    await hide(url, handle, 0);
    const [again] = await world.receive(url);
    expect(again!.Body).toBe('x');
    await expectError(
      hide(url, handle, 10),
      'AWS.SimpleQueueService.MessageNotInflight',
      "The specified message isn't in flight.",
    );
    await remove(url, again!.ReceiptHandle!);
    await expectError(
      hide(url, again!.ReceiptHandle!, 42),
      'InvalidParameterValue',
      `Value ${again!.ReceiptHandle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.`,
    );
  });

  test('ChangeMessageVisibility of a message that is visible again does nothing', async () => {
    const url = await world.queue({ VisibilityTimeout: '1' });
    await world.send(url, 'x');
    const [message] = await world.receive(url);
    await advance(2);
    await hide(url, message!.ReceiptHandle!, 30);
    expect(await world.receive(url)).toHaveLength(1);
  });

  test('what is past retention is gone, whoever looks, and is not counted', async () => {
    const url = await world.queue({ MessageRetentionPeriod: '60' });
    await world.send(url, 'old');
    await advance(30);
    await world.send(url, 'younger');
    await advance(30);
    expect((await world.receive(url, { VisibilityTimeout: 0 })).map(({ Body }) => Body)).toEqual(['younger']);
    await advance(31);
    expect(await world.counts(url)).toEqual([0, 0, 0]);
    expect(await world.receive(url)).toEqual([]);
  });

  test('a longer retention is honoured for what is there, a shorter one sweeps', async () => {
    const url = await world.queue({ MessageRetentionPeriod: '60' });
    await world.send(url, 'x');
    await world.client.send(
      new SetQueueAttributesCommand({ QueueUrl: url, Attributes: { MessageRetentionPeriod: '600' } }),
    );
    await advance(300);
    expect(await world.receive(url, { VisibilityTimeout: 0 })).toHaveLength(1);
    await world.client.send(
      new SetQueueAttributesCommand({ QueueUrl: url, Attributes: { MessageRetentionPeriod: '120' } }),
    );
    await advance(1);
    expect(await world.counts(url)).toEqual([0, 0, 0]);
  });
});

describe('DeleteMessage', () => {
  test('deletes by the latest handle, by an older one, after the timeout, and twice', async () => {
    const url = await world.queue({ VisibilityTimeout: '1' });
    await world.send(url, 'a');
    const [first] = await world.receive(url);
    await advance(2);
    const [second] = await world.receive(url);
    await remove(url, first!.ReceiptHandle!);
    expect(await world.counts(url)).toEqual([0, 0, 0]);
    await remove(url, second!.ReceiptHandle!);
    await remove(url, second!.ReceiptHandle!);
    expect(await world.counts(url)).toEqual([0, 0, 0]);
    await world.send(url, 'b');
    const [third] = await world.receive(url);
    await advance(2);
    await remove(url, third!.ReceiptHandle!);
    expect(await world.counts(url)).toEqual([0, 0, 0]);
  });

  test('refuses what is no handle, or one of another queue', async () => {
    const url = await world.queue();
    const other = await world.queue();
    await world.send(other, 'x');
    const [message] = await world.receive(other);
    for (const handle of ['garbage', 'AQEB', message!.ReceiptHandle!]) {
      const words = `The input receipt handle "${handle}" is not a valid receipt handle.`;
      await expectError(remove(url, handle), 'ReceiptHandleIsInvalid', words);
      await expectError(hide(url, handle, 1), 'ReceiptHandleIsInvalid', words);
    }
    await expectError(remove(url, ''), 'MissingParameter');
  });
});

describe('batches', () => {
  const entries = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ Id: `id-${index}`, MessageBody: `m${index}` }));
  const send = (QueueUrl: string, Entries: SendMessageBatchCommand['input']['Entries']) =>
    world.client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));

  test('send, hide and delete ten at once', async () => {
    const url = await world.queue();
    const sent = await send(url, entries(10));
    expect(sent.Successful!.map(({ Id }) => Id)).toEqual(entries(10).map(({ Id }) => Id));
    expect(sent.Failed ?? []).toEqual([]);
    const messages = await world.receive(url);
    expect(messages.map(({ MessageId }) => MessageId)).toEqual(sent.Successful!.map(({ MessageId }) => MessageId));
    const handles = messages.map(({ ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle: ReceiptHandle! }));
    const hidden = await world.client.send(
      new ChangeMessageVisibilityBatchCommand({
        QueueUrl: url,
        Entries: [
          ...handles.slice(0, 5).map((entry) => ({ ...entry, VisibilityTimeout: 0 })),
          { Id: 'bad', ReceiptHandle: 'garbage', VisibilityTimeout: 0 },
          { Id: 'long', ReceiptHandle: handles[6]!.ReceiptHandle, VisibilityTimeout: 43_201 },
        ],
      }),
    );
    expect(hidden.Successful).toHaveLength(5);
    expect(hidden.Failed!.map(({ Id, Code, SenderFault }) => [Id, Code, SenderFault]).sort()).toEqual([
      ['bad', 'ReceiptHandleIsInvalid', true],
      ['long', 'InvalidParameterValue', true],
    ]);
    expect(await world.counts(url)).toEqual([5, 5, 0]);
    const again = await world.receive(url);
    // Some handles are old by now, and one message is named twice.
    const deleted = await world.client.send(
      new DeleteMessageBatchCommand({
        QueueUrl: url,
        Entries: [
          ...handles.slice(0, 8),
          { Id: 'again', ReceiptHandle: again[0]!.ReceiptHandle! },
          { Id: 'bad', ReceiptHandle: 'x' },
        ],
      }),
    );
    expect(deleted.Successful).toHaveLength(9);
    expect(deleted.Failed).toEqual([
      {
        Id: 'bad',
        SenderFault: true,
        Code: 'ReceiptHandleIsInvalid',
        Message: 'The input receipt handle "x" is not a valid receipt handle.',
      },
    ]);
    expect(await world.counts(url)).toEqual([0, 2, 0]);
  });

  test('are refused whole for their own faults', async () => {
    const url = await world.queue();
    await expectError(
      send(url, entries(20)),
      'AWS.SimpleQueueService.TooManyEntriesInBatchRequest',
      'Maximum number of entries per request are 10. You have sent 20.',
    );
    await expectError(
      send(url, []),
      'AWS.SimpleQueueService.EmptyBatchRequest',
      'There should be at least one SendMessageBatchRequestEntry in the request.',
    );
    await expectError(
      world.client.send(new DeleteMessageBatchCommand({ QueueUrl: url, Entries: [] })),
      'AWS.SimpleQueueService.EmptyBatchRequest',
      'There should be at least one DeleteMessageBatchRequestEntry in the request.',
    );
    for (const Id of ['bad:id', 'x'.repeat(81)]) {
      await expectError(
        send(url, [{ Id, MessageBody: 'x' }]),
        'AWS.SimpleQueueService.InvalidBatchEntryId',
        'A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.',
      );
    }
    await expectError(
      send(url, [...entries(1), ...entries(1)]),
      'AWS.SimpleQueueService.BatchEntryIdsNotDistinct',
      'Id id-0 repeated.',
    );
    await expectError(
      send(url, [
        { Id: '1', MessageBody: 'a'.repeat(1_048_576) },
        { Id: '2', MessageBody: 'b' },
      ]),
      'AWS.SimpleQueueService.BatchRequestTooLong',
      'Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.',
    );
    expect(await world.counts(url)).toEqual([0, 0, 0]);
  });

  test("fail entry by entry for the entries' faults", async () => {
    const url = await world.queue({ MaximumMessageSize: '1024' });
    const result = await send(url, [
      { Id: 'long', MessageBody: 'a'.repeat(1025) },
      { Id: 'late', MessageBody: 'x', DelaySeconds: 1800 },
      { Id: 'dirty', MessageBody: '\u0001' },
      { Id: 'empty', MessageBody: 'x', MessageAttributes: { a: { DataType: 'String', StringValue: '' } } },
      { Id: 'good', MessageBody: 'x' },
    ]);
    expect(result.Successful!.map(({ Id }) => Id)).toEqual(['good']);
    const failed = Object.fromEntries(result.Failed!.map(({ Id, Code, Message }) => [Id, [Code, Message]]));
    expect(failed).toEqual({
      long: [
        'InvalidParameterValue',
        'One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes.',
      ],
      late: [
        'InvalidParameterValue',
        'Value 1800 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.',
      ],
      dirty: ['InvalidMessageContents', expect.stringMatching(/^Invalid characters/)],
      empty: ['InvalidParameterValue', expect.stringMatching(/non-empty value/)],
    });
    expect(await world.counts(url)).toEqual([1, 0, 0]);
  });
});

test('an unknown queue is told before anything else', async () => {
  const QueueUrl = `${world.cloud.endpoint}/000000000000/nowhere`;
  const nowhere = 'AWS.SimpleQueueService.NonExistentQueue';
  await expectError(world.client.send(new ReceiveMessageCommand({ QueueUrl })), nowhere);
  await expectError(remove(QueueUrl, 'x'), nowhere);
  await expectError(hide(QueueUrl, 'x', 1), nowhere);
});
