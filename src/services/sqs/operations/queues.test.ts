import {
  AddPermissionCommand,
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListDeadLetterSourceQueuesCommand,
  ListQueuesCommand,
  ListQueueTagsCommand,
  PurgeQueueCommand,
  type QueueAttributeName,
  RemovePermissionCommand,
  SetQueueAttributesCommand,
  SQSClient,
  TagQueueCommand,
  UntagQueueCommand,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectError, type SqsWorld, startSqsWorld } from '../world.test-support.ts';

let world: SqsWorld;
beforeAll(async () => {
  world = await startSqsWorld({ clock: 'virtual' });
});
afterAll(() => world.close());

const set = (QueueUrl: string, Attributes: Record<string, string>) =>
  world.client.send(new SetQueueAttributesCommand({ QueueUrl, Attributes }));
const create = (QueueName: string, Attributes?: Record<string, string>, tags?: Record<string, string>) =>
  world.client.send(new CreateQueueCommand({ QueueName, Attributes, tags }));

describe('CreateQueue', () => {
  test('answers a URL of the origin that was asked, and the same again for the same attributes', async () => {
    const first = await create('twice', { DelaySeconds: '1', ReceiveMessageWaitTimeSeconds: '1' });
    expect(first.QueueUrl).toBe(`${world.cloud.endpoint}/000000000000/twice`);
    expect((await create('twice')).QueueUrl).toBe(first.QueueUrl);
    expect((await create('twice', { DelaySeconds: '1' })).QueueUrl).toBe(first.QueueUrl);
    await expectError(
      create('twice', { DelaySeconds: '2', ReceiveMessageWaitTimeSeconds: '1' }),
      'QueueAlreadyExists',
      'A queue already exists with the same name and a different value for attribute DelaySeconds',
    );
    expect((await create('twice', { VisibilityTimeout: '30' })).QueueUrl).toBe(first.QueueUrl);
    await expectError(create('twice', { VisibilityTimeout: '31' }), 'QueueAlreadyExists', /VisibilityTimeout$/);
  });

  test('shows the default attributes that AWS shows, and no others', async () => {
    const url = await world.queue();
    const { CreatedTimestamp, LastModifiedTimestamp, ...attributes } = await world.attributes(url);
    expect(CreatedTimestamp).toMatch(/^\d{10}$/);
    expect(LastModifiedTimestamp).toBe(CreatedTimestamp);
    expect(attributes).toEqual({
      ApproximateNumberOfMessages: '0',
      ApproximateNumberOfMessagesDelayed: '0',
      ApproximateNumberOfMessagesNotVisible: '0',
      DelaySeconds: '0',
      MaximumMessageSize: '1048576',
      MessageRetentionPeriod: '345600',
      QueueArn: world.arn(url),
      ReceiveMessageWaitTimeSeconds: '0',
      SqsManagedSseEnabled: 'true',
      VisibilityTimeout: '30',
    });
  });

  test.each(['a b', 'ä', 'x'.repeat(81), 'q.fifo', 'a/b'])('refuses the name %s', (name) =>
    expectError(
      create(name),
      'InvalidParameterValue',
      'Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length',
    ),
  );

  test('tells what is wrong with FIFO queues', async () => {
    await expectError(create('plain', { FifoQueue: 'true' }), 'InvalidParameterValue', /must end with .fifo suffix/);
    await expectError(create('q.fifo', { FifoQueue: 'false' }), 'InvalidParameterValue', /^Can only include/);
    const perGroup = { FifoQueue: 'true', FifoThroughputLimit: 'perMessageGroupId' };
    await expectError(
      create('q.fifo', perGroup),
      'InvalidAttributeValue',
      /only when the value for DeduplicationScope/,
    );
    await expectError(create('q.fifo', { FifoQueue: 'true', DeduplicationScope: 'all' }), 'InvalidAttributeValue');
    await expectError(create('plain', { FifoQueue: 'false' }), 'InvalidAttributeName', 'Unknown Attribute FifoQueue.');
    const unknown = 'Unknown Attribute ContentBasedDeduplication.';
    await expectError(create('plain', { ContentBasedDeduplication: 'true' }), 'InvalidAttributeName', unknown);
    for (const name of ['DeduplicationScope', 'FifoThroughputLimit']) {
      const words = `You can specify the ${name} only when FifoQueue is set to true.`;
      await expectError(create('plain', { [name]: 'queue' }), 'InvalidAttributeName', words);
    }
  });

  test('makes FIFO queues, which stay what they are', async () => {
    const url = await world.queue({ FifoQueue: 'True', ContentBasedDeduplication: 'true' }, 'orders.fifo');
    expect(await world.attributes(url)).toMatchObject({
      QueueArn: 'arn:aws:sqs:us-east-1:000000000000:orders.fifo',
      FifoQueue: 'true',
      ContentBasedDeduplication: 'true',
      DeduplicationScope: 'queue',
      FifoThroughputLimit: 'perQueue',
    });
    expect(await world.queue({ FifoQueue: 'true', ContentBasedDeduplication: 'true' }, 'orders.fifo')).toBe(url);
    await expectError(
      create('orders.fifo', { FifoQueue: 'true', ContentBasedDeduplication: 'false' }),
      'QueueAlreadyExists',
      'A queue already exists with the same name and a different value for attribute ContentBasedDeduplication',
    );
    const set = (QueueUrl: string, Attributes: Record<string, string>) =>
      world.client.send(new SetQueueAttributesCommand({ QueueUrl, Attributes }));
    await set(url, { FifoQueue: 'true', ContentBasedDeduplication: 'false' });
    expect(await world.attributes(url)).toMatchObject({ ContentBasedDeduplication: 'false' });
    const words = 'Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.';
    await expectError(set(url, { FifoQueue: 'false' }), 'InvalidAttributeValue', words);
    const plain = await world.queue();
    await expectError(set(plain, { FifoQueue: 'true' }), 'InvalidAttributeName', 'Unknown Attribute FifoQueue.');
  });

  test('keeps the name of a deleted queue for 60 seconds', async () => {
    const url = await world.queue({}, 'phoenix');
    await world.send(url, 'old');
    await world.client.send(new DeleteQueueCommand({ QueueUrl: url }));
    await expectError(world.send(url, 'x'), 'AWS.SimpleQueueService.NonExistentQueue');
    await expectError(
      create('phoenix'),
      'AWS.SimpleQueueService.QueueDeletedRecently',
      'You must wait 60 seconds after deleting a queue before you can create another with the same name.',
    );
    await world.cloud.clock.advance(60_000);
    await create('phoenix');
    expect(await world.receive(url)).toEqual([]);
    expect(await world.counts(url)).toEqual([0, 0, 0]);
  });

  test('keeps accounts and regions apart', async () => {
    await create('shared-name', { DelaySeconds: '7' });
    const elsewhere = new SQSClient({ ...world.cloud.clientConfig, region: 'eu-west-1' });
    const stranger = new SQSClient({
      ...world.cloud.clientConfig,
      credentials: { accessKeyId: '111122223333', secretAccessKey: 'x' },
    });
    for (const client of [elsewhere, stranger]) {
      await expectError(
        client.send(new GetQueueUrlCommand({ QueueName: 'shared-name' })),
        'AWS.SimpleQueueService.NonExistentQueue',
      );
      await client.send(new CreateQueueCommand({ QueueName: 'shared-name', Attributes: { DelaySeconds: '8' } }));
    }
    const other = await stranger.send(
      new GetQueueUrlCommand({ QueueName: 'shared-name', QueueOwnerAWSAccountId: '000000000000' }),
    );
    expect(other.QueueUrl).toBe(`${world.cloud.endpoint}/000000000000/shared-name`);
    const { QueueUrl } = await elsewhere.send(new GetQueueUrlCommand({ QueueName: 'shared-name' }));
    const { Attributes } = await elsewhere.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }));
    expect(Attributes!['QueueArn']).toBe('arn:aws:sqs:eu-west-1:000000000000:shared-name');
  });
});

