import type { Properties, ResourceContext, ResourceState, ResourceType } from '../../platform/resource-type.ts';
import { AwsError } from '../../wire/errors.ts';
import type { Environment } from './environment.ts';
import { parseQueueUrl } from './rules/urls.ts';

const attributeProperties = [
  'DelaySeconds',
  'KmsDataKeyReusePeriodSeconds',
  'KmsMasterKeyId',
  'MaximumMessageSize',
  'MessageRetentionPeriod',
  'ReceiveMessageWaitTimeSeconds',
  'RedriveAllowPolicy',
  'RedrivePolicy',
  'SqsManagedSseEnabled',
  'VisibilityTimeout',
  'FifoQueue',
  'ContentBasedDeduplication',
  'DeduplicationScope',
  'FifoThroughputLimit',
];

/** What a removed property goes back to. */
const initialValues: Readonly<Record<string, string>> = {
  ContentBasedDeduplication: 'false',
  DeduplicationScope: 'queue',
  DelaySeconds: '0',
  FifoThroughputLimit: 'perQueue',
  KmsDataKeyReusePeriodSeconds: '300',
  KmsMasterKeyId: '',
  MaximumMessageSize: '1048576',
  MessageRetentionPeriod: '345600',
  ReceiveMessageWaitTimeSeconds: '0',
  RedriveAllowPolicy: '',
  RedrivePolicy: '',
  SqsManagedSseEnabled: 'true',
  VisibilityTimeout: '30',
};

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-sqs-queue.html */
export function queueType(env: Pick<Environment, 'limits'>): ResourceType {
  return {
    typeName: 'AWS::SQS::Queue',
    properties: ['QueueName', 'Tags', ...attributeProperties],
    createOnly: ['QueueName', 'FifoQueue'],

    async create(context, properties) {
      const fifo = String(properties['FifoQueue'] ?? 'false') === 'true';
      const name =
        properties['QueueName'] === undefined
          ? context.generatedName({ maxLength: 80, ...(fifo ? { suffix: '.fifo' } : {}) })
          : String(properties['QueueName']);
      const attributes = attributesOf(properties);
      const found = await findQueue(context, name);
      if (found !== undefined) {
        // An earlier attempt at this step may have made it; a queue of someone else is not ours to take.
        const { Tags } = await context.bus.call(context.caller, 'sqs', 'ListQueueTags', { QueueUrl: found });
        if (Tags?.['aws:cloudformation:stack-id'] !== context.stackId) throw alreadyExists(name);
        await setAttributes(context, found, attributes);
        return stateOf(context, found);
      }
      const tags = { ...tagsOf(properties), ...stackTags(context) };
      const url = await createQueue(env, context, name, attributes, tags);
      return stateOf(context, url);
    },

    async update(context, physicalId, properties, oldProperties) {
      const after = attributesOf(properties);
      const removed = Object.keys(attributesOf(oldProperties)).filter((name) => after[name] === undefined);
      const reset = Object.fromEntries(removed.map((name) => [name, initialValues[name] ?? '']));
      // Without a key of its own a queue is encrypted by SQS's, and the two cannot be set together.
      const { SqsManagedSseEnabled: managed, ...others } = reset;
      const changes = {
        ...others,
        ...(managed === undefined || after['KmsMasterKeyId'] ? {} : { SqsManagedSseEnabled: managed }),
        ...after,
      };
      if (Object.keys(changes).length > 0) await setAttributes(context, physicalId, changes);
      const tags = tagsOf(properties);
      const goneTags = Object.keys(tagsOf(oldProperties)).filter((key) => tags[key] === undefined);
      const { bus, caller } = context;
      if (goneTags.length > 0) await bus.call(caller, 'sqs', 'UntagQueue', { QueueUrl: physicalId, TagKeys: goneTags });
      if (Object.keys(tags).length > 0) await bus.call(caller, 'sqs', 'TagQueue', { QueueUrl: physicalId, Tags: tags });
      return stateOf(context, physicalId);
    },

    async delete(context, physicalId) {
      await unlessGone(context.bus.call(context.caller, 'sqs', 'DeleteQueue', { QueueUrl: physicalId }));
    },
  };
}

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-sqs-queuepolicy.html */
export const queuePolicyType: ResourceType = {
  typeName: 'AWS::SQS::QueuePolicy',
  properties: ['PolicyDocument', 'Queues'],
  required: ['PolicyDocument', 'Queues'],

  async create(context, properties) {
    await setPolicies(context, properties);
    const physicalId = context.generatedName({ maxLength: 128 });
    return { physicalId, attributes: { Id: physicalId } };
  },

  async update(context, physicalId, properties, oldProperties) {
    const kept = new Set(queuesOf(properties));
    for (const url of queuesOf(oldProperties)) if (!kept.has(url)) await removePolicy(context, url);
    await setPolicies(context, properties);
    return { physicalId, attributes: { Id: physicalId } };
  },

  async delete(context, _physicalId, properties) {
    for (const url of queuesOf(properties)) await removePolicy(context, url);
  },
};