describe('queue URLs', () => {
  test('of every form name the queue', async () => {
    await world.queue({ DelaySeconds: '5' }, 'named');
    for (const url of [
      `${world.cloud.endpoint}/000000000000/named`,
      `${world.cloud.endpoint}/000000000000/named/`,
      `${world.cloud.endpoint}/queue/us-east-1/000000000000/named`,
      'https://sqs.us-east-1.amazonaws.com/000000000000/named',
      'https://us-east-1.queue.amazonaws.com/000000000000/named',
      'http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/named',
    ]) {
      const client = new SQSClient({ ...world.cloud.clientConfig, useQueueUrlAsEndpoint: false });
      const { Attributes } = await client.send(
        new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['DelaySeconds'] }),
      );
      expect(Attributes, url).toEqual({ DelaySeconds: '5' });
    }
  });

  test('that name nothing are refused', async () => {
    const missing = `${world.cloud.endpoint}/000000000000/missing`;
    await expectError(
      world.receive(missing),
      'AWS.SimpleQueueService.NonExistentQueue',
      'The specified queue does not exist.',
    );
    await expectError(
      world.client.send(new GetQueueUrlCommand({ QueueName: 'missing' })),
      'AWS.SimpleQueueService.NonExistentQueue',
    );
    const address = `${world.cloud.endpoint}/no/queue/here`;
    await expectError(
      world.receive(address),
      'InvalidAddress',
      `The address ${address} is not valid for this endpoint.`,
    );
  });
});