/** A name stays taken for a while after its queue was deleted; CloudFormation waits for it. */
async function createQueue(
  env: Pick<Environment, 'limits'>,
  context: ResourceContext,
  name: string,
  attributes: Record<string, string>,
  tags: Record<string, string>,
): Promise<string> {
  const pauseMs = 5_000;
  for (let waitedMs = 0; ; waitedMs += pauseMs) {
    try {
      const input = { QueueName: name, Attributes: attributes, tags };
      const { QueueUrl } = await context.bus.call(context.caller, 'sqs', 'CreateQueue', input);
      return QueueUrl!;
    } catch (error) {
      const recent = error instanceof AwsError && error.code === 'QueueDeletedRecently';
      if (!recent || waitedMs > env.limits.recreateWaitMs) throw error;
      await context.sleep(pauseMs);
    }
  }
}

async function findQueue(context: ResourceContext, name: string): Promise<string | undefined> {
  const answer = await unlessGone(context.bus.call(context.caller, 'sqs', 'GetQueueUrl', { QueueName: name }));
  return answer?.QueueUrl;
}

async function unlessGone<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof AwsError && error.code === 'QueueDoesNotExist') return undefined;
    throw error;
  }
}

async function setAttributes(context: ResourceContext, url: string, attributes: Record<string, string>): Promise<void> {
  if (Object.keys(attributes).length === 0) return;
  await context.bus.call(context.caller, 'sqs', 'SetQueueAttributes', { QueueUrl: url, Attributes: attributes });
}

async function stateOf(context: ResourceContext, url: string): Promise<ResourceState> {
  const input = { QueueUrl: url, AttributeNames: ['QueueArn' as const] };
  const { Attributes } = await context.bus.call(context.caller, 'sqs', 'GetQueueAttributes', input);
  const QueueName = parseQueueUrl(url)!.name;
  return { physicalId: url, attributes: { Arn: Attributes!['QueueArn'], QueueName, QueueUrl: url } };
}

/** Queue attributes are texts: objects as JSON, numbers and booleans as written. */
function attributesOf(properties: Properties): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const name of attributeProperties) {
    const value = properties[name];
    if (value === undefined || (name === 'FifoQueue' && String(value) === 'false')) continue;
    attributes[name] = typeof value === 'object' ? JSON.stringify(value) : String(value);
  }
  return attributes;
}

function tagsOf(properties: Properties): Record<string, string> {
  const tags = (properties['Tags'] ?? []) as readonly { readonly Key: string; readonly Value: string }[];
  return Object.fromEntries(tags.map(({ Key, Value }) => [Key, String(Value)]));
}

/** The tags by which CloudFormation marks what it made. */
function stackTags(context: ResourceContext): Record<string, string> {
  return {
    'aws:cloudformation:stack-name': context.stackName,
    'aws:cloudformation:stack-id': context.stackId,
    'aws:cloudformation:logical-id': context.logicalId,
  };
}

function alreadyExists(name: string): AwsError {
  return new AwsError('AlreadyExists', `Resource of type 'AWS::SQS::Queue' with identifier '${name}' already exists.`);
}

function queuesOf(properties: Properties): string[] {
  const queues = properties['Queues'] ?? [];
  return (Array.isArray(queues) ? queues : [queues]).map(String);
}

async function setPolicies(context: ResourceContext, properties: Properties): Promise<void> {
  const document = properties['PolicyDocument'];
  const Policy = typeof document === 'string' ? document : JSON.stringify(document);
  for (const url of queuesOf(properties)) await setAttributes(context, url, { Policy });
}

async function removePolicy(context: ResourceContext, url: string): Promise<void> {
  const { bus, caller } = context;
  await unlessGone(bus.call(caller, 'sqs', 'SetQueueAttributes', { QueueUrl: url, Attributes: { Policy: '' } }));
}