describe('ListQueues', () => {
  test('finds by prefix, in pages', async () => {
    const names = Array.from({ length: 7 }, (_, index) => `list-${index}`);
    for (const name of names) await create(name);
    const list = async (input: ListQueuesCommand['input']) => world.client.send(new ListQueuesCommand(input));
    const found = await list({ QueueNamePrefix: 'list-' });
    expect(found.QueueUrls).toEqual(names.map((name) => `${world.cloud.endpoint}/000000000000/${name}`));
    expect(found.NextToken).toBeUndefined();
    expect((await list({ QueueNamePrefix: 'list-3' })).QueueUrls).toHaveLength(1);
    expect((await list({ QueueNamePrefix: 'nothing' })).QueueUrls).toBeUndefined();
    const pages: string[][] = [];
    for (let NextToken: string | undefined; ; ) {
      const page = await list({ QueueNamePrefix: 'list-', MaxResults: 3, NextToken });
      pages.push(page.QueueUrls!);
      NextToken = page.NextToken;
      if (NextToken === undefined) break;
    }
    expect(pages.map((page) => page.length)).toEqual([3, 3, 1]);
    expect(pages.flat()).toEqual(found.QueueUrls);
    await expectError(list({ NextToken: '***' }), 'InvalidParameterValue');
    await expectError(list({ MaxResults: 1001 }), 'InvalidParameterValue');
  });
});

describe('attributes', () => {
  test('are set and shown, all or those asked for', async () => {
    const url = await world.queue();
    await set(url, { DelaySeconds: '420', MaximumMessageSize: '2048', VisibilityTimeout: '69' });
    expect(await world.attributes(url, 'DelaySeconds', 'MaximumMessageSize', 'VisibilityTimeout')).toEqual({
      DelaySeconds: '420',
      MaximumMessageSize: '2048',
      VisibilityTimeout: '69',
    });
    expect(await world.attributes(url, 'Policy')).toEqual({});
    const none = await world.client.send(new GetQueueAttributesCommand({ QueueUrl: url }));
    expect(none.Attributes).toBeUndefined();
    const AttributeNames = ['Nonsense' as QueueAttributeName];
    await expectError(
      world.client.send(new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames })),
      'InvalidAttributeName',
      'Unknown Attribute Nonsense.',
    );
  });

  test.each([
    ['VisibilityTimeout', '43201'],
    ['VisibilityTimeout', '-1'],
    ['VisibilityTimeout', 'x'],
    ['VisibilityTimeout', '1.5'],
    ['DelaySeconds', '901'],
    ['MaximumMessageSize', '1023'],
    ['MaximumMessageSize', '1048577'],
    ['MessageRetentionPeriod', '59'],
    ['MessageRetentionPeriod', '1209601'],
    ['ReceiveMessageWaitTimeSeconds', '21'],
    ['KmsDataKeyReusePeriodSeconds', '59'],
    ['KmsDataKeyReusePeriodSeconds', '86401'],
    ['SqsManagedSseEnabled', 'maybe'],
    ['Policy', '{'],
  ])('refuses %s = %s, when setting and when creating', async (name, value) => {
    const url = await world.queue({}, 'attribute-checks');
    const words = `Invalid value for the parameter ${name}.`;
    await expectError(set(url, { [name]: value }), 'InvalidAttributeValue', words);
    await expectError(create('never', { [name]: value }), 'InvalidAttributeValue', words);
  });

  test.each(['QueueArn', 'CreatedTimestamp', 'ApproximateNumberOfMessages', 'All', 'FifoQueue', 'Nonsense'])(
    'refuses to set %s',
    async (name) => {
      const url = await world.queue({}, 'attribute-checks');
      await expectError(set(url, { [name]: '1' }), 'InvalidAttributeName', `Unknown Attribute ${name}.`);
    },
  );

  test('of encryption exclude each other', async () => {
    const url = await world.queue();
    const shown = () => world.attributes(url, 'KmsMasterKeyId', 'KmsDataKeyReusePeriodSeconds', 'SqsManagedSseEnabled');
    await set(url, { KmsMasterKeyId: 'key', KmsDataKeyReusePeriodSeconds: '6000' });
    expect(await shown()).toEqual({
      KmsMasterKeyId: 'key',
      KmsDataKeyReusePeriodSeconds: '6000',
      SqsManagedSseEnabled: 'false',
    });
    await set(url, { KmsMasterKeyId: '', KmsDataKeyReusePeriodSeconds: '300' });
    expect(await shown()).toEqual({ SqsManagedSseEnabled: 'false' });
    await expectError(
      set(url, { KmsMasterKeyId: 'key', SqsManagedSseEnabled: 'true' }),
      'InvalidAttributeName',
      'You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.',
    );
  });

  test('a redrive policy is checked, indexed and removed', async () => {
    const deadLetters = await world.queue({}, 'dead-letters');
    const source = await world.queue({}, 'dead-source');
    const arn = world.arn(deadLetters);
    const policy = (value: unknown) => set(source, { RedrivePolicy: JSON.stringify(value) });
    const sources = async () =>
      (await world.client.send(new ListDeadLetterSourceQueuesCommand({ QueueUrl: deadLetters }))).queueUrls;
    const refused = async (value: unknown, reason: string) =>
      expectError(
        policy(value),
        'InvalidParameterValue',
        `Value ${JSON.stringify(value)} for parameter RedrivePolicy is invalid. Reason: ${reason}`,
      );
    await refused('text', 'Redrive policy is not a valid JSON map.');
    await refused({ maxReceiveCount: 3 }, 'Redrive policy does not contain mandatory attribute: deadLetterTargetArn.');
    await refused(
      { deadLetterTargetArn: arn },
      'Redrive policy does not contain mandatory attribute: maxReceiveCount.',
    );
    for (const maxReceiveCount of [0, 1001, 'invalid']) {
      const words = `Invalid value for maxReceiveCount: ${maxReceiveCount}, valid values are from 1 to 1000 both inclusive.`;
      await refused({ deadLetterTargetArn: arn, maxReceiveCount }, words);
    }
    await refused({ deadLetterTargetArn: 'dummy', maxReceiveCount: 3 }, 'Invalid value for deadLetterTargetArn.');
    await refused({ deadLetterTargetArn: `${arn}-x`, maxReceiveCount: 3 }, 'Dead letter target does not exist.');
    const foreign = arn.replace('000000000000', '111111111111');
    await refused(
      { deadLetterTargetArn: foreign, maxReceiveCount: 3 },
      'Dead letter target owner should be same as the source.',
    );

    expect(await sources()).toEqual([]);
    await policy({ deadLetterTargetArn: arn, maxReceiveCount: '42' });
    expect(JSON.parse((await world.attributes(source))['RedrivePolicy']!).deadLetterTargetArn).toBe(arn);
    expect(await sources()).toEqual([source]);
    await set(source, { RedrivePolicy: '' });
    expect(await world.attributes(source, 'RedrivePolicy')).toEqual({});
    expect(await sources()).toEqual([]);

    await set(deadLetters, { RedriveAllowPolicy: JSON.stringify({ redrivePermission: 'denyAll' }) });
    await expectError(
      policy({ deadLetterTargetArn: arn, maxReceiveCount: 1 }),
      'InvalidParameterValue',
      /redrive allow/,
    );
    const byQueue = { redrivePermission: 'byQueue', sourceQueueArns: [world.arn(source)] };
    await set(deadLetters, { RedriveAllowPolicy: JSON.stringify(byQueue) });
    await policy({ deadLetterTargetArn: arn, maxReceiveCount: 1 });
    for (const bad of [
      { redrivePermission: 'byQueue' },
      { redrivePermission: 'some' },
      { redrivePermission: 'allowAll', sourceQueueArns: [arn] },
      { redrivePermission: 'byQueue', sourceQueueArns: Array.from({ length: 11 }, () => arn) },
    ]) {
      await expectError(set(deadLetters, { RedriveAllowPolicy: JSON.stringify(bad) }), 'InvalidParameterValue');
    }
    // A deleted source is a source no more.
    await world.client.send(new DeleteQueueCommand({ QueueUrl: source }));
    expect(await sources()).toEqual([]);
  });

  test('ListDeadLetterSourceQueues pages', async () => {
    const deadLetters = await world.queue({}, 'paged-letters');
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: world.arn(deadLetters), maxReceiveCount: 1 });
    const urls: string[] = [];
    for (let index = 0; index < 5; index++) urls.push(await world.queue({ RedrivePolicy }, `paged-source-${index}`));
    const list = (input: object) =>
      world.client.send(new ListDeadLetterSourceQueuesCommand({ QueueUrl: deadLetters, ...input }));
    const first = await list({ MaxResults: 3 });
    const second = await list({ MaxResults: 3, NextToken: first.NextToken });
    expect([...first.queueUrls!, ...second.queueUrls!]).toEqual(urls);
    expect(second.NextToken).toBeUndefined();
  });
});

describe('PurgeQueue', () => {
  test('removes all messages, in flight and delayed ones too, once a minute', async () => {
    const url = await world.queue();
    for (const body of ['a', 'b', 'c']) await world.send(url, body);
    await world.send(url, 'later', 60);
    const [held] = await world.receive(url, { MaxNumberOfMessages: 1 });
    expect(await world.counts(url)).toEqual([2, 1, 1]);
    await world.client.send(new PurgeQueueCommand({ QueueUrl: url }));
    expect(await world.counts(url)).toEqual([0, 0, 0]);
    expect(await world.receive(url)).toEqual([]);
    await expectError(
      world.client.send(new PurgeQueueCommand({ QueueUrl: url })),
      'AWS.SimpleQueueService.PurgeQueueInProgress',
      `Only one PurgeQueue operation on ${url.split('/').at(-1)} is allowed every 60 seconds.`,
    );
    await world.send(url, 'new');
    await world.cloud.clock.advance(60_000);
    expect((await world.receive(url)).map(({ Body }) => Body)).toEqual(['new']);
    expect(held!.Body).toBe('a');
    await world.client.send(new PurgeQueueCommand({ QueueUrl: url }));
    expect(await world.counts(url)).toEqual([0, 0, 0]);
  });
});

describe('tags', () => {
  test('are added, overwritten, removed, and listed', async () => {
    const { QueueUrl } = await create('tagged', {}, { created: 'yes' });
    const list = async () => (await world.client.send(new ListQueueTagsCommand({ QueueUrl }))).Tags;
    expect(await list()).toEqual({ created: 'yes' });
    await world.client.send(new TagQueueCommand({ QueueUrl, Tags: { Tag: '1', tag: '2', empty: '' } }));
    await world.client.send(new TagQueueCommand({ QueueUrl, Tags: { Tag: '3' } }));
    expect(await list()).toEqual({ created: 'yes', Tag: '3', tag: '2', empty: '' });
    await world.client.send(new UntagQueueCommand({ QueueUrl, TagKeys: ['created', 'Tag', 'none', 'empty'] }));
    expect(await list()).toEqual({ tag: '2' });
    await world.client.send(new UntagQueueCommand({ QueueUrl, TagKeys: ['tag'] }));
    expect(await list()).toBeUndefined();
  });

  test('are limited', async () => {
    const QueueUrl = await world.queue({}, 'tag-limits');
    const tag = (Tags: Record<string, string>) => world.client.send(new TagQueueCommand({ QueueUrl, Tags }));
    const many = Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`t${index}`, 'x']));
    await expectError(tag(many), 'InvalidParameterValue', 'Too many tags added for queue tag-limits.');
    await expectError(tag({ ['k'.repeat(129)]: 'x' }), 'InvalidParameterValue', /^Tag keys must be between 1 and 128/);
    await expectError(tag({ k: 'x'.repeat(257) }), 'InvalidParameterValue', /^Tag values must be between 0 and 256/);
    await expectError(tag({ 'aws:mine': 'x' }), 'InvalidParameterValue', /reserved/);
    await expectError(tag({}), 'MissingParameter');
  });
});

describe('permissions', () => {
  test('edit the policy', async () => {
    const QueueUrl = await world.queue();
    const add = (Label: string, AWSAccountIds: string[], Actions: string[]) =>
      world.client.send(new AddPermissionCommand({ QueueUrl, Label, AWSAccountIds, Actions }));
    const remove = (Label: string) => world.client.send(new RemovePermissionCommand({ QueueUrl, Label }));
    const policy = async () => {
      const { Policy } = await world.attributes(QueueUrl, 'Policy');
      return Policy === undefined ? undefined : JSON.parse(Policy);
    };
    await add('share', ['668614515564', '111111111111'], ['ReceiveMessage']);
    expect(await policy()).toEqual({
      Version: '2008-10-17',
      Id: `${world.arn(QueueUrl)}/SQSDefaultPolicy`,
      Statement: [
        {
          Sid: 'share',
          Effect: 'Allow',
          Principal: { AWS: ['arn:aws:iam::668614515564:root', 'arn:aws:iam::111111111111:root'] },
          Action: 'SQS:ReceiveMessage',
          Resource: world.arn(QueueUrl),
        },
      ],
    });
    await expectError(
      add('share', ['668614515564'], ['SendMessage']),
      'InvalidParameterValue',
      'Value share for parameter Label is invalid. Reason: Already exists.',
    );
    await expectError(
      remove('other'),
      'InvalidParameterValue',
      "Value other for parameter Label is invalid. Reason: can't find label.",
    );
    await expectError(
      add('bad', ['668614515564'], ['Dance']),
      'InvalidParameterValue',
      'Value SQS:Dance for parameter ActionName is invalid. Reason: Please refer to the appropriate WSDL for a list of valid actions. ',
    );
    await expectError(
      add('bad', ['668614515564'], ['DeleteQueue']),
      'InvalidParameterValue',
      'Value SQS:DeleteQueue for parameter ActionName is invalid. Reason: Only the queue owner is allowed to invoke this action.',
    );
    await expectError(
      add(
        'bad',
        ['668614515564'],
        Array.from({ length: 8 }, () => 'SendMessage'),
      ),
      'OverLimit',
      '8 Actions were found, maximum allowed is 7.',
    );
    await remove('share');
    expect(await policy()).toBeUndefined();
  });
});
